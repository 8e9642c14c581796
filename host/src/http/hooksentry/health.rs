//! `GET /health` (docs/contracts/hooksentry.md, section 13): the process answers. Whether it can work is asked at
//! `/health/ready`.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde_json::json;

use super::desk::Desk;

pub fn router() -> Router<Arc<Desk>> {
    Router::new().route("/health", get(health))
}

async fn health(State(desk): State<Arc<Desk>>) -> Response {
    Json(json!({ "status": "healthy", "timestamp": desk.edge.clock.now().to_string() })).into_response()
}
