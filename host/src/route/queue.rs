//! Whose plugin runs next.
//!
//! Senders take turns, each with a bounded queue and a bounded number of runs at once, so that a sender with a slow
//! plugin or a flood of events delays its own events and nobody else's (D4). What finds no place stays in the table,
//! where the claimer finds it; the queue says when there is room for it again. A sender whose plugin is left alone for a
//! while is stopped here: its events then stay in the table.

use std::collections::{HashMap, VecDeque};

use hookyard_domain::{EventId, SenderId, Timestamp};

use crate::store::HeldEvent;

/// Events a node holds for routing.
const PLACES: usize = 2_048;
/// Events one sender may hold.
const PLACES_PER_SENDER: usize = 512;
/// Events a sender may hold however full the queue is, so that a few slow ones never shut out the rest.
const PLACES_GUARANTEED: usize = 16;
/// Payload bytes a node holds for routing.
const PAYLOAD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Payload bytes one sender may hold, if it holds more than one event.
const PAYLOAD_BYTES_PER_SENDER: usize = PAYLOAD_BYTES_MAX / 4;
/// Payload bytes that go with a sender's guaranteed places: a thousand senders can hold as much again as the node.
const PAYLOAD_BYTES_GUARANTEED: usize = 64 * 1024;
/// Places the claimer may fill. The others are for events that are just being accepted, which then need no claim.
const PLACES_TO_CLAIM: usize = PLACES / 2;
/// Free places of the node at which the claimer is called again: fewer would make small claims of a large backlog.
const REFILL: usize = PLACES / 8;

/// An event in the queue.
pub struct Queued {
    pub held: HeldEvent,
    pub owner: Owner,
    /// Runs so far that used up their processor time. Known to this node only: a restart forgives one.
    pub overruns: u8,
}

/// What became of an event's sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// It is there, as far as is known.
    Sender,
    /// It was deleted, so nobody is left who could decide.
    Deleted,
}

#[derive(Default)]
struct Waiting {
    events: VecDeque<Queued>,
    /// Places taken: reserved, queued or running.
    places: usize,
    payload_bytes: usize,
    running: usize,
    /// Some of the sender's events were left in the table for want of room.
    left: bool,
}

impl Waiting {
    fn is_idle(&self) -> bool {
        self.places == 0 && self.running == 0 && self.events.is_empty()
    }

    fn share_is_used_up(&self) -> bool {
        self.places >= PLACES_PER_SENDER || self.payload_bytes >= PAYLOAD_BYTES_PER_SENDER
    }

    fn half_of_share_is_free(&self) -> bool {
        self.places <= PLACES_PER_SENDER / 2 && self.payload_bytes <= PAYLOAD_BYTES_PER_SENDER / 2
    }
}

/// Room for events of one sender that are in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// For so many, at least one.
    Places(usize),
    /// None now; [`Queue::free`] tells when there is.
    Full,
}

/// Whether the claimer has to search the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    Claimer,
    Nobody,
}

pub struct Queue {
    /// Runs of one sender at once.
    running_max: usize,
    held: HashMap<EventId, (SenderId, usize)>,
    payload_bytes: usize,
    senders: HashMap<SenderId, Waiting>,
    /// Senders with queued events, each once, in the order of their turns.
    turns: VecDeque<SenderId>,
    /// Senders that are stopped, and until when. As a rule none.
    stopped: HashMap<SenderId, Timestamp>,
    /// Something was left in the table because the node had no room.
    left: bool,
}

impl Queue {
    pub fn new(running_max: usize) -> Self {
        Self {
            running_max,
            held: HashMap::new(),
            payload_bytes: 0,
            senders: HashMap::new(),
            turns: VecDeque::new(),
            stopped: HashMap::new(),
            left: false,
        }
    }

    /// Takes a place for an event about to be committed, if there is one. One event always fits, whatever its size.
    pub fn reserve(&mut self, sender: SenderId, event: EventId, payload_bytes: usize, now: Timestamp) -> bool {
        if self.is_stopped(sender, now) {
            return false;
        }
        let (places, bytes) = self.taken(sender);
        let small = places < PLACES_GUARANTEED && bytes + payload_bytes <= PAYLOAD_BYTES_GUARANTEED;
        let of_sender = places == 0 || (places < PLACES_PER_SENDER && bytes + payload_bytes <= PAYLOAD_BYTES_PER_SENDER);
        let of_node = self.held.is_empty() || (self.held.len() < PLACES && self.payload_bytes + payload_bytes <= PAYLOAD_BYTES_MAX);
        if small || (of_sender && of_node) {
            self.take(sender, event, payload_bytes);
            return true;
        }
        self.leave(sender);
        false
    }

    /// Takes a place for an event that was claimed.
    pub fn take(&mut self, sender: SenderId, event: EventId, payload_bytes: usize) {
        if self.held.insert(event, (sender, payload_bytes)).is_none() {
            self.payload_bytes += payload_bytes;
            let waiting = self.senders.entry(sender).or_default();
            waiting.places += 1;
            waiting.payload_bytes += payload_bytes;
        }
    }

    /// Room for events of a sender that are in the table.
    pub fn room(&self, sender: SenderId) -> Room {
        let (places, bytes) = self.taken(sender);
        // A claim's size in bytes is known only afterwards, so it may begin while half of what is allowed is taken.
        if self.payload_bytes >= PAYLOAD_BYTES_MAX / 2 || bytes >= PAYLOAD_BYTES_PER_SENDER {
            return Room::Full;
        }
        let of_node = PLACES_TO_CLAIM.saturating_sub(self.held.len());
        let of_sender = PLACES_PER_SENDER.saturating_sub(places);
        match of_node.min(of_sender).max(PLACES_GUARANTEED.saturating_sub(places)) {
            0 => Room::Full,
            places => Room::Places(places),
        }
    }

    /// Notes that the table holds events of this sender for which there is no room now.
    pub fn leave(&mut self, sender: SenderId) {
        let waiting = self.senders.get_mut(&sender);
        // Room of the node is of no use to a sender that has used up its share.
        self.left |= !waiting.as_ref().is_some_and(|waiting| waiting.share_is_used_up());
        if let Some(waiting) = waiting {
            waiting.left = true;
        }
    }

    /// An event of this sender was committed without a place. The room it did not find may have come meanwhile.
    pub fn left_in_table(&mut self, sender: SenderId, now: Timestamp) -> Wake {
        if self.is_stopped(sender, now) {
            return Wake::Nobody;
        }
        match self.room(sender) {
            Room::Places(_) => Wake::Claimer,
            Room::Full => {
                self.leave(sender);
                Wake::Nobody
            }
        }
    }

    fn taken(&self, sender: SenderId) -> (usize, usize) {
        self.senders
            .get(&sender)
            .map_or((0, 0), |waiting| (waiting.places, waiting.payload_bytes))
    }

    pub fn push(&mut self, sender: SenderId, event: Queued) {
        let waiting = self.senders.entry(sender).or_default();
        if waiting.events.is_empty() {
            self.turns.push_back(sender);
        }
        waiting.events.push_back(event);
    }

    /// The next event of the sender whose turn it is and that does not run as often as it may.
    pub fn next(&mut self) -> Option<Queued> {
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

    /// Whether [`Queue::next`] would find an event. Steps over at most as many senders as there are runs.
    pub fn can_run(&self) -> bool {
        self.turns
            .iter()
            .any(|sender| self.senders.get(sender).is_some_and(|waiting| waiting.running < self.running_max))
    }

    /// A run of this sender has ended.
    pub fn ran(&mut self, sender: SenderId) {
        if let Some(waiting) = self.senders.get_mut(&sender) {
            waiting.running = waiting.running.saturating_sub(1);
            if waiting.is_idle() {
                self.senders.remove(&sender);
            }
        }
    }

    /// Frees an event's place. [`Wake::Claimer`]: there is room again for what was left in the table.
    pub fn free(&mut self, event: EventId) -> Wake {
        let Some((sender, payload_bytes)) = self.held.remove(&event) else {
            return Wake::Nobody;
        };
        self.payload_bytes -= payload_bytes;
        let node_has_room = self.held.len() + REFILL <= PLACES_TO_CLAIM && self.payload_bytes < PAYLOAD_BYTES_MAX / 2;
        let mut wake = Wake::Nobody;
        if let Some(waiting) = self.senders.get_mut(&sender) {
            waiting.places -= 1;
            waiting.payload_bytes -= payload_bytes;
            if waiting.left && (waiting.places == 0 || (node_has_room && waiting.half_of_share_is_free())) {
                waiting.left = false;
                wake = Wake::Claimer;
            }
            if waiting.is_idle() {
                self.senders.remove(&sender);
            }
        }
        if self.left && node_has_room {
            self.left = false;
            wake = Wake::Claimer;
        }
        wake
    }

    /// Places taken.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    pub fn holds(&self, event: EventId) -> bool {
        self.held.contains_key(&event)
    }

    /// Keeps a sender's events in the table until then, and takes out those that are queued. Their places are still
    /// taken.
    pub fn stop(&mut self, sender: SenderId, until: Timestamp) -> Vec<Queued> {
        self.stopped.insert(sender, until);
        self.turns.retain(|turn| *turn != sender);
        self.senders
            .get_mut(&sender)
            .map_or_else(Vec::new, |waiting| waiting.events.drain(..).collect())
    }

    /// Lets a sender's events in again. [`Wake::Claimer`]: it was stopped, so the table may hold some.
    pub fn resume(&mut self, sender: SenderId) -> Wake {
        match self.stopped.remove(&sender) {
            Some(_) => Wake::Claimer,
            None => Wake::Nobody,
        }
    }

    fn is_stopped(&self, sender: SenderId, now: Timestamp) -> bool {
        self.stopped.get(&sender).is_some_and(|until| now < *until)
    }

    /// Takes every queued event out, for a node that lost its leases.
    pub fn drain(&mut self) -> Vec<Queued> {
        self.turns.clear();
        self.senders.values_mut().flat_map(|waiting| waiting.events.drain(..)).collect()
    }
}

#[cfg(test)]
mod tests;
