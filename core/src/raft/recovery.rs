//! Rebuilds the replication engine from its disk, as values: the newest meta file that counts, then every group's segments.
//!
//! Performs nothing. What has to be repaired (torn tails, open cuts, left-over files) leaves with the first outputs, and no group says or
//! accepts anything before its repairs and a fresh checkpoint of the meta log are durable: what a killed process left in the page cache
//! is not counted as persisted until it was fsynced.

use super::group::Start;
use super::{Replicas, ReplicasConfig};
use crate::disk::{DiskAction, FileName, Inventory};
use crate::error::Fatal;
use crate::ids::GroupId;
use crate::log::{GroupScan, MetaFault, MetaLog, MetaState, ScanStep, Scanned, read_meta_file};
use crate::output::Outputs;
use crate::random::keyed;
use crate::time::Now;
use bytes::{Bytes, BytesMut};
use std::collections::{BTreeMap, VecDeque};

/// What recovery wants next.
#[derive(Debug, PartialEq, Eq)]
pub enum RecoveryStep {
    /// Read exactly this and give it to `read_done`.
    Read {
        /// The file.
        file: FileName,
        /// Bytes from its start.
        position: u64,
        /// Bytes.
        length: u32,
    },
    /// Call `finish`.
    Done,
    /// Durable data is damaged: do not start.
    Halt(Fatal),
}

/// Salt of the draw of a data folder's id.
const FOLDER: u64 = 0x666f_6c64_6572_0a0a;
/// Bytes of one read.
const CHUNK_BYTES: u64 = 1024 * 1024;

#[derive(Debug)]
enum Stage {
    /// Reads meta files, newest first; the number is that of the one being read in `meta_files`.
    Meta {
        at: usize,
        read: BytesMut,
    },
    /// Scans groups.
    Groups,
    Done,
    Halt(Fatal),
}

/// Reads the meta log and all segments: poll, read, tell, until done.
#[derive(Debug)]
pub struct ReplicasRecovery {
    config: ReplicasConfig,
    inventory: Inventory,
    /// Files of each group.
    files: BTreeMap<GroupId, Vec<(FileName, u64)>>,
    /// Number and length, newest first.
    meta_files: Vec<(u32, u64)>,
    stage: Stage,
    state: MetaState,
    /// Groups to scan.
    queue: VecDeque<GroupId>,
    scan: Option<(GroupId, GroupScan)>,
    scanned: BTreeMap<GroupId, Scanned>,
}

impl ReplicasRecovery {
    /// Starts with what is on the disk.
    #[must_use]
    pub fn new(config: ReplicasConfig, inventory: Inventory) -> ReplicasRecovery {
        let mut meta_files: Vec<(u32, u64)> = inventory
            .files
            .iter()
            .filter_map(|(file, length)| match file {
                FileName::Meta(number) => Some((*number, *length)),
                FileName::Segment { .. } | FileName::Producers { .. } | FileName::Index { .. } | FileName::Copy { .. } => None,
            })
            .collect();
        meta_files.sort_unstable_by(|a, b| b.cmp(a));
        let mut files: BTreeMap<GroupId, Vec<(FileName, u64)>> = BTreeMap::new();
        for (file, length) in &inventory.files {
            if let Some(group) = file.group() {
                files.entry(group).or_default().push((*file, *length));
            }
        }
        ReplicasRecovery {
            config,
            inventory,
            files,
            meta_files,
            stage: Stage::Meta { at: 0, read: BytesMut::new() },
            state: MetaState::default(),
            queue: VecDeque::new(),
            scan: None,
            scanned: BTreeMap::new(),
        }
    }

    /// What to do next.
    pub fn poll(&mut self) -> RecoveryStep {
        loop {
            match &mut self.stage {
                Stage::Done => return RecoveryStep::Done,
                Stage::Halt(fatal) => return RecoveryStep::Halt(fatal.clone()),
                Stage::Meta { at, read } => {
                    let Some((number, length)) = self.meta_files.get(*at).copied() else {
                        self.begin_groups();
                        continue;
                    };
                    let have = read.len() as u64;
                    if have < length {
                        let length = u32::try_from((length - have).min(CHUNK_BYTES)).expect("a chunk is small");
                        return RecoveryStep::Read { file: FileName::Meta(number), position: have, length };
                    }
                    let bytes = core::mem::take(read).freeze();
                    match read_meta_file(number, &bytes) {
                        Ok(state) => {
                            self.state = state;
                            self.begin_groups();
                        }
                        Err(MetaFault::Unfinished) => *at += 1,
                        Err(MetaFault::Corrupt(what)) => self.stage = Stage::Halt(Fatal::Corrupt(what)),
                    }
                }
                Stage::Groups => {
                    let Some((group, scan)) = &mut self.scan else {
                        self.next_group();
                        continue;
                    };
                    match scan.poll() {
                        ScanStep::Read { file, position, length } => return RecoveryStep::Read { file, position, length },
                        ScanStep::Corrupt(what) => self.stage = Stage::Halt(Fatal::Corrupt(what)),
                        ScanStep::Done => {
                            let group = *group;
                            let (_, scan) = self.scan.take().expect("it was just polled");
                            self.scanned.insert(group, scan.finish());
                        }
                    }
                }
            }
        }
    }

    fn begin_groups(&mut self) {
        let is_known = |group: GroupId| self.state.groups.contains_key(&group) || self.state.removed.contains(&group);
        let stranger =
            self.inventory.files.iter().find(|(file, length)| *length > 0 && file.group().is_some_and(|group| !is_known(group)));
        self.stage = match stranger {
            // Entries are written after the record of their group is durable.
            Some((file, _)) => Stage::Halt(Fatal::Corrupt(format!(
                "{file:?} has entries, but the meta log does not know its group: meta files are missing or belong to another broker"
            ))),
            None => Stage::Groups,
        };
        self.queue = self.state.groups.keys().copied().collect();
    }

    fn next_group(&mut self) {
        match self.queue.pop_front() {
            None => self.stage = Stage::Done,
            Some(group) => {
                let meta = &self.state.groups[&group];
                let files = self.files.remove(&group).unwrap_or_default();
                let ReplicasConfig { segment_bytes_max, raft, producers, .. } = &self.config;
                let scan =
                    GroupScan::new(group, meta, &files, *segment_bytes_max, raft.tail_bytes_max, *producers, self.config.mutant);
                self.scan = Some((group, scan));
            }
        }
    }

    /// What the last read found.
    pub fn read_done(&mut self, data: Bytes) {
        match &mut self.stage {
            Stage::Meta { read, .. } => read.extend_from_slice(&data),
            Stage::Groups => {
                let (_, scan) = self.scan.as_mut().expect("only an open scan reads");
                scan.read_done(data);
            }
            Stage::Done | Stage::Halt(_) => unreachable!("nothing was asked for"),
        }
    }

    /// The engine, after [`RecoveryStep::Done`]. The controller group is made here on an empty disk, and a folder that has no id gets one.
    pub fn finish(mut self, now: Now, out: &mut Outputs) -> Replicas {
        assert!(matches!(self.stage, Stage::Done), "recovery is finished after it is done");
        for (group, scanned) in &self.scanned {
            let meta = self.state.groups.get_mut(group).expect("only known groups are scanned");
            if scanned.log.last_term() > meta.term {
                // A follower's first entry of a term may be durable before the term is. That term has its leader, so whoever else
                // asks for a vote in it can't win: no vote is remembered.
                meta.term = scanned.log.last_term();
                meta.vote = None;
            }
        }
        if self.state.groups.is_empty() && self.state.removed.is_empty() && self.state.folder == 0 {
            let key = [FOLDER, now.monotonic.0, now.wall.0.unsigned_abs(), u64::from(self.config.broker.0.unsigned_abs())];
            self.state.folder = keyed(self.config.seed, &key) | 1;
        }
        let newest = self.meta_files.first().map_or(0, |(number, _)| *number);
        let old = self.meta_files.iter().map(|(number, _)| FileName::Meta(*number)).collect();
        let meta = MetaLog::new(self.state.clone(), newest + 1, old, self.config.seed, self.config.raft.meta_bytes_max);
        let mut replicas = Replicas::new(now, self.config.clone(), meta);
        for group in &self.inventory.groups {
            // A folder that the meta log does not know stays: it is empty, and its group may be about to be created again.
            if self.state.removed.contains(group) {
                replicas.tidy(DiskAction::RemoveGroup { group: *group }, out);
            }
        }
        for (group, scanned) in self.scanned {
            let meta = &self.state.groups[&group];
            let mut repairs = vec![DiskAction::CreateGroup { group, label: meta.label.clone() }];
            repairs.extend(scanned.truncate.into_iter().map(|(file, length)| DiskAction::Truncate { file, length }));
            if !scanned.remove.is_empty() {
                repairs.push(DiskAction::Remove { files: scanned.remove });
            }
            if !scanned.rename.is_empty() {
                repairs.push(DiskAction::Rename { files: scanned.rename });
            }
            let operations = repairs.len();
            for action in repairs {
                replicas.repair(group, action, out);
            }
            let start = Start {
                log: scanned.log,
                term: meta.term,
                vote: meta.vote,
                commit: meta.commit,
                voters: meta.voters.clone(),
                starts: scanned.starts,
                commands: scanned.commands,
                producers: Some(scanned.producers).filter(|producers| !producers.is_empty()),
                produced: scanned.produced,
                cuts: meta.cuts.iter().map(|(number, _)| *number).chain(meta.install.as_ref().map(|i| i.number)).collect(),
                producers_file: meta.producers,
                operations,
                round: 1,
                campaign: false,
                memory: meta.memory,
                born_with: meta.born_with.clone(),
            };
            replicas.add(group, start);
        }
        if self.state.groups.is_empty() && self.state.removed.is_empty() {
            let voters = self.config.voters.clone();
            // A new cluster's disks are empty, and so is one that was lost: nobody knows yet.
            let label = "__cluster_metadata-0".to_owned();
            if voters == [self.config.broker] {
                replicas.create(now, GroupId::CONTROLLER, label, &voters, true, out);
            } else {
                replicas.create_forgotten(now, GroupId::CONTROLLER, label, &voters, out);
            }
        }
        replicas
    }
}
