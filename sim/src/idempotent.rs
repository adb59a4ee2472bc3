//! An idempotent producer among the clients: numbers its batches, has up to five requests in flight, and sends what was not acknowledged
//! again, in order and byte for byte, until it is.
//!
//! Writes to one partition of a topic of its own kind with acks=all. Some start near the greatest sequence, so that the numbers wrap; now
//! and then one takes a new epoch and lets a batch of the old one follow, as a producer would that was believed dead: nobody may take it.
//! Sometimes it sends again what was acknowledged, or leaves a sequence out, which nobody may take either. Sans-IO like
//! [`crate::client::Client`], of which it is one way to live.
//!
//! Source: KIP-98 and KIP-360 for what a producer may do; the Java client's `TransactionManager` for what it does.

use crate::action::{Action, Outcome};
use crate::batch;
use crate::check::history::Key;
use crate::check::promises::{Asked, Note};
use crate::check::watch::{Breach, breach};
use crate::client::Shared;
use crate::wire::{self, PartitionSeen, ProduceAnswer, ProducePart, error};
use crate::workload::{ONCE, Workload};
use bytes::Bytes;
use ottla_core::log::sequence_plus;
use ottla_core::random::Random;
use std::collections::VecDeque;

/// What the Java client has in flight at most, and what brokers remember.
const IN_FLIGHT_MAX: usize = 5;

/// A batch with its number.
#[derive(Clone, Debug)]
struct Numbered {
    /// Its number among all batches.
    number: u64,
    epoch: i16,
    sequence: i32,
    values: Vec<u64>,
    bytes: Bytes,
}

/// What a batch is sent for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Why {
    /// It is not acknowledged.
    Due,
    /// It was acknowledged: the same answer is due.
    Again,
    /// Its epoch is over: nobody takes it.
    Late,
    /// Batches before it were never sent: nobody takes it.
    Gap,
}

/// The producer.
#[derive(Debug)]
pub(crate) struct Idempotent {
    /// Its producer id, never given out by a broker.
    id: i64,
    brokers: usize,
    epoch: i16,
    next: i32,
    correlation: i32,
    place: Option<(Key, PartitionSeen)>,
    is_stale: bool,
    metadata: Option<i16>,
    /// Not acknowledged, in order.
    due: VecDeque<Numbered>,
    /// How many batches there were so far.
    numbered: u64,
    /// Acknowledged last, in order, all of the present epoch.
    done: VecDeque<Numbered>,
    /// A batch of the epoch before, to be sent once the present one has begun.
    late: Option<Numbered>,
    /// Whether a batch was ever acknowledged. Before, brokers do not know the producer and take any first sequence (KIP-360): were the first
    /// of several batches refused and the second taken, the first could never follow (KAFKA-14359). So there is one at a time until then.
    is_known: bool,
    /// Asked on the connection and not answered yet, in order.
    asked: VecDeque<(i32, Why, Numbered)>,
    version: i16,
    /// For the paragraph of a liveness failure.
    last_trouble: String,
}

impl Idempotent {
    pub(crate) fn new(id: usize, brokers: usize, random: &mut Random) -> Idempotent {
        let near_the_end = i32::MAX - i32::try_from(random.below(40)).expect("small");
        Idempotent {
            id: 1_000_000 + i64::try_from(id).expect("few clients"),
            brokers,
            epoch: 0,
            next: if random.chance(1, 2) { near_the_end } else { 0 },
            correlation: 0,
            place: None,
            is_stale: true,
            metadata: None,
            due: VecDeque::new(),
            numbered: 0,
            done: VecDeque::new(),
            late: None,
            is_known: false,
            asked: VecDeque::new(),
            version: 0,
            last_trouble: "none".into(),
        }
    }

    /// Why it is not done, for people.
    pub(crate) fn trouble(&self) -> String {
        format!(
            "idempotent producer {} still has {} batches to be acknowledged, the first with epoch {} and sequence {:?}; its last trouble was {}",
            self.id,
            self.due.len(),
            self.epoch,
            self.due.front().map(|batch| batch.sequence),
            self.last_trouble
        )
    }

    /// As [`crate::client::Client::next`].
    pub(crate) fn next(
        &mut self,
        shared: &mut Shared,
        random: &mut Random,
        workload: &Workload,
        outcome: Outcome,
    ) -> Result<Action, Breach> {
        match outcome {
            Outcome::Ready => {}
            Outcome::Lost => {
                self.is_stale = true;
                self.metadata = None;
                self.last_trouble = "no answer".into();
                shared.counters.unknown += u64::try_from(self.asked.len()).expect("few");
                self.asked.clear();
            }
            Outcome::Reply(frame) => {
                self.replied(shared, frame)?;
                if !self.asked.is_empty() {
                    return Ok(Action::Listen { broker: self.leader(), wait_us: workload.patience_us });
                }
            }
        }
        Ok(self.choose(shared, random, workload))
    }

    fn leader(&self) -> usize {
        let leader = self.place.as_ref().and_then(|(_, seen)| usize::try_from(seen.leader).ok());
        leader.filter(|broker| *broker < self.brokers).unwrap_or(0)
    }

    // ---- what next ----

    fn choose(&mut self, shared: &mut Shared, random: &mut Random, workload: &Workload) -> Action {
        if self.is_stale || self.place.is_none() {
            if self.metadata.is_none() && random.chance(1, 2) {
                // Not without pause.
                self.metadata = Some(-1);
                return Action::Sleep { us: random.between(1_000, 50_000) };
            }
            let version = 12;
            self.metadata = Some(version);
            self.correlation += 1;
            let broker = usize::try_from(random.below(u64::try_from(self.brokers).expect("few"))).expect("an index");
            let frame = wire::metadata(version, self.correlation);
            return Action::Ask { broker, frame, note: Note::Other, wait_us: 1_500_000 };
        }
        if shared.is_final && self.due.is_empty() {
            shared.active -= 1;
            return Action::Done;
        }
        if !shared.is_final && self.due.is_empty() && !random.chance(workload.busy_percent, 100) {
            return Action::Sleep { us: random.between(1_000, workload.think_us_max) };
        }
        self.volley(shared, random, workload)
    }

    /// What is sent back to back, without waiting for answers in between.
    fn volley(&mut self, shared: &mut Shared, random: &mut Random, workload: &Workload) -> Action {
        let Some((key, seen)) = self.place.clone() else { return Action::Sleep { us: 1_000 } };
        let mut volley: Vec<(Why, Numbered)> = Vec::new();
        if !shared.is_final {
            if let Some(late) = self.late.take_if(|_| !self.done.is_empty()) {
                volley.push((Why::Late, late));
            } else if self.due.is_empty() && !self.done.is_empty() && random.chance(1, 10) {
                self.begin_epoch(shared, random, workload, key);
            } else if self.due.is_empty() && random.chance(1, 10) {
                volley.extend(self.done.iter().map(|batch| (Why::Again, batch.clone())));
            } else if self.due.is_empty() && !self.done.is_empty() && random.chance(1, 20) {
                let next = self.next;
                // Far away: a frame that is late may come after the sequences in between.
                self.next = sequence_plus(next, 1_000_000);
                let batch = self.batch(shared, random, workload, key);
                self.next = next;
                shared.history.once.fence(&batch.values);
                volley.push((Why::Gap, batch));
            }
            while volley.is_empty() && self.has_room() && (self.due.is_empty() || random.chance(2, 3)) {
                let batch = self.batch(shared, random, workload, key);
                self.due.push_back(batch);
            }
        }
        if volley.is_empty() {
            let in_flight = if self.is_known { IN_FLIGHT_MAX } else { 1 };
            volley.extend(self.due.iter().take(in_flight).map(|batch| (Why::Due, batch.clone())));
        }
        self.version = if random.chance(1, 2) { 9 } else { 13 };
        let mut frames = Vec::new();
        let first = self.correlation + 1;
        for (why, batch) in &volley {
            for value in &batch.values {
                shared.history.sending(*value);
            }
            self.correlation += 1;
            let plan = shared.topics.iter().find(|plan| plan.name == ONCE);
            let sent = plan.map_or_else(|| batch.bytes.clone(), |plan| plan.sent(&batch.bytes, self.version));
            let part = ProducePart { topic: ONCE.into(), id: seen.id, partition: key.partition, batch: sent };
            let frame = wire::produce(&[part], -1, 2_000, self.version, self.correlation);
            let asked = Asked {
                topic: ONCE.into(),
                id: seen.id,
                partition: key.partition,
                replicas: plan.map_or(1, |plan| plan.replicas),
                crc: batch::crc_of(&batch.bytes),
                is_mortal: false,
                is_damaged: false,
            };
            let note = match why {
                Why::Due | Why::Again => Note::ProduceAll { version: self.version, asked: vec![asked] },
                Why::Late | Why::Gap => Note::Other,
            };
            frames.push((frame, note));
        }
        self.asked = (first..).zip(volley).map(|(correlation, (why, batch))| (correlation, why, batch)).collect();
        Action::Volley { broker: self.leader(), frames, wait_us: workload.patience_us }
    }

    /// Brokers remember the last batches, so a producer never goes further than that past one whose outcome it does not know, also when
    /// those behind it were acknowledged.
    fn has_room(&self) -> bool {
        self.due.front().is_none_or(|first| self.numbered - first.number < u64::try_from(IN_FLIGHT_MAX).expect("small"))
    }

    fn batch(&mut self, shared: &mut Shared, random: &mut Random, workload: &Workload, key: Key) -> Numbered {
        let count = random.between(1, workload.batch_values_max);
        let values: Vec<u64> = (0..count).map(|_| shared.history.new_value(key)).collect();
        let size = usize::try_from(random.between(8, workload.value_bytes_max)).expect("small");
        let timestamp = 1_767_225_600_000 + i64::try_from(values.first().copied().unwrap_or(0)).expect("small");
        let (epoch, sequence) = (self.epoch, self.next);
        let bytes = batch::build_numbered(&values, timestamp, size, (self.id, epoch, sequence));
        self.next = sequence_plus(sequence, i32::try_from(count).expect("small"));
        shared.history.once.numbered(self.id, &values);
        let number = self.numbered;
        self.numbered += 1;
        Numbered { number, epoch, sequence, values, bytes }
    }

    /// The next batches are of a new epoch; one of the old one may come later.
    fn begin_epoch(&mut self, shared: &mut Shared, random: &mut Random, workload: &Workload, key: Key) {
        let late = self.batch(shared, random, workload, key);
        shared.history.once.fence(&late.values);
        self.late = Some(late);
        self.done.clear();
        self.epoch += 1;
        self.next = 0;
    }

    // ---- what came ----

    fn replied(&mut self, shared: &mut Shared, frame: Bytes) -> Result<(), Breach> {
        let malformed =
            |what: &str| Breach { check: "codec", what: format!("A response is well formed, but one to {what} is not.") };
        if let Some(version) = self.metadata.take() {
            let seen = wire::metadata_answer(frame, version).map_err(|_| malformed("Metadata"))?;
            return self.learn(shared, seen);
        }
        // A link that was cut for a while has lost whole answers: what they said is not known.
        let correlation = frame.first_chunk().map_or(0, |bytes| i32::from_be_bytes(*bytes));
        while self.asked.pop_front_if(|(asked, ..)| *asked < correlation).is_some() {
            shared.counters.unknown += 1;
        }
        let Some((_, why, batch)) = self.asked.pop_front_if(|(asked, ..)| *asked == correlation) else {
            return breach("codec", "A response answers a request, but one came unasked.".into());
        };
        let answers = wire::produce_answers(frame, self.version).map_err(|_| malformed("Produce"))?;
        let Some(answer) = answers.first() else {
            return breach("codec", "A response names every partition asked, but one is empty.".into());
        };
        self.answered(shared, why, &batch, answer)
    }

    fn learn(&mut self, shared: &mut Shared, seen: Vec<PartitionSeen>) -> Result<(), Breach> {
        let Some(topic) = shared.topics.iter().position(|plan| plan.name == ONCE) else { return Ok(()) };
        let partition = i32::try_from(self.id).expect("small") % shared.topics[topic].partitions;
        let found = seen.into_iter().find(|seen| seen.topic == ONCE && seen.partition == partition);
        let Some(found) = found.filter(|seen| seen.leader >= 0) else {
            self.last_trouble = "Metadata knows no leader".into();
            return Ok(());
        };
        // What an earlier answer of another broker said may be newer.
        if self.place.as_ref().is_none_or(|(_, known)| known.epoch <= found.epoch) {
            self.place = Some((Key { life: shared.lives.seen(topic, found.id)?, partition }, found));
        }
        self.is_stale = false;
        Ok(())
    }

    fn answered(&mut self, shared: &mut Shared, why: Why, batch: &Numbered, answer: &ProduceAnswer) -> Result<(), Breach> {
        let who = format!("producer {} epoch {} sequence {}", self.id, batch.epoch, batch.sequence);
        if answer.error == error::NONE {
            let offset = answer.base_offset;
            if why == Why::Late {
                let what =
                    format!("No batch of an older epoch is taken after one of a newer, but {who} was, at offset {offset}.");
                return breach("zombie-fencing", what);
            }
            if why == Why::Gap {
                let what = format!("No batch is taken after one that is missing, but {who} was, at offset {offset}.");
                return breach("producer-order", what);
            }
            shared.counters.acked += 1;
            self.is_known = true;
            shared.counters.dedup_hits += u64::from(answer.log_append_time_ms >= 0);
            for (n, value) in batch.values.iter().enumerate() {
                shared.history.acked(*value, answer.base_offset + i64::try_from(n).expect("small"))?;
            }
            if why == Why::Due {
                self.due.retain(|other| other.sequence != batch.sequence);
                self.done.push_back(batch.clone());
                if self.done.len() > IN_FLIGHT_MAX {
                    self.done.pop_front();
                }
            }
            return Ok(());
        }
        self.last_trouble = format!("{who} was answered with error {}", answer.error);
        match answer.error {
            error::INVALID_PRODUCER_EPOCH if why == Why::Late => shared.counters.fenced += 1,
            error::INVALID_PRODUCER_EPOCH => {
                return breach(
                    "zombie-fencing",
                    format!("Only what is of an older epoch is fenced, but {who}, the newest, was."),
                );
            }
            error::OUT_OF_ORDER_SEQUENCE_NUMBER => shared.counters.out_of_order += 1,
            _ => self.is_stale = true,
        }
        // A broker that does not know yet that it was deposed knows less: another one is asked next time.
        self.is_stale |= self.asked.is_empty();
        Ok(())
    }
}
