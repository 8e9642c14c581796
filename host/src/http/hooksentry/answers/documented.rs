//! What is written down about the answers: which statuses there are, when, and what comes with them
//! (docs/contracts/hooksentry.md, section 15.2).
//!
//! Each function is one answer, or those that always come together, for `openapi` in this dialect to put to operations.

use axum::http::StatusCode;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, SchemaFormat, Type, schema::OneOfBuilder},
};

use super::Accepted;
use crate::http::{
    openapi::{Answer, text},
    problem,
};

/// The reason of a refusal, for people.
struct Reason;

impl PartialSchema for Reason {
    fn schema() -> RefOr<Schema> {
        text().description(Some("What is wrong, for people. Its words may change.")).into()
    }
}

impl ToSchema for Reason {}

/// A refusal that a program can tell from others.
struct LastOwner;

impl PartialSchema for LastOwner {
    fn schema() -> RefOr<Schema> {
        let error = ObjectBuilder::new()
            .property("error", text().enum_values(Some(["last_owner"])))
            .required("error");
        OneOfBuilder::new().item(Reason::schema()).item(error).into()
    }
}

impl ToSchema for LastOwner {
    fn name() -> std::borrow::Cow<'static, str> {
        "Conflict".into()
    }
}

fn refused(status: StatusCode, when: &str) -> Answer {
    Answer::json::<Reason>(status, when)
}

fn whole_number() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0))
}

fn server_fault(status: StatusCode, when: &str) -> Answer {
    Answer::empty(status, when).of_type("application/problem+json", problem::Problem::schema())
}

fn with_retry_after(answer: Answer) -> Answer {
    answer.with_header("Retry-After", "Seconds to wait.", whole_number())
}

/// What any operation that works may answer instead.
pub fn faults() -> [Answer; 2] {
    [
        server_fault(StatusCode::INTERNAL_SERVER_ERROR, "a defect of the server; its log says which"),
        unavailable("too much is going on, or the database is away or full"),
    ]
}

pub fn unavailable(when: &str) -> Answer {
    with_retry_after(server_fault(StatusCode::SERVICE_UNAVAILABLE, when))
}

pub fn shown<T: ToSchema>(when: &str) -> Answer {
    Answer::json::<T>(StatusCode::OK, when)
}

pub fn made<T: ToSchema>(when: &str) -> Answer {
    let path = text().format(Some(SchemaFormat::Custom("uri-reference".to_owned())));
    Answer::json::<T>(StatusCode::CREATED, when).with_header("Location", "Its path.", path)
}

pub fn nothing(when: &str) -> Answer {
    Answer::empty(StatusCode::NO_CONTENT, when)
}

pub fn invalid(when: &str) -> Answer {
    refused(StatusCode::BAD_REQUEST, when)
}

/// It has no body.
pub fn unidentified(when: &str) -> Answer {
    Answer::empty(StatusCode::UNAUTHORIZED, when)
}

pub fn forbidden(when: &str) -> Answer {
    refused(StatusCode::FORBIDDEN, when)
}

pub fn absent(when: &str) -> Answer {
    refused(StatusCode::NOT_FOUND, when)
}

/// A path without an id that is not one either: nothing comes with it.
pub fn no_such_path(when: &str) -> Answer {
    Answer::empty(StatusCode::NOT_FOUND, when)
}

pub fn conflict(when: &str) -> Answer {
    refused(StatusCode::CONFLICT, when)
}

pub fn last_owner() -> Answer {
    Answer::json::<LastOwner>(
        StatusCode::CONFLICT,
        "it is the tenant's last active owner, which is told by an object",
    )
}

pub fn unprocessable(when: &str) -> Answer {
    refused(StatusCode::UNPROCESSABLE_ENTITY, when)
}

pub fn too_many(when: &str) -> Answer {
    with_retry_after(refused(StatusCode::TOO_MANY_REQUESTS, when))
}

/// Of a body that is read, whatever is in it.
pub fn bodies(limit: &str) -> [Answer; 3] {
    [
        refused(
            StatusCode::BAD_REQUEST,
            "the body is not JSON in UTF-8, broke off, or a field is not as it must be",
        ),
        refused(StatusCode::REQUEST_TIMEOUT, "the body took longer than 30 s to arrive"),
        refused(StatusCode::PAYLOAD_TOO_LARGE, &format!("the body is larger than {limit}")),
    ]
}

pub fn content_type() -> Answer {
    refused(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "the content type is not `application/json` or `application/…+json`",
    )
}

/// The event is on disk.
pub fn accepted() -> Answer {
    let path = text().format(Some(SchemaFormat::Custom("uri-reference".to_owned())));
    Answer::json::<Accepted>(StatusCode::ACCEPTED, "the event is committed and flushed to disk").with_header(
        "Location",
        "The event's path.",
        path,
    )
}

/// Of what a service asks before it sends, the service says the form.
pub fn handshake(when: &str) -> Answer {
    Answer::empty(StatusCode::OK, when)
}

pub fn post_only() -> Answer {
    Answer::empty(
        StatusCode::METHOD_NOT_ALLOWED,
        "the token is not of a sender whose service asks by GET",
    )
    .with_header("Allow", "The methods that are taken.", text())
}

pub fn preflight() -> Answer {
    nothing("a browser may post")
        .with_header("Allow", "The methods that are taken.", text())
        .with_header("Access-Control-Allow-Origin", "Every origin.", text())
        .with_header("Access-Control-Allow-Methods", "The methods that are taken.", text())
        .with_header("Access-Control-Allow-Headers", "The headers that are taken.", text())
}

/// A UUID.
pub fn uuid() -> ObjectBuilder {
    text().format(Some(SchemaFormat::Custom("uuid".to_owned())))
}
