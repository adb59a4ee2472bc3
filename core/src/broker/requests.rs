//! Client requests on their way through the broker: decided by `api`, collected, parked, answered.

use super::Broker;
use super::admin::AdminJob;
use super::parking::Parked;
use super::work::Work;
use crate::api::alter_configs::AlterJob;
use crate::api::fetch::{FetchJob, Patience};
use crate::api::list_offsets::{ListOffsetsJob, LookupStep};
use crate::api::produce::{self, Outcome, ProduceJob};
use crate::api::{
    Ask, ClientRequest, ReplyTo, describe_log_dirs, describe_producers, describe_quorum, list_config_resources,
    list_partition_reassignments, offset_for_leader_epoch, unregister_broker, update_features,
};
use crate::error::Fatal;
use crate::ids::{ConnectionId, GroupId, Offset, RequestNumber};
use crate::log::TimeSearched;
use crate::mutant::Mutant;
use crate::output::{Output, Outputs};
use crate::partition::{Acks, Appended, PendingBatch, Traffic, Waiter};
use crate::protocol::ErrorCode;
use crate::protocol::messages::fetch::{FetchRequest, FetchResponse};
use crate::protocol::messages::list_offsets::ListOffsetsRequest;
use crate::protocol::messages::produce::ProduceRequest;
use crate::raft::{Proposal, ReadDone};
use crate::record::{BatchFault, CheckedBatch};
use crate::time::Now;

impl Broker {
    /// A client asks.
    pub(super) fn request(
        &mut self,
        now: Now,
        connection: ConnectionId,
        number: RequestNumber,
        request: ClientRequest,
        out: &mut Outputs,
    ) {
        let ClientRequest { header, listener, ask } = request;
        let (version, correlation_id) = (header.api_version, header.correlation_id);
        let reply = ReplyTo { connection, number, version, correlation_id, listener };
        match ask {
            Ask::Produce { request, batches } => self.produce(now, reply, request, batches, out),
            Ask::Fetch(request) => self.fetch(now, reply, request, out),
            Ask::ListOffsets(request) => self.list_offsets(now, reply, request, out),
            Ask::OffsetForLeaderEpoch(request) => {
                reply.answer(&offset_for_leader_epoch::respond(&self.local.view(now), request), out);
            }
            Ask::Metadata(request) => self.metadata(now, reply, request, out),
            Ask::ApiVersions(request) => self.api_versions(reply, request, out),
            Ask::DescribeConfigs(request) => self.describe_configs(now, reply, request, out),
            Ask::DescribeCluster(request) => self.describe_cluster(now, reply, request, out),
            Ask::DescribeTopicPartitions(request) => self.describe_topic_partitions(reply, &request, out),
            Ask::ListConfigResources(request) => {
                let cluster = self.local.controller.state();
                reply.answer(&list_config_resources::respond(cluster, &request, reply.version), out);
            }
            Ask::DescribeProducers(request) => {
                let view = self.local.view(now);
                reply.answer(&describe_producers::respond(&view, &self.local.producers, &request), out);
            }
            Ask::UpdateFeatures(request) => reply.answer(&update_features::respond(self.config.broker, &request), out),
            Ask::UnregisterBroker(request) => {
                reply.answer(&unregister_broker::respond(self.local.controller.state(), &request), out);
            }
            Ask::AlterReplicaLogDirs(request) => self.alter_replica_log_dirs(now, reply, &request, out),
            Ask::DescribeLogDirs { request, volume } => {
                reply.answer(&describe_log_dirs::respond(&self.local.view(now), (&self.log_dir(), volume), &request), out);
            }
            Ask::DescribeQuorum(request) if describe_quorum::is_known(&request) => {
                self.submit(now, reply, AdminJob::DescribeQuorum, out);
            }
            Ask::DescribeQuorum(request) => reply.answer(&describe_quorum::refuse(&request), out),
            Ask::ElectLeaders(request) => self.elect_leaders(now, reply, &request, out),
            Ask::AlterPartitionReassignments(request) => self.submit(now, reply, AdminJob::Reassign(request), out),
            Ask::ListPartitionReassignments(_) => reply.answer(&list_partition_reassignments::respond(), out),
            Ask::CreateTopics(request) => self.submit(now, reply, AdminJob::create_topics(request), out),
            Ask::DeleteTopics(request) => self.submit(now, reply, AdminJob::delete_topics(request), out),
            Ask::CreatePartitions(request) => self.submit(now, reply, AdminJob::CreatePartitions(request), out),
            Ask::AlterConfigs(request) => {
                let job = AlterJob::replace(self.config.broker, &request);
                self.submit(now, reply, AdminJob::ReplaceConfigs(job), out);
            }
            Ask::IncrementalAlterConfigs(request) => {
                let job = AlterJob::edit(self.config.broker, &request);
                self.submit(now, reply, AdminJob::EditConfigs(job), out);
            }
            Ask::DeleteRecords(request) => self.delete_records(now, reply, request, out),
            Ask::InitProducerId(request) => self.submit(now, reply, AdminJob::init_producer_id(request), out),
        }
    }

    fn produce(
        &mut self,
        now: Now,
        reply: ReplyTo,
        request: ProduceRequest,
        batches: Vec<Result<CheckedBatch, BatchFault>>,
        out: &mut Outputs,
    ) {
        let timeout_ms = u64::try_from(request.timeout_ms).unwrap_or(0);
        let (job, admitted) = produce::admit(&self.local.view(now), reply.version, request, batches);
        for group in job.groups() {
            self.count(group, Traffic { produce_requests: 1, ..Traffic::default() });
        }
        let park = self.parking.number();
        let acks = job.acks;
        for one in admitted {
            let partition = self.local.partitions.get_mut(&one.group).expect("a batch is admitted where there is a replica");
            let waiter = Waiter { park, part: one.part };
            partition.collect(PendingBatch { batch: one.batch, acks, waiter });
            self.collecting.insert(one.group);
        }
        if job.is_settled() {
            self.answer_produce(now, reply, job, out);
        } else {
            let deadline = (acks == Acks::All).then(|| now.monotonic.plus_ms(timeout_ms));
            self.parking.park(park, Parked { reply, deadline, work: Work::Produce(job) });
        }
    }

    fn answer_produce(&mut self, now: Now, reply: ReplyTo, job: ProduceJob, out: &mut Outputs) {
        match job.acks {
            Acks::None if job.has_error() => {
                out.push(Output::Close {
                    connection: reply.connection,
                    number: reply.number,
                    reason: "a produce request with acks=0 failed",
                });
            }
            Acks::None => reply.skip(out),
            Acks::Leader | Acks::All => reply.answer(&job.respond(&self.local.view_by(now, reply.listener)), out),
        }
    }

    /// Makes one proposal per partition of what was collected.
    pub(super) fn propose_collected(&mut self, now: Now, out: &mut Outputs) {
        for group in std::mem::take(&mut self.collecting) {
            let Some(partition) = self.local.partitions.get_mut(&group) else { continue };
            let taken = partition.take_round();
            if partition.has_pending() {
                self.collecting.insert(group);
            }
            self.propose(now, group, taken, out);
        }
    }

    fn propose(&mut self, now: Now, group: GroupId, mut taken: Vec<PendingBatch>, out: &mut Outputs) {
        if self.config.mutant.is(Mutant::Canary) {
            taken = self.drop_some(now, group, taken, out);
        }
        let repeated = self.judge_sequences(now, group, &mut taken, out);
        let mut waiters = Vec::with_capacity(taken.len());
        let mut proposals = Vec::with_capacity(taken.len());
        let mut traffic = Traffic::default();
        // Consumers that have read everything wait for what comes now, and see it when it is committed.
        let has_readers = self.local.partitions.get(&group).is_some_and(|partition| !partition.fetchers.is_empty());
        for pending in taken {
            traffic.records_in += u64::try_from(pending.batch.header.record_count).unwrap_or(0);
            traffic.bytes_in += pending.batch.bytes.len() as u64;
            waiters.push((pending.waiter, pending.acks));
            let is_awaited = has_readers || pending.acks == Acks::All;
            proposals.push(Proposal::Records { batch: pending.batch, is_awaited });
        }
        if proposals.is_empty() {
            self.await_repeated(now, group, repeated, out);
            return;
        }
        let Ok(proposed) = self.local.replicas.propose(group, proposals) else {
            self.forget_unproposed(group);
            for waiter in waiters.into_iter().map(|(waiter, _)| waiter).chain(repeated.into_iter().map(|again| again.waiter)) {
                self.settle_failed(now, waiter, ErrorCode::NotLeaderOrFollower, out);
            }
            return;
        };
        assert_eq!(proposed.len(), waiters.len(), "a proposal is all or nothing");
        self.count(group, traffic);
        let term = self.local.replicas.group(group).expect("it was proposed to").term();
        for ((waiter, acks), proposed) in waiters.into_iter().zip(proposed) {
            let appended = Appended { waiter, index: proposed.index, term, base_offset: proposed.base_offset };
            let queue = &mut self.local.partitions.get_mut(&group).expect("it was proposed to").acks;
            match acks {
                Acks::None => self.settle_appended(now, group, appended, out),
                Acks::Leader => queue.wait_written(appended),
                Acks::All if self.config.mutant.is(Mutant::AckBeforeFsync) => queue.wait_written(appended),
                Acks::All => queue.wait_committed(appended),
            }
        }
        self.await_repeated(now, group, repeated, out);
    }

    /// The canary mutant: every fourth batch is answered as if it were in the log.
    fn drop_some(&mut self, now: Now, group: GroupId, taken: Vec<PendingBatch>, out: &mut Outputs) -> Vec<PendingBatch> {
        let mut kept = Vec::new();
        for pending in taken {
            self.canary += 1;
            if !self.canary.is_multiple_of(4) {
                kept.push(pending);
                continue;
            }
            let raft = self.local.replicas.group(group).expect("it was admitted");
            let appended = Appended {
                waiter: pending.waiter,
                index: raft.log().last_index(),
                term: raft.term(),
                base_offset: raft.log().log_end(),
            };
            self.settle_appended(now, group, appended, out);
        }
        kept
    }

    /// A batch is where its producer wants it.
    pub(super) fn settle_appended(&mut self, now: Now, group: GroupId, appended: Appended, out: &mut Outputs) {
        let log_start = self.local.replicas.group(group).map_or(Offset(0), |raft| raft.log().log_start());
        self.settle(now, appended.waiter, out, |job, part| job.settle_appended(part, appended.base_offset, log_start));
    }

    /// A batch is lost, or nobody knows.
    pub(super) fn settle_failed(&mut self, now: Now, waiter: Waiter, error: ErrorCode, out: &mut Outputs) {
        self.settle(now, waiter, out, |job, part| job.settle(part, Outcome::failed(error)));
    }

    /// The parked request of a waiter, if it is still there.
    pub(super) fn parked_produce(&mut self, waiter: Waiter) -> Option<&mut ProduceJob> {
        let Parked { work: Work::Produce(job), .. } = self.parking.get_mut(waiter.park)? else { return None };
        Some(job)
    }

    /// Settles a part of a parked produce request and answers when it was the last. One that is gone needs no answer.
    pub(super) fn settle(&mut self, now: Now, waiter: Waiter, out: &mut Outputs, how: impl FnOnce(&mut ProduceJob, usize)) {
        let Some(job) = self.parked_produce(waiter) else { return };
        how(job, waiter.part);
        if !job.is_settled() {
            return;
        }
        if let Some(Parked { reply, work: Work::Produce(job), .. }) = self.parking.take(waiter.park) {
            self.answer_produce(now, reply, job, out);
        }
    }

    fn fetch(&mut self, now: Now, reply: ReplyTo, request: FetchRequest, out: &mut Outputs) {
        let (request, session) = match self.sessions.begin(now.monotonic, reply.version, request) {
            Ok(whole) => whole,
            Err(error) => return reply.answer(&FetchResponse { error_code: error.code(), ..Default::default() }, out),
        };
        let wait_ms = u64::try_from(request.max_wait_ms).unwrap_or(0);
        let patience = if wait_ms == 0 { Patience::Over } else { Patience::Left };
        let view = self.local.view(now);
        let mut job = FetchJob::new(&view, reply.version, request, session);
        let reads = job.evaluate(&view, patience);
        if job.is_ready() {
            return self.answer_fetch(now, reply, job, out);
        }
        let number = self.parking.number();
        let deadline = match reads {
            Some(reads) => {
                for (part, read) in reads {
                    let token = self.read_token(number, part);
                    self.local.replicas.read(token, read.file, read.position, read.length, out);
                }
                None
            }
            None => {
                self.watch(number, &job);
                Some(now.monotonic.plus_ms(wait_ms))
            }
        };
        self.parking.park(number, Parked { reply, deadline, work: Work::Fetch(Box::new(job)) });
    }

    fn watch(&mut self, number: u64, job: &FetchJob) {
        for group in job.groups() {
            if let Some(partition) = self.local.partitions.get_mut(&group) {
                partition.fetchers.insert(number);
            }
        }
    }

    /// Looks again at fetches whose partitions have news.
    pub(super) fn wake_fetches(&mut self, now: Now, out: &mut Outputs) {
        for number in std::mem::take(&mut self.woken) {
            self.look_again(now, number, Patience::Left, out);
        }
    }

    /// Looks at a parked fetch; when its answer is due it stops watching and is read and answered.
    fn look_again(&mut self, now: Now, number: u64, patience: Patience, out: &mut Outputs) {
        let Some(Parked { work: Work::Fetch(job), .. }) = self.parking.get_mut(number) else { return };
        if job.is_due() {
            return;
        }
        let Some(reads) = job.evaluate(&self.local.view(now), patience) else { return };
        for group in job.groups() {
            if let Some(partition) = self.local.partitions.get_mut(&group) {
                partition.fetchers.remove(&number);
            }
        }
        self.parking.clear_deadline(number);
        for (part, read) in reads {
            let token = self.read_token(number, part);
            self.local.replicas.read(token, read.file, read.position, read.length, out);
        }
        self.answer_fetch_if_ready(now, number, out);
    }

    fn answer_fetch_if_ready(&mut self, now: Now, number: u64, out: &mut Outputs) {
        let Some(Parked { work: Work::Fetch(job), .. }) = self.parking.get(number) else { return };
        if !job.is_ready() {
            return;
        }
        if let Some(Parked { reply, work: Work::Fetch(job), .. }) = self.parking.take(number) {
            self.answer_fetch(now, reply, *job, out);
        }
    }

    fn answer_fetch(&mut self, now: Now, reply: ReplyTo, job: FetchJob, out: &mut Outputs) {
        for (group, bytes_out) in job.traffic() {
            self.count(group, Traffic { bytes_out, fetch_requests: 1, ..Traffic::default() });
        }
        let (whole, session) = job.respond(&self.local.view_by(now, reply.listener));
        reply.answer(&self.sessions.end(now.monotonic, session, whole), out);
    }

    /// Adds to what went through a partition and through all of them.
    fn count(&mut self, group: GroupId, traffic: Traffic) {
        self.traffic.add(traffic);
        if let Some(partition) = self.local.partitions.get_mut(&group) {
            partition.traffic.add(traffic);
        }
    }

    fn list_offsets(&mut self, now: Now, reply: ReplyTo, request: ListOffsetsRequest, out: &mut Outputs) {
        let view = self.local.view(now);
        let mut job = ListOffsetsJob::new(&view, reply.version, request);
        let Some(step) = job.advance(&view) else { return reply.answer(&job.respond(), out) };
        let number = self.parking.number();
        self.look_up(number, step, out);
        self.parking.park(number, Parked { reply, deadline: None, work: Work::ListOffsets(job) });
    }

    /// Asks for what a look-up by time needs next.
    fn look_up(&mut self, number: u64, step: LookupStep, out: &mut Outputs) {
        let token = self.read_token(number, 0);
        match step {
            LookupStep::Read { file, position, length } => self.local.replicas.read(token, file, position, length, out),
            LookupStep::Search(search) => out.push(Output::Search { token, search }),
        }
    }

    /// A search is done; its request may be gone.
    pub(super) fn searched(&mut self, now: Now, token: u64, found: TimeSearched, out: &mut Outputs) {
        let (number, _) = self.reads.remove(&token).expect("a search that was asked for is done once");
        let Some(Parked { work: Work::ListOffsets(job), .. }) = self.parking.get_mut(number) else { return };
        let step = job.searched(&self.local.view(now), found);
        self.go_on_looking(number, step, out);
    }

    fn go_on_looking(&mut self, number: u64, step: Option<LookupStep>, out: &mut Outputs) {
        if let Some(step) = step {
            self.look_up(number, step, out);
        } else if let Some(Parked { reply, work: Work::ListOffsets(job), .. }) = self.parking.take(number) {
            reply.answer(&job.respond(), out);
        }
    }

    fn read_token(&mut self, number: u64, part: usize) -> u64 {
        self.read_next += 1;
        self.reads.insert(self.read_next, (number, part));
        self.read_next
    }

    /// A client read came in; its request may be gone. Damage ends this broker: another replica has what is damaged here.
    pub(super) fn read_done(&mut self, now: Now, done: ReadDone, out: &mut Outputs) {
        if let Err(what) = self.try_read_done(now, done, out) {
            out.push(Output::Halt(Fatal::Corrupt(what)));
        }
    }

    fn try_read_done(&mut self, now: Now, done: ReadDone, out: &mut Outputs) -> Result<(), String> {
        let (number, part) = self.reads.remove(&done.token).expect("a read completes once");
        let Some(parked) = self.parking.get_mut(number) else { return Ok(()) };
        match &mut parked.work {
            Work::Fetch(job) => {
                job.read_done(&self.local.view(now), part, &done.data)?;
                self.answer_fetch_if_ready(now, number, out);
            }
            Work::ListOffsets(job) => {
                let step = job.read_done(&self.local.view(now), &done.data)?;
                self.go_on_looking(number, step, out);
            }
            Work::Produce(_) | Work::Admin(_) | Work::DeleteRecords(_) | Work::Elect(_) | Work::Metadata(_) => {
                unreachable!("request {number} does not read")
            }
        }
        Ok(())
    }

    /// The deadline of a parked request is over.
    pub(super) fn patience_over(&mut self, now: Now, number: u64, out: &mut Outputs) {
        let Some(parked) = self.parking.get_mut(number) else { return };
        match &mut parked.work {
            Work::Produce(job) => {
                job.time_out();
                if let Some(Parked { reply, work: Work::Produce(job), .. }) = self.parking.take(number) {
                    self.answer_produce(now, reply, job, out);
                }
            }
            Work::Fetch(_) => self.look_again(now, number, Patience::Over, out),
            Work::Elect(_) => self.look_at_election(now, number, out),
            Work::DeleteRecords(job) => {
                job.time_out();
                self.answer_deletion(number, out);
            }
            Work::Metadata(_) => self.metadata_over(now, number, out),
            Work::ListOffsets(_) | Work::Admin(_) => unreachable!("request {number} has no deadline"),
        }
    }

    /// A client is gone: nobody waits for its answers. Batches it produced stay.
    pub(super) fn closed(&mut self, connection: ConnectionId) {
        self.held.drop_connection(connection);
        for (number, parked) in self.parking.drop_connection(connection) {
            self.deleting.remove(&number);
            self.newborn.drop_request(number);
            let Work::Fetch(job) = parked.work else { continue };
            for group in job.groups() {
                if let Some(partition) = self.local.partitions.get_mut(&group) {
                    partition.fetchers.remove(&number);
                }
            }
            self.woken.remove(&number);
        }
    }
}
