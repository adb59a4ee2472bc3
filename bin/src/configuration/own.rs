//! Settings that Kafka does not have: what the shell is told besides.

/// One of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OwnSetting {
    /// Its name.
    pub name: &'static str,
    /// What counts when nobody sets it; `None` where that depends on others.
    pub default: Option<&'static str>,
    /// What it does.
    pub doc: &'static str,
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
    OwnSetting {
        name: CLUSTER_ID,
        default: None,
        doc: "Id of the cluster, the same on all its brokers; without it, it follows from controller.quorum.voters.",
    },
    OwnSetting {
        name: METRICS_LISTENER,
        default: Some("127.0.0.1:9404"),
        doc: "Where metrics and health are served: host:port, or off.",
    },
    OwnSetting {
        name: DISK_RESERVE,
        default: Some("67108864"),
        doc: "Bytes of free space below which new records are refused, so that metadata and elections find room.",
    },
    OwnSetting { name: LOG_FORMAT, default: Some("human"), doc: "How log lines look: human or json." },
    OwnSetting { name: LOG_LEVEL, default: Some("info"), doc: "The least that is logged: error, warn, info or debug." },
];

/// The setting of this name.
#[must_use]
pub fn own_setting(name: &str) -> Option<&'static OwnSetting> {
    OWN_SETTINGS.iter().find(|setting| setting.name == name)
}
