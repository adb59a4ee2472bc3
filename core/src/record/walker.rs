//! The records of an uncompressed batch body, one after the other, as slices of it.
//!
//! One record, all numbers zigzag varints except the first attribute byte:
//!
//! ```text
//! | length | attributes (1 byte, unused) | timestamp delta (64 bit) | offset delta | key length | key | value length | value |
//! | header count | { key length | key | value length | value } ... |
//! ```
//!
//! The length counts the bytes after itself. A negative key or value length means null, as does one of a header value; a header
//! key is never null, may repeat and is any bytes. Nothing is allocated and nothing is believed: every length is compared with
//! what is left before it is used, so hostile bytes end in a [`RecordFault`], never in a panic or a loop (each record takes at least
//! one byte).
//!
//! Does not know the batch header: timestamps and offsets are deltas here. Source: Kafka protocol guide, "Record"; the refusals are
//! those of Kafka 4.3.1's reader.

use super::varint;
use core::fmt;

/// Iterator over the records of a body.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    rest: &'a [u8],
    left: i32,
}

/// One record; slices borrow the body.
#[derive(Debug, Clone)]
pub struct Record<'a> {
    /// Its timestamp minus the base timestamp of the batch, ms.
    pub timestamp_delta: i64,
    /// Its offset minus the base offset of the batch.
    pub offset_delta: i32,
    /// Key, `None` for null.
    pub key: Option<&'a [u8]>,
    /// Value, `None` for null.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: Headers<'a>,
}

/// Headers of a record in order: key and value, raw. Keys may repeat.
#[derive(Debug, Clone)]
pub struct Headers<'a> {
    rest: &'a [u8],
    left: i32,
}

/// Why a body is not made of the records it claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordFault {
    /// The body ends before the claimed number of records.
    Cut,
    /// A number, a length or a header count inside a record makes no sense, or its parts do not fill it exactly.
    Malformed,
    /// Bytes are left after the claimed number of records.
    Trailing,
}

impl<'a> Records<'a> {
    /// Walks `count` records of `body`. A negative count is a fault at the first step.
    #[must_use]
    pub fn new(body: &'a [u8], count: i32) -> Records<'a> {
        Records { rest: body, left: count }
    }

    fn step(&mut self) -> Result<Record<'a>, RecordFault> {
        if self.rest.is_empty() {
            return Err(RecordFault::Cut);
        }
        let length = varint::take_i32(&mut self.rest).ok_or(RecordFault::Malformed)?;
        let length = usize::try_from(length).map_err(|_| RecordFault::Malformed)?;
        let (record, rest) = self.rest.split_at_checked(length).ok_or(RecordFault::Cut)?;
        self.rest = rest;
        parse(record).ok_or(RecordFault::Malformed)
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, RecordFault>;

    /// The next record. After the last one a fault if bytes are left over; after a fault nothing.
    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            if self.rest.is_empty() {
                return None;
            }
            self.rest = &[];
            return Some(Err(RecordFault::Trailing));
        }
        let record = if self.left < 0 { Err(RecordFault::Malformed) } else { self.step() };
        if record.is_ok() {
            self.left -= 1;
        } else {
            self.left = 0;
            self.rest = &[];
        }
        Some(record)
    }
}

#[inline]
fn parse(record: &[u8]) -> Option<Record<'_>> {
    let (_attributes, mut rest) = record.split_first()?;
    let timestamp_delta = varint::take_i64(&mut rest)?;
    let offset_delta = varint::take_i32(&mut rest)?;
    let key = take_nullable(&mut rest)?;
    let value = take_nullable(&mut rest)?;
    let count = varint::take_i32(&mut rest)?;
    let headers = Headers { rest, left: count };
    if count < 0 {
        return None;
    }
    for _ in 0..count {
        take_header(&mut rest)?;
    }
    rest.is_empty().then_some(Record { timestamp_delta, offset_delta, key, value, headers })
}

#[inline]
fn take_nullable<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let Ok(length) = usize::try_from(varint::take_i32(rest)?) else { return Some(None) };
    let (slice, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(Some(slice))
}

fn take_header<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], Option<&'a [u8]>)> {
    Some((take_nullable(rest)??, take_nullable(rest)?))
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            return None;
        }
        self.left -= 1;
        take_header(&mut self.rest)
    }
}

impl Headers<'_> {
    /// How many the iterator has still to give.
    #[must_use]
    pub fn left(&self) -> usize {
        usize::try_from(self.left).unwrap_or(0)
    }
}

impl fmt::Display for RecordFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordFault::Cut => write!(f, "the body ends before the claimed number of records"),
            RecordFault::Malformed => write!(f, "a record is malformed"),
            RecordFault::Trailing => write!(f, "bytes follow the claimed number of records"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // length 10: attributes 0, timestamp +1, offset 0, key "k", value "v", no headers
    const ONE: [u8; 9] = [16, 0, 2, 0, 2, b'k', 2, b'v', 0];

    fn faults(body: &[u8], count: i32) -> Vec<Result<i32, RecordFault>> {
        Records::new(body, count).map(|record| record.map(|record| record.offset_delta)).collect()
    }

    #[test]
    fn records_are_slices_of_the_body() {
        let record = Records::new(&ONE, 1).next().expect("one").expect("well formed");
        assert_eq!((record.timestamp_delta, record.key, record.value), (1, Some(&b"k"[..]), Some(&b"v"[..])));
        assert_eq!(record.key.map(<[u8]>::as_ptr), Some(ONE[5..].as_ptr()));
    }

    #[test]
    fn counts_must_fit_the_bytes() {
        assert_eq!(faults(&ONE, 1), [Ok(0)]);
        assert_eq!(faults(&ONE, 0), [Err(RecordFault::Trailing)]);
        assert_eq!(faults(&ONE, 2), [Ok(0), Err(RecordFault::Cut)]);
        assert_eq!(faults(&ONE, -1), [Err(RecordFault::Malformed)]);
        assert_eq!(faults(&[], 0), []);
        assert_eq!(faults(&ONE[..8], 1), [Err(RecordFault::Cut)]);
    }

    #[test]
    fn a_record_must_be_filled_exactly() {
        let mut longer = ONE;
        longer[8] = 2; // one header, which is not there
        assert_eq!(faults(&longer, 1), [Err(RecordFault::Malformed)]);
        longer[8] = 1; // -1 headers
        assert_eq!(faults(&longer, 1), [Err(RecordFault::Malformed)]);
        assert_eq!(faults(&[18, 0, 2, 0, 2, b'k', 2, b'v', 0, 0], 1), [Err(RecordFault::Malformed)], "a byte too many");
    }

    #[test]
    fn header_keys_repeat_and_are_any_bytes() {
        let body = [32, 0, 0, 0, 1, 1, 6, 2, b'h', 0, 2, b'h', 1, 2, 0xff, 2, 0xfe];
        let record = Records::new(&body, 1).next().expect("one").expect("well formed");
        assert_eq!((record.key, record.value, record.headers.left()), (None, None, 3));
        let headers: Vec<_> = record.headers.collect();
        assert_eq!(headers, [(&b"h"[..], Some(&b""[..])), (b"h", None), (&[0xff], Some(&[0xfe]))]);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..300), count: i32) {
            for record in Records::new(&body, count).flatten() {
                let _ = record.headers.collect::<Vec<_>>();
            }
        }

        #[test]
        fn damaged_records_never_panic(at in 0usize..9, byte: u8, count in -2i32..4) {
            let mut body = [ONE, ONE, ONE].concat();
            body[at] = byte;
            let seen = Records::new(&body, count).count();
            prop_assert!(seen <= 4);
        }
    }
}
