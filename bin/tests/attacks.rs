//! Attacks by name on the real broker over real sockets: each ends in the defined way, costs bounded memory, and those who behave are served.
//!
//! Deadlines are generous and only end a test that would hang.

use crate::broker::Broker;
use crate::client::{Client, PATIENCE, framed, sized};
use bytes::Bytes;
use ottla_core::protocol::messages::api_versions::ApiVersionsRequest;
use ottla_core::protocol::messages::fetch::{self, FetchRequest};
use ottla_core::protocol::messages::metadata::MetadataRequest;
use ottla_core::protocol::messages::produce::{self, ProduceRequest};
use ottla_core::protocol::{Text, decode_response, encode_request};
use ottla_core::record::{BatchBuilder, BatchHeader, Codec, compress, crc_of};
use std::io::Write;
use std::time::{Duration, Instant};

const MIB: usize = 1 << 20;
const TOPIC: &str = "orders";
const INVALID_RECORD: i16 = 87;
const NOT_LEADER: i16 = 6;
/// Memory of a broker that holds nothing for anybody, generously.
const REST: usize = 128 * MIB;

fn produce(batches: Vec<Vec<u8>>) -> ProduceRequest {
    let data =
        batches.into_iter().map(|batch| produce::request::PartitionData { index: 0, records: Some(Bytes::from(batch).into()) });
    let topic = produce::request::TopicData { name: Text::from(TOPIC), partition_data: data.collect(), ..Default::default() };
    ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: vec![topic], ..Default::default() }
}

fn batch(value: &[u8]) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.push(1_700_000_000_000, Some(b"key"), Some(value));
    builder.build().to_vec()
}

/// A batch that says it holds one record, with this body.
fn with_body(codec: Codec, body: &[u8]) -> Vec<u8> {
    let mut batch = batch(b"")[..BatchHeader::SIZE].to_vec();
    batch.extend_from_slice(body);
    let length = i32::try_from(batch.len() - 12).expect("small");
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[21..23].copy_from_slice(&codec.bits().to_be_bytes());
    let crc = crc_of(&batch);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

/// What a broker says to a batch, once it leads.
fn code_of(client: &mut Client, batch: Vec<u8>) -> i16 {
    let start = Instant::now();
    loop {
        let code = client.ask(&produce(vec![batch.clone()]), 9).responses[0].partition_responses[0].error_code;
        if code != NOT_LEADER || start.elapsed() > PATIENCE {
            return code;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The broker serves whoever behaves.
fn serves(broker: &Broker) {
    let mut client = Client::connect(broker);
    client.greet();
    assert_eq!(code_of(&mut client, batch(b"value")), 0);
}

/// A new connection that is served, if it is not closed.
fn try_greet(broker: &Broker) -> Option<Client> {
    let mut client = Client::connect(broker);
    // Closed at once, a write fails or the read after it.
    let written = client.0.write_all(&framed(&ApiVersionsRequest::default(), 0, 7));
    if written.is_err() || matches!(client.0.peek(&mut [0]), Ok(0) | Err(_)) {
        return None;
    }
    client.read();
    Some(client)
}

fn with_topic(name: &str, settings: &str) -> Broker {
    let broker = Broker::start_set(name, settings);
    broker.print(&["topic", "create", TOPIC, "--partitions", "1"]);
    broker
}

/// 480 MiB of zeros in any codec, made of pieces that are packed once.
fn bomb(codec: Codec) -> Vec<u8> {
    let pieces = |piece: usize| 480 * MIB / piece;
    match codec {
        Codec::None => unreachable!("nothing is packed"),
        // Members, and frames, one after the other.
        Codec::Gzip | Codec::Zstd => compress(codec, &vec![0; MIB]).repeat(pieces(MIB)),
        Codec::Snappy => {
            // One header, then blocks with their lengths.
            let (header, block) = split(compress(codec, &vec![0; 32 * 1024]), 16, 0);
            [header, block.repeat(pieces(32 * 1024))].concat()
        }
        Codec::Lz4 => {
            // One header, then independent blocks, then the end mark.
            let (header, block) = split(compress(codec, &vec![0; 64 * 1024]), 7, 4);
            [header, block.repeat(pieces(64 * 1024)), vec![0; 4]].concat()
        }
    }
}

fn split(mut packed: Vec<u8>, header: usize, trailer: usize) -> (Vec<u8>, Vec<u8>) {
    packed.truncate(packed.len() - trailer);
    let rest = packed.split_off(header);
    (packed, rest)
}

#[test]
fn decompression_bombs_are_refused_and_stay_small() {
    let broker = with_topic("bombs", "");
    let mut client = Client::connect(&broker);
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let bomb = with_body(codec, &bomb(codec));
        assert!(bomb.len() < 30 * MIB, "{codec:?} packs zeros well");
        assert_eq!(code_of(&mut client, bomb), INVALID_RECORD, "{codec:?}");
        serves(&broker);
    }
    // A buffer of 64 MiB that grows to 128 MiB is there twice, and what the bomb before it had may not have been given back yet.
    let most = broker.memory_most();
    assert!(most <= REST + 2 * (64 + 128) * MIB, "{most} bytes");
}

#[test]
fn a_claimed_size_costs_nothing_whoever_believes_it() {
    let broker = with_topic("claims", "");
    let before = broker.asked_most();
    // Ten bytes of snappy that claim 4 GiB, and a zstd frame that says the same of its content.
    let mut client = Client::connect(&broker);
    assert_ne!(code_of(&mut client, with_body(Codec::Snappy, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0, 0])), 0);
    let zstd = [0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0];
    assert_ne!(code_of(&mut client, with_body(Codec::Zstd, &zstd)), 0);
    // A batch of 2^31 - 1 records, that says so in both places and in one.
    for last_offset_delta in [i32::MAX - 1, 0] {
        let mut batch = batch(b"value");
        batch[57..61].copy_from_slice(&i32::MAX.to_be_bytes());
        batch[23..27].copy_from_slice(&last_offset_delta.to_be_bytes());
        let crc = crc_of(&batch);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(code_of(&mut client, batch), INVALID_RECORD);
    }
    // An array of 2^31 - 1 topics, in both formats, and a frame of 100 MiB that never comes.
    let fixed = [&[0, 3, 0, 1, 0, 0, 0, 7, 0xff, 0xff][..], &i32::MAX.to_be_bytes()].concat();
    let compact = [&[0, 3, 0, 9, 0, 0, 0, 7, 0xff, 0xff, 0][..], &[0xff, 0xff, 0xff, 0xff, 7]].concat();
    for frame in [fixed, compact] {
        let mut client = Client::connect(&broker);
        client.write(&sized(&frame));
        assert!(client.is_closed());
    }
    let mut claims = Vec::new();
    for _ in 0..50 {
        let mut client = Client::connect(&broker);
        client.write(&104_857_600_u32.to_be_bytes());
        claims.push(client);
    }
    serves(&broker);
    let (most, asked) = (broker.memory_most(), broker.asked_most() - before);
    assert!(most <= REST && asked <= 1024 * MIB, "{most} bytes, {asked} asked for");
}

#[test]
fn impossible_frames_end_their_own_connection() {
    let broker = with_topic("frames", "socket.request.max.bytes=100000\n");
    let mut witness = Client::connect(&broker);
    witness.greet();
    for bytes in [
        &[0, 0, 0, 0][..],
        &[0, 0, 0, 1, 0],
        &[0, 0, 0, 3, 0, 18, 0],
        &[0xff, 0xff, 0xff, 0xff],
        &[0x80, 0, 0, 0],
        &[0x7f, 0xff, 0xff, 0xff],
        &100_001_u32.to_be_bytes(),
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ] {
        let mut client = Client::connect(&broker);
        client.greet();
        client.write(bytes);
        assert!(client.is_closed(), "{bytes:x?}");
        witness.greet();
    }
    // The largest that is allowed is served: what follows a request is ignored.
    let mut frame = encode_request(&ApiVersionsRequest::default(), 0, 7, "attack").concat();
    frame.resize(100_000, 0);
    let mut client = Client::connect(&broker);
    client.write(&sized(&frame));
    client.read();
}

#[test]
fn who_drips_or_is_silent_is_sent_away_and_who_waits_is_not() {
    let broker = with_topic("drip", "connections.max.idle.ms=1500\n");
    let mut waiter = Client::connect(&broker);
    let patient = FetchRequest { min_bytes: i32::MAX, ..fetch_request(4_000) };
    waiter.write(&framed(&patient, 12, 7));
    let (mut silent, mut stranger) = (Client::connect(&broker), Client::connect(&broker));
    silent.greet();
    let mut drip = Client::connect(&broker);
    drip.greet();
    let request = framed(&produce(vec![batch(&[7; 10_000])]), 9, 7);
    let mut dripped = 0;
    let start = Instant::now();
    // A byte at a time until the broker has enough of it; others are served all the while.
    for byte in &request {
        let is_gone = drip.0.write_all(std::slice::from_ref(byte)).is_err();
        if is_gone {
            break;
        }
        dripped += 1;
        assert!(start.elapsed() < PATIENCE, "the drip goes on after {dripped} bytes");
        serves(&broker);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(dripped < request.len() && drip.is_closed());
    assert!(silent.is_closed() && stranger.is_closed());
    // The fetch asked to wait for longer than the limit: it is owed an answer, which has the records that the others wrote.
    let answer: fetch::FetchResponse = decode_response(waiter.read(), 12).expect("an answer").1;
    assert_eq!(answer.responses[0].partitions[0].error_code, 0);
}

#[test]
fn a_flood_of_half_open_connections_leaves_room_for_those_who_speak() {
    let broker = with_topic("half-open", "max.connections=20\n");
    let mut known: Vec<Client> = (0..5).map(|_| Client::connect(&broker)).collect();
    known.iter_mut().for_each(Client::greet);
    let flood: Vec<Client> = (0..100).map(|_| Client::connect(&broker)).collect();
    known.iter_mut().for_each(Client::greet);
    // Newcomers who speak take the places of strangers who do not.
    let mut all: Vec<Client> = Vec::new();
    for _ in 0..15 {
        let mut newcomer = Client::connect(&broker);
        newcomer.greet();
        all.push(newcomer);
    }
    for mut stranger in flood {
        assert!(stranger.is_closed());
    }
    // Everybody has spoken: the next one is closed at once, and nobody else is.
    assert!(Client::connect(&broker).is_closed());
    known.iter_mut().chain(&mut all).for_each(Client::greet);
    drop(known);
    let start = Instant::now();
    while try_greet(&broker).is_none() {
        assert!(start.elapsed() < PATIENCE, "there is room again");
    }
    assert!(broker.log().contains("too many connections"), "the operator is told");
}

#[test]
fn one_address_gets_its_share_of_connections() {
    let broker = with_topic("per-ip", "max.connections.per.ip=5\n");
    let mut mine: Vec<Client> = Vec::new();
    let start = Instant::now();
    // Those of the tools that waited for the broker may still be there.
    while mine.len() < 5 {
        assert!(start.elapsed() < PATIENCE, "five connections are allowed");
        mine.extend(try_greet(&broker));
    }
    assert!(Client::connect(&broker).is_closed());
    mine.iter_mut().for_each(Client::greet);
    mine.pop();
    let start = Instant::now();
    while try_greet(&broker).is_none() {
        assert!(start.elapsed() < PATIENCE, "there is room again");
    }
    assert!(broker.log().contains("too many connections from its address"), "the operator is told");
}

/// All records, once there are any or the time is over.
fn fetch_request(wait_ms: i32) -> FetchRequest {
    let partition = fetch::request::Partitions {
        current_leader_epoch: -1,
        last_fetched_epoch: -1,
        log_start_offset: -1,
        partition_max_bytes: i32::MAX,
        ..Default::default()
    };
    let topic = fetch::request::Topics { topic: Text::from(TOPIC), partitions: vec![partition], ..Default::default() };
    FetchRequest {
        replica_id: -1,
        max_wait_ms: wait_ms,
        min_bytes: 1,
        max_bytes: i32::MAX,
        session_epoch: -1,
        topics: vec![topic],
        ..Default::default()
    }
}

#[test]
fn who_asks_for_much_and_reads_nothing_costs_little() {
    let mut broker = with_topic("slow-reader", "");
    let mut writer = Client::connect(&broker);
    for number in 0..24_u8 {
        assert_eq!(code_of(&mut writer, batch(&vec![number; 1_000_000])), 0);
    }
    drop(writer);
    // What was written is not in memory any more, every answer has to be read from the disk.
    broker.restart();
    serves(&broker);
    let before = broker.memory_most();
    let mut greedy: Vec<Client> = Vec::new();
    for _ in 0..4 {
        let mut client = Client::connect(&broker);
        client.greet();
        let request = framed(&fetch_request(0), 12, 7);
        client.write(&request.repeat(200));
        greedy.push(client);
    }
    for _ in 0..100 {
        serves(&broker);
    }
    // Of the first answer of one of them, every byte is there.
    let answer: fetch::FetchResponse = decode_response(greedy[0].read(), 12).expect("an answer").1;
    let records = answer.responses[0].partitions[0].records.clone().expect("records").into_bytes();
    assert!(records.len() > 24_000_000);
    // Each may be owed 64 MiB, and may ask for 55 MiB when it is owed nothing.
    let most = broker.memory_most() - before;
    assert!(most <= 4 * 64 * MIB + REST, "{most} bytes");
}

#[test]
fn a_flood_of_requests_on_one_connection_is_answered_in_order() {
    const REQUESTS: i32 = 20_000;
    let broker = with_topic("flood", "");
    let mut flood = Client::connect(&broker);
    let mut reader = Client(flood.0.try_clone().expect("a socket"));
    let writer = std::thread::spawn(move || {
        for correlation in 0..REQUESTS {
            let all_topics = MetadataRequest { topics: None, ..Default::default() };
            let request = if correlation % 2 == 0 {
                framed(&ApiVersionsRequest::default(), 0, correlation)
            } else {
                framed(&all_topics, 12, correlation)
            };
            flood.write(&request);
        }
        flood
    });
    serves(&broker);
    for correlation in 0..REQUESTS {
        let answer = reader.read();
        assert_eq!(answer[..4], correlation.to_be_bytes());
        if correlation % 1000 == 0 {
            serves(&broker);
        }
    }
    drop(writer.join().expect("everything was read"));
    let most = broker.memory_most();
    assert!(most <= REST + 64 * MIB, "{most} bytes");
}

#[test]
fn requests_that_wait_in_memory_have_a_bound_over_all_connections() {
    let settings = "socket.request.max.bytes=1000000\nqueued.max.request.bytes=1000000\n";
    let broker = with_topic("queued", settings);
    let (mut large, mut other) = (Client::connect(&broker), Client::connect(&broker));
    large.greet();
    other.greet();
    // It claims all there is and lets the others wait.
    large.write(&1_000_000_u32.to_be_bytes());
    let start = Instant::now();
    let request = framed(&ApiVersionsRequest::default(), 0, 7);
    let is_answered = |client: &mut Client, ms: u64| {
        client.0.set_read_timeout(Some(Duration::from_millis(ms))).expect("a socket");
        let got = client.0.peek(&mut [0]).is_ok_and(|count| count > 0);
        client.0.set_read_timeout(Some(PATIENCE)).expect("a socket");
        got
    };
    // The claim may not have been seen when the first of them come.
    loop {
        assert!(start.elapsed() < PATIENCE, "the others never wait");
        other.write(&request);
        if !is_answered(&mut other, 500) {
            break;
        }
        other.read();
    }
    drop(large);
    other.read();
    serves(&broker);
}
