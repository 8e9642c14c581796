//! The HookSentry dialect: its paths, bodies, words and order of checks (docs/contracts/hooksentry.md).
//!
//! What the contract calls a destination is an endpoint here, and its event is what Hookyard keeps as an event and its
//! deliveries; [`words`] folds the states of those into HookSentry's one. Each file is one resource of the contract;
//! [`desk`] is what they share, and [`lists`] how all their lists are asked for.

mod answers;
mod api_keys;
mod auth;
mod auth_kinds;
mod desk;
mod destinations;
mod events;
mod health;
mod ingest;
mod invites;
mod lists;
mod openapi;
mod senders;
mod tenants;
mod users;
mod words;

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderValue, Method, header},
};
use tower_http::cors::CorsLayer;

use self::desk::Desk;
use super::{
    Edge,
    openapi::{Document, Routes},
};

/// The routes, and what describes them.
pub fn router(edge: &Edge) -> (Router, Document) {
    let desk = Arc::new(Desk::new(edge.clone()));
    let (managed, mut described) = Routes::new()
        .merge(auth::routes())
        .merge(tenants::routes())
        .merge(users::routes())
        .merge(invites::routes())
        .merge(api_keys::routes())
        .merge(destinations::routes())
        .merge(senders::routes())
        .merge(events::routes())
        .merge(health::routes())
        .into_parts();
    let (ingest, of_ingest) = ingest::routes().into_parts();
    described.add(of_ingest);
    let mut managed = managed.with_state(desk);
    // Ingest is open to every origin, all else to the dashboard's alone (docs/contracts/hooksentry.md, section 1).
    if let Some(origin) = &edge.dashboard_origin {
        managed = managed.layer(cors(origin));
    }
    let router = managed.merge(ingest.with_state(Arc::new(ingest::Ingest::new(edge.clone()))));
    (router, openapi::document(described))
}

fn cors(origin: &HeaderValue) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(origin.clone())
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE])
        .expose_headers([header::LOCATION, header::RETRY_AFTER])
}
