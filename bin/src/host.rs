//! Tokio as the world of a broker: sockets, timers and tasks of one current-thread runtime.
//!
//! Knows nothing of what the bytes mean. Must be used inside a [`tokio::task::LocalSet`].

use crate::disk::FileDisk;
use bytes::{Buf, Bytes, BytesMut};
use core::task::{Context, Poll};
use ottla_core::time::{Instant, Now, WallTime};
use ottla_net::limits::WORK_AT_ONCE_MAX;
use ottla_net::{Host, Reader, Writer};
use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Slices handed to the kernel at once, Linux's `IOV_MAX`.
const SLICES_MAX: usize = 1024;

/// The real world.
#[derive(Clone, Debug)]
pub struct TokioHost {
    start: tokio::time::Instant,
    workers: Arc<Semaphore>,
}

/// The half of a socket that bytes come from.
#[derive(Debug)]
pub struct SocketReader(OwnedReadHalf);

/// The half of a socket that bytes go to.
#[derive(Debug)]
pub struct SocketWriter(OwnedWriteHalf);

impl TokioHost {
    /// A host whose monotonic clock starts here.
    #[must_use]
    pub fn new() -> TokioHost {
        TokioHost { start: tokio::time::Instant::now(), workers: Arc::new(Semaphore::new(WORK_AT_ONCE_MAX)) }
    }
}

impl Host for TokioHost {
    type Listener = TcpListener;
    type Reader = SocketReader;
    type Writer = SocketWriter;
    type Disk = FileDisk;

    fn now(&self) -> Now {
        let monotonic = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        Now { monotonic: Instant(monotonic), wall: WallTime(i64::try_from(wall).unwrap_or(i64::MAX)) }
    }

    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> + 'static {
        tokio::time::sleep_until(self.start + Duration::from_micros(at.0))
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        drop(tokio::task::spawn_local(task));
    }

    fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> impl Future<Output = T> + 'static {
        let workers = self.workers.clone();
        async move {
            let permit = workers.acquire_owned().await.expect("it is never closed");
            let done = tokio::task::spawn_blocking(move || {
                let done = work();
                drop(permit);
                done
            });
            // A bug there is one here, as it would be in the core.
            done.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
        }
    }

    async fn listen(&self, address: &str) -> io::Result<TcpListener> {
        TcpListener::bind(address).await
    }

    async fn accept(&self, listener: &mut TcpListener) -> io::Result<(SocketReader, SocketWriter, String)> {
        let (stream, from) = listener.accept().await?;
        let (reader, writer) = halves(stream)?;
        Ok((reader, writer, from.to_string()))
    }

    async fn connect(&self, address: &str) -> io::Result<(SocketReader, SocketWriter)> {
        halves(TcpStream::connect(address).await?)
    }
}

fn halves(stream: TcpStream) -> io::Result<(SocketReader, SocketWriter)> {
    // Frames are written whole: waiting for more would only delay them.
    stream.set_nodelay(true)?;
    let (reader, writer) = stream.into_split();
    Ok((SocketReader(reader), SocketWriter(writer)))
}

impl Reader for SocketReader {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut BytesMut) -> Poll<io::Result<usize>> {
        // The future of one poll: the socket, not the future, remembers who waits.
        pin!(self.0.read_buf(buffer)).poll(cx)
    }
}

impl Writer for SocketWriter {
    async fn write_all(&mut self, slices: Vec<Bytes>) -> io::Result<()> {
        let mut slices = VecDeque::from(slices);
        while !slices.is_empty() {
            let views: Vec<IoSlice<'_>> = slices.iter().take(SLICES_MAX).map(|slice| IoSlice::new(slice)).collect();
            let mut written = self.0.write_vectored(&views).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            while let Some(first) = slices.front_mut() {
                let step = written.min(first.len());
                first.advance(step);
                written -= step;
                if !first.is_empty() {
                    break;
                }
                slices.pop_front();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host_tests::run;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    #[test]
    fn so_much_work_is_done_at_once_and_elsewhere() {
        run(async {
            let host = TokioHost::new();
            let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let works: Vec<_> = (0..3 * WORK_AT_ONCE_MAX)
                .map(|number| {
                    let (now, most) = (now.clone(), most.clone());
                    tokio::task::spawn_local(host.work(move || {
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        thread::sleep(Duration::from_millis(50));
                        now.fetch_sub(1, Ordering::SeqCst);
                        (number, thread::current().id())
                    }))
                })
                .collect();
            for (number, work) in works.into_iter().enumerate() {
                let (done, thread) = work.await.expect("it ends");
                assert_eq!(done, number);
                assert_ne!(thread, thread::current().id());
            }
            assert_eq!(most.load(Ordering::SeqCst), WORK_AT_ONCE_MAX);
        });
    }
}
