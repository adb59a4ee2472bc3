//! Looks at one broker by the address that clients are told.

use super::knock::{Answer, knock};
use super::trouble::{Trouble, trap};
use super::{Cluster, Seen, ask_cluster};
use crate::client::{Failure, Link};
use crate::configuration::Address;
use ottla_core::protocol::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResponse, request};
use ottla_core::protocol::{ErrorCode, Text};
use std::net::IpAddr;
use std::time::Duration;

/// Kafka's number for brokers in requests about settings.
const BROKER: i8 = 4;

/// Everything that is wrong with it; `came_by` is the address that led to the cluster.
pub fn look(id: i32, at: &Address, came_by: (&Address, &Answer), cluster: &Cluster, patience: Duration) -> Seen {
    let here: Vec<IpAddr> = came_by.1.resolved.iter().map(std::net::SocketAddr::ip).collect();
    if let Some(trouble) = trap(at, (came_by.0, &here)) {
        return Seen { id, at: at.clone(), resolved: Vec::new(), troubles: vec![trouble] };
    }
    let Answer { resolved, trouble } = knock(at, patience);
    let resolved = resolved.iter().map(|place| place.ip().to_string()).collect();
    let troubles = match trouble {
        Some(trouble) => vec![trouble],
        None => identity(id, at, cluster, patience).err().into_iter().collect(),
    };
    Seen { id, at: at.clone(), resolved, troubles }
}

/// Whether the broker of this cluster and id answers there.
fn identity(id: i32, at: &Address, cluster: &Cluster, patience: Duration) -> Result<(), Trouble> {
    let theirs = ask_cluster(at, patience)?;
    if let (Some(theirs), Some(ours)) = (&theirs.id, &cluster.id)
        && theirs != ours
    {
        return Err(Trouble::other_cluster(at, theirs, ours));
    }
    // No request asks a broker for its id; but it tells its settings under its own id only.
    let failed = |failure: Failure| Trouble::refuses(at, &failure);
    let mut link = Link::connect(&at.to_string(), patience).map_err(failed)?;
    let asked = request::Resources {
        resource_type: BROKER,
        resource_name: Text::from(id.to_string().as_str()),
        configuration_keys: Some(vec![Text::from("node.id")]),
    };
    let request = DescribeConfigsRequest { resources: vec![asked], ..DescribeConfigsRequest::default() };
    let told: DescribeConfigsResponse = link.ask(&request, patience).map_err(failed)?;
    match told.results.first() {
        // Who may not see settings, in a cluster with authorization, is no evidence of anything.
        Some(result) if result.error_code == ErrorCode::InvalidRequest.code() => {
            let says = result.error_message.as_ref().map_or_else(|| "it refuses that id".to_string(), ToString::to_string);
            Err(Trouble::other_broker(at, id, &says))
        }
        Some(_) | None => Ok(()),
    }
}
