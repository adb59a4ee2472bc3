//! All randomness of a run: numbered streams of one seed, and keyed draws.
//!
//! What happens to the n-th message of a link or to the n-th operation of a disk is a function of (seed, who, n) alone, so taking
//! one fault out of a plan leaves the rest of the run nearly unchanged. Knows nothing of what is drawn. Streams are appended,
//! never renumbered: a renumbering would re-deal every pinned seed.

use ottla_core::random::keyed;

/// Who draws.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stream {
    /// Cluster shape and settings.
    Swarm = 1,
    /// The list of fault events.
    Faults = 2,
    /// Delay, loss and duplication per link.
    Net = 3,
    /// Latency of operations and what a crash keeps.
    Disk = 4,
    /// Offset and drift of clocks.
    Clock = 5,
    /// Order of outputs, delay of rounds.
    Schedule = 6,
    /// Crashes in the middle of a round.
    Buggify = 8,
    /// Seeds handed to the brokers.
    Broker = 9,
    /// When judges look at what costs more.
    Checks = 10,
}

impl Stream {
    /// The number that goes into keys and into `Random::stream`.
    pub(crate) fn number(self) -> u64 {
        match self {
            Stream::Swarm => 1,
            Stream::Faults => 2,
            Stream::Net => 3,
            Stream::Disk => 4,
            Stream::Clock => 5,
            Stream::Schedule => 6,
            Stream::Buggify => 8,
            Stream::Broker => 9,
            Stream::Checks => 10,
        }
    }
}

/// A draw that depends on its key alone.
pub(crate) fn draw(seed: u64, stream: Stream, key: &[u64]) -> Draw {
    Draw(keyed(seed ^ stream.number().wrapping_mul(0xa076_1d64_78bd_642f), key))
}

/// 64 keyed bits, to be spent once or split with [`Draw::next`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw(u64);

impl Draw {
    /// Further bits from the same key.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// Uniform in `0..bound`; 0 when `bound` is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        u64::try_from((u128::from(self.next()) * u128::from(bound)) >> 64).expect("below the bound")
    }
    /// Uniform in `low..=high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }
    /// True in `ppm` of a million draws.
    pub(crate) fn ppm(&mut self, ppm: u64) -> bool {
        ppm > 0 && self.below(1_000_000) < ppm
    }
    /// Roughly log-uniform in `low..=high`, both above 0: every doubling is equally likely.
    pub(crate) fn log_between(&mut self, low: u64, high: u64) -> u64 {
        let doublings = (high / low.max(1)).max(1).ilog2();
        let shift = self.below(u64::from(doublings) + 1);
        let base = low << shift;
        self.between(base, base.saturating_mul(2).min(high).max(base))
    }
    /// Exponentially distributed with this mean, to within a twentieth; without floating point, which is not the same everywhere.
    pub(crate) fn exponential(&mut self, mean: u64) -> u64 {
        let bits = self.next() | 1;
        let zeros = bits.leading_zeros();
        // Halvings of a draw in (0, 1): whole ones, and between them a straight line.
        let fraction = u128::from(bits << zeros << 1) >> 32;
        let halvings = (u128::from(zeros + 1) << 32) - fraction;
        let nanos = u128::from(mean) * halvings * 693 / 1_000;
        u64::try_from(nanos >> 32).expect("64 halvings at most")
    }
    /// One of a slice.
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let n = u64::try_from(from.len()).expect("small");
        &from[usize::try_from(self.below(n)).expect("below a length")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_depends_on_its_key_alone() {
        let first: Vec<u64> = (0..4).map(|n| draw(7, Stream::Net, &[1, 2, n]).next()).collect();
        let again = draw(7, Stream::Net, &[1, 2, 3]).next();
        assert_eq!(first[3], again);
        assert_ne!(first[0], first[1]);
        assert_ne!(draw(7, Stream::Net, &[1]).next(), draw(7, Stream::Disk, &[1]).next());
    }

    #[test]
    fn exponential_draws_have_their_mean_and_a_tail() {
        let draws: Vec<u64> = (0..20_000).map(|n| draw(3, Stream::Net, &[n]).exponential(1_000)).collect();
        let mean = draws.iter().sum::<u64>() / 20_000;
        let share = |above: u64| draws.iter().filter(|us| **us > above).count();
        assert!((950..1_050).contains(&mean), "{mean}");
        // e^-1 and e^-4 of them.
        assert!(
            (6_900..7_900).contains(&share(1_000)) && (300..450).contains(&share(4_000)),
            "{} {}",
            share(1_000),
            share(4_000)
        );
    }

    #[test]
    fn log_between_stays_in_its_range() {
        let mut d = draw(1, Stream::Swarm, &[]);
        for _ in 0..10_000 {
            let v = d.log_between(3, 1000);
            assert!((3..=1000).contains(&v), "{v}");
        }
    }
}
