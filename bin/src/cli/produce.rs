//! `ottla produce`: lines of standard input become records.
//!
//! Lines are collected into one batch per partition until a batch is full or the input pauses, then sent to the leaders and waited
//! for. With acks=all the batches carry a producer id and sequence numbers (KIP-98), so that a broker that judges them can tell an
//! attempt whose answer was lost from a new one. Kafka does; Ottla keeps the numbers and does not judge them in this version.

use super::output::{Cell, Report, Section};
use super::partitioner::partition_of;
use super::{Failed, Print, Reach};
use crate::client::{Client, Failure, Target};
use ottla_core::protocol::messages::init_producer_id::InitProducerIdRequest;
use ottla_core::protocol::messages::produce::{ProduceRequest, request, response};
use ottla_core::protocol::{Bytes, ErrorCode, Text};
use ottla_core::record::BatchBuilder;
use std::collections::BTreeMap;
use std::io::BufRead;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Bytes of records after which a batch is full, well under the 1 MiB that brokers take by default.
const BATCH_BYTES: usize = 512 * 1024;
/// A pause of the input after which what is there is sent, so that typed lines arrive at once.
const LINGER: Duration = Duration::from_millis(5);
/// Lines read ahead of the cluster.
const LINES_AHEAD_MAX: usize = 10_000;

/// Which brokers must have a record before it counts as written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Acks {
    /// None: do not wait for any answer.
    #[value(name = "0")]
    None,
    /// The leader has it.
    #[value(name = "1")]
    Leader,
    /// All replicas in sync have it.
    #[value(name = "all", alias = "-1")]
    All,
}

/// The command line of `ottla produce`.
#[derive(Debug, clap::Args)]
pub struct Produce {
    /// The topic; it must exist.
    topic: String,
    /// Write to this partition only.
    #[arg(long, value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// Split every line at the first such text into key and value; lines without it have no key.
    #[arg(long, value_name = "TEXT")]
    key_separator: Option<String>,
    /// Who must have a record before it counts as written.
    #[arg(long, value_enum, default_value_t = Acks::All)]
    acks: Acks,
    /// Records in a batch at most.
    #[arg(long, value_name = "RECORDS", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    #[command(flatten)]
    reach: Reach,
    #[command(flatten)]
    print: Print,
}

impl Produce {
    /// Runs it.
    pub fn run(self) -> Result<ExitCode, Failed> {
        let mut producer = Producer::start(&self)?;
        let lines = lines();
        loop {
            let line = match lines.recv_timeout(LINGER) {
                Ok(line) => line.map_err(|error| Failed(format!("standard input can't be read: {error}")))?,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    producer.flush()?;
                    match lines.recv() {
                        Ok(line) => line.map_err(|error| Failed(format!("standard input can't be read: {error}")))?,
                        Err(mpsc::RecvError) => break,
                    }
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            };
            producer.add(&line)?;
        }
        producer.flush()?;
        self.print.report(&producer.report())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Lines of standard input as they come, without their ends. Read by a thread of its own, which ends with the process.
fn lines() -> mpsc::Receiver<std::io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::sync_channel(LINES_AHEAD_MAX);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().split(b'\n') {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// What was written to a partition.
#[derive(Default)]
struct Written {
    records: i64,
    offset_first: Option<i64>,
    offset_last: Option<i64>,
}

struct Producer<'a> {
    options: &'a Produce,
    client: Client,
    partitions: i32,
    leaders: BTreeMap<i32, i32>,
    /// Producer id and epoch.
    identity: Option<(i64, i16)>,
    sequences: BTreeMap<i32, i32>,
    batches: BTreeMap<i32, BatchBuilder>,
    /// Where records without a key go until the next flush.
    sticky: i32,
    written: BTreeMap<i32, Written>,
}

impl<'a> Producer<'a> {
    fn start(options: &'a Produce) -> Result<Producer<'a>, Failed> {
        let mut client = options.reach.client();
        let partitions = client.persist(|client| client.partitions(&options.topic))?;
        let count = i32::try_from(partitions.len()).expect("partition numbers are i32");
        if options.partition.is_some_and(|partition| partition >= count) {
            return Err(Failed(format!("topic {} has {count} partitions, numbered from 0", options.topic)));
        }
        let identity = if options.acks == Acks::All { identity(&mut client)? } else { None };
        Ok(Producer {
            options,
            client,
            partitions: count,
            leaders: leaders(&partitions),
            identity,
            sequences: BTreeMap::new(),
            batches: BTreeMap::new(),
            sticky: 0,
            written: BTreeMap::new(),
        })
    }

    fn add(&mut self, line: &[u8]) -> Result<(), Failed> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (key, value) = match &self.options.key_separator {
            Some(separator) => split(line, separator.as_bytes()),
            None => (None, line),
        };
        let partition = self.options.partition.unwrap_or_else(|| match key {
            Some(key) => partition_of(key, self.partitions),
            None => self.sticky,
        });
        let identity = self.identity;
        let sequence = self.sequences.get(&partition).copied().unwrap_or(0);
        let batch = self.batches.entry(partition).or_insert_with(|| match identity {
            Some((id, epoch)) => BatchBuilder::new().producer(id, epoch, sequence),
            None => BatchBuilder::new(),
        });
        batch.push(now_ms(), key, Some(value));
        let is_full = batch.count().unsigned_abs() >= self.options.batch || batch.body_bytes() >= BATCH_BYTES;
        if is_full { self.flush() } else { Ok(()) }
    }

    /// Sends everything that was collected and waits until it is written.
    fn flush(&mut self) -> Result<(), Failed> {
        let collected = std::mem::take(&mut self.batches);
        if collected.is_empty() {
            return Ok(());
        }
        self.sticky = (self.sticky + 1) % self.partitions;
        let mut waiting: BTreeMap<i32, (Bytes, i32)> =
            collected.iter().map(|(partition, batch)| (*partition, (batch.build().freeze(), batch.count()))).collect();
        let Producer { options, client, leaders: known, written, .. } = self;
        client.persist(|client| {
            let result = send(client, options, known, &mut waiting, written);
            if result.is_err() {
                // Whatever went wrong, the next attempt goes to whoever leads then.
                *known = leaders(&client.partitions(&options.topic)?);
            }
            result
        })?;
        for (partition, batch) in &collected {
            let sequence = self.sequences.entry(*partition).or_insert(0);
            *sequence = sequence.checked_add(batch.count()).unwrap_or_else(|| batch.count() - (i32::MAX - *sequence) - 1);
        }
        Ok(())
    }

    fn report(&self) -> Report {
        let mut section = Section::new("written", &["partition", "records", "first offset", "last offset"]);
        let known = |offset: Option<i64>| offset.map_or(Cell::None, Cell::from);
        for (partition, written) in &self.written {
            section.row(vec![
                (*partition).into(),
                written.records.into(),
                known(written.offset_first),
                known(written.offset_last),
            ]);
        }
        let mut report = Report::default();
        report.add(section);
        report
    }
}

/// One attempt at everything that waits. What is written leaves `waiting`; the first failure is returned after all leaders were asked.
fn send(
    client: &mut Client,
    options: &Produce,
    leaders: &BTreeMap<i32, i32>,
    waiting: &mut BTreeMap<i32, (Bytes, i32)>,
    written: &mut BTreeMap<i32, Written>,
) -> Result<(), Failure> {
    let mut by_leader: BTreeMap<i32, Vec<request::PartitionData>> = BTreeMap::new();
    let mut failure = None;
    for (partition, (batch, _)) in waiting.iter() {
        match leaders.get(partition) {
            Some(leader) => by_leader
                .entry(*leader)
                .or_default()
                .push(request::PartitionData { index: *partition, records: Some(batch.clone().into()) }),
            None => {
                let about = format!("partition {partition} of topic {}", options.topic);
                failure = Some(Failure::Told { code: ErrorCode::LeaderNotAvailable, message: None, about });
            }
        }
    }
    for (leader, partition_data) in by_leader {
        let numbers: Vec<i32> = partition_data.iter().map(|data| data.index).collect();
        let request = ProduceRequest {
            transactional_id: None,
            acks: match options.acks {
                Acks::None => 0,
                Acks::Leader => 1,
                Acks::All => -1,
            },
            timeout_ms: i32::try_from(client.patience().as_millis()).unwrap_or(i32::MAX),
            topic_data: vec![request::TopicData { name: Text::from(&options.topic), partition_data, ..Default::default() }],
        };
        let outcome = if options.acks == Acks::None {
            client.tell(Target::Broker(leader), &request).map(|()| numbers.into_iter().map(|number| (number, None)).collect())
        } else {
            client.ask(Target::Broker(leader), &request).map(|answer| {
                let all = answer.responses.into_iter().flat_map(|topic| topic.partition_responses);
                all.map(|partition| (partition.index, Some(partition))).collect()
            })
        };
        let answers: Vec<(i32, Option<response::PartitionResponses>)> = match outcome {
            Ok(answers) => answers,
            Err(other) => {
                failure = Some(other);
                continue;
            }
        };
        for (partition, answer) in answers {
            match judge(options, partition, answer.as_ref()) {
                Ok(offset) => note(waiting, written, partition, offset),
                Err(other) => failure = Some(other),
            }
        }
    }
    match failure {
        Some(failure) => Err(failure),
        None if waiting.is_empty() => Ok(()),
        None => Err(Failure::Nonsense(format!("the answer leaves out partitions of topic {}", options.topic))),
    }
}

/// The offset of the first record, if it is told.
fn judge(options: &Produce, partition: i32, answer: Option<&response::PartitionResponses>) -> Result<Option<i64>, Failure> {
    let Some(answer) = answer else { return Ok(None) };
    if answer.error_code == ErrorCode::DuplicateSequenceNumber.code() {
        // Written by an earlier attempt so long ago that its offset is forgotten.
        return Ok(None);
    }
    let about = || format!("partition {partition} of topic {}", options.topic);
    Failure::check(answer.error_code, answer.error_message.as_ref(), about)?;
    Ok((answer.base_offset >= 0).then_some(answer.base_offset))
}

fn note(waiting: &mut BTreeMap<i32, (Bytes, i32)>, written: &mut BTreeMap<i32, Written>, partition: i32, offset: Option<i64>) {
    let Some((_, count)) = waiting.remove(&partition) else { return };
    let entry = written.entry(partition).or_default();
    entry.records += i64::from(count);
    entry.offset_first = entry.offset_first.or(offset);
    entry.offset_last = offset.map(|first| first + i64::from(count) - 1).or(entry.offset_last);
}

fn identity(client: &mut Client) -> Result<Option<(i64, i16)>, Failed> {
    if !client.persist(|client| client.speaks::<InitProducerIdRequest>(Target::Any))? {
        return Ok(None);
    }
    let request = InitProducerIdRequest { transactional_id: None, transaction_timeout_ms: i32::MAX, ..Default::default() };
    let answer = client.persist(|client| {
        let answer = client.ask(Target::Any, &request)?;
        Failure::check(answer.error_code, None, || "a producer id".to_owned())?;
        Ok(answer)
    })?;
    Ok(Some((answer.producer_id, answer.producer_epoch)))
}

fn leaders(partitions: &[ottla_core::protocol::messages::metadata::response::Partitions]) -> BTreeMap<i32, i32> {
    let led = partitions.iter().filter(|partition| partition.leader_id >= 0);
    led.map(|partition| (partition.partition_index, partition.leader_id)).collect()
}

/// Key and value around the first separator.
fn split<'a>(line: &'a [u8], separator: &[u8]) -> (Option<&'a [u8]>, &'a [u8]) {
    let at = (0..line.len()).find(|at| !separator.is_empty() && line[*at..].starts_with(separator));
    at.map_or((None, line), |at| (Some(&line[..at]), &line[at + separator.len()..]))
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn lines_are_split_at_the_first_separator() {
        assert_eq!(split(b"k:v:w", b":"), (Some(&b"k"[..]), &b"v:w"[..]));
        assert_eq!(split(b":v", b":"), (Some(&b""[..]), &b"v"[..]));
        assert_eq!(split(b"value", b":"), (None, &b"value"[..]));
        assert_eq!(split(b"value", b""), (None, &b"value"[..]));
    }
}
