//! [`Address`] and [`Listener`]: where a broker is reached.

use std::fmt;

/// A host and a port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// Name or IP address; empty in `listeners` means all interfaces.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// An address with the name of what listens there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// Its name, in capitals.
    pub name: String,
    /// Its address.
    pub address: Address,
}

impl Address {
    /// Reads `host:port`; an IPv6 address stands in brackets.
    ///
    /// # Errors
    /// What is wrong, without a full stop.
    pub fn parse(text: &str) -> Result<Address, String> {
        let (host, port) = text.rsplit_once(':').ok_or_else(|| format!("{text:?} is no host:port"))?;
        let port = port.parse().map_err(|_| format!("{port:?} in {text:?} is no port"))?;
        Ok(Address { host: host.trim_start_matches('[').trim_end_matches(']').to_string(), port })
    }

    /// For binding.
    #[must_use]
    pub fn to_bind(&self) -> String {
        let host = if self.host.is_empty() { "0.0.0.0" } else { &self.host };
        Address { host: host.to_string(), port: self.port }.to_string()
    }

    /// Clients can't connect to "all interfaces": Kafka tells them the machine's name then.
    #[must_use]
    pub fn with_host(self) -> Address {
        if !self.host.is_empty() && self.host != "0.0.0.0" && self.host != "::" {
            return self;
        }
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let name = name.trim();
        Address { host: if name.is_empty() { "localhost" } else { name }.to_string(), port: self.port }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Listener {
    /// Reads `NAME://host:port`, several with commas between them.
    ///
    /// # Errors
    /// What is wrong with the first wrong one, in a sentence.
    pub fn parse_all(text: &str) -> Result<Vec<Listener>, String> {
        let mut listeners = Vec::new();
        for listener in text.split(',').map(str::trim).filter(|listener| !listener.is_empty()) {
            let (name, address) =
                listener.split_once("://").ok_or_else(|| format!("{listener:?} is not of the form NAME://host:port."))?;
            let address = Address::parse(address).map_err(|reason| format!("{reason}."))?;
            listeners.push(Listener { name: name.to_ascii_uppercase(), address });
        }
        Ok(listeners)
    }
}
