//! [`Chronicle`]: tells people what changed about the broker: registered, fenced, who is controller, who leads, how a stop goes.
//!
//! The core says how it stands, the chronicle compares. Bounded: a second has at most one line about leaderships; the partitions are named
//! at debug level only, [`ottla_core::limits::LEADER_CHANGES_MAX`] per round.

use ottla_core::Broker;
use ottla_core::broker::{Recalling, Standing};
use ottla_core::input::Input;
use ottla_core::time::Instant;
use slog::{Logger, debug, info, o, warn};

/// Milliseconds between lines about leaderships.
const LEADERS_EVERY_MS: u64 = 1_000;
/// Milliseconds between lines about what this broker may have promised.
const RECALLS_EVERY_MS: u64 = 10_000;

/// What was told so far.
#[derive(Debug)]
pub(crate) struct Chronicle {
    log: Logger,
    last: Standing,
    /// Counters of leaderships when they were told last, and when that was.
    told: (u64, u64, Instant),
    stopping: Option<Instant>,
    /// When it was told last that others are asked what this broker promised.
    asked: Option<Instant>,
}

impl Chronicle {
    pub(crate) fn new(log: &Logger) -> Chronicle {
        let log = log.new(o!("component" => "broker"));
        Chronicle { log, last: Standing::default(), told: (0, 0, Instant(0)), stopping: None, asked: None }
    }

    /// A round is over.
    pub(crate) fn round(&mut self, broker: &mut Broker, now: Instant) {
        let standing = broker.standing();
        self.compare(standing, now);
        // Moved out at every level, so that what is told later is what happened last.
        let changes = broker.take_leader_changes();
        for change in changes.listed {
            let leader = change.leader.map(|leader| leader.0);
            debug!(self.log, "leader changed"; "epoch" => change.term.0, "leader" => leader, "partition" => change.group);
        }
        if changes.left_out > 0 {
            debug!(self.log, "more leaders changed"; "count" => changes.left_out);
        }
    }

    fn compare(&mut self, standing: Standing, now: Instant) {
        let last = std::mem::replace(&mut self.last, standing);
        self.recalls(last.recalling, standing.recalling, now);
        if standing.is_registered && !last.is_registered {
            info!(self.log, "registered with the controller: requests are answered");
        }
        if standing.is_registered && (standing.is_fenced != last.is_fenced || !last.is_registered) {
            if standing.is_fenced {
                warn!(self.log, "fenced: the controller did not hear of this broker, which leads nothing until it does");
            } else if last.is_registered {
                info!(self.log, "no longer fenced");
            }
        }
        if standing.controller != last.controller {
            match standing.controller {
                Some(controller) => info!(self.log, "the active controller is known"; "controller" => controller.0),
                None => warn!(self.log, "no active controller is known"),
            }
        }
        if standing.is_controller != last.is_controller {
            let what = if standing.is_controller { "this broker is" } else { "this broker is no longer" };
            info!(self.log, "{} the active controller", what);
        }
        let (won, heard, at) = self.told;
        let has_news = (won, heard) != (standing.elections_won, standing.leader_changes);
        if has_news && (at == Instant(0) || now.since_us(at) >= LEADERS_EVERY_MS * 1000) {
            self.told = (standing.elections_won, standing.leader_changes, now);
            let (won, heard) = (standing.elections_won - won, standing.leader_changes - heard);
            info!(self.log, "leaders changed"; "others_lead" => heard - won, "this_broker_leads" => won);
        }
    }

    /// What became of replicas that do not know what they promised. Of a new cluster, where nobody does, there is nothing to tell.
    fn recalls(&mut self, last: Recalling, here: Recalling, now: Instant) {
        let is_due = self.asked.is_none_or(|at| now.since_us(at) >= RECALLS_EVERY_MS * 1000);
        if here.has_past && here.asking > 0 && is_due {
            self.asked = Some(now);
            let waits_for = here.waits_for.map(|broker| broker.0);
            warn!(
                self.log,
                "the data folder is empty but the cluster knows this broker: asking all others what it may have promised";
                "replicas" => here.asking, "waits_for" => waits_for
            );
        }
        if here.lost > last.lost {
            warn!(self.log, "partitions without another replica came back empty"; "partitions" => here.lost - last.lost);
        }
        if here.asking + here.below == 0 && last.asking + last.below > 0 && here.has_past {
            self.asked = None;
            info!(self.log, "all replicas know again what this broker promised"; "replicas" => here.recalled);
        }
    }

    /// A fact goes to the core; the first wish for a graceful stop is told.
    pub(crate) fn sees(&mut self, input: &Input, now: Instant) {
        if let Input::DiskFull { is_full } = input {
            if *is_full {
                warn!(
                    self.log,
                    "the volume of the data folder is almost full: new records are refused with KAFKA_STORAGE_ERROR until there is room"
                );
            } else {
                info!(self.log, "the volume of the data folder has room again: new records are taken");
            }
        }
        if matches!(input, Input::Stop) && self.stopping.is_none() {
            self.stopping = Some(now);
            info!(self.log, "stopping: leaderships are handed over");
        }
    }

    /// The loop ends; a stop is complete but for replies on their way.
    pub(crate) fn ends(&self, now: Instant) {
        if let Some(since) = self.stopping {
            let took_ms = now.since_us(since) / 1000;
            info!(self.log, "stopping: nothing is left that another could lead"; "took_ms" => took_ms);
        }
    }

    /// Replies that nobody read in time.
    pub(crate) fn said_goodbye(&self, is_all_written: bool) {
        if !is_all_written {
            warn!(self.log, "stopping: some clients did not read their last replies");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_core::ids::BrokerId;
    use slog::{Drain, OwnedKVList, Record};
    use std::sync::{Arc, Mutex};

    /// Keeps what is said.
    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<String>>>);

    impl Drain for Memory {
        type Ok = ();
        type Err = slog::Never;
        fn log(&self, record: &Record<'_>, _: &OwnedKVList) -> Result<(), slog::Never> {
            self.0.lock().expect("one thread").push(format!("{} {}", record.level(), record.msg()));
            Ok(())
        }
    }

    #[test]
    fn what_changes_is_told_once() {
        let memory = Memory::default();
        let mut chronicle = Chronicle::new(&Logger::root(memory.clone(), o!()));
        let mut now = Instant(5);
        let mut tells = |standing: Standing, ms: u64| {
            now = now.plus_ms(ms);
            chronicle.compare(standing, now);
            std::mem::take(&mut *memory.0.lock().expect("one thread"))
        };
        let mut at = Standing { is_fenced: true, ..Standing::default() };
        assert_eq!(tells(at, 0), Vec::<String>::new(), "an earlier life was fenced; this one is not registered");
        at = Standing { is_registered: true, is_fenced: false, controller: Some(BrokerId(2)), ..at };
        assert_eq!(
            tells(at, 1),
            ["INFO registered with the controller: requests are answered", "INFO the active controller is known"]
        );
        assert_eq!(tells(at, 1), Vec::<String>::new());
        at.is_fenced = true;
        assert!(tells(at, 1)[0].starts_with("WARN fenced: "));
        at = Standing { is_fenced: false, is_controller: true, controller: None, ..at };
        assert_eq!(
            tells(at, 1),
            ["INFO no longer fenced", "WARN no active controller is known", "INFO this broker is the active controller"]
        );
    }

    #[test]
    fn a_lost_data_folder_is_told_of_but_not_a_new_cluster() {
        let memory = Memory::default();
        let mut chronicle = Chronicle::new(&Logger::root(memory.clone(), o!()));
        let mut tells = |ms: u64, recalling: Recalling| {
            chronicle.compare(Standing { recalling, ..Standing::default() }, Instant(5).plus_ms(ms));
            std::mem::take(&mut *memory.0.lock().expect("one thread"))
        };
        let new = Recalling { asking: 1, waits_for: Some(BrokerId(2)), ..Recalling::default() };
        assert_eq!(tells(1, new), Vec::<String>::new());
        assert_eq!(tells(1, Recalling::default()), Vec::<String>::new(), "it was born");
        let known = Recalling { has_past: true, ..new };
        assert!(tells(2, known)[0].starts_with("WARN the data folder is empty but the cluster knows this broker"));
        assert_eq!(tells(3, Recalling { asking: 9, ..known }), Vec::<String>::new(), "not more often than every ten seconds");
        assert_eq!(tells(20_000, known).len(), 1);
        let below = Recalling { asking: 0, below: 9, ..known };
        assert_eq!(tells(20_001, below), Vec::<String>::new());
        let whole = Recalling { below: 0, recalled: 9, lost: 1, ..below };
        let lines =
            ["WARN partitions without another replica came back empty", "INFO all replicas know again what this broker promised"];
        assert_eq!(tells(20_002, whole), lines);
    }

    #[test]
    fn a_full_disk_is_told_each_time_and_a_stop_once() {
        let memory = Memory::default();
        let mut chronicle = Chronicle::new(&Logger::root(memory.clone(), o!()));
        let said = |expected: &[&str]| {
            let lines = std::mem::take(&mut *memory.0.lock().expect("one thread"));
            let is_as_expected = lines.iter().zip(expected).all(|(line, beginning)| line.starts_with(beginning));
            assert!(lines.len() == expected.len() && is_as_expected, "{lines:?} instead of {expected:?}");
        };
        for is_full in [true, false, true] {
            chronicle.sees(&Input::DiskFull { is_full }, Instant(1));
        }
        said(&["WARN the volume of the data folder is almost full", "INFO the volume of the data folder has room", "WARN"]);
        chronicle.ends(Instant(1));
        said(&[]);
        for input in [Input::Tick, Input::Stop, Input::Stop] {
            chronicle.sees(&input, Instant(1));
        }
        chronicle.ends(Instant(2));
        chronicle.said_goodbye(true);
        chronicle.said_goodbye(false);
        said(&["INFO stopping: leaderships", "INFO stopping: nothing is left", "WARN stopping: some clients"]);
    }

    #[test]
    fn leaderships_have_one_line_a_second() {
        let memory = Memory::default();
        let mut chronicle = Chronicle::new(&Logger::root(memory.clone(), o!()));
        let mut standing = Standing::default();
        for ms in 1..=2_500 {
            standing.leader_changes += 1;
            chronicle.compare(standing, Instant(0).plus_ms(ms));
        }
        assert_eq!(memory.0.lock().expect("one thread").len(), 3);
    }
}
