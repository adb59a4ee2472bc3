//! [`NodeConfiguration`]: what the shell itself acts upon: who this broker is, where it listens, with whom, and where its data is.
//!
//! All other settings go to the core as they are.
//!
//! Source: Kafka's `KafkaConfig` for names and defaults. Differences: one data folder (`log.dirs` with several is refused), PLAINTEXT only,
//! every broker is a controller voter, and `cluster.id` may be set (otherwise it follows from the voters).

use super::address::{Address, Listener};
use super::layers::Counting;
use super::log_settings::LogSettings;
use super::own::{CLUSTER_ID, DISK_RESERVE, METRICS_LISTENER, own_setting};
use super::{Finding, id_text};
use ottla_core::config::broker_setting;
use ottla_core::ids::BrokerId;
use ottla_core::limits::LISTENERS_MAX;
use ottla_core::random::keyed;
use std::path::PathBuf;

/// Kafka's name for the listener of controllers unless set.
const CONTROLLER: &str = "CONTROLLER";

/// The only protocol there is.
const PLAINTEXT: &str = "PLAINTEXT";

/// Settings the core does not get as they were given: the shell acts upon them, or there is only one way.
const OWN: [&str; 15] = [
    "node.id",
    "broker.id",
    "listeners",
    "advertised.listeners",
    "controller.listener.names",
    "controller.quorum.voters",
    "log.dirs",
    "log.dir",
    "broker.rack",
    "process.roles",
    "listener.security.protocol.map",
    "inter.broker.listener.name",
    CLUSTER_ID,
    METRICS_LISTENER,
    DISK_RESERVE,
];

/// Where metrics and health are served.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MetricsPlace {
    /// Nowhere.
    Off,
    /// There, as the operator said: it must work.
    At(Address),
    /// There, as nobody said otherwise: a second broker of the same machine does without.
    ByDefault(Address),
}

/// A listener for clients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientListener {
    /// Its name, in capitals.
    pub name: String,
    /// Where the broker listens.
    pub address: Address,
    /// What clients who came by it are told to connect to.
    pub advertised: Address,
}

/// What `ottla serve` is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeConfiguration {
    /// `node.id`, or `broker.id`.
    pub broker: BrokerId,
    /// The listeners of `listeners` for clients, with what clients are told: `advertised.listeners`. At least one.
    pub clients: Vec<ClientListener>,
    /// The listener of `listeners` for other brokers; a broker alone needs none.
    pub peers: Option<Address>,
    /// `controller.quorum.voters`, ascending; this broker alone if not set.
    pub voters: Vec<(BrokerId, Option<Address>)>,
    /// `log.dirs`, or `log.dir`.
    pub data: PathBuf,
    /// `cluster.id`.
    pub cluster_id: Option<String>,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// `ottla.metrics.listener`.
    pub metrics: MetricsPlace,
    /// `ottla.disk.reserve.bytes`.
    pub disk_reserve: u64,
    /// Everything else, for the core.
    pub settings: Vec<(String, String)>,
}

impl NodeConfiguration {
    /// Whether it reads this setting itself.
    #[must_use]
    pub fn reads(name: &str) -> bool {
        OWN.contains(&name)
    }

    /// Reads what counts; what is wrong is added to the faults, each setting's first. `None` if anything is.
    #[must_use]
    pub fn read(counting: &Counting<'_>, faults: &mut Vec<Finding>) -> Option<NodeConfiguration> {
        let mut reader = Reader { counting, faults };
        let broker = reader.broker_id();
        reader.roles();
        reader.security();
        let listeners = reader.listeners();
        let advertised = listeners.as_ref().and_then(|(clients, _)| reader.advertised(clients));
        reader.inter_broker(listeners.as_ref().map(|(clients, _)| clients.as_slice()));
        let voters = reader.voters(broker, listeners.as_ref().map(|(_, peers)| peers.as_ref()));
        let data = reader.data();
        let (cluster_id, rack) = (reader.filled(CLUSTER_ID), reader.filled("broker.rack"));
        let metrics = reader.metrics();
        let disk_reserve = reader.disk_reserve();
        for (name, sentence) in LogSettings::read(counting).1 {
            reader.note(name, sentence);
        }
        let others = counting.values().filter(|entry| broker_setting(&entry.name).is_some() && !Self::reads(&entry.name));
        let (_, peers) = listeners?;
        Some(NodeConfiguration {
            broker: broker?,
            clients: advertised?,
            peers,
            voters: voters?,
            data: data?,
            cluster_id: cluster_id.map(str::to_string),
            rack: rack.map(str::to_string),
            metrics: metrics?,
            disk_reserve: disk_reserve?,
            settings: others.map(|entry| (entry.name.clone(), entry.value.clone())).collect(),
        })
    }

    /// The settings the core checks, acts upon and describes to clients: everything else, and what the shell uses itself.
    #[must_use]
    pub fn for_core(&self) -> Vec<(String, String)> {
        let mut listeners: Vec<String> = self.clients.iter().map(|at| format!("{}://{}", at.name, at.address)).collect();
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

/// Reads the settings one after the other and notes what is wrong with them.
struct Reader<'a> {
    counting: &'a Counting<'a>,
    faults: &'a mut Vec<Finding>,
}

impl<'a> Reader<'a> {
    fn text(&self, name: &str) -> Option<&'a str> {
        self.counting.get(name).map(|entry| entry.value.trim())
    }

    /// The same where nothing at all stands for "not set".
    fn filled(&self, name: &str) -> Option<&'a str> {
        self.text(name).filter(|text| !text.is_empty())
    }

    /// Notes a fault of this setting.
    fn note(&mut self, name: &str, sentence: impl Into<String>) {
        self.faults
            .push(Finding { origin: self.counting.get(name).map(|entry| entry.origin.clone()), sentence: sentence.into() });
    }

    /// The same for one without which there is no value.
    fn fault<T>(&mut self, name: &str, sentence: impl Into<String>) -> Option<T> {
        self.note(name, sentence);
        None
    }

    fn broker_id(&mut self) -> Option<BrokerId> {
        // -1 is Kafka's default of the older name, and images write it.
        let (node, broker) = (self.text("node.id"), self.text("broker.id").filter(|id| *id != "-1"));
        let (name, text) = match (node, broker) {
            (Some(node), Some(broker)) if node != broker => {
                return self.fault(
                    "node.id",
                    format!("node.id={node} and broker.id={broker} contradict each other; set node.id alone."),
                );
            }
            (Some(id), _) => ("node.id", id),
            (None, Some(id)) => ("broker.id", id),
            (None, None) => return self.fault("node.id", "node.id is missing: set it to this broker's number, 0 or more."),
        };
        match parse_id(text) {
            Some(id) => Some(id),
            None => self.fault(name, format!("{name}={text} is no number of 0 or more.")),
        }
    }

    fn roles(&mut self) {
        let Some(roles) = self.filled("process.roles") else { return };
        let roles: Vec<&str> = roles.split(',').map(str::trim).collect();
        if let Some(unknown) = roles.iter().find(|role| !["broker", "controller"].contains(role)) {
            self.note("process.roles", format!("process.roles: there is no role {unknown:?}."));
        } else if !roles.contains(&"broker") {
            let sentence =
                "process.roles names no broker: in this version every node is a broker and a controller; set broker,controller.";
            self.note("process.roles", sentence);
        }
    }

    /// Who asks for protection must not believe that there is some.
    fn security(&mut self) {
        const AUTHORIZER: &str = "authorizer.class.name";
        if let Some(class) = self.filled(AUTHORIZER) {
            let sentence = format!(
                "{AUTHORIZER}={class}: there is no authorization in this version, every client may do everything; remove the setting if \
                 that is acceptable."
            );
            self.note(AUTHORIZER, sentence);
        }
        const BETWEEN_BROKERS: &str = "security.inter.broker.protocol";
        if let Some(protocol) = self.filled(BETWEEN_BROKERS).filter(|protocol| !protocol.eq_ignore_ascii_case(PLAINTEXT)) {
            let sentence = format!(
                "{BETWEEN_BROKERS}={protocol} is not available in this version, whose brokers speak PLAINTEXT to each other."
            );
            self.note(BETWEEN_BROKERS, sentence);
        }
    }

    fn is_controller(&self, name: &str) -> bool {
        let names = self.filled("controller.listener.names").unwrap_or(CONTROLLER);
        names.split(',').any(|known| known.trim().eq_ignore_ascii_case(name))
    }

    /// What a listener speaks: the map says, otherwise its name does if it is that of a protocol.
    fn protocol(&self, listener: &str) -> String {
        let map = self.text("listener.security.protocol.map").unwrap_or_default();
        let mut pairs =
            map.split(',').filter_map(|pair| pair.split_once(':')).map(|(name, protocol)| (name.trim(), protocol.trim()));
        let by_name = if ["SSL", "SASL_PLAINTEXT", "SASL_SSL"].contains(&listener) { listener } else { PLAINTEXT };
        let mapped = pairs.find(|(name, _)| name.eq_ignore_ascii_case(listener)).map_or(by_name, |(_, protocol)| protocol);
        mapped.to_ascii_uppercase()
    }

    /// The listeners for clients, and the address for brokers.
    fn listeners(&mut self) -> Option<(Vec<Listener>, Option<Address>)> {
        const NAME: &str = "listeners";
        let all = match Listener::parse_all(self.text(NAME).unwrap_or("PLAINTEXT://:9092")) {
            Ok(all) => all,
            Err(reason) => return self.fault(NAME, format!("{NAME}: {reason}")),
        };
        let (mut clients, mut peers): (Vec<Listener>, Option<Listener>) = (Vec::new(), None);
        for listener in all {
            let name = listener.name.clone();
            let protocol = self.protocol(&name);
            if protocol != PLAINTEXT {
                let which = if protocol == name { name } else { format!("{protocol} of the listener {name}") };
                return self
                    .fault(NAME, format!("{NAME}: {which} is not available in this version, which serves PLAINTEXT only."));
            }
            let known = || clients.iter().chain(&peers);
            if known().any(|other| other.name == name) {
                return self.fault(NAME, format!("{NAME} names {name} twice; each listener has a name of its own."));
            }
            if let Some(other) = known().find(|other| other.address == listener.address && listener.address.port != 0) {
                return self
                    .fault(NAME, format!("{NAME}: {} and {name} have the same address; each needs its own port.", other.name));
            }
            if !self.is_controller(&name) {
                clients.push(listener);
            } else if let Some(other) = peers.replace(listener) {
                let sentence =
                    format!("{NAME} names both {} and {name}; this version serves one listener for controllers.", other.name);
                return self.fault(NAME, sentence);
            }
        }
        if clients.is_empty() {
            return self.fault(NAME, format!("{NAME} names no listener for clients, such as PLAINTEXT://localhost:9092."));
        }
        if clients.len() > LISTENERS_MAX {
            return self.fault(NAME, format!("{NAME} names {} listeners for clients, at most {LISTENERS_MAX}.", clients.len()));
        }
        Some((clients, peers.map(|peers| peers.address)))
    }

    fn advertised(&mut self, clients: &[Listener]) -> Option<Vec<ClientListener>> {
        const NAME: &str = "advertised.listeners";
        let told = match Listener::parse_all(self.filled(NAME).unwrap_or_default()) {
            Ok(told) => told,
            Err(reason) => return self.fault(NAME, format!("{NAME}: {reason}")),
        };
        if let Some(stranger) =
            told.iter().find(|told| !self.is_controller(&told.name) && !clients.iter().any(|l| l.name == told.name))
        {
            return self.fault(NAME, format!("{NAME} names {}, which listeners does not name.", stranger.name));
        }
        let mut listeners = Vec::new();
        for Listener { name, address } in clients {
            let advertised = match told.iter().find(|told| told.name == *name) {
                Some(told) => told.address.clone(),
                None if told.is_empty() => address.clone(),
                None => return self.fault(NAME, format!("{NAME} names no address for the listener {name}.")),
            };
            listeners.push(ClientListener { name: name.clone(), address: address.clone(), advertised: advertised.with_host() });
        }
        Some(listeners)
    }

    /// Brokers speak to each other over the controllers' listener; the name must still be right, as Kafka wants it.
    fn inter_broker(&mut self, clients: Option<&[Listener]>) {
        const NAME: &str = "inter.broker.listener.name";
        let Some((name, clients)) = self.filled(NAME).zip(clients) else { return };
        if !clients.iter().any(|listener| listener.name.eq_ignore_ascii_case(name)) {
            let names: Vec<&str> = clients.iter().map(|listener| listener.name.as_str()).collect();
            self.note(NAME, format!("{NAME}={name} is no listener for clients; there are {}.", names.join(", ")));
        }
    }

    /// The voters; `peers` is `None` if the listeners are wrong.
    fn voters(&mut self, broker: Option<BrokerId>, peers: Option<Option<&Address>>) -> Option<Vec<(BrokerId, Option<Address>)>> {
        const NAME: &str = "controller.quorum.voters";
        let voters = match parse_voters(self.text(NAME).unwrap_or_default()) {
            Ok(voters) => voters,
            Err(reason) => return self.fault(NAME, reason),
        };
        let (broker, peers) = (broker?, peers?);
        if voters.is_empty() {
            return self.is_alone(peers).then(|| vec![(broker, None)]);
        }
        if !voters.iter().any(|(id, _)| *id == broker) {
            let sentence = format!("{NAME} does not name this broker, {}; in this version every broker is a voter.", broker.0);
            return self.fault(NAME, sentence);
        }
        if voters.len() > 1 && peers.is_none() {
            let sentence = "listeners names no listener for the other brokers, such as CONTROLLER://localhost:9093.";
            return self.fault("listeners", sentence);
        }
        Some(voters)
    }

    /// Kafka's newer files name the controllers to ask for the voters. Of a broker alone that is itself; others can't be asked here.
    fn is_alone(&mut self, peers: Option<&Address>) -> bool {
        const NAME: &str = "controller.quorum.bootstrap.servers";
        let servers: Vec<&str> =
            self.text(NAME).unwrap_or_default().split(',').map(str::trim).filter(|server| !server.is_empty()).collect();
        let is_own =
            |server: &str| Address::parse(server).is_ok_and(|server| peers.is_some_and(|peers| peers.port == server.port));
        if servers.is_empty() || servers.len() == 1 && is_own(servers[0]) {
            return true;
        }
        let sentence = format!(
            "{NAME}={} is not this broker's own controller listener alone, and other controllers can't be asked who they are in this \
             version; name all brokers in controller.quorum.voters instead, as id@host:port.",
            servers.join(",")
        );
        self.note(NAME, sentence);
        false
    }

    fn metrics(&mut self) -> Option<MetricsPlace> {
        let default = own_setting(METRICS_LISTENER).and_then(|own| own.default).map(Address::parse);
        let Some(text) = self.filled(METRICS_LISTENER) else {
            return Some(default.and_then(Result::ok).map_or(MetricsPlace::Off, MetricsPlace::ByDefault));
        };
        if text.eq_ignore_ascii_case("off") {
            return Some(MetricsPlace::Off);
        }
        // The form of other listeners is understood as well: their name says nothing here.
        match Address::parse(text.split_once("://").map_or(text, |(_, address)| address)) {
            Ok(address) => Some(MetricsPlace::At(address)),
            Err(reason) => self.fault(METRICS_LISTENER, format!("{METRICS_LISTENER}: {reason}, nor is it \"off\".")),
        }
    }

    fn disk_reserve(&mut self) -> Option<u64> {
        let default = own_setting(DISK_RESERVE).and_then(|own| own.default);
        let text = self.filled(DISK_RESERVE).or(default).unwrap_or_default();
        match text.parse() {
            Ok(bytes) => Some(bytes),
            Err(_) => self.fault(DISK_RESERVE, format!("{DISK_RESERVE}={text} is not a number of bytes, 0 or more.")),
        }
    }

    fn data(&mut self) -> Option<PathBuf> {
        let Some((name, data)) = ["log.dirs", "log.dir"].iter().find_map(|name| Some((name, self.filled(name)?))) else {
            return self.fault("log.dirs", "log.dirs is missing: set it to the folder for this broker's data.");
        };
        if data.contains(',') {
            return self.fault(name, format!("{name}={data} names more than one folder; this version uses one."));
        }
        Some(PathBuf::from(data))
    }
}

fn parse_id(text: &str) -> Option<BrokerId> {
    text.parse().ok().filter(|id: &i32| *id >= 0 && *id < i32::MAX).map(BrokerId)
}

fn parse_voters(text: &str) -> Result<Vec<(BrokerId, Option<Address>)>, String> {
    let mut voters = Vec::new();
    for voter in text.split(',').map(str::trim).filter(|voter| !voter.is_empty()) {
        let wrong = || format!("controller.quorum.voters: {voter:?} is not of the form id@host:port.");
        let (id, address) = voter.split_once('@').ok_or_else(wrong)?;
        voters.push((parse_id(id).ok_or_else(wrong)?, Some(Address::parse(address).map_err(|_| wrong())?)));
    }
    voters.sort_by_key(|(id, _)| *id);
    if let Some(pair) = voters.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(format!("controller.quorum.voters names broker {} twice.", pair[0].0.0));
    }
    Ok(voters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::{Entry, Layers, Origin, java_properties};

    const THREE: &str = "
# a broker of three
node.id=1
listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9192
controller.quorum.voters=2@b:2,1@a:1,3@c:3
log.dirs=/data/one
num.partitions : 4
message.max.bytes 2000
";

    /// What a file alone amounts to.
    fn read(text: &str) -> Result<NodeConfiguration, String> {
        let entry = |line: java_properties::Line| Entry { name: line.name, value: line.value, origin: Origin::CommandLine };
        let layers = Layers { entries: java_properties::parse_lines(text).into_iter().map(entry).collect(), faults: Vec::new() };
        let mut faults = Vec::new();
        let node = NodeConfiguration::read(&layers.counting(), &mut faults);
        node.filter(|_| faults.is_empty()).ok_or_else(|| faults.first().expect("there is a reason").sentence.clone())
    }

    fn parse(text: &str) -> NodeConfiguration {
        read(text).expect("well-formed")
    }

    #[test]
    fn kafka_names_are_understood_and_the_rest_goes_to_the_core() {
        let properties = parse(THREE);
        assert_eq!(properties.broker, BrokerId(1));
        let alone = &properties.clients[0];
        assert_eq!((properties.clients.len(), alone.name.as_str()), (1, "PLAINTEXT"));
        assert_eq!((alone.address.to_string().as_str(), &alone.advertised), ("127.0.0.1:9092", &alone.address));
        assert_eq!(properties.peers.map(|peers| peers.port), Some(9192));
        assert_eq!(properties.voters.iter().map(|(id, _)| id.0).collect::<Vec<_>>(), [1, 2, 3]);
        let rest =
            [("message.max.bytes", "2000"), ("num.partitions", "4")].map(|(name, value)| (name.to_string(), value.to_string()));
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
        assert_eq!((properties.broker, properties.clients[0].address.port, properties.peers), (BrokerId(0), 9092, None));
        assert_eq!(properties.voters, [(BrokerId(0), None)]);
        assert!(!properties.clients[0].advertised.host.is_empty());
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
    fn metrics_are_on_loopback_unless_the_operator_says_otherwise() {
        let place = |text: &str| parse(&format!("node.id=1\nlog.dirs=x\n{text}")).metrics;
        assert_eq!(place(""), MetricsPlace::ByDefault(Address { host: "127.0.0.1".into(), port: 9404 }));
        assert_eq!(place("ottla.metrics.listener=off"), MetricsPlace::Off);
        let everywhere = MetricsPlace::At(Address { host: String::new(), port: 80 });
        assert_eq!(place("ottla.metrics.listener=:80"), everywhere);
        assert_eq!(place("ottla.metrics.listener=HTTP://:80"), everywhere);
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
            ("node.id=1\nbroker.id=2\nlog.dirs=a", "contradict each other"),
            ("node.id=1\nlog.dirs=a\nprocess.roles=controller", "names no broker"),
            ("node.id=1\nlog.dirs=a\nprocess.roles=broker,boss", "there is no role \"boss\""),
            ("node.id=1\nlog.dirs=a\nlisteners=A://h:1,a://h:2", "names A twice"),
            (
                "node.id=1\nlog.dirs=a\nlisteners=A://h:1\nlistener.security.protocol.map=B:PLAINTEXT,A:SASL_SSL",
                "SASL_SSL of the listener A",
            ),
            (
                "node.id=1\nlog.dirs=a\nottla.disk.reserve.bytes=1G",
                "ottla.disk.reserve.bytes=1G is not a number of bytes, 0 or more.",
            ),
            ("node.id=1\nlog.dirs=a\nlisteners=A://h:1\nlistener.security.protocol.map=A:TLS", "TLS of the listener A"),
            ("node.id=1\nlog.dirs=a\nauthorizer.class.name=a.B", "authorizer.class.name=a.B: there is no authorization"),
            ("node.id=1\nlog.dirs=a\nsecurity.inter.broker.protocol=SSL", "whose brokers speak PLAINTEXT to each other"),
            ("node.id=1\nlog.dirs=a\nottla.metrics.listener=9404", "\"9404\" is no host:port, nor is it \"off\"."),
            ("node.id=1\nlog.dirs=a\nadvertised.listeners=B://h:2", "names B, which listeners does not name"),
            ("node.id=1\nlog.dirs=a\ncontroller.quorum.bootstrap.servers=h:1", "name all brokers in controller.quorum.voters"),
        ] {
            let refused = read(text).expect_err(text);
            assert!(refused.contains(part), "{text:?}: {refused}");
        }
    }

    #[test]
    fn a_broker_that_asks_itself_for_the_voters_is_alone() {
        let text = "node.id=1\nlog.dirs=a\nlisteners=PLAINTEXT://:9092,CONTROLLER://:9093\ncontroller.quorum.bootstrap.servers=";
        let node = parse(&format!("{text}localhost:9093"));
        assert_eq!((node.voters, node.peers.map(|peers| peers.port)), (vec![(BrokerId(1), None)], Some(9093)));
        for servers in ["localhost:9093,b:9093", "localhost:9092", "nonsense"] {
            assert!(read(&format!("{text}{servers}")).is_err(), "{servers}");
        }
        // Kafka lets the voters count where both are given.
        let node = parse(&format!("{text}b:9093\ncontroller.quorum.voters=1@a:9093,2@b:9093"));
        assert_eq!(node.voters.len(), 2);
    }

    #[test]
    fn clients_are_told_the_address_of_their_own_listener() {
        let text = "broker.id=-1\nnode.id=1\nlog.dirs=a\nlisteners=OUT://:9092,C://:9093\ncontroller.listener.names=C\n\
                    listener.security.protocol.map=OUT:PLAINTEXT,C:PLAINTEXT\nadvertised.listeners=out://far:1,C://near:2";
        assert_eq!(parse(text).clients[0].advertised.to_string(), "far:1");
    }

    #[test]
    fn each_listener_has_its_own_advertised_address() {
        let text = "node.id=1\nlog.dirs=a\nlisteners=C://:1,HOST://:2,IN://:3\ncontroller.listener.names=C\ninter.broker.listener.name=in\n\
                    advertised.listeners=IN://broker:19092,HOST://localhost:9092";
        let shown: Vec<String> =
            parse(text).clients.iter().map(|l| format!("{} {} {}", l.name, l.address.to_bind(), l.advertised)).collect();
        assert_eq!(shown, ["HOST 0.0.0.0:2 localhost:9092", "IN 0.0.0.0:3 broker:19092"]);
        let settings = ottla_core::config::BrokerSettings::parse(&parse(text).for_core()).expect("legal");
        assert_eq!(settings.text("listeners").unwrap_or_default(), "HOST://:2,IN://:3,CONTROLLER://:1");
        for (change, to, part) in [
            ("HOST://localhost:9092", "X://h:1", "names X, which listeners does not name"),
            (",HOST://localhost:9092", "", "names no address for the listener HOST"),
            ("name=in", "name=C", "inter.broker.listener.name=C is no listener for clients; there are HOST, IN."),
            ("IN://:3", "IN://:2", "HOST and IN have the same address"),
        ] {
            let refused = read(&text.replace(change, to)).expect_err(change);
            assert!(refused.contains(part), "{refused}");
        }
        let many: Vec<String> = (0..=LISTENERS_MAX).map(|n| format!("L{n}://h:{n}")).collect();
        let refused = read(&format!("node.id=1\nlog.dirs=a\nlisteners={}", many.join(","))).expect_err("too many");
        assert!(refused.contains("names 17 listeners for clients, at most 16"), "{refused}");
    }
}
