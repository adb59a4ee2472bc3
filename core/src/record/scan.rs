//! The batches of a log, each checked by itself and against the one before.
//!
//! Used by recovery, by `ottla log` and by checkers, which walk a file each in their own way. Pure, over bytes; what a fault means (a torn tail to cut, or damage to stop for) is
//! for the caller to judge.
//!
//! What the crc does not cover is covered by [`Continuity`]: the base offset must be where the last batch ended (private batches take
//! none), the epoch must not fall. Invariants after each accepted batch: `next_offset` never falls, `epoch` never falls.

use super::batch::{BatchHeader, HeaderFault, crc_of};
use crate::ids::{LeaderEpoch, Offset};
use core::fmt;

/// What the next batch of a log must continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Continuity {
    /// Where the next batch must begin.
    pub next_offset: Offset,
    /// The least epoch it may have.
    pub epoch: LeaderEpoch,
}

/// What is wrong with a batch of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanFault {
    /// No header.
    Header(HeaderFault),
    /// The batch is longer than what is left.
    Cut {
        /// Bytes of the batch.
        need: usize,
        /// Bytes that are left.
        have: usize,
    },
    /// The crc does not fit.
    Crc {
        /// In the header.
        stored: u32,
        /// Of the bytes.
        computed: u32,
    },
    /// A last offset delta that no batch has.
    LastOffsetDelta(i32),
    /// The base offset is not where the log goes on.
    Offset {
        /// Where the last batch ended.
        expected: Offset,
        /// The batch's.
        found: Offset,
    },
    /// The leader epoch is below that of an earlier batch.
    Epoch {
        /// Of an earlier batch.
        expected: LeaderEpoch,
        /// The batch's.
        found: LeaderEpoch,
    },
}

/// Checks the batch at the front of `bytes` by itself: whole, magic 2, crc.
///
/// # Errors
/// See [`ScanFault`].
pub fn verify_batch(bytes: &[u8]) -> Result<BatchHeader, ScanFault> {
    let header = BatchHeader::parse(bytes).map_err(ScanFault::Header)?;
    let need = header.total_len();
    let batch = bytes.get(..need).ok_or(ScanFault::Cut { need, have: bytes.len() })?;
    let computed = crc_of(batch);
    if computed != header.crc {
        return Err(ScanFault::Crc { stored: header.crc, computed });
    }
    if header.last_offset_delta < 0 && !header.is_private() {
        return Err(ScanFault::LastOffsetDelta(header.last_offset_delta));
    }
    Ok(header)
}

impl Continuity {
    /// A log whose next batch begins at `next_offset` and has `epoch` or a later one.
    #[must_use]
    pub fn new(next_offset: Offset, epoch: LeaderEpoch) -> Continuity {
        Continuity { next_offset, epoch }
    }

    /// Checks that the batch continues the log, and moves on behind it.
    ///
    /// # Errors
    /// [`ScanFault::Offset`], [`ScanFault::Epoch`]; the state stays as it was then.
    pub fn accept(&mut self, header: &BatchHeader) -> Result<(), ScanFault> {
        if header.base_offset != self.next_offset {
            return Err(ScanFault::Offset { expected: self.next_offset, found: header.base_offset });
        }
        if header.partition_leader_epoch < self.epoch {
            return Err(ScanFault::Epoch { expected: self.epoch, found: header.partition_leader_epoch });
        }
        self.next_offset = header.offset_end();
        self.epoch = header.partition_leader_epoch;
        Ok(())
    }
}

impl fmt::Display for ScanFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScanFault::Header(fault) => write!(f, "no batch header: {fault}"),
            ScanFault::Cut { need, have } => write!(f, "the batch has {need} bytes but {have} are left"),
            ScanFault::Crc { stored, computed } => write!(f, "the crc is {computed:08x} but the header says {stored:08x}"),
            ScanFault::LastOffsetDelta(delta) => write!(f, "the last offset delta is {delta}"),
            ScanFault::Offset { expected, found } => write!(f, "the base offset is {found}, expected {expected}"),
            ScanFault::Epoch { expected, found } => write!(f, "the leader epoch is {found}, expected {expected} or later"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, PrivateKind, encode_private, patch_offset_and_epoch};

    fn batch(base: i64, epoch: i32, records: usize) -> Vec<u8> {
        let mut builder = BatchBuilder::new();
        for n in 0..records {
            builder.push(n as i64, Some(b"k"), Some(b"v"));
        }
        let mut bytes = builder.build().to_vec();
        patch_offset_and_epoch(&mut bytes, Offset(base), LeaderEpoch(epoch));
        bytes
    }

    /// How many batches are good, where they end, and what is wrong behind them.
    fn scan(bytes: &[u8]) -> (usize, usize, Option<ScanFault>) {
        let mut continuity = Continuity::new(Offset(0), LeaderEpoch(0));
        let (mut good, mut position) = (0, 0);
        while position < bytes.len() {
            match verify_batch(&bytes[position..]).and_then(|header| continuity.accept(&header).map(|()| header)) {
                Ok(header) => (good, position) = (good + 1, position + header.total_len()),
                Err(fault) => return (good, position, Some(fault)),
            }
        }
        (good, position, None)
    }

    #[test]
    fn offsets_go_on_and_private_batches_take_none() {
        let noop = encode_private(PrivateKind::Noop, b"", Offset(2), LeaderEpoch(1));
        let log = [batch(0, 0, 2), noop.to_vec(), batch(2, 1, 3), batch(5, 1, 1)].concat();
        assert_eq!(scan(&log), (4, log.len(), None));
    }

    #[test]
    fn each_kind_of_damage_is_named_where_it_is() {
        let first = batch(0, 3, 2);
        let with = |second: Vec<u8>| scan(&[first.clone(), second].concat());
        assert_eq!(with(batch(3, 3, 1)).2, Some(ScanFault::Offset { expected: Offset(2), found: Offset(3) }));
        assert_eq!(with(batch(2, 2, 1)).2, Some(ScanFault::Epoch { expected: LeaderEpoch(3), found: LeaderEpoch(2) }));
        let cut = batch(2, 3, 1)[..65].to_vec();
        assert!(matches!(with(cut), (1, position, Some(ScanFault::Cut { have: 65, .. })) if position == first.len()));
        assert_eq!(with(vec![0; 30]).2, Some(ScanFault::Header(HeaderFault::Cut)));
        assert_eq!(with(vec![0; 100]).2, Some(ScanFault::Header(HeaderFault::Magic(0))), "a hole of zeros");
        let mut flipped = batch(2, 3, 1);
        *flipped.last_mut().expect("not empty") ^= 1;
        assert!(matches!(with(flipped).2, Some(ScanFault::Crc { .. })));
    }
}
