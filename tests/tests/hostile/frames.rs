//! Frames that nobody honest would send, made from honest ones: a function of a seed and a number.

use crate::layout::{Side, Words, apis, body_of, key, parse::Api};
use bytes::{Bytes, BytesMut};
use ottla_core::api::{SERVED, served};
use ottla_core::protocol::messages::{fetch, produce};
use ottla_core::protocol::{RequestHeader, Text, Writer, encode_request};
use ottla_core::random::Random;
use ottla_core::record::{BatchBuilder, BatchHeader, Codec, Draft, crc_of};
use std::collections::BTreeSet;

/// The topic that exists.
pub const TOPIC: &str = "orders";
const T0: i64 = 1_700_000_000_000;

/// A frame and where it comes from.
pub struct Made {
    /// Without its size field.
    pub frame: Vec<u8>,
    /// Whether it is as an honest client would send it.
    pub is_honest: bool,
}

/// Makes frames.
pub struct Frames {
    seed: u64,
    apis: Vec<Api>,
    words: Words,
}

impl Frames {
    /// `topic_id` is that of [`TOPIC`].
    pub fn new(seed: u64, topic_id: u128) -> Frames {
        let strings = [TOPIC, TOPIC, TOPIC, "absent", "", "1", "retention.ms", "60000", "cleanup.policy", "producer"];
        let strings = strings.map(str::to_owned).to_vec();
        let mut random = Random::stream(seed, 0);
        let records = (0..40).map(|_| batch(&mut random).freeze()).collect();
        Frames {
            seed,
            apis: apis(),
            words: Words { strings, ids: vec![topic_id], records, are_numbers_small: true, elements: None },
        }
    }

    /// An honest request of every API of Kafka at every version, whether it is served or not: key, version, frame.
    pub fn honest(&self) -> Vec<(i16, i16, Vec<u8>)> {
        let mut random = Random::stream(self.seed, 1);
        let mut all = Vec::new();
        for api in &self.apis {
            for version in api.versions.first..=api.versions.last {
                all.push((api.key, version, self.request(api, version, &mut random)));
            }
        }
        all
    }

    /// A request of every API and version that is served, each with that many topics, resources or whatever it is about, all different.
    pub fn long(&self, elements: u64) -> Vec<Vec<u8>> {
        let mut random = Random::stream(self.seed, 1);
        let words = Words { records: self.words.records[..1].to_vec(), elements: Some(elements), ..Words::default() };
        let long = Frames { seed: self.seed, apis: apis(), words };
        let mut all = Vec::new();
        for served in SERVED {
            let api = long.apis.iter().find(|api| api.key == served.key.code()).expect("every API has a layout");
            for version in BTreeSet::from([served.answered.0, served.answered.1]) {
                all.push(long.request(api, version, &mut random));
            }
        }
        all
    }

    /// Frame number `number`.
    pub fn make(&self, number: u64) -> Made {
        let mut random = Random::stream(self.seed, number + 2);
        let random = &mut random;
        if random.chance(1, 8) {
            return Made { frame: produce_frame(&damaged_batch(random), random), is_honest: false };
        }
        let mut frame = self.any_request(random);
        let is_honest = random.chance(1, 16);
        if !is_honest {
            let other = self.any_request(random);
            mutate(&mut frame, &other, random);
            while random.chance(1, 3) {
                mutate(&mut frame, &other, random);
            }
        }
        Made { frame, is_honest }
    }

    fn any_request(&self, random: &mut Random) -> Vec<u8> {
        if random.chance(1, 32) {
            return fetch_frame(random);
        }
        let is_served = random.chance(7, 8);
        let of = if is_served {
            let served = &SERVED[pick(random, SERVED.len())];
            self.apis.iter().find(|api| api.key == served.key.code())
        } else {
            self.apis.get(pick(random, self.apis.len()))
        };
        let api = of.expect("every API has a layout");
        let (first, last) =
            served(key(api)).filter(|_| is_served).map_or((api.versions.first, api.versions.last), |s| s.answered);
        let version = first + i16::try_from(pick(random, (last - first + 1) as usize)).expect("few versions");
        self.request(api, version, random)
    }

    fn request(&self, api: &Api, version: i16, random: &mut Random) -> Vec<u8> {
        let mut writer = Writer::new();
        let client_id = Some(Bytes::from_static(b"hostile"));
        RequestHeader { api_key: key(api), api_version: version, correlation_id: 7, client_id }.encode(&mut writer);
        let mut frame = writer.finish_contiguous().to_vec();
        frame.extend_from_slice(&body_of(api, Side::Request, version, random, &self.words));
        frame
    }
}

fn pick(random: &mut Random, count: usize) -> usize {
    random.below(count as u64) as usize
}

/// A batch as clients make them, in any codec.
fn batch(random: &mut Random) -> BytesMut {
    let codec = Codec::ALL[pick(random, Codec::ALL.len())];
    let mut builder = BatchBuilder::new().codec(codec);
    if random.chance(1, 4) {
        builder = builder.producer(random.below(4) as i64, 0, random.below(3) as i32);
    }
    let length = if random.chance(1, 16) { 5_000 } else { random.below(60) as usize };
    let value = vec![random.bits() as u8; length];
    for n in 0..random.between(1, 20) {
        let key = [n as u8; 3];
        let headers = [(&b"h"[..], Some(&b"v"[..])), (&b"h"[..], None)];
        builder.add(&Draft {
            timestamp: T0 + n as i64,
            key: Some(&key[..]).filter(|_| !n.is_multiple_of(3)),
            value: Some(&value[..]).filter(|_| !n.is_multiple_of(7)),
            headers: &headers[..pick(random, 3)],
        });
    }
    builder.build()
}

/// A batch that is damaged below its crc, so that the checks behind the crc meet the damage.
fn damaged_batch(random: &mut Random) -> Vec<u8> {
    let mut batch = batch(random).to_vec();
    let other = self::batch(random).to_vec();
    if random.chance(1, 400) {
        batch = bomb(random);
    } else if random.chance(3, 4) {
        let mut body = batch.split_off(if random.chance(3, 4) { BatchHeader::SIZE } else { 21 });
        for _ in 0..random.between(1, 3) {
            mutate(&mut body, &other, random);
        }
        batch.extend_from_slice(&body);
    }
    if random.chance(7, 8)
        && let Ok(length) = i32::try_from(batch.len() - 12)
    {
        batch[8..12].copy_from_slice(&length.to_be_bytes());
    }
    if batch.len() >= BatchHeader::SIZE {
        let crc = crc_of(&batch);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
    }
    batch
}

/// Much from little: a few megabytes of zeros in any codec.
fn bomb(random: &mut Random) -> Vec<u8> {
    let codec = Codec::ALL[pick(random, Codec::ALL.len())];
    let mut builder = BatchBuilder::new().codec(codec);
    builder.push(T0, None, Some(&vec![0; 1 << random.between(18, 22)]));
    builder.build().to_vec()
}

/// Produce of one batch to the topic that exists, at any version.
fn produce_frame(batch: &[u8], random: &mut Random) -> Vec<u8> {
    let data = produce::request::PartitionData { index: 0, records: Some(Bytes::copy_from_slice(batch).into()) };
    let topic = produce::request::TopicData { name: Text::from(TOPIC), partition_data: vec![data], ..Default::default() };
    let acks = [-1, 0, 1][pick(random, 3)];
    let request = produce::ProduceRequest { acks, timeout_ms: 1000, topic_data: vec![topic], ..Default::default() };
    encode_request(&request, 3 + pick(random, 10) as i16, 7, "hostile").concat()
}

/// Fetch of records that are there, or that it waits for.
fn fetch_frame(random: &mut Random) -> Vec<u8> {
    let mut partitions = Vec::new();
    for partition in 0..3 {
        partitions.push(fetch::request::Partitions {
            partition,
            current_leader_epoch: -1,
            fetch_offset: random.below(2) as i64,
            last_fetched_epoch: -1,
            log_start_offset: -1,
            partition_max_bytes: 1 << random.below(25),
            ..Default::default()
        });
    }
    let topic = fetch::request::Topics { topic: Text::from(TOPIC), partitions, ..Default::default() };
    let request = fetch::FetchRequest {
        replica_id: -1,
        max_wait_ms: [0, 100, 5_000, i32::MAX][pick(random, 4)],
        min_bytes: 1 << random.below(30),
        max_bytes: 1 << random.below(30),
        isolation_level: pick(random, 2) as i8,
        session_epoch: pick(random, 2) as i32 - 1,
        topics: vec![topic],
        ..Default::default()
    };
    encode_request(&request, 4 + pick(random, 9) as i16, 7, "hostile").concat()
}

/// Changes one thing.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    const NUMBERS: [u32; 10] =
        [0, 1, 0xffff_ffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff, 0x7fff, 0x0100_0000, 0x0640_0001];
    const VARINTS: [&[u8]; 6] = [
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0xff, 0xff, 0xff, 0xff, 0x7f],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        &[0x80, 0x80, 0x80, 0x80, 0x00],
        &[0xff, 0xff, 0x03],
        &[0x80; 12],
    ];
    let at = pick(random, bytes.len() + 1);
    let span = at..(at + random.between(1, 24) as usize).min(bytes.len());
    match random.below(12) {
        0 | 1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        2 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = random.bits() as u8;
            }
        }
        3 => bytes.truncate(at),
        4 | 5 => {
            // A length, a count, a number: whole words of the old formats.
            let number = NUMBERS[pick(random, NUMBERS.len())].to_be_bytes();
            let width = if random.chance(1, 3) { 2 } else { 4 };
            if let Some(place) = bytes.get_mut(at..at + width) {
                place.copy_from_slice(&number[4 - width..]);
            }
        }
        6 => {
            // The same in the new ones: in place of one byte.
            let varint = VARINTS[pick(random, VARINTS.len())];
            let end = (at + 1).min(bytes.len());
            bytes.splice(at..end, varint.iter().copied());
        }
        7 => {
            let slice = bytes[span.clone()].to_vec();
            let times = if random.chance(1, 50) { 1000 } else { random.between(1, 3) as usize };
            bytes.splice(at..at, slice.repeat(times));
        }
        8 => drop(bytes.drain(span)),
        9 => {
            // Another header: key, version, correlation id, client id.
            for byte in bytes.iter_mut().take(pick(random, 14)) {
                *byte = random.bits() as u8;
            }
        }
        10 => {
            let from = pick(random, other.len() + 1);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        _ => bytes.extend((0..random.below(40)).map(|_| random.bits() as u8)),
    }
}
