//! Partitions: what Kafka clients see of a group: produce with its waiters, fetch, who leads.

mod acks;
mod leader_table;
#[expect(clippy::module_inception, reason = "one main type per file, and this is the folder's")]
mod partition;
mod producers;
mod traffic;

pub use acks::{AckQueue, Appended, Waiter};
pub use leader_table::{LeaderTable, Leadership, SPREAD_MS, Tell};
pub use partition::{Acks, Partition, PendingBatch};
pub use producers::{Producers, Verdict};
pub use traffic::Traffic;
