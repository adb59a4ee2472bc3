//! Links that are worse than others for a while: cut in patterns, lossy, narrow. Drawn apart from all other faults, so that older seeds keep theirs.

use super::{Fault, FaultKind, SECOND, index};
use crate::dice::{Draw, Stream, draw};
use crate::network::{End, Narrow, NetSettings};

/// Adds them; the list is in order afterwards.
pub(super) fn add(seed: u64, brokers: usize, clients: usize, heal_at: u64, faults: &mut Vec<Fault>) {
    let mut pick = draw(seed, Stream::Faults, &[5]);
    // One class per number; appended, never renumbered.
    for class in 0..6_u64 {
        if pick.below(4) != 0 {
            continue;
        }
        let count = draw(seed, Stream::Faults, &[6, class]).log_between(1, 4);
        for n in 0..count {
            let mut dice = draw(seed, Stream::Faults, &[7, class, n]);
            let at = dice.between(300_000, heal_at - 300_000);
            let us = dice.log_between(20_000, 6 * SECOND);
            let node = index(&mut dice, brokers);
            let kind = match class {
                0 if brokers > 1 => FaultKind::IsolateController { us },
                1 if brokers > 2 => bridge(&mut dice, brokers, node, us),
                // Of fewer each hears all.
                2 if brokers > 4 => FaultKind::Ring { order: shuffled(&mut dice, brokers), us },
                3 if brokers > 1 => {
                    swizzle(&mut dice, brokers, at, us, faults);
                    continue;
                }
                4 if brokers > 1 => {
                    let to = (node + 1 + index(&mut dice, brokers - 1)) % brokers;
                    FaultKind::LossyLink { from: node, to, us, ppm: dice.log_between(50_000, 900_000) }
                }
                // What is on its way when the world heals is not to take longer than that.
                5 => narrow(&mut dice, brokers, clients, node, us.min(heal_at - at)),
                _ => continue,
            };
            faults.push(Fault { at, kind });
        }
    }
    faults.retain(|fault| fault.at < heal_at);
    faults.sort_by_key(|fault| fault.at);
}

/// Exponential delays in an eighth of the seeds.
pub(super) fn delays(seed: u64, net: &mut NetSettings) {
    net.is_exponential = draw(seed, Stream::Swarm, &[9]).below(8) == 0;
}

/// Two sides that hear each other through one broker only.
fn bridge(dice: &mut Draw, brokers: usize, node: usize, us: u64) -> FaultKind {
    let order = shuffled(dice, brokers);
    let others = order.into_iter().filter(|other| *other != node);
    FaultKind::Bridge { node, side: others.take((brokers - 1) / 2).collect(), us }
}

/// Some brokers are cut off one after the other, and come back one after the other in another order (FoundationDB's swizzle-clogging).
fn swizzle(dice: &mut Draw, brokers: usize, at: u64, us: u64, faults: &mut Vec<Fault>) {
    let step_us = dice.log_between(5_000, 300_000);
    let (out, back) = (shuffled(dice, brokers), shuffled(dice, brokers));
    let count = 1 + index(dice, brokers);
    let last_at = at + step_us * u64::try_from(count).expect("few");
    for (nth, node) in (0..).zip(out.into_iter().take(count)) {
        let returns = back.iter().position(|other| *other == node).map_or(0, |place| u64::try_from(place).expect("few"));
        let begin = at + step_us * nth;
        faults.push(Fault { at: begin, kind: FaultKind::Swizzle { node, us: last_at + us / 4 + step_us * returns - begin } });
    }
}

/// Between two brokers, or a broker and a client, in one direction.
fn narrow(dice: &mut Draw, brokers: usize, clients: usize, node: usize, us: u64) -> FaultKind {
    let other = if brokers > 1 && dice.below(2) == 0 {
        End::Broker((node + 1 + index(dice, brokers - 1)) % brokers)
    } else {
        End::Client(index(dice, clients))
    };
    let (from, to) = if dice.below(2) == 0 { (End::Broker(node), other) } else { (other, End::Broker(node)) };
    let narrow = Narrow { bytes_per_s: dice.log_between(500, 500_000), queue_bytes: dice.log_between(256, 64 * 1024) };
    FaultKind::NarrowLink { from, to, us, narrow }
}

fn shuffled(dice: &mut Draw, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for n in (1..count).rev() {
        order.swap(n, index(dice, n + 1));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_cut_off_last_is_not_who_comes_back_last() {
        let mut orders = std::collections::BTreeSet::new();
        for n in 0..50 {
            let mut faults = Vec::new();
            swizzle(&mut draw(n, Stream::Faults, &[7]), 3, 1_000_000, 400_000, &mut faults);
            let ends: Vec<u64> = faults
                .iter()
                .map(|fault| if let FaultKind::Swizzle { us, .. } = fault.kind { fault.at + us } else { 0 })
                .collect();
            assert!(ends.iter().all(|end| *end > faults.last().expect("one at least").at), "all are out at once");
            orders.insert((ends.len(), ends.is_sorted()));
        }
        assert!(orders.contains(&(3, false)) && orders.contains(&(3, true)), "{orders:?}");
    }

    #[test]
    fn a_bridge_is_on_no_side() {
        for n in 0..50 {
            let FaultKind::Bridge { node, side, .. } = bridge(&mut draw(n, Stream::Faults, &[7]), 5, 3, 1_000) else {
                panic!("a bridge");
            };
            assert!(side.len() == 2 && !side.contains(&node));
        }
    }
}
