//! What HookSentry answers: the one place in this dialect that names a status.
//!
//! Everything before it returns a [`Refused`] with the reason; here each reason gets the contract's status and body. Most
//! refusals are a bare JSON string (docs/contracts/hooksentry.md, section 15.2), those of credentials have no body (3.4), and
//! what is the server's own fault is a problem document (15.2).

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use hookyard_domain::{EventId, Timestamp};
use serde::Serialize;

use super::words;
use crate::{
    accept,
    http::{
        intake,
        problem::{problem, unavailable},
    },
    store::Progress,
};

/// Why a request to ingest was refused, in the order of the contract's checks.
#[derive(Debug)]
pub enum Refused {
    /// The path's tenant is not a UUID. The original's route takes UUIDs only: anything else is another path.
    NoSuchPath,
    /// No API key, or one that nobody has.
    Unidentified,
    Intake(intake::Refused),
    KeyOfAnotherTenant,
    TokenTooLong,
    TokenPrefix,
    TokenUnknown,
    TokenOfAnotherTenant,
    EndpointNotActive,
    SenderNotActive,
    Accept(accept::Refused),
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
            Self::TokenTooLong | Self::TokenPrefix => "malformed-token",
            Self::TokenUnknown => "unknown-token",
            Self::EndpointNotActive | Self::SenderNotActive => "not-active",
            Self::Accept(refused) => refused.reason(),
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
            Self::TokenTooLong => text(StatusCode::BAD_REQUEST, "the token is longer than 512 characters"),
            Self::TokenPrefix => text(StatusCode::BAD_REQUEST, "the token must begin with dst_ or sndr_"),
            Self::TokenUnknown => text(StatusCode::NOT_FOUND, "no such ingest token"),
            Self::TokenOfAnotherTenant => text(StatusCode::FORBIDDEN, "the ingest token belongs to another tenant"),
            Self::EndpointNotActive => text(StatusCode::UNPROCESSABLE_ENTITY, "the destination is not active"),
            Self::SenderNotActive => text(StatusCode::UNPROCESSABLE_ENTITY, "the sender is not active"),
            Self::Accept(refused) => not_accepted(refused),
        }
    }
}

/// Body of 200 and 202.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Accepted {
    event_id: String,
    status: &'static str,
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
        (header::ALLOW, METHODS),
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
