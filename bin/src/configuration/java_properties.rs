//! The `.properties` format of Java: `name=value` lines, comments, escapes, lines that go on.
//!
//! Source: the documentation of Java's `Properties.load`.

/// A line with a setting: its number (the first is 1; of one that goes on over several lines, the first of them), name and value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// Its number.
    pub number: usize,
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}

/// All settings of a text, in order; a name may come more than once.
#[must_use]
pub fn parse_lines(text: &str) -> Vec<Line> {
    let mut found = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let mut line = line.trim_start().to_string();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        // An odd number of backslashes at the end: the next line goes on with it.
        while line.chars().rev().take_while(|c| *c == '\\').count() % 2 == 1 {
            line.pop();
            let Some((_, next)) = lines.next() else { break };
            line.push_str(next.trim_start());
        }
        let (name, value) = split_pair(&line);
        found.push(Line { number: index + 1, name, value });
    }
    found
}

/// Names and values of a text, in order; of a name that is set twice the last one counts.
#[must_use]
pub fn parse_pairs(text: &str) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for line in parse_lines(text) {
        pairs.retain(|(known, _)| *known != line.name);
        pairs.push((line.name, line.value));
    }
    pairs
}

fn split_pair(line: &str) -> (String, String) {
    let mut escaped = false;
    let end = line.find(|c: char| {
        let ends = !escaped && (c == '=' || c == ':' || c.is_whitespace());
        escaped = c == '\\' && !escaped;
        ends
    });
    let (name, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start();
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim();
    (unescape(name), unescape(value))
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => plain.push('\n'),
            Some('t') => plain.push('\t'),
            Some('r') => plain.push('\r'),
            Some('u') => {
                let code = u32::from_str_radix(&chars.by_ref().take(4).collect::<String>(), 16).ok();
                plain.push(code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(other) => plain.push(other),
            None => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_javas() {
        let text = "! comment\n a = b \\\n   c\n\n d:e=f\ng\nkey\\=1=\\u0041\\n\na=last";
        let pairs = [("d", "e=f"), ("g", ""), ("key=1", "A\n"), ("a", "last")];
        assert_eq!(parse_pairs(text), pairs.map(|(name, value)| (name.to_string(), value.to_string())));
    }

    #[test]
    fn a_line_that_goes_on_has_the_number_of_its_beginning() {
        let text = "# one\n\na=\\\n  1,\\\n  2\r\nb 3\n";
        let got: Vec<_> = parse_lines(text).into_iter().map(|line| (line.number, line.name, line.value)).collect();
        assert_eq!(got, [(3, "a".to_string(), "1,2".to_string()), (6, "b".to_string(), "3".to_string())]);
    }
}
