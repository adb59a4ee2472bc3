//! The settings of this broker, parsed.

/// What the operator set, over the defaults.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrokerSettings {
    /// As given: name, value, ascending by name.
    pub given: std::collections::BTreeMap<String, String>,
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// `num.partitions`.
    pub num_partitions: i32,
    /// `default.replication.factor`.
    pub default_replication_factor: i16,
    /// `replica.lag.time.max.ms`.
    pub replica_lag_time_max_ms: u64,
    /// `broker.session.timeout.ms`.
    pub broker_session_timeout_ms: u64,
    /// `broker.heartbeat.interval.ms`.
    pub broker_heartbeat_interval_ms: u64,
}

impl BrokerSettings {
    /// Parses what the operator gave; the error is a sentence that names the setting.
    pub fn parse(_given: &[(String, String)]) -> Result<BrokerSettings, String> {
        unimplemented!()
    }
}
