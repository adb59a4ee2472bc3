//! Kafka's settings: one table, from which validation, DescribeConfigs and the parsed values are derived.

mod broker_settings;
mod topic_settings;

pub use broker_settings::BrokerSettings;
pub use topic_settings::{CleanupPolicy, CompressionType, TimestampType, TopicSettings};
