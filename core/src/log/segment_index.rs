//! What is known of a segment that is sealed and committed, in a file of its own: a start reads that instead of the segment.
//!
//! Binary form, little-endian: version u32 = 2, CRC-32C u32 of all that follows, length u64, greatest and first timestamp i64, hash of all entries
//! before the segment u64 and after it u64, end offset i64, last index u64, terms that begin in it (count u32, each term u64, index
//! u64, offset i64), then the rows of its sparse index to the end (each offset i64, index u64, position u64, timestamp i64, its offset i64, where its mark starts
//! u32, 2^32 - 1 for none, its CRC u32).
//!
//! Knows nothing of what the entries mean: that those which have a meaning at a start (log starts, commands, producers) are remembered elsewhere
//! is the business of who writes one. Damage is no loss: the segment is read then. Source: Kafka's `.index`, `.timeindex` and
//! `leader-epoch-checkpoint`.

use super::segment::{Mark, Row, Segment};
use crate::ids::{Index, Offset, Term};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use crc_fast::crc32_iscsi as crc32c;

const VERSION: u32 = 2;
const HEADER_BYTES: usize = 8;
const ROW_BYTES: usize = 48;
const NO_MARK: u32 = u32::MAX;

/// What is known of a sealed segment.
#[derive(Debug)]
pub(crate) struct SegmentIndex {
    /// The segment, all of it written.
    pub segment: Segment,
    /// Hash over all entries up to its last.
    pub chain: u64,
    /// Offset after it.
    pub end: Offset,
    /// Its last entry.
    pub last: Index,
    /// Terms that begin in it, with the first entry of each and the offset of the record after everything before that.
    pub terms: Vec<(Term, Index, Offset)>,
}

/// The bytes that say what is in `segment`, which ends with the entry `last`.
pub(crate) fn encode_index(
    segment: &Segment,
    chain: u64,
    end: Offset,
    last: Index,
    terms: impl Iterator<Item = (Term, Index, Offset)>,
) -> Bytes {
    let mut out = BytesMut::with_capacity(128 + segment.rows.len() * ROW_BYTES);
    out.put_u32_le(VERSION);
    out.put_u32_le(0);
    out.put_u64_le(segment.length);
    out.put_i64_le(segment.max_timestamp);
    out.put_i64_le(segment.first_timestamp);
    out.put_u64_le(segment.base_chain);
    out.put_u64_le(chain);
    out.put_i64_le(end.0);
    out.put_u64_le(last.0);
    let terms: Vec<(Term, Index, Offset)> = terms.collect();
    out.put_u32_le(u32::try_from(terms.len()).expect("terms of a segment are far fewer"));
    for (term, index, offset) in terms {
        out.put_u64_le(term.0);
        out.put_u64_le(index.0);
        out.put_i64_le(offset.0);
    }
    for row in &segment.rows {
        out.put_i64_le(row.offset.0);
        out.put_u64_le(row.index.0);
        out.put_u64_le(row.position);
        out.put_i64_le(row.max_timestamp);
        out.put_i64_le(row.max_timestamp_offset.0);
        out.put_u32_le(row.mark.map_or(NO_MARK, |mark| mark.at));
        out.put_u32_le(row.mark.map_or(0, |mark| mark.crc));
    }
    let crc = crc32c(&out[HEADER_BYTES..]);
    out[4..8].copy_from_slice(&crc.to_le_bytes());
    out.freeze()
}

/// What `bytes` say of the segment that begins there; `None` for damage.
pub(crate) fn decode_index(mut bytes: Bytes, base_offset: Offset, base_index: Index) -> Option<SegmentIndex> {
    let input = &mut bytes;
    if input.try_get_u32_le().ok()? != VERSION || input.try_get_u32_le().ok()? != crc32c(input) {
        return None;
    }
    let length = input.try_get_u64_le().ok()?;
    let (max_timestamp, first_timestamp) = (input.try_get_i64_le().ok()?, input.try_get_i64_le().ok()?);
    let (base_chain, chain) = (input.try_get_u64_le().ok()?, input.try_get_u64_le().ok()?);
    let (end, last) = (Offset(input.try_get_i64_le().ok()?), Index(input.try_get_u64_le().ok()?));
    let mut terms = Vec::new();
    for _ in 0..input.try_get_u32_le().ok()? {
        let (term, index) = (Term(input.try_get_u64_le().ok()?), Index(input.try_get_u64_le().ok()?));
        terms.push((term, index, Offset(input.try_get_i64_le().ok()?)));
    }
    let mut rows = Vec::with_capacity(input.len() / ROW_BYTES);
    while !input.is_empty() {
        rows.push(Row {
            offset: Offset(input.try_get_i64_le().ok()?),
            index: Index(input.try_get_u64_le().ok()?),
            position: input.try_get_u64_le().ok()?,
            max_timestamp: input.try_get_i64_le().ok()?,
            max_timestamp_offset: Offset(input.try_get_i64_le().ok()?),
            mark: {
                let mark = Mark { at: input.try_get_u32_le().ok()?, crc: input.try_get_u32_le().ok()? };
                Some(mark).filter(|mark| mark.at != NO_MARK)
            },
        });
    }
    let is_of_it = rows.first().is_some_and(|row| (row.offset, row.index, row.position) == (base_offset, base_index, 0));
    if !is_of_it || last < base_index || end < base_offset {
        return None;
    }
    let segment = Segment { base_offset, base_index, length, written: length, rows, max_timestamp, first_timestamp, base_chain };
    Some(SegmentIndex { segment, chain, end, last, terms })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment() -> Segment {
        let row = |offset, index, position| Row {
            offset: Offset(offset),
            index: Index(index),
            position,
            max_timestamp: 40 + offset,
            max_timestamp_offset: Offset(offset),
            mark: (offset == 7).then_some(Mark { at: 70, crc: 0xdead_beef }),
        };
        Segment {
            base_offset: Offset(7),
            base_index: Index(5),
            length: 300,
            written: 300,
            rows: vec![row(7, 5, 0), row(19, 9, 200)],
            max_timestamp: 59,
            first_timestamp: 47,
            base_chain: 3,
        }
    }

    #[test]
    fn it_gives_itself_back_and_damage_is_seen() {
        let terms = [(Term(4), Index(6), Offset(9)), (Term(5), Index(9), Offset(19))];
        let bytes = encode_index(&segment(), 11, Offset(25), Index(10), terms.into_iter());
        let found = decode_index(bytes.clone(), Offset(7), Index(5)).expect("whole");
        assert_eq!(format!("{:?}", found.segment), format!("{:?}", segment()));
        assert_eq!((found.chain, found.end, found.last), (11, Offset(25), Index(10)));
        assert_eq!(found.terms, terms);
        assert!(decode_index(bytes.clone(), Offset(7), Index(6)).is_none(), "of another segment");
        for at in 0..bytes.len() {
            let mut bad = BytesMut::from(&bytes[..]);
            bad[at] ^= 1;
            assert!(decode_index(bad.freeze(), Offset(7), Index(5)).is_none(), "flipped byte {at}");
            assert!(decode_index(bytes.slice(..at), Offset(7), Index(5)).is_none(), "cut to {at}");
        }
    }
}
