//! The test that the house bears dialects: one of two routes, made up here, that creates endpoints and publishes by event
//! type to all who subscribed. It asks `principal` who calls, `intake` for the body, `manage` for the endpoint and `accept`
//! for the event. Of its own it has a profile, a scope for its idempotency keys and its answers. It touches no other room.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
    routing::post,
};
use hookyard::{
    accept::{self, Answer, Idempotency, Incoming, OtherBody, Source},
    http::{
        Edge, Server,
        intake::{self, check_content_type, idempotency_key},
        principal::{self, Place, Principal, Subject},
    },
    manage::{self, EndpointFields, NewEndpoint, PlainHttp},
};
use hookyard_domain::{TenantId, profile::nestarc};
use hookyard_tests::{
    client,
    database::Kind,
    host::TestHost,
    on_both_databases,
    receiver::Receiver,
    setup::{SetupFile, Tenant, api_key, endpoint_token},
};
use http::{HeaderMap, HeaderName, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

// The dialect.

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const KEYS_LAST: Duration = Duration::from_mins(15);

fn dialect(edge: Edge) -> Router {
    Router::new()
        .route("/toy/subscribers", post(create))
        .route("/toy/messages/{type}", post(publish))
        .with_state(Arc::new(edge))
}

#[derive(Deserialize)]
struct Subscriber {
    url: String,
    events: Vec<String>,
}

async fn create(State(edge): State<Arc<Edge>>, request: Request) -> Result<Response, Refused> {
    let (head, body) = request.into_parts();
    let (caller, tenant) = caller(&edge, &head.headers)?;
    check_content_type(&head.headers)?;
    let wanted: Subscriber = edge.intake.document(&head.headers, body).await?;
    let fields = EndpointFields {
        events: wanted.events,
        profile: &nestarc::PROFILE,
        plain_http: PlainHttp::Allowed,
        ..EndpointFields::at(&wanted.url)
    };
    let created = edge.manage.create_endpoint(caller.scope(), NewEndpoint::of(tenant, fields)).await?;
    Ok((StatusCode::CREATED, Json(json!({ "id": created.id.to_string() }))).into_response())
}

async fn publish(State(edge): State<Arc<Edge>>, Path(event_type): Path<String>, request: Request) -> Result<Response, Refused> {
    let (head, body) = request.into_parts();
    let (caller, tenant) = caller(&edge, &head.headers)?;
    check_content_type(&head.headers)?;
    let idempotency = idempotency_key(&head.headers, &KEY)?.map(|key| Idempotency {
        scope: "toy messages".to_owned(),
        key,
        lasts: Some(KEYS_LAST),
        other_body: OtherBody::Refused,
    });
    let environment = edge
        .configuration
        .current()
        .default_environment(tenant)
        .map(|environment| environment.id);
    let payload = edge.intake.payload(&head.headers, body).await?;
    let incoming = Incoming {
        source: Source::Published {
            credential: caller.credential,
            tenant,
            environment: environment.ok_or(Refused::Stranger)?,
        },
        idempotency,
        event_type,
        content_type: payload.content_type,
        headers: Vec::new(),
        payload: payload.bytes,
        memory: payload.memory,
    };
    let (status, event, deliveries) = match edge.accept.accept(incoming).await? {
        Answer::New { event, deliveries, .. } => (StatusCode::ACCEPTED, event, Some(deliveries.len())),
        Answer::Existing(progress) => (StatusCode::OK, progress.event, None),
    };
    Ok((status, Json(json!({ "message": event.to_string(), "deliveries": deliveries }))).into_response())
}

fn caller(edge: &Edge, headers: &HeaderMap) -> Result<(Principal, TenantId), Refused> {
    match principal::identify(&edge.configuration.current(), headers, &[Place::Bearer], edge.clock.now()) {
        Ok(caller) if caller.subject == Subject::Tenant => Ok((caller, caller.tenant.ok_or(Refused::Stranger)?)),
        _ => Err(Refused::Stranger),
    }
}

// Its answers: the one place that names a status.

enum Refused {
    Stranger,
    Intake(intake::Refused),
    Manage(manage::Refusal),
    Accept(accept::Refused),
}

impl From<intake::Refused> for Refused {
    fn from(refused: intake::Refused) -> Self {
        Self::Intake(refused)
    }
}

impl From<manage::Refusal> for Refused {
    fn from(refused: manage::Refusal) -> Self {
        Self::Manage(refused)
    }
}

impl From<accept::Refused> for Refused {
    fn from(refused: accept::Refused) -> Self {
        Self::Accept(refused)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, why) = match self {
            Self::Stranger => (StatusCode::UNAUTHORIZED, "who calls?".to_owned()),
            Self::Intake(intake::Refused::ContentType) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "only JSON is taken".to_owned()),
            Self::Intake(intake::Refused::TooLarge { .. }) => (StatusCode::PAYLOAD_TOO_LARGE, "too large".to_owned()),
            Self::Intake(refused) => (StatusCode::BAD_REQUEST, refused.reason().to_owned()),
            Self::Manage(manage::Refusal::Invalid(problems)) => (StatusCode::BAD_REQUEST, problems.to_string()),
            Self::Manage(refusal) => (StatusCode::CONFLICT, refusal.to_string()),
            Self::Accept(refused @ accept::Refused::KeyUsedForAnotherBody) => (StatusCode::CONFLICT, refused.to_string()),
            Self::Accept(refused) => (StatusCode::SERVICE_UNAVAILABLE, refused.to_string()),
        };
        (status, Json(json!({ "why": why }))).into_response()
    }
}

// The test of it.

on_both_databases!(a_dialect_made_up_of_what_the_house_offers_works);

struct Toy {
    client: client::Client,
    base: String,
}

impl Toy {
    async fn subscribe(&self, tenant: &str, url: &str, events: &[&str]) -> (u16, Value) {
        let body = json!({ "url": url, "events": events }).to_string();
        let post = self.client.post_to(&format!("{}/toy/subscribers", self.base), body);
        let answer = post.header("authorization", &format!("Bearer {}", api_key(tenant))).send().await;
        (answer.status, answer.json())
    }

    fn message(&self, credential: &str, body: &'static str) -> client::Post {
        let post = self.client.post_to(&format!("{}/toy/messages/order.created", self.base), body);
        post.header("authorization", &format!("Bearer {credential}"))
            .header("idempotency-key", "one")
    }

    async fn publish(&self, tenant: &str, body: &'static str) -> (u16, Value) {
        let answer = self.message(&api_key(tenant), body).send().await;
        (answer.status, answer.json())
    }
}

async fn a_dialect_made_up_of_what_the_house_offers_works(kind: Kind) {
    let receiver = Receiver::start().await;
    let setup = SetupFile::new().tenant(Tenant::named("acme")).tenant(Tenant::named("other"));
    let host = TestHost::builder(kind).setup(setup).start().await;
    let server = Server::start(([127, 0, 0, 1], 0).into(), dialect(host.edge()))
        .await
        .expect("a port is free");
    let toy = Toy {
        client: host.client().clone(),
        base: format!("http://{}", server.address()),
    };

    for (tenant, path, event) in [
        ("acme", "/all", "*"),
        ("acme", "/orders", "order.created"),
        ("acme", "/users", "user.created"),
        ("other", "/foreign", "*"),
    ] {
        let (status, created) = toy.subscribe(tenant, &receiver.url(path), &[event]).await;
        assert_eq!((status, created["id"].is_string()), (201, true), "{path}: {created}");
    }
    let (status, refused) = toy.subscribe("acme", "no-url", &["*"]).await;
    assert!(
        status == 400 && refused["why"].as_str().is_some_and(|why| why.starts_with("url: ")),
        "{refused}"
    );

    let (status, first) = toy.publish("acme", "{\"n\":1}").await;
    assert_eq!((status, &first["deliveries"]), (202, &json!(2)));
    let received = receiver.wait_for(2).await;
    let paths: BTreeSet<&str> = received.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(
        paths,
        BTreeSet::from(["/all", "/orders"]),
        "whoever subscribed to the type, and nobody else"
    );
    assert!(received.iter().all(|one| one.header("webhook-id") == first["message"]));
    let envelope = b"{\"type\":\"order.created\",\"data\":{\"n\":1}}";
    assert_eq!(&received[0].body[..], envelope, "as its profile says");

    // The key's quarter of an hour.
    let (status, again) = toy.publish("acme", "{\"n\":1}").await;
    assert_eq!((status, &again["message"]), (200, &first["message"]));
    assert_eq!(toy.publish("acme", "{\"n\":2}").await.0, 409, "another body under the same key");
    host.advance(KEYS_LAST - Duration::from_mins(1));
    assert_eq!(toy.publish("acme", "{\"n\":1}").await.0, 200);
    host.advance(Duration::from_mins(1));
    let (status, later) = toy.publish("acme", "{\"n\":2}").await;
    assert_eq!(status, 202, "the key is forgotten: {later}");
    assert_ne!(later["message"], first["message"]);

    // Another tenant has keys and subscribers of its own.
    let (status, theirs) = toy.publish("other", "{\"n\":1}").await;
    assert_eq!((status, &theirs["deliveries"]), (202, &json!(1)));
    let received = receiver.wait_for(5).await;
    let foreign: Vec<_> = received.iter().filter(|one| one.path == "/foreign").collect();
    assert!(foreign.len() == 1 && foreign[0].header("webhook-id") == theirs["message"]);

    // What it refuses.
    assert_eq!(toy.publish("nobody", "{}").await.0, 401);
    assert_eq!(toy.message(&endpoint_token("acme", "hook"), "{}").send().await.status, 401);
    assert_eq!(toy.message(&api_key("acme"), "{").send().await.status, 400);
    let not_json = toy.message(&api_key("acme"), "{}").header("content-type", "text/plain");
    assert_eq!(not_json.send().await.status, 415);
    server.stop().await;
    assert_eq!(receiver.received().len(), 5, "what was refused goes nowhere");
}
