//! Links to the other brokers: one for control and one for data to each, with outboxes, hellos and signs of life.
//!
//! Each broker dials every other one and sends on the streams it dialled; on those that it accepted it only receives (and gives
//! signs of life). It does not know what is in a frame. Frames may be lost, never reordered within a class, never damaged.
//! - a stream carries frames only after hellos were exchanged and agreed: same cluster, the broker that was meant, a known version;
//! - the newest accepted stream of a peer and class silences the one before, so that frames of an earlier life never follow those of
//!   a later one;
//! - `PeerUp` is told when both classes are connected, `PeerDown` when one breaks: then both are made anew;
//! - waiting frames of a peer and class ≤ [`PEER_OUTBOX_BYTES_MAX`]: what comes beyond is dropped and, once the outbox is empty, the peer
//!   is told down and up so that raft probes for what is missing.
//!
//! Source: replication design, peer transport. TCP alone would notice a silent partition after minutes and resume after one as late,
//! hence the signs of life.

use crate::bell::Bell;
use crate::frame::{FrameBuffer, SizeOrder};
use crate::hello::{Hello, decode_frame, encode_frame};
use crate::host::{Host, Reader, Writer};
use crate::inbox::Inbox;
use crate::limits::{
    HELLO_BYTES_MAX, HELLO_MS_MAX, PEER_OUTBOX_BYTES_MAX, PEER_PING_MS, PEER_RETRY_MS_MAX, PEER_RETRY_MS_MIN,
    PEER_SILENCE_MS_MAX, PEER_UNREAD_BYTES_MAX, STRANGERS_MAX, WRITE_BYTES, WRITE_SLICES,
};
use crate::metrics::PeerMetrics;
use bytes::Bytes;
use core::cell::{Cell, RefCell};
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use futures_util::future::{Either, select, try_join};
use ottla_core::ids::BrokerId;
use ottla_core::input::Input;
use ottla_core::limits::PEER_FRAME_BYTES_MAX;
use ottla_core::output::PeerClass;
use ottla_core::time::Instant;
use slog::{Logger, info, warn};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

/// Who we are and where the others listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerBook {
    /// Streams to brokers of another cluster are refused.
    pub cluster_id: String,
    /// This broker.
    pub broker: BrokerId,
    /// A number that no other life of this broker has.
    pub boot: u64,
    /// The other brokers and their addresses, `host:port`.
    pub peers: Vec<(BrokerId, String)>,
}

/// All links of a broker; cheap to clone.
#[derive(Clone)]
pub struct Peers(Rc<Links>);

struct Links {
    book: PeerBook,
    inbox: Inbox,
    log: Logger,
    links: BTreeMap<BrokerId, Link>,
    /// Accepted streams whose hello has not come yet.
    strangers: Cell<usize>,
    bytes_in: Cell<u64>,
    bytes_out: Cell<u64>,
    frames_dropped: Cell<u64>,
}

struct Link {
    control: Outbox,
    data: Outbox,
    /// Accepted streams of the peer.
    control_in: Incoming,
    data_in: Incoming,
    /// Bytes of frames that the node has not taken yet.
    unread: Cell<usize>,
}

#[derive(Default)]
struct Outbox {
    is_open: Cell<bool>,
    lost: Cell<bool>,
    bytes: Cell<usize>,
    frames: RefCell<VecDeque<Vec<Bytes>>>,
    bell: Bell,
}

/// The accepted stream of a peer and class that counts.
#[derive(Default)]
struct Incoming {
    generation: Cell<u64>,
    bell: Bell,
}

impl Peers {
    /// Links to everyone in the book; nothing moves before [`Peers::serve`].
    #[must_use]
    pub fn new(book: PeerBook, inbox: Inbox, log: Logger) -> Peers {
        let link = || Link {
            control: Outbox::default(),
            data: Outbox::default(),
            control_in: Incoming::default(),
            data_in: Incoming::default(),
            unread: Cell::new(0),
        };
        let links = book.peers.iter().map(|(peer, _)| (*peer, link())).collect();
        Peers(Rc::new(Links {
            book,
            inbox,
            log,
            links,
            strangers: Cell::new(0),
            bytes_in: Cell::new(0),
            bytes_out: Cell::new(0),
            frames_dropped: Cell::new(0),
        }))
    }

    /// Starts dialling everyone and, with a listener, accepting.
    pub fn serve<H: Host>(&self, host: &H, listener: Option<H::Listener>) {
        if let Some(listener) = listener {
            host.spawn(accept(self.clone(), host.clone(), listener));
        }
        for (peer, address) in &self.0.book.peers {
            host.spawn(dial(self.clone(), host.clone(), *peer, address.clone()));
        }
    }

    /// Puts a frame into an outbox; dropped while the peer is not connected.
    pub fn send(&self, to: BrokerId, class: PeerClass, frame: Vec<Bytes>) {
        let Some(link) = self.0.links.get(&to) else {
            warn!(self.0.log, "a frame for a broker that is not in the book is dropped"; "peer" => to.0);
            return;
        };
        let bytes: usize = frame.iter().map(Bytes::len).sum();
        if link.outbox(class).push(frame) {
            self.0.bytes_out.set(self.0.bytes_out.get() + bytes as u64);
        } else {
            self.0.frames_dropped.set(self.0.frames_dropped.get() + 1);
        }
    }

    /// For who watches.
    pub(crate) fn metrics(&self) -> PeerMetrics {
        let connected = self.0.links.values().filter(|link| link.control.is_open.get() && link.data.is_open.get());
        PeerMetrics {
            peers: self.0.links.len() as u64,
            connected: connected.count() as u64,
            bytes_out: self.0.bytes_out.get(),
            bytes_in: self.0.bytes_in.get(),
            frames_dropped: self.0.frames_dropped.get(),
        }
    }

    /// The node has taken a frame of `bytes` out of the inbox.
    pub fn taken(&self, from: BrokerId, bytes: usize) {
        self.0.bytes_in.set(self.0.bytes_in.get() + bytes as u64);
        if let Some(link) = self.0.links.get(&from) {
            let before = link.unread.replace(link.unread.get().saturating_sub(bytes));
            if before >= PEER_UNREAD_BYTES_MAX {
                link.control_in.bell.ring();
                link.data_in.bell.ring();
            }
        }
    }

    fn hello(&self, class: PeerClass, to: BrokerId) -> Hello {
        let book = &self.0.book;
        Hello { class, from: book.broker, to, boot: book.boot, cluster_id: book.cluster_id.clone() }
    }

    fn link(&self, peer: BrokerId) -> &Link {
        self.0.links.get(&peer).expect("the book names every broker that is dialled or let in")
    }
}

impl Link {
    fn outbox(&self, class: PeerClass) -> &Outbox {
        match class {
            PeerClass::Control => &self.control,
            PeerClass::Data => &self.data,
        }
    }
    fn incoming(&self, class: PeerClass) -> &Incoming {
        match class {
            PeerClass::Control => &self.control_in,
            PeerClass::Data => &self.data_in,
        }
    }
}

impl Outbox {
    /// Whether the frame was taken.
    fn push(&self, payload: Vec<Bytes>) -> bool {
        if !self.is_open.get() {
            return false;
        }
        let frame = encode_frame(payload);
        let bytes = self.bytes.get() + length(&frame);
        // One frame always fits: it may be larger than the bound.
        if bytes > PEER_OUTBOX_BYTES_MAX && self.bytes.get() > 0 {
            self.lost.set(true);
            return false;
        }
        self.bytes.set(bytes);
        self.frames.borrow_mut().push_back(frame);
        self.bell.ring();
        true
    }

    fn open(&self) {
        self.is_open.set(true);
    }

    fn shut(&self) {
        self.is_open.set(false);
        self.lost.set(false);
        self.bytes.set(0);
        self.frames.borrow_mut().clear();
    }

    /// Frames for one write; empty when there are none.
    fn take(&self) -> Vec<Bytes> {
        let mut frames = self.frames.borrow_mut();
        let (mut slices, mut bytes) = (Vec::new(), 0);
        while bytes < WRITE_BYTES
            && slices.len() < WRITE_SLICES
            && let Some(frame) = frames.pop_front()
        {
            bytes += length(&frame);
            slices.extend(frame);
        }
        self.bytes.set(self.bytes.get() - bytes);
        slices
    }
}

fn length(frame: &[Bytes]) -> usize {
    frame.iter().map(Bytes::len).sum()
}

/// `None` when `ms` pass first.
async fn within<H: Host, T>(host: &H, ms: u64, task: impl Future<Output = T>) -> Option<T> {
    match select(pin!(task), pin!(host.sleep_until(host.now().monotonic.plus_ms(ms)))).await {
        Either::Left((value, _)) => Some(value),
        Either::Right(_) => None,
    }
}

/// What the task that ends first says.
async fn first<T>(one: impl Future<Output = T> + Unpin, other: impl Future<Output = T> + Unpin) -> T {
    select(one, other).await.factor_first().0
}

/// Keeps the links to one peer: connects, sends until one breaks, tries again.
async fn dial<H: Host>(peers: Peers, host: H, peer: BrokerId, address: String) {
    let (log, inbox) = (&peers.0.log, &peers.0.inbox);
    let link = peers.link(peer);
    let mut retry_ms = PEER_RETRY_MS_MIN;
    let mut told = String::new();
    loop {
        let both = try_join(
            greet(&peers, &host, PeerClass::Control, peer, &address),
            greet(&peers, &host, PeerClass::Data, peer, &address),
        );
        let broken = match within(&host, HELLO_MS_MAX, both).await {
            None => format!("no answer within {HELLO_MS_MAX} ms"),
            Some(Err(reason)) => reason,
            Some(Ok((control, data))) => {
                info!(log, "connected to broker {}", peer.0; "address" => &address);
                link.control.open();
                link.data.open();
                inbox.send(Input::PeerUp { peer });
                let control = pin!(send(&peers, &host, peer, &link.control, control));
                let data = pin!(send(&peers, &host, peer, &link.data, data));
                let reason = first(control, data).await;
                link.control.shut();
                link.data.shut();
                (retry_ms, told) = (PEER_RETRY_MS_MIN, String::new());
                reason
            }
        };
        if broken != told {
            warn!(log, "broker {} can't be reached: {}", peer.0, broken; "address" => &address);
            inbox.send(Input::PeerDown { peer });
            told = broken;
        }
        host.sleep_until(host.now().monotonic.plus_ms(retry_ms)).await;
        retry_ms = (retry_ms * 2).min(PEER_RETRY_MS_MAX);
    }
}

type Streams<H> = (<H as Host>::Reader, <H as Host>::Writer);

/// Connects one class and exchanges hellos.
async fn greet<H: Host>(peers: &Peers, host: &H, class: PeerClass, peer: BrokerId, address: &str) -> Result<Streams<H>, String> {
    let (mut reader, mut writer) = host.connect(address).await.map_err(|error| error.to_string())?;
    let ours = peers.hello(class, peer);
    writer.write_all(encode_frame(vec![ours.encode()])).await.map_err(|error| error.to_string())?;
    let mut frames = FrameBuffer::new(SizeOrder::Little, HELLO_BYTES_MAX);
    let theirs = Hello::decode(&next_frame(&mut reader, &mut frames).await?)?;
    theirs.check(&ours)?;
    Ok((reader, writer))
}

/// Sends an outbox until the stream breaks; says why.
async fn send<H: Host>(peers: &Peers, host: &H, peer: BrokerId, outbox: &Outbox, (mut reader, mut writer): Streams<H>) -> String {
    let heard = Cell::new(host.now().monotonic);
    let writing = async {
        loop {
            let slices = next_writes(host, outbox).await;
            if let Err(error) = writer.write_all(slices).await {
                return error.to_string();
            }
            if outbox.bytes.get() == 0 && outbox.lost.replace(false) {
                warn!(peers.0.log, "frames for broker {} were dropped, it was too slow", peer.0);
                peers.0.inbox.send(Input::PeerDown { peer });
                peers.0.inbox.send(Input::PeerUp { peer });
            }
        }
    };
    let listening = async {
        let mut frames = FrameBuffer::new(SizeOrder::Little, HELLO_BYTES_MAX);
        loop {
            match next_frame(&mut reader, &mut frames).await {
                Ok(_) => heard.set(host.now().monotonic),
                Err(reason) => return reason,
            }
        }
    };
    let waiting = silence(host, &heard);
    first(pin!(writing), pin!(first(pin!(listening), pin!(waiting)))).await
}

/// Waits for frames, or until a sign of life is due.
async fn next_writes<H: Host>(host: &H, outbox: &Outbox) -> Vec<Bytes> {
    let frames = poll_fn(|cx| {
        outbox.bell.listen(cx);
        let slices = outbox.take();
        if slices.is_empty() { Poll::Pending } else { Poll::Ready(slices) }
    });
    within(host, PEER_PING_MS, frames).await.unwrap_or_else(|| encode_frame(Vec::new()))
}

/// Ends when nothing was heard for too long.
async fn silence<H: Host>(host: &H, heard: &Cell<Instant>) -> String {
    loop {
        let end = heard.get().plus_ms(PEER_SILENCE_MS_MAX);
        if host.now().monotonic >= end {
            return format!("silent for {PEER_SILENCE_MS_MAX} ms");
        }
        host.sleep_until(end).await;
    }
}

/// The next frame's payload; a sign of life is an empty one.
async fn next_frame<R: Reader>(reader: &mut R, frames: &mut FrameBuffer) -> Result<Bytes, String> {
    loop {
        if let Some(frame) = frames.next_frame().map_err(|size| format!("a frame of {} bytes is impossible", size.0))? {
            return decode_frame(frame);
        }
        match poll_fn(|cx| reader.poll_read(cx, frames.space())).await {
            Ok(0) => return Err("the connection was closed".to_string()),
            Ok(_) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

async fn accept<H: Host>(peers: Peers, host: H, mut listener: H::Listener) {
    loop {
        match host.accept(&mut listener).await {
            // A dropped stream is a closed one.
            Ok(_) if peers.0.strangers.get() >= STRANGERS_MAX => {}
            Ok((reader, writer, from)) => {
                peers.0.strangers.set(peers.0.strangers.get() + 1);
                host.spawn(welcome(peers.clone(), host.clone(), (reader, writer), from));
            }
            Err(error) => {
                warn!(peers.0.log, "a broker's connection can't be accepted"; "error" => %error);
                host.sleep_until(host.now().monotonic.plus_ms(PEER_RETRY_MS_MIN)).await;
            }
        }
    }
}

/// One accepted stream from hello to end.
async fn welcome<H: Host>(peers: Peers, host: H, (mut reader, mut writer): Streams<H>, from: String) {
    let mut frames = FrameBuffer::new(SizeOrder::Little, HELLO_BYTES_MAX);
    let hello = within(&host, HELLO_MS_MAX, exchange(&peers, &mut reader, &mut writer, &mut frames)).await;
    peers.0.strangers.set(peers.0.strangers.get() - 1);
    let hello = match hello.unwrap_or_else(|| Err("no hello in time".to_string())) {
        Ok(hello) => hello,
        Err(reason) => {
            warn!(peers.0.log, "a connection to the brokers' port is refused: {}", reason; "from" => from);
            return;
        }
    };
    frames.set_bytes_max(PEER_FRAME_BYTES_MAX);
    let link = peers.link(hello.from);
    let incoming = link.incoming(hello.class);
    let generation = incoming.generation.get() + 1;
    incoming.generation.set(generation);
    incoming.bell.ring();
    let heard = Cell::new(host.now().monotonic);
    let receiving = receive(&peers, &host, &hello, generation, reader, frames, &heard);
    let signs = async {
        loop {
            host.sleep_until(host.now().monotonic.plus_ms(PEER_PING_MS)).await;
            if writer.write_all(encode_frame(Vec::new())).await.is_err() {
                return;
            }
        }
    };
    select(pin!(receiving), select(pin!(signs), pin!(silence(&host, &heard)))).await;
}

/// Reads the dialler's hello and always answers with ours, so that it can say what is wrong as well.
async fn exchange<R: Reader, W: Writer>(
    peers: &Peers,
    reader: &mut R,
    writer: &mut W,
    frames: &mut FrameBuffer,
) -> Result<Hello, String> {
    let theirs = Hello::decode(&next_frame(reader, frames).await?)?;
    let ours = peers.hello(theirs.class, theirs.from);
    writer.write_all(encode_frame(vec![ours.encode()])).await.map_err(|error| error.to_string())?;
    theirs.check(&ours)?;
    if peers.0.links.contains_key(&theirs.from) {
        Ok(theirs)
    } else {
        Err(format!("broker {} is not in controller.quorum.voters", theirs.from.0))
    }
}

/// Gives frames to the node until the stream ends or a newer one of the same peer and class replaces it.
async fn receive<H: Host>(
    peers: &Peers,
    host: &H,
    hello: &Hello,
    generation: u64,
    mut reader: H::Reader,
    mut frames: FrameBuffer,
    heard: &Cell<Instant>,
) {
    let link = peers.link(hello.from);
    let incoming = link.incoming(hello.class);
    loop {
        let mut reading = pin!(next_frame(&mut reader, &mut frames));
        let next = poll_fn(|cx| {
            incoming.bell.listen(cx);
            if incoming.generation.get() != generation {
                return Poll::Ready(None);
            }
            if link.unread.get() >= PEER_UNREAD_BYTES_MAX {
                // Not its silence but our slowness.
                heard.set(host.now().monotonic);
                return Poll::Pending;
            }
            reading.as_mut().poll(cx).map(Some)
        });
        let frame = match next.await {
            None => return,
            Some(Ok(frame)) => frame,
            Some(Err(reason)) => {
                info!(peers.0.log, "the connection from broker {} ended: {}", hello.from.0, reason);
                return;
            }
        };
        heard.set(host.now().monotonic);
        if !frame.is_empty() {
            link.unread.set(link.unread.get() + frame.len());
            peers.0.inbox.send(Input::Peer { from: hello.from, frame });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(outbox: &Outbox, bytes: usize) -> bool {
        outbox.push(vec![Bytes::from(vec![0; bytes])])
    }

    #[test]
    fn frames_that_wait_for_a_peer_have_a_bound_and_one_always_fits() {
        let outbox = Outbox::default();
        assert!(!pushed(&outbox, 1), "nobody listens yet");
        outbox.open();
        assert!(pushed(&outbox, PEER_OUTBOX_BYTES_MAX + 1), "a single frame may be larger");
        assert!(!pushed(&outbox, 1) && outbox.lost.get(), "the core is told that frames were lost");
        outbox.take();
        outbox.lost.set(false);
        assert!(pushed(&outbox, PEER_OUTBOX_BYTES_MAX / 2) && pushed(&outbox, PEER_OUTBOX_BYTES_MAX / 4));
        assert!(!outbox.lost.get() && !pushed(&outbox, PEER_OUTBOX_BYTES_MAX / 2));
        assert!(outbox.lost.get() && outbox.bytes.get() <= PEER_OUTBOX_BYTES_MAX);
    }

    #[test]
    fn a_write_to_a_peer_gathers_so_much() {
        let outbox = Outbox::default();
        outbox.open();
        for _ in 0..4 {
            assert!(pushed(&outbox, WRITE_BYTES / 2));
        }
        assert!((WRITE_BYTES..2 * WRITE_BYTES).contains(&length(&outbox.take())));
        let mut slices = 0;
        while !outbox.take().is_empty() {}
        for _ in 0..WRITE_SLICES {
            assert!(pushed(&outbox, 1));
            slices += 2; // the size, and what follows it
        }
        let first = outbox.take().len();
        assert!((WRITE_SLICES..=WRITE_SLICES + 2).contains(&first), "{first} of {slices} slices");
        assert_eq!(first + outbox.take().len(), slices);
    }
}
