//! Fan-out: chosen endpoints become delivery rows and, where memory has room, deliveries already on their way.
//!
//! Accept and route both end here, and hand over to deliver, without knowing each other: a stage knows the next only
//! through the traits of this file. (Each has one implementor; they exist for the arrow, not for variety.)

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hookyard_domain::{DeliveryId, EndpointId, EventId, SenderId, Timestamp};

use crate::configuration::Endpoint;
use crate::store::{Body, Event, HeldDelivery, HeldEvent, Leased, NewContent, NewDelivery, Pairs};

/// Where committed deliveries go.
pub trait Deliveries: Send + Sync {
    /// Takes a place in memory for a delivery about to be committed. [`Leased::ToNobody`]: there is none; commit it so.
    fn reserve(&self, endpoint: EndpointId, delivery: DeliveryId) -> Leased;
    /// Frees the place of a delivery that was not committed.
    fn forget(&self, endpoint: EndpointId, delivery: DeliveryId);
    /// Takes over a committed delivery that has a place. Never blocks.
    fn hand_over(&self, delivery: HeldDelivery);
    /// Gives what waits in memory for an endpoint back to the table, where those that were cancelled stay so: no attempt is made
    /// of these.
    fn withdraw(&self, endpoint: EndpointId);
    /// A delivery of this endpoint was committed without a place, or for later: the table has it, due then.
    fn left_in_table(&self, endpoint: EndpointId, due_at: Timestamp);
}

/// Where committed events go whose plugin must decide.
pub trait Routing: Send + Sync {
    /// Takes a place in memory for an event about to be committed. [`Leased::ToNobody`]: there is none; commit it so.
    fn reserve(&self, sender: SenderId, event: EventId, payload_bytes: usize) -> Leased;
    /// Frees the place of an event that was not committed.
    fn forget(&self, event: EventId);
    /// Takes over a committed event that has a place. Never blocks.
    fn hand_over(&self, event: HeldEvent);
    /// Events of this sender were committed without a place: the table has to be searched for them.
    fn left_in_table(&self, sender: SenderId);
}

/// Which bytes a delivery sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// The event's, as received.
    Received,
    /// One of the decision's contents, by its index.
    Content(u32),
}

/// One endpoint of a fan-out and what it gets.
pub struct Target {
    pub endpoint: Arc<Endpoint>,
    pub payload: Payload,
    pub headers: Pairs,
    /// Wait before the first attempt.
    pub delay: Duration,
}

/// A fan-out being planned.
pub struct Planning<'a> {
    deliveries: &'a dyn Deliveries,
    event: &'a Event,
    contents: &'a [NewContent],
    now: Timestamp,
    fan_out: FanOut,
}

/// Deliveries between being planned and being committed.
#[derive(Default)]
pub struct FanOut {
    held: Vec<HeldDelivery>,
    /// Whose deliveries are left to the table, for want of a place or because they are due later, and when they are due.
    left: Vec<(EndpointId, Timestamp)>,
}

impl FanOut {
    /// Begins to plan, at `now`.
    pub fn planning<'a>(deliveries: &'a dyn Deliveries, event: &'a Event, contents: &'a [NewContent], now: Timestamp) -> Planning<'a> {
        Planning {
            deliveries,
            event,
            contents,
            now,
            fan_out: Self::default(),
        }
    }

    /// The rows are on disk: hands over what has a place.
    pub fn committed(self, deliveries: &dyn Deliveries) {
        for delivery in self.held {
            deliveries.hand_over(delivery);
        }
        for (endpoint, due_at) in self.left {
            deliveries.left_in_table(endpoint, due_at);
        }
    }

    /// The rows were not written: frees their places.
    pub fn abandoned(self, deliveries: &dyn Deliveries) {
        for delivery in self.held {
            deliveries.forget(delivery.endpoint, delivery.id);
        }
    }
}

impl<'a> Planning<'a> {
    /// Plans one row, taking a place for it if it is due now and there is one.
    pub fn add(&mut self, target: Target) -> NewDelivery {
        let (event, now, endpoint) = (self.event, self.now, &target.endpoint);
        let (content, content_type, body) = self.payload(target.payload);
        let attempts_max = endpoint.attempts_max().get();
        let due_at = now.plus(target.delay);
        let row = NewDelivery {
            id: DeliveryId::new_v7(now, rand::random()),
            endpoint: endpoint.id,
            content,
            headers: target.headers,
            attempts_max,
            body_bytes: body.len() as u64,
            due_at,
            leased: Leased::ToNobody,
        };
        let due_now = target.delay.is_zero();
        if !due_now || self.deliveries.reserve(endpoint.id, row.id) == Leased::ToNobody {
            self.fan_out.left.push((endpoint.id, due_at));
            return row;
        }
        self.fan_out.held.push(HeldDelivery {
            id: row.id,
            event: event.id,
            endpoint: endpoint.id,
            headers: row.headers.clone(),
            attempts: 0,
            attempts_max,
            attempts_before: 0,
            due_at,
            content_type: content_type.to_owned(),
            body_bytes: row.body_bytes,
            body: Body::Here(body.clone()),
            event_type: event.event_type.clone(),
            accepted_at: event.accepted_at,
        });
        NewDelivery {
            leased: Leased::ToUs,
            ..row
        }
    }

    /// The plan, ready to be committed.
    pub fn planned(self) -> FanOut {
        self.fan_out
    }

    fn payload(&self, payload: Payload) -> (Option<u32>, &'a str, &'a Bytes) {
        match payload {
            Payload::Received => (None, &self.event.content_type, &self.event.payload),
            Payload::Content(index) => {
                let content = &self.contents[index as usize];
                (Some(index), &content.content_type, &content.body)
            }
        }
    }
}
