//! What the store keeps of events, deliveries and attempts, in the words of the domain.

use std::sync::Arc;

use bytes::Bytes;
use hookyard_domain::{DeliveryId, DeliveryState, EndpointId, EnvironmentId, EventId, EventState, SenderId, TenantId, Timestamp};

/// Which token an event came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Sender(SenderId),
    Endpoint(EndpointId),
}

impl Origin {
    pub fn sender(self) -> Option<SenderId> {
        match self {
            Self::Sender(id) => Some(id),
            Self::Endpoint(_) => None,
        }
    }

    pub fn endpoint(self) -> Option<EndpointId> {
        match self {
            Self::Sender(_) => None,
            Self::Endpoint(id) => Some(id),
        }
    }
}

/// Name/value pairs in order; names may repeat.
pub type Pairs = Vec<(String, String)>;

/// One accepted payload.
#[derive(Debug)]
pub struct Event {
    pub id: EventId,
    pub tenant: TenantId,
    pub environment: EnvironmentId,
    pub origin: Origin,
    pub idempotency_key: Option<String>,
    pub event_type: String,
    pub content_type: String,
    /// Producer headers the sender exposes to its plugin, names in lower case.
    pub headers: Pairs,
    /// The bytes as received.
    pub payload: Bytes,
    pub accepted_at: Timestamp,
}

/// A payload a plugin made.
#[derive(Debug, Clone)]
pub struct NewContent {
    pub content_type: String,
    pub body: Bytes,
}

/// A delivery about to be written together with the decision that made it.
#[derive(Debug, Clone)]
pub struct NewDelivery {
    pub id: DeliveryId,
    pub tenant: TenantId,
    pub endpoint: EndpointId,
    /// Index into [`Decided::contents`]; none is the payload as received.
    pub content: Option<u32>,
    pub headers: Pairs,
    pub attempts_max: u16,
    pub due_at: Timestamp,
    pub leased: Leased,
}

/// Whether a new row is already held in this node's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leased {
    ToUs,
    ToNobody,
}

/// What became of an event, with everything that follows from it (R1).
#[derive(Debug)]
pub struct Decided {
    pub state: EventState,
    /// JSON: who decided and why; none for an event that came in by an endpoint's own token.
    pub explanation: Option<String>,
    pub decided_at: Timestamp,
    pub contents: Vec<NewContent>,
    pub deliveries: Vec<NewDelivery>,
}

/// The answer to an accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    New,
    /// The tenant used this idempotency key before; this is the event it named.
    Existing(Progress),
}

/// How far an event has come, counted over its deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    pub event: EventId,
    pub accepted_at: Timestamp,
    pub state: EventState,
    /// waiting, never tried
    pub fresh: u32,
    /// waiting, tried before
    pub retrying: u32,
    pub delivered: u32,
    pub rejected: u32,
    pub exhausted: u32,
}

/// The outcome of one HTTP try, as it is kept.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub started_at: Timestamp,
    pub duration_us: i64,
    pub status: Option<u16>,
    /// Class of the failure when there was no answer.
    pub error: Option<&'static str>,
    pub error_detail: Option<String>,
    /// First bytes of the answer's body.
    pub response: Bytes,
}

/// What an attempt means for its delivery.
#[derive(Debug)]
pub struct Settle {
    pub delivery: DeliveryId,
    /// Number of the attempt since the delivery was made, from 1.
    pub number: u32,
    pub state: DeliveryState,
    /// When to try again; kept as it was when the delivery is finished.
    pub due_at: Timestamp,
    pub completed_at: Option<Timestamp>,
    pub attempt: Attempt,
}

/// A delivery this node holds under lease.
#[derive(Debug, Clone)]
pub struct HeldDelivery {
    pub id: DeliveryId,
    pub event: EventId,
    pub endpoint: EndpointId,
    pub headers: Pairs,
    pub attempts: u32,
    pub attempts_max: u16,
    pub attempts_before: u32,
    pub due_at: Timestamp,
    pub content_type: String,
    pub body: Body,
    pub event_type: String,
    pub accepted_at: Timestamp,
}

/// A delivery's body, in memory or left in the store until its attempt begins.
#[derive(Debug, Clone)]
pub enum Body {
    Here(Bytes),
    Stored,
}

/// Bodies up to this size wait in memory with their delivery; larger ones are read when the attempt begins.
///
/// With the window's 4,096 places this bounds waiting bodies at 128 MiB; most webhook payloads are below 32 KiB.
pub const HELD_BODY_BYTES_MAX: usize = 32 * 1024;

/// Payload bytes one claim of events brings into memory, but for its last event.
pub const CLAIM_BYTES_MAX: i64 = 16 * 1024 * 1024;

impl Body {
    pub fn for_waiting(bytes: &Bytes) -> Self {
        if bytes.len() <= HELD_BODY_BYTES_MAX {
            Self::Here(bytes.clone())
        } else {
            Self::Stored
        }
    }
}

/// An event this node holds under lease, to be routed.
#[derive(Debug)]
pub struct HeldEvent {
    pub event: Arc<Event>,
    /// Transient plugin failures so far.
    pub failures: u32,
}
