//! Whether the volume of the data folder has room for more records.
//!
//! A thread asks the kernel every second, more often while there is little, and at once when the disk says that it wrote much or found no room.
//! The broker is told when less than a reserve is left, so that it refuses new records while deletions, metadata and votes still find room, and told
//! again when there is a quarter more than the reserve. Where an append found no room all the same the broker gets a tick ten times per second,
//! after which the disk tries again.

use ottla_core::disk::Volume;
use ottla_core::input::Input;
use ottla_net::Inbox;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// Between two looks while there is room, and while there is not.
const LOOK_MS: u64 = 1_000;
const LOOK_FULL_MS: u64 = 100;

/// What the disk tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    /// Much was written since the last look.
    Written,
    /// An append found no room.
    None,
    /// What had found none was written.
    Found,
}

/// The disk's end of it; the thread ends with it.
#[derive(Debug)]
pub struct Room {
    news: Sender<News>,
    /// Bytes that were usable at the last look.
    usable: Arc<AtomicU64>,
    /// Bytes written since.
    written: u64,
}

impl Room {
    /// Starts to watch the volume of `folder`; `reserve` bytes are to stay free.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn watch(folder: PathBuf, reserve: u64, inbox: Inbox) -> io::Result<Room> {
        let (news, told) = channel();
        let usable = Arc::new(AtomicU64::new(u64::MAX));
        let watch = Watch { folder, reserve, inbox, usable: usable.clone(), is_full: false, is_short: false };
        thread::Builder::new().name("room".to_string()).spawn(move || watch.run(&told))?;
        Ok(Room { news, usable, written: 0 })
    }

    /// So much was written: at least one look falls into each quarter of what is left.
    pub fn written(&mut self, bytes: u64) {
        self.written = self.written.saturating_add(bytes);
        if self.written > self.usable.load(Ordering::Relaxed) / 4 {
            self.written = 0;
            self.tell(News::Written);
        }
    }

    /// An append found no room.
    pub fn none(&self) {
        self.tell(News::None);
    }

    /// Nothing waits for room any more.
    pub fn found(&self) {
        self.tell(News::Found);
    }

    fn tell(&self, news: News) {
        // A thread that is gone has nobody left to tell.
        let _ = self.news.send(news);
    }
}

/// The thread's.
#[derive(Debug)]
struct Watch {
    folder: PathBuf,
    reserve: u64,
    inbox: Inbox,
    usable: Arc<AtomicU64>,
    /// What the broker was told last.
    is_full: bool,
    /// Whether an append waits for room.
    is_short: bool,
}

impl Watch {
    fn run(mut self, told: &Receiver<News>) {
        loop {
            self.look();
            let patience = if self.is_full { LOOK_FULL_MS } else { LOOK_MS };
            match told.recv_timeout(Duration::from_millis(patience)) {
                Ok(News::None) => self.is_short = true,
                Ok(News::Found) => self.is_short = false,
                Ok(News::Written) => {}
                Err(RecvTimeoutError::Timeout) if self.is_short => self.inbox.send(Input::Tick),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn look(&mut self) {
        // What can't be found out is taken for enough: an append that finds no room says so.
        let usable = volume_of(&self.folder).map_or(u64::MAX, |volume| volume.usable_bytes);
        self.usable.store(usable, Ordering::Relaxed);
        let wanted = if self.is_full { self.reserve.saturating_add(self.reserve / 4) } else { self.reserve };
        let is_full = self.is_short || usable < wanted;
        if is_full != self.is_full {
            self.is_full = is_full;
            self.inbox.send(Input::DiskFull { is_full });
        }
    }
}

/// The volume that a folder is on, as it is now; `None` where the kernel can't say.
pub fn volume_of(folder: &Path) -> Option<Volume> {
    let found = rustix::fs::statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    // As Java's file stores tell Kafka: what is kept for the superuser is not usable.
    Some(Volume { total_bytes: bytes(found.f_blocks), usable_bytes: bytes(found.f_bavail) })
}

/// Whether an error says that there is no room, for good or for this user.
pub fn is_no_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_again_when_a_quarter_more_than_the_reserve_is_free() {
        let folder = std::env::temp_dir();
        let usable = volume_of(&folder).expect("Linux says").usable_bytes;
        // Others may write meanwhile: the sizes keep away from where it turns.
        let is_full = |reserve: u64, was_full: bool| {
            let (inbox, _receiver) = Inbox::new();
            let folder = folder.clone();
            let mut watch = Watch { folder, reserve, inbox, usable: Arc::default(), is_full: was_full, is_short: false };
            watch.look();
            watch.is_full
        };
        assert!(!is_full(usable / 10 * 9, false));
        assert!(is_full(usable / 10 * 9, true), "a ninth more is not enough");
        assert!(!is_full(usable / 10 * 7, true));
        assert!(is_full(usable / 10 * 11, false));
    }
}
