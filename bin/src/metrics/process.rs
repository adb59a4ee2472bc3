//! [`ProcessMetrics`]: what the kernel says of this process, under the names that Prometheus' own clients use.

use super::exposition::{Exposition, Kind};
use crate::cpu_ticks::{TICKS_PER_SECOND, ticks_of};
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

/// This process at one moment; what the kernel does not say is left out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProcessMetrics {
    cpu_ticks: Option<u64>,
    resident_bytes: Option<u64>,
    virtual_bytes: Option<u64>,
    threads: Option<u64>,
    files_open: Option<usize>,
    files_max: Option<u64>,
}

impl ProcessMetrics {
    /// Looks.
    #[must_use]
    pub fn look() -> ProcessMetrics {
        let text = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
        let status = text("status");
        let of_status = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.split_whitespace().next()?.parse().ok()
        };
        ProcessMetrics {
            cpu_ticks: ticks_of(&text("stat")),
            resident_bytes: of_status("VmRSS").map(|kib| kib * 1024),
            virtual_bytes: of_status("VmSize").map(|kib| kib * 1024),
            threads: of_status("Threads"),
            files_open: fs::read_dir("/proc/self/fd").ok().map(Iterator::count),
            files_max: text("limits")
                .lines()
                .find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse().ok()),
        }
    }

    /// Adds it to a page.
    pub fn write(&self, started: SystemTime, page: &mut Exposition) {
        let start = started.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        page.single("process_start_time_seconds", Kind::Gauge, "When the process started, in seconds since 1970.", start);
        if let Some(ticks) = self.cpu_ticks {
            let in_a_second = u64::from(TICKS_PER_SECOND);
            let seconds = format!("{}.{:02}", ticks / in_a_second, ticks % in_a_second);
            page.single("process_cpu_seconds_total", Kind::Counter, "CPU time of all threads, user and system.", seconds);
        }
        let gauges = [
            ("process_resident_memory_bytes", "Memory in RAM.", self.resident_bytes),
            ("process_virtual_memory_bytes", "Memory that is mapped.", self.virtual_bytes),
            ("process_threads", "Threads.", self.threads),
            ("process_open_fds", "Open files and sockets.", self.files_open.map(|count| count as u64)),
            ("process_max_fds", "Files and sockets that may be open.", self.files_max),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                page.single(name, Kind::Gauge, help, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_everything_of_this_process() {
        let seen = ProcessMetrics::look();
        assert!(seen.cpu_ticks.is_some() && seen.files_open > Some(2) && seen.files_max > Some(2), "{seen:?}");
        assert!(
            seen.resident_bytes > Some(100_000) && seen.virtual_bytes > seen.resident_bytes && seen.threads > Some(0),
            "{seen:?}"
        );
        let mut page = Exposition::default();
        seen.write(SystemTime::now(), &mut page);
        assert_eq!(page.into_text().lines().filter(|line| !line.starts_with('#')).count(), 7);
    }
}
