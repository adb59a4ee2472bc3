//! The one queue into a broker: connections, peers, disk and signals put facts in, the node takes them out.
//!
//! It has no bound of its own; what fills it has: requests by [`crate::limits::CONNECTIONS_MAX`] times the in-flight bounds of a
//! connection, peer frames by [`crate::limits::PEER_UNREAD_BYTES_MAX`], disk completions by the operations the core issued, looks by
//! those who look, each of whom waits for what it sees.

use crate::metrics::NodeMetrics;
use futures_channel::{mpsc, oneshot};
use ottla_core::input::Input;

/// What the queue carries.
#[derive(Debug)]
pub(crate) enum Fact {
    /// For the core.
    Input(Input),
    /// Somebody wants to see the node.
    Look(oneshot::Sender<NodeMetrics>),
}

/// Puts facts in; cheap to clone, usable from any thread.
#[derive(Clone, Debug)]
pub struct Inbox(mpsc::UnboundedSender<Fact>);

/// Looks at a running node, from any thread.
#[derive(Clone, Debug)]
pub struct Lookout(mpsc::UnboundedSender<Fact>);

/// Takes facts out; the node owns it.
#[derive(Debug)]
pub struct InboxReceiver(pub(crate) mpsc::UnboundedReceiver<Fact>);

impl Inbox {
    /// A new queue.
    #[must_use]
    pub fn new() -> (Inbox, InboxReceiver) {
        let (sender, receiver) = mpsc::unbounded();
        (Inbox(sender), InboxReceiver(receiver))
    }
    /// Adds a fact. A node that has ended takes no more: the fact is dropped, nobody is left who could use it.
    pub fn send(&self, input: Input) {
        let _ = self.0.unbounded_send(Fact::Input(input));
    }
    /// A place to look at the node from.
    #[must_use]
    pub fn lookout(&self) -> Lookout {
        Lookout(self.0.clone())
    }
}

impl Lookout {
    /// The node after its next round; `None` when it has ended. A node that hangs is waited for: callers bound it.
    pub async fn look(&self) -> Option<NodeMetrics> {
        let (sender, seen) = oneshot::channel();
        self.0.unbounded_send(Fact::Look(sender)).ok()?;
        seen.await.ok()
    }
}

impl InboxReceiver {
    /// The next fact for the core; `None` when nobody is left who could send one. The node takes facts itself; this is for tests of what
    /// fills the inbox.
    pub async fn next(&mut self) -> Option<Input> {
        loop {
            if let Fact::Input(input) = self.0.recv().await.ok()? {
                return Some(input);
            }
        }
    }
}
