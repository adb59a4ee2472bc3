//! Kafka v2 record batches: header on a byte ruler, CRC-32C, walker, bounded decompression, validation, private control batches.
use crate::ids::{LeaderEpoch, Offset};
use bytes::BytesMut;

/// The 61-byte header of a v2 batch, decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Bytes after this field: total size minus 12.
    pub batch_length: i32,
    /// Leader epoch.
    pub partition_leader_epoch: LeaderEpoch,
    /// 2.
    pub magic: i8,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    /// Codec (bits 0-2), timestamp type (3), transactional (4), control (5), delete horizon (6).
    pub attributes: i16,
    /// Offset of the last record minus the base offset.
    pub last_offset_delta: i32,
    /// Timestamp of the first record, or the delete horizon.
    pub base_timestamp: i64,
    /// Greatest timestamp.
    pub max_timestamp: i64,
    /// Producer id, -1 for none.
    pub producer_id: i64,
    /// Producer epoch, -1 for none.
    pub producer_epoch: i16,
    /// Sequence of the first record, -1 for none.
    pub base_sequence: i32,
    /// Number of records.
    pub record_count: i32,
}

/// A client batch that passed validation and is still uniquely owned, so that it can be patched in place without a copy.
#[derive(Debug)]
pub struct CheckedBatch {
    /// Decoded header.
    pub header: BatchHeader,
    /// Exactly one whole batch.
    pub bytes: BytesMut,
}
