//! DeleteTopics: between the wire and the controller. From version 6 on topics may be named by id.
//!
//! Decides nothing: every rule is the controller leader's (`controller::plan_delete`).
//!
//! Source: KIP-516; golden `delete-*`.

use crate::controller::{ControllerRequest, ControllerResponse, Refusal, TopicDeletion, TopicRef};
use crate::ids::TopicId;
use crate::protocol::messages::delete_topics::response::Responses;
use crate::protocol::messages::delete_topics::{DeleteTopicsRequest, DeleteTopicsResponse};
use crate::protocol::{ErrorCode, Text};

/// What the controller is asked.
#[must_use]
pub fn plan(request: &DeleteTopicsRequest, version: i16) -> ControllerRequest {
    ControllerRequest::DeleteTopics { topics: asked(request, version), timeout_ms: request.timeout_ms }
}

/// What the client is told.
#[must_use]
pub fn respond(request: &DeleteTopicsRequest, response: ControllerResponse, version: i16) -> DeleteTopicsResponse {
    let failure = response.failure();
    let responses = if let ControllerResponse::DeleteTopics(deletions) = response {
        deletions.into_iter().map(describe).collect()
    } else {
        all_failed(request, version, failure)
    };
    DeleteTopicsResponse { responses, ..DeleteTopicsResponse::default() }
}

fn asked(request: &DeleteTopicsRequest, version: i16) -> Vec<TopicRef> {
    if version >= 6 {
        let topics = request.topics.iter();
        return topics.map(|t| TopicRef { name: t.name.as_deref().map(str::to_string), id: t.topic_id.into() }).collect();
    }
    request.topic_names.iter().map(|name| TopicRef { name: Some(name.to_string()), id: TopicId(0) }).collect()
}

fn describe(deletion: TopicDeletion) -> Responses {
    Responses {
        name: deletion.name.map(Text::from),
        topic_id: deletion.id.into(),
        error_code: deletion.refusal.as_ref().map_or(ErrorCode::None, |refusal| refusal.code).code(),
        error_message: deletion.refusal.map(|refusal| Text::from(refusal.message)),
    }
}

fn all_failed(request: &DeleteTopicsRequest, version: i16, code: ErrorCode) -> Vec<Responses> {
    let fail = |topic: TopicRef| {
        let refusal = Refusal::new(code, "The controller did not decide in time.");
        describe(TopicDeletion { name: topic.name, id: topic.id, refusal: Some(refusal) })
    };
    asked(request, version).into_iter().map(fail).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Uuid;
    use crate::protocol::messages::delete_topics::request::Topics;

    #[test]
    fn names_before_version_6_then_names_or_ids() {
        let request = DeleteTopicsRequest {
            topics: vec![Topics { name: None, topic_id: Uuid(7) }],
            topic_names: vec!["a".into()],
            timeout_ms: 5,
        };
        let by_name = vec![TopicRef { name: Some("a".into()), id: TopicId(0) }];
        assert_eq!(plan(&request, 5), ControllerRequest::DeleteTopics { topics: by_name, timeout_ms: 5 });
        let by_id = vec![TopicRef { name: None, id: TopicId(7) }];
        assert_eq!(plan(&request, 6), ControllerRequest::DeleteTopics { topics: by_id, timeout_ms: 5 });
        let failed = respond(&request, ControllerResponse::Failed(ErrorCode::RequestTimedOut), 6);
        assert_eq!((failed.responses[0].error_code, failed.responses[0].topic_id), (7, Uuid(7)));
    }

    #[test]
    fn delete_ok_has_no_message() {
        let deletion = TopicDeletion { name: Some("a".into()), id: TopicId(1), refusal: None };
        let answer = respond(&DeleteTopicsRequest::default(), ControllerResponse::DeleteTopics(vec![deletion]), 5);
        assert_eq!((answer.responses[0].error_code, &answer.responses[0].error_message), (0, &None));
    }
}
