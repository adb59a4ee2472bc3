//! The flush engine: makes appends durable, several files at once, each file's appends in groups.
//!
//! It knows files and operation ids, not what was written. While one fdatasync of a file runs, the next appends to it gather and
//! share the next one: rounds run back to back and batches grow with the disk's latency.
//! - a file to which only appends were made for which nobody waits is synced once in [`REST`]: a flush costs as much as several
//!   requests, and wakes and interrupts others several times. Whoever waits for one of them ends that; a file that had its rest is synced at once;
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
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Files that are synced at the same time at most. The journal of the file system batches them; more threads gain nothing here
/// until hundreds of files are dirty.
const THREADS: usize = 8;
/// How long after a sync a file rests whose appends nobody waits for.
const REST: Duration = Duration::from_millis(2);

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
    /// Dirty files that no thread syncs and that don't rest, longest waiting first.
    queue: VecDeque<FileName>,
    /// Files that were synced not long ago, and until when they rest; first those whose rest is over first.
    resting: VecDeque<(Instant, FileName)>,
    syncing: BTreeSet<FileName>,
    /// A thread wakes when the next rest is over.
    is_timed: bool,
    is_closed: bool,
}

#[derive(Debug)]
struct Dirty {
    file: Arc<File>,
    /// Folder whose entry for the file is new.
    folder: Option<PathBuf>,
    appends: Vec<DiskId>,
    /// Somebody waits for one of them.
    is_awaited: bool,
    /// It is in the queue.
    is_queued: bool,
}

impl State {
    /// A dirty file that no thread syncs goes to the queue, unless it may rest.
    fn enqueue(&mut self, name: FileName) {
        let Some(dirty) = self.dirty.get_mut(&name) else { return };
        let may_rest = !dirty.is_awaited && !self.is_closed;
        if dirty.is_queued || self.syncing.contains(&name) || (may_rest && self.resting.iter().any(|(_, other)| *other == name)) {
            return;
        }
        dirty.is_queued = true;
        self.queue.push_back(name);
    }

    /// Ends rests: those that are over at `now`, all of them with `None`.
    fn end_rests(&mut self, now: Option<Instant>) {
        while let Some((until, name)) = self.resting.front().copied()
            && now.is_none_or(|now| until <= now)
        {
            self.resting.pop_front();
            self.enqueue(name);
        }
    }

    /// When the first rest ends of a file that is dirty.
    fn next_rest_end(&self) -> Option<Instant> {
        self.resting.iter().find(|(_, name)| self.dirty.contains_key(name)).map(|(until, _)| *until)
    }
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

    /// `append` was written to `file`; `folder` is given if that made the file, `is_awaited` if somebody waits for it to be durable. Waits for
    /// the device when too many files wait for it.
    pub fn written(&self, append: DiskId, name: FileName, file: &Arc<File>, folder: Option<PathBuf>, is_awaited: bool) {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.dirty.len() >= self.shared.dirty_max && !state.dirty.contains_key(&name) {
            state.end_rests(None);
            self.shared.work.notify_all();
            state = self.shared.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let new = || Dirty { file: file.clone(), folder: None, appends: Vec::new(), is_awaited: false, is_queued: false };
        let dirty = state.dirty.entry(name).or_insert_with(new);
        dirty.folder = dirty.folder.take().or(folder);
        dirty.appends.push(append);
        let is_news = dirty.appends.len() == 1 || (is_awaited && !dirty.is_awaited);
        dirty.is_awaited |= is_awaited;
        if is_news {
            state.enqueue(name);
        }
    }

    /// Wakes as many threads as there are files to sync: once per round, after all appends of it.
    pub fn go(&self) {
        let state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let has_timer_to_start = !state.is_timed && state.next_rest_end().is_some();
        let waiting = state.queue.len() + usize::from(has_timer_to_start);
        drop(state);
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
        if !state.resting.is_empty() {
            let now = Instant::now();
            let is_closed = state.is_closed;
            state.end_rests(if is_closed { None } else { Some(now) });
        }
        let Some(name) = state.queue.pop_front() else {
            if state.is_closed {
                return;
            }
            state = wait(shared, state);
            continue;
        };
        let dirty = state.dirty.remove(&name).expect("a queued file is dirty");
        state.syncing.insert(name);
        if !state.is_timed && state.next_rest_end().is_some() {
            shared.work.notify_one();
        }
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
        state.resting.retain(|(_, other)| *other != name);
        state.resting.push_back((Instant::now() + REST, name));
        state.enqueue(name);
    }
}

/// Until there may be something to do. One thread at most waits for the end of a rest.
fn wait<'a>(shared: &'a Shared, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
    let Some(end) = state.next_rest_end().filter(|_| !state.is_timed) else {
        return shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
    };
    state.is_timed = true;
    let rest = end.saturating_duration_since(Instant::now());
    let (mut state, _) = shared.work.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner);
    state.is_timed = false;
    state
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

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: FileName = FileName::Meta(1);

    /// A state in which a file that was just synced got another append.
    fn rested(is_awaited: bool) -> (State, Instant) {
        let mut state = State::default();
        let until = Instant::now() + REST;
        state.resting.push_back((until, NAME));
        let file = Arc::new(File::open("/dev/null").expect("it is there"));
        state.dirty.insert(NAME, Dirty { file, folder: None, appends: vec![DiskId(1)], is_awaited, is_queued: false });
        state.enqueue(NAME);
        (state, until)
    }

    #[test]
    fn what_nobody_waits_for_rests_after_a_sync() {
        let (mut state, until) = rested(false);
        assert_eq!((state.queue.len(), state.next_rest_end()), (0, Some(until)));
        state.end_rests(Some(until - REST));
        assert_eq!(state.queue.len(), 0, "the rest is not over");
        state.end_rests(Some(until));
        assert_eq!((state.queue.pop_front(), state.next_rest_end()), (Some(NAME), None));
    }

    #[test]
    fn who_waits_ends_the_rest_and_is_queued_once() {
        let (mut state, until) = rested(true);
        assert_eq!(state.queue, [NAME]);
        state.end_rests(Some(until));
        state.enqueue(NAME);
        assert_eq!(state.queue, [NAME]);
    }

    #[test]
    fn nothing_rests_at_the_end_or_when_files_wait_for_room() {
        let (mut state, _) = rested(false);
        state.end_rests(None);
        assert_eq!(state.queue, [NAME]);
        let (mut state, _) = rested(false);
        state.is_closed = true;
        state.enqueue(NAME);
        assert_eq!(state.queue, [NAME]);
    }
}
