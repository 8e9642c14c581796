//! The window: which deliveries this node holds in memory, and whose turn it is.
//!
//! The store is the queue; memory is only a window on it. A delivery takes a place before the commit that leases it to
//! this node, so handing it over afterwards cannot fail. When no place is left (the node's, or the endpoint's share)
//! the commit leaves the delivery to the table and the claimer fetches it when places are free. An endpoint's share
//! keeps a slow one from taking every place (D4).

use std::collections::{HashMap, HashSet, VecDeque};

use hookyard_domain::{
    DeliveryId, EndpointId, Timestamp,
    breaker::{Admit, Breaker, Settings, State},
};

use crate::store::HeldDelivery;

/// Deliveries a node holds. With bodies of at most 32 KiB each, 128 MiB at the very most.
pub const PLACES: usize = 4_096;
/// Places one endpoint may take: enough to keep its connections busy between two claims.
pub const PLACES_PER_ENDPOINT: usize = 1_024;
/// Places an endpoint may take however full the window is, so that a few slow ones never shut out the rest.
pub const PLACES_GUARANTEED: usize = 16;

#[derive(Default)]
struct Lane {
    queue: VecDeque<HeldDelivery>,
    /// Places taken: reserved, queued or in flight.
    places: usize,
    /// Workers at it.
    workers: u32,
    breaker: Option<Breaker>,
}

/// What an endpoint has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    Places(usize),
    /// Its breaker waits; ask again then.
    Blocked(Timestamp),
}

/// What a lane's worker should do next.
pub enum Next {
    Attempt(Box<HeldDelivery>),
    /// The breaker stands against these: give them back to the store.
    GiveBack(Vec<HeldDelivery>),
    /// Nothing to do: the worker has ended.
    Idle,
}

/// What an attempt says about its endpoint (D3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Success,
    Failure,
    OurFault,
}

/// What an attempt changed for its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It is left alone until then.
    Blocked {
        until: Timestamp,
    },
    Recovered,
}

#[derive(Default)]
pub struct Window {
    held: HashSet<DeliveryId>,
    lanes: HashMap<EndpointId, Lane>,
    /// Endpoints that have left work in the table for want of places.
    backlog: HashSet<EndpointId>,
}

impl Window {
    /// Takes a place for a delivery about to be committed. `false`: leave it to the table.
    pub fn reserve(&mut self, endpoint: EndpointId, delivery: DeliveryId, now: Timestamp) -> bool {
        match self.room(endpoint, now) {
            Room::Places(0) => {
                self.leave_backlog(endpoint);
                false
            }
            Room::Places(_) => {
                self.take(endpoint, delivery);
                true
            }
            Room::Blocked(_) => false,
        }
    }

    /// Takes a place for a delivery for which there is room.
    pub fn take(&mut self, endpoint: EndpointId, delivery: DeliveryId) {
        if self.held.insert(delivery) {
            self.lanes.entry(endpoint).or_default().places += 1;
        }
    }

    /// Notes that the table holds more for this endpoint than there is room for.
    pub fn leave_backlog(&mut self, endpoint: EndpointId) {
        self.backlog.insert(endpoint);
    }

    /// How many more deliveries of this endpoint may be held.
    pub fn room(&self, endpoint: EndpointId, now: Timestamp) -> Room {
        // At most half of what is free, so that the first few endpoints with a backlog do not take it all.
        let share = (PLACES.saturating_sub(self.held.len()) / 2).clamp(PLACES_GUARANTEED, PLACES_PER_ENDPOINT);
        let Some(lane) = self.lanes.get(&endpoint) else {
            return Room::Places(share);
        };
        match lane.breaker.as_ref().map(Breaker::state) {
            Some(State::Blocked { until }) if now < until => Room::Blocked(until),
            // One probe is enough; the rest would only be given back.
            Some(State::Blocked { .. } | State::Probing) => Room::Places(usize::from(lane.places == 0)),
            _ => Room::Places(share.saturating_sub(lane.places)),
        }
    }

    /// Queues a delivery that has a place. `true`: the caller must start a worker for the lane.
    pub fn hand_over(&mut self, delivery: HeldDelivery, concurrency_max: u32) -> bool {
        let lane = self.lanes.entry(delivery.endpoint).or_default();
        lane.queue.push_back(delivery);
        let start = lane.workers < concurrency_max;
        if start {
            lane.workers += 1;
        }
        start
    }

    /// The next step of a worker that [`Window::hand_over`] asked for.
    pub fn next(&mut self, endpoint: EndpointId, concurrency_max: u32, now: Timestamp, settings: Settings) -> Next {
        let Some(lane) = self.lanes.get_mut(&endpoint) else {
            return Next::Idle;
        };
        if lane.queue.is_empty() || lane.workers > concurrency_max {
            lane.workers -= 1;
            return Next::Idle;
        }
        let breaker = lane.breaker.get_or_insert_with(|| Breaker::new(settings));
        breaker.configure(settings);
        match breaker.admit(now) {
            Admit::Wait { .. } => Next::GiveBack(lane.queue.drain(..).collect()),
            Admit::Pass | Admit::Probe => lane
                .queue
                .pop_front()
                .map_or(Next::Idle, |delivery| Next::Attempt(Box::new(delivery))),
        }
    }

    /// Ends a worker and takes out all its endpoint has queued.
    pub fn retire(&mut self, endpoint: EndpointId) -> Vec<HeldDelivery> {
        let Some(lane) = self.lanes.get_mut(&endpoint) else {
            return Vec::new();
        };
        lane.workers = lane.workers.saturating_sub(1);
        lane.queue.drain(..).collect()
    }

    /// Reports how an attempt went, for the endpoint's breaker. Answers what that changes for the endpoint, if anything.
    pub fn report(&mut self, endpoint: EndpointId, verdict: Verdict, now: Timestamp) -> Option<Turn> {
        let breaker = self.lanes.get_mut(&endpoint)?.breaker.as_mut()?;
        let before = breaker.state();
        match verdict {
            Verdict::Success => breaker.on_success(),
            Verdict::Failure => breaker.on_failure(now),
            Verdict::OurFault => breaker.on_abandoned(),
        }
        match (before, breaker.state()) {
            // A probe that came to nothing for a reason of ours says nothing about the endpoint.
            (State::Passing { .. } | State::Probing, State::Blocked { until }) if verdict == Verdict::Failure => {
                Some(Turn::Blocked { until })
            }
            (State::Blocked { .. } | State::Probing, State::Passing { .. }) => Some(Turn::Recovered),
            _ => None,
        }
    }

    /// Frees the place of a delivery that is settled, given back, or was never committed. `true`: there is room again
    /// for work this endpoint left in the table.
    pub fn free(&mut self, endpoint: EndpointId, delivery: DeliveryId) -> bool {
        if !self.held.remove(&delivery) {
            return false;
        }
        let Some(lane) = self.lanes.get_mut(&endpoint) else { return false };
        lane.places = lane.places.saturating_sub(1);
        lane.places <= PLACES_PER_ENDPOINT / 2 && self.backlog.remove(&endpoint)
    }

    pub fn holds(&self, delivery: DeliveryId) -> bool {
        self.held.contains(&delivery)
    }

    /// Takes every queued delivery out, for a node that stops or lost its leases.
    pub fn drain(&mut self) -> Vec<HeldDelivery> {
        self.lanes.values_mut().flat_map(|lane| lane.queue.drain(..)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_000_000);

    fn endpoint(n: u128) -> EndpointId {
        EndpointId::from_uuid(Uuid::from_u128(n))
    }

    fn delivery(n: usize) -> DeliveryId {
        DeliveryId::from_uuid(Uuid::from_u128(n as u128))
    }

    #[test]
    fn an_endpoint_takes_no_more_than_its_share() {
        let mut window = Window::default();
        let taken = (0..PLACES).filter(|n| window.reserve(endpoint(1), delivery(*n), NOW)).count();
        assert_eq!(taken, PLACES_PER_ENDPOINT);
        assert_eq!(window.room(endpoint(2), NOW), Room::Places(PLACES_PER_ENDPOINT));
        assert!(window.reserve(endpoint(2), delivery(PLACES), NOW));
    }

    #[test]
    fn the_node_takes_its_places_and_a_few_for_each_endpoint() {
        let mut window = Window::default();
        let taken = (0..2 * PLACES)
            .filter(|n| window.reserve(endpoint((n % 16) as u128), delivery(*n), NOW))
            .count();
        assert!((PLACES / 2..=PLACES + 16 * PLACES_GUARANTEED).contains(&taken), "{taken}");
        assert_eq!(
            window.room(endpoint(99), NOW),
            Room::Places(PLACES_GUARANTEED.max((PLACES.saturating_sub(taken)) / 2))
        );
    }

    #[test]
    fn freeing_tells_once_when_left_work_can_be_fetched() {
        let mut window = Window::default();
        for n in 0..=PLACES_PER_ENDPOINT {
            window.reserve(endpoint(1), delivery(n), NOW);
        }
        let told: Vec<bool> = (0..PLACES_PER_ENDPOINT).map(|n| window.free(endpoint(1), delivery(n))).collect();
        assert_eq!(told.iter().filter(|told| **told).count(), 1);
        assert!(told[PLACES_PER_ENDPOINT / 2 - 1], "told when half of the share is free");
    }

    #[test]
    fn a_turn_of_an_endpoint_is_told_once() {
        let mut window = Window::default();
        window.take(endpoint(1), delivery(1));
        let settings = Settings {
            failures_to_block: 5,
            block_for: Duration::from_mins(5),
        };
        let admit = |window: &mut Window, now| {
            let lane = window.lanes.entry(endpoint(1)).or_default();
            lane.breaker.get_or_insert_with(|| Breaker::new(settings)).admit(now)
        };
        assert_eq!(admit(&mut window, NOW), Admit::Pass);
        let turns: Vec<_> = (0..6).map(|_| window.report(endpoint(1), Verdict::Failure, NOW)).collect();
        let until = NOW.plus(settings.block_for);
        assert_eq!(turns, [None, None, None, None, Some(Turn::Blocked { until }), None]);
        assert_eq!(admit(&mut window, until), Admit::Probe);
        assert_eq!(window.report(endpoint(1), Verdict::OurFault, until), None);
        assert_eq!(admit(&mut window, until), Admit::Probe);
        assert_eq!(window.report(endpoint(1), Verdict::Success, until), Some(Turn::Recovered));
        assert_eq!(window.report(endpoint(1), Verdict::Success, until), None);
    }

    #[test]
    fn a_place_is_freed_once() {
        let mut window = Window::default();
        assert!(window.reserve(endpoint(1), delivery(1), NOW));
        window.free(endpoint(1), delivery(1));
        window.free(endpoint(1), delivery(1));
        assert_eq!(window.room(endpoint(1), NOW), Room::Places(PLACES_PER_ENDPOINT));
        assert!(!window.holds(delivery(1)));
    }
}
