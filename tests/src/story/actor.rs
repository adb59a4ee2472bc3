//! Carries out the commands of a story and says what a Kafka user sees.
//!
//! Clients go to the leader that the reachable broker with the lowest number names, unless `at=` says otherwise. Times are simulated.

mod admin;

use super::command::Command;
use ottla_core::protocol::messages::{
    create_topics, delete_topics, fetch, list_offsets, metadata, offset_for_leader_epoch, produce,
};
use ottla_core::protocol::{ErrorCode, Request, Text, Uuid};
use ottla_core::record::{BatchBuilder, BatchHeader, Records, decompress_body, verify_batch};
use ottla_sim::Shape;
use ottla_sim::story::{NoAnswer, Ticket, World};
use std::collections::{BTreeMap, BTreeSet};

/// Long enough for anything that is going to happen at all: an election takes two seconds at most.
const PATIENCE_MS: u64 = 10_000;

/// The client that asks and waits, and the first of those that send and go on; each of the latter has connections of its own.
const ASKING: usize = 0;
const FIRST_SENDING: usize = 1;
const CLIENTS: usize = 16;

/// The hand behind a story.
#[derive(Default)]
pub struct Actor {
    world: Option<World>,
    brokers: i32,
    down: BTreeSet<i32>,
    isolated: BTreeSet<i32>,
    topics: Vec<String>,
    ids: Vec<Uuid>,
    open: BTreeMap<String, (i32, Ticket)>,
    sending: usize,
}

type Lines = Result<Vec<String>, String>;

impl Actor {
    /// Carries out one command and tells what came of it.
    ///
    /// # Errors
    /// A command that makes no sense.
    pub fn act(&mut self, command: &Command) -> Lines {
        let lines = match command.verb.as_str() {
            "cluster" => self.cluster(command),
            "create-topic" => self.create_topic(command),
            "delete-topic" => self.delete_topic(command),
            "alter-config" => self.alter_config(command),
            "add-partitions" => self.add_partitions(command),
            "elect" => self.elect(command),
            "order" => self.order(command),
            "describe" => self.describe(command),
            "produce" => self.produce(command),
            "answer" => self.answer(command),
            "fetch" => self.fetch(command),
            "offset" => self.offset(command),
            "epoch-end" => self.epoch_end(command),
            "kill" | "power-cut" | "wipe" | "restart" | "isolate" => self.switch(command),
            "heal" => self.heal(),
            "wait" => self.wait(command),
            "settle" => self.settle(),
            other => Err(format!("there is no command {other}")),
        }?;
        command.check_all_used()?;
        Ok(lines)
    }

    fn world(&mut self) -> Result<&mut World, String> {
        self.world.as_mut().ok_or("the story has no cluster yet".to_string())
    }

    /// Asks a broker and waits for the answer.
    fn call<R: Request>(&mut self, at: i32, request: &R, version: i16, ms: u64) -> Result<R::Response, NoAnswer> {
        let Some(world) = self.world.as_mut() else { return Err(NoAnswer::Disconnected) };
        let ticket = world.send(ASKING, index(at), version, request);
        let answer = world.answer::<R>(ticket, ms);
        if answer.is_err() {
            world.disconnect(ASKING, index(at));
        }
        answer
    }

    fn cluster(&mut self, command: &Command) -> Lines {
        self.brokers = command.number("brokers", 3)?;
        let mut shape = Shape::calm(usize::try_from(self.brokers).map_err(|_| "brokers must be 1 or more")?, CLIENTS);
        shape.settings = command.settings();
        shape.racks = command.option("racks").map(list).unwrap_or_default().into_iter().map(str::to_string).collect();
        if let Some(ms) = command.option("sync-ms") {
            let ms: u64 = ms.parse().map_err(|_| format!("sync-ms={ms} is not a number"))?;
            (shape.disk.sync_us_min, shape.disk.sync_us_max) = (ms * 1000, ms * 1000);
        }
        let mut world = World::with_shape(command.number("seed", 1)?, shape);
        world.advance(5_000);
        self.world = Some(world);
        Ok(Vec::new())
    }

    fn create_topic(&mut self, command: &Command) -> Lines {
        use create_topics::request::{Assignments, Configs, Topics};
        let name = command.object()?.to_string();
        let assigned = command.option("leaders").map(list).unwrap_or_default();
        let mut assignments = Vec::new();
        for (index, leader) in (0_i32..).zip(assigned) {
            let leader: i32 = leader.parse().map_err(|_| format!("{leader} is no broker"))?;
            let others = (0..self.brokers).filter(|b| *b != leader);
            assignments.push(Assignments { partition_index: index, broker_ids: std::iter::once(leader).chain(others).collect() });
        }
        let is_assigned = !assignments.is_empty();
        let configs =
            command.settings().into_iter().map(|(name, value)| Configs { name: name.into(), value: Some(value.into()) });
        let topic = Topics {
            name: name.as_str().into(),
            num_partitions: if is_assigned { -1 } else { command.number("partitions", 1)? },
            replication_factor: if is_assigned {
                -1
            } else {
                command.number("replicas", i16::try_from(self.brokers).unwrap_or(3))?
            },
            assignments,
            configs: configs.collect(),
        };
        let request = create_topics::CreateTopicsRequest { topics: vec![topic], timeout_ms: 5_000, validate_only: false };
        let at = self.at(command)?;
        let answer = self.call(at, &request, 7, PATIENCE_MS);
        let line = match answer {
            Err(silence) => silent(at, silence),
            Ok(response) => match response.topics.first() {
                Some(topic) if topic.error_code == 0 => {
                    self.topics.retain(|t| *t != name);
                    self.topics.push(name.clone());
                    let id = self.id_name(topic.topic_id);
                    self.settle()?;
                    format!("topic {name} created, {id}")
                }
                Some(topic) => format!("topic {name} refused: {}", error_name(topic.error_code)),
                None => "an answer without the topic".to_string(),
            },
        };
        Ok(vec![line])
    }

    fn delete_topic(&mut self, command: &Command) -> Lines {
        let name = command.object()?.to_string();
        let topic = delete_topics::request::Topics { name: Some(name.as_str().into()), topic_id: Uuid::default() };
        let request = delete_topics::DeleteTopicsRequest { topics: vec![topic], timeout_ms: 5_000, ..Default::default() };
        let at = self.at(command)?;
        let line = match self.call(at, &request, 6, PATIENCE_MS) {
            Err(silence) => silent(at, silence),
            Ok(response) => match response.responses.first().map_or(-1, |topic| topic.error_code) {
                0 => {
                    self.topics.retain(|t| *t != name);
                    self.world()?.advance(1_000);
                    format!("topic {name} deleted")
                }
                code => format!("topic {name} not deleted: {}", error_name(code)),
            },
        };
        Ok(vec![line])
    }

    fn describe(&mut self, command: &Command) -> Lines {
        let name = command.object()?.to_string();
        let at = self.at(command)?;
        let topic = match self.metadata(at, &name) {
            Err(silence) => return Ok(vec![silent(at, silence)]),
            Ok(topic) => topic,
        };
        if topic.error_code != 0 {
            return Ok(vec![format!("topic {name}: {}", error_name(topic.error_code))]);
        }
        let mut lines = vec![format!("topic {name}, {}", self.id_name(topic.topic_id))];
        for p in sorted(topic.partitions) {
            lines.push(format!(
                "partition {}: leader {}, epoch {}, replicas {}, in sync {}",
                p.partition_index,
                p.leader_id,
                p.leader_epoch,
                join(&p.replica_nodes),
                join(&sorted(p.isr_nodes.clone()))
            ));
        }
        Ok(lines)
    }

    fn produce(&mut self, command: &Command) -> Lines {
        let (topic, partition) = command.place()?;
        let records = list(command.option("records").ok_or("produce needs records=")?);
        let times = command.option("times").map(list).unwrap_or_default();
        let wall = wall_ms(self.world()?);
        let mut batch = numbered(command)?;
        for (n, record) in records.iter().enumerate() {
            let time = times.get(n).map_or(Ok(wall), |t| t.parse().map_err(|_| format!("{t} is no time")))?;
            batch.push(time, None, Some(record.as_bytes()));
        }
        let acks = match command.option("acks").unwrap_or("all") {
            "all" => -1,
            other => other.parse().map_err(|_| format!("acks={other}"))?,
        };
        let data = produce::request::PartitionData { index: partition, records: Some(batch.build().freeze().into()) };
        let data = produce::request::TopicData { name: topic.as_str().into(), partition_data: vec![data], ..Default::default() };
        let timeout_ms = command.number("timeout", 5_000)?;
        let request = produce::ProduceRequest { transactional_id: None, acks, timeout_ms, topic_data: vec![data] };
        let at = self.leader_or_at(command, &topic, partition)?;
        let is_later = command.option("later").is_some() || acks == 0;
        let client = if is_later { self.next_sending()? } else { ASKING };
        let sent = self.world()?.send(client, index(at), PRODUCE, &request);
        if acks == 0 {
            self.world()?.advance(500);
            return Ok(vec![format!("sent to broker {at}")]);
        }
        if let Some(name) = command.option("later") {
            self.open.insert(name.to_string(), (at, sent));
            self.world()?.advance(500);
            return Ok(vec![format!("sent to broker {at}")]);
        }
        self.outcome(at, sent, PATIENCE_MS)
    }

    /// A request that nobody waits for must not hold up those that follow it on its connection.
    fn next_sending(&mut self) -> Result<usize, String> {
        self.sending += 1;
        if self.sending < CLIENTS {
            Ok(FIRST_SENDING + self.sending - 1)
        } else {
            Err("too many requests nobody waits for".to_string())
        }
    }

    fn answer(&mut self, command: &Command) -> Lines {
        let name = command.object()?;
        let (at, sent) = *self.open.get(name).ok_or(format!("nothing was sent with later={name}"))?;
        let lines = self.outcome(at, sent, 1)?;
        if !lines[0].ends_with("does not answer") {
            self.open.remove(name);
        }
        Ok(lines)
    }

    fn outcome(&mut self, at: i32, sent: Ticket, ms: u64) -> Lines {
        let line = match self.world()?.answer::<produce::ProduceRequest>(sent, ms) {
            Err(silence) => silent(at, silence),
            Ok(response) => {
                let partition = response.responses.first().and_then(|t| t.partition_responses.first());
                let partition = partition.ok_or("an answer without the partition")?;
                let hint = hint(partition.current_leader.leader_id, partition.current_leader.leader_epoch);
                match partition.error_code {
                    0 => format!("broker {at} answers: offset {}", partition.base_offset),
                    code => format!("broker {at} answers: {}{hint}", error_name(code)),
                }
            }
        };
        Ok(vec![line])
    }

    fn fetch(&mut self, command: &Command) -> Lines {
        let (topic, partition) = command.place()?;
        let partition = fetch::request::Partitions {
            partition,
            current_leader_epoch: command.number("epoch", -1)?,
            fetch_offset: command.number("from", 0)?,
            partition_max_bytes: 1 << 20,
            ..Default::default()
        };
        let at = self.leader_or_at(command, &topic, partition.partition)?;
        let topic = fetch::request::Topics { topic: topic.into(), partitions: vec![partition], ..Default::default() };
        let request = fetch::FetchRequest {
            replica_id: -1,
            max_wait_ms: command.number("wait", 100)?,
            min_bytes: 1,
            max_bytes: 1 << 20,
            topics: vec![topic],
            rack_id: command.option("rack").unwrap_or_default().into(),
            ..Default::default()
        };
        let response = match self.call(at, &request, FETCH, PATIENCE_MS) {
            Err(silence) => return Ok(vec![silent(at, silence)]),
            Ok(response) => response,
        };
        let partition = response.responses.first().and_then(|t| t.partitions.first()).ok_or("an answer without the partition")?;
        if partition.error_code != 0 {
            let hint = hint(partition.current_leader.leader_id, partition.current_leader.leader_epoch);
            return Ok(vec![format!("broker {at} answers: {}{hint}", error_name(partition.error_code))]);
        }
        if partition.preferred_read_replica >= 0 {
            return Ok(vec![format!("broker {at} answers: read from broker {}", partition.preferred_read_replica)]);
        }
        let mut lines = records(&partition.records.clone().unwrap_or_default().into_bytes())?;
        lines.push(format!("high watermark {}", partition.high_watermark));
        Ok(lines)
    }

    fn offset(&mut self, command: &Command) -> Lines {
        let (topic, partition) = command.place()?;
        let timestamp = match command.option("at-time").ok_or("offset needs at-time=")? {
            "latest" => -1,
            "earliest" => -2,
            "greatest" => -3,
            other => other.parse().map_err(|_| format!("at-time={other}"))?,
        };
        let at = self.leader_or_at(command, &topic, partition)?;
        let partition = list_offsets::request::Partitions { partition_index: partition, current_leader_epoch: -1, timestamp };
        let topic = list_offsets::request::Topics { name: topic.into(), partitions: vec![partition] };
        let request = list_offsets::ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
        let line = match self.call(at, &request, 7, PATIENCE_MS) {
            Err(silence) => silent(at, silence),
            Ok(response) => {
                let found =
                    response.topics.first().and_then(|t| t.partitions.first()).ok_or("an answer without the partition")?;
                match (found.error_code, found.offset, found.timestamp) {
                    (0, -1, _) => "none".to_string(),
                    (0, offset, -1) => format!("offset {offset}"),
                    (0, offset, time) => format!("offset {offset}, time {time}"),
                    (code, _, _) => format!("broker {at} answers: {}", error_name(code)),
                }
            }
        };
        Ok(vec![line])
    }

    fn epoch_end(&mut self, command: &Command) -> Lines {
        let (topic, partition) = command.place()?;
        let leader_epoch = command.number("epoch", 0)?;
        let at = self.leader_or_at(command, &topic, partition)?;
        let partition = offset_for_leader_epoch::request::Partitions { partition, current_leader_epoch: -1, leader_epoch };
        let topic = offset_for_leader_epoch::request::Topics { topic: topic.into(), partitions: vec![partition] };
        let request = offset_for_leader_epoch::OffsetForLeaderEpochRequest { replica_id: -1, topics: vec![topic] };
        let line = match self.call(at, &request, 4, PATIENCE_MS) {
            Err(silence) => silent(at, silence),
            Ok(response) => {
                let found =
                    response.topics.first().and_then(|t| t.partitions.first()).ok_or("an answer without the partition")?;
                match found.error_code {
                    0 => format!("epoch {} ends at offset {}", found.leader_epoch, found.end_offset),
                    code => format!("broker {at} answers: {}", error_name(code)),
                }
            }
        };
        Ok(vec![line])
    }

    fn switch(&mut self, command: &Command) -> Lines {
        let broker: i32 = command.object()?.parse().ok().filter(|b| (0..self.brokers).contains(b)).ok_or("no such broker")?;
        let is_down = self.down.contains(&broker);
        match command.verb.as_str() {
            "restart" if !is_down => return Err(format!("broker {broker} is running")),
            "kill" | "power-cut" | "wipe" | "isolate" if is_down => return Err(format!("broker {broker} is not running")),
            "restart" => {
                self.down.remove(&broker);
                self.world()?.restart(index(broker));
            }
            "isolate" => {
                self.isolated.insert(broker);
                self.world()?.isolate(index(broker));
            }
            verb => {
                self.down.insert(broker);
                let world = self.world()?;
                match verb {
                    "kill" => world.kill(index(broker)),
                    "wipe" => world.wipe(index(broker)),
                    _ => world.crash(index(broker)),
                }
            }
        }
        Ok(Vec::new())
    }

    fn heal(&mut self) -> Lines {
        self.isolated.clear();
        self.world()?.heal();
        Ok(Vec::new())
    }

    fn wait(&mut self, command: &Command) -> Lines {
        let text = command.object()?;
        let ms = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
            (Some(ms), _) => ms.parse().ok(),
            (None, Some(s)) => s.parse::<u64>().ok().map(|s| s * 1000),
            (None, None) => None,
        };
        self.world()?.advance(ms.ok_or(format!("{text} is no time, say 500ms or 5s"))?);
        Ok(Vec::new())
    }

    /// Runs until all reachable brokers name the same living leaders, these serve, and every running replica is in sync.
    fn settle(&mut self) -> Lines {
        let deadline = 300;
        for _ in 0..deadline {
            self.world()?.advance(100);
            if let Some(lines) = self.settled()? {
                return Ok(lines);
            }
        }
        Err("not settled after 30 s".to_string())
    }

    fn settled(&mut self) -> Result<Option<Vec<String>>, String> {
        let mut lines = Vec::new();
        let reachable = self.reachable();
        for topic in self.topics.clone() {
            let mut views = Vec::new();
            for broker in &reachable {
                match self.metadata(*broker, &topic) {
                    Ok(seen) if seen.error_code == 0 => views.push(sorted(seen.partitions)),
                    Ok(_) | Err(_) => return Ok(None),
                }
            }
            if views.windows(2).any(|pair| pair[0] != pair[1]) {
                return Ok(None);
            }
            for p in views.pop().unwrap_or_default() {
                let in_sync = p.replica_nodes.iter().filter(|b| reachable.contains(b)).all(|b| p.isr_nodes.contains(b));
                let high_watermark = self.latest(p.leader_id, &topic, p.partition_index)?;
                let (true, Some(offset)) = (in_sync && reachable.contains(&p.leader_id), high_watermark) else { return Ok(None) };
                lines.push(format!(
                    "broker {} leads {topic}/{}, epoch {}, high watermark {offset}",
                    p.leader_id, p.partition_index, p.leader_epoch
                ));
            }
        }
        Ok(Some(lines))
    }

    fn latest(&mut self, at: i32, topic: &str, partition: i32) -> Result<Option<i64>, String> {
        if !(0..self.brokers).contains(&at) || self.down.contains(&at) {
            return Ok(None);
        }
        let partition = list_offsets::request::Partitions { partition_index: partition, current_leader_epoch: -1, timestamp: -1 };
        let topic = list_offsets::request::Topics { name: topic.into(), partitions: vec![partition] };
        let request = list_offsets::ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
        let response = self.call(at, &request, 7, 1_000);
        let found = response.ok().and_then(|r| r.topics.first().and_then(|t| t.partitions.first().cloned()));
        Ok(found.filter(|p| p.error_code == 0).map(|p| p.offset))
    }

    fn metadata(&mut self, at: i32, topic: &str) -> Result<metadata::response::Topics, NoAnswer> {
        let topic = metadata::request::Topics { topic_id: Uuid::default(), name: Some(Text::from(topic)) };
        let request =
            metadata::MetadataRequest { topics: Some(vec![topic]), allow_auto_topic_creation: false, ..Default::default() };
        let mut response = self.call(at, &request, 12, 2_000)?;
        if response.topics.is_empty() { Err(NoAnswer::TimedOut) } else { Ok(response.topics.swap_remove(0)) }
    }

    fn reachable(&self) -> Vec<i32> {
        (0..self.brokers).filter(|b| !self.down.contains(b) && !self.isolated.contains(b)).collect()
    }

    fn at(&self, command: &Command) -> Result<i32, String> {
        let first = self.reachable().first().copied().ok_or("no broker is reachable")?;
        let at = command.number("at", first)?;
        if (0..self.brokers).contains(&at) && !self.down.contains(&at) {
            Ok(at)
        } else {
            Err(format!("broker {at} is not running"))
        }
    }

    fn leader_or_at(&mut self, command: &Command, topic: &str, partition: i32) -> Result<i32, String> {
        let at = self.at(command)?;
        if command.option("at").is_some() {
            return Ok(at);
        }
        let seen = self.metadata(at, topic);
        let leader = seen.ok().and_then(|t| t.partitions.iter().find(|p| p.partition_index == partition).map(|p| p.leader_id));
        Ok(leader.filter(|leader| (0..self.brokers).contains(leader) && !self.down.contains(leader)).unwrap_or(at))
    }

    /// Topic ids are random: a story calls them by the order in which it met them.
    fn id_name(&mut self, id: Uuid) -> String {
        let known = self.ids.iter().position(|known| *known == id).unwrap_or_else(|| {
            self.ids.push(id);
            self.ids.len() - 1
        });
        format!("id #{}", known + 1)
    }
}

/// Versions in which topics have names; Produce tells the leader from version 10 on, Fetch from version 12.
const PRODUCE: i16 = 12;
const FETCH: i16 = 12;

/// Simulated time zero of a right wall clock: 2026-01-01, as the simulator has it.
const START_MS: i64 = 1_767_225_600_000;

fn wall_ms(world: &World) -> i64 {
    START_MS + i64::try_from(world.now_us() / 1000).unwrap_or(0)
}

fn index(broker: i32) -> usize {
    usize::try_from(broker).expect("brokers are checked to be in the cluster")
}

fn error_name(code: i16) -> String {
    ErrorCode::from_code(code).map_or_else(|| format!("error {code}"), |code| code.name().to_string())
}

fn silent(at: i32, silence: NoAnswer) -> String {
    match silence {
        NoAnswer::Disconnected => format!("broker {at} closes the connection"),
        NoAnswer::TimedOut => format!("broker {at} does not answer"),
        NoAnswer::Malformed => format!("broker {at} sends nonsense"),
    }
}

fn hint(leader: i32, epoch: i32) -> String {
    if leader < 0 { String::new() } else { format!(", broker {leader} leads with epoch {epoch}") }
}

/// One line per batch: where it is, its epoch, its values.
fn records(mut bytes: &[u8]) -> Lines {
    let mut lines = Vec::new();
    while !bytes.is_empty() {
        let header = verify_batch(bytes).map_err(|e| e.to_string())?;
        let (this, rest) = bytes.split_at(header.total_len());
        let codec = header.codec().map_err(|c| format!("codec {c}"))?;
        let body = decompress_body(codec, &this[BatchHeader::SIZE..], 1 << 20).map_err(|e| format!("{e:?}"))?;
        let mut values = Vec::new();
        for record in Records::new(&body, header.record_count) {
            let record = record.map_err(|e| e.to_string())?;
            values.push(String::from_utf8_lossy(record.value.unwrap_or(b"null")).into_owned());
        }
        lines.push(format!("offset {}, epoch {}: {}", header.base_offset, header.partition_leader_epoch, values.join(" ")));
        bytes = rest;
    }
    Ok(lines)
}

fn list(text: &str) -> Vec<&str> {
    text.split(',').filter(|word| !word.is_empty()).collect()
}

fn join(numbers: &[i32]) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

trait ByNumber {
    fn number(&self) -> i32;
}
impl ByNumber for metadata::response::Partitions {
    fn number(&self) -> i32 {
        self.partition_index
    }
}
impl ByNumber for i32 {
    fn number(&self) -> i32 {
        *self
    }
}

/// An empty batch, of an idempotent producer where `producer=ID:EPOCH` says so.
fn numbered(command: &Command) -> Result<BatchBuilder, String> {
    let Some(producer) = command.option("producer") else { return Ok(BatchBuilder::new()) };
    let (id, epoch) = producer.split_once(':').ok_or(format!("producer={producer} is not id:epoch"))?;
    let id = id.parse().map_err(|_| format!("{id} is no producer id"))?;
    let epoch = epoch.parse().map_err(|_| format!("{epoch} is no epoch"))?;
    Ok(BatchBuilder::new().producer(id, epoch, command.number("sequence", 0)?))
}

fn sorted<T: ByNumber>(mut list: Vec<T>) -> Vec<T> {
    list.sort_by_key(ByNumber::number);
    list
}
