//! `/metrics`: the server's counters in the Prometheus text format.
//!
//! Open to whoever reaches the listener, as the health routes are: the counters name no tenant and no endpoint. Who wants
//! them hidden keeps the path away at the proxy in front.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};

use super::Edge;
use crate::telemetry::metrics::{CONTENT_TYPE, Metrics};

pub fn router(edge: &Edge) -> Router {
    Router::new().route("/metrics", get(tell)).with_state(Arc::clone(&edge.metrics))
}

async fn tell(State(metrics): State<Arc<Metrics>>) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], metrics.text()).into_response()
}
