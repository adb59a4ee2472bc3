//! What every broker knows of the cluster: the commands of group 0, applied in order.
//!
//! [`ClusterState::apply`] is deterministic and total: an illegal command (a race of two leaders, a later version's) is ignored, and
//! ignored identically everywhere, because nothing but this state and the command is looked at.
//!
//! Invariants: `names`, `collisions` and `topics` hold the same topics; `groups` holds exactly their partitions; every group id is
//! below `next_group`; every replica list is non-empty, without repetition, of registered brokers; `next_group ≥ 1`; group and
//! producer ids are never given twice.
//!
//! Source: the role of Kafka's `MetadataImage`.

use super::command::{Command, NewPartition, Registration, RequestId};
use super::config_resource::ConfigResource;
use super::topic_name::{check_topic_name, collision_key};
use crate::config::{BrokerLayers, Values};
use crate::ids::{BrokerId, GroupId, TopicId};
use crate::limits::{CONFIG_RESOURCES_MAX, DELETED_TOPICS_REMEMBERED};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Brokers, topics, partitions and counters, equal on every broker that applied the same commands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterState {
    brokers: BTreeMap<BrokerId, BrokerState>,
    topics: BTreeMap<String, TopicState>,
    names: BTreeMap<TopicId, String>,
    collisions: BTreeMap<String, String>,
    groups: BTreeMap<GroupId, (TopicId, i32)>,
    next_group: GroupId,
    next_producer_id: i64,
    deleted: VecDeque<DeletedTopic>,
    /// No entry is empty.
    configs: BTreeMap<ConfigResource, Values>,
}

/// A registered broker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrokerState {
    /// How it presented itself.
    pub registration: Registration,
    /// Silent for longer than `broker.session.timeout.ms`.
    pub is_fenced: bool,
}

/// A topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicState {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: TopicId,
    /// Overrides by name.
    pub configs: BTreeMap<String, String>,
    /// Partition n is entry n.
    pub partitions: Vec<PartitionState>,
    /// The request that created it.
    pub created_by: RequestId,
    /// The request that last added partitions; that of no one before.
    pub grown_by: RequestId,
}

/// A partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionState {
    /// Its raft group.
    pub group: GroupId,
    /// Its replicas, the preferred leader first.
    pub replicas: Vec<BrokerId>,
}

/// A topic that is gone, remembered for a while so that a repeated request finds its own work.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeletedTopic {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: TopicId,
    /// The request that deleted it.
    pub deleted_by: RequestId,
}

/// What a command changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Change {
    /// The command is illegal here.
    Ignored,
    /// Nothing that others must know.
    Quiet,
    /// A broker's entry changed.
    Broker(BrokerId),
    /// There is a new topic.
    TopicCreated(TopicId),
    /// A topic has more partitions.
    PartitionsAdded {
        topic: TopicId,
        /// The first new one; all after it are new.
        first: usize,
    },
    /// A topic has other overrides.
    TopicConfigs(TopicId),
    /// A resource that is no topic has other settings.
    Configs(ConfigResource),
    /// This topic is gone.
    TopicDeleted(Box<TopicState>),
}

impl TopicState {
    /// One of its partitions.
    #[must_use]
    pub fn partition(&self, number: i32) -> Option<&PartitionState> {
        self.partitions.get(usize::try_from(number).ok()?)
    }
}

impl PartitionState {
    /// Whether this names all its replicas, each once.
    pub(super) fn is_order(&self, replicas: &[BrokerId]) -> bool {
        let sorted = |replicas: &[BrokerId]| replicas.iter().copied().collect::<BTreeSet<_>>();
        replicas.len() == self.replicas.len() && sorted(replicas) == sorted(&self.replicas)
    }

    fn new(partition: &NewPartition) -> PartitionState {
        PartitionState { group: partition.group, replicas: partition.replicas.clone() }
    }
}

impl Default for ClusterState {
    fn default() -> Self {
        ClusterState {
            brokers: BTreeMap::new(),
            topics: BTreeMap::new(),
            names: BTreeMap::new(),
            collisions: BTreeMap::new(),
            groups: BTreeMap::new(),
            next_group: GroupId(GroupId::CONTROLLER.0 + 1),
            next_producer_id: 0,
            deleted: VecDeque::new(),
            configs: BTreeMap::new(),
        }
    }
}

impl ClusterState {
    /// A topic by name.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&TopicState> {
        self.topics.get(name)
    }
    /// A topic by id.
    #[must_use]
    pub fn topic_by_id(&self, id: TopicId) -> Option<&TopicState> {
        self.names.get(&id).and_then(|name| self.topics.get(name))
    }
    /// All topics by name, ascending.
    pub fn topics(&self) -> impl Iterator<Item = &TopicState> {
        self.topics.values()
    }
    /// The partition a group replicates.
    #[must_use]
    pub fn partition_of(&self, group: GroupId) -> Option<(TopicId, i32)> {
        self.groups.get(&group).copied()
    }
    /// A broker, live or fenced.
    #[must_use]
    pub fn broker(&self, id: BrokerId) -> Option<&BrokerState> {
        self.brokers.get(&id)
    }
    /// All brokers, ascending.
    pub fn brokers(&self) -> impl Iterator<Item = &BrokerState> {
        self.brokers.values()
    }
    /// All brokers that are not fenced, ascending.
    pub fn live_brokers(&self) -> impl Iterator<Item = &BrokerState> {
        self.brokers.values().filter(|broker| !broker.is_fenced)
    }
    /// The group the next partition gets.
    #[must_use]
    pub fn next_group(&self) -> GroupId {
        self.next_group
    }
    /// The first producer id of the next block.
    #[must_use]
    pub fn next_producer_id(&self) -> i64 {
        self.next_producer_id
    }
    /// Settings of a resource at run time; empty if it has none.
    #[must_use]
    pub fn configs(&self, resource: &ConfigResource) -> &Values {
        static NONE: Values = Values::new();
        self.configs.get(resource).unwrap_or(&NONE)
    }
    /// All resources with settings at run time, topics apart, ascending.
    pub fn config_resources(&self) -> impl Iterator<Item = &ConfigResource> {
        self.configs.keys()
    }
    /// What stands behind the settings of a broker with this file.
    #[must_use]
    pub fn broker_layers<'a>(&'a self, broker: BrokerId, file: &'a Values) -> BrokerLayers<'a> {
        let own = self.configs(&ConfigResource::Broker(broker));
        BrokerLayers { own, cluster: self.configs(&ConfigResource::AllBrokers), file }
    }
    /// The topic whose name differs from `name` in `.` and `_` only.
    pub(super) fn colliding(&self, name: &str) -> Option<&str> {
        self.collisions.get(&collision_key(name)).map(String::as_str).filter(|other| *other != name)
    }
    /// The name of a topic that was deleted not long ago.
    #[must_use]
    pub fn deleted(&self, id: TopicId) -> Option<&str> {
        self.deleted.iter().find(|topic| topic.id == id).map(|topic| topic.name.as_str())
    }
    /// A topic that this very request deleted.
    pub(super) fn deleted_by(&self, request: RequestId, is_it: impl Fn(&DeletedTopic) -> bool) -> Option<&DeletedTopic> {
        self.deleted.iter().find(|topic| topic.deleted_by == request && is_it(topic))
    }

    /// Applies one command.
    pub(super) fn apply(&mut self, command: &Command) -> Change {
        match command {
            Command::RegisterBroker(registration) => self.register(registration),
            Command::FenceBroker { id, incarnation } => self.fence(*id, *incarnation),
            Command::CreateTopic { name, id, configs, partitions, origin } => {
                let topic = TopicState {
                    name: name.clone(),
                    id: *id,
                    configs: configs.iter().cloned().collect(),
                    partitions: partitions.iter().map(PartitionState::new).collect(),
                    created_by: *origin,
                    grown_by: RequestId::default(),
                };
                self.create(topic)
            }
            Command::DeleteTopic { id, origin } => self.delete(*id, *origin),
            Command::ProducerIdBlock { broker, first, length } => self.give_producer_ids(*broker, *first, *length),
            Command::SetTopicConfigs { id, configs } => self.set_topic_configs(*id, configs),
            Command::SetConfigs { resource, configs } => self.set_configs(resource, configs),
            Command::AddPartitions { id, partitions, origin } => self.grow(*id, partitions, *origin),
            Command::OrderReplicas { id, orders } => self.order_replicas(*id, orders),
        }
    }

    fn register(&mut self, registration: &Registration) -> Change {
        if registration.id.0 < 0 {
            return Change::Ignored;
        }
        let entry = BrokerState { registration: registration.clone(), is_fenced: false };
        if self.brokers.get(&registration.id) == Some(&entry) {
            return Change::Quiet;
        }
        self.brokers.insert(registration.id, entry);
        Change::Broker(registration.id)
    }

    fn fence(&mut self, id: BrokerId, incarnation: u64) -> Change {
        match self.brokers.get_mut(&id) {
            Some(broker) if broker.registration.incarnation == incarnation && !broker.is_fenced => {
                broker.is_fenced = true;
                Change::Broker(id)
            }
            Some(_) | None => Change::Ignored,
        }
    }

    fn create(&mut self, topic: TopicState) -> Change {
        if !self.may_create(&topic) {
            return Change::Ignored;
        }
        let id = topic.id;
        for (number, partition) in (0..).zip(&topic.partitions) {
            let replaced = self.groups.insert(partition.group, (id, number));
            assert!(replaced.is_none(), "group {} was given twice", partition.group);
            self.next_group = GroupId(partition.group.0 + 1);
        }
        self.names.insert(id, topic.name.clone());
        self.collisions.insert(collision_key(&topic.name), topic.name.clone());
        self.topics.insert(topic.name.clone(), topic);
        Change::TopicCreated(id)
    }

    fn grow(&mut self, id: TopicId, partitions: &[NewPartition], origin: RequestId) -> Change {
        let added: Vec<PartitionState> = partitions.iter().map(PartitionState::new).collect();
        let Some(topic) = self.topic_by_id(id).filter(|_| self.may_add(&added)) else { return Change::Ignored };
        let (name, first) = (topic.name.clone(), topic.partitions.len());
        if i32::try_from(first + added.len()).is_err() {
            return Change::Ignored;
        }
        for (number, partition) in (first..).zip(&added) {
            let number = i32::try_from(number).expect("it was just checked");
            let replaced = self.groups.insert(partition.group, (id, number));
            assert!(replaced.is_none(), "group {} was given twice", partition.group);
            self.next_group = GroupId(partition.group.0 + 1);
        }
        let topic = self.topics.get_mut(&name).expect("names and topics hold the same topics");
        topic.partitions.extend(added);
        topic.grown_by = origin;
        Change::PartitionsAdded { topic: id, first }
    }

    /// Who the replicas are never changes: raft's groups have their voters for life.
    fn order_replicas(&mut self, id: TopicId, orders: &[(i32, Vec<BrokerId>)]) -> Change {
        let Some(topic) = self.names.get(&id).and_then(|name| self.topics.get_mut(name)) else { return Change::Ignored };
        let is_legal = orders.iter().all(|(number, order)| topic.partition(*number).is_some_and(|p| p.is_order(order)));
        if orders.is_empty() || !is_legal {
            return Change::Ignored;
        }
        for (number, order) in orders {
            let place = usize::try_from(*number).expect("there is such a partition");
            topic.partitions[place].replicas.clone_from(order);
        }
        Change::Quiet
    }

    fn set_topic_configs(&mut self, id: TopicId, configs: &[(String, String)]) -> Change {
        let Some(topic) = self.names.get(&id).and_then(|name| self.topics.get_mut(name)) else { return Change::Ignored };
        topic.configs = configs.iter().cloned().collect();
        Change::TopicConfigs(id)
    }

    fn set_configs(&mut self, resource: &ConfigResource, configs: &[(String, String)]) -> Change {
        let is_new = !self.configs.contains_key(resource);
        if configs.is_empty() {
            self.configs.remove(resource);
        } else if is_new && self.configs.len() >= CONFIG_RESOURCES_MAX {
            return Change::Ignored;
        } else {
            self.configs.insert(resource.clone(), configs.iter().cloned().collect());
        }
        Change::Configs(resource.clone())
    }

    /// Whether these may be partitions of a topic: the next groups, each with a good list of replicas.
    fn may_add(&self, partitions: &[PartitionState]) -> bool {
        let are_groups_next = (self.next_group.0..).zip(partitions).all(|(next, p)| p.group.0 == next);
        let is_good_list = |replicas: &[BrokerId]| {
            let distinct: BTreeSet<_> = replicas.iter().collect();
            !replicas.is_empty() && distinct.len() == replicas.len() && replicas.iter().all(|b| self.brokers.contains_key(b))
        };
        !partitions.is_empty() && are_groups_next && partitions.iter().all(|p| is_good_list(&p.replicas))
    }

    fn may_create(&self, topic: &TopicState) -> bool {
        check_topic_name(&topic.name).is_ok()
            && topic.id != TopicId(0)
            && !self.names.contains_key(&topic.id)
            && !self.collisions.contains_key(&collision_key(&topic.name))
            && i32::try_from(topic.partitions.len()).is_ok()
            && self.may_add(&topic.partitions)
    }

    fn delete(&mut self, id: TopicId, origin: RequestId) -> Change {
        let Some(name) = self.names.remove(&id) else { return Change::Ignored };
        self.collisions.remove(&collision_key(&name));
        let topic = self.topics.remove(&name).expect("names and topics hold the same topics");
        for partition in &topic.partitions {
            self.groups.remove(&partition.group);
        }
        self.deleted.push_back(DeletedTopic { name, id, deleted_by: origin });
        if self.deleted.len() > DELETED_TOPICS_REMEMBERED {
            self.deleted.pop_front();
        }
        Change::TopicDeleted(Box::new(topic))
    }

    fn give_producer_ids(&mut self, broker: BrokerId, first: i64, length: i32) -> Change {
        let end = first.checked_add(i64::from(length)).filter(|end| *end > first);
        match end {
            Some(end) if first == self.next_producer_id && self.brokers.contains_key(&broker) => {
                self.next_producer_id = end;
                Change::Quiet
            }
            Some(_) | None => Change::Ignored,
        }
    }

    /// Asserts what the module doc promises. Walks everything: for simulation and tests.
    pub fn check_invariants(&self) {
        assert_eq!(self.names.len(), self.topics.len(), "every topic has one id");
        assert_eq!(self.collisions.len(), self.topics.len(), "no two names collide");
        assert!(self.next_group > GroupId::CONTROLLER, "group 0 is the controller");
        assert!(self.deleted.len() <= DELETED_TOPICS_REMEMBERED, "memory of deleted topics is bounded");
        assert!(self.configs.len() <= CONFIG_RESOURCES_MAX, "resources with settings are bounded");
        assert!(self.configs.values().all(|values| !values.is_empty()), "a resource without settings has no entry");
        let mut groups = 0;
        for (name, topic) in &self.topics {
            assert_eq!(*name, topic.name, "topics are filed under their name");
            assert_eq!(self.names.get(&topic.id), Some(name), "ids lead to names");
            assert_eq!(self.collisions.get(&collision_key(name)), Some(name), "collision keys lead to names");
            for (number, partition) in (0..).zip(&topic.partitions) {
                groups += 1;
                assert!(partition.group < self.next_group, "group ids ascend");
                assert_eq!(self.partition_of(partition.group), Some((topic.id, number)), "groups lead to partitions");
                assert!(!partition.replicas.is_empty(), "a partition has a replica");
                assert!(partition.replicas.iter().all(|b| self.brokers.contains_key(b)), "replicas are registered");
                let distinct: BTreeSet<_> = partition.replicas.iter().collect();
                assert_eq!(distinct.len(), partition.replicas.len(), "no replica stands twice in a list");
            }
        }
        assert_eq!(groups, self.groups.len(), "no group without a partition");
    }
}

#[cfg(test)]
mod tests {
    use super::super::command::ListenerEndpoint;
    use super::super::command::tests::any_command;
    use super::super::command::{NewPartition, ProposalId};
    use super::*;
    use proptest::prelude::*;

    fn registration(id: i32, incarnation: u64) -> Registration {
        Registration { id: BrokerId(id), incarnation, endpoints: ListenerEndpoint::alone("h", 9), rack: None, directory: 0 }
    }

    fn topic(name: &str, id: u128, groups: &[u64]) -> Command {
        let partitions = groups.iter().map(|g| NewPartition { group: GroupId(*g), replicas: vec![BrokerId(1)] }).collect();
        Command::CreateTopic { name: name.into(), id: TopicId(id), configs: vec![], partitions, origin: RequestId::default() }
    }

    fn more_partitions(id: u128, groups: &[u64]) -> Command {
        let partitions = groups.iter().map(|g| NewPartition { group: GroupId(*g), replicas: vec![BrokerId(1)] }).collect();
        Command::AddPartitions { id: TopicId(id), partitions, origin: RequestId { incarnation: 1, number: 5 } }
    }

    fn order(id: u128, partition: i32, replicas: &[i32]) -> Command {
        let replicas = replicas.iter().map(|id| BrokerId(*id)).collect();
        Command::OrderReplicas { id: TopicId(id), orders: vec![(partition, replicas)] }
    }

    fn state_with_broker() -> ClusterState {
        let mut state = ClusterState::default();
        assert_eq!(state.apply(&Command::RegisterBroker(registration(1, 7))), Change::Broker(BrokerId(1)));
        state
    }

    #[test]
    fn illegal_commands_are_ignored() {
        let mut state = state_with_broker();
        assert_eq!(state.apply(&topic("a.b", 1, &[1, 2])), Change::TopicCreated(TopicId(1)));
        let before = state.clone();
        for illegal in [
            topic("a.b", 2, &[3]),
            topic("a_b", 2, &[3]),
            topic("c", 1, &[3]),
            topic("c", 0, &[3]),
            topic("c", 2, &[2]),
            topic("c", 2, &[4]),
            topic("c", 2, &[]),
            topic("bad name", 2, &[3]),
            Command::DeleteTopic { id: TopicId(9), origin: RequestId::default() },
            Command::FenceBroker { id: BrokerId(1), incarnation: 6 },
            Command::FenceBroker { id: BrokerId(2), incarnation: 7 },
            Command::ProducerIdBlock { broker: BrokerId(1), first: 5, length: 10 },
            Command::ProducerIdBlock { broker: BrokerId(1), first: 0, length: 0 },
            Command::ProducerIdBlock { broker: BrokerId(2), first: 0, length: 10 },
            Command::RegisterBroker(registration(-1, 7)),
            Command::SetTopicConfigs { id: TopicId(9), configs: vec![] },
            more_partitions(9, &[3]),
            more_partitions(1, &[4]),
            more_partitions(1, &[]),
        ] {
            assert_eq!(state.apply(&illegal), Change::Ignored, "{illegal:?}");
            assert_eq!(state, before, "{illegal:?}");
        }
    }

    #[test]
    fn added_partitions_follow_those_that_are_there() {
        let mut state = state_with_broker();
        state.apply(&topic("a", 1, &[1, 2]));
        assert_eq!(state.apply(&more_partitions(1, &[3, 4])), Change::PartitionsAdded { topic: TopicId(1), first: 2 });
        assert_eq!(state.partition_of(GroupId(4)), Some((TopicId(1), 3)));
        assert_eq!(state.next_group(), GroupId(5));
        state.check_invariants();
    }

    #[test]
    fn a_resource_without_settings_is_forgotten() {
        let mut state = state_with_broker();
        let resource = ConfigResource::Group("g".into());
        let set = |configs| Command::SetConfigs { resource: ConfigResource::Group("g".into()), configs };
        assert_eq!(state.apply(&set(vec![("k".into(), "v".into())])), Change::Configs(resource.clone()));
        assert_eq!(state.configs(&resource).len(), 1);
        state.apply(&set(vec![]));
        assert_eq!(state.config_resources().count(), 0);
        state.check_invariants();
    }

    #[test]
    fn a_recreated_topic_never_meets_its_namesake() {
        let mut state = state_with_broker();
        state.apply(&topic("a", 1, &[1, 2]));
        state.apply(&Command::DeleteTopic { id: TopicId(1), origin: RequestId { incarnation: 1, number: 2 } });
        assert_eq!(state.apply(&topic("a", 2, &[1])), Change::Ignored, "group ids are never given twice");
        assert_eq!(state.apply(&topic("a", 2, &[3])), Change::TopicCreated(TopicId(2)));
        assert_eq!(state.partition_of(GroupId(1)), None);
        assert!(state.deleted_by(RequestId { incarnation: 1, number: 2 }, |t| t.name == "a").is_some());
        state.check_invariants();
    }

    #[test]
    fn a_fenced_broker_comes_back_by_registering() {
        let mut state = state_with_broker();
        assert_eq!(state.apply(&Command::FenceBroker { id: BrokerId(1), incarnation: 7 }), Change::Broker(BrokerId(1)));
        assert_eq!(state.live_brokers().count(), 0);
        assert_eq!(state.apply(&Command::RegisterBroker(registration(1, 8))), Change::Broker(BrokerId(1)));
        assert_eq!(state.apply(&Command::FenceBroker { id: BrokerId(1), incarnation: 7 }), Change::Ignored);
        assert_eq!(state.live_brokers().count(), 1);
    }

    #[test]
    fn replicas_change_their_order_and_nothing_else() {
        let mut state = state_with_broker();
        for id in 2..=3 {
            state.apply(&Command::RegisterBroker(registration(id, 7)));
        }
        let partitions = (1..=2).map(|group| NewPartition { group: GroupId(group), replicas: [1, 2, 3].map(BrokerId).to_vec() });
        let (name, id, origin) = ("a".into(), TopicId(1), RequestId::default());
        state.apply(&Command::CreateTopic { name, id, configs: vec![], partitions: partitions.collect(), origin });
        let before = state.clone();
        let none = Command::OrderReplicas { id, orders: vec![] };
        let (good, bad) = (order(1, 0, &[2, 1, 3]), order(1, 1, &[2, 1]));
        let both = match (good.clone(), bad.clone()) {
            (Command::OrderReplicas { orders: mut all, .. }, Command::OrderReplicas { orders, .. }) => {
                all.extend(orders);
                Command::OrderReplicas { id, orders: all }
            }
            _ => unreachable!("both order replicas"),
        };
        let others = [order(1, 0, &[2, 1, 4]), order(1, 0, &[2, 1, 1]), order(1, 0, &[]), order(1, 0, &[1, 2, 3, 3])];
        let absent = [order(2, 0, &[2, 1, 3]), order(1, 2, &[2, 1, 3]), order(1, -1, &[2, 1, 3])];
        for illegal in others.into_iter().chain(absent).chain([bad, both, none]) {
            assert_eq!(state.apply(&illegal), Change::Ignored, "{illegal:?}");
            assert_eq!(state, before, "{illegal:?}");
        }
        assert_eq!(state.apply(&good), Change::Quiet);
        let lists: Vec<_> = state.topic("a").expect("there").partitions.iter().map(|p| p.replicas.clone()).collect();
        assert_eq!(lists, [[2, 1, 3].map(BrokerId), [1, 2, 3].map(BrokerId)]);
        state.check_invariants();
    }

    #[test]
    fn memory_of_deleted_topics_is_bounded() {
        let mut state = state_with_broker();
        let last = u64::try_from(DELETED_TOPICS_REMEMBERED).expect("few") + 1;
        for n in 1..=last {
            assert_eq!(state.apply(&topic("a", u128::from(n), &[n])), Change::TopicCreated(TopicId(u128::from(n))));
            state.apply(&Command::DeleteTopic { id: TopicId(u128::from(n)), origin: RequestId { incarnation: 1, number: n } });
        }
        state.check_invariants();
        assert!(state.deleted_by(RequestId { incarnation: 1, number: 1 }, |_| true).is_none());
        for number in [2, last] {
            assert!(state.deleted_by(RequestId { incarnation: 1, number }, |_| true).is_some(), "{number}");
        }
    }

    proptest! {
        #[test]
        fn two_states_that_apply_the_same_commands_are_equal(commands in prop::collection::vec(any_command(), 0..60)) {
            let (mut left, mut right) = (ClusterState::default(), ClusterState::default());
            for (number, command) in (0..).zip(&commands) {
                let one = left.apply(command);
                // The other one gets it through its bytes.
                let bytes = command.encode(ProposalId { number, ..ProposalId::default() });
                let (_, decoded) = Command::decode(&bytes).expect("what was encoded");
                prop_assert_eq!(one, right.apply(&decoded));
                left.check_invariants();
            }
            prop_assert_eq!(left, right);
        }
    }
}
