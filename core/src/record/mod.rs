//! Kafka v2 record batches: everything a broker must know about the bytes it stores.
//!
//! | file | what |
//! |---|---|
//! | `batch` | the 61-byte header on a byte ruler, patching in place, CRC-32C |
//! | `walker` | records of an uncompressed body as slices |
//! | `compression` | the four codecs, bounded |
//! | `check` | what a client may write, and which error it gets otherwise |
//! | `rules` | the part of that which depends on topic settings |
//! | `recoding` | which topics want a codec of their own, and compressing anew before the rules are looked at |
//! | `private` | batches of our own that take a raft index but no Kafka offset |
//! | `scan` | walking a segment, for recovery and tools |
//! | `builder` | making batches, for tools and tests |
//!
//! Deliberately does not know: partitions, producers' state, files, requests.

mod batch;
mod builder;
mod check;
mod compression;
mod private;
mod recoding;
mod rules;
mod scan;
mod varint;
mod walker;

pub use batch::{
    BatchHeader, Codec, HeaderFault, crc_of, patch_offset_and_epoch, set_max_timestamp, stamp_log_append_time, verify_crc,
};
pub use builder::{BatchBuilder, Draft};
pub use check::{BatchFault, CheckLimits, CheckedBatch, RecordError, RecordFacts, check};
pub use compression::{CompressionFault, compress, compress_at, decompress, decompress_body};
pub use private::{PrivateFault, PrivateKind, decode_private, encode_private, private_length};
pub use recoding::{CodecRule, Codecs, Recoded, TopicCodec};
pub use rules::{TimestampKind, TopicRules};
pub use scan::{Continuity, ScanFault, verify_batch};
pub use walker::{Headers, Record, RecordFault, Records};
