//! `/health/live`: the process answers. `/health/ready`: it can also accept events now.

use std::time::Duration;

use axum::{Router, extract::State, http::StatusCode, response::Response, routing::get};

use super::{
    Edge,
    problem::{problem, unavailable},
};
use crate::store::{Error, Store};

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

/// The database answers, and what is configured can be read from it: the one row this reads is where every reading of the
/// configuration begins.
async fn ready(State(store): State<Store>) -> Response {
    match tokio::time::timeout(PATIENCE, store.ping()).await {
        Ok(Ok(())) => problem(StatusCode::OK, "ready", "the database answers"),
        Ok(Err(Error::Unreachable(_) | Error::Closed | Error::Busy | Error::Full(_))) | Err(_) => {
            unavailable("the database does not answer")
        }
        // The log has what the database said: it is not for everybody who can reach the listener.
        Ok(Err(Error::Corrupt { .. } | Error::Taken(_) | Error::Changed(_) | Error::InUse(_) | Error::Statement(_))) => {
            unavailable("the configuration cannot be read")
        }
    }
}
