//! `ottla consume`: prints the records of a topic, without a consumer group.
//!
//! Order: records of one partition come in the order of their offsets; partitions are asked in turn. Positions live in this process only.

use super::output::{Cell, Format, object};
use super::{Failed, Print, Reach, print};
use crate::client::{Client, Failure, Target};
use ottla_core::limits;
use ottla_core::protocol::messages::fetch::{FetchRequest, request, response};
use ottla_core::protocol::messages::list_offsets::{self, ListOffsetsRequest};
use ottla_core::protocol::{Bytes, ErrorCode, Text};
use ottla_core::record::{BatchHeader, Record, Records, decompress_body};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Longest wait of a broker for records, ms. With several leaders each waits in turn, so it is short.
const WAIT_MS: i32 = 250;
/// Bytes of records asked of one broker at once.
const FETCH_BYTES: i32 = 8 * 1024 * 1024;
/// Bytes of records asked of one partition at once.
const PARTITION_BYTES: i32 = 1024 * 1024;

/// Where to begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum From {
    /// The oldest record there is.
    Earliest,
    /// Records that come from now on.
    Latest,
    /// The record with this offset, in every partition that is read.
    Offset(i64),
}

impl std::str::FromStr for From {
    type Err = String;
    fn from_str(text: &str) -> Result<From, String> {
        match text {
            "earliest" => Ok(From::Earliest),
            "latest" => Ok(From::Latest),
            number => match number.parse() {
                Ok(offset) if offset >= 0 => Ok(From::Offset(offset)),
                Ok(_) | Err(_) => Err("give earliest, latest or an offset of 0 and above".to_owned()),
            },
        }
    }
}

/// The command line of `ottla consume`.
#[derive(Debug, clap::Args)]
pub struct Consume {
    /// The topic; it must exist.
    topic: String,
    /// Read this partition only.
    #[arg(long, value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// Where to begin: earliest, latest or an offset.
    #[arg(long, default_value = "earliest")]
    from: From,
    /// Stop after so many records.
    #[arg(long, value_name = "RECORDS")]
    max_messages: Option<u64>,
    /// Stop when nothing came for so long. Without it, wait for more until Ctrl-C.
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<u64>,
    /// Print the key and this text before the value. Keys that are null are printed as null.
    #[arg(long, value_name = "TEXT")]
    key_separator: Option<String>,
    #[command(flatten)]
    reach: Reach,
    #[command(flatten)]
    print: Print,
}

impl Consume {
    /// Runs it.
    pub fn run(self) -> Result<ExitCode, Failed> {
        if self.max_messages == Some(0) {
            return Ok(ExitCode::SUCCESS);
        }
        let mut consumer = Consumer { options: &self, client: self.reach.client(), positions: BTreeMap::new(), printed: 0 };
        consumer.find_positions()?;
        let mut last_record = Instant::now();
        loop {
            let before = consumer.printed;
            consumer.round()?;
            if consumer.printed > before {
                last_record = Instant::now();
            }
            let is_enough = self.max_messages.is_some_and(|max| consumer.printed >= max);
            let is_idle = self.timeout_ms.is_some_and(|timeout| last_record.elapsed() >= Duration::from_millis(timeout));
            if is_enough || is_idle {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
}

struct Consumer<'a> {
    options: &'a Consume,
    client: Client,
    /// Next offset of every partition that is read.
    positions: BTreeMap<i32, i64>,
    printed: u64,
}

impl Consumer<'_> {
    fn find_positions(&mut self) -> Result<(), Failed> {
        let Consumer { options, client, .. } = self;
        let topic = &options.topic;
        let all = client.persist(|client| client.partitions(topic))?;
        let numbers: Vec<i32> = all.iter().map(|partition| partition.partition_index).collect();
        if let Some(partition) = options.partition.filter(|partition| !numbers.contains(partition)) {
            return Err(Failed(format!(
                "topic {topic} has {} partitions, numbered from 0; there is no {partition}",
                numbers.len()
            )));
        }
        let wanted = numbers.into_iter().filter(|number| options.partition.is_none_or(|partition| partition == *number));
        let timestamp = match options.from {
            From::Offset(offset) => {
                self.positions = wanted.map(|number| (number, offset)).collect();
                return Ok(());
            }
            From::Earliest => -2,
            From::Latest => -1,
        };
        for partition in wanted {
            let offset = client.persist(|client| {
                let leader = client.leader(topic, partition)?;
                offset_of(client, leader, topic, partition, timestamp)
            })?;
            self.positions.insert(partition, offset);
        }
        Ok(())
    }

    /// Asks every leader once and prints what comes.
    fn round(&mut self) -> Result<(), Failed> {
        let Consumer { options, client, positions, .. } = self;
        let topic = &options.topic;
        let mut leaders = BTreeMap::new();
        client.persist(|client| {
            leaders = leaders_of(client, topic, positions)?;
            Ok(())
        })?;
        for (leader, partitions) in leaders {
            let request = self.request(&partitions);
            let answer = match self.client.ask(Target::Broker(leader), &request) {
                Ok(answer) => answer,
                // The next round asks who leads then, for as long as patience lasts.
                Err(failure) if failure.may_pass() => {
                    self.client.persist(|client| client.metadata(Some(&[])).map(drop))?;
                    continue;
                }
                Err(failure) => return Err(failure.into()),
            };
            Failure::check(answer.error_code, None, || format!("topic {topic}"))?;
            for partition in answer.responses.iter().flat_map(|topic| &topic.partitions) {
                if self.partition(partition)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn request(&self, partitions: &[i32]) -> FetchRequest {
        let one = |partition: &i32| request::Partitions {
            partition: *partition,
            fetch_offset: self.positions[partition],
            partition_max_bytes: PARTITION_BYTES,
            ..Default::default()
        };
        FetchRequest {
            replica_id: -1,
            max_wait_ms: WAIT_MS,
            min_bytes: 1,
            max_bytes: FETCH_BYTES,
            topics: vec![request::Topics {
                topic: Text::from(&self.options.topic),
                partitions: partitions.iter().map(one).collect(),
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    /// Prints the records of one partition's answer; true when enough were printed.
    fn partition(&mut self, answer: &response::Partitions) -> Result<bool, Failed> {
        let number = answer.partition_index;
        let about = || format!("partition {number} of topic {}", self.options.topic);
        if answer.error_code == ErrorCode::OffsetOutOfRange.code() {
            return Err(Failed(format!(
                "{}: there is no offset {} (--from earliest begins at the first)",
                about(),
                self.positions[&number]
            )));
        }
        if let Err(failure) = Failure::check(answer.error_code, None, about) {
            return if failure.may_pass() {
                // The leader is moving; the next round finds it.
                std::thread::sleep(Duration::from_millis(50));
                Ok(false)
            } else {
                Err(failure.into())
            };
        }
        let mut rest = answer.records.clone().unwrap_or_default().into_bytes();
        while let Some(batch) = next_batch(&mut rest).map_err(|what| Failed(format!("{}: {what}", about())))? {
            let is_enough = self.batch(number, &batch)?;
            if is_enough {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn batch(&mut self, partition: i32, batch: &Batch) -> Result<bool, Failed> {
        let broken = |what: &str| Failed(format!("partition {partition} of topic {}: {what}", self.options.topic));
        let header = &batch.header;
        let mut text = String::new();
        let mut is_enough = false;
        let mut position = header.offset_end().0;
        if !header.is_control() {
            let codec = header.codec().map_err(|number| broken(&format!("compression {number} does not exist")))?;
            let body = decompress_body(codec, &batch.body, limits::DECOMPRESSED_BYTES_MAX)
                .map_err(|fault| broken(&format!("a batch can't be decompressed: {fault:?}")))?;
            for record in Records::new(&body, header.record_count) {
                let record = record.map_err(|fault| broken(&format!("a batch can't be read: {fault:?}")))?;
                let offset = header.base_offset.0 + i64::from(record.offset_delta);
                if offset < self.positions[&partition] {
                    continue;
                }
                let timestamp = if header.is_log_append_time() {
                    header.max_timestamp
                } else {
                    header.base_timestamp.saturating_add(record.timestamp_delta)
                };
                self.options.write(&mut text, partition, offset, timestamp, &record);
                self.printed += 1;
                is_enough = self.options.max_messages.is_some_and(|max| self.printed >= max);
                if is_enough {
                    position = offset + 1;
                    break;
                }
            }
        }
        self.positions.insert(partition, position);
        print(&text)?;
        Ok(is_enough)
    }
}

impl Consume {
    fn write(&self, text: &mut String, partition: i32, offset: i64, timestamp: i64, record: &Record<'_>) {
        let lossy = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let (key, value) = (lossy(record.key), lossy(record.value));
        match self.print.output {
            Format::Json => {
                let cell = |text: Option<String>| text.map_or(Cell::None, Cell::Text);
                let row = [partition.into(), offset.into(), timestamp.into(), cell(key), cell(value)];
                text.push_str(&object(&["partition", "offset", "timestamp", "key", "value"], &row));
            }
            Format::Table => {
                if let Some(separator) = &self.key_separator {
                    text.push_str(key.as_deref().unwrap_or("null"));
                    text.push_str(separator);
                }
                text.push_str(value.as_deref().unwrap_or("null"));
            }
        }
        text.push('\n');
    }
}

struct Batch {
    header: BatchHeader,
    body: Bytes,
}

/// Cuts a batch off the front. A broker may cut the last one short: then there is none.
fn next_batch(rest: &mut Bytes) -> Result<Option<Batch>, String> {
    if rest.len() < BatchHeader::SIZE {
        return Ok(None);
    }
    let header = BatchHeader::parse(rest).map_err(|fault| format!("a batch can't be read: {fault:?}"))?;
    let length = header.total_len();
    if length > rest.len() {
        return Ok(None);
    }
    let body = rest.split_to(length).slice(BatchHeader::SIZE..);
    Ok(Some(Batch { header, body }))
}

fn leaders_of(client: &mut Client, topic: &str, positions: &BTreeMap<i32, i64>) -> Result<BTreeMap<i32, Vec<i32>>, Failure> {
    let mut leaders: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for partition in client.partitions(topic)? {
        if positions.contains_key(&partition.partition_index) && partition.leader_id >= 0 {
            leaders.entry(partition.leader_id).or_default().push(partition.partition_index);
        }
    }
    if leaders.is_empty() {
        return Err(Failure::Told { code: ErrorCode::LeaderNotAvailable, message: None, about: format!("topic {topic}") });
    }
    Ok(leaders)
}

fn offset_of(client: &mut Client, leader: i32, topic: &str, partition: i32, timestamp: i64) -> Result<i64, Failure> {
    let wanted = list_offsets::request::Partitions { partition_index: partition, timestamp, ..Default::default() };
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![list_offsets::request::Topics { name: Text::from(topic), partitions: vec![wanted] }],
        ..Default::default()
    };
    let answer = client.ask(Target::Broker(leader), &request)?;
    let found = answer.topics.iter().flat_map(|topic| &topic.partitions).find(|found| found.partition_index == partition);
    let Some(found) = found else { return Err(Failure::Nonsense(format!("the answer leaves out partition {partition}"))) };
    Failure::check(found.error_code, None, || format!("partition {partition} of topic {topic}"))?;
    Ok(found.offset)
}

#[cfg(test)]
mod tests {
    use super::From;

    #[test]
    fn beginnings_are_words_or_offsets() {
        assert_eq!("earliest".parse(), Ok(From::Earliest));
        assert_eq!("latest".parse(), Ok(From::Latest));
        assert_eq!("17".parse(), Ok(From::Offset(17)));
        assert!("-1".parse::<From>().is_err());
        assert!("first".parse::<From>().is_err());
    }
}
