//! The window: which deliveries this node holds in memory, and whose turn it is.
//!
//! The store is the queue; memory is only a window on it. A delivery takes a place before the commit that leases it to
//! this node, so handing it over afterwards cannot fail. When no place is left the commit leaves the delivery to the
//! table and the claimer fetches it when places are free. A body waits in memory with its delivery while there is room
//! for its bytes, and is read from the store otherwise.
//!
//! Attempts are made by workers, each one attempt at a time, so the number of workers bounds the attempts in flight. An
//! endpoint that may have no further worker now waits for one, and whoever waits comes before a worker goes on: when the
//! node is full its workers go round among the endpoints, one attempt each. Places, bytes and workers are all shared by
//! the rules of [`super::share`].

mod queue;

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use hookyard_domain::{
    DeliveryId, EndpointId, Timestamp,
    breaker::{Admit, Breaker, Settings, State, Verdict},
};

use self::queue::{InLine, Lines, Queue};
use super::{
    sending::{SMALL_BODY_BYTES, Sending, Share},
    share::{Pool, Standing},
};
use crate::store::{Body, BreakerRow, HeldDelivery, Leased};

/// Deliveries a node holds: some seconds of work for most nodes. Without its body one takes about 300 bytes.
pub const PLACES: usize = 4_096;
/// Places a quick endpoint may take however full the window is: enough to keep its connections busy between two claims,
/// and soon free again.
const PLACES_GUARANTEED_QUICK: usize = 16;
/// The same for every other endpoint: one in flight and one to follow, so that 10,000 hanging endpoints hold 20,000
/// deliveries and not 160,000.
const PLACES_GUARANTEED: usize = 2;
/// Bytes of bodies that wait in memory: every place's, where the average is 32 KiB.
pub const WAITING_BODY_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Attempts in flight. Each has a connection of up to 100 KiB, so 200 MiB; and with one file handle each they fit into
/// what a process gets where limits are as low as 4,096.
pub const ATTEMPTS_AT_ONCE_MAX: usize = 2_048;

/// Of a breaker that the last run left, until its endpoint's own settings are asked for at its probe.
const SETTINGS_UNTIL_KNOWN: Settings = Settings {
    failures_to_block: 1,
    block_for: Duration::from_mins(5),
};

/// What an endpoint has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    Places(usize),
    /// Its breaker waits; ask again then.
    Blocked(Timestamp),
}

/// Where a worker comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worker {
    JustStarted,
    BackFromAnAttempt,
}

/// What a worker should do next. After anything but an attempt it is at its end.
pub enum Next {
    Attempt(Box<Picked>),
    /// No attempt is to be made now: give these back to the store.
    GiveBack(Vec<HeldDelivery>),
    Nothing,
}

/// A delivery to try, with its body taken out.
pub struct Picked {
    pub delivery: HeldDelivery,
    pub body: Body,
    /// The bytes of a large body.
    pub share: Option<Share>,
    /// How the breaker let it in, to be reported with its end.
    pub admitted: Admit,
}

/// What an attempt changed for its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became {
    /// It is left alone until then; `since` is when that began.
    Blocked {
        since: Timestamp,
        until: Timestamp,
    },
    Working,
}

/// What the window holds, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Census {
    /// Deliveries with a place.
    pub held: usize,
    /// Workers, each with one attempt.
    pub in_flight: usize,
    /// Endpoints by their breakers.
    pub passing: usize,
    pub blocked: usize,
    pub probing: usize,
}

/// Whether the table may now be asked for more of an endpoint's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableHolds {
    MoreToFetch,
    NothingKnown,
}

pub struct Window {
    held: HashSet<DeliveryId>,
    queues: HashMap<EndpointId, Queue>,
    places: Pool,
    bodies: Pool,
    workers: Pool,
    sending: Sending,
    for_worker: Lines,
    for_bytes: Lines,
}

impl Window {
    /// An empty window that knows which endpoints were being left alone.
    pub fn new(sending: Sending, blocked: &[BreakerRow]) -> Self {
        let mut window = Self {
            held: HashSet::new(),
            queues: HashMap::new(),
            places: Pool::new(PLACES),
            bodies: Pool::new(WAITING_BODY_BYTES_MAX),
            workers: Pool::new(ATTEMPTS_AT_ONCE_MAX),
            sending,
            for_worker: Lines::default(),
            for_bytes: Lines::default(),
        };
        for row in blocked {
            let queue = window.queues.entry(row.endpoint).or_default();
            queue.breaker = Some(Breaker::blocked(SETTINGS_UNTIL_KNOWN, row.blocked_until));
            queue.blocked_since = Some(row.opened_at);
        }
        window
    }

    // -- places -----------------------------------------------------------------------------------------------------

    /// Takes a place for a delivery about to be committed, if there is one.
    pub fn reserve(&mut self, endpoint: EndpointId, delivery: DeliveryId, now: Timestamp) -> Leased {
        match self.room(endpoint, now) {
            Room::Places(places) if places > 0 => {
                self.take(endpoint, delivery);
                Leased::ToUs
            }
            Room::Places(_) | Room::Blocked(_) => Leased::ToNobody,
        }
    }

    /// Takes a place for a delivery for which there is room.
    pub fn take(&mut self, endpoint: EndpointId, delivery: DeliveryId) {
        if self.held.insert(delivery) {
            let queue = self.queues.entry(endpoint).or_default();
            queue.places += 1;
            self.places.take(queue.standing(), 1);
        }
    }

    /// Notes that the table holds more for this endpoint than there is room for.
    pub fn leave_backlog(&mut self, endpoint: EndpointId) {
        self.queues.entry(endpoint).or_default().backlog = true;
    }

    /// How many more deliveries of this endpoint may be held.
    pub fn room(&self, endpoint: EndpointId, now: Timestamp) -> Room {
        let Some(queue) = self.queues.get(&endpoint) else {
            return Room::Places(self.places.room(Standing::Unknown, 0).max(PLACES_GUARANTEED));
        };
        match queue.breaker.as_ref().map(Breaker::state) {
            Some(State::Blocked { until }) if now < until => Room::Blocked(until),
            // One probe is enough; the rest would only be given back.
            Some(State::Blocked { .. } | State::Probing) => Room::Places(usize::from(queue.places == 0)),
            _ => {
                let guaranteed = match queue.standing() {
                    Standing::Quick => PLACES_GUARANTEED_QUICK,
                    Standing::Unknown | Standing::Slow => PLACES_GUARANTEED,
                };
                let shared = self.places.room(queue.standing(), queue.places);
                Room::Places(shared.max(guaranteed.saturating_sub(queue.places)))
            }
        }
    }

    /// How many bytes of further bodies of this endpoint may wait in memory.
    pub fn room_for_bodies(&self, endpoint: EndpointId) -> usize {
        let queue = self.queues.get(&endpoint);
        let (standing, own) = queue.map_or_else(Default::default, |queue| (queue.standing(), queue.body_bytes));
        self.bodies.room(standing, own)
    }

    /// Frees the place of a delivery that is settled, given back, or was never committed.
    pub fn free(&mut self, endpoint: EndpointId, delivery: DeliveryId, now: Timestamp) -> TableHolds {
        if !self.held.remove(&delivery) {
            return TableHolds::NothingKnown;
        }
        let Some(queue) = self.queues.get_mut(&endpoint) else {
            return TableHolds::NothingKnown;
        };
        queue.places = queue.places.saturating_sub(1);
        let places = queue.places;
        self.places.give_back(queue.standing(), 1);
        // Not before half of its share is free: a claim for one or two costs as much as one for many.
        let half_free = matches!(self.room(endpoint, now), Room::Places(room) if room > 0 && room >= places);
        match self.queues.get_mut(&endpoint) {
            Some(queue) if half_free && queue.backlog => {
                queue.backlog = false;
                TableHolds::MoreToFetch
            }
            _ => TableHolds::NothingKnown,
        }
    }

    pub fn holds(&self, delivery: DeliveryId) -> bool {
        self.held.contains(&delivery)
    }

    pub fn census(&self) -> Census {
        let mut census = Census {
            held: self.held.len(),
            ..Census::default()
        };
        for queue in self.queues.values() {
            census.in_flight += queue.workers;
            match queue.breaker.as_ref().map(Breaker::state) {
                Some(State::Passing { .. }) => census.passing += 1,
                Some(State::Blocked { .. }) => census.blocked += 1,
                Some(State::Probing) => census.probing += 1,
                None => {}
            }
        }
        census
    }

    /// Takes out all that waits for one endpoint. The places are to be freed.
    pub fn withdraw(&mut self, endpoint: EndpointId) -> Vec<HeldDelivery> {
        self.empty(endpoint)
    }

    /// Takes every waiting delivery out, for a node that lost its leases.
    pub fn drain(&mut self) -> Vec<HeldDelivery> {
        let endpoints: Vec<_> = self.queues.keys().copied().collect();
        endpoints.into_iter().flat_map(|endpoint| self.empty(endpoint)).collect()
    }

    // -- workers ----------------------------------------------------------------------------------------------------

    /// Lines up a delivery that has a place. Call [`Window::start_next`] afterwards.
    pub fn hand_over(&mut self, mut delivery: HeldDelivery, concurrency_max: u32) {
        let endpoint = delivery.endpoint;
        let queue = self.queues.entry(endpoint).or_default();
        queue.concurrency_max = concurrency_max as usize;
        if let Body::Here(body) = &delivery.body {
            if body.len() <= self.bodies.room(queue.standing(), queue.body_bytes) {
                self.bodies.take(queue.standing(), body.len());
                queue.body_bytes += body.len();
            } else {
                delivery.body = Body::Stored;
            }
        }
        queue.waiting.push_back(delivery);
        self.line_up_for_worker(endpoint);
    }

    /// The next endpoint for which the caller must start a worker now. Ask until there is none.
    pub fn start_next(&mut self) -> Option<EndpointId> {
        let mut next = 0;
        while let Some(&standing) = Standing::ALL.get(next) {
            let Some(endpoint) = self.for_worker.of(standing).pop_front() else {
                next += 1;
                continue;
            };
            let Some(queue) = self.queues.get_mut(&endpoint) else { continue };
            queue.line = InLine::No;
            if queue.standing() != standing {
                // It stood in line for so long that it is known better now; perhaps it comes first for that.
                self.line_up_for_worker(endpoint);
                next = 0;
                continue;
            }
            if !queue.has_work_for_another_worker() {
                continue;
            }
            if self.workers.free(standing) == 0 {
                queue.line = InLine::ForWorker;
                self.for_worker.of(standing).push_front(endpoint);
                next += 1;
                continue;
            }
            // The first is not measured by the share. Who has some lines up again when one of them is back.
            if queue.workers > 0 && self.workers.room(standing, queue.workers) == 0 {
                continue;
            }
            self.workers.take(standing, 1);
            queue.workers += 1;
            queue.starting += 1;
            self.line_up_for_worker(endpoint);
            return Some(endpoint);
        }
        None
    }

    /// The next step of a worker that [`Window::start_next`] asked for. Call that afterwards.
    pub fn next(&mut self, endpoint: EndpointId, worker: Worker, concurrency_max: u32, now: Timestamp, settings: Settings) -> Next {
        let Some(queue) = self.queues.get_mut(&endpoint) else {
            return Next::Nothing;
        };
        queue.concurrency_max = concurrency_max as usize;
        if worker == Worker::JustStarted {
            queue.starting = queue.starting.saturating_sub(1);
        } else {
            let standing = queue.standing();
            self.end_worker(endpoint);
            if self.another_waits_for_a_worker() || !self.may_go_on(endpoint, standing) {
                self.line_up_for_worker(endpoint);
                return Next::Nothing;
            }
            self.workers.take(standing, 1);
            self.queues.entry(endpoint).or_default().workers += 1;
        }
        self.pick(endpoint, now, settings)
    }

    /// Ends a worker and takes out all its endpoint has waiting.
    pub fn retire(&mut self, endpoint: EndpointId, worker: Worker) -> Vec<HeldDelivery> {
        if let (Worker::JustStarted, Some(queue)) = (worker, self.queues.get_mut(&endpoint)) {
            queue.starting = queue.starting.saturating_sub(1);
        }
        self.end_worker(endpoint);
        self.empty(endpoint)
    }

    /// Bytes of large bodies came back: gives them to who has waited longest. Call [`Window::start_next`] afterwards.
    pub fn share_bytes(&mut self) {
        for standing in Standing::ALL {
            while let Some(endpoint) = self.for_bytes.of(standing).pop_front() {
                let Some(queue) = self.queues.get_mut(&endpoint) else { continue };
                if let Some(first) = queue.waiting.front().filter(|first| is_large(first)) {
                    queue.share = self.sending.take(endpoint, queue.standing(), length(first));
                    if queue.share.is_none() {
                        self.for_bytes.of(standing).push_front(endpoint);
                        break;
                    }
                }
                queue.line = InLine::No;
                self.line_up_for_worker(endpoint);
            }
        }
    }

    fn pick(&mut self, endpoint: EndpointId, now: Timestamp, settings: Settings) -> Next {
        let Some(queue) = self.queues.get_mut(&endpoint) else {
            return Next::Nothing;
        };
        let standing = queue.standing();
        let Some(first) = queue.waiting.front() else {
            self.end_worker(endpoint);
            return Next::Nothing;
        };
        let mut share = None;
        if is_large(first) {
            share = queue.share.take();
            if share.is_none() && self.for_bytes.is_empty(standing) {
                share = self.sending.take(endpoint, standing, length(first));
            }
            if share.is_none() {
                if queue.line == InLine::No {
                    queue.line = InLine::ForBytes;
                    self.for_bytes.of(standing).push_back(endpoint);
                }
                self.end_worker(endpoint);
                return Next::Nothing;
            }
        }
        let breaker = queue.breaker.get_or_insert_with(|| Breaker::new(settings));
        breaker.configure(settings);
        let admitted = breaker.admit(now);
        if let Admit::Wait { .. } = admitted {
            self.end_worker(endpoint);
            return Next::GiveBack(self.empty(endpoint));
        }
        let Some(mut delivery) = queue.waiting.pop_front() else {
            return Next::Nothing;
        };
        let body = std::mem::replace(&mut delivery.body, Body::Stored);
        if let Body::Here(bytes) = &body {
            queue.body_bytes = queue.body_bytes.saturating_sub(bytes.len());
            self.bodies.give_back(standing, bytes.len());
        }
        self.line_up_for_worker(endpoint);
        Next::Attempt(Box::new(Picked {
            delivery,
            body,
            share,
            admitted,
        }))
    }

    fn line_up_for_worker(&mut self, endpoint: EndpointId) {
        if let Some(queue) = self.queues.get_mut(&endpoint)
            && queue.line == InLine::No
            && queue.has_work_for_another_worker()
        {
            queue.line = InLine::ForWorker;
            self.for_worker.of(queue.standing()).push_back(endpoint);
        }
    }

    fn another_waits_for_a_worker(&self) -> bool {
        let could_start = |standing| !self.for_worker.is_empty(standing) && self.workers.free(standing) > 0;
        Standing::ALL.into_iter().any(could_start)
    }

    fn may_go_on(&self, endpoint: EndpointId, standing: Standing) -> bool {
        self.queues.get(&endpoint).is_some_and(|queue| {
            let within_share = queue.workers == 0 || self.workers.room(standing, queue.workers) > 0;
            queue.workers < queue.concurrency_max && self.workers.free(standing) > 0 && within_share
        })
    }

    fn end_worker(&mut self, endpoint: EndpointId) {
        if let Some(queue) = self.queues.get_mut(&endpoint) {
            queue.workers = queue.workers.saturating_sub(1);
            self.workers.give_back(queue.standing(), 1);
        }
    }

    fn empty(&mut self, endpoint: EndpointId) -> Vec<HeldDelivery> {
        let Some(queue) = self.queues.get_mut(&endpoint) else {
            return Vec::new();
        };
        self.bodies.give_back(queue.standing(), std::mem::take(&mut queue.body_bytes));
        queue.share = None;
        queue.waiting.drain(..).collect()
    }

    // -- what attempts tell -----------------------------------------------------------------------------------------

    /// An attempt in flight has lasted long.
    pub fn attempt_lasts(&mut self, endpoint: EndpointId) {
        self.change_standing(endpoint, |queue| queue.slow_attempts += 1);
    }

    /// An attempt has ended; `standing` is what it alone makes of its endpoint.
    pub fn attempt_ended(&mut self, endpoint: EndpointId, standing: Standing) {
        self.change_standing(endpoint, |queue| {
            if standing == Standing::Slow {
                queue.slow_attempts = queue.slow_attempts.saturating_sub(1);
            }
            queue.last = standing;
        });
    }

    fn change_standing(&mut self, endpoint: EndpointId, change: impl FnOnce(&mut Queue)) {
        let Some(queue) = self.queues.get_mut(&endpoint) else { return };
        let before = queue.standing();
        change(queue);
        let after = queue.standing();
        if before != after {
            self.places.move_over(before, after, queue.places);
            self.bodies.move_over(before, after, queue.body_bytes);
            self.workers.move_over(before, after, queue.workers);
        }
    }

    /// Reports how an attempt went, for the endpoint's breaker. Answers what that changes for the endpoint, if anything.
    pub fn report(&mut self, endpoint: EndpointId, admitted: Admit, verdict: Verdict, now: Timestamp) -> Option<Became> {
        let queue = self.queues.get_mut(&endpoint)?;
        let breaker = queue.breaker.as_mut()?;
        let before = breaker.state();
        breaker.report(admitted, verdict, now);
        match (before, breaker.state()) {
            // A probe that came to nothing for a reason of ours says nothing about the endpoint.
            (State::Passing { .. } | State::Probing, State::Blocked { until }) if verdict == Verdict::Fails => {
                let since = *queue.blocked_since.get_or_insert(now);
                Some(Became::Blocked { since, until })
            }
            (State::Blocked { .. } | State::Probing, State::Passing { .. }) => {
                queue.blocked_since = None;
                Some(Became::Working)
            }
            _ => None,
        }
    }
}

/// Whether the body takes its bytes from [`Sending`].
fn is_large(delivery: &HeldDelivery) -> bool {
    length(delivery) > SMALL_BODY_BYTES
}

fn length(delivery: &HeldDelivery) -> usize {
    usize::try_from(delivery.body_bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
