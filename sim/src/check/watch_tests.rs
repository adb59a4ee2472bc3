//! Each check of the watch fires once.

use super::super::log_mirror::tests::{batch, segment};
use super::*;

fn view(term: u64, is_leader: bool, commit: u64, end: i64) -> GroupSeen {
    GroupSeen {
        group: GroupId(3),
        term: Term(term),
        is_leader,
        commit: Index(commit),
        commit_chain: 1,
        persisted: Index(commit.max(1)),
        last_index: Index(commit.max(1)),
        high_watermark: Offset(0),
        log_end: Offset(end),
        log_start: Offset(0),
        producers: 0,
    }
}

fn check_of(result: Result<(), Breach>) -> &'static str {
    result.map_or_else(|b| b.check, |()| "none")
}

#[test]
fn two_leaders_of_one_term_are_caught() {
    let mut watch = Watch::new(2);
    assert_eq!(check_of(watch.said(0, &[view(5, true, 0, 0)])), "none");
    assert_eq!(check_of(watch.said(1, &[view(5, true, 0, 0)])), "I1");
}

#[test]
fn different_batches_at_one_index_and_term_are_caught() {
    let mut watch = Watch::new(2);
    let (one, two) = (batch(0, 0, 1, 7), batch(0, 0, 1, 8));
    assert_eq!(check_of(watch.grown(0, segment(3, 2), &one)), "none");
    assert_eq!(check_of(watch.grown(1, segment(3, 2), &two)), "none");
    assert_eq!(check_of(watch.synced(0, segment(3, 2), 61, &one)), "none");
    assert_eq!(check_of(watch.synced(1, segment(3, 2), 61, &two)), "I2");
}

/// A watch in which broker 0, the only voter, durably holds and committed one entry.
fn with_one_committed() -> Watch {
    let mut watch = Watch::new(2);
    watch.nodes[0].meta = crate::check::meta_mirror::tests::with_voters(3, &[0]);
    let data = batch(0, 0, 1, 7);
    watch.grown(0, segment(3, 2), &data).expect("first of its kind");
    watch.synced(0, segment(3, 2), 61, &data).expect("first of its kind");
    watch.said(0, &[view(2, true, 2, 1)]).expect("legal");
    watch
}

#[test]
fn a_leader_without_a_committed_entry_is_caught() {
    let mut watch = with_one_committed();
    watch.group_made(1, GroupId(3));
    assert_eq!(check_of(watch.said(1, &[view(3, true, 0, 0)])), "I3");
}

#[test]
fn cutting_a_committed_entry_is_caught() {
    let mut watch = with_one_committed();
    assert_eq!(check_of(watch.cut(0, segment(3, 2), 0, false)), "I3");
}

#[test]
fn disagreement_about_what_is_committed_is_caught() {
    let mut watch = with_one_committed();
    let mut other = view(2, false, 2, 1);
    other.commit_chain = 2;
    assert_eq!(check_of(watch.said(1, &[other])), "I4");
}

#[test]
fn disagreement_about_producers_is_caught() {
    let mut watch = with_one_committed();
    let mut other = view(2, false, 2, 1);
    other.producers = 5;
    assert_eq!(check_of(watch.said(1, &[other])), "I14");
}

#[test]
fn a_commit_that_is_not_durable_on_a_quorum_is_caught() {
    let mut watch = Watch::new(3);
    watch.nodes[0].meta = crate::check::meta_mirror::tests::with_voters(3, &[0, 1, 2]);
    let data = batch(0, 0, 1, 7);
    watch.grown(0, segment(3, 2), &data).expect("first of its kind");
    watch.grown(1, segment(3, 2), &data).expect("the same");
    watch.synced(0, segment(3, 2), 61, &data).expect("first of its kind");
    assert_eq!(check_of(watch.said(0, &[view(2, true, 2, 1)])), "I7");
}

#[test]
fn an_older_entry_that_is_committed_by_counting_is_caught() {
    let mut watch = Watch::new(1);
    watch.nodes[0].meta = crate::check::meta_mirror::tests::with_voters(3, &[0]);
    let data = batch(0, 0, 1, 7);
    watch.grown(0, segment(3, 2), &data).expect("first of its kind");
    watch.synced(0, segment(3, 2), 61, &data).expect("first of its kind");
    watch.said(0, &[view(3, true, 0, 0)]).expect("a leader of a later term");
    assert_eq!(check_of(watch.said(0, &[view(3, true, 2, 1)])), "I3");
}

#[test]
fn a_term_that_goes_back_is_caught() {
    let mut watch = Watch::new(1);
    watch.said(0, &[view(4, false, 0, 0)]).expect("legal");
    assert_eq!(check_of(watch.said(0, &[view(3, false, 0, 0)])), "I5");
}

#[test]
fn a_gap_between_offsets_and_an_epoch_that_goes_back_are_caught() {
    let mut watch = Watch::new(1);
    let mut data = batch(0, 1, 1, 7);
    data.extend(batch(2, 1, 1, 8));
    assert_eq!(check_of(watch.grown(0, segment(3, 2), &data)), "I8");
    let mut watch = Watch::new(1);
    let mut data = batch(0, 1, 1, 7);
    data.extend(batch(1, 0, 1, 8));
    assert_eq!(check_of(watch.grown(0, segment(3, 2), &data)), "I9");
}

#[test]
fn a_high_watermark_beyond_the_log_is_caught() {
    let mut watch = Watch::new(1);
    let mut seen = view(2, true, 0, 1);
    seen.high_watermark = Offset(2);
    assert_eq!(check_of(watch.said(0, &[seen])), "I8");
}
