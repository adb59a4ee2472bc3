//! Whether a broker is well: one sentence, and whether it is good news.
//!
//! *Live*: its loop answers and its disk moves; if not, only a restart helps. *Ready*: it is live, registered, not fenced and hears of a
//! controller: clients should be sent to it.

use ottla_net::NodeMetrics;

/// Milliseconds that a disk may leave everything undone.
const DISK_SILENT_MS_MAX: u64 = 10_000;

/// What is said of a broker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// Whether it is well.
    pub is_well: bool,
    /// One sentence.
    pub sentence: String,
}

impl Verdict {
    /// It is well.
    pub fn well(sentence: impl Into<String>) -> Verdict {
        Verdict { is_well: true, sentence: sentence.into() }
    }

    /// It is not.
    pub fn ill(sentence: impl Into<String>) -> Verdict {
        Verdict { is_well: false, sentence: sentence.into() }
    }
}

/// Whether it is live.
#[must_use]
pub fn live(node: &NodeMetrics) -> Verdict {
    let disk = node.disk;
    if disk.silent_ms > DISK_SILENT_MS_MAX {
        return Verdict::ill(format!(
            "The disk has finished none of {} operations for {} seconds.",
            disk.open,
            disk.silent_ms / 1000
        ));
    }
    Verdict::well("The broker's loop answers and its disk works.")
}

/// Whether it is ready.
#[must_use]
pub fn ready(node: &NodeMetrics) -> Verdict {
    let broker = &node.broker;
    let live = live(node);
    if !live.is_well {
        live
    } else if broker.controller.is_none() {
        Verdict::ill("The broker hears of no controller: it is cut off, or too few brokers run for one to be elected.")
    } else if !broker.is_registered {
        Verdict::ill("The broker is not registered with the controller yet.")
    } else if broker.is_fenced {
        Verdict::ill("The controller fenced this broker: it was silent for longer than broker.session.timeout.ms.")
    } else {
        Verdict::well("The broker is registered, not fenced, and its disk works.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_core::broker::BrokerMetrics;
    use ottla_core::ids::BrokerId;
    use ottla_net::{ClientMetrics, DiskMetrics, PeerMetrics};

    #[test]
    fn each_illness_has_its_sentence() {
        let broker = BrokerMetrics { is_registered: true, controller: Some(BrokerId(1)), ..BrokerMetrics::default() };
        let well = NodeMetrics {
            broker,
            clients: ClientMetrics::default(),
            peers: PeerMetrics::default(),
            disk: DiskMetrics { open: 3, silent_ms: DISK_SILENT_MS_MAX, ..DiskMetrics::default() },
            rounds: 1,
        };
        assert!(live(&well).is_well && ready(&well).is_well);
        let ill = |change: fn(&mut NodeMetrics), word: &str, is_live: bool| {
            let mut node = well.clone();
            change(&mut node);
            let verdict = ready(&node);
            assert!(!verdict.is_well && verdict.sentence.contains(word), "{verdict:?}");
            assert_eq!(live(&node).is_well, is_live, "{word}");
        };
        ill(|node| node.disk.silent_ms += 1, "none of 3 operations for 10 seconds", false);
        ill(|node| node.broker.controller = None, "no controller", true);
        ill(|node| node.broker.is_registered = false, "not registered", true);
        ill(|node| node.broker.is_fenced = true, "fenced this broker", true);
    }
}
