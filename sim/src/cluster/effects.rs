//! What comes of one output: replies, peer frames, disk operations and their completions.

use super::brief::brief_op;
use super::event::Event;
use super::{ANY_LIFE, Cluster, contiguous, n64};
use crate::check::promises;
use crate::check::watch::{Breach, breach};
use crate::dice::{Stream, draw};
use crate::disk::{CrashKind, DiskChange};
use crate::panics::catch;
use crate::report::FailureKind;
use bytes::{Bytes, BytesMut};
use ottla_core::disk::{DiskAction, DiskDone, DiskStage};
use ottla_core::ids::{BrokerId, DiskId};
use ottla_core::input::Input;
use ottla_core::limits::PEER_FRAME_BYTES_MAX;
use ottla_core::log::TimeSearch;
use ottla_core::output::{Output, PeerClass};
use ottla_net::{decode_frame, encode_frame};

impl Cluster {
    pub(super) fn perform_one(&mut self, node: usize, output: Output) {
        match output {
            Output::Reply { connection, number, frame } => self.reply(node, connection, number, frame),
            Output::Close { connection, number, reason } => {
                self.trace.event(self.now, n64(node), 60);
                self.trace.line(self.now, &format!("b{node}"), &format!("-> closes {connection}: {reason}"));
                if let Some(link) = self.links.get_mut(&connection) {
                    link.connection.close(number, reason);
                    self.flush(connection);
                }
            }
            Output::Peer { to, class, frame } => self.peer_frame(node, to, class, frame),
            Output::Disk(op) => {
                self.trace.event(self.now, n64(node), 61);
                self.trace.number(op.id.0);
                if let DiskAction::Append { data, position, .. } = &op.action {
                    self.trace.number(*position);
                    for part in data {
                        self.trace.bytes(part);
                    }
                }
                if self.trace.is_printing() {
                    self.trace.line(self.now, &format!("b{node}"), &format!("-> {}", brief_op(op.id, &op.action)));
                }
                if let DiskAction::RemoveGroup { group } = &op.action {
                    self.watch.removing(*group);
                }
                let life = self.nodes[node].life;
                for event in self.nodes[node].disk.submit(self.now, op) {
                    self.schedule(event.at, Event::Disk { node, life, id: event.id, is_written: event.is_written });
                }
            }
            Output::Search { token, search } => {
                self.trace.event(self.now, n64(node), 64);
                self.trace.number(token);
                for slice in &search.run.slices {
                    self.trace.bytes(slice);
                }
                let life = self.nodes[node].life;
                let us = draw(self.seed, Stream::Schedule, &[n64(node), life, token, 2]).log_between(10, 200_000);
                self.schedule(self.now + us, Event::Searched { node, life, token, search });
            }
            Output::Codecs(news) => self.nodes[node].codecs.learn(news),
            Output::Halt(fatal) => {
                self.counters.halts += 1;
                self.trace.fault(self.now, format!("broker {node} halted: {fatal}"));
                let mut dice = draw(self.seed, Stream::Buggify, &[n64(node), self.nodes[node].life, 7]);
                let down = dice.log_between(10_000, 2_000_000);
                self.crash(node, CrashKind::PowerCut, Some(down));
            }
            Output::Stopped => {
                self.trace.line(self.now, &format!("b{node}"), "-> stopped");
                self.counters.stops += 1;
                let down = self.nodes[node].stop_down_us;
                self.end(node, CrashKind::Kill, down);
            }
        }
    }

    pub(super) fn peer_frame(&mut self, node: usize, to: BrokerId, class: PeerClass, frame: Vec<Bytes>) {
        let Some(to) = usize::try_from(to.0).ok().filter(|to| *to < self.shape.brokers && *to != node) else {
            self.fail(FailureKind::Safety, "I6", format!("Broker {node} sent a frame to broker {to}, which does not exist."));
            return;
        };
        let lane = match class {
            PeerClass::Control => 0,
            PeerClass::Data => 1,
        };
        let frame = contiguous(frame);
        if frame.len() > PEER_FRAME_BYTES_MAX {
            self.fail(
                FailureKind::Safety,
                "I16",
                format!("A peer frame is bounded, but broker {node} sent {} bytes.", frame.len()),
            );
            return;
        }
        self.trace.event(self.now, n64(node), 62);
        self.trace.bytes(&frame);
        if self.trace.is_printing() {
            self.trace.line(self.now, &format!("b{node}"), &format!("-> b{to} {class:?} {}", promises::brief(&frame)));
        }
        let verdict = promises::check_frame(&mut self.watch, node, to, &frame);
        self.judge(verdict);
        if self.nodes[node].disk.is_rotten() || self.nodes[node].disk.misread > 0 {
            self.judge(promises::check_payload(node, &frame));
        }
        let life = self.nodes[to].life;
        let fate = self.net.send_peer(self.now, node, to, lane, frame.len());
        if let (Some(flip), Some(at)) = (fate.flip, fate.at[0]) {
            self.counters.flipped += 1;
            self.judge(flipped(node, &frame, flip));
            // The receiver closes what it can't trust, and the sender hears of it.
            self.schedule(at, Event::Desync { from: node, to });
            return;
        }
        for at in fate.at.into_iter().flatten() {
            self.schedule(at, Event::Peer { from: node, to, life, frame: frame.clone() });
        }
        if let Some(at) = fate.replay_at {
            self.schedule(at, Event::Peer { from: node, to, life: ANY_LIFE, frame });
        }
    }

    pub(super) fn searched(&mut self, node: usize, token: u64, search: TimeSearch) {
        match catch(|| search.search()) {
            Ok(found) => {
                self.counters.searches += 1;
                self.trace.number(token);
                self.input(node, Input::Searched { token, found }, 48, format!("{found:?}").as_bytes());
            }
            Err(what) => {
                self.fail(FailureKind::Safety, "panic", format!("A search for broker {node} broke an assertion: {what}."));
            }
        }
    }

    pub(super) fn disk_event(&mut self, node: usize, id: DiskId, is_written: bool) {
        match self.nodes[node].disk.advance(id, is_written) {
            Ok(None) => {}
            Ok(Some((done, changes))) => {
                for change in changes {
                    self.disk_changed(node, change);
                }
                let kind = match &done.stage {
                    DiskStage::Written => 70,
                    DiskStage::Durable => 71,
                    DiskStage::Read(_) => 72,
                    DiskStage::Failed(_) => 73,
                };
                let read = if let DiskStage::Read(data) = &done.stage { data.clone() } else { Bytes::new() };
                if let DiskStage::Failed(what) = &done.stage {
                    self.trace.fault(self.now, format!("disk of broker {node} failed: {what}"));
                }
                self.trace.number(id.0);
                self.input(node, Input::Disk(DiskDone { id: done.id, stage: done.stage }), kind, &read);
            }
            Err(what) => self.fail(
                FailureKind::Safety,
                "disk order",
                format!("An operation that must follow another is issued after its completion, but on broker {node}: {what}."),
            ),
        }
    }

    pub(super) fn disk_changed(&mut self, node: usize, change: DiskChange) {
        let verdict = match change {
            DiskChange::Appended { file, .. } => {
                let data = self.nodes[node].disk.content(file).map_or(&[][..], |(data, _)| data);
                self.watch.grown(node, file, data)
            }
            DiskChange::Synced { file, end } => {
                let data = self.nodes[node].disk.content(file).map_or(&[][..], |(data, _)| data);
                self.watch.synced(node, file, end, data)
            }
            DiskChange::Cut { file, end } => self.watch.cut(node, file, end, false),
            DiskChange::Removed { file } => self.watch.cut(node, file, 0, true),
            DiskChange::Renamed { from, to: _ } => {
                self.watch.renamed(node, from);
                Ok(())
            }
            DiskChange::GroupMade { group } => {
                self.watch.group_made(node, group);
                Ok(())
            }
            DiskChange::GroupRemoved { group } => {
                self.watch.group_removed(node, group);
                Ok(())
            }
        };
        self.judge(verdict);
    }
}

/// A bit of a frame flips on the way, checksum and all: the shell's own decoder must refuse it. In the size in front of it the receiver would
/// wait for other bytes, which is for the real shell to time out.
fn flipped(node: usize, frame: &Bytes, flip: u64) -> Result<(), Breach> {
    let wire = contiguous(encode_frame(vec![frame.clone()]));
    let mut read = BytesMut::from(&wire[4..]);
    let bit = usize::try_from(flip % (8 * n64(read.len()))).expect("an index");
    read[bit / 8] ^= 1 << (bit % 8);
    match decode_frame(read) {
        Err(_) => Ok(()),
        Ok(_) => breach(
            "frame-crc",
            format!("A frame whose bits flipped is refused, but one of broker {node} is taken with bit {bit} flipped."),
        ),
    }
}
