//! CPU time of other processes of this machine, as the kernel counts it.

use super::super::Failed;
use crate::cpu_ticks::{TICKS_PER_SECOND, ticks_of};

/// CPU seconds that these processes have used so far, all threads, user and system.
///
/// # Errors
/// When one is not there.
pub fn seconds(pids: &[u32]) -> Result<f64, Failed> {
    let mut ticks = 0;
    for pid in pids {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        let stat = stat.map_err(|error| Failed(format!("process {pid} can't be watched: {error}")))?;
        ticks += ticks_of(&stat).ok_or_else(|| Failed(format!("process {pid}: the kernel says something new: {stat}")))?;
    }
    #[expect(clippy::cast_precision_loss, reason = "hundredths of seconds of CPU time are far below 2^52")]
    let seconds = ticks as f64 / f64::from(TICKS_PER_SECOND);
    Ok(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_can_be_watched() {
        assert!(seconds(&[std::process::id()]).expect("it runs") >= 0.0);
        assert!(seconds(&[u32::MAX]).is_err());
    }
}
