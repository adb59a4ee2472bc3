//! What a person reads on stderr while a broker runs.
//!
//! Lines are written by a thread of their own, so that a slow terminal never delays a broker; when it falls too far behind, lines are
//! dropped and counted.

use slog::{Drain, Logger, o};

/// Keeps the thread; dropped last, it writes what is left.
pub struct Logs {
    _thread: slog_async::AsyncGuard,
}

/// The log of a broker, from `level` up.
pub fn start(level: slog::Level) -> (Logger, Logs) {
    let decorator = slog_term::TermDecorator::new().stderr().build();
    let format = slog_term::FullFormat::new(decorator).use_utc_timestamp().build().fuse();
    let (drain, guard) = slog_async::Async::new(format).chan_size(4096).build_with_guard();
    (Logger::root(slog::LevelFilter::new(drain, level).fuse(), o!()), Logs { _thread: guard })
}
