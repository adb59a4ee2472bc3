//! What comes back from the disk is checked before anybody gets it: by its CRC, and by what is known of the log where no CRC reaches.

use super::{FetchPlan, GroupLog, RecordRun, RunBuilder, Stretch};
use crate::ids::{Index, Offset};
use crate::log::batch::{Batch, BatchError};
use crate::mutant::Mutant;
use crate::record::verify_crc;
use bytes::Bytes;

impl GroupLog {
    /// The entries from `low` on in what was read for `plan`. Damage is told in a sentence: also of offset and epoch, which no CRC covers.
    pub(crate) fn parse_fetch(&self, plan: &FetchPlan, low: Index, read: &Bytes, mutant: Mutant) -> Result<Vec<Bytes>, String> {
        let mut entries = Vec::new();
        let (mut at, mut index, mut offset) = (0, plan.first, plan.stretch.offset);
        let mut is_known = mutant.is(Mutant::PlaceNotChecked);
        loop {
            match Batch::parse_whole(&read[at..]) {
                Ok(batch) if is_elsewhere(&plan.stretch, at, &batch, &mut is_known) => {
                    let position = plan.position + at as u64;
                    return Err(format!("{:?} position {position}: another batch where entry {index} was written", plan.file));
                }
                Ok(batch) if batch.base_offset != offset || batch.term != self.term(index) => {
                    let position = plan.position + at as u64;
                    return Err(format!(
                        "{:?} position {position}: offset {} of epoch {} where entry {index} with offset {offset} was written",
                        plan.file,
                        batch.base_offset,
                        batch.term.leader_epoch()
                    ));
                }
                Ok(batch) => {
                    offset = batch.end_offset;
                    if index >= low {
                        entries.push(read.slice(at..at + batch.length));
                    }
                    at += batch.length;
                    index.0 += 1;
                }
                Err(BatchError::Short(_)) if index > low => return Ok(entries),
                Err(error) => {
                    let position = plan.position + at as u64;
                    return Err(format!("{:?} position {position}: {error:?} where entry {index} was written", plan.file));
                }
            }
        }
    }

    /// Turns what was read for a [`super::ReadPlan::Disk`], which begins with `stretch`, into the run, with the same arguments.
    ///
    /// # Errors
    /// A sentence about damage. Nothing of a batch is given to anybody before its CRC was checked, and offset, epoch and length, which it
    /// does not cover, against what is known of the log. Only the last batch of a run may be cut short, which clients throw away.
    pub fn finish_read(
        &self,
        from: Offset,
        end: Offset,
        bytes_max: u32,
        stretch: Stretch,
        read: &Bytes,
        mutant: Mutant,
    ) -> Result<RecordRun, String> {
        let mut run = RunBuilder::new(from, end, bytes_max);
        let (mut at, mut next) = (0, stretch.offset);
        let mut is_known = mutant.is(Mutant::PlaceNotChecked);
        // What follows `end` may be replaced while it is read.
        while next < end && at < read.len() {
            let here = next;
            let damage = |what: &str| format!("group {}, where the record at offset {here} was written: {what}", self.group);
            let batch = match Batch::parse(&read[at..]) {
                Ok(batch) => batch,
                Err(BatchError::Short(_)) => break,
                Err(BatchError::Invalid(what)) => return Err(damage(what)),
            };
            if batch.base_offset != next {
                return Err(damage("its offset is another"));
            }
            if is_elsewhere(&stretch, at, &batch, &mut is_known) {
                return Err(damage("another batch"));
            }
            let data = read.slice(at..(at + batch.length).min(read.len()));
            at += data.len();
            next = batch.end_offset;
            if batch.end_offset <= from || batch.is_private {
                continue;
            }
            if data.len() < batch.length {
                if run.is_empty() {
                    return Err(damage("its length is another"));
                }
                run.take(&data, batch.end_offset, batch.is_private);
                break;
            }
            if batch.base_offset >= self.start.base_offset && batch.term.leader_epoch() != self.epochs.epoch_at(batch.base_offset)
            {
                return Err(damage("its leader epoch is another"));
            }
            if !mutant.is(Mutant::ReadNotChecked) && !verify_crc(&data) {
                return Err(damage("its CRC does not match"));
            }
            if !run.take(&data, batch.end_offset, batch.is_private) {
                break;
            }
        }
        if run.is_empty() {
            Err(format!("group {}: no batch has the record at offset {from}", self.group))
        } else {
            Ok(run.finish())
        }
    }
}

/// Whether a batch, the first that is no no-op unless that `is_known` already, was written elsewhere: the disk gave another place.
fn is_elsewhere(stretch: &Stretch, at: usize, batch: &Batch, is_known: &mut bool) -> bool {
    !*is_known && !batch.is_noop() && {
        *is_known = true;
        !stretch.may_begin_with(at, batch.crc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{GroupId, Term};
    use crate::log::ReadPlan;
    use crate::log::batch::{encode_private, test_batch};
    use crate::record::{PrivateKind, patch_offset_and_epoch};
    use bytes::BytesMut;

    /// A log of a no-op and `count` records, which begins as any other does, and its bytes.
    fn filled(group: u64, count: i64) -> (GroupLog, Bytes) {
        let (mut log, mut writes) = (GroupLog::born(GroupId(group), u64::MAX, 0), Vec::new());
        let term = Term(4);
        log.append(encode_private(PrivateKind::Noop, Offset(0), term, &[]), &mut writes);
        for n in 0..count {
            let mut batch = test_batch(1, 40, -1, 1_000 * i64::try_from(group).expect("small") + n);
            patch_offset_and_epoch(&mut batch, Offset(n), term.leader_epoch());
            log.append(batch.freeze(), &mut writes);
        }
        let mut all = BytesMut::new();
        for write in writes {
            write.data.iter().for_each(|part| all.extend_from_slice(part));
            log.written(write.file, write.end, write.last_index);
        }
        log.settle(log.last_index());
        (log, all.freeze())
    }

    fn range(bytes: &Bytes, position: u64, length: u32) -> Bytes {
        let at = usize::try_from(position).expect("small");
        bytes.slice(at..at + usize::try_from(length).expect("small"))
    }

    #[test]
    fn the_same_place_of_another_log_is_not_taken_for_this_one() {
        let ((log, own), (_, foreign)) = (filled(5, 600), filled(6, 600));
        let (end, mut stretches) = (Offset(600), 0);
        for from in (0..600).step_by(7).map(Offset) {
            let ReadPlan::Disk { position, length, stretch, .. } = log.plan_read(from, end, 300) else {
                panic!("nothing is in memory");
            };
            stretches = stretches.max(position);
            let read = |bytes| log.finish_read(from, end, 300, stretch, &range(bytes, position, length), Mutant::None);
            assert!(read(&own).expect("its own").bytes > 0);
            let what = read(&foreign).expect_err("offsets, epochs and CRCs fit");
            assert!(what.contains("another batch"), "{what}");
        }
        for low in (3..600).step_by(7).map(Index) {
            let plan = log.plan_fetch(low, 300);
            let parse = |bytes| log.parse_fetch(&plan, low, &range(bytes, plan.position, plan.length), Mutant::None);
            assert!(!parse(&own).expect("its own").is_empty());
            let what = parse(&foreign).expect_err("offsets, epochs and CRCs fit");
            assert!(what.contains("another batch"), "{what}");
        }
        assert!(stretches > 0, "there are several");
    }

    #[test]
    fn where_there_are_no_ops_only_nothing_else_is_taken() {
        let ((log, own), (_, foreign)) = (filled(5, 0), filled(6, 1));
        let plan = log.plan_fetch(Index(2), 300);
        let parse = |bytes: &Bytes| log.parse_fetch(&plan, Index(2), bytes, Mutant::None);
        assert_eq!(parse(&own).map(|entries| entries.len()), Ok(1));
        assert_eq!(parse(&range(&foreign, 0, plan.length)).map(|entries| entries.len()), Ok(1), "it is the same");
        assert!(parse(&foreign.slice(own.len()..)).is_err());
    }
}
