//! Whose plugin runs next.
//!
//! Senders take turns, each with a bounded queue and a bounded number of runs at once, so that a sender with a slow
//! plugin or a flood of events delays its own events and nobody else's (D4). What finds no place stays in the table.

use std::collections::{HashMap, VecDeque};

use hookyard_domain::{EventId, SenderId};

use crate::store::HeldEvent;

/// Events a node holds for routing.
const PLACES: usize = 2_048;
/// Events one sender may hold.
const PLACES_PER_SENDER: usize = 512;
/// Payload bytes a node holds for routing.
const PAYLOAD_BYTES_MAX: usize = 64 * 1024 * 1024;

#[derive(Default)]
struct Waiting {
    events: VecDeque<HeldEvent>,
    /// Places taken: reserved, queued or running.
    places: usize,
    running: usize,
}

pub struct Queue {
    /// Runs of one sender at once.
    running_max: usize,
    held: HashMap<EventId, (SenderId, usize)>,
    payload_bytes: usize,
    senders: HashMap<SenderId, Waiting>,
    /// Senders with queued events, each once, in the order of their turns.
    turns: VecDeque<SenderId>,
    /// Something was left in the table for want of places.
    backlog: bool,
}

impl Queue {
    pub fn new(running_max: usize) -> Self {
        Self {
            running_max,
            held: HashMap::new(),
            payload_bytes: 0,
            senders: HashMap::new(),
            turns: VecDeque::new(),
            backlog: false,
        }
    }

    /// Takes a place for an event about to be committed. One event always fits, whatever its size.
    pub fn reserve(&mut self, sender: SenderId, event: EventId, payload_bytes: usize) -> bool {
        let fits = self.held.is_empty() || self.payload_bytes + payload_bytes <= PAYLOAD_BYTES_MAX;
        let places = self.senders.get(&sender).map_or(0, |waiting| waiting.places);
        if !fits || self.held.len() >= PLACES || places >= PLACES_PER_SENDER {
            self.backlog = true;
            return false;
        }
        self.take(sender, event, payload_bytes);
        true
    }

    /// Takes a place for an event that was claimed.
    pub fn take(&mut self, sender: SenderId, event: EventId, payload_bytes: usize) {
        if self.held.insert(event, (sender, payload_bytes)).is_none() {
            self.payload_bytes += payload_bytes;
            self.senders.entry(sender).or_default().places += 1;
        }
    }

    /// Whether the claimer should bring more.
    pub fn has_room(&self) -> bool {
        self.held.len() < PLACES / 2 && self.payload_bytes < PAYLOAD_BYTES_MAX / 2
    }

    pub fn push(&mut self, sender: SenderId, event: HeldEvent) {
        let waiting = self.senders.entry(sender).or_default();
        if waiting.events.is_empty() {
            self.turns.push_back(sender);
        }
        waiting.events.push_back(event);
    }

    /// The next event of the sender whose turn it is and that does not run as often as it may.
    pub fn next(&mut self) -> Option<HeldEvent> {
        for _ in 0..self.turns.len() {
            let sender = self.turns.pop_front()?;
            let Some(waiting) = self.senders.get_mut(&sender) else { continue };
            if waiting.running >= self.running_max {
                self.turns.push_back(sender);
                continue;
            }
            let event = waiting.events.pop_front();
            if !waiting.events.is_empty() {
                self.turns.push_back(sender);
            }
            if event.is_some() {
                waiting.running += 1;
                return event;
            }
        }
        None
    }

    /// Whether [`Queue::next`] would find an event. Looks past at most as many senders as there are runs.
    pub fn can_run(&self) -> bool {
        self.turns
            .iter()
            .any(|sender| self.senders.get(sender).is_some_and(|waiting| waiting.running < self.running_max))
    }

    /// A run of this sender has ended.
    pub fn ran(&mut self, sender: SenderId) {
        if let Some(waiting) = self.senders.get_mut(&sender) {
            waiting.running = waiting.running.saturating_sub(1);
        }
    }

    /// Frees an event's place. `true`: there is room again for what was left in the table.
    pub fn free(&mut self, event: EventId) -> bool {
        let Some((sender, payload_bytes)) = self.held.remove(&event) else {
            return false;
        };
        self.payload_bytes -= payload_bytes;
        if let Some(waiting) = self.senders.get_mut(&sender) {
            waiting.places -= 1;
            if waiting.places == 0 && waiting.running == 0 && waiting.events.is_empty() {
                self.senders.remove(&sender);
            }
        }
        self.has_room() && std::mem::take(&mut self.backlog)
    }

    pub fn holds(&self, event: EventId) -> bool {
        self.held.contains_key(&event)
    }

    /// Takes every queued event out, for a node that lost its leases.
    pub fn drain(&mut self) -> Vec<HeldEvent> {
        self.turns.clear();
        self.senders.values_mut().flat_map(|waiting| waiting.events.drain(..)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use hookyard_domain::{EnvironmentId, TenantId, Timestamp};
    use uuid::Uuid;

    use super::*;
    use crate::store::{Event, Source};

    fn sender(n: u128) -> SenderId {
        SenderId::from_uuid(Uuid::from_u128(n))
    }

    fn event(n: u128) -> HeldEvent {
        let event = Event {
            id: EventId::from_uuid(Uuid::from_u128(n)),
            tenant: TenantId::from_uuid(Uuid::nil()),
            environment: EnvironmentId::from_uuid(Uuid::nil()),
            source: Source::Sender(sender(0)),
            idempotency_key: None,
            event_type: String::new(),
            content_type: String::new(),
            headers: Vec::new(),
            payload: Bytes::new(),
            accepted_at: Timestamp::EPOCH,
        };
        HeldEvent {
            event: Arc::new(event),
            failures: 0,
            run: 1,
        }
    }

    fn number(event: &HeldEvent) -> u128 {
        event.event.id.as_uuid().as_u128()
    }

    #[test]
    fn senders_take_turns() {
        let mut queue = Queue::new(3);
        for n in 0..3 {
            queue.push(sender(1), event(10 + n));
        }
        queue.push(sender(2), event(20));
        let order: Vec<u128> = std::iter::from_fn(|| queue.next()).map(|event| number(&event)).collect();
        assert_eq!(order, [10, 20, 11, 12]);
    }

    #[test]
    fn a_sender_at_its_limit_is_stepped_over_until_a_run_ends() {
        let mut queue = Queue::new(1);
        queue.push(sender(1), event(10));
        queue.push(sender(1), event(11));
        queue.push(sender(2), event(20));
        assert_eq!(queue.next().map(|event| number(&event)), Some(10));
        assert!(queue.can_run());
        assert_eq!(queue.next().map(|event| number(&event)), Some(20));
        assert!(!queue.can_run());
        assert!(queue.next().is_none());
        queue.ran(sender(1));
        assert!(queue.can_run());
        assert_eq!(queue.next().map(|event| number(&event)), Some(11));
    }

    #[test]
    fn a_sender_takes_no_more_than_its_share() {
        let mut queue = Queue::new(1);
        let taken = (0..2_000)
            .filter(|n| queue.reserve(sender(1), EventId::from_uuid(Uuid::from_u128(*n)), 1))
            .count();
        assert_eq!(taken, PLACES_PER_SENDER);
        assert!(queue.reserve(sender(2), EventId::from_uuid(Uuid::from_u128(9_999)), 1));
    }

    #[test]
    fn payloads_are_bounded_but_one_always_fits() {
        let mut queue = Queue::new(1);
        let id = |n| EventId::from_uuid(Uuid::from_u128(n));
        assert!(queue.reserve(sender(1), id(1), 2 * PAYLOAD_BYTES_MAX));
        assert!(!queue.reserve(sender(1), id(2), 1));
        assert!(queue.free(id(1)), "room for what was left");
        assert!(queue.reserve(sender(1), id(2), 1));
    }
}
