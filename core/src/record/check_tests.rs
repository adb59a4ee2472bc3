//! One case per observed answer of Kafka 4.3.1 to a Produce partition, named as in the golden.

use super::*;
use crate::record::{BatchBuilder, Draft, TimestampKind, TopicRules, compress, crc_of};
use crate::time::WallTime;
use proptest::prelude::*;

const T0: i64 = 1_700_000_000_000;

fn two() -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.push(T0, Some(b"a"), Some(b"1"));
    builder.push(T0, Some(b"b"), Some(b"2"));
    builder.build().to_vec()
}

/// A batch whose header says what it should not, with a crc that fits.
fn with(mut batch: Vec<u8>, change: impl FnOnce(&mut BatchHeader)) -> Vec<u8> {
    let mut header = BatchHeader::parse(&batch).expect("a batch");
    change(&mut header);
    batch[..BatchHeader::SIZE].copy_from_slice(&header.to_bytes());
    let crc = crc_of(&batch);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

/// A batch with this body instead of records.
fn with_body(body: &[u8], attributes: i16, count: i32) -> Vec<u8> {
    let mut batch = two()[..BatchHeader::SIZE].to_vec();
    batch.extend_from_slice(body);
    let length = i32::try_from(batch.len() - 12).expect("small");
    with(batch, |header| {
        (header.batch_length, header.attributes, header.record_count, header.last_offset_delta) =
            (length, attributes, count, count - 1);
    })
}

fn record(offset_delta: u8) -> Vec<u8> {
    vec![16, 0, 0, offset_delta * 2, 2, b'k', 2, b'v', 0]
}

fn three() -> Vec<u8> {
    [record(0), record(1), record(2)].concat()
}

fn code(batch: &[u8]) -> i16 {
    check(BytesMut::from(batch), &CheckLimits::default()).map_or_else(|fault| fault.error_code().code(), |_| 0)
}

fn fault(batch: &[u8]) -> BatchFault {
    check(BytesMut::from(batch), &CheckLimits::default()).expect_err("a fault")
}

#[test]
fn every_observed_answer_is_given() {
    let two = two();
    let cut = |n: usize| two[..two.len() - n].to_vec();
    let old_message =
        [&[0; 8][..], &[0, 0, 0, 24], &[0x12, 0x34, 0x56, 0x78, 1, 0], &[0; 8], &[255; 4], &[0, 0, 0, 2, b'h', b'i']].concat();
    let magic = |magic: u8| {
        let mut batch = two.clone();
        batch[16] = magic;
        batch
    };
    let mut bad_crc = two.clone();
    bad_crc[20] ^= 1;
    let length = |length: i32| {
        let mut batch = two.clone();
        batch[8..12].copy_from_slice(&length.to_be_bytes());
        batch
    };
    let gzip = compress(Codec::Gzip, &three());
    let cases: Vec<(&str, Vec<u8>, i16)> = vec![
        ("produce-ok", two.clone(), 0),
        ("produce-bad-crc", bad_crc, 2),
        ("produce-magic-1-header", magic(1), 87),
        ("produce-magic-0-header", magic(0), 87),
        ("produce-magic-3", magic(3), 2),
        ("produce-magic-1-message", old_message, 87),
        ("produce-empty-records", vec![], 87),
        ("produce-empty-batch", with_body(&[], 0, 0), 87),
        ("produce-empty-batch-delta-0", with(with_body(&[], 0, 0), |h| h.last_offset_delta = 0), 87),
        ("produce-two-batches", [two.clone(), two.clone()].concat(), 87),
        ("produce-count-too-high", with(two.clone(), |h| h.record_count = 3), 87),
        ("produce-count-too-high-delta", with(two.clone(), |h| (h.record_count, h.last_offset_delta) = (3, 2)), 87),
        ("produce-count-too-low", with(two.clone(), |h| h.record_count = 1), 87),
        ("produce-count-too-low-delta", with(two.clone(), |h| (h.record_count, h.last_offset_delta) = (1, 0)), 87),
        ("produce-last-delta-5", with(two.clone(), |h| h.last_offset_delta = 5), 87),
        ("produce-count-negative", with(two.clone(), |h| h.record_count = -1), 87),
        ("count negative, delta agrees", with(two.clone(), |h| (h.record_count, h.last_offset_delta) = (-1, -2)), 87),
        ("produce-delta-gap", with(with_body(&[record(0), record(2)].concat(), 0, 2), |h| h.last_offset_delta = 2), 87),
        ("produce-delta-swapped", with_body(&[record(1), record(0)].concat(), 0, 2), 0),
        ("produce-delta-same", with_body(&[record(0), record(0)].concat(), 0, 2), 0),
        ("produce-base-offset-100", with(two.clone(), |h| h.base_offset = Offset(100)), 87),
        ("produce-leader-epoch-99", with(two.clone(), |h| h.partition_leader_epoch = LeaderEpoch(99)), 0),
        ("produce-control-batch", with(two.clone(), |h| h.attributes = 0x20), 87),
        ("a private batch of ours", with(two.clone(), |h| (h.attributes, h.last_offset_delta) = (0x20, -1)), 87),
        ("produce-unknown-attribute-bits", with(two.clone(), |h| h.attributes = 0x80), 0),
        ("produce-delete-horizon-bit", with(two.clone(), |h| h.attributes = 0x40), 0),
        ("produce-timestamp-type-bit", with(two.clone(), |h| h.attributes = 0x08), 0),
        ("produce-truncated-batch", cut(3), 87),
        ("produce-trailing-garbage", [two.clone(), vec![0; 10]].concat(), 0),
        ("garbage that could be a batch", [two.clone(), vec![0; 12]].concat(), 2),
        ("a cut second batch", [two.clone(), cut(3)].concat(), 0),
        ("produce-short-batch", two[..40].to_vec(), 87),
        ("produce-length-too-small", length(20), 2),
        ("nothing after a batch that is too short", length(20)[..32].to_vec(), 2),
        ("produce-length-negative", length(-1), 2),
        ("produce-record-garbage", with_body(b"\x0c\xff\xff\xff\xff\xff\xff", 0, 1), 87),
        ("produce-record-trailing", with_body(&[record(0), b"zz".to_vec()].concat(), 0, 1), 87),
        ("produce-gzip", with_body(&gzip, 1, 3), 0),
        ("produce-snappy-xerial", with_body(&compress(Codec::Snappy, &three()), 2, 3), 0),
        ("produce-snappy-raw", with_body(&snap::raw::Encoder::new().compress_vec(&three()).expect("small"), 2, 3), 0),
        ("produce-lz4", with_body(&compress(Codec::Lz4, &three()), 3, 3), 0),
        ("produce-zstd", with_body(&compress(Codec::Zstd, &three()), 4, 3), 0),
        ("produce-codec-5", with_body(&three(), 5, 3), -1),
        ("produce-codec-7", with_body(&three(), 7, 3), -1),
        ("produce-gzip-garbage", with_body(b"garbage garbage", 1, 3), -1),
        ("produce-zstd-garbage", with_body(b"garbage garbage", 4, 3), -1),
        ("produce-gzip-cut", with_body(&gzip[..gzip.len() - 12], 1, 3), -1),
        ("compressed, too few records", with_body(&gzip, 1, 4), 87),
        ("compressed, offsets swapped", with_body(&compress(Codec::Gzip, &[record(1), record(0)].concat()), 1, 2), 87),
        ("produce-timestamp-minus-2", with(two.clone(), |h| h.base_timestamp = -2), 0),
        ("idem-seq-0", with(two.clone(), |h| (h.producer_id, h.producer_epoch, h.base_sequence) = (1, 0, 0)), 0),
        ("idem-no-sequence", with(two.clone(), |h| (h.producer_id, h.producer_epoch) = (1, 0)), 87),
        ("idem-no-pid-with-seq", with(two.clone(), |h| (h.producer_epoch, h.base_sequence) = (0, 0)), 0),
    ];
    for (name, batch, expected) in cases {
        assert_eq!(code(&batch), expected, "{name}");
    }
}

#[test]
fn messages_and_what_else_is_told() {
    let mut magic = two();
    magic[16] = 3;
    assert_eq!(fault(&magic).message().as_deref(), Some("Invalid magic found in record: 3"));
    let mut length = two();
    length[8..12].fill(0xff);
    assert_eq!(fault(&length).message().as_deref(), Some("Record size -1 is less than the minimum record overhead (14)"));
    assert!(fault(&length).outranks_leadership() && !fault(&length).tells_log_start());
    let base = fault(&with(two(), |h| h.base_offset = Offset(100)));
    assert!(!base.outranks_leadership() && base.tells_log_start() && base.message().is_none());
    let mut crc = two();
    crc[60] ^= 1;
    assert!(!fault(&crc).outranks_leadership() && !fault(&crc).tells_log_start());
}

#[test]
fn zstd_needs_produce_7() {
    let zstd = with_body(&compress(Codec::Zstd, &three()), 4, 3);
    let old = CheckLimits { is_zstd_known: false, ..CheckLimits::default() };
    assert_eq!(check(BytesMut::from(&zstd[..]), &old).expect_err("too early").error_code().code(), 76);
    assert!(check(BytesMut::from(&two()[..]), &old).is_ok());
}

#[test]
fn decompression_is_bounded() {
    let big = with_body(&compress(Codec::Gzip, &vec![0; 1 << 20]), 1, 3);
    let limits = CheckLimits { decompressed_bytes_max: 1000, is_zstd_known: true };
    assert_eq!(check(BytesMut::from(&big[..]), &limits).map(|_| ()), Err(BatchFault::DecompressedTooLarge));
}

#[test]
fn a_checked_batch_keeps_the_clients_buffer() {
    let bytes = BytesMut::from(&[two(), vec![0; 10]].concat()[..]);
    let at = bytes.as_ptr();
    let checked = check(bytes, &CheckLimits::default()).expect("fine");
    assert_eq!(checked.bytes.len(), two().len());
    let patched = checked.into_patched(Offset(41), LeaderEpoch(7));
    assert_eq!(patched.as_ptr(), at);
    let header = BatchHeader::parse(&patched).expect("a batch");
    assert_eq!(
        (header.base_offset, header.offset_end(), header.partition_leader_epoch),
        (Offset(41), Offset(43), LeaderEpoch(7))
    );
    assert!(verify_crc(&patched));
}

fn admitted(batch: &[u8], rules: &TopicRules) -> Result<(CheckedBatch, Option<WallTime>), BatchFault> {
    let mut checked = check(BytesMut::from(batch), &CheckLimits::default()).expect("the bytes are fine");
    let stamp = checked.admit(rules, WallTime(T0 + 1000), &"pb-compact-0")?;
    assert!(verify_crc(&checked.bytes) && BatchHeader::parse(&checked.bytes) == Ok(checked.header), "the header follows");
    Ok((checked, stamp))
}

#[test]
fn compacted_topics_need_keys() {
    let mut builder = BatchBuilder::new();
    builder.push(T0, Some(b"k"), Some(b"v"));
    builder.push(T0, None, Some(b"v"));
    builder.push(T0, None, Some(b"w"));
    let rules = TopicRules { is_compacted: true, ..TopicRules::default() };
    for codec in Codec::ALL {
        let fault = admitted(&builder.clone().codec(codec).build(), &rules).expect_err("no keys");
        assert_eq!((fault.error_code().code(), fault.record_errors().len()), (87, 2));
        let text = "Compacted topic cannot accept message without key in topic partition pb-compact-0";
        assert_eq!(fault.record_errors()[0], RecordError { batch_index: 1, message: text.to_owned() });
        assert_eq!(
            fault.message().expect("told"),
            format!(
                "One or more records have been rejected due to 2 record errors in total, and only showing the first three errors at most: \
                 [RecordError(batchIndex=1, message='{text}'), RecordError(batchIndex=2, message='{text}')]"
            )
        );
    }
    let mut empty_key = BatchBuilder::new();
    empty_key.push(T0, Some(b""), None);
    assert!(admitted(&empty_key.build(), &rules).is_ok());
}

#[test]
fn timestamps_must_lie_in_the_window() {
    let rules = TopicRules { before_ms_max: 10_000, ..TopicRules::default() };
    let at = |timestamp: i64| with(two(), |h| h.base_timestamp = timestamp);
    for (timestamp, expected) in
        [(T0, 0), (T0 + 3_601_000, 0), (T0 + 3_601_001, 32), (T0 - 9000, 0), (T0 - 9001, 32), (-1, 0), (-2, 32)]
    {
        let code = admitted(&at(timestamp), &rules).map_or_else(|fault| fault.error_code().code(), |_| 0);
        assert_eq!(code, expected, "{timestamp}");
    }
    assert!(admitted(&at(-2), &TopicRules::default()).is_ok(), "anything old is fine by default");
    let fault = admitted(&at(T0 + 7_200_000), &rules).expect_err("too new");
    assert_eq!(fault.message().as_deref(), Some("One or more records have been rejected due to invalid timestamp"));
    let window = format!("[{}, {}]", T0 - 9000, T0 + 3_601_000);
    let text =
        format!("Timestamp {} of message with offset 1 is out of range. The timestamp should be within {window}", T0 + 7_200_000);
    assert_eq!(fault.record_errors()[1].message, text);
}

#[test]
fn timestamp_types_are_the_topics() {
    let bit = |batch: Vec<u8>| with(batch, |h| h.attributes |= 8);
    let lat = TopicRules { timestamps: TimestampKind::LogAppendTime, ..TopicRules::default() };
    let (checked, stamp) = admitted(&with(two(), |h| h.base_timestamp = T0 + 7_200_000), &lat).expect("stamped");
    assert_eq!((stamp, checked.header.max_timestamp), (Some(WallTime(T0 + 1000)), T0 + 1000));
    assert!(checked.header.is_log_append_time());
    let fault = admitted(&bit(two()), &lat).expect_err("the bit is the broker's");
    assert_eq!(
        fault.record_errors()[0].message,
        "Invalid timestamp type in message DefaultRecord(offset=0, timestamp=1700000000000, key=1 bytes, value=1 bytes). Producer should \
         not set timestamp type to LogAppendTime."
    );
    let (checked, stamp) = admitted(&bit(two()), &TopicRules::default()).expect("the bit is ignored");
    assert!(stamp.is_none() && !checked.header.is_log_append_time());
    let (checked, _) = admitted(&with(two(), |h| h.max_timestamp = T0 + 500), &TopicRules::default()).expect("claims too much");
    assert_eq!(checked.header.max_timestamp, T0, "the true maximum is stored");
}

#[test]
fn sizes_are_compared_with_the_whole_batch() {
    let batch = two();
    let rules = |message_bytes_max, segment_bytes| TopicRules { message_bytes_max, segment_bytes, ..TopicRules::default() };
    assert!(admitted(&batch, &rules(batch.len(), batch.len())).is_ok());
    assert_eq!(admitted(&batch, &rules(batch.len() - 1, 1 << 30)).map(|_| ()), Err(BatchFault::MessageTooLarge));
    assert_eq!(admitted(&batch, &rules(batch.len(), batch.len() - 1)).map(|_| ()), Err(BatchFault::SegmentTooSmall));
}

#[test]
fn topics_may_choose_the_codec() {
    for from in Codec::ALL {
        for to in Codec::ALL {
            let mut builder = BatchBuilder::new().codec(from);
            builder.add(&Draft {
                timestamp: T0,
                key: Some(b"k"),
                value: Some(&[b'v'; 100]),
                headers: &[(b"h", None), (b"h", Some(b"\xff"))],
            });
            let rules = TopicRules { codec: Some(to), ..TopicRules::default() };
            let (checked, _) = admitted(&builder.build(), &rules).expect("recompressed");
            assert_eq!(checked.codec(), to);
            let body = decompress_body(to, &checked.bytes[BatchHeader::SIZE..], 1000).expect("decodes");
            assert_eq!(
                body[..],
                BatchBuilder::clone(&builder).codec(Codec::None).build()[BatchHeader::SIZE..],
                "records stay as they are"
            );
        }
    }
}

type Part = Option<Vec<u8>>;

fn part() -> impl Strategy<Value = Part> {
    proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40))
}

proptest! {
    #[test]
    fn what_is_built_passes_and_reads_back(records in proptest::collection::vec((0i64..4_000_000_000_000, part(), part(), part()), 1..30), codec in 0usize..5) {
        let mut builder = BatchBuilder::new().codec(Codec::ALL[codec]);
        for (timestamp, key, value, header) in &records {
            let headers = [(&b"h"[..], header.as_deref()), (&b"h"[..], None)];
            builder.add(&Draft { timestamp: *timestamp, key: key.as_deref(), value: value.as_deref(), headers: &headers });
        }
        let checked = check(builder.build(), &CheckLimits::default()).expect("well formed");
        prop_assert_eq!(checked.facts.timestamp_highest, records.iter().map(|r| r.0).max().expect("not empty"));
        prop_assert_eq!(checked.facts.timestamp_highest, checked.header.max_timestamp);
        prop_assert_eq!(checked.facts.timestamp_lowest, records.iter().map(|r| r.0).min());
        prop_assert_eq!(checked.facts.null_key_first.map(usize::try_from), records.iter().position(|r| r.1.is_none()).map(Ok));
        let body = decompress_body(checked.codec(), &checked.bytes[BatchHeader::SIZE..], 1 << 20).expect("decodes");
        let read: Vec<_> = Records::new(&body, checked.header.record_count).map(|record| {
            let record = record.expect("well formed");
            let mut headers = record.headers.clone();
            let header = headers.next().expect("two").1.map(<[u8]>::to_vec);
            (checked.header.base_timestamp + record.timestamp_delta, record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec), header)
        }).collect();
        prop_assert_eq!(read, records);
    }

    #[test]
    fn random_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), is_shaped: bool, codec in 0u8..8) {
        if is_shaped && bytes.len() > BatchHeader::SIZE {
            let length = u32::try_from(bytes.len() - 12).expect("small");
            bytes[..8].fill(0);
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            bytes[16] = 2;
            bytes[21..23].copy_from_slice(&[0, codec]);
            bytes[23..27].copy_from_slice(&[0, 0, 0, 1]);
            bytes[57..61].copy_from_slice(&[0, 0, 0, 2]);
            let crc = crc_of(&bytes);
            bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        }
        if let Ok(mut checked) = check(BytesMut::from(&bytes[..]), &CheckLimits { decompressed_bytes_max: 10_000, is_zstd_known: true }) {
            let _ = checked.admit(&TopicRules { is_compacted: true, ..TopicRules::default() }, WallTime(0), &"t-0");
        }
    }
}
