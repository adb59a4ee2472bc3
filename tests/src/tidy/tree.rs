//! The files of the project as text: what git tracks, or everything outside `target` where there is no git.
//!
//! Does not know any rule. Invariant: paths are relative to the root of the workspace, with `/`, ascending.

use std::path::{Path, PathBuf};
use std::process::Command;

/// One text file.
#[derive(Clone, Debug)]
pub struct File {
    /// Path from the root of the workspace.
    pub path: String,
    /// Its content.
    pub text: String,
}

/// The project.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Text files, ascending by path. Files that are not UTF-8 are named in [`Tree::paths`] only.
    pub files: Vec<File>,
    /// All files, ascending.
    pub paths: Vec<String>,
}

/// The root of the workspace: the folder above this package.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace").to_path_buf()
}

impl Tree {
    /// Reads the project this test was built from: tracked files and those about to be tracked.
    ///
    /// # Panics
    /// When the tree can't be read.
    #[must_use]
    pub fn read() -> Tree {
        let root = root();
        let mut paths = git_files(&root).unwrap_or_else(|| walk(&root));
        paths.sort();
        let mut files = Vec::new();
        for path in &paths {
            let data = std::fs::read(root.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
            if let Ok(text) = String::from_utf8(data) {
                files.push(File { path: path.clone(), text });
            }
        }
        Tree { files, paths }
    }

    /// A made-up project, to show a rule firing.
    #[must_use]
    pub fn planted(files: &[(&str, &str)]) -> Tree {
        let mut files: Vec<File> =
            files.iter().map(|(path, text)| File { path: (*path).to_string(), text: (*text).to_string() }).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Tree { paths: files.iter().map(|f| f.path.clone()).collect(), files }
    }

    /// The text of one file.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.iter().find(|f| f.path == path).map(|f| f.text.as_str())
    }

    /// Whether a file of this path exists, or a folder when it ends in `/`.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        if path.ends_with('/') {
            self.paths.iter().any(|p| p.starts_with(path))
        } else {
            self.paths.iter().any(|p| p == path || p.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
        }
    }

    /// Files whose path starts and ends so.
    pub fn select<'a>(&'a self, start: &'a str, end: &'a str) -> impl Iterator<Item = &'a File> {
        self.files.iter().filter(move |f| f.path.starts_with(start) && f.path.ends_with(end))
    }
}

fn git_files(root: &Path) -> Option<Vec<String>> {
    let out = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .ok()
        .filter(|out| out.status.success())?;
    let list = String::from_utf8(out.stdout).ok()?;
    let paths: Vec<String> = list.split('\0').filter(|p| !p.is_empty() && root.join(p).is_file()).map(str::to_string).collect();
    (!paths.is_empty()).then_some(paths)
}

fn walk(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the tree can be listed").flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() {
                if name != "target" && name != ".git" && name != "__pycache__" {
                    folders.push(path);
                }
            } else if let Some(path) = path.strip_prefix(root).ok().and_then(Path::to_str) {
                found.push(path.to_string());
            }
        }
    }
    found
}
