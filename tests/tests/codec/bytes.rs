//! The codec against its own layouts, against frames of a real Kafka, and against bytes nobody sane would send.

use super::layout::{Side, apis, key, random_body, random_stored, stored};
use ottla_core::protocol::messages::find_coordinator::FindCoordinatorRequest;
use ottla_core::protocol::messages::metadata::{MetadataRequest, MetadataResponse};
use ottla_core::protocol::messages::produce::{self, ProduceRequest, ProduceResponse};
use ottla_core::protocol::{
    ApiKey, Bytes, DecodeError, ErrorCode, Reader, RequestBody, RequestHeader, ResponseBody, ResponseHeader, Text, Uuid, Writer,
};
use ottla_core::random::Random;

/// Decodes a body and encodes it again. What is left behind the body is returned too.
fn recode(side: Side, key: ApiKey, version: i16, body: Bytes) -> Result<(Bytes, usize), DecodeError> {
    let mut reader = Reader::new(body);
    let mut writer = Writer::new();
    match side {
        Side::Request => RequestBody::decode(key, &mut reader, version)?.encode(&mut writer, version),
        Side::Response => ResponseBody::decode(key, &mut reader, version)?.encode(&mut writer, version),
    }
    Ok((writer.finish_contiguous(), reader.remaining()))
}

/// Calls `check` with random bodies of every API, side and version.
fn for_all(samples: u64, mut check: impl FnMut(Side, ApiKey, i16, Bytes, &mut Random)) {
    let mut random = Random::stream(3, 0);
    for api in apis() {
        for side in [Side::Request, Side::Response] {
            for version in api.versions.first..=api.versions.last {
                for _ in 0..samples {
                    let body = random_body(&api, side, version, &mut random);
                    check(side, key(&api), version, body, &mut random);
                }
            }
        }
    }
}

#[test]
fn every_message_of_every_version_is_written_as_it_was_read() {
    let mut messages = 0;
    for_all(10, |side, key, version, body, _| {
        let (again, rest) =
            recode(side, key, version, body.clone()).unwrap_or_else(|e| panic!("{key} {side:?} v{version}: {e}\n{body:x}"));
        assert_eq!(rest, 0, "{key} {side:?} v{version}");
        assert_eq!(again, body, "{key} {side:?} v{version}");
        messages += 1;
    });
    assert!(messages > 5_000, "only {messages} messages were tried");
}

/// Decodes what is stored inside a record and encodes it again.
fn recode_stored(name: &str, version: i16, body: Bytes) -> Result<Bytes, DecodeError> {
    use ottla_core::protocol::messages::stored;
    let mut reader = Reader::new(body);
    let mut writer = Writer::new();
    macro_rules! dispatch {
        ($($module:ident $name:ident,)*) => {
            match name {
                $(stringify!($name) => stored::$module::$name::decode(&mut reader, version)?.encode(&mut writer, version),)*
                other => panic!("{other} is not in this test"),
            }
        };
    }
    dispatch! {
        consumer_protocol_assignment ConsumerProtocolAssignment,
        consumer_protocol_subscription ConsumerProtocolSubscription,
        control_record_type_schema ControlRecordTypeSchema,
        default_principal_data DefaultPrincipalData,
        end_txn_marker EndTxnMarker,
        kraft_version_record KRaftVersionRecord,
        leader_change_message LeaderChangeMessage,
        snapshot_footer_record SnapshotFooterRecord,
        snapshot_header_record SnapshotHeaderRecord,
        voters_record VotersRecord,
        consumer_group_current_member_assignment_key ConsumerGroupCurrentMemberAssignmentKey,
        consumer_group_current_member_assignment_value ConsumerGroupCurrentMemberAssignmentValue,
        consumer_group_member_metadata_key ConsumerGroupMemberMetadataKey,
        consumer_group_member_metadata_value ConsumerGroupMemberMetadataValue,
        consumer_group_metadata_key ConsumerGroupMetadataKey,
        consumer_group_metadata_value ConsumerGroupMetadataValue,
        consumer_group_partition_metadata_key ConsumerGroupPartitionMetadataKey,
        consumer_group_partition_metadata_value ConsumerGroupPartitionMetadataValue,
        consumer_group_regular_expression_key ConsumerGroupRegularExpressionKey,
        consumer_group_regular_expression_value ConsumerGroupRegularExpressionValue,
        consumer_group_target_assignment_member_key ConsumerGroupTargetAssignmentMemberKey,
        consumer_group_target_assignment_member_value ConsumerGroupTargetAssignmentMemberValue,
        consumer_group_target_assignment_metadata_key ConsumerGroupTargetAssignmentMetadataKey,
        consumer_group_target_assignment_metadata_value ConsumerGroupTargetAssignmentMetadataValue,
        group_metadata_key GroupMetadataKey,
        group_metadata_value GroupMetadataValue,
        legacy_offset_commit_key LegacyOffsetCommitKey,
        legacy_offset_commit_value LegacyOffsetCommitValue,
        offset_commit_key OffsetCommitKey,
        offset_commit_value OffsetCommitValue,
        share_group_current_member_assignment_key ShareGroupCurrentMemberAssignmentKey,
        share_group_current_member_assignment_value ShareGroupCurrentMemberAssignmentValue,
        share_group_member_metadata_key ShareGroupMemberMetadataKey,
        share_group_member_metadata_value ShareGroupMemberMetadataValue,
        share_group_metadata_key ShareGroupMetadataKey,
        share_group_metadata_value ShareGroupMetadataValue,
        share_group_state_partition_metadata_key ShareGroupStatePartitionMetadataKey,
        share_group_state_partition_metadata_value ShareGroupStatePartitionMetadataValue,
        share_group_target_assignment_member_key ShareGroupTargetAssignmentMemberKey,
        share_group_target_assignment_member_value ShareGroupTargetAssignmentMemberValue,
        share_group_target_assignment_metadata_key ShareGroupTargetAssignmentMetadataKey,
        share_group_target_assignment_metadata_value ShareGroupTargetAssignmentMetadataValue,
        streams_group_current_member_assignment_key StreamsGroupCurrentMemberAssignmentKey,
        streams_group_current_member_assignment_value StreamsGroupCurrentMemberAssignmentValue,
        streams_group_member_metadata_key StreamsGroupMemberMetadataKey,
        streams_group_member_metadata_value StreamsGroupMemberMetadataValue,
        streams_group_metadata_key StreamsGroupMetadataKey,
        streams_group_metadata_value StreamsGroupMetadataValue,
        streams_group_target_assignment_member_key StreamsGroupTargetAssignmentMemberKey,
        streams_group_target_assignment_member_value StreamsGroupTargetAssignmentMemberValue,
        streams_group_target_assignment_metadata_key StreamsGroupTargetAssignmentMetadataKey,
        streams_group_target_assignment_metadata_value StreamsGroupTargetAssignmentMetadataValue,
        streams_group_topology_key StreamsGroupTopologyKey,
        streams_group_topology_value StreamsGroupTopologyValue,
        share_snapshot_key ShareSnapshotKey,
        share_snapshot_value ShareSnapshotValue,
        share_update_key ShareUpdateKey,
        share_update_value ShareUpdateValue,
        transaction_log_key TransactionLogKey,
        transaction_log_value TransactionLogValue,
    }
    assert_eq!(reader.remaining(), 0, "{name} v{version}");
    Ok(writer.finish_contiguous())
}

#[test]
fn everything_stored_inside_records_is_written_as_it_was_read() {
    let mut random = Random::stream(5, 0);
    for layout in stored() {
        for version in layout.versions.first..=layout.versions.last {
            for _ in 0..10 {
                let body = random_stored(&layout, version, &mut random);
                let again = recode_stored(&layout.name, version, body.clone())
                    .unwrap_or_else(|e| panic!("{} v{version}: {e}", layout.name));
                assert_eq!(again, body, "{} v{version}", layout.name);
            }
        }
    }
}

#[test]
fn a_cut_message_is_an_error_and_never_another_message() {
    for_all(1, |side, key, version, body, _| {
        for length in 0..body.len().min(400) {
            assert!(recode(side, key, version, body.slice(..length)).is_err(), "{key} {side:?} v{version} cut to {length}");
        }
    });
}

#[test]
fn damaged_messages_do_no_harm() {
    let (mut read, mut refused) = (0, 0);
    for_all(4, |side, key, version, body, random| {
        for _ in 0..8 {
            let mut damaged = body.to_vec();
            if damaged.is_empty() {
                continue;
            }
            for _ in 0..random.between(1, 4) {
                let at = random.below(damaged.len() as u64) as usize;
                match random.below(4) {
                    0 => damaged[at] ^= 1 << random.below(8),
                    1 => damaged[at] = 0xff,
                    2 => drop(damaged.splice(at..at, [0x7f, 0xff, 0xff, 0xff])),
                    _ => damaged[at] = random.bits() as u8,
                }
            }
            match recode(side, key, version, damaged.into()) {
                Ok(_) => read += 1,
                Err(_) => refused += 1,
            }
        }
    });
    assert!(read > 1000 && refused > 1000, "{read} were read, {refused} refused: the damage is too weak or too strong");
}

#[test]
fn bytes_behind_the_body_are_ignored() {
    let mut reader = Reader::new(Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 9, 9, 9]));
    assert_eq!(MetadataRequest::decode(&mut reader, 1).expect("a null array").topics, None);
    assert_eq!(reader.remaining(), 3);
}

#[test]
fn an_array_longer_than_its_frame_is_refused_before_it_is_allocated() {
    let mut tiny = Reader::new(Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff, 0, 0]));
    assert!(matches!(MetadataRequest::decode(&mut tiny, 1), Err(DecodeError::Truncated { .. })));
    let mut tiny = Reader::new(Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0]));
    assert!(matches!(MetadataRequest::decode(&mut tiny, 9), Err(DecodeError::Truncated { .. })));
    // Twenty million empty strings of one byte each are an honest frame of 20 MB, but would be 320 MB in memory.
    let mut frame = vec![0u8];
    frame.extend_from_slice(&[0x81, 0xda, 0xc4, 0x09]);
    frame.resize(20_000_010, 1);
    assert_eq!(FindCoordinatorRequest::decode(&mut Reader::new(frame.into()), 4), Err(DecodeError::TooLarge));
}

#[test]
fn lenient_where_kafka_is() {
    // Array length -2 is null, boolean 2 is true.
    let mut reader = Reader::new(Bytes::from_static(&[0xff, 0xff, 0xff, 0xfe, 2]));
    let request = MetadataRequest::decode(&mut reader, 4).expect("Kafka takes it");
    assert_eq!((request.topics, request.allow_auto_topic_creation), (None, true));
    // Client id of length -2, and one that is not UTF-8.
    let header = [0, 3, 0, 1, 0, 0, 0, 7, 0xff, 0xfe];
    assert_eq!(RequestHeader::decode(&mut Reader::new(Bytes::copy_from_slice(&header))).expect("Kafka takes it").client_id, None);
    let header = [0, 3, 0, 1, 0, 0, 0, 7, 0, 1, 0xff];
    let header = RequestHeader::decode(&mut Reader::new(Bytes::copy_from_slice(&header))).expect("Kafka takes it");
    assert_eq!(header.client_id_lossy(), "\u{fffd}");
}

#[test]
fn strict_where_kafka_is() {
    let decode =
        |key, version, bytes: &'static [u8]| RequestBody::decode(key, &mut Reader::new(Bytes::from_static(bytes)), version);
    // A string that can't be null, a string that is not UTF-8, a varint of 33 bits, versions and keys that do not exist.
    assert!(matches!(decode(ApiKey::SaslHandshake, 0, &[0xff, 0xff]), Err(DecodeError::Invalid(_))));
    assert!(matches!(decode(ApiKey::SaslHandshake, 0, &[0, 1, 0xff]), Err(DecodeError::Invalid(_))));
    assert!(matches!(decode(ApiKey::Metadata, 9, &[0xff, 0xff, 0xff, 0xff, 0x10]), Err(DecodeError::Invalid(_))));
    assert!(matches!(decode(ApiKey::Metadata, 14, &[]), Err(DecodeError::UnsupportedVersion { .. })));
    assert!(matches!(decode(ApiKey::Produce, 2, &[]), Err(DecodeError::UnsupportedVersion { .. })));
    let unknown = Bytes::from_static(&[0, 93, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(RequestHeader::decode(&mut Reader::new(unknown)), Err(DecodeError::UnknownApi(93)));
}

#[test]
fn unknown_tagged_fields_are_passed_over_and_known_ones_must_fit() {
    let body = |tags: &[u8]| {
        // Produce response v10: no topics, throttle time 0, then tags.
        let mut body = vec![1, 0, 0, 0, 0];
        body.extend_from_slice(tags);
        ProduceResponse::decode(&mut Reader::new(body.into()), 10)
    };
    assert_eq!(body(&[1, 99, 3, 1, 2, 3]).expect("unknown tag"), ProduceResponse::default());
    assert_eq!(body(&[1, 0, 1, 1]).expect("tag 0: no node endpoints"), ProduceResponse::default());
    assert!(matches!(body(&[1, 0, 2, 1, 0]), Err(DecodeError::Invalid(_))));
    assert!(matches!(body(&[1, 99, 4, 1, 2, 3]), Err(DecodeError::Truncated { .. })));
}

#[test]
fn large_records_travel_without_a_copy_in_both_directions() {
    let records = Bytes::from(vec![7u8; 4096]);
    let request = ProduceRequest {
        topic_data: vec![produce::request::TopicData {
            name: Text::from("orders"),
            partition_data: vec![produce::request::PartitionData { index: 0, records: Some(records.clone().into()) }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let mut writer = Writer::new();
    request.encode(&mut writer, 9);
    let slices = writer.finish();
    assert!(slices.iter().any(|slice| slice.as_ptr() == records.as_ptr() && slice.len() == records.len()));
    let frame = Bytes::from(slices.concat());
    let decoded = ProduceRequest::decode(&mut Reader::new(frame.clone()), 9).expect("our own frame");
    assert_eq!(decoded, request);
    let slice = decoded.topic_data[0].partition_data[0].records.clone().expect("records were sent").into_bytes();
    assert!(frame.as_ptr_range().contains(&slice.as_ptr()));
}

#[test]
fn fields_of_other_versions_are_left_out() {
    let response = MetadataResponse { error_code: 35, throttle_time_ms: 4, cluster_id: None, ..Default::default() };
    let mut writer = Writer::new();
    response.encode(&mut writer, 0);
    assert_eq!(writer.finish_contiguous(), Bytes::from_static(&[0; 8]));
    // Null where the version has no null is empty.
    let mut writer = Writer::new();
    MetadataRequest { topics: None, ..Default::default() }.encode(&mut writer, 0);
    assert_eq!(writer.finish_contiguous(), Bytes::from_static(&[0; 4]));
}

#[test]
fn an_overlong_string_is_cut_at_a_character() {
    let mut writer = Writer::new();
    writer.string(&"é".repeat(20_000));
    let text = Reader::new(writer.finish_contiguous()).string().expect("what we write can be read");
    assert_eq!(text.as_str(), "é".repeat(16_383));
}

#[test]
fn keys_and_errors_are_those_of_kafka() {
    assert_eq!(ApiKey::all().count(), 89);
    assert_eq!(ApiKey::Metadata.versions(), (0, 13));
    assert_eq!((ApiKey::InitProducerId.versions(), ApiKey::InitProducerId.version_last_stable()), ((0, 6), 5));
    assert_eq!(ApiKey::ApiVersions.request_header_version(4), 2);
    assert_eq!(ApiKey::ApiVersions.response_header_version(4), 0);
    assert_eq!(ApiKey::Produce.response_header_version(9), 1);
    assert_eq!(ApiKey::SaslHandshake.request_header_version(1), 1);
    assert!(!ApiKey::Vote.is_on_broker_listener() && ApiKey::Fetch.is_on_broker_listener());
    assert_eq!(ErrorCode::all().count(), 135);
    assert_eq!(ErrorCode::from_code(6), Some(ErrorCode::NotLeaderOrFollower));
    assert_eq!(ErrorCode::NotLeaderOrFollower.name(), "NOT_LEADER_OR_FOLLOWER");
    assert!(ErrorCode::NotLeaderOrFollower.is_retriable() && !ErrorCode::None.is_retriable());
    assert_eq!(ErrorCode::from_code(-1), Some(ErrorCode::UnknownServerError));
    assert_eq!(ErrorCode::from_code(134), None);
    assert_eq!(Uuid::default(), Uuid::ZERO);
}

/// Frames that a real Kafka 4.3.1 received and sent: case, request, response, in hex without the size field. All of
/// them are canonical, so the same bytes must come out.
#[test]
fn frames_of_a_real_kafka_are_written_as_they_were_read() {
    let mut frames = 0;
    for line in include_str!("../../golden/exchanges.tsv").lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [case, request, response] = columns[..] else { panic!("three columns: {line}") };
        let request = unhex(request);
        let mut reader = Reader::new(request.clone());
        let header = RequestHeader::decode(&mut reader).unwrap_or_else(|e| panic!("{case}: {e}"));
        let body = RequestBody::decode(header.api_key, &mut reader, header.api_version).unwrap_or_else(|e| panic!("{case}: {e}"));
        assert_eq!(reader.remaining(), 0, "{case}");
        let mut writer = Writer::new();
        header.encode(&mut writer);
        body.encode(&mut writer, header.api_version);
        assert_eq!(writer.finish_contiguous(), request, "{case}");

        let response = unhex(response);
        let mut reader = Reader::new(response.clone());
        let (key, version) = (header.api_key, header.api_version);
        let header = ResponseHeader::decode(key, version, &mut reader).unwrap_or_else(|e| panic!("{case}: {e}"));
        let body = ResponseBody::decode(key, &mut reader, version).unwrap_or_else(|e| panic!("{case}: {e}"));
        assert_eq!(reader.remaining(), 0, "{case}");
        let mut writer = Writer::new();
        header.encode(key, version, &mut writer);
        body.encode(&mut writer, version);
        assert_eq!(writer.finish_contiguous(), response, "{case}");
        frames += 2;
    }
    assert!(frames > 200, "only {frames} frames");
}

fn unhex(text: &str) -> Bytes {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
    (0..text.len()).step_by(2).map(digit).collect::<Vec<u8>>().into()
}
