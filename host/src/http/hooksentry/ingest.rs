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

use std::{borrow::Cow, sync::Arc};

use axum::{
    body::Body,
    extract::{Path, Request, State, rejection::PathRejection},
    http::{HeaderMap, HeaderName, Method, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use hookyard_domain::{TenantId, Timestamp};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use super::{
    answers::{self, Accepted, Refused, documented},
    openapi::{self, Op, tag::INGEST},
};
use crate::{
    accept::{Answer, Idempotency, Incoming, OtherBody, Source},
    configuration::{Endpoint, EndpointStatus, Sender, Snapshot},
    http::{
        Edge, intake,
        openapi::{Routes, text},
        principal::{self, Place, Subject},
    },
    store::{Pairs, SecretText},
    verification::{self, Verified},
};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("x-idempotency-key");
/// docs/contracts/hooksentry.md, section 12.
const TOKEN_CHARS_MAX: usize = 512;
/// A key is its tenant's, whichever token came with it, and names its event for ever (docs/contracts/hooksentry.md,
/// section 12.1).
const SCOPE: &str = "hooksentry";
/// A body past which its signature is checked where no other request waits for it.
const LARGE_BODY_BYTES: usize = 256 * 1_024;
/// Bytes of an exposed producer header a plugin is shown; a longer value is left out.
const HEADER_VALUE_BYTES_MAX: usize = 4_096;
/// Length of an event type taken from a header; a longer one counts as unknown.
const EVENT_TYPE_CHARS_MAX: usize = 255;

pub struct Ingest(Edge);

/// A path that is not text is another path than ours.
type TenantAndToken = Result<Path<(String, String)>, PathRejection>;

impl Ingest {
    pub fn new(edge: Edge) -> Self {
        Self(edge)
    }
}

pub fn routes() -> Routes<Arc<Ingest>> {
    let path = "/api/v1/ingest/{tenantId}/{token}";
    let addressed = |op: Op| {
        op.in_path("tenantId", "The tenant's id.", openapi::id()).in_path(
            "token",
            "An ingest token: `dst_` or `sndr_` and what follows.",
            text()
                .min_length(Some(1))
                .max_length(Some(TOKEN_CHARS_MAX))
                .pattern(Some("^(dst|sndr)_[A-Za-z0-9._-]+$")),
        )
    };
    let post = addressed(Op::of_producer("ingest", INGEST, "Accepts an event"))
        .about("The body is any JSON and is kept byte for byte. 202 means that the event is on disk.")
        .about("A sender may know its service by the service's own signature instead of an API key; forms are taken then too.")
        .in_header(
            IDEMPOTENCY_KEY.as_str(),
            "Names one event of the tenant for ever. A blank one counts as none.",
            openapi::line(255),
        )
        .takes_payload::<AnyJson>("The payload.")
        .answers(documented::faults())
        .answers([
            documented::accepted(),
            documented::shown::<Accepted>(
                "the idempotency key names an event already; or a service's handshake, in the form that the service asks for",
            ),
            documented::invalid(
                "the token has another prefix or more than 512 characters, or the idempotency key more than 255 or a control character",
            ),
            documented::unidentified("the API key is missing or unknown, or the service's signature is wrong"),
            documented::forbidden("the API key, or the token, belongs to another tenant"),
            documented::absent("the token or the tenant is unknown; without a body if the tenant's id is not a UUID"),
            documented::unprocessable("the destination, the sender or the sender's destination is not active"),
        ]);
    let get = addressed(Op::of_producer(
        "handshake",
        INGEST,
        "Answers a service that asks whether the address is meant for it",
    ))
    .about("Of senders whose service asks by GET.")
    .answers([
        documented::handshake("the answer that the service asks for"),
        documented::unidentified("the service's proof is wrong or missing"),
        documented::no_such_path("the tenant's id is not a UUID"),
        documented::post_only(),
        documented::unavailable("too many payloads are being received"),
    ])
    .answers(documented::bodies("the operator allows, 25 MiB unless set"));
    let options = Op::plain("preflight", INGEST, "Says to a browser that it may post, whatever its origin")
        .about("Every path of this form is answered so.")
        .in_path("tenantId", "The tenant's id.", text())
        .in_path("token", "An ingest token.", text())
        .answers([documented::preflight()]);
    Routes::new()
        .on(&Method::POST, path, handle, post.into())
        .on(&Method::GET, path, handshake, get.into())
        .on(&Method::OPTIONS, path, async || answers::preflight(), options.into())
}

/// What a payload is, as far as this API is concerned.
struct AnyJson;

impl PartialSchema for AnyJson {
    fn schema() -> RefOr<Schema> {
        utoipa::openapi::schema::empty().into()
    }
}

impl ToSchema for AnyJson {
    fn name() -> Cow<'static, str> {
        "Payload".into()
    }
}

async fn handle(State(ingest): State<Arc<Ingest>>, path: TenantAndToken, request: Request) -> Response {
    let answer = match path {
        Ok(Path((tenant, token))) => ingest.answer(&tenant, &token, request).await,
        Err(_) => Err(Refused::NoSuchPath),
    };
    let mut response = answer.unwrap_or_else(|refused| {
        ingest.0.metrics.requests_refused.inc("reason", refused.reason());
        refused.into_response()
    });
    answers::allow_any_origin(&mut response);
    response
}

/// Some services ask by GET whether the URL they were given is meant for them.
async fn handshake(State(ingest): State<Arc<Ingest>>, path: TenantAndToken, request: Request) -> Response {
    let Ok(Path((tenant, token))) = path else {
        return Refused::NoSuchPath.into_response();
    };
    let asked = ingest.verified_sender(&tenant, &token, request.headers());
    match asked {
        Err(refused) => refused.into_response(),
        Ok(Some(sender)) if sender.verification.as_ref().is_some_and(|check| check.settings.answers_get()) => {
            let (head, body) = request.into_parts();
            ingest.verified(&sender, &head, body).await.unwrap_or_else(|refused| {
                ingest.0.metrics.requests_refused.inc("reason", refused.reason());
                refused.into_response()
            })
        }
        _ => answers::post_only(),
    }
}

impl Ingest {
    async fn answer(&self, tenant: &str, token: &str, request: Request) -> Result<Response, Refused> {
        if let Some(sender) = self.verified_sender(tenant, token, request.headers())? {
            let (head, body) = request.into_parts();
            return self.verified(&sender, &head, body).await;
        }
        let (head, body) = request.into_parts();
        let tenant = self.check_caller(tenant, token, &head.headers)?;
        let key = intake::idempotency_key(&head.headers, &IDEMPOTENCY_KEY);
        let known_key = key.clone().ok().flatten();
        let incoming = match self.incoming(tenant, token, key, &head.headers, body).await {
            Ok(incoming) => incoming,
            Err(refused) => return self.known_event_or(refused, tenant, known_key).await,
        };
        self.accept(incoming).await
    }

    /// The sender of the token, where it knows its service by the service's own signature and no API key came.
    fn verified_sender(&self, tenant: &str, token: &str, headers: &HeaderMap) -> Result<Option<Arc<Sender>>, Refused> {
        let tenant: TenantId = tenant.parse().map_err(|_| Refused::NoSuchPath)?;
        if headers.contains_key(&API_KEY) || token.chars().count() > TOKEN_CHARS_MAX {
            return Ok(None);
        }
        let snapshot = self.0.configuration.current();
        let holder = principal::identify(&snapshot, &HeaderMap::new(), &[Place::Path(token)], self.0.clock.now());
        let Ok(Subject::Sender(id)) = holder.map(|holder| holder.subject) else {
            return Ok(None);
        };
        let sender = snapshot.senders.get(&id).filter(|sender| sender.tenant_id == tenant);
        Ok(sender.filter(|sender| sender.verification.is_some()).cloned())
    }

    /// A request of a service that signs by itself: its signature over the very bytes takes the place of the API key.
    async fn verified(&self, sender: &Arc<Sender>, head: &Parts, body: Body) -> Result<Response, Refused> {
        let Some(check) = &sender.verification else {
            return Err(Refused::Unidentified);
        };
        let (bytes, memory) = self.0.intake.bytes(&head.headers, body).await?;
        let request = verification::Request {
            method: &head.method,
            headers: &head.headers,
            query: head.uri.query(),
            body: &bytes,
        };
        let secrets: Vec<&str> = check.secrets.iter().map(SecretText::expose).collect();
        let verify = || check.settings.verify(&secrets, &request, self.0.clock.now());
        let verified = if bytes.len() > LARGE_BODY_BYTES {
            // Some hashes over it take milliseconds in which this thread serves nobody else.
            tokio::task::block_in_place(verify)
        } else {
            verify()
        };
        let verified = verified.inspect_err(|refused| {
            tracing::warn!(sender = sender.label(), tenant = sender.tenant.name, reason = %refused, "a request to a sender was not its service's");
        })?;
        let (event_type, key, payload) = match verified {
            Verified::Handshake(reply) => return Ok(answers::handshake(reply)),
            Verified::Event {
                event_type,
                idempotency_key,
                payload,
            } => (event_type, idempotency_key, payload),
        };
        let source = taken(&self.0.configuration.current(), Source::Sender(Arc::clone(sender)))?;
        let (content_type, payload) = match payload {
            verification::Payload::Json(text) => ("application/json".to_owned(), Bytes::from(text)),
            verification::Payload::AsReceived => (intake::content_type_of(&head.headers).to_owned(), bytes),
        };
        intake::check_json(&payload)?;
        let incoming = Incoming {
            source,
            // The service's own id of the delivery: what it sends again is the same event.
            idempotency: key.map(|key| Idempotency {
                scope: format!("inbound {}", sender.id),
                key,
                lasts: None,
                other_body: OtherBody::FirstWins,
            }),
            event_type: event_type.unwrap_or_else(|| self::event_type(sender, &head.headers)),
            content_type,
            headers: exposed(sender, &head.headers),
            payload,
            memory,
        };
        self.accept(incoming).await
    }

    async fn accept(&self, incoming: Incoming) -> Result<Response, Refused> {
        match self.0.accept.accept(incoming).await? {
            Answer::New { event, accepted_at, .. } => Ok(answers::accepted(event, accepted_at)),
            Answer::Existing(progress) => Ok(answers::existing(&progress)),
        }
    }

    /// What comes before the idempotency key in the contract's order. A stranger learns of no key.
    fn check_caller(&self, tenant: &str, token: &str, headers: &HeaderMap) -> Result<TenantId, Refused> {
        let tenant: TenantId = tenant.parse().map_err(|_| Refused::NoSuchPath)?;
        let snapshot = self.0.configuration.current();
        let caller = principal::identify(&snapshot, headers, &[Place::Header(&API_KEY)], self.0.clock.now())
            .ok()
            .filter(|caller| caller.subject == Subject::Tenant)
            .ok_or(Refused::Unidentified)?;
        intake::check_content_type(headers)?;
        if caller.tenant != Some(tenant) {
            let is_there = snapshot.tenants.contains_key(&tenant);
            return Err(if is_there {
                Refused::KeyOfAnotherTenant
            } else {
                Refused::TenantUnknown
            });
        }
        if token.chars().count() > TOKEN_CHARS_MAX {
            return Err(Refused::TokenTooLong);
        }
        Ok(tenant)
    }

    /// What comes after the idempotency key in the contract's order.
    async fn incoming(
        &self,
        tenant: TenantId,
        token: &str,
        key: Result<Option<String>, intake::Refused>,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Incoming, Refused> {
        let source = source(&self.0.configuration.current(), tenant, token, self.0.clock.now())?;
        let idempotency = key?.map(|key| Idempotency {
            scope: SCOPE.to_owned(),
            key,
            lasts: None,
            other_body: OtherBody::FirstWins,
        });
        let payload = self.0.intake.payload(headers, body).await?;
        let (event_type, exposed) = match &source {
            Source::Endpoint(_) | Source::Published { .. } => (String::new(), Pairs::new()),
            Source::Sender(sender) => (event_type(sender, headers), exposed(sender, headers)),
        };
        Ok(Incoming {
            source,
            idempotency,
            event_type,
            content_type: payload.content_type,
            headers: exposed,
            payload: payload.bytes,
            memory: payload.memory,
        })
    }

    /// A request about to be refused is answered with the event its idempotency key names, if there is one.
    async fn known_event_or(&self, refused: Refused, tenant: TenantId, key: Option<String>) -> Result<Response, Refused> {
        let Some(key) = key else { return Err(refused) };
        match self.0.accept.existing(tenant, SCOPE, &key).await? {
            Some(progress) => Ok(answers::existing(&progress)),
            None => Err(refused),
        }
    }
}

/// The endpoint or sender of a token.
fn source(snapshot: &Snapshot, tenant: TenantId, token: &str, now: Timestamp) -> Result<Source, Refused> {
    if !token.starts_with("dst_") && !token.starts_with("sndr_") {
        return Err(Refused::TokenPrefix);
    }
    let holder = principal::identify(snapshot, &HeaderMap::new(), &[Place::Path(token)], now).map_err(|_| Refused::TokenUnknown)?;
    if holder.tenant != Some(tenant) {
        return Err(Refused::TokenOfAnotherTenant);
    }
    match holder.subject {
        Subject::Tenant | Subject::Manager(_) => Err(Refused::TokenUnknown),
        Subject::Endpoint(id) => {
            let endpoint = snapshot.endpoints.get(&id).ok_or(Refused::TokenUnknown)?;
            taken(snapshot, Source::Endpoint(Arc::clone(endpoint)))
        }
        Subject::Sender(id) => {
            let sender = snapshot.senders.get(&id).ok_or(Refused::TokenUnknown)?;
            taken(snapshot, Source::Sender(Arc::clone(sender)))
        }
    }
}

/// Whether anything is taken from a source now. A sender whose own destination takes nothing, or is gone, does not either.
fn taken(snapshot: &Snapshot, source: Source) -> Result<Source, Refused> {
    let takes = |endpoint: &Endpoint| endpoint.status == EndpointStatus::Active;
    match &source {
        Source::Endpoint(endpoint) if !takes(endpoint) => Err(Refused::EndpointNotActive),
        Source::Sender(sender) if !sender.active => Err(Refused::SenderNotActive),
        Source::Sender(sender) => match sender.endpoint.map(|id| snapshot.endpoints.get(&id)) {
            Some(own) if !own.is_some_and(|own| takes(own)) => Err(Refused::EndpointNotActive),
            _ => Ok(source),
        },
        Source::Endpoint(_) | Source::Published { .. } => Ok(source),
    }
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
