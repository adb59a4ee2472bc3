//! The visit: what raft wants done, in the order that crashes allow.

use super::{GroupEvent, RaftGroup, Round, Ticket};
use crate::disk::DiskAction;
use crate::ids::{BrokerId, Index, Term};
use crate::log::{Memory, MetaRecord, encode_private, full_header, private_payload};
use crate::mutant::Mutant;
use crate::raft::disk_queue::Owner;
use crate::record::{PrivateKind, patch_offset_and_epoch};
use raft::Ready;
use raft::eraftpb::{Entry, Message};

impl RaftGroup {
    /// Drives raft until nothing is left to do without the world.
    pub(crate) fn visit(&mut self, round: &mut Round<'_>) {
        self.pump(round);
        if self.is_open {
            if let Some(record) = self.late.take() {
                round.meta.record(&record);
            }
            self.complete_tickets(round);
            self.look_if_whole(round.meta);
            self.go_on_copying(round);
            self.handle_readies(round);
            self.lend(round);
            self.handle_readies(round);
            self.impose_timeout(round.config);
            self.next_offset = self.log().log_end();
            if let Some(pending) = self.pending.take()
                && self.log().last_index() < pending.last
            {
                let first = Index(self.log().last_index().0 + 1).max(pending.first);
                self.events.push(GroupEvent::Truncated(first));
            }
            self.start_fetches(round);
            self.pump(round);
            self.report(round);
            self.say(round);
            self.tell_wish();
        }
        round.events.extend(self.events.drain(..).map(|event| (self.id, event)));
    }

    fn handle_readies(&mut self, round: &mut Round<'_>) {
        while self.raw.has_ready() {
            let ready = self.raw.ready();
            self.handle_ready(ready, round);
            self.complete_tickets(round);
        }
    }

    fn pump(&mut self, round: &mut Round<'_>) {
        let durable = round.meta.round_durable();
        let mut made = Vec::new();
        self.pipeline.pump(durable, round.disk, round.out, &mut made);
        for number in made {
            if round.config.mutant.is(Mutant::SnapshotOverNewer) && self.copies.is_install(number) {
                self.cuts_closed = number;
                continue;
            }
            let closing = round.meta.record(&MetaRecord::CutClosed { group: self.id, number });
            self.cuts_closing.push_back((number, closing));
            round.waiting.push_back((closing, self.id));
        }
        while self.cuts_closing.front().is_some_and(|(_, closing)| *closing <= durable) {
            let (number, _) = self.cuts_closing.pop_front().expect("looked at above");
            self.cuts_closed = self.cuts_closed.max(number);
        }
        self.show_starts(round);
        if !self.is_open && !self.pipeline.is_waiting() && self.memory != Memory::Asking && self.opens_at <= durable {
            self.open(round);
        }
    }

    /// The first barrier is gone: the folder is there, or what recovery found is durable.
    fn open(&mut self, round: &mut Round<'_>) {
        for number in core::mem::take(&mut self.cuts_found) {
            // An open cut that outlives entries appended after it would drop them at the next start.
            let closing = round.meta.record(&MetaRecord::CutClosed { group: self.id, number });
            self.cuts_closing.push_back((number, closing));
            round.waiting.push_back((closing, self.id));
        }
        if !self.cuts_closing.is_empty() {
            return;
        }
        self.is_open = true;
        if self.voters == [self.me] || self.eager > 0 {
            self.campaign(round.config);
        }
    }

    /// Releases what waited for the disk, in order.
    fn complete_tickets(&mut self, round: &mut Round<'_>) {
        let durable = round.meta.round_durable();
        let mut number = None;
        while self.tickets.front().is_some_and(|ticket| {
            ticket.writes <= self.pipeline.writes_durable() && ticket.round <= durable && ticket.cut <= self.cuts_closed
        }) {
            let ticket = self.tickets.pop_front().expect("looked at above");
            // The entries of a ticket from before a cut may have come back with the same index and term, in writes that are still under
            // way: the ticket that follows the cut speaks for both.
            if ticket.cut == self.cuts {
                number = Some(ticket.number);
            }
            self.send(ticket.messages, round);
        }
        if let Some(number) = number {
            self.raw.on_persist_ready(number);
            self.apply_snapshot();
            self.impose_timeout(round.config);
        }
    }

    fn send(&mut self, messages: Vec<Message>, round: &mut Round<'_>) {
        let log = &self.raw.raft.store().log;
        for message in messages {
            // Messages that waited for the disk may be of an earlier leadership, whose entries were cut or left memory meanwhile.
            // Without them the message is lost, which raft bears; with others of the same index it would be a lie. Entries that were
            // read from disk for a replica far behind carry their bytes.
            // The log may even begin behind them, after a snapshot.
            let is_here = |entry: &raft::eraftpb::Entry| {
                let index = Index(entry.index);
                let is_in_log = (log.first_index()..=log.last_index()).contains(&index);
                !entry.data.is_empty() || (is_in_log && log.term(index).0 == entry.term && log.entry(index).is_some())
            };
            // raft 0.7 adds entries to an append that already waits for the same peer, and when that one is empty it does not look whether
            // they continue it (`util::is_continuous_ents`): after a peer came back they may not, and would be taken for later ones.
            let mut expected = message.index;
            let is_whole = message.entries.iter().all(|entry| {
                expected += 1;
                entry.index == expected && is_here(entry)
            });
            if !is_whole {
                continue;
            }
            let payload = |index| log.entry(Index(index)).expect("looked at above");
            round.outbox.raft(self.id, message, payload);
        }
    }

    fn handle_ready(&mut self, mut ready: Ready, round: &mut Round<'_>) {
        let mutant = round.config.mutant;
        let number = ready.number();
        let entries = ready.take_entries();
        let mut ticket = Ticket { number, writes: 0, round: 0, cut: self.cuts, messages: ready.take_persisted_messages() };
        if let Some(state) = ready.hs()
            && (state.term, state.vote) != self.recorded
        {
            assert!(state.term >= self.recorded.0, "terms never go back");
            let vote_changed = state.vote != 0;
            self.recorded = (state.term, state.vote);
            let record = MetaRecord::Vote { group: self.id, term: Term(state.term), vote: BrokerId::from_peer(state.vote) };
            if mutant.is(Mutant::HardStateAfterSend) {
                self.late = Some(record);
            } else {
                let recorded = round.meta.record(&record);
                round.waiting.push_back((recorded, self.id));
                if !(mutant.is(Mutant::VoteNotSynced) && vote_changed) {
                    ticket.round = recorded;
                }
            }
        }
        // After the term: a cut that is found open at start must not have forgotten which term made it.
        if !ready.snapshot().is_empty() {
            self.install(round);
            ticket.cut = self.cuts;
        }
        if !entries.is_empty() {
            self.append(entries, round);
            ticket.cut = self.cuts;
        }
        ticket.writes = self.pipeline.writes();
        let messages = ready.take_messages();
        assert!(
            messages.is_empty() || ticket.round == 0,
            "a leader's term and vote were durable before it could lead: {}",
            self.id
        );
        self.send(messages, round);
        let applied = ready.take_committed_entries().last().map(|entry| entry.index);
        self.raw.advance_append_async(ready);
        if let Some(applied) = applied {
            self.raw.advance_apply_to(applied);
        }
        self.tickets.push_back(ticket);
        if mutant.is(Mutant::CountOwnUnsynced) && self.is_leader() {
            self.raw.on_persist_ready(number);
        }
        self.impose_timeout(round.config);
    }

    /// Entries that raft wants persisted, of this leader or another.
    fn append(&mut self, mut entries: Vec<Entry>, round: &mut Round<'_>) {
        let first = Index(entries[0].index);
        let last = self.log().last_index();
        if first <= last {
            if round.config.mutant.is(Mutant::KeepConflictingSuffix) {
                entries = self.keep_conflicting_suffix(entries);
            } else {
                self.cut(first, round);
            }
        }
        let mut writes = Vec::new();
        // Whoever sent entries waits for the answer; a leader's own may be records for which nobody does.
        let mut is_awaited = self.pending.is_none_or(|pending| pending.is_awaited);
        for entry in entries {
            let index = Index(entry.index);
            let term = Term(entry.term);
            let mut is_own = false;
            if let Some(pending) = &mut self.pending
                && (pending.first..=pending.last).contains(&index)
            {
                is_own = pending.term == term;
                if !is_own {
                    self.events.push(GroupEvent::Truncated(index));
                    pending.last = Index(index.0 - 1);
                    if pending.last < pending.first {
                        self.pending = None;
                    }
                }
            }
            is_awaited |= !is_own;
            let log = &mut self.raw.raft.mut_store().log;
            assert_eq!(index.0, log.last_index().0 + 1, "entries are contiguous");
            let data =
                if entry.data.is_empty() { encode_private(PrivateKind::Noop, log.log_end(), term, &[]) } else { entry.data };
            let batch = log.append(data.clone(), &mut writes);
            assert_eq!(batch.term, term, "an entry's term is in its batch: {} {index}", self.id);
            if batch.is_private {
                match private_payload(&data) {
                    Some((PrivateKind::Command, payload)) => self.commands.push_back((index, payload)),
                    Some((PrivateKind::LogStart, payload)) => self.start_appended(index, &payload, round),
                    Some((PrivateKind::Noop | PrivateKind::ConfChange, _)) | None => {}
                }
            } else if batch.producer_id >= 0 && !is_own {
                self.events.push(GroupEvent::Replicated { index, header: full_header(&data) });
            }
        }
        self.pipeline.append(writes, is_awaited);
    }

    /// The leader's log differs from here on: forget ours, in memory at once, on the disk when the cut's record is durable.
    fn cut(&mut self, from: Index, round: &mut Round<'_>) {
        assert!(from > self.shown_commit, "what was shown as committed is never cut: {} from {from}", self.id);
        self.cuts += 1;
        let number = self.cuts;
        let recorded = round.meta.record(&MetaRecord::CutOpened { group: self.id, number, from });
        round.waiting.push_back((recorded, self.id));
        let cut = self.log_mut().cut(from);
        self.pipeline.cut(number, recorded, from, cut);
        while self.commands.back().is_some_and(|(index, _)| *index >= from) {
            self.commands.pop_back();
        }
        while self.starts.back().is_some_and(|(index, _)| *index >= from) {
            self.starts.pop_back();
        }
        self.marked.0 = self.marked.0.min(Index(from.0 - 1));
        self.shown_written = self.shown_written.min(Index(from.0 - 1));
        self.events.push(GroupEvent::Truncated(from));
    }

    /// Bug 6 of the mutation catalogue: what follows from it is the caller's new entries, moved behind the suffix that stayed.
    fn keep_conflicting_suffix(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let log = self.log_mut();
        let last = log.last_index();
        let terms: Vec<Term> = entries.iter().map(|entry| Term(entry.term)).collect();
        log.keep_suffix(Index(entries[0].index), &terms);
        let mut next = log.log_end();
        let mut rest: Vec<Entry> = entries.into_iter().filter(|entry| entry.index > last.0).collect();
        for entry in &mut rest {
            let mut data = bytes::BytesMut::from(&entry.data[..]);
            let batch = crate::log::Batch::parse(&data).expect("checked where it came in");
            patch_offset_and_epoch(&mut data, next, batch.term.leader_epoch());
            next.0 += batch.end_offset.0 - batch.base_offset.0;
            entry.data = data.freeze();
        }
        rest
    }

    fn start_fetches(&mut self, round: &mut Round<'_>) {
        let store = self.raw.raft.store();
        let wanted = core::mem::take(&mut store.catchup.borrow_mut().wanted);
        if !self.is_leader() {
            return;
        }
        for low in wanted {
            let is_under_way = self.fetches.iter().any(|(_, fetch, ..)| *fetch == low);
            if is_under_way || low > self.log().last_index() || low < self.log().first_index() || self.log().has_in_tail(low) {
                continue;
            }
            let plan = self.log().plan_fetch(low, round.config.raft.message_bytes_max as u64);
            let action = DiskAction::Read { file: plan.file, position: plan.position, length: plan.length };
            let id = round.disk.issue(Owner::Group(self.id), action, round.out);
            self.fetches.push((id, low, self.raw.raft.term, plan));
            self.pipeline.read_started(id);
        }
    }
}
