//! [`Trouble`]: one thing that keeps clients away, in plain words, with what to change. All sentences of the doctor stand here.

use super::knock::Heard;
use crate::client::Failure;
use crate::configuration::Address;
use std::io::{Error, ErrorKind};
use std::net::IpAddr;

/// Letters of a foreign answer that are shown.
const SHOWN_MAX: usize = 40;

/// What is wrong, and what to do about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trouble {
    /// A sentence.
    pub wrong: String,
    /// Another one, which names a setting where there is one.
    pub remedy: String,
}

impl Trouble {
    fn new(wrong: impl Into<String>, remedy: impl Into<String>) -> Trouble {
        Trouble { wrong: wrong.into(), remedy: remedy.into() }
    }

    /// The name has no address.
    pub fn no_such_name(address: &Address, error: &Error) -> Trouble {
        let host = &address.host;
        let is_short = !host.contains('.') && !host.contains(':');
        let guess = if is_short {
            " It looks like the name of a container or of a machine, which only its own network knows."
        } else {
            ""
        };
        Trouble::new(
            format!("The name {host} does not resolve here: {error}.{guess}"),
            "Set the broker's advertised.listeners to a name or address that clients resolve; give clients outside the broker's network a \
             listener of their own.",
        )
    }

    /// Nobody took the connection.
    pub fn not_connected(address: &Address, error: &Error) -> Trouble {
        if error.kind() == ErrorKind::ConnectionRefused {
            return Trouble::new(
                format!("Nothing listens at {address}: the connection is refused."),
                "Start the broker, or correct the port: advertised.listeners must name the port that clients reach, such as the one a \
                 container publishes, and listeners the one the broker binds.",
            );
        }
        if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) {
            return Trouble::new(
                format!("{address} does not answer: no connection in time."),
                "Look for a firewall between here and there, or a host in advertised.listeners that only other networks reach.",
            );
        }
        Trouble::new(
            format!("{address} can't be reached: {error}."),
            "Set the broker's advertised.listeners to an address that clients reach.",
        )
    }

    /// It speaks TLS.
    pub fn tls(address: &Address) -> Trouble {
        Trouble::new(
            format!("{address} speaks TLS; a client with security.protocol=PLAINTEXT, and this program, do not."),
            "Set security.protocol=SSL (or SASL_SSL) in the client, or advertise a PLAINTEXT listener of the broker: listeners, \
             advertised.listeners, listener.security.protocol.map.",
        )
    }

    /// A controller of Kafka, or one of its listeners.
    pub fn controller(address: &Address) -> Trouble {
        Trouble::new(
            format!("{address} is the listener of a controller: it speaks Kafka, but serves no clients."),
            "Use the port of a listener for clients: one in listeners that controller.listener.names does not name.",
        )
    }

    /// Something else answers, or nothing.
    pub fn not_kafka(address: &Address, heard: &Heard) -> Trouble {
        match heard {
            Heard::Bytes(bytes) if bytes.starts_with(b"HTTP/") => Trouble::new(
                format!("{address} is a web server: it answers in HTTP, not in Kafka's protocol."),
                "Use the broker's port for clients, the one in listeners, not the one of metrics, REST or a console.",
            ),
            Heard::Bytes(bytes) => Trouble::new(
                format!("{address} does not speak Kafka's protocol; it answers {:?}.", shown(bytes)),
                "Use the broker's port for clients, the one in listeners.",
            ),
            Heard::Closed => Trouble::new(
                format!("{address} closes the connection when it is asked which versions it speaks, as Kafka never does."),
                "Use a port for clients, the one in listeners: this may be the one for brokers and controllers \
                 (controller.listener.names), or a proxy whose broker is away.",
            ),
            Heard::Nothing => Trouble::new(
                format!("{address} takes the connection and says nothing."),
                "Look whether it is the broker's port for clients (listeners), and whether the broker, or a proxy before it, hangs.",
            ),
        }
    }

    /// It speaks Kafka and does not answer the next question.
    pub fn refuses(address: &Address, failure: &Failure) -> Trouble {
        Trouble::new(
            format!("{address} says which versions it speaks and then does not answer: {failure}."),
            "If its listener wants authentication (listener.security.protocol.map says SASL_...), set sasl.mechanism and sasl.jaas.config in \
             the client; this program has none.",
        )
    }

    /// The cluster names nobody.
    pub fn no_brokers(address: &Address) -> Trouble {
        Trouble::new(
            format!("The broker at {address} names no brokers: it is not registered with a controller."),
            "Look whether a majority of controller.quorum.voters runs and whether they reach each other.",
        )
    }

    /// Nobody decides.
    pub fn no_controller() -> Trouble {
        Trouble::new(
            "The cluster has no controller: topics can't be created and leaders not be told.",
            "Look whether a majority of controller.quorum.voters runs and whether they reach each other.",
        )
    }

    /// An address that means another thing on every machine.
    pub fn everywhere(address: &Address) -> Trouble {
        Trouble::new(
            format!("{} is not an address to connect to: it means all interfaces of the machine that listens.", address.host),
            "Set advertised.listeners to a name or address of the broker; only listeners may say 0.0.0.0.",
        )
    }

    /// The way to oneself.
    pub fn loopback(address: &Address, came_by: &Address) -> Trouble {
        Trouble::new(
            format!("{} leads every client to its own machine or container; you came by {came_by}, from another.", address.host),
            "Set advertised.listeners to the name or address by which clients reach the broker; keep localhost for a listener of its own.",
        )
    }

    /// Somebody else's broker.
    pub fn other_cluster(address: &Address, theirs: &str, ours: &str) -> Trouble {
        Trouble::new(
            format!("{address} is a broker of another cluster: {theirs}, not {ours}."),
            "Correct advertised.listeners; two clusters on one machine need ports of their own.",
        )
    }

    /// Another broker of the cluster.
    pub fn other_broker(address: &Address, id: i32, says: &str) -> Trouble {
        Trouble::new(
            format!("{address} is advertised as broker {id}, but another broker answers there: {says}."),
            format!(
                "Correct advertised.listeners of broker {id}: each broker needs an address that leads to it alone, not to a proxy for all."
            ),
        )
    }
}

/// Whether this is an address that clients can't use, whoever answers there. `came_by` was reached.
pub fn trap(address: &Address, came_by: (&Address, &[IpAddr])) -> Option<Trouble> {
    let ip = address.host.parse::<IpAddr>().ok();
    if address.host.is_empty() || ip.is_some_and(|ip| ip.is_unspecified()) {
        return Some(Trouble::everywhere(address));
    }
    let is_loopback = address.host.eq_ignore_ascii_case("localhost") || ip.is_some_and(|ip| ip.is_loopback());
    let is_here = came_by.1.iter().any(IpAddr::is_loopback);
    (is_loopback && !is_here).then(|| Trouble::loopback(address, came_by.0))
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().chars().take(SHOWN_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Address {
        Address::parse(text).expect("well-formed")
    }

    #[test]
    fn traps_are_seen_from_where_the_client_stands() {
        let (far, here) = (at("kafka.example:9092"), at("127.0.0.1:9092"));
        let from = |came_by: &Address, ip: &str, told: &str| {
            trap(&at(told), (came_by, &[ip.parse().expect("an address")])).map(|trouble| trouble.wrong)
        };
        for told in ["0.0.0.0:9092", "[::]:9092", ":9092"] {
            assert!(from(&here, "127.0.0.1", told).is_some_and(|wrong| wrong.contains("all interfaces")), "{told}");
        }
        for told in ["localhost:9092", "127.0.0.1:9092", "[::1]:9092"] {
            assert_eq!(from(&here, "127.0.0.1", told), None, "{told}");
            let wrong = from(&far, "10.1.2.3", told).expect(told);
            assert!(wrong.ends_with("you came by kafka.example:9092, from another."), "{wrong}");
        }
        assert_eq!(from(&far, "10.1.2.3", "10.1.2.4:9092"), None);
    }

    #[test]
    fn a_name_without_a_dot_is_probably_a_container() {
        let error = Error::other("no such name");
        assert!(Trouble::no_such_name(&at("broker:9092"), &error).wrong.contains("the name of a container"));
        let named = Trouble::no_such_name(&at("broker.example:9092"), &error);
        assert!(!named.wrong.contains("container") && named.remedy.contains("advertised.listeners"));
    }

    #[test]
    fn foreign_answers_are_shown_shortly_and_harmlessly() {
        let heard = Heard::Bytes([b"SSH-2.0-\x1b[31mx\r\n".as_slice(), &[b'x'; 100]].concat());
        let wrong = Trouble::not_kafka(&at("h:22"), &heard).wrong;
        assert!(wrong.contains("SSH-2.0-\\u{1b}[31mx") && wrong.len() < 120, "{wrong}");
    }
}
