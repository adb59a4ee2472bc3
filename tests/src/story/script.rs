//! The text of a story: comments, then blocks of commands, `----` and the expected transcript, parted by empty lines.
//!
//! Knows no command. Invariant: [`Script::render`] of a parsed file whose lines have no trailing blanks is that file.

/// A story.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Script {
    /// The comment lines at the top, without `# `: the promise.
    pub promise: Vec<String>,
    /// In order.
    pub blocks: Vec<Block>,
}

/// Commands and what they lead to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Block {
    /// Comment lines before the commands, without `# `.
    pub remarks: Vec<String>,
    /// Commands with their line numbers, counted from 1.
    pub commands: Vec<(usize, String)>,
    /// Lines of the transcript.
    pub expected: Vec<String>,
}

impl Script {
    /// Reads a story.
    ///
    /// # Errors
    /// A block without `----`, a story without a promise, with the line.
    pub fn parse(text: &str) -> Result<Script, String> {
        let mut script = Script { promise: Vec::new(), blocks: Vec::new() };
        let mut lines = text.lines().enumerate().map(|(n, line)| (n + 1, line.trim_end())).peekable();
        while let Some((_, line)) = lines.next_if(|(_, line)| line.starts_with('#')) {
            script.promise.push(line.trim_start_matches('#').trim_start().to_string());
        }
        if script.promise.is_empty() {
            return Err("line 1: a story starts with `# ` and the promise it shows".to_string());
        }
        while let Some(&(start, line)) = lines.peek() {
            if line.is_empty() {
                lines.next();
                continue;
            }
            let mut block = Block::default();
            while let Some((number, line)) = lines.next_if(|(_, line)| !line.is_empty() && *line != "----") {
                match line.strip_prefix('#') {
                    Some(remark) => block.remarks.push(remark.trim_start().to_string()),
                    None => block.commands.push((number, line.to_string())),
                }
            }
            if lines.next_if(|(_, line)| *line == "----").is_none() {
                return Err(format!("line {start}: this block has no `----` and no transcript"));
            }
            while let Some((_, line)) = lines.next_if(|(_, line)| !line.is_empty()) {
                block.expected.push(line.to_string());
            }
            script.blocks.push(block);
        }
        Ok(script)
    }

    /// The text of the story.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        for line in &self.promise {
            text += &format!("# {line}\n");
        }
        for block in &self.blocks {
            text.push('\n');
            for remark in &block.remarks {
                text += &format!("# {remark}\n");
            }
            for (_, command) in &block.commands {
                text += &format!("{command}\n");
            }
            text += "----\n";
            for line in &block.expected {
                text += &format!("{line}\n");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORY: &str = "# A promise.\n# More of it.\n\ncluster brokers=1\n----\n\n# why\nproduce a/0 records=x\nfetch a/0\n----\nbroker 1 answers\nx\n";

    #[test]
    fn a_story_is_read_and_written_without_loss() {
        let script = Script::parse(STORY).expect("a good story");
        assert_eq!(script.promise, ["A promise.", "More of it."]);
        assert_eq!(script.blocks.len(), 2);
        assert_eq!(script.blocks[1].commands, [(8, "produce a/0 records=x".to_string()), (9, "fetch a/0".to_string())]);
        assert_eq!(script.blocks[1].remarks, ["why"]);
        assert_eq!(script.render(), STORY);
    }

    #[test]
    fn a_story_without_promise_or_transcript_is_refused() {
        assert!(Script::parse("cluster\n----\n").is_err());
        assert!(Script::parse("# A promise.\n\ncluster\n\nfetch\n----\n").expect_err("no transcript").starts_with("line 3"));
    }
}
