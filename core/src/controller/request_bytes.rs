//! Bytes of the larger parts of questions to the leader (changes of settings, growths of topics, reassignments) and of the quorum it tells.
//!
//! ```text
//! change: u8 1 topic (name text) or 2 other (see ConfigResource); u8 1 replace (list (name text, value text))
//!         or 2 edits (list (name text, u8 1 set (value text) 2 delete 3 append (items text) 4 subtract (items text)))
//! growth: name text, count i32, assignments option list list i32
//! reassignment: name text, targets list (partition i32, replicas option list i32)
//! ```

use super::bytes_io::{ByteReader, ByteWriter};
use super::config_resource::ConfigResource;
use super::request::{ConfigChange, ConfigTarget, Growth, Reassignment};
use crate::config::{Change, Edit};
use crate::ids::{BrokerId, LeaderEpoch};
use crate::raft::{Quorum, Voter};

pub(super) fn write_config_change(out: &mut ByteWriter, change: &ConfigChange) {
    match &change.target {
        ConfigTarget::Topic(name) => {
            out.u8(1);
            out.text(name);
        }
        ConfigTarget::Other(resource) => {
            out.u8(2);
            resource.write(out);
        }
    }
    match &change.change {
        Change::Replace(values) => {
            out.u8(1);
            out.list(values, |out, (name, value)| {
                out.text(name);
                out.text(value);
            });
        }
        Change::Edit(edits) => {
            out.u8(2);
            out.list(edits, |out, (name, edit)| {
                out.text(name);
                write_edit(out, edit);
            });
        }
    }
}

pub(super) fn read_config_change(input: &mut ByteReader<'_>) -> Option<ConfigChange> {
    let target = match input.u8()? {
        1 => ConfigTarget::Topic(input.text()?),
        2 => ConfigTarget::Other(ConfigResource::read(input)?),
        _ => return None,
    };
    let change = match input.u8()? {
        1 => Change::Replace(input.list(4, |input| Some((input.text()?, input.text()?)))?),
        2 => Change::Edit(input.list(3, |input| Some((input.text()?, read_edit(input)?)))?),
        _ => return None,
    };
    Some(ConfigChange { target, change })
}

fn write_edit(out: &mut ByteWriter, edit: &Edit) {
    let (kind, text) = match edit {
        Edit::Set(value) => (1, Some(value)),
        Edit::Delete => (2, None),
        Edit::Append(items) => (3, Some(items)),
        Edit::Subtract(items) => (4, Some(items)),
    };
    out.u8(kind);
    if let Some(text) = text {
        out.text(text);
    }
}

fn read_edit(input: &mut ByteReader<'_>) -> Option<Edit> {
    match input.u8()? {
        1 => input.text().map(Edit::Set),
        2 => Some(Edit::Delete),
        3 => input.text().map(Edit::Append),
        4 => input.text().map(Edit::Subtract),
        _ => None,
    }
}

pub(super) fn write_growth(out: &mut ByteWriter, growth: &Growth) {
    out.text(&growth.name);
    out.i32(growth.count);
    out.option(growth.assignments.as_ref(), |out, lists| {
        out.list(lists, |out, replicas| out.list(replicas, |out, broker| out.i32(broker.0)));
    });
}

pub(super) fn read_growth(input: &mut ByteReader<'_>) -> Option<Growth> {
    let (name, count) = (input.text()?, input.i32()?);
    let lists = |input: &mut ByteReader<'_>| input.list(4, |input| input.list(4, |input| input.i32().map(BrokerId)));
    Some(Growth { name, count, assignments: input.option(lists)? })
}

pub(super) fn write_reassignment(out: &mut ByteWriter, topic: &Reassignment) {
    out.text(&topic.name);
    out.list(&topic.targets, |out, (partition, replicas)| {
        out.i32(*partition);
        out.option(replicas.as_ref(), |out, replicas| out.list(replicas, |out, broker| out.i32(broker.0)));
    });
}

pub(super) fn read_reassignment(input: &mut ByteReader<'_>) -> Option<Reassignment> {
    let replicas = |input: &mut ByteReader<'_>| input.list(4, |input| input.i32().map(BrokerId));
    Some(Reassignment { name: input.text()?, targets: input.list(5, |input| Some((input.i32()?, input.option(replicas)?)))? })
}

pub(super) fn write_quorum(out: &mut ByteWriter, quorum: &Quorum) {
    out.i32(quorum.leader.0);
    out.i32(quorum.epoch.0);
    out.i64(quorum.high_watermark);
    out.list(&quorum.voters, |out, voter| {
        out.i32(voter.broker.0);
        out.i64(voter.log_end);
        out.i64(voter.heard_ms);
        out.i64(voter.caught_up_ms);
    });
}

pub(super) fn read_quorum(input: &mut ByteReader<'_>) -> Option<Quorum> {
    Some(Quorum {
        leader: BrokerId(input.i32()?),
        epoch: LeaderEpoch(input.i32()?),
        high_watermark: input.i64()?,
        voters: input.list(28, |input| {
            let (broker, log_end) = (BrokerId(input.i32()?), input.i64()?);
            Some(Voter { broker, log_end, heard_ms: input.i64()?, caught_up_ms: input.i64()? })
        })?,
    })
}
