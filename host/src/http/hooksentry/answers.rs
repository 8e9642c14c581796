//! What HookSentry answers: the one place in this dialect that names a status.
//!
//! Everything before it returns a [`Refused`] with the reason; here each reason gets the contract's status and body. Most
//! refusals are a bare JSON string (docs/contracts/hooksentry.md, section 15.2), those of credentials have no body (3.4), and
//! what is the server's own fault is a problem document (15.2). [`documented`] says the same to people and programs.

pub mod documented;

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use hookyard_domain::{EventId, Timestamp};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{openapi, words};
use crate::{
    accept,
    http::{
        intake,
        problem::{problem, unavailable},
    },
    manage,
    store::{self, Progress},
    verification::{self, Reply},
};

/// Why a request was refused; those of ingest in the order of the contract's checks.
#[derive(Debug)]
pub enum Refused {
    /// The path's tenant is not a UUID. The original's route takes UUIDs only: anything else is another path.
    NoSuchPath,
    /// No API key, or one that nobody has.
    Unidentified,
    Intake(intake::Refused),
    KeyOfAnotherTenant,
    TenantUnknown,
    TokenTooLong,
    TokenPrefix,
    TokenUnknown,
    TokenOfAnotherTenant,
    EndpointNotActive,
    SenderNotActive,
    Accept(accept::Refused),
    /// What is asked for is there, and another's: the contract tells that from what is not there (docs/contracts/hooksentry.md, section 15.2).
    OfAnotherTenant,
    RoleMayNot,
    RegistrationClosed,
    /// Nothing of this kind has that id.
    Absent(&'static str),
    Invalid(String),
    /// It is understood, and cannot be done with what was given.
    Unprocessable(String),
    TooMany {
        why: &'static str,
        wait: Duration,
    },
    Verification(verification::Refused),
    Manage(manage::Refusal),
    /// Reading what is asked for.
    Store(store::Error),
}

impl From<verification::Refused> for Refused {
    fn from(refused: verification::Refused) -> Self {
        Self::Verification(refused)
    }
}

impl From<manage::Refusal> for Refused {
    fn from(refused: manage::Refusal) -> Self {
        Self::Manage(refused)
    }
}

impl From<store::Error> for Refused {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<intake::Refused> for Refused {
    fn from(refused: intake::Refused) -> Self {
        Self::Intake(refused)
    }
}

impl From<accept::Refused> for Refused {
    fn from(refused: accept::Refused) -> Self {
        Self::Accept(refused)
    }
}

impl Refused {
    /// The word for it in the metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NoSuchPath => "no-such-path",
            Self::Unidentified => "unknown-credential",
            Self::Intake(refused) => refused.reason(),
            Self::KeyOfAnotherTenant | Self::TokenOfAnotherTenant => "other-tenant",
            Self::TenantUnknown => "unknown-tenant",
            Self::TokenTooLong | Self::TokenPrefix => "malformed-token",
            Self::TokenUnknown => "unknown-token",
            Self::EndpointNotActive | Self::SenderNotActive => "not-active",
            Self::Accept(refused) => refused.reason(),
            Self::OfAnotherTenant | Self::RoleMayNot | Self::RegistrationClosed => "forbidden",
            Self::Absent(_) => "absent",
            Self::Invalid(_) | Self::Unprocessable(_) => "invalid",
            Self::TooMany { .. } => "too-many",
            Self::Verification(refused) => refused.reason(),
            Self::Manage(_) | Self::Store(_) => "operation",
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::NoSuchPath => StatusCode::NOT_FOUND.into_response(),
            Self::Unidentified => StatusCode::UNAUTHORIZED.into_response(),
            Self::Intake(refused) => not_taken_in(&refused),
            Self::KeyOfAnotherTenant => text(StatusCode::FORBIDDEN, "the API key belongs to another tenant"),
            Self::TenantUnknown => text(StatusCode::NOT_FOUND, "there is no such tenant"),
            Self::TokenTooLong => text(StatusCode::BAD_REQUEST, "the token is longer than 512 characters"),
            Self::TokenPrefix => text(StatusCode::BAD_REQUEST, "the token must begin with dst_ or sndr_"),
            Self::TokenUnknown => text(StatusCode::NOT_FOUND, "no such ingest token"),
            Self::TokenOfAnotherTenant => text(StatusCode::FORBIDDEN, "the ingest token belongs to another tenant"),
            Self::EndpointNotActive => text(StatusCode::UNPROCESSABLE_ENTITY, "the destination is not active"),
            Self::SenderNotActive => text(StatusCode::UNPROCESSABLE_ENTITY, "the sender is not active"),
            Self::Accept(refused) => not_accepted(refused),
            Self::OfAnotherTenant => text(StatusCode::FORBIDDEN, "it belongs to another tenant"),
            Self::RoleMayNot => text(StatusCode::FORBIDDEN, "your role does not allow this"),
            Self::RegistrationClosed => text(StatusCode::FORBIDDEN, "tenants are made by the operator of this server"),
            Self::Absent(what) => text(StatusCode::NOT_FOUND, &format!("there is no such {what}")),
            Self::Invalid(why) => text(StatusCode::BAD_REQUEST, &why),
            Self::Unprocessable(why) => text(StatusCode::UNPROCESSABLE_ENTITY, &why),
            Self::TooMany { why, wait } => {
                let mut response = text(StatusCode::TOO_MANY_REQUESTS, why);
                // Rounded up: whoever comes back then is let in.
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
                response
            }
            // A right signature over what cannot be read is the service's doing; who signs wrongly learns nothing.
            Self::Verification(refused) if refused.is_authentic() => text(StatusCode::BAD_REQUEST, &refused.to_string()),
            Self::Verification(_) => StatusCode::UNAUTHORIZED.into_response(),
            Self::Manage(refusal) => not_done(refusal),
            Self::Store(error) => not_done(error.into()),
        }
    }
}

/// Body of 200 and 202.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    #[schema(schema_with = openapi::id)]
    event_id: String,
    #[schema(schema_with = words::status_schema)]
    status: &'static str,
    #[schema(schema_with = openapi::moment)]
    accepted_at: String,
}

/// The event is on disk.
pub fn accepted(event: EventId, accepted_at: Timestamp) -> Response {
    let location = HeaderValue::try_from(format!("/api/v1/events/{event}")).expect("a UUID is visible text");
    let body = Accepted {
        event_id: event.to_string(),
        status: "Pending",
        accepted_at: accepted_at.to_string(),
    };
    (StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(body)).into_response()
}

/// The idempotency key names an event already.
pub fn existing(progress: &Progress) -> Response {
    let body = Accepted {
        event_id: progress.event.to_string(),
        status: words::status(progress),
        accepted_at: progress.accepted_at.to_string(),
    };
    (StatusCode::OK, Json(body)).into_response()
}

/// What a service asked to hear before it sends anything.
pub fn handshake(reply: Reply) -> Response {
    match reply {
        Reply::Text(words) => {
            let headers = [
                (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            ];
            (StatusCode::OK, headers, words).into_response()
        }
        Reply::Json(document) => json(Bytes::from(document)),
        Reply::Empty => StatusCode::OK.into_response(),
    }
}

/// Ingest takes events by POST.
pub fn post_only() -> Response {
    let mut response = StatusCode::METHOD_NOT_ALLOWED.into_response();
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static("POST, OPTIONS"));
    allow_any_origin(&mut response);
    response
}

/// Ingest is open to any origin (docs/contracts/hooksentry.md, section 1).
pub fn allow_any_origin(response: &mut Response) {
    response
        .headers_mut()
        .insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
}

/// The answer to a browser that asks before it posts.
pub fn preflight() -> Response {
    const METHODS: &str = "POST, OPTIONS";
    const HEADERS: &str = "content-type, x-api-key, x-idempotency-key";
    let headers: [(HeaderName, &str); 3] = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS),
        // Some services ask by GET whether the address is meant for them.
        (header::ALLOW, "GET, POST, OPTIONS"),
    ];
    let mut response = (StatusCode::NO_CONTENT, headers).into_response();
    allow_any_origin(&mut response);
    response
}

fn text(status: StatusCode, text: &str) -> Response {
    (status, Json(text)).into_response()
}

fn not_taken_in(refused: &intake::Refused) -> Response {
    use intake::Refused as R;
    let bad = |why: &str| text(StatusCode::BAD_REQUEST, why);
    match refused {
        R::ContentType => text(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the content type must be application/json"),
        R::TooLarge { bytes_max } => {
            let why = format!("the payload is larger than {bytes_max} bytes");
            text(StatusCode::PAYLOAD_TOO_LARGE, &why)
        }
        R::Busy => unavailable("too many payloads are being received; nothing was kept, send it again"),
        R::BrokeOff => bad("the payload broke off"),
        R::TooSlow => text(StatusCode::REQUEST_TIMEOUT, "the payload took too long to arrive"),
        R::NotUtf8 { position } => bad(&format!("the payload is not UTF-8: byte {position} is wrong")),
        R::NotJson(why) => bad(&format!("the payload is not JSON: {why}")),
        R::KeyIsNotText => bad("X-Idempotency-Key must be text"),
        R::KeyIsTooLong { chars_max } => bad(&format!("X-Idempotency-Key is longer than {chars_max} characters")),
        R::KeyHoldsControls => bad("X-Idempotency-Key must not hold control characters"),
    }
}

/// What an operation refused.
fn not_done(refusal: manage::Refusal) -> Response {
    use manage::Refusal as R;
    match refusal {
        R::NotFound { what } => text(StatusCode::NOT_FOUND, &format!("there is no such {what}")),
        R::Invalid(problems) => text(StatusCode::BAD_REQUEST, &in_its_words(&problems)),
        R::Taken(why) => text(StatusCode::CONFLICT, &why),
        // Nobody here says which revision is to be changed.
        R::Outdated { .. } => text(StatusCode::CONFLICT, "it was changed by somebody else meanwhile; try again"),
        R::Changed(thing) => text(
            StatusCode::CONFLICT,
            &format!("{thing} was changed by somebody else meanwhile; try again"),
        ),
        // docs/contracts/hooksentry.md, section 6.
        R::InUse(why) if why.contains(manage::LAST_OWNER) => (StatusCode::CONFLICT, Json(json!({ "error": "last_owner" }))).into_response(),
        R::InUse(why) => text(StatusCode::CONFLICT, &why),
        R::Busy | R::Unavailable(_) | R::PluginsNotAsked(_) => unavailable("it cannot be done now; look whether it was, and try again"),
        R::Defect(error) => {
            tracing::error!(%error, "an operation failed");
            problem(StatusCode::INTERNAL_SERVER_ERROR, "internal error", "the operation failed")
        }
    }
}

/// What is wrong, with the contract's names of our fields.
fn in_its_words(problems: &manage::Problems) -> String {
    const NAMES: [(&str, &str); 3] = [
        ("attempts_max", "maxTrys"),
        ("breaker_block_s", "circuitBreakerTimer"),
        ("concurrency_max", "serverRateLimit"),
    ];
    let line = |problem: &manage::Problem| {
        let known = NAMES.iter().find(|(ours, _)| *ours == problem.field);
        let name = known.map_or(problem.field.as_str(), |(_, theirs)| theirs);
        // What a set-up file could say does not help here.
        let why = problem.message.split("; set insecure_http").next().unwrap_or_default();
        format!("{name} {why}")
    };
    let lines: Vec<String> = problems.0.iter().map(line).collect();
    lines.join("; ")
}

/// Something was made, and is found there.
pub fn created<T: Serialize>(location: &str, body: &T) -> Response {
    let location = HeaderValue::try_from(location).expect("paths with ids are visible text");
    (StatusCode::CREATED, [(header::LOCATION, location)], Json(body)).into_response()
}

/// It is done, and there is nothing to say.
pub fn done() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// A document that is JSON already.
fn json(document: Bytes) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], document).into_response()
}

/// A 5xx says whether repeating is safe: an idempotency key makes it so.
fn not_accepted(refused: accept::Refused) -> Response {
    use accept::Refused as R;
    match refused {
        R::Busy => unavailable("too many events are waiting to be written; nothing was kept, send it again"),
        R::Full => unavailable("the server has no disk space left; nothing was kept, send it again later"),
        R::Away => unavailable("the database is away; send the event again, with the same X-Idempotency-Key to be sure of one delivery"),
        // Here the first event answers for its key, so this is not asked of accept.
        R::KeyUsedForAnotherBody | R::Defect => problem(StatusCode::INTERNAL_SERVER_ERROR, "internal error", "the event was not accepted"),
    }
}
