//! AlterPartitionReassignments: between the wire and the controller. Decides nothing: every rule is the controller leader's
//! (`controller::plan_reassign`).
//!
//! Source: KIP-455, KIP-860; golden `reassign-*`, `move-reorder`.

use crate::controller::{ControllerRequest, ControllerResponse, Reassignment, Refusal};
use crate::ids::BrokerId;
use crate::protocol::messages::alter_partition_reassignments::response::{Partitions, Responses};
use crate::protocol::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
};
use crate::protocol::{ErrorCode, Text};

/// What the controller is asked.
#[must_use]
pub fn plan(request: &AlterPartitionReassignmentsRequest) -> ControllerRequest {
    let ids = |list: &Vec<i32>| list.iter().map(|id| BrokerId(*id)).collect();
    let topics = request.topics.iter().map(|topic| Reassignment {
        name: topic.name.to_string(),
        targets: topic.partitions.iter().map(|p| (p.partition_index, p.replicas.as_ref().map(ids))).collect(),
    });
    ControllerRequest::Reassign {
        topics: topics.collect(),
        allow_factor_change: request.allow_replication_factor_change,
        timeout_ms: request.timeout_ms,
    }
}

/// What the client is told.
#[must_use]
pub fn respond(
    request: &AlterPartitionReassignmentsRequest,
    response: ControllerResponse,
) -> AlterPartitionReassignmentsResponse {
    let failure = response.failure();
    let (verdicts, error) = if let ControllerResponse::Reassign(verdicts) = response {
        (verdicts, None)
    } else {
        (Vec::new(), Some(Refusal::new(failure, "The controller did not decide in time.")))
    };
    let mut verdicts = verdicts.into_iter();
    let mut verdict = || error.clone().or_else(|| verdicts.next().flatten());
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let (error_code, error_message) = tell(verdict());
            Partitions { partition_index: asked.partition_index, error_code, error_message }
        });
        Responses { name: topic.name.clone(), partitions: partitions.collect() }
    });
    let responses = topics.collect();
    let (error_code, error_message) = tell(error);
    AlterPartitionReassignmentsResponse {
        throttle_time_ms: 0,
        allow_replication_factor_change: request.allow_replication_factor_change,
        error_code,
        error_message,
        responses,
    }
}

fn tell(refusal: Option<Refusal>) -> (i16, Option<Text>) {
    let code = refusal.as_ref().map_or(ErrorCode::None, |refusal| refusal.code);
    (code.code(), refusal.map(|refusal| refusal.message).filter(|message| !message.is_empty()).map(Text::from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::messages::alter_partition_reassignments::request;

    fn request() -> AlterPartitionReassignmentsRequest {
        let one = |index, replicas| request::Partitions { partition_index: index, replicas };
        let topic = |name: &str, partitions| request::Topics { name: name.into(), partitions };
        AlterPartitionReassignmentsRequest {
            timeout_ms: 7,
            allow_replication_factor_change: false,
            topics: vec![topic("a", vec![one(0, Some(vec![2, 1])), one(4, None)]), topic("b", vec![one(1, Some(vec![]))])],
        }
    }

    #[test]
    fn a_request_reaches_the_controller_as_it_is() {
        let a = Reassignment { name: "a".into(), targets: vec![(0, Some(vec![BrokerId(2), BrokerId(1)])), (4, None)] };
        let topics = vec![a, Reassignment { name: "b".into(), targets: vec![(1, Some(vec![]))] }];
        assert_eq!(plan(&request()), ControllerRequest::Reassign { topics, allow_factor_change: false, timeout_ms: 7 });
    }

    /// `code: topic partition code message, ...`
    fn shown(response: ControllerResponse) -> String {
        let answer = respond(&request(), response);
        assert!(!answer.allow_replication_factor_change, "as it was asked");
        let one = |topic: &Responses, p: &Partitions| {
            format!("{} {} {} {}", topic.name, p.partition_index, p.error_code, p.error_message.as_deref().unwrap_or("null"))
        };
        let all: Vec<String> = answer.responses.iter().flat_map(|t| t.partitions.iter().map(move |p| one(t, p))).collect();
        format!("{} {}: {}", answer.error_code, answer.error_message.as_deref().unwrap_or("null"), all.join(", "))
    }

    #[test]
    fn each_partition_is_told_its_own() {
        let none = Refusal::new(ErrorCode::NoReassignmentInProgress, "");
        let verdicts = vec![None, Some(none), Some(Refusal::new(ErrorCode::InvalidReplicaAssignment, "no"))];
        assert_eq!(shown(ControllerResponse::Reassign(verdicts)), "0 null: a 0 0 null, a 4 85 null, b 1 39 no");
    }

    #[test]
    fn a_failure_stands_for_all_and_for_each() {
        let late = "7 The controller did not decide in time.";
        let expect = format!("{late}: a 0 {late}, a 4 {late}, b 1 {late}");
        assert_eq!(shown(ControllerResponse::Failed(ErrorCode::RequestTimedOut)), expect);
    }
}
