//! The part of batch validation that depends on topic settings, decided by the leader right before it appends.
//!
//! [`CheckedBatch::admit`] refuses or rewrites: the client's max timestamp is replaced by the true one on a CreateTime topic and by the
//! time of append on a LogAppendTime topic, and the body is compressed anew if the topic asks for a codec of its own and that was not done
//! before (`recoding`). A batch that needs none of this is not touched, and its crc is not computed again.
//!
//! Order: size, then per record key before timestamp, then size against the segment. One timestamp error among key errors makes the whole
//! answer one of timestamps. Does not know where settings come from. Source: observed answers of Kafka 4.3.1; KIP-32, KIP-937
//! (timestamp bounds), KIP-467.

use super::batch::{BatchHeader, Codec, crc_of, set_max_timestamp, stamp_log_append_time};
use super::check::{BatchFault, CheckedBatch, RecordError, timestamp_of};
use super::compression::{compress_at, decompress_body};
use super::recoding::CodecRule;
use super::walker::{Record, Records};
use crate::time::WallTime;
use bytes::BytesMut;
use core::fmt::Display;

/// Errors told per record at most; further ones are counted only. A frame of tiny records would otherwise be answered with a
/// frame many times its size.
const RECORD_ERRORS_MAX: usize = 1000;

/// `message.timestamp.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampKind {
    /// Records carry the time the client gave them.
    CreateTime,
    /// The broker stamps the whole batch.
    LogAppendTime,
}

/// The settings of a topic that decide about a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicRules {
    /// `max.message.bytes`: bytes of the whole batch.
    pub message_bytes_max: usize,
    /// `segment.bytes`.
    pub segment_bytes: usize,
    /// `message.timestamp.type`.
    pub timestamps: TimestampKind,
    /// `message.timestamp.before.max.ms`.
    pub before_ms_max: i64,
    /// `message.timestamp.after.max.ms`.
    pub after_ms_max: i64,
    /// Whether `cleanup.policy` contains `compact`: keys are needed.
    pub is_compacted: bool,
    /// `compression.type`; `None` is `producer`: stored as it came.
    pub codec: Option<Codec>,
    /// The level for that codec, `compression.gzip.level` or `compression.zstd.level`; `None`: the codec's own default.
    pub level: Option<i32>,
}

impl TopicRules {
    /// What is told to those who check batches; `None`: they are stored as they come.
    #[must_use]
    pub fn codec_rule(&self) -> Option<CodecRule> {
        Some(CodecRule { codec: self.codec?, level: self.level, message_bytes_max: self.message_bytes_max })
    }
}

impl Default for TopicRules {
    /// Kafka 4.3's defaults.
    fn default() -> TopicRules {
        TopicRules {
            message_bytes_max: 1_048_588,
            segment_bytes: 1_073_741_824,
            timestamps: TimestampKind::CreateTime,
            before_ms_max: i64::MAX,
            after_ms_max: 3_600_000,
            is_compacted: false,
            codec: None,
            level: None,
        }
    }
}

impl CheckedBatch {
    /// Applies the topic's settings. `place` names the partition in messages (`orders-0`). Gives the time of append if the topic asks
    /// for it, which is what Produce answers as `log_append_time_ms`.
    ///
    /// # Errors
    /// The fault to tell the client; the batch is not to be written then.
    pub fn admit(&mut self, rules: &TopicRules, now: WallTime, place: &dyn Display) -> Result<Option<WallTime>, BatchFault> {
        let bytes_sent = self.recoded.map_or(self.bytes.len(), |recoded| recoded.bytes_sent);
        if bytes_sent > rules.message_bytes_max {
            return Err(BatchFault::MessageTooLarge);
        }
        if self.breaks(rules, now) {
            return Err(self.explain(rules, now, place));
        }
        if let Some(codec) = rules.codec
            && codec != self.codec()
        {
            if self.recoded.is_some_and(|recoded| recoded.codec == codec && recoded.bytes > rules.message_bytes_max) {
                return Err(BatchFault::MessageTooLarge);
            }
            // Rarely, because who checked the batch knew what the topic wants, unless that changed meanwhile.
            let other = self.compressed_anew(codec, rules.level);
            self.replace(other);
        }
        if self.bytes.len() > rules.message_bytes_max {
            return Err(BatchFault::MessageTooLarge);
        }
        if self.bytes.len() > rules.segment_bytes {
            return Err(BatchFault::SegmentTooSmall);
        }
        match rules.timestamps {
            TimestampKind::LogAppendTime => {
                stamp_log_append_time(&mut self.bytes, now.0);
                self.reparse();
                Ok(Some(now))
            }
            TimestampKind::CreateTime => {
                if self.header.is_log_append_time() || self.header.max_timestamp != self.facts.timestamp_highest {
                    set_max_timestamp(&mut self.bytes, self.facts.timestamp_highest);
                    self.reparse();
                }
                Ok(None)
            }
        }
    }

    /// Whether some record breaks a rule, from the facts alone.
    fn breaks(&self, rules: &TopicRules, now: WallTime) -> bool {
        let is_keyless = rules.is_compacted && self.facts.null_key_first.is_some();
        let is_late_or_early = match rules.timestamps {
            TimestampKind::LogAppendTime => self.header.is_log_append_time(),
            TimestampKind::CreateTime => {
                is_outside(self.facts.timestamp_highest, rules, now)
                    || self.facts.timestamp_lowest.is_some_and(|lowest| is_outside(lowest, rules, now))
            }
        };
        is_keyless || is_late_or_early
    }

    /// Walks the records again to name each that is wrong.
    fn explain(&self, rules: &TopicRules, now: WallTime, place: &dyn Display) -> BatchFault {
        let body = decompress_body(self.codec(), &self.bytes[BatchHeader::SIZE..], self.facts.decompressed_bytes)
            .expect("the body was decompressed to this size by the check");
        let mut errors = Vec::new();
        let mut total = 0;
        let mut has_timestamp_error = false;
        for (position, record) in (0i32..).zip(Records::new(&body, self.header.record_count)) {
            let record = record.expect("the records were walked by the check");
            let message = if rules.is_compacted && record.key.is_none() {
                format!("Compacted topic cannot accept message without key in topic partition {place}")
            } else if let Some(message) = self.timestamp_error(rules, now, &record) {
                has_timestamp_error = true;
                message
            } else {
                continue;
            };
            total += 1;
            if errors.len() < RECORD_ERRORS_MAX {
                errors.push(RecordError { batch_index: position, message });
            }
        }
        if has_timestamp_error { BatchFault::Timestamps { errors } } else { BatchFault::NullKeys { total, errors } }
    }

    fn timestamp_error(&self, rules: &TopicRules, now: WallTime, record: &Record<'_>) -> Option<String> {
        let timestamp = timestamp_of(&self.header, record);
        let offset = self.header.base_offset.0.wrapping_add(i64::from(record.offset_delta));
        match rules.timestamps {
            TimestampKind::LogAppendTime => self.header.is_log_append_time().then(|| {
                let sizes = [record.key, record.value].map(|part| part.map_or(0, <[u8]>::len));
                format!(
                    "Invalid timestamp type in message DefaultRecord(offset={offset}, timestamp={timestamp}, key={} bytes, value={} bytes). \
                     Producer should not set timestamp type to LogAppendTime.",
                    sizes[0], sizes[1]
                )
            }),
            TimestampKind::CreateTime => is_outside(timestamp, rules, now).then(|| {
                let (low, high) = (now.0.saturating_sub(rules.before_ms_max), now.0.saturating_add(rules.after_ms_max));
                format!(
                    "Timestamp {timestamp} of message with offset {offset} is out of range. The timestamp should be within [{low}, {high}]"
                )
            }),
        }
    }

    /// The batch with the same records compressed with another codec.
    pub(super) fn compressed_anew(&self, codec: Codec, level: Option<i32>) -> BytesMut {
        let body = decompress_body(self.codec(), &self.bytes[BatchHeader::SIZE..], self.facts.decompressed_bytes)
            .expect("the body was decompressed to this size by the check");
        let body = compress_at(codec, level, &body);
        let mut header = self.header;
        header.attributes = (header.attributes & !0b111) | codec.bits();
        header.batch_length =
            i32::try_from(BatchHeader::SIZE - BatchHeader::PREFIX + body.len()).expect("bodies are bounded far below 2 GiB");
        let mut bytes = BytesMut::with_capacity(BatchHeader::SIZE + body.len());
        bytes.extend_from_slice(&header.to_bytes());
        bytes.extend_from_slice(&body);
        let crc = crc_of(&bytes);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// Takes other bytes for the same records.
    pub(super) fn replace(&mut self, bytes: BytesMut) {
        self.bytes = bytes;
        self.reparse();
    }

    fn reparse(&mut self) {
        self.header = BatchHeader::parse(&self.bytes).expect("our own changes leave a header");
    }
}

fn is_outside(timestamp: i64, rules: &TopicRules, now: WallTime) -> bool {
    timestamp != -1
        && (now.0.saturating_sub(timestamp) > rules.before_ms_max || timestamp.saturating_sub(now.0) > rules.after_ms_max)
}
