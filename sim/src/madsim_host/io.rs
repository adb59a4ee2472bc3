//! Sockets, tasks and clocks of one node for `ottla_net::Host`, over madsim.
//!
//! madsim's stream has no half-close: a dropped writer ends the stream when the reader is gone too, which is how the shell uses it.

use super::disk::MadDisk;
use super::world::SharedWorld;
use bytes::{Bytes, BytesMut};
use madsim::net::{TcpListener, TcpStream};
use ottla_core::time::{Instant, Now};
use ottla_net::{Host, Reader, Writer};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf, ReadHalf, WriteHalf, split};

/// The world as one broker sees it.
#[derive(Clone)]
pub(crate) struct MadHost {
    pub(crate) world: SharedWorld,
    pub(crate) node: usize,
}

pub(crate) struct MadReader(ReadHalf<TcpStream>);
pub(crate) struct MadWriter(WriteHalf<TcpStream>);

/// Both halves of a stream.
pub(crate) fn halves(stream: TcpStream) -> (MadReader, MadWriter) {
    let (reader, writer) = split(stream);
    (MadReader(reader), MadWriter(writer))
}

impl Host for MadHost {
    type Listener = TcpListener;
    type Reader = MadReader;
    type Writer = MadWriter;
    type Disk = MadDisk;

    fn now(&self) -> Now {
        self.world.clock_of(self.node)
    }

    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> + 'static {
        let us = self.world.us_until(self.node, at);
        madsim::time::sleep(Duration::from_micros(us))
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        drop(madsim::task::spawn_local(task));
    }

    fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> impl Future<Output = T> + 'static {
        // There is one thread; what matters is that everything else may happen first.
        let us = self.world.work_us(self.node);
        async move {
            madsim::time::sleep(Duration::from_micros(us)).await;
            work()
        }
    }

    async fn listen(&self, address: &str) -> io::Result<TcpListener> {
        TcpListener::bind(address).await
    }

    async fn accept(&self, listener: &mut TcpListener) -> io::Result<(MadReader, MadWriter, String)> {
        let (stream, peer) = listener.accept().await?;
        let (reader, writer) = halves(stream);
        Ok((reader, writer, peer.to_string()))
    }

    async fn connect(&self, address: &str) -> io::Result<(MadReader, MadWriter)> {
        Ok(halves(TcpStream::connect(address).await?))
    }
}

impl Reader for MadReader {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut BytesMut) -> Poll<io::Result<usize>> {
        let mut chunk = [0_u8; 16 * 1024];
        let room = chunk.len().min(buffer.capacity() - buffer.len());
        let mut into = ReadBuf::new(&mut chunk[..room]);
        match Pin::new(&mut self.0).poll_read(cx, &mut into) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => {
                buffer.extend_from_slice(into.filled());
                Poll::Ready(Ok(into.filled().len()))
            }
        }
    }
}

impl Writer for MadWriter {
    async fn write_all(&mut self, slices: Vec<Bytes>) -> io::Result<()> {
        for slice in slices {
            self.0.write_all(&slice).await?;
        }
        self.0.flush().await
    }
}
