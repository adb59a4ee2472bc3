//! What is worked on beside the core, through a whole broker over a socket: answers come in the order of the requests all the same.

use crate::host_limits_tests::node;
use crate::host_tests::run;
use crate::scratch::Scratch;
use bytes::Bytes;
use ottla_core::protocol::messages::create_topics::{CreateTopicsRequest, request as create};
use ottla_core::protocol::messages::fetch::{FetchRequest, request as fetch};
use ottla_core::protocol::messages::list_offsets::{ListOffsetsRequest, request as list};
use ottla_core::protocol::messages::produce::{ProduceRequest, request as produce};
use ottla_core::protocol::{Request, Text, decode_response, encode_request};
use ottla_core::record::{BatchBuilder, BatchHeader, Codec};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::spawn_local;

const T0: i64 = 1_700_000_000_000;

fn framed<R: Request>(request: &R, version: i16, correlation: i32) -> Vec<u8> {
    let frame = encode_request(request, version, correlation, "test").concat();
    [&u32::try_from(frame.len()).expect("small").to_be_bytes()[..], &frame].concat()
}

/// The next answer, which must be to this request.
async fn answer<R: Request>(stream: &mut TcpStream, version: i16, correlation: i32) -> R::Response {
    let mut frame = vec![0; usize::try_from(stream.read_u32().await.expect("an answer")).expect("small")];
    stream.read_exact(&mut frame).await.expect("whole");
    let (asked, response) = decode_response::<R::Response>(Bytes::from(frame), version).expect("well formed");
    assert_eq!(asked, correlation, "answers keep the order of requests");
    response
}

#[test]
fn batches_are_compressed_anew_and_found_by_their_time() {
    let folder = Scratch::new();
    run(async {
        let (node, _, port) = node(&folder).await;
        let running = spawn_local(node.run());
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("listening");
        let topic = create::Topics {
            name: Text::from("packed"),
            num_partitions: 1,
            replication_factor: 1,
            configs: vec![create::Configs { name: "compression.type".into(), value: Some("lz4".into()) }],
            ..create::Topics::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 5_000, ..CreateTopicsRequest::default() };
        stream.write_all(&framed(&request, 5, 0)).await.expect("connected");
        let created = answer::<CreateTopicsRequest>(&mut stream, 5, 0).await;
        assert_eq!(created.topics[0].error_code, 0);
        let put = |value: usize, codec: Codec| {
            let mut batch = BatchBuilder::new().codec(codec);
            batch.push(T0 + i64::try_from(value).expect("small"), None, Some(&vec![b'x'; 1000 * value]));
            let data = produce::PartitionData { index: 0, records: Some(batch.build().freeze().into()) };
            let topic = produce::TopicData { name: Text::from("packed"), partition_data: vec![data], ..Default::default() };
            ProduceRequest { acks: -1, timeout_ms: 5_000, topic_data: vec![topic], ..ProduceRequest::default() }
        };
        // Until it has a leader.
        let mut correlation = 1;
        loop {
            stream.write_all(&framed(&put(1, Codec::Lz4), 9, correlation)).await.expect("connected");
            let told = answer::<ProduceRequest>(&mut stream, 9, correlation).await;
            correlation += 1;
            if told.responses[0].partition_responses[0].error_code == 0 {
                break;
            }
        }
        // All at once: heavy and light ones in turn.
        let mut sent = Vec::new();
        for value in 2..12_usize {
            let codec = [Codec::Lz4, Codec::None, Codec::Gzip][value % 3];
            sent.extend(framed(&put(value, codec), 9, correlation + i32::try_from(value).expect("small")));
        }
        stream.write_all(&sent).await.expect("connected");
        for value in 2..12_i32 {
            let told = answer::<ProduceRequest>(&mut stream, 9, correlation + value).await;
            let told = &told.responses[0].partition_responses[0];
            assert_eq!((told.error_code, told.base_offset), (0, i64::from(value) - 1));
        }
        let partition = fetch::Partitions { partition: 0, partition_max_bytes: 1 << 20, ..Default::default() };
        let topics = vec![fetch::Topics { topic: Text::from("packed"), partitions: vec![partition], ..Default::default() }];
        let request = FetchRequest { max_wait_ms: 0, min_bytes: 1, max_bytes: 1 << 20, topics, ..Default::default() };
        stream.write_all(&framed(&request, 11, 100)).await.expect("connected");
        let fetched = answer::<FetchRequest>(&mut stream, 11, 100).await;
        let records = fetched.responses[0].partitions[0].records.clone().expect("some").into_bytes();
        let (mut rest, mut count) = (&records[..], 0);
        while let Ok(header) = BatchHeader::parse(rest) {
            assert_eq!(header.codec(), Ok(Codec::Lz4));
            rest = &rest[header.total_len()..];
            count += 1;
        }
        assert_eq!(count, 11);
        for value in 1..12_i64 {
            let partition = list::Partitions { partition_index: 0, timestamp: T0 + value, ..Default::default() };
            let topics = vec![list::Topics { name: Text::from("packed"), partitions: vec![partition] }];
            let request = ListOffsetsRequest { replica_id: -1, topics, ..Default::default() };
            stream.write_all(&framed(&request, 5, 101)).await.expect("connected");
            let told = answer::<ListOffsetsRequest>(&mut stream, 5, 101).await;
            let told = &told.topics[0].partitions[0];
            assert_eq!((told.error_code, told.offset, told.timestamp), (0, value - 1, T0 + value));
        }
        running.abort();
    });
}
