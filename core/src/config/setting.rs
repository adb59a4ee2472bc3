//! One setting: its name, type, default, valid range and what it does here.
//!
//! Knows nothing of where a value comes from; [`Setting::check`] says whether a text is a legal value, in Kafka's words. There are no
//! floats: the few DOUBLE settings are compared as decimal texts.
//!
//! Source: Kafka `ConfigDef` for types, their codes and the wording.

/// A line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Kafka's name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// The value if nobody set any; `None` is shown as null.
    pub default: Option<&'static str>,
    /// Can only be set at start.
    pub is_read_only: bool,
    /// For a topic setting: the broker setting that stands in for a missing override; its own name where the default has no other.
    pub synonym: Option<&'static str>,
    /// Whether this broker acts upon it; otherwise it is checked, kept and described.
    pub is_used: bool,
    doc: &'static str,
    range: Range,
}

/// Kafka's types of settings; the numbers are those of the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `true` or `false`.
    Boolean = 1,
    /// Any text (Kafka's STRING).
    Text = 2,
    /// 32 bits.
    Int = 3,
    /// 16 bits.
    Short = 4,
    /// 64 bits.
    Long = 5,
    /// A decimal.
    Double = 6,
    /// Texts with commas between them.
    List = 7,
    /// Name of a Java class.
    Class = 8,
    /// A secret: never shown.
    Password = 9,
}

#[derive(Clone, Copy, Debug)]
enum Range {
    Any,
    From(i64),
    Between(i64, i64),
    GzipLevel,
    OneOf(&'static [&'static str]),
    ThrottledReplicas,
}

/// What is said of a setting that this broker does not act upon.
const WITHOUT_EFFECT: &str = "Known to Kafka, without effect here.";
/// Why whole families of settings are not acted upon.
const FAMILIES: [(&str, &str); 8] = [
    ("group.", NO_GROUPS),
    ("offsets.", NO_GROUPS),
    ("share.", NO_GROUPS),
    ("log.cleaner.", "Compaction is not performed yet."),
    ("remote.", "There is no tiered storage."),
    ("sasl.", "There is no authentication yet."),
    ("ssl.", "There is no encryption yet."),
    ("transaction", "There are no transactions yet."),
];
const NO_GROUPS: &str = "There are no groups yet.";
/// What one line of the table writes where another writes a default.
pub(super) const NULL: &str = "\0";
pub(super) const CLEANUP: &[&str] = &["compact", "delete"];
pub(super) const COMPRESSION: &[&str] = &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];
pub(super) const TIMESTAMP_TYPE: &[&str] = &["CreateTime", "LogAppendTime"];

/// A setting that is dynamic in Kafka.
pub(super) const fn rw(name: &'static str, kind: Kind, default: &'static str) -> Setting {
    let is_null = matches!(default.as_bytes(), [0]);
    let default = if is_null { None } else { Some(default) };
    Setting { name, kind, default, is_read_only: false, synonym: None, is_used: false, doc: "", range: Range::Any }
}

/// A setting that is read at start only.
pub(super) const fn ro(name: &'static str, kind: Kind, default: &'static str) -> Setting {
    let mut setting = rw(name, kind, default);
    setting.is_read_only = true;
    setting
}

impl Kind {
    /// Kafka's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Kind::Boolean => "boolean",
            Kind::Text => "string",
            Kind::Int => "int",
            Kind::Short => "short",
            Kind::Long => "long",
            Kind::Double => "double",
            Kind::List => "list",
            Kind::Class => "class",
            Kind::Password => "password",
        }
    }
}

impl Setting {
    pub(super) const fn at_least(mut self, low: i64) -> Setting {
        self.range = Range::From(low);
        self
    }
    pub(super) const fn between(mut self, low: i64, high: i64) -> Setting {
        self.range = Range::Between(low, high);
        self
    }
    pub(super) const fn gzip_level(mut self) -> Setting {
        self.range = Range::GzipLevel;
        self
    }
    pub(super) const fn one_of(mut self, values: &'static [&'static str]) -> Setting {
        self.range = Range::OneOf(values);
        self
    }
    pub(super) const fn throttled_replicas(mut self) -> Setting {
        self.range = Range::ThrottledReplicas;
        self
    }
    pub(super) const fn synonym(mut self, broker: &'static str) -> Setting {
        self.synonym = Some(broker);
        self
    }
    /// This broker acts upon it.
    pub(super) const fn used(mut self, doc: &'static str) -> Setting {
        self.is_used = true;
        self.doc = doc;
        self
    }
    /// This broker doesn't act upon it, and why that is so.
    pub(super) const fn idle(mut self, why: &'static str) -> Setting {
        self.doc = why;
        self
    }

    /// What it does here, or that it does nothing, and if there is something to say about that, why.
    #[must_use]
    pub fn explanation(&self) -> String {
        if self.is_used {
            return self.doc.to_string();
        }
        let of_family = || FAMILIES.iter().find(|(prefix, _)| self.name.starts_with(prefix)).map(|(_, why)| *why);
        let why = Some(self.doc).filter(|why| !why.is_empty()).or_else(of_family);
        why.map_or_else(|| WITHOUT_EFFECT.to_string(), |why| format!("{WITHOUT_EFFECT} {why}"))
    }
    /// Which values are legal beyond its type; `None`: all of the type.
    #[must_use]
    pub fn range(&self) -> Option<String> {
        match self.range {
            Range::Any => None,
            Range::From(low) => Some(format!("at least {low}")),
            Range::Between(low, high) => Some(format!("{low} to {high}")),
            Range::GzipLevel => Some("1 to 9, or -1".to_string()),
            Range::OneOf(values) if self.kind == Kind::List => Some(format!("any of {}", values.join(", "))),
            Range::OneOf(values) => Some(format!("one of {}", values.join(", "))),
            Range::ThrottledReplicas => Some("partition:broker pairs, or *".to_string()),
        }
    }

    /// Its type's number on the wire.
    #[must_use]
    pub fn kind_code(&self) -> i8 {
        match self.kind {
            Kind::Boolean => 1,
            Kind::Text => 2,
            Kind::Int => 3,
            Kind::Short => 4,
            Kind::Long => 5,
            Kind::Double => 6,
            Kind::List => 7,
            Kind::Class => 8,
            Kind::Password => 9,
        }
    }
    /// Whether its value is never shown.
    #[must_use]
    pub fn is_sensitive(&self) -> bool {
        self.kind == Kind::Password
    }

    /// The value as Kafka would keep it, without blanks around it.
    ///
    /// # Errors
    /// Not a legal value: Kafka's sentence about it, for INVALID_CONFIG (40).
    pub fn check(&self, text: &str) -> Result<String, String> {
        let text = text.trim();
        let wrong = |shown: &str, why: &str| Err(format!("Invalid value {shown} for configuration {}: {why}", self.name));
        match self.kind {
            Kind::Boolean => {
                let lower = text.to_ascii_lowercase();
                if lower != "true" && lower != "false" {
                    return wrong(text, "Expected value to be either true or false");
                }
                Ok(lower)
            }
            Kind::Int | Kind::Short | Kind::Long => {
                let (low, high, word) = match self.kind {
                    Kind::Int => (i64::from(i32::MIN), i64::from(i32::MAX), "INT"),
                    Kind::Short => (i64::from(i16::MIN), i64::from(i16::MAX), "SHORT"),
                    Kind::Boolean | Kind::Text | Kind::Long | Kind::Double | Kind::List | Kind::Class | Kind::Password => {
                        (i64::MIN, i64::MAX, "LONG")
                    }
                };
                let Some(number) = text.parse::<i64>().ok().filter(|n| (low..=high).contains(n)) else {
                    return wrong(text, &format!("Not a number of type {word}"));
                };
                match self.range {
                    Range::From(low) | Range::Between(low, _) if number < low => {
                        wrong(text, &format!("Value must be at least {low}"))
                    }
                    Range::Between(_, high) if number > high => wrong(text, &format!("Value must be no more than {high}")),
                    Range::GzipLevel if number != -1 && !(1..=9).contains(&number) => {
                        wrong(text, "Value must be between 1 and 9 or equal to -1")
                    }
                    Range::Any
                    | Range::From(_)
                    | Range::Between(..)
                    | Range::GzipLevel
                    | Range::OneOf(_)
                    | Range::ThrottledReplicas => Ok(number.to_string()),
                }
            }
            Kind::Double if matches!(self.range, Range::Any) && is_scientific(text) => Ok(text.to_string()),
            Kind::Double => {
                let Some(shown) = decimal(text) else { return wrong(text, "Not a number of type DOUBLE") };
                let (whole, fraction) = shown.split_once('.').expect("decimal() always writes a point");
                let is_negative = whole.starts_with('-');
                let whole: i64 = whole.parse().unwrap_or(i64::MAX);
                let has_fraction = fraction.bytes().any(|b| b != b'0');
                match self.range {
                    Range::From(low) | Range::Between(low, _) if whole < low || (is_negative && low >= 0 && has_fraction) => {
                        wrong(&shown, &format!("Value must be at least {low}"))
                    }
                    Range::Between(_, high) if whole > high || (whole == high && has_fraction && !is_negative) => {
                        wrong(&shown, &format!("Value must be no more than {high}"))
                    }
                    Range::Any
                    | Range::From(_)
                    | Range::Between(..)
                    | Range::GzipLevel
                    | Range::OneOf(_)
                    | Range::ThrottledReplicas => Ok(shown),
                }
            }
            Kind::Text | Kind::Class | Kind::Password => match self.range {
                Range::OneOf(values) if !values.contains(&text) => {
                    wrong(text, &format!("String must be one of: {}", values.join(", ")))
                }
                Range::Any
                | Range::From(_)
                | Range::Between(..)
                | Range::GzipLevel
                | Range::OneOf(_)
                | Range::ThrottledReplicas => Ok(text.to_string()),
            },
            Kind::List => {
                let items: Vec<&str> = text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
                match self.range {
                    Range::OneOf(values) => {
                        if let Some(bad) = items.iter().find(|item| !values.contains(item)) {
                            return wrong(bad, &format!("String must be one of: {}", values.join(", ")));
                        }
                    }
                    Range::ThrottledReplicas if text != "*" => {
                        let is_pair = |item: &&str| {
                            item.split_once(':').is_some_and(|(p, b)| p.parse::<u32>().is_ok() && b.parse::<u32>().is_ok())
                        };
                        if !items.iter().all(is_pair) {
                            return wrong(text, "Must be the literal '*' or a list of partition:broker pairs");
                        }
                    }
                    Range::Any | Range::From(_) | Range::Between(..) | Range::GzipLevel | Range::ThrottledReplicas => {}
                }
                Ok(items.join(","))
            }
        }
    }
}

/// A decimal without exponent, written with a point as Java shows doubles; `None` if it is none.
fn decimal(text: &str) -> Option<String> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let sign = if text.starts_with('-') { "-" } else { "" };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    if whole.is_empty() && fraction.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let or_zero = |digits: &str| if digits.is_empty() { "0".to_string() } else { digits.to_string() };
    Some(format!("{sign}{}.{}", or_zero(whole), or_zero(fraction)))
}

/// A decimal with an exponent; legal only where any decimal is, because it is not compared with bounds.
fn is_scientific(text: &str) -> bool {
    text.split_once(['e', 'E']).is_some_and(|(mantissa, exponent)| decimal(mantissa).is_some() && exponent.parse::<i16>().is_ok())
}

#[cfg(test)]
mod tests {
    use crate::config::topic_setting;

    #[track_caller]
    fn check(name: &str, value: &str, expect: Result<&str, &str>) {
        let got = topic_setting(name).expect("known").check(value);
        assert_eq!(got.as_deref().map_err(String::as_str), expect);
    }

    #[test]
    fn create_config_bad_value() {
        check("retention.ms", "abc", Err("Invalid value abc for configuration retention.ms: Not a number of type LONG"));
        check(
            "segment.bytes",
            "9999999999",
            Err("Invalid value 9999999999 for configuration segment.bytes: Not a number of type INT"),
        );
    }

    #[test]
    fn create_config_range() {
        let name = "min.cleanable.dirty.ratio";
        check(name, "2", Err("Invalid value 2.0 for configuration min.cleanable.dirty.ratio: Value must be no more than 1"));
        check(
            name,
            "1.0001",
            Err("Invalid value 1.0001 for configuration min.cleanable.dirty.ratio: Value must be no more than 1"),
        );
        check(name, "-0.1", Err("Invalid value -0.1 for configuration min.cleanable.dirty.ratio: Value must be at least 0"));
        check(name, "1", Ok("1.0"));
        check(name, ".5", Ok("0.5"));
        check(name, "x", Err("Invalid value x for configuration min.cleanable.dirty.ratio: Not a number of type DOUBLE"));
    }

    #[test]
    fn create_config_policy() {
        check(
            "cleanup.policy",
            "shred",
            Err("Invalid value shred for configuration cleanup.policy: String must be one of: compact, delete"),
        );
        check("cleanup.policy", "", Ok(""));
        check("cleanup.policy", "delete,compact", Ok("delete,compact"));
    }

    #[test]
    fn create_config_segment() {
        check("segment.bytes", "1000", Err("Invalid value 1000 for configuration segment.bytes: Value must be at least 1048576"));
        check("segment.bytes", " 1048576 ", Ok("1048576"));
    }

    #[test]
    fn levels_booleans_and_replica_lists() {
        check("compression.gzip.level", "-1", Ok("-1"));
        check(
            "compression.gzip.level",
            "0",
            Err("Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1"),
        );
        check("preallocate", "TRUE", Ok("true"));
        check(
            "preallocate",
            "yes",
            Err("Invalid value yes for configuration preallocate: Expected value to be either true or false"),
        );
        check("leader.replication.throttled.replicas", "0:1,1:2", Ok("0:1,1:2"));
        check("leader.replication.throttled.replicas", "*", Ok("*"));
        assert!(topic_setting("leader.replication.throttled.replicas").expect("known").check("0-1").is_err());
    }
}
