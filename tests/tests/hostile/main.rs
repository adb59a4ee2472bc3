//! Frames nobody honest would send, a great many of them, through the very functions a connection calls and into a broker: nothing panics,
//! every frame is answered or closes its own connection, and none of them takes more memory than the bounds allow.
//!
//! Everything follows from a seed. `HOSTILE_FRAMES` says how many frames (20,000 unless set; the lane `hostile` of `.ci/run` takes a
//! million), `HOSTILE_SEED` which ones. A failure names its frame, with the bytes.

#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap, missing_docs)]

#[path = "../codec/layout.rs"]
#[allow(dead_code, reason = "the tests of the codec use the rest")]
mod layout;

mod frames;
mod memory;
mod target;
mod world;

use frames::{Frames, TOPIC};
use ottla_core::api::{Refusal, served};
use ottla_core::limits::{DECOMPRESSED_BYTES_MAX, DESCRIBED_SETTINGS_MAX, PARTITIONS_PER_REQUEST_MAX};
use ottla_core::protocol::{ApiKey, DECODED_BYTES_MAX};
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use world::{Outcome, World};

const FRAMES: u64 = 20_000;
/// Frames that one broker gets.
const LIFE: u64 = 500;
/// Groups from which on a broker is too slow to go on with: somebody created many partitions.
const GROUPS_MAX: usize = 200;
/// Bytes that a replica costs in memory, generously.
const GROUP_BYTES: usize = 64 * 1024;
/// What one frame may cost in memory: what is decoded of it, and twice what is decompressed, because a buffer that grows is there twice for a
/// moment; or the partitions it creates, or the settings it is told.
const FRAME_COST_MAX: usize = max(
    DECODED_BYTES_MAX + 2 * DECOMPRESSED_BYTES_MAX,
    max(PARTITIONS_PER_REQUEST_MAX * GROUP_BYTES, DESCRIBED_SETTINGS_MAX * SETTING_BYTES),
);
/// Bytes that a setting takes in an answer, with what stands behind it.
const SETTING_BYTES: usize = 1024;
/// The same for a frame that has nothing to do with these: a multiple of its size, and something for what an answer tells of the cluster.
const PLAIN_COST_FACTOR: usize = 64;
const PLAIN_COST: usize = 1024 * 1024;

/// APIs whose frames may cost much more than their size. ListOffsets, because a look-up by time decompresses what it looks into.
const DEAR: [ApiKey; 6] = [
    ApiKey::Produce,
    ApiKey::ListOffsets,
    ApiKey::CreateTopics,
    ApiKey::CreatePartitions,
    ApiKey::DescribeConfigs,
    ApiKey::Metadata,
];

const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

/// What happened.
#[derive(Clone, Copy, Default, Debug)]
struct Figures {
    frames: u64,
    honest: u64,
    refused: u64,
    closed: u64,
    answered: u64,
    silent: u64,
    waits: u64,
    lives: u64,
    /// The dearest frame of the dear APIs, and the dearest of the others: bytes taken, its size.
    dearest: (usize, usize),
    dearest_plain: (usize, usize),
}

impl Figures {
    fn add(mut self, other: Figures) -> Figures {
        self.frames += other.frames;
        self.honest += other.honest;
        self.refused += other.refused;
        self.closed += other.closed;
        self.answered += other.answered;
        self.silent += other.silent;
        self.waits += other.waits;
        self.lives += other.lives;
        self.dearest = self.dearest.max(other.dearest);
        self.dearest_plain = self.dearest_plain.max(other.dearest_plain);
        self
    }
}

fn from_environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// The id that the topic has in every world.
fn topic_id() -> u128 {
    use ottla_core::protocol::messages::metadata::MetadataRequest;
    let mut bare = ottla_tests::bare::Bare::new(1, ottla_tests::bare::Cost::default);
    let leader = bare.create_topic(TOPIC, 1);
    let answer = bare.call(leader, &MetadataRequest { topics: None, ..Default::default() }, 12);
    answer.topics[0].topic_id.0
}

/// Feeds frames `from..to`; brokers come and go.
fn feed(frames: &Frames, from: u64, to: u64) -> Figures {
    let mut figures = Figures::default();
    let mut number = from;
    while number < to {
        figures.lives += 1;
        let mut world = World::new(TOPIC);
        let groups = world.groups();
        let end = (number + LIFE).min(to);
        while number < end && world.groups() >= groups && world.groups() <= GROUPS_MAX {
            let made = frames.make(number);
            let held = memory::restart();
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                let decoded = target::decode(&made.frame).is_ok();
                let outcome = world.feed(&made.frame);
                assert_eq!(decoded, outcome != Outcome::Refused, "a connection refuses what can't be decoded");
                if number.is_multiple_of(64) {
                    world.check();
                }
                outcome
            }));
            let cost = (memory::most() - held) as usize;
            let Ok(outcome) = outcome else { panic!("frame {number}: {}", hex(&made.frame)) };
            let is_plain = !key_of(&made.frame).is_some_and(|key| DEAR.contains(&key));
            let bound = if is_plain { PLAIN_COST + PLAIN_COST_FACTOR * made.frame.len() } else { FRAME_COST_MAX };
            assert!(cost <= bound, "frame {number} takes {cost} bytes of memory, {bound} are allowed: {}", hex(&made.frame));
            figures.count(outcome, made.is_honest, (cost, made.frame.len()), is_plain);
            number += 1;
        }
        let last = number;
        let ended = catch_unwind(AssertUnwindSafe(|| world.end()));
        assert!(ended.is_ok(), "a broker that was fed frames up to {last}");
    }
    figures
}

impl Figures {
    fn count(&mut self, outcome: Outcome, is_honest: bool, cost: (usize, usize), is_plain: bool) {
        self.frames += 1;
        self.honest += u64::from(is_honest);
        let dearest = if is_plain { &mut self.dearest_plain } else { &mut self.dearest };
        *dearest = cost.max(*dearest);
        let counter = match outcome {
            Outcome::Refused => &mut self.refused,
            Outcome::Closed => &mut self.closed,
            Outcome::Answered => &mut self.answered,
            Outcome::Silent => &mut self.silent,
            Outcome::Waits => &mut self.waits,
        };
        *counter += 1;
    }
}

fn key_of(frame: &[u8]) -> Option<ApiKey> {
    ApiKey::from_code(i16::from_be_bytes(*frame.first_chunk()?))
}

fn hex(frame: &[u8]) -> String {
    let mut text = String::new();
    for byte in frame.iter().take(4096) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[test]
fn honest_requests_are_taken_if_they_are_served_and_refused_if_not() {
    let frames = Frames::new(1, 1);
    let all = frames.honest();
    assert!(all.len() > 300, "only {} requests", all.len());
    for (key, version, frame) in all {
        let served = ApiKey::from_code(key).and_then(served);
        let expected = match served {
            None => Some(Refusal::UnknownApi),
            Some(served) if served.answers(version) || served.key == ApiKey::ApiVersions => None,
            Some(_) => Some(Refusal::UnsupportedVersion),
        };
        assert_eq!(target::decode(&frame).err(), expected, "API {key} version {version}");
    }
}

/// A handler that compares each with all others needs minutes for 200,000 (the lane's), one that does not, less than a second.
#[test]
fn a_long_request_takes_no_longer_than_it_is_long() {
    let elements = from_environment("HOSTILE_ELEMENTS", 20_000);
    const PATIENCE: Duration = Duration::from_secs(20);
    for frame in Frames::new(1, 1).long(elements) {
        let (key, version) = (key_of(&frame).expect("it has a header"), i16::from_be_bytes([frame[2], frame[3]]));
        let mut world = World::new(TOPIC);
        let (held, start) = (memory::restart(), Instant::now());
        let outcome = world.feed(&frame);
        let (cost, took) = ((memory::most() - held) as usize, start.elapsed());
        println!("{key} v{version}: {} bytes, {outcome:?}, {cost} bytes of memory, {} ms", frame.len(), took.as_millis());
        assert!(matches!(outcome, Outcome::Answered | Outcome::Silent | Outcome::Waits), "{key} v{version}: {outcome:?}");
        assert!(cost <= FRAME_COST_MAX, "{key} v{version} takes {cost} bytes of memory, {FRAME_COST_MAX} are allowed");
        assert!(took <= PATIENCE, "{key} v{version} takes {took:?}");
        world.end();
    }
}

#[test]
fn hostile_frames_are_answered_or_close_their_own_connection() {
    let count = from_environment("HOSTILE_FRAMES", FRAMES);
    let frames = Frames::new(from_environment("HOSTILE_SEED", 1), topic_id());
    let workers = std::thread::available_parallelism().map_or(1, |workers| workers.get() as u64);
    let share = count.div_ceil(workers);
    let figures = std::thread::scope(|scope| {
        let frames = &frames;
        let begin = |worker: u64| scope.spawn(move || feed(frames, worker * share, ((worker + 1) * share).min(count)));
        let running: Vec<_> = (0..workers).map(begin).collect();
        let ended = running.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        ended.fold(Figures::default(), Figures::add)
    });
    println!(
        "{} hostile frames ({} of them honest), {} brokers: {} connections closed for their bytes, {} requests answered, {} without an \
         answer (acks=0), {} closed by the broker (acks=0), {} that wait",
        figures.frames,
        figures.honest,
        figures.lives,
        figures.refused,
        figures.answered,
        figures.silent,
        figures.closed,
        figures.waits
    );
    println!(
        "memory: at most {} bytes for a plain frame (of {} bytes), {} for one of Produce, CreateTopics and the like (of {} \
         bytes; allowed: {})",
        figures.dearest_plain.0, figures.dearest_plain.1, figures.dearest.0, figures.dearest.1, FRAME_COST_MAX
    );
    assert_eq!(figures.frames, count);
    assert!(figures.answered * 5 > figures.frames, "most frames never reach the broker: {figures:?}");
    assert!(figures.refused > 0 && figures.closed > 0 && figures.silent > 0 && figures.waits > 0, "{figures:?}");
}
