//! What the store keeps of events, deliveries and attempts, in the words of the domain.

use std::sync::Arc;

use bytes::Bytes;
use hookyard_domain::{
    ContentHash, CredentialId, DecidedBy, DeliveryId, DeliveryState, EndpointId, EnvironmentId, EventId, EventState, PluginId, SenderId,
    TenantId, Timestamp,
};
use uuid::Uuid;

/// What an event came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A sender's token: the sender's plugin or set-up routes the event.
    Sender(SenderId),
    /// An endpoint's own token: it goes to that endpoint and nowhere else.
    Endpoint(EndpointId),
    /// A credential that published it by its type: it goes to whoever subscribed.
    Credential(CredentialId),
}

impl Source {
    /// The word it is stored under.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Sender(_) => "sender",
            Self::Endpoint(_) => "endpoint",
            Self::Credential(_) => "credential",
        }
    }

    pub fn id(self) -> Uuid {
        match self {
            Self::Sender(id) => id.as_uuid(),
            Self::Endpoint(id) => id.as_uuid(),
            Self::Credential(id) => id.as_uuid(),
        }
    }

    pub fn sender(self) -> Option<SenderId> {
        match self {
            Self::Sender(id) => Some(id),
            Self::Endpoint(_) | Self::Credential(_) => None,
        }
    }
}

/// Name/value pairs in order; names may repeat.
pub type Pairs = Vec<(String, String)>;

/// One accepted payload.
#[derive(Debug, Clone)]
pub struct Event {
    pub id: EventId,
    pub tenant: TenantId,
    pub environment: EnvironmentId,
    pub source: Source,
    pub idempotency_key: Option<String>,
    pub event_type: String,
    pub content_type: String,
    /// Producer headers the sender exposes to its plugin, names in lower case.
    pub headers: Pairs,
    /// The bytes as received.
    pub payload: Bytes,
    pub accepted_at: Timestamp,
}

/// An idempotency key with whose it is and how long it counts (A2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyClaim {
    /// Whose keys these are, as the caller names them; keys of different scopes never meet. Up to 255 characters.
    pub scope: String,
    /// Up to 255 characters.
    pub key: String,
    /// What the request was, where another request under the same key is to be told apart.
    pub fingerprint: Option<ContentHash>,
    /// None is never.
    pub expires_at: Option<Timestamp>,
}

/// What is written with an accepted event.
#[derive(Debug)]
pub enum Placement {
    /// It needs no plugin: what was decided is committed together with it.
    Decided(Decided),
    /// It waits for routing.
    Undecided { leased: Leased },
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
    pub endpoint: EndpointId,
    /// Index into [`Decided::contents`]; none is the payload as received.
    pub content: Option<u32>,
    pub headers: Pairs,
    pub attempts_max: u16,
    /// Size of what it sends.
    pub body_bytes: u64,
    pub due_at: Timestamp,
    pub leased: Leased,
}

/// Whether a new row is already held in this node's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leased {
    ToUs,
    ToNobody,
}

/// What a plugin's run took, and by which activation it ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PluginCost {
    pub plugin: PluginId,
    pub generation: u32,
    pub cpu_us: u64,
    pub wall_us: u64,
    pub memory_bytes: u64,
}

/// What became of an event, with everything that follows from it (R1).
#[derive(Debug)]
pub struct Decided {
    /// Any but [`EventState::Pending`].
    pub outcome: EventState,
    /// None writes no decision: the event goes where its endpoint's own token said.
    pub decided_by: Option<DecidedBy>,
    /// The plugin that ran.
    pub cost: Option<PluginCost>,
    /// JSON: what the other columns and the deliveries do not say.
    pub detail: Option<String>,
    /// For a held event the revision of the sender and plugin that held it.
    pub held_under: i64,
    pub decided_at: Timestamp,
    pub contents: Vec<NewContent>,
    pub deliveries: Vec<NewDelivery>,
}

/// Bytes a row of fan-out takes in memory on its way to the disk, more or less, besides its headers.
const FAN_OUT_ROW_BYTES: usize = 256;

impl Decided {
    /// Bytes of the payloads a plugin made.
    pub(crate) fn payload_bytes(&self) -> usize {
        self.contents.iter().map(|content| content.body.len()).sum()
    }

    /// Rows that follow from it.
    pub(crate) fn rows(&self) -> usize {
        self.contents.len() + 2 * self.deliveries.len()
    }

    /// How many deliveries its event has, where it has more than one.
    pub(crate) fn siblings(&self) -> Option<u32> {
        u32::try_from(self.deliveries.len()).ok().filter(|deliveries| *deliveries > 1)
    }

    /// Memory it takes until it is on disk.
    pub(crate) fn memory_bytes(&self) -> usize {
        let detail = self.detail.as_ref().map_or(0, String::len);
        self.payload_bytes() + detail + self.deliveries.len() * FAN_OUT_ROW_BYTES
    }
}

/// The answer to an accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    New,
    /// The idempotency key was used before, for this event.
    Existing(Existing),
}

/// The event an idempotency key names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Existing {
    pub progress: Progress,
    /// What the first request was, if that was kept.
    pub fingerprint: Option<ContentHash>,
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

/// What became of a decision that was handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecideOutcome {
    Decided,
    /// The event no longer waits for a decision of this node: nothing was written (D2).
    LeaseLost,
}

/// What became of an attempt's outcome that was handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettleOutcome {
    Settled,
    /// The delivery no longer waits for this attempt of this node: nothing was written (D2).
    LeaseLost,
}

/// An event given back, to be routed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Postponed {
    pub event: EventId,
    pub due_at: Timestamp,
    /// Failures so far that may pass by themselves.
    pub failures: u32,
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
    pub body_bytes: u64,
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

/// Payload bytes one claim brings into memory, but for its first row.
pub const CLAIM_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// An event this node holds under lease, to be routed.
#[derive(Debug)]
pub struct HeldEvent {
    pub event: Arc<Event>,
    /// Failures so far that may pass by themselves.
    pub failures: u32,
    /// Number of the decision about to be made, from 1.
    pub run: u32,
}

/// An endpoint that is left alone because its receiver failed too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerRow {
    pub endpoint: EndpointId,
    pub tenant: TenantId,
    /// When it was first left alone, without a success since.
    pub opened_at: Timestamp,
    pub blocked_until: Timestamp,
}
