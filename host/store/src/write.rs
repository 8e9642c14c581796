//! What goes through group commit: one write of a batch, and the outcome it is answered with.
//!
//! Knows nothing of databases: [`super::sqlite`] and [`super::postgres`] commit batches of these, [`super::group_commit`] gathers
//! them.

use std::sync::Arc;

use hookyard_domain::{DeliveryId, EndpointId, EventId, SenderId, Timestamp};

use super::{
    error::Error,
    memory::Share,
    record::{
        Accepted, DecideOutcome, Decided, Event, HeldDelivery, HeldEvent, IdempotencyClaim, Placement, Postponed, Settle, SettleOutcome,
    },
};

/// Called with the outcome once the transaction is on disk, on the lane's own thread: it must not block.
pub type Done<T> = Box<dyn FnOnce(Result<T, Error>) + Send + Sync>;

/// One write of a batch.
pub enum Write {
    Accept {
        event: Arc<Event>,
        claim: Option<IdempotencyClaim>,
        placement: Placement,
        done: Done<Accepted>,
    },
    Decide {
        event: Arc<Event>,
        /// Number of the decision, from 1.
        run: u32,
        decided: Decided,
        /// Its part of the memory that decisions on their way may take; given back with the answer.
        share: Share,
        done: Done<DecideOutcome>,
    },
    Postpone {
        events: Vec<Postponed>,
        done: Done<()>,
    },
    Settle {
        settle: Settle,
        done: Done<SettleOutcome>,
    },
    ClaimDeliveries {
        claim: ClaimDeliveries,
        done: Done<Vec<HeldDelivery>>,
    },
    ClaimEvents {
        claim: ClaimEvents,
        done: Done<Vec<HeldEvent>>,
    },
    ReleaseDeliveries {
        deliveries: Vec<DeliveryId>,
        done: Done<()>,
    },
    ReleaseEvents {
        events: Vec<EventId>,
        done: Done<()>,
    },
}

/// Which deliveries are asked for.
#[derive(Debug, Clone, Copy)]
pub struct ClaimDeliveries {
    pub endpoint: EndpointId,
    pub due_by: Timestamp,
    pub rows_max: u32,
    /// Bodies come along for as long as their sum stays within this.
    pub body_bytes_max: u64,
}

/// Which events are asked for: a sender's that are due, and those held under an older revision.
#[derive(Debug, Clone, Copy)]
pub struct ClaimEvents {
    pub sender: SenderId,
    pub due_by: Timestamp,
    pub held_below: i64,
    pub rows_max: u32,
    pub payload_bytes_max: u64,
}

/// What a committed write did, in the order of the batch.
pub(super) enum Outcome {
    Accepted(Accepted),
    Decided(DecideOutcome),
    Settled(SettleOutcome),
    Done,
    Deliveries(Vec<HeldDelivery>),
    Events(Vec<HeldEvent>),
}

impl Write {
    /// Bytes of payload that go to the database with it.
    pub(super) fn payload_bytes(&self) -> usize {
        match self {
            Self::Accept { event, .. } => event.payload.len(),
            Self::Decide { decided, .. } => decided.payload_bytes(),
            _ => 0,
        }
    }

    /// Rows it writes, more or less: what a fan-out to thousands weighs in a transaction.
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Accept {
                placement: Placement::Decided(decided),
                ..
            }
            | Self::Decide { decided, .. } => 2 + decided.rows(),
            Self::Accept { .. } | Self::Settle { .. } => 2,
            Self::Postpone { events, .. } => events.len(),
            Self::ReleaseDeliveries { deliveries, .. } => deliveries.len(),
            Self::ReleaseEvents { events, .. } => events.len(),
            Self::ClaimDeliveries { claim, .. } => claim.rows_max as usize,
            Self::ClaimEvents { claim, .. } => claim.rows_max as usize,
        }
    }

    /// Whether there is one for each event or delivery, and a batch of them is one statement. Claims and releases are
    /// asked for one after the other by tasks that wait for each.
    pub(super) fn comes_in_crowds(&self) -> bool {
        matches!(self, Self::Decide { .. } | Self::Settle { .. })
    }

    pub(super) fn finish(self, outcome: Outcome) {
        match (self, outcome) {
            (Self::Accept { done, .. }, Outcome::Accepted(accepted)) => done(Ok(accepted)),
            (Self::Decide { done, share, .. }, Outcome::Decided(decided)) => {
                drop(share);
                done(Ok(decided));
            }
            (Self::Settle { done, .. }, Outcome::Settled(settled)) => done(Ok(settled)),
            (Self::Postpone { done, .. } | Self::ReleaseDeliveries { done, .. } | Self::ReleaseEvents { done, .. }, Outcome::Done) => {
                done(Ok(()));
            }
            (Self::ClaimDeliveries { done, .. }, Outcome::Deliveries(claimed)) => done(Ok(claimed)),
            (Self::ClaimEvents { done, .. }, Outcome::Events(claimed)) => done(Ok(claimed)),
            (write, _) => write.fail(Error::Statement("a write was answered with another's outcome".into())),
        }
    }

    pub(super) fn fail(self, error: Error) {
        match self {
            Self::Accept { done, .. } => done(Err(error)),
            Self::Decide { done, share, .. } => {
                drop(share);
                done(Err(error));
            }
            Self::Settle { done, .. } => done(Err(error)),
            Self::Postpone { done, .. } | Self::ReleaseDeliveries { done, .. } | Self::ReleaseEvents { done, .. } => done(Err(error)),
            Self::ClaimDeliveries { done, .. } => done(Err(error)),
            Self::ClaimEvents { done, .. } => done(Err(error)),
        }
    }
}

impl std::fmt::Debug for Write {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Write")
    }
}
