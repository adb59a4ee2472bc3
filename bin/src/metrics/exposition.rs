//! [`Exposition`]: text in the format that Prometheus scrapes, version 0.0.4.
//!
//! Families are written whole, one after the other: a name is announced once with what it means, its samples follow. Values are integers or
//! written as decimals from integers; nothing is rounded.
//!
//! Source: Prometheus documentation, "Exposition formats".

use std::fmt::{Display, Write as _};

/// The content type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a family's values do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Counts below bounds.
    Histogram,
    /// Quantiles.
    Summary,
}

/// A page of metrics.
#[derive(Debug, Default)]
pub struct Exposition(String);

impl Exposition {
    /// Announces a family.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Summary => "summary",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Adds a sample.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (place, (label, text)) in labels.iter().enumerate() {
            self.0.push(if place == 0 { '{' } else { ',' });
            let _ = write!(self.0, "{label}=\"");
            for letter in text.chars() {
                match letter {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    other => self.0.push(other),
                }
            }
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    /// A family with one sample.
    pub fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// The whole text.
    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }
}

/// Microseconds as milliseconds.
#[must_use]
pub fn milliseconds(us: u64) -> String {
    format!("{}.{:03}", us / 1000, us % 1000)
}

/// Microseconds as seconds.
#[must_use]
pub fn seconds(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_prometheus() {
        let mut page = Exposition::default();
        page.single("up", Kind::Gauge, "Whether\nit is \\ up.", true as u8);
        page.family("in_total", Kind::Counter, "In.");
        page.sample("in_total", &[("topic", "a\"\\\n"), ("partition", "0")], 7);
        let expected = "# HELP up Whether\\nit is \\\\ up.\n# TYPE up gauge\nup 1\n# HELP in_total In.\n# TYPE in_total counter\n\
                        in_total{topic=\"a\\\"\\\\\\n\",partition=\"0\"} 7\n";
        assert_eq!(page.into_text(), expected);
        assert_eq!((milliseconds(1_234_005), seconds(1_234_005)), ("1234.005".to_string(), "1.234005".to_string()));
    }
}
