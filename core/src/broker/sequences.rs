//! Batches of idempotent producers on their way into a proposal: which are new, which were sent before, which are refused.
//!
//! Judged when the proposal is made and not when the request comes in, because only then the order of the log is known: of several
//! batches in one round each is judged after those before it. A new batch is remembered at the place it will get; a repeated one
//! waits for the entry it repeats and is answered with that entry's offset.
//!
//! Source: Kafka `UnifiedLog.analyzeAndValidateProducerState`; the rules are in `partition::producers`.

use super::Broker;
use crate::api::produce::Outcome;
use crate::ids::{GroupId, Index, Offset};
use crate::mutant::Mutant;
use crate::output::Outputs;
use crate::partition::{Acks, Appended, PendingBatch, Verdict, Waiter};
use crate::time::Now;

/// A batch that is in the log already.
#[derive(Debug)]
pub(super) struct Repeated {
    pub(super) waiter: Waiter,
    acks: Acks,
    index: Index,
    base_offset: Offset,
    timestamp_ms: i64,
}

impl Broker {
    /// Leaves in `taken` what is to be appended and answers what is refused. What was sent before is returned, to be given to
    /// [`Broker::await_repeated`] after the proposal.
    pub(super) fn judge_sequences(
        &mut self,
        now: Now,
        group: GroupId,
        taken: &mut Vec<PendingBatch>,
        out: &mut Outputs,
    ) -> Vec<Repeated> {
        let mut repeated = Vec::new();
        if taken.iter().all(|pending| pending.batch.header.producer_id < 0) {
            return repeated;
        }
        // Where no proposal would be taken nothing is judged: all of them fail together.
        let Ok(mut place) = self.local.replicas.next_place(group) else { return repeated };
        let mutant = self.config.mutant;
        let producers = self.producers_of(group);
        let mut refused = Vec::new();
        taken.retain(|PendingBatch { batch, acks, waiter }| {
            let mut header = batch.header;
            if header.producer_id >= 0 {
                match producers.judge(&header, mutant) {
                    Verdict::New => {
                        header.base_offset = place.base_offset;
                        producers.append(place.index, &header);
                    }
                    Verdict::Repeated(first_time) => {
                        let is_current = mutant.is(Mutant::RepeatedAtCurrentOffset);
                        repeated.push(Repeated {
                            waiter: *waiter,
                            acks: *acks,
                            index: first_time.index,
                            base_offset: if is_current { place.base_offset } else { first_time.base_offset },
                            timestamp_ms: first_time.timestamp_ms,
                        });
                        return false;
                    }
                    Verdict::Refused(error) => {
                        refused.push((*waiter, error));
                        return false;
                    }
                }
            }
            place.index.0 += 1;
            place.base_offset.0 += i64::from(header.last_offset_delta) + 1;
            true
        });
        if !refused.is_empty() {
            let log_start = self.local.replicas.group(group).map_or(Offset(0), |raft| raft.log().log_start());
            for (waiter, error) in refused {
                self.settle(now, waiter, out, |job, part| job.settle(part, Outcome::out_of_sequence(error, log_start)));
            }
        }
        repeated
    }

    /// The proposal of what was judged was not taken: it is in no log.
    pub(super) fn forget_unproposed(&mut self, group: GroupId) {
        let Some(raft) = self.local.replicas.group(group) else { return };
        let next = Index(raft.last_proposed().0 + 1);
        if let Some(producers) = self.local.producers.get_mut(&group) {
            producers.cut(next);
        }
    }

    /// Repeated batches wait for the entries they repeat; some need not wait.
    pub(super) fn await_repeated(&mut self, now: Now, group: GroupId, repeated: Vec<Repeated>, out: &mut Outputs) {
        if repeated.is_empty() {
            return;
        }
        let Some(raft) = self.local.replicas.group(group) else { return };
        let (term, written, committed) = (raft.term(), raft.written(), raft.view().commit);
        for Repeated { waiter, acks, index, base_offset, timestamp_ms } in repeated {
            if let Some(job) = self.parked_produce(waiter) {
                job.repeats(waiter.part, timestamp_ms);
            }
            let appended = Appended { waiter, index, term, base_offset };
            let queue = &mut self.local.partitions.get_mut(&group).expect("it was collected there").acks;
            match acks {
                Acks::None => self.settle_appended(now, group, appended, out),
                Acks::Leader => queue.wait_written_again(appended),
                Acks::All => queue.wait_committed_again(appended),
            }
        }
        self.release(now, group, out, |partition, released| partition.acks.release_written(written, released));
        self.release_committed(now, group, committed, out);
    }
}
