//! The one queue into a broker: connections, peers, disk and signals put facts in, the node takes them out.
//!
//! It has no bound of its own; what fills it has: requests by [`crate::limits::CONNECTIONS_MAX`] times the in-flight bounds of a
//! connection, peer frames by [`crate::limits::PEER_UNREAD_BYTES_MAX`], disk completions by the operations the core issued.

use futures_channel::mpsc;
use ottla_core::input::Input;

/// Puts facts in; cheap to clone, usable from any thread.
#[derive(Clone, Debug)]
pub struct Inbox(mpsc::UnboundedSender<Input>);

/// Takes them out; the node owns it.
#[derive(Debug)]
pub struct InboxReceiver(pub(crate) mpsc::UnboundedReceiver<Input>);

impl Inbox {
    /// A new queue.
    #[must_use]
    pub fn new() -> (Inbox, InboxReceiver) {
        let (sender, receiver) = mpsc::unbounded();
        (Inbox(sender), InboxReceiver(receiver))
    }
    /// Adds a fact. A node that has ended takes no more: the fact is dropped, nobody is left who could use it.
    pub fn send(&self, input: Input) {
        let _ = self.0.unbounded_send(input);
    }
}

impl InboxReceiver {
    /// The next fact; `None` when nobody is left who could send one. The node takes facts itself; this is for tests of what fills the
    /// inbox.
    pub async fn next(&mut self) -> Option<Input> {
        self.0.recv().await.ok()
    }
}
