//! HTTP in: one listener for every dialect, with bounds on everything a caller can hold.
//!
//! A dialect is a folder here. It owns its paths, wire structs and answers, and translates to the stages and back; it asks
//! [`principal`] who calls and [`intake`] for the body. Its `answers.rs` alone names a status: whatever it calls returns a
//! refusal with a reason, never a response. To add a dialect, add a folder and a line in [`router`].

mod health;
mod hooksentry;
pub mod intake;
mod metrics;
pub mod paging;
pub mod peer;
pub mod principal;
pub mod problem;
mod rest;
mod server;
mod windows;

use std::sync::Arc;

use axum::{Router, http::HeaderValue};

pub use self::server::Server;
use self::{intake::Intake, peer::TrustedProxies};
use crate::{
    accept::Accept,
    clock::Clock,
    config::Registration,
    configuration::{Configuration, PlainHttp},
    fanout::Deliveries,
    manage::{Manage, Sessions},
    store::Store,
    telemetry::metrics::Metrics,
};

/// What a dialect is given to work with. Cheap to clone.
#[derive(Clone)]
pub struct Edge {
    pub accept: Accept,
    pub manage: Manage,
    /// Told what is cancelled.
    pub deliveries: Arc<dyn Deliveries>,
    pub sessions: Sessions,
    pub configuration: Arc<Configuration>,
    /// For reading; what changes something goes through a stage.
    pub store: Store,
    pub intake: Intake,
    pub metrics: Arc<Metrics>,
    pub clock: Clock,
    pub trusted_proxies: TrustedProxies,
    pub registration: Registration,
    /// Whether endpoints that are made over HTTP may have plain http URLs.
    pub plain_http: PlainHttp,
    /// Whose pages may call the management routes from a browser.
    pub dashboard_origin: Option<HeaderValue>,
}

/// Everything that is served.
pub fn router(edge: &Edge) -> Router {
    Router::new()
        .merge(health::router(edge))
        .merge(metrics::router(edge))
        .merge(hooksentry::router(edge))
}
