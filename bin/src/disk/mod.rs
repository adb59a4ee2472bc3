//! The data folder as the core's disk: appends, flushes, reads and the rare rest, on a real file system.
//!
//! It knows the names of files and nothing of what is in them; the promises it keeps are those of [`ottla_core::disk`]. Appends go to
//! the page cache on the caller's thread (microseconds, no hop); everything that waits for the device is done by threads: flushes by
//! the flush engine, reads and the rest by a small pool. Only where more files wait to be flushed than may be open does the caller wait.
//! - appends to one file are performed and told in the order of issue;
//! - the first failure is told once; nothing is performed or told after it;
//! - an append or a new folder that finds no room is no failure: what was written of it is taken back, and it waits, with all that were issued
//!   behind it, until there is room;
//! - open files ≤ `handles_max` kept + as many that wait to be flushed + one or two of each thread.

mod flush;
mod handles;
mod layout;
mod room;

pub use flush::sync_folder;
pub use layout::{Layout, META};

use bytes::{Bytes, BytesMut};
use flush::Flusher;
use handles::Handles;
use ottla_core::disk::{DiskAction, DiskDone, DiskOp, DiskStage, FileName, Inventory, Volume};
use ottla_core::ids::DiskId;
use ottla_core::input::Input;
use ottla_net::{Disk, Inbox, Timing};
use room::{Room, is_no_room, volume_of};
use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Threads for reads and for making, cutting and deleting files.
const POOL_THREADS: usize = 4;

/// The data folder of a running broker.
#[derive(Debug)]
pub struct FileDisk {
    layout: Layout,
    report: Report,
    handles: Arc<Mutex<Handles>>,
    /// Length of each file that was appended to in this life, to hold the core to its promise.
    lengths: BTreeMap<FileName, u64>,
    flusher: Flusher,
    pool: Sender<(DiskId, Job)>,
    room: Room,
    /// Appends and folders that wait for room, in the order of issue.
    waiting: VecDeque<DiskOp>,
}

/// Why an operation was not performed.
#[derive(Debug)]
enum Trouble {
    /// There is no room on the volume for it now; nothing of it is left.
    NoRoom,
    /// The disk fails.
    Failed(String),
}

impl From<String> for Trouble {
    fn from(reason: String) -> Trouble {
        Trouble::Failed(reason)
    }
}

/// How long flushes of files took.
pub type Flushes = Arc<Mutex<Timing>>;

/// Tells completions; silent after a failure.
#[derive(Clone, Debug)]
pub struct Report {
    inbox: Inbox,
    flushes: Flushes,
    has_failed: Arc<AtomicBool>,
}

/// What the pool does.
#[derive(Debug)]
enum Job {
    Read { name: FileName, path: PathBuf, position: u64, length: u32 },
    SyncFolder(PathBuf),
    RemoveFolder { folder: PathBuf, parent: PathBuf },
    Truncate { path: PathBuf, length: u64 },
    Remove(Vec<PathBuf>),
    Rename(Vec<(PathBuf, PathBuf)>),
}

impl Report {
    /// Tells completions, unless a failure came first.
    fn all(&self, completions: impl Iterator<Item = (DiskId, DiskStage)>) {
        for (id, stage) in completions {
            if !self.has_failed.load(Ordering::Acquire) {
                self.inbox.send(Input::Disk(DiskDone { id, stage }));
            }
        }
    }

    /// A file was flushed; `since_start_s` are the seconds that the flusher runs.
    fn flushed(&self, took: Duration, since_start_s: u64) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.flushes.lock().unwrap_or_else(PoisonError::into_inner).record(us, since_start_s);
    }

    /// Tells the first failure.
    fn failed(&self, id: DiskId, reason: String) {
        if !self.has_failed.swap(true, Ordering::AcqRel) {
            self.inbox.send(Input::Disk(DiskDone { id, stage: DiskStage::Failed(reason) }));
        }
    }
}

impl FileDisk {
    /// Starts the threads over a scanned folder. Completions go to `inbox`; at most about twice `handles_max` files are open. The broker is told
    /// when less than `reserve` bytes are left on the volume.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn start(layout: Layout, inbox: Inbox, handles_max: usize, reserve: u64) -> io::Result<FileDisk> {
        let room = Room::watch(layout.root().to_path_buf(), reserve, inbox.clone())?;
        let report = Report { inbox, flushes: Flushes::default(), has_failed: Arc::default() };
        let handles = Arc::new(Mutex::new(Handles::new(handles_max)));
        let flusher = Flusher::start(report.clone(), handles_max)?;
        let (pool, jobs) = channel();
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..POOL_THREADS {
            let (jobs, report, handles) = (jobs.clone(), report.clone(), handles.clone());
            thread::Builder::new().name(format!("disk-{number}")).spawn(move || work(&jobs, &report, &handles))?;
        }
        let waiting = VecDeque::new();
        Ok(FileDisk { layout, report, handles, lengths: BTreeMap::new(), flusher, pool, room, waiting })
    }

    /// How long its flushes take; goes on counting.
    #[must_use]
    pub fn flushes(&self) -> Flushes {
        self.report.flushes.clone()
    }

    /// Performs an operation, or keeps it until there is room.
    fn take(&mut self, operation: DiskOp) {
        let needs_room = matches!(operation.action, DiskAction::Append { .. } | DiskAction::CreateGroup { .. });
        if needs_room && !self.waiting.is_empty() {
            self.waiting.push_back(operation);
            return;
        }
        match self.perform(operation.id, &operation.action) {
            Ok(()) => {}
            Err(Trouble::NoRoom) => {
                self.room.none();
                self.waiting.push_back(operation);
            }
            Err(Trouble::Failed(reason)) => self.report.failed(operation.id, reason),
        }
    }

    /// Tries again what waits for room.
    fn try_again(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        while let Some(operation) = self.waiting.pop_front() {
            match self.perform(operation.id, &operation.action) {
                Ok(()) => {}
                Err(Trouble::NoRoom) => {
                    self.waiting.push_front(operation);
                    return;
                }
                Err(Trouble::Failed(reason)) => return self.report.failed(operation.id, reason),
            }
        }
        self.room.found();
    }

    fn perform(&mut self, id: DiskId, action: &DiskAction) -> Result<(), Trouble> {
        match action {
            DiskAction::Append { file, position, data, is_awaited } => {
                self.append(id, *file, *position, data, *is_awaited).map_err(|error| {
                    if is_no_room(&error) {
                        Trouble::NoRoom
                    } else {
                        Trouble::Failed(format!("{file:?} can't be written: {error}"))
                    }
                })
            }
            DiskAction::Read { file, position, length } => {
                let path = self.path(*file)?;
                self.hand(id, Job::Read { name: *file, path, position: *position, length: *length })
            }
            DiskAction::CreateGroup { group, label } => {
                let folder = self.layout.add_group(*group, label);
                match fs::create_dir(&folder) {
                    Err(error) if is_no_room(&error) => Err(Trouble::NoRoom),
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                        Err(Trouble::Failed(format!("{} can't be made: {error}", folder.display())))
                    }
                    Ok(()) | Err(_) => self.hand(id, Job::SyncFolder(self.layout.root().to_path_buf())),
                }
            }
            DiskAction::RemoveGroup { group } => {
                self.forget(|name| name.group() == Some(*group));
                let parent = self.layout.root().to_path_buf();
                match self.layout.remove_group(*group) {
                    Some(folder) => self.hand(id, Job::RemoveFolder { folder, parent }),
                    None => self.hand(id, Job::SyncFolder(parent)),
                }
            }
            DiskAction::Truncate { file, length } => {
                self.forget(|name| name == *file);
                let path = self.path(*file)?;
                self.hand(id, Job::Truncate { path, length: *length })
            }
            DiskAction::Remove { files } => {
                self.forget(|name| files.contains(&name));
                // Files of a group without folder are gone already.
                let paths = files.iter().filter_map(|file| self.layout.path(*file)).collect();
                self.hand(id, Job::Remove(paths))
            }
            DiskAction::Rename { files } => {
                self.forget(|name| files.iter().any(|(from, to)| name == *from || name == *to));
                let paths: Result<Vec<_>, String> =
                    files.iter().map(|(from, to)| Ok((self.path(*from)?, self.path(*to)?))).collect();
                self.hand(id, Job::Rename(paths?))
            }
        }
    }

    fn append(&mut self, id: DiskId, name: FileName, position: u64, data: &[Bytes], is_awaited: bool) -> io::Result<()> {
        let mut new_in = None;
        let kept = self.handles.lock().unwrap_or_else(PoisonError::into_inner).get(name);
        let file = match kept {
            Some(file) => file,
            None => {
                let path = self.path(name).map_err(io::Error::other)?;
                let file = Arc::new(OpenOptions::new().read(true).append(true).create(position == 0).open(&path)?);
                // Also for an empty file that exists: an earlier life may have made it and ended before its entry was durable.
                if position == 0 {
                    new_in = path.parent().map(Path::to_path_buf);
                }
                self.handles.lock().unwrap_or_else(PoisonError::into_inner).insert(name, file.clone());
                file
            }
        };
        let length = match self.lengths.get(&name) {
            Some(length) => *length,
            None => file.metadata()?.len(),
        };
        if length != position {
            return Err(io::Error::other(format!("it has {length} bytes, {position} were expected")));
        }
        let added = match write_all(&file, data) {
            Ok(added) => added,
            Err(error) => {
                if is_no_room(&error) {
                    self.take_back(name, &file, position)?;
                }
                return Err(error);
            }
        };
        self.lengths.insert(name, position + added);
        self.room.written(added);
        self.report.all(std::iter::once((id, DiskStage::Written)));
        self.flusher.written(id, name, &file, new_in, is_awaited);
        Ok(())
    }

    /// An append to a file found no room: the file is as long as before, and if it was new it counts as new again.
    fn take_back(&mut self, name: FileName, file: &File, position: u64) -> io::Result<()> {
        if file.metadata()?.len() > position {
            file.set_len(position)?;
        }
        if position == 0 {
            self.handles.lock().unwrap_or_else(PoisonError::into_inner).remove_all(|other| other == name);
        }
        Ok(())
    }

    fn path(&self, name: FileName) -> Result<PathBuf, String> {
        self.layout.path(name).ok_or_else(|| format!("{name:?} has no folder"))
    }

    fn hand(&self, id: DiskId, job: Job) -> Result<(), Trouble> {
        self.pool.send((id, job)).map_err(|_| Trouble::Failed("the disk's threads are gone".to_string()))
    }

    fn forget(&mut self, is_meant: impl Fn(FileName) -> bool) {
        self.lengths.retain(|name, _| !is_meant(*name));
        self.handles.lock().unwrap_or_else(PoisonError::into_inner).remove_all(is_meant);
    }
}

impl Disk for FileDisk {
    fn submit(&mut self, operations: Vec<DiskOp>) {
        self.try_again();
        for operation in operations {
            if self.report.has_failed.load(Ordering::Acquire) {
                return;
            }
            self.take(operation);
        }
        self.flusher.go();
    }

    fn volume(&self) -> Option<Volume> {
        volume_of(self.layout.root())
    }

    fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}

/// Writes all slices at the end of `file`; how many bytes they are.
fn write_all(mut file: &File, data: &[Bytes]) -> io::Result<u64> {
    const SLICES_MAX: usize = 1024;
    let mut total = 0;
    for part in data.chunks(SLICES_MAX) {
        let mut slices: Vec<IoSlice<'_>> = part.iter().map(|slice| IoSlice::new(slice)).collect();
        let mut rest = slices.as_mut_slice();
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            match file.write_vectored(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    total += count as u64;
                    IoSlice::advance_slices(&mut rest, count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(total)
}

/// Reads exactly this much, as recovery does before any thread runs.
///
/// # Errors
/// The file is missing, shorter or can't be read.
pub fn read_exact(file: &File, position: u64, length: u32) -> io::Result<Bytes> {
    let mut data = BytesMut::zeroed(usize::try_from(length).map_err(io::Error::other)?);
    file.read_exact_at(&mut data, position)?;
    Ok(data.freeze())
}

/// Makes durable what an earlier life left behind: after `kill -9` its last writes are in the page cache only, and recovery takes what it
/// reads for durable.
///
/// # Errors
/// A file or folder can't be synced.
pub fn settle(layout: &Layout, inventory: &Inventory) -> io::Result<()> {
    for (name, _) in &inventory.files {
        if let Some(path) = layout.path(*name) {
            File::open(path)?.sync_all()?;
        }
    }
    for group in &inventory.groups {
        if let Some(folder) = layout.group_folder(*group) {
            sync_folder(folder)?;
        }
    }
    sync_folder(&layout.root().join(META))?;
    sync_folder(layout.root())
}

fn work(jobs: &Mutex<Receiver<(DiskId, Job)>>, report: &Report, handles: &Mutex<Handles>) {
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((id, job)) = next else { return };
        if report.has_failed.load(Ordering::Acquire) {
            continue;
        }
        match run(&job, handles) {
            Ok(stage) => report.all(std::iter::once((id, stage))),
            Err(error) => report.failed(id, format!("{job:?}: {error}")),
        }
    }
}

fn run(job: &Job, handles: &Mutex<Handles>) -> io::Result<DiskStage> {
    match job {
        Job::Read { name, path, position, length } => {
            let kept = handles.lock().unwrap_or_else(PoisonError::into_inner).get(*name);
            // A file that is opened for reading only is not kept: its handle could not append.
            let file = kept.map_or_else(|| File::open(path).map(Arc::new), Ok)?;
            return read_exact(&file, *position, *length).map(DiskStage::Read);
        }
        Job::SyncFolder(folder) => sync_folder(folder)?,
        Job::RemoveFolder { folder, parent } => {
            ignore_missing(fs::remove_dir_all(folder))?;
            sync_folder(parent)?;
        }
        Job::Truncate { path, length } => {
            let file = OpenOptions::new().write(true).open(path)?;
            file.set_len(*length)?;
            file.sync_all()?;
        }
        Job::Remove(paths) => {
            for path in paths {
                ignore_missing(fs::remove_file(path))?;
            }
            sync_folders_of(paths.iter())?;
        }
        Job::Rename(paths) => {
            for (from, to) in paths {
                ignore_missing(fs::rename(from, to))?;
            }
            sync_folders_of(paths.iter().map(|(_, to)| to))?;
        }
    }
    Ok(DiskStage::Durable)
}

/// Syncs the folders of these files, each once; one that is gone is fine.
fn sync_folders_of<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> io::Result<()> {
    let mut folders: Vec<&Path> = paths.filter_map(|path| path.parent()).collect();
    folders.dedup();
    folders.into_iter().try_for_each(|folder| ignore_missing(sync_folder(folder)))
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests;
