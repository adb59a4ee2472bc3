//! Rules case by case (names of the golden cases in the comments), and any sequence of events against a model that remembers everything.

use super::*;
use crate::ids::Offset;
use crate::random::Random;

const RULES: ProducerRules = ProducerRules { expiration_ms: 1_000_000, producers_max: 100 };

fn header(producer: i64, epoch: i16, first: i32, count: i32) -> BatchHeader {
    let batch = crate::log::test_batch(count, 0, producer, 5_000);
    let mut header = BatchHeader::parse(&batch).expect("a batch");
    (header.producer_epoch, header.base_sequence) = (epoch, first);
    header
}

/// A log: what is judged new is appended.
struct Log {
    producers: Producers,
    index: u64,
    offset: i64,
}

impl Log {
    fn new() -> Log {
        Log { producers: Producers::new(RULES), index: 1, offset: 0 }
    }

    /// The offset told, or the error's code.
    fn put(&mut self, producer: i64, epoch: i16, first: i32, count: i32) -> Result<i64, i16> {
        let mut header = header(producer, epoch, first, count);
        match self.producers.judge(&header, Mutant::None) {
            Verdict::New => {
                self.index += 1;
                header.base_offset = Offset(self.offset);
                self.offset += i64::from(count);
                self.producers.append(Index(self.index), &header);
                Ok(header.base_offset.0)
            }
            Verdict::Repeated(first_time) => Ok(first_time.base_offset.0),
            Verdict::Refused(error) => Err(error.code()),
        }
    }
}

/// Every golden case twice: all committed at once, and nothing ever committed.
#[test]
fn verdicts_are_kafkas_whether_committed_or_not() {
    for is_committed in [true, false] {
        let mut log = Log::new();
        let mut put = |producer, epoch, first, count| {
            let answer = log.put(producer, epoch, first, count);
            if is_committed {
                log.producers.commit(Index(log.index));
            }
            log.producers.check(Index(log.index));
            answer
        };
        assert_eq!(put(1, 0, 0, 2), Ok(0), "idem-seq-0");
        assert_eq!(put(1, 0, 0, 2), Ok(0), "idem-duplicate");
        assert_eq!(put(1, 0, 5, 1), Err(45), "idem-gap");
        assert_eq!(put(1, 0, 1, 2), Err(45), "idem-overlap");
        for n in 0..6 {
            assert_eq!(put(1, 0, 2 + n, 1), Ok(2 + i64::from(n)), "idem-next-{n}");
        }
        assert_eq!(put(1, 0, 3, 1), Ok(3), "idem-old-duplicate-kept");
        assert_eq!(put(1, 0, 2, 1), Err(45), "idem-old-duplicate-gone");
        assert_eq!(put(1, 0, 7, 2), Err(45), "idem-duplicate-other-size");
        assert_eq!(put(1, 1, 3, 1), Err(45), "idem-epoch-1-seq-3");
        assert_eq!(put(1, 1, 0, 1), Ok(8), "idem-epoch-1");
        assert_eq!(put(1, 0, 8, 1), Err(47), "idem-old-epoch");
        assert_eq!(put(1, 0, 7, 1), Err(47), "idem-old-epoch-duplicate");
        assert_eq!(put(1, 3, 0, 1), Ok(9), "idem-epoch-3");
        assert_eq!(put(987_654_321, 0, 7, 1), Ok(10), "idem-unknown-pid-seq-7");
        assert_eq!(put(987_654_321, 0, 8, 1), Ok(11), "idem-unknown-pid-next");
        assert_eq!(put(987_654_321, 0, 20, 1), Err(45), "idem-unknown-pid-gap");
        assert_eq!(put(1, -1, 0, 1), Err(47), "idem-no-epoch");
        assert_eq!(put(2, 0, i32::MAX - 1, 2), Ok(12), "idem-wrap-setup");
        assert_eq!(put(2, 0, 0, 1), Ok(14), "idem-wrap-next");
        assert_eq!(put(2, 0, 1, 1), Ok(15), "idem-wrap-next-1");
        assert_eq!(put(3, 0, i32::MAX - 1, 3), Ok(16));
        assert_eq!(put(3, 0, i32::MAX - 1, 3), Ok(16), "repeated across the border");
        assert_eq!(put(3, 0, 1, 1), Ok(19), "0 was the last");
    }
}

#[test]
fn a_truncation_brings_back_what_was_before() {
    let mut log = Log::new();
    assert_eq!(log.put(1, 0, 0, 1), Ok(0));
    log.producers.commit(Index(2));
    assert_eq!((log.put(1, 0, 1, 1), log.put(2, 0, 0, 1), log.put(1, 1, 0, 1)), (Ok(1), Ok(2), Ok(3)));
    log.producers.cut(Index(5));
    log.producers.check(Index(log.index));
    assert_eq!(log.put(1, 0, 1, 1), Ok(1), "the newer epoch is gone");
    log.producers.cut(Index(3));
    log.producers.check(Index(log.index));
    assert_eq!(log.put(1, 0, 2, 1), Err(45));
    assert_eq!(log.put(2, 0, 5, 1), Ok(4), "nobody knows producer 2");
}

/// The last batches of each producer over the whole log, judged the slow way.
fn model(log: &[(Index, BatchHeader)], header: &BatchHeader) -> Verdict {
    let of: Vec<_> = log.iter().filter(|(_, known)| known.producer_id == header.producer_id).collect();
    let Some((_, newest)) = of.last() else { return Verdict::New };
    if header.producer_epoch < newest.producer_epoch {
        return Verdict::Refused(ErrorCode::InvalidProducerEpoch);
    }
    let last = i64::from(newest.base_sequence) + i64::from(newest.last_offset_delta);
    let expected = if header.producer_epoch > newest.producer_epoch { 0 } else { (last + 1) % (1 << 31) };
    let repeated = of.iter().rev().take(5).find(|(_, known)| {
        (known.producer_epoch, known.base_sequence, known.record_count)
            == (header.producer_epoch, header.base_sequence, header.record_count)
    });
    match repeated {
        Some((index, known)) => Verdict::Repeated(ProducedBatch::of(*index, known)),
        None if i64::from(header.base_sequence) == expected => Verdict::New,
        None => Verdict::Refused(ErrorCode::OutOfOrderSequenceNumber),
    }
}

#[test]
fn any_sequence_of_appends_commits_and_truncations_gives_the_models_verdicts() {
    let mut seen = [0; 3];
    for seed in 0..300 {
        let mut random = Random::stream(seed, 77);
        let mut producers = Producers::new(RULES);
        let (mut log, mut commit, mut index) = (Vec::<(Index, BatchHeader)>::new(), Index(1), 1);
        for _ in 0..200 {
            match random.below(10) {
                0 => {
                    commit = Index(random.between(commit.0, index));
                    producers.commit(commit);
                }
                1 => {
                    let from = Index(random.between(commit.0 + 1, index + 1));
                    producers.cut(from);
                    log.retain(|(at, _)| *at < from);
                    index = from.0 - 1;
                }
                _ => {
                    let producer = i64::try_from(random.below(3)).expect("small");
                    let known = log.iter().rev().find(|(_, known)| known.producer_id == producer);
                    let (epoch, next) = known.map_or((0, i32::MAX - 5), |(_, known)| {
                        (known.producer_epoch, sequence_plus(known.base_sequence, known.record_count))
                    });
                    let epoch = if random.chance(1, 10) { i16::try_from(random.below(4)).expect("small") } else { epoch };
                    let back = i32::try_from(if random.chance(1, 2) { 0 } else { random.below(9) }).expect("small");
                    let first = if random.chance(1, 10) { 0 } else { next.checked_sub(back).filter(|n| *n >= 0).unwrap_or(next) };
                    let count = i32::try_from(random.between(1, 2)).expect("small");
                    let mut header = header(producer, epoch, first, count);
                    let verdict = producers.judge(&header, Mutant::None);
                    assert_eq!(verdict, model(&log, &header), "seed {seed}: {header:?} after {log:?}");
                    seen[match verdict {
                        Verdict::New => 0,
                        Verdict::Repeated(_) => 1,
                        Verdict::Refused(_) => 2,
                    }] += 1;
                    if verdict == Verdict::New {
                        index += 1;
                        header.base_offset = Offset(i64::try_from(index * 10).expect("small"));
                        producers.append(Index(index), &header);
                        log.push((Index(index), header));
                    } else if random.chance(1, 5) {
                        // Entries without a producer.
                        index += 1;
                    }
                }
            }
            producers.check(Index(index));
        }
        let mut rebuilt = ProducerTable::new(RULES);
        for (index, header) in log.iter().filter(|(index, _)| *index <= commit) {
            rebuilt.apply(header.producer_id, header.producer_epoch, ProducedBatch::of(*index, header));
        }
        assert_eq!(*producers.committed(), rebuilt, "seed {seed}: what is kept is what the log says");
    }
    assert!(seen.iter().all(|count| *count > 1000), "{seen:?}");
}
