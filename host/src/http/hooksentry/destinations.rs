//! `/api/v1/destinations` (docs/contracts/hooksentry.md, section 9), with what Hookyard adds: one can be read and deleted, it
//! has metadata and event patterns, and shows its breaker.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json,
    extract::{Request, State},
    http::Method,
    response::{IntoResponse as _, Response},
};
use hookyard_domain::{EndpointId, Scope, profile};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema},
};

use super::{
    answers::{self, Refused},
    auth_kinds,
    desk::{self, Desk, PathText, id, own, required, scope},
    lists::Query,
    openapi::{self, Op, tag::DESTINATIONS},
    words,
};
use crate::{
    configuration::{CredentialKind, Endpoint, EndpointStatus},
    http::openapi::Routes,
    manage::{Blocked, Deed, EndpointFields, EndpointFilter, NewEndpoint, Person, random_credential},
};

const FIELDS: &[&str] = &[
    "id",
    "tenantId",
    "url",
    "status",
    "serverRateLimit",
    "authType",
    "createdAt",
    "updatedAt",
];

pub fn routes() -> Routes<Arc<Desk>> {
    let one = "/api/v1/destinations/{id}";
    Routes::new()
        .on(
            &Method::GET,
            "/api/v1/destinations",
            list,
            Op::of_person("listDestinations", DESTINATIONS, "Lists the tenant's destinations")
                .lists::<Shown>(FIELDS, "id", u32::MAX)
                .into(),
        )
        .on(
            &Method::POST,
            "/api/v1/destinations",
            create,
            Op::of_person("createDestination", DESTINATIONS, "Makes a destination")
                .by_role()
                .takes::<NewDestination>("The destination. It is active, whatever `status` says.")
                .makes::<Shown>("it was made; its ingest token is shown here only")
                .into(),
        )
        .on(
            &Method::GET,
            one,
            show,
            Op::of_person("showDestination", DESTINATIONS, "Shows a destination")
                .of_one("id", "destination")
                .shows::<Shown>("the destination")
                .into(),
        )
        .on(
            &Method::PATCH,
            one,
            change,
            Op::of_person("changeDestination", DESTINATIONS, "Changes a destination")
                .by_role()
                .of_one("id", "destination")
                .takes::<Wanted>("What is to be another; what is missing stays.")
                .changes()
                .shows::<Shown>("the destination as it is now")
                .into(),
        )
        .on(
            &Method::DELETE,
            one,
            remove,
            Op::of_person(
                "deleteDestination",
                DESTINATIONS,
                "Deletes a destination and cancels what waits for it",
            )
            .by_role()
            .of_one("id", "destination")
            .changes()
            .ends("it is deleted")
            .into(),
        )
        .on(
            &Method::POST,
            "/api/v1/destinations/{id}/ingest-token",
            new_token,
            Op::of_person(
                "replaceDestinationToken",
                DESTINATIONS,
                "Replaces a destination's ingest token, at once",
            )
            .by_role()
            .of_one("id", "destination")
            .changes()
            .shows::<Token<'_>>("the new token, which is shown here only")
            .into(),
        )
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Destination)]
struct Shown {
    #[schema(schema_with = openapi::id)]
    id: String,
    #[schema(schema_with = openapi::id)]
    tenant_id: String,
    url: String,
    #[schema(schema_with = words::endpoint_status_schema)]
    status: &'static str,
    /// Deliveries to it at the same time.
    server_rate_limit: u32,
    #[schema(schema_with = auth_type_schema, required)]
    auth_type: Option<&'static str>,
    #[schema(schema_with = openapi::moment)]
    created_at: String,
    #[schema(schema_with = openapi::moment)]
    updated_at: String,
    #[schema(value_type = Object)]
    metadata: Value,
    events: Vec<String>,
    #[schema(schema_with = breaker_schema)]
    circuit_breaker_state: &'static str,
    /// From when on the next delivery is a probe.
    #[schema(schema_with = openapi::moment_or_none, required)]
    circuit_breaker_next_check_at: Option<String>,
    /// Where it was just made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    ingest_token: Option<String>,
}

/// Also of a sender.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = IngestToken)]
pub struct Token<'a> {
    pub ingest_token: &'a str,
}

fn auth_type_schema() -> ObjectBuilder {
    let words = auth_kinds::WORDS.into_iter().map(Value::from).chain([Value::Null]);
    openapi::or_none(ObjectBuilder::new()).enum_values(Some(words))
}

const OPEN: &str = "Open";
const CLOSED: &str = "Closed";

fn breaker_schema() -> ObjectBuilder {
    openapi::one_of(&[OPEN, CLOSED])
}

/// `blocked` is its breaker, where that is not closed.
fn render(endpoint: &Endpoint, blocked: Option<&Blocked>) -> Shown {
    let patterns: Vec<String> = endpoint
        .subscriptions
        .iter()
        .map(|subscription| subscription.pattern.to_string())
        .collect();
    Shown {
        id: endpoint.id.to_string(),
        tenant_id: endpoint.tenant_id.to_string(),
        url: endpoint.url.to_string(),
        status: words::endpoint_status(endpoint.status),
        server_rate_limit: endpoint.concurrency_max,
        auth_type: endpoint.auth.as_ref().map(auth_kinds::word),
        created_at: endpoint.created_at.to_string(),
        updated_at: endpoint.updated_at.to_string(),
        metadata: serde_json::from_str(&endpoint.metadata_json).unwrap_or_default(),
        events: patterns,
        circuit_breaker_state: if blocked.is_some() { OPEN } else { CLOSED },
        circuit_breaker_next_check_at: blocked.map(|blocked| blocked.until.to_string()),
        ingest_token: None,
    }
}

fn url_schema() -> ObjectBuilder {
    let url = openapi::line(2_048).pattern(Some(r"^https?://[a-z0-9.-]+(:[0-9]{1,4})?(/[!-~]*)?$"));
    url.description(Some(
        "An absolute https URL without a user name or password; http too where the operator allows it.",
    ))
    .examples(["https://example.com/hooks"])
}

fn url_or_none_schema() -> ObjectBuilder {
    openapi::or_none(url_schema())
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DestinationChange, example = json!({ "url": "https://example.com/hooks", "events": ["order.*"] }))]
struct Wanted {
    #[schema(schema_with = url_or_none_schema)]
    url: Option<String>,
    /// Deliveries to it at the same time; 5 unless given.
    #[serde(default, deserialize_with = "desk::whole")]
    #[schema(minimum = 1, maximum = 1_024)]
    server_rate_limit: Option<i64>,
    #[schema(schema_with = words::active_in_schema)]
    status: Option<Value>,
    #[schema(schema_with = auth_type_schema)]
    auth_type: Option<String>,
    /// What belongs to `authType`; both or neither.
    #[schema(schema_with = auth_kinds::schema)]
    credentials: Option<Value>,
    /// Takes the authentication away, even beside new `credentials`.
    #[serde(default)]
    remove_auth: Option<bool>,
    /// Up to 16 KiB, without a nameless key. Plugins see it.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    /// `*`, `order.*` or `order.created`; `*` unless given.
    #[schema(max_items = 1_000)]
    events: Option<Vec<String>>,
}

/// The same with the one thing that a new one must have.
#[derive(Deserialize)]
#[serde(transparent)]
struct NewDestination(Wanted);

impl PartialSchema for NewDestination {
    fn schema() -> RefOr<Schema> {
        let mut schema = Wanted::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            object.required.push("url".to_owned());
            object.properties.insert("url".to_owned(), url_schema().into());
        }
        schema
    }
}

impl ToSchema for NewDestination {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Wanted::schemas(schemas);
    }
}

impl Wanted {
    fn put_into(&self, fields: &mut EndpointFields) -> Result<(), Refused> {
        if let Some(url) = &self.url {
            url.clone_into(&mut fields.url);
        }
        if let Some(limit) = self.server_rate_limit {
            fields.concurrency_max = u32::try_from(limit).map_err(|_| Refused::Invalid("serverRateLimit is out of range".to_owned()))?;
        }
        if let Some(status) = &self.status {
            fields.status = if words::read_active(status)? {
                EndpointStatus::Active
            } else {
                EndpointStatus::Inactive
            };
        }
        match auth_kinds::read(self.auth_type.as_deref(), self.credentials.as_ref()).map_err(Refused::Invalid)? {
            _ if self.remove_auth == Some(true) => fields.auth = None,
            Some(auth) => fields.auth = Some(auth),
            None => {}
        }
        if let Some(metadata) = &self.metadata {
            fields.metadata.clone_from(metadata);
        }
        if let Some(events) = &self.events {
            fields.events.clone_from(events);
        }
        Ok(())
    }
}

/// It wants every event of those who choose among all destinations, unless it says otherwise; what comes by its own token or
/// senders comes all the same.
async fn create(State(desk): State<Arc<Desk>>, request: Request) -> Result<Response, Refused> {
    let (head, body) = request.into_parts();
    let person = desk.person_who_may(Deed::Work, &head.headers).await?;
    let NewDestination(wanted) = desk.document(&head.headers, body).await?;
    let url = required(wanted.url.clone(), "url")?;
    let mut fields = EndpointFields {
        profile: &profile::hooksentry::PROFILE,
        plain_http: desk.edge.plain_http,
        ..EndpointFields::at(&url)
    };
    wanted.put_into(&mut fields)?;
    // New ones are active (docs/contracts/hooksentry.md, section 9).
    fields.status = EndpointStatus::Active;
    let token = random_credential(CredentialKind::EndpointToken);
    let new = NewEndpoint {
        token: Some(token.clone()),
        ..NewEndpoint::of(person.user.tenant, fields)
    };
    let endpoint = desk.edge.manage.create_endpoint(scope(&person), new).await?;
    let mut answer = render(&endpoint, None);
    answer.ingest_token = Some(token.expose().to_owned());
    Ok(answers::created(&format!("/api/v1/destinations/{}", endpoint.id), &answer))
}

async fn list(State(desk): State<Arc<Desk>>, request: Request) -> Result<Response, Refused> {
    let person = desk.person(request.headers()).await?;
    let page = Query::of(request.uri().query()).page(FIELDS, "id")?;
    let filter = EndpointFilter {
        profile: Some(&profile::hooksentry::PROFILE),
        ..EndpointFilter::default()
    };
    let endpoints = desk.edge.manage.endpoints(scope(&person), &filter).await?;
    let blocked = desk.edge.manage.blocked(scope(&person)).await?;
    let blocked: HashMap<EndpointId, &Blocked> = blocked.iter().map(|blocked| (blocked.endpoint, blocked)).collect();
    let all = endpoints
        .iter()
        .map(|endpoint| render(endpoint, blocked.get(&endpoint.id).copied()));
    Ok(page.cut(all))
}

/// A destination that is the person's own.
pub async fn theirs(desk: &Desk, person: &Person, id: EndpointId) -> Result<Arc<Endpoint>, Refused> {
    let endpoint = match desk.edge.manage.endpoint(Scope::Operator, id).await {
        Ok(endpoint) if endpoint.profile == &profile::hooksentry::PROFILE => endpoint,
        Ok(_) => return Err(Refused::Absent("destination")),
        Err(crate::manage::Refusal::NotFound { .. }) => return Err(Refused::Absent("destination")),
        Err(refusal) => return Err(refusal.into()),
    };
    own(person, endpoint.tenant_id)?;
    Ok(endpoint)
}

async fn with_breaker(desk: &Desk, person: &Person, endpoint: &Endpoint) -> Result<Response, Refused> {
    let blocked = desk.edge.manage.blocked(scope(person)).await?;
    let own = blocked.iter().find(|blocked| blocked.endpoint == endpoint.id);
    Ok(Json(render(endpoint, own)).into_response())
}

async fn show(State(desk): State<Arc<Desk>>, PathText(endpoint): PathText, request: Request) -> Result<Response, Refused> {
    let endpoint: EndpointId = id(&endpoint)?;
    let person = desk.person(request.headers()).await?;
    let endpoint = theirs(&desk, &person, endpoint).await?;
    with_breaker(&desk, &person, &endpoint).await
}

async fn change(State(desk): State<Arc<Desk>>, PathText(endpoint): PathText, request: Request) -> Result<Response, Refused> {
    let endpoint: EndpointId = id(&endpoint)?;
    let (head, body) = request.into_parts();
    let person = desk.person_who_may(Deed::Work, &head.headers).await?;
    theirs(&desk, &person, endpoint).await?;
    let wanted: Wanted = desk.document(&head.headers, body).await?;
    // Once for what is wrong with the words; the operation may run it again on what the endpoint has become.
    wanted.put_into(&mut EndpointFields::at(""))?;
    let plain_http = desk.edge.plain_http;
    let edit = |fields: &mut EndpointFields| {
        if wanted.url.is_some() {
            fields.plain_http = plain_http;
        }
        wanted.put_into(fields).ok();
    };
    let endpoint = desk.edge.manage.update_endpoint(scope(&person), endpoint, edit).await?;
    with_breaker(&desk, &person, &endpoint).await
}

async fn remove(State(desk): State<Arc<Desk>>, PathText(endpoint): PathText, request: Request) -> Result<Response, Refused> {
    let endpoint: EndpointId = id(&endpoint)?;
    let person = desk.person_who_may(Deed::Govern, request.headers()).await?;
    let endpoint = theirs(&desk, &person, endpoint).await?;
    desk.edge.manage.delete_endpoint(scope(&person), endpoint.id).await?;
    // Now, and not when it is due and whoever wants to deliver it finds the endpoint gone.
    desk::purge(&desk, &person, &endpoint).await?;
    Ok(answers::done())
}

/// The token before it opens nothing from now on.
async fn new_token(State(desk): State<Arc<Desk>>, PathText(endpoint): PathText, request: Request) -> Result<Response, Refused> {
    let endpoint: EndpointId = id(&endpoint)?;
    let person = desk.person_who_may(Deed::Work, request.headers()).await?;
    let endpoint = theirs(&desk, &person, endpoint).await?;
    let token = random_credential(CredentialKind::EndpointToken);
    let subject = endpoint.id.as_uuid();
    let manage = &desk.edge.manage;
    manage
        .replace_token(
            scope(&person),
            endpoint.tenant_id,
            endpoint.environment,
            CredentialKind::EndpointToken,
            subject,
            token.clone(),
        )
        .await?;
    let ingest_token = token.expose();
    Ok(Json(Token { ingest_token }).into_response())
}
