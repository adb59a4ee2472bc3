//! One replica and what raft makes of it: what it sends is true when it leaves (two cases in which raft hands out messages whose entries are
//! others by then), and when it runs for leader.
//!
//! One replica alone; its two peers are what the test says they say, and its disk does what it wants when the test lets it.

use super::cluster::GROUP;
use crate::disk::{DiskAction, DiskDone, DiskOp, DiskStage, Inventory};
use crate::ids::{BrokerId, Offset, Term};
use crate::log::{ProducerRules, encode_private};
use crate::mutant::Mutant;
use crate::output::{Output, Outputs};
use crate::raft::copy_message::{CopyMessage, KIND_COPY};
use crate::raft::frame::{FrameBuilder, PeerMessage, decode};
use crate::raft::{Proposal, RaftSettings, Replicas, ReplicasConfig, ReplicasRecovery, Role};
use crate::record::PrivateKind;
use crate::time::{Instant, Now, WallTime};
use bytes::Bytes;
use raft::eraftpb::{Entry, Message, MessageType};

pub(super) const NOW: Now = Now { monotonic: Instant(1_000_000), wall: WallTime(0) };
pub(super) const PEER: BrokerId = BrokerId(1);
pub(super) const OTHER: BrokerId = BrokerId(2);

pub(super) struct Alone {
    pub replicas: Replicas,
    pub disk: Vec<DiskOp>,
    pub sent: Vec<Message>,
    /// What it said about snapshots.
    pub said: Vec<CopyMessage>,
}

impl Alone {
    /// A replica that asks for votes in term 2.
    pub(super) fn candidate() -> Alone {
        let alone = Alone::of(&[BrokerId(0), PEER, OTHER]);
        assert_eq!(alone.role(), Role::Candidate);
        alone
    }

    /// One of these that runs at once.
    pub(super) fn of(voters: &[BrokerId]) -> Alone {
        let voters = voters.to_vec();
        let config = ReplicasConfig {
            broker: BrokerId(0),
            voters: voters.clone(),
            seed: 1,
            raft: RaftSettings { pre_vote: false, check_quorum: false, ..RaftSettings::default() },
            segment_bytes_max: 1 << 20,
            producers: ProducerRules { expiration_ms: 86_400_000, producers_max: 100 },
            mutant: Mutant::None,
        };
        let mut recovery = ReplicasRecovery::new(config, Inventory::default());
        recovery.poll();
        let mut out = Outputs::default();
        let replicas = recovery.finish(NOW, &mut out);
        let mut alone = Alone { replicas, disk: Vec::new(), sent: Vec::new(), said: Vec::new() };
        alone.replicas.create(NOW, GROUP, "orders-0".to_owned(), &voters, true, &mut out);
        alone.collect(out);
        alone.round();
        alone.complete_disk();
        alone
    }

    /// A replica that leads in term 2; its empty entry at index 2 is everywhere.
    fn leader() -> Alone {
        let mut alone = Alone::candidate();
        alone.hear(PEER, &vote());
        alone.round();
        alone.complete_disk();
        alone.hear(PEER, &answer(MessageType::MsgAppendResponse, 2));
        alone.hear(OTHER, &answer(MessageType::MsgAppendResponse, 2));
        alone.round();
        assert_eq!(alone.role(), Role::Leader);
        alone.sent.clear();
        alone
    }

    pub(super) fn role(&self) -> Role {
        self.replicas.group(GROUP).expect("it was created").role()
    }

    fn collect(&mut self, mut out: Outputs) {
        for output in out.drain() {
            match output {
                Output::Disk(op) => self.disk.push(op),
                Output::Peer { to, frame, .. } => {
                    let messages = decode(BrokerId(0), to, &Bytes::from(frame.concat())).expect("no frame of ours is damaged");
                    for message in messages {
                        match message {
                            PeerMessage::Raft(GROUP, message) => self.sent.push(message),
                            PeerMessage::Other(other) if other.kind == KIND_COPY => {
                                self.said.extend(CopyMessage::decode(other.body).map(|(_, message)| message));
                            }
                            PeerMessage::Raft(..) | PeerMessage::Other(_) => {}
                        }
                    }
                }
                Output::Reply { .. }
                | Output::Close { .. }
                | Output::Search { .. }
                | Output::Codecs(_)
                | Output::Halt(_)
                | Output::Stopped => {
                    unreachable!("it neither halts nor answers clients")
                }
            }
        }
    }

    pub(super) fn hear(&mut self, from: BrokerId, message: &Message) {
        let mut frame = FrameBuilder::default();
        frame.raft(GROUP, &mut message.clone(), |_| unreachable!("its entries have their bytes"));
        self.replicas.peer_frame(NOW, from, Bytes::from(frame.finish().concat()));
        assert_eq!(self.replicas.dropped().frames + self.replicas.dropped().refused, 0);
    }

    pub(super) fn round(&mut self) {
        let mut out = Outputs::default();
        while self.replicas.has_work() {
            self.replicas.end_round(NOW, &mut out);
        }
        self.collect(out);
    }

    pub(super) fn complete_disk(&mut self) {
        self.complete(|_| true);
    }

    /// Completes operations of a kind, until there is none.
    pub(super) fn complete(&mut self, is_meant: fn(&DiskAction) -> bool) {
        while self.disk.iter().any(|op| is_meant(&op.action)) {
            let mut out = Outputs::default();
            for op in core::mem::take(&mut self.disk) {
                if is_meant(&op.action) {
                    self.replicas.disk_done(NOW, DiskDone { id: op.id, stage: DiskStage::Durable }, &mut out);
                } else {
                    self.disk.push(op);
                }
            }
            self.collect(out);
            self.round();
        }
    }
}

pub(super) fn message(kind: MessageType, term: u64) -> Message {
    let mut message = Message::default();
    message.set_msg_type(kind);
    message.term = term;
    message
}

pub(super) fn vote() -> Message {
    message(MessageType::MsgRequestVoteResponse, 2)
}

pub(super) fn answer(kind: MessageType, index: u64) -> Message {
    let mut message = message(kind, 2);
    message.index = index;
    message
}

/// The first entry of a leader of `term`, behind the birth entry.
fn append_of(term: u64) -> Message {
    let mut message = message(MessageType::MsgAppend, term);
    (message.index, message.log_term) = (1, 1);
    let mut entry = Entry::default();
    (entry.index, entry.term) = (2, term);
    entry.data = encode_private(PrivateKind::Noop, Offset(0), Term(term), &[]);
    message.entries = vec![entry].into();
    message
}

#[test]
fn an_append_whose_entries_were_replaced_while_it_waited_is_not_sent() {
    let mut alone = Alone::candidate();
    // It wins and loses within a round: raft hands out the append of its empty entry as a message that waits for the disk.
    alone.hear(PEER, &vote());
    assert_eq!(alone.role(), Role::Leader);
    alone.hear(OTHER, &message(MessageType::MsgHeartbeat, 3));
    alone.round();
    // Before the disk is ready, the new leader's entry takes the place of its own.
    alone.hear(OTHER, &append_of(3));
    alone.round();
    assert_eq!(alone.replicas.group(GROUP).expect("it was created").log().last_term(), Term(3));
    alone.sent.clear();
    alone.complete_disk();
    assert!(!alone.sent.is_empty(), "what waited for the disk leaves");
    for message in &alone.sent {
        for entry in &message.entries {
            assert!(entry.term <= message.term, "an entry of term {} is sent in the name of term {}", entry.term, message.term);
        }
    }
}

#[test]
fn entries_that_raft_added_to_an_append_they_do_not_continue_are_not_sent() {
    let mut alone = Alone::leader();
    alone.replicas.propose(GROUP, vec![Proposal::Command(Bytes::from_static(b"three"))]).expect("it leads");
    alone.round();
    alone.sent.clear();
    // Entry 3 is under way to the peer. Its heartbeat makes an empty append behind entry 3, for the case that it was lost; then the
    // connection breaks and comes back before anything is sent, and the next one makes raft send entry 3 again.
    alone.hear(PEER, &answer(MessageType::MsgHeartbeatResponse, 0));
    alone.replicas.peer_down(PEER);
    alone.hear(PEER, &answer(MessageType::MsgHeartbeatResponse, 0));
    alone.round();
    let log = alone.replicas.group(GROUP).expect("it was created").log();
    for entry in alone.sent.iter().flat_map(|message| message.entries.iter()) {
        assert!(entry.index <= log.last_index().0, "entry 3 is sent as entry {}", entry.index);
    }
    // Raft bears the loss: the next heartbeat has it sent again.
    alone.hear(PEER, &answer(MessageType::MsgHeartbeatResponse, 0));
    alone.round();
    let sent: Vec<u64> = alone.sent.iter().flat_map(|message| message.entries.iter().map(|entry| entry.index)).collect();
    assert_eq!(sent, [3]);
}

#[test]
fn a_replica_whose_log_is_ahead_runs_although_others_run_before_it() {
    let mut alone = Alone::leader();
    alone.hear(OTHER, &message(MessageType::MsgHeartbeat, 3));
    alone.round();
    alone.complete_disk();
    let ticks = RaftSettings::default().election_ticks as u64;
    let mut term = 3;
    for tick in 1..4 * ticks {
        alone.replicas.tick(Now { monotonic: NOW.monotonic.plus_ms(tick * RaftSettings::default().tick_ms), ..NOW });
        // The other one is always a little quicker, and lacks entry 2.
        if tick.is_multiple_of(ticks - 1) {
            term += 1;
            let mut vote = message(MessageType::MsgRequestVote, term);
            (vote.index, vote.log_term) = (1, 1);
            alone.hear(PEER, &vote);
        }
        alone.round();
        alone.complete_disk();
        if alone.role() == Role::Candidate {
            return;
        }
    }
    panic!("it never ran");
}

#[test]
fn a_leader_that_is_alone_has_nothing_to_do() {
    let mut alone = Alone::of(&[BrokerId(0)]);
    alone.complete_disk();
    alone.round();
    alone.complete_disk();
    assert_eq!(alone.role(), Role::Leader);
    let mut busy = 0;
    for tick in 1..100 {
        alone.replicas.tick(Now { monotonic: NOW.monotonic.plus_ms(tick * RaftSettings::default().tick_ms), ..NOW });
        busy += u32::from(alone.replicas.has_work());
        alone.round();
        alone.complete_disk();
    }
    assert!(busy <= 1, "beside the mark of the empty entry there is nothing to write: {busy}");
}
