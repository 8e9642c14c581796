//! Fan-out: chosen endpoints become delivery rows and, where memory has room, deliveries already on their way.
//!
//! Accept and route both end here, and hand over to deliver, without knowing each other: a stage knows the next only
//! through the traits of this file. (Each has one implementor; they exist for the arrow, not for variety.)

use std::sync::Arc;

use bytes::Bytes;
use hookyard_domain::{DeliveryId, EndpointId, EventId, SenderId, Timestamp};

use crate::configuration::Endpoint;
use crate::store::{Body, Event, HeldDelivery, HeldEvent, Leased, NewDelivery, Pairs};

/// Where committed deliveries go.
pub trait Deliveries: Send + Sync {
    /// Takes a place in memory for a delivery about to be committed. `false`: commit it unleased.
    fn reserve(&self, endpoint: EndpointId, delivery: DeliveryId) -> bool;
    /// Frees the place of a delivery that was not committed.
    fn forget(&self, endpoint: EndpointId, delivery: DeliveryId);
    /// Takes over a committed delivery that has a place. Never blocks.
    fn hand_over(&self, delivery: HeldDelivery);
    /// Deliveries were committed without a place, or for later: look at the table.
    fn look(&self);
}

/// Where committed events go whose plugin must decide.
pub trait Routing: Send + Sync {
    fn reserve(&self, sender: SenderId, event: EventId, payload_bytes: usize) -> bool;
    fn forget(&self, event: EventId);
    fn hand_over(&self, event: HeldEvent);
    fn look(&self);
}

/// One endpoint of a fan-out and what it gets.
pub struct Target<'a> {
    pub endpoint: &'a Arc<Endpoint>,
    /// Index of a plugin's content; none is the payload as received.
    pub content: Option<u32>,
    pub content_type: &'a str,
    pub body: &'a Bytes,
    pub headers: Pairs,
    pub due_at: Timestamp,
}

/// Deliveries between being planned and being committed.
#[derive(Default)]
pub struct FanOut {
    held: Vec<HeldDelivery>,
    unheld: bool,
}

impl FanOut {
    /// Plans the rows, taking a place for each delivery that is due now and finds one.
    pub fn plan<'a>(
        deliveries: &dyn Deliveries,
        event: &Event,
        targets: impl Iterator<Item = Target<'a>>,
        now: Timestamp,
    ) -> (Self, Vec<NewDelivery>) {
        let mut fan_out = Self::default();
        let rows = targets.map(|target| fan_out.add(deliveries, event, target, now)).collect();
        (fan_out, rows)
    }

    fn add(&mut self, deliveries: &dyn Deliveries, event: &Event, target: Target<'_>, now: Timestamp) -> NewDelivery {
        let endpoint = target.endpoint;
        let attempts_max = endpoint.tenant.attempts_max.get();
        let row = NewDelivery {
            id: DeliveryId::new_v7(now, rand::random()),
            endpoint: endpoint.id,
            content: target.content,
            headers: target.headers.clone(),
            attempts_max,
            body_bytes: target.body.len() as u64,
            due_at: target.due_at,
            leased: Leased::ToNobody,
        };
        if target.due_at > now || !deliveries.reserve(endpoint.id, row.id) {
            self.unheld = true;
            return row;
        }
        self.held.push(HeldDelivery {
            id: row.id,
            event: event.id,
            endpoint: endpoint.id,
            headers: target.headers,
            attempts: 0,
            attempts_max,
            attempts_before: 0,
            due_at: target.due_at,
            content_type: target.content_type.to_owned(),
            body_bytes: target.body.len() as u64,
            body: Body::Here(target.body.clone()),
            event_type: event.event_type.clone(),
            accepted_at: event.accepted_at,
        });
        NewDelivery {
            leased: Leased::ToUs,
            ..row
        }
    }

    /// The rows are on disk: hands over what has a place.
    pub fn committed(self, deliveries: &dyn Deliveries) {
        for delivery in self.held {
            deliveries.hand_over(delivery);
        }
        if self.unheld {
            deliveries.look();
        }
    }

    /// The rows were not written: frees their places.
    pub fn abandoned(self, deliveries: &dyn Deliveries) {
        for delivery in self.held {
            deliveries.forget(delivery.endpoint, delivery.id);
        }
    }
}
