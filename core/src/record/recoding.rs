//! Which topics want a codec of their own (`compression.type`), as the tasks of connections know it.
//!
//! Compressing anew costs what no other rule of a topic costs, so it is done where batches are decoded and checked:
//! [`CheckedBatch::recode`] before the core sees the batch. The core tells what is wanted ([`crate::output::Output::Codecs`]), the shell keeps it
//! ([`Codecs`]). It is a hint and may be late: [`CheckedBatch::admit`] looks at what the topic wants at that moment.

use super::batch::Codec;
use super::check::CheckedBatch;
use crate::ids::TopicId;
use std::collections::BTreeMap;

/// What a topic wants of its batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodecRule {
    /// `compression.type`.
    pub codec: Codec,
    /// The level for it; `None`: the codec's own default.
    pub level: Option<i32>,
    /// `max.message.bytes`: what is larger, before or after, is not taken, so nothing is done for it.
    pub message_bytes_max: usize,
}

/// What a topic wants from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicCodec {
    /// Its id.
    pub topic: TopicId,
    /// Its name.
    pub name: String,
    /// `None`: batches are stored as they come, or the topic is gone.
    pub rule: Option<CodecRule>,
}

/// The topics that want a codec of their own; none in most clusters.
#[derive(Debug, Clone, Default)]
pub struct Codecs {
    topics: BTreeMap<TopicId, TopicCodec>,
    names: BTreeMap<String, TopicId>,
}

/// What was done to a batch before the rules of its topic were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recoded {
    /// Bytes of the batch as its producer sent it, which `max.message.bytes` bounds as well.
    pub bytes_sent: usize,
    /// With which codec it was compressed.
    pub codec: Codec,
    /// Bytes that came out; if they are too many the batch still is as its producer sent it.
    pub bytes: usize,
}

impl Codecs {
    /// Takes in what the core tells; the order of what is told of different topics does not matter, also when they have one name after the
    /// other.
    pub fn learn(&mut self, news: Vec<TopicCodec>) {
        for news in news {
            if news.rule.is_some() {
                self.names.insert(news.name.clone(), news.topic);
                self.topics.insert(news.topic, news);
            } else {
                self.topics.remove(&news.topic);
                if self.names.get(&news.name) == Some(&news.topic) {
                    self.names.remove(&news.name);
                }
            }
        }
    }

    /// Whether no topic wants anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// What the topic with this id wants.
    #[must_use]
    pub fn by_id(&self, topic: TopicId) -> Option<CodecRule> {
        self.topics.get(&topic)?.rule
    }

    /// What the topic with this name wants.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<CodecRule> {
        self.by_id(*self.names.get(name)?)
    }
}

impl CheckedBatch {
    /// Whether [`CheckedBatch::recode`] has something to do.
    #[must_use]
    pub fn needs(&self, rule: &CodecRule) -> bool {
        self.recoded.is_none() && self.codec() != rule.codec && self.bytes.len() <= rule.message_bytes_max
    }

    /// Compresses the batch as its topic is believed to want it. Costs as much as the batch has bytes, decompressed; not for the core's task.
    pub fn recode(&mut self, rule: &CodecRule) {
        if !self.needs(rule) {
            return;
        }
        let other = self.compressed_anew(rule.codec, rule.level);
        self.recoded = Some(Recoded { bytes_sent: self.bytes.len(), codec: rule.codec, bytes: other.len() });
        // What grew too much is refused, and need not be kept until then.
        if other.len() <= rule.message_bytes_max {
            self.replace(other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BatchBuilder, BatchFault, CheckLimits, TopicRules, check};
    use super::*;
    use crate::time::WallTime;

    const NOW: WallTime = WallTime(1_700_000_000_000);

    fn batch(codec: Codec, value: &[u8]) -> CheckedBatch {
        let mut builder = BatchBuilder::new().codec(codec);
        builder.push(NOW.0, Some(b"k"), Some(value));
        check(builder.build(), &CheckLimits::default()).expect("a good batch")
    }

    fn rule(codec: Codec) -> CodecRule {
        CodecRule { codec, level: None, message_bytes_max: 10_000 }
    }

    fn rules(codec: Option<Codec>, message_bytes_max: usize) -> TopicRules {
        TopicRules { codec, message_bytes_max, ..TopicRules::default() }
    }

    fn admit(mut batch: CheckedBatch, rules: &TopicRules) -> Result<CheckedBatch, BatchFault> {
        batch.admit(rules, NOW, &"t-0").map(|_| batch)
    }

    #[test]
    fn what_was_recoded_is_admitted_as_it_is() {
        for from in Codec::ALL {
            for to in Codec::ALL.into_iter().filter(|to| *to != from) {
                let mut recoded = batch(from, &[7; 500]);
                recoded.recode(&rule(to));
                let place = recoded.bytes.as_ptr();
                let here = admit(recoded, &rules(Some(to), 10_000)).expect("admitted");
                assert_eq!(here.bytes.as_ptr(), place, "{from:?} to {to:?}: the same bytes in the same place");
                let there = admit(batch(from, &[7; 500]), &rules(Some(to), 10_000)).expect("admitted");
                assert_eq!((&here.bytes, here.header), (&there.bytes, there.header), "{from:?} to {to:?}: as if done late");
            }
        }
    }

    #[test]
    fn a_rule_that_changed_meanwhile_counts() {
        let mut recoded = batch(Codec::Gzip, &[7; 500]);
        recoded.recode(&rule(Codec::Zstd));
        let admitted = admit(recoded, &rules(Some(Codec::Lz4), 10_000)).expect("admitted");
        assert_eq!(admitted.codec(), Codec::Lz4);
        assert_eq!(
            check(admitted.bytes, &CheckLimits::default()).expect("still good").facts,
            batch(Codec::None, &[7; 500]).facts
        );
    }

    #[test]
    fn sizes_before_and_after_count_as_if_done_late() {
        let plain = batch(Codec::None, &[7; 500]).bytes.len();
        let packed = batch(Codec::Zstd, &[7; 500]).bytes.len();
        assert!(packed < plain);
        let verdict = |from, to, known, max| {
            let late = admit(batch(from, &[7; 500]), &rules(Some(to), max)).map(|batch| batch.bytes);
            let mut early = batch(from, &[7; 500]);
            early.recode(&CodecRule { codec: to, level: None, message_bytes_max: known });
            assert_eq!(admit(early, &rules(Some(to), max)).map(|batch| batch.bytes), late, "{from:?} {to:?} {known} {max}");
            late.is_ok()
        };
        for known in [0, packed - 1, packed, plain - 1, plain, 10_000] {
            // It shrinks: what its producer sent must have had room.
            assert!(verdict(Codec::None, Codec::Zstd, known, plain));
            assert!(!verdict(Codec::None, Codec::Zstd, known, plain - 1));
            // It grows.
            assert!(verdict(Codec::Zstd, Codec::None, known, plain));
            assert!(!verdict(Codec::Zstd, Codec::None, known, plain - 1));
            assert!(!verdict(Codec::Zstd, Codec::None, known, packed - 1));
        }
    }

    #[test]
    fn what_grew_too_much_is_not_kept() {
        let mut bomb = batch(Codec::Zstd, &[0; 100_000]);
        let sent = bomb.bytes.len();
        bomb.recode(&rule(Codec::None));
        assert_eq!((bomb.bytes.len(), bomb.codec()), (sent, Codec::Zstd));
        assert!(bomb.recoded.is_some_and(|recoded| recoded.bytes > 100_000));
        assert!(!bomb.needs(&rule(Codec::None)), "once is enough");
        assert_eq!(admit(bomb, &rules(Some(Codec::None), 10_000)).err(), Some(BatchFault::MessageTooLarge));
    }

    #[test]
    fn topics_are_known_by_id_and_by_name() {
        let told = |id, rule| TopicCodec { topic: TopicId(id), name: "orders".to_string(), rule };
        let mut codecs = Codecs::default();
        codecs.learn(vec![told(1, Some(rule(Codec::Zstd)))]);
        assert_eq!((codecs.by_id(TopicId(1)), codecs.by_name("orders")), (Some(rule(Codec::Zstd)), Some(rule(Codec::Zstd))));
        // Deleted and made again, told at once and in either order.
        for news in [[told(1, None), told(2, Some(rule(Codec::Lz4)))], [told(2, Some(rule(Codec::Lz4))), told(1, None)]] {
            let mut codecs = codecs.clone();
            codecs.learn(news.to_vec());
            assert_eq!((codecs.by_id(TopicId(1)), codecs.by_name("orders")), (None, Some(rule(Codec::Lz4))));
            codecs.learn(vec![told(2, None)]);
            assert!(codecs.is_empty() && codecs.by_name("orders").is_none());
        }
    }
}
