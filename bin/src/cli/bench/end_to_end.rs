//! `ottla bench end-to-end`: a producer at a rate and a consumer that waits, in one thread that never sleeps.
//!
//! A record carries the time at which it was meant to be sent, and its latency is counted from there, so a stall counts for all records that it
//! delays. One batch is one record: linger is 0. The consumer asks with `fetch.min.bytes` 1 and asks again when its answer is there.

use super::super::{Failed, Print, Reach};
use super::figures::Figures;
use super::produce::{Acks, TIMEOUT_MS, VERSION as PRODUCE_VERSION, check};
use super::topic::NewTopic;
use super::{Measure, consume};
use crate::client::{Client, Failure, Target};
use bytes::Bytes;
use ottla_core::protocol::messages::fetch::{FetchRequest, FetchResponse, request as fetch};
use ottla_core::protocol::messages::list_offsets::{ListOffsetsRequest, request as list};
use ottla_core::protocol::messages::produce::{ProduceRequest, request as produce};
use ottla_core::protocol::{Text, decode_response, encode_request};
use ottla_core::record::{BatchBuilder, BatchHeader, Records};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a fetch may wait for a record, milliseconds.
const WAIT_MS: i32 = 500;
/// Bytes asked for at once.
const FETCH_BYTES: i32 = 1 << 20;
/// How long after the end the last records are waited for.
const LAST_ONES: Duration = Duration::from_secs(10);

/// Measures from producer to consumer.
#[derive(Debug, clap::Args)]
pub struct EndToEnd {
    #[command(flatten)]
    reach: Reach,
    /// The topic; made with one partition if it is not there. Partition 0 is used.
    #[arg(long, default_value = "bench-end-to-end")]
    topic: String,
    /// Its replicas, if it has to be made; -1 leaves that to the broker.
    #[arg(long, default_value_t = -1, allow_hyphen_values = true)]
    replication_factor: i16,
    /// What an acknowledgement means.
    #[arg(long, value_enum, default_value = "1")]
    acks: Acks,
    /// Bytes of the value of a record, at least 8.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(8..=1_000_000))]
    record_bytes: u32,
    /// Records per second.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    #[command(flatten)]
    measure: Measure,
    #[command(flatten)]
    print: Print,
}

impl EndToEnd {
    /// Runs it.
    pub fn run(self) -> Result<ExitCode, Failed> {
        let mut client = self.reach.client();
        let topic = NewTopic { name: &self.topic, partitions: 1, replication_factor: self.replication_factor };
        let leaders = topic.leaders(&mut client)?;
        let (_, address) = leaders.first().ok_or_else(|| Failed(format!("topic {} has no partition", self.topic)))?;
        let connect = || Wire::connect(address).map_err(|error| Failed(format!("{address} can't be reached: {error}")));
        let (to, from_broker) = (connect()?, connect()?);
        let offset = client.persist(|client| self.end(client))?;
        let start = Instant::now() + Duration::from_millis(50);
        let (from, until) = self.measure.span(start);
        let load = format!("{} B end to end, acks={}, {}/s", self.record_bytes, self.acks.name(), self.rate);
        let mut trip = Trip {
            topic: Text::from(self.topic.as_str()),
            acks: self.acks.number(),
            value: vec![b'x'; self.record_bytes as usize],
            every: Duration::from_secs(1) / self.rate,
            start,
            from,
            until,
            offset,
            to,
            from_broker,
        };
        let thread = std::thread::spawn(move || trip.run());
        self.measure.report(&load, Some(self.acks.fsync_of_ottla()), from, vec![thread], &self.print)
    }
}

impl EndToEnd {
    /// Where the partition ends: earlier records are not ours.
    fn end(&self, client: &mut Client) -> Result<i64, Failure> {
        let wanted = list::Partitions { partition_index: 0, timestamp: -1, ..Default::default() };
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![list::Topics { name: Text::from(self.topic.as_str()), partitions: vec![wanted] }],
            ..Default::default()
        };
        let leader = client.leader(&self.topic, 0)?;
        let answer = client.ask(Target::Broker(leader), &request)?;
        let found = answer.topics.first().and_then(|topic| topic.partitions.first());
        let found = found.ok_or_else(|| Failure::Nonsense("an answer without the partition".to_owned()))?;
        Failure::check(found.error_code, None, || format!("partition 0 of topic {}", self.topic))?;
        Ok(found.offset)
    }
}

/// The producer and the consumer of one measurement.
struct Trip {
    topic: Text,
    acks: i16,
    value: Vec<u8>,
    every: Duration,
    start: Instant,
    from: Instant,
    until: Instant,
    /// What the consumer asks for next.
    offset: i64,
    to: Wire,
    from_broker: Wire,
}

impl Trip {
    fn run(&mut self) -> Result<Figures, String> {
        let mut figures = Figures::default();
        let (mut sent, mut seen) = (0, 0);
        let request = self.ask();
        self.from_broker.send(&request)?;
        loop {
            let now = Instant::now();
            let due = self.start + self.every * sent;
            if due < self.until && now >= due {
                sent += 1;
                let frame = self.record(due);
                self.to.send(&frame)?;
            }
            while let Some(answer) = self.to.receive()? {
                check(&answer, self.topic.len())?;
            }
            if let Some(answer) = self.from_broker.receive()? {
                seen += self.take(&answer, &mut figures)?;
                let request = self.ask();
                self.from_broker.send(&request)?;
            }
            if due >= self.until && seen == sent {
                return Ok(figures);
            }
            if now > self.until + LAST_ONES {
                return Err(format!("{} of {sent} records never came", sent - seen));
            }
        }
    }

    /// A record that says when it was meant to be sent.
    fn record(&mut self, due: Instant) -> Vec<u8> {
        let nanos = u64::try_from((due - self.start).as_nanos()).expect("a measurement is shorter than centuries");
        self.value[..8].copy_from_slice(&nanos.to_be_bytes());
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let mut batch = BatchBuilder::new();
        batch.push(i64::try_from(wall).unwrap_or(i64::MAX), None, Some(&self.value));
        let data = produce::PartitionData { index: 0, records: Some(batch.build().freeze().into()) };
        let topic = produce::TopicData { name: self.topic.clone(), partition_data: vec![data], ..Default::default() };
        let request = ProduceRequest { acks: self.acks, timeout_ms: TIMEOUT_MS, topic_data: vec![topic], ..Default::default() };
        framed(&encode_request(&request, PRODUCE_VERSION, 0, "ottla-bench"))
    }

    fn ask(&self) -> Vec<u8> {
        let asked =
            fetch::Partitions { partition: 0, fetch_offset: self.offset, partition_max_bytes: FETCH_BYTES, ..Default::default() };
        let topic = fetch::Topics { topic: self.topic.clone(), partitions: vec![asked], ..Default::default() };
        let request = FetchRequest {
            max_wait_ms: WAIT_MS,
            min_bytes: 1,
            max_bytes: FETCH_BYTES,
            topics: vec![topic],
            ..Default::default()
        };
        framed(&encode_request(&request, consume::VERSION, 0, "ottla-bench"))
    }

    /// Counts the records of an answer; how many they are.
    fn take(&mut self, answer: &[u8], figures: &mut Figures) -> Result<u32, String> {
        let (_, response) = decode_response::<FetchResponse>(Bytes::copy_from_slice(answer), consume::VERSION)
            .map_err(|error| format!("an answer can't be read: {error:?}"))?;
        let partition = response.responses.into_iter().flat_map(|topic| topic.partitions).next();
        let partition = partition.ok_or("an answer without the partition")?;
        if partition.error_code != 0 {
            return Err(format!("the broker answers error {}", partition.error_code));
        }
        let records = partition.records.unwrap_or_default().into_bytes();
        let now = Instant::now();
        let mut rest: &[u8] = &records;
        let mut seen = 0;
        while let Ok(header) = BatchHeader::parse(rest) {
            let Some(batch) = rest.get(..header.total_len()) else { break };
            for record in Records::new(&batch[BatchHeader::SIZE..], header.record_count) {
                let record = record.map_err(|fault| format!("a batch can't be read: {fault:?}"))?;
                let due = record.value.and_then(|value| value.first_chunk()).ok_or("a record that is not ours")?;
                let due = self.start + Duration::from_nanos(u64::from_be_bytes(*due));
                seen += 1;
                if due >= self.from {
                    figures.count(1, batch.len() as u64, now.saturating_duration_since(due));
                }
            }
            self.offset = header.offset_end().0;
            rest = &rest[header.total_len()..];
        }
        Ok(seen)
    }
}

fn framed(slices: &[Bytes]) -> Vec<u8> {
    let size = slices.iter().map(Bytes::len).sum::<usize>();
    let mut frame = Vec::with_capacity(4 + size);
    frame.extend_from_slice(&u32::try_from(size).expect("a small request").to_be_bytes());
    slices.iter().for_each(|slice| frame.extend_from_slice(slice));
    frame
}

/// A connection that never blocks.
struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

impl Wire {
    fn connect(address: &str) -> std::io::Result<Wire> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Wire { stream, buffer: vec![0; 1 << 16], filled: 0 })
    }

    /// Sends all of it; what the socket does not take is waited for.
    fn send(&mut self, mut rest: &[u8]) -> Result<(), String> {
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(0) => return Err("the server closed the connection".to_owned()),
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::hint::spin_loop(),
                Err(error) => return Err(format!("the connection broke: {error}")),
            }
        }
        Ok(())
    }

    /// The next frame, without its size, if it is there.
    fn receive(&mut self) -> Result<Option<Vec<u8>>, String> {
        if let Some(frame) = self.cut() {
            return Ok(Some(frame));
        }
        if self.filled == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        match self.stream.read(&mut self.buffer[self.filled..]) {
            Ok(0) => Err("the server closed the connection".to_owned()),
            Ok(read) => {
                self.filled += read;
                Ok(self.cut())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(format!("the connection broke: {error}")),
        }
    }

    fn cut(&mut self) -> Option<Vec<u8>> {
        let size = self.buffer[..self.filled].first_chunk()?;
        let end = 4 + usize::try_from(u32::from_be_bytes(*size)).expect("64-bit");
        let frame = self.buffer[..self.filled].get(4..end)?.to_vec();
        self.buffer.copy_within(end..self.filled, 0);
        self.filled -= end;
        Some(frame)
    }
}
