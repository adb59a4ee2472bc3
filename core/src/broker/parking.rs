//! Requests that wait: for disk, for a commit, for data, for the controller, at most until a deadline.
//!
//! Knows what a request waits for only as [`Work`]; whoever completes it takes it out. Order is part of the behaviour: requests
//! are numbered as they come, deadlines are visited by (time, number).
//!
//! Invariants: a deadline names a parked request; a connection names exactly its parked requests. The number of parked requests is
//! bounded by the shell: it has at most [`crate::limits::REQUESTS_IN_FLIGHT_MAX`] per connection in the core.
//! Source: Kafka's purgatories, without watch lists: partitions hold the numbers of those they wake.

use crate::api::ReplyTo;
use crate::ids::ConnectionId;
use crate::time::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// A parked request.
#[derive(Debug)]
pub struct Parked<Work> {
    /// Where the answer goes.
    pub reply: ReplyTo,
    /// When it is answered at the latest.
    pub deadline: Option<Instant>,
    /// What it waits for.
    pub work: Work,
}

/// All parked requests.
#[derive(Debug)]
pub struct Parking<Work> {
    next: u64,
    slots: BTreeMap<u64, Parked<Work>>,
    deadlines: BTreeSet<(Instant, u64)>,
    connections: BTreeMap<ConnectionId, BTreeSet<u64>>,
}

impl<Work> Default for Parking<Work> {
    fn default() -> Self {
        Parking { next: 0, slots: BTreeMap::new(), deadlines: BTreeSet::new(), connections: BTreeMap::new() }
    }
}

impl<Work> Parking<Work> {
    /// A number for a request that may have to be parked.
    pub fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Parks a request under its number.
    pub fn park(&mut self, number: u64, parked: Parked<Work>) {
        if let Some(deadline) = parked.deadline {
            self.deadlines.insert((deadline, number));
        }
        self.connections.entry(parked.reply.connection).or_default().insert(number);
        let before = self.slots.insert(number, parked);
        assert!(before.is_none(), "request {number} was parked twice");
    }

    /// How many requests the connection has parked that has most.
    #[must_use]
    pub fn most_of_a_connection(&self) -> usize {
        self.connections.values().map(BTreeSet::len).max().unwrap_or(0)
    }

    /// The request, while it waits.
    pub fn get_mut(&mut self, number: u64) -> Option<&mut Parked<Work>> {
        self.slots.get_mut(&number)
    }

    /// The request, while it waits.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<&Parked<Work>> {
        self.slots.get(&number)
    }

    /// Takes a request out to be answered.
    pub fn take(&mut self, number: u64) -> Option<Parked<Work>> {
        let parked = self.slots.remove(&number)?;
        if let Some(deadline) = parked.deadline {
            self.deadlines.remove(&(deadline, number));
        }
        if let Some(numbers) = self.connections.get_mut(&parked.reply.connection) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.connections.remove(&parked.reply.connection);
            }
        }
        Some(parked)
    }

    /// A request that goes on waiting without a deadline: its last reads are under way.
    pub fn clear_deadline(&mut self, number: u64) {
        if let Some(parked) = self.slots.get_mut(&number)
            && let Some(deadline) = parked.deadline.take()
        {
            self.deadlines.remove(&(deadline, number));
        }
    }

    /// The first request whose deadline is over at `now`.
    #[must_use]
    pub fn expired(&self, now: Instant) -> Option<u64> {
        self.deadlines.first().filter(|(at, _)| *at <= now).map(|(_, number)| *number)
    }

    /// The first deadline.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Drops what a closed connection waits for and returns it.
    pub fn drop_connection(&mut self, connection: ConnectionId) -> Vec<(u64, Parked<Work>)> {
        let numbers = self.connections.get(&connection).cloned().unwrap_or_default();
        numbers.into_iter().filter_map(|number| Some((number, self.take(number)?))).collect()
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// All that wait, by number.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Parked<Work>)> {
        self.slots.iter().map(|(number, parked)| (*number, parked))
    }

    /// The relations between the three tables.
    ///
    /// # Panics
    /// When one is broken.
    pub fn check_invariants(&self) {
        let timed = self.slots.values().filter(|p| p.deadline.is_some()).count();
        assert_eq!(timed, self.deadlines.len(), "deadlines and parked requests disagree");
        for (at, number) in &self.deadlines {
            let parked = self.slots.get(number).expect("a deadline names a parked request");
            assert_eq!(parked.deadline, Some(*at), "the deadline of request {number} is another");
        }
        let listed: usize = self.connections.values().map(BTreeSet::len).sum();
        assert_eq!(listed, self.slots.len(), "connections and parked requests disagree");
    }
}
