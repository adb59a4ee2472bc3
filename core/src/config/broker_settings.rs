//! The settings of this broker: what its operator gave, checked, with the few parsed that the core acts upon.
//!
//! Source: Kafka `AbstractKafkaConfig`, `ServerConfigs`, `ReplicationConfigs`.

use super::{BrokerLayers, broker_setting, broker_value, nearest_broker_setting};
use std::collections::BTreeMap;

/// Heartbeats go out at least this often, milliseconds: a broker that is back is known soon.
const HEARTBEAT_MS_MAX: u64 = 500;

/// What the operator set, over the defaults.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrokerSettings {
    /// As given: name, checked value.
    pub given: BTreeMap<String, String>,
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
    /// `broker.heartbeat.interval.ms`, at most 500.
    pub broker_heartbeat_interval_ms: u64,
    /// `transaction.max.timeout.ms`.
    pub transaction_max_timeout_ms: i32,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration_ms: i64,
    /// `leader.imbalance.check.interval.seconds` in milliseconds; `None` where `auto.leader.rebalance.enable` is off.
    pub balance_interval_ms: Option<u64>,
}

impl BrokerSettings {
    /// Checks what the operator gave; of a name given twice the last counts.
    ///
    /// # Errors
    /// An unknown name (with the nearest known one) or an illegal value, in one sentence.
    pub fn parse(given: &[(String, String)]) -> Result<BrokerSettings, String> {
        let mut checked = BTreeMap::new();
        for (name, value) in given {
            let Some(setting) = broker_setting(name) else {
                let hint = nearest_broker_setting(name).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                return Err(format!("Unknown setting {name}{hint}"));
            };
            checked.insert(name.clone(), setting.check(value)?);
        }
        let text = |name: &str| -> String {
            broker_value(name, BrokerLayers::of_file(&checked)).and_then(|e| e.value).unwrap_or_default()
        };
        let number = |name: &str| -> i64 { text(name).parse().unwrap_or(0) };
        let unsigned = |name: &str| -> u64 { u64::try_from(number(name)).unwrap_or(0) };
        let (is_auto, partitions, factor) =
            (text("auto.create.topics.enable") == "true", number("num.partitions"), number("default.replication.factor"));
        let (lag_ms, session_ms) = (unsigned("replica.lag.time.max.ms"), unsigned("broker.session.timeout.ms"));
        let (heartbeat_ms, transaction_ms) = (unsigned("broker.heartbeat.interval.ms"), number("transaction.max.timeout.ms"));
        let expiration_ms = number("producer.id.expiration.ms");
        let (request_bytes, queued_bytes) = (number("socket.request.max.bytes"), number("queued.max.request.bytes"));
        if queued_bytes > 0 && queued_bytes < request_bytes {
            return Err("queued.max.request.bytes must be larger or equal to socket.request.max.bytes".to_string());
        }
        // Lags are noticed by what followers answer; Kafka compares with the longest time their requests wait.
        if number("replica.fetch.wait.max.ms") > number("replica.lag.time.max.ms") {
            let sentence = "replica.fetch.wait.max.ms should always be less than or equal to replica.lag.time.max.ms to prevent \
                            frequent changes in ISR";
            return Err(sentence.to_string());
        }
        let is_balanced = text("auto.leader.rebalance.enable") == "true";
        let balance_ms = unsigned("leader.imbalance.check.interval.seconds").max(1).saturating_mul(1000);
        Ok(BrokerSettings {
            given: checked,
            auto_create_topics: is_auto,
            num_partitions: i32::try_from(partitions).unwrap_or(i32::MAX),
            default_replication_factor: i16::try_from(factor).unwrap_or(i16::MAX),
            replica_lag_time_max_ms: lag_ms,
            broker_session_timeout_ms: session_ms,
            broker_heartbeat_interval_ms: heartbeat_ms.min(HEARTBEAT_MS_MAX),
            transaction_max_timeout_ms: i32::try_from(transaction_ms).unwrap_or(i32::MAX),
            producer_id_expiration_ms: expiration_ms,
            balance_interval_ms: is_balanced.then_some(balance_ms),
        })
    }

    /// The value of a setting as text: the operator's, else the default; `None` for null and for unknown names.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        broker_value(name, BrokerLayers::of_file(&self.given))?.value
    }
    /// The same as a number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i64> {
        self.text(name)?.parse().ok()
    }
}

impl Default for BrokerSettings {
    fn default() -> Self {
        BrokerSettings::parse(&[]).expect("every default is legal")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(name: &str, value: &str) -> Result<BrokerSettings, String> {
        BrokerSettings::parse(&[(name.to_string(), value.to_string())])
    }

    #[test]
    fn defaults_are_kafkas() {
        let settings = BrokerSettings::default();
        assert!(settings.auto_create_topics);
        assert_eq!((settings.num_partitions, settings.default_replication_factor), (1, 1));
        assert_eq!((settings.replica_lag_time_max_ms, settings.broker_session_timeout_ms), (30_000, 9_000));
        assert_eq!(settings.broker_heartbeat_interval_ms, 500);
        assert_eq!((settings.transaction_max_timeout_ms, settings.producer_id_expiration_ms), (900_000, 86_400_000));
        assert_eq!(settings.number("message.max.bytes"), Some(1_048_588));
    }

    #[test]
    fn the_operator_wins() {
        assert_eq!(given("num.partitions", "6").expect("legal").num_partitions, 6);
        assert!(!given("auto.create.topics.enable", "false").expect("legal").auto_create_topics);
        assert_eq!(given("broker.heartbeat.interval.ms", "100").expect("legal").broker_heartbeat_interval_ms, 100);
    }

    #[test]
    fn a_request_must_fit_into_the_queue() {
        assert!(given("queued.max.request.bytes", "104857600").is_ok());
        assert!(given("queued.max.request.bytes", "104857599").is_err());
        assert!(given("queued.max.request.bytes", "-1").is_ok() && given("queued.max.request.bytes", "0").is_ok());
    }

    #[test]
    fn a_replica_is_not_out_of_sync_while_it_waits() {
        let lag_ms = |value: &str| given("replica.lag.time.max.ms", value).map(|settings| settings.replica_lag_time_max_ms);
        assert_eq!(lag_ms("500"), Ok(500));
        assert!(lag_ms("499").is_err_and(|sentence| sentence.contains("frequent changes in ISR")));
        assert!(lag_ms("-1").is_err() && given("replica.fetch.wait.max.ms", "30001").is_err());
    }

    #[test]
    fn mistakes_are_told() {
        assert_eq!(given("num.partition", "6"), Err("Unknown setting num.partition; did you mean num.partitions?".to_string()));
        assert_eq!(
            given("num.partitions", "0"),
            Err("Invalid value 0 for configuration num.partitions: Value must be at least 1".to_string())
        );
    }
}
