//! `ottla bench produce`.

use super::super::{Failed, Print, Reach};
use super::pipeline::{Pipeline, Schedule};
use super::topic::NewTopic;
use super::{Measure, null};
use crate::client::Client;
use bytes::Bytes;
use ottla_core::protocol::messages::produce::{ProduceRequest, ProduceResponse, request};
use ottla_core::protocol::{ErrorCode, Text, decode_response, encode_request};
use ottla_core::record::BatchBuilder;
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The newest version that names topics, so that a topic can be made anew without a look-up.
pub(super) const VERSION: i16 = 9;
/// What the broker may take for a request, milliseconds.
pub(super) const TIMEOUT_MS: i32 = 30_000;

/// What to wait for.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum Acks {
    /// The leader has it in memory; Ottla writes and fsyncs it behind the answer.
    #[value(name = "1")]
    Leader,
    /// A quorum has it: on disk with Ottla, which fsyncs it before the answer.
    All,
}

impl Acks {
    /// As Kafka's producers write it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Acks::Leader => "1",
            Acks::All => "all",
        }
    }

    /// When it is fsynced: what Ottla does. Of other servers the client can't know.
    pub(super) fn fsync_of_ottla(self) -> &'static str {
        match self {
            Acks::Leader => "Ottla: behind the answer",
            Acks::All => "Ottla: before the answer",
        }
    }

    /// As requests have it.
    pub(super) fn number(self) -> i16 {
        match self {
            Acks::Leader => 1,
            Acks::All => -1,
        }
    }
}

/// Measures producing.
#[derive(Debug, clap::Args)]
pub struct Produce {
    #[command(flatten)]
    reach: Reach,
    /// The topic.
    #[arg(long, default_value = "bench")]
    topic: String,
    /// Its partitions, if it has to be made; connections are spread over them.
    #[arg(long, default_value_t = 1)]
    partitions: i32,
    /// Its replicas, if it has to be made; -1 leaves that to the broker.
    #[arg(long, default_value_t = -1, allow_hyphen_values = true)]
    replication_factor: i16,
    /// What an acknowledgement means.
    #[arg(long, value_enum, default_value = "all")]
    acks: Acks,
    /// Bytes of the value of a record.
    #[arg(long, default_value_t = 1024)]
    record_bytes: usize,
    /// Bytes of records in a batch, at least one record.
    #[arg(long, default_value_t = 16_384)]
    batch_bytes: usize,
    /// Connections, each with its own thread.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    connections: u32,
    /// Requests of a connection that may wait for their answer.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    in_flight: u32,
    /// Requests per second of all connections together, sent at their time whatever the answers do; 0: as fast as answers come.
    #[arg(long, default_value_t = 0)]
    rate: u32,
    /// When the server fsyncs what it takes, if it is not Ottla: told beside the figures. A null server says it itself.
    #[arg(long, value_name = "TEXT")]
    fsync: Option<String>,
    #[command(flatten)]
    measure: Measure,
    #[command(flatten)]
    print: Print,
}

impl Produce {
    /// Runs it.
    pub fn run(self) -> Result<ExitCode, Failed> {
        let mut client = self.reach.client();
        let wanted = NewTopic { name: &self.topic, partitions: self.partitions, replication_factor: self.replication_factor };
        let leaders = wanted.leaders(&mut client)?;
        let fsync = self.fsync(&mut client)?;
        let (batch, records) = self.batch()?;
        let batch_bytes = batch.len() as u64;
        let start = Instant::now() + Duration::from_millis(50);
        let (from, until) = self.measure.span(start);
        let every = (self.rate > 0).then(|| Duration::from_secs(1) * self.connections / self.rate);
        let schedule = Schedule { start, from, until, in_flight: self.in_flight as usize, every };
        let mut pipelines = Vec::new();
        for number in 0..self.connections as usize {
            let (partition, address) = &leaders[number % leaders.len()];
            let stream = TcpStream::connect(address).map_err(|error| Failed(format!("{address} can't be reached: {error}")))?;
            stream.set_nodelay(true).map_err(|error| Failed(format!("{address}: {error}")))?;
            pipelines.push(Pipeline::new(stream, self.frame(*partition, &batch)));
        }
        let topic_bytes = self.topic.len();
        let mut threads = Vec::new();
        for pipeline in pipelines {
            let mut is_first = true;
            let judge = move |answer: &[u8]| -> Result<(u64, u64), String> {
                if std::mem::take(&mut is_first) {
                    check_whole(answer)?;
                }
                check(answer, topic_bytes).map(|()| (records, batch_bytes))
            };
            threads.push(std::thread::spawn(move || {
                std::thread::sleep(schedule.start.saturating_duration_since(Instant::now()));
                pipeline.run(&schedule, judge)
            }));
        }
        self.measure.report(&self.load(records), Some(&fsync), from, threads, &self.print)
    }

    /// What an acknowledgement says about disks.
    fn fsync(&self, client: &mut Client) -> Result<String, Failed> {
        let cluster = client.metadata(Some(&[&self.topic]))?.cluster_id;
        let by_itself = cluster.and_then(|id| null::fsync_of(id.as_str()));
        let fsync = by_itself.or(self.fsync.as_deref()).unwrap_or_else(|| self.acks.fsync_of_ottla());
        Ok(fsync.to_owned())
    }

    fn load(&self, records: u64) -> String {
        let acks = self.acks.name();
        let pace = if self.rate > 0 { format!("{}/s", self.rate) } else { format!("depth {}", self.in_flight) };
        format!("produce {records} x {} B, acks={acks}, {} conn, {pace}", self.record_bytes, self.connections)
    }

    /// One batch, and how many records it has.
    fn batch(&self) -> Result<(Bytes, u64), Failed> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let count = (self.batch_bytes / self.record_bytes.max(1)).max(1);
        // Not compressible, so that a broker that compresses can't hide behind it; the same every time.
        let value: Vec<u8> = (0..self.record_bytes as u64).map(|n| ottla_core::random::keyed(1, &[n]).to_le_bytes()[0]).collect();
        let mut batch = BatchBuilder::new();
        for _ in 0..count {
            batch.push(now, None, Some(&value));
        }
        let batch = batch.build().freeze();
        if i32::try_from(batch.len()).is_err() {
            return Err(Failed("a batch of 2 GiB or more".to_owned()));
        }
        Ok((batch, count as u64))
    }

    fn frame(&self, partition: i32, batch: &Bytes) -> Vec<u8> {
        let data = request::PartitionData { index: partition, records: Some(batch.clone().into()) };
        let topic =
            request::TopicData { name: Text::from(self.topic.as_str()), partition_data: vec![data], ..Default::default() };
        let request =
            ProduceRequest { acks: self.acks.number(), timeout_ms: TIMEOUT_MS, topic_data: vec![topic], ..Default::default() };
        let body = encode_request(&request, VERSION, 0, "ottla-bench").concat();
        let size = u32::try_from(body.len()).expect("the batch was checked");
        [&size.to_be_bytes(), body.as_slice()].concat()
    }
}

/// The whole answer says what the short look at it relies on.
fn check_whole(answer: &[u8]) -> Result<(), String> {
    let (_, response) = decode_response::<ProduceResponse>(Bytes::copy_from_slice(answer), VERSION)
        .map_err(|error| format!("an answer can't be read: {error:?}"))?;
    match response.responses.first().and_then(|topic| topic.partition_responses.first()) {
        Some(partition) if partition.error_code == 0 => Ok(()),
        Some(partition) => Err(told(partition.error_code)),
        None => Err("an answer without the partition".to_owned()),
    }
}

/// The error code of the only partition: after correlation id and tags (5 bytes), count of topics (1), name (length and text), count of
/// partitions (1) and partition (4).
pub(super) fn check(answer: &[u8], topic_bytes: usize) -> Result<(), String> {
    let name_length_bytes = if topic_bytes < 127 { 1 } else { 2 };
    let at = 5 + 1 + name_length_bytes + topic_bytes + 1 + 4;
    match answer.get(at..at + 2) {
        Some([0, 0]) => Ok(()),
        Some([high, low]) => Err(told(i16::from_be_bytes([*high, *low]))),
        Some(_) | None => Err("an answer is cut short".to_owned()),
    }
}

fn told(code: i16) -> String {
    match ErrorCode::from_code(code) {
        Some(error) => format!("the broker answers {error:?} ({code})"),
        None => format!("the broker answers error {code}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_core::protocol::encode_response;
    use ottla_core::protocol::messages::produce::response;

    #[test]
    fn the_short_look_finds_the_error() {
        for name in ["t".to_owned(), "x".repeat(126), "x".repeat(127), "x".repeat(249)] {
            for code in [0, 7] {
                let part = response::PartitionResponses { error_code: code, ..Default::default() };
                let topic =
                    response::Responses { name: Text::from(&name), partition_responses: vec![part], ..Default::default() };
                let answer =
                    encode_response(&ProduceResponse { responses: vec![topic], ..Default::default() }, VERSION, 5).concat();
                assert_eq!(check(&answer, name.len()).is_ok(), code == 0, "{code} with {} bytes of name", name.len());
                assert_eq!(check_whole(&answer).is_ok(), code == 0);
            }
        }
        assert!(check(&[0; 5], 1).is_err());
    }
}
