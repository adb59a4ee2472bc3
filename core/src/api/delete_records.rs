//! DeleteRecords: the log of a partition starts later from now on.
//!
//! The leader proposes a log start entry and answers when the start has moved here: then it is committed and survives every crash of a
//! minority. Files go when nobody needs them any more, which the answer does not wait for.
//!
//! Source: KIP-107; Kafka `ReplicaManager.deleteRecords`; golden `delete-records-*`.

use super::{TopicKey, View};
use crate::ids::{GroupId, Offset, Term};
use crate::protocol::messages::delete_records::{DeleteRecordsRequest, DeleteRecordsResponse, request, response};
use crate::protocol::{ErrorCode, Text};

#[cfg(test)]
#[path = "delete_records_tests.rs"]
mod tests;

/// The offset that stands for the high watermark.
const HIGH_WATERMARK: i64 = -1;

/// A request on its way to its answer.
#[derive(Debug)]
pub struct DeleteRecordsJob {
    topics: Vec<(Text, Vec<Part>)>,
}

#[derive(Debug)]
struct Part {
    partition: i32,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// The log is to start at `offset`; whoever leads in another term does not do it for this request.
    Waiting {
        group: GroupId,
        term: Term,
        offset: Offset,
    },
    /// It starts here.
    Done(Offset),
    Failed(ErrorCode),
}

impl DeleteRecordsJob {
    /// Decides; the logs of the returned groups are to start at these offsets.
    #[must_use]
    pub fn new(view: &View<'_>, asked: DeleteRecordsRequest) -> (DeleteRecordsJob, Vec<(GroupId, Offset)>) {
        let mut starts = Vec::new();
        let mut topics = Vec::new();
        for topic in asked.topics {
            let parts = topic.partitions.iter().map(|asked| {
                let state = decide(view, &topic.name, asked).unwrap_or_else(State::Failed);
                if let State::Waiting { group, offset, .. } = state {
                    starts.push((group, offset));
                }
                Part { partition: asked.partition_index, state }
            });
            let parts = parts.collect();
            topics.push((topic.name, parts));
        }
        (DeleteRecordsJob { topics }, starts)
    }

    fn waiting(&mut self) -> impl Iterator<Item = &mut State> {
        let parts = self.topics.iter_mut().flat_map(|(_, parts)| parts);
        parts.map(|part| &mut part.state).filter(|state| matches!(state, State::Waiting { .. }))
    }

    /// Looks at what moved.
    pub fn look(&mut self, view: &View<'_>) {
        for state in self.waiting() {
            let State::Waiting { group, term, offset } = *state else { continue };
            match view.leader_replica(group, -1) {
                Err(error) => *state = State::Failed(error),
                Ok((_, raft)) if raft.log().log_start() >= offset => *state = State::Done(raft.log().log_start()),
                Ok((_, raft)) if raft.term() != term => *state = State::Failed(ErrorCode::NotLeaderOrFollower),
                Ok(_) => {}
            }
        }
    }

    /// Whether the answer can be made.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let mut parts = self.topics.iter().flat_map(|(_, parts)| parts);
        !parts.any(|part| matches!(part.state, State::Waiting { .. }))
    }

    /// What did not happen in time may still happen.
    pub fn time_out(&mut self) {
        for state in self.waiting() {
            *state = State::Failed(ErrorCode::RequestTimedOut);
        }
    }

    /// The answer.
    ///
    /// # Panics
    /// When it is not settled.
    #[must_use]
    pub fn respond(self) -> DeleteRecordsResponse {
        let answer = |part: Part| match part.state {
            State::Done(start) => response::Partitions { partition_index: part.partition, low_watermark: start.0, error_code: 0 },
            State::Failed(error) => {
                response::Partitions { partition_index: part.partition, low_watermark: -1, error_code: error.code() }
            }
            State::Waiting { .. } => unreachable!("an answer is made when all parts are settled"),
        };
        let topics = self.topics.into_iter();
        let topics = topics.map(|(name, parts)| response::Topics { name, partitions: parts.into_iter().map(answer).collect() });
        DeleteRecordsResponse { topics: topics.collect(), ..DeleteRecordsResponse::default() }
    }
}

fn decide(view: &View<'_>, topic: &str, asked: &request::Partitions) -> Result<State, ErrorCode> {
    let group = view.group_of(TopicKey::Name(topic), asked.partition_index)?;
    let (partition, raft) = view.leader_replica(group, -1)?;
    if !partition.settings().cleanup_policy.delete {
        return Err(ErrorCode::PolicyViolation);
    }
    if !raft.is_serving() {
        // How much is committed is not known yet; the client asks again.
        return Err(ErrorCode::NotLeaderOrFollower);
    }
    let end = raft.high_watermark();
    let offset = if asked.offset == HIGH_WATERMARK { end } else { Offset(asked.offset) };
    if offset.0 < 0 || offset > end {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    let start = raft.log().log_start();
    if offset <= start { Ok(State::Done(start)) } else { Ok(State::Waiting { group, term: raft.term(), offset }) }
}
