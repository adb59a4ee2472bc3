//! The harness: disks that lose what was not synced, messages that are lost and overtake each other, crashes at any time.
//!
//! Checks after every round: one leader per term and group, equal history at equal commit index, acknowledged entries never cut.

use crate::disk::{DiskAction, DiskDone, DiskOp, DiskStage, FileName, Inventory};
use crate::ids::{BrokerId, DiskId, GroupId, Index, Offset, Term};
use crate::log::{Memory, ProducedBatch, ProducerRules, ProducerTable, full_header, test_batch};
use crate::mutant::Mutant;
use crate::output::{Output, Outputs, PeerClass};
use crate::raft::RecoveryStep;
use crate::raft::{GroupEvent, Proposal, RaftGroup, RaftSettings, Replicas, ReplicasConfig, ReplicasRecovery, Role};
use crate::random::{Random, keyed};
use crate::record::{CheckedBatch, RecordFacts};
use crate::time::{Instant, Now, WallTime};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// A digest of all of an output. Bytes are not printed for it, which is most of what a run would do.
fn digest_of(output: &Output) -> u64 {
    let of = |text: &str, data: &[Bytes]| {
        let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
        digest.update(text.as_bytes());
        data.iter().for_each(|part| digest.update(part));
        digest.finalize()
    };
    if let Output::Peer { to, class, frame } = output {
        return of(&format!("{to} {class:?}"), frame);
    }
    if let Output::Disk(DiskOp { id, action: DiskAction::Append { file, position, data, .. } }) = output {
        return of(&format!("{id} {file:?} {position}"), data);
    }
    of(&format!("{output:?}"), &[])
}

/// The group the stories write to.
pub(super) const GROUP: GroupId = GroupId(7);

#[derive(Debug, Clone, Default)]
pub(super) struct MemFile {
    pub data: Vec<u8>,
    pub durable: Vec<u8>,
}

#[derive(Debug, Default)]
pub(super) struct MemDisk {
    pub files: BTreeMap<FileName, MemFile>,
    pub groups: BTreeSet<GroupId>,
    pending: Vec<DiskOp>,
    syncs: Vec<(DiskId, FileName, usize)>,
    /// No fsync completes.
    pub is_stalled: bool,
}

impl MemDisk {
    /// Performs one operation or fsync that may go next; its completion.
    fn perform(&mut self, random: &mut Random) -> Option<DiskDone> {
        let syncs = if self.is_stalled { 0 } else { self.syncs.len() };
        let choices = self.pending.len() + syncs;
        if choices == 0 {
            return None;
        }
        let mut choice = usize::try_from(random.below(choices as u64)).expect("small");
        if choice >= self.pending.len() {
            let file = self.syncs[choice - self.pending.len()].1;
            let at = self.syncs.iter().position(|(_, other, _)| *other == file).expect("it is there");
            let (id, file, end) = self.syncs.remove(at);
            if let Some(mem) = self.files.get_mut(&file)
                && mem.durable.len() < end
            {
                mem.durable = mem.data[..end].to_vec();
            }
            return Some(DiskDone { id, stage: DiskStage::Durable });
        }
        if let DiskAction::Append { file, .. } = &self.pending[choice].action {
            let same = |op: &DiskOp| matches!(&op.action, DiskAction::Append { file: other, .. } if other == file);
            choice = self.pending.iter().position(same).expect("it is there");
        }
        let op = self.pending.remove(choice);
        let stage = match op.action {
            DiskAction::CreateGroup { group, .. } => {
                self.groups.insert(group);
                DiskStage::Durable
            }
            DiskAction::RemoveGroup { group } => {
                self.groups.remove(&group);
                self.files.retain(|file, _| file.group() != Some(group));
                DiskStage::Durable
            }
            DiskAction::Append { file, position, data, .. } => {
                if let Some(group) = file.group() {
                    assert!(self.groups.contains(&group), "{file:?} is appended to before its folder is there");
                }
                assert_eq!(self.files.contains_key(&file), position > 0, "{file:?} is created by its first append");
                let mem = self.files.entry(file).or_default();
                assert_eq!(mem.data.len() as u64, position, "appends are at the end of {file:?}");
                for slice in data {
                    mem.data.extend_from_slice(&slice);
                }
                self.syncs.push((op.id, file, mem.data.len()));
                DiskStage::Written
            }
            DiskAction::Read { file, position, length } => {
                let data = &self.files[&file].data;
                let from = usize::try_from(position).expect("small");
                let read = &data[from..from + usize::try_from(length).expect("small")];
                DiskStage::Read(Bytes::copy_from_slice(read))
            }
            DiskAction::Truncate { file, length } => {
                let mem = self.files.get_mut(&file).expect("a file that is cut exists");
                assert!(mem.data.len() as u64 >= length, "{file:?} is cut beyond its end");
                mem.data.truncate(usize::try_from(length).expect("small"));
                mem.durable = mem.data.clone();
                DiskStage::Durable
            }
            DiskAction::Remove { files } => {
                for file in files {
                    self.files.remove(&file);
                }
                DiskStage::Durable
            }
            DiskAction::Rename { files } => {
                for (from, to) in files {
                    if let Some(mem) = self.files.remove(&from) {
                        self.files.insert(to, mem);
                    }
                }
                DiskStage::Durable
            }
        };
        Some(DiskDone { id: op.id, stage })
    }

    /// The process is gone; with a power cut also what was not synced, in whole or in part.
    fn crash(&mut self, random: &mut Random, power_cut: bool) {
        self.pending.clear();
        self.syncs.clear();
        if !power_cut {
            return;
        }
        let mut lost = Vec::new();
        for (file, mem) in &mut self.files {
            let fresh = mem.data.len() - mem.durable.len().min(mem.data.len());
            let keep = match random.below(4) {
                0 => 0,
                1 => fresh,
                _ => usize::try_from(random.below(fresh as u64 + 1)).expect("small"),
            };
            let durable = mem.durable.len();
            mem.data.truncate(durable + keep);
            if keep > 0 && random.chance(1, 3) {
                let at = durable + usize::try_from(random.below(keep as u64)).expect("small");
                for byte in mem.data[at..].iter_mut().take(512) {
                    *byte = 0;
                }
            }
            mem.durable = mem.data.clone();
            if mem.data.is_empty() && random.chance(1, 2) {
                lost.push(*file);
            }
        }
        for file in lost {
            self.files.remove(&file);
        }
    }

    fn inventory(&self) -> Inventory {
        Inventory {
            groups: self.groups.iter().copied().collect(),
            files: self.files.iter().map(|(file, mem)| (*file, mem.data.len() as u64)).collect(),
        }
    }
}

pub(super) struct Node {
    pub replicas: Replicas,
    /// Entries proposed here and not yet answered: index and term.
    asked: Vec<(Index, Term)>,
    pub found: Vec<GroupEvent>,
    /// The commit of the group that was told last.
    committed: Index,
}

/// What the owner of the group is said to know of producers by an entry: one that wrote it.
fn known_by(index: Index) -> ProducerTable {
    let mut table = ProducerTable::new(RULES);
    table.apply(1, 0, ProducedBatch { index, ..ProducedBatch::default() });
    table
}

/// What a log that never lost an entry says of producers.
fn known_on(disk: &MemDisk, last: Index) -> ProducerTable {
    let mut table = ProducerTable::new(RULES);
    let mut index = Index::BIRTH;
    for (file, content) in &disk.files {
        let FileName::Segment { group: GROUP, .. } = file else { continue };
        let mut rest = &content.data[..];
        while let Ok(batch) = crate::log::Batch::parse_whole(rest) {
            index.0 += 1;
            let header = full_header(&rest[..batch.length]);
            if header.producer_id >= 0 && index <= last {
                table.apply(header.producer_id, header.producer_epoch, ProducedBatch::of(index, &header));
            }
            rest = &rest[batch.length..];
        }
    }
    table
}

const RULES: ProducerRules = ProducerRules { expiration_ms: 86_400_000, producers_max: 100 };

pub(super) struct Cluster {
    /// Whether what is known of producers is what was replicated; else it is made up.
    pub is_folding: bool,
    pub random: Random,
    pub now_us: u64,
    pub nodes: Vec<Option<Node>>,
    pub disks: Vec<MemDisk>,
    messages: Vec<(BrokerId, BrokerId, PeerClass, Bytes)>,
    pub cut_links: BTreeSet<(i32, i32)>,
    pub trace: u64,
    voters: Vec<BrokerId>,
    settings: RaftSettings,
    segment_bytes_max: u64,
    lives: u64,
    seed: u64,
    pub mutant: Mutant,
    leaders: BTreeMap<(GroupId, Term), BrokerId>,
    chains: BTreeMap<(GroupId, Index), u64>,
    pub acked: BTreeMap<Index, Term>,
    pub commands: Vec<Vec<Bytes>>,
    /// The greatest log start that each broker ever showed.
    pub starts: Vec<Offset>,
    /// How many cuts of conflicting suffixes were seen.
    pub cuts: usize,
    /// How many snapshots were installed.
    pub snapshots: usize,
    /// Brokers whose disk was lost once.
    pub wiped: Vec<bool>,
}

impl Cluster {
    pub(super) fn new(seed: u64, brokers: i32, mutant: Mutant) -> Cluster {
        let voters: Vec<BrokerId> = (0..brokers).map(BrokerId).collect();
        let mut cluster = Cluster {
            is_folding: false,
            random: Random::stream(seed, 77),
            now_us: 1_000_000,
            nodes: Vec::new(),
            disks: Vec::new(),
            messages: Vec::new(),
            cut_links: BTreeSet::new(),
            trace: 0,
            settings: RaftSettings {
                tail_bytes_max: 2000,
                message_bytes_max: 4000,
                meta_bytes_max: 4000,
                ..RaftSettings::default()
            },
            segment_bytes_max: 6000,
            lives: 0,
            seed,
            mutant,
            leaders: BTreeMap::new(),
            chains: BTreeMap::new(),
            acked: BTreeMap::new(),
            commands: vec![Vec::new(); voters.len()],
            starts: vec![Offset(0); voters.len()],
            cuts: 0,
            snapshots: 0,
            wiped: vec![false; voters.len()],
            voters,
        };
        for number in 0..cluster.voters.len() {
            cluster.disks.push(MemDisk::default());
            cluster.nodes.push(None);
            cluster.start(number).expect("an empty disk is fine");
            cluster.create(number);
        }
        cluster
    }

    pub(super) fn create(&mut self, number: usize) {
        self.create_group(number, GROUP);
    }

    pub(super) fn create_group(&mut self, number: usize, group: GroupId) {
        let now = self.now();
        let mut out = Outputs::default();
        let voters = self.voters.clone();
        let node = self.nodes[number].as_mut().expect("it runs");
        if self.wiped[number] {
            node.replicas.create_forgotten(now, group, "orders-0".to_owned(), &voters, &mut out);
        } else {
            node.replicas.create(now, group, "orders-0".to_owned(), &voters, number == 0, &mut out);
        }
        self.perform(number, out);
    }

    pub(super) fn now(&self) -> Now {
        Now { monotonic: Instant(self.now_us), wall: WallTime(0) }
    }

    /// Starts a broker from its disk, or tells why it does not.
    pub(super) fn start(&mut self, number: usize) -> Result<(), String> {
        self.lives += 1;
        let config = ReplicasConfig {
            broker: self.voters[number],
            voters: self.voters.clone(),
            seed: keyed(self.seed, &[self.lives]),
            raft: self.settings,
            segment_bytes_max: self.segment_bytes_max,
            producers: RULES,
            mutant: self.mutant,
        };
        for mem in self.disks[number].files.values_mut() {
            // The host makes durable what it finds.
            mem.durable = mem.data.clone();
        }
        let mut recovery = ReplicasRecovery::new(config, self.disks[number].inventory());
        loop {
            match recovery.poll() {
                RecoveryStep::Done => break,
                RecoveryStep::Halt(fatal) => return Err(fatal.to_string()),
                RecoveryStep::Read { file, position, length } => {
                    let from = usize::try_from(position).expect("small");
                    let data = &self.disks[number].files[&file].data[from..from + usize::try_from(length).expect("small")];
                    recovery.read_done(Bytes::copy_from_slice(data));
                }
            }
        }
        let mut out = Outputs::default();
        let replicas = recovery.finish(self.now(), &mut out);
        self.nodes[number] = Some(Node { replicas, asked: Vec::new(), found: Vec::new(), committed: Index::BIRTH });
        self.commands[number].clear();
        self.perform(number, out);
        self.end_round(number);
        Ok(())
    }

    pub(super) fn crash(&mut self, number: usize, power_cut: bool) {
        self.nodes[number] = None;
        self.disks[number].crash(&mut self.random, power_cut);
    }

    /// A broker loses its disk, and stays down.
    pub(super) fn wipe(&mut self, number: usize) {
        self.crash(number, true);
        self.disks[number] = MemDisk::default();
        self.wiped[number] = true;
        self.starts[number] = Offset(0);
    }

    /// A broker that lost its disk, or is down, starts and has a replica.
    pub(super) fn come_back(&mut self, number: usize) {
        self.start(number).unwrap_or_else(|what| panic!("broker {number} does not start: {what}"));
        self.create(number);
    }

    /// What a running broker's replica remembers.
    pub(super) fn memory(&self, number: usize) -> Memory {
        self.group(number).memory()
    }

    fn perform(&mut self, number: usize, mut out: Outputs) {
        for output in out.drain() {
            self.trace = keyed(self.trace, &[number as u64, self.now_us, digest_of(&output)]);
            match output {
                Output::Disk(op) => self.disks[number].pending.push(op),
                Output::Peer { to, class, frame } => {
                    self.messages.push((self.voters[number], to, class, Bytes::from(frame.concat())));
                }
                Output::Halt(fatal) => panic!("broker {number} halts: {fatal}"),
                Output::Reply { .. } | Output::Close { .. } | Output::Search { .. } | Output::Codecs(_) | Output::Stopped => {
                    unreachable!("replicas do not answer clients")
                }
            }
        }
    }

    fn end_round(&mut self, number: usize) {
        let now = self.now();
        loop {
            let mut out = Outputs::default();
            let Some(node) = self.nodes[number].as_mut() else { return };
            let events = node.replicas.end_round(now, &mut out);
            let is_over = events.is_empty() && !node.replicas.has_work();
            for (group, event) in events {
                self.note(number, group, event);
            }
            self.perform(number, out);
            if is_over {
                break;
            }
        }
        self.check(number);
    }

    fn note(&mut self, number: usize, group: GroupId, event: GroupEvent) {
        let node = self.nodes[number].as_mut().expect("it runs");
        match event {
            GroupEvent::Command { index: _, payload } if group == GROUP => self.commands[number].push(payload),
            GroupEvent::Committed { index, .. } if group == GROUP => {
                let (done, rest) = node.asked.iter().partition(|(asked, _)| *asked <= index);
                node.asked = rest;
                node.committed = index;
                let done: Vec<(Index, Term)> = done;
                self.acked.extend(done);
            }
            GroupEvent::Truncated(from) if group == GROUP => {
                self.cuts += 1;
                node.asked.retain(|(asked, _)| *asked < from);
            }
            GroupEvent::Replicated { .. } | GroupEvent::Producers(_) if group == GROUP => node.found.push(event),
            GroupEvent::Restored { last, producers } if group == GROUP => {
                assert_eq!(producers.as_deref(), Some(&known_by(last)), "what was known at {last}");
                self.snapshots += 1;
                self.commands[number].clear();
            }
            GroupEvent::ProducersWanted => {
                let last = node.committed;
                let known = if self.is_folding { known_on(&self.disks[number], last) } else { known_by(last) };
                let known = (group == GROUP).then_some(known);
                node.replicas.producers_known(group, known.as_ref());
            }
            GroupEvent::Command { .. }
            | GroupEvent::LogStart(_)
            | GroupEvent::Committed { .. }
            | GroupEvent::Truncated(_)
            | GroupEvent::Replicated { .. }
            | GroupEvent::Producers(_)
            | GroupEvent::Restored { .. }
            | GroupEvent::Leadership { .. }
            | GroupEvent::Serving
            | GroupEvent::Written(_) => {}
        }
    }

    fn check(&mut self, number: usize) {
        let node = self.nodes[number].as_ref().expect("it runs");
        for view in node.replicas.views() {
            if view.role == Role::Leader {
                let leader = *self.leaders.entry((view.group, view.term)).or_insert(self.voters[number]);
                assert_eq!(leader, self.voters[number], "two leaders of {} in {}", view.group, view.term);
            }
            let chain = *self.chains.entry((view.group, view.commit)).or_insert(view.commit_chain);
            assert_eq!(chain, view.commit_chain, "two histories of {} up to {}", view.group, view.commit);
        }
        if let Some(group) = node.replicas.group(GROUP) {
            let view = group.view();
            assert!(view.log_start <= view.high_watermark, "{view:?}");
            if group.is_open() && !group.is_installing() {
                assert!(view.log_start >= self.starts[number], "the log start of broker {number} went back: {view:?}");
                self.starts[number] = view.log_start;
            }
            for (index, term) in self.acked.range(..=view.commit) {
                if *index < group.log().first_index() {
                    continue;
                }
                assert_eq!(group.log().term(*index), *term, "acknowledged entry {index} was replaced on broker {number}");
            }
        }
    }

    /// One small step of the world.
    pub(super) fn step(&mut self) {
        let choice = self.random.below(10);
        let number = usize::try_from(self.random.below(self.nodes.len() as u64)).expect("small");
        if choice < 5 {
            if let Some(done) = self.disks[number].perform(&mut self.random)
                && self.nodes[number].is_some()
            {
                self.disk_done(number, done);
            }
        } else if choice < 9 && !self.messages.is_empty() {
            let at = usize::try_from(self.random.below(self.messages.len() as u64)).expect("small");
            let (from, to, class, _) = &self.messages[at];
            let key = (*from, *to, *class);
            // The oldest of its lane: lanes do not wait for each other.
            let at = self.messages.iter().position(|(from, to, class, _)| (*from, *to, *class) == key).expect("it is there");
            let (from, to, _, frame) = self.messages.remove(at);
            self.deliver(from, to, frame);
        } else {
            self.now_us += self.random.between(1, 20) * 1000;
            self.tick(number);
        }
    }

    fn disk_done(&mut self, number: usize, done: DiskDone) {
        let now = self.now();
        let mut out = Outputs::default();
        let node = self.nodes[number].as_mut().expect("it runs");
        assert_eq!(node.replicas.disk_done(now, done, &mut out), None);
        self.perform(number, out);
        self.end_round(number);
    }

    pub(super) fn deliver(&mut self, from: BrokerId, to: BrokerId, frame: Bytes) {
        let number = self.voters.iter().position(|voter| *voter == to).expect("a known broker");
        if self.cut_links.contains(&(from.0, to.0)) || self.random.chance(1, 50) {
            return;
        }
        let now = self.now();
        if let Some(node) = self.nodes[number].as_mut() {
            let dropped = node.replicas.dropped().frames;
            node.replicas.peer_frame(now, from, frame);
            assert_eq!(node.replicas.dropped().frames, dropped, "no frame of ours is damaged");
            self.end_round(number);
        }
    }

    fn tick(&mut self, number: usize) {
        let now = self.now();
        if let Some(node) = self.nodes[number].as_mut()
            && node.replicas.next_deadline().is_some_and(|at| at <= now.monotonic)
        {
            node.replicas.tick(now);
            self.end_round(number);
        }
    }

    /// A broker that runs does what it has to.
    pub(super) fn round(&mut self, number: usize) {
        self.end_round(number);
    }

    /// The group of a broker that runs.
    pub(super) fn group(&self, number: usize) -> &RaftGroup {
        self.nodes[number].as_ref().and_then(|node| node.replicas.group(GROUP)).expect("it runs and has a replica")
    }

    /// Segments of the group on a disk.
    pub(super) fn segments(&self, number: usize) -> Vec<FileName> {
        self.disks[number].files.keys().copied().filter(|file| matches!(file, FileName::Segment { group: GROUP, .. })).collect()
    }

    pub(super) fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            self.step();
        }
    }

    pub(super) fn leader(&self) -> Option<usize> {
        let led = |node: &Node| node.replicas.group(GROUP).filter(|group| group.is_serving()).map(|group| group.term());
        let numbers = 0..self.nodes.len();
        let leaders = numbers.filter_map(|number| Some((led(self.nodes[number].as_ref()?)?, number)));
        leaders.max().map(|(_, number)| number)
    }

    /// Runs until somebody serves; panics after very long.
    pub(super) fn elect(&mut self) -> usize {
        for _ in 0..200_000 {
            if let Some(leader) = self.leader() {
                return leader;
            }
            self.step();
        }
        panic!("nobody leads: {:?}", self.nodes.iter().flatten().flat_map(|node| node.replicas.views()).collect::<Vec<_>>());
    }

    /// Proposes to whoever thinks that it leads; tells whether somebody took it.
    pub(super) fn propose(&mut self, number: usize) -> bool {
        let records = i32::try_from(self.random.between(1, 5)).expect("small");
        let bytes = usize::try_from(self.random.between(10, 900)).expect("small");
        let producer = i64::try_from(self.random.below(3)).expect("small") - 1;
        let is_command = self.random.chance(1, 8);
        let Some(node) = self.nodes[number].as_mut() else { return false };
        let proposal = if is_command {
            Proposal::Command(Bytes::from(vec![5u8; bytes]))
        } else {
            let bytes = test_batch(records, bytes, producer, 1000);
            let header = crate::log::full_header(&bytes);
            let facts =
                RecordFacts { timestamp_highest: 1000, timestamp_lowest: None, null_key_first: None, decompressed_bytes: 0 };
            Proposal::Records { batch: CheckedBatch { header, bytes, facts, recoded: None }, is_awaited: true }
        };
        let Ok(placed) = node.replicas.propose(GROUP, vec![proposal]) else { return false };
        let term = node.replicas.group(GROUP).expect("it was just proposed to").term();
        node.asked.extend(placed.iter().map(|placed| (placed.index, term)));
        self.end_round(number);
        true
    }

    /// Proposes that the log starts somewhere else.
    pub(super) fn propose_start(&mut self, number: usize) {
        let Some(group) = self.nodes[number].as_ref().and_then(|node| node.replicas.group(GROUP)) else { return };
        let (start, end) = (group.log().log_start().0, group.high_watermark().0);
        let to = start + i64::try_from(self.random.below(u64::try_from(end - start).expect("checked") + 1)).expect("small");
        let node = self.nodes[number].as_mut().expect("it runs");
        if node.replicas.propose(GROUP, vec![Proposal::LogStart(Offset(to))]).is_ok() {
            self.end_round(number);
        }
    }

    /// Heals everything and runs until all replicas agree and have committed all of `acked`.
    pub(super) fn settle(&mut self) {
        self.cut_links.clear();
        for number in 0..self.nodes.len() {
            self.disks[number].is_stalled = false;
            if self.nodes[number].is_none() {
                self.start(number).unwrap_or_else(|what| panic!("broker {number} does not start: {what}"));
                self.create(number);
            }
        }
        for _ in 0..400_000 {
            self.step();
            if self.leader().is_some() && self.agree() {
                return self.compare();
            }
        }
        panic!(
            "replicas do not agree: {:#?}",
            self.nodes.iter().flatten().flat_map(|node| node.replicas.views()).collect::<Vec<_>>()
        );
    }

    fn agree(&self) -> bool {
        let views: Option<Vec<_>> = self.nodes.iter().map(|node| Some(node.as_ref()?.replicas.group(GROUP)?.view())).collect();
        let Some(views) = views else { return false };
        let first = views[0];
        let is_quiet = self.disks.iter().all(|disk| disk.pending.is_empty() && disk.syncs.is_empty());
        is_quiet && views.iter().all(|view| view.commit == view.last_index && view.commit == first.commit)
    }

    fn compare(&self) {
        let segments = |disk: &MemDisk| -> Vec<u8> {
            let of_group = |file: &FileName| matches!(file, FileName::Segment { group, .. } if *group == GROUP);
            disk.files.iter().filter(|(file, _)| of_group(file)).flat_map(|(_, mem)| mem.data.clone()).collect()
        };
        let first = segments(&self.disks[0]);
        assert!(!first.is_empty());
        for (number, disk) in self.disks.iter().enumerate() {
            let here = segments(disk);
            // Replicas may have deleted more or less of the front.
            assert!(here.ends_with(&first) || first.ends_with(&here), "broker {number} has other bytes than broker 0");
        }
        let log = self.nodes[0].as_ref().expect("it runs").replicas.group(GROUP).expect("it was created").log();
        for (index, term) in &self.acked {
            assert!(*index <= log.last_index(), "acknowledged entry {index} is gone");
            assert!(*index < log.first_index() || log.term(*index) == *term, "acknowledged entry {index} was replaced");
        }
        for commands in &self.commands {
            let is_same = commands.ends_with(&self.commands[0]) || self.commands[0].ends_with(commands);
            assert!(is_same, "every replica hears the same commands");
        }
    }
}
