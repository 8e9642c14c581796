//! `/api/v1/senders`.

use std::{borrow::Cow, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method},
    response::Response,
};
use hookyard_domain::{EndpointId, EnvironmentId, SenderId, failure::FailurePolicy};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};
use uuid::Uuid;

use super::{
    Desk,
    answers::{self, Refused},
    caller::{Id, Reader, Writer, given, said},
    openapi::{self, Op, tag::SENDERS},
    params::{Params, cut},
};
use crate::{
    configuration::{CredentialKind, InboundCheck, MappingFailure, Sender},
    documents::{SenderDocument, TokenDocument, schemas},
    http::openapi::Routes,
    manage::{NewSender, SenderFields, random_credential},
    store::{SecretText, VerificationRow},
    verification::Verification,
};

pub fn routes() -> Routes<Arc<Desk>> {
    Routes::new()
        .on(
            &Method::GET,
            "/api/v1/senders",
            list,
            Op::read("listSenders", SENDERS, "Lists senders")
                .of_tenant()
                .pages::<SenderDocument>()
                .into(),
        )
        .on(
            &Method::POST,
            "/api/v1/senders",
            create,
            Op::read("createSender", SENDERS, "Makes a sender with an ingest token")
                .write()
                .names_tenant()
                .takes::<Wanted>("Its settings.")
                .makes::<SenderDocument>("it was made; its ingest token is shown here alone")
                .conflicts("the name is taken")
                .into(),
        )
        .on(
            &Method::GET,
            "/api/v1/senders/{id}",
            show,
            Op::read("showSender", SENDERS, "Shows a sender")
                .of_one("sender")
                .shows_with_tag::<SenderDocument>("the sender")
                .into(),
        )
        .on(
            &Method::PATCH,
            "/api/v1/senders/{id}",
            change,
            Op::read("changeSender", SENDERS, "Changes a sender")
                .write()
                .of_one("sender")
                .about("What is not named stays, and null takes away what may be absent.")
                .takes::<ToChange>("What changes.")
                .if_match()
                .conflicts("the name is taken")
                .shows_with_tag::<SenderDocument>("the sender as it is now")
                .into(),
        )
        .on(
            &Method::DELETE,
            "/api/v1/senders/{id}",
            remove,
            Op::read("deleteSender", SENDERS, "Deletes a sender")
                .write()
                .of_one("sender")
                .if_match()
                .conflicts("it is still needed")
                .ends("it is gone")
                .into(),
        )
        .on(
            &Method::POST,
            "/api/v1/senders/{id}/token",
            replace_token,
            Op::read("replaceSenderToken", SENDERS, "Gives it another ingest token")
                .about("The former opens nothing from now on.")
                .write()
                .of_one("sender")
                .conflicts("somebody changed it at the same moment")
                .shows::<TokenDocument>("the token, shown here alone")
                .into(),
        )
}

async fn list(State(desk): State<Arc<Desk>>, reader: Reader, params: Params) -> Result<Response, Refused> {
    params.only(&["tenant", "before", "limit"])?;
    let page = params.page()?;
    let scope = desk.tenant_or_all(reader.scope, params.get("tenant")).await?;
    let senders = desk.manage.senders(scope).await?;
    let older = senders
        .into_iter()
        .filter(|sender| page.before.is_none_or(|before| sender.id.as_uuid() < before));
    let rows: Vec<Arc<Sender>> = older.take(page.rows() as usize).collect();
    let documents = rows
        .iter()
        .map(|sender| Ok((sender.id.as_uuid(), SenderDocument::of(sender)?)))
        .collect::<Result<Vec<_>, serde_json::Error>>()?;
    Ok(answers::shown(
        None,
        &cut(documents, &page, |(id, _)| *id, |(_, document)| document),
    ))
}

/// What is not named stays, or is the default of a new one; null takes it away.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewSender)]
struct Wanted {
    /// Of a new one alone.
    #[schema(schema_with = openapi::tenant_or_none)]
    tenant: Option<String>,
    /// Of a new one alone: an id; none is the tenant's default.
    #[schema(schema_with = schemas::id_or_none)]
    environment: Option<Uuid>,
    #[serde(default, deserialize_with = "said")]
    #[schema(schema_with = schemas::name_or_none)]
    name: Option<Option<String>>,
    #[serde(default, deserialize_with = "said")]
    #[schema(schema_with = schemas::label_or_none)]
    label: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = bool)]
    active: Option<bool>,
    #[serde(default, deserialize_with = "said")]
    #[schema(schema_with = schemas::id_or_none)]
    endpoint: Option<Option<Uuid>>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<Vec<String>>)]
    endpoints: Option<Option<Vec<String>>>,
    #[serde(default, deserialize_with = "said")]
    #[schema(schema_with = schemas::name_or_none)]
    plugin: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = schemas::any)]
    config: Option<Value>,
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = schemas::failure_policy)]
    on_failure: Option<String>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    event_type_header: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Vec<String>)]
    expose_headers: Option<Vec<String>>,
    #[serde(default, deserialize_with = "said")]
    #[schema(schema_with = schemas::object_or_none)]
    mapping: Option<Option<Box<RawValue>>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = schemas::mapping_failure)]
    on_mapping_failure: Option<String>,
    #[serde(default, deserialize_with = "said")]
    #[schema(schema_with = schemas::object_or_none)]
    verification: Option<Option<Value>>,
}

/// How [`Wanted`] is described where something is changed.
struct ToChange;

impl PartialSchema for ToChange {
    fn schema() -> RefOr<Schema> {
        schemas::changed::<Wanted>(|body| {
            for of_new in ["tenant", "environment"] {
                body.properties.remove(of_new);
            }
        })
    }
}

impl ToSchema for ToChange {
    fn name() -> Cow<'static, str> {
        "SenderChange".into()
    }
}

/// [`Wanted`] with its words understood.
struct Read {
    wanted: Wanted,
    on_failure: Option<FailurePolicy>,
    on_mapping_failure: Option<MappingFailure>,
    verification: Option<Option<VerificationRow>>,
}

impl Wanted {
    fn read(self) -> Result<Read, Refused> {
        let policy = self.on_failure.as_deref().map(|word| {
            FailurePolicy::parse(word).ok_or_else(|| Refused::wrong("on_failure", "must be hold, dead-letter or pass-through"))
        });
        let mapping = self
            .on_mapping_failure
            .as_deref()
            .map(|word| MappingFailure::parse(word).ok_or_else(|| Refused::wrong("on_mapping_failure", "must be hold or raw")));
        let verification = self.verification.clone().map(|check| check.map(read_check).transpose());
        Ok(Read {
            on_failure: policy.transpose()?,
            on_mapping_failure: mapping.transpose()?,
            verification: verification.transpose()?,
            wanted: self,
        })
    }
}

/// What is wrong is told without the secrets.
fn read_check(value: Value) -> Result<VerificationRow, Refused> {
    let wrong = |why: String| Refused::wrong("verification", why);
    let Value::Object(mut settings) = value else {
        return Err(wrong("must be an object (docs/inbound.md)".to_owned()));
    };
    let secrets = settings.remove("secrets").map(serde_json::from_value::<Vec<String>>);
    let Some(Ok(secrets)) = secrets else {
        return Err(wrong(
            "must have \"secrets\", a list of texts, the newest first (docs/inbound.md)".to_owned(),
        ));
    };
    // The rest holds no secret: what is wrong with it may be told.
    let settings: Verification = serde_json::from_value(Value::Object(settings)).map_err(|error| wrong(error.to_string()))?;
    let check = InboundCheck {
        settings,
        secrets: secrets.into_iter().map(SecretText::new).collect(),
    };
    check.to_row().map_err(wrong)
}

impl Read {
    fn put_into(&self, fields: &mut SenderFields) {
        fn put<T: Clone>(wanted: Option<&T>, field: &mut T) {
            if let Some(wanted) = wanted {
                field.clone_from(wanted);
            }
        }
        let wanted = &self.wanted;
        put(wanted.name.as_ref(), &mut fields.name);
        put(wanted.label.as_ref(), &mut fields.label);
        put(wanted.active.as_ref(), &mut fields.active);
        put(wanted.endpoints.as_ref(), &mut fields.endpoints);
        put(wanted.plugin.as_ref(), &mut fields.plugin);
        put(wanted.config.as_ref(), &mut fields.config);
        put(wanted.event_type_header.as_ref(), &mut fields.event_type_header);
        put(wanted.expose_headers.as_ref(), &mut fields.exposed_headers);
        put(self.on_failure.as_ref(), &mut fields.failure_policy);
        put(self.on_mapping_failure.as_ref(), &mut fields.mapping_failure);
        put(self.verification.as_ref(), &mut fields.verification);
        if let Some(endpoint) = wanted.endpoint {
            fields.endpoint = endpoint.map(EndpointId::from_uuid);
        }
        if let Some(mapping) = &wanted.mapping {
            fields.mapping = mapping.as_ref().map(|text| text.get().to_owned());
        }
    }
}

async fn create(State(desk): State<Arc<Desk>>, writer: Writer, request: Request) -> Result<Response, Refused> {
    let read = desk.document::<Wanted>(request).await?.read()?;
    let mut fields = SenderFields::default();
    read.put_into(&mut fields);
    let token = random_credential(CredentialKind::SenderToken);
    let new = NewSender {
        tenant: desk.tenant(writer.scope, read.wanted.tenant.as_deref()).await?,
        environment: read.wanted.environment.map(EnvironmentId::from_uuid),
        fields,
        token: token.clone(),
    };
    let sender = desk.manage.create_sender(writer.scope, new).await?;
    let mut document = SenderDocument::of(&sender)?;
    document.token = Some(token.expose().to_owned());
    Ok(answers::created(
        &format!("/api/v1/senders/{}", sender.id),
        sender.revision,
        &document,
    ))
}

async fn show(State(desk): State<Arc<Desk>>, reader: Reader, Id(id): Id) -> Result<Response, Refused> {
    let sender = desk.manage.sender(reader.scope, SenderId::from_uuid(id)).await?;
    Ok(answers::shown(Some(sender.revision), &SenderDocument::of(&sender)?))
}

async fn change(
    State(desk): State<Arc<Desk>>,
    writer: Writer,
    Id(id): Id,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Refused> {
    let read = desk.document::<Wanted>(request).await?.read()?;
    if read.wanted.tenant.is_some() || read.wanted.environment.is_some() {
        return Err(Refused::wrong("environment", "is given when a sender is made, and stays"));
    }
    let manage = desk.manage_if_match(&headers)?;
    let edit = |fields: &mut SenderFields| read.put_into(fields);
    let sender = manage.update_sender(writer.scope, SenderId::from_uuid(id), edit).await?;
    Ok(answers::shown(Some(sender.revision), &SenderDocument::of(&sender)?))
}

async fn remove(State(desk): State<Arc<Desk>>, writer: Writer, Id(id): Id, headers: HeaderMap) -> Result<Response, Refused> {
    let manage = desk.manage_if_match(&headers)?;
    manage.delete_sender(writer.scope, SenderId::from_uuid(id)).await?;
    Ok(answers::done())
}

/// Gives it another ingest token; those before it open nothing from now on.
async fn replace_token(State(desk): State<Arc<Desk>>, writer: Writer, Id(id): Id) -> Result<Response, Refused> {
    let sender = desk.manage.sender(writer.scope, SenderId::from_uuid(id)).await?;
    let kind = CredentialKind::SenderToken;
    let token = random_credential(kind);
    desk.manage
        .replace_token(
            writer.scope,
            sender.tenant_id,
            sender.environment,
            kind,
            sender.id.as_uuid(),
            token.clone(),
        )
        .await?;
    let token = token.expose().to_owned();
    Ok(answers::shown(None, &TokenDocument { token }))
}
