//! The binary form of what is known of producers: in a snapshot, and in the file that outlives the batches it was learned from.
//!
//! Little-endian: version u32 = 1, CRC-32C u32 of all that follows, log time i64, then for each producer id i64, epoch i16, heard i64,
//! count u8 and its batches, oldest first: index u64, base offset i64, first and last sequence i32, timestamp i64.

use super::producer_table::{ProducerRules, ProducerTable};
use super::producer_window::{ProducedBatch, ProducerWindow};
use crate::ids::{Index, Offset};
use crate::limits::{BATCHES_PER_PRODUCER, PRODUCERS_PER_PARTITION_MAX};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use crc_fast::crc32_iscsi as crc32c;
use std::collections::BTreeMap;

const VERSION: u32 = 1;
const HEADER_BYTES: usize = 8;

/// The bytes of a table.
pub(crate) fn encode_producers(table: &ProducerTable) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u32_le(VERSION);
    out.put_u32_le(0);
    out.put_i64_le(table.time_ms());
    for (id, window) in table.iter() {
        let batches: Vec<&ProducedBatch> = window.newest_first().collect();
        out.put_i64_le(id);
        out.put_i16_le(window.epoch());
        out.put_i64_le(window.heard_ms());
        out.put_u8(u8::try_from(batches.len()).expect("a handful is remembered"));
        for batch in batches.into_iter().rev() {
            out.put_u64_le(batch.index.0);
            out.put_i64_le(batch.base_offset.0);
            out.put_i32_le(batch.sequence_first);
            out.put_i32_le(batch.sequence_last);
            out.put_i64_le(batch.timestamp_ms);
        }
    }
    let crc = crc32c(&out[HEADER_BYTES..]);
    out[4..8].copy_from_slice(&crc.to_le_bytes());
    out.freeze()
}

/// The table that `bytes` are; `None` for damage.
pub(crate) fn decode_producers(mut bytes: Bytes, rules: ProducerRules) -> Option<ProducerTable> {
    let input = &mut bytes;
    if input.try_get_u32_le().ok()? != VERSION || input.try_get_u32_le().ok()? != crc32c(input) {
        return None;
    }
    let time_ms = input.try_get_i64_le().ok()?;
    let mut producers = BTreeMap::new();
    while !input.is_empty() {
        let id = input.try_get_i64_le().ok()?;
        let epoch = input.try_get_i16_le().ok()?;
        let heard_ms = input.try_get_i64_le().ok()?;
        let count = usize::from(input.try_get_u8().ok()?);
        if !(1..=BATCHES_PER_PRODUCER).contains(&count) || producers.len() >= PRODUCERS_PER_PARTITION_MAX {
            return None;
        }
        let mut window = ProducerWindow::new(epoch);
        for _ in 0..count {
            let batch = ProducedBatch {
                index: Index(input.try_get_u64_le().ok()?),
                base_offset: Offset(input.try_get_i64_le().ok()?),
                sequence_first: input.try_get_i32_le().ok()?,
                sequence_last: input.try_get_i32_le().ok()?,
                timestamp_ms: input.try_get_i64_le().ok()?,
            };
            window.push(epoch, batch, heard_ms);
        }
        producers.insert(id, window);
    }
    Some(ProducerTable::found(producers, time_ms, rules))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: ProducerRules = ProducerRules { expiration_ms: 1000, producers_max: 100 };

    #[test]
    fn a_table_gives_itself_back_and_damage_is_seen() {
        let mut table = ProducerTable::new(RULES);
        for n in 0..7_i32 {
            let batch = ProducedBatch {
                index: Index(2 + u64::from(n.unsigned_abs())),
                base_offset: Offset(i64::from(n) * 3),
                sequence_first: n,
                sequence_last: n,
                timestamp_ms: i64::from(n) * 10,
            };
            table.apply(i64::from(n % 2), 4, batch);
        }
        let bytes = encode_producers(&table);
        assert_eq!(decode_producers(bytes.clone(), RULES), Some(table));
        for at in 0..bytes.len() {
            let mut bad = BytesMut::from(&bytes[..]);
            bad[at] ^= 1;
            assert_eq!(decode_producers(bad.freeze(), RULES), None, "flipped byte {at}");
            assert_eq!(decode_producers(bytes.slice(..at), RULES), None, "cut to {at}");
        }
    }
}
