//! The codec against another one: for every API and version both know, `kafka-protocol` must read what we write and write the same
//! bytes again. The messages are random but come from the layouts, so all fields of all versions travel.
//!
//! A package of its own, because the other codec is the largest of all packages that are built: who runs stories or rules need not wait for it.

#![cfg(test)]

#[path = "../../tests/codec/layout.rs"]
#[allow(dead_code, reason = "the tests of the codec use the rest")]
mod layout;

use bytes::BytesMut;
use kafka_protocol::messages::{ApiKey as OracleKey, RequestKind, ResponseKind};
use layout::{Side, apis, key, random_body};
use ottla_core::protocol::{Bytes, Reader, RequestBody, ResponseBody, Writer};
use ottla_core::random::Random;

/// APIs where the oracle and Kafka 4.3.1 differ: key, side, versions from, why. A line that no longer differs fails the test.
const DIFFERENCES: &[(i16, Side, i16, &str)] = &[
    (8, Side::Request, 10, "the oracle's OffsetCommitRequest ends at 9, only its response goes to 10"),
    (9, Side::Request, 10, "the oracle's OffsetFetchRequest ends at 9, only its response goes to 10"),
    (22, Side::Request, 6, "the oracle's InitProducerIdRequest ends at 5, only its response goes to 6"),
];

fn ours(side: Side, key: ottla_core::protocol::ApiKey, version: i16, body: Bytes) -> Bytes {
    let mut reader = Reader::new(body);
    let mut writer = Writer::new();
    match side {
        Side::Request => RequestBody::decode(key, &mut reader, version).expect("our layout").encode(&mut writer, version),
        Side::Response => ResponseBody::decode(key, &mut reader, version).expect("our layout").encode(&mut writer, version),
    }
    writer.finish_contiguous()
}

fn theirs(side: Side, key: OracleKey, version: i16, body: &Bytes) -> Result<Bytes, String> {
    let mut rest = body.clone();
    let mut again = BytesMut::new();
    match side {
        Side::Request => RequestKind::decode(key, &mut rest, version)
            .and_then(|body| body.encode(&mut again, version))
            .map_err(|error| error.to_string())?,
        Side::Response => ResponseKind::decode(key, &mut rest, version)
            .and_then(|body| body.encode(&mut again, version))
            .map_err(|error| error.to_string())?,
    }
    if rest.is_empty() { Ok(again.freeze()) } else { Err(format!("{} bytes are left", rest.len())) }
}

#[test]
fn another_codec_reads_and_writes_the_same_bytes() {
    let mut random = Random::stream(4, 0);
    let mut compared = 0;
    let mut differing: Vec<(i16, Side, i16, String)> = Vec::new();
    for api in apis() {
        let Ok(oracle) = OracleKey::try_from(api.key) else { continue };
        let known = oracle.valid_versions();
        for side in [Side::Request, Side::Response] {
            for version in api.versions.first.max(known.min)..=api.versions.last.min(known.max) {
                for _ in 0..10 {
                    let body = ours(side, key(&api), version, random_body(&api, side, version, &mut random));
                    let answer = theirs(side, oracle, version, &body);
                    compared += 1;
                    if answer.as_ref() != Ok(&body) {
                        let why = answer.err().unwrap_or_else(|| "other bytes".to_owned());
                        differing.push((api.key, side, version, why));
                        break;
                    }
                }
            }
        }
    }
    for (key, side, version, why) in DIFFERENCES {
        let still = differing.iter().any(|found| (found.0, found.1) == (*key, *side) && found.2 >= *version);
        assert!(still, "API {key} {side:?} v{version} no longer differs: {why}");
    }
    differing.retain(|(key, side, version, _)| {
        !DIFFERENCES.iter().any(|known| known.0 == *key && known.1 == *side && *version >= known.2)
    });
    assert!(differing.is_empty(), "{differing:?}");
    assert!(compared > 4_000, "only {compared} messages were compared");
}
