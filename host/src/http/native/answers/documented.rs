//! What is written down about the answers: which statuses there are, when, and what comes with them (docs/api.md).
//!
//! Each function is one answer, or those that always come together, for `openapi` in this API to put to operations.

use axum::http::StatusCode;
use utoipa::{
    ToSchema,
    openapi::{ObjectBuilder, SchemaFormat, Type},
};

use crate::{
    documents::{ProblemDocument, schemas},
    http::openapi::{Answer, text},
};

fn refused(status: StatusCode, when: &str) -> Answer {
    Answer::document::<ProblemDocument>(status, when, "application/problem+json")
}

/// What any operation may answer instead.
pub fn faults() -> [Answer; 2] {
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
    [
        refused(StatusCode::INTERNAL_SERVER_ERROR, "a defect of the server; its log says which"),
        refused(
            StatusCode::SERVICE_UNAVAILABLE,
            "the database is away, or too much is going on: send it again",
        )
        .with_header("Retry-After", "Seconds to wait.", seconds),
    ]
}

pub fn unidentified() -> Answer {
    refused(StatusCode::UNAUTHORIZED, "no management token, or one that opens nothing").with_header(
        "WWW-Authenticate",
        "What is asked for: `Bearer`.",
        text(),
    )
}

pub fn forbidden(when: &str) -> Answer {
    refused(StatusCode::FORBIDDEN, when)
}

pub fn absent(when: &str) -> Answer {
    refused(StatusCode::NOT_FOUND, when)
}

pub fn conflict(when: &str) -> Answer {
    refused(StatusCode::CONFLICT, when)
}

pub fn outdated() -> Answer {
    refused(StatusCode::PRECONDITION_FAILED, "it is not any more what `If-Match` names")
}

/// Of a field or parameter; `problems` has each that is wrong.
pub fn wrong(when: &str) -> Answer {
    refused(StatusCode::UNPROCESSABLE_ENTITY, when)
}

/// Of a body that is read, whatever is in it.
pub fn bodies(limit: &str) -> [Answer; 4] {
    [
        refused(StatusCode::BAD_REQUEST, "the body is not JSON in UTF-8, or not of this shape"),
        refused(StatusCode::REQUEST_TIMEOUT, "the body took longer than 30 s to arrive"),
        refused(StatusCode::PAYLOAD_TOO_LARGE, &format!("the body is larger than {limit}")),
        refused(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the content type is not `application/json` or `application/…+json`",
        ),
    ]
}

fn with_tag(answer: Answer) -> Answer {
    answer.with_header("ETag", "Its revision, for `If-Match`.", schemas::text())
}

pub fn shown<T: ToSchema>(when: &str) -> Answer {
    Answer::json::<T>(StatusCode::OK, when)
}

/// What is configured has a revision.
pub fn shown_with_tag<T: ToSchema>(when: &str) -> Answer {
    with_tag(shown::<T>(when))
}

pub fn made<T: ToSchema>(when: &str) -> Answer {
    let path = text().format(Some(SchemaFormat::Custom("uri-reference".to_owned())));
    with_tag(Answer::json::<T>(StatusCode::CREATED, when)).with_header("Location", "Its path.", path)
}

pub fn nothing(when: &str) -> Answer {
    Answer::empty(StatusCode::NO_CONTENT, when)
}

/// Bytes of whatever type they came with.
pub fn payload() -> Answer {
    Answer::empty(StatusCode::OK, "the payload, byte for byte and with its content type")
        .of_type("*/*", schemas::any())
        .with_header("Content-Disposition", "`attachment`: no browser is to act on it.", text())
        .with_header("X-Content-Type-Options", "`nosniff`.", text())
}
