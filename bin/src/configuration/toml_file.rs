//! Settings in TOML: Kafka's dotted names, quoted or as nested tables, which are the same.
//!
//! Arrays are Kafka's lists with commas. A name that is also the beginning of others (`log.dir` and `log.dir.failure.timeout.ms`) can't
//! be a table and a value at once; one of them is quoted then.

use super::java_properties::Line;
use toml::de::{DeTable, DeValue};

/// What is wrong, with the number of its line (the first is 1).
pub type Wrong = (usize, String);

/// All settings of a text, in the order of their lines, and all that is wrong in it.
#[must_use]
pub fn parse(text: &str) -> (Vec<Line>, Vec<Wrong>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let number = |error: &toml::de::Error| number_at(text, error.span().map_or(0, |span| span.start));
    let mut wrong: Vec<Wrong> = errors.iter().map(|error| (number(error), format!("{}.", error.message()))).collect();
    // One slip of the pen confuses a parser more than once: of a line the first complaint is enough.
    wrong.sort_by_key(|(number, _)| *number);
    wrong.dedup_by_key(|(number, _)| *number);
    if !wrong.is_empty() {
        return (Vec::new(), wrong);
    }
    let mut found = Vec::new();
    walk(text, "", table.get_ref(), &mut found, &mut wrong);
    found.sort_by_key(|line| line.number);
    for (place, line) in found.iter().enumerate() {
        if let Some(earlier) = found[..place].iter().find(|earlier| earlier.name == line.name) {
            wrong.push((line.number, format!("{} is set twice, in line {} as well.", line.name, earlier.number)));
        }
    }
    wrong.sort();
    (found, wrong)
}

fn number_at(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

fn walk(text: &str, prefix: &str, table: &DeTable<'_>, found: &mut Vec<Line>, wrong: &mut Vec<Wrong>) {
    for (key, value) in table {
        let number = number_at(text, key.span().start);
        let key = key.get_ref();
        let name = if prefix.is_empty() { key.to_string() } else { format!("{prefix}.{key}") };
        match value.get_ref() {
            DeValue::Table(inner) => walk(text, &name, inner, found, wrong),
            DeValue::Array(items) => {
                let items: Option<Vec<String>> =
                    items.iter().map(|item| scalar(item.get_ref()).filter(|item| !item.contains(','))).collect();
                match items {
                    Some(items) => found.push(Line { number, name, value: items.join(",") }),
                    None => {
                        wrong.push((number, format!("{name}: a list has texts, numbers or booleans, none of them with a comma.")))
                    }
                }
            }
            other @ (DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)) => match scalar(other) {
                Some(value) => found.push(Line { number, name, value }),
                None => {
                    wrong
                        .push((number, format!("{name}: a value is a text, a number of 64 bits, a boolean or a list of those.")));
                }
            },
        }
    }
}

/// As Kafka would read it in a `.properties` file.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string()),
        DeValue::Float(number) => Some(number.as_str().to_string()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `number:name=value` of each.
    fn shown(text: &str) -> Vec<String> {
        let (found, wrong) = parse(text);
        assert_eq!(wrong, [], "{text}");
        found.into_iter().map(|line| format!("{}:{}={}", line.number, line.name, line.value)).collect()
    }

    fn wrong(text: &str) -> Vec<String> {
        parse(text).1.into_iter().map(|(number, sentence)| format!("{number}: {sentence}")).collect()
    }

    #[test]
    fn nested_tables_and_quoted_names_are_the_same() {
        for text in [
            "\n\"log.retention.ms\" = 1000",
            "\nlog.retention.ms = 1000",
            "[log]\nretention.ms = 1000",
            "[log.retention]\nms = 1_000",
            "\nlog = { retention = { ms = 0x3e8 } }",
        ] {
            assert_eq!(shown(text), ["2:log.retention.ms=1000"], "{text}");
        }
    }

    #[test]
    fn values_are_what_a_properties_file_would_say() {
        let text =
            "listeners = [\"A://:1\",\n  \"B://:2\"]\n\"a.b\" = true\nc = 0.5\nd = 1e3\ne = -7\nf = \"x,y\"\ng = [1, 2]\nh = []";
        let expect = ["1:listeners=A://:1,B://:2", "3:a.b=true", "4:c=0.5", "5:d=1e3", "6:e=-7", "7:f=x,y", "8:g=1,2", "9:h="];
        assert_eq!(shown(text), expect);
    }

    #[test]
    fn all_that_is_wrong_is_told_with_its_line() {
        let text = "a = 2026-11-21\nb = [[1]]\nc = 1\n[[d]]\ne = 1\n[f]\ng = [\"x,y\"]\nh=99999999999999999999\n[i]\nj=1";
        let found = wrong(text);
        let lines: Vec<&str> = found.iter().map(|line| line.split_once(' ').expect("a sentence").0).collect();
        assert_eq!(lines, ["1:", "2:", "4:", "7:", "8:"], "{found:?}");
        assert_eq!(wrong("a.b = 1\n\"a.b\" = 2\n"), ["2: a.b is set twice, in line 1 as well."]);
        let broken = wrong("a = 1\nb =\nc = = 3\n");
        assert!(broken.len() == 2 && broken[0].starts_with("2: ") && broken[1].starts_with("3: "), "{broken:?}");
    }
}
