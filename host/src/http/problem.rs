//! What the server answers in its own name, whatever the dialect: problem documents.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

/// A problem document (RFC 9457).
#[derive(Serialize, ToSchema)]
pub struct Problem<'a> {
    title: &'static str,
    /// That of the answer.
    status: u16,
    /// Of a 503: whether the same request may be sent again.
    detail: &'a str,
}

/// An answer of the server itself.
pub fn problem(status: StatusCode, title: &'static str, detail: &str) -> Response {
    let body = serde_json::to_vec(&Problem {
        title,
        status: status.as_u16(),
        detail,
    })
    .expect("strings always serialise");
    (
        status,
        [(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"))],
        body,
    )
        .into_response()
}

/// It cannot be taken now; the detail says whether the same request may be sent again.
pub fn unavailable(detail: &str) -> Response {
    let mut response = problem(StatusCode::SERVICE_UNAVAILABLE, "temporarily unavailable", detail);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
