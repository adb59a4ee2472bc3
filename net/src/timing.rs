//! [`Timing`]: how long things took: since the start as a histogram, and in the last minute or two as quantiles.
//!
//! Buckets grow by a quarter of a power of two, so a quantile is at most a quarter too high. Fixed size, no allocation after the first.
//! Knows no clock: who records says when.
//!
//! Source: the idea of HdrHistogram; Kafka's meters weigh recent values more as well, by an exponential decay.

/// Buckets per power of two.
const STEPS: usize = 4;
/// Values from 2^28 microseconds (268 s) on share the last bucket.
const BUCKETS: usize = 27 * STEPS;
/// Seconds of one of the two windows that quantiles look at.
const WINDOW_S: u64 = 60;

/// Times of one kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Timing {
    count: u64,
    sum_us: u64,
    total: Box<[u64]>,
    /// The window under way and the one before it.
    recent: [Box<[u32]>; 2],
    /// Number of the window under way.
    window: u64,
}

impl Default for Timing {
    fn default() -> Timing {
        let window = || vec![0; BUCKETS].into_boxed_slice();
        Timing { count: 0, sum_us: 0, total: vec![0; BUCKETS].into_boxed_slice(), recent: [window(), window()], window: 0 }
    }
}

impl Timing {
    /// Something took `us` microseconds; `now_s` is any clock's time in seconds, always the same clock's.
    pub fn record(&mut self, us: u64, now_s: u64) {
        self.turn(now_s);
        let bucket = bucket_of(us);
        self.count += 1;
        self.sum_us = self.sum_us.saturating_add(us);
        self.total[bucket] += 1;
        self.recent[0][bucket] = self.recent[0][bucket].saturating_add(1);
    }

    /// Forgets windows that are over.
    pub fn turn(&mut self, now_s: u64) {
        let window = now_s / WINDOW_S;
        if window <= self.window {
            return;
        }
        if window == self.window + 1 {
            self.recent.swap(0, 1);
        } else {
            self.recent[1].fill(0);
        }
        self.recent[0].fill(0);
        self.window = window;
    }

    /// How many were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Microseconds of all of them together.
    #[must_use]
    pub fn sum_us(&self) -> u64 {
        self.sum_us
    }

    /// How many of all took less than 2 to the power of `exponent` microseconds, which is 2 to 27.
    #[must_use]
    pub fn count_below(&self, exponent: u32) -> u64 {
        self.total[..bucket_of(1 << exponent)].iter().sum()
    }

    /// Microseconds below which the given share, in thousandths, of the last minute or two stayed; `None` if there were none.
    #[must_use]
    pub fn recent_us(&self, thousandths: u64) -> Option<u64> {
        let in_bucket = |bucket: usize| u64::from(self.recent[0][bucket]) + u64::from(self.recent[1][bucket]);
        let count: u64 = (0..BUCKETS).map(in_bucket).sum();
        let rank = (count * thousandths).div_ceil(1000).max(1);
        let mut seen = 0;
        (0..BUCKETS)
            .find(|bucket| {
                seen += in_bucket(*bucket);
                seen >= rank
            })
            .map(bucket_end)
    }
}

fn bucket_of(us: u64) -> usize {
    let Some(exponent) = us.checked_ilog2().filter(|exponent| *exponent >= 2) else {
        return usize::try_from(us).expect("below 4");
    };
    let step = usize::try_from((us >> (exponent - 2)) & 3).expect("two bits");
    ((exponent as usize - 1) * STEPS + step).min(BUCKETS - 1)
}

/// The first value above a bucket.
fn bucket_end(bucket: usize) -> u64 {
    let (exponent, step) = (bucket / STEPS, (bucket % STEPS) as u64);
    if exponent == 0 { step + 1 } else { (STEPS as u64 + step + 1) << (exponent - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_what_is_below_their_end_and_no_more_than_a_quarter_below() {
        for us in (0..5000).chain([1 << 20, (1 << 20) - 1, 99_999_999, (1 << 27) + 5]) {
            let end = bucket_end(bucket_of(us));
            assert!(us < end && end <= us + us / 4 + 1, "{us} in a bucket that ends at {end}");
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_of_the_last_minutes_and_sums_of_all_time() {
        let mut timing = Timing::default();
        assert_eq!(timing.recent_us(500), None);
        for us in 1..=1000 {
            timing.record(us, 59);
        }
        let median = timing.recent_us(500).expect("some");
        assert!((500..=640).contains(&median), "{median}");
        assert!((999..=1280).contains(&timing.recent_us(999).expect("some")));
        timing.record(8, 61);
        assert!(timing.recent_us(500).expect("still there") >= 500);
        timing.turn(125);
        assert_eq!(timing.recent_us(990), Some(10), "the old window is gone");
        assert_eq!((timing.count(), timing.sum_us(), timing.count_below(27)), (1001, 500_508, 1001));
        assert_eq!((timing.count_below(2), timing.count_below(9)), (3, 512));
        timing.turn(1000);
        assert_eq!(timing.recent_us(990), None);
    }
}
