//! What the shell needs of the world: listen, connect, byte streams, tasks, clocks and a disk.
//!
//! Narrow on purpose: a host is written once for tokio and once for madsim. Futures need not be `Send`: a broker lives on
//! one thread (a current-thread runtime with a local task set; madsim has one thread anyway).
//!
//! Invariants a host keeps: [`Host::now`] never goes back in its monotonic part; a task given to [`Host::spawn`] runs until it ends
//! or the host is gone; a dropped [`Writer`] closes its direction of the stream.

use bytes::{Bytes, BytesMut};
use core::future::Future;
use core::task::{Context, Poll};
use ottla_core::disk::{DiskOp, Volume};
use ottla_core::time::{Instant, Now};
use std::io;

/// The world of one broker.
pub trait Host: Clone + 'static {
    /// A bound port.
    type Listener: 'static;
    /// The half of a stream that bytes come from.
    type Reader: Reader;
    /// The half that bytes go to.
    type Writer: Writer;
    /// The data folder.
    type Disk: Disk;

    /// Both clocks.
    fn now(&self) -> Now;
    /// Ends at `at` on the monotonic clock or a little later; at once if it has passed.
    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> + 'static;
    /// Runs a task on this thread, beside the caller.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);
    /// Does heavy work beside the broker, on another thread where there is one, and gives what comes of it. At most
    /// [`crate::limits::WORK_AT_ONCE_MAX`] at once; what is more waits for its turn. Work of which nobody awaits the result need not be done.
    fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> impl Future<Output = T> + 'static;
    /// Binds `address`, `host:port`.
    fn listen(&self, address: &str) -> impl Future<Output = io::Result<Self::Listener>>;
    /// The next stream that comes in, and where it comes from, for logs.
    fn accept(&self, listener: &mut Self::Listener) -> impl Future<Output = io::Result<(Self::Reader, Self::Writer, String)>>;
    /// Opens a stream to `address`, `host:port`. May take as long as the network likes: callers bound it.
    fn connect(&self, address: &str) -> impl Future<Output = io::Result<(Self::Reader, Self::Writer)>>;
}

/// Bytes in.
pub trait Reader: 'static {
    /// Appends what the stream has to the spare capacity of `buffer` (which is not 0); ready with 0 at the end of the stream. A poll
    /// and not a future, so that nothing of the caller is borrowed while it waits.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut BytesMut) -> Poll<io::Result<usize>>;
}

/// Bytes out.
pub trait Writer: 'static {
    /// Writes all slices one after the other, with vectored writes where the host has them.
    fn write_all(&mut self, slices: Vec<Bytes>) -> impl Future<Output = io::Result<()>>;
}

/// The data folder: takes operations, completions come back through the [`crate::Inbox`] it was made with. The promises are those
/// of [`ottla_core::disk`].
pub trait Disk: 'static {
    /// Takes the operations of one round, in the order of issue. Does not block for long.
    fn submit(&mut self, operations: Vec<DiskOp>);
    /// The volume that the folder is on, as it is at this moment; `None` where that can't be found out. Asked when a client wants to know.
    fn volume(&self) -> Option<Volume> {
        None
    }

    /// Whether operations wait for room on the volume: then [`Disk::submit`] is called once a round, if only to try again.
    fn is_waiting(&self) -> bool {
        false
    }
}
