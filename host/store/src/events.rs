//! An event's own path through the store: what the stages hand in and ask for, each a write of a commit lane.

use std::sync::Arc;

use hookyard_domain::{DeliveryId, EndpointId, EventId, SenderId, Timestamp};
use tokio::sync::{mpsc, oneshot};

use super::{
    Store,
    error::Error,
    record::{
        Accepted, CLAIM_BYTES_MAX, DecideOutcome, Decided, Event, HeldDelivery, HeldEvent, IdempotencyClaim, Placement, Postponed, Settle,
        SettleOutcome,
    },
    write::{ClaimDeliveries, ClaimEvents, Done, Write},
};

impl Store {
    /// Writes an accepted event, with its decision where that needs no plugin. `done` runs once it is on disk (A1).
    ///
    /// Never waits for room: a full queue is the caller's backpressure, answered as [`Error::Busy`].
    pub fn accept(&self, event: Arc<Event>, claim: Option<IdempotencyClaim>, placement: Placement, done: Done<Accepted>) {
        let write = Write::Accept {
            event,
            claim,
            placement,
            done,
        };
        match self.lanes() {
            Ok(lanes) => match lanes.accept.try_send(write) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(write)) => write.fail(Error::Busy),
                Err(mpsc::error::TrySendError::Closed(write)) => write.fail(Error::Closed),
            },
            Err(error) => write.fail(error),
        }
    }

    /// Writes a decision and its deliveries together (R1), as the event's decision number `run`. Blocks while the lane is
    /// full, in writes or in bytes: for the routing threads, not for async code.
    pub fn decide(&self, event: Arc<Event>, run: u32, decided: Decided, done: Done<DecideOutcome>) {
        let share = self.memory.take(decided.memory_bytes());
        self.send_blocking(Write::Decide {
            event,
            run,
            decided,
            share,
            done,
        });
    }

    /// Gives pending events back, to be routed later, in one commit. Blocks as [`Store::decide`] does.
    pub fn postpone(&self, events: Vec<Postponed>, done: Done<()>) {
        self.send_blocking(Write::Postpone { events, done });
    }

    fn send_blocking(&self, write: Write) {
        match self.lanes() {
            Ok(lanes) => {
                if let Err(mpsc::error::SendError(write)) = lanes.route.blocking_send(write) {
                    write.fail(Error::Closed);
                }
            }
            Err(error) => write.fail(error),
        }
    }

    /// Writes the outcome of an attempt. Keeps trying while the database is away; `done` gets an error only when the
    /// store closes or the database refuses the row.
    pub async fn settle(&self, settle: Settle, done: Done<SettleOutcome>) {
        let write = Write::Settle { settle, done };
        match self.lanes() {
            Ok(lanes) => {
                if let Err(mpsc::error::SendError(write)) = lanes.settle.send(write).await {
                    write.fail(Error::Closed);
                }
            }
            Err(error) => write.fail(error),
        }
    }

    /// Leases due deliveries of one endpoint to this node, oldest first. Bodies come along for as long as their sum stays
    /// within `body_bytes_max`; the others stay in the store until their attempt.
    pub async fn claim_deliveries(
        &self,
        endpoint: EndpointId,
        due_by: Timestamp,
        rows_max: u32,
        body_bytes_max: u64,
    ) -> Result<Vec<HeldDelivery>, Error> {
        let claim = ClaimDeliveries {
            endpoint,
            due_by,
            rows_max,
            body_bytes_max: body_bytes_max.min(CLAIM_BYTES_MAX),
        };
        ask(&self.lanes()?.route, |done| Write::ClaimDeliveries { claim, done }).await
    }

    /// Leases a sender's events to this node: those held under a revision below `held_below`, then those that are pending
    /// and due, each in the order they were accepted.
    pub async fn claim_events(&self, sender: SenderId, due_by: Timestamp, held_below: i64, rows_max: u32) -> Result<Vec<HeldEvent>, Error> {
        let claim = ClaimEvents {
            sender,
            due_by,
            held_below,
            rows_max,
            payload_bytes_max: CLAIM_BYTES_MAX,
        };
        ask(&self.lanes()?.route, |done| Write::ClaimEvents { claim, done }).await
    }

    /// Gives held deliveries back to the table, unattempted, in one commit.
    pub async fn release_deliveries(&self, deliveries: &[DeliveryId]) -> Result<(), Error> {
        if deliveries.is_empty() {
            return Ok(());
        }
        let deliveries = deliveries.to_vec();
        ask(&self.lanes()?.route, |done| Write::ReleaseDeliveries { deliveries, done }).await
    }

    /// Gives held events back to the table, undecided, in one commit.
    pub async fn release_events(&self, events: &[EventId]) -> Result<(), Error> {
        if events.is_empty() {
            return Ok(());
        }
        let events = events.to_vec();
        ask(&self.lanes()?.route, |done| Write::ReleaseEvents { events, done }).await
    }
}

/// Sends a write and waits for its outcome.
async fn ask<T: Send + 'static>(lane: &mpsc::Sender<Write>, write: impl FnOnce(Done<T>) -> Write) -> Result<T, Error> {
    let (answer, answered) = oneshot::channel();
    let done: Done<T> = Box::new(move |outcome| drop(answer.send(outcome)));
    lane.send(write(done)).await.map_err(|_| Error::Closed)?;
    answered.await.unwrap_or(Err(Error::Closed))
}
