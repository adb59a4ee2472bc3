//! Settings that Kafka does not have: what the shell is told besides.

/// One of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OwnSetting {
    /// Its name.
    pub name: &'static str,
    /// What counts when nobody sets it; `None` where that depends on others.
    pub default: Option<&'static str>,
}

/// The cluster's id, `CLUSTER_ID` of container images.
pub const CLUSTER_ID: &str = "cluster.id";
/// Where metrics and health are served: `host:port`, or `off`.
pub const METRICS_LISTENER: &str = "ottla.metrics.listener";

/// Bytes of the volume of the data folder that are to stay free: with less, new records are refused with KAFKA_STORAGE_ERROR, so that deletions,
/// metadata and elections find room.
pub const DISK_RESERVE: &str = "ottla.disk.reserve.bytes";

/// How log lines look: `human` or `json`.
pub const LOG_FORMAT: &str = "ottla.log.format";
/// The least that is logged: `error`, `warn`, `info` or `debug`.
pub const LOG_LEVEL: &str = "ottla.log.level";

/// All of them.
pub const OWN_SETTINGS: [OwnSetting; 5] = [
    OwnSetting { name: CLUSTER_ID, default: None },
    OwnSetting { name: METRICS_LISTENER, default: Some("127.0.0.1:9404") },
    OwnSetting { name: DISK_RESERVE, default: Some("67108864") },
    OwnSetting { name: LOG_FORMAT, default: Some("human") },
    OwnSetting { name: LOG_LEVEL, default: Some("info") },
];

/// The setting of this name.
#[must_use]
pub fn own_setting(name: &str) -> Option<&'static OwnSetting> {
    OWN_SETTINGS.iter().find(|setting| setting.name == name)
}
