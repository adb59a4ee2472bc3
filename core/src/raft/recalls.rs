//! How a replica comes back whose disk was lost.
//!
//! A broker whose data folder was emptied has the same raft id as before, but it has forgotten whom it voted for and which entries it
//! acknowledged. If it took part as if nothing had happened, a term could have two leaders and an acknowledged entry could be lost. So
//! a replica that is made on a disk that may have forgotten *asks all other voters* of its group what its earlier self may have promised, and
//! until all of them have told it has no rights: it votes for nobody, runs for nothing, takes and acknowledges nothing.
//!
//! Each of the others tells its term and where its log ends, in memory. When all have told twice in a row, each in one and the same life,
//! there was a moment between the two rounds at which all of them lived; what they told in the second round covers what they had then:
//! - *votes*: a candidate is in its term durably before it asks for votes, and every candidate is among the others; so every vote of the earlier
//!   self was in a term up to the highest told, `T`. The replica goes on in `T` as if it had voted for itself.
//! - *entries*: an entry that was acknowledged by the earlier self either was committed by that moment, and then another voter durably has it
//!   (a majority of two or more did); or its leader still led then, and had it in memory; or nobody can count the acknowledgement any
//!   more. Logs move on only in raft's order, so the furthest end that was told, the *floor*, is not before it. A candidate whose log ends
//!   at the floor or behind it has the entry: with the same last term by log matching with the leader of that term, with a later one
//!   because its leader was elected so.
//!
//! With that the replica follows, and acknowledges what it durably has, which is true. But until its own log reaches the floor it votes for
//! nobody whose log does not, and never runs itself. Then it is whole. One round is not enough: between two answers of one round an entry may
//! be committed by counting the lost copy, become durable at one who has answered, and be lost with the power of a leader who has not.
//!
//! The floor may be an entry that was never committed and was lost with another broker's power; therefore the questions are repeated
//! while the replica is below it, and the lower of two floors counts: each alone is enough.
//!
//! Frames of an earlier life of a broker never follow those of a later one (`net/src/peer.rs`), so no acknowledgement and no request for a vote of
//! the earlier self reaches a voter after it answered.
//!
//! The controller's group is made on every empty disk, also by a cluster that is really new; nobody has rights in it then. A replica is
//! *born* there, with all rights, when all others know nothing either; or, after [`BOOTSTRAP_WAIT_MS`], when a majority of
//! the voters, itself included, knows nothing and nobody knows something. It durably keeps whose empty folders it counted, and tells those, and
//! those only, that they may be born too: they have kept silent since.
//!
//! If two of three lost their disks, both ask for ever: the majority is lost, and there is nobody who knows better.

use super::recall::{Ask, RecallMessage, Told};
use crate::ids::{BrokerId, GroupId, Index, Term};
use crate::limits::{BOOTSTRAP_WAIT_MS, RECALL_AGAIN_MS, RECALL_ITEMS_MAX, RECALL_RETRY_MS};
use crate::log::{Memory, Position};
use crate::time::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// What came of the questions about a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Go on asking.
    Open,
    /// There is no past. Those who knew nothing either, with their folders.
    Birth(Vec<(BrokerId, u64)>),
    /// Every vote was given in this term or an earlier one, every acknowledged entry ends here or before. Nobody is asked where nobody else is
    /// a voter: then the log begins anew.
    Known { term: Term, floor: Position },
}

#[derive(Debug, Clone, Copy)]
struct Answer {
    told: Told,
    folder: u64,
    life: u64,
}

/// The questions about one group.
#[derive(Debug)]
struct Inquiry {
    others: Vec<BrokerId>,
    /// Number of the round.
    round: u32,
    answers: BTreeMap<BrokerId, Answer>,
    /// In which lives the others told in the round before, when all had.
    lives: Option<BTreeMap<BrokerId, u64>>,
    /// Not before.
    begins_at: Instant,
    /// Whether somebody ever told something.
    has_past: bool,
    /// Whether anybody was asked.
    is_asked: bool,
}

/// All questions of this broker.
#[derive(Debug)]
pub(super) struct Recalls {
    /// A number that no other life of this broker has.
    life: u64,
    began_at: Instant,
    inquiries: BTreeMap<GroupId, Inquiry>,
    /// To be asked about in this round of the broker.
    urgent: BTreeSet<(BrokerId, GroupId)>,
    ask_at: Instant,
}

impl Recalls {
    pub(super) fn new(life: u64, now: Instant) -> Recalls {
        Recalls { life, began_at: now, inquiries: BTreeMap::new(), urgent: BTreeSet::new(), ask_at: now }
    }

    /// This life.
    pub(super) fn life(&self) -> u64 {
        self.life
    }

    /// Whether nothing is asked.
    pub(super) fn is_empty(&self) -> bool {
        self.inquiries.is_empty()
    }

    /// Groups that are asked about.
    pub(super) fn groups(&self) -> impl Iterator<Item = GroupId> {
        self.inquiries.keys().copied()
    }

    /// Will ask about a group, as soon as its replica is made. One that takes part already waits a while: it may soon be whole.
    pub(super) fn begin(&mut self, group: GroupId, others: Vec<BrokerId>, is_mute: bool) {
        let begins_at = if is_mute { self.began_at } else { self.began_at.plus_ms(RECALL_AGAIN_MS) };
        let answers = BTreeMap::new();
        let inquiry = Inquiry { others, round: 1, answers, lives: None, begins_at, has_past: false, is_asked: false };
        self.inquiries.insert(group, inquiry);
    }

    /// The replica of a group is made, and may ask. True if that is all it takes: there is nobody to be asked.
    pub(super) fn made(&mut self, group: GroupId) -> bool {
        let Some(inquiry) = self.inquiries.get_mut(&group).filter(|inquiry| !inquiry.is_asked) else { return false };
        inquiry.is_asked = true;
        self.urgent.extend(inquiry.others.iter().map(|other| (*other, group)));
        inquiry.others.is_empty()
    }

    /// Asks all others of a group anew, later.
    pub(super) fn again(&mut self, group: GroupId, now: Instant) {
        if let Some(inquiry) = self.inquiries.get_mut(&group) {
            inquiry.begins_at = now.plus_ms(RECALL_AGAIN_MS);
            inquiry.lives = None;
            inquiry.next_round();
        }
    }

    /// Nothing more is asked about a group.
    pub(super) fn end(&mut self, group: GroupId) {
        self.inquiries.remove(&group);
    }

    /// Whether this broker heard that there is something to know of a group.
    pub(super) fn has_past(&self, group: GroupId) -> bool {
        self.inquiries.get(&group).is_some_and(|inquiry| inquiry.has_past)
    }

    /// Of a group whose replica here has no rights yet, one who has not told yet what it knows.
    pub(super) fn waits_for(&self, group: GroupId) -> Option<BrokerId> {
        let inquiry = self.inquiries.get(&group)?;
        inquiry.others.iter().copied().find(|other| !inquiry.has_told(*other))
    }

    /// A peer can be reached now.
    pub(super) fn peer_up(&mut self, peer: BrokerId) {
        let open = self.inquiries.iter().filter(|(_, inquiry)| inquiry.others.contains(&peer) && !inquiry.has_told(peer));
        self.urgent.extend(open.map(|(group, _)| (peer, *group)));
    }

    /// A peer asks about a group that is asked about here too: it can be reached.
    pub(super) fn peer_asks(&mut self, peer: BrokerId, group: GroupId) {
        let inquiry = self.inquiries.get(&group);
        if inquiry.is_some_and(|inquiry| inquiry.others.contains(&peer) && !inquiry.answers.contains_key(&peer)) {
            self.urgent.insert((peer, group));
        }
    }

    /// Time passed: what was not told is asked again. True if it was time.
    pub(super) fn tick(&mut self, now: Instant) -> bool {
        if self.inquiries.is_empty() || now < self.ask_at {
            return false;
        }
        self.ask_at = now.plus_ms(RECALL_RETRY_MS);
        for (group, inquiry) in &self.inquiries {
            let missing = inquiry.others.iter().filter(|other| !inquiry.has_told(**other));
            self.urgent.extend(missing.map(|other| (*other, *group)));
        }
        true
    }

    /// Whether there are questions that [`Recalls::questions`] would hand out.
    pub(super) fn has_questions(&self) -> bool {
        !self.urgent.is_empty()
    }

    /// The questions to be sent now; `replica` says of a group whether it has no rights and where its durable log ends; `None`: not yet.
    pub(super) fn questions(
        &mut self,
        now: Instant,
        folder: u64,
        replica: impl Fn(GroupId) -> Option<(bool, Index)>,
    ) -> Vec<(BrokerId, RecallMessage)> {
        let mut asked: BTreeMap<BrokerId, Vec<Ask>> = BTreeMap::new();
        for (to, group) in core::mem::take(&mut self.urgent) {
            let Some(inquiry) = self.inquiries.get(&group).filter(|inquiry| inquiry.begins_at <= now) else { continue };
            let Some((is_mute, last)) = replica(group) else { continue };
            asked.entry(to).or_default().push(Ask { group, round: inquiry.round, last, is_mute });
        }
        let mut messages = Vec::new();
        for (to, asked) in asked {
            for part in asked.chunks(RECALL_ITEMS_MAX) {
                messages.push((to, RecallMessage::Ask { folder, life: self.life, asked: part.to_vec() }));
            }
        }
        messages
    }

    /// A peer told what it knows of a group, as it was asked in `round` of this life.
    pub(super) fn told(&mut self, from: BrokerId, (folder, life): (u64, u64), group: GroupId, round: u32, told: Told) {
        let Some(inquiry) = self.inquiries.get_mut(&group) else { return };
        if inquiry.round == round && inquiry.others.contains(&from) {
            inquiry.has_past |= matches!(told, Told::Something { .. } | Told::Past);
            inquiry.answers.insert(from, Answer { told, folder, life });
        }
    }

    /// What came of it so far. `memory`: of the replica here.
    pub(super) fn outcome(&mut self, group: GroupId, memory: Memory, now: Instant) -> Outcome {
        let began_at = self.began_at;
        let Some(inquiry) = self.inquiries.get_mut(&group) else { return Outcome::Open };
        if memory == Memory::Asking && group == GroupId::CONTROLLER {
            let is_late = now >= began_at.plus_ms(BOOTSTRAP_WAIT_MS);
            if let Some(with) = inquiry.birth(is_late) {
                return Outcome::Birth(with);
            }
        }
        let Some(known) = inquiry.known() else { return Outcome::Open };
        let lives = inquiry.answers.iter().map(|(other, answer)| (*other, answer.life)).collect();
        if inquiry.lives.as_ref() == Some(&lives) || inquiry.others.is_empty() {
            return known;
        }
        inquiry.lives = Some(lives);
        inquiry.next_round();
        self.urgent.extend(inquiry.others.iter().map(|other| (*other, group)));
        Outcome::Open
    }
}

impl Inquiry {
    fn next_round(&mut self) {
        self.round = self.round.wrapping_add(1);
        self.answers.clear();
    }

    fn has_told(&self, other: BrokerId) -> bool {
        self.answers.get(&other).is_some_and(|answer| matches!(answer.told, Told::Something { .. }))
    }

    /// Whether there is no past, and who else knew nothing.
    fn birth(&self, is_late: bool) -> Option<Vec<(BrokerId, u64)>> {
        let is_told = |answer: &Answer| matches!(answer.told, Told::Something { is_birth: true, .. });
        if self.answers.values().any(is_told) {
            // Whom it counted it does not say: who is born on another's word vouches for nobody.
            return Some(Vec::new());
        }
        if self.has_past {
            return None;
        }
        let blank = self.answers.iter().filter(|(_, answer)| answer.told == Told::Nothing);
        let blank: Vec<(BrokerId, u64)> = blank.map(|(other, answer)| (*other, answer.folder)).collect();
        let voters = self.others.len() + 1;
        let is_all = blank.len() == self.others.len();
        (is_all || (is_late && 2 * (blank.len() + 1) > voters)).then_some(blank)
    }

    /// What all others told together, if all did.
    fn known(&self) -> Option<Outcome> {
        let mut term = Term::BIRTH;
        let mut floor = Position { term: Term::BIRTH, index: Index::BIRTH };
        for other in &self.others {
            let Some(Answer { told: Told::Something { term: its, last, .. }, .. }) = self.answers.get(other) else { return None };
            term = term.max(*its);
            floor = floor.max(*last);
        }
        Some(Outcome::Known { term, floor })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::GroupId;

    const GROUP: GroupId = GroupId(7);

    fn at(ms: u64) -> Instant {
        Instant(1_000_000).plus_ms(ms)
    }

    fn recalls(group: GroupId) -> Recalls {
        let mut recalls = Recalls::new(5, at(0));
        recalls.begin(group, vec![BrokerId(1), BrokerId(2)], true);
        assert!(!recalls.made(group), "there are others");
        recalls
    }

    fn something(term: u64, last: (u64, u64)) -> Told {
        let last = Position { term: Term(last.0), index: Index(last.1) };
        Told::Something { term: Term(term), last, is_birth: false }
    }

    /// Whom it asks now, in which round.
    fn asked(recalls: &mut Recalls, now: Instant) -> Vec<(i32, u32)> {
        let questions = recalls.questions(now, 9, |_| Some((true, Index::BIRTH)));
        let all = questions.into_iter().map(|(to, message)| match message {
            RecallMessage::Ask { asked, .. } => (to.0, asked[0].round),
            RecallMessage::Tell { .. } => panic!("a question"),
        });
        all.collect()
    }

    fn outcome(recalls: &mut Recalls) -> Outcome {
        recalls.outcome(GROUP, Memory::Asking, at(1))
    }

    #[test]
    fn all_others_must_tell_twice_in_one_life() {
        let mut recalls = recalls(GROUP);
        assert_eq!(asked(&mut recalls, at(0)), [(1, 1), (2, 1)]);
        recalls.told(BrokerId(9), (0, 99), GROUP, 1, something(8, (8, 99)));
        assert!(!recalls.has_past(GROUP), "who is no voter of this group has nothing to tell");
        recalls.told(BrokerId(1), (0, 11), GROUP, 1, something(3, (3, 50)));
        assert_eq!(outcome(&mut recalls), Outcome::Open, "one has not told");
        recalls.told(BrokerId(2), (0, 22), GROUP, 1, something(4, (2, 90)));
        assert_eq!(outcome(&mut recalls), Outcome::Open, "they told once");
        assert_eq!(asked(&mut recalls, at(0)), [(1, 2), (2, 2)]);
        recalls.told(BrokerId(1), (0, 11), GROUP, 2, something(3, (3, 51)));
        recalls.told(BrokerId(2), (0, 23), GROUP, 2, something(4, (2, 80)));
        assert_eq!(outcome(&mut recalls), Outcome::Open, "one has another life");
        recalls.told(BrokerId(1), (0, 11), GROUP, 3, something(3, (3, 52)));
        recalls.told(BrokerId(1), (0, 11), GROUP, 2, something(9, (9, 9)));
        recalls.told(BrokerId(2), (0, 23), GROUP, 3, something(4, (2, 80)));
        let floor = Position { term: Term(3), index: Index(52) };
        assert_eq!(outcome(&mut recalls), Outcome::Known { term: Term(4), floor });
    }

    #[test]
    fn who_has_not_told_is_asked_again() {
        let mut recalls = recalls(GROUP);
        asked(&mut recalls, at(0));
        assert!(recalls.tick(at(0)));
        assert_eq!(asked(&mut recalls, at(0)), [(1, 1), (2, 1)]);
        recalls.told(BrokerId(1), (0, 11), GROUP, 1, something(3, (3, 50)));
        recalls.told(BrokerId(2), (0, 22), GROUP, 1, Told::Past);
        assert!(!recalls.tick(at(RECALL_RETRY_MS - 1)));
        assert!(recalls.tick(at(RECALL_RETRY_MS)));
        assert_eq!(asked(&mut recalls, at(RECALL_RETRY_MS)), [(2, 1)], "the other one knows nothing yet");
        assert_eq!(recalls.waits_for(GROUP), Some(BrokerId(2)));
        recalls.peer_up(BrokerId(1));
        recalls.peer_up(BrokerId(2));
        assert_eq!(asked(&mut recalls, at(RECALL_RETRY_MS)), [(2, 1)]);
    }

    #[test]
    fn a_replica_below_its_floor_asks_anew_after_a_while() {
        let mut recalls = recalls(GROUP);
        recalls.again(GROUP, at(0));
        recalls.tick(at(0));
        assert_eq!(asked(&mut recalls, at(RECALL_AGAIN_MS - 1)), []);
        recalls.tick(at(RECALL_AGAIN_MS));
        assert_eq!(asked(&mut recalls, at(RECALL_AGAIN_MS)), [(1, 2), (2, 2)]);
        // So does one that was below it when this life began, and may be whole by then.
        let mut recalls = Recalls::new(5, at(0));
        recalls.begin(GROUP, vec![BrokerId(1)], false);
        assert!(!recalls.made(GROUP));
        assert_eq!(asked(&mut recalls, at(RECALL_AGAIN_MS - 1)), []);
        recalls.tick(at(RECALL_AGAIN_MS));
        assert_eq!(asked(&mut recalls, at(RECALL_AGAIN_MS)), [(1, 1)]);
    }

    #[test]
    fn who_asks_can_be_asked() {
        let mut recalls = recalls(GROUP);
        asked(&mut recalls, at(0));
        recalls.peer_asks(BrokerId(1), GROUP);
        recalls.peer_asks(BrokerId(9), GROUP);
        assert_eq!(asked(&mut recalls, at(0)), [(1, 1)], "the other one is no voter of the group");
        recalls.told(BrokerId(1), (0, 11), GROUP, 1, Told::Past);
        recalls.peer_asks(BrokerId(1), GROUP);
        assert_eq!(asked(&mut recalls, at(0)), [], "it has told what it knows");
    }

    #[test]
    fn where_nobody_else_votes_the_log_begins_anew() {
        let mut recalls = Recalls::new(5, at(0));
        recalls.begin(GROUP, Vec::new(), true);
        assert!(recalls.made(GROUP), "there is nobody to be asked");
        let floor = Position { term: Term::BIRTH, index: Index::BIRTH };
        assert_eq!(outcome(&mut recalls), Outcome::Known { term: Term::BIRTH, floor });
    }

    #[test]
    fn questions_are_many_to_a_message_but_not_too_many() {
        let mut recalls = Recalls::new(5, at(0));
        for group in 0..=RECALL_ITEMS_MAX as u64 {
            recalls.begin(GroupId(7 + group), vec![BrokerId(1)], true);
            recalls.made(GroupId(7 + group));
        }
        let questions = recalls.questions(at(0), 9, |_| Some((true, Index::BIRTH)));
        let counts = questions.iter().map(|(_, message)| match message {
            RecallMessage::Ask { asked, .. } => asked.len(),
            RecallMessage::Tell { .. } => 0,
        });
        assert_eq!(counts.collect::<Vec<_>>(), [RECALL_ITEMS_MAX, 1]);
    }

    #[test]
    fn a_new_cluster_begins_when_all_or_a_majority_for_long_know_nothing() {
        let birth = |told: [Option<Told>; 2], ms| {
            let mut recalls = recalls(GroupId::CONTROLLER);
            for (broker, told) in [1, 2].into_iter().zip(told) {
                if let Some(told) = told {
                    recalls.told(BrokerId(broker), (broker.unsigned_abs().into(), 11), GroupId::CONTROLLER, 1, told);
                }
            }
            match recalls.outcome(GroupId::CONTROLLER, Memory::Asking, at(ms)) {
                Outcome::Birth(with) => Some(with.len()),
                Outcome::Open | Outcome::Known { .. } => None,
            }
        };
        let nothing = Some(Told::Nothing);
        assert_eq!(birth([nothing, nothing], 0), Some(2));
        assert_eq!(birth([nothing, None], BOOTSTRAP_WAIT_MS - 1), None);
        assert_eq!(birth([nothing, None], BOOTSTRAP_WAIT_MS), Some(1));
        assert_eq!(birth([None, None], BOOTSTRAP_WAIT_MS), None, "one alone is no majority");
        assert_eq!(birth([nothing, Some(something(1, (1, 1)))], BOOTSTRAP_WAIT_MS), None, "somebody knows something");
        assert_eq!(birth([nothing, Some(Told::Past)], BOOTSTRAP_WAIT_MS), None, "somebody heard of something");
        let last = Position { term: Term::BIRTH, index: Index::BIRTH };
        let with_me = Told::Something { term: Term::BIRTH, last, is_birth: true };
        assert_eq!(birth([Some(with_me), None], 0), Some(0), "born together with another, vouching for nobody");
    }
}
