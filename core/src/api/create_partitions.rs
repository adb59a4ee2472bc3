//! CreatePartitions: between the wire and the controller. Decides nothing: every rule is the controller leader's
//! (`controller::plan_grow`).
//!
//! Source: KIP-195; golden `grow-*`, README 32.

use crate::controller::{ControllerRequest, ControllerResponse, Growth, Refusal, TopicGrowth};
use crate::ids::BrokerId;
use crate::protocol::messages::create_partitions::response::Results;
use crate::protocol::messages::create_partitions::{CreatePartitionsRequest, CreatePartitionsResponse};
use crate::protocol::{ErrorCode, Text};
use std::collections::BTreeSet;

/// What the controller is asked.
#[must_use]
pub fn plan(request: &CreatePartitionsRequest) -> ControllerRequest {
    let topics = request.topics.iter().map(|topic| Growth {
        name: topic.name.to_string(),
        count: topic.count,
        assignments: topic
            .assignments
            .as_ref()
            .map(|lists| lists.iter().map(|list| list.broker_ids.iter().map(|id| BrokerId(*id)).collect()).collect()),
    });
    let (validate_only, timeout_ms) = (request.validate_only, request.timeout_ms);
    ControllerRequest::CreatePartitions { topics: topics.collect(), validate_only, timeout_ms }
}

/// What the client is told.
#[must_use]
pub fn respond(request: &CreatePartitionsRequest, response: ControllerResponse) -> CreatePartitionsResponse {
    let failure = response.failure();
    let results = if let ControllerResponse::CreatePartitions(growths) = response {
        growths.into_iter().map(describe).collect()
    } else {
        all_failed(request, failure)
    };
    CreatePartitionsResponse { results, ..CreatePartitionsResponse::default() }
}

fn describe(growth: TopicGrowth) -> Results {
    Results {
        name: growth.name.into(),
        error_code: growth.refusal.as_ref().map_or(ErrorCode::None, |refusal| refusal.code).code(),
        error_message: growth.refusal.map(|refusal| refusal.message).filter(|message| !message.is_empty()).map(Text::from),
    }
}

fn all_failed(request: &CreatePartitionsRequest, code: ErrorCode) -> Vec<Results> {
    let mut results: Vec<Results> = Vec::new();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for topic in &request.topics {
        if seen.insert(&topic.name) {
            let refusal = Some(Refusal::new(code, "The controller did not decide in time."));
            results.push(describe(TopicGrowth { name: topic.name.to_string(), refusal }));
        }
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::messages::create_partitions::request::{Assignments, Topics};

    #[test]
    fn a_request_reaches_the_controller_as_it_is() {
        let assignments = Some(vec![Assignments { broker_ids: vec![2, 1] }]);
        let topics =
            vec![Topics { name: "a".into(), count: 3, assignments }, Topics { name: "b".into(), count: -1, assignments: None }];
        let request = CreatePartitionsRequest { topics, timeout_ms: 7, validate_only: true };
        let assignments = Some(vec![vec![BrokerId(2), BrokerId(1)]]);
        let topics =
            vec![Growth { name: "a".into(), count: 3, assignments }, Growth { name: "b".into(), count: -1, assignments: None }];
        assert_eq!(plan(&request), ControllerRequest::CreatePartitions { topics, validate_only: true, timeout_ms: 7 });
    }

    #[test]
    fn grow_ok_and_unknown_have_no_message() {
        let unknown = Refusal::new(ErrorCode::UnknownTopicOrPartition, "");
        let growths =
            vec![TopicGrowth { name: "a".into(), refusal: None }, TopicGrowth { name: "b".into(), refusal: Some(unknown) }];
        let response = respond(&CreatePartitionsRequest::default(), ControllerResponse::CreatePartitions(growths));
        let got: Vec<_> = response.results.iter().map(|r| (r.name.as_str(), r.error_code, &r.error_message)).collect();
        assert_eq!(got, [("a", 0, &None), ("b", 3, &None)]);
    }

    #[test]
    fn a_failure_stands_for_every_distinct_topic() {
        let topic = |name: &str| Topics { name: name.into(), ..Topics::default() };
        let topics = vec![topic("a"), topic("b"), topic("a")];
        let request = CreatePartitionsRequest { topics, ..CreatePartitionsRequest::default() };
        let response = respond(&request, ControllerResponse::Failed(ErrorCode::RequestTimedOut));
        let got: Vec<_> = response.results.iter().map(|r| (r.name.as_str(), r.error_code)).collect();
        assert_eq!(got, [("a", 7), ("b", 7)]);
    }
}
