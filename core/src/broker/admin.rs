//! Requests about the cluster: answered from what this broker knows, or sent to the controller and parked until it answers.

use super::Broker;
use super::parking::Parked;
use super::work::Work;
use crate::api::ReplyTo;
use crate::controller::ControllerResponse;
use crate::output::{Output, Outputs};
use crate::protocol::messages::{
    api_versions::ApiVersionsRequest, create_topics::CreateTopicsRequest, delete_topics::DeleteTopicsRequest,
    describe_cluster::DescribeClusterRequest, describe_configs::DescribeConfigsRequest, init_producer_id::InitProducerIdRequest,
    metadata::MetadataRequest,
};
use crate::time::Now;

/// A request that waits for the controller.
#[derive(Debug)]
pub(crate) enum AdminJob {
    CreateTopics(CreateTopicsRequest),
    DeleteTopics(DeleteTopicsRequest),
    InitProducerId(InitProducerIdRequest),
}

impl AdminJob {
    pub(crate) fn create_topics(request: CreateTopicsRequest) -> AdminJob {
        AdminJob::CreateTopics(request)
    }
    pub(crate) fn delete_topics(request: DeleteTopicsRequest) -> AdminJob {
        AdminJob::DeleteTopics(request)
    }
    pub(crate) fn init_producer_id(request: InitProducerIdRequest) -> AdminJob {
        AdminJob::InitProducerId(request)
    }
}

impl Broker {
    pub(crate) fn submit(&mut self, _now: Now, reply: ReplyTo, job: AdminJob, _out: &mut Outputs) {
        let number = self.parking.number();
        self.parking.park(number, Parked { reply, deadline: None, work: Work::Admin(job) });
    }

    pub(crate) fn admin_done(&mut self, token: u64, _response: ControllerResponse, out: &mut Outputs) {
        let Some(parked) = self.parking.take(token) else { return };
        parked.reply.skip(out);
    }

    pub(crate) fn metadata(&mut self, _now: Now, reply: ReplyTo, _request: MetadataRequest, out: &mut Outputs) {
        out.push(Output::Close { connection: reply.connection, number: reply.number, reason: "not served yet" });
    }

    pub(crate) fn api_versions(&mut self, reply: ReplyTo, _request: ApiVersionsRequest, out: &mut Outputs) {
        out.push(Output::Close { connection: reply.connection, number: reply.number, reason: "not served yet" });
    }

    pub(crate) fn describe_configs(&mut self, _now: Now, reply: ReplyTo, _request: DescribeConfigsRequest, out: &mut Outputs) {
        out.push(Output::Close { connection: reply.connection, number: reply.number, reason: "not served yet" });
    }

    pub(crate) fn describe_cluster(&mut self, _now: Now, reply: ReplyTo, _request: DescribeClusterRequest, out: &mut Outputs) {
        out.push(Output::Close { connection: reply.connection, number: reply.number, reason: "not served yet" });
    }
}
