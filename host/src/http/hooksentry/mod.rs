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
use super::Edge;

pub fn router(edge: &Edge) -> Router {
    let desk = Arc::new(Desk::new(edge.clone()));
    let mut managed = Router::new()
        .merge(auth::router())
        .merge(tenants::router())
        .merge(users::router())
        .merge(invites::router())
        .merge(api_keys::router())
        .merge(destinations::router())
        .merge(senders::router())
        .merge(events::router())
        .merge(health::router())
        .with_state(desk);
    // Ingest is open to every origin, all else to the dashboard's alone (docs/contracts/hooksentry.md, section 1).
    if let Some(origin) = &edge.dashboard_origin {
        managed = managed.layer(cors(origin));
    }
    managed.merge(ingest::router(edge))
}

fn cors(origin: &HeaderValue) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(origin.clone())
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE])
        .expose_headers([header::LOCATION, header::RETRY_AFTER])
}
