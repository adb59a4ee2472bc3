//! UnregisterBroker: refused for every broker there is, because the set of brokers is fixed at start.
//!
//! Source: KIP-631; golden `unregister-unknown`.

use crate::controller::ClusterState;
use crate::ids::BrokerId;
use crate::protocol::ErrorCode;
use crate::protocol::messages::unregister_broker::{UnregisterBrokerRequest, UnregisterBrokerResponse};

/// The answer.
#[must_use]
pub fn respond(cluster: &ClusterState, request: &UnregisterBrokerRequest) -> UnregisterBrokerResponse {
    let id = BrokerId(request.broker_id);
    let (code, message) = match cluster.broker(id) {
        None => (ErrorCode::BrokerIdNotRegistered, format!("Broker ID {id} is not currently registered")),
        Some(_) => {
            (ErrorCode::InvalidRequest, format!("Broker ID {id} can't be unregistered: the set of brokers is fixed at start."))
        }
    };
    UnregisterBrokerResponse {
        error_code: code.code(),
        error_message: Some(message.into()),
        ..UnregisterBrokerResponse::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::Command;
    use crate::controller::testing::{registration, state_of};

    #[test]
    fn unregister_unknown() {
        let cluster = state_of(&[Command::RegisterBroker(registration(1))]);
        let ask = |broker_id| {
            let answer = respond(&cluster, &UnregisterBrokerRequest { broker_id });
            (answer.error_code, answer.error_message.map_or(String::new(), |text| text.to_string()))
        };
        assert_eq!(ask(9999), (102, "Broker ID 9999 is not currently registered".to_string()));
        assert_eq!(ask(1).0, 42, "one that is there stays");
    }
}
