//! Makes record batches the way a client does, for tools and tests.
//!
//! Base offset 0, leader epoch -1, offsets 0 to n - 1, timestamps relative to the first record's. Does not know limits: a batch of any
//! shape can be made, whether a broker takes it is for `check` to say.

use super::batch::{BatchHeader, Codec, crc_of};
use super::compression::compress;
use super::varint;
use crate::ids::{LeaderEpoch, Offset};
use bytes::BytesMut;

/// A batch in the making.
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    codec: Codec,
    attributes: i16,
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
    base_timestamp: i64,
    max_timestamp: i64,
    count: i32,
    body: Vec<u8>,
}

/// A record to be written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Draft<'a> {
    /// ms since 1970.
    pub timestamp: i64,
    /// Key, `None` for null.
    pub key: Option<&'a [u8]>,
    /// Value, `None` for null.
    pub value: Option<&'a [u8]>,
    /// Headers; keys may repeat.
    pub headers: &'a [(&'a [u8], Option<&'a [u8]>)],
}

impl Default for BatchBuilder {
    fn default() -> BatchBuilder {
        BatchBuilder {
            codec: Codec::None,
            attributes: 0,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            base_timestamp: -1,
            max_timestamp: -1,
            count: 0,
            body: Vec::new(),
        }
    }
}

impl BatchBuilder {
    /// An empty batch without compression and producer.
    #[must_use]
    pub fn new() -> BatchBuilder {
        BatchBuilder::default()
    }

    /// Compresses the records with `codec`.
    #[must_use]
    pub fn codec(mut self, codec: Codec) -> BatchBuilder {
        self.codec = codec;
        self
    }

    /// Makes it a batch of an idempotent producer.
    #[must_use]
    pub fn producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> BatchBuilder {
        (self.producer_id, self.producer_epoch, self.base_sequence) = (id, epoch, base_sequence);
        self
    }

    /// Sets attribute bits beside those of the codec.
    #[must_use]
    pub fn attributes(mut self, bits: i16) -> BatchBuilder {
        self.attributes |= bits;
        self
    }

    /// Adds a record without headers.
    pub fn push(&mut self, timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.add(&Draft { timestamp, key, value, headers: &[] });
    }

    /// Adds a record.
    ///
    /// # Panics
    /// On parts of 2 GiB and more.
    pub fn add(&mut self, draft: &Draft<'_>) {
        if self.count == 0 {
            self.base_timestamp = draft.timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(draft.timestamp);
        let mut record = vec![0]; // attributes, unused
        varint::put_i64(&mut record, draft.timestamp.wrapping_sub(self.base_timestamp));
        varint::put_i32(&mut record, self.count);
        put_nullable(&mut record, draft.key);
        put_nullable(&mut record, draft.value);
        varint::put_i32(&mut record, length(draft.headers.len()));
        for (key, value) in draft.headers {
            put_nullable(&mut record, Some(key));
            put_nullable(&mut record, *value);
        }
        varint::put_i32(&mut self.body, length(record.len()));
        self.body.extend_from_slice(&record);
        self.count += 1;
    }

    /// Records so far.
    #[must_use]
    pub fn count(&self) -> i32 {
        self.count
    }

    /// Bytes of the records so far, before compression.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        self.body.len()
    }

    /// The whole batch, uniquely owned.
    ///
    /// # Panics
    /// On 2 GiB and more.
    #[must_use]
    pub fn build(&self) -> BytesMut {
        let compressed;
        let body = if self.codec == Codec::None {
            &self.body
        } else {
            compressed = compress(self.codec, &self.body);
            &compressed
        };
        let header = BatchHeader {
            base_offset: Offset(0),
            batch_length: length(BatchHeader::SIZE - BatchHeader::PREFIX + body.len()),
            partition_leader_epoch: LeaderEpoch::NONE,
            magic: BatchHeader::MAGIC,
            crc: 0,
            attributes: self.attributes | self.codec.bits(),
            last_offset_delta: self.count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: self.producer_id,
            producer_epoch: self.producer_epoch,
            base_sequence: self.base_sequence,
            record_count: self.count,
        };
        let mut bytes = BytesMut::with_capacity(BatchHeader::SIZE + body.len());
        bytes.extend_from_slice(&header.to_bytes());
        bytes.extend_from_slice(body);
        let crc = crc_of(&bytes);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        bytes
    }
}

fn put_nullable(out: &mut Vec<u8>, part: Option<&[u8]>) {
    match part {
        None => varint::put_i32(out, -1),
        Some(part) => {
            varint::put_i32(out, length(part.len()));
            out.extend_from_slice(part);
        }
    }
}

fn length(bytes: usize) -> i32 {
    i32::try_from(bytes).expect("parts of a batch are below 2 GiB")
}
