//! A round of one broker: its inputs of one instant, its judges, its outputs in another order and perhaps not to the end.

use super::brief::brief;
use super::event::Event;
use super::shuffle::shuffle;
use super::{Cluster, n64};
use crate::check::watch::Breach;
use crate::dice::{Stream, draw};
use crate::disk::CrashKind;
use crate::panics::catch;
use crate::report::FailureKind;
use crate::views;
use ottla_core::Broker;
use ottla_core::disk::{DiskAction, FileName};
use ottla_core::input::Input;
use ottla_core::output::Output;

impl Cluster {
    pub(super) fn input(&mut self, node: usize, input: Input, kind: u64, payload: &[u8]) {
        self.trace_input(node, kind, payload);
        self.take_in(node, input);
    }

    pub(super) fn trace_input(&mut self, node: usize, kind: u64, payload: &[u8]) {
        self.trace.event(self.now, n64(node), kind);
        self.trace.bytes(payload);
    }

    /// Takes in what is in the trace already.
    pub(super) fn take_in(&mut self, node: usize, input: Input) {
        self.nodes[node].inbox.push(input);
        self.round_soon(node);
    }

    pub(super) fn round_soon(&mut self, node: usize) {
        let this = &mut self.nodes[node];
        if std::mem::replace(&mut this.is_round_due, true) {
            return;
        }
        let mut dice = draw(self.seed, Stream::Schedule, &[n64(node), this.life, this.rounds]);
        let at = (self.now + dice.below(self.shape.round_us_max + 1)).max(this.paused_until);
        let life = this.life;
        self.schedule(at, Event::Round { node, life });
    }

    pub(super) fn round(&mut self, node: usize) {
        if self.now < self.nodes[node].paused_until {
            let (at, life) = (self.nodes[node].paused_until, self.nodes[node].life);
            self.schedule(at, Event::Round { node, life });
            return;
        }
        let this = &mut self.nodes[node];
        this.is_round_due = false;
        this.rounds += 1;
        self.counters.rounds += 1;
        let mut inputs = std::mem::take(&mut this.inbox);
        let now = this.clock.now(self.now);
        let Some(broker) = this.broker.as_mut() else { return };
        let checked = &mut this.checked;
        let outputs = &mut self.outputs;
        let views = &mut self.views;
        let seen = self.watch.seen(node);
        if self.trace.is_printing() {
            for input in &inputs {
                self.trace.line(self.now, &format!("b{node}"), &format!("<- {}", brief(input)));
            }
        }
        let result = catch(|| {
            for input in inputs.drain(..) {
                broker.step(now, input, outputs);
            }
            broker.end_round(now, outputs);
            checked.check_round(broker);
            views::look(broker, seen, views);
        });
        if let Err(what) = result {
            self.fail(FailureKind::Safety, "panic", format!("Broker {node} broke its own assertion: {what}."));
            return;
        }
        this.inbox = inputs;
        let views = std::mem::take(&mut self.views);
        let verdict = self.watch.said(node, &views).and_then(|()| self.counts(node));
        self.views = views;
        self.judge(verdict);
        self.perform(node);
        if self.nodes[node].broker.is_some() {
            self.arm_timer(node);
        }
        self.rebuild_sometimes();
    }

    /// Leaders that committed something count voters only for what these told them.
    fn counts(&self, node: usize) -> Result<(), Breach> {
        let Some(broker) = &self.nodes[node].broker else { return Ok(()) };
        self.watch.advanced.iter().try_for_each(|(group, term)| self.watch.counted(node, *group, *term, broker.counted(*group)))
    }

    pub(super) fn arm_timer(&mut self, node: usize) {
        let this = &mut self.nodes[node];
        let Some(deadline) = this.broker.as_ref().and_then(Broker::next_deadline) else { return };
        // Never at this very instant: a broker that asks for it again and again would stop the world.
        let at = this.clock.when(deadline.at, self.now).max(self.now + 1);
        if at == this.timer_at {
            return;
        }
        this.timer_at = at;
        this.timer_number += 1;
        let (life, number) = (this.life, this.timer_number);
        self.schedule(at, Event::Timer { node, life, number });
    }

    /// Performs what a round asked for, in another order, perhaps not to the end.
    pub(super) fn perform(&mut self, node: usize) {
        let mut list: Vec<Output> = self.outputs.drain().collect();
        if list.is_empty() {
            return;
        }
        let (life, rounds) = (self.nodes[node].life, self.nodes[node].rounds);
        let mut dice = draw(self.seed, Stream::Schedule, &[n64(node), life, rounds, 1]);
        shuffle(&mut list, &mut dice);
        let mut crash_before = None;
        if self.is_buggy {
            let mut dice = draw(self.seed, Stream::Buggify, &[n64(node), life, rounds]);
            if dice.ppm(self.shape.crash_in_round_ppm) {
                crash_before = Some(usize::try_from(dice.below(n64(list.len()) + 1)).expect("small"));
            }
            if is_promise(&list) && dice.ppm(self.shape.crash_at_promise_ppm) {
                // Frames leave, disk operations do not happen: what a frame promised must have been durable before.
                list.sort_by_key(|output| matches!(output, Output::Disk(_)));
                crash_before = Some(list.iter().filter(|output| !matches!(output, Output::Disk(_))).count());
            }
        }
        for (done, output) in list.into_iter().enumerate() {
            if crash_before == Some(done) {
                break;
            }
            self.perform_one(node, output);
            if self.nodes[node].broker.is_none() || self.failure.is_some() {
                return;
            }
        }
        if crash_before.is_some() {
            self.crash_in_round(node);
        }
    }

    pub(super) fn crash_in_round(&mut self, node: usize) {
        let mut dice = draw(self.seed, Stream::Buggify, &[n64(node), self.nodes[node].life, u64::MAX]);
        let kind = if dice.below(3) == 0 { CrashKind::Kill } else { CrashKind::PowerCut };
        let down = dice.log_between(self.shape.restart_us.0, self.shape.restart_us.1);
        self.counters.crashes_in_round += 1;
        self.trace.fault(self.now, format!("broker {node} crashed between two outputs ({kind:?}, back after {down} us)"));
        self.crash(node, kind, Some(down));
    }
}

/// Whether a round both writes the meta log and sends something: where a promise may outrun the disk.
fn is_promise(list: &[Output]) -> bool {
    let writes_meta = list.iter().any(
        |output| matches!(output, Output::Disk(op) if matches!(op.action, DiskAction::Append { file: FileName::Meta(_), .. })),
    );
    writes_meta && list.iter().any(|output| matches!(output, Output::Peer { .. }))
}
