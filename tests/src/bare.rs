//! Bare cores: brokers without a world around them. No shell, no network, no disk, no time of its own.
//!
//! Every append is in the page cache and durable as soon as it is asked for; a peer frame arrives at once, in one piece. What the brokers ask
//! for can be looked at ([`Bare::tap`]), what they cost is metered around the calls into one core ([`Bare::meters`]), so that the
//! bench of the core and the test of its promise to copy nothing share one host.
//!
//! Contents of files are not kept: a disk read is a panic, since neither may need one.

use bytes::{Bytes, BytesMut};
use ottla_core::api::{self, ClientRequest};
use ottla_core::controller::ListenerEndpoint;
use ottla_core::disk::{DiskAction, DiskDone, DiskOp, DiskStage, FileName, Inventory};
use ottla_core::ids::{BrokerId, ConnectionId, RequestNumber};
use ottla_core::input::Input;
use ottla_core::mutant::Mutant;
use ottla_core::output::{Output, Outputs};
use ottla_core::protocol::messages::{create_topics, fetch, list_offsets, produce};
use ottla_core::protocol::{Message, Reader, Request, ResponseHeader, Text, encode_request};
use ottla_core::time::{Instant, Now, WallTime};
use ottla_core::{Broker, BrokerConfig, Recovery, RecoveryStep};
use std::collections::{BTreeMap, VecDeque};

/// Produce and Fetch with topic names.
pub const VERSION: i16 = 12;
const CREATE_TOPICS_VERSION: i16 = 5;
const LIST_OFFSETS_VERSION: i16 = 6;
const CORRELATION: i32 = 1;

/// What was spent inside one core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Nanoseconds on the real clock.
    pub ns: u64,
    /// Allocations.
    pub allocations: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Rounds.
    pub rounds: u64,
}

/// Reads what costs are measured by: nanoseconds, allocations and their bytes since some start.
pub type Gauge = fn() -> Cost;

/// Something a broker asked of the world, with the slices it gave.
#[derive(Clone, Debug)]
pub enum Tap {
    /// An append to a file.
    Append(FileName, Vec<Bytes>),
    /// A frame to a peer.
    Peer(BrokerId, Vec<Bytes>),
    /// An answer.
    Reply(Vec<Bytes>),
}

/// An answer of a broker.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Number of the request.
    pub number: RequestNumber,
    /// The frame; `None` if there is none for this request.
    pub frame: Option<Vec<Bytes>>,
}

/// Some brokers and what is under way between them.
pub struct Bare {
    brokers: Vec<Broker>,
    inputs: Vec<VecDeque<Input>>,
    outputs: Outputs,
    lengths: Vec<BTreeMap<FileName, u64>>,
    now: Now,
    requests: u64,
    gauge: Gauge,
    /// Answers that were not yet taken, per broker.
    pub answers: Vec<Vec<Answer>>,
    /// What each broker cost so far.
    pub meters: Vec<Cost>,
    /// What was asked of the world, per broker, while [`Bare::tap`] is set.
    pub taps: Vec<(BrokerId, Tap)>,
    /// Whether to keep taps.
    pub tap: bool,
}

impl Bare {
    /// `count` new brokers on empty disks, connected, with a leader of the controller group.
    #[must_use]
    pub fn new(count: usize, gauge: Gauge) -> Bare {
        let voters: Vec<BrokerId> = (1..).take(count).map(BrokerId).collect();
        let now = Now { monotonic: Instant(1_000_000), wall: WallTime(1_700_000_000_000) };
        let mut outputs = Outputs::default();
        let mut bare = Bare {
            brokers: Vec::new(),
            inputs: voters.iter().map(|_| VecDeque::new()).collect(),
            outputs: Outputs::default(),
            lengths: voters.iter().map(|_| BTreeMap::new()).collect(),
            now,
            requests: 0,
            gauge,
            answers: voters.iter().map(|_| Vec::new()).collect(),
            meters: voters.iter().map(|_| Cost::default()).collect(),
            taps: Vec::new(),
            tap: false,
        };
        for (at, id) in voters.iter().enumerate() {
            let mut recovery = Recovery::new(config(*id, &voters), Inventory::default());
            assert_eq!(recovery.poll(), RecoveryStep::Done, "an empty disk has nothing to read");
            bare.brokers.push(recovery.finish(now, &mut outputs));
            bare.perform(at, &mut outputs);
        }
        for (at, inputs) in bare.inputs.iter_mut().enumerate() {
            inputs.extend(voters.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, id)| Input::PeerUp { peer: *id }));
            inputs.push_back(Input::Opened { connection: ConnectionId(1) });
        }
        bare.pass(5_000);
        bare
    }

    /// Lets time pass in steps of what the brokers wait for.
    pub fn pass(&mut self, ms: u64) {
        let end = self.now.monotonic.plus_ms(ms);
        loop {
            self.settle();
            let next = self.brokers.iter().filter_map(|broker| broker.next_deadline()).map(|deadline| deadline.at).min();
            let Some(at) = next.filter(|at| *at <= end) else { break };
            let later = at.max(Instant(self.now.monotonic.0 + 1));
            self.now.wall.0 += i64::try_from(later.since_us(self.now.monotonic) / 1000).expect("small");
            self.now.monotonic = later;
            for inputs in &mut self.inputs {
                inputs.push_back(Input::Tick);
            }
        }
        self.now.monotonic = self.now.monotonic.max(end);
    }

    /// Runs rounds until no broker has anything to take in.
    pub fn settle(&mut self) {
        while self.inputs.iter().any(|inputs| !inputs.is_empty()) {
            for at in 0..self.brokers.len() {
                if !self.inputs[at].is_empty() {
                    self.round(at);
                }
            }
        }
    }

    fn round(&mut self, at: usize) {
        let inputs = std::mem::take(&mut self.inputs[at]);
        let mut outputs = std::mem::take(&mut self.outputs);
        let broker = &mut self.brokers[at];
        let before = (self.gauge)();
        for input in inputs {
            broker.step(self.now, input, &mut outputs);
        }
        broker.end_round(self.now, &mut outputs);
        self.meters[at].add(before, (self.gauge)());
        self.meters[at].rounds += 1;
        self.perform(at, &mut outputs);
        self.outputs = outputs;
    }

    fn perform(&mut self, at: usize, outputs: &mut Outputs) {
        let from = id_of(at);
        for output in outputs.drain() {
            match output {
                Output::Reply { number, frame, .. } => {
                    if let (true, Some(frame)) = (self.tap, &frame) {
                        self.taps.push((from, Tap::Reply(frame.clone())));
                    }
                    self.answers[at].push(Answer { number, frame });
                }
                Output::Peer { to, frame, .. } => {
                    if self.tap {
                        self.taps.push((from, Tap::Peer(to, frame.clone())));
                    }
                    let whole = joined(&frame);
                    let other = usize::try_from(to.0 - 1).expect("ids begin at 1");
                    self.inputs[other].push_back(Input::Peer { from, frame: whole.freeze() });
                }
                Output::Disk(op) => self.perform_disk(at, op),
                Output::Search { token, search } => {
                    self.inputs[at].push_back(Input::Searched { token, found: search.search() });
                }
                Output::Codecs(_) => {}
                Output::Close { reason, .. } => panic!("{from} closes a connection: {reason}"),
                Output::Halt(fatal) => panic!("{from} halts: {fatal}"),
                Output::Stopped => panic!("{from} stopped"),
            }
        }
    }

    fn perform_disk(&mut self, at: usize, op: DiskOp) {
        let lengths = &mut self.lengths[at];
        let mut stages = vec![DiskStage::Durable];
        match op.action {
            DiskAction::Append { file, position, data, .. } => {
                let length = lengths.entry(file).or_default();
                assert_eq!(*length, position, "an append is at the end of its file");
                *length += u64::try_from(data.iter().map(Bytes::len).sum::<usize>()).expect("fits");
                stages.insert(0, DiskStage::Written);
                if self.tap {
                    self.taps.push((id_of(at), Tap::Append(file, data)));
                }
            }
            DiskAction::Truncate { file, length } => {
                lengths.insert(file, length);
            }
            DiskAction::Remove { files } => lengths.retain(|file, _| !files.contains(file)),
            DiskAction::Rename { files } => {
                for (from, to) in files {
                    if let Some(length) = lengths.remove(&from) {
                        lengths.insert(to, length);
                    }
                }
            }
            DiskAction::CreateGroup { .. } | DiskAction::RemoveGroup { .. } => {}
            DiskAction::Read { file, .. } => panic!("{file:?} is read, but contents are not kept"),
        }
        self.inputs[at].extend(stages.into_iter().map(|stage| Input::Disk(DiskDone { id: op.id, stage })));
    }

    /// Gives a request to a broker; it is taken in by the next [`Bare::settle`].
    pub fn submit(&mut self, broker: BrokerId, request: ClientRequest) -> RequestNumber {
        let number = RequestNumber(self.requests);
        self.requests += 1;
        self.inputs[at(broker)].push_back(Input::Request { connection: ConnectionId(1), number, request: Box::new(request) });
        number
    }

    /// The answer of a request, if there is one yet.
    pub fn answer(&mut self, broker: BrokerId, number: RequestNumber) -> Option<Vec<Bytes>> {
        let answers = &mut self.answers[at(broker)];
        let place = answers.iter().position(|answer| answer.number == number)?;
        answers.swap_remove(place).frame
    }

    /// Asks and waits up to ten seconds of the brokers' time.
    ///
    /// # Panics
    /// If no answer comes.
    pub fn call<R: Request>(&mut self, broker: BrokerId, request: &R, version: i16) -> R::Response {
        let number = self.submit(broker, decoded(request, version));
        for _ in 0..100 {
            self.pass(100);
            if let Some(frame) = self.answer(broker, number) {
                return response::<R>(&frame, version);
            }
        }
        panic!("{broker} does not answer");
    }

    /// Makes a topic of one partition on `replicas` brokers and gives the broker that leads it.
    ///
    /// # Panics
    /// If that fails.
    pub fn create_topic(&mut self, name: &str, replicas: i16) -> BrokerId {
        let topic = create_topics::request::Topics {
            name: Text::from(name),
            num_partitions: 1,
            replication_factor: replicas,
            ..Default::default()
        };
        let request = create_topics::CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
        let answer = self.call(id_of(0), &request, CREATE_TOPICS_VERSION);
        assert_eq!(answer.topics[0].error_code, 0, "{:?}", answer.topics[0].error_message);
        self.pass(3_000);
        let probe = fetch_request(name, 0, 0);
        (0..self.brokers.len())
            .map(id_of)
            .find(|id| {
                let answer = self.call(*id, &probe, VERSION);
                answer.responses[0].partitions[0].error_code == 0 && self.leads(*id)
            })
            .expect("some broker leads the new partition")
    }

    /// The high watermark of a topic's partition 0.
    ///
    /// # Panics
    /// If the broker does not lead it.
    pub fn offset_end(&mut self, leader: BrokerId, topic: &str) -> i64 {
        let latest = list_offsets::request::Partitions { timestamp: -1, current_leader_epoch: -1, ..Default::default() };
        let topic = list_offsets::request::Topics { name: Text::from(topic), partitions: vec![latest] };
        let request = list_offsets::ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
        let answer = self.call(leader, &request, LIST_OFFSETS_VERSION);
        let partition = &answer.topics[0].partitions[0];
        assert_eq!(partition.error_code, 0);
        partition.offset
    }

    fn leads(&self, broker: BrokerId) -> bool {
        let view = self.brokers[at(broker)].inspect();
        view.groups.iter().any(|group| group.group.0 != 0 && group.role == ottla_core::raft::Role::Leader)
    }
}

impl Cost {
    fn add(&mut self, before: Cost, after: Cost) {
        self.ns += after.ns - before.ns;
        self.allocations += after.allocations - before.allocations;
        self.bytes += after.bytes - before.bytes;
    }
}

fn id_of(at: usize) -> BrokerId {
    BrokerId(i32::try_from(at + 1).expect("few brokers"))
}

fn at(broker: BrokerId) -> usize {
    usize::try_from(broker.0 - 1).expect("ids begin at 1")
}

/// The configuration of a broker of a test: Kafka's defaults, one seed for all. Besides its usual listener it has one for those outside, at
/// `outside-<id>:29092`.
#[must_use]
pub fn config(broker: BrokerId, voters: &[BrokerId]) -> BrokerConfig {
    let mut listeners = ListenerEndpoint::alone("localhost", 9092);
    listeners.push(ListenerEndpoint { name: "OUTSIDE".to_owned(), host: format!("outside-{}", broker.0), port: 29_092 });
    BrokerConfig {
        cluster_id: "AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        broker,
        voters: voters.to_vec(),
        listeners,
        rack: None,
        seed: 7,
        raft: ottla_core::broker::RaftSettings::default(),
        settings: Vec::new(),
        mutant: Mutant::None,
    }
}

/// A request the way a connection's task gives it to the core, through its bytes.
///
/// # Panics
/// If the core can't read what its own codec wrote.
pub fn decoded<R: Request>(request: &R, version: i16) -> ClientRequest {
    api::decode(frame(request, version)).expect("a served request")
}

/// A request's frame in a buffer of its own, as read from a socket.
pub fn frame<R: Request>(request: &R, version: i16) -> BytesMut {
    joined(&encode_request(request, version, CORRELATION, "bare"))
}

/// What a receiver reads: the slices in one buffer of its own.
fn joined(slices: &[Bytes]) -> BytesMut {
    let mut whole = BytesMut::with_capacity(slices.iter().map(Bytes::len).sum());
    slices.iter().for_each(|slice| whole.extend_from_slice(slice));
    whole
}

/// Reads an answer's frame.
///
/// # Panics
/// If it can't be read.
#[must_use]
pub fn response<R: Request>(frame: &[Bytes], version: i16) -> R::Response {
    let whole = joined(frame);
    let mut reader = Reader::new(whole.freeze());
    ResponseHeader::decode(R::KEY, version, &mut reader).expect("a header");
    R::Response::decode(&mut reader, version).expect("a body of its version")
}

/// Produce of one batch to partition 0 with acks=all.
#[must_use]
pub fn produce_request(topic: &str, batch: Bytes) -> produce::ProduceRequest {
    let data = produce::request::PartitionData { index: 0, records: Some(batch.into()) };
    let topic = produce::request::TopicData { name: Text::from(topic), partition_data: vec![data], ..Default::default() };
    produce::ProduceRequest { acks: -1, timeout_ms: 10_000, topic_data: vec![topic], ..Default::default() }
}

/// Fetch of partition 0 from `offset`, without a session, that does not wait.
#[must_use]
pub fn fetch_request(topic: &str, offset: i64, min_bytes: i32) -> fetch::FetchRequest {
    let partition = fetch::request::Partitions {
        partition: 0,
        current_leader_epoch: -1,
        fetch_offset: offset,
        last_fetched_epoch: -1,
        log_start_offset: -1,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    };
    let topic = fetch::request::Topics { topic: Text::from(topic), partitions: vec![partition], ..Default::default() };
    fetch::FetchRequest {
        replica_id: -1,
        max_wait_ms: 0,
        min_bytes,
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: vec![topic],
        ..Default::default()
    }
}
