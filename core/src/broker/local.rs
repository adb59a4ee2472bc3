//! What this broker has and knows: its replicas, the cluster's metadata, who leads what.
//!
//! Apart from the broker, so that handlers can look at all of it while a parked request is being changed.

use crate::api::View;
use crate::controller::Controller;
use crate::ids::{BrokerId, GroupId, ListenerId};
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
    /// `replica.lag.time.max.ms`.
    pub(crate) replica_lag_ms_max: u64,
    /// `fetch.max.bytes`.
    pub(crate) fetch_bytes_max: i32,
    /// Whether the shell said that the disk has no room for records.
    pub(crate) is_disk_full: bool,
    pub(crate) replicas: Replicas,
    pub(crate) controller: Controller,
    pub(crate) partitions: BTreeMap<GroupId, Partition>,
    /// Producers of the groups that have any. Apart from the partitions, which are known only when the controller's log is: what is
    /// found at start comes before.
    pub(crate) producers: BTreeMap<GroupId, Producers>,
    pub(crate) leaders: LeaderTable,
    /// Names of the listeners for clients.
    pub(crate) listeners: Vec<String>,
}

impl Local {
    /// The name of a listener that clients come by.
    ///
    /// # Panics
    /// The shell invented a listener.
    pub(crate) fn listener(&self, id: ListenerId) -> &str {
        self.listeners.get(usize::from(id.0)).expect("clients come by a listener that the broker was told of")
    }

    /// For handlers that send no client anywhere.
    pub(crate) fn view(&self, now: Now) -> View<'_> {
        self.view_by(now, ListenerId::default())
    }

    /// For handlers that answer a client who came by this listener.
    pub(crate) fn view_by(&self, now: Now, listener: ListenerId) -> View<'_> {
        View {
            listener: self.listener(listener),
            now,
            broker: self.broker,
            mutant: self.mutant,
            is_rack_aware: self.is_rack_aware,
            replica_lag_ms_max: self.replica_lag_ms_max,
            fetch_bytes_max: self.fetch_bytes_max,
            is_disk_full: self.is_disk_full,
            cluster: self.controller.state(),
            replicas: &self.replicas,
            partitions: &self.partitions,
            leaders: &self.leaders,
        }
    }
}
