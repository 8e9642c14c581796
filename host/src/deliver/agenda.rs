//! The agenda: which endpoints to ask the table for, and when.
//!
//! Whoever leaves work in the table notes it here, so that the claimer asks for the endpoints that have something due
//! and for no other. It is a hint, kept in memory and lost without harm: a look through the whole table, now and then,
//! finds what nobody noted.

use std::collections::{BTreeSet, HashMap};

use hookyard_domain::{EndpointId, Timestamp};

/// Whether a note comes before all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    First,
    Later,
}

#[derive(Default)]
pub struct Agenda {
    times: HashMap<EndpointId, Timestamp>,
    order: BTreeSet<(Timestamp, EndpointId)>,
}

impl Agenda {
    /// Notes that the endpoint is to be asked for at this moment, or before it if that was noted already.
    pub fn note(&mut self, endpoint: EndpointId, at: Timestamp) -> Noted {
        if let Some(noted) = self.times.get_mut(&endpoint) {
            if *noted <= at {
                return Noted::Later;
            }
            self.order.remove(&(*noted, endpoint));
            *noted = at;
        } else {
            self.times.insert(endpoint, at);
        }
        self.order.insert((at, endpoint));
        match self.order.first() {
            Some((_, first)) if *first == endpoint => Noted::First,
            _ => Noted::Later,
        }
    }

    /// Takes off the first endpoint whose time has come.
    pub fn take_due(&mut self, now: Timestamp) -> Option<EndpointId> {
        let (at, endpoint) = *self.order.first()?;
        if at > now {
            return None;
        }
        self.order.pop_first();
        self.times.remove(&endpoint);
        Some(endpoint)
    }

    /// When the next endpoint is to be asked for.
    pub fn next(&self) -> Option<Timestamp> {
        self.order.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn endpoint(n: u128) -> EndpointId {
        EndpointId::from_uuid(Uuid::from_u128(n))
    }

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    /// The claimer once asked for every endpoint with waiting work each time it woke, due or not.
    #[test]
    fn only_endpoints_with_due_work_come_and_each_once() {
        let mut agenda = Agenda::default();
        assert_eq!(agenda.note(endpoint(1), at(50)), Noted::First);
        assert_eq!(agenda.note(endpoint(2), at(20)), Noted::First);
        assert_eq!(agenda.note(endpoint(3), at(90)), Noted::Later);
        assert_eq!(agenda.note(endpoint(1), at(70)), Noted::Later, "the earlier time stays");
        assert_eq!(agenda.next(), Some(at(20)));
        let due: Vec<_> = std::iter::from_fn(|| agenda.take_due(at(60))).collect();
        assert_eq!(due, [endpoint(2), endpoint(1)]);
        assert_eq!(agenda.next(), Some(at(90)));
        assert_eq!(agenda.note(endpoint(3), at(10)), Noted::First, "brought forward");
        assert_eq!(agenda.take_due(at(10)), Some(endpoint(3)));
        assert_eq!((agenda.take_due(at(1_000)), agenda.next()), (None, None));
    }
}
