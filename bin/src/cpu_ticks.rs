//! CPU time of a process as the kernel tells it: `/proc/<pid>/stat`.

/// Units of `utime` and `stime` in a second: `USER_HZ`, 100 on every Linux we know.
pub const TICKS_PER_SECOND: u32 = 100;

/// `utime` + `stime`, fields 14 and 15. The second field is the program's name in parentheses and may contain anything. `None` if the text
/// has another form.
#[must_use]
pub fn ticks_of(stat: &str) -> Option<u64> {
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
}
