//! `ottla bench consume`.

use super::super::{Failed, Print, Reach};
use super::Measure;
use super::figures::Figures;
use ottla_core::protocol::messages::fetch::{FetchRequest, FetchResponse, request};
use ottla_core::protocol::{Bytes, Text, decode_response, encode_request};
use ottla_core::record::BatchHeader;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::Instant;

/// The newest version that names topics.
pub(super) const VERSION: i16 = 12;

/// Measures reading.
#[derive(Debug, clap::Args)]
pub struct Consume {
    #[command(flatten)]
    reach: Reach,
    /// The topic; one connection per partition.
    #[arg(long, default_value = "bench")]
    topic: String,
    /// Bytes asked for at once.
    #[arg(long, default_value_t = 1 << 20, value_parser = clap::value_parser!(i32).range(1..))]
    fetch_bytes: i32,
    #[command(flatten)]
    measure: Measure,
    #[command(flatten)]
    print: Print,
}

/// One partition that is read.
struct Reader {
    stream: TcpStream,
    topic: Text,
    partition: i32,
    fetch_bytes: i32,
    offset: i64,
}

impl Consume {
    /// Runs it.
    pub fn run(self) -> Result<ExitCode, Failed> {
        let mut client = self.reach.client();
        let partitions = client.persist(|client| client.partitions(&self.topic))?;
        let (from, until) = self.measure.span(Instant::now());
        let mut threads = Vec::new();
        for partition in &partitions {
            let address = client.address(partition.leader_id)?;
            let stream = TcpStream::connect(&address).map_err(|error| Failed(format!("{address} can't be reached: {error}")))?;
            stream.set_nodelay(true).map_err(|error| Failed(format!("{address}: {error}")))?;
            let topic = Text::from(self.topic.as_str());
            let mut reader =
                Reader { stream, topic, partition: partition.partition_index, fetch_bytes: self.fetch_bytes, offset: 0 };
            threads.push(std::thread::spawn(move || reader.run(from, until)));
        }
        let load = format!("consume, {} conn, {} B at once", partitions.len(), self.fetch_bytes);
        self.measure.report(&load, None, from, threads, &self.print)
    }
}

impl Reader {
    fn run(&mut self, from: Instant, until: Instant) -> Result<Figures, String> {
        let mut figures = Figures::default();
        loop {
            let sent = Instant::now();
            if sent >= until {
                return Ok(figures);
            }
            let records = self.fetch()?;
            let mut rest: &[u8] = &records;
            let (mut count, mut bytes) = (0, 0);
            // The last batch may be cut short: it is asked for again.
            while let Ok(header) = BatchHeader::parse(rest) {
                let Some(after) = rest.get(header.total_len()..) else { break };
                count += u64::try_from(header.record_count).unwrap_or(0);
                bytes += header.total_len() as u64;
                self.offset = header.base_offset.0 + i64::from(header.last_offset_delta) + 1;
                rest = after;
            }
            if count == 0 {
                if self.offset == 0 {
                    return Err(format!("partition {} is empty: produce something first", self.partition));
                }
                self.offset = 0;
                continue;
            }
            if sent >= from {
                figures.count(count, bytes, sent.elapsed());
            }
        }
    }

    fn fetch(&mut self) -> Result<Bytes, String> {
        let asked = request::Partitions {
            partition: self.partition,
            fetch_offset: self.offset,
            partition_max_bytes: self.fetch_bytes,
            ..Default::default()
        };
        let topic = request::Topics { topic: self.topic.clone(), partitions: vec![asked], ..Default::default() };
        let request =
            FetchRequest { max_wait_ms: 0, min_bytes: 0, max_bytes: self.fetch_bytes, topics: vec![topic], ..Default::default() };
        let body = encode_request(&request, VERSION, 0, "ottla-bench").concat();
        let size = u32::try_from(body.len()).expect("a small request");
        let broken = |error: std::io::Error| format!("the connection broke: {error}");
        self.stream.write_all(&[&size.to_be_bytes(), body.as_slice()].concat()).map_err(broken)?;
        let mut size = [0; 4];
        self.stream.read_exact(&mut size).map_err(broken)?;
        let size = usize::try_from(i32::from_be_bytes(size)).map_err(|_| "an answer of negative size".to_owned())?;
        let mut answer = vec![0; size];
        self.stream.read_exact(&mut answer).map_err(broken)?;
        let (_, response) = decode_response::<FetchResponse>(answer.into(), VERSION)
            .map_err(|error| format!("an answer can't be read: {error:?}"))?;
        let partition = response.responses.into_iter().flat_map(|topic| topic.partitions).next();
        let partition = partition.ok_or("an answer without the partition")?;
        if partition.error_code != 0 {
            return Err(format!("the broker answers error {}", partition.error_code));
        }
        Ok(partition.records.unwrap_or_default().into_bytes())
    }
}
