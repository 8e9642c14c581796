//! Senders and their mappings (docs/contracts/hooksentry.md, sections 10 and 11). Hookyard adds that a label can be changed
//! and a mapping tried before it is saved.

use std::{borrow::Cow, sync::Arc};

use axum::{
    Json,
    extract::{Request, State},
    http::Method,
    response::{IntoResponse as _, Response},
};
use hookyard_domain::{EndpointId, Scope, SenderId};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{json, value::RawValue};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ArrayBuilder, ObjectBuilder, RefOr, Schema, Type,
        schema::{OneOfBuilder, SchemaType},
    },
};

use super::{
    answers::{self, Refused, documented},
    desk::{Desk, PathText, id, own, scope},
    destinations,
    lists::Query,
    openapi::{
        self, Op,
        tag::{MAPPINGS, SENDERS},
    },
};
use crate::{
    configuration::{CredentialKind, Sender},
    http::{
        intake,
        openapi::{Routes, text},
    },
    manage::{Deed, NewSender, Person, SenderFields, random_credential},
    mapping::{Mapping, Problem},
};

const FIELDS: &[&str] = &["id", "destinationId", "tenantId", "label", "hasMapping", "createdAt", "updatedAt"];

pub fn routes() -> Routes<Arc<Desk>> {
    senders().merge(mappings())
}

fn senders() -> Routes<Arc<Desk>> {
    let (all, one) = ("/api/v1/destinations/{id}/senders", "/api/v1/senders/{id}");
    Routes::new()
        .on(
            &Method::GET,
            all,
            list,
            Op::of_person("listSenders", SENDERS, "Lists a destination's senders")
                .of_one("id", "destination")
                .lists::<Shown>(FIELDS, "id", u32::MAX)
                .into(),
        )
        .on(
            &Method::POST,
            all,
            create,
            Op::of_person("createSender", SENDERS, "Makes a sender of a destination")
                .by_role()
                .of_one("id", "destination")
                .takes::<Wanted>("The sender, or an empty object.")
                .makes::<Shown>("it was made; its ingest token is shown here only")
                .into(),
        )
        .on(
            &Method::GET,
            one,
            show,
            Op::of_person("showSender", SENDERS, "Shows a sender")
                .of_one("id", "sender")
                .shows::<Shown>("the sender")
                .into(),
        )
        .on(
            &Method::PATCH,
            one,
            change,
            Op::of_person("changeSender", SENDERS, "Changes a sender")
                .by_role()
                .of_one("id", "sender")
                .takes::<Change>("What is to be another.")
                .changes()
                .shows::<Shown>("the sender as it is now")
                .into(),
        )
        .on(
            &Method::DELETE,
            one,
            remove,
            Op::of_person("deleteSender", SENDERS, "Deletes a sender; its ingest token is unknown from now on")
                .by_role()
                .of_one("id", "sender")
                .changes()
                .ends("it is deleted")
                .into(),
        )
        .on(
            &Method::POST,
            "/api/v1/senders/{id}/ingest-token",
            new_token,
            Op::of_person("replaceSenderToken", SENDERS, "Replaces a sender's ingest token, at once")
                .by_role()
                .of_one("id", "sender")
                .changes()
                .shows::<destinations::Token<'_>>("the new token, which is shown here only")
                .into(),
        )
}

fn mappings() -> Routes<Arc<Desk>> {
    let path = "/api/v1/senders/{id}/mapping";
    Routes::new()
        .on(
            &Method::GET,
            path,
            mapping,
            Op::of_person(
                "showMapping",
                MAPPINGS,
                "Shows a sender's mapping, its fields in the order in which they were saved",
            )
            .of_one("id", "sender or mapping")
            .shows::<Saved>("the mapping")
            .into(),
        )
        .on(
            &Method::POST,
            path,
            set_mapping,
            Op::of_person("saveMapping", MAPPINGS, "Makes or replaces a sender's mapping")
                .about("Events that are held because their mapping failed are mapped again.")
                .by_role()
                .of_one("id", "sender")
                .takes::<MappingText>("The mapping itself: output fields, and the expressions that fill them.")
                .changes()
                .shows::<Saved>("the mapping")
                .into(),
        )
        .on(
            &Method::DELETE,
            path,
            remove_mapping,
            Op::of_person("deleteMapping", MAPPINGS, "Takes a sender's mapping away")
                .by_role()
                .of_one("id", "sender")
                .changes()
                .ends("there is none now")
                .into(),
        )
        .on(
            &Method::POST,
            "/api/v1/senders/{id}/mapping/preview",
            preview,
            Op::of_person(
                "previewMapping",
                MAPPINGS,
                "Shows what a mapping makes of a payload; nothing is kept",
            )
            .of_one("id", "sender or mapping")
            .takes::<Preview>("The payload; and the mapping, if another than the sender's own is to be tried.")
            .answers([documented::unprocessable("the mapping fails on this payload")])
            .shows::<Previewed>("the payload as it would be sent")
            .into(),
        )
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Sender)]
struct Shown {
    #[schema(schema_with = openapi::id)]
    id: String,
    #[schema(schema_with = id_or_none, required)]
    destination_id: Option<String>,
    #[schema(schema_with = openapi::id)]
    tenant_id: String,
    #[schema(required)]
    label: Option<String>,
    has_mapping: bool,
    #[schema(schema_with = openapi::moment)]
    created_at: String,
    #[schema(schema_with = openapi::moment)]
    updated_at: String,
    /// Where it was just made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    ingest_token: Option<String>,
}

fn id_or_none() -> ObjectBuilder {
    openapi::or_none(openapi::id())
}

fn render(sender: &Sender) -> Shown {
    Shown {
        id: sender.id.to_string(),
        destination_id: sender.endpoint.map(|endpoint| endpoint.to_string()),
        tenant_id: sender.tenant_id.to_string(),
        label: sender.own_label.clone(),
        has_mapping: sender.mapping.is_some(),
        created_at: sender.created_at.to_string(),
        updated_at: sender.updated_at.to_string(),
        ingest_token: None,
    }
}

#[derive(Deserialize, ToSchema)]
#[schema(as = NewSender)]
struct Wanted {
    #[schema(schema_with = openapi::label_or_none)]
    label: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = SenderChange)]
struct Change {
    /// Nothing said is nothing changed; null takes it away.
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = openapi::label_or_none, required = false)]
    label: Option<Option<String>>,
}

/// What is there, be it null.
fn given<'de, D: Deserializer<'de>>(member: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(member).map(Some)
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
    answer.ingest_token = Some(token.expose().to_owned());
    Ok(answers::created(&format!("/api/v1/senders/{}", sender.id), &answer))
}

async fn list(State(desk): State<Arc<Desk>>, PathText(endpoint): PathText, request: Request) -> Result<Response, Refused> {
    let endpoint: EndpointId = id(&endpoint)?;
    let person = desk.person(request.headers()).await?;
    let page = Query::of(request.uri().query()).page(FIELDS, "id")?;
    destinations::theirs(&desk, &person, endpoint).await?;
    let senders = desk.edge.manage.senders(scope(&person)).await?;
    let of_endpoint = senders.iter().filter(|sender| sender.endpoint == Some(endpoint));
    Ok(page.cut(of_endpoint.map(|sender| render(sender))))
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
    let wanted: Change = desk.document(&head.headers, body).await?;
    let edit = |fields: &mut SenderFields| {
        if let Some(label) = &wanted.label {
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
    let ingest_token = token.expose();
    Ok(Json(destinations::Token { ingest_token }).into_response())
}

/// Output fields and expressions, as they were written.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct MappingText(Box<RawValue>);

impl PartialSchema for MappingText {
    fn schema() -> RefOr<Schema> {
        let expression = || text().description(Some("What it takes from a payload, such as `user:name`."));
        let taken = OneOfBuilder::new().item(expression()).item(ArrayBuilder::new().items(expression()));
        ObjectBuilder::new()
            .additional_properties(Some(RefOr::<Schema>::from(taken)))
            .examples([json!({ "who": "user:name", "total": "net+tax", "pair": ["id", "tags[0]"] })])
            .into()
    }
}

impl ToSchema for MappingText {
    fn name() -> Cow<'static, str> {
        "Mapping".into()
    }
}

/// Its members are in the order in which they were saved.
#[derive(Serialize, ToSchema)]
#[schema(as = SavedMapping)]
struct Saved {
    mapping: MappingText,
}

fn answer(mapping: &Mapping) -> Result<Response, Refused> {
    let mapping = RawValue::from_string(mapping.to_string()).map_err(|error| Refused::Invalid(error.to_string()))?;
    let mapping = MappingText(mapping);
    Ok(Json(Saved { mapping }).into_response())
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
    let MappingText(text) = desk.document(&head.headers, body).await?;
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

#[derive(Deserialize, ToSchema)]
#[schema(as = MappingPreview, example = json!({ "mapping": { "who": "user:name" }, "payload": { "user": { "name": "Ana" } } }))]
struct Preview {
    /// Without it, the sender's own.
    #[schema(schema_with = mapping_or_none_schema)]
    mapping: Option<MappingText>,
    #[schema(schema_with = payload_schema, required)]
    payload: Option<Box<RawValue>>,
}

fn mapping_or_none_schema() -> OneOfBuilder {
    openapi::any_or_none(OneOfBuilder::new().item(MappingText::schema()))
}

/// Any JSON but null, which says that there is none.
fn payload_schema() -> ObjectBuilder {
    let types = [Type::Object, Type::Array, Type::String, Type::Number, Type::Boolean];
    ObjectBuilder::new().schema_type(SchemaType::from_iter(types))
}

#[derive(Serialize, ToSchema)]
#[schema(as = PreviewedPayload)]
struct Previewed {
    #[schema(value_type = Object)]
    payload: Box<RawValue>,
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
    let given = wanted.mapping.map(|MappingText(text)| Mapping::parse(text.get())).transpose();
    let given = given.map_err(|wrong| problems(&wrong))?;
    let mapping = given.as_ref().or(sender.mapping.as_ref()).ok_or(Refused::Absent("mapping"))?;
    let mapped = mapping
        .apply(payload.get().as_bytes())
        .map_err(|failure| Refused::Unprocessable(failure.to_string()))?;
    let payload = serde_json::from_slice(&mapped).expect("what a mapping makes is JSON");
    Ok(Json(Previewed { payload }).into_response())
}
