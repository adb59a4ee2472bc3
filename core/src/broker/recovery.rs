//! Rebuilds a broker from its disk, as values: poll, read, tell, until done.
//!
//! The replication engine reads meta log and segments; the cluster's metadata follows from the commands of the controller's group,
//! which are delivered again as its commit index becomes known.

use super::codecs::CodecNews;
use super::held::Held;
use super::local::Local;
use super::newborn::Newborn;
use super::parking::Parking;
use super::retention::first_look;
use super::stopping::Stopping;
use super::{Broker, BrokerConfig};
use crate::api::fetch_session::FetchSessions;
use crate::config::BrokerSettings;
use crate::controller::{Controller, ControllerConfig};
use crate::disk::Inventory;
use crate::limits::{FETCH_BYTES_MAX, PRODUCERS_PER_PARTITION_MAX};
use crate::log::ProducerRules;
use crate::output::Outputs;
use crate::partition::{LeaderTable, Traffic};
use crate::raft::{RecoveryStep, ReplicasConfig, ReplicasRecovery};
use crate::time::Now;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// The setting that bounds the number of fetch sessions.
const SESSION_SLOTS: &str = "max.incremental.fetch.session.cache.slots";
/// What `replica.selector.class` ends with when consumers are to be sent to a replica in their own rack (KIP-392).
const RACK_AWARE: &str = "RackAwareReplicaSelector";

/// Rebuilds a broker from its disk.
#[derive(Debug)]
pub struct Recovery {
    config: BrokerConfig,
    settings: BrokerSettings,
    replicas: ReplicasRecovery,
}

impl Recovery {
    /// Starts with what is on the disk; an empty inventory is a new broker.
    ///
    /// # Panics
    /// When the settings do not parse: whoever reads a configuration checks it first with [`BrokerSettings::parse`].
    #[must_use]
    pub fn new(config: BrokerConfig, inventory: Inventory) -> Recovery {
        let settings = match BrokerSettings::parse(&config.settings) {
            Ok(settings) => settings,
            Err(why) => panic!("settings were not checked: {why}"),
        };
        let replicas = ReplicasConfig {
            broker: config.broker,
            voters: config.voters.clone(),
            seed: config.seed,
            raft: config.raft,
            segment_bytes_max: SEGMENT_BYTES_DEFAULT.min(config.raft.segment_bytes_cap),
            producers: producer_rules(&settings),
            mutant: config.mutant,
        };
        Recovery { config, settings, replicas: ReplicasRecovery::new(replicas, inventory) }
    }

    /// What to do next.
    pub fn poll(&mut self) -> RecoveryStep {
        self.replicas.poll()
    }

    /// What the last read found.
    pub fn read_done(&mut self, data: Bytes) {
        self.replicas.read_done(data);
    }

    /// The broker; repairs (cut tails, redone intents) are among the first outputs and gate what depends on them.
    #[must_use]
    pub fn finish(self, now: Now, out: &mut Outputs) -> Broker {
        let replicas = self.replicas.finish(now, out);
        let retention_at = first_look(&self.settings, now);
        let controller = ControllerConfig {
            broker: self.config.broker,
            endpoints: self.config.listeners.clone(),
            rack: self.config.rack.clone(),
            directory: u128::from(replicas.folder()),
            seed: self.config.seed,
            settings: self.settings.clone(),
        };
        Broker {
            local: Local {
                broker: self.config.broker,
                mutant: self.config.mutant,
                is_rack_aware: self.settings.text("replica.selector.class").is_some_and(|class| class.ends_with(RACK_AWARE)),
                replica_lag_ms_max: self.settings.replica_lag_time_max_ms,
                fetch_bytes_max: self
                    .settings
                    .number("fetch.max.bytes")
                    .and_then(|bytes| bytes.try_into().ok())
                    .unwrap_or(FETCH_BYTES_MAX),
                is_disk_full: false,
                replicas,
                controller: Controller::new(now, controller),
                partitions: BTreeMap::new(),
                producers: BTreeMap::new(),
                leaders: LeaderTable::default(),
                listeners: self.config.listeners.iter().map(|listener| listener.name.clone()).collect(),
            },
            sessions: FetchSessions::new(
                self.settings.number(SESSION_SLOTS).and_then(|slots| usize::try_from(slots).ok()).unwrap_or(0),
                self.config.seed,
            ),
            config: self.config,
            settings: self.settings,
            held: Held::default(),
            newborn: Newborn::default(),
            parking: Parking::default(),
            reads: BTreeMap::new(),
            read_next: 0,
            collecting: BTreeSet::new(),
            gated: BTreeSet::new(),
            woken: BTreeSet::new(),
            deleting: BTreeSet::new(),
            codecs: CodecNews::default(),
            retention_at,
            spread_at: now.monotonic,
            balance_at: now.monotonic.plus_ms(BALANCE_FIRST_MS),
            peers_up: std::collections::BTreeSet::new(),
            stopping: Stopping::default(),
            traffic: Traffic::default(),
            elections_won: 0,
            leader_changes: 0,
            leader_news: super::LeaderChanges::default(),
            canary: 0,
        }
    }
}

/// When producers of a partition are forgotten.
pub(super) fn producer_rules(settings: &BrokerSettings) -> ProducerRules {
    ProducerRules { expiration_ms: settings.producer_id_expiration_ms, producers_max: PRODUCERS_PER_PARTITION_MAX }
}

/// Milliseconds before leaderships are balanced for the first time: brokers that start together find each other first.
const BALANCE_FIRST_MS: u64 = 60_000;
/// Kafka's default of `log.segment.bytes`; a topic's own `segment.bytes` is told when its replica is made.
const SEGMENT_BYTES_DEFAULT: u64 = 1_073_741_824;
