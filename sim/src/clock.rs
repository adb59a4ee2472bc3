//! The two clocks of one broker: a monotonic one that drifts and restarts with the process, a wall clock that may be wrong.
//!
//! Knows simulated time only as an argument. Invariant: the monotonic clock never goes back within one life.

use crate::dice::{Stream, draw};
use ottla_core::time::{Instant, Now, WallTime};

/// 2026-01-01 UTC, milliseconds: simulated time zero on a correct wall clock.
const EPOCH_MS: i64 = 1_767_225_600_000;

/// Clocks of one broker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    booted_at: u64,
    start: u64,
    /// Microseconds gained per second of simulated time, within 500.
    drift_ppm: i64,
    wall_offset_ms: i64,
}

impl Clock {
    /// Clocks as drawn for a node; exact ones when `is_exact`.
    pub(crate) fn new(seed: u64, node: u64, is_exact: bool) -> Clock {
        let mut dice = draw(seed, Stream::Clock, &[node]);
        let drift = i64::try_from(dice.below(1001)).expect("small") - 500;
        let offset = i64::try_from(dice.below(120_000)).expect("small") - 60_000;
        Clock {
            booted_at: 0,
            start: dice.below(1_000_000),
            drift_ppm: if is_exact { 0 } else { drift },
            wall_offset_ms: if is_exact { 0 } else { offset },
        }
    }

    /// The process starts anew: its monotonic clock has another origin.
    pub(crate) fn boot(&mut self, at: u64, life: u64) {
        self.booted_at = at;
        self.start = (life * 7_919) % 1_000_000;
    }

    /// The wall clock jumps.
    pub(crate) fn step_wall(&mut self, ms: i64) {
        self.wall_offset_ms = self.wall_offset_ms.saturating_add(ms);
    }

    /// The wall clock is right again.
    pub(crate) fn correct_wall(&mut self) {
        self.wall_offset_ms = 0;
    }

    /// Both clocks at simulated time `at`.
    pub(crate) fn now(&self, at: u64) -> Now {
        let elapsed = at.saturating_sub(self.booted_at);
        // Whole seconds and the rest apart: the product of both would need 128 bits, whose division is slow.
        let signed = |us: u64| i64::try_from(us).expect("runs are short");
        let gained = signed(elapsed / 1_000_000) * self.drift_ppm + signed(elapsed % 1_000_000) * self.drift_ppm / 1_000_000;
        let local = u64::try_from(signed(elapsed) + gained).expect("drift is far below one");
        let wall = EPOCH_MS + i64::try_from(at / 1000).expect("runs are short") + self.wall_offset_ms;
        Now { monotonic: Instant(self.start + local), wall: WallTime(wall.max(0)) }
    }

    /// The first simulated time at which the monotonic clock shows at least `deadline`.
    pub(crate) fn when(&self, deadline: Instant, now: u64) -> u64 {
        let local = deadline.0.saturating_sub(self.start);
        let scale = u64::try_from(1_000_000 + self.drift_ppm).expect("drift is far below one");
        // Rounding may be off by one: start a little before and walk.
        let whole = (local / scale).saturating_mul(1_000_000);
        let elapsed = whole.saturating_add((local % scale * 1_000_000).div_ceil(scale)).min(u64::MAX / 4).saturating_sub(2);
        let mut at = (self.booted_at + elapsed).max(now);
        while self.now(at).monotonic < deadline && at < u64::MAX / 8 {
            at += 1;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_reached_exactly_when_the_drifting_clock_shows_it() {
        for node in 0..50 {
            let mut clock = Clock::new(3, node, false);
            clock.boot(1_000, node);
            for ahead in [1, 7, 999, 100_000, 5_000_000] {
                let deadline = Instant(clock.now(2_000).monotonic.0 + ahead);
                let at = clock.when(deadline, 2_000);
                assert!(clock.now(at).monotonic >= deadline);
                assert!(clock.now(at - 1).monotonic < deadline, "node {node} ahead {ahead}");
            }
        }
    }
}
