//! Partitions: what Kafka clients see of a group: produce with its waiters, fetch, who leads.

mod leader_table;
pub use leader_table::{LeaderTable, Leadership, SPREAD_MS, Tell};
