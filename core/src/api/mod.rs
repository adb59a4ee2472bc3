//! One file per Kafka API: the handler and its tests.

/// A decoded and checked request.
#[derive(Debug)]
pub struct ClientRequest {}
