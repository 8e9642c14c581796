//! HTTP in: one listener for every dialect, with bounds on everything a caller can hold.
//!
//! A dialect is a folder here. It owns its paths, wire structs and answers, and translates to the stages and back; it asks
//! [`principal`] who calls and [`intake`] for the body. Its `answers.rs` alone names a status: whatever it calls returns a
//! refusal with a reason, never a response. To add a dialect, add a folder and its lines in [`router`]. [`native`] is Hookyard's own
//! API.

mod health;
mod hooksentry;
pub mod intake;
mod metrics;
pub mod native;
mod openapi;
pub mod paging;
pub mod peer;
pub mod principal;
pub mod problem;
mod rest;
mod server;
mod windows;

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    Router,
    body::Body,
    http::{HeaderValue, Request},
    response::Response,
    routing::future::RouteFuture,
};
use tower::Service;

pub use self::server::Server;
use self::{intake::Intake, peer::TrustedProxies};
use crate::{
    accept::Accept,
    clock::Clock,
    config::Registration,
    configuration::{Configuration, CredentialKind, PlainHttp},
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
pub fn router(edge: &Edge) -> ByCredential {
    let own = native::router(native::Desk {
        manage: edge.manage.clone(),
        configuration: Arc::clone(&edge.configuration),
        store: edge.store.clone(),
        intake: edge.intake.clone(),
        clock: edge.clock.clone(),
        deliveries: Some(Arc::clone(&edge.deliveries)),
        plain_http: edge.plain_http,
    });
    let (hooksentry, of_hooksentry) = hooksentry::router(edge);
    // Some tools send their token with everything, so the documents are beside our own API too.
    let documents = openapi::router(vec![of_hooksentry, native::document()], edge.dashboard_origin.as_ref());
    let own = own.merge(documents).merge(metrics::guarded(edge));
    let dialects = Router::new()
        .merge(health::router(edge))
        .merge(hooksentry)
        .fallback_service(own.clone());
    ByCredential { own, dialects }
}

/// What the operators' listener serves: no credential is asked for, for it is on a network of theirs.
pub fn operations_router(edge: &Edge) -> Router {
    Router::new().merge(health::router(edge)).merge(metrics::open(edge))
}

/// Hookyard's own API beside the dialects. Some paths are both's: what a caller means by them is said by its credential. Whoever
/// brings a management token gets our own API; whoever does not gets it only for paths that no dialect has, to be told so.
#[derive(Clone)]
pub struct ByCredential {
    own: Router,
    dialects: Router,
}

impl Service<Request<Body>> for ByCredential {
    type Response = Response;
    type Error = Infallible;
    type Future = RouteFuture<Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A router is always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> RouteFuture<Infallible> {
        let prefix = CredentialKind::ManagementToken.prefix();
        let managing = principal::bearer(request.headers()).is_some_and(|token| token.starts_with(prefix));
        let router = if managing { &mut self.own } else { &mut self.dialects };
        router.call(request)
    }
}
