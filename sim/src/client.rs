//! One simulated client: asks one thing at a time, in encoded frames, and believes what it is told.
//!
//! Sans-IO: whoever carries its frames (the event heap, a madsim task) calls [`Client::next`] with what came of the last
//! [`Action`] and performs the next one. It learns leaders from Metadata, sends again after an unknown outcome (the same bytes, so
//! that a value may be stored twice), and polls from its own positions. What it is told goes into the [`History`].

mod shorten;

use crate::action::{Action, Outcome};
use crate::batch;
use crate::check::history::{History, Key};
use crate::check::promises::{Asked, Note};
use crate::check::watch::{Breach, breach};
use crate::idempotent::Idempotent;
use crate::lives::Lives;
use crate::report::Counters;
use crate::wire::{self, FetchPart, PartitionSeen, ProducePart, error};
use crate::workload::{TopicPlan, Workload};
use bytes::Bytes;
use ottla_core::random::Random;
use std::collections::{BTreeMap, VecDeque};

/// What all clients of a run share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// What clients were told.
    pub(crate) history: History,
    /// What the topics are.
    pub(crate) topics: Vec<TopicPlan>,
    /// Which topics are known to exist.
    pub(crate) created: Vec<bool>,
    /// Their lives.
    pub(crate) lives: Lives,
    /// Whether the faults are over and only the last reads remain.
    pub(crate) is_final: bool,
    /// How many clients still ask for something; the first one reads last, when nobody else does.
    pub(crate) active: usize,
    /// Vacuity counters of clients.
    pub(crate) counters: Counters,
}

impl Shared {
    /// Before anything was done.
    pub(crate) fn new(topics: Vec<TopicPlan>, clients: usize) -> Shared {
        Shared {
            history: History::default(),
            created: vec![false; topics.len()],
            lives: Lives::default(),
            topics,
            is_final: false,
            active: clients,
            counters: Counters::default(),
        }
    }

    /// What the topic of a partition is.
    fn plan(&self, key: Key) -> &TopicPlan {
        &self.topics[self.lives.get(key.life).topic]
    }
}

#[derive(Clone, Debug)]
struct Batch {
    key: Key,
    values: Vec<u64>,
    bytes: Bytes,
    acks: i16,
}

#[derive(Debug)]
enum Doing {
    Nothing,
    Metadata { version: i16 },
    Create { topic: usize, version: i16 },
    Delete { life: usize },
    Produce { batches: Vec<Batch>, acks: i16, version: i16 },
    Fetch { keys: Vec<(Key, i64)>, version: i16 },
    DeleteRecords { key: Key, offset: i64, version: i16 },
    Offsets { key: Key, version: i16, is_end: bool, is_by_time: bool, told: usize },
}

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    id: usize,
    brokers: usize,
    random: Random,
    workload: Workload,
    correlation: i32,
    leaders: BTreeMap<Key, PartitionSeen>,
    is_stale: bool,
    doing: Doing,
    again: VecDeque<Batch>,
    /// A topic whose deletion was asked for and not answered.
    deleting: Option<usize>,
    positions: BTreeMap<Key, i64>,
    /// Partitions that do not have its position any more.
    to_restart: Vec<Key>,
    /// Final phase: partitions still to be written and to be read to their end.
    to_prove: Option<Vec<Key>>,
    to_read: BTreeMap<Key, i64>,
    /// For the paragraph of a liveness failure.
    last_trouble: String,
    /// It is an idempotent producer and does nothing else.
    idempotent: Option<Idempotent>,
}

impl Client {
    pub(crate) fn new(seed: u64, id: usize, brokers: usize, workload: Workload) -> Client {
        let mut random = Random::stream(seed, 1000 + u64::try_from(id).expect("few clients"));
        let is_idempotent = (1..=workload.idempotent).contains(&id);
        Client {
            id,
            brokers,
            idempotent: is_idempotent.then(|| Idempotent::new(id, brokers, &mut random)),
            random,
            workload,
            correlation: 0,
            leaders: BTreeMap::new(),
            is_stale: true,
            doing: Doing::Nothing,
            again: VecDeque::new(),
            deleting: None,
            positions: BTreeMap::new(),
            to_restart: Vec::new(),
            to_prove: None,
            to_read: BTreeMap::new(),
            last_trouble: String::new(),
        }
    }

    /// Why the client is not done, for people.
    pub(crate) fn trouble(&self) -> String {
        if let Some(idempotent) = &self.idempotent {
            return idempotent.trouble();
        }
        format!(
            "client {} still has to write {:?} and to read {:?}; its last trouble was {}",
            self.id,
            self.to_prove.as_deref().unwrap_or_default(),
            self.to_read,
            if self.last_trouble.is_empty() { "none" } else { &self.last_trouble }
        )
    }

    /// Reads everything once more from where logs start, as a new consumer would.
    pub(crate) fn rewind(&mut self) {
        self.positions.clear();
    }

    /// Takes in what came of the last action and says the next.
    pub(crate) fn next(&mut self, shared: &mut Shared, outcome: Outcome) -> Result<Action, Breach> {
        if let Some(idempotent) = &mut self.idempotent {
            return idempotent.next(shared, &mut self.random, &self.workload, outcome);
        }
        let doing = std::mem::replace(&mut self.doing, Doing::Nothing);
        match outcome {
            Outcome::Ready => {}
            Outcome::Reply(frame) => self.replied(shared, doing, frame)?,
            Outcome::Lost => self.lost(shared, doing),
        }
        Ok(self.choose(shared))
    }

    // ---- what next ----

    fn choose(&mut self, shared: &mut Shared) -> Action {
        if let Some(life) = self.deleting {
            return self.delete(shared, life);
        }
        if let Some(topic) = (self.id == 0).then(|| shared.created.iter().position(|c| !*c)).flatten() {
            let is_first = topic == 0 || shared.is_final;
            if is_first || self.random.chance(1, 12) || !shared.created[0] {
                return self.create(shared, topic);
            }
        }
        if self.is_stale || self.random.chance(1, 64) {
            return self.ask_metadata();
        }
        if let Some(action) = self.restart(shared) {
            return action;
        }
        if shared.is_final {
            return self.choose_final(shared);
        }
        if let Some(life) = self.mortal(shared) {
            shared.lives.doom(life);
            self.deleting = Some(life);
            return self.delete(shared, life);
        }
        if let Some(action) = self.shorten(shared) {
            return action;
        }
        if !self.random.chance(self.workload.busy_percent, 100) {
            return Action::Sleep { us: self.random.between(1_000, self.workload.think_us_max) };
        }
        let keys: Vec<Key> = self.leaders.keys().copied().collect();
        if keys.is_empty() {
            self.is_stale = true;
            return Action::Sleep { us: 50_000 };
        }
        let key = keys[usize::try_from(self.random.below(u64::try_from(keys.len()).expect("small"))).expect("an index")];
        let dice = self.random.below(100);
        if dice < self.workload.produce_percent {
            self.produce(shared, key)
        } else if dice < self.workload.produce_percent + self.workload.fetch_percent {
            self.fetch(shared, key)
        } else {
            self.offsets(shared, key)
        }
    }

    fn choose_final(&mut self, shared: &mut Shared) -> Action {
        if self.id != 0 {
            shared.active -= 1;
            return Action::Done;
        }
        if shared.active > 1 {
            return Action::Sleep { us: 20_000 };
        }
        if self.to_prove.is_none() {
            let lives: Option<Vec<usize>> = (0..shared.topics.len()).map(|topic| shared.lives.current(topic)).collect();
            let Some(lives) = lives else {
                self.last_trouble = "a topic that was created is not in Metadata".into();
                self.is_stale = true;
                if self.random.chance(1, 30) {
                    shared.created.clone_from(&shared.lives.are_there(shared.topics.len()));
                }
                return Action::Sleep { us: 20_000 };
            };
            let all: Vec<Key> = lives
                .into_iter()
                .zip(&shared.topics)
                .flat_map(|(life, plan)| (0..plan.partitions).map(move |partition| Key { life, partition }))
                .collect();
            self.to_read = all.iter().map(|key| (*key, 0)).collect();
            self.to_prove = Some(all);
            self.again.clear();
        }
        let next = self.to_prove.iter().flatten().chain(self.to_read.keys()).next().copied();
        let Some(key) = next else { return Action::Done };
        let topic = shared.lives.get(key.life).topic;
        if shared.lives.current(topic) != Some(key.life) {
            // A deletion that was asked long ago came true: the next life of the topic is to be proved instead.
            self.to_prove = None;
            return Action::Sleep { us: 20_000 };
        }
        if !self.leaders.contains_key(&key) {
            self.is_stale = true;
            if shared.topics[topic].is_mortal && self.random.chance(1, 30) {
                shared.created[topic] = false;
            }
            return Action::Sleep { us: 20_000 };
        }
        if self.to_prove.as_ref().is_some_and(|list| !list.is_empty()) {
            let batch = self.batch(shared, key, 1, -1);
            return self.produce_batches(shared, vec![batch], -1);
        }
        let position = self.to_read[&key];
        self.fetch_from(shared, vec![(key, position)], 1 << 20)
    }

    fn broker_of(&mut self, key: Key) -> usize {
        let known = self.leaders.get(&key).and_then(|seen| usize::try_from(seen.leader).ok());
        known.filter(|b| *b < self.brokers).unwrap_or_else(|| {
            self.is_stale = true;
            self.any_broker()
        })
    }

    fn any_broker(&mut self) -> usize {
        usize::try_from(self.random.below(u64::try_from(self.brokers).expect("few"))).expect("an index")
    }

    fn correlation(&mut self) -> i32 {
        self.correlation += 1;
        self.correlation
    }

    fn version(&mut self, low: i16, high: i16) -> i16 {
        let span = u64::try_from(high - low + 1).expect("ordered");
        low + i16::try_from(self.random.below(span)).expect("small")
    }

    fn ask_metadata(&mut self) -> Action {
        let version = self.version(10, 13);
        let correlation = self.correlation();
        self.doing = Doing::Metadata { version };
        Action::Ask {
            broker: self.any_broker(),
            frame: wire::metadata(version, correlation),
            note: Note::Other,
            wait_us: 1_500_000,
        }
    }

    fn create(&mut self, shared: &mut Shared, topic: usize) -> Action {
        let version = self.version(2, 7);
        let correlation = self.correlation();
        let plan = &shared.topics[topic];
        let replicas = i16::try_from(plan.replicas).expect("few");
        let frame = wire::create_topic(&plan.name, plan.partitions, replicas, &plan.configs, version, correlation);
        self.doing = Doing::Create { topic, version };
        self.last_trouble = format!("no answer to CreateTopics of {}", shared.topics[topic].name);
        Action::Ask { broker: self.any_broker(), frame, note: Note::Other, wait_us: 3_000_000 }
    }

    /// Now and then the first client deletes a topic that may be deleted.
    fn mortal(&mut self, shared: &Shared) -> Option<usize> {
        if self.id != 0 || !shared.topics.iter().any(|plan| plan.is_mortal) || !self.random.chance(1, 40) {
            return None;
        }
        let topics = (0..shared.topics.len()).filter(|topic| shared.topics[*topic].is_mortal && shared.created[*topic]);
        let lives: Vec<usize> = topics.filter_map(|topic| shared.lives.current(topic)).collect();
        let count = u64::try_from(lives.len()).expect("few");
        lives.get(usize::try_from(self.random.below(count)).expect("an index")).copied()
    }

    fn delete(&mut self, shared: &Shared, life: usize) -> Action {
        let correlation = self.correlation();
        let frame = wire::delete_topic(shared.lives.get(life).id, correlation);
        self.doing = Doing::Delete { life };
        self.last_trouble = format!("no answer to DeleteTopics of life {life}");
        Action::Ask { broker: self.any_broker(), frame, note: Note::Other, wait_us: 3_000_000 }
    }

    fn batch(&mut self, shared: &mut Shared, key: Key, count: u64, acks: i16) -> Batch {
        let values: Vec<u64> = (0..count).map(|_| shared.history.new_value(key)).collect();
        let size = usize::try_from(self.random.between(8, self.workload.value_bytes_max)).expect("small");
        let timestamp = 1_767_225_600_000 + i64::try_from(values.first().copied().unwrap_or(0)).expect("small");
        let bytes = batch::build(&values, timestamp, size);
        Batch { key, values, bytes, acks }
    }

    fn produce(&mut self, shared: &mut Shared, key: Key) -> Action {
        if let Some(batch) = self.again.pop_front() {
            shared.counters.retries += 1;
            let acks = batch.acks;
            return self.produce_batches(shared, vec![batch], acks);
        }
        let acks = match self.random.below(100) {
            dice if dice < self.workload.acks_none_percent => 0,
            dice if dice < self.workload.acks_none_percent + self.workload.acks_leader_percent => 1,
            _ => -1,
        };
        let leader = self.broker_of(key);
        let mut keys = vec![key];
        if self.random.chance(1, 3) {
            let same: Vec<Key> = self
                .leaders
                .iter()
                .filter(|(k, seen)| **k != key && usize::try_from(seen.leader) == Ok(leader))
                .map(|(k, _)| *k)
                .take(2)
                .collect();
            keys.extend(same);
        }
        let mut batches = Vec::new();
        for key in keys {
            let count = self.random.between(1, self.workload.batch_values_max);
            batches.push(self.batch(shared, key, count, acks));
        }
        self.produce_batches(shared, batches, acks)
    }

    fn produce_batches(&mut self, shared: &mut Shared, batches: Vec<Batch>, acks: i16) -> Action {
        let broker = self.broker_of(batches[0].key);
        // By name it would reach whichever life is there.
        let is_mortal = batches.iter().any(|batch| shared.plan(batch.key).is_mortal);
        let version = if is_mortal { 13 } else { self.version(3, 13) };
        let correlation = self.correlation();
        let mut asked = Vec::new();
        let mut parts = Vec::new();
        for batch in &batches {
            for value in &batch.values {
                shared.history.sending(*value);
            }
            let plan = shared.plan(batch.key);
            let id = shared.lives.get(batch.key.life).id;
            asked.push(Asked {
                topic: plan.name.clone(),
                id,
                partition: batch.key.partition,
                replicas: plan.replicas,
                crc: batch::crc_of(&batch.bytes),
                is_mortal: plan.is_mortal,
                is_damaged: false,
            });
            parts.push(ProducePart {
                topic: plan.name.clone(),
                id,
                partition: batch.key.partition,
                batch: plan.sent(&batch.bytes, version),
            });
        }
        let frame = wire::produce(&parts, acks, 2_000, version, correlation);
        if acks == 0 {
            return Action::Tell { broker, frame };
        }
        let note = if acks == -1 { Note::ProduceAll { version, asked } } else { Note::Other };
        self.doing = Doing::Produce { batches, acks, version };
        Action::Ask { broker, frame, note, wait_us: self.workload.patience_us }
    }

    fn fetch(&mut self, shared: &Shared, key: Key) -> Action {
        let position = self.positions.get(&key).copied().unwrap_or(0);
        let leader = self.leaders.get(&key).map(|seen| seen.leader);
        let mut keys = vec![(key, position)];
        if self.random.chance(1, 3) {
            let other = self.leaders.iter().find(|(k, seen)| **k != key && Some(seen.leader) == leader).map(|(k, _)| *k);
            keys.extend(other.map(|k| (k, self.positions.get(&k).copied().unwrap_or(0))));
        }
        let bytes = i32::try_from(self.random.between(100, 20_000)).expect("small");
        self.fetch_from(shared, keys, bytes)
    }

    fn fetch_from(&mut self, shared: &Shared, keys: Vec<(Key, i64)>, bytes_max: i32) -> Action {
        let broker = self.broker_of(keys[0].0);
        let is_mortal = keys.iter().any(|(key, _)| shared.plan(*key).is_mortal);
        let version = if is_mortal { self.version(13, 17) } else { self.version(4, 17) };
        let correlation = self.correlation();
        let has_epoch = version >= 9 && self.random.chance(1, 2);
        let mut parts = Vec::new();
        for (key, offset) in &keys {
            let Some(seen) = self.leaders.get(key) else { continue };
            parts.push(FetchPart {
                topic: seen.topic.clone(),
                id: seen.id,
                partition: key.partition,
                offset: *offset,
                epoch: if has_epoch { seen.epoch } else { -1 },
                bytes_max,
            });
        }
        let wait_ms = i32::try_from(self.random.below(300)).expect("small");
        let frame = wire::fetch(&parts, wait_ms, version, correlation);
        self.doing = Doing::Fetch { keys, version };
        Action::Ask { broker, frame, note: Note::Other, wait_us: 1_500_000 }
    }

    fn offsets(&mut self, shared: &Shared, key: Key) -> Action {
        let is_end = self.random.chance(3, 4);
        // The first record of all times is the one with which the log starts; to look for it takes a while.
        let is_by_time = !is_end && self.correlation % 2 == 0;
        self.ask_offsets(shared, key, is_end, is_by_time)
    }

    fn ask_offsets(&mut self, shared: &Shared, key: Key, is_end: bool, is_by_time: bool) -> Action {
        let broker = self.broker_of(key);
        let version = self.version(1, 10);
        let correlation = self.correlation();
        let topic = &shared.plan(key).name;
        let start = if is_by_time { 0 } else { -2 };
        let timestamp = if is_end { -1 } else { start };
        let frame = wire::list_offsets(topic, key.partition, timestamp, version, correlation);
        let told = if is_end { shared.history.latest_told(key) } else { shared.history.earliest_told(key) };
        let note = if is_end && !shared.plan(key).is_mortal {
            Note::Latest { version, label: format!("{topic}-{}", key.partition) }
        } else {
            Note::Other
        };
        self.doing = Doing::Offsets { key, version, is_end, is_by_time, told };
        Action::Ask { broker, frame, note, wait_us: 1_500_000 }
    }

    // ---- what came ----

    fn lost(&mut self, shared: &mut Shared, doing: Doing) {
        self.is_stale = true;
        match doing {
            Doing::Produce { batches, .. } => {
                self.last_trouble = format!("no answer to Produce to {:?}", batches.first().map(|b| b.key));
                for batch in batches {
                    self.unknown(shared, batch);
                }
            }
            Doing::Fetch { keys, .. } => self.last_trouble = format!("no answer to Fetch of {keys:?}"),
            Doing::Metadata { .. } => self.last_trouble = "no answer to Metadata".into(),
            Doing::Delete { life } => self.last_trouble = format!("no answer to DeleteTopics of life {life}"),
            Doing::Create { topic, .. } => self.last_trouble = format!("no answer to CreateTopics of topic {topic}"),
            Doing::DeleteRecords { key, .. } => self.last_trouble = format!("no answer to DeleteRecords of {key:?}"),
            Doing::Offsets { key, .. } => self.last_trouble = format!("no answer to ListOffsets of {key:?}"),
            Doing::Nothing => {}
        }
    }

    /// Whether the batch was stored is not known: it may be sent again, later, in any order with others.
    fn unknown(&mut self, shared: &mut Shared, batch: Batch) {
        shared.counters.unknown += 1;
        if self.again.len() < 4 && self.random.chance(1, 2) {
            self.again.push_back(batch);
        }
    }

    fn replied(&mut self, shared: &mut Shared, doing: Doing, frame: Bytes) -> Result<(), Breach> {
        let malformed =
            |what: &str| Breach { check: "codec", what: format!("A response is well formed, but one to {what} is not.") };
        match doing {
            Doing::Nothing => breach("codec", "A response answers a request, but one came unasked.".into()),
            Doing::Metadata { version } => {
                let seen = wire::metadata_answer(frame, version).map_err(|_| malformed("Metadata"))?;
                self.learn(shared, seen)
            }
            Doing::Create { topic, version } => {
                let answer = wire::create_topic_answer(frame, version).map_err(|_| malformed("CreateTopics"))?;
                match answer {
                    Some(error::NONE | error::TOPIC_ALREADY_EXISTS) => {
                        shared.created[topic] = true;
                        shared.counters.topics += 1;
                        self.is_stale = true;
                    }
                    other => self.last_trouble = format!("CreateTopics of topic {topic} answered {other:?}"),
                }
                Ok(())
            }
            Doing::Delete { life } => {
                let answer = wire::delete_topic_answer(frame).map_err(|_| malformed("DeleteTopics"))?;
                match answer {
                    Some(error @ (error::NONE | error::UNKNOWN_TOPIC_ID)) => {
                        self.deleting = None;
                        self.is_stale = true;
                        shared.created[shared.lives.get(life).topic] = false;
                        // An earlier attempt may have done it, or a deposed controller that does not know it yet never heard of the
                        // topic (Kafka's answers refusals from what it has as well): the next life will prove it.
                        if error == error::NONE {
                            shared.lives.bury(life);
                            shared.counters.deleted += 1;
                        }
                    }
                    other => self.last_trouble = format!("DeleteTopics of life {life} answered {other:?}"),
                }
                Ok(())
            }
            Doing::Produce { batches, acks, version } => {
                let answers = wire::produce_answers(frame, version).map_err(|_| malformed("Produce"))?;
                self.produced(shared, batches, acks, &answers)
            }
            Doing::Fetch { keys, version } => {
                let (error, answers) = wire::fetch_answers(frame, version).map_err(|_| malformed("Fetch"))?;
                if error != error::NONE {
                    self.is_stale = true;
                    self.last_trouble = format!("Fetch answered error {error}");
                    return Ok(());
                }
                self.fetched(shared, &keys, answers)
            }
            Doing::DeleteRecords { key, offset, version } => self.deletion_replied(shared, key, offset, version, frame),
            Doing::Offsets { key, version, is_end, is_by_time, told } => {
                let answer = wire::list_offsets_answer(frame, version).map_err(|_| malformed("ListOffsets"))?;
                match answer {
                    Some((error::NONE, -1, _)) if is_by_time => Ok(()),
                    Some((error::NONE, offset, epoch)) if !is_end => self.started(shared, key, told, epoch, offset),
                    Some((error::NONE, offset, _)) if is_end && offset < 0 => {
                        breach("list-offsets", format!("The latest offset is 0 or more, but {key:?} said {offset}."))
                    }
                    // By name an answer may be of another life.
                    Some((error::NONE, offset, epoch)) if is_end && epoch >= 0 && !shared.plan(key).is_mortal => {
                        shared.history.latest(key, epoch, offset, told)
                    }
                    Some((error::NONE, ..)) => Ok(()),
                    other => {
                        self.is_stale = true;
                        self.last_trouble = format!("ListOffsets of {key:?} answered {other:?}");
                        Ok(())
                    }
                }
            }
        }
    }

    fn learn(&mut self, shared: &mut Shared, seen: Vec<PartitionSeen>) -> Result<(), Breach> {
        self.is_stale = false;
        for partition in seen {
            let Some(topic) = shared.topics.iter().position(|plan| plan.name == partition.topic) else { continue };
            let key = Key { life: shared.lives.seen(topic, partition.id)?, partition: partition.partition };
            if partition.leader < 0 || partition.error == error::LEADER_NOT_AVAILABLE {
                self.last_trouble = format!("Metadata knows no leader of {key:?}");
            }
            // What an earlier answer of another broker said may be newer.
            if self.leaders.get(&key).is_none_or(|known| known.epoch <= partition.epoch) {
                self.leaders.insert(key, partition);
            }
        }
        Ok(())
    }

    /// A broker does not know the topic: it is deleted, or the broker is late. Metadata will tell.
    fn forget(&mut self, key: Key, error: i16) {
        if error == error::UNKNOWN_TOPIC_ID || error == error::UNKNOWN_TOPIC_OR_PARTITION {
            self.leaders.remove(&key);
        }
    }

    fn produced(
        &mut self,
        shared: &mut Shared,
        batches: Vec<Batch>,
        acks: i16,
        answers: &[wire::ProduceAnswer],
    ) -> Result<(), Breach> {
        for batch in batches {
            let name = &shared.plan(batch.key).name;
            let id = shared.lives.get(batch.key.life).id;
            let answer = answers
                .iter()
                .find(|a| a.partition == batch.key.partition && (a.topic == *name || (a.topic.is_empty() && a.id == id)));
            let Some(answer) = answer else {
                return breach("codec", format!("A response names every partition asked, but {:?} is missing.", batch.key));
            };
            if answer.error == error::NONE {
                if acks == -1 {
                    shared.counters.acked += 1;
                    for (n, value) in batch.values.iter().enumerate() {
                        shared.history.acked(*value, answer.base_offset + i64::try_from(n).expect("small"))?;
                    }
                    if let Some(list) = &mut self.to_prove {
                        list.retain(|key| *key != batch.key);
                    }
                } else {
                    shared.counters.acked_leader += 1;
                }
            } else {
                self.is_stale = true;
                self.last_trouble = format!("Produce to {:?} answered error {}", batch.key, answer.error);
                self.forget(batch.key, answer.error);
                // Even NOT_LEADER_OR_FOLLOWER may come after the append: the leader stepped down while the request waited.
                if answer.error != error::UNKNOWN_TOPIC_OR_PARTITION
                    && answer.error != error::UNKNOWN_TOPIC_ID
                    && answer.error != error::NOT_ENOUGH_REPLICAS
                    && answer.error != error::KAFKA_STORAGE_ERROR
                    && answer.error != error::INVALID_TIMESTAMP
                {
                    self.unknown(shared, batch);
                } else if answer.error == error::NOT_ENOUGH_REPLICAS {
                    shared.counters.unknown += 1;
                }
                shared.counters.storage_errors += u64::from(answer.error == error::KAFKA_STORAGE_ERROR);
            }
        }
        Ok(())
    }

    fn fetched(&mut self, shared: &mut Shared, keys: &[(Key, i64)], answers: Vec<wire::FetchAnswer>) -> Result<(), Breach> {
        for answer in answers {
            let found = keys.iter().find(|(key, _)| {
                key.partition == answer.partition
                    && self
                        .leaders
                        .get(key)
                        .is_some_and(|seen| seen.topic == answer.topic || (answer.topic.is_empty() && seen.id == answer.id))
            });
            let Some((key, position)) = found.copied() else {
                return breach(
                    "codec",
                    format!("A response names what was asked, but {}-{} was not.", answer.topic, answer.partition),
                );
            };
            if answer.error != error::NONE {
                self.is_stale = true;
                self.last_trouble = format!("Fetch of {key:?} at {position} answered error {}", answer.error);
                self.forget(key, answer.error);
                if answer.error == error::OFFSET_OUT_OF_RANGE {
                    // A deposed leader that does not know it yet may have less; the next one has all that was read.
                    self.last_trouble.push_str(" (out of range)");
                    self.out_of_range(shared, key);
                }
                continue;
            }
            let records = match answer.records {
                Ok(records) => records,
                Err(what) => return breach("codec", format!("A consumer can read what it is sent, but in {key:?}: {what}.")),
            };
            if let Some(last) = records.last()
                && last.offset >= answer.high_watermark
            {
                return breach(
                    "dirty-read",
                    format!(
                        "Only what is committed is read, but offset {} of {key:?} came with high watermark {}.",
                        last.offset, answer.high_watermark
                    ),
                );
            }
            let next = shared.history.read(self.id, key, position, &records)?;
            if let Some(place) = self.to_read.get_mut(&key) {
                *place = next;
                if next >= answer.high_watermark && next >= shared.history.known_end(key) {
                    self.to_read.remove(&key);
                }
            } else {
                self.positions.insert(key, next);
            }
            // Now and then a consumer starts over, as a fresh one would.
            if next > 0 && self.random.chance(1, 200) && !shared.is_final {
                self.positions.insert(key, 0);
            }
        }
        Ok(())
    }
}
