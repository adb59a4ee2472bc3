//! DescribeCluster: the brokers, as this one knows them.
//!
//! Source: KIP-700, KIP-919 (endpoint types), KIP-1073 (fenced brokers); golden `cluster-*`.

use super::metadata::{CLUSTER_OPERATIONS, Known, OPERATIONS_NOT_ASKED, any_live_broker};
use crate::protocol::messages::describe_cluster::response::Brokers;
use crate::protocol::messages::describe_cluster::{DescribeClusterRequest, DescribeClusterResponse};
use crate::protocol::{ErrorCode, Text};

/// Endpoint types on the wire.
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

/// Answers a request.
#[must_use]
pub fn respond(known: &Known<'_>, request: &DescribeClusterRequest) -> DescribeClusterResponse {
    match request.endpoint_type {
        BROKERS => {}
        CONTROLLERS => {
            let message = "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER";
            return failed(ErrorCode::MismatchedEndpointType, message.into());
        }
        other => return failed(ErrorCode::UnsupportedEndpointType, format!("Unsupported endpoint type {other}")),
    }
    let is_asked = request.include_cluster_authorized_operations;
    DescribeClusterResponse {
        endpoint_type: BROKERS,
        cluster_id: known.cluster_id.into(),
        controller_id: any_live_broker(known.cluster, known.broker),
        brokers: known
            .cluster
            .brokers()
            .filter(|b| !b.is_fenced || request.include_fenced_brokers)
            .filter_map(|b| {
                let endpoint = b.registration.endpoint(known.listener)?;
                Some(Brokers {
                    broker_id: b.registration.id.0,
                    host: Text::from(&endpoint.host),
                    port: endpoint.port.into(),
                    rack: b.registration.rack.as_ref().map(Text::from),
                    is_fenced: b.is_fenced,
                })
            })
            .collect(),
        cluster_authorized_operations: if is_asked { CLUSTER_OPERATIONS } else { OPERATIONS_NOT_ASKED },
        ..DescribeClusterResponse::default()
    }
}

fn failed(code: ErrorCode, message: String) -> DescribeClusterResponse {
    DescribeClusterResponse {
        error_code: code.code(),
        error_message: Some(message.into()),
        endpoint_type: BROKERS,
        controller_id: -1,
        cluster_authorized_operations: OPERATIONS_NOT_ASKED,
        ..DescribeClusterResponse::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::Command;
    use crate::controller::testing::{registration, state_of};
    use crate::ids::BrokerId;
    use crate::partition::LeaderTable;

    fn ask(request: &DescribeClusterRequest) -> DescribeClusterResponse {
        let cluster = state_of(&[
            Command::RegisterBroker(registration(1)),
            Command::RegisterBroker(registration(2)),
            Command::FenceBroker { id: BrokerId(1), incarnation: 1 },
        ]);
        let leaders = LeaderTable::default();
        let known = Known::by_broker_one(&cluster, &leaders);
        respond(&known, request)
    }

    #[test]
    fn cluster_plain_and_fenced() {
        let plain = ask(&DescribeClusterRequest { endpoint_type: 1, ..DescribeClusterRequest::default() });
        assert_eq!(plain.brokers.iter().map(|b| b.broker_id).collect::<Vec<_>>(), [2]);
        assert_eq!((plain.error_code, plain.controller_id, plain.cluster_authorized_operations), (0, 2, i32::MIN));
        let request = DescribeClusterRequest {
            endpoint_type: 1,
            include_fenced_brokers: true,
            include_cluster_authorized_operations: true,
        };
        let all = ask(&request);
        assert_eq!(all.brokers.iter().map(|b| b.is_fenced).collect::<Vec<_>>(), [true, false]);
        assert_eq!(all.cluster_authorized_operations, 8096);
    }

    #[test]
    fn cluster_endpoint_types() {
        let with = |endpoint_type| ask(&DescribeClusterRequest { endpoint_type, ..DescribeClusterRequest::default() });
        assert_eq!((with(2).error_code, with(2).brokers.len(), with(2).controller_id), (114, 0, -1));
        assert_eq!((with(9).error_code, with(9).error_message.as_deref()), (115, Some("Unsupported endpoint type 9")));
    }
}
