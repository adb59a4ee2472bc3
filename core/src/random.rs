//! Randomness as a function of a seed: numbered streams, and keyed draws where the order of draws could change.
//!
//! Own range reduction, so that a dependency update never re-deals old seeds. Streams are appended, never renumbered.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A seeded stream.
#[derive(Clone, Debug)]
pub struct Random(ChaCha8Rng);

impl Random {
    /// Stream number `stream` of `seed`.
    #[must_use]
    pub fn stream(seed: u64, stream: u64) -> Random {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Random(rng)
    }
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }
    /// Uniform in `0..bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        reduce(self.bits(), bound)
    }
    /// Uniform in `low..=high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below((high - low).saturating_add(1))
    }
    /// True in `numerator` of `denominator` draws.
    pub fn chance(&mut self, numerator: u64, denominator: u64) -> bool {
        self.below(denominator) < numerator
    }
    /// A random 128-bit identifier, never zero.
    pub fn id128(&mut self) -> u128 {
        (u128::from(self.bits()) << 64) | u128::from(self.bits() | 1)
    }
}

fn reduce(bits: u64, bound: u64) -> u64 {
    u64::try_from((u128::from(bits) * u128::from(bound)) >> 64).expect("the product's upper half is below the bound")
}

/// A draw that depends on its key alone: the same key gives the same bits whatever was drawn before (splitmix64 finaliser
/// over the folded key).
#[must_use]
pub fn keyed(seed: u64, key: &[u64]) -> u64 {
    let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
    for part in key {
        state = mix(state ^ part.wrapping_mul(0xff51_afd7_ed55_8ccd));
    }
    mix(state)
}

/// [`keyed`], reduced to `0..bound`.
#[must_use]
pub fn keyed_below(seed: u64, key: &[u64], bound: u64) -> u64 {
    reduce(keyed(seed, key), bound)
}

fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
