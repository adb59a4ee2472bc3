//! What can go wrong, with its time, its target and its end, and how it is told.
//!
//! Knows neither who draws it nor who does it.

use crate::disk::CrashKind;
use crate::network::{End, Narrow};
use std::fmt;

/// Something bad that happens at a time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Fault {
    /// When, simulated microseconds.
    pub(crate) at: u64,
    /// What.
    pub(crate) kind: FaultKind,
}

/// Something bad.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum FaultKind {
    Crash {
        node: usize,
        kind: CrashKind,
        down_us: u64,
    },
    CrashAll {
        kind: CrashKind,
        down_us: u64,
    },
    /// Whoever leads some partition at that moment.
    CrashLeader {
        pick: u64,
        kind: CrashKind,
        down_us: u64,
    },
    Pause {
        node: usize,
        us: u64,
    },
    PauseLeader {
        pick: u64,
        us: u64,
    },
    CutOneWay {
        from: usize,
        to: usize,
        us: u64,
    },
    CutLink {
        a: usize,
        b: usize,
        us: u64,
    },
    Isolate {
        node: usize,
        us: u64,
    },
    IsolateLeader {
        pick: u64,
        us: u64,
    },
    /// Whoever leads some partition and one other are apart from all the others.
    PairLeader {
        pick: u64,
        us: u64,
    },
    Split {
        side: Vec<usize>,
        us: u64,
    },
    CutClient {
        client: usize,
        node: usize,
        us: u64,
    },
    StepWall {
        node: usize,
        ms: i64,
    },
    SlowDisk {
        node: usize,
        us: u64,
        extra_us: u64,
    },
    FailSync {
        node: usize,
    },
    /// Nothing completes for a while.
    HangDisk {
        node: usize,
        us: u64,
    },
    /// There is no space for a while.
    FillDisk {
        node: usize,
        us: u64,
    },
    /// All connections between a client and a broker are reset.
    Reset {
        client: usize,
        node: usize,
    },
    /// A broker loses power, and a bit of what was durable is read wrong from then on.
    Rot {
        node: usize,
        pick: u64,
        down_us: u64,
    },
    /// The next acks=all batch of a client is damaged on the way.
    FlipBatch {
        client: usize,
        pick: u64,
    },
    /// Only one direction between a client and a broker.
    CutClientOneWay {
        client: usize,
        node: usize,
        to_broker: bool,
        us: u64,
    },
    /// Old requests of idempotent producers come once more.
    Replay {
        pick: u64,
    },
    /// Bits of what was durable are read wrong from now on, while the broker runs.
    RotLive {
        node: usize,
        pick: u64,
    },
    /// A place of what was durable can't be read any more.
    Unreadable {
        node: usize,
        pick: u64,
    },
    /// A write of long ago went to the place of another one, and is missing where it belongs.
    Misdirect {
        node: usize,
        pick: u64,
    },
    /// A disk only claims to sync; then the power goes.
    LieSync {
        node: usize,
        us: u64,
        down_us: u64,
    },
    /// A broker loses power and its disk.
    Wipe {
        node: usize,
        down_us: u64,
    },
    /// Reads of a running broker give the bytes of another place now and then.
    Misread {
        node: usize,
        us: u64,
        /// How many of a million.
        ppm: u64,
    },
    /// Whoever leads the controllers is apart from all others.
    IsolateController {
        us: u64,
    },
    /// Two sides hear each other through one broker only.
    Bridge {
        node: usize,
        side: Vec<usize>,
        us: u64,
    },
    /// Each broker hears its neighbours only: a majority, but no two the same one.
    Ring {
        order: Vec<usize>,
        us: u64,
    },
    /// One of several brokers that are cut off one after the other and come back in another order.
    Swizzle {
        node: usize,
        us: u64,
    },
    /// Frames of one direction are lost more often.
    LossyLink {
        from: usize,
        to: usize,
        us: u64,
        /// How many of a million.
        ppm: u64,
    },
    /// One direction carries few bytes a second; what finds the queue full is dropped.
    NarrowLink {
        from: End,
        to: End,
        us: u64,
        narrow: Narrow,
    },
    /// A graceful stop: leaderships are handed over, then the process ends.
    Stop {
        node: usize,
        down_us: u64,
    },
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FaultKind::Crash { node, kind, down_us } => write!(f, "crash of broker {node} ({kind:?}, back after {down_us} us)"),
            FaultKind::CrashAll { kind, down_us } => write!(f, "crash of all brokers ({kind:?}, back after up to {down_us} us)"),
            FaultKind::CrashLeader { kind, down_us, .. } => write!(f, "crash of a leader ({kind:?}, back after {down_us} us)"),
            FaultKind::Pause { node, us } => write!(f, "pause of broker {node} for {us} us"),
            FaultKind::PauseLeader { us, .. } => write!(f, "pause of a leader for {us} us"),
            FaultKind::CutOneWay { from, to, us } => write!(f, "frames from broker {from} to broker {to} are lost for {us} us"),
            FaultKind::CutLink { a, b, us } => write!(f, "brokers {a} and {b} are apart for {us} us"),
            FaultKind::Isolate { node, us } => write!(f, "broker {node} is apart from all others for {us} us"),
            FaultKind::IsolateLeader { us, .. } => write!(f, "a leader is apart from all others for {us} us"),
            FaultKind::PairLeader { us, .. } => write!(f, "a leader and one other are apart from all others for {us} us"),
            FaultKind::Split { side, us } => write!(f, "brokers {side:?} are apart from the others for {us} us"),
            FaultKind::CutClient { client, node, us } => write!(f, "client {client} and broker {node} are apart for {us} us"),
            FaultKind::StepWall { node, ms } => write!(f, "the wall clock of broker {node} jumps by {ms} ms"),
            FaultKind::SlowDisk { node, us, extra_us } => {
                write!(f, "the disk of broker {node} takes up to {extra_us} us longer for {us} us")
            }
            FaultKind::FailSync { node } => write!(f, "the next sync of broker {node} fails"),
            FaultKind::HangDisk { node, us } => write!(f, "the disk of broker {node} hangs for {us} us"),
            FaultKind::FillDisk { node, us } => write!(f, "the disk of broker {node} is full for {us} us"),
            FaultKind::Reset { client, node } => write!(f, "connections of client {client} to broker {node} are reset"),
            FaultKind::Rot { node, down_us, .. } => {
                write!(f, "broker {node} loses power and a bit of its disk flips (back after {down_us} us)")
            }
            FaultKind::FlipBatch { client, .. } => write!(f, "a bit of the next batch of client {client} flips on its way"),
            FaultKind::CutClientOneWay { client, node, to_broker: true, us } => {
                write!(f, "nothing of client {client} reaches broker {node} for {us} us")
            }
            FaultKind::CutClientOneWay { client, node, to_broker: false, us } => {
                write!(f, "nothing of broker {node} reaches client {client} for {us} us")
            }
            FaultKind::Replay { .. } => write!(f, "old requests of producers come once more"),
            FaultKind::RotLive { node, .. } => write!(f, "bits of the disk of broker {node} flip while it runs"),
            FaultKind::Unreadable { node, .. } => write!(f, "a place of the disk of broker {node} can't be read any more"),
            FaultKind::Misdirect { node, .. } => write!(f, "a write of broker {node} went to another place"),
            FaultKind::LieSync { node, us, down_us } => {
                write!(
                    f,
                    "the disk of broker {node} only claims to sync for {us} us, then it loses power (back after {down_us} us)"
                )
            }
            FaultKind::Wipe { node, down_us } => write!(f, "broker {node} loses its disk (back after {down_us} us)"),
            FaultKind::Misread { node, us, ppm } => {
                write!(f, "of a million reads of broker {node} {ppm} give the bytes of another place for {us} us")
            }
            FaultKind::IsolateController { us } => write!(f, "the active controller is apart from all others for {us} us"),
            FaultKind::Bridge { node, side, us } => {
                write!(f, "brokers {side:?} and the others are apart but for broker {node}, which hears all, for {us} us")
            }
            FaultKind::Ring { order, us } => write!(f, "brokers hear their neighbours in the ring {order:?} only for {us} us"),
            FaultKind::Swizzle { node, us } => {
                write!(f, "broker {node}, one of several, is apart from all others for {us} us")
            }
            FaultKind::LossyLink { from, to, us, ppm } => {
                write!(f, "of a million frames from broker {from} to broker {to} {ppm} are lost for {us} us")
            }
            FaultKind::NarrowLink { from, to, us, narrow: Narrow { bytes_per_s, queue_bytes } } => {
                write!(f, "from {from} to {to} {bytes_per_s} bytes pass in a second and {queue_bytes} wait for {us} us")
            }
            FaultKind::Stop { node, down_us } => write!(f, "broker {node} is asked to stop (back after {down_us} us)"),
        }
    }
}
