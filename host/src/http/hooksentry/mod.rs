//! The HookSentry dialect: its paths, bodies, words and order of checks (docs/contracts/hooksentry.md).
//!
//! What the contract calls a destination is an endpoint here, and its event is what Hookyard keeps as an event and its
//! deliveries; [`words`] folds the states of those into HookSentry's one.

mod ingest;
mod words;

use axum::{
    Json, Router,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::body::Bodies;
use crate::accept::Accept;

pub fn router(accept: Accept, bodies: Bodies) -> Router {
    ingest::router(accept, bodies)
}

/// A refusal as HookSentry spells it: a bare JSON string (docs/contracts/hooksentry.md, section 15.2).
fn refusal(status: StatusCode, text: &str) -> Response {
    (status, Json(text)).into_response()
}

/// Ingest is open to any origin (docs/contracts/hooksentry.md, section 1).
fn allow_any_origin(response: &mut Response) {
    response
        .headers_mut()
        .insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
}

/// The answer to a browser that asks before it posts.
fn preflight() -> Response {
    const METHODS: &str = "POST, OPTIONS";
    const HEADERS: &str = "content-type, x-api-key, x-idempotency-key";
    let headers: [(HeaderName, &str); 3] = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS),
        (header::ALLOW, METHODS),
    ];
    let mut response = (StatusCode::NO_CONTENT, headers).into_response();
    allow_any_origin(&mut response);
    response
}
