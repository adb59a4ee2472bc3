//! A record batch is never copied between the client's frame and the disk, the followers and the readers: what leaves a broker are slices of the
//! very buffer that came in. Shown by the addresses.

use bytes::{Bytes, BytesMut};
use ottla_core::api;
use ottla_core::disk::FileName;
use ottla_core::ids::BrokerId;
use ottla_core::record::{BatchBuilder, BatchHeader};
use ottla_tests::bare::{self, Bare, Cost, Tap, VERSION};

const TOPIC: &str = "orders";

fn batch() -> BytesMut {
    let mut builder = BatchBuilder::new();
    for n in 0..16u8 {
        builder.push(1_700_000_000_000, Some(&[n]), Some(&[n; 1000]));
    }
    builder.build()
}

/// Bytes of `slices` that lie inside `range`.
fn inside(slices: &[Bytes], range: &std::ops::Range<usize>) -> usize {
    slices.iter().filter(|slice| range.contains(&slice.as_ptr().addr())).map(Bytes::len).sum()
}

/// Produces one batch and reads it back while it is fresh; gives the buffer's addresses, the batch's size and all that left the leader.
fn produce_and_fetch(brokers: usize) -> (std::ops::Range<usize>, usize, Vec<Tap>) {
    let mut bare = Bare::new(brokers, Cost::default);
    let leader = bare.create_topic(TOPIC, i16::try_from(brokers).expect("few"));
    let batch = batch();
    let frame = bare::frame(&bare::produce_request(TOPIC, batch.clone().freeze()), VERSION);
    let start = frame.as_ptr().addr();
    let range = start..start + frame.len();
    bare.tap = true;
    let number = bare.submit(leader, api::decode(frame).expect("a served request"));
    bare.settle();
    let answer = bare.answer(leader, number).expect("an answer once all replicas have it");
    let answer = bare::response::<ottla_core::protocol::messages::produce::ProduceRequest>(&answer, VERSION);
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    let fetch = bare.call(leader, &bare::fetch_request(TOPIC, 0, 1), VERSION);
    let records = fetch.responses[0].partitions[0].records.clone().expect("records").into_bytes();
    assert_eq!(records[BatchHeader::SIZE..], batch[BatchHeader::SIZE..], "the same records come back");
    let taps = bare.taps.iter().filter(|(broker, _)| *broker == leader).map(|(_, tap)| tap.clone()).collect();
    (range, batch.len(), taps)
}

#[test]
fn the_clients_buffer_goes_to_the_disk_and_to_the_reader() {
    let (range, bytes, taps) = produce_and_fetch(1);
    let mut appended = 0;
    let mut replied = 0;
    for tap in &taps {
        match tap {
            Tap::Append(FileName::Segment { .. }, data) => appended += inside(data, &range),
            Tap::Reply(frame) => replied += inside(frame, &range),
            Tap::Append(..) | Tap::Peer(..) => {}
        }
    }
    assert_eq!((appended, replied), (bytes, bytes), "one append and one fetch reply of the same memory");
}

#[test]
fn the_clients_buffer_goes_to_every_follower() {
    let (range, bytes, taps) = produce_and_fetch(3);
    let mut sent: std::collections::BTreeMap<BrokerId, usize> = std::collections::BTreeMap::new();
    let mut appended = 0;
    for tap in &taps {
        match tap {
            Tap::Peer(to, frame) => *sent.entry(*to).or_default() += inside(frame, &range),
            Tap::Append(_, data) => appended += inside(data, &range),
            Tap::Reply(_) => {}
        }
    }
    assert_eq!(sent.values().copied().collect::<Vec<_>>(), [bytes, bytes], "two followers got slices of it");
    assert_eq!(appended, bytes);
}

#[test]
fn several_batches_are_answered_from_where_they_lie() {
    let mut bare = Bare::new(1, Cost::default);
    let leader = bare.create_topic(TOPIC, 1);
    let mut ranges = Vec::new();
    let mut bytes = 0;
    for _ in 0..3 {
        let batch = batch();
        bytes += batch.len();
        let frame = bare::frame(&bare::produce_request(TOPIC, batch.freeze()), VERSION);
        let start = frame.as_ptr().addr();
        ranges.push(start..start + frame.len());
        let number = bare.submit(leader, api::decode(frame).expect("a served request"));
        bare.settle();
        bare.answer(leader, number).expect("one replica is enough");
    }
    bare.tap = true;
    bare.call(leader, &bare::fetch_request(TOPIC, 0, 1), VERSION);
    let mut replied = 0;
    for (_, tap) in &bare.taps {
        if let Tap::Reply(frame) = tap {
            replied += ranges.iter().map(|range| inside(frame, range)).sum::<usize>();
        }
    }
    assert_eq!(replied, bytes, "all three batches are slices of the frames they came in");
}
