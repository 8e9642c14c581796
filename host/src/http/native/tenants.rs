//! `/api/v1/tenants`.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::HeaderMap,
    response::Response,
    routing::get,
};
use hookyard_domain::TenantId;
use serde::Deserialize;

use super::{
    Desk,
    answers::{self, Refused},
    caller::{Id, Reader, Writer, given},
    params::{Params, page_of},
};
use crate::{
    documents::TenantDocument,
    manage::{TenantFields, random_signing_secret},
    store::SecretText,
};

pub fn router() -> Router<Arc<Desk>> {
    Router::new()
        .route("/api/v1/tenants", get(list).post(create))
        .route("/api/v1/tenants/{id}", get(show).patch(change))
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTenant {
    name: String,
    /// None: a random one.
    webhook_secret: Option<String>,
    attempts_max: Option<u16>,
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
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TenantChange {
    #[serde(default, deserialize_with = "given")]
    name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    webhook_secret: Option<String>,
    #[serde(default, deserialize_with = "given")]
    attempts_max: Option<u16>,
    #[serde(default, deserialize_with = "given")]
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
