//! Whose settings can be changed at run time, apart from topics.
//!
//! Bytes: kind u8, then for 1 a broker's id i32, for 2 nothing, for 3 and 4 a name (text).

use super::bytes_io::{ByteReader, ByteWriter};
use crate::config::ConfigKind;
use crate::ids::BrokerId;

/// A resource that has settings of its own and no other state here.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ConfigResource {
    /// One broker.
    Broker(BrokerId),
    /// All brokers.
    AllBrokers,
    /// A client metrics subscription.
    ClientMetrics(String),
    /// A group, whether or not it exists.
    Group(String),
}

impl ConfigResource {
    /// Which rules its settings follow.
    #[must_use]
    pub fn kind(&self) -> ConfigKind {
        match self {
            ConfigResource::Broker(_) => ConfigKind::Broker,
            ConfigResource::AllBrokers => ConfigKind::AllBrokers,
            ConfigResource::ClientMetrics(_) => ConfigKind::ClientMetrics,
            ConfigResource::Group(_) => ConfigKind::Group,
        }
    }

    pub(super) fn write(&self, out: &mut ByteWriter) {
        match self {
            ConfigResource::Broker(id) => {
                out.u8(1);
                out.i32(id.0);
            }
            ConfigResource::AllBrokers => out.u8(2),
            ConfigResource::ClientMetrics(name) => {
                out.u8(3);
                out.text(name);
            }
            ConfigResource::Group(name) => {
                out.u8(4);
                out.text(name);
            }
        }
    }

    pub(super) fn read(input: &mut ByteReader<'_>) -> Option<ConfigResource> {
        match input.u8()? {
            1 => Some(ConfigResource::Broker(BrokerId(input.i32()?))),
            2 => Some(ConfigResource::AllBrokers),
            3 => Some(ConfigResource::ClientMetrics(input.text()?)),
            4 => Some(ConfigResource::Group(input.text()?)),
            _ => None,
        }
    }
}
