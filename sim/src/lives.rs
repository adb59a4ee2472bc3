//! Lives of topics: a topic that was deleted and created again under its name is another one, with another id and no records.
//!
//! Known by the ids that Metadata tells. Invariant: of the lives of one name at most one is neither gone nor doomed, and a life without
//! a request to delete it never makes place for another (`lost-topic`).
//!
//! Source: KIP-516.

use crate::check::watch::{Breach, breach};
use ottla_core::ids::TopicId;

/// How far the end of a life is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// Nobody asked for it.
    No,
    /// DeleteTopics was asked, the answer is not known.
    Doomed,
    /// DeleteTopics was answered: it is deleted.
    Gone,
}

/// One topic from its creation to its deletion.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Life {
    /// Place in the plan's list of topics.
    pub(crate) topic: usize,
    /// Its id.
    pub(crate) id: TopicId,
    end: End,
}

/// All lives that were seen, in the order they were seen.
#[derive(Debug, Default)]
pub(crate) struct Lives {
    lives: Vec<Life>,
}

impl Lives {
    /// A broker told of this id. Says which life it is.
    pub(crate) fn seen(&mut self, topic: usize, id: TopicId) -> Result<usize, Breach> {
        if let Some(known) = self.lives.iter().position(|life| life.id == id) {
            return Ok(known);
        }
        if let Some(other) = self.lives.iter().find(|life| life.topic == topic && life.end == End::No) {
            return breach(
                "lost-topic",
                format!(
                    "A topic is there until it is deleted, but topic {topic} has id {:x} although nobody deleted the one with id {:x}.",
                    id.0, other.id.0
                ),
            );
        }
        self.lives.push(Life { topic, id, end: End::No });
        Ok(self.lives.len() - 1)
    }

    /// A life by its number.
    pub(crate) fn get(&self, life: usize) -> &Life {
        &self.lives[life]
    }

    /// The latest life of a topic, if it is not known to be over.
    pub(crate) fn current(&self, topic: usize) -> Option<usize> {
        self.lives.iter().rposition(|life| life.topic == topic).filter(|life| !self.is_gone(*life))
    }

    /// For each topic whether it has a life.
    pub(crate) fn are_there(&self, topics: usize) -> Vec<bool> {
        (0..topics).map(|topic| self.current(topic).is_some()).collect()
    }

    /// Its deletion is asked for.
    pub(crate) fn doom(&mut self, life: usize) {
        if self.lives[life].end == End::No {
            self.lives[life].end = End::Doomed;
        }
    }

    /// Its deletion was confirmed.
    pub(crate) fn bury(&mut self, life: usize) {
        self.lives[life].end = End::Gone;
    }

    /// Whether its deletion was confirmed, or proved by a later life of its name.
    pub(crate) fn is_gone(&self, life: usize) -> bool {
        let of = &self.lives[life];
        of.end == End::Gone || self.lives[life + 1..].iter().any(|later| later.topic == of.topic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_id_needs_a_deletion() {
        let mut lives = Lives::default();
        assert_eq!(lives.seen(0, TopicId(7)), Ok(0));
        assert_eq!(lives.seen(0, TopicId(7)), Ok(0));
        assert_eq!(lives.seen(0, TopicId(8)).expect_err("it was not deleted").check, "lost-topic");
        lives.doom(0);
        assert_eq!((lives.current(0), lives.seen(0, TopicId(8))), (Some(0), Ok(1)));
        assert!(lives.is_gone(0) && lives.current(0) == Some(1));
        lives.bury(1);
        assert_eq!(lives.current(0), None);
        assert_eq!(lives.seen(0, TopicId(7)), Ok(0), "a broker that is late still tells of it");
    }
}
