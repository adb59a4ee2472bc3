//! Time as the core knows it: an argument of every call, never read.
//!
//! Two clocks, because they fail differently. [`Instant`] only moves forward within one life of a process and drives every
//! timeout. [`WallTime`] may jump either way; it only feeds record timestamps and what users see.

/// Microseconds on this broker's monotonic clock since an arbitrary start; comparable within one life only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Instant(pub u64);

/// Milliseconds since 1970-01-01 UTC on this broker's wall clock; Kafka's timestamp unit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct WallTime(pub i64);

/// Both clocks, read once by the shell before a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// Drives timeouts.
    pub monotonic: Instant,
    /// Feeds timestamps.
    pub wall: WallTime,
}

impl Instant {
    /// `ms` milliseconds later, saturating.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Instant {
        Instant(self.0.saturating_add(ms.saturating_mul(1000)))
    }
    /// Microseconds since `earlier`, 0 if it is later.
    #[must_use]
    pub fn since_us(self, earlier: Instant) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
