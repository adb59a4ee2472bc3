//! The tasks around client connections: one accepts, two per connection move bytes, one sends away who wastes our time.
//!
//! What a byte means is [`Connection`]'s business; what a request means is the core's. Decoding and checking records happens
//! here, on the connection's task, before the request reaches the node; and where a topic wants a codec of its own, [`Host::work`] compresses
//! batches anew, while the connection waits and others go on.
//! - open connections ≤ `connections_max`; at the bound the oldest stranger (nobody who has sent a whole request) makes room, without
//!   one the newcomer is closed; so is one above `connections_per_address_max`;
//! - bytes of requests ≤ `queued_bytes_max` + one frame: at the bound frames under way go on and no further one begins;
//! - a frame arrives within [`FRAME_MS_MAX`] (or `idle_ms_max`, if that is shorter) plus one millisecond for every 64 bytes, a write ends
//!   within [`WRITE_MS_MAX`], and who is owed nothing speaks within `idle_ms_max`: otherwise the connection is closed.

mod reader;

use crate::bell::Bell;
use crate::client_counters::{Asked, ClientCounters};
use crate::client_limits::ClientLimits;
use crate::connection::Connection;
use crate::host::{Host, Writer};
use crate::inbox::Inbox;
use crate::limits::{FRAME_MS_MAX, WRITE_MS_MAX};
use crate::metrics::ClientMetrics;
use bytes::Bytes;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;
use ottla_core::ids::{ConnectionId, ListenerId, RequestNumber};
use ottla_core::input::Input;
use ottla_core::log::TimeSearch;
use ottla_core::record::{Codecs, TopicCodec};
use ottla_core::time::Instant;
use reader::read;
use slog::{Logger, debug, info, warn};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Milliseconds between looks at who wastes our time.
const SWEEP_MS: u64 = 1_000;
/// Clients named in the log per sweep; the others are counted.
const COMPLAINTS_MAX: u64 = 10;
/// A frame on its way must bring this many bytes per millisecond after [`FRAME_MS_MAX`].
const FRAME_BYTES_PER_MS_MIN: u64 = 64;
/// Milliseconds before accepting goes on after the host failed to.
const ACCEPT_PAUSE_MS: u64 = 50;

/// All open client connections of a broker; cheap to clone.
#[derive(Clone)]
pub(crate) struct Clients(Rc<Registry>);

struct Registry {
    inbox: Inbox,
    log: Logger,
    limits: ClientLimits,
    next: Cell<u64>,
    /// Bytes of requests of all connections, as [`Connection::request_bytes`] counts them.
    queued_bytes: Cell<usize>,
    /// Open connections by address.
    addresses: RefCell<BTreeMap<String, usize>>,
    /// Complaints since the last sweep: who floods us must not flood the log.
    complaints: Cell<u64>,
    counters: ClientCounters,
    /// What topics want of their batches.
    codecs: RefCell<Codecs>,
    open: RefCell<BTreeMap<ConnectionId, Rc<Client>>>,
}

struct Client {
    id: ConnectionId,
    from: String,
    connection: RefCell<Connection>,
    asked: RefCell<Asked>,
    /// Its part of the queued bytes.
    queued_bytes: Cell<usize>,
    /// Nothing moves any more.
    gone: Cell<bool>,
    /// It has sent a whole request.
    known: Cell<bool>,
    /// Its last request is being worked on before the node sees it.
    is_busy: Cell<bool>,
    heard: Cell<Instant>,
    /// When the frame that is on its way began, and how many bytes of it or after it came.
    frame: Cell<Option<(Instant, u64)>>,
    /// When the write that is under way began.
    write: Cell<Option<Instant>>,
    reader: Bell,
    writer: Bell,
}

impl Clients {
    pub(crate) fn new(inbox: Inbox, limits: ClientLimits, log: Logger) -> Clients {
        Clients(Rc::new(Registry {
            inbox,
            log,
            limits,
            next: Cell::new(0),
            queued_bytes: Cell::new(0),
            addresses: RefCell::default(),
            complaints: Cell::new(0),
            counters: ClientCounters::default(),
            codecs: RefCell::default(),
            open: RefCell::default(),
        }))
    }

    /// Starts accepting on all listeners; their places are their ids.
    pub(crate) fn serve<H: Host>(&self, host: &H, listeners: Vec<H::Listener>) {
        for (id, listener) in (0..).map(ListenerId).zip(listeners) {
            host.spawn(accept(self.clone(), host.clone(), id, listener));
        }
        host.spawn(sweep(self.clone(), host.clone()));
    }

    /// Hands an answer to its connection, if that is still there.
    pub(crate) fn reply(&self, connection: ConnectionId, number: RequestNumber, frame: Option<Vec<Bytes>>, now: Instant) {
        self.with(connection, |client| {
            self.0.counters.answered(&mut client.asked.borrow_mut(), number, now);
            client.connection.borrow_mut().reply(number, frame);
        });
    }

    /// Ends a connection before request `number`.
    pub(crate) fn close(&self, connection: ConnectionId, number: RequestNumber, reason: &'static str) {
        self.with(connection, |client| client.connection.borrow_mut().close(number, reason));
    }

    /// The core tells what topics want of their batches.
    pub(crate) fn learn_codecs(&self, news: Vec<TopicCodec>) {
        self.0.codecs.borrow_mut().learn(news);
    }

    /// Has a search done beside the core, for a client who asked for an offset by its time.
    pub(crate) fn search<H: Host>(&self, host: &H, token: u64, search: TimeSearch) {
        let (found, clients) = (host.work(move || search.search()), self.clone());
        host.spawn(async move { clients.0.inbox.send(Input::Searched { token, found: found.await }) });
    }

    /// Whether every connection has written what it was told.
    pub(crate) fn all_written(&self) -> bool {
        self.0.open.borrow().values().all(|client| client.write.get().is_none() && !client.connection.borrow().has_writes())
    }

    /// For who watches.
    pub(crate) fn metrics(&self, now: Instant) -> ClientMetrics {
        let open = self.0.open.borrow();
        ClientMetrics {
            connections: open.len() as u64,
            queued_bytes: self.0.queued_bytes.get() as u64,
            requests_open: open.values().map(|client| client.asked.borrow().open() as u64).sum(),
            ..self.0.counters.look(now)
        }
    }

    fn with(&self, connection: ConnectionId, act: impl FnOnce(&Client)) {
        let client = self.0.open.borrow().get(&connection).cloned();
        if let Some(client) = client {
            act(&client);
            self.count(&client);
            client.writer.ring();
            client.reader.ring();
        }
    }

    /// Brings the queued bytes up to date with a connection; wakes everybody when there is room again.
    fn count(&self, client: &Client) {
        let bytes = if client.gone.get() { 0 } else { client.connection.borrow().request_bytes() };
        let was_full = self.is_full();
        self.0.queued_bytes.set(self.0.queued_bytes.get() - client.queued_bytes.replace(bytes) + bytes);
        if was_full && !self.is_full() {
            self.0.open.borrow().values().for_each(|client| client.reader.ring());
        }
    }

    fn is_full(&self) -> bool {
        self.0.limits.queued_bytes_max.is_some_and(|max| self.0.queued_bytes.get() >= max)
    }

    /// Whether the client may be read from: neither it nor all of them have too much under way.
    fn reads(&self, connection: &Connection) -> bool {
        connection.wants_bytes() && (!self.is_full() || connection.has_claimed())
    }

    /// Makes room for a newcomer and lets it in.
    fn enter(&self, from: String, listener: ListenerId, now: Instant) -> Option<Rc<Client>> {
        let address = address_of(&from);
        if self.0.addresses.borrow().get(address).is_some_and(|count| *count >= self.0.limits.connections_per_address_max) {
            self.0.counters.note(|counters| counters.refused_for_address += 1);
            self.complain(&from, "too many connections from its address");
            return None;
        }
        if self.0.open.borrow().len() >= self.0.limits.connections_max && !self.evict_stranger() {
            self.0.counters.note(|counters| counters.refused_for_all += 1);
            self.complain(&from, "too many connections");
            return None;
        }
        *self.0.addresses.borrow_mut().entry(address.to_string()).or_default() += 1;
        self.0.counters.note(|counters| counters.connections_accepted += 1);
        let id = ConnectionId(self.0.next.replace(self.0.next.get() + 1));
        let client = Rc::new(Client {
            id,
            from,
            connection: RefCell::new(Connection::by(listener, self.0.limits.request_bytes_max)),
            asked: RefCell::default(),
            queued_bytes: Cell::new(0),
            gone: Cell::new(false),
            known: Cell::new(false),
            is_busy: Cell::new(false),
            heard: Cell::new(now),
            frame: Cell::new(Some((now, 0))),
            write: Cell::new(None),
            reader: Bell::default(),
            writer: Bell::default(),
        });
        self.0.open.borrow_mut().insert(id, client.clone());
        self.0.inbox.send(Input::Opened { connection: id });
        Some(client)
    }

    fn evict_stranger(&self) -> bool {
        let stranger = self.0.open.borrow().values().find(|client| !client.known.get()).cloned();
        match stranger {
            Some(client) => {
                self.0.counters.note(|counters| counters.sent_away += 1);
                self.leave(&client, "made room for a new connection before its first request");
                true
            }
            None => false,
        }
    }

    /// Logs that a client is sent away, unless that happens too often.
    fn complain(&self, from: &str, reason: &str) {
        let before = self.0.complaints.replace(self.0.complaints.get() + 1);
        if before < COMPLAINTS_MAX {
            info!(self.0.log, "a client is sent away"; "from" => from, "reason" => reason);
        }
    }

    /// Why a client is sent away, if it wastes our time.
    fn wasted(&self, client: &Client, now: Instant) -> Option<&'static str> {
        let ms_since = |since: Instant| now.since_us(since) / 1000;
        let idle_ms_max = self.0.limits.idle_ms_max.unwrap_or(u64::MAX);
        let connection = client.connection.borrow();
        if client.write.get().is_some_and(|since| ms_since(since) > WRITE_MS_MAX) {
            return Some("it does not read its replies");
        }
        // While we don't read, the client can't be late.
        if client.is_busy.get() || !self.reads(&connection) {
            return None;
        }
        let late = |(since, bytes)| ms_since(since) > FRAME_MS_MAX.min(idle_ms_max) + bytes / FRAME_BYTES_PER_MS_MIN;
        if client.frame.get().is_some_and(late) {
            return Some("a request takes too long to arrive");
        }
        (connection.is_idle() && ms_since(client.heard.get()) > idle_ms_max).then_some("it was idle too long")
    }

    /// Who was silent since the last sweep keeps no buffer: most connections of a large cluster's clients say nothing most of the time.
    fn rest_silent(&self, now: Instant) {
        for client in self.0.open.borrow().values() {
            if now.since_us(client.heard.get()) >= SWEEP_MS * 1000 {
                client.connection.borrow_mut().rest();
            }
        }
    }

    fn sum_up_complaints(&self) {
        let unsaid = self.0.complaints.replace(0).saturating_sub(COMPLAINTS_MAX);
        if unsaid > 0 {
            info!(self.0.log, "{} more clients were sent away", unsaid);
        }
    }

    /// Ends a connection for good; idempotent.
    fn leave(&self, client: &Client, reason: &str) {
        if !client.gone.replace(true) {
            debug!(self.0.log, "connection closed"; "from" => &client.from, "reason" => reason);
            self.0.open.borrow_mut().remove(&client.id);
            self.count(client);
            let mut addresses = self.0.addresses.borrow_mut();
            let address = address_of(&client.from);
            match addresses.get_mut(address) {
                Some(count) if *count > 1 => *count -= 1,
                Some(_) | None => _ = addresses.remove(address),
            }
            self.0.inbox.send(Input::Closed { connection: client.id });
            client.reader.ring();
            client.writer.ring();
        }
    }
}

/// Where a connection comes from, without its port.
fn address_of(from: &str) -> &str {
    from.rsplit_once(':').map_or(from, |(address, _)| address)
}

async fn accept<H: Host>(clients: Clients, host: H, id: ListenerId, mut listener: H::Listener) {
    loop {
        match host.accept(&mut listener).await {
            Ok((reader, writer, from)) => {
                if let Some(client) = clients.enter(from, id, host.now().monotonic) {
                    host.spawn(read(clients.clone(), host.clone(), reader, client.clone()));
                    host.spawn(write(clients.clone(), host.clone(), writer, client));
                }
            }
            Err(error) => {
                warn!(clients.0.log, "a connection can't be accepted"; "error" => %error);
                clients.evict_stranger();
                host.sleep_until(host.now().monotonic.plus_ms(ACCEPT_PAUSE_MS)).await;
            }
        }
    }
}

async fn write<H: Host>(clients: Clients, host: H, mut writer: H::Writer, client: Rc<Client>) {
    let reason = loop {
        let next = poll_fn(|cx| {
            client.writer.listen(cx);
            let mut connection = client.connection.borrow_mut();
            if client.gone.get() {
                return Poll::Ready(Err("closed here"));
            }
            if let Some(reason) = connection.finished() {
                return Poll::Ready(Err(reason));
            }
            if connection.has_writes() { Poll::Ready(Ok(connection.take_writes())) } else { Poll::Pending }
        });
        let slices = match next.await {
            Ok(slices) => slices,
            Err(reason) => break reason.to_string(),
        };
        client.write.set(Some(host.now().monotonic));
        let bytes: usize = slices.iter().map(Bytes::len).sum();
        let mut writing = pin!(writer.write_all(slices));
        let written = poll_fn(|cx| {
            client.writer.listen(cx);
            if client.gone.get() { Poll::Ready(None) } else { writing.as_mut().poll(cx).map(Some) }
        });
        match written.await {
            None => break "closed here".to_string(),
            Some(Ok(())) => {
                client.write.set(None);
                clients.0.counters.note(|counters| counters.bytes_out += bytes as u64);
                client.connection.borrow_mut().wrote();
            }
            Some(Err(error)) => break error.to_string(),
        }
        client.heard.set(host.now().monotonic);
        client.reader.ring();
    };
    clients.leave(&client, &reason);
}

async fn sweep<H: Host>(clients: Clients, host: H) {
    loop {
        host.sleep_until(host.now().monotonic.plus_ms(SWEEP_MS)).await;
        clients.sum_up_complaints();
        let now = host.now().monotonic;
        let wasteful: Vec<(Rc<Client>, &'static str)> = {
            let open = clients.0.open.borrow();
            open.values().filter_map(|client| Some((client.clone(), clients.wasted(client, now)?))).collect()
        };
        for (client, reason) in wasteful {
            clients.0.counters.note(|counters| counters.sent_away += 1);
            clients.complain(&client.from, reason);
            clients.leave(&client, reason);
        }
        clients.rest_silent(now);
    }
}

#[cfg(test)]
mod tests {
    use super::reader::{hand_over, note_bytes};
    use super::*;
    use crate::limits::{CONNECTIONS_MAX, READ_BYTES};
    use bytes::BufMut;
    use slog::{Discard, o};

    const NOW: Instant = Instant(1_000_000);

    const IDLE_MS_MAX: u64 = 600_000;

    fn clients(connections_max: usize) -> Clients {
        limited(ClientLimits { connections_max, ..ClientLimits::default() })
    }

    fn limited(limits: ClientLimits) -> Clients {
        Clients::new(Inbox::new().0, limits, Logger::root(Discard, o!()))
    }

    fn enter(clients: &Clients) -> Option<Rc<Client>> {
        enter_from(clients, "10.0.0.1:5000")
    }

    fn enter_from(clients: &Clients, from: &str) -> Option<Rc<Client>> {
        clients.enter(from.to_string(), ListenerId::default(), NOW)
    }

    /// Sends a whole ApiVersions request.
    fn ask(clients: &Clients, client: &Client) {
        client.connection.borrow_mut().space().put_slice(b"\0\0\0\x0a\0\x12\0\0\0\0\0\x01\xff\xff");
        assert!(matches!(hand_over(clients, client), Ok(None)));
    }

    #[test]
    fn at_the_bound_the_oldest_stranger_makes_room_and_known_clients_stay() {
        let clients = clients(2);
        let known = enter(&clients).expect("room");
        ask(&clients, &known);
        let stranger = enter(&clients).expect("room");
        let other = enter(&clients).expect("the stranger goes");
        assert!(stranger.gone.get() && !known.gone.get());
        ask(&clients, &other);
        assert!(enter(&clients).is_none(), "nobody is a stranger");
        clients.leave(&known, "test");
        assert!(enter(&clients).is_some());
    }

    #[test]
    fn an_address_has_its_share_and_leaves_others_theirs() {
        let clients = limited(ClientLimits { connections_per_address_max: 2, ..ClientLimits::default() });
        let first = enter_from(&clients, "10.0.0.1:1").expect("room");
        assert!(enter_from(&clients, "10.0.0.1:2").is_some());
        assert!(enter_from(&clients, "10.0.0.1:3").is_none());
        assert!(enter_from(&clients, "10.0.0.2:1").is_some() && enter_from(&clients, "::1:1").is_some());
        clients.leave(&first, "test");
        assert!(enter_from(&clients, "10.0.0.1:3").is_some());
        assert!(enter_from(&clients, "10.0.0.1:4").is_none());
    }

    #[test]
    fn when_the_queue_is_full_no_frame_begins_and_begun_ones_end() {
        let clients = limited(ClientLimits { queued_bytes_max: Some(10), ..ClientLimits::default() });
        let (one, other) = (enter(&clients).expect("room"), enter(&clients).expect("room"));
        let reads = |client: &Client| clients.reads(&client.connection.borrow());
        let feed = |client: &Client, bytes: &[u8]| {
            client.connection.borrow_mut().space().put_slice(bytes);
            assert!(matches!(hand_over(&clients, client), Ok(None)));
            clients.count(client);
        };
        assert!(reads(&one) && reads(&other));
        feed(&one, b"\0\0\0\x0a\0\x12");
        assert!(reads(&one) && !reads(&other), "the claim of one fills it");
        feed(&one, b"\0\0\0\0\0\x01\xff\xff");
        assert!(!reads(&one) && !reads(&other), "its request is in the core");
        assert_eq!(clients.wasted(&other, NOW.plus_ms(FRAME_MS_MAX + 1)), None, "who is not read from can't be late");
        clients.reply(one.id, RequestNumber(0), None, NOW);
        assert!(reads(&one) && reads(&other));
        feed(&other, b"\0\0\0\x0a");
        clients.leave(&other, "test");
        assert_eq!(clients.0.queued_bytes.get(), 0);
        assert!(reads(&one));
    }

    #[test]
    fn ten_thousand_silent_connections_keep_no_buffers() {
        let clients = clients(CONNECTIONS_MAX);
        let all: Vec<_> = (0..CONNECTIONS_MAX).map(|_| enter(&clients).expect("room")).collect();
        let held = || all.iter().map(|client| client.connection.borrow().buffer_bytes()).sum::<usize>();
        for client in &all {
            ask(&clients, client);
            client.connection.borrow_mut().space();
        }
        let all_wait = CONNECTIONS_MAX * READ_BYTES / 2;
        assert!(held() >= all_wait, "each waits for bytes with a buffer");
        clients.rest_silent(NOW.plus_ms(SWEEP_MS - 1));
        assert!(held() >= all_wait, "who spoke just now may go on");
        all[0].connection.borrow_mut().space().put_slice(b"\0\0");
        clients.rest_silent(NOW.plus_ms(SWEEP_MS));
        assert!((READ_BYTES / 2..2 * READ_BYTES).contains(&held()), "one is in the middle of a frame: {}", held());
        assert!(enter(&clients).is_none(), "at the bound the next one is closed, nobody is a stranger");
    }

    #[test]
    fn without_an_idle_limit_who_is_silent_stays_and_who_drips_does_not() {
        let clients = limited(ClientLimits { idle_ms_max: None, ..ClientLimits::default() });
        let client = enter(&clients).expect("room");
        assert!(clients.wasted(&client, NOW.plus_ms(FRAME_MS_MAX + 1)).is_some());
        ask(&clients, &client);
        client.connection.borrow_mut().reply(RequestNumber(0), None);
        assert_eq!(clients.wasted(&client, NOW.plus_ms(1 << 40)), None);
    }

    #[test]
    fn a_frame_may_be_slow_but_not_drip() {
        let clients = clients(2);
        let client = enter(&clients).expect("room");
        assert_eq!(clients.wasted(&client, NOW.plus_ms(FRAME_MS_MAX)), None);
        assert!(clients.wasted(&client, NOW.plus_ms(FRAME_MS_MAX + 1)).is_some(), "a first frame that never comes");
        ask(&clients, &client);
        assert_eq!(clients.wasted(&client, NOW.plus_ms(FRAME_MS_MAX + 1)), None);
        client.connection.borrow_mut().reply(RequestNumber(0), None);
        client.connection.borrow_mut().space().put_slice(b"\0\0\x10\0abc");
        assert!(matches!(hand_over(&clients, &client), Ok(None)));
        note_bytes(&client, 6400, NOW);
        assert_eq!(clients.wasted(&client, NOW.plus_ms(FRAME_MS_MAX + 100)), None);
        assert!(clients.wasted(&client, NOW.plus_ms(FRAME_MS_MAX + 101)).is_some());
    }

    #[test]
    fn who_is_owed_nothing_must_speak_and_who_is_owed_may_wait() {
        let clients = clients(2);
        let client = enter(&clients).expect("room");
        ask(&clients, &client);
        assert_eq!(clients.wasted(&client, NOW.plus_ms(IDLE_MS_MAX + 1)), None, "a fetch may wait as long as it likes");
        client.connection.borrow_mut().reply(RequestNumber(0), None);
        assert_eq!(clients.wasted(&client, NOW.plus_ms(IDLE_MS_MAX)), None);
        assert!(clients.wasted(&client, NOW.plus_ms(IDLE_MS_MAX + 1)).is_some());
        client.write.set(Some(NOW));
        assert_eq!(clients.wasted(&client, NOW.plus_ms(WRITE_MS_MAX + 1)), Some("it does not read its replies"));
    }
}
