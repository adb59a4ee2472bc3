//! [`raft::Storage`] on top of a [`GroupLog`].
//!
//! Entries carry their batch's bytes only where somebody wants them: raft itself looks at committed entries for their size and kind
//! alone, so callers that can't wait get *stubs*, index and term without payload. That is sound because everything that applying
//! needs was taken when the entry was appended, and membership never changes in this version.
//!
//! A follower that lags behind the tail cache is served from the disk: the first ask is noted in `wanted`, answered with "not yet", and
//! asked again when the range was read. The dummy entry 1 of term 1 is the birth of every group.
//!
//! A follower that lacks what this log has let go needs a snapshot. That is asked for in the same way: the ask is noted, and the manifest
//! is there for as long as raft is told to ask again (`group/lending.rs`).

use crate::ids::{Index, Term};
use crate::log::GroupLog;
use bytes::Bytes;
use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::{Error, GetEntriesContext, RaftState, Result, Storage, StorageError};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// What is being fetched for followers that lag.
#[derive(Debug, Default)]
pub(crate) struct Catchup {
    /// First indexes that were asked for and are not in memory.
    pub wanted: BTreeSet<Index>,
    /// Entries that were just read, from this index on; kept only while they are handed out.
    pub ready: Option<(Index, Vec<Bytes>)>,
    /// Peers that need a snapshot.
    pub snapshot_wanted: BTreeSet<u64>,
    /// The snapshot; kept only while it is handed out.
    pub snapshot: Option<Snapshot>,
}

/// One group's storage.
#[derive(Debug)]
pub(crate) struct Store {
    pub log: GroupLog,
    pub catchup: RefCell<Catchup>,
    hard_state: HardState,
    conf_state: ConfState,
}

impl Store {
    /// `voters` are raft peer ids.
    pub(crate) fn new(log: GroupLog, term: Term, vote: u64, commit: Index, voters: Vec<u64>) -> Store {
        let mut hard_state = HardState::default();
        hard_state.term = term.0;
        hard_state.vote = vote;
        hard_state.commit = commit.0;
        let mut conf_state = ConfState::default();
        conf_state.voters = voters;
        Store { log, catchup: RefCell::default(), hard_state, conf_state }
    }

    /// The members, as raft's snapshots name them.
    pub(crate) fn conf_state(&self) -> ConfState {
        self.conf_state.clone()
    }

    fn entry(&self, index: u64, data: Bytes) -> Entry {
        let mut entry = Entry::default();
        entry.index = index;
        entry.term = self.log.term(Index(index)).0;
        entry.data = data;
        entry
    }
}

impl Storage for Store {
    fn initial_state(&self) -> Result<RaftState> {
        Ok(RaftState::new(self.hard_state.clone(), self.conf_state.clone()))
    }

    fn entries(&self, low: u64, high: u64, max_size: impl Into<Option<u64>>, context: GetEntriesContext) -> Result<Vec<Entry>> {
        assert!(high <= self.log.last_index().0 + 1, "raft asks for entries {low}..{high} beyond {}", self.log.last_index());
        if !context.can_async() {
            return Ok((low..high).map(|index| self.entry(index, Bytes::new())).collect());
        }
        let max_size = max_size.into().unwrap_or(u64::MAX);
        if self.log.has_in_tail(Index(low)) {
            let entries = self.log.entries(Index(low), Index(high), max_size);
            return Ok(entries.zip(low..).map(|(data, index)| self.entry(index, data)).collect());
        }
        let mut catchup = self.catchup.borrow_mut();
        match &catchup.ready {
            Some((first, read)) if *first == Index(low) => {
                let mut bytes = 0;
                let fitting = read.iter().take_while(|data| {
                    bytes += data.len() as u64;
                    bytes <= max_size || bytes == data.len() as u64
                });
                Ok(fitting.zip(low..high).map(|(data, index)| self.entry(index, data.clone())).collect())
            }
            _ => {
                catchup.wanted.insert(Index(low));
                Err(Error::Store(StorageError::LogTemporarilyUnavailable))
            }
        }
    }

    fn term(&self, index: u64) -> Result<u64> {
        if index + 1 < self.log.first_index().0 {
            return Err(Error::Store(StorageError::Compacted));
        }
        if index > self.log.last_index().0 {
            return Err(Error::Store(StorageError::Unavailable));
        }
        Ok(self.log.term(Index(index)).0)
    }

    fn first_index(&self) -> Result<u64> {
        Ok(self.log.first_index().0)
    }

    fn last_index(&self) -> Result<u64> {
        Ok(self.log.last_index().0)
    }

    fn snapshot(&self, _request_index: u64, to: u64) -> Result<Snapshot> {
        let mut catchup = self.catchup.borrow_mut();
        match &catchup.snapshot {
            Some(snapshot) => Ok(snapshot.clone()),
            None => {
                catchup.snapshot_wanted.insert(to);
                Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable))
            }
        }
    }
}
