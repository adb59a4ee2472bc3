//! What can happen, and when: ordered by time, then by number.

use bytes::Bytes;
use ottla_core::ids::{ConnectionId, DiskId};
use ottla_core::log::TimeSearch;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What happens at a moment.
#[derive(Debug)]
pub(super) enum Event {
    Round { node: usize, life: u64 },
    Timer { node: usize, life: u64, number: u64 },
    Disk { node: usize, life: u64, id: DiskId, is_written: bool },
    Searched { node: usize, life: u64, token: u64, search: TimeSearch },
    Peer { from: usize, to: usize, life: u64, frame: Bytes },
    Desync { from: usize, to: usize },
    Session { node: usize, peer: usize },
    ToBroker { connection: ConnectionId, bytes: Bytes },
    ToClient { connection: ConnectionId, bytes: Bytes },
    CloseBroker { connection: ConnectionId },
    CloseClient { connection: ConnectionId },
    Restart { node: usize, life: u64 },
    PowerCut { node: usize, down_us: u64 },
    Room { node: usize },
    StopCheck { node: usize, life: u64, asked_at: u64 },
    Wake { token: u64 },
}

/// All that will happen, by time and number. The heap moves keys only: events lie still in slots.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    heap: BinaryHeap<Reverse<(u64, u64, usize)>>,
    slots: Vec<Option<Event>>,
    free: Vec<usize>,
    number: u64,
}

impl Agenda {
    pub(super) fn push(&mut self, at: u64, event: Event) {
        self.number += 1;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[slot] = Some(event);
        self.heap.push(Reverse((at, self.number, slot)));
    }

    /// What is next, and when.
    pub(super) fn pop(&mut self) -> Option<(u64, Event)> {
        let Reverse((at, _, slot)) = self.heap.pop()?;
        self.free.push(slot);
        self.slots[slot].take().map(|event| (at, event))
    }

    /// When the next event happens.
    pub(super) fn next_at(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((at, _, _))| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_first_happens_first_and_equals_keep_their_order() {
        let mut agenda = Agenda::default();
        for round in 0..3 {
            for (at, token) in [(5, 1), (3, 2), (5, 3), (4, 4)] {
                agenda.push(at, Event::Wake { token });
            }
            assert_eq!(agenda.next_at(), Some(3), "round {round}");
            let order = std::iter::from_fn(|| agenda.pop()).map(|(at, event)| {
                let Event::Wake { token } = event else { panic!("{event:?}") };
                (at, token)
            });
            assert_eq!(order.collect::<Vec<_>>(), [(3, 2), (4, 4), (5, 1), (5, 3)]);
        }
        assert_eq!(agenda.slots.len(), 4, "slots are used again");
    }
}
