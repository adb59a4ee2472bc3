//! What a broker tells people while it runs: lines on stderr, for people or as JSON.
//!
//! A line is made where it happens, so its time is true, and written by a thread of its own: whoever reads stderr slowly, or not at all,
//! never delays a broker.
//! - lines that wait ≤ [`WAITING_BYTES_MAX`]: a further one is dropped and counted; the next line that fits is preceded by one that says
//!   how many are missing, and `ottla_log_lines_dropped_total` counts them for who watches;
//! - a program that ends waits [`LAST_WORDS_MAX`] for its last lines.
//!
//! A line has `time` (RFC 3339, UTC), `level`, `message`, `component` and the fields of its event. Text from outside can't end a line or
//! steer a terminal: control characters are escaped.

use crate::configuration::{LogFormat, LogSettings, level_word};
use slog::{Drain, FnValue, LevelFilter, Logger, Never, OwnedKVList, PushFnValue, Record, o};
use slog_term::{FullFormat, PlainDecorator};
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Bytes of lines that wait to be written.
const WAITING_BYTES_MAX: usize = 1024 * 1024;
/// How long the end of the program waits for them.
const LAST_WORDS_MAX: Duration = Duration::from_secs(1);

/// Lines that were dropped since the program started.
pub type Dropped = Arc<AtomicU64>;

/// The writing thread.
#[derive(Debug)]
pub struct Logs {
    parts: Sender<Part>,
    dropped: Dropped,
}

/// What the thread takes.
enum Part {
    Line(Vec<u8>),
    /// Everything before it is written.
    End(SyncSender<()>),
}

/// Makes lines.
struct Lines {
    format: LogFormat,
    parts: Sender<Part>,
    waiting_bytes: Arc<AtomicUsize>,
    dropped: Dropped,
    /// Those of them that no line told of yet.
    untold: AtomicU64,
}

/// The log of this process, on stderr.
///
/// # Errors
/// There is no thread to write it.
pub fn start(settings: LogSettings) -> io::Result<(Logger, Logs)> {
    start_to(settings, io::stderr())
}

fn start_to(settings: LogSettings, out: impl Write + Send + 'static) -> io::Result<(Logger, Logs)> {
    let (parts, receiver) = channel();
    let (waiting_bytes, dropped) = (Arc::<AtomicUsize>::default(), Dropped::default());
    let waiting = waiting_bytes.clone();
    thread::Builder::new().name("log".to_string()).spawn(move || write(&receiver, &waiting, out))?;
    let lines = Lines {
        format: settings.format,
        parts: parts.clone(),
        waiting_bytes,
        dropped: dropped.clone(),
        untold: AtomicU64::new(0),
    };
    Ok((Logger::root(LevelFilter::new(lines, settings.level).fuse(), o!()), Logs { parts, dropped }))
}

impl Logs {
    /// Lines that were dropped; goes on counting.
    #[must_use]
    pub fn dropped(&self) -> Dropped {
        self.dropped.clone()
    }

    /// Waits, not for long, until what was said is written.
    pub fn finish(self) {
        let (done, written) = sync_channel(1);
        if self.parts.send(Part::End(done)).is_ok() {
            // Who does not read by now does not hold the program up.
            let _ = written.recv_timeout(LAST_WORDS_MAX);
        }
    }
}

fn write(parts: &Receiver<Part>, waiting_bytes: &AtomicUsize, mut out: impl Write) {
    for part in parts {
        match part {
            Part::Line(line) => {
                // Nobody is left who could be told that nobody listens.
                let _ = out.write_all(&line).and_then(|()| out.flush());
                waiting_bytes.fetch_sub(line.len(), Ordering::AcqRel);
            }
            Part::End(done) => _ = done.send(()),
        }
    }
}

impl Lines {
    /// Whether there was room for it.
    fn push(&self, line: Vec<u8>) -> bool {
        let bytes = line.len();
        if self.waiting_bytes.fetch_add(bytes, Ordering::AcqRel) + bytes > WAITING_BYTES_MAX {
            self.waiting_bytes.fetch_sub(bytes, Ordering::AcqRel);
            return false;
        }
        let _ = self.parts.send(Part::Line(line));
        true
    }

    /// The line that stands where others are missing.
    fn missing(&self, count: u64) -> Vec<u8> {
        static NO_VALUES: OnceLock<OwnedKVList> = OnceLock::new();
        let metadata = slog::record_static!(slog::Level::Warning, "");
        let fields = slog::b!("component" => "log", "dropped" => count);
        let says = format_args!("lines are missing here: stderr was not read fast enough");
        self.line(&Record::new(&metadata, &says, fields), NO_VALUES.get_or_init(|| o!().into()))
    }

    fn line(&self, record: &Record<'_>, values: &OwnedKVList) -> Vec<u8> {
        let mut line = Vec::with_capacity(256);
        // Writing into memory does not fail.
        let _ = match self.format {
            LogFormat::Human => {
                let format = FullFormat::new(PlainDecorator::new(&mut line));
                format.use_custom_timestamp(write_time).use_original_order().build().log(record, values)
            }
            LogFormat::Json => {
                let format = slog_json::Json::new(&mut line).add_key_value(o!("time" => FnValue(|_| time(SystemTime::now()))));
                let format = format.add_key_value(o!("level" => FnValue(|record: &Record<'_>| level_word(record.level()))));
                let message = PushFnValue(|record: &Record<'_>, to| to.emit(record.msg()));
                format.add_key_value(o!("message" => message)).build().log(record, values)
            }
        };
        without_controls(line)
    }
}

impl Drain for Lines {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
        let untold = self.untold.swap(0, Ordering::AcqRel);
        let mut line = if untold > 0 { self.missing(untold) } else { Vec::new() };
        line.extend(self.line(record, values));
        if !self.push(line) {
            self.dropped.fetch_add(1, Ordering::AcqRel);
            self.untold.fetch_add(untold + 1, Ordering::AcqRel);
        }
        Ok(())
    }
}

/// The line with control characters escaped, but for the end.
fn without_controls(line: Vec<u8>) -> Vec<u8> {
    let text = String::from_utf8_lossy(&line);
    let text = text.trim_end_matches('\n');
    if !text.contains(char::is_control) {
        return line;
    }
    let mut clean = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if character.is_control() {
            clean.extend(character.escape_default());
        } else {
            clean.push(character);
        }
    }
    clean.push('\n');
    clean.into_bytes()
}

fn write_time(to: &mut dyn Write) -> io::Result<()> {
    to.write_all(time(SystemTime::now()).as_bytes())
}

/// RFC 3339 with milliseconds, UTC.
fn time(now: SystemTime) -> String {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = date(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_millis()
    )
}

/// Year, month and day of a number of days since 1970, in the Gregorian calendar. A year begins in March here, so that the leap day is its
/// last one; 400 of them have always the same length.
fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_OF_400_YEARS: u64 = 146_097;
    let since_march_0000 = days + 719_468;
    let (era, day) = (since_march_0000 / DAYS_OF_400_YEARS, since_march_0000 % DAYS_OF_400_YEARS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use slog::{Level, debug, error, info, warn};
    use std::sync::{Condvar, Mutex};

    /// Takes nothing while it is shut.
    #[derive(Clone, Default)]
    struct Reader(Arc<(Mutex<Seen>, Condvar)>);

    #[derive(Default)]
    struct Seen {
        is_shut: bool,
        bytes: Vec<u8>,
    }

    impl Reader {
        fn set_shut(&self, is_shut: bool) {
            self.0.0.lock().expect("not poisoned").is_shut = is_shut;
            self.0.1.notify_all();
        }
        fn text(&self) -> String {
            String::from_utf8(self.0.0.lock().expect("not poisoned").bytes.clone()).expect("text")
        }
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let kept = self.0.0.lock().expect("not poisoned");
            let mut kept = self.0.1.wait_while(kept, |kept| kept.is_shut).expect("not poisoned");
            kept.bytes.extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn said(format: LogFormat, level: Level, say: impl FnOnce(&Logger)) -> Vec<String> {
        let reader = Reader::default();
        let (log, logs) = start_to(LogSettings { format, level }, reader.clone()).expect("a thread");
        say(&log);
        logs.finish();
        reader.text().lines().map(str::to_string).collect()
    }

    #[test]
    fn a_json_line_is_one_object_with_all_fields() {
        let lines = said(LogFormat::Json, Level::Debug, |log| {
            let log = log.new(o!("broker" => 7)).new(o!("component" => "clients"));
            info!(log, "a client \"{}\" goes", "x\ny"; "from" => "10.0.0.1:5", "bytes" => 12);
        });
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        let json: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let shown = json.as_object().expect("an object");
        let mut names: Vec<&str> = shown.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["broker", "bytes", "component", "from", "level", "message", "time"]);
        assert_eq!((json["broker"].as_i64(), json["level"].as_str()), (Some(7), Some("info")));
        assert_eq!(json["message"].as_str(), Some("a client \"x\ny\" goes"));
        assert!(line.starts_with("{\"time\":\"20") && line.contains("Z\",\"level\":\"info\",\"message\":"), "{line}");
    }

    #[test]
    fn a_human_line_begins_with_time_and_level_and_is_one_line() {
        let lines = said(LogFormat::Human, Level::Info, |log| warn!(log, "odd: {}", "a\n\u{1b}[31mb\u{9b}"; "from" => "x"));
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!(&line[10..11], "T");
        assert!(line[..24].ends_with('Z') && line[24..].starts_with(" WARN odd: a\\n\\u{1b}[31mb\\u{9b}, from: x"), "{line}");
    }

    #[test]
    fn a_level_silences_what_is_below_it() {
        for (level, count) in [(Level::Error, 1), (Level::Warning, 2), (Level::Info, 3), (Level::Debug, 4)] {
            let lines = said(LogFormat::Json, level, |log| {
                error!(log, "one");
                warn!(log, "two");
                info!(log, "three");
                debug!(log, "four");
            });
            assert_eq!(lines.len(), count, "{level}");
        }
    }

    #[test]
    fn who_does_not_read_loses_lines_and_is_told_how_many_and_nobody_waits() {
        let reader = Reader::default();
        reader.set_shut(true);
        let settings = LogSettings { format: LogFormat::Human, level: Level::Info };
        let (log, logs) = start_to(settings, reader.clone()).expect("a thread");
        let long = "x".repeat(WAITING_BYTES_MAX / 8);
        for _ in 0..20 {
            info!(log, "{}", long);
        }
        let dropped = logs.dropped().load(Ordering::Acquire);
        assert!((12..=14).contains(&dropped), "{dropped} of 20, though eight don't fit with their heads");
        reader.set_shut(false);
        let (done, written) = sync_channel(1);
        logs.parts.send(Part::End(done)).expect("the thread lives");
        written.recv().expect("it writes");
        info!(log, "after");
        logs.finish();
        let text = reader.text();
        let last: Vec<&str> = text.lines().rev().take(2).collect();
        assert!(last[0].ends_with("INFO after"), "{}", last[0]);
        assert!(
            last[1].contains("WARN lines are missing here") && last[1].contains(&format!("dropped: {dropped}")),
            "{}",
            last[1]
        );
    }

    #[test]
    fn the_end_does_not_wait_for_who_never_reads() {
        let reader = Reader::default();
        reader.set_shut(true);
        let settings = LogSettings { format: LogFormat::Human, level: Level::Info };
        let (log, logs) = start_to(settings, reader.clone()).expect("a thread");
        info!(log, "unheard");
        let began = std::time::Instant::now();
        logs.finish();
        assert!(began.elapsed() < LAST_WORDS_MAX * 20, "it waited {:?}", began.elapsed());
        assert_eq!(reader.text(), "");
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, shown) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_399, "2000-02-28T23:59:59.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (1_709_251_199, "2024-02-29T23:59:59.007Z"),
            (1_767_225_599, "2025-12-31T23:59:59.007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z"),
        ] {
            assert_eq!(time(UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 7)), shown);
        }
    }
}
