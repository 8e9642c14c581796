//! Hookyard's rules, as functions that decide and never wait.
//!
//! A stage brings what it knows (an outcome, a decision of a plugin, the time, a random number) and gets back what should
//! happen; the stage does it. Nothing here opens a file, a socket or a database, reads a clock, draws random numbers, or
//! knows how any API spells a field: no type of this crate can be serialized. All of that arrives as parameters, so every
//! rule is tested by tables and properties alone.
//!
//! Read it along the path of an event:
//!
//! * [`ids`] and [`time`]: what everything is named by and when it happened.
//! * [`scope`]: on whose behalf something is asked or changed.
//! * [`event`], [`pattern`]: an accepted event, and which endpoints want its type.
//! * [`decision`], [`failure`]: what a router may answer, and what becomes of an event when it fails to.
//! * [`attempt`], [`retry`]: what the outcome of one HTTP try means for its delivery.
//! * [`profile`]: what differs between endpoints, by the API they were created through.
//! * [`address`], [`signature`]: where a delivery may go, and how its receiver knows it.
//! * [`breaker`]: when an endpoint or a plugin is left alone for a while.

pub mod address;
pub mod attempt;
pub mod breaker;
pub mod decision;
pub mod event;
pub mod failure;
pub mod hex;
pub mod ids;
pub mod pattern;
pub mod profile;
pub mod retry;
pub mod scope;
pub mod signature;
pub mod time;
mod words;

pub use attempt::{DeliveryKind, DeliveryState};
pub use event::{DecidedBy, EventState};
pub use ids::{
    ApplicationId, ContentHash, CredentialId, DeliveryId, EndpointId, EnvironmentId, EventId, EventTypeId, InviteId, NodeId, PluginId,
    SenderId, SessionId, SubscriptionId, TenantId, UserId,
};
pub use scope::Scope;
pub use time::Timestamp;
