//! Rust source as text with comments and literals blanked, enough to look for paths and names without a parser.
//!
//! Keeps every line break, so that line numbers stay right. Knows `//`, nested `/* */`, strings, raw strings, byte strings and
//! characters; lifetimes are left alone.

/// `source` with comments and the content of literals replaced by blanks.
#[must_use]
pub fn code_only(source: &str) -> String {
    let text: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut i = 0;
    while i < text.len() {
        let end = if starts(&text, i, "//") {
            line_end(&text, i)
        } else if starts(&text, i, "/*") {
            block_end(&text, i)
        } else if let Some(end) = raw_string_end(&text, i) {
            end
        } else if text[i] == '"' {
            string_end(&text, i)
        } else if text[i] == '\'' {
            char_end(&text, i)
        } else {
            i
        };
        if end == i {
            out.push(text[i]);
            i += 1;
        } else {
            out.extend(text[i..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            i = end;
        }
    }
    out
}

/// `source` up to its unit tests: the module behind the first `#[cfg(test)]` that stands at the start of a line and opens one.
#[must_use]
pub fn without_tests(code: &str) -> &str {
    let mut from = 0;
    while let Some(at) = code[from..].find("\n#[cfg(test)]").map(|at| from + at) {
        let after = code[at + 1..].lines().nth(1).unwrap_or("");
        if after.trim_start().starts_with("mod ") && after.trim_end().ends_with('{') {
            return &code[..at + 1];
        }
        from = at + 1;
    }
    code
}

/// Whether `word` stands in `code` between characters that can't be part of a name.
#[must_use]
pub fn has_word(code: &str, word: &str) -> bool {
    let name = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        !code[..at].chars().next_back().is_some_and(name) && !code[at + word.len()..].chars().next().is_some_and(name)
    })
}

fn starts(text: &[char], at: usize, what: &str) -> bool {
    what.chars().enumerate().all(|(n, c)| text.get(at + n) == Some(&c))
}

fn line_end(text: &[char], at: usize) -> usize {
    (at..text.len()).find(|&i| text[i] == '\n').unwrap_or(text.len())
}

fn block_end(text: &[char], at: usize) -> usize {
    let (mut depth, mut i) = (0_usize, at);
    while i < text.len() {
        if starts(text, i, "/*") {
            depth += 1;
            i += 2;
        } else if starts(text, i, "*/") {
            depth -= 1;
            i += 2;
            if depth == 0 {
                return i;
            }
        } else {
            i += 1;
        }
    }
    text.len()
}

fn raw_string_end(text: &[char], at: usize) -> Option<usize> {
    let before_is_name = at > 0 && (text[at - 1].is_alphanumeric() || text[at - 1] == '_');
    let open = if starts(text, at, "br") {
        at + 2
    } else if starts(text, at, "r") {
        at + 1
    } else {
        return None;
    };
    if before_is_name {
        return None;
    }
    let hashes = (open..text.len()).take_while(|&i| text[i] == '#').count();
    if text.get(open + hashes) != Some(&'"') {
        return None;
    }
    let close: String = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let found = (open + hashes + 1..text.len()).find(|&i| starts(text, i, &close));
    Some(found.map_or(text.len(), |i| i + close.len()))
}

fn string_end(text: &[char], at: usize) -> usize {
    let mut i = at + 1;
    while i < text.len() {
        match text[i] {
            '\\' => i += 2,
            '"' => return i + 1,
            _ => i += 1,
        }
    }
    text.len()
}

fn char_end(text: &[char], at: usize) -> usize {
    if text.get(at + 1) == Some(&'\\') {
        return (at + 3..text.len()).find(|&i| text[i] == '\'').map_or(at, |i| i + 1);
    }
    if text.get(at + 2) == Some(&'\'') { at + 3 } else { at }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_vanish_and_lines_stay() {
        let source = "a /* b /* c */\n d */ e // f\n\"g \\\" h\" i r#\"j \" k\"# l 'm' '\\n' <'n> b\"o\" p";
        let code = code_only(source);
        let words: Vec<&str> = code.split_whitespace().collect();
        assert_eq!(words, ["a", "e", "i", "l", "<'n>", "b", "p"]);
        assert_eq!(code.lines().count(), source.lines().count());
    }

    #[test]
    fn the_code_ends_where_the_unit_tests_begin() {
        assert_eq!(without_tests("a\n#[cfg(test)]\nmod tests {\nb"), "a\n");
        assert_eq!(without_tests("a\n#[cfg(test)]\nmod far;\nb"), "a\n#[cfg(test)]\nmod far;\nb");
    }

    #[test]
    fn a_word_is_not_a_part_of_a_name() {
        assert!(has_word("fn step(&mut self)", "step"));
        assert!(!has_word("fn steps(&mut self)", "step"));
        assert!(!has_word("fn one_step()", "step"));
    }
}
