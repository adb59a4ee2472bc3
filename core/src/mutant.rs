//! Deliberate bugs, by which the simulator is measured: a simulator that lets one survive is blind there.
//!
//! Compiled to `Mutant::None` for ever without the feature `mutants`, which the `ottla` package never enables. Where one is honoured
//! the code reads `if mutant.is(Mutant::X)`, so that `grep Mutant::` lists the places.

/// Which deliberate bug is active. Numbers are those of the mutation catalogue, and go on from there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
#[non_exhaustive]
pub enum Mutant {
    /// None: the real broker.
    #[default]
    None,
    /// 1: a vote is answered before it is durable.
    VoteNotSynced,
    /// 2: a new term is written after the messages that depend on it were sent.
    HardStateAfterSend,
    /// 3: acks=all is answered when the leader's append is written, before any fsync or quorum.
    AckBeforeFsync,
    /// 4: the leader counts its own entry before it is durable.
    CountOwnUnsynced,
    /// 5: an entry of an older term is committed by counting replicas (Raft paper figure 8).
    CommitOldTerm,
    /// 6: a follower keeps a suffix that conflicts with the leader's (KAFKA-6361).
    KeepConflictingSuffix,
    /// 7: a follower takes the leader's commit for its high watermark before it cuts what the leader does not have (KAFKA-14704).
    HighWatermarkBeforeCut,
    /// 8: a leader tells the latest offset before it committed an entry of its own term (KIP-207).
    OffsetBeforeOwnTerm,
    /// 9: every answered vote counts as granted (openraft#1220).
    SeenVoteGranted,
    /// 10: a leader takes answers to what it sent in an earlier term for answers of this one (hashicorp/raft#695).
    StaleAnswerTaken,
    /// 13: a broker whose disk was lost takes part under its old name as if it had promised nothing.
    WipedReborn,
    /// 14: a snapshot does not say what is known of producers.
    SnapshotWithoutProducers,
    /// 15: a snapshot that was installed is installed again at the next start, over all that was appended since.
    SnapshotOverNewer,
    /// 16: a repeated batch is looked for among the last four of its producer instead of five.
    DedupWindowShort,
    /// 17: a repeated batch is answered with the offset that the next batch will get.
    RepeatedAtCurrentOffset,
    /// 18: a new producer epoch starts its sequences anew, but batches of the old one are still taken.
    OldEpochNotFenced,
    /// 20: no sequence follows 2147483647.
    SequenceNotWrapped,
    /// 33: the log start moves when its entry is appended, committed or not.
    StartBeforeCommit,
    /// 34: recovery takes batches whose CRC is wrong.
    CrcNotChecked,
    /// 35: recovery cuts the log at the first damage, also where it was durable.
    CutAtAnyDamage,
    /// 36: the disk's names are never synced; a bug of the host, so the simulated disk has it.
    NamesNotSynced,
    /// 37: a failed fsync is taken for a success; a bug of the host, so the simulated disk has it.
    SyncErrorIgnored,
    /// 38: the id of a deleted topic leads to the one that has its name now.
    OldIdNewTopic,
    /// 41: groups are visited in the order of a hash map, which differs from run to run.
    HashOrder,
    /// 42: the canary: answers "ok" and drops the record. Must die in the first seed.
    Canary,
    /// 43: what a client asked for is read from the disk and handed on as it comes.
    ReadNotChecked,
    /// 44: a replica that forgot what it acknowledged votes for candidates that may lack it.
    FloorNotChecked,
    /// 45: a replica that forgot its votes goes on in the first term.
    TermNotRaised,
    /// 46: what the disk gives is taken for what was asked for if offset, epoch and CRC fit, although they do so in another log, too.
    PlaceNotChecked,
}

impl Mutant {
    /// All of them, in the order of the catalogue.
    pub const ALL: [(u32, Mutant); 29] = [
        (1, Mutant::VoteNotSynced),
        (2, Mutant::HardStateAfterSend),
        (3, Mutant::AckBeforeFsync),
        (4, Mutant::CountOwnUnsynced),
        (5, Mutant::CommitOldTerm),
        (6, Mutant::KeepConflictingSuffix),
        (7, Mutant::HighWatermarkBeforeCut),
        (8, Mutant::OffsetBeforeOwnTerm),
        (9, Mutant::SeenVoteGranted),
        (10, Mutant::StaleAnswerTaken),
        (13, Mutant::WipedReborn),
        (14, Mutant::SnapshotWithoutProducers),
        (15, Mutant::SnapshotOverNewer),
        (16, Mutant::DedupWindowShort),
        (17, Mutant::RepeatedAtCurrentOffset),
        (18, Mutant::OldEpochNotFenced),
        (20, Mutant::SequenceNotWrapped),
        (33, Mutant::StartBeforeCommit),
        (34, Mutant::CrcNotChecked),
        (35, Mutant::CutAtAnyDamage),
        (36, Mutant::NamesNotSynced),
        (37, Mutant::SyncErrorIgnored),
        (38, Mutant::OldIdNewTopic),
        (41, Mutant::HashOrder),
        (42, Mutant::Canary),
        (43, Mutant::ReadNotChecked),
        (44, Mutant::FloorNotChecked),
        (45, Mutant::TermNotRaised),
        (46, Mutant::PlaceNotChecked),
    ];

    /// Whether `other` is active; `false` for ever without the feature `mutants`.
    #[must_use]
    pub fn is(self, other: Mutant) -> bool {
        cfg!(feature = "mutants") && self == other
    }
}
