//! `/api/v1/tenants`.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method},
    response::Response,
};
use hookyard_domain::TenantId;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    Desk,
    answers::{self, Refused},
    caller::{Id, Reader, Writer, given},
    openapi::{self, Op, tag::TENANTS},
    params::{Params, page_of},
};
use crate::{
    documents::TenantDocument,
    http::openapi::Routes,
    manage::{TenantFields, random_signing_secret},
    store::SecretText,
};

pub fn routes() -> Routes<Arc<Desk>> {
    Routes::new()
        .on(
            &Method::GET,
            "/api/v1/tenants",
            list,
            Op::read("listTenants", TENANTS, "Lists the tenants that the token is for")
                .pages::<TenantDocument>()
                .into(),
        )
        .on(
            &Method::POST,
            "/api/v1/tenants",
            create,
            Op::read("createTenant", TENANTS, "Makes a tenant")
                .operator()
                .takes::<NewTenant>("What it is called, and its settings.")
                .makes::<TenantDocument>("it was made")
                .conflicts("the name is taken")
                .into(),
        )
        .on(
            &Method::GET,
            "/api/v1/tenants/{id}",
            show,
            Op::read("showTenant", TENANTS, "Shows a tenant")
                .of_one("tenant")
                .shows_with_tag::<TenantDocument>("the tenant")
                .into(),
        )
        .on(
            &Method::PATCH,
            "/api/v1/tenants/{id}",
            change,
            Op::read("changeTenant", TENANTS, "Changes a tenant")
                .write()
                .of_one("tenant")
                .about("What is not named stays.")
                .takes::<TenantChange>("What changes.")
                .if_match()
                .shows_with_tag::<TenantDocument>("the tenant as it is now")
                .conflicts("the name is taken")
                .into(),
        )
}

async fn list(State(desk): State<Arc<Desk>>, reader: Reader, params: Params) -> Result<Response, Refused> {
    params.only(&["before", "limit"])?;
    let mut tenants = desk.manage.tenants(reader.scope).await?;
    tenants.sort_unstable_by_key(|tenant| std::cmp::Reverse(tenant.id));
    let page = page_of(
        tenants,
        &params.page()?,
        |tenant| tenant.id.as_uuid(),
        |tenant| TenantDocument::from(&*tenant),
    );
    Ok(answers::shown(None, &page))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewTenant {
    #[schema(schema_with = openapi::tenant_name)]
    name: String,
    /// None: a random one.
    #[schema(schema_with = openapi::secret_or_none)]
    webhook_secret: Option<String>,
    #[schema(minimum = 1, maximum = 100, default = 10)]
    attempts_max: Option<u16>,
    #[schema(minimum = 1, maximum = 86_400, default = 300)]
    breaker_block_s: Option<u32>,
}

async fn create(State(desk): State<Arc<Desk>>, writer: Writer, request: Request) -> Result<Response, Refused> {
    writer.operator()?;
    let new: NewTenant = desk.document(request).await?;
    let secret = new.webhook_secret.map_or_else(random_signing_secret, SecretText::new);
    let defaults = TenantFields::new(&new.name, secret);
    let fields = TenantFields {
        attempts_max: new.attempts_max.unwrap_or(defaults.attempts_max),
        breaker_block_s: new.breaker_block_s.unwrap_or(defaults.breaker_block_s),
        ..defaults
    };
    let tenant = desk.manage.create_tenant(writer.scope, fields).await?;
    let location = format!("/api/v1/tenants/{}", tenant.id);
    Ok(answers::created(&location, tenant.revision, &TenantDocument::from(&*tenant)))
}

async fn show(State(desk): State<Arc<Desk>>, reader: Reader, Id(id): Id) -> Result<Response, Refused> {
    let tenant = desk.manage.tenant(reader.scope, TenantId::from_uuid(id)).await?;
    Ok(answers::shown(Some(tenant.revision), &TenantDocument::from(&*tenant)))
}

/// What is not named stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TenantChange {
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = openapi::tenant_name)]
    name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = openapi::secret)]
    webhook_secret: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = u16, minimum = 1, maximum = 100)]
    attempts_max: Option<u16>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = u32, minimum = 1, maximum = 86_400)]
    breaker_block_s: Option<u32>,
}

async fn change(
    State(desk): State<Arc<Desk>>,
    writer: Writer,
    Id(id): Id,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Refused> {
    let wanted: TenantChange = desk.document(request).await?;
    let edit = |fields: &mut TenantFields| {
        if let Some(name) = &wanted.name {
            fields.name.clone_from(name);
        }
        if let Some(secret) = &wanted.webhook_secret {
            fields.webhook_secret = SecretText::new(secret.clone());
        }
        fields.attempts_max = wanted.attempts_max.unwrap_or(fields.attempts_max);
        fields.breaker_block_s = wanted.breaker_block_s.unwrap_or(fields.breaker_block_s);
    };
    let manage = desk.manage_if_match(&headers)?;
    let tenant = manage.update_tenant(writer.scope, TenantId::from_uuid(id), edit).await?;
    Ok(answers::shown(Some(tenant.revision), &TenantDocument::from(&*tenant)))
}
