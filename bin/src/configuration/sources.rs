//! [`Sources`]: the places a configuration comes from.

use super::{Entry, Finding, Layers, Origin, environment, java_properties, toml_file};
use std::path::{Path, PathBuf};

/// The places, the weakest first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sources {
    /// A file: TOML if its name ends in `.toml`, otherwise Kafka's `.properties`.
    pub file: Option<PathBuf>,
    /// Names and values of the environment; most have nothing to do with Kafka.
    pub environment: Vec<(String, String)>,
    /// `--set`, in order.
    pub set: Vec<(String, String)>,
}

impl Sources {
    /// Those of this process. A variable that is no Unicode is nobody's setting.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>, set: Vec<(String, String)>) -> Sources {
        let text = |text: std::ffi::OsString| text.into_string().ok();
        let environment = std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect();
        Sources { file, environment, set }
    }

    /// Reads them all.
    ///
    /// # Errors
    /// The file can't be read: a sentence. What is wrong in it is among the [`Layers::faults`].
    pub fn read(&self) -> Result<Layers, String> {
        let mut layers = match &self.file {
            Some(path) => {
                let text =
                    std::fs::read_to_string(path).map_err(|error| format!("{} can't be read: {error}.", path.display()))?;
                of_text(path, &text)
            }
            None => Layers::default(),
        };
        let (entries, contradictions) = environment::parse(&self.environment);
        layers.entries.extend(entries);
        layers.faults.extend(contradictions);
        layers.entries.extend(self.set.iter().map(|(name, value)| Entry {
            name: name.clone(),
            value: value.clone(),
            origin: Origin::CommandLine,
        }));
        Ok(layers)
    }
}

fn of_text(path: &Path, text: &str) -> Layers {
    let origin = |line: usize| Origin::Line { file: path.display().to_string(), line };
    let is_toml = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
    let (lines, wrong) = if is_toml { toml_file::parse(text) } else { (java_properties::parse_lines(text), Vec::new()) };
    Layers {
        entries: lines
            .into_iter()
            .map(|line| Entry { name: line.name, value: line.value, origin: origin(line.number) })
            .collect(),
        faults: wrong.into_iter().map(|(line, sentence)| Finding::at(&origin(line), sentence)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_string(), value.to_string())
    }

    /// Every way to set one value in some of the places or in none, with both kinds of file.
    #[test]
    fn the_strongest_place_counts_and_is_named() {
        let folder = Scratch::new();
        for (file, line) in [("a.properties", "\nnum.partitions=1"), ("b.toml", "[num]\npartitions = 1")] {
            for ways in 0..8 {
                let (in_file, in_environment, is_set) = (ways & 1 > 0, ways & 2 > 0, ways & 4 > 0);
                let path = folder.path().join(file);
                std::fs::write(&path, if in_file { line } else { "" }).expect("written");
                let sources = Sources {
                    file: Some(path.clone()),
                    environment: if in_environment { vec![pair("KAFKA_NUM_PARTITIONS", "2")] } else { Vec::new() },
                    set: if is_set { vec![pair("num.partitions", "9"), pair("num.partitions", "3")] } else { Vec::new() },
                };
                let layers = sources.read().expect("readable");
                assert_eq!(layers.faults, [], "{file} {ways}");
                let got = layers.counting().get("num.partitions").map(|entry| format!("{} {}", entry.value, entry.origin));
                let expect = match (is_set, in_environment, in_file) {
                    (true, _, _) => Some("3 --set".to_string()),
                    (false, true, _) => Some("2 KAFKA_NUM_PARTITIONS".to_string()),
                    (false, false, true) => Some(format!("1 {}:2", path.display())),
                    (false, false, false) => None,
                };
                assert_eq!(got, expect, "{file} {ways}");
            }
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_told() {
        let sources = Sources { file: Some(PathBuf::from("/nowhere/a.toml")), ..Sources::default() };
        assert!(sources.read().expect_err("no file").starts_with("/nowhere/a.toml can't be read: "));
    }
}
