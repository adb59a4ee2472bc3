//! What a story needs of a world: brokers by number, encoded frames to and from them, and a hand on the switch.

use bytes::Bytes;

/// What came back on a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Received {
    /// A response, without the size field.
    Frame(Bytes),
    /// The broker closed the connection, or is gone.
    Closed,
    /// Nothing within the time given.
    Nothing,
}

/// A world without random faults, in which time passes only when it is told to. Brokers have the numbers 1 to n.
pub trait Stage {
    /// Sends a request on a connection of its own; the number names it in [`Stage::receive`].
    fn send(&mut self, broker: i32, frame: Vec<Bytes>) -> u64;
    /// Lets the world run until the response of a request is there, at most `ms` milliseconds.
    fn receive(&mut self, request: u64, ms: u64) -> Received;
    /// Lets the world run.
    fn run_ms(&mut self, ms: u64);
    /// Milliseconds since 1970 on the wall clock of the world.
    fn wall_ms(&self) -> i64;
    /// `kill -9`: memory is lost, what was written to files is not.
    fn kill(&mut self, broker: i32);
    /// The machine loses power: what was not fsynced is lost or torn.
    fn power_cut(&mut self, broker: i32);
    /// Starts a broker again on what its disk has.
    fn restart(&mut self, broker: i32);
    /// Cuts all links between this broker and the others; clients still reach it.
    fn isolate(&mut self, broker: i32);
    /// Mends all links.
    fn heal(&mut self);
}

/// A cluster of `brokers` brokers with these settings.
#[must_use]
pub fn calm_world(brokers: i32, seed: u64, settings: &[(String, String)]) -> Box<dyn Stage> {
    panic!("no world for {brokers} brokers, seed {seed}, {settings:?}")
}
