//! [`Client`]: asks a Kafka cluster, one question at a time, over blocking sockets. For the tools of the command line.
//!
//! It finds the cluster through any bootstrap address, remembers who leads what, goes where a request belongs and tries again while
//! an error is of the kind that passes, until its patience ends. Speaks to Kafka as well as to Ottla.
//!
//! Deliberately does not know: records, output, exit codes. No pipelining: a tool waits for every answer.

mod failure;
mod link;

pub use failure::Failure;
pub use link::Link;
use ottla_core::protocol::messages::metadata::{MetadataRequest, MetadataResponse, request, response};
use ottla_core::protocol::{ErrorCode, Request, Text};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// First pause before another attempt; doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// Longest pause before another attempt.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long a topic may be unknown before we believe it: a broker hears of a new topic a little later than its creator.
const UNKNOWN_TOPIC_PATIENCE: Duration = Duration::from_secs(2);

/// Where a request belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// Any broker knows the answer.
    Any,
    /// The controller, or the broker that says it is.
    Controller,
    /// The broker with this id.
    Broker(i32),
}

/// A cluster as seen from one tool.
#[derive(Debug)]
pub struct Client {
    bootstrap: Vec<String>,
    patience: Duration,
    links: BTreeMap<String, Link>,
    brokers: BTreeMap<i32, String>,
    controller: Option<i32>,
}

impl Client {
    /// A client that finds the cluster through one of these addresses and tries everything for as long as `patience`.
    pub fn new(bootstrap: Vec<String>, patience: Duration) -> Client {
        Client { bootstrap, patience, links: BTreeMap::new(), brokers: BTreeMap::new(), controller: None }
    }

    /// How long the client tries.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Asks once and waits for the answer.
    pub fn ask<R: Request>(&mut self, target: Target, request: &R) -> Result<R::Response, Failure> {
        let patience = self.patience;
        self.with_link(target, |link| link.ask(request, patience))
    }

    /// Sends a request that has no answer: Produce with acks=0.
    pub fn tell<R: Request>(&mut self, target: Target, request: &R) -> Result<(), Failure> {
        self.with_link(target, |link| link.tell(request))
    }

    /// Whether the broker of this target speaks an API at all.
    pub fn speaks<R: Request>(&mut self, target: Target) -> Result<bool, Failure> {
        self.with_link(target, |link| Ok(link.version::<R>().is_ok()))
    }

    /// Tries again while failures are of the kind that passes and patience lasts.
    pub fn persist<T>(&mut self, mut attempt: impl FnMut(&mut Client) -> Result<T, Failure>) -> Result<T, Failure> {
        let start = Instant::now();
        let mut pause = PAUSE_MIN;
        loop {
            let failure = match attempt(self) {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            let patience = if failure.is_unknown_topic() { self.patience.min(UNKNOWN_TOPIC_PATIENCE) } else { self.patience };
            if !failure.may_pass() || start.elapsed() + pause > patience {
                return Err(failure);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// What the cluster says about some topics, or about all. Learns brokers and controller from it. Never creates a topic.
    pub fn metadata(&mut self, topics: Option<&[&str]>) -> Result<MetadataResponse, Failure> {
        let named = |name: &&str| request::Topics { name: Some(Text::from(*name)), ..Default::default() };
        let request = MetadataRequest {
            topics: topics.map(|topics| topics.iter().map(named).collect()),
            allow_auto_topic_creation: false,
            ..Default::default()
        };
        let metadata = self.ask(Target::Any, &request)?;
        self.brokers =
            metadata.brokers.iter().map(|broker| (broker.node_id, format!("{}:{}", broker.host, broker.port))).collect();
        self.controller = (metadata.controller_id >= 0).then_some(metadata.controller_id);
        Ok(metadata)
    }

    /// The partitions of a topic, ascending. Fails if the topic does not exist.
    pub fn partitions(&mut self, topic: &str) -> Result<Vec<response::Partitions>, Failure> {
        let metadata = self.metadata(Some(&[topic]))?;
        let described = metadata.topics.into_iter().find(|described| described.name.as_deref() == Some(topic));
        let Some(mut described) = described else {
            return Err(Failure::Nonsense(format!("the answer about topic {topic} does not mention it")));
        };
        Failure::check(described.error_code, None, || format!("topic {topic}"))?;
        described.partitions.sort_by_key(|partition| partition.partition_index);
        Ok(described.partitions)
    }

    /// The broker that leads a partition.
    pub fn leader(&mut self, topic: &str, partition: i32) -> Result<i32, Failure> {
        let all = self.partitions(topic)?;
        let about = || format!("partition {partition} of topic {topic}");
        let known = all.iter().find(|described| described.partition_index == partition);
        let Some(known) = known else {
            return Err(Failure::Told {
                code: ErrorCode::InvalidPartitions,
                message: Some("there is no such partition".into()),
                about: about(),
            });
        };
        let none = || Failure::Told { code: ErrorCode::LeaderNotAvailable, message: None, about: about() };
        Some(known.leader_id).filter(|leader| *leader >= 0).ok_or_else(none)
    }

    /// Where a broker is reached.
    pub fn address(&self, broker: i32) -> Result<String, Failure> {
        let unknown = || Failure::Told { code: ErrorCode::BrokerNotAvailable, message: None, about: format!("broker {broker}") };
        self.brokers.get(&broker).cloned().ok_or_else(unknown)
    }

    fn with_link<T>(&mut self, target: Target, mut talk: impl FnMut(&mut Link) -> Result<T, Failure>) -> Result<T, Failure> {
        let mut failure = Failure::Nonsense("no bootstrap address is given".to_owned());
        for address in self.addresses(target)? {
            let outcome = self.link(&address).and_then(&mut talk);
            match outcome {
                // A broken connection says nothing about the next broker; everything else is an answer.
                Err(broken @ Failure::Unreachable { .. }) => {
                    self.links.remove(&address);
                    failure = broken;
                }
                Ok(value) => return Ok(value),
                Err(other) => return Err(other),
            }
        }
        Err(failure)
    }

    fn addresses(&mut self, target: Target) -> Result<Vec<String>, Failure> {
        let id = match target {
            Target::Any => None,
            Target::Controller => {
                if self.controller.is_none() {
                    self.metadata(None)?;
                }
                self.controller
            }
            Target::Broker(id) => Some(id),
        };
        if let Some(id) = id {
            if !self.brokers.contains_key(&id) {
                self.metadata(Some(&[]))?;
            }
            return Ok(vec![self.address(id)?]);
        }
        let connected = self.links.keys().cloned();
        let mut addresses: Vec<String> = connected.chain(self.bootstrap.iter().cloned()).collect();
        addresses.extend(self.brokers.values().cloned());
        let mut seen = std::collections::BTreeSet::new();
        addresses.retain(|address| seen.insert(address.clone()));
        Ok(addresses)
    }

    fn link(&mut self, address: &str) -> Result<&mut Link, Failure> {
        if !self.links.contains_key(address) {
            let link = Link::connect(address, self.patience)?;
            self.links.insert(address.to_owned(), link);
        }
        Ok(self.links.get_mut(address).expect("connected above"))
    }
}
