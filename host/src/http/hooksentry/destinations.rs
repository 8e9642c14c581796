//! `/api/v1/destinations` (docs/contracts/hooksentry.md, section 9), with what Hookyard adds: one can be read and deleted, it
//! has metadata and event patterns, and shows its breaker.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use hookyard_domain::{EndpointId, Scope, profile};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    answers::{self, Refused},
    auth_kinds,
    desk::{self, Desk, PathText, id, own, required, scope},
    lists::Query,
    words,
};
use crate::{
    configuration::{CredentialKind, Endpoint, EndpointStatus},
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

pub fn router() -> Router<Arc<Desk>> {
    Router::new()
        .route("/api/v1/destinations", get(list).post(create))
        .route("/api/v1/destinations/{id}", get(show).patch(change).delete(remove))
        .route("/api/v1/destinations/{id}/ingest-token", post(new_token))
}

/// `blocked` is its breaker, where that is not closed.
fn render(endpoint: &Endpoint, blocked: Option<&Blocked>) -> Value {
    let patterns: Vec<String> = endpoint
        .subscriptions
        .iter()
        .map(|subscription| subscription.pattern.to_string())
        .collect();
    json!({
        "id": endpoint.id.to_string(),
        "tenantId": endpoint.tenant_id.to_string(),
        "url": endpoint.url.as_str(),
        "status": words::endpoint_status(endpoint.status),
        "serverRateLimit": endpoint.concurrency_max,
        "authType": endpoint.auth.as_ref().map(auth_kinds::word),
        "createdAt": endpoint.created_at.to_string(),
        "updatedAt": endpoint.updated_at.to_string(),
        "metadata": serde_json::from_str::<Value>(&endpoint.metadata_json).unwrap_or_default(),
        "events": patterns,
        "circuitBreakerState": if blocked.is_some() { "Open" } else { "Closed" },
        "circuitBreakerNextCheckAt": blocked.map(|blocked| blocked.until.to_string()),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    url: Option<String>,
    server_rate_limit: Option<i64>,
    status: Option<Value>,
    auth_type: Option<String>,
    credentials: Option<Value>,
    #[serde(default)]
    remove_auth: Option<bool>,
    metadata: Option<Map<String, Value>>,
    events: Option<Vec<String>>,
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
    let wanted: Wanted = desk.document(&head.headers, body).await?;
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
    answer["ingestToken"] = token.expose().into();
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
    Ok(page.cut(all.collect()))
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
    Ok(Json(json!({ "ingestToken": token.expose() })).into_response())
}
