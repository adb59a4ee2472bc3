//! Fetch sessions (KIP-227): a consumer of many partitions names them once, then only what it changes; answers name only what has news.
//!
//! A session is a numbered list of partitions with the position the consumer asked for last and the state it was told last. It belongs to
//! nobody's connection. Each request must carry the epoch that follows the one before, so a lost or repeated request is noticed.
//!
//! Partitions with data go to the end of their session's list, so that one that always has data can't starve the others when an answer
//! is full.
//!
//! Invariants: at most `slots_max` sessions; `partitions` is the sum over all of them; a list names a partition once.
//! Source: KIP-227, Kafka `FetchManager`, `FetchSessionCache`, `IncrementalFetchContext`; golden README 23. Difference: all partitions of
//! all sessions together have a bound.

use crate::limits::FETCH_SESSION_PARTITIONS_MAX;
use crate::protocol::messages::fetch::{FetchRequest, FetchResponse, request, response};
use crate::protocol::{ErrorCode, Text, Uuid};
use crate::random::keyed;
use crate::time::Instant;
use std::collections::BTreeMap;

/// Milliseconds without use after which a session makes room for a new one; also the age from which a larger one replaces it. Kafka's
/// `min.incremental.fetch.session.eviction.ms`.
const EVICTION_MS: u64 = 120_000;
/// Epoch that asks for a new session.
const EPOCH_INITIAL: i32 = 0;
/// Epoch that asks for no session, or ends one.
const EPOCH_FINAL: i32 = -1;

/// Versions from here on name topics by id.
const BY_ID_FROM: i16 = 13;

/// What the answer of one request does with sessions.
#[derive(Debug)]
pub enum SessionUse {
    /// Nothing.
    None,
    /// It opens one.
    New {
        /// Its partitions.
        topics: Vec<request::Topics>,
        /// Whether they are named by id.
        is_by_id: bool,
    },
    /// It goes on with one.
    Going {
        /// The session.
        id: i32,
        /// The epoch of the next request.
        epoch: i32,
    },
}

/// How a session names a partition: name, or id, and number.
type Key = (Text, Uuid, i32);

#[derive(Debug)]
struct Cached {
    /// Its place in the list.
    place: u64,
    asked: request::Partitions,
    /// High watermark and log start as told last; a high watermark of -1 has to be told again.
    high_watermark: i64,
    log_start: i64,
}

#[derive(Debug)]
struct Session {
    /// What the next request must carry.
    epoch: i32,
    is_by_id: bool,
    created: Instant,
    used: Instant,
    partitions: BTreeMap<Key, Cached>,
    order: BTreeMap<u64, Key>,
    place_next: u64,
}

/// The sessions of a broker.
#[derive(Debug)]
pub struct FetchSessions {
    slots_max: usize,
    seed: u64,
    given: u64,
    sessions: BTreeMap<i32, Session>,
    /// Partitions of all sessions.
    partitions: usize,
}

impl FetchSessions {
    /// None yet. At most `slots_max` of them (`max.incremental.fetch.session.cache.slots`); their numbers follow from `seed`.
    #[must_use]
    pub fn new(slots_max: usize, seed: u64) -> FetchSessions {
        FetchSessions { slots_max, seed, given: 0, sessions: BTreeMap::new(), partitions: 0 }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Partitions of all of them together.
    #[must_use]
    pub fn partitions(&self) -> usize {
        self.partitions
    }

    /// Takes in a request; gives it back with all partitions it is about.
    ///
    /// # Errors
    /// `FETCH_SESSION_ID_NOT_FOUND`, `INVALID_FETCH_SESSION_EPOCH`, `FETCH_SESSION_TOPIC_ID_ERROR`: the answer has no partitions.
    pub fn begin(
        &mut self,
        now: Instant,
        version: i16,
        mut request: FetchRequest,
    ) -> Result<(FetchRequest, SessionUse), ErrorCode> {
        let (id, epoch, is_by_id) = (request.session_id, request.session_epoch, version >= BY_ID_FROM);
        if epoch == EPOCH_INITIAL || epoch == EPOCH_FINAL {
            self.remove(id);
            let used = if epoch == EPOCH_INITIAL {
                SessionUse::New { topics: request.topics.clone(), is_by_id }
            } else {
                SessionUse::None
            };
            return Ok((request, used));
        }
        let session = self.sessions.get_mut(&id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.epoch != epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if session.is_by_id != is_by_id {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        let before = session.partitions.len();
        session.used = now;
        session.epoch = next_epoch(epoch);
        for topic in std::mem::take(&mut request.topics) {
            for asked in topic.partitions {
                session.put((topic.topic.clone(), topic.topic_id, asked.partition), asked);
            }
        }
        for topic in std::mem::take(&mut request.forgotten_topics_data) {
            for partition in topic.partitions {
                session.forget(&(topic.topic.clone(), topic.topic_id, partition));
            }
        }
        let (after, epoch) = (session.partitions.len(), session.epoch);
        request.topics = session.topics();
        self.partitions = self.partitions - before + after;
        if after == 0 {
            self.remove(id);
            return Ok((request, SessionUse::None));
        }
        if self.partitions > FETCH_SESSION_PARTITIONS_MAX {
            self.remove(id);
            return Err(ErrorCode::FetchSessionIdNotFound);
        }
        Ok((request, SessionUse::Going { id, epoch }))
    }

    /// Turns the whole answer of a request into what is sent.
    pub fn end(&mut self, now: Instant, used: SessionUse, mut response: FetchResponse) -> FetchResponse {
        match used {
            SessionUse::None => response,
            SessionUse::New { topics, is_by_id } => {
                response.session_id = self.open(now, topics, is_by_id, &response).unwrap_or(0);
                response
            }
            SessionUse::Going { id, epoch } => {
                let refused = |error: ErrorCode| FetchResponse { error_code: error.code(), ..FetchResponse::default() };
                // It may have been closed, replaced or used by another request while this one waited.
                let Some(session) = self.sessions.get_mut(&id) else { return refused(ErrorCode::FetchSessionIdNotFound) };
                if session.epoch != epoch {
                    return refused(ErrorCode::InvalidFetchSessionEpoch);
                }
                for topic in &mut response.responses {
                    topic.partitions.retain(|part| session.has_news(&topic.topic, topic.topic_id, part));
                }
                response.responses.retain(|topic| !topic.partitions.is_empty());
                response.session_id = id;
                response
            }
        }
    }

    /// Opens a session if there is room for it.
    fn open(&mut self, now: Instant, topics: Vec<request::Topics>, is_by_id: bool, response: &FetchResponse) -> Option<i32> {
        let mut session = Session {
            epoch: next_epoch(EPOCH_INITIAL),
            is_by_id,
            created: now,
            used: now,
            partitions: BTreeMap::new(),
            order: BTreeMap::new(),
            place_next: 0,
        };
        for topic in topics {
            for asked in topic.partitions {
                session.put((topic.topic.clone(), topic.topic_id, asked.partition), asked);
            }
        }
        let size = session.partitions.len();
        if !self.make_room(now, size) {
            return None;
        }
        for topic in &response.responses {
            for part in &topic.partitions {
                session.told(&topic.topic, topic.topic_id, part);
            }
        }
        let id = self.free_id();
        self.partitions += size;
        self.sessions.insert(id, session);
        Some(id)
    }

    /// Whether a session of `size` partitions may be added, perhaps in the place of another.
    fn make_room(&mut self, now: Instant, size: usize) -> bool {
        if self.slots_max == 0 || self.partitions + size > FETCH_SESSION_PARTITIONS_MAX {
            return false;
        }
        if self.sessions.len() < self.slots_max {
            return true;
        }
        let is_old = |since: Instant| now.since_us(since) > EVICTION_MS * 1000;
        let stale = self.sessions.iter().filter(|(_, s)| is_old(s.used)).min_by_key(|(id, s)| (s.used, **id));
        let smaller = || {
            let old = self.sessions.iter().filter(|(_, s)| is_old(s.created) && s.partitions.len() < size);
            old.min_by_key(|(id, s)| (s.partitions.len(), **id))
        };
        let Some(id) = stale.or_else(smaller).map(|(id, _)| *id) else { return false };
        self.remove(id);
        true
    }

    fn free_id(&mut self) -> i32 {
        loop {
            self.given += 1;
            let bits = keyed(self.seed, &[self.given]) & 0x7fff_ffff;
            let id = i32::try_from(bits).expect("31 bits");
            if id != 0 && !self.sessions.contains_key(&id) {
                return id;
            }
        }
    }

    fn remove(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.partitions -= session.partitions.len();
        }
    }

    /// The relations between its tables.
    ///
    /// # Panics
    /// When one is broken.
    pub fn check_invariants(&self) {
        assert!(self.sessions.len() <= self.slots_max, "more fetch sessions than slots");
        let sum: usize = self.sessions.values().map(|session| session.partitions.len()).sum();
        assert_eq!(sum, self.partitions, "the partitions of fetch sessions were miscounted");
        for session in self.sessions.values() {
            assert_eq!(session.order.len(), session.partitions.len(), "a fetch session lists a partition twice");
            let is_listed = |(key, cached): (&Key, &Cached)| session.order.get(&cached.place) == Some(key);
            assert!(session.partitions.iter().all(is_listed), "a fetch session's list and table disagree");
        }
    }
}

impl Session {
    /// Adds a partition, or moves its position.
    fn put(&mut self, key: Key, asked: request::Partitions) {
        if let Some(cached) = self.partitions.get_mut(&key) {
            cached.asked = asked;
            return;
        }
        self.order.insert(self.place_next, key.clone());
        self.partitions.insert(key, Cached { place: self.place_next, asked, high_watermark: -1, log_start: -1 });
        self.place_next += 1;
    }

    fn forget(&mut self, key: &Key) {
        if let Some(cached) = self.partitions.remove(key) {
            self.order.remove(&cached.place);
        }
    }

    /// All partitions as a request names them, in the order of the list.
    fn topics(&self) -> Vec<request::Topics> {
        let mut topics: Vec<request::Topics> = Vec::new();
        for key in self.order.values() {
            let (topic, topic_id, _) = key;
            if topics.last().is_none_or(|last| last.topic != *topic || last.topic_id != *topic_id) {
                topics.push(request::Topics { topic: topic.clone(), topic_id: *topic_id, partitions: Vec::new() });
            }
            let last = topics.last_mut().expect("pushed above");
            last.partitions.push(self.partitions[key].asked.clone());
        }
        topics
    }

    /// Notes what is told of a partition; `None` if it is not in the session.
    fn told(&mut self, topic: &Text, topic_id: Uuid, part: &response::Partitions) -> Option<bool> {
        let cached = self.partitions.get_mut(&(topic.clone(), topic_id, part.partition_index))?;
        let is_failed = part.error_code != 0;
        let is_moved = part.high_watermark != cached.high_watermark || part.log_start_offset != cached.log_start;
        // When an error goes away that is news too.
        cached.high_watermark = if is_failed { -1 } else { part.high_watermark };
        cached.log_start = part.log_start_offset;
        let is_elsewhere = part.preferred_read_replica >= 0 || part.diverging_epoch != response::DivergingEpoch::default();
        Some(is_failed || is_moved || is_elsewhere)
    }

    /// Whether the consumer has to be told of a partition.
    fn has_news(&mut self, topic: &Text, topic_id: Uuid, part: &response::Partitions) -> bool {
        let Some(is_news) = self.told(topic, topic_id, part) else { return false };
        let has_records = part.records.as_ref().is_some_and(|records| !records.is_empty());
        if has_records {
            let key = (topic.clone(), topic_id, part.partition_index);
            let cached = self.partitions.get_mut(&key).expect("told of it above");
            self.order.remove(&cached.place);
            cached.place = self.place_next;
            self.order.insert(self.place_next, key);
            self.place_next += 1;
        }
        is_news || has_records
    }
}

/// Epochs count from 1 and start again after the largest.
fn next_epoch(epoch: i32) -> i32 {
    if epoch == i32::MAX { 1 } else { epoch + 1 }
}

#[cfg(test)]
#[path = "fetch_session_tests.rs"]
mod tests;
