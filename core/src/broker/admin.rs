//! Requests about the cluster: answered from what this broker knows, or sent to the controller and parked until it answers.

use super::Broker;
use super::parking::Parked;
use super::work::Work;
use crate::api::alter_configs::AlterJob;
use crate::api::describe_quorum::VoterEndpoints;
use crate::api::{
    ReplyTo, alter_partition_reassignments, alter_replica_log_dirs, api_versions, create_partitions, create_topics,
    delete_topics, describe_cluster, describe_configs, describe_quorum, describe_topic_partitions, init_producer_id, metadata,
};
use crate::controller::{ControllerRequest, ControllerResponse};
use crate::output::Outputs;
use crate::protocol::messages::{
    alter_partition_reassignments::AlterPartitionReassignmentsRequest, alter_replica_log_dirs::AlterReplicaLogDirsRequest,
    api_versions::ApiVersionsRequest, create_partitions::CreatePartitionsRequest, create_topics::CreateTopicsRequest,
    delete_topics::DeleteTopicsRequest, describe_cluster::DescribeClusterRequest, describe_configs::DescribeConfigsRequest,
    describe_topic_partitions::DescribeTopicPartitionsRequest, init_producer_id::InitProducerIdRequest,
    metadata::MetadataRequest,
};
use crate::time::Now;

/// Milliseconds that an automatic creation is tried for; its client asks again anyway.
const AUTO_CREATE_MS: i32 = 5_000;

/// A request that waits for the controller.
#[derive(Debug)]
pub(crate) enum AdminJob {
    CreateTopics(CreateTopicsRequest),
    DeleteTopics(DeleteTopicsRequest),
    CreatePartitions(CreatePartitionsRequest),
    Reassign(AlterPartitionReassignmentsRequest),
    /// AlterConfigs.
    ReplaceConfigs(AlterJob),
    /// IncrementalAlterConfigs.
    EditConfigs(AlterJob),
    InitProducerId(InitProducerIdRequest),
    DescribeQuorum,
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
    /// Asks the controller; the request waits under the token it was asked with. The controller keeps the client's deadline.
    pub(crate) fn submit(&mut self, now: Now, reply: ReplyTo, job: AdminJob, out: &mut Outputs) {
        let asked = match &job {
            AdminJob::CreateTopics(request) => create_topics::plan(request),
            AdminJob::DeleteTopics(request) => delete_topics::plan(request, reply.version),
            AdminJob::CreatePartitions(request) => create_partitions::plan(request),
            AdminJob::Reassign(request) => alter_partition_reassignments::plan(request),
            AdminJob::ReplaceConfigs(alter) | AdminJob::EditConfigs(alter) => match alter.plan() {
                Some(asked) => asked,
                None => return self.answer_admin(reply, job, ControllerResponse::AlterConfigs(Vec::new()), out),
            },
            AdminJob::DescribeQuorum => ControllerRequest::DescribeQuorum,
            AdminJob::InitProducerId(request) => match init_producer_id::plan(request, &self.settings) {
                Ok(asked) => asked,
                Err(answer) => return reply.answer(&*answer, out),
            },
        };
        let number = self.parking.number();
        self.parking.park(number, Parked { reply, deadline: None, work: Work::Admin(job) });
        self.local.controller.submit(now, asked, number);
    }

    /// The controller answered; a request whose client is gone, or that was this broker's own, has nobody who waits.
    pub(crate) fn admin_done(&mut self, token: u64, response: ControllerResponse, out: &mut Outputs) {
        let Some(Parked { reply, work, .. }) = self.parking.take(token) else { return };
        let Work::Admin(job) = work else { unreachable!("request {token} does not wait for the controller") };
        self.answer_admin(reply, job, response, out);
    }

    fn answer_admin(&self, reply: ReplyTo, job: AdminJob, response: ControllerResponse, out: &mut Outputs) {
        let layers = self.local.controller.layers();
        match job {
            AdminJob::CreateTopics(request) => reply.answer(&create_topics::respond(&request, response, layers), out),
            AdminJob::CreatePartitions(request) => reply.answer(&create_partitions::respond(&request, response), out),
            AdminJob::Reassign(request) => reply.answer(&alter_partition_reassignments::respond(&request, response), out),
            AdminJob::ReplaceConfigs(alter) => reply.answer(&alter.respond_replaced(response), out),
            AdminJob::EditConfigs(alter) => reply.answer(&alter.respond_edited(response), out),
            AdminJob::DeleteTopics(request) => reply.answer(&delete_topics::respond(&request, response, reply.version), out),
            AdminJob::DescribeQuorum => {
                let listeners = self.settings.text("controller.listener.names").filter(|names| !names.is_empty());
                let voters = self.settings.text("controller.quorum.voters").unwrap_or_default();
                let endpoints = VoterEndpoints::of(listeners.as_deref().unwrap_or("CONTROLLER"), &voters);
                reply.answer(&describe_quorum::respond(&endpoints, response), out);
            }
            AdminJob::InitProducerId(_) => reply.answer(&init_producer_id::respond(&response), out),
        }
    }

    fn known(&self, reply: ReplyTo) -> metadata::Known<'_> {
        metadata::Known {
            listener: self.local.listener(reply.listener),
            cluster_id: &self.config.cluster_id,
            broker: self.config.broker,
            cluster: self.local.controller.state(),
            leaders: &self.local.leaders,
            auto_create: self.settings.auto_create_topics,
        }
    }

    /// The data folder, as it was named.
    pub(super) fn log_dir(&self) -> String {
        self.settings.text("log.dirs").or_else(|| self.settings.text("log.dir")).unwrap_or_default()
    }

    pub(crate) fn alter_replica_log_dirs(
        &self,
        now: Now,
        reply: ReplyTo,
        request: &AlterReplicaLogDirsRequest,
        out: &mut Outputs,
    ) {
        reply.answer(&alter_replica_log_dirs::respond(&self.local.view(now), &self.log_dir(), request), out);
    }

    pub(crate) fn describe_topic_partitions(&self, reply: ReplyTo, request: &DescribeTopicPartitionsRequest, out: &mut Outputs) {
        let partitions_max = self.settings.number("max.request.partition.size.limit");
        let partitions_max = partitions_max.and_then(|max| usize::try_from(max).ok()).unwrap_or(1);
        reply.answer(&describe_topic_partitions::respond(&self.known(reply), request, partitions_max), out);
    }

    pub(super) fn answer_metadata(&mut self, now: Now, reply: ReplyTo, request: &MetadataRequest, out: &mut Outputs) {
        let known = self.known(reply);
        let metadata::Answer { response, create } = metadata::respond(&known, request, reply.version);
        reply.answer(&response, out);
        if !create.is_empty() {
            // Nobody waits under this number.
            let number = self.parking.number();
            let asked = ControllerRequest::CreateTopics { topics: create, validate_only: false, timeout_ms: AUTO_CREATE_MS };
            self.local.controller.submit(now, asked, number);
        }
    }

    pub(crate) fn api_versions(&mut self, reply: ReplyTo, request: ApiVersionsRequest, out: &mut Outputs) {
        let answer = api_versions::respond(&request, reply.version);
        ReplyTo { version: api_versions::answer_version(reply.version), ..reply }.answer(&answer, out);
    }

    pub(crate) fn describe_configs(&mut self, _now: Now, reply: ReplyTo, request: DescribeConfigsRequest, out: &mut Outputs) {
        let known = describe_configs::Known {
            broker: self.config.broker,
            cluster: self.local.controller.state(),
            layers: self.local.controller.layers(),
        };
        reply.answer(&describe_configs::respond(&known, &request), out);
    }

    pub(crate) fn describe_cluster(&mut self, _now: Now, reply: ReplyTo, request: DescribeClusterRequest, out: &mut Outputs) {
        let answer = describe_cluster::respond(&self.known(reply), &request);
        reply.answer(&answer, out);
    }
}
