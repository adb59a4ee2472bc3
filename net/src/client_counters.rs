//! [`ClientCounters`] and [`Asked`]: counts what clients do and how long their requests take.
//!
//! Labels are bounded: only versions that are served are told apart, since a client may send any version of ApiVersions.

use crate::metrics::ClientMetrics;
use crate::timing::Timing;
use core::cell::RefCell;
use ottla_core::api::{ClientRequest, served};
use ottla_core::ids::RequestNumber;
use ottla_core::protocol::ApiKey;
use ottla_core::time::Instant;
use std::collections::VecDeque;

/// Of all clients of a broker.
#[derive(Debug, Default)]
pub(crate) struct ClientCounters(RefCell<ClientMetrics>);

/// The requests of one connection that the core has not answered, with the time each came.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// Number of the first entry.
    first: u64,
    /// `None`: answered.
    since: VecDeque<Option<(ApiKey, Instant)>>,
}

impl ClientCounters {
    /// Counts something.
    pub(crate) fn note(&self, count: impl FnOnce(&mut ClientMetrics)) {
        count(&mut self.0.borrow_mut());
    }

    /// A request goes to the core.
    pub(crate) fn asks(&self, asked: &mut Asked, request: &ClientRequest, since: Instant) {
        let (key, version) = (request.header.api_key, request.header.api_version);
        let is_served = served(key).is_some_and(|served| served.answers(version));
        self.note(|metrics| *metrics.requests.entry((key, if is_served { version } else { -1 })).or_default() += 1);
        asked.since.push_back(Some((key, since)));
    }

    /// Its answer is there.
    pub(crate) fn answered(&self, asked: &mut Asked, number: RequestNumber, now: Instant) {
        let place = number.0.checked_sub(asked.first).and_then(|place| usize::try_from(place).ok());
        let Some((key, since)) = place.and_then(|place| asked.since.get_mut(place)?.take()) else { return };
        self.note(|metrics| metrics.times.entry(key).or_default().record(now.since_us(since), seconds(now)));
        while let Some(None) = asked.since.front() {
            asked.since.pop_front();
            asked.first += 1;
        }
    }

    /// All of them.
    pub(crate) fn look(&self, now: Instant) -> ClientMetrics {
        let mut metrics = self.0.borrow().clone();
        metrics.times.values_mut().for_each(|times: &mut Timing| times.turn(seconds(now)));
        metrics
    }
}

impl Asked {
    /// How many there are.
    pub(crate) fn open(&self) -> usize {
        self.since.iter().flatten().count()
    }
}

fn seconds(now: Instant) -> u64 {
    now.0 / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use ottla_core::api::decode;

    /// An ApiVersions request of this version; a byte more than version 0 has is ignored.
    fn api_versions(version: u8) -> ClientRequest {
        decode(BytesMut::from(&[0, 18, 0, version, 0, 0, 0, 1, 0xff, 0xff, 0][..])).expect("answered in any version")
    }

    #[test]
    fn times_are_from_the_request_to_its_own_answer() {
        let counters = ClientCounters::default();
        let mut asked = Asked::default();
        for ms in [0, 10, 20] {
            counters.asks(&mut asked, &api_versions(0), Instant(0).plus_ms(ms));
        }
        counters.answered(&mut asked, RequestNumber(2), Instant(0).plus_ms(21));
        counters.answered(&mut asked, RequestNumber(0), Instant(0).plus_ms(100));
        assert_eq!((asked.open(), asked.first), (1, 1));
        counters.answered(&mut asked, RequestNumber(1), Instant(0).plus_ms(110));
        counters.answered(&mut asked, RequestNumber(1), Instant(0).plus_ms(999));
        let seen = counters.look(Instant(0).plus_ms(110));
        let times = &seen.times[&ApiKey::ApiVersions];
        assert_eq!((times.count(), times.sum_us(), asked.open(), asked.first), (3, 201_000, 0, 3));
    }

    #[test]
    fn versions_that_are_not_served_are_one() {
        let counters = ClientCounters::default();
        let mut asked = Asked::default();
        for version in [0, 50, 51, 52] {
            counters.asks(&mut asked, &api_versions(version), Instant(0));
        }
        let seen = counters.look(Instant(0)).requests;
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [((ApiKey::ApiVersions, -1), 3), ((ApiKey::ApiVersions, 0), 1)]);
    }
}
