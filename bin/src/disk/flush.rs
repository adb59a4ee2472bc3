//! The flush engine: makes appends durable, several files at once, each file's appends in groups.
//!
//! It knows files and operation ids, not what was written. While one fdatasync of a file runs, the next appends to it gather and
//! share the next one: rounds run back to back and batches grow with the disk's latency. No timer is involved.
//! - a file is synced by at most one thread at a time, so completions of a file come in the order of issue;
//! - `Durable` is told after an fdatasync that began after the last write it covers ended, and after the directory entry is durable if
//!   the file is new;
//! - files that wait ≤ `dirty_max`, since each is open: what makes one more waits until one is synced;
//! - after the first failure nothing is performed or told any more: a failed fsync is never retried (fsyncgate).

use super::Report;
use ottla_core::disk::{DiskStage, FileName};
use ottla_core::ids::DiskId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

/// Files that are synced at the same time at most. The journal of the file system batches them; more threads gain nothing here
/// until hundreds of files are dirty.
const THREADS: usize = 8;

/// Takes written appends, reports them durable.
#[derive(Debug)]
pub struct Flusher {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
    room: Condvar,
    dirty_max: usize,
    report: Report,
    /// When it was started.
    start: Instant,
}

#[derive(Debug, Default)]
struct State {
    dirty: BTreeMap<FileName, Dirty>,
    /// Dirty files that no thread syncs, longest waiting first.
    queue: VecDeque<FileName>,
    syncing: BTreeSet<FileName>,
    is_closed: bool,
}

#[derive(Debug)]
struct Dirty {
    file: Arc<File>,
    /// Folder whose entry for the file is new.
    folder: Option<PathBuf>,
    appends: Vec<DiskId>,
}

impl Flusher {
    /// Starts its threads. At most `dirty_max` files, one at least, wait for them.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn start(report: Report, dirty_max: usize) -> io::Result<Flusher> {
        let state = Mutex::new(State::default());
        let (dirty_max, start) = (dirty_max.max(1), Instant::now());
        let shared = Shared { state, work: Condvar::new(), room: Condvar::new(), dirty_max, report, start };
        let shared = Arc::new(shared);
        for number in 0..THREADS {
            let shared = shared.clone();
            thread::Builder::new().name(format!("flush-{number}")).spawn(move || work(&shared))?;
        }
        Ok(Flusher { shared })
    }

    /// `append` was written to `file`; `folder` is given if that made the file. Waits for the device when too many files wait for it.
    pub fn written(&self, append: DiskId, name: FileName, file: &Arc<File>, folder: Option<PathBuf>) {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.dirty.len() >= self.shared.dirty_max && !state.dirty.contains_key(&name) {
            self.shared.work.notify_all();
            state = self.shared.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let state = &mut *state;
        let dirty = state.dirty.entry(name).or_insert_with(|| {
            if !state.syncing.contains(&name) {
                state.queue.push_back(name);
            }
            Dirty { file: file.clone(), folder: None, appends: Vec::new() }
        });
        dirty.folder = dirty.folder.take().or(folder);
        dirty.appends.push(append);
    }

    /// Wakes as many threads as there are files to sync: once per round, after all appends of it.
    pub fn go(&self) {
        let waiting = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).queue.len();
        for _ in 0..waiting.min(THREADS) {
            self.shared.work.notify_one();
        }
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).is_closed = true;
        self.shared.work.notify_all();
    }
}

fn work(shared: &Shared) {
    let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let Some(name) = state.queue.pop_front() else {
            if state.is_closed {
                return;
            }
            state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        let dirty = state.dirty.remove(&name).expect("a queued file is dirty");
        state.syncing.insert(name);
        drop(state);
        shared.room.notify_one();
        let begun = Instant::now();
        let synced = sync(&dirty);
        shared.report.flushed(begun.elapsed(), shared.start.elapsed().as_secs());
        match synced {
            Ok(()) => shared.report.all(dirty.appends.iter().map(|append| (*append, DiskStage::Durable))),
            Err(error) => shared.report.failed(dirty.appends[0], format!("{name:?} can't be flushed: {error}")),
        }
        state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.syncing.remove(&name);
        if state.dirty.contains_key(&name) {
            state.queue.push_back(name);
        }
    }
}

fn sync(dirty: &Dirty) -> io::Result<()> {
    dirty.file.sync_data()?;
    dirty.folder.as_deref().map_or(Ok(()), sync_folder)
}

/// Makes the entries of a folder durable.
///
/// # Errors
/// The folder can't be opened or synced.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
