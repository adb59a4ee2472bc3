//! One broker alone with a disk in memory, and many strangers, each with a connection of its own for one frame.

use bytes::{BufMut, Bytes};
use ottla_core::api::{Ask, ClientRequest};
use ottla_core::disk::{DiskAction, DiskDone, DiskOp, DiskStage, FileName, Inventory};
use ottla_core::ids::{BrokerId, ConnectionId};
use ottla_core::input::Input;
use ottla_core::invariants::check_invariants;
use ottla_core::output::{Output, Outputs};
use ottla_core::protocol::messages::create_topics::{CreateTopicsRequest, request};
use ottla_core::protocol::{ApiKey, Reader, ResponseBody, ResponseHeader, Text, encode_request};
use ottla_core::record::Codecs;
use ottla_core::time::{Instant, Now, WallTime};
use ottla_core::{Broker, Recovery, RecoveryStep};
use ottla_net::Connection;
use ottla_tests::bare;
use std::collections::BTreeMap;

/// Milliseconds in which everything is answered that does not ask for more patience.
const PATIENCE_MS: u64 = 60_000;

/// What became of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The connection was closed because of the bytes.
    Refused,
    /// The broker closed it: acks=0 that failed.
    Closed,
    /// An answer.
    Answered,
    /// There is none to this request: acks=0.
    Silent,
    /// It waits as it asked to.
    Waits,
}

/// A stranger whose request is in the broker.
struct Pending {
    connection: Connection,
    key: ApiKey,
    version: i16,
    correlation_id: i32,
    due: Option<Instant>,
}

/// The broker and who talks to it.
pub struct World {
    broker: Broker,
    now: Now,
    files: BTreeMap<FileName, Vec<u8>>,
    pending: BTreeMap<ConnectionId, Pending>,
    ended: BTreeMap<ConnectionId, Outcome>,
    next: u64,
    codecs: Codecs,
}

impl World {
    /// A broker that serves, with one topic of three partitions.
    pub fn new(topic: &str) -> World {
        let now = Now { monotonic: Instant(1_000_000), wall: WallTime(1_700_000_000_000) };
        let mut out = Outputs::default();
        let mut recovery = Recovery::new(bare::config(BrokerId(1), &[BrokerId(1)]), Inventory::default());
        assert_eq!(recovery.poll(), RecoveryStep::Done, "an empty disk has nothing to read");
        let broker = recovery.finish(now, &mut out);
        let mut world = World {
            broker,
            now,
            files: BTreeMap::new(),
            pending: BTreeMap::new(),
            ended: BTreeMap::new(),
            next: 1,
            codecs: Codecs::default(),
        };
        world.perform(out);
        world.pass(5_000);
        let topic = request::Topics { name: Text::from(topic), num_partitions: 3, replication_factor: 1, ..Default::default() };
        let create = CreateTopicsRequest { topics: vec![topic], timeout_ms: 1000, ..Default::default() };
        world.feed(&encode_request(&create, 7, 7, "world").concat());
        world.pass(5_000);
        assert_eq!(world.groups(), 4, "the controller's and three partitions");
        world
    }

    /// Groups of the broker, the controller's included.
    pub fn groups(&self) -> usize {
        self.broker.inspect().groups.len()
    }

    /// Checks the broker from inside.
    pub fn check(&self) {
        check_invariants(&self.broker);
    }

    /// A stranger connects and sends one frame. What became of it at once.
    pub fn feed(&mut self, frame: &[u8]) -> Outcome {
        let id = ConnectionId(self.next);
        self.next += 1;
        self.now.monotonic = self.now.monotonic.plus_ms(1);
        self.now.wall.0 += 1;
        self.step(Input::Opened { connection: id });
        let mut connection = Connection::default();
        let size = u32::try_from(frame.len()).expect("frames are small");
        let mut rest = &[&size.to_be_bytes()[..], frame].concat()[..];
        let taken = loop {
            let space = connection.space();
            let count = rest.len().min(space.capacity() - space.len());
            space.put_slice(&rest[..count]);
            rest = &rest[count..];
            match connection.next_request() {
                Ok(None) => assert!(!rest.is_empty(), "a whole frame is a request or a fault"),
                Ok(Some(taken)) => break Some(taken),
                Err(_) => break None,
            }
        };
        let Some((number, mut request)) = taken else {
            assert!(connection.finished().is_some() && !connection.wants_bytes(), "a fault ends the connection");
            self.step(Input::Closed { connection: id });
            return Outcome::Refused;
        };
        if let Some(plan) = request.recode_plan(&self.codecs) {
            request.recode(&plan);
        }
        let header = &request.header;
        let due = patience_ms(&request).map(|ms| self.now.monotonic.plus_ms(ms));
        let (key, version, correlation_id) = (header.api_key, header.api_version, header.correlation_id);
        self.pending.insert(id, Pending { connection, key, version, correlation_id, due });
        self.step(Input::Request { connection: id, number, request });
        self.ended.remove(&id).unwrap_or(Outcome::Waits)
    }

    /// Lets time pass until everybody is answered who does not want to wait for longer; the others go away.
    pub fn end(mut self) {
        self.pass(PATIENCE_MS + 1_000);
        let now = self.now.monotonic;
        let late = self.pending.values().filter(|pending| pending.due.is_some_and(|due| due < now)).map(|pending| pending.key);
        assert_eq!(late.collect::<Vec<_>>(), [], "requests without an answer");
        for id in std::mem::take(&mut self.pending).into_keys() {
            self.step(Input::Closed { connection: id });
        }
        let view = self.broker.inspect();
        assert_eq!((view.parked, view.held, view.reads), (0, 0, 0), "what is left of those who went");
        self.check();
    }

    fn pass(&mut self, ms: u64) {
        let end = self.now.monotonic.plus_ms(ms);
        while let Some(at) = self.broker.next_deadline().map(|deadline| deadline.at).filter(|at| *at <= end) {
            let later = at.max(Instant(self.now.monotonic.0 + 1));
            self.now.wall.0 += i64::try_from(later.since_us(self.now.monotonic) / 1000).expect("small");
            self.now.monotonic = later;
            self.step(Input::Tick);
        }
        self.now.monotonic = end;
    }

    fn step(&mut self, input: Input) {
        let mut out = Outputs::default();
        self.broker.step(self.now, input, &mut out);
        self.perform(out);
    }

    fn perform(&mut self, mut out: Outputs) {
        loop {
            self.broker.end_round(self.now, &mut out);
            let (mut done, mut searched) = (Vec::new(), Vec::new());
            for output in out.drain() {
                match output {
                    Output::Reply { connection, frame, number } => {
                        let mut pending = self.pending.remove(&connection).expect("an answer is for somebody who waits for it");
                        let outcome = if frame.is_some() { Outcome::Answered } else { Outcome::Silent };
                        pending.connection.reply(number, frame);
                        if outcome == Outcome::Answered {
                            pending.check_answer();
                        }
                        self.ended.insert(connection, outcome);
                    }
                    Output::Close { connection, .. } => {
                        self.pending.remove(&connection).expect("who asked is closed, and nobody else");
                        self.ended.insert(connection, Outcome::Closed);
                    }
                    Output::Disk(op) => self.disk(op, &mut done),
                    Output::Search { token, search } => searched.push(Input::Searched { token, found: search.search() }),
                    Output::Codecs(news) => self.codecs.learn(news),
                    Output::Peer { .. } => panic!("there are no peers"),
                    Output::Halt(why) => panic!("a client halts the broker: {why}"),
                    Output::Stopped => panic!("a client stops the broker"),
                }
            }
            if done.is_empty() && searched.is_empty() {
                break;
            }
            for input in done.into_iter().map(Input::Disk).chain(searched) {
                self.broker.step(self.now, input, &mut out);
            }
        }
        // Nobody is left who wants to know.
        self.ended.retain(|id, _| id.0 + 1 == self.next);
    }

    fn disk(&mut self, op: DiskOp, done: &mut Vec<DiskDone>) {
        let mut stage = DiskStage::Durable;
        match op.action {
            DiskAction::Append { file, position, data, .. } => {
                let content = self.files.entry(file).or_default();
                assert_eq!(content.len() as u64, position, "an append is at the end of its file");
                content.extend(data.concat());
                done.push(DiskDone { id: op.id, stage: DiskStage::Written });
            }
            DiskAction::Read { file, position, length } => {
                let from = usize::try_from(position).expect("small files");
                stage = DiskStage::Read(Bytes::copy_from_slice(&self.files[&file][from..from + length as usize]));
            }
            DiskAction::Truncate { file, length } => {
                self.files.get_mut(&file).expect("it exists").truncate(usize::try_from(length).expect("small files"));
            }
            DiskAction::Remove { files } => self.files.retain(|name, _| !files.contains(name)),
            DiskAction::RemoveGroup { group } => {
                self.files.retain(|name, _| name.group() != Some(group));
            }
            DiskAction::Rename { files } => {
                for (from, to) in files {
                    if let Some(content) = self.files.remove(&from) {
                        self.files.insert(to, content);
                    }
                }
            }
            DiskAction::CreateGroup { .. } => {}
        }
        done.push(DiskDone { id: op.id, stage });
    }
}

impl Pending {
    /// What the client reads is a whole answer to its request, in the version it asked for.
    fn check_answer(&mut self) {
        let bytes = Bytes::from(self.connection.take_writes().concat());
        if self.connection.has_writes() {
            // A large answer comes in pieces; that it can be written is enough.
            return;
        }
        let size = i32::from_be_bytes(*bytes.first_chunk().expect("a size"));
        assert_eq!(usize::try_from(size), Ok(bytes.len() - 4), "the size is that of the answer");
        let answers = ottla_core::api::served(self.key).is_some_and(|served| served.answers(self.version));
        let version = if answers { self.version } else { 0 };
        let mut reader = Reader::new(bytes.slice(4..));
        let header = ResponseHeader::decode(self.key, version, &mut reader).expect("a header");
        assert_eq!(header.correlation_id, self.correlation_id);
        ResponseBody::decode(self.key, &mut reader, version).unwrap_or_else(|error| panic!("{} v{version}: {error}", self.key));
        assert_eq!(reader.remaining(), 0, "{} v{version} ends where it should", self.key);
    }
}

/// Milliseconds until the request must be answered; `None` if it wants to wait for longer than we do.
fn patience_ms(request: &ClientRequest) -> Option<u64> {
    let Ask::Fetch(fetch) = &request.ask else { return Some(PATIENCE_MS) };
    let ms = u64::try_from(fetch.max_wait_ms).unwrap_or(0);
    (ms <= PATIENCE_MS).then_some(ms)
}
