//! One line of a story: a verb, its objects and named options, as in `produce orders/0 records=a,b acks=all`.
//!
//! Knows the form only. An option nobody asked for is an error, so that a misspelt one can't be ignored silently.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// A parsed line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// What to do.
    pub verb: String,
    /// The words without `=`.
    pub objects: Vec<String>,
    options: BTreeMap<String, String>,
    asked: RefCell<BTreeSet<String>>,
}

impl Command {
    /// Parses a line.
    ///
    /// # Errors
    /// An empty line, an option named twice.
    pub fn parse(line: &str) -> Result<Command, String> {
        let mut words = line.split_whitespace();
        let verb = words.next().ok_or("no command")?.to_string();
        let mut command = Command { verb, objects: Vec::new(), options: BTreeMap::new(), asked: RefCell::default() };
        for word in words {
            match word.split_once('=') {
                None => command.objects.push(word.to_string()),
                Some((name, value)) => {
                    if command.options.insert(name.to_string(), value.to_string()).is_some() {
                        return Err(format!("{name} is given twice"));
                    }
                }
            }
        }
        Ok(command)
    }

    /// An option's text, if given.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&str> {
        self.asked.borrow_mut().insert(name.to_string());
        self.options.get(name).map(String::as_str)
    }

    /// An option that is a number, or `default`.
    ///
    /// # Errors
    /// Anything else.
    pub fn number<T: std::str::FromStr>(&self, name: &str, default: T) -> Result<T, String> {
        self.option(name).map_or(Ok(default), |text| text.parse().map_err(|_| format!("{name}={text} is not a number in range")))
    }

    /// Options with a dot in their name: Kafka settings.
    #[must_use]
    pub fn settings(&self) -> Vec<(String, String)> {
        let settings = self.options.iter().filter(|(name, _)| name.contains('.'));
        settings.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// The only object.
    ///
    /// # Errors
    /// None, or more than one.
    pub fn object(&self) -> Result<&str, String> {
        match self.objects.as_slice() {
            [one] => Ok(one),
            _ => Err(format!("{} takes one object", self.verb)),
        }
    }

    /// The only object as `topic/partition`.
    ///
    /// # Errors
    /// Anything else.
    pub fn place(&self) -> Result<(String, i32), String> {
        let text = self.object()?;
        let (topic, partition) = text.rsplit_once('/').ok_or(format!("{text} is not topic/partition"))?;
        Ok((topic.to_string(), partition.parse().map_err(|_| format!("{text} is not topic/partition"))?))
    }

    /// Every option must have been asked for by now.
    ///
    /// # Errors
    /// The first one that was not.
    pub fn check_all_used(&self) -> Result<(), String> {
        let asked = self.asked.borrow();
        match self.options.keys().find(|name| !name.contains('.') && !asked.contains(*name)) {
            Some(name) => Err(format!("{} has no option {name}", self.verb)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_verb_objects_and_options() {
        let command = Command::parse("produce orders/3 records=a,b acks=1 min.insync.replicas=2").expect("a good line");
        assert_eq!((command.verb.as_str(), command.place()), ("produce", Ok(("orders".to_string(), 3))));
        assert_eq!(command.number("acks", 0), Ok(1));
        assert_eq!(command.settings(), [("min.insync.replicas".to_string(), "2".to_string())]);
        assert!(command.check_all_used().is_err(), "records was not asked for");
        assert_eq!(command.option("records"), Some("a,b"));
        assert_eq!(command.check_all_used(), Ok(()));
    }

    #[test]
    fn mistakes_are_told() {
        assert!(Command::parse("fetch a/0 from=1 from=2").is_err());
        assert!(Command::parse("fetch a").expect("a line").place().is_err());
        assert!(Command::parse("fetch a/0 from=x").expect("a line").number("from", 0).is_err());
    }
}
