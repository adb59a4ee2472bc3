//! What one batch costs inside the core alone: no shell, no disk, no network.
//!
//! `cargo bench -p ottla-tests --bench core` prints, per 16 KiB batch, nanoseconds, allocations and allocated bytes of:
//!
//! - decoding and checking the Produce frame (crc, walk over the records; done by connection tasks, beside the core);
//! - the leader's core at replication factor 1 and 3, from the request to the answer to acks=all, with one batch and with sixteen per round;
//! - a Fetch at the tail.
//!
//! Only calls into the measured core count; its followers and the making of frames do not. A payload copy would show as an allocation
//! of at least the batch's size: the column `payload copies` is allocated bytes divided by the batch's size, rounded down.
//! `tests/tests/zero_copy.rs` proves the same by addresses. The budget (5 microseconds per batch at RF 1) is checked with
//! `--budget`, which a slow machine may fail.

use bytes::{Bytes, BytesMut};
use ottla_core::api;
use ottla_core::ids::BrokerId;
use ottla_core::record::BatchBuilder;
use ottla_tests::bare::{self, Bare, Cost, VERSION};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::OnceLock;
use std::time::Instant;

const TOPIC: &str = "bench";
const WARM: usize = 2_000;
/// Batches of one run; short, so that some run meets a quiet moment of a busy machine.
const BATCHES: usize = 512;
const RUNS: usize = 300;
const BUDGET_NS: u64 = 5_000;

/// Counts what this thread allocates.
struct Counting;

thread_local! {
    static COUNTED: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

fn count(bytes: usize) {
    let _ = COUNTED.try_with(|counted| {
        let (allocations, total) = counted.get();
        counted.set((allocations + 1, total + bytes as u64));
    });
}

// SAFETY: every call is passed on to the system's allocator unchanged; counting touches only a thread-local cell that needs no
// allocation and no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `System` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the pointer came from `System` with this layout.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn gauge() -> Cost {
    static START: OnceLock<Instant> = OnceLock::new();
    let (allocations, bytes) = COUNTED.get();
    let ns = START.get_or_init(Instant::now).elapsed().as_nanos() as u64;
    Cost { ns, allocations, bytes, rounds: 0 }
}

fn batch() -> BytesMut {
    let mut builder = BatchBuilder::new();
    for n in 0..16u8 {
        builder.push(1_700_000_000_000, Some(&[n; 8]), Some(&[n; 1000]));
    }
    let fill = vec![7; 16 * 1024 - builder.body_bytes() - 61 - 20];
    builder.push(1_700_000_000_000, None, Some(&fill));
    builder.build()
}

/// Costs of `batches` batches, per batch.
struct Line {
    what: &'static str,
    cost: Cost,
    batches: usize,
}

impl Line {
    fn print(&self, batch_bytes: usize) {
        let per = |total: u64| total as f64 / self.batches as f64;
        println!(
            "{:44} {:>9.0} {:>8.1} {:>9.0} {:>8.1} {:>8}",
            self.what,
            per(self.cost.ns),
            per(self.cost.allocations),
            per(self.cost.bytes),
            per(self.cost.rounds),
            self.cost.bytes / self.batches as u64 / batch_bytes as u64,
        );
    }
}

fn since(before: Cost, after: Cost) -> Cost {
    Cost {
        ns: after.ns - before.ns,
        allocations: after.allocations - before.allocations,
        bytes: after.bytes - before.bytes,
        rounds: after.rounds - before.rounds,
    }
}

/// The costs that occur at a quiet moment: the fastest of all runs.
fn best(mut run: impl FnMut() -> Cost) -> Cost {
    (0..RUNS).map(|_| run()).min_by_key(|cost| cost.ns).expect("some runs")
}

fn decode(frame: &BytesMut) -> Line {
    let cost = best(|| {
        let mut total = Cost::default();
        for _ in 0..BATCHES {
            let copy = BytesMut::from(&frame[..]);
            let before = gauge();
            let request = api::decode(copy);
            let after = gauge();
            let spent = since(before, after);
            total = Cost {
                ns: total.ns + spent.ns,
                allocations: total.allocations + spent.allocations,
                bytes: total.bytes + spent.bytes,
                rounds: 0,
            };
            drop(request);
        }
        total
    });
    Line { what: "decode and check the frame", cost, batches: BATCHES }
}

fn produce(what: &'static str, bare: &mut Bare, leader: BrokerId, frame: &BytesMut, per_round: usize) -> Line {
    let at = usize::try_from(leader.0 - 1).expect("ids begin at 1");
    let mut run = |rounds: usize| {
        let before = bare.meters[at];
        for _ in 0..rounds {
            for _ in 0..per_round {
                bare.submit(leader, api::decode(BytesMut::from(&frame[..])).expect("a produce request"));
            }
            bare.settle();
            assert_eq!(bare.answers[at].len(), per_round, "every batch was answered");
            bare.answers[at].clear();
        }
        since(before, bare.meters[at])
    };
    run(WARM / per_round);
    let rounds = BATCHES / per_round;
    Line { what, cost: best(|| run(rounds)), batches: rounds * per_round }
}

fn fetch(bare: &mut Bare, leader: BrokerId) -> Line {
    let at = usize::try_from(leader.0 - 1).expect("ids begin at 1");
    let end = bare.offset_end(leader, TOPIC);
    let frame = bare::frame(&bare::fetch_request(TOPIC, end - 17, 1), VERSION);
    let mut run = |count: usize| {
        let before = bare.meters[at];
        for _ in 0..count {
            bare.submit(leader, api::decode(BytesMut::from(&frame[..])).expect("a fetch request"));
            bare.settle();
            let answer = bare.answers[at].pop().and_then(|answer| answer.frame).expect("answered at once");
            assert!(answer.iter().map(Bytes::len).sum::<usize>() > 16_000, "with the batch");
        }
        since(before, bare.meters[at])
    };
    run(WARM);
    Line { what: "fetch one batch at the tail", cost: best(|| run(BATCHES)), batches: BATCHES }
}

fn main() {
    let batch = batch().freeze();
    let frame = bare::frame(&bare::produce_request(TOPIC, batch.clone()), VERSION);
    println!("batch of {} bytes, 17 records; per batch:", batch.len());
    println!("{:44} {:>9} {:>8} {:>9} {:>8} {:>8}", "", "ns", "allocs", "bytes", "rounds", "copies");
    decode(&frame).print(batch.len());
    let mut one = Bare::new(1, gauge);
    let leader = one.create_topic(TOPIC, 1);
    let single = produce("RF 1: produce, 1 batch a round", &mut one, leader, &frame, 1);
    single.print(batch.len());
    produce("RF 1: produce, 16 batches a round", &mut one, leader, &frame, 16).print(batch.len());
    fetch(&mut one, leader).print(batch.len());
    let mut three = Bare::new(3, gauge);
    let leader = three.create_topic(TOPIC, 3);
    produce("RF 3, leader: produce, 1 batch a round", &mut three, leader, &frame, 1).print(batch.len());
    produce("RF 3, leader: produce, 16 batches a round", &mut three, leader, &frame, 16).print(batch.len());
    fetch(&mut three, leader).print(batch.len());
    if std::env::args().any(|argument| argument == "--budget") {
        let ns = single.cost.ns / single.batches as u64;
        assert!(ns <= BUDGET_NS, "{ns} ns per batch at RF 1 is more than {BUDGET_NS}");
    }
}
