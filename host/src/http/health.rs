//! `/health/live`: the process answers. `/health/ready`: it can also accept events now.

use std::time::Duration;

use axum::{Router, extract::State, http::StatusCode, response::Response, routing::get};

use super::{
    Edge,
    problem::{problem, unavailable},
};
use crate::store::Store;

/// How long readiness waits for the database.
const PATIENCE: Duration = Duration::from_secs(2);

pub fn router(edge: &Edge) -> Router {
    Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .with_state(edge.store.clone())
}

async fn live() -> Response {
    problem(StatusCode::OK, "live", "the process answers")
}

async fn ready(State(store): State<Store>) -> Response {
    match tokio::time::timeout(PATIENCE, store.ping()).await {
        Ok(Ok(())) => problem(StatusCode::OK, "ready", "the database answers"),
        Ok(Err(error)) => unavailable(&error.to_string()),
        Err(_) => unavailable("the database does not answer"),
    }
}
