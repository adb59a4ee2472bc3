//! Rebuilds the replication engine from its disk, as values.
use super::{Replicas, ReplicasConfig};
use crate::broker::RecoveryStep;
use crate::disk::Inventory;
use crate::output::Outputs;
use crate::time::Now;
use bytes::Bytes;

/// Reads the meta log and all segments: poll, read, tell, until done.
#[derive(Debug)]
pub struct ReplicasRecovery {}

impl ReplicasRecovery {
    /// Starts with what is on the disk.
    pub fn new(_config: ReplicasConfig, _inventory: Inventory) -> ReplicasRecovery {
        unimplemented!()
    }
    /// What to do next.
    pub fn poll(&mut self) -> RecoveryStep {
        unimplemented!()
    }
    /// What the last read found.
    pub fn read_done(&mut self, _data: Bytes) {
        unimplemented!()
    }
    /// The engine, after [`RecoveryStep::Done`]. The controller group is born here on an empty disk.
    pub fn finish(self, _now: Now, _out: &mut Outputs) -> Replicas {
        unimplemented!()
    }
}
