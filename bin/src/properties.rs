//! A broker's configuration from a file in Kafka's `.properties` format.
//!
//! Knows which settings the shell needs (who, where, with whom); all others go to the core as they are, which validates them.
//!
//! Source: Kafka's `KafkaConfig` for names and defaults. Differences: one data folder (`log.dirs` with several is refused), PLAINTEXT only,
//! every broker is a controller voter, and `cluster.id` may be set (otherwise it follows from the voters).

use ottla_core::ids::BrokerId;
use ottla_core::random::keyed;
use std::path::PathBuf;

/// Kafka's name for the listener of controllers unless set.
const CONTROLLER: &str = "CONTROLLER";

/// Settings that Kafka knows and that say nothing here, because there is only one way: accepted in silence.
const WITHOUT_EFFECT: [&str; 3] = ["process.roles", "inter.broker.listener.name", "listener.security.protocol.map"];

/// A host and a port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// Name or IP address; empty in `listeners` means all interfaces.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// What `ottla serve` is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Properties {
    /// `node.id`, or `broker.id`.
    pub broker: BrokerId,
    /// The client listener of `listeners`.
    pub clients: Address,
    /// The listener of `listeners` for other brokers; a broker alone needs none.
    pub peers: Option<Address>,
    /// What clients are told: `advertised.listeners`.
    pub advertised: Address,
    /// `controller.quorum.voters`, ascending; this broker alone if not set.
    pub voters: Vec<(BrokerId, Option<Address>)>,
    /// `log.dirs`, or `log.dir`.
    pub data: PathBuf,
    /// `cluster.id`.
    pub cluster_id: Option<String>,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// Everything else, for the core.
    pub settings: Vec<(String, String)>,
}

impl Address {
    fn parse(text: &str) -> Result<Address, String> {
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
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Properties {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// A plain sentence that names the setting.
    pub fn parse(text: &str) -> Result<Properties, String> {
        let mut given = Given(parse_pairs(text));
        let broker = given.broker_id()?;
        let controller_names = given.take("controller.listener.names").unwrap_or_else(|| CONTROLLER.to_string());
        let is_controller = |name: &str| controller_names.split(',').any(|known| known.trim().eq_ignore_ascii_case(name));
        let listeners = given.take("listeners").unwrap_or_else(|| "PLAINTEXT://:9092".to_string());
        let (mut clients, mut peers) = (None, None);
        for (name, address) in parse_listeners("listeners", &listeners)? {
            let slot = if is_controller(&name) { &mut peers } else { &mut clients };
            if slot.replace(address).is_some() {
                return Err(format!(
                    "listeners names more than one listener like {name}; this version serves one for clients and one for controllers."
                ));
            }
        }
        let clients = clients.ok_or("listeners names no listener for clients, such as PLAINTEXT://localhost:9092.")?;
        let advertised = match given.take("advertised.listeners") {
            Some(text) => {
                let mut all = parse_listeners("advertised.listeners", &text)?;
                all.retain(|(name, _)| !is_controller(name));
                all.pop().map(|(_, address)| address).ok_or("advertised.listeners names no listener for clients.")?
            }
            None => clients.clone(),
        };
        let voters = given.take("controller.quorum.voters").map_or(Ok(Vec::new()), |text| parse_voters(&text))?;
        let voters = own_voters(broker, voters, peers.as_ref())?;
        let data = given.take("log.dirs").or_else(|| given.take("log.dir"));
        given.0.retain(|(name, _)| name != "log.dir" && !WITHOUT_EFFECT.contains(&name.as_str()));
        let data = data.ok_or("log.dirs is missing: set it to the folder for this broker's data.")?;
        if data.contains(',') {
            return Err(format!("log.dirs={data} names more than one folder; this version uses one."));
        }
        Ok(Properties {
            broker,
            clients,
            peers,
            advertised: with_host(advertised),
            voters,
            data: PathBuf::from(data),
            cluster_id: given.take("cluster.id").filter(|id| !id.is_empty()),
            rack: given.take("broker.rack").filter(|rack| !rack.is_empty()),
            settings: given.0,
        })
    }

    /// The settings the core checks, acts upon and describes to clients: everything else, and what the shell uses itself.
    #[must_use]
    pub fn for_core(&self) -> Vec<(String, String)> {
        let mut listeners = vec![format!("PLAINTEXT://{}", self.clients)];
        listeners.extend(self.peers.iter().map(|peers| format!("{CONTROLLER}://{peers}")));
        let voters: Vec<String> = self.voters.iter().filter_map(|(id, at)| Some(format!("{}@{}", id.0, at.as_ref()?))).collect();
        let own = [
            ("listeners", listeners.join(",")),
            ("controller.quorum.voters", voters.join(",")),
            ("log.dirs", self.data.display().to_string()),
            ("broker.rack", self.rack.clone().unwrap_or_default()),
        ];
        let own = own.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name.to_string(), value));
        self.settings.iter().cloned().chain(own).collect()
    }

    /// The cluster id that a fresh data folder gets when none is set: the same on all brokers, because it follows from the voters.
    /// `entropy` makes the id of a broker alone.
    #[must_use]
    pub fn fresh_cluster_id(&self, entropy: u64) -> String {
        let voters: Vec<String> =
            self.voters.iter().filter_map(|(id, address)| Some(format!("{}@{}", id.0, address.as_ref()?))).collect();
        let key: Vec<u64> = voters.join(",").bytes().map(u64::from).collect();
        let seed = if voters.is_empty() { entropy } else { 0 };
        id_text([keyed(seed, &key), keyed(seed ^ 1, &key)])
    }
}

/// 128 bits as Kafka shows them: 22 characters of base64url, never starting with a dash (which a shell would take for an option).
#[must_use]
pub fn id_text(bits: [u64; 2]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let value = (u128::from(bits[0]) << 64 | u128::from(bits[1])) & (u128::MAX >> 1);
    let sextet = |shift: u32| usize::try_from((value >> shift) & 63).expect("six bits");
    // 126 bits in 21 characters, the last two bits in the 22nd, followed by four zero bits as base64 has it.
    let mut text: String = (0..21).map(|place| char::from(ALPHABET[sextet(122 - 6 * place)])).collect();
    text.push(char::from(ALPHABET[usize::try_from((value & 3) << 4).expect("six bits")]));
    text
}

/// Settings not looked at yet.
struct Given(Vec<(String, String)>);

impl Given {
    fn take(&mut self, name: &str) -> Option<String> {
        let position = self.0.iter().position(|(key, _)| key == name)?;
        Some(self.0.remove(position).1)
    }

    fn broker_id(&mut self) -> Result<BrokerId, String> {
        let (node, broker) = (self.take("node.id"), self.take("broker.id"));
        let text = match (node, broker) {
            (Some(node), Some(broker)) if node != broker => {
                return Err(format!("node.id={node} and broker.id={broker} contradict each other; set node.id alone."));
            }
            (Some(id), _) | (None, Some(id)) => id,
            (None, None) => return Err("node.id is missing: set it to this broker's number, 0 or more.".to_string()),
        };
        let id = text.parse().ok().filter(|id: &i32| *id >= 0 && *id < i32::MAX);
        id.map(BrokerId).ok_or_else(|| format!("node.id={text} is no number of 0 or more."))
    }
}

fn parse_listeners(setting: &str, text: &str) -> Result<Vec<(String, Address)>, String> {
    let mut listeners = Vec::new();
    for listener in text.split(',').map(str::trim).filter(|listener| !listener.is_empty()) {
        let (name, address) =
            listener.split_once("://").ok_or_else(|| format!("{setting}: {listener:?} is not of the form NAME://host:port."))?;
        if ["SSL", "SASL_PLAINTEXT", "SASL_SSL"].contains(&name.to_ascii_uppercase().as_str()) {
            return Err(format!("{setting}: {name} is not available in this version, which serves PLAINTEXT only."));
        }
        let address = Address::parse(address).map_err(|reason| format!("{setting}: {reason}."))?;
        listeners.push((name.to_ascii_uppercase(), address));
    }
    Ok(listeners)
}

fn parse_voters(text: &str) -> Result<Vec<(BrokerId, Option<Address>)>, String> {
    let mut voters = Vec::new();
    for voter in text.split(',').map(str::trim).filter(|voter| !voter.is_empty()) {
        let wrong = || format!("controller.quorum.voters: {voter:?} is not of the form id@host:port.");
        let (id, address) = voter.split_once('@').ok_or_else(wrong)?;
        let id = id.parse().ok().filter(|id: &i32| *id >= 0 && *id < i32::MAX).ok_or_else(wrong)?;
        voters.push((BrokerId(id), Some(Address::parse(address).map_err(|_| wrong())?)));
    }
    voters.sort_by_key(|(id, _)| *id);
    if let Some(pair) = voters.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(format!("controller.quorum.voters names broker {} twice.", pair[0].0.0));
    }
    Ok(voters)
}

fn own_voters(
    broker: BrokerId,
    voters: Vec<(BrokerId, Option<Address>)>,
    peers: Option<&Address>,
) -> Result<Vec<(BrokerId, Option<Address>)>, String> {
    if voters.is_empty() {
        return Ok(vec![(broker, None)]);
    }
    if !voters.iter().any(|(id, _)| *id == broker) {
        return Err(format!(
            "controller.quorum.voters does not name this broker, {}; in this version every broker is a voter.",
            broker.0
        ));
    }
    if voters.len() > 1 && peers.is_none() {
        return Err("listeners names no listener for the other brokers, such as CONTROLLER://localhost:9093.".to_string());
    }
    Ok(voters)
}

/// Clients can't connect to "all interfaces": Kafka tells them the machine's name then.
fn with_host(address: Address) -> Address {
    if !address.host.is_empty() && address.host != "0.0.0.0" && address.host != "::" {
        return address;
    }
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    Address { host: if name.is_empty() { "localhost" } else { name }.to_string(), port: address.port }
}

/// Names and values of a `.properties` text, in order; of a name that is set twice the last one counts.
#[must_use]
pub fn parse_pairs(text: &str) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut line = line.trim_start().to_string();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        // An odd number of backslashes at the end: the next line goes on with it.
        while line.chars().rev().take_while(|c| *c == '\\').count() % 2 == 1 {
            line.pop();
            let Some(next) = lines.next() else { break };
            line.push_str(next.trim_start());
        }
        let (name, value) = split_pair(&line);
        pairs.retain(|(known, _)| *known != name);
        pairs.push((name, value));
    }
    pairs
}

fn split_pair(line: &str) -> (String, String) {
    let mut escaped = false;
    let end = line.find(|c: char| {
        let ends = !escaped && (c == '=' || c == ':' || c.is_whitespace());
        escaped = c == '\\' && !escaped;
        ends
    });
    let (name, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start();
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim();
    (unescape(name), unescape(value))
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => plain.push('\n'),
            Some('t') => plain.push('\t'),
            Some('r') => plain.push('\r'),
            Some('u') => {
                let code = u32::from_str_radix(&chars.by_ref().take(4).collect::<String>(), 16).ok();
                plain.push(code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(other) => plain.push(other),
            None => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: &str = "
# a broker of three
node.id=1
listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9192
controller.quorum.voters=2@b:2,1@a:1,3@c:3
log.dirs=/data/one
num.partitions : 4
message.max.bytes 2000
";

    fn parse(text: &str) -> Properties {
        Properties::parse(text).expect("well-formed")
    }

    #[test]
    fn kafka_names_are_understood_and_the_rest_goes_to_the_core() {
        let properties = parse(THREE);
        assert_eq!(properties.broker, BrokerId(1));
        assert_eq!(properties.clients.to_string(), "127.0.0.1:9092");
        assert_eq!(properties.advertised, properties.clients);
        assert_eq!(properties.peers.map(|peers| peers.port), Some(9192));
        assert_eq!(properties.voters.iter().map(|(id, _)| id.0).collect::<Vec<_>>(), [1, 2, 3]);
        let rest =
            [("num.partitions", "4"), ("message.max.bytes", "2000")].map(|(name, value)| (name.to_string(), value.to_string()));
        assert_eq!(properties.settings, rest);
    }

    #[test]
    fn what_the_shell_uses_is_described_too() {
        let settings = ottla_core::config::BrokerSettings::parse(&parse(THREE).for_core()).expect("legal");
        let value = |name: &str| settings.text(name).unwrap_or_default();
        assert_eq!(value("listeners"), "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9192");
        assert_eq!(value("controller.quorum.voters"), "1@a:1,2@b:2,3@c:3");
        assert_eq!((value("log.dirs"), value("num.partitions")), ("/data/one".to_string(), "4".to_string()));
    }

    #[test]
    fn a_broker_alone_needs_its_number_and_a_folder() {
        let properties = parse("broker.id=0\nlog.dir=/data");
        assert_eq!((properties.broker, properties.clients.port, properties.peers), (BrokerId(0), 9092, None));
        assert_eq!(properties.voters, [(BrokerId(0), None)]);
        assert!(!properties.advertised.host.is_empty());
    }

    #[test]
    fn the_cluster_id_follows_from_the_voters_in_any_order() {
        let one = parse(THREE).fresh_cluster_id(1);
        let other = parse(&THREE.replace("2@b:2,1@a:1,3@c:3", "3@c:3,1@a:1,2@b:2")).fresh_cluster_id(2);
        assert_eq!(one, other);
        assert_eq!(one.len(), 22);
        assert_ne!(one, parse(&THREE.replace("@c:3", "@c:4")).fresh_cluster_id(1));
        assert_ne!(parse("node.id=1\nlog.dirs=x").fresh_cluster_id(1), parse("node.id=1\nlog.dirs=x").fresh_cluster_id(2));
    }

    #[test]
    fn ids_look_like_kafkas() {
        assert_eq!(id_text([0, 0]), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(id_text([u64::MAX, u64::MAX]), format!("f{}w", "_".repeat(20)));
    }

    #[test]
    fn mistakes_are_named_in_a_sentence() {
        for (text, part) in [
            ("log.dirs=x", "node.id is missing"),
            ("node.id=-1\nlog.dirs=x", "node.id=-1 is no number"),
            ("node.id=1", "log.dirs is missing"),
            ("node.id=1\nlog.dirs=a,b", "names more than one folder"),
            ("node.id=1\nlog.dirs=a\nlisteners=SSL://h:1", "serves PLAINTEXT only"),
            ("node.id=1\nlog.dirs=a\nlisteners=PLAINTEXT://h", "is no host:port"),
            ("node.id=1\nlog.dirs=a\ncontroller.quorum.voters=2@h:1", "does not name this broker"),
            ("node.id=1\nlog.dirs=a\ncontroller.quorum.voters=1@h:1,2@h:2", "no listener for the other brokers"),
            ("node.id=1\nlog.dirs=a\ncontroller.quorum.voters=1@h:1,1@h:2", "names broker 1 twice"),
        ] {
            let refused = Properties::parse(text).expect_err(text);
            assert!(refused.contains(part), "{text:?}: {refused}");
        }
    }

    #[test]
    fn the_format_is_javas() {
        let text = "! comment\n a = b \\\n   c\n\n d:e=f\ng\nkey\\=1=\\u0041\\n\na=last";
        let pairs = [("d", "e=f"), ("g", ""), ("key=1", "A\n"), ("a", "last")];
        assert_eq!(parse_pairs(text), pairs.map(|(name, value)| (name.to_string(), value.to_string())));
    }
}
