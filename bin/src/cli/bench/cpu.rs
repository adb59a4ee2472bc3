//! CPU time of other processes of this machine, as the kernel counts it.

use super::super::Failed;

/// Units of `utime` and `stime` in a second: `USER_HZ`, 100 on every Linux we know.
const TICKS_PER_SECOND: f64 = 100.0;

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
    let seconds = ticks as f64 / TICKS_PER_SECOND;
    Ok(seconds)
}

/// `utime` + `stime`, fields 14 and 15. The second field is the program's name in parentheses and may contain anything.
fn ticks_of(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_contain_anything() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 7 5 0 0 20 0 1 0 100 0 0";
        assert_eq!(ticks_of(stat), Some(12));
        assert_eq!(ticks_of("nonsense"), None);
    }

    #[test]
    fn this_process_can_be_watched() {
        assert!(seconds(&[std::process::id()]).expect("it runs") >= 0.0);
        assert!(seconds(&[u32::MAX]).is_err());
    }
}
