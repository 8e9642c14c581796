//! `/api/v1/tenants` (docs/contracts/hooksentry.md, section 5).

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State},
    http::request::Parts,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use hookyard_domain::{TenantId, hex, signature::verify_body};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    answers::{self, Refused},
    desk::{Desk, PathText, id, own, required, scope},
    words,
};
use crate::{
    config::Registration,
    configuration::Tenant,
    manage::{Deed, FirstOwner, TenantFields},
    store::SecretText,
};

pub fn router() -> Router<Arc<Desk>> {
    Router::new()
        .route("/api/v1/tenants", post(create))
        .route("/api/v1/tenants/{id}", get(show).patch(change))
        .route("/api/v1/tenants/{id}/webhook-secret", get(secret).post(rotate))
        .route("/api/v1/tenants/{id}/webhook-secret/verify", post(verify))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewTenant {
    name: Option<String>,
    owner_email: Option<String>,
    owner_password: Option<String>,
    /// What older clients say, or all say beside it.
    admin_email: Option<String>,
    admin_password: Option<String>,
    max_trys: Option<i64>,
    circuit_breaker_timer: Option<i64>,
}

async fn create(State(desk): State<Arc<Desk>>, request: Request) -> Result<Response, Refused> {
    let (head, body) = request.into_parts();
    let (caller, now) = (desk.address(&head), desk.edge.clock.now());
    if desk.edge.registration == Registration::Closed {
        return Err(Refused::RegistrationClosed);
    }
    desk.tenants.take(caller, now).map_err(|wait| Refused::TooMany {
        why: "too many tenants were made from this address",
        wait,
    })?;
    let made = make(&desk, &head, body).await;
    if made.is_err() {
        // Only tenants that were made count.
        desk.tenants.give_back(&caller);
    }
    made
}

async fn make(desk: &Desk, head: &Parts, body: Body) -> Result<Response, Refused> {
    let wanted: NewTenant = desk.document(&head.headers, body).await?;
    let name = required(wanted.name, "name")?;
    let owner = FirstOwner {
        email: required(wanted.owner_email.or(wanted.admin_email), "ownerEmail")?,
        password: SecretText::new(required(wanted.owner_password.or(wanted.admin_password), "ownerPassword")?),
    };
    let secret = new_secret();
    let mut fields = TenantFields::new(name.trim(), secret.clone());
    set(&mut fields.attempts_max, wanted.max_trys, "maxTrys")?;
    set(&mut fields.breaker_block_s, wanted.circuit_breaker_timer, "circuitBreakerTimer")?;
    let (tenant, user) = desk.edge.manage.create_tenant_with_owner(fields, owner).await?;
    Ok(answers::created(
        &format!("/api/v1/tenants/{}", tenant.id),
        &json!({
            "tenantId": tenant.id.to_string(),
            "tenantName": tenant.name,
            "webhookSecret": secret.expose(),
            "maxTrys": tenant.attempts_max.get(),
            "circuitBreakerTimer": tenant.breaker_block.as_secs(),
            "tenantCreatedAt": tenant.created_at.to_string(),
            "ownerUserId": user.id.to_string(),
            "ownerEmail": user.email,
            "ownerRole": words::role(user.role),
            "ownerCreatedAt": user.created_at.to_string(),
        }),
    ))
}

/// 64 lower-case hexadecimal digits, of which the text itself is the key (docs/contracts/hooksentry.md, section 14.2).
fn new_secret() -> SecretText {
    SecretText::new(hex::encode(&rand::random::<[u8; 32]>()))
}

/// A number of the body, where there is one; whether it is in range is asked by the operation.
fn set<N: TryFrom<i64>>(field: &mut N, wanted: Option<i64>, name: &str) -> Result<(), Refused> {
    if let Some(wanted) = wanted {
        *field = N::try_from(wanted).map_err(|_| Refused::Invalid(format!("{name} is out of range")))?;
    }
    Ok(())
}

fn render(tenant: &Tenant) -> Value {
    json!({
        "id": tenant.id.to_string(),
        "name": tenant.name,
        "maxTrys": tenant.attempts_max.get(),
        "circuitBreakerTimer": tenant.breaker_block.as_secs(),
        "createdAt": tenant.created_at.to_string(),
        "updatedAt": tenant.updated_at.to_string(),
    })
}

async fn show(State(desk): State<Arc<Desk>>, PathText(tenant): PathText, request: Request) -> Result<Response, Refused> {
    let tenant: TenantId = id(&tenant)?;
    let person = desk.person(request.headers()).await?;
    let found = desk.edge.manage.tenant(hookyard_domain::Scope::Operator, tenant).await?;
    own(&person, tenant)?;
    Ok(Json(render(&found)).into_response())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TenantChange {
    name: Option<String>,
    max_trys: Option<i64>,
    circuit_breaker_timer: Option<i64>,
}

async fn change(State(desk): State<Arc<Desk>>, PathText(tenant): PathText, request: Request) -> Result<Response, Refused> {
    let tenant: TenantId = id(&tenant)?;
    let (head, body) = request.into_parts();
    let person = desk.person_who_may(Deed::Govern, &head.headers).await?;
    own(&person, tenant)?;
    let wanted: TenantChange = desk.document(&head.headers, body).await?;
    let (mut attempts_max, mut breaker_block_s) = (0, 0);
    set(&mut attempts_max, wanted.max_trys, "maxTrys")?;
    set(&mut breaker_block_s, wanted.circuit_breaker_timer, "circuitBreakerTimer")?;
    let changed = desk.edge.manage.update_tenant(scope(&person), tenant, |fields| {
        if let Some(name) = &wanted.name {
            name.trim().clone_into(&mut fields.name);
        }
        if wanted.max_trys.is_some() {
            fields.attempts_max = attempts_max;
        }
        if wanted.circuit_breaker_timer.is_some() {
            fields.breaker_block_s = breaker_block_s;
        }
    });
    Ok(Json(render(&*changed.await?)).into_response())
}

async fn secret(State(desk): State<Arc<Desk>>, PathText(tenant): PathText, request: Request) -> Result<Response, Refused> {
    let tenant: TenantId = id(&tenant)?;
    let person = desk.person(request.headers()).await?;
    own(&person, tenant)?;
    let secret = desk.edge.manage.tenant_secret(scope(&person), tenant).await?;
    Ok(Json(json!({ "webhookSecret": secret.expose() })).into_response())
}

/// Every signature from now on is made with the new secret; there is no overlap, as the contract says.
async fn rotate(State(desk): State<Arc<Desk>>, PathText(tenant): PathText, request: Request) -> Result<Response, Refused> {
    let tenant: TenantId = id(&tenant)?;
    let person = desk.person_who_may(Deed::Work, request.headers()).await?;
    own(&person, tenant)?;
    let secret = new_secret();
    let edit = |fields: &mut TenantFields| fields.webhook_secret = secret.clone();
    desk.edge.manage.update_tenant(scope(&person), tenant, edit).await?;
    Ok(Json(json!({ "webhookSecret": secret.expose() })).into_response())
}

#[derive(Deserialize)]
struct Signed {
    payload: Option<String>,
    signature: Option<String>,
}

async fn verify(State(desk): State<Arc<Desk>>, PathText(tenant): PathText, request: Request) -> Result<Response, Refused> {
    let tenant: TenantId = id(&tenant)?;
    let (head, body) = request.into_parts();
    let person = desk.person(&head.headers).await?;
    own(&person, tenant)?;
    let signed: Signed = desk.document(&head.headers, body).await?;
    let (Some(payload), Some(signature)) = (signed.payload, signed.signature) else {
        return Err(Refused::Invalid("payload and signature are required".to_owned()));
    };
    let secret = desk.edge.manage.tenant_secret(scope(&person), tenant).await?;
    let valid = verify_body(secret.expose(), payload.as_bytes(), &signature);
    Ok(Json(json!({ "valid": valid })).into_response())
}
