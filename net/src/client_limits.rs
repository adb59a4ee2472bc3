//! [`ClientLimits`]: the bounds of client connections that an operator sets, under Kafka's names and with its defaults.
//!
//! What is reached is told where it is looked at: [`crate::connection`] for frames, `client` for connections. All are read at start.
//!
//! Source: Kafka `SocketServer` and its `ConnectionQuotas`, `SimpleMemoryPool` (KIP-72), `Selector.IdleExpiryManager`. Differences: a request
//! must fit into [`REQUEST_BYTES_MAX`] whatever the operator says, and at most [`CONNECTIONS_MAX`] connections are open; where Kafka
//! lets a connection above `max.connections` wait, it is closed here, unless a stranger makes room for it.

use crate::limits::CONNECTIONS_MAX;
use ottla_core::config::BrokerSettings;
use ottla_core::limits::REQUEST_BYTES_MAX;

/// Bounds of client connections.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientLimits {
    /// Bytes of one request frame, `socket.request.max.bytes`. Larger: the connection is closed.
    pub request_bytes_max: usize,
    /// Open connections, `max.connections`. At the bound the oldest that has not sent a request makes room; if there is none, the next one
    /// is closed.
    pub connections_max: usize,
    /// Open connections from one address, `max.connections.per.ip`. The next one is closed.
    pub connections_per_address_max: usize,
    /// Milliseconds without anything from a client that is owed nothing, `connections.max.idle.ms`; `None` for ever. Later: the connection
    /// is closed.
    pub idle_ms_max: Option<u64>,
    /// Bytes of requests of all connections together, those under way counted with the size they claim, `queued.max.request.bytes`; `None`
    /// without a bound. At the bound no connection may begin a frame.
    pub queued_bytes_max: Option<usize>,
}

impl ClientLimits {
    /// As the operator set them, but not more than `handles` connections.
    #[must_use]
    pub fn new(settings: &BrokerSettings, handles: usize) -> ClientLimits {
        let number = |name: &str| settings.number(name).unwrap_or(-1);
        let count = |name: &str| usize::try_from(number(name)).unwrap_or(usize::MAX);
        ClientLimits {
            request_bytes_max: count("socket.request.max.bytes").min(REQUEST_BYTES_MAX),
            connections_max: count("max.connections").min(CONNECTIONS_MAX).min(handles),
            connections_per_address_max: count("max.connections.per.ip"),
            idle_ms_max: u64::try_from(number("connections.max.idle.ms")).ok(),
            queued_bytes_max: usize::try_from(number("queued.max.request.bytes")).ok().filter(|bytes| *bytes > 0),
        }
    }
}

impl Default for ClientLimits {
    fn default() -> Self {
        ClientLimits::new(&BrokerSettings::default(), CONNECTIONS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &[(&str, &str)]) -> ClientLimits {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string())).collect();
        ClientLimits::new(&BrokerSettings::parse(&pairs).expect("legal"), 500)
    }

    #[test]
    fn defaults_are_kafkas() {
        let limits = ClientLimits::default();
        assert_eq!((limits.request_bytes_max, limits.connections_max), (104_857_600, CONNECTIONS_MAX));
        assert_eq!((limits.connections_per_address_max, limits.idle_ms_max), (2_147_483_647, Some(600_000)));
        assert_eq!(limits.queued_bytes_max, None);
    }

    #[test]
    fn the_operator_sets_them_within_what_the_broker_can_do() {
        let limits = given(&[
            ("socket.request.max.bytes", "2000"),
            ("max.connections", "10"),
            ("max.connections.per.ip", "3"),
            ("connections.max.idle.ms", "-1"),
            ("queued.max.request.bytes", "5000"),
        ]);
        let expected = ClientLimits {
            request_bytes_max: 2000,
            connections_max: 10,
            connections_per_address_max: 3,
            idle_ms_max: None,
            queued_bytes_max: Some(5000),
        };
        assert_eq!(limits, expected);
        let greedy = given(&[("socket.request.max.bytes", "2147483647"), ("max.connections", "2147483647")]);
        assert_eq!((greedy.request_bytes_max, greedy.connections_max), (REQUEST_BYTES_MAX, 500));
    }
}
