//! Compresses the batches of a Produce request anew where their topics want that, before the request reaches the core.
//!
//! Apart from [`super::decode`], so that the shell may do it elsewhere than on the task of the connection.

use super::{Ask, ClientRequest};
use crate::ids::TopicId;
use crate::record::{CodecRule, Codecs};

/// Which batches of a request are to be compressed anew, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecodePlan(Vec<(usize, CodecRule)>);

impl ClientRequest {
    /// What there is to do; `None` for most requests. Cheap.
    #[must_use]
    pub fn recode_plan(&self, codecs: &Codecs) -> Option<RecodePlan> {
        let Ask::Produce { request, batches } = &self.ask else { return None };
        if codecs.is_empty() {
            return None;
        }
        let is_by_id = self.header.api_version >= 13;
        let rules = request.topic_data.iter().flat_map(|topic| {
            let rule = if is_by_id { codecs.by_id(TopicId(topic.topic_id.0)) } else { codecs.by_name(&topic.name) };
            topic.partition_data.iter().map(move |_| rule)
        });
        let wanted = rules.zip(batches).enumerate().filter_map(|(at, (rule, batch))| {
            let rule = rule?;
            batch.as_ref().is_ok_and(|batch| batch.needs(&rule)).then_some((at, rule))
        });
        let plan: Vec<(usize, CodecRule)> = wanted.collect();
        (!plan.is_empty()).then_some(RecodePlan(plan))
    }

    /// Does it. Costs as much as the batches have bytes, decompressed: [`crate::limits::DECOMPRESSED_BYTES_PER_REQUEST_MAX`] at most.
    pub fn recode(&mut self, plan: &RecodePlan) {
        let Ask::Produce { batches, .. } = &mut self.ask else { return };
        for (at, rule) in &plan.0 {
            if let Some(Ok(batch)) = batches.get_mut(*at) {
                batch.recode(rule);
            }
        }
    }
}
