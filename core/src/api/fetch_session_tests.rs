//! Fetch sessions, case by case as a real Kafka answers (names in the comments are those of the golden cases).

use super::*;
use crate::api::fetch::tests::from;
use crate::api::produce::tests::{hello, to};
use crate::broker::rig::Rig;
use crate::protocol::messages::produce::ProduceRequest;

const V: i16 = 12;

/// The probe's topic: six records in partition 0, one in partition 1.
fn filled() -> Rig {
    filled_with(&[])
}

fn filled_with(settings: &[(&str, &str)]) -> Rig {
    let mut rig = Rig::with_settings(settings);
    rig.topic("f", 2, &[]);
    for partition in [0, 0, 0, 0, 0, 0, 1] {
        rig.ask::<ProduceRequest>(&to("f", -1, &[(partition, Some(hello()))]), 9);
    }
    rig
}

fn create(rig: &mut Rig, parts: &[(i32, i64)]) -> FetchResponse {
    rig.ask(&FetchRequest { session_epoch: 0, max_wait_ms: 0, ..from("f", parts) }, V)
}

fn going(id: i32, epoch: i32, parts: &[(i32, i64)]) -> FetchRequest {
    let topics = if parts.is_empty() { Vec::new() } else { from("f", parts).topics };
    FetchRequest { session_id: id, session_epoch: epoch, topics, ..from("f", &[]) }
}

fn forgetting(id: i32, epoch: i32, partition: i32) -> FetchRequest {
    let forgotten = request::ForgottenTopicsData { topic: Text::from("f"), partitions: vec![partition], ..Default::default() };
    FetchRequest { forgotten_topics_data: vec![forgotten], ..going(id, epoch, &[]) }
}

/// The answer after the whole wait.
fn waited(rig: &mut Rig, request: &FetchRequest) -> FetchResponse {
    let number = rig.send(request, V);
    assert!(rig.answer::<FetchRequest>(number, V).is_none(), "nothing new: it waits");
    rig.advance(500);
    rig.answer::<FetchRequest>(number, V).expect("its time is over")
}

fn told(response: &FetchResponse) -> Vec<(i32, i16, bool)> {
    let parts = response.responses.iter().flat_map(|topic| &topic.partitions);
    parts.map(|p| (p.partition_index, p.error_code, p.records.as_ref().is_some_and(|r| !r.is_empty()))).collect()
}

#[test]
fn only_news_is_told() {
    let mut rig = filled();
    let first = create(&mut rig, &[(0, 6), (1, 0)]);
    let id = first.session_id;
    assert!(id > 0);
    assert_eq!(told(&first), [(0, 0, false), (1, 0, true)], "session-create");
    // session-incremental: partition 1 still has data at 0, and at once.
    let again = rig.ask(&going(id, 1, &[]), V);
    assert_eq!((again.session_id, told(&again)), (id, vec![(1, 0, true)]));
    // session-move, session-idle: nobody has news.
    for (epoch, parts) in [(2, vec![(1, 1)]), (3, vec![])] {
        let answer = waited(&mut rig, &going(id, epoch, &parts));
        assert_eq!((answer.error_code, answer.session_id, told(&answer)), (0, id, vec![]), "epoch {epoch}");
    }
    // A record makes news of its partition alone.
    let number = rig.send(&going(id, 4, &[]), V);
    rig.ask::<ProduceRequest>(&to("f", -1, &[(0, Some(hello()))]), 9);
    let answer = rig.answer::<FetchRequest>(number, V).expect("woken");
    assert_eq!(told(&answer), [(0, 0, true)]);
}

#[test]
fn a_forgotten_partition_is_not_looked_at() {
    let mut rig = filled();
    let id = create(&mut rig, &[(0, 6), (1, 1)]).session_id;
    let number = rig.send(&forgetting(id, 1, 0), V);
    rig.ask::<ProduceRequest>(&to("f", -1, &[(0, Some(hello()))]), 9);
    assert!(rig.answer::<FetchRequest>(number, V).is_none());
    rig.ask::<ProduceRequest>(&to("f", -1, &[(1, Some(hello()))]), 9);
    assert_eq!(told(&rig.answer::<FetchRequest>(number, V).expect("woken")), [(1, 0, true)]);
}

#[test]
fn a_wrong_epoch_is_refused_and_harms_nothing() {
    let mut rig = filled();
    let id = create(&mut rig, &[(0, 6)]).session_id;
    let refused = rig.ask(&going(id, 99, &[]), V);
    assert_eq!((refused.error_code, refused.session_id), (ErrorCode::InvalidFetchSessionEpoch.code(), 0));
    let answer = waited(&mut rig, &going(id, 1, &[]));
    assert_eq!((answer.error_code, answer.session_id), (0, id), "session-after-wrong-epoch");
}

#[test]
fn an_error_is_repeated_and_does_not_end_the_wait() {
    let mut rig = filled();
    let id = create(&mut rig, &[(0, 6)]).session_id;
    for (epoch, parts) in [(1, vec![(9, 0)]), (2, vec![])] {
        let answer = waited(&mut rig, &going(id, epoch, &parts));
        assert_eq!(told(&answer), [(9, ErrorCode::UnknownTopicOrPartition.code(), false)], "epoch {epoch}");
    }
}

#[test]
fn a_closed_session_is_unknown() {
    let mut rig = filled();
    let id = create(&mut rig, &[(0, 6)]).session_id;
    let closed = rig.ask(&going(id, -1, &[]), V);
    assert_eq!((closed.error_code, closed.session_id), (0, 0));
    for (id, epoch) in [(id, 1), (123_456_789, 1), (0, -2), (0, 5)] {
        let answer = rig.ask(&going(id, epoch, &[]), V);
        let expected = (ErrorCode::FetchSessionIdNotFound.code(), 0, vec![]);
        assert_eq!((answer.error_code, answer.session_id, told(&answer)), expected, "session {id} epoch {epoch}");
    }
}

#[test]
fn names_and_ids_do_not_mix() {
    let mut rig = filled();
    let id = create(&mut rig, &[(0, 6)]).session_id;
    let answer = rig.ask(&going(id, 1, &[]), 13);
    assert_eq!(answer.error_code, ErrorCode::FetchSessionTopicIdError.code());
}

#[test]
fn without_slots_every_fetch_is_whole() {
    let mut rig = filled_with(&[("max.incremental.fetch.session.cache.slots", "0")]);
    assert_eq!(create(&mut rig, &[(0, 6), (1, 0)]).session_id, 0);
}

#[test]
fn old_sessions_make_room() {
    let mut rig = filled_with(&[("max.incremental.fetch.session.cache.slots", "1")]);
    let first = create(&mut rig, &[(0, 6), (1, 0)]).session_id;
    assert_eq!(create(&mut rig, &[(1, 0)]).session_id, 0, "the first one is young");
    rig.advance(EVICTION_MS + 1);
    let second = create(&mut rig, &[(1, 0)]).session_id;
    assert!(second > 0 && second != first);
    assert_eq!(rig.ask(&going(first, 1, &[]), V).error_code, ErrorCode::FetchSessionIdNotFound.code());
    // In use, but old: a larger one replaces it, one of the same size does not.
    rig.advance(EVICTION_MS / 2);
    rig.ask(&going(second, 1, &[]), V);
    rig.advance(EVICTION_MS / 2 + 1);
    assert_eq!(create(&mut rig, &[(1, 0)]).session_id, 0);
    assert!(create(&mut rig, &[(0, 6), (1, 0)]).session_id > 0);
}

#[test]
fn a_partition_with_data_goes_to_the_end() {
    let mut rig = filled();
    let limited = FetchRequest { max_bytes: 1, ..going(create(&mut rig, &[(0, 0), (1, 0)]).session_id, 1, &[]) };
    assert_eq!(told(&rig.ask(&limited, V)), [(0, 0, true)], "both had data, so their order is as before");
    let next = FetchRequest { session_epoch: 2, ..limited };
    assert_eq!(told(&rig.ask(&next, V)), [(1, 0, true)]);
}

#[test]
fn epochs_start_again_at_one() {
    assert_eq!((next_epoch(0), next_epoch(7), next_epoch(i32::MAX)), (1, 8, 1));
}

#[test]
fn partitions_of_all_sessions_together_have_a_bound() {
    let now = Instant(0);
    let mut sessions = FetchSessions::new(10, 1);
    // As if other sessions had all but two.
    sessions.partitions = FETCH_SESSION_PARTITIONS_MAX - 2;
    let open = |sessions: &mut FetchSessions, parts: &[(i32, i64)]| {
        let request = FetchRequest { session_epoch: 0, ..from("f", parts) };
        let (_, used) = sessions.begin(now, V, request).expect("a new session is asked for");
        sessions.end(now, used, FetchResponse::default()).session_id
    };
    assert_eq!(open(&mut sessions, &[(0, 0), (1, 0), (2, 0)]), 0, "three have no room: the consumer goes on with full requests");
    let id = open(&mut sessions, &[(0, 0), (1, 0)]);
    assert!(id > 0);
    let grown = sessions.begin(now, V, going(id, 1, &[(2, 0)]));
    assert_eq!(grown.map(|_| ()), Err(ErrorCode::FetchSessionIdNotFound));
    assert_eq!((sessions.len(), sessions.partitions), (0, FETCH_SESSION_PARTITIONS_MAX - 2), "what grows beyond it is closed");
}
