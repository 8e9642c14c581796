//! What is configured, as the server works with it: typed nouns and the live snapshot of them.
//!
//! The store keeps rows; here they become endpoints, senders and tenants that need no further check. Everything on an
//! event's path reads the [`Snapshot`] in force and never the database. A row that does not make sense is set aside with its
//! reason ([`Snapshot::set_aside`]) and takes nothing else with it.
//!
//! Read [`snapshot`] for how a change becomes the next snapshot without reading the rest again, [`reach`] for how an event
//! finds its endpoints, [`live`] for how a node follows the table. How a change is made is `manage`'s business.

mod credential;
mod endpoint;
mod environment;
mod live;
mod outbound_auth;
mod plugin;
mod reach;
mod sender;
mod snapshot;
mod table;
mod tenant;

pub use self::{
    credential::{Credential, CredentialKind, Rights},
    endpoint::{Endpoint, EndpointSettings, EndpointStatus, PlainHttp, Subscription},
    environment::Environment,
    live::{Configuration, Refreshed},
    outbound_auth::OutboundAuth,
    plugin::PluginState,
    reach::{Candidates, PassedOver, Reach},
    sender::{InboundCheck, MappingFailure, Sender, SenderSettings},
    snapshot::Snapshot,
    tenant::Tenant,
};
