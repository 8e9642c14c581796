//! Senders and their mappings (docs/contracts/hooksentry.md, sections 10 and 11). Hookyard adds that a label can be changed
//! and a mapping tried before it is saved.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use bytes::Bytes;
use hookyard_domain::{EndpointId, Scope, SenderId};
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use super::{
    answers::{self, Refused},
    desk::{Desk, PathText, id, own, scope},
    destinations,
    lists::Query,
};
use crate::{
    configuration::{CredentialKind, Sender},
    http::intake,
    manage::{Deed, NewSender, Person, SenderFields, random_credential},
    mapping::{Mapping, Problem},
};

const FIELDS: &[&str] = &["id", "destinationId", "tenantId", "label", "hasMapping", "createdAt", "updatedAt"];

pub fn router() -> Router<Arc<Desk>> {
    Router::new()
        .route("/api/v1/destinations/{id}/senders", get(list).post(create))
        .route("/api/v1/senders/{id}", get(show).patch(change).delete(remove))
        .route("/api/v1/senders/{id}/ingest-token", post(new_token))
        .route(
            "/api/v1/senders/{id}/mapping",
            get(mapping).post(set_mapping).delete(remove_mapping),
        )
        .route("/api/v1/senders/{id}/mapping/preview", post(preview))
}

fn render(sender: &Sender) -> Value {
    json!({
        "id": sender.id.to_string(),
        "destinationId": sender.endpoint.map(|endpoint| endpoint.to_string()),
        "tenantId": sender.tenant_id.to_string(),
        "label": sender.own_label,
        "hasMapping": sender.mapping.is_some(),
        "createdAt": sender.created_at.to_string(),
        "updatedAt": sender.updated_at.to_string(),
    })
}

#[derive(Deserialize)]
struct Wanted {
    label: Option<String>,
}

async fn create(State(desk): State<Arc<Desk>>, PathText(endpoint): PathText, request: Request) -> Result<Response, Refused> {
    let endpoint: EndpointId = id(&endpoint)?;
    let (head, body) = request.into_parts();
    let person = desk.person_who_may(Deed::Work, &head.headers).await?;
    let endpoint = destinations::theirs(&desk, &person, endpoint).await?;
    let wanted: Wanted = desk.document(&head.headers, body).await?;
    let token = random_credential(CredentialKind::SenderToken);
    let new = NewSender {
        tenant: person.user.tenant,
        environment: Some(endpoint.environment),
        fields: SenderFields {
            label: wanted.label,
            endpoint: Some(endpoint.id),
            ..SenderFields::default()
        },
        token: token.clone(),
    };
    let sender = desk.edge.manage.create_sender(scope(&person), new).await?;
    let mut answer = render(&sender);
    answer["ingestToken"] = token.expose().into();
    Ok(answers::created(&format!("/api/v1/senders/{}", sender.id), &answer))
}

async fn list(State(desk): State<Arc<Desk>>, PathText(endpoint): PathText, request: Request) -> Result<Response, Refused> {
    let endpoint: EndpointId = id(&endpoint)?;
    let person = desk.person(request.headers()).await?;
    let page = Query::of(request.uri().query()).page(FIELDS, "id")?;
    destinations::theirs(&desk, &person, endpoint).await?;
    let senders = desk.edge.manage.senders(scope(&person)).await?;
    let of_endpoint = senders.iter().filter(|sender| sender.endpoint == Some(endpoint));
    Ok(page.cut(of_endpoint.map(|sender| render(sender)).collect()))
}

/// A sender that is the person's own. One that was made without a destination is not of this API's world.
async fn theirs(desk: &Desk, person: &Person, id: SenderId) -> Result<Arc<Sender>, Refused> {
    let sender = desk.edge.manage.sender(Scope::Operator, id).await?;
    if sender.endpoint.is_none() {
        return Err(Refused::Absent("sender"));
    }
    own(person, sender.tenant_id)?;
    Ok(sender)
}

async fn show(State(desk): State<Arc<Desk>>, PathText(sender): PathText, request: Request) -> Result<Response, Refused> {
    let sender: SenderId = id(&sender)?;
    let person = desk.person(request.headers()).await?;
    Ok(Json(render(&*theirs(&desk, &person, sender).await?)).into_response())
}

async fn change(State(desk): State<Arc<Desk>>, PathText(sender): PathText, request: Request) -> Result<Response, Refused> {
    let sender: SenderId = id(&sender)?;
    let (head, body) = request.into_parts();
    let person = desk.person_who_may(Deed::Work, &head.headers).await?;
    theirs(&desk, &person, sender).await?;
    let wanted: Map<String, Value> = desk.document(&head.headers, body).await?;
    // Nothing said is nothing changed; null takes it away.
    let label = match wanted.get("label") {
        None => None,
        Some(Value::Null) => Some(None),
        Some(Value::String(text)) => Some(Some(text.clone())),
        Some(_) => return Err(Refused::Invalid("label must be a text".to_owned())),
    };
    let edit = |fields: &mut SenderFields| {
        if let Some(label) = &label {
            fields.label.clone_from(label);
        }
    };
    let changed = desk.edge.manage.update_sender(scope(&person), sender, edit).await?;
    Ok(Json(render(&changed)).into_response())
}

async fn remove(State(desk): State<Arc<Desk>>, PathText(sender): PathText, request: Request) -> Result<Response, Refused> {
    let sender: SenderId = id(&sender)?;
    let person = desk.person_who_may(Deed::Work, request.headers()).await?;
    theirs(&desk, &person, sender).await?;
    desk.edge.manage.delete_sender(scope(&person), sender).await?;
    Ok(answers::done())
}

async fn new_token(State(desk): State<Arc<Desk>>, PathText(sender): PathText, request: Request) -> Result<Response, Refused> {
    let sender: SenderId = id(&sender)?;
    let person = desk.person_who_may(Deed::Work, request.headers()).await?;
    let sender = theirs(&desk, &person, sender).await?;
    let token = random_credential(CredentialKind::SenderToken);
    let subject = sender.id.as_uuid();
    let manage = &desk.edge.manage;
    manage
        .replace_token(
            scope(&person),
            sender.tenant_id,
            sender.environment,
            CredentialKind::SenderToken,
            subject,
            token.clone(),
        )
        .await?;
    Ok(Json(json!({ "ingestToken": token.expose() })).into_response())
}

/// `{"mapping": …}` with its members in the order in which they were saved.
fn answer(mapping: &Mapping) -> Result<Response, Refused> {
    #[derive(serde::Serialize)]
    struct Answer {
        mapping: Box<RawValue>,
    }
    let mapping = RawValue::from_string(mapping.to_string()).map_err(|error| Refused::Invalid(error.to_string()))?;
    Ok(Json(Answer { mapping }).into_response())
}

async fn mapping(State(desk): State<Arc<Desk>>, PathText(sender): PathText, request: Request) -> Result<Response, Refused> {
    let sender: SenderId = id(&sender)?;
    let person = desk.person(request.headers()).await?;
    let sender = theirs(&desk, &person, sender).await?;
    answer(sender.mapping.as_ref().ok_or(Refused::Absent("mapping"))?)
}

fn problems(problems: &[Problem]) -> Refused {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Refused::Invalid(lines.join("; "))
}

/// Makes or replaces the mapping. Held events of the sender are routed again with it.
async fn set_mapping(State(desk): State<Arc<Desk>>, PathText(sender): PathText, request: Request) -> Result<Response, Refused> {
    let sender: SenderId = id(&sender)?;
    let (head, body) = request.into_parts();
    let person = desk.person_who_may(Deed::Work, &head.headers).await?;
    theirs(&desk, &person, sender).await?;
    let text = desk.document::<Box<RawValue>>(&head.headers, body).await?;
    let wanted = Mapping::parse(text.get()).map_err(|wrong| problems(&wrong))?;
    let edit = |fields: &mut SenderFields| fields.mapping = Some(wanted.to_string());
    desk.edge.manage.update_sender(scope(&person), sender, edit).await?;
    answer(&wanted)
}

async fn remove_mapping(State(desk): State<Arc<Desk>>, PathText(sender): PathText, request: Request) -> Result<Response, Refused> {
    let sender: SenderId = id(&sender)?;
    let person = desk.person_who_may(Deed::Work, request.headers()).await?;
    theirs(&desk, &person, sender).await?;
    let edit = |fields: &mut SenderFields| fields.mapping = None;
    desk.edge.manage.update_sender(scope(&person), sender, edit).await?;
    Ok(answers::done())
}

#[derive(Deserialize)]
struct Preview {
    /// None: the sender's own.
    mapping: Option<Box<RawValue>>,
    payload: Option<Box<RawValue>>,
}

/// What a mapping would make of a payload. Nothing is kept.
async fn preview(State(desk): State<Arc<Desk>>, PathText(sender): PathText, request: Request) -> Result<Response, Refused> {
    let sender: SenderId = id(&sender)?;
    let (head, body) = request.into_parts();
    let person = desk.person(&head.headers).await?;
    let sender = theirs(&desk, &person, sender).await?;
    intake::check_content_type(&head.headers)?;
    let wanted: Preview = desk.edge.intake.document(&head.headers, body).await?;
    let payload = wanted.payload.ok_or_else(|| Refused::Invalid("payload is required".to_owned()))?;
    let given = wanted.mapping.map(|text| Mapping::parse(text.get())).transpose();
    let given = given.map_err(|wrong| problems(&wrong))?;
    let mapping = given.as_ref().or(sender.mapping.as_ref()).ok_or(Refused::Absent("mapping"))?;
    let mapped = mapping
        .apply(payload.get().as_bytes())
        .map_err(|failure| Refused::Unprocessable(failure.to_string()))?;
    let mut answer = b"{\"payload\":".to_vec();
    answer.extend_from_slice(&mapped);
    answer.push(b'}');
    Ok(answers::json(Bytes::from(answer)))
}
