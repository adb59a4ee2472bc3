//! Connections of clients: byte streams that are whole or cut, with the real framing at the broker's end.

use super::event::Event;
use super::{Cluster, Happening, contiguous, n64};
use crate::check::promises::{self, Asked, Note};
use crate::dice::{Stream, draw};
use crate::disk::SimDisk;
use crate::network::End;
use crate::panics::catch;
use crate::report::FailureKind;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use ottla_core::ids::ConnectionId;
use ottla_core::input::Input;
use ottla_net::Connection;
use std::collections::VecDeque;

/// A connection of a client to one life of a broker.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) client: usize,
    pub(super) node: usize,
    pub(super) life: u64,
    pub(super) connection: Connection,
    /// What the client asked, in order, until it is answered.
    pub(super) notes: VecDeque<Note>,
    pub(super) to_client: BytesMut,
    pub(super) is_open_at_client: bool,
    pub(super) is_open_at_broker: bool,
    /// Whether bytes were lost: nothing passes any more, and both ends find out on their own.
    pub(super) is_broken: bool,
}

impl Cluster {
    /// Opens a connection; it may turn out that nobody is there.
    pub(crate) fn connect(&mut self, client: usize, node: usize) -> ConnectionId {
        self.next_connection += 1;
        let connection = ConnectionId(self.next_connection);
        let life = self.nodes[node].life;
        let is_up = self.nodes[node].broker.is_some();
        self.links.insert(
            connection,
            Link {
                client,
                node,
                life,
                connection: Connection::default(),
                notes: VecDeque::new(),
                to_client: BytesMut::new(),
                is_open_at_client: true,
                is_open_at_broker: is_up,
                is_broken: false,
            },
        );
        if is_up {
            self.input(node, Input::Opened { connection }, 44, &connection.0.to_le_bytes());
        } else {
            self.close_at_client(connection);
        }
        connection
    }

    /// Sends one request frame, without its size. `note` says what a truthful answer may promise.
    pub(crate) fn send(&mut self, connection: ConnectionId, frame: &[u8], note: Note) {
        let Some(link) = self.links.get_mut(&connection) else { return };
        if !link.is_open_at_client {
            return;
        }
        let (client, node) = (link.client, link.node);
        let mut note = note;
        let mut bytes = BytesMut::with_capacity(frame.len() + 4);
        bytes.put_u32(u32::try_from(frame.len()).expect("small"));
        bytes.put_slice(frame);
        if let (Note::ProduceAll { asked, .. }, Some(pick)) = (&mut note, self.flip_next.get(client).copied().flatten())
            && flip_batch(&mut bytes[4..], asked, pick)
        {
            self.flip_next[client] = None;
            self.counters.flipped_batches += 1;
        }
        link.notes.push_back(note);
        if let Some(at) = self.net.send_stream(self.now, End::Client(client), End::Broker(node), bytes.len()) {
            self.schedule(at, Event::ToBroker { connection, bytes: bytes.freeze() });
        } else {
            self.break_stream(connection);
        }
    }

    /// The client closes its connection.
    pub(crate) fn close(&mut self, connection: ConnectionId) {
        let Some(link) = self.links.get_mut(&connection) else { return };
        link.is_open_at_client = false;
        let (client, node) = (link.client, link.node);
        let at = self.net.send_stream(self.now, End::Client(client), End::Broker(node), 0);
        self.schedule(at.unwrap_or(self.now + 5_000_000), Event::CloseBroker { connection });
    }

    /// Both ends of a client's connections to a broker learn that they are gone; what is on its way is lost.
    pub(crate) fn reset(&mut self, client: usize, node: usize) {
        let is_hit = |link: &Link| (link.client, link.node) == (client, node);
        let hit: Vec<ConnectionId> = self.links.iter().filter(|(_, link)| is_hit(link)).map(|(id, _)| *id).collect();
        for connection in hit {
            self.counters.resets += 1;
            self.schedule(self.now, Event::CloseClient { connection });
            self.schedule(self.now, Event::CloseBroker { connection });
        }
    }

    /// Of the next batch that a client sends with acks=all a bit flips on the way.
    pub(crate) fn flip_next_batch(&mut self, client: usize, pick: u64) {
        self.flip_next[client] = Some(pick);
    }

    /// An old request comes once more, on a connection of its own and after what was sent since; nobody waits for the answer.
    pub(crate) fn replay(&mut self, client: usize, node: usize, frame: &[u8]) {
        let connection = self.connect(client, node);
        self.send(connection, frame, Note::Other);
        self.close(connection);
        self.counters.replayed_requests += 1;
    }

    /// Asks a broker at once, as somebody whose answers nobody reads.
    pub(crate) fn probe(&mut self, node: usize, frame: &[u8], note: Note, delay_us: u64) {
        let connection = self.connect(self.shape.clients, node);
        let Some(link) = self.links.get_mut(&connection).filter(|link| link.is_open_at_broker) else { return };
        link.notes.push_back(note);
        link.is_open_at_client = false;
        let mut bytes = BytesMut::with_capacity(frame.len() + 4);
        bytes.put_u32(u32::try_from(frame.len()).expect("small"));
        bytes.put_slice(frame);
        self.schedule(self.now + delay_us, Event::ToBroker { connection, bytes: bytes.freeze() });
        self.schedule(self.now + delay_us + 3_000_000, Event::CloseBroker { connection });
        self.counters.probes += 1;
    }

    /// The next reply to a client is lost with its connection.
    pub(crate) fn drop_next_reply(&mut self, client: usize) {
        self.drop_reply[client] = true;
    }

    /// A stream through a cut delivers nothing more: TCP would retry for minutes, both sides find out on their own.
    pub(super) fn break_stream(&mut self, connection: ConnectionId) {
        let Some(link) = self.links.get_mut(&connection) else { return };
        if std::mem::replace(&mut link.is_broken, true) {
            return;
        }
        let mut dice = draw(self.seed, Stream::Net, &[connection.0, self.now, 5]);
        let (soon, late) = (dice.log_between(1_000, 3_000_000), dice.log_between(1_000, 3_000_000));
        self.schedule(self.now + soon, Event::CloseClient { connection });
        self.schedule(self.now + late, Event::CloseBroker { connection });
    }

    pub(super) fn bytes_to_broker(&mut self, connection: ConnectionId, bytes: &[u8]) {
        let Some(link) = self.links.get_mut(&connection).filter(|link| !link.is_broken) else { return };
        let node = link.node;
        if self.nodes[node].life != link.life || self.nodes[node].broker.is_none() || !link.is_open_at_broker {
            return;
        }
        if self.net.is_cut(End::Client(link.client), End::Broker(node), self.now) {
            self.break_stream(connection);
            return;
        }
        link.connection.space().put_slice(bytes);
        loop {
            let Some(link) = self.links.get_mut(&connection) else { return };
            let taken = catch(|| link.connection.next_request());
            match taken {
                Ok(Ok(Some((number, mut request)))) => {
                    if let Some(plan) = request.recode_plan(&self.nodes[node].codecs) {
                        request.recode(&plan);
                        self.counters.recoded += 1;
                    }
                    let input = Input::Request { connection, number, request };
                    self.input(node, input, 45, bytes);
                }
                Ok(Ok(None)) => break,
                Ok(Err(fault)) => {
                    self.fail(
                        FailureKind::Safety,
                        "decode",
                        format!("A well-formed request is taken, but broker {node} said: {}.", fault.reason()),
                    );
                    return;
                }
                Err(what) => {
                    self.fail(FailureKind::Safety, "panic", format!("Broker {node} panicked while decoding a request: {what}."));
                    return;
                }
            }
        }
    }

    pub(super) fn reply(
        &mut self,
        node: usize,
        connection: ConnectionId,
        number: ottla_core::ids::RequestNumber,
        frame: Option<Vec<Bytes>>,
    ) {
        self.trace.event(self.now, n64(node), 63);
        self.trace.number(connection.0 ^ (number.0 << 32));
        for part in frame.iter().flatten() {
            self.trace.bytes(part);
        }
        let Some(link) = self.links.get_mut(&connection) else { return };
        if link.life != self.nodes[node].life {
            return;
        }
        let note = usize::try_from(number.0).ok().and_then(|at| link.notes.get(at));
        let verdict = match (note, frame.as_ref()) {
            (Some(note @ Note::ProduceAll { .. }), Some(frame)) => {
                let disks: Vec<&SimDisk> = self.nodes.iter().map(|n| &n.disk).collect();
                promises::check_reply(&self.watch, node, &disks, note, contiguous(frame.clone()))
            }
            (Some(note @ Note::Latest { .. }), Some(frame)) => {
                promises::check_latest(&mut self.watch, node, &self.nodes[node].disk, note, contiguous(frame.clone()))
            }
            (Some(Note::ProduceAll { .. } | Note::Latest { .. } | Note::Other) | None, _) => Ok(()),
        };
        self.judge(verdict);
        let Some(link) = self.links.get_mut(&connection) else { return };
        if !link.is_open_at_broker {
            return;
        }
        let result = catch(|| link.connection.reply(number, frame));
        if let Err(what) = result {
            self.fail(FailureKind::Safety, "panic", format!("Broker {node} answered a request twice or never asked: {what}."));
            return;
        }
        self.flush(connection);
    }

    /// Sends what may leave a connection.
    pub(super) fn flush(&mut self, connection: ConnectionId) {
        let Some(link) = self.links.get_mut(&connection) else { return };
        let mut bytes = BytesMut::new();
        while link.connection.has_writes() {
            for slice in link.connection.take_writes() {
                bytes.put_slice(&slice);
            }
        }
        link.connection.wrote();
        let is_over = link.connection.finished().is_some();
        let (client, node) = (link.client, link.node);
        if !bytes.is_empty() {
            if std::mem::replace(&mut self.drop_reply[client], false) {
                self.schedule(self.now + 100, Event::CloseClient { connection });
                self.schedule(self.now + 100, Event::CloseBroker { connection });
                return;
            }
            if let Some(at) = self.net.send_stream(self.now, End::Broker(node), End::Client(client), bytes.len()) {
                self.schedule(at, Event::ToClient { connection, bytes: bytes.freeze() });
            } else {
                self.break_stream(connection);
            }
        }
        if is_over {
            self.close_at_client(connection);
            self.schedule(self.now, Event::CloseBroker { connection });
        }
    }

    pub(super) fn bytes_to_client(&mut self, connection: ConnectionId, bytes: &[u8]) -> Option<Happening> {
        let link = self.links.get_mut(&connection)?;
        if !link.is_open_at_client || link.is_broken {
            return None;
        }
        if self.net.is_cut(End::Broker(link.node), End::Client(link.client), self.now) {
            self.break_stream(connection);
            return None;
        }
        link.to_client.put_slice(bytes);
        if link.to_client.len() < 4 {
            return None;
        }
        let size = usize::try_from(u32::from_be_bytes(link.to_client[..4].try_into().expect("four bytes"))).expect("small");
        if link.to_client.len() < 4 + size {
            return None;
        }
        link.to_client.advance(4);
        let frame = link.to_client.split_to(size).freeze();
        let client = link.client;
        if !link.to_client.is_empty() {
            self.schedule(self.now, Event::ToClient { connection, bytes: Bytes::new() });
        }
        Some(Happening::Reply { client, connection, frame })
    }

    pub(super) fn close_at_client(&mut self, connection: ConnectionId) {
        let Some(link) = self.links.get_mut(&connection) else { return };
        link.is_open_at_broker = false;
        let (client, node) = (link.client, link.node);
        let at = self.net.send_stream(self.now, End::Broker(node), End::Client(client), 0);
        let mut dice = draw(self.seed, Stream::Net, &[connection.0, self.now, 6]);
        let at = at.unwrap_or(self.now + dice.log_between(10_000, 3_000_000));
        self.schedule(at, Event::CloseClient { connection });
    }
}

/// Flips a bit of what the CRC of one of the batches covers. Nothing else of a request has a checksum, in Kafka's protocol as well.
fn flip_batch(frame: &mut [u8], asked: &mut [Asked], pick: u64) -> bool {
    let mut dice = draw(pick, Stream::Net, &[8]);
    let chosen = usize::try_from(dice.below(n64(asked.len()))).expect("an index");
    let Some(batch) = asked.get_mut(chosen) else { return false };
    let crc = batch.crc.to_be_bytes();
    let is_here = |at: &usize| frame[*at..*at + 4] == crc && frame[at - 1] == 2;
    let Some(at) = (17..frame.len().saturating_sub(4)).find(is_here) else { return false };
    let length = u32::from_be_bytes(frame[at - 9..at - 5].try_into().expect("four bytes"));
    let end = at - 5 + usize::try_from(length).expect("small");
    if end > frame.len() || end <= at + 4 {
        return false;
    }
    let place = at + 4 + usize::try_from(dice.below(n64(end - at - 4))).expect("an index");
    frame[place] ^= 1 << dice.below(8);
    batch.is_damaged = true;
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch;
    use crate::wire::{self, ProducePart};
    use ottla_core::ids::TopicId;

    #[test]
    fn a_flip_hits_what_the_checksum_of_one_batch_covers() {
        let batches = [batch::build(&[1, 2], 1_000, 20), batch::build(&[3], 1_000, 300)];
        let id = TopicId(7);
        let part = |n: i32, batch: &Bytes| ProducePart { topic: "a".into(), id, partition: n, batch: batch.clone() };
        let frame = wire::produce(&[part(0, &batches[0]), part(1, &batches[1])], -1, 1_000, 9, 1);
        for pick in 0..200 {
            let mut asked: Vec<Asked> = (0..)
                .zip(&batches)
                .map(|(n, batch)| Asked {
                    topic: "a".into(),
                    id,
                    partition: n,
                    replicas: 3,
                    crc: batch::crc_of(batch),
                    is_mortal: false,
                    is_damaged: false,
                })
                .collect();
            let mut bytes = frame.to_vec();
            assert!(flip_batch(&mut bytes, &mut asked, pick));
            let differing: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != frame[*at]).collect();
            let hit = asked.iter().position(|asked| asked.is_damaged).expect("one");
            let begin = frame.windows(batches[hit].len()).position(|window| window == &batches[hit][..]).expect("it is there");
            assert!(differing.len() == 1 && (begin + 21..begin + batches[hit].len()).contains(&differing[0]), "{differing:?}");
        }
    }
}
