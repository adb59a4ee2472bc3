//! The simulated disk behind `ottla_net::Disk`: operations wait for their times in one task, completions enter the inbox.

use super::world::SharedWorld;
use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use ottla_core::disk::DiskOp;
use ottla_core::ids::DiskId;
use ottla_core::input::Input;
use ottla_net::Inbox;
use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

/// Takes operations in.
pub(crate) struct MadDisk {
    world: SharedWorld,
    node: usize,
    life: u64,
    events: UnboundedSender<(u64, DiskId, bool)>,
}

impl MadDisk {
    /// Starts the task that completes operations; it ends with its node.
    pub(crate) fn start(world: SharedWorld, node: usize, life: u64, inbox: Inbox) -> MadDisk {
        let (events, incoming) = unbounded();
        drop(madsim::task::spawn_local(complete(world.clone(), node, life, inbox, incoming)));
        MadDisk { world, node, life, events }
    }
}

impl ottla_net::Disk for MadDisk {
    fn submit(&mut self, operations: Vec<DiskOp>) {
        for operation in operations {
            for event in self.world.submit(self.node, self.life, operation) {
                // The task ends only with the node, and then nobody waits for this.
                drop(self.events.unbounded_send((event.at, event.id, event.is_written)));
            }
        }
    }
}

async fn complete(
    world: SharedWorld,
    node: usize,
    life: u64,
    inbox: Inbox,
    mut incoming: UnboundedReceiver<(u64, DiskId, bool)>,
) {
    let mut due: BTreeMap<(u64, u64), (DiskId, bool)> = BTreeMap::new();
    let mut number = 0;
    loop {
        let now = world.now_us();
        while let Some(entry) = due.first_entry().filter(|entry| entry.key().0 <= now) {
            let (id, is_written) = entry.remove();
            if let Some(done) = world.advance(node, life, id, is_written) {
                inbox.send(Input::Disk(done));
            }
        }
        let next = match due.keys().next() {
            None => incoming.next().await,
            Some((at, _)) => {
                let sleep = madsim::time::sleep(Duration::from_micros(at.saturating_sub(now)));
                match select(incoming.next(), pin!(sleep)).await {
                    Either::Left((event, _)) => event,
                    Either::Right(((), _)) => continue,
                }
            }
        };
        let Some((at, id, is_written)) = next else { return };
        number += 1;
        due.insert((at, number), (id, is_written));
    }
}
