//! What a snapshot may meet on its way: one replica, whose peers say what the test wants, and whose disk does what the test lets it.

use super::cluster::GROUP;
use super::sending::{Alone, NOW, OTHER, PEER, answer, message, vote};
use crate::disk::{DiskAction, FileName};
use crate::ids::{BrokerId, Index, Offset, Term};
use crate::log::{FileRange, GroupLog, LogStart, Manifest, encode_private, test_batch};
use crate::raft::copy_message::{CopyMessage, KIND_COPY, SnapshotName};
use crate::raft::frame::FrameBuilder;
use crate::raft::{Proposal, Role};
use crate::record::{PrivateKind, patch_offset_and_epoch};
use bytes::{Bytes, BytesMut};
use raft::eraftpb::{Entry, Message, MessageType};

/// Another broker's log of three empty entries of term 3: its segment, and its snapshot.
fn lent(offset: i64, index: u64) -> (Bytes, Manifest) {
    let start = LogStart { offset: Offset(offset), index: Index(index), base_offset: Offset(5), term: Term(2), chain: 7 };
    let mut log = GroupLog::resumed(GROUP, start, 1 << 20, 1 << 20);
    let (mut bytes, mut writes) = (BytesMut::new(), Vec::new());
    for _ in 0..3 {
        let entry = encode_private(PrivateKind::Noop, Offset(5), Term(3), &[]);
        bytes.extend_from_slice(&entry);
        log.append(entry, &mut writes);
    }
    let last = Index(index + 2);
    let range = FileRange { base_offset: Offset(5), base_index: Index(index), length: bytes.len() as u64, chain: 7 };
    let (end, chain) = (Offset(offset.max(5)), log.chain_at(last));
    (bytes.freeze(), Manifest { start, last, term: Term(3), end, chain, files: vec![range], producers: Bytes::new() })
}

fn offer(manifest: &Manifest) -> Message {
    let mut offer = message(MessageType::MsgSnapshot, 3);
    let snapshot = offer.mut_snapshot();
    (snapshot.mut_metadata().index, snapshot.mut_metadata().term) = (manifest.last.0, manifest.term.0);
    snapshot.data = manifest.encode();
    offer
}

/// Entries of a leader of term 3, behind `index` of `log_term`; all of them committed.
fn append(index: u64, log_term: u64, batches: Vec<Bytes>) -> Message {
    let mut append = message(MessageType::MsgAppend, 3);
    (append.index, append.log_term) = (index, log_term);
    append.commit = index + batches.len() as u64;
    let entries = batches.into_iter().enumerate().map(|(number, data)| {
        let mut entry = Entry::default();
        (entry.index, entry.term, entry.data) = (index + 1 + number as u64, 3, data);
        entry
    });
    append.entries = entries.collect::<Vec<_>>().into();
    append
}

fn noop(offset: i64) -> Bytes {
    encode_private(PrivateKind::Noop, Offset(offset), Term(3), &[])
}

/// The leader `OTHER` of term 3 sends the part that was asked for, and the replica writes it.
fn give(alone: &mut Alone, data: &Bytes, manifest: &Manifest) {
    let Some(CopyMessage::Ask { base_index, position, .. }) = alone.said.pop() else { panic!("it asks for a part") };
    let name = SnapshotName { group: GROUP, term: Term(3), last: manifest.last };
    let mut frame = FrameBuilder::default();
    frame.other(KIND_COPY, CopyMessage::Part { base_index, position, data: data.clone() }.encode(name));
    alone.replicas.peer_frame(NOW, OTHER, Bytes::from(frame.finish().concat()));
    alone.round();
    alone.complete(|action| matches!(action, DiskAction::Append { file: FileName::Copy { .. }, .. }));
}

fn is_meta(action: &DiskAction) -> bool {
    matches!(action, DiskAction::Append { file: FileName::Meta(_), .. })
}

#[test]
fn an_offer_that_comes_with_appends_is_declined() {
    // Pinned as seed 4573: what is committed by an append of the same round is in raft's memory and not in the log.
    let mut alone = Alone::candidate();
    let (_, manifest) = lent(5, 4);
    alone.hear(OTHER, &append(1, 1, vec![noop(0), noop(0)]));
    alone.hear(OTHER, &offer(&manifest));
    alone.round();
    assert_eq!(alone.said, [CopyMessage::Over { is_done: false }]);
    alone.complete_disk();
    let told = alone.sent.iter().filter(|message| message.get_msg_type() == MessageType::MsgAppendResponse);
    assert_eq!(told.map(|message| message.index).max(), Some(3));
}

#[test]
fn what_waited_for_the_log_before_a_snapshot_leaves_without_what_is_gone() {
    let mut alone = Alone::candidate();
    // It wins and loses within a round: the append of its empty entry 2 waits for its own disk.
    alone.hear(PEER, &vote());
    assert_eq!(alone.role(), Role::Leader);
    alone.hear(OTHER, &message(MessageType::MsgHeartbeat, 3));
    let (data, manifest) = lent(5, 10);
    alone.hear(OTHER, &offer(&manifest));
    alone.round();
    give(&mut alone, &data, &manifest);
    assert!(alone.replicas.group(GROUP).expect("it was created").is_installing());
    assert_eq!(alone.replicas.group(GROUP).expect("it was created").log().first_index(), Index(10));
    alone.sent.clear();
    alone.complete_disk();
    assert!(!alone.sent.is_empty(), "what waited for the disk leaves");
    assert!(alone.sent.iter().all(|message| message.entries.is_empty()), "{:?}", alone.sent);
    assert_eq!(alone.said.last(), Some(&CopyMessage::Over { is_done: true }));
    let told = alone.sent.iter().filter(|message| message.get_msg_type() == MessageType::MsgAppendResponse);
    assert_eq!(told.map(|message| message.index).max(), Some(12));
}

#[test]
fn a_snapshot_that_starts_before_what_was_recorded_here_is_refused() {
    let mut alone = Alone::candidate();
    let (data, manifest) = lent(5, 10);
    alone.hear(OTHER, &message(MessageType::MsgHeartbeat, 3));
    alone.hear(OTHER, &offer(&manifest));
    alone.round();
    give(&mut alone, &data, &manifest);
    alone.complete_disk();
    // Three records, and a log start that is durable as an entry and not yet in the meta log.
    let mut records = BytesMut::from(&test_batch(3, 100, -1, 1000)[..]);
    patch_offset_and_epoch(&mut records, Offset(5), Term(3).leader_epoch());
    let start = encode_private(PrivateKind::LogStart, Offset(8), Term(3), &7_i64.to_be_bytes());
    alone.hear(OTHER, &append(12, 3, vec![records.freeze(), start]));
    alone.round();
    alone.complete(|action| matches!(action, DiskAction::Append { file: FileName::Segment { .. }, .. }));
    assert!(alone.disk.iter().any(|op| is_meta(&op.action)), "the start is on its way");
    alone.said.clear();
    let (data, manifest) = lent(6, 20);
    alone.hear(OTHER, &offer(&manifest));
    alone.round();
    assert_eq!(alone.said, [CopyMessage::Over { is_done: false }]);
    // When the leader knows of it, all is well.
    alone.complete_disk();
    let (data, manifest) =
        (data, Manifest { start: LogStart { offset: Offset(7), ..manifest.start }, end: Offset(7), ..manifest });
    alone.said.clear();
    alone.hear(OTHER, &offer(&manifest));
    alone.round();
    assert!(matches!(alone.said[..], [CopyMessage::Ask { .. }]), "{:?} {}", alone.said, data.len());
}

#[test]
fn what_retention_let_go_after_the_list_was_made_is_not_lent() {
    // Of five, so that three others are enough for what its own disk does not have yet.
    let voters: Vec<BrokerId> = (0..5).map(BrokerId).collect();
    let others = [PEER, BrokerId(3), BrokerId(4)];
    let mut alone = Alone::of(&voters);
    for other in others {
        alone.hear(other, &vote());
    }
    alone.round();
    alone.complete_disk();
    for other in &voters[1..] {
        alone.hear(*other, &answer(MessageType::MsgAppendResponse, 2));
    }
    alone.round();
    alone.replicas.set_segment_bytes(GROUP, 100);
    let mut last = 2;
    let mut say = |alone: &mut Alone, proposal: Proposal| {
        alone.replicas.propose(GROUP, vec![proposal]).expect("it leads");
        alone.round();
        last += 1;
        for other in others {
            alone.hear(other, &answer(MessageType::MsgAppendResponse, last));
        }
        alone.round();
    };
    let command = || Proposal::Command(Bytes::from(vec![7; 100]));
    for _ in 0..4 {
        say(&mut alone, command());
    }
    say(&mut alone, Proposal::LogStart(Offset(0)));
    alone.complete_disk();
    // Asked by the log start; nobody wrote with an id.
    alone.replicas.producers_known(GROUP, None);
    alone.round();
    alone.complete_disk();
    let first = alone.replicas.group(GROUP).expect("it was created").log().first_index();
    assert!(first > Index(3), "{first}");
    // A follower lacks that, and more is about to go.
    for _ in 0..3 {
        say(&mut alone, command());
    }
    say(&mut alone, Proposal::LogStart(Offset(0)));
    alone.complete_disk();
    // What is known by the log start is on its way to the disk.
    alone.replicas.producers_known(GROUP, None);
    alone.round();
    say(&mut alone, command());
    alone.replicas.peer_down(OTHER);
    alone.hear(OTHER, &answer(MessageType::MsgHeartbeatResponse, 0));
    alone.round();
    alone.sent.clear();
    // The list is made, and waits for the last entry; meanwhile the log starts later.
    alone.replicas.producers_known(GROUP, None);
    alone.round();
    alone.complete(|action| !matches!(action, DiskAction::Append { file: FileName::Segment { .. }, .. }));
    let start = alone.replicas.group(GROUP).expect("it was created").log().first_index();
    assert!(start > first, "{start}");
    alone.complete_disk();
    alone.replicas.producers_known(GROUP, None);
    alone.round();
    let offered: Vec<Manifest> = alone
        .sent
        .iter_mut()
        .filter(|message| message.get_msg_type() == MessageType::MsgSnapshot)
        .filter_map(|message| Manifest::decode(message.mut_snapshot().take_data()))
        .collect();
    assert_eq!(offered.iter().map(|manifest| manifest.start.index).collect::<Vec<_>>(), [start]);
}
