//! What is copied and lent has bounds: each is met once. One replica, whose peers say what the test wants.

use super::cluster::GROUP;
use super::sending::{Alone, NOW, OTHER, PEER, answer, message, vote};
use crate::disk::{DiskAction, DiskDone, DiskStage, FileName};
use crate::ids::{BrokerId, Index, Offset, Term};
use crate::limits::{SNAPSHOT_LEASE_MS, SNAPSHOT_PART_BYTES_MAX, SNAPSHOT_RETRY_MS};
use crate::log::{FileRange, GroupLog, LogStart, Manifest, encode_private};
use crate::output::{Output, Outputs};
use crate::raft::copy_message::{CopyMessage, KIND_COPY, SnapshotName};
use crate::raft::frame::{FrameBuilder, PeerMessage, decode};
use crate::raft::{Proposal, Role};
use crate::record::PrivateKind;
use crate::time::Now;
use bytes::Bytes;
use raft::eraftpb::{Message, MessageType};

/// A replica looks at its bounds once in so many milliseconds.
const TICK_MS: u64 = 100;

fn later(ms: u64) -> Now {
    Now { monotonic: NOW.monotonic.plus_ms(ms), ..NOW }
}

/// Bytes of a part, as a length in memory.
fn part_bytes() -> usize {
    usize::try_from(SNAPSHOT_PART_BYTES_MAX).expect("small")
}

/// What a replica does at `now`, with a tick: what it asks of the disk, of its peers and of who lends to it is added to what it asked before.
fn visit(alone: &mut Alone, now: Now) {
    alone.replicas.tick(now);
    let mut out = Outputs::default();
    while alone.replicas.has_work() {
        alone.replicas.end_round(now, &mut out);
    }
    take(alone, out);
}

fn take(alone: &mut Alone, mut out: Outputs) {
    for output in out.drain() {
        match output {
            Output::Disk(op) => alone.disk.push(op),
            Output::Peer { to, frame, .. } => {
                for message in decode(BrokerId(0), to, &Bytes::from(frame.concat())).expect("no frame of ours is damaged") {
                    match message {
                        PeerMessage::Raft(_, message) => alone.sent.push(message),
                        PeerMessage::Other(other) => alone.said.extend(CopyMessage::decode(other.body).map(|(_, said)| said)),
                    }
                }
            }
            Output::Reply { .. }
            | Output::Close { .. }
            | Output::Search { .. }
            | Output::Codecs(_)
            | Output::Halt(_)
            | Output::Stopped => unreachable!("{output:?}"),
        }
    }
}

/// Completes all that the disk was asked to do, but reads; tells which files it removed.
fn settle(alone: &mut Alone, now: Now) -> Vec<FileName> {
    let mut removed = Vec::new();
    visit(alone, now);
    loop {
        let is_read = |action: &DiskAction| matches!(action, DiskAction::Read { .. });
        let (reads, operations): (Vec<_>, Vec<_>) =
            core::mem::take(&mut alone.disk).into_iter().partition(|op| is_read(&op.action));
        alone.disk = reads;
        if operations.is_empty() {
            return removed;
        }
        let mut out = Outputs::default();
        for op in operations {
            if let DiskAction::Append { .. } = op.action {
                alone.replicas.disk_done(now, DiskDone { id: op.id, stage: DiskStage::Written }, &mut out);
            }
            alone.replicas.disk_done(now, DiskDone { id: op.id, stage: DiskStage::Durable }, &mut out);
            if let DiskAction::Remove { files } = op.action {
                removed.extend(files);
            }
        }
        take(alone, out);
        visit(alone, now);
    }
}

/// A replica is told something about a snapshot.
fn tell(alone: &mut Alone, name: SnapshotName, said: &CopyMessage) {
    let mut frame = FrameBuilder::default();
    frame.other(KIND_COPY, said.encode(name));
    alone.replicas.peer_frame(NOW, OTHER, Bytes::from(frame.finish().concat()));
}

/// A log of one entry that takes three parts and a little more, and its snapshot by a leader of term 3.
fn lent() -> (Bytes, Manifest) {
    let start = LogStart { offset: Offset(5), index: Index(10), base_offset: Offset(5), term: Term(2), chain: 7 };
    let mut log = GroupLog::resumed(GROUP, start, 1 << 30, 1 << 30);
    let entry = encode_private(PrivateKind::Command, Offset(5), Term(3), &vec![7; 3 * part_bytes()]);
    log.append(entry.clone(), &mut Vec::new());
    let range = FileRange { base_offset: Offset(5), base_index: Index(10), length: entry.len() as u64, chain: 7 };
    let (last, chain) = (Index(10), log.chain_at(Index(10)));
    let manifest = Manifest { start, last, term: Term(3), end: Offset(5), chain, files: vec![range], producers: Bytes::new() };
    (entry, manifest)
}

/// A replica that was offered it and asks for the first part.
fn copying() -> (Alone, Bytes, SnapshotName, CopyMessage) {
    let mut alone = Alone::candidate();
    let (data, manifest) = lent();
    alone.hear(OTHER, &message(MessageType::MsgHeartbeat, 3));
    let mut offer = message(MessageType::MsgSnapshot, 3);
    (offer.mut_snapshot().mut_metadata().index, offer.mut_snapshot().mut_metadata().term) = (manifest.last.0, manifest.term.0);
    offer.mut_snapshot().data = manifest.encode();
    alone.hear(OTHER, &offer);
    settle(&mut alone, NOW);
    let ask = alone.said.pop().expect("it asks for a part");
    assert!(alone.said.is_empty(), "{:?}", alone.said);
    (alone, data, SnapshotName { group: GROUP, term: Term(3), last: manifest.last }, ask)
}

fn asked(ask: &CopyMessage) -> (u64, u32) {
    let CopyMessage::Ask { position, length, .. } = *ask else { panic!("it asks for a part: {ask:?}") };
    (position, length)
}

#[test]
fn a_replica_asks_for_one_part_after_the_other_and_again_for_what_does_not_come() {
    let (mut alone, data, name, ask) = copying();
    assert_eq!(asked(&ask), (0, SNAPSHOT_PART_BYTES_MAX));
    visit(&mut alone, later(SNAPSHOT_RETRY_MS - TICK_MS));
    assert_eq!(alone.said, []);
    visit(&mut alone, later(SNAPSHOT_RETRY_MS));
    assert_eq!(alone.said, [ask]);
    alone.said.clear();
    // The entry is known to be longer than a part.
    tell(&mut alone, name, &CopyMessage::Part { base_index: Index(10), position: 0, data: data.slice(..part_bytes()) });
    settle(&mut alone, NOW);
    assert_eq!(alone.said.iter().map(asked).collect::<Vec<_>>(), [(u64::from(SNAPSHOT_PART_BYTES_MAX), SNAPSHOT_PART_BYTES_MAX)]);
}

#[test]
fn a_copy_is_left_when_its_leader_is_silent_and_deleted_when_nobody_goes_on_with_it() {
    let (mut alone, data, name, _) = copying();
    tell(&mut alone, name, &CopyMessage::Part { base_index: Index(10), position: 0, data: data.slice(..part_bytes()) });
    settle(&mut alone, NOW);
    // It looks when it would ask again.
    for ms in (SNAPSHOT_RETRY_MS..SNAPSHOT_LEASE_MS).step_by(1000) {
        settle(&mut alone, later(ms));
        assert_eq!(alone.replicas.copies_under_way(), 1, "after {ms} ms");
    }
    settle(&mut alone, later(SNAPSHOT_LEASE_MS));
    assert_eq!(alone.replicas.copies_under_way(), 0);
    assert_eq!(settle(&mut alone, later(3 * SNAPSHOT_LEASE_MS - TICK_MS)), []);
    let removed = settle(&mut alone, later(3 * SNAPSHOT_LEASE_MS));
    assert_eq!(removed, [FileName::Copy { group: GROUP, base_offset: Offset(5), base_index: Index(10) }]);
}

/// A leader of five. All of the others but `OTHER` have what it has.
struct Leader {
    alone: Alone,
    last: u64,
}

const QUICK: [BrokerId; 3] = [PEER, BrokerId(3), BrokerId(4)];

impl Leader {
    fn new() -> Leader {
        let voters: Vec<BrokerId> = (0..5).map(BrokerId).collect();
        let mut alone = Alone::of(&voters);
        for other in QUICK {
            alone.hear(other, &vote());
        }
        settle(&mut alone, NOW);
        for other in &voters[1..] {
            alone.hear(*other, &answer(MessageType::MsgAppendResponse, 2));
        }
        settle(&mut alone, NOW);
        assert_eq!(alone.role(), Role::Leader);
        // Each entry gets a segment of its own.
        alone.replicas.set_segment_bytes(GROUP, 1);
        Leader { alone, last: 2 }
    }

    /// Writes entries; tells which files were removed meanwhile.
    fn say(&mut self, proposals: Vec<Proposal>) -> Vec<FileName> {
        self.last += proposals.len() as u64;
        self.alone.replicas.propose(GROUP, proposals).expect("it leads");
        let mut removed = settle(&mut self.alone, NOW);
        for other in QUICK {
            self.alone.hear(other, &answer(MessageType::MsgAppendResponse, self.last));
        }
        removed.extend(settle(&mut self.alone, NOW));
        removed
    }

    /// Lets go all that is committed; nobody wrote with an id.
    fn let_go(&mut self) -> Vec<FileName> {
        let mut removed = self.say(vec![Proposal::LogStart(Offset(0))]);
        for _ in 0..3 {
            // For each segment that is complete, and for the start.
            self.alone.replicas.producers_known(GROUP, None);
            removed.extend(settle(&mut self.alone, NOW));
        }
        removed
    }

    /// The snapshot that `OTHER` is offered when it is heard of, if it is.
    fn offer(&mut self) -> Option<Manifest> {
        self.alone.sent.clear();
        self.alone.replicas.peer_down(OTHER);
        self.alone.hear(OTHER, &answer(MessageType::MsgHeartbeatResponse, 0));
        settle(&mut self.alone, NOW);
        for _ in 0..3 {
            self.alone.replicas.producers_known(GROUP, None);
            settle(&mut self.alone, NOW);
        }
        let is_offer = |message: &&mut Message| message.get_msg_type() == MessageType::MsgSnapshot;
        let offer = self.alone.sent.iter_mut().find(is_offer)?;
        Some(Manifest::decode(offer.mut_snapshot().take_data()).expect("a manifest"))
    }
}

fn command(bytes: usize) -> Proposal {
    Proposal::Command(Bytes::from(vec![7; bytes]))
}

#[test]
fn files_are_lent_in_parts_and_for_a_while() {
    let mut leader = Leader::new();
    leader.say(vec![command(10), command(10)]);
    leader.let_go();
    leader.say(vec![command(3 * part_bytes())]);
    let first = leader.alone.replicas.group(GROUP).expect("it was created").log().first_index();
    assert!(first > Index(3), "{first}");
    let manifest = leader.offer().expect("it lacks what is gone");
    let large =
        manifest.files.iter().find(|range| range.length > 3 * u64::from(SNAPSHOT_PART_BYTES_MAX)).expect("the large entry");
    let FileRange { base_offset, base_index, .. } = *large;
    let name = SnapshotName { group: GROUP, term: Term(2), last: manifest.last };
    tell(&mut leader.alone, name, &CopyMessage::Ask { base_offset, base_index, position: 7, length: u32::MAX });
    settle(&mut leader.alone, NOW);
    let [read] = leader.alone.disk.drain(..).collect::<Vec<_>>().try_into().expect("one read");
    assert_eq!(read.action, DiskAction::Read { file: large.segment(GROUP), position: 7, length: SNAPSHOT_PART_BYTES_MAX });
    let stage = DiskStage::Read(Bytes::from(vec![7; part_bytes()]));
    leader.alone.replicas.disk_done(NOW, DiskDone { id: read.id, stage }, &mut Outputs::default());
    // Retention lets go what is lent: it is deleted when the follower was silent for so long.
    let first = manifest.files[0].segment(GROUP);
    let mut removed = leader.say(vec![command(10)]);
    removed.extend(leader.let_go());
    assert!(leader.alone.replicas.group(GROUP).expect("it was created").log().first_index() > large.base_index);
    removed.extend(settle(&mut leader.alone, later(SNAPSHOT_LEASE_MS - TICK_MS)));
    assert!(!removed.contains(&first), "{removed:?}");
    assert!(settle(&mut leader.alone, later(SNAPSHOT_LEASE_MS)).contains(&first));
}
