//! `POST /api/v1/ingest/{tenantId}/{token}` (docs/contracts/hooksentry.md, section 12).
//!
//! The order of checks is the contract's: API key (401), content type (415), tenant of the key (403), length of the
//! token (400), idempotency hit (200), prefix (400), token (404), its tenant (403), endpoint active (422), idempotency
//! key and payload (400, 413), and only then the commit. The contract answers an idempotency hit before it looks at
//! the token. Here the hit is found by the commit itself (A2); only a request about to be refused asks the store
//! first whether its key names an event, so the answers come out in the contract's order at no cost to the others.
//!
//! Where the original loses events or answers 500 (simultaneous use of one key, a key another tenant used), this
//! keeps the wire shape and answers 200 or 202.

#![expect(clippy::result_large_err, reason = "a refusal is a finished response; it is made once and sent")]

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use hookyard_domain::{TenantId, Timestamp};
use serde::Serialize;

use super::{allow_any_origin, preflight, refusal, words};
use crate::{
    accept::{Accept, Answer, Incoming, Source},
    configuration::{EndpointStatus, Sender},
    http::{
        body::{Bodies, Received, Refused},
        unavailable,
    },
    store::{Error, Pairs, Progress},
};

const API_KEY: &str = "x-api-key";
const IDEMPOTENCY_KEY: &str = "x-idempotency-key";
/// docs/contracts/hooksentry.md, section 12.
const TOKEN_CHARS_MAX: usize = 512;
const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;
/// Bytes of an exposed producer header a plugin is shown; a longer value is left out.
const HEADER_VALUE_BYTES_MAX: usize = 4_096;
/// Length of an event type taken from a header; a longer one counts as unknown.
const EVENT_TYPE_CHARS_MAX: usize = 255;
struct Ingest {
    accept: Accept,
    bodies: Bodies,
}

pub fn router(accept: Accept, bodies: Bodies) -> Router {
    let ingest = Ingest { accept, bodies };
    Router::new()
        .route("/api/v1/ingest/{tenant}/{token}", post(handle).options(async || preflight()))
        .with_state(Arc::new(ingest))
}

async fn handle(State(ingest): State<Arc<Ingest>>, path: Path<(String, String)>, request: Request) -> Response {
    let mut response = ingest.answer(path.0.0, path.0.1, request).await.unwrap_or_else(|refused| refused);
    allow_any_origin(&mut response);
    response
}

/// Body of 200 and 202.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Accepted {
    event_id: String,
    status: &'static str,
    accepted_at: String,
}

impl Ingest {
    async fn answer(&self, tenant: String, token: String, request: Request) -> Result<Response, Response> {
        let (head, body) = request.into_parts();
        // The original's route takes UUIDs only: anything else is no such path.
        let tenant: TenantId = tenant.parse().map_err(|_| StatusCode::NOT_FOUND.into_response())?;
        let key = head
            .headers
            .get(API_KEY)
            .and_then(|key| key.to_str().ok())
            .map(str::trim)
            .unwrap_or_default();
        let tenant_of_key = self.accept.configuration.current().tenant_of_key(key);
        let Some(tenant_of_key) = tenant_of_key else {
            return Err(StatusCode::UNAUTHORIZED.into_response());
        };
        if !is_json(&head.headers) {
            return Err(refusal(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the content type must be application/json",
            ));
        }
        if tenant_of_key != tenant {
            return Err(refusal(StatusCode::FORBIDDEN, "the API key belongs to another tenant"));
        }
        if token.chars().count() > TOKEN_CHARS_MAX {
            return Err(refusal(StatusCode::BAD_REQUEST, "the token is longer than 512 characters"));
        }
        let idempotency_key = idempotency_key(&head.headers);
        let checked = match self.source(tenant, &token) {
            Ok(source) => self.incoming(&head.headers, source, &idempotency_key, body).await,
            Err(refused) => Err(refused),
        };
        let incoming = match checked {
            Ok(incoming) => incoming,
            Err(refused) => return Err(self.known_key_or(refused, tenant, &idempotency_key).await),
        };
        match self.accept.accept(incoming).await {
            Ok(Answer::New { event, accepted_at }) => Ok(accepted(event.to_string(), accepted_at)),
            Ok(Answer::Existing(progress)) => Ok(existing(&progress)),
            Err(error) => Err(failed(&error)),
        }
    }

    /// The endpoint or sender of a token.
    fn source(&self, tenant: TenantId, token: &str) -> Result<Source, Response> {
        let snapshot = self.accept.configuration.current();
        let unknown = || refusal(StatusCode::NOT_FOUND, "no such ingest token");
        let foreign = || refusal(StatusCode::FORBIDDEN, "the ingest token belongs to another tenant");
        if token.starts_with("dst_") {
            let endpoint = snapshot.endpoint_by_token(token).ok_or_else(unknown)?;
            if endpoint.tenant.id != tenant {
                return Err(foreign());
            }
            if endpoint.status != EndpointStatus::Active {
                return Err(refusal(StatusCode::UNPROCESSABLE_ENTITY, "the destination is not active"));
            }
            Ok(Source::Endpoint(Arc::clone(endpoint)))
        } else if token.starts_with("sndr_") {
            let sender = snapshot.sender_by_token(token).ok_or_else(unknown)?;
            if sender.tenant.id != tenant {
                return Err(foreign());
            }
            if !sender.active {
                return Err(refusal(StatusCode::UNPROCESSABLE_ENTITY, "the sender is not active"));
            }
            Ok(Source::Sender(Arc::clone(sender)))
        } else {
            Err(refusal(StatusCode::BAD_REQUEST, "the token must begin with dst_ or sndr_"))
        }
    }

    async fn incoming(
        &self,
        headers: &HeaderMap,
        source: Source,
        idempotency_key: &Result<Option<String>, &'static str>,
        body: Body,
    ) -> Result<Incoming, Response> {
        let idempotency_key = idempotency_key
            .clone()
            .map_err(|problem| refusal(StatusCode::BAD_REQUEST, problem))?;
        let received = self.receive(headers, body).await?;
        check_json(&received.bytes)?;
        let (event_type, exposed) = match &source {
            Source::Endpoint(_) => (String::new(), Pairs::new()),
            Source::Sender(sender) => (event_type(sender, headers), exposed(sender, headers)),
        };
        let content_type = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("application/json")
            .to_owned();
        Ok(Incoming {
            source,
            idempotency_key,
            event_type,
            content_type,
            headers: exposed,
            payload: received.bytes,
            memory: received.memory,
        })
    }

    async fn receive(&self, headers: &HeaderMap, body: Body) -> Result<Received, Response> {
        let announced = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok());
        self.bodies.receive(announced, body).await.map_err(|refused| match refused {
            Refused::TooLarge => {
                let text = format!("the payload is larger than {} bytes", self.bodies.bytes_max());
                refusal(StatusCode::PAYLOAD_TOO_LARGE, &text)
            }
            Refused::Busy => unavailable("too many payloads are being received; nothing was kept, send it again"),
            Refused::BrokeOff => refusal(StatusCode::BAD_REQUEST, "the payload broke off"),
            Refused::TooSlow => refusal(StatusCode::REQUEST_TIMEOUT, "the payload took too long to arrive"),
        })
    }

    /// A request about to be refused is answered with the event its idempotency key names, if there is one.
    async fn known_key_or(&self, refused: Response, tenant: TenantId, key: &Result<Option<String>, &'static str>) -> Response {
        let Ok(Some(key)) = key else { return refused };
        match self.accept.existing(tenant, key).await {
            Ok(Some(progress)) => existing(&progress),
            Ok(None) => refused,
            Err(error) => failed(&error),
        }
    }
}

fn accepted(event: String, accepted_at: Timestamp) -> Response {
    let location = HeaderValue::try_from(format!("/api/v1/events/{event}")).expect("a UUID is visible text");
    let body = Accepted {
        event_id: event,
        status: "Pending",
        accepted_at: accepted_at.to_string(),
    };
    (StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(body)).into_response()
}

fn existing(progress: &Progress) -> Response {
    let body = Accepted {
        event_id: progress.event.to_string(),
        status: words::status(progress),
        accepted_at: progress.accepted_at.to_string(),
    };
    (StatusCode::OK, Json(body)).into_response()
}

/// A 5xx says whether repeating is safe: an idempotency key makes it so.
fn failed(error: &Error) -> Response {
    match error {
        Error::Busy => unavailable("too many events are waiting to be written; nothing was kept, send it again"),
        Error::Full(_) => unavailable("the server has no disk space left; nothing was kept, send it again later"),
        Error::Unreachable(_) | Error::Closed => {
            unavailable("the database is away; send the event again, with the same X-Idempotency-Key to be sure of one delivery")
        }
        Error::Corrupt { .. } | Error::Taken(_) | Error::Statement(_) => {
            tracing::error!(%error, "cannot accept an event");
            crate::http::problem(StatusCode::INTERNAL_SERVER_ERROR, "internal error", "the event was not accepted")
        }
    }
}

/// `application/json`, or a type with the `+json` suffix (RFC 6839), with any parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(text) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// The idempotency key; a blank one counts as none.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, &'static str> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let text = std::str::from_utf8(value.as_bytes())
        .map_err(|_| "X-Idempotency-Key must be text")?
        .trim();
    if text.is_empty() {
        return Ok(None);
    }
    if text.chars().count() > IDEMPOTENCY_KEY_CHARS_MAX {
        return Err("X-Idempotency-Key is longer than 255 characters");
    }
    if text.chars().any(char::is_control) {
        return Err("X-Idempotency-Key must not hold control characters");
    }
    Ok(Some(text.to_owned()))
}

/// Well-formed JSON in UTF-8, whatever its values: numbers are not read, so `1e400` is as good as 1.
fn check_json(payload: &[u8]) -> Result<(), Response> {
    let text = std::str::from_utf8(payload).map_err(|error| {
        refusal(
            StatusCode::BAD_REQUEST,
            &format!("the payload is not UTF-8: byte {} is wrong", error.valid_up_to()),
        )
    })?;
    serde_json::from_str::<serde::de::IgnoredAny>(text)
        .map(drop)
        .map_err(|error| refusal(StatusCode::BAD_REQUEST, &format!("the payload is not JSON: {error}")))
}

fn event_type(sender: &Sender, headers: &HeaderMap) -> String {
    sender
        .event_type_header
        .as_ref()
        .and_then(|name| headers.get(name)?.to_str().ok())
        .filter(|text| text.chars().count() <= EVENT_TYPE_CHARS_MAX)
        .unwrap_or_default()
        .to_owned()
}

fn exposed(sender: &Sender, headers: &HeaderMap) -> Pairs {
    sender
        .exposed_headers
        .iter()
        .flat_map(|name| headers.get_all(name).iter().map(move |value| (name, value)))
        .filter(|(_, value)| value.len() <= HEADER_VALUE_BYTES_MAX)
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &'static str, value: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_bytes(value).expect("a header value"));
        headers
    }

    #[test]
    fn json_types_are_json_and_nothing_else_is() {
        for good in ["application/json", "Application/JSON; charset=utf-8", "application/vnd.github+json"] {
            assert!(is_json(&with("content-type", good.as_bytes())), "{good}");
        }
        for bad in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/jsonp",
            "",
            "text/json",
        ] {
            assert!(!is_json(&with("content-type", bad.as_bytes())), "{bad}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }

    #[test]
    fn idempotency_keys_are_bounded_text() {
        assert_eq!(idempotency_key(&HeaderMap::new()), Ok(None));
        assert_eq!(idempotency_key(&with(IDEMPOTENCY_KEY, b"  ")), Ok(None));
        assert_eq!(idempotency_key(&with(IDEMPOTENCY_KEY, b" a-1 ")), Ok(Some("a-1".to_owned())));
        assert_eq!(
            idempotency_key(&with(IDEMPOTENCY_KEY, "é".repeat(255).as_bytes())),
            Ok(Some("é".repeat(255)))
        );
        assert!(idempotency_key(&with(IDEMPOTENCY_KEY, "é".repeat(256).as_bytes())).is_err());
        assert!(idempotency_key(&with(IDEMPOTENCY_KEY, b"a\tb")).is_err());
        assert!(idempotency_key(&with(IDEMPOTENCY_KEY, &[0xff, 0xfe])).is_err());
    }

    #[test]
    fn json_is_checked_without_reading_its_values() {
        for good in [
            "1e400",
            "18446744073709551617",
            " {\"a\":1,\"a\":2}\n",
            "\"\\ud83d\\ude00\"",
            "null",
            "1.0",
        ] {
            assert!(check_json(good.as_bytes()).is_ok(), "{good}");
        }
        for bad in ["", " ", "{", "{\"a\":01}", "nul", "[1,]", "{} {}"] {
            assert!(check_json(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(check_json(&[b'"', 0xff, b'"']).is_err());
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(
            check_json(deep.as_bytes()).is_ok(),
            "depth is not ours to bound, and does not overflow"
        );
    }
}
