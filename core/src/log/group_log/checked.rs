//! What comes back from the disk is checked before anybody gets it: by its CRC, and by what is known of the log where no CRC reaches.

use super::{FetchPlan, GroupLog, RecordRun, RunBuilder};
use crate::ids::{Index, Offset};
use crate::log::batch::{Batch, BatchError};
use crate::mutant::Mutant;
use crate::record::verify_crc;
use bytes::Bytes;

impl GroupLog {
    /// The entries from `low` on in what was read for `plan`. Damage is told in a sentence: also of offset and epoch, which no CRC covers.
    pub(crate) fn parse_fetch(&self, plan: &FetchPlan, low: Index, read: &Bytes) -> Result<Vec<Bytes>, String> {
        let mut entries = Vec::new();
        let (mut at, mut index, mut offset) = (0, plan.first, plan.first_offset);
        loop {
            match Batch::parse_whole(&read[at..]) {
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

    /// Turns what was read for a [`super::ReadPlan::Disk`], which begins with the batch at `first`, into the run, with the same arguments.
    ///
    /// # Errors
    /// A sentence about damage. Nothing of a batch is given to anybody before its CRC was checked, and offset, epoch and length, which it
    /// does not cover, against what is known of the log. Only the last batch of a run may be cut short, which clients throw away.
    pub fn finish_read(
        &self,
        from: Offset,
        end: Offset,
        bytes_max: u32,
        first: Offset,
        read: &Bytes,
        mutant: Mutant,
    ) -> Result<RecordRun, String> {
        let mut run = RunBuilder::new(from, end, bytes_max);
        let (mut at, mut next) = (0, first);
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
