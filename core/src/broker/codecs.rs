//! What the shell is told of topics that want a codec of their own, so that batches come compressed as they are stored.

use super::Broker;
use crate::ids::TopicId;
use crate::output::{Output, Outputs};
use crate::record::{CodecRule, TopicCodec};
use std::collections::BTreeMap;

/// What was told, and what is to be told at the end of the round.
#[derive(Debug, Default)]
pub(crate) struct CodecNews {
    /// Topics with a rule, as they are or will have been told.
    known: BTreeMap<TopicId, TopicCodec>,
    news: BTreeMap<TopicId, TopicCodec>,
}

impl CodecNews {
    /// The settings of a topic may be others.
    pub(crate) fn note(&mut self, topic: TopicId, name: &str, rule: Option<CodecRule>) {
        if self.known.get(&topic).and_then(|known| known.rule) == rule {
            return;
        }
        let codec = TopicCodec { topic, name: name.to_owned(), rule };
        if rule.is_some() {
            self.known.insert(topic, codec.clone());
        } else {
            self.known.remove(&topic);
        }
        self.news.insert(topic, codec);
    }

    /// A topic is gone.
    pub(crate) fn forget(&mut self, topic: TopicId) {
        if let Some(known) = self.known.remove(&topic) {
            self.news.insert(topic, TopicCodec { rule: None, ..known });
        }
    }

    /// Tells what is new.
    pub(crate) fn tell(&mut self, out: &mut Outputs) {
        if !self.news.is_empty() {
            out.push(Output::Codecs(std::mem::take(&mut self.news).into_values().collect()));
        }
    }
}

impl Broker {
    /// A replica of the topic was made, or the topic's settings changed.
    pub(super) fn note_codec(&mut self, topic: TopicId, rule: Option<CodecRule>) {
        // One that is gone already is forgotten in this round.
        if let Some(topic) = self.local.controller.state().topic_by_id(topic) {
            self.codecs.note(topic.id, &topic.name, rule);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::api::produce::tests::{batch, to};
    use crate::api::{self, Ask, ClientRequest};
    use crate::broker::rig::Rig;
    use crate::ids::TopicId;
    use crate::protocol::messages::delete_topics::{self, DeleteTopicsRequest};
    use crate::protocol::messages::incremental_alter_configs::{IncrementalAlterConfigsRequest, request as alter};
    use crate::protocol::messages::produce::ProduceRequest;
    use crate::protocol::{Uuid, encode_request};
    use crate::record::Codec;
    use bytes::BytesMut;

    fn set(rig: &mut Rig, kind: i8, name: &str, value: Option<&str>) {
        let config_operation = i8::from(value.is_none());
        let configs = vec![alter::Configs { name: "compression.type".into(), config_operation, value: value.map(Into::into) }];
        let resources = vec![alter::Resources { resource_type: kind, resource_name: name.into(), configs }];
        let request = IncrementalAlterConfigsRequest { resources, validate_only: false };
        assert_eq!(rig.ask(&request, 1).responses[0].error_code, 0);
    }

    fn codec(rig: &Rig, id: TopicId, name: &str) -> Option<Codec> {
        assert_eq!(rig.codecs.by_id(id), rig.codecs.by_name(name));
        rig.codecs.by_id(id).map(|rule| rule.codec)
    }

    #[test]
    fn the_shell_is_told_what_topics_want() {
        let mut rig = Rig::new();
        let plain = rig.topic("plain", 1, &[]);
        assert!(rig.codecs.is_empty(), "nothing to know");
        let packed = rig.topic("packed", 2, &[("compression.type", "zstd"), ("compression.zstd.level", "5")]);
        assert_eq!((codec(&rig, plain, "plain"), codec(&rig, packed, "packed")), (None, Some(Codec::Zstd)));
        assert_eq!(rig.codecs.by_id(packed).and_then(|rule| rule.level), Some(5));
        set(&mut rig, 2, "packed", Some("lz4"));
        assert_eq!(codec(&rig, packed, "packed"), Some(Codec::Lz4));
        // Of all topics that say nothing.
        set(&mut rig, 4, "", Some("gzip"));
        assert_eq!((codec(&rig, plain, "plain"), codec(&rig, packed, "packed")), (Some(Codec::Gzip), Some(Codec::Lz4)));
        let mut rig = rig.restart();
        assert_eq!((codec(&rig, plain, "plain"), codec(&rig, packed, "packed")), (Some(Codec::Gzip), Some(Codec::Lz4)));
        set(&mut rig, 4, "", None);
        let topics = vec![delete_topics::request::Topics { name: None, topic_id: Uuid(packed.0) }];
        rig.send(&DeleteTopicsRequest { topics, timeout_ms: 1000, ..Default::default() }, 6);
        rig.advance(100);
        assert!(rig.codecs.is_empty(), "nothing is left: {:?}", rig.codecs);
    }

    #[test]
    fn requests_are_recoded_by_name_and_by_id() {
        let mut rig = Rig::new();
        let id = rig.topic("packed", 2, &[("compression.type", "lz4")]);
        let records = batch(&[(None, Some(&[b'x'; 120]))]);
        for version in [9, 13] {
            let mut request = to("packed", -1, &[(0, Some(records.clone())), (1, None), (1, Some(records.clone()))]);
            request.topic_data[0].topic_id = Uuid(id.0);
            let mut elsewhere = request.topic_data[0].clone();
            (elsewhere.name, elsewhere.topic_id) = ("plain".into(), Uuid(77));
            request.topic_data.insert(0, elsewhere);
            let frame = BytesMut::from(&encode_request::<ProduceRequest>(&request, version, 7, "test").concat()[..]);
            let mut decoded = api::decode(frame).expect("served");
            let plan = decoded.recode_plan(&rig.codecs).expect("there is something to do");
            decoded.recode(&plan);
            assert_eq!(decoded.recode_plan(&rig.codecs), None, "done");
            let codecs: Vec<Option<Codec>> = batches(&decoded);
            let (own, lz4) = (Some(Codec::None), Some(Codec::Lz4));
            assert_eq!(codecs, [own, None, own, lz4, None, lz4], "v{version}");
        }
    }

    fn batches(request: &ClientRequest) -> Vec<Option<Codec>> {
        let Ask::Produce { batches, .. } = &request.ask else { panic!("it is a produce request") };
        batches.iter().map(|batch| batch.as_ref().ok().map(|batch| batch.codec())).collect()
    }
}
