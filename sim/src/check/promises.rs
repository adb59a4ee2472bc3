//! What leaves a broker must be covered by what is on disks: I6 for frames to peers, I7 for replies to clients.
//!
//! - I6: nothing is sent that depends on un-synced state: a vote, an acknowledgement, a new term;
//! - I7: when an acks=all reply leaves, the disks of a quorum hold the record durably, read off their durable images.
//!
//! These find an early promise at the moment it is made, long before a crash would turn it into a loss.

use super::log_mirror::{EntrySeen, NodeMirror};
use super::watch::{Breach, Watch, breach};
use crate::batch::{crc_of, crc32c};
use crate::disk::SimDisk;
use crate::wire;
use bytes::Bytes;
use ottla_core::ids::{GroupId, Index, Offset, Term, TopicId};

/// One batch of a produce request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Topic by name.
    pub(crate) topic: String,
    /// And by id, as the client knows it.
    pub(crate) id: TopicId,
    /// Partition.
    pub(crate) partition: i32,
    /// Replicas of the topic.
    pub(crate) replicas: usize,
    /// CRC of the batch.
    pub(crate) crc: u32,
    /// Whether the topic may be deleted: then replicas may be gone when the reply leaves.
    pub(crate) is_mortal: bool,
    /// Whether a bit of it flipped on the way.
    pub(crate) is_damaged: bool,
}

/// What a request asked, as far as a truthful answer to it can be checked.
#[derive(Clone, Debug)]
pub(crate) enum Note {
    /// Nothing to check.
    Other,
    /// A produce request with acks=all.
    ProduceAll {
        /// Its version.
        version: i16,
        /// Its batches.
        asked: Vec<Asked>,
    },
    /// ListOffsets asked for the latest offset of a partition of a topic that is never replaced.
    Latest {
        /// Its version.
        version: i16,
        /// Label of the partition's group.
        label: String,
    },
}

/// I18 for an answer that leaves a broker.
pub(crate) fn check_latest(watch: &mut Watch, node: usize, disk: &SimDisk, note: &Note, frame: Bytes) -> Result<(), Breach> {
    let Note::Latest { version, label } = note else { return Ok(()) };
    let Ok(Some((0, offset, epoch))) = wire::list_offsets_answer(frame, *version) else { return Ok(()) };
    let group = disk.inventory().groups.into_iter().find(|group| disk.label(*group) == Some(label));
    match group.filter(|_| epoch >= 0) {
        Some(group) => watch.latest_told(node, group, epoch, offset),
        None => Ok(()),
    }
}

/// I7.
pub(crate) fn check_reply(watch: &Watch, node: usize, disks: &[&SimDisk], note: &Note, frame: Bytes) -> Result<(), Breach> {
    let Note::ProduceAll { version, asked } = note else { return Ok(()) };
    let Ok(answers) = wire::produce_answers(frame, *version) else {
        return breach(
            "codec",
            format!("A response is well formed, but broker {node} answered Produce with bytes that are not."),
        );
    };
    for answer in answers.into_iter().filter(|a| a.error == 0) {
        let batch = asked.iter().find(|a| {
            a.partition == answer.partition && (a.topic == answer.topic || (answer.topic.is_empty() && a.id == answer.id))
        });
        let Some(batch) = batch else {
            return breach(
                "codec",
                format!("Broker {node} answered for {}-{}, which was not asked.", answer.topic, answer.partition),
            );
        };
        let label = format!("{}-{}", batch.topic, batch.partition);
        if batch.is_damaged {
            return breach(
                "batch-crc",
                format!(
                    "A batch whose CRC is wrong is refused, but broker {node} acknowledged one of {label} at {}.",
                    answer.base_offset
                ),
            );
        }
        let holders = durable_holders(watch, disks, &label, Offset(answer.base_offset), batch.crc);
        let (replicas, quorum) = (batch.replicas, batch.replicas / 2 + 1);
        if holders.len() < quorum && !batch.is_mortal {
            return breach(
                "I7",
                format!(
                    "An acks=all reply leaves when {quorum} of {replicas} disks hold the record durably, but broker {node} acknowledged \
                     {label} offset {} while only brokers {holders:?} do.",
                    answer.base_offset
                ),
            );
        }
    }
    Ok(())
}

/// Brokers whose durable image has a batch of this CRC at this offset of the partition with this label.
fn durable_holders(watch: &Watch, disks: &[&SimDisk], label: &str, offset: Offset, crc: u32) -> Vec<usize> {
    let is_called = |group: GroupId| disks.iter().any(|disk| disk.label(group) == Some(label));
    let holds = |mirror: &NodeMirror| {
        mirror.groups().filter(|group| is_called(*group)).filter_map(|group| mirror.group(group)).any(|log| {
            let held = log.entry_of_offset(offset);
            let is_held = |(_, entry, durable): (_, EntrySeen, bool)| durable && entry.crc == crc && entry.base_offset == offset;
            log.is_offset_gone(offset) || held.is_some_and(is_held)
        })
    };
    let is_holder = |node: &usize| holds(watch.mirror(*node)) || watch.lost(*node).is_some_and(holds);
    (0..disks.len()).filter(is_holder).collect()
}

/// A raft message as it stands in a peer frame (`core/src/raft/frame.rs` draws it).
#[derive(Clone, Copy, Debug)]
struct RaftMessage {
    kind: u8,
    is_rejected: bool,
    group: GroupId,
    term: Term,
    index: Index,
}

const FRAME_HEADER: usize = 8;
const RAFT_HEADER: usize = 64;
const OTHER_HEADER: usize = 8;
const APPEND_RESPONSE: u8 = 4;
const VOTE: u8 = 5;
const VOTE_RESPONSE: u8 = 6;
const TIMEOUT_NOW: u8 = 14;
const PRE_VOTE: u8 = 17;
const PRE_VOTE_RESPONSE: u8 = 18;

fn messages(frame: &[u8]) -> impl Iterator<Item = RaftMessage> {
    let size = frame.get(4..8).map_or(0, |b| u32::from_le_bytes(b.try_into().expect("four bytes")));
    let end = FRAME_HEADER + usize::try_from(size).unwrap_or(0);
    let mut at = FRAME_HEADER;
    std::iter::from_fn(move || {
        while *frame.get(at).filter(|_| at < end)? != 1 {
            at += OTHER_HEADER;
        }
        let header = frame.get(at..at + RAFT_HEADER)?;
        at += RAFT_HEADER;
        let long = |from: usize| u64::from_le_bytes(header[from..from + 8].try_into().expect("eight bytes"));
        Some(RaftMessage {
            kind: header[1],
            is_rejected: header[2] & 1 != 0,
            group: GroupId(long(8)),
            term: Term(long(16)),
            index: Index(long(24)),
        })
    })
}

/// I6.
pub(crate) fn check_frame(watch: &mut Watch, node: usize, to: usize, frame: &[u8]) -> Result<(), Breach> {
    for message in messages(frame) {
        if message.kind == PRE_VOTE || message.kind == PRE_VOTE_RESPONSE {
            continue;
        }
        watch.counters.promises += 1;
        let RaftMessage { group, term, index, .. } = message;
        let (promised_term, promised_vote) = watch.promised(node, group).map_or((Term::default(), None), |p| (p.term, p.vote));
        let durable_term = watch.durable_term(node, group);
        if message.kind == TIMEOUT_NOW {
            watch.counters.handovers += 1;
        }
        if term > durable_term {
            return breach(
                "I6",
                format!(
                    "Nothing is sent that depends on un-synced state, but broker {node} sent {} of term {term} in group {group} while its \
                     disk knows term {durable_term}.",
                    kind_name(message.kind)
                ),
            );
        }
        let voted = promised_vote.filter(|_| promised_term == durable_term).and_then(|b| usize::try_from(b.0).ok());
        if message.kind == VOTE_RESPONSE && !message.is_rejected && term == durable_term && voted != Some(to) {
            return breach(
                "I6",
                format!(
                    "A vote is durable before it is told, but broker {node} told broker {to} that it has its vote for group {group} term \
                     {term} while its disk says {voted:?}."
                ),
            );
        }
        if message.kind == APPEND_RESPONSE && !message.is_rejected {
            watch.acknowledged(node, to, group, term, index);
        }
        if message.kind == VOTE_RESPONSE && !message.is_rejected {
            watch.vote_told(node, to, group, term)?;
        }
        if message.kind == APPEND_RESPONSE && !message.is_rejected && term == durable_term {
            let is_durable = watch.mirror(node).group(group).map_or(index.0 <= 1, |log| log.is_durable_through(index));
            if !is_durable {
                return breach(
                    "I6",
                    format!(
                        "An entry is durable before it is acknowledged, but broker {node} acknowledged index {index} of group {group} in term \
                         {term} before its disk had all of it."
                    ),
                );
            }
        }
    }
    Ok(())
}

/// What a broker with a damaged disk sends to others must be whole: damage is noticed by who reads it, not by who gets it.
pub(crate) fn check_payload(node: usize, frame: &[u8]) -> Result<(), Breach> {
    let number = |at: usize| frame.get(at..at + 4).map_or(0, |b| u32::from_le_bytes(b.try_into().expect("four bytes")));
    let size = |at: usize| usize::try_from(number(at)).unwrap_or(0);
    let end = FRAME_HEADER + size(4);
    let (mut at, mut payload) = (FRAME_HEADER, end);
    while let Some(tag) = frame.get(at).filter(|_| at < end) {
        let length = size(at + 4);
        let is_append = *tag == 1 && frame.get(at + 1) == Some(&3);
        let mut run = frame.get(payload..payload + length).unwrap_or_default();
        while is_append && run.len() >= 61 {
            let batch = 12 + usize::try_from(u32::from_be_bytes(run[8..12].try_into().expect("four bytes"))).unwrap_or(0);
            let whole = run.get(..batch).filter(|whole| whole.len() >= 61 && crc32c(&whole[21..]) == crc_of(whole));
            if whole.is_none() {
                let what =
                    format!("Damage is noticed where it is read, but broker {node} sent a batch to another whose CRC is wrong.");
                return breach("bit-rot", what);
            }
            run = &run[batch..];
        }
        payload += length;
        at += if *tag == 1 { RAFT_HEADER } else { OTHER_HEADER };
    }
    Ok(())
}

fn kind_name(kind: u8) -> String {
    let name = match kind {
        3 => "append",
        APPEND_RESPONSE => "append-response",
        VOTE => "vote",
        VOTE_RESPONSE => "vote-response",
        7 => "snapshot",
        8 => "heartbeat",
        9 => "heartbeat-response",
        TIMEOUT_NOW => "timeout-now",
        PRE_VOTE => "pre-vote",
        PRE_VOTE_RESPONSE => "pre-vote-response",
        other => return format!("message {other}"),
    };
    name.into()
}

/// A few words about a frame.
pub(crate) fn brief(frame: &[u8]) -> String {
    let mut text = format!("{} bytes", frame.len());
    for m in messages(frame) {
        let no = if m.is_rejected { " no" } else { "" };
        text.push_str(&format!(" [{} g{} t{} i{}{no}]", kind_name(m.kind), m.group, m.term, m.index));
    }
    let headers = frame.get(4..8).map_or(0, |b| u32::from_le_bytes(b.try_into().expect("four bytes")));
    let payload = frame.get(FRAME_HEADER + usize::try_from(headers).unwrap_or(0)..).unwrap_or_default();
    if payload.len() >= 61 {
        text.push_str(&format!(" first crc {:08x}", crate::batch::crc_of(payload)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch;

    /// A frame with one append that carries these batches.
    fn append(payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![1, 0, 0, 0];
        frame.extend(u32::try_from(RAFT_HEADER).expect("small").to_le_bytes());
        frame.extend([1, 3, 0, 0]);
        frame.extend(u32::try_from(payload.len()).expect("small").to_le_bytes());
        frame.resize(FRAME_HEADER + RAFT_HEADER, 0);
        frame.extend(payload);
        frame
    }

    #[test]
    fn a_damaged_batch_in_a_frame_is_noticed() {
        let mut payload = [batch::build(&[1], 1_000, 20), batch::build(&[2], 1_000, 50)].concat();
        assert_eq!(check_payload(0, &append(&payload)), Ok(()));
        *payload.last_mut().expect("not empty") ^= 1;
        assert_eq!(check_payload(0, &append(&payload)).map_err(|breach| breach.check), Err("bit-rot"));
    }
}
