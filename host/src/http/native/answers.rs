//! What this API answers: the one place in it that names a status. Every refusal is a problem document (RFC 9457).
//! [`documented`] says the same to people and programs.

pub mod documented;

use axum::{
    Json,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::{
    documents::{FieldProblem, ProblemDocument},
    http::{intake, paging},
    manage,
    store::{self, EventView},
};

/// Why a request was refused.
#[derive(Debug)]
pub enum Refused {
    /// No management token, or one that opens nothing.
    Unidentified,
    /// The token may read and nothing else.
    MayOnlyRead,
    OperatorOnly,
    /// The operator's token names no tenant by itself.
    TenantNotNamed,
    Absent(&'static str),
    /// One field or parameter is wrong.
    Wrong {
        field: String,
        why: String,
    },
    Intake(intake::Refused),
    Paging(paging::Refused),
    Manage(manage::Refusal),
    Unshowable(serde_json::Error),
}

impl Refused {
    pub fn wrong(field: &str, why: impl Into<String>) -> Self {
        Self::Wrong {
            field: field.to_owned(),
            why: why.into(),
        }
    }
}

impl From<intake::Refused> for Refused {
    fn from(refused: intake::Refused) -> Self {
        Self::Intake(refused)
    }
}

impl From<paging::Refused> for Refused {
    fn from(refused: paging::Refused) -> Self {
        Self::Paging(refused)
    }
}

impl From<manage::Refusal> for Refused {
    fn from(refusal: manage::Refusal) -> Self {
        Self::Manage(refusal)
    }
}

impl From<store::Error> for Refused {
    fn from(error: store::Error) -> Self {
        Self::Manage(error.into())
    }
}

impl From<serde_json::Error> for Refused {
    fn from(error: serde_json::Error) -> Self {
        Self::Unshowable(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Unidentified => {
                let detail = "give a management token as \"Authorization: Bearer hym_…\"; \"hookyard token create\" makes one";
                let mut response = problem(StatusCode::UNAUTHORIZED, "not identified", detail);
                response
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                response
            }
            Self::MayOnlyRead => problem(
                StatusCode::FORBIDDEN,
                "not allowed",
                "this needs a token that may write: changes do, and so do secrets",
            ),
            Self::OperatorOnly => problem(
                StatusCode::FORBIDDEN,
                "not allowed",
                "this needs a token of the operator, not of one tenant",
            ),
            Self::TenantNotNamed => wrong("tenant", "must be named: the token is the operator's"),
            Self::Absent(what) => problem(StatusCode::NOT_FOUND, "not found", &format!("there is no such {what}")),
            Self::Wrong { field, why } => wrong(&field, &why),
            Self::Intake(refused) => not_taken_in(&refused),
            Self::Paging(refused) => not_paged(refused),
            Self::Manage(refusal) => not_done(refusal),
            Self::Unshowable(error) => defect(&error),
        }
    }
}

fn problem(status: StatusCode, title: &str, detail: &str) -> Response {
    with_problems(status, title, detail, Vec::new())
}

fn with_problems(status: StatusCode, title: &str, detail: &str, problems: Vec<FieldProblem>) -> Response {
    let document = ProblemDocument {
        title: title.to_owned(),
        status: status.as_u16(),
        detail: detail.to_owned(),
        problems,
    };
    let body = serde_json::to_vec(&document).expect("texts always serialise");
    let content_type = HeaderValue::from_static("application/problem+json");
    (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
}

fn wrong(field: &str, why: &str) -> Response {
    let problems = vec![FieldProblem {
        field: field.to_owned(),
        message: why.to_owned(),
    }];
    with_problems(StatusCode::UNPROCESSABLE_ENTITY, "invalid", &format!("{field}: {why}"), problems)
}

fn not_taken_in(refused: &intake::Refused) -> Response {
    use intake::Refused as R;
    match refused {
        R::ContentType => problem(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported content type",
            "the content type must be application/json",
        ),
        R::TooLarge { bytes_max } => problem(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too large",
            &format!("the body is larger than {bytes_max} bytes"),
        ),
        R::Busy => later("too many bodies are being received"),
        R::TooSlow => problem(StatusCode::REQUEST_TIMEOUT, "too slow", "the body took too long to arrive"),
        R::NotUtf8 { position } => bad_body(&format!("the body is not UTF-8: byte {position} is wrong")),
        R::NotJson(why) => bad_body(&format!("the body is not what is expected: {why}")),
        R::BrokeOff | R::KeyIsNotText | R::KeyIsTooLong { .. } | R::KeyHoldsControls => bad_body("the body broke off"),
    }
}

fn bad_body(why: &str) -> Response {
    problem(StatusCode::BAD_REQUEST, "malformed body", why)
}

fn not_paged(refused: paging::Refused) -> Response {
    match refused {
        paging::Refused::Limit { max } => wrong("limit", &format!("must be 1 to {max}")),
        paging::Refused::Offset { max } => wrong("offset", &format!("must be 0 to {max}")),
        paging::Refused::Cursor => wrong("before", "is not the \"next\" of a page of this list"),
    }
}

fn later(why: &str) -> Response {
    let mut response = problem(StatusCode::SERVICE_UNAVAILABLE, "temporarily unavailable", why);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn defect(error: &(dyn std::error::Error + 'static)) -> Response {
    tracing::error!(error, "an operation failed");
    problem(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal error",
        "the operation failed; the log says why",
    )
}

/// What an operation refused.
fn not_done(refusal: manage::Refusal) -> Response {
    use manage::Refusal as R;
    let detail = refusal.to_string();
    match refusal {
        R::NotFound { .. } => problem(StatusCode::NOT_FOUND, "not found", &detail),
        R::Invalid(problems) => {
            let field = |problem: manage::Problem| FieldProblem {
                field: problem.field,
                message: problem.message,
            };
            let problems = problems.0.into_iter().map(field).collect();
            with_problems(StatusCode::UNPROCESSABLE_ENTITY, "invalid", &detail, problems)
        }
        R::Taken(_) => problem(StatusCode::CONFLICT, "taken", &detail),
        R::Changed(_) => problem(StatusCode::CONFLICT, "changed meanwhile", &detail),
        R::Outdated { .. } => problem(StatusCode::PRECONDITION_FAILED, "changed meanwhile", &detail),
        R::InUse(_) => problem(StatusCode::CONFLICT, "in use", &detail),
        R::Busy => later("too much of this kind is going on; try again"),
        R::PluginsNotAsked(_) => {
            tracing::warn!(why = %detail, "an operation was not carried out");
            later(&detail)
        }
        R::Unavailable(error) => {
            tracing::warn!(%error, "an operation was not carried out");
            later("the database is not available; look whether it was done, and try again")
        }
        R::Defect(error) => defect(&error),
    }
}

/// A thing, with its revision as its ETag where it has one.
pub fn shown(revision: Option<i64>, document: &impl Serialize) -> Response {
    (etag(revision), Json(document)).into_response()
}

/// Something was made, and is found there.
pub fn created(location: &str, revision: i64, document: &impl Serialize) -> Response {
    let location = HeaderValue::try_from(location).expect("paths with ids are visible text");
    (
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        etag(Some(revision)),
        Json(document),
    )
        .into_response()
}

/// It is done, and there is nothing to say.
pub fn done() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// An event's payload, byte for byte. Whatever it says it is, no browser is to act on it.
pub fn payload(event: &EventView, bytes: Vec<u8>) -> Response {
    let content_type = HeaderValue::try_from(&event.content_type).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, bytes).into_response()
}

fn etag(revision: Option<i64>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(revision) = revision {
        let tag = HeaderValue::try_from(format!("\"{revision}\"")).expect("digits are visible text");
        headers.insert(header::ETAG, tag);
    }
    // What is configured is for whoever has the token.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers
}

pub async fn no_such_path() -> Response {
    problem(StatusCode::NOT_FOUND, "not found", "there is no such path")
}

pub async fn no_such_method() -> Response {
    problem(
        StatusCode::METHOD_NOT_ALLOWED,
        "method not allowed",
        "this path does not take this method",
    )
}
