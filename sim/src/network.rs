//! The network: per link delay, loss, duplication and cuts, each a function of (seed, link, number of the message).
//!
//! Keeps the one promise the real shell makes, frames of one class of one peer arrive in the order sent, with holes, except for replays: of
//! those a frame arrives once more much later, which the shell never does and raft must survive all the same. Classes overtake each other.
//! Client links are cut apart from broker links. Single links lose more than others, or carry few bytes a second, for a while. Knows no payloads.

mod narrow;

pub(crate) use narrow::Narrow;

use crate::dice::{Draw, Stream, draw};
use narrow::Queues;
use std::collections::BTreeMap;
use std::fmt;

/// One end of a link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum End {
    /// A broker, by its place.
    Broker(usize),
    /// A client, by its place.
    Client(usize),
}

impl End {
    fn key(self) -> u64 {
        match self {
            End::Broker(n) => 2 * u64::try_from(n).expect("few brokers"),
            End::Client(n) => 2 * u64::try_from(n).expect("few clients") + 1,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Broker(n) => write!(f, "broker {n}"),
            End::Client(n) => write!(f, "client {n}"),
        }
    }
}

/// What links do to messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NetSettings {
    /// Microseconds a message takes, lower bound.
    pub delay_us_min: u64,
    /// Upper bound of the usual delay.
    pub delay_us_max: u64,
    /// Whether the usual delay is exponential, with a quarter of the way to the upper bound as its mean, instead of uniform.
    pub is_exponential: bool,
    /// Messages out of a million that take much longer.
    pub late_ppm: u64,
    /// How much longer at most.
    pub late_us_max: u64,
    /// Peer frames out of a million that are lost.
    pub loss_ppm: u64,
    /// Peer frames out of a million that arrive twice.
    pub duplicate_ppm: u64,
    /// Peer frames out of a million that arrive once more much later, behind whatever was sent since.
    pub replay_ppm: u64,
    /// How much later at most.
    pub replay_us_max: u64,
    /// Peer frames out of a million of which a bit flips on the way.
    pub flip_ppm: u64,
}

/// What becomes of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Fate {
    /// When it arrives: never, once or twice.
    pub(crate) at: [Option<u64>; 2],
    /// When it arrives once more, out of order.
    pub(crate) replay_at: Option<u64>,
    /// A draw that says which bit flips, if one does.
    pub(crate) flip: Option<u64>,
}

impl NetSettings {
    /// A network without faults.
    #[must_use]
    pub fn calm() -> NetSettings {
        NetSettings {
            delay_us_min: 50,
            delay_us_max: 300,
            is_exponential: false,
            late_ppm: 0,
            late_us_max: 0,
            loss_ppm: 0,
            duplicate_ppm: 0,
            replay_ppm: 0,
            replay_us_max: 0,
            flip_ppm: 0,
        }
    }
}

/// Microseconds that a message takes at most once the world has healed, unless its least delay is more. A network slower than the election
/// timeouts of the seed would keep even a healthy cluster from ever having a leader.
pub(crate) const HEALED_DELAY_US_MAX: u64 = 2_000;

/// Sequence of messages with a common order.
pub(crate) type Lane = (End, End, u8);

/// What went through a lane.
#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    /// How many messages, those included that were lost.
    count: u64,
    /// When the last one that was not lost arrives.
    last_arrival: u64,
}

/// The state of all links.
#[derive(Debug)]
pub(crate) struct Network {
    seed: u64,
    settings: NetSettings,
    lanes: BTreeMap<Lane, Sent>,
    /// Until when a direction is cut.
    cuts: BTreeMap<(End, End), u64>,
    /// Until when frames of one broker to another are lost more often, and how many of a million.
    lossy: BTreeMap<(usize, usize), (u64, u64)>,
    /// Links that carry few bytes a second.
    pub(crate) queues: Queues,
    /// Frames lost on lossy links.
    pub(crate) lost_on_link: u64,
    /// How many messages were lost, for the vacuity counters.
    pub(crate) lost: u64,
    /// And how many came twice.
    pub(crate) duplicated: u64,
    /// And how many came again much later.
    pub(crate) replayed: u64,
}

impl Network {
    pub(crate) fn new(seed: u64, settings: NetSettings) -> Network {
        Network {
            seed,
            settings,
            lanes: BTreeMap::new(),
            cuts: BTreeMap::new(),
            lossy: BTreeMap::new(),
            queues: Queues::default(),
            lost_on_link: 0,
            lost: 0,
            duplicated: 0,
            replayed: 0,
        }
    }

    /// Takes the faults away: the world is healed.
    pub(crate) fn calm(&mut self) {
        self.cuts.clear();
        self.lossy.clear();
        self.queues.widen();
        self.settings.is_exponential = false;
        self.settings.loss_ppm = 0;
        self.settings.duplicate_ppm = 0;
        self.settings.late_ppm = 0;
        self.settings.replay_ppm = 0;
        self.settings.flip_ppm = 0;
        let least = self.settings.delay_us_min;
        self.settings.delay_us_max = self.settings.delay_us_max.clamp(least, HEALED_DELAY_US_MAX.max(least));
    }

    /// Cuts one direction until a time; a longer cut in force stays.
    pub(crate) fn cut(&mut self, from: End, to: End, until: u64) {
        let slot = self.cuts.entry((from, to)).or_insert(0);
        *slot = (*slot).max(until);
    }

    /// Frames of one broker to another are lost more often until a time.
    pub(crate) fn lose(&mut self, from: usize, to: usize, ppm: u64, until: u64) {
        self.lossy.insert((from, to), (until, ppm));
    }

    /// Takes a cut away.
    pub(crate) fn mend(&mut self, from: End, to: End) {
        self.cuts.remove(&(from, to));
    }

    /// Whether nothing passes in this direction now.
    pub(crate) fn is_cut(&self, from: End, to: End, now: u64) -> bool {
        self.cuts.get(&(from, to)).is_some_and(|until| now < *until)
    }

    /// What becomes of the next frame of a broker to another, so many bytes long.
    pub(crate) fn send_peer(&mut self, now: u64, from: usize, to: usize, class: u8, bytes: usize) -> Fate {
        let lane = (End::Broker(from), End::Broker(to), class);
        let is_cut = self.is_cut(lane.0, lane.1, now);
        let sent = self.lanes.entry(lane).or_default();
        let (at, mut dice) = sent.arrival(self.seed, &self.settings, now, lane);
        if is_cut || dice.ppm(self.settings.loss_ppm) {
            self.lost += 1;
            return Fate::default();
        }
        if let Some((_, ppm)) = self.lossy.get(&(from, to)).filter(|(until, _)| now < *until)
            && draw(self.seed, Stream::Net, &[lane.0.key(), lane.1.key(), u64::from(class), sent.count, 11]).ppm(*ppm)
        {
            self.lost_on_link += 1;
            return Fate::default();
        }
        let Some(queued) = self.queues.pass(now, lane.0, lane.1, n64(bytes)) else { return Fate::default() };
        let at = at.max(now + queued).max(sent.last_arrival);
        sent.last_arrival = at;
        let mut fate = Fate { at: [Some(at), None], ..Fate::default() };
        if dice.ppm(self.settings.duplicate_ppm) {
            self.duplicated += 1;
            let again = at + dice.below(2_000);
            sent.last_arrival = again;
            fate.at[1] = Some(again);
        }
        if dice.ppm(self.settings.replay_ppm) {
            self.replayed += 1;
            fate.replay_at = Some(at + dice.log_between(1_000, self.settings.replay_us_max.max(1_000)));
        }
        if dice.ppm(self.settings.flip_ppm) {
            fate.flip = Some(dice.next());
        }
        fate
    }

    /// When bytes of a client connection arrive, so many. They are never lost one by one: the stream is whole or cut.
    pub(crate) fn send_stream(&mut self, now: u64, from: End, to: End, bytes: usize) -> Option<u64> {
        let lane = (from, to, 0);
        let is_cut = self.is_cut(from, to, now);
        let sent = self.lanes.entry(lane).or_default();
        let (at, _) = sent.arrival(self.seed, &self.settings, now, lane);
        if is_cut {
            return None;
        }
        let at = at.max(now + self.queues.pass(now, from, to, n64(bytes))?).max(sent.last_arrival);
        sent.last_arrival = at;
        Some(at)
    }
}

impl Sent {
    /// When the next message arrives, unless it is lost, and the rest of the draw.
    fn arrival(&mut self, seed: u64, settings: &NetSettings, now: u64, lane: Lane) -> (u64, Draw) {
        self.count += 1;
        let mut dice = draw(seed, Stream::Net, &[lane.0.key(), lane.1.key(), u64::from(lane.2), self.count]);
        let mut delay = if settings.is_exponential {
            settings.delay_us_min + dice.exponential(settings.delay_us_max.saturating_sub(settings.delay_us_min) / 4)
        } else {
            dice.between(settings.delay_us_min, settings.delay_us_max)
        };
        if dice.ppm(settings.late_ppm) {
            delay += dice.log_between(1_000, settings.late_us_max.max(1_000));
        }
        ((now + delay).max(self.last_arrival), dice)
    }
}

fn n64(n: usize) -> u64 {
    u64::try_from(n).expect("small")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wild() -> NetSettings {
        NetSettings {
            delay_us_min: 10,
            delay_us_max: 50_000,
            is_exponential: false,
            late_ppm: 100_000,
            late_us_max: 1_000_000,
            loss_ppm: 100_000,
            duplicate_ppm: 100_000,
            replay_ppm: 100_000,
            replay_us_max: 60_000_000,
            flip_ppm: 100_000,
        }
    }

    #[test]
    fn a_lane_keeps_its_order_with_holes() {
        let mut net = Network::new(9, wild());
        let mut last = 0;
        for now in 0..2_000 {
            for at in net.send_peer(now * 100, 0, 1, 0, 80).at.into_iter().flatten() {
                assert!(at >= last && at >= now * 100);
                last = at;
            }
        }
        assert!(net.lost > 100 && net.duplicated > 100 && net.replayed > 100);
    }

    #[test]
    fn the_fate_of_a_message_does_not_depend_on_other_links() {
        let mut one = Network::new(9, wild());
        let mut two = Network::new(9, wild());
        for now in 0..100 {
            two.send_peer(now, 1, 0, 0, 80);
            assert_eq!(one.send_peer(now, 0, 1, 0, 80), two.send_peer(now, 0, 1, 0, 80));
        }
    }

    #[test]
    fn a_cut_has_one_direction_and_an_end() {
        let mut net = Network::new(1, NetSettings::calm());
        net.cut(End::Broker(0), End::Broker(1), 500);
        assert_eq!(net.send_peer(10, 0, 1, 0, 80), Fate::default());
        assert!(net.send_peer(10, 1, 0, 0, 80).at[0].is_some());
        assert!(net.send_peer(500, 0, 1, 0, 80).at[0].is_some());
    }

    #[test]
    fn a_lossy_link_loses_its_share_and_moves_nothing_else() {
        let mut one = Network::new(9, NetSettings::calm());
        let mut two = Network::new(9, NetSettings::calm());
        one.lose(0, 1, 250_000, 1_000_000);
        for now in (0..2_000_000).step_by(1_000) {
            let (lossy, sure) = (one.send_peer(now, 0, 1, 0, 80), two.send_peer(now, 0, 1, 0, 80));
            assert!(lossy == sure || lossy == Fate::default() && now < 1_000_000);
            assert_eq!(one.send_peer(now, 1, 0, 0, 80), two.send_peer(now, 1, 0, 0, 80));
        }
        assert!((200..300).contains(&one.lost_on_link), "{}", one.lost_on_link);
    }

    #[test]
    fn exponential_delays_pass_the_bound_of_uniform_ones() {
        let settings = NetSettings { is_exponential: true, delay_us_min: 10, delay_us_max: 4_010, ..NetSettings::calm() };
        let mut net = Network::new(9, settings);
        let delays: Vec<u64> =
            (0..2_000).map(|n| net.send_peer(n * 1_000_000, 0, 1, 0, 80).at[0].expect("it comes") - n * 1_000_000).collect();
        assert!(delays.iter().all(|us| *us >= 10) && delays.iter().any(|us| *us > 4_010));
    }
}
