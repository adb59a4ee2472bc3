//! InitProducerId without a transactional id: a fresh producer id from this broker's block, epoch 0.
//!
//! There are no transactions yet. A transactional id is answered with TRANSACTIONAL_ID_AUTHORIZATION_FAILED (53), the one code that
//! both the Java client and librdkafka take as fatal for a transactional producer: with UNSUPPORTED_VERSION librdkafka would try for
//! ever, and COORDINATOR_NOT_AVAILABLE means "soon". Clients rarely come this far, since FindCoordinator is not advertised.
//!
//! Source: Kafka `KafkaApis.handleInitProducerIdRequest`, KIP-98, KIP-360; golden `init-*`.

use crate::config::BrokerSettings;
use crate::controller::{ControllerRequest, ControllerResponse};
use crate::protocol::ErrorCode;
use crate::protocol::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

/// What the controller is asked.
///
/// # Errors
/// The answer to a request that needs no controller.
pub fn plan(
    request: &InitProducerIdRequest,
    settings: &BrokerSettings,
) -> Result<ControllerRequest, Box<InitProducerIdResponse>> {
    let (has_id, has_epoch) = (request.producer_id != -1, request.producer_epoch != -1);
    if has_id != has_epoch {
        return Err(Box::new(failed(ErrorCode::InvalidRequest)));
    }
    let Some(transactional_id) = &request.transactional_id else {
        // Timeout and former producer id do not matter without a transactional id.
        return Ok(ControllerRequest::AllocateProducerId);
    };
    let is_timeout_legal = (1..=settings.transaction_max_timeout_ms).contains(&request.transaction_timeout_ms);
    Err(Box::new(failed(if transactional_id.is_empty() {
        ErrorCode::InvalidRequest
    } else if !is_timeout_legal {
        ErrorCode::InvalidTransactionTimeout
    } else {
        ErrorCode::TransactionalIdAuthorizationFailed
    })))
}

/// What the client is told.
#[must_use]
pub fn respond(response: &ControllerResponse) -> InitProducerIdResponse {
    match response {
        ControllerResponse::ProducerId(id) => {
            InitProducerIdResponse { error_code: 0, producer_id: id.0, producer_epoch: 0, ..InitProducerIdResponse::default() }
        }
        // Clients try again by themselves on this one, as with a Kafka broker that has no block yet.
        ControllerResponse::Failed(_) => failed(ErrorCode::CoordinatorLoadInProgress),
        ControllerResponse::CreateTopics(_)
        | ControllerResponse::DeleteTopics(_)
        | ControllerResponse::AlterConfigs(_)
        | ControllerResponse::CreatePartitions(_)
        | ControllerResponse::Reassign(_)
        | ControllerResponse::Quorum(_) => failed(ErrorCode::UnknownServerError),
    }
}

fn failed(code: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse { error_code: code.code(), producer_id: -1, producer_epoch: -1, ..InitProducerIdResponse::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ProducerId;

    #[track_caller]
    fn check(transactional_id: Option<&str>, timeout_ms: i32, producer_id: i64, producer_epoch: i16, expect: Option<i16>) {
        let request = InitProducerIdRequest {
            transactional_id: transactional_id.map(Into::into),
            transaction_timeout_ms: timeout_ms,
            producer_id,
            producer_epoch,
            ..InitProducerIdRequest::default()
        };
        let got = plan(&request, &BrokerSettings::default());
        assert_eq!(got.as_ref().err().map(|answer| answer.error_code), expect);
        if let Err(answer) = got {
            assert_eq!((answer.producer_id, answer.producer_epoch), (-1, -1));
        }
    }

    #[test]
    fn init_rules() {
        check(None, 60_000, -1, -1, None);
        check(None, 0, -1, -1, None);
        check(None, 0, 5, 0, None);
        check(Some(""), 60_000, -1, -1, Some(42));
        check(Some("t"), 0, -1, -1, Some(50));
        check(Some("t"), -1, -1, -1, Some(50));
        check(Some("t"), 900_001, -1, -1, Some(50));
        check(Some("t"), 60_000, 5, -1, Some(42));
        check(Some("t"), 60_000, -1, 5, Some(42));
        check(Some("t"), 60_000, -1, -1, Some(53));
    }

    #[test]
    fn init_null() {
        let answer = respond(&ControllerResponse::ProducerId(ProducerId(1000)));
        assert_eq!((answer.error_code, answer.producer_id, answer.producer_epoch), (0, 1000, 0));
        assert_eq!(respond(&ControllerResponse::Failed(ErrorCode::RequestTimedOut)).error_code, 14);
    }
}
