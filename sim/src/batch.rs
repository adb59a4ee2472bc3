//! Kafka v2 record batches as the simulated clients make and read them, written apart from the broker's own code on purpose:
//! two readings of the format that agree are worth more than one.
//!
//! One record per value, keys are null, no headers, no compression except on the way to brokers that take it off. Source: Kafka protocol, record batch layout; RFC 3720 for CRC-32C.

use bytes::{BufMut, Bytes, BytesMut};
use ottla_core::record::{Codec, compress};

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0_u32; 256]; 8];
    let mut n = 0;
    while n < 256 {
        let mut c = n as u32;
        let mut k = 0;
        while k < 8 {
            c = if c & 1 == 1 { 0x82f6_3b78 ^ (c >> 1) } else { c >> 1 };
            k += 1;
        }
        tables[0][n] = c;
        n += 1;
    }
    let mut t = 1;
    while t < 8 {
        let mut n = 0;
        while n < 256 {
            let before = tables[t - 1][n];
            tables[t][n] = tables[0][(before & 0xff) as usize] ^ (before >> 8);
            n += 1;
        }
        t += 1;
    }
    tables
}

static TABLES: [[u32; 256]; 8] = tables();

/// CRC-32C (Castagnoli), eight bytes at a time.
pub(crate) fn crc32c(data: &[u8]) -> u32 {
    let mut crc = !0_u32;
    let mut words = data.chunks_exact(8);
    for word in &mut words {
        let low = (u32::from_le_bytes([word[0], word[1], word[2], word[3]]) ^ crc).to_le_bytes();
        crc = TABLES[7][usize::from(low[0])]
            ^ TABLES[6][usize::from(low[1])]
            ^ TABLES[5][usize::from(low[2])]
            ^ TABLES[4][usize::from(low[3])]
            ^ TABLES[3][usize::from(word[4])]
            ^ TABLES[2][usize::from(word[5])]
            ^ TABLES[1][usize::from(word[6])]
            ^ TABLES[0][usize::from(word[7])];
    }
    for byte in words.remainder() {
        crc = TABLES[0][usize::from(crc.to_le_bytes()[0] ^ byte)] ^ (crc >> 8);
    }
    !crc
}

/// A batch of `values`, each `size` bytes long or as long as it must be: the value in decimal, padded.
pub(crate) fn build(values: &[u64], timestamp: i64, size: usize) -> Bytes {
    build_numbered(values, timestamp, size, (-1, -1, -1))
}

/// The same of an idempotent producer: its id, its epoch, the sequence of the first record.
pub(crate) fn build_numbered(values: &[u64], timestamp: i64, size: usize, number: (i64, i16, i32)) -> Bytes {
    let count = i32::try_from(values.len()).expect("small batches");
    let mut body = BytesMut::new();
    body.put_i16(0);
    body.put_i32(count - 1);
    body.put_i64(timestamp);
    body.put_i64(timestamp);
    body.put_i64(number.0);
    body.put_i16(number.1);
    body.put_i32(number.2);
    body.put_i32(count);
    for (delta, value) in values.iter().enumerate() {
        let digits = value.to_string();
        let mut text = "0".repeat(size.saturating_sub(digits.len()));
        text.push_str(&digits);
        let mut record = BytesMut::new();
        record.put_i8(0);
        varint(&mut record, 0);
        varint(&mut record, i64::try_from(delta).expect("small batches"));
        varint(&mut record, -1);
        varint(&mut record, i64::try_from(text.len()).expect("small values"));
        record.put_slice(text.as_bytes());
        varint(&mut record, 0);
        varint(&mut body, i64::try_from(record.len()).expect("small records"));
        body.put_slice(&record);
    }
    let mut batch = BytesMut::with_capacity(body.len() + 21);
    batch.put_i64(0);
    batch.put_i32(i32::try_from(body.len() + 9).expect("small batches"));
    batch.put_i32(-1);
    batch.put_i8(2);
    batch.put_u32(crc32c(&body));
    batch.put_slice(&body);
    batch.freeze()
}

/// The same batch as a producer that compresses sends it, with one codec or another or, now and then, none. Zstandard is for Produce from
/// version 7 on.
pub(crate) fn compressed(batch: &Bytes, version: i16) -> Bytes {
    let codecs = if version >= 7 { 5 } else { 4 };
    let bits = u16::from_be_bytes(crc_of(batch).to_be_bytes()[..2].try_into().expect("two bytes")) % codecs;
    let (header, body) = batch.split_at(61);
    let body = compress(Codec::ALL[usize::from(bits)], body);
    let mut whole = BytesMut::from(header);
    whole.put_slice(&body);
    let length = u32::try_from(whole.len() - 12).expect("small batches");
    whole[8..12].copy_from_slice(&length.to_be_bytes());
    whole[21..23].copy_from_slice(&bits.to_be_bytes());
    let crc = crc32c(&whole[21..]);
    whole[17..21].copy_from_slice(&crc.to_be_bytes());
    whole.freeze()
}

/// A record as a consumer sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RecordRead {
    /// Its offset.
    pub(crate) offset: i64,
    /// Leader epoch of its batch.
    pub(crate) epoch: i32,
    /// Its value.
    pub(crate) value: u64,
}

/// CRC field of a batch.
pub(crate) fn crc_of(batch: &[u8]) -> u32 {
    batch.get(17..21).map_or(0, |b| u32::from_be_bytes(b.try_into().expect("four bytes")))
}

/// Reads whole batches; a cut last one is left out, as clients do.
///
/// # Errors
/// A sentence about what a consumer could not make sense of.
pub(crate) fn read(data: &[u8], into: &mut Vec<RecordRead>) -> Result<(), String> {
    let mut at = 0;
    while let Some(header) = data.get(at..at + 61) {
        let base = i64::from_be_bytes(header[0..8].try_into().expect("eight bytes"));
        let length = i32::from_be_bytes(header[8..12].try_into().expect("four bytes"));
        let length = usize::try_from(length).map_err(|_| format!("batch at offset {base} has length {length}"))?;
        let Some(batch) = data.get(at..at + 12 + length) else { break };
        at += 12 + length;
        if header[16] != 2 || length < 49 {
            return Err(format!("batch at offset {base} has magic {} and length {length}", header[16]));
        }
        let crc = crc_of(batch);
        let computed = crc32c(&batch[21..]);
        if crc != computed {
            return Err(format!("batch at offset {base} has CRC {crc:08x}, its bytes have {computed:08x}"));
        }
        let epoch = i32::from_be_bytes(header[12..16].try_into().expect("four bytes"));
        let attributes = i16::from_be_bytes(header[21..23].try_into().expect("two bytes"));
        if attributes & 0x20 != 0 {
            return Err(format!("batch at offset {base} is a control batch of the broker's own and reached a client"));
        }
        let count = i32::from_be_bytes(header[57..61].try_into().expect("four bytes"));
        let mut rest = &batch[61..];
        for _ in 0..count {
            let (offset, value) =
                record(&mut rest, base).ok_or_else(|| format!("records of the batch at offset {base} end early"))?;
            into.push(RecordRead { offset, epoch, value });
        }
    }
    Ok(())
}

fn record(rest: &mut &[u8], base: i64) -> Option<(i64, u64)> {
    let length = usize::try_from(take_varint(rest)?).ok()?;
    let (mut this, after) = rest.split_at_checked(length)?;
    *rest = after;
    this = this.get(1..)?;
    take_varint(&mut this)?;
    let delta = take_varint(&mut this)?;
    take_varint(&mut this)?;
    let size = usize::try_from(take_varint(&mut this)?).ok()?;
    let text = std::str::from_utf8(this.get(..size)?).ok()?;
    Some((base + delta, text.parse().ok()?))
}

fn varint(out: &mut BytesMut, value: i64) {
    let mut zigzag = u64::from_ne_bytes(((value << 1) ^ (value >> 63)).to_ne_bytes());
    while zigzag >= 0x80 {
        out.put_u8(zigzag.to_le_bytes()[0] | 0x80);
        zigzag >>= 7;
    }
    out.put_u8(zigzag.to_le_bytes()[0]);
}

fn take_varint(from: &mut &[u8]) -> Option<i64> {
    let (mut value, mut shift) = (0_u64, 0);
    loop {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            let half = i64::try_from(value >> 1).ok()?;
            return Some(if value & 1 == 1 { -half - 1 } else { half });
        }
        shift += 7;
        if shift > 63 {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn crc_of_the_check_string() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    }

    #[test]
    fn what_is_built_is_read() {
        let batch = build(&[17, 3_000_000_000, 5], 1_000, 30);
        let mut seen = Vec::new();
        read(&batch, &mut seen).expect("well formed");
        assert_eq!(seen.iter().map(|r| (r.offset, r.value)).collect::<Vec<_>>(), vec![(0, 17), (1, 3_000_000_000), (2, 5)]);
        let mut damaged = batch.to_vec();
        damaged[70] ^= 1;
        assert!(read(&damaged, &mut Vec::new()).is_err());
        let codecs: BTreeSet<u8> = (0..50).map(|value| compressed(&build(&[value], 1_000, 30), 9)[22]).collect();
        assert_eq!(codecs, BTreeSet::from([0, 1, 2, 3, 4]));
        seen.clear();
        read(&batch[..batch.len() - 1], &mut seen).expect("a cut batch is left out");
        assert!(seen.is_empty());
    }
}
