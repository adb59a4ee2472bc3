//! The transcript of a run: a rolling 64-bit hash over everything that went in and came out, and text on demand.
//!
//! Two runs of one seed must end in the same hash. The hash covers (event number, time, node, input, outputs) with all payload
//! bytes; it knows nothing of their meaning. Not a cryptographic hash and not stable across versions of this file.

use std::fmt::Write as _;

/// A rolling hash and, if asked, the lines.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    /// Events so far.
    pub(crate) events: u64,
    is_printing: bool,
    /// Latest lines of fault events, for the paragraph of a failure.
    recent_faults: Vec<String>,
}

impl Trace {
    pub(crate) fn new(is_printing: bool) -> Trace {
        Trace { hash: 0x243f_6a88_85a3_08d3, events: 0, is_printing, recent_faults: Vec::new() }
    }

    /// The hash so far.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// Whether lines are wanted, so that nobody formats one in vain.
    pub(crate) fn is_printing(&self) -> bool {
        self.is_printing
    }

    /// Takes in a number.
    pub(crate) fn number(&mut self, n: u64) {
        self.hash = (self.hash.rotate_left(23) ^ n).wrapping_mul(0x9fb2_1c65_1e98_df25);
        self.hash ^= self.hash >> 32;
    }

    /// Takes in bytes.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.number(u64::from_le_bytes(word.try_into().expect("eight bytes")));
        }
        let mut last = [0_u8; 8];
        let rest = words.remainder();
        last[..rest.len()].copy_from_slice(rest);
        self.number(u64::from_le_bytes(last) ^ (u64::try_from(bytes.len()).expect("small") << 56));
    }

    /// Begins an event.
    pub(crate) fn event(&mut self, at: u64, node: u64, kind: u64) {
        self.events += 1;
        let events = self.events;
        self.number(events ^ (kind << 48));
        self.number(at ^ (node << 56));
    }

    /// Writes a line with virtual time.
    pub(crate) fn line(&self, at: u64, who: &str, what: &str) {
        if self.is_printing {
            println!("{} {who:<4} {what}", clock(at));
        }
    }

    /// Notes a fault, for the trace and for the paragraph of a failure.
    pub(crate) fn fault(&mut self, at: u64, what: String) {
        self.line(at, "!", &what);
        if self.recent_faults.len() == 6 {
            self.recent_faults.remove(0);
        }
        self.recent_faults.push(format!("{what} at {}", clock(at)));
    }

    /// The last faults, oldest first.
    pub(crate) fn recent_faults(&self) -> String {
        if self.recent_faults.is_empty() { "none".to_string() } else { self.recent_faults.join("; ") }
    }
}

/// Virtual time as `12.345678s`.
pub(crate) fn clock(at: u64) -> String {
    let mut text = String::new();
    write!(text, "{:>3}.{:06}s", at / 1_000_000, at % 1_000_000).expect("strings take all");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_and_the_length_count() {
        let hash = |bytes: &[u8]| {
            let mut trace = Trace::new(false);
            trace.bytes(bytes);
            trace.hash()
        };
        assert_ne!(hash(b"abcdefghi"), hash(b"abcdefghj"));
        assert_ne!(hash(b"abc\0"), hash(b"abc"));
        assert_eq!(hash(b"abc"), hash(b"abc"));
    }
}
