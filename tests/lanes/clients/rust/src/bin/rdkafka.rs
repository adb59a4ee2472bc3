//! The crate rdkafka under the rule of `../../../README.md`.

use ottla_clients::{Digest, Job, PARTITIONS, Produce, RECORDS};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
async fn main() -> KafkaResult<()> {
    match Job::from_arguments() {
        Job::Produce(job) => produce(&job).await,
        Job::Consume { bootstrap, topics } => consume(&bootstrap, &topics),
    }
}

async fn produce(job: &Produce) -> KafkaResult<()> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &job.bootstrap).set("acks", "all").set("enable.idempotence", "true").set("linger.ms", "5");
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    let topic = NewTopic::new(&job.topic, PARTITIONS, TopicReplication::Fixed(3));
    for created in admin.create_topics([&topic], &AdminOptions::new()).await? {
        created.map_err(|(_, code)| KafkaError::AdminOp(code))?;
    }
    for codec in &job.codecs {
        let producer: FutureProducer = config.clone().set("compression.type", codec).create()?;
        let mut sent = Vec::new();
        for n in 0..RECORDS {
            let r = job.record(codec, n);
            let headers = r
                .headers
                .iter()
                .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: value.as_deref() }));
            let mut record: FutureRecord<'_, [u8], [u8]> =
                FutureRecord::to(&job.topic).partition(r.partition).timestamp(r.timestamp).headers(headers);
            record.key = r.key.as_deref();
            record.payload = r.value.as_deref();
            sent.push(producer.send_result(record).map_err(|(error, _)| error)?);
        }
        for delivery in sent {
            delivery.await.expect("the producer lives").map_err(|(error, _)| error)?;
        }
    }
    Ok(())
}

fn consume(bootstrap: &str, topics: &[String]) -> KafkaResult<()> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "unused")
        .set("enable.auto.commit", "false")
        .create()?;
    let mut digests: BTreeMap<(String, i32), Digest> = BTreeMap::new();
    let mut assigned = TopicPartitionList::new();
    let mut left = 0;
    for topic in topics {
        for partition in 0..PARTITIONS {
            left += consumer.fetch_watermarks(topic, partition, PATIENCE)?.1;
            assigned.add_partition_offset(topic, partition, Offset::Offset(0))?;
            digests.insert((topic.clone(), partition), Digest::default());
        }
    }
    consumer.assign(&assigned)?;
    while left > 0 {
        let Some(message) = consumer.poll(PATIENCE) else { panic!("{left} messages did not come") };
        let m = message?;
        let headers: Vec<(&str, Option<&[u8]>)> =
            m.headers().into_iter().flat_map(|headers| headers.iter()).map(|h| (h.key, h.value)).collect();
        let digest = digests.get_mut(&(m.topic().to_owned(), m.partition())).expect("it is assigned");
        digest.add(m.offset(), m.timestamp().to_millis().unwrap_or(-1), m.key(), m.payload(), headers.into_iter());
        left -= 1;
    }
    for ((topic, partition), digest) in digests {
        digest.print(&topic, partition);
    }
    Ok(())
}
