//! What a run found out: a verdict, a hash, and how often the interesting things happened.

use std::fmt;

/// Which kind of promise was broken; decides the exit code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum FailureKind {
    /// Something untrue was stored or told. Exit code 2.
    Safety,
    /// Nothing untrue, but no progress. Exit code 3.
    Liveness,
    /// Two runs of one seed differ. Exit code 4.
    Nondeterminism,
    /// The simulator contradicts itself. Exit code 1.
    Harness,
}

impl FailureKind {
    /// The exit code of a command that ends with this failure.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            FailureKind::Safety => 2,
            FailureKind::Liveness => 3,
            FailureKind::Nondeterminism => 4,
            FailureKind::Harness => 1,
        }
    }
}

/// A broken promise and its evidence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The kind.
    pub kind: FailureKind,
    /// Name of the check, such as `I7` or `lost-write`.
    pub check: String,
    /// The promise, the evidence, node, partition, offset, epoch.
    pub what: String,
    /// Simulated microseconds.
    pub at: u64,
    /// Latest faults before it.
    pub faults: String,
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// How often the interesting things happened. A run in which nothing did proves nothing.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub struct Counters { $($(#[$doc])* pub $name: u64,)* }
        impl Counters {
            /// Adds those of another run.
            pub fn add(&mut self, other: &Counters) { $(self.$name += other.$name;)* }
            /// Name and value of each, in the order of declaration.
            #[must_use]
            pub fn list(&self) -> Vec<(&'static str, u64)> { vec![$((stringify!($name), self.$name)),*] }
        }
    };
}

counters! {
    /// Leaders that appeared, over all groups.
    elections,
    /// Elections of a group that had a leader before.
    failovers,
    /// Entries cut from a log because a leader had others.
    truncations,
    /// Segments begun behind another one.
    rolls,
    /// Files of which a crash kept some un-synced sectors and lost others.
    torn,
    /// Batches acknowledged with acks=all.
    acked,
    /// Records read by consumers.
    reads,
    /// Processes that were killed or lost power.
    crashes,
    /// Crashes between two outputs of one round.
    crashes_in_round,
    /// Processes that stopped on their own after a disk failure.
    halts,
    /// Pauses of a process.
    pauses,
    /// Links cut.
    cuts,
    /// Peer frames lost.
    lost,
    /// Peer frames that arrived twice.
    duplicated,
    /// Peer frames that arrived once more much later.
    replayed,
    /// Peer frames of which a bit flipped on the way.
    flipped,
    /// Batches of clients of which a bit flipped on the way.
    flipped_batches,
    /// Requests of idempotent producers that came once more.
    replayed_requests,
    /// Batches answered with acks=1.
    acked_leader,
    /// Produce requests without a known outcome.
    unknown,
    /// Produce requests sent again after an unknown outcome.
    retries,
    /// Produce requests compressed anew on their way to the core.
    recoded,
    /// Batches of idempotent producers that were sent again and recognised.
    dedup_hits,
    /// Batches of idempotent producers refused because one before them was missing.
    out_of_order,
    /// Batches of an epoch that was over, refused.
    fenced,
    /// Brokers rebuilt in the shadow from what their disks showed.
    rebuilt,
    /// And what they knew of producers compared with what was known live.
    rebuilt_producers,
    /// Commits compared between brokers.
    commits,
    /// Peer promises compared with the disk.
    promises,
    /// New leaders that were asked at once.
    probes,
    /// Latest offsets told and compared with what was committed in earlier terms.
    latest_told,
    /// Searches for a record by its time.
    searches,
    /// Steps of wall clocks.
    clock_steps,
    /// Topics created while faults were on.
    topics,
    /// Topics deleted.
    deleted,
    /// Segments let go at the front of a log.
    retention,
    /// Replicas made whole by a snapshot.
    snapshots,
    /// Complete segments that a start passed over, because what is in them was written down.
    passed_over,
    /// DeleteRecords answered.
    records_deleted,
    /// Consumers that were sent to where a log starts.
    out_of_range,
    /// Graceful stops that came to their end.
    stops,
    /// Leaderships that were to be handed over.
    handovers,
    /// Disks that hung.
    hangs,
    /// Appends that found a disk full and waited for room.
    disk_full,
    /// Produce requests refused because the disk was full.
    storage_errors,
    /// Connections reset.
    resets,
    /// Disks that were lost.
    wipes,
    /// Replicas that forgot what they promised and have all their rights again.
    recalled,
    /// Files whose name a power cut took.
    vanished,
    /// Brokers that refused to start from a damaged log.
    refusals,
    /// Damage laid under running brokers: rot, unreadable places.
    damaged,
    /// Reads of running brokers that met damage.
    damage_met,
    /// Writes that had gone to another place.
    misdirected,
    /// Power cuts that took what a sync had only claimed to keep.
    lies,
    /// Reads of running brokers that gave the bytes of another place.
    misread,
    /// Frames lost on links that lose more than others.
    lost_on_link,
    /// Messages that took their time on a narrow link.
    slowed,
    /// Messages dropped because the queue of a narrow link was full.
    overflowed,
    /// Active controllers that were cut off.
    controllers_apart,
    /// Brokers between two sides that did not hear each other.
    bridges,
    /// Times that each broker heard its neighbours only.
    rings,
    /// Brokers cut off one after the other, to come back in another order.
    swizzled,
    /// Rounds of all brokers.
    rounds,
    /// Events of the world.
    events,
}

/// What a run found out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Hash of the transcript.
    pub hash: u64,
    /// Simulated microseconds.
    pub simulated_us: u64,
    /// How often what happened.
    pub counters: Counters,
    /// The first broken promise, if any.
    pub failure: Option<Failure>,
}

/// The paragraph a person reads, and the command to run next.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.failure {
            None => write!(f, "seed {} passed: hash {:016x}", self.seed, self.hash),
            Some(failure) => write!(
                f,
                "{} was broken. {} Seed {}, virtual time {}, trace hash {:016x}. Last faults: {}.\n\
                 replay: cargo sim replay {} --trace",
                failure.check,
                failure.what,
                self.seed,
                crate::trace::clock(failure.at).trim_start(),
                self.hash,
                failure.faults,
                self.seed,
            ),
        }
    }
}
