//! Watches all brokers from the inside of the simulated machines and compares what they hold: I1 to I5, I8 to I10, and I14.
//!
//! - I1 one leader per term and group;
//! - I2 log matching: an (index, term) names one batch and one predecessor on all brokers;
//! - I3 a committed entry is in the log of every later leader and is never cut or replaced;
//! - I4 brokers agree on every committed entry (equal state machines follow: the state is a function of the log);
//! - I5 term and commit never go back within a life, and a term once durable is never forgotten;
//! - I8 offsets are dense and the high watermark stays within the log and never goes back within a life;
//! - I9 leader epochs never go back along a log;
//! - I10 sequences of producers are contiguous along what is committed (`sequences`);
//! - I14 what brokers know of producers at one commit index is the same, whether kept up to date, rebuilt at a start or taken from a snapshot;
//! - I17 a replica that was made whole by a snapshot is what replaying the log would have made it: its hash of all entries (I4), what it
//!   knows of producers (I14), its log start (I8) and, at the end, its bytes are those of the others.
//!
//! I6 and I7, what a message or a reply promises about disks, are in `promises`. Everything is incremental: an entry is looked at once
//! when it appears on a broker and once when that broker says it is committed. Source: Raft paper figure 3.

use super::counted::Acknowledged;
use super::log_mirror::{EntrySeen, GroupMirror, LogChange, NodeMirror};
use super::meta_mirror::{MetaMirror, Promised, name_to_be};
use super::sequences::Sequences;
use crate::report::Counters;
use crate::views::GroupSeen;
use ottla_core::disk::FileName;
use ottla_core::ids::{GroupId, Index, Offset, Term};
use std::collections::{BTreeMap, BTreeSet};

/// A broken promise, before time and faults are added.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Breach {
    /// Name of the check.
    pub(crate) check: &'static str,
    /// Promise and evidence.
    pub(crate) what: String,
}

pub(crate) fn breach<T>(check: &'static str, what: String) -> Result<T, Breach> {
    Err(Breach { check, what })
}

/// What all brokers together must agree on, for one group.
#[derive(Debug, Default)]
pub(super) struct GroupTruth {
    leaders: BTreeMap<Term, usize>,
    /// By (index, term): crc, base offset and term of the entry before.
    entries: BTreeMap<(Index, Term), (u32, Offset, Term)>,
    /// Committed entries from index 2 on, with the term in which a broker first said so.
    pub(super) committed: Vec<(EntrySeen, Term)>,
    /// Hash of all entries up to a commit index, as first said.
    pub(super) chains: BTreeMap<Index, (u64, usize)>,
    /// Digest of what is known of producers at a commit index, as first said.
    pub(super) producers: BTreeMap<Index, (u64, usize)>,
    sequences: Sequences,
}

/// What one broker last said of a group in this life.
#[derive(Debug, Default, Clone, Copy)]
struct Said {
    term: Term,
    commit: Index,
    high_watermark: Offset,
    log_start: Offset,
    is_leader: bool,
    /// The highest index it called durable in this life.
    persisted_max: Index,
    /// A new leader whose log is compared as soon as its disk has all of it.
    unproved: Option<Term>,
}

#[derive(Debug, Default)]
pub(super) struct WatchedNode {
    pub(super) mirror: NodeMirror,
    pub(super) meta: MetaMirror,
    /// What it held on the disk that it lost, until it has as much again.
    pub(super) lost: Option<NodeMirror>,
    said: BTreeMap<GroupId, Said>,
    /// All that it said last, unless some leader is not yet proved: the same again changes nothing.
    seen: Vec<GroupSeen>,
}

impl WatchedNode {
    /// Its next life is bound by nothing that it said.
    pub(super) fn forget_life(&mut self) {
        self.said.clear();
        self.seen.clear();
    }
}

/// The watch over all brokers.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(super) nodes: Vec<WatchedNode>,
    pub(super) truth: BTreeMap<GroupId, GroupTruth>,
    /// Groups that some broker was told to remove: their topic is deleted, what is durable of them no longer binds.
    pub(super) removed: BTreeSet<GroupId>,
    /// What voters told leaders.
    pub(super) acknowledged: Acknowledged,
    /// Whom each broker told that it has its vote, by group and term; no lost disk takes that back.
    pub(super) votes: BTreeMap<(usize, GroupId, Term), usize>,
    /// Leaders that appeared since somebody last took them.
    pub(crate) fresh: Vec<(usize, GroupId)>,
    /// Groups whose leader moved its commit index in the round that was watched last, and its term.
    pub(crate) advanced: Vec<(GroupId, Term)>,
    /// Vacuity counters of this watch.
    pub(crate) counters: Counters,
}

impl Watch {
    pub(crate) fn new(nodes: usize) -> Watch {
        Watch {
            nodes: (0..nodes).map(|_| WatchedNode::default()).collect(),
            truth: BTreeMap::new(),
            removed: BTreeSet::new(),
            acknowledged: Acknowledged::default(),
            votes: BTreeMap::new(),
            fresh: Vec::new(),
            advanced: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// The logs of a broker as they lie on its disk.
    pub(crate) fn mirror(&self, node: usize) -> &NodeMirror {
        &self.nodes[node].mirror
    }

    /// The term that a broker would find after losing power now: of its meta log, or of its last durable entry if that is later.
    pub(crate) fn durable_term(&self, node: usize, group: GroupId) -> Term {
        let promised = self.nodes[node].meta.group(group).map_or(Term::BIRTH, |p| p.term);
        promised.max(self.nodes[node].mirror.group(group).map_or(Term::BIRTH, |log| log.last_durable_term()))
    }

    /// What a broker durably promised for a group.
    pub(crate) fn promised(&self, node: usize, group: GroupId) -> Option<&Promised> {
        self.nodes[node].meta.group(group)
    }

    /// A broker went down, or starts from its disk: what it said does not bind its next life, and all files are looked at anew,
    /// because a crash may have kept more than was synced. What was durable must still be there.
    pub(crate) fn looked<'a>(
        &mut self,
        node: usize,
        groups: impl Iterator<Item = GroupId>,
        files: impl Iterator<Item = (FileName, &'a [u8], u64)>,
    ) -> Result<(), Breach> {
        let watched = &mut self.nodes[node];
        watched.mirror.clear();
        watched.forget_life();
        let before = std::mem::take(&mut watched.meta);
        let mut found = Vec::new();
        for group in groups {
            watched.mirror.make(group);
        }
        let files: Vec<(FileName, &[u8], u64)> = files.collect();
        let mut unnamed = Vec::new();
        for (file, data, durable) in &files {
            let (file, durable) = (*file, *durable);
            let promised = watched.meta.group(file.group().unwrap_or(GroupId::CONTROLLER));
            let Some(name) = name_to_be(promised, file, &files) else { continue };
            unnamed.extend((name != file).then_some(name));
            watched.mirror.found(name, data);
            found.extend(watched.mirror.synced(name, durable));
            // All of it binds, also what was not synced: before anything else happens the next life finds it and syncs it.
            if let FileName::Meta(number) = file {
                watched.meta.synced(number, data);
            }
        }
        for (group, promised) in before.groups() {
            let after = watched.meta.group(group);
            let is_kept = after.is_none_or(|a| {
                (a.term, a.vote.is_some()) >= (promised.term, promised.vote.is_some())
                    && (a.start, a.start_offset) >= (promised.start, promised.start_offset)
            });
            if !is_kept {
                return breach(
                    "I5",
                    format!(
                        "A durable term, vote and log start are never forgotten, but broker {node} had {promised:?} in group {group} and starts with \
                         {after:?}."
                    ),
                );
            }
        }
        for (group, start) in watched.meta.take_started() {
            watched.mirror.started(group, start);
        }
        watched.mirror.found_unnamed(&unnamed);
        // They were looked at in the life that made them.
        watched.meta.take_installed();
        for (group, first, last) in found {
            self.entries_durable(node, group, first, last)?;
        }
        Ok(())
    }

    /// A folder was made.
    pub(crate) fn group_made(&mut self, node: usize, group: GroupId) {
        self.nodes[node].mirror.make(group);
    }

    /// A broker wants a group's folder gone.
    pub(crate) fn removing(&mut self, group: GroupId) {
        self.removed.insert(group);
    }

    /// A folder is gone.
    pub(crate) fn group_removed(&mut self, node: usize, group: GroupId) {
        self.nodes[node].mirror.forget(group);
        self.nodes[node].said.remove(&group);
        self.nodes[node].seen.clear();
    }

    /// Bytes up to `end` are durable.
    pub(crate) fn synced(&mut self, node: usize, file: FileName, end: u64, data: &[u8]) -> Result<(), Breach> {
        if let FileName::Meta(number) = file {
            let durable = usize::try_from(end).map_or(data, |end| &data[..end.min(data.len())]);
            self.nodes[node].meta.synced(number, durable);
            for (group, start) in self.nodes[node].meta.take_started() {
                self.started(node, group, start)?;
            }
            for (group, bases) in self.nodes[node].meta.take_installed() {
                self.installed(node, group, &bases)?;
            }
            self.look_if_regained(node);
        }
        match self.nodes[node].mirror.synced(file, end) {
            Some((group, first, last)) => self.entries_durable(node, group, first, last),
            None => Ok(()),
        }
    }

    /// A file grew to `data`.
    pub(crate) fn grown(&mut self, node: usize, file: FileName, data: &[u8]) -> Result<(), Breach> {
        let segments = |watched: &WatchedNode| match file {
            FileName::Segment { group, .. } => watched.mirror.group(group).map_or(0, GroupMirror::segments),
            FileName::Meta(_) | FileName::Producers { .. } | FileName::Index { .. } | FileName::Copy { .. } => 0,
        };
        let before = segments(&self.nodes[node]);
        let added = self.nodes[node].mirror.grown(file, data);
        if before > 0 && segments(&self.nodes[node]) > before {
            self.counters.rolls += 1;
        }
        if let Some((group, LogChange::Added { first, last })) = added {
            self.entries_added(node, group, first, last)?;
        }
        Ok(())
    }

    pub(super) fn entries_added(&mut self, node: usize, group: GroupId, first: Index, last: Index) -> Result<(), Breach> {
        let Some(log) = self.nodes[node].mirror.group(group) else { return Ok(()) };
        let mut before = if first.0 > 2 { log.entry(Index(first.0 - 1)).map(|(e, _)| e) } else { None };
        for n in first.0..=last.0 {
            let index = Index(n);
            let Some((entry, _)) = log.entry(index) else { break };
            let previous_term = before.map_or(Term::BIRTH, |e| e.term);
            if entry.term < previous_term {
                return breach(
                    "I9",
                    format!(
                        "Leader epochs never go back along a log, but broker {node} wrote index {n} of group {group} with epoch {} \
                         after epoch {}.",
                        entry.term.leader_epoch(),
                        previous_term.leader_epoch()
                    ),
                );
            }
            if let Some(before) = before
                && entry.base_offset != before.offset_end
            {
                return breach(
                    "I8",
                    format!(
                        "Offsets are dense, but broker {node} wrote index {n} of group {group} at offset {} after {} was the next.",
                        entry.base_offset, before.offset_end
                    ),
                );
            }
            before = Some(entry);
        }
        Ok(())
    }

    /// I2, for entries that became durable. One that never did may be lost with its term and its place be taken by another of the
    /// same term; nobody was told of it.
    pub(super) fn entries_durable(&mut self, node: usize, group: GroupId, first: Index, last: Index) -> Result<(), Breach> {
        let truth = self.truth.entry(group).or_default();
        let Some(log) = self.nodes[node].mirror.group(group) else { return Ok(()) };
        let mut before = if first.0 > 2 { log.entry(Index(first.0 - 1)).map(|(e, _)| e) } else { None };
        for n in first.0..=last.0 {
            let index = Index(n);
            let Some((entry, _)) = log.entry(index) else { break };
            let previous_term = before.map_or(Term::BIRTH, |e| e.term);
            // Without the entry before (its segment is elsewhere) the predecessor is not known: nothing to compare.
            if before.is_some() || n == 2 {
                let seen = (entry.crc, entry.base_offset, previous_term);
                let known = *truth.entries.entry((index, entry.term)).or_insert(seen);
                if known != seen {
                    return breach(
                        "I2",
                        format!(
                            "Entries with equal index and term are equal with all before them, but index {n} epoch {} of group {group} \
                             on broker {node} is crc {:08x} at offset {} after epoch {}, elsewhere crc {:08x} at offset {} after epoch {}.",
                            entry.term.leader_epoch(),
                            seen.0,
                            seen.1,
                            seen.2.leader_epoch(),
                            known.0,
                            known.1,
                            known.2.leader_epoch()
                        ),
                    );
                }
            }
            before = Some(entry);
        }
        Ok(())
    }

    /// A file was cut or removed.
    pub(crate) fn cut(&mut self, node: usize, file: FileName, end: u64, is_removed: bool) -> Result<(), Breach> {
        let gone = self.nodes[node].mirror.cut(file, end, is_removed);
        for (group, change) in gone {
            let LogChange::Gone { index, entry } = change else { continue };
            self.counters.truncations += 1;
            let committed = self.truth.get(&group).and_then(|t| t.committed.get(slot(index)));
            if let Some((known, _)) = committed
                && !self.removed.contains(&group)
                && same(known, &entry)
                && !self.has_quorum(group, index, &entry)
            {
                return breach(
                    "I3",
                    format!(
                        "A committed entry stays on a quorum, but broker {node} cut index {index} (offset {}, epoch {}) of group {group} \
                         and too few others durably hold it.",
                        entry.base_offset,
                        entry.term.leader_epoch()
                    ),
                );
            }
        }
        Ok(())
    }

    /// Whether a majority of the voters durably holds this entry. The quorum that committed an entry keeps it for ever (each of them is in
    /// the term of the commit or a later one, whose leaders have it); another voter may cut its copy for a leader of an earlier term.
    fn has_quorum(&self, group: GroupId, index: Index, entry: &EntrySeen) -> bool {
        let Some(voters) = self.nodes.iter().find_map(|n| n.meta.group(group)).map(|p| &p.voters) else { return true };
        let held_by = |mirror: &NodeMirror| {
            mirror.group(group).is_some_and(|log| {
                let is_held = || log.entry(index).is_some_and(|(held, _)| same(&held, entry));
                log.is_gone(index) || (log.is_durable_through(index) && is_held())
            })
        };
        let holds = |broker: &WatchedNode| held_by(&broker.mirror) || broker.lost.as_ref().is_some_and(held_by);
        let holders =
            voters.iter().filter_map(|voter| self.nodes.get(usize::try_from(voter.0).ok()?)).filter(|n| holds(n)).count();
        holders > voters.len() / 2
    }

    /// What a broker said of its groups after its last round, if the watch remembers.
    pub(crate) fn seen(&self, node: usize) -> &[GroupSeen] {
        &self.nodes[node].seen
    }

    /// What a broker says after a round. Only what changed costs anything.
    pub(crate) fn said(&mut self, node: usize, views: &[GroupSeen]) -> Result<(), Breach> {
        self.advanced.clear();
        let mut seen = std::mem::take(&mut self.nodes[node].seen);
        let mut is_proved = true;
        for (place, view) in views.iter().enumerate() {
            if seen.get(place) == Some(view) {
                continue;
            }
            let before = self.nodes[node].said.get(&view.group).copied().unwrap_or_default();
            let mut now = Said {
                term: view.term,
                commit: view.commit,
                high_watermark: view.high_watermark,
                log_start: view.log_start,
                is_leader: view.is_leader,
                persisted_max: view.persisted.max(before.persisted_max),
                unproved: before.unproved.filter(|term| view.is_leader && *term == view.term),
            };
            if now.term == before.term
                && now.commit == before.commit
                && now.is_leader == before.is_leader
                && (now.high_watermark, now.log_start) == (before.high_watermark, before.log_start)
                && now.persisted_max == before.persisted_max
                && now.unproved.is_none()
            {
                continue;
            }
            if now.term < before.term || now.commit < before.commit {
                return breach(
                    "I5",
                    format!(
                        "Term and commit never go back, but broker {node} went from term {} commit {} to term {} commit {} in group {}.",
                        before.term, before.commit, now.term, now.commit, view.group
                    ),
                );
            }
            if now.log_start > before.log_start {
                self.start_shown(node, view)?;
            }
            if now.log_start < before.log_start || now.log_start > now.high_watermark {
                return breach(
                    "I8",
                    format!(
                        "A log start never goes back and never passes the high watermark, but broker {node} went from {} to {} in group {} \
                         whose high watermark is {}.",
                        before.log_start, now.log_start, view.group, now.high_watermark
                    ),
                );
            }
            if now.high_watermark < before.high_watermark || now.high_watermark > view.log_end {
                return breach(
                    "I8",
                    format!(
                        "A high watermark never goes back and never passes the log's end, but broker {node} went from {} to {} in \
                         group {} whose log ends at {}.",
                        before.high_watermark, now.high_watermark, view.group, view.log_end
                    ),
                );
            }
            if now.is_leader && (!before.is_leader || now.term != before.term) {
                self.leader_appeared(node, view.group, now.term)?;
                now.unproved = Some(now.term);
            }
            if now.unproved.is_some() && self.prove_leader(node, view)? {
                now.unproved = None;
            }
            if now.commit > before.commit && now.commit > Index::BIRTH {
                if now.is_leader && before.is_leader && now.term == before.term {
                    self.committed_own_term(node, view)?;
                    self.advanced.push((view.group, view.term));
                }
                self.committed(node, view)?;
            }
            is_proved &= now.unproved.is_none();
            self.nodes[node].said.insert(view.group, now);
        }
        seen.clear();
        if is_proved {
            seen.extend_from_slice(views);
        }
        self.nodes[node].seen = seen;
        Ok(())
    }

    fn leader_appeared(&mut self, node: usize, group: GroupId, term: Term) -> Result<(), Breach> {
        let truth = self.truth.entry(group).or_default();
        if let Some(other) = truth.leaders.get(&term)
            && *other != node
        {
            return breach(
                "I1",
                format!(
                    "A term has one leader, but brokers {other} and {node} both lead group {group} in term {term} (epoch {}).",
                    term.leader_epoch()
                ),
            );
        }
        self.counters.elections += 1;
        if !truth.leaders.is_empty() {
            self.counters.failovers += 1;
        }
        truth.leaders.insert(term, node);
        self.fresh.push((node, group));
        Ok(())
    }

    /// I3: entries committed in earlier terms must be in a leader's log; of those of later terms a leader that is late knows nothing.
    /// Compared once its disk has as much, because what is on its way there is nowhere to be seen. Tells whether it was compared.
    fn prove_leader(&self, node: usize, view: &GroupSeen) -> Result<bool, Breach> {
        let Some(truth) = self.truth.get(&view.group).filter(|_| !self.removed.contains(&view.group)) else { return Ok(true) };
        let bound = truth.committed.iter().filter(|(_, in_term)| *in_term < view.term).count();
        let last = Index(u64::try_from(bound).expect("small") + 1);
        if view.persisted < last && view.last_index >= last {
            return Ok(false);
        }
        let log = self.nodes[node].mirror.group(view.group);
        for (n, (known, in_term)) in truth.committed.iter().enumerate().take(bound) {
            let index = Index(u64::try_from(n).expect("small") + 2);
            if log.is_some_and(|l| l.is_gone(index)) {
                continue;
            }
            let here = log.and_then(|l| l.entry(index)).map(|(e, _)| e).filter(|_| index <= view.last_index);
            if !here.is_some_and(|e| same(&e, known)) {
                return breach(
                    "I3",
                    format!(
                        "Every leader has all entries committed before, but broker {node}, leader of group {} in epoch {}, {} at \
                         index {index} where offset {} of epoch {} was committed in epoch {}.",
                        view.group,
                        view.term.leader_epoch(),
                        here.map_or("has nothing".to_string(), |e| format!(
                            "has offset {} of epoch {}",
                            e.base_offset,
                            e.term.leader_epoch()
                        )),
                        known.base_offset,
                        known.term.leader_epoch(),
                        in_term.leader_epoch()
                    ),
                );
            }
        }
        Ok(true)
    }

    /// I3, where it begins: a leader counts replicas for entries of its own term only (Raft section 5.4.2, figure 8). What it commits with them
    /// may be older, so the last one is looked at, if it is in its own file already.
    fn committed_own_term(&self, node: usize, view: &GroupSeen) -> Result<(), Breach> {
        let entry = self.nodes[node].mirror.group(view.group).and_then(|log| log.entry(view.commit)).map(|(entry, _)| entry);
        match entry.filter(|entry| entry.term != view.term) {
            None => Ok(()),
            Some(entry) => breach(
                "I3",
                format!(
                    "A leader commits by counting only what is of its own term, but broker {node}, leader of group {} in epoch {}, says \
                     that index {} of epoch {} is committed.",
                    view.group,
                    view.term.leader_epoch(),
                    view.commit,
                    entry.term.leader_epoch()
                ),
            ),
        }
    }

    /// I4 and I7: what a broker calls committed is what others call committed, and durable on a quorum of the voters.
    fn committed(&mut self, node: usize, view: &GroupSeen) -> Result<(), Breach> {
        let GroupSeen { group, commit, commit_chain, term, .. } = *view;
        self.counters.commits += 1;
        let truth = self.truth.entry(group).or_default();
        // A commit beyond what this broker itself has in its log has no hash yet.
        let (chain, other) =
            if commit_chain == 0 { (0, node) } else { *truth.chains.entry(commit).or_insert((commit_chain, node)) };
        if chain != commit_chain {
            return breach(
                "I4",
                format!(
                    "What is committed is the same everywhere, but brokers {other} and {node} both committed index {commit} of group {group} \
                     and differ in what lies up to there."
                ),
            );
        }
        let (digest, other) = *truth.producers.entry(commit).or_insert((view.producers, node));
        if digest != view.producers {
            return breach(
                "I14",
                format!(
                    "What is known of producers follows from the log, but brokers {other} and {node} both committed index {commit} of group \
                     {group} and know different things of its producers."
                ),
            );
        }
        if truth.committed.len() > slot(commit) || self.removed.contains(&group) {
            return Ok(());
        }
        let Some(voters) = self.nodes.iter().find_map(|n| n.meta.group(group)).map(|p| p.voters.clone()) else { return Ok(()) };
        let holders: Vec<(usize, Term)> = voters
            .iter()
            .filter_map(|voter| usize::try_from(voter.0).ok().filter(|broker| *broker < self.nodes.len()))
            .filter_map(|broker| {
                let held_by = |mirror: &NodeMirror| {
                    let log = mirror.group(group).filter(|log| log.is_durable_through(commit))?;
                    log.entry(commit).map(|(entry, _)| (broker, entry.term))
                };
                held_by(&self.nodes[broker].mirror).or_else(|| self.nodes[broker].lost.as_ref().and_then(held_by))
            })
            .collect();
        let count = |term: Term| holders.iter().filter(|(_, other)| *other == term).count();
        let best = holders.iter().copied().max_by_key(|(_, term)| count(*term));
        let most = best.map_or(0, |(_, term)| count(term));
        let quorum = voters.len() / 2 + 1;
        // Its log is looked at below, so one is named that has its disk.
        let has_disk = |broker: usize| self.nodes[broker].mirror.group(group).is_some_and(|log| log.is_durable_through(commit));
        let best = best.and_then(|(_, term)| holders.iter().copied().find(|(broker, other)| *other == term && has_disk(*broker)));
        let Some((holder, _)) = best.filter(|_| most >= quorum) else {
            return breach(
                "I7",
                format!(
                    "What is called committed is durable on a quorum, but broker {node} says that index {commit} of group {group} is, while \
                     {most} of its {} voters durably hold one and the same entry there.",
                    voters.len()
                ),
            );
        };
        let Some(log) = self.nodes[holder].mirror.group(group) else { return Ok(()) };
        while truth.committed.len() <= slot(commit) {
            let index = Index(u64::try_from(truth.committed.len()).expect("small") + 2);
            let Some((entry, _)) = log.entry(index) else { break };
            truth.committed.push((entry, term));
            if let Some(produced) = entry.produced {
                truth.sequences.committed(group, index, produced)?;
            }
        }
        Ok(())
    }

    /// Who led a group last, with its term, by what brokers said.
    pub(crate) fn latest_leader(&self, group: GroupId) -> Option<(usize, Term)> {
        self.truth.get(&group)?.leaders.iter().next_back().map(|(term, node)| (*node, *term))
    }
}

pub(super) fn slot(index: Index) -> usize {
    usize::try_from(index.0.saturating_sub(2)).expect("small")
}

pub(super) fn same(a: &EntrySeen, b: &EntrySeen) -> bool {
    (a.term, a.crc, a.base_offset, a.offset_end) == (b.term, b.crc, b.base_offset, b.offset_end)
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
