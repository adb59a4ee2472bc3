//! What this broker has and knows: its replicas, the cluster's metadata, who leads what.
//!
//! Apart from the broker, so that handlers can look at all of it while a parked request is being changed.

use crate::api::View;
use crate::controller::Controller;
use crate::ids::{BrokerId, GroupId};
use crate::mutant::Mutant;
use crate::partition::{LeaderTable, Partition, Producers};
use crate::raft::Replicas;
use crate::time::Now;
use std::collections::BTreeMap;

/// Replicas and metadata of a broker.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) broker: BrokerId,
    pub(crate) mutant: Mutant,
    /// Whether consumers are sent to a replica in their own rack.
    pub(crate) is_rack_aware: bool,
    pub(crate) replicas: Replicas,
    pub(crate) controller: Controller,
    pub(crate) partitions: BTreeMap<GroupId, Partition>,
    /// Producers of the groups that have any. Apart from the partitions, which are known only when the controller's log is: what is
    /// found at start comes before.
    pub(crate) producers: BTreeMap<GroupId, Producers>,
    pub(crate) leaders: LeaderTable,
}

impl Local {
    /// For handlers.
    pub(crate) fn view(&self, now: Now) -> View<'_> {
        View {
            now,
            broker: self.broker,
            mutant: self.mutant,
            is_rack_aware: self.is_rack_aware,
            cluster: self.controller.state(),
            replicas: &self.replicas,
            partitions: &self.partitions,
            leaders: &self.leaders,
        }
    }
}
