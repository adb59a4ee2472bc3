//! One broker with a disk in memory that completes at once, for tests of what clients see.
//!
//! Requests go through the same frames as real ones. After every round the invariants are checked.

use super::{Broker, BrokerConfig, Recovery, RecoveryStep};
use crate::api;
use crate::controller::{ControllerRequest, ListenerEndpoint, NewTopic};
use crate::disk::{DiskAction, DiskDone, DiskOp, DiskStage, FileName, Inventory};
use crate::ids::{BrokerId, ConnectionId, GroupId, Index, RequestNumber, TopicId};
use crate::input::Input;
use crate::invariants::check_invariants;
use crate::log::TimeSearch;
use crate::mutant::Mutant;
use crate::output::{Output, Outputs};
use crate::protocol::{Request, decode_response, encode_request};
use crate::raft::RaftSettings;
use crate::record::Codecs;
use crate::time::{Instant, Now, WallTime};
use bytes::{Bytes, BytesMut};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Wall time at the start, ms: a week after 2023-11-14T22:13:20Z.
pub(crate) const START_MS: i64 = 1_700_600_000_000;

/// A broker, its disk, its one client.
pub(crate) struct Rig {
    pub(crate) broker: Broker,
    pub(crate) now: Now,
    files: BTreeMap<FileName, Vec<u8>>,
    groups: BTreeSet<GroupId>,
    /// While set, appends stay without their `Durable`.
    pub(crate) fsync_stalls: bool,
    /// The same, except for the controller's log: topics can be created, and get no leader.
    pub(crate) partitions_stall: bool,
    /// The same for segments of partitions only: they get leaders that can't commit.
    pub(crate) commits_stall: bool,
    /// While set, searches are asked for and not done.
    pub(crate) searches_stall: bool,
    searches: VecDeque<(u64, TimeSearch)>,
    /// Bytes of each read so far.
    pub(crate) reads: Vec<u32>,
    /// Of each append to a partition's log: whether somebody waits for it to be durable.
    pub(crate) awaited: Vec<bool>,
    stalled: Vec<DiskDone>,
    number: u64,
    /// Answers by request number; `None` for "no answer".
    answers: BTreeMap<u64, Option<Bytes>>,
    /// Whether the broker said that it may be stopped.
    pub(crate) is_stopped: bool,
    /// Requests whose connection was closed.
    pub(crate) closed: BTreeSet<u64>,
    /// What the broker told of topics that want a codec of their own.
    pub(crate) codecs: Codecs,
}

impl Rig {
    pub(crate) fn new() -> Rig {
        Rig::with_settings(&[])
    }

    pub(crate) fn with_settings(settings: &[(&str, &str)]) -> Rig {
        let now = Now { monotonic: Instant(1_000_000), wall: WallTime(START_MS) };
        let config = config(settings);
        let mut out = Outputs::default();
        let mut recovery = Recovery::new(config, Inventory::default());
        assert_eq!(recovery.poll(), RecoveryStep::Done, "an empty disk needs no reads");
        let broker = recovery.finish(now, &mut out);
        let mut rig = Rig {
            broker,
            now,
            files: BTreeMap::new(),
            groups: BTreeSet::new(),
            fsync_stalls: false,
            partitions_stall: false,
            commits_stall: false,
            searches_stall: false,
            searches: VecDeque::new(),
            reads: Vec::new(),
            awaited: Vec::new(),
            stalled: Vec::new(),
            number: 0,
            answers: BTreeMap::new(),
            closed: BTreeSet::new(),
            codecs: Codecs::default(),
            is_stopped: false,
        };
        rig.perform(out);
        for _ in 0..200 {
            rig.advance(50);
            if rig.broker.local.controller.is_registered() {
                break;
            }
        }
        rig
    }

    /// Starts the broker anew on the same disk and lets it lead again.
    pub(crate) fn restart(self) -> Rig {
        let mut rig = self.restart_without_waiting();
        for _ in 0..60 {
            rig.advance(50);
        }
        rig
    }

    /// Starts the broker anew on the same disk.
    pub(crate) fn restart_without_waiting(self) -> Rig {
        let mut rig = self;
        let inventory = Inventory {
            groups: rig.groups.iter().copied().collect(),
            files: rig.files.iter().map(|(name, data)| (*name, data.len() as u64)).collect(),
        };
        let mut recovery = Recovery::new(config(&[]), inventory);
        loop {
            match recovery.poll() {
                RecoveryStep::Read { file, position, length } => {
                    let position = usize::try_from(position).expect("small files");
                    let data = rig.files[&file][position..position + length as usize].to_vec();
                    recovery.read_done(Bytes::from(data));
                }
                RecoveryStep::Done => break,
                RecoveryStep::Halt(why) => panic!("recovery refuses: {why}"),
            }
        }
        let mut out = Outputs::default();
        rig.codecs = Codecs::default();
        rig.searches.clear();
        rig.broker = recovery.finish(rig.now, &mut out);
        rig.perform(out);
        rig
    }

    /// Makes a topic with one replica per partition and waits until it is led.
    pub(crate) fn topic(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> TopicId {
        let topic = NewTopic {
            name: name.to_owned(),
            partitions,
            replication_factor: 1,
            assignments: Vec::new(),
            configs: configs.iter().map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned()))).collect(),
        };
        let request = ControllerRequest::CreateTopics { topics: vec![topic], validate_only: false, timeout_ms: 1000 };
        self.broker.local.controller.submit(self.now, request, u64::MAX);
        for _ in 0..100 {
            self.advance(20);
            let view = self.broker.local.view(self.now);
            if let Some(topic) = view.cluster.topic(name)
                && topic.partitions.iter().all(|p| view.replicas.group(p.group).is_some_and(|raft| raft.is_serving()))
            {
                return topic.id;
            }
        }
        panic!("topic {name} did not get a leader");
    }

    /// Sends a request and returns its number; its answer may come later.
    pub(crate) fn send<R: Request>(&mut self, request: &R, version: i16) -> u64 {
        self.send_with(request, version, |_| ())
    }

    /// The same, with what the shell adds to a request.
    pub(crate) fn send_with<R: Request>(&mut self, request: &R, version: i16, add: impl FnOnce(&mut api::ClientRequest)) -> u64 {
        let mut frame = BytesMut::new();
        for slice in encode_request(request, version, 7, "rig") {
            frame.extend_from_slice(&slice);
        }
        let mut request = api::decode(frame).unwrap_or_else(|refusal| panic!("{} v{version}: {refusal:?}", R::KEY));
        if let Some(plan) = request.recode_plan(&self.codecs) {
            request.recode(&plan);
        }
        add(&mut request);
        let number = self.number;
        self.number += 1;
        self.step(Input::Request { connection: ConnectionId(1), number: RequestNumber(number), request: Box::new(request) });
        number
    }

    /// The answer of a request, if it is there: what a client would decode.
    pub(crate) fn answer<R: Request>(&mut self, number: u64, version: i16) -> Option<R::Response> {
        let frame = self.answers.remove(&number)?.expect("an answer with a frame");
        Some(decode_response(frame, version).expect("our own answers decode").1)
    }

    /// Sends a request that is answered at once.
    pub(crate) fn ask<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        let number = self.send(request, version);
        self.answer::<R>(number, version).unwrap_or_else(|| panic!("{} v{version} was not answered", R::KEY))
    }

    /// The present leader epoch of partition 0.
    pub(crate) fn epoch(&self, topic: &str) -> i32 {
        let view = self.broker.local.view(self.now);
        let group = view.cluster.topic(topic).expect("it was made").partitions[0].group;
        view.replicas.group(group).expect("it has a replica").term().leader_epoch().0
    }

    /// The client goes away.
    pub(crate) fn close(&mut self) {
        self.step(Input::Closed { connection: ConnectionId(1) });
    }

    /// Whether a request ended without an answer and without closing.
    pub(crate) fn is_silent(&mut self, number: u64) -> bool {
        self.answers.remove(&number) == Some(None)
    }

    /// Lets time pass, with the ticks the broker asks for.
    pub(crate) fn advance(&mut self, ms: u64) {
        let until = self.now.monotonic.plus_ms(ms);
        loop {
            let next = self.broker.next_deadline().map_or(until, |deadline| deadline.at).clamp(self.now.monotonic, until);
            self.at(next);
            self.step(Input::Tick);
            if next >= until {
                return;
            }
        }
    }

    /// Segments of a partition on the disk: their base indexes, ascending.
    pub(crate) fn segments_of(&self, topic: &str, partition: usize) -> Vec<Index> {
        let group = self.broker.local.view(self.now).cluster.topic(topic).expect("made").partitions[partition].group;
        let index = |file: &FileName| match *file {
            FileName::Segment { group: owner, base_index, .. } if owner == group => Some(base_index),
            FileName::Segment { .. }
            | FileName::Producers { .. }
            | FileName::Index { .. }
            | FileName::Copy { .. }
            | FileName::Meta(_) => None,
        };
        self.files.keys().filter_map(index).collect()
    }

    /// Writes to the end of a partition's last segment, behind the broker's back: to be seen after a restart.
    pub(crate) fn append_to_segment(&mut self, topic: &str, data: &[u8]) {
        let group = self.broker.local.view(self.now).cluster.topic(topic).expect("made").partitions[0].group;
        let is_of_group = |file: &FileName| matches!(file, FileName::Segment { group: owner, .. } if *owner == group);
        let last = self.files.keys().rfind(|file| is_of_group(file)).copied().expect("a partition has a segment");
        self.files.entry(last).or_default().extend_from_slice(data);
    }

    /// Lets stalled fsyncs complete.
    pub(crate) fn release_fsyncs(&mut self) {
        self.fsync_stalls = false;
        self.partitions_stall = false;
        self.commits_stall = false;
        for done in std::mem::take(&mut self.stalled) {
            self.step(Input::Disk(done));
        }
    }

    /// How many searches are not done.
    pub(crate) fn searches(&self) -> usize {
        self.searches.len()
    }

    /// Does the searches that stall.
    pub(crate) fn release_searches(&mut self) {
        self.searches_stall = false;
        self.step(Input::Tick);
    }

    /// One input and all it causes.
    pub(crate) fn step(&mut self, input: Input) {
        let mut out = Outputs::default();
        self.broker.step(self.now, input, &mut out);
        self.perform(out);
    }

    fn at(&mut self, monotonic: Instant) {
        let passed_us = monotonic.since_us(self.now.monotonic);
        self.now.monotonic = monotonic;
        self.now.wall.0 += i64::try_from(passed_us / 1000).expect("short tests");
    }

    fn perform(&mut self, mut out: Outputs) {
        loop {
            self.broker.end_round(self.now, &mut out);
            check_invariants(&self.broker);
            let mut dones: VecDeque<DiskDone> = VecDeque::new();
            for output in out.drain() {
                match output {
                    Output::Reply { number, frame, .. } => {
                        let frame = frame.map(|slices| Bytes::from(slices.concat()));
                        assert!(self.answers.insert(number.0, frame).is_none(), "{number:?} was answered twice");
                    }
                    Output::Close { number, .. } => {
                        self.closed.insert(number.0);
                    }
                    Output::Disk(op) => self.disk(op, &mut dones),
                    Output::Search { token, search } => self.searches.push_back((token, search)),
                    Output::Codecs(news) => self.codecs.learn(news),
                    Output::Peer { .. } => panic!("there are no peers"),
                    Output::Halt(why) => panic!("halted: {why}"),
                    Output::Stopped => self.is_stopped = true,
                }
            }
            let search = if self.searches_stall { None } else { self.searches.pop_front() };
            if dones.is_empty() && search.is_none() {
                return;
            }
            for done in dones {
                self.broker.step(self.now, Input::Disk(done), &mut out);
            }
            if let Some((token, search)) = search {
                self.broker.step(self.now, Input::Searched { token, found: search.search() }, &mut out);
            }
        }
    }

    /// Flips a bit in the middle of each partition's log, below the running broker.
    pub(crate) fn rot_middles(&mut self) {
        for (name, content) in &mut self.files {
            let middle = content.len() / 2;
            if let (FileName::Segment { group, .. }, Some(byte)) = (name, content.get_mut(middle))
                && *group != GroupId::CONTROLLER
            {
                *byte ^= 1;
            }
        }
    }

    fn disk(&mut self, op: DiskOp, dones: &mut VecDeque<DiskDone>) {
        let mut stage = DiskStage::Durable;
        match op.action {
            DiskAction::CreateGroup { group, .. } => {
                self.groups.insert(group);
            }
            DiskAction::RemoveGroup { group } => {
                self.groups.remove(&group);
                self.files.retain(|name, _| name.group() != Some(group));
            }
            DiskAction::Append { file, position, data, is_awaited } => {
                if matches!(file, FileName::Segment { group, .. } if group != GroupId::CONTROLLER) {
                    self.awaited.push(is_awaited);
                }
                let content = self.files.entry(file).or_default();
                assert_eq!(content.len() as u64, position, "an append to {file:?} is not at its end");
                content.extend(data.concat());
                dones.push_back(DiskDone { id: op.id, stage: DiskStage::Written });
                let is_controller = matches!(file, FileName::Segment { group: GroupId::CONTROLLER, .. });
                let is_commit = self.commits_stall && matches!(file, FileName::Segment { .. });
                if self.fsync_stalls || ((self.partitions_stall || is_commit) && !is_controller) {
                    self.stalled.push(DiskDone { id: op.id, stage: DiskStage::Durable });
                    return;
                }
            }
            DiskAction::Read { file, position, length } => {
                self.reads.push(length);
                let position = usize::try_from(position).expect("small files");
                let data = &self.files[&file][position..position + length as usize];
                stage = DiskStage::Read(Bytes::copy_from_slice(data));
            }
            DiskAction::Truncate { file, length } => {
                let length = usize::try_from(length).expect("small files");
                self.files.get_mut(&file).expect("it exists").truncate(length);
            }
            DiskAction::Remove { files } => {
                for file in files {
                    self.files.remove(&file);
                }
            }
            DiskAction::Rename { files } => {
                for (from, to) in files {
                    if let Some(content) = self.files.remove(&from) {
                        self.files.insert(to, content);
                    }
                }
            }
        }
        dones.push_back(DiskDone { id: op.id, stage });
    }
}

fn config(settings: &[(&str, &str)]) -> BrokerConfig {
    BrokerConfig {
        cluster_id: "rigrigrigrigrigrigrigr".to_owned(),
        broker: BrokerId(1),
        voters: vec![BrokerId(1)],
        listeners: ListenerEndpoint::alone("localhost", 9092),
        rack: None,
        seed: 7,
        raft: RaftSettings::default(),
        settings: settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        mutant: Mutant::None,
    }
}
