//! rskafka under the rule of `../../../README.md`.

use chrono::DateTime;
use ottla_clients::{Digest, Job, PARTITIONS, Produce, RECORDS};
use rskafka::client::partition::{Compression, OffsetAt, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::Record;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), rskafka::client::error::Error> {
    match Job::from_arguments() {
        Job::Produce(job) => produce(&job).await,
        Job::Consume { bootstrap, topics } => consume(&bootstrap, &topics).await,
    }
}

async fn connect(bootstrap: &str) -> Result<Client, rskafka::client::error::Error> {
    ClientBuilder::new(bootstrap.split(',').map(String::from).collect()).build().await
}

async fn produce(job: &Produce) -> Result<(), rskafka::client::error::Error> {
    let client = connect(&job.bootstrap).await?;
    client.controller_client()?.create_topic(&job.topic, PARTITIONS, 3, 30_000).await?;
    for codec in &job.codecs {
        let compression = match codec.as_str() {
            "gzip" => Compression::Gzip,
            "snappy" => Compression::Snappy,
            "lz4" => Compression::Lz4,
            "zstd" => Compression::Zstd,
            _ => Compression::NoCompression,
        };
        for partition in 0..PARTITIONS {
            let leader = client.partition_client(&job.topic, partition, UnknownTopicHandling::Retry).await?;
            let records: Vec<Record> =
                (0..RECORDS).map(|n| job.record(codec, n)).filter(|r| r.partition == partition).map(own).collect();
            for batch in records.chunks(200) {
                leader.produce(batch.to_vec(), compression).await?;
            }
        }
    }
    Ok(())
}

/// Its headers are a map without nulls; the lane does not ask for what that can't hold.
fn own(r: ottla_clients::Record) -> Record {
    Record {
        key: r.key,
        value: r.value,
        headers: r
            .headers
            .into_iter()
            .map(|(name, value)| (name.into(), value.expect("asked for without null-header")))
            .collect(),
        timestamp: DateTime::from_timestamp_millis(r.timestamp).expect("TIME is a time"),
    }
}

async fn consume(bootstrap: &str, topics: &[String]) -> Result<(), rskafka::client::error::Error> {
    let client = connect(bootstrap).await?;
    for topic in topics {
        for partition in 0..PARTITIONS {
            let leader = client.partition_client(topic, partition, UnknownTopicHandling::Error).await?;
            let end = leader.get_offset(OffsetAt::Latest).await?;
            let mut digest = Digest::default();
            while digest.count < end {
                for read in leader.fetch_records(digest.count, 1..1_000_000, 1_000).await?.0 {
                    let r = &read.record;
                    let headers = r.headers.iter().map(|(name, value)| (name.as_str(), Some(value.as_slice())));
                    digest.add(read.offset, r.timestamp.timestamp_millis(), r.key.as_deref(), r.value.as_deref(), headers);
                }
            }
            digest.print(topic, partition);
        }
    }
    Ok(())
}
