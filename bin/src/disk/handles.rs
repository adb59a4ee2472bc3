//! Open files, at most so many: the least recently used one is closed first.
//!
//! Knows nothing of what is written. A handle that is in use stays open through its `Arc` after it left the cache.
//! - handles kept ≤ `handles_max`.

use ottla_core::disk::FileName;
use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

/// The cache.
#[derive(Debug)]
pub struct Handles {
    handles_max: usize,
    clock: u64,
    open: BTreeMap<FileName, (Arc<File>, u64)>,
    by_use: BTreeMap<u64, FileName>,
}

impl Handles {
    /// Keeps at most `handles_max`.
    #[must_use]
    pub fn new(handles_max: usize) -> Handles {
        Handles { handles_max, clock: 0, open: BTreeMap::new(), by_use: BTreeMap::new() }
    }

    /// The open file, if it is kept.
    pub fn get(&mut self, name: FileName) -> Option<Arc<File>> {
        let (file, used) = self.open.get_mut(&name)?;
        self.clock += 1;
        self.by_use.remove(used);
        self.by_use.insert(self.clock, name);
        *used = self.clock;
        Some(file.clone())
    }

    /// Keeps an open file.
    pub fn insert(&mut self, name: FileName, file: Arc<File>) {
        self.remove(name);
        if self.open.len() >= self.handles_max
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.open.remove(&oldest);
        }
        self.clock += 1;
        self.by_use.insert(self.clock, name);
        self.open.insert(name, (file, self.clock));
    }

    /// Closes a file, or leaves closing to who still uses it.
    pub fn remove(&mut self, name: FileName) {
        if let Some((_, used)) = self.open.remove(&name) {
            self.by_use.remove(&used);
        }
    }

    /// Closes all that `is_meant`.
    pub fn remove_all(&mut self, is_meant: impl Fn(FileName) -> bool) {
        let names: Vec<FileName> = self.open.keys().copied().filter(|name| is_meant(*name)).collect();
        for name in names {
            self.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_file_is_closed_first() {
        let file = || Arc::new(File::open("/dev/null").expect("it exists"));
        let mut handles = Handles::new(2);
        handles.insert(FileName::Meta(1), file());
        handles.insert(FileName::Meta(2), file());
        assert!(handles.get(FileName::Meta(1)).is_some());
        handles.insert(FileName::Meta(3), file());
        assert!(handles.get(FileName::Meta(2)).is_none());
        assert!(handles.get(FileName::Meta(1)).is_some() && handles.get(FileName::Meta(3)).is_some());
    }
}
