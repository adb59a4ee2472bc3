//! [`Report`]: what a tool found, printed as tables for people or as one JSON object for programs.
//!
//! Written by hand instead of with a library: values are numbers, texts, flags, lists of numbers and lists of pairs, nothing nests deeper.

use std::fmt::Write as _;

/// How data is printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Format {
    /// Aligned columns.
    Table,
    /// JSON.
    Json,
}

/// One value of a row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cell {
    /// Nothing is known; `-` and `null`.
    None,
    /// A number.
    Number(i64),
    /// A text.
    Text(String),
    /// A flag; `yes` or `no`.
    Flag(bool),
    /// Numbers, such as replicas; joined by commas.
    Numbers(Vec<i32>),
    /// Names with values, such as headers, in their order; a name may come again. `[name]=[value]`, joined by commas, and objects of `key` and
    /// `value`.
    Pairs(Vec<(String, Option<String>)>),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }
}

impl From<i32> for Cell {
    fn from(number: i32) -> Cell {
        Cell::Number(i64::from(number))
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Cell {
        Cell::Number(number)
    }
}

impl From<bool> for Cell {
    fn from(flag: bool) -> Cell {
        Cell::Flag(flag)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(known: Option<T>) -> Cell {
        known.map_or(Cell::None, Into::into)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::Text(text)
    }
}

impl From<usize> for Cell {
    fn from(number: usize) -> Cell {
        Cell::Number(i64::try_from(number).expect("counts of things in memory fit"))
    }
}

/// Rows under a title.
#[derive(Debug)]
pub struct Section {
    title: &'static str,
    columns: &'static [&'static str],
    rows: Vec<Vec<Cell>>,
}

/// Everything a tool has to say.
#[derive(Debug, Default)]
pub struct Report {
    sections: Vec<Section>,
}

impl Section {
    /// An empty section.
    pub fn new(title: &'static str, columns: &'static [&'static str]) -> Section {
        Section { title, columns, rows: Vec::new() }
    }

    /// Adds a row: one cell per column.
    pub fn row(&mut self, cells: Vec<Cell>) {
        assert_eq!(cells.len(), self.columns.len(), "a row of section {} has one cell per column", self.title);
        self.rows.push(cells);
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl Report {
    /// Adds a section.
    pub fn add(&mut self, section: Section) {
        self.sections.push(section);
    }

    /// The whole text, with a line end after the last line.
    pub fn render(&self, format: Format) -> String {
        match format {
            Format::Table => self.tables(),
            Format::Json => self.json(),
        }
    }

    fn tables(&self) -> String {
        let mut out = String::new();
        for (at, section) in self.sections.iter().enumerate() {
            if at > 0 {
                out.push('\n');
            }
            let header = section.columns.iter().map(|column| column.to_uppercase()).collect();
            let mut lines: Vec<Vec<String>> = vec![header];
            lines.extend(section.rows.iter().map(|row| row.iter().map(plain).collect()));
            let width = |column: usize| lines.iter().map(|line: &Vec<String>| line[column].chars().count()).max().unwrap_or(0);
            let widths: Vec<usize> = (0..section.columns.len()).map(width).collect();
            for line in &lines {
                let padded: Vec<String> = line
                    .iter()
                    .zip(&widths)
                    .map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.chars().count())))
                    .collect();
                let _ = writeln!(out, "{}", padded.join("  ").trim_end());
            }
        }
        out
    }

    fn json(&self) -> String {
        let mut sections = Vec::new();
        for section in &self.sections {
            let rows: Vec<String> = section.rows.iter().map(|row| object(section.columns, row)).collect();
            sections.push(format!("{}:[{}]", json_text(section.title), rows.join(",")));
        }
        format!("{{{}}}\n", sections.join(","))
    }
}

/// A JSON object of one row.
pub fn object(columns: &[&str], row: &[Cell]) -> String {
    let members: Vec<String> = columns
        .iter()
        .zip(row)
        .map(|(column, cell)| format!("{}:{}", json_text(&column.replace(' ', "_")), json(cell)))
        .collect();
    format!("{{{}}}", members.join(","))
}

fn plain(cell: &Cell) -> String {
    match cell {
        Cell::None => "-".to_owned(),
        Cell::Number(number) => number.to_string(),
        Cell::Text(text) => text.clone(),
        Cell::Flag(true) => "yes".to_owned(),
        Cell::Flag(false) => "no".to_owned(),
        Cell::Numbers(numbers) if numbers.is_empty() => "-".to_owned(),
        Cell::Numbers(numbers) => join(numbers),
        Cell::Pairs(pairs) if pairs.is_empty() => "-".to_owned(),
        Cell::Pairs(pairs) => {
            let shown: Vec<String> =
                pairs.iter().map(|(key, value)| format!("{key}={}", value.as_deref().unwrap_or("-"))).collect();
            shown.join(",")
        }
    }
}

fn json(cell: &Cell) -> String {
    match cell {
        Cell::None => "null".to_owned(),
        Cell::Number(number) => number.to_string(),
        Cell::Text(text) => json_text(text),
        Cell::Flag(flag) => flag.to_string(),
        Cell::Numbers(numbers) => format!("[{}]", join(numbers)),
        Cell::Pairs(pairs) => {
            let pair = |(key, value): &(String, Option<String>)| {
                object(&["key", "value"], &[key.as_str().into(), value.as_deref().into()])
            };
            format!("[{}]", pairs.iter().map(pair).collect::<Vec<_>>().join(","))
        }
    }
}

fn join(numbers: &[i32]) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn json_text(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            control if u32::from(control) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::{Cell, Format, Report, Section};

    fn report() -> Report {
        let mut section = Section::new("topics", &["topic", "in sync", "leader"]);
        section.row(vec!["a \"quoted\"\tname".into(), Cell::Numbers(vec![1, 2]), Cell::None]);
        section.row(vec!["b".into(), Cell::Numbers(vec![]), 3i32.into()]);
        section.row(vec!["c".into(), Cell::Pairs(vec![("k".into(), Some("v\\".into())), ("k".into(), None)]), true.into()]);
        let mut report = Report::default();
        report.add(section);
        report
    }

    #[test]
    fn tables_are_aligned() {
        let expected = "TOPIC            IN SYNC   LEADER\na \"quoted\"\tname  1,2       -\nb                -         3\nc                k=v\\,k=-  yes\n";
        assert_eq!(report().render(Format::Table), expected);
    }

    #[test]
    fn json_is_escaped() {
        let expected = concat!(
            r#"{"topics":[{"topic":"a \"quoted\"\u0009name","in_sync":[1,2],"leader":null},"#,
            r#"{"topic":"b","in_sync":[],"leader":3},"#,
            r#"{"topic":"c","in_sync":[{"key":"k","value":"v\\"},{"key":"k","value":null}],"leader":true}]}"#,
            "\n"
        );
        assert_eq!(report().render(Format::Json), expected);
    }
}
