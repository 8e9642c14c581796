//! `GET /health` (docs/contracts/hooksentry.md, section 13): the process answers. Whether it can work is asked at
//! `/health/ready`.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::Method,
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    desk::Desk,
    openapi::{self, Op, tag::HEALTH},
};
use crate::http::openapi::Routes;

pub fn routes() -> Routes<Arc<Desk>> {
    let op = Op::plain("health", HEALTH, "Says that the process answers").shows::<Health>("it does");
    Routes::new().on(&Method::GET, "/health", health, op.into())
}

#[derive(Serialize, ToSchema)]
struct Health {
    /// `healthy`.
    status: &'static str,
    #[schema(schema_with = openapi::moment)]
    timestamp: String,
}

async fn health(State(desk): State<Arc<Desk>>) -> Response {
    let timestamp = desk.edge.clock.now().to_string();
    Json(Health {
        status: "healthy",
        timestamp,
    })
    .into_response()
}
