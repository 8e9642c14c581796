//! `/api/v1/endpoints`.

use std::{borrow::Cow, collections::HashMap, sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method},
    response::Response,
};
use hookyard_domain::{
    EndpointId, EnvironmentId, Scope, Timestamp,
    profile::{self, Profile},
};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema},
};
use uuid::Uuid;

use super::{
    Desk,
    answers::{self, Refused},
    caller::{Id, Reader, Writer, given, said},
    openapi::{self, Op, tag::ENDPOINTS},
    params::{Params, page_of},
};
use crate::{
    configuration::{CredentialKind, Endpoint, EndpointStatus},
    documents::{EndpointDocument, SecretDocument, TokenDocument, schemas},
    http::openapi::Routes,
    manage::{EndpointFields, EndpointFilter, NewEndpoint, PlainHttp, random_credential, random_signing_secret},
    store::SecretText,
};

/// How long a former signing secret signs beside the new one, unless the caller says otherwise: a day to change a receiver.
const OVERLAP_S_DEFAULT: u64 = 86_400;
/// The longest overlap: thirty days.
const OVERLAP_S_MAX: u64 = 30 * 86_400;

const STATUSES: [EndpointStatus; 3] = [EndpointStatus::Active, EndpointStatus::Inactive, EndpointStatus::Suspended];

pub fn routes() -> Routes<Arc<Desk>> {
    Routes::new()
        .on(
            &Method::GET,
            "/api/v1/endpoints",
            list,
            Op::read("listEndpoints", ENDPOINTS, "Lists endpoints")
                .of_tenant()
                .filter("environment", "The id of their environment.", schemas::id())
                .filter("status", "Their status.", schemas::endpoint_status())
                .pages::<EndpointDocument>()
                .into(),
        )
        .on(
            &Method::POST,
            "/api/v1/endpoints",
            create,
            Op::read("createEndpoint", ENDPOINTS, "Makes an endpoint")
                .write()
                .names_tenant()
                .takes::<ToMake>("Where it is, and its settings.")
                .makes::<EndpointDocument>("it was made; an ingest token is shown here alone")
                .conflicts("the name is taken")
                .into(),
        )
        .on(
            &Method::GET,
            "/api/v1/endpoints/{id}",
            show,
            Op::read("showEndpoint", ENDPOINTS, "Shows an endpoint")
                .of_one("endpoint")
                .shows_with_tag::<EndpointDocument>("the endpoint")
                .into(),
        )
        .on(
            &Method::PATCH,
            "/api/v1/endpoints/{id}",
            change,
            Op::read("changeEndpoint", ENDPOINTS, "Changes an endpoint")
                .write()
                .of_one("endpoint")
                .about("What is not named stays, and null takes away what may be absent.")
                .takes::<ToChange>("What changes.")
                .if_match()
                .conflicts("the name is taken, or a sender names it")
                .shows_with_tag::<EndpointDocument>("the endpoint as it is now")
                .into(),
        )
        .on(
            &Method::DELETE,
            "/api/v1/endpoints/{id}",
            remove,
            Op::read("deleteEndpoint", ENDPOINTS, "Deletes an endpoint, and cancels what waits for it")
                .write()
                .of_one("endpoint")
                .if_match()
                .conflicts("a sender names it")
                .ends("it is gone")
                .into(),
        )
        .on(
            &Method::POST,
            "/api/v1/endpoints/{id}/token",
            replace_token,
            Op::read("replaceEndpointToken", ENDPOINTS, "Gives it another ingest token")
                .about("The former opens nothing from now on.")
                .write()
                .of_one("endpoint")
                .conflicts("somebody changed it at the same moment")
                .shows::<TokenDocument>("the token, shown here alone")
                .into(),
        )
        .on(
            &Method::GET,
            "/api/v1/endpoints/{id}/secret",
            secret,
            Op::read("showEndpointSecret", ENDPOINTS, "Shows what its deliveries are signed with")
                .write()
                .of_one("endpoint")
                .shows::<SecretDocument>("its own secret, else its tenant's")
                .into(),
        )
        .on(
            &Method::POST,
            "/api/v1/endpoints/{id}/secret",
            rotate_secret,
            Op::read(
                "rotateEndpointSecret",
                ENDPOINTS,
                "Gives it a signing secret of its own, in place of a former one",
            )
            .write()
            .of_one("endpoint")
            .takes::<Rotation>("The secret, and how long the former one signs as well.")
            .if_match()
            .shows::<SecretDocument>("the secret that signs from now on")
            .into(),
        )
}

async fn blocked(desk: &Desk, scope: Scope) -> Result<HashMap<EndpointId, Timestamp>, Refused> {
    let blocked = desk.manage.blocked(scope).await?;
    Ok(blocked.into_iter().map(|blocked| (blocked.endpoint, blocked.until)).collect())
}

async fn list(State(desk): State<Arc<Desk>>, reader: Reader, params: Params) -> Result<Response, Refused> {
    params.only(&["tenant", "environment", "status", "before", "limit"])?;
    let scope = desk.tenant_or_all(reader.scope, params.get("tenant")).await?;
    let environment = params.get("environment").map(str::parse::<Uuid>).transpose();
    let filter = EndpointFilter {
        environment: environment
            .map_err(|_| Refused::wrong("environment", "is not an id"))?
            .map(EnvironmentId::from_uuid),
        status: params.word("status", &STATUSES, EndpointStatus::as_str)?,
        ..EndpointFilter::default()
    };
    let endpoints = desk.manage.endpoints(scope, &filter).await?;
    let blocked = blocked(&desk, scope).await?;
    let page = page_of(
        endpoints,
        &params.page()?,
        |endpoint| endpoint.id.as_uuid(),
        |endpoint| EndpointDocument::of(&endpoint, blocked.get(&endpoint.id).copied()),
    );
    Ok(answers::shown(None, &page))
}

/// What is not named stays, or is the default of a new one; null takes it away.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Of a new one alone.
    #[schema(schema_with = openapi::tenant_or_none)]
    tenant: Option<String>,
    /// Of a new one alone: an id; none is the tenant's default.
    #[schema(schema_with = schemas::id_or_none)]
    environment: Option<Uuid>,
    /// Of a new one alone.
    #[schema(schema_with = profile_or_none)]
    profile: Option<String>,
    /// Of a new one alone: whether it gets an ingest token of its own.
    #[serde(default)]
    with_token: bool,
    #[serde(default, deserialize_with = "said")]
    #[schema(schema_with = schemas::name_or_none)]
    name: Option<Option<String>>,
    #[serde(default, deserialize_with = "said")]
    #[schema(schema_with = openapi::description_or_none)]
    description: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = openapi::url)]
    url: Option<String>,
    /// Whether the URL may be plain http, where the server allows that.
    #[serde(default)]
    insecure_http: bool,
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = schemas::in_use)]
    status: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = schemas::object)]
    metadata: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Vec<String>, max_items = 1_000)]
    events: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = u32, minimum = 1, maximum = 1_024)]
    concurrency_max: Option<u32>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<u16>, minimum = 1, maximum = 100)]
    attempts_max: Option<Option<u16>>,
}

fn profile_or_none() -> ObjectBuilder {
    let names: Vec<&str> = profile::ALL.iter().map(|profile| profile.name()).collect();
    schemas::words_or_none(&names)
}

/// How [`Wanted`] is described where something is made.
struct ToMake;

impl PartialSchema for ToMake {
    fn schema() -> RefOr<Schema> {
        schemas::changed::<Wanted>(|body| body.required.push("url".to_owned()))
    }
}

impl ToSchema for ToMake {
    fn name() -> Cow<'static, str> {
        "NewEndpoint".into()
    }
}

/// How [`Wanted`] is described where something is changed.
struct ToChange;

impl PartialSchema for ToChange {
    fn schema() -> RefOr<Schema> {
        schemas::changed::<Wanted>(|body| {
            for of_new in ["tenant", "environment", "profile", "with_token"] {
                body.properties.remove(of_new);
            }
        })
    }
}

impl ToSchema for ToChange {
    fn name() -> Cow<'static, str> {
        "EndpointChange".into()
    }
}

impl Wanted {
    /// # Errors
    /// The URL is plain http, and that is not for this caller.
    fn check_url(&self, plain_http: PlainHttp) -> Result<(), Refused> {
        let plain = self.url.as_deref().is_some_and(|url| url.starts_with("http:"));
        if plain && self.insecure_http && plain_http == PlainHttp::Refused {
            let why = "must be https: this server allows a tenant no plain http (serve --allow-plain-http)";
            return Err(Refused::wrong("url", why));
        }
        Ok(())
    }

    fn status(&self) -> Result<Option<EndpointStatus>, Refused> {
        match self.status.as_deref() {
            None => Ok(None),
            Some("active") => Ok(Some(EndpointStatus::Active)),
            Some("inactive") => Ok(Some(EndpointStatus::Inactive)),
            Some(_) => Err(Refused::wrong("status", "must be active or inactive")),
        }
    }

    fn put_into(&self, fields: &mut EndpointFields, status: Option<EndpointStatus>, plain_http: PlainHttp) {
        if let Some(name) = &self.name {
            fields.name.clone_from(name);
        }
        if let Some(description) = &self.description {
            fields.description.clone_from(description);
        }
        if let Some(url) = &self.url {
            fields.url.clone_from(url);
            fields.plain_http = if self.insecure_http { plain_http } else { PlainHttp::Refused };
        }
        fields.status = status.unwrap_or(fields.status);
        if let Some(metadata) = &self.metadata {
            fields.metadata.clone_from(metadata);
        }
        if let Some(events) = &self.events {
            fields.events.clone_from(events);
        }
        fields.concurrency_max = self.concurrency_max.unwrap_or(fields.concurrency_max);
        fields.attempts_max = self.attempts_max.unwrap_or(fields.attempts_max);
    }
}

async fn create(State(desk): State<Arc<Desk>>, writer: Writer, request: Request) -> Result<Response, Refused> {
    let wanted: Wanted = desk.document(request).await?;
    let tenant = desk.tenant(writer.scope, wanted.tenant.as_deref()).await?;
    let url = wanted.url.as_deref().ok_or_else(|| Refused::wrong("url", "is required"))?;
    let mut fields = EndpointFields::at(url);
    if let Some(name) = &wanted.profile {
        fields.profile = Profile::named(name).ok_or_else(|| Refused::wrong("profile", "is not one of the server's"))?;
    }
    wanted.check_url(writer.plain_http(&desk))?;
    wanted.put_into(&mut fields, wanted.status()?, writer.plain_http(&desk));
    let token = wanted.with_token.then(|| random_credential(CredentialKind::EndpointToken));
    let new = NewEndpoint {
        environment: wanted.environment.map(EnvironmentId::from_uuid),
        token: token.clone(),
        ..NewEndpoint::of(tenant, fields)
    };
    let endpoint = desk.manage.create_endpoint(writer.scope, new).await?;
    let mut document = EndpointDocument::of(&endpoint, None);
    document.token = token.map(|token| token.expose().to_owned());
    Ok(answers::created(
        &format!("/api/v1/endpoints/{}", endpoint.id),
        endpoint.revision,
        &document,
    ))
}

async fn answer(desk: &Desk, endpoint: &Endpoint) -> Result<Response, Refused> {
    let document = EndpointDocument::of(endpoint, desk.manage.blocked_until(endpoint.id).await?);
    Ok(answers::shown(Some(endpoint.revision), &document))
}

async fn show(State(desk): State<Arc<Desk>>, reader: Reader, Id(id): Id) -> Result<Response, Refused> {
    let endpoint = desk.manage.endpoint(reader.scope, EndpointId::from_uuid(id)).await?;
    answer(&desk, &endpoint).await
}

async fn change(
    State(desk): State<Arc<Desk>>,
    writer: Writer,
    Id(id): Id,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Refused> {
    let wanted: Wanted = desk.document(request).await?;
    let of_new = [
        ("tenant", wanted.tenant.is_some()),
        ("environment", wanted.environment.is_some()),
        ("profile", wanted.profile.is_some()),
        ("with_token", wanted.with_token),
    ];
    if wanted.insecure_http && wanted.url.is_none() {
        return Err(Refused::wrong("insecure_http", "is about the url, which is to be given with it"));
    }
    if let Some((name, _)) = of_new.iter().find(|(_, given)| *given) {
        return Err(Refused::wrong(name, "is given when an endpoint is made, and stays"));
    }
    let (status, plain_http) = (wanted.status()?, writer.plain_http(&desk));
    wanted.check_url(plain_http)?;
    let manage = desk.manage_if_match(&headers)?;
    let edit = |fields: &mut EndpointFields| wanted.put_into(fields, status, plain_http);
    let endpoint = manage.update_endpoint(writer.scope, EndpointId::from_uuid(id), edit).await?;
    answer(&desk, &endpoint).await
}

async fn remove(State(desk): State<Arc<Desk>>, writer: Writer, Id(id): Id, headers: HeaderMap) -> Result<Response, Refused> {
    let manage = desk.manage_if_match(&headers)?;
    let endpoint = manage.endpoint(writer.scope, EndpointId::from_uuid(id)).await?;
    manage.delete_endpoint(writer.scope, endpoint.id).await?;
    // Now, and not when it is due and whoever wants to deliver it finds the endpoint gone.
    manage
        .purge_endpoint(writer.scope, endpoint.tenant_id, endpoint.id, desk.deliveries.as_deref())
        .await?;
    Ok(answers::done())
}

/// Gives it another ingest token; those before it open nothing from now on.
async fn replace_token(State(desk): State<Arc<Desk>>, writer: Writer, Id(id): Id) -> Result<Response, Refused> {
    let endpoint = desk.manage.endpoint(writer.scope, EndpointId::from_uuid(id)).await?;
    let kind = CredentialKind::EndpointToken;
    let token = random_credential(kind);
    desk.manage
        .replace_token(
            writer.scope,
            endpoint.tenant_id,
            endpoint.environment,
            kind,
            endpoint.id.as_uuid(),
            token.clone(),
        )
        .await?;
    let token = token.expose().to_owned();
    Ok(answers::shown(None, &TokenDocument { token }))
}

fn shown_secret(secret: &SecretText, of: &str) -> Response {
    let document = SecretDocument {
        secret: secret.expose().to_owned(),
        of: of.to_owned(),
    };
    answers::shown(None, &document)
}

/// What its deliveries are signed with: its own secret, else its tenant's. Whoever may only read may not forge deliveries.
async fn secret(State(desk): State<Arc<Desk>>, writer: Writer, Id(id): Id) -> Result<Response, Refused> {
    let endpoint = desk.manage.endpoint(writer.scope, EndpointId::from_uuid(id)).await?;
    let own = desk.manage.endpoint_secret(writer.scope, endpoint.id).await?;
    let whose = if own.is_some() { "endpoint" } else { "tenant" };
    let secret = match own {
        Some(secret) => secret,
        None => desk.manage.tenant_secret(writer.scope, endpoint.tenant_id).await?,
    };
    Ok(shown_secret(&secret, whose))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Rotation)]
struct Rotation {
    /// None: a random one.
    #[schema(schema_with = openapi::secret_or_none)]
    secret: Option<String>,
    /// Seconds for which the former one signs as well, where the endpoint's profile bears two signatures.
    #[schema(maximum = 2_592_000, default = 86_400)]
    overlap_s: Option<u64>,
}

async fn rotate_secret(
    State(desk): State<Arc<Desk>>,
    writer: Writer,
    Id(id): Id,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Refused> {
    let wanted: Rotation = desk.document(request).await?;
    let overlap_s = wanted.overlap_s.unwrap_or(OVERLAP_S_DEFAULT);
    if overlap_s > OVERLAP_S_MAX {
        return Err(Refused::wrong("overlap_s", format!("must be 0 to {OVERLAP_S_MAX}")));
    }
    let secret = wanted.secret.map_or_else(random_signing_secret, SecretText::new);
    let overlap = Duration::from_secs(overlap_s);
    let id = EndpointId::from_uuid(id);
    desk.manage_if_match(&headers)?
        .rotate_endpoint_secret(writer.scope, id, secret.clone(), overlap)
        .await?;
    Ok(shown_secret(&secret, "endpoint"))
}
