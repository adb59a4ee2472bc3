//! How slow and how faulty a disk is.

/// How slow and how faulty a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSettings {
    /// Microseconds until a write is in the page cache, lower bound.
    pub write_us_min: u64,
    /// Upper bound.
    pub write_us_max: u64,
    /// Microseconds of a sync, lower bound.
    pub sync_us_min: u64,
    /// Upper bound.
    pub sync_us_max: u64,
    /// Operations out of a million that stall.
    pub stall_ppm: u64,
    /// Longest stall.
    pub stall_us_max: u64,
    /// Syncs out of a million that fail.
    pub sync_failure_ppm: u64,
}

impl DiskSettings {
    /// A disk without faults.
    #[must_use]
    pub fn calm() -> DiskSettings {
        DiskSettings {
            write_us_min: 10,
            write_us_max: 50,
            sync_us_min: 100,
            sync_us_max: 800,
            stall_ppm: 0,
            stall_us_max: 0,
            sync_failure_ppm: 0,
        }
    }
}
