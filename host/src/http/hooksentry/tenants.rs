//! `/api/v1/tenants` (docs/contracts/hooksentry.md, section 5).

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{Method, request::Parts},
    response::{IntoResponse as _, Response},
};
use hookyard_domain::{TenantId, hex, signature::verify_body};
use serde::{Deserialize, Serialize};
use utoipa::{ToSchema, openapi::ObjectBuilder};

use super::{
    answers::{self, Refused, documented},
    desk::{self, Desk, PathText, id, own, required, scope},
    openapi::{self, Op, tag::TENANTS},
    words,
};
use crate::{
    config::Registration,
    configuration::Tenant,
    http::openapi::Routes,
    manage::{Deed, FirstOwner, TenantFields},
    store::SecretText,
};

pub fn routes() -> Routes<Arc<Desk>> {
    let secret_path = "/api/v1/tenants/{id}/webhook-secret";
    Routes::new()
        .on(
            &Method::POST,
            "/api/v1/tenants",
            create,
            Op::of_anyone("createTenant", TENANTS, "Makes a tenant and its first owner, both or neither")
                .takes::<NewTenant>("The tenant and its owner. Older clients say `adminEmail` and `adminPassword` for the owner's.")
                .makes::<MadeTenant<'_>>("both were made")
                .answers([
                    documented::forbidden("this server's operator makes the tenants"),
                    documented::conflict("the name or the address is taken"),
                    documented::too_many("five tenants were made from this address within an hour"),
                ])
                .into(),
        )
        .on(
            &Method::GET,
            "/api/v1/tenants/{id}",
            show,
            Op::of_person("showTenant", TENANTS, "Shows the tenant")
                .of_one("id", "tenant")
                .shows::<Shown<'_>>("the tenant")
                .into(),
        )
        .on(
            &Method::PATCH,
            "/api/v1/tenants/{id}",
            change,
            Op::of_person("changeTenant", TENANTS, "Changes the tenant's settings")
                .by_role()
                .of_own()
                .takes::<TenantChange>("What is to be another; what is missing stays.")
                .changes()
                .answers([documented::conflict("the name is taken")])
                .shows::<Shown<'_>>("the tenant as it is now")
                .into(),
        )
        .on(
            &Method::GET,
            secret_path,
            secret,
            Op::of_person("showWebhookSecret", TENANTS, "Shows the secret that signs deliveries")
                .of_own()
                .shows::<Secret<'_>>("the secret")
                .into(),
        )
        .on(
            &Method::POST,
            secret_path,
            rotate,
            Op::of_person(
                "replaceWebhookSecret",
                TENANTS,
                "Replaces the secret that signs deliveries, at once",
            )
            .by_role()
            .of_own()
            .changes()
            .shows::<Secret<'_>>("the new secret")
            .into(),
        )
        .on(
            &Method::POST,
            "/api/v1/tenants/{id}/webhook-secret/verify",
            verify,
            Op::of_person(
                "verifySignature",
                TENANTS,
                "Says whether a signature is one of this tenant's deliveries",
            )
            .of_own()
            .takes::<Signed>("The exact text of the body, and `X-HookSentry-Signature` with its `sha256=`.")
            .shows::<Verdict>("whether it is")
            .into(),
        )
}

fn name_schema() -> ObjectBuilder {
    openapi::line_not_blank(255)
}

fn name_or_none_schema() -> ObjectBuilder {
    openapi::or_none(name_schema())
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct NewTenant {
    #[schema(schema_with = name_schema, required)]
    name: Option<String>,
    #[schema(schema_with = openapi::email, required)]
    owner_email: Option<String>,
    #[schema(schema_with = openapi::password, required)]
    owner_password: Option<String>,
    /// What older clients say, or all say beside it.
    #[schema(ignore)]
    admin_email: Option<String>,
    #[schema(ignore)]
    admin_password: Option<String>,
    #[serde(default, deserialize_with = "desk::whole")]
    #[schema(minimum = 1, maximum = 100)]
    max_trys: Option<i64>,
    /// Seconds.
    #[serde(default, deserialize_with = "desk::whole")]
    #[schema(minimum = 1, maximum = 86_400)]
    circuit_breaker_timer: Option<i64>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CreatedTenant)]
struct MadeTenant<'a> {
    #[schema(schema_with = openapi::id)]
    tenant_id: String,
    tenant_name: &'a str,
    webhook_secret: &'a str,
    max_trys: u16,
    circuit_breaker_timer: u64,
    #[schema(schema_with = openapi::moment)]
    tenant_created_at: String,
    #[schema(schema_with = openapi::id)]
    owner_user_id: String,
    owner_email: &'a str,
    #[schema(schema_with = words::role_schema)]
    owner_role: &'static str,
    #[schema(schema_with = openapi::moment)]
    owner_created_at: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Tenant)]
struct Shown<'a> {
    #[schema(schema_with = openapi::id)]
    id: String,
    name: &'a str,
    /// Attempts of a delivery in all.
    max_trys: u16,
    /// Seconds for which a destination is left alone once its breaker is open.
    circuit_breaker_timer: u64,
    #[schema(schema_with = openapi::moment)]
    created_at: String,
    #[schema(schema_with = openapi::moment)]
    updated_at: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookSecret)]
struct Secret<'a> {
    webhook_secret: &'a str,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SignatureVerdict)]
struct Verdict {
    valid: bool,
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
        &MadeTenant {
            tenant_id: tenant.id.to_string(),
            tenant_name: &tenant.name,
            webhook_secret: secret.expose(),
            max_trys: tenant.attempts_max.get(),
            circuit_breaker_timer: tenant.breaker_block.as_secs(),
            tenant_created_at: tenant.created_at.to_string(),
            owner_user_id: user.id.to_string(),
            owner_email: &user.email,
            owner_role: words::role(user.role),
            owner_created_at: user.created_at.to_string(),
        },
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

fn render(tenant: &Tenant) -> Shown<'_> {
    Shown {
        id: tenant.id.to_string(),
        name: &tenant.name,
        max_trys: tenant.attempts_max.get(),
        circuit_breaker_timer: tenant.breaker_block.as_secs(),
        created_at: tenant.created_at.to_string(),
        updated_at: tenant.updated_at.to_string(),
    }
}

async fn show(State(desk): State<Arc<Desk>>, PathText(tenant): PathText, request: Request) -> Result<Response, Refused> {
    let tenant: TenantId = id(&tenant)?;
    let person = desk.person(request.headers()).await?;
    let found = desk.edge.manage.tenant(hookyard_domain::Scope::Operator, tenant).await?;
    own(&person, tenant)?;
    Ok(Json(render(&found)).into_response())
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TenantChange {
    #[schema(schema_with = name_or_none_schema)]
    name: Option<String>,
    #[serde(default, deserialize_with = "desk::whole")]
    #[schema(minimum = 1, maximum = 100)]
    max_trys: Option<i64>,
    /// Seconds.
    #[serde(default, deserialize_with = "desk::whole")]
    #[schema(minimum = 1, maximum = 86_400)]
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
    let webhook_secret = secret.expose();
    Ok(Json(Secret { webhook_secret }).into_response())
}

/// Every signature from now on is made with the new secret; there is no overlap, as the contract says.
async fn rotate(State(desk): State<Arc<Desk>>, PathText(tenant): PathText, request: Request) -> Result<Response, Refused> {
    let tenant: TenantId = id(&tenant)?;
    let person = desk.person_who_may(Deed::Work, request.headers()).await?;
    own(&person, tenant)?;
    let secret = new_secret();
    let edit = |fields: &mut TenantFields| fields.webhook_secret = secret.clone();
    desk.edge.manage.update_tenant(scope(&person), tenant, edit).await?;
    let webhook_secret = secret.expose();
    Ok(Json(Secret { webhook_secret }).into_response())
}

#[derive(Deserialize, ToSchema)]
struct Signed {
    #[schema(value_type = String, required)]
    payload: Option<String>,
    #[schema(value_type = String, required)]
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
    Ok(Json(Verdict { valid }).into_response())
}
