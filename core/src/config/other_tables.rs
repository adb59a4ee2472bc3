//! Kafka's settings of groups and of client metrics subscriptions, in the order in which a Kafka broker lists them.
//!
//! Described and kept for the sake of tools; this broker takes no metrics, so those of subscriptions have no effect.
//!
//! Source: DescribeConfigs of Apache Kafka 4.3.1.

use super::setting::Kind::{Boolean, Int, List, Text};
use super::setting::{Setting, rw};

const ISOLATION: &[&str] = &["read_committed", "read_uncommitted"];

/// Settings of a group.
#[rustfmt::skip]
pub static GROUP_SETTINGS: [Setting; 17] = [
    rw("consumer.session.timeout.ms", Int, "45000").at_least(1).synonym("group.consumer.session.timeout.ms"),
    rw("consumer.assignment.interval.ms", Int, "1000").at_least(0).synonym("group.consumer.assignment.interval.ms"),
    rw("share.auto.offset.reset", Text, "latest").synonym("share.auto.offset.reset"),
    rw("share.renew.acknowledge.enable", Boolean, "true").synonym("share.renew.acknowledge.enable"),
    rw("streams.initial.rebalance.delay.ms", Int, "3000").at_least(0).synonym("group.streams.initial.rebalance.delay.ms"),
    rw("share.session.timeout.ms", Int, "45000").at_least(1).synonym("group.share.session.timeout.ms"),
    rw("streams.assignment.interval.ms", Int, "1000").at_least(0).synonym("group.streams.assignment.interval.ms"),
    rw("share.heartbeat.interval.ms", Int, "5000").at_least(1).synonym("group.share.heartbeat.interval.ms"),
    rw("streams.heartbeat.interval.ms", Int, "5000").at_least(1).synonym("group.streams.heartbeat.interval.ms"),
    rw("share.delivery.count.limit", Int, "5").at_least(2).synonym("group.share.delivery.count.limit"),
    rw("consumer.heartbeat.interval.ms", Int, "5000").at_least(1).synonym("group.consumer.heartbeat.interval.ms"),
    rw("share.record.lock.duration.ms", Int, "30000").at_least(1000).synonym("group.share.record.lock.duration.ms"),
    rw("share.assignment.interval.ms", Int, "1000").at_least(0).synonym("group.share.assignment.interval.ms"),
    rw("share.isolation.level", Text, "read_uncommitted").one_of(ISOLATION).synonym("share.isolation.level"),
    rw("streams.session.timeout.ms", Int, "45000").at_least(1).synonym("group.streams.session.timeout.ms"),
    rw("share.partition.max.record.locks", Int, "2000").at_least(100).synonym("group.share.partition.max.record.locks"),
    rw("streams.num.standby.replicas", Int, "0").at_least(0).synonym("group.streams.num.standby.replicas"),
];

/// Settings of a client metrics subscription.
#[rustfmt::skip]
pub static CLIENT_METRICS_SETTINGS: [Setting; 3] = [
    rw("interval.ms", Int, "300000"),
    rw("match", List, ""),
    rw("metrics", List, ""),
];
