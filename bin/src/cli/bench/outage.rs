//! `ottla bench outage`: one record after the other, tried again at once, and the longest time without an acknowledgement.

use super::super::output::{Cell, Report, Section};
use super::super::{Failed, Print, Reach};
use super::topic::NewTopic;
use crate::client::{Client, Failure, Target};
use ottla_core::protocol::messages::produce::{ProduceRequest, request};
use ottla_core::protocol::{ErrorCode, Text};
use ottla_core::record::BatchBuilder;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Between two attempts, so that a broker that is down is not asked by a busy loop.
const PAUSE: Duration = Duration::from_millis(1);
/// What the broker may take for a request, milliseconds.
const TIMEOUT_MS: i32 = 5_000;

/// Measures how long nothing is acknowledged.
#[derive(Debug, clap::Args)]
pub struct Outage {
    #[command(flatten)]
    reach: Reach,
    /// The topic; made with one partition if it is not there. Partition 0 is written to, with acks=all.
    #[arg(long, default_value = "bench-outage")]
    topic: String,
    /// Its replicas, if it has to be made; -1 leaves that to the broker.
    #[arg(long, default_value_t = -1, allow_hyphen_values = true)]
    replication_factor: i16,
    /// How long to go on after the first acknowledgement.
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// End with the first acknowledgement.
    #[arg(long)]
    until_acknowledged: bool,
    #[command(flatten)]
    print: Print,
}

impl Outage {
    /// Runs it.
    pub fn run(self) -> Result<ExitCode, Failed> {
        let start = Instant::now();
        let mut client = self.reach.client();
        let mut leader = None;
        let mut acknowledged: u64 = 0;
        let (mut first, mut last) = (None, start);
        let mut longest = Duration::ZERO;
        loop {
            match self.attempt(&mut client, &mut leader) {
                Ok(()) => {
                    let now = Instant::now();
                    acknowledged += 1;
                    if first.is_some() {
                        longest = longest.max(now - last);
                    }
                    first = first.or(Some(now - start));
                    last = now;
                }
                Err(failure) => {
                    leader = None;
                    if last.elapsed() > self.reach.patience() {
                        return Err(failure.into());
                    }
                    std::thread::sleep(PAUSE);
                }
            }
            let is_over =
                first.is_some_and(|first| self.until_acknowledged || start.elapsed() > first + Duration::from_secs(self.seconds));
            if is_over {
                break;
            }
        }
        let ms = |span: Duration| Cell::Text(format!("{:.1}", span.as_secs_f64() * 1000.0));
        let mut section = Section::new("outage", &["acknowledged", "first after ms", "longest outage ms"]);
        section.row(vec![Cell::Text(acknowledged.to_string()), ms(first.unwrap_or_default()), ms(longest)]);
        let mut report = Report::default();
        report.add(section);
        self.print.report(&report)?;
        Ok(ExitCode::SUCCESS)
    }

    fn attempt(&self, client: &mut Client, leader: &mut Option<i32>) -> Result<(), Failure> {
        let to = match *leader {
            Some(leader) => leader,
            None => match client.leader(&self.topic, 0) {
                Err(failure) if failure.is_unknown_topic() => {
                    let topic = NewTopic { name: &self.topic, partitions: 1, replication_factor: self.replication_factor };
                    topic.make(client)?;
                    client.leader(&self.topic, 0)?
                }
                found => found?,
            },
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let mut batch = BatchBuilder::new();
        batch.push(i64::try_from(now).unwrap_or(i64::MAX), None, Some(b"is anybody there?"));
        let data = request::PartitionData { index: 0, records: Some(batch.build().freeze().into()) };
        let topic =
            request::TopicData { name: Text::from(self.topic.as_str()), partition_data: vec![data], ..Default::default() };
        let request = ProduceRequest { acks: -1, timeout_ms: TIMEOUT_MS, topic_data: vec![topic], ..Default::default() };
        let answer = client.ask(Target::Broker(to), &request)?;
        let code = answer.responses.iter().flat_map(|topic| &topic.partition_responses).next();
        let code = code.map_or(ErrorCode::UnknownServerError.code(), |partition| partition.error_code);
        Failure::check(code, None, || format!("partition 0 of topic {}", self.topic))?;
        *leader = Some(to);
        Ok(())
    }
}
