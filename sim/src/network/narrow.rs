//! Links that carry few bytes a second: what is sent waits in a queue, and what finds it full is dropped.
//!
//! A queue is one direction between two ends, whatever the class of its messages. Knows no payloads.

use super::End;
use std::collections::BTreeMap;

/// How narrow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Narrow {
    /// What passes in a second, above 0.
    pub(crate) bytes_per_s: u64,
    /// What may wait. A message that finds nothing waiting passes, however large.
    pub(crate) queue_bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Queue {
    narrow: Narrow,
    until: u64,
    /// When all that waits has left.
    free_at: u64,
}

/// All narrow links.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    links: BTreeMap<(End, End), Queue>,
    /// Messages that waited, or took their time, for the vacuity counters.
    pub(crate) slowed: u64,
    /// And those that were dropped.
    pub(crate) overflowed: u64,
}

impl Queues {
    /// One direction is narrow until a time; what waits there already goes on waiting.
    pub(crate) fn narrow(&mut self, from: End, to: End, narrow: Narrow, until: u64) {
        let queue = self.links.entry((from, to)).or_insert(Queue { narrow, until, free_at: 0 });
        (queue.narrow, queue.until) = (narrow, until);
    }

    /// All links are wide again.
    pub(crate) fn widen(&mut self) {
        self.links.clear();
    }

    /// Microseconds that a message takes to leave; `None` if there is no room for it.
    pub(super) fn pass(&mut self, now: u64, from: End, to: End, bytes: u64) -> Option<u64> {
        if self.links.is_empty() {
            return Some(0);
        }
        let Some(queue) = self.links.get_mut(&(from, to)).filter(|queue| now < queue.until) else { return Some(0) };
        let waiting = queue.free_at.saturating_sub(now) * queue.narrow.bytes_per_s / 1_000_000;
        if waiting > 0 && waiting + bytes > queue.narrow.queue_bytes {
            self.overflowed += 1;
            return None;
        }
        self.slowed += 1;
        // What is left when the link is wide again passes at once.
        let free_at = queue.free_at.max(now) + bytes * 1_000_000 / queue.narrow.bytes_per_s;
        queue.free_at = free_at.min(queue.until);
        Some(queue.free_at - now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_link_delays_what_it_can_hold_and_drops_the_rest() {
        let (a, b) = (End::Broker(0), End::Client(1));
        let mut queues = Queues::default();
        queues.narrow(a, b, Narrow { bytes_per_s: 1_000, queue_bytes: 500 }, 10_000_000);
        assert_eq!(queues.pass(0, a, b, 900), Some(900_000), "alone it passes");
        assert_eq!(queues.pass(500_000, a, b, 200), None, "400 wait");
        assert_eq!(queues.pass(500_000, a, b, 100), Some(500_000));
        assert_eq!(queues.pass(500_000, b, a, 900), Some(0), "one direction");
        assert_eq!((queues.slowed, queues.overflowed), (2, 1));
        assert_eq!(queues.pass(5_000_000, a, b, 9_000), Some(5_000_000), "no longer than it is narrow");
        assert_eq!(queues.pass(10_000_000, a, b, 900), Some(0), "it ends");
        queues.narrow(a, b, Narrow { bytes_per_s: 1, queue_bytes: 1 }, 20_000_000);
        queues.widen();
        assert_eq!(queues.pass(11_000_000, a, b, 900), Some(0));
    }
}
