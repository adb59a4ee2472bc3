//! Where logs start: what retention lets go, and what clients delete.
//!
//! Only leaders decide, by their wall clock and the timestamps of records; what they decide is an entry of the log, so that replicas
//! agree without clocks. A start moves when that entry is committed and this broker has recorded it: see `raft::group::start`.
//!
//! Source: Kafka `LogManager.cleanupLogs`, KIP-107.

use super::Broker;
use super::parking::Parked;
use super::work::Work;
use crate::api::ReplyTo;
use crate::api::delete_records::DeleteRecordsJob;
use crate::config::BrokerSettings;
use crate::ids::{GroupId, Offset};
use crate::output::Outputs;
use crate::protocol::messages::delete_records::DeleteRecordsRequest;
use crate::raft::Proposal;
use crate::time::{Instant, Now};

/// Milliseconds after the start of a broker until the first look, at most; Kafka's `LogConfig.DEFAULT_INITIAL_TASK_DELAY_MS`.
const FIRST_LOOK_MS: u64 = 30_000;

fn interval_ms(settings: &BrokerSettings) -> u64 {
    settings.number("log.retention.check.interval.ms").and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0).max(1)
}

/// When retention is looked at first in a life.
pub(super) fn first_look(settings: &BrokerSettings, now: Now) -> Instant {
    now.monotonic.plus_ms(interval_ms(settings).min(FIRST_LOOK_MS))
}

impl Broker {
    /// Looks at every log led here, when it is time to.
    pub(super) fn run_retention(&mut self, now: Now) {
        if self.retention_at > now.monotonic {
            return;
        }
        self.retention_at = now.monotonic.plus_ms(interval_ms(&self.settings));
        let mut starts = Vec::new();
        for (group, partition) in &self.local.partitions {
            let Some(raft) = self.local.replicas.group(*group).filter(|raft| raft.is_serving()) else { continue };
            let (settings, log) = (partition.settings(), raft.log());
            let is_limited = settings.cleanup_policy.delete;
            let (ms, bytes) = if is_limited { (settings.retention_ms, settings.retention_bytes) } else { (-1, -1) };
            let start = log.expired(now.wall.0, ms, bytes, raft.high_watermark()).unwrap_or(log.log_start());
            // Also where the start stays and only files go that another replica needed until now.
            if raft.is_start_news(start) {
                starts.push((*group, start));
            }
        }
        for (group, start) in starts {
            self.propose_start(group, start);
        }
    }

    fn propose_start(&mut self, group: GroupId, start: Offset) {
        // A leader that lost its place meanwhile has nothing to do here; the next one looks for itself.
        let _ = self.local.replicas.propose(group, vec![Proposal::LogStart(start)]);
    }

    /// A client wants records gone.
    pub(super) fn delete_records(&mut self, now: Now, reply: ReplyTo, request: DeleteRecordsRequest, out: &mut Outputs) {
        let timeout_ms = u64::try_from(request.timeout_ms).unwrap_or(0);
        let (job, starts) = DeleteRecordsJob::new(&self.local.view(now), request);
        if job.is_settled() {
            reply.answer(&job.respond(), out);
            return;
        }
        for (group, start) in starts {
            self.propose_start(group, start);
        }
        let number = self.parking.number();
        let deadline = Some(now.monotonic.plus_ms(timeout_ms));
        self.parking.park(number, Parked { reply, deadline, work: Work::DeleteRecords(job) });
        self.deleting.insert(number);
    }

    /// The start of a log moved, or its leader changed: whoever waits for the one learns of both.
    pub(super) fn look_at_deletions(&mut self, now: Now, out: &mut Outputs) {
        for number in self.deleting.clone() {
            let Some(Parked { work: Work::DeleteRecords(job), .. }) = self.parking.get_mut(number) else {
                unreachable!("request {number} waits for the start of a log")
            };
            job.look(&self.local.view(now));
            if job.is_settled() {
                self.answer_deletion(number, out);
            }
        }
    }

    /// Answers with what is known.
    pub(super) fn answer_deletion(&mut self, number: u64, out: &mut Outputs) {
        self.deleting.remove(&number);
        if let Some(Parked { reply, work: Work::DeleteRecords(job), .. }) = self.parking.take(number) {
            reply.answer(&job.respond(), out);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::api::fetch::tests::from;
    use crate::api::produce::tests::{hello, to};
    use crate::broker::rig::{Rig, START_MS};
    use crate::record::BatchBuilder;

    const CHECK_MS: u64 = 300_000;

    fn rig(configs: &[(&str, &str)]) -> Rig {
        let mut rig = Rig::new();
        rig.topic("r", 1, configs);
        rig
    }

    fn put(rig: &mut Rig, timestamp: i64, bytes: usize) {
        let mut builder = BatchBuilder::new();
        builder.push(timestamp, Some(b"k"), Some(&vec![b'x'; bytes]));
        let answer = rig.ask(&to("r", -1, &[(0, Some(builder.build().freeze()))]), 9);
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    }

    fn log_start(rig: &mut Rig) -> i64 {
        rig.ask(&from("r", &[(0, 100)]), 12);
        let end = rig.broker.local.replicas.groups().last().expect("one partition").log();
        end.log_start().0
    }

    #[test]
    fn time_is_judged_by_records_and_the_last_segment_goes_too() {
        let mut rig = rig(&[("retention.ms", "1000")]);
        rig.ask(&to("r", -1, &[(0, Some(hello()))]), 9);
        rig.advance(CHECK_MS / 20);
        assert_eq!(log_start(&mut rig), 0, "nobody looked yet");
        rig.advance(CHECK_MS);
        assert_eq!(log_start(&mut rig), 1);
        // A record of the future keeps what is in its segment.
        put(&mut rig, START_MS, 10);
        put(&mut rig, START_MS + 3_000_000, 10);
        rig.advance(CHECK_MS);
        assert_eq!(log_start(&mut rig), 1);
        assert_eq!(log_start(&mut rig.restart()), 1);
    }

    #[test]
    fn old_batches_close_a_segment_and_young_ones_stay() {
        let mut rig = rig(&[("retention.ms", "86400000"), ("segment.ms", "60000")]);
        let now = START_MS + 100_000;
        for timestamp in [now - 90_000_000, now - 89_990_000, now - 80_000_000, now] {
            put(&mut rig, timestamp, 10);
        }
        assert_eq!(rig.segments_of("r", 0).len(), 3);
        rig.advance(CHECK_MS);
        assert_eq!(log_start(&mut rig), 2);
        assert_eq!(rig.segments_of("r", 0).len(), 2);
        assert_eq!(log_start(&mut rig.restart()), 2);
    }

    #[test]
    fn size_lets_whole_segments_go_and_keeps_at_least_what_is_asked_for() {
        let mut rig = rig(&[("retention.bytes", "2000000"), ("segment.bytes", "1048576"), ("retention.ms", "-1")]);
        for _ in 0..6 {
            put(&mut rig, 0, 600_000);
        }
        rig.advance(CHECK_MS);
        assert_eq!(log_start(&mut rig), 2, "four of 600 kB are the least that is not below 2 MB");
        rig.advance(CHECK_MS);
        assert_eq!(log_start(&mut rig), 2);
    }

    #[test]
    fn compacted_topics_keep_what_they_have() {
        let mut rig = rig(&[("retention.ms", "1000"), ("cleanup.policy", "compact")]);
        put(&mut rig, 0, 10);
        rig.advance(CHECK_MS);
        assert_eq!(log_start(&mut rig), 0);
    }
}
