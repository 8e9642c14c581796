//! `/api/v1/invites` (docs/contracts/hooksentry.md, section 7).

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    response::Response,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    answers::{self, Refused},
    desk::{Desk, PathText, required, scope},
    lists::Query,
    users, words,
};
use crate::{
    manage::{Deed, Invite, Refusal, Role, check},
    store::SecretText,
};

const FIELDS: &[&str] = &[
    "id",
    "tenantId",
    "token",
    "targetRole",
    "expiresAt",
    "usedAt",
    "status",
    "createdAt",
];
/// Days an invite may be used, and how many where nothing is said (docs/contracts/hooksentry.md, section 7).
const DAYS_MAX: i64 = 30;
const DAYS_DEFAULT: i64 = 7;
const DAY: Duration = Duration::from_hours(24);

pub fn router() -> Router<Arc<Desk>> {
    Router::new()
        .route("/api/v1/invites", get(list).post(create))
        .route("/api/v1/invites/{token}/register", post(register))
}

fn status(invite: &Invite) -> &'static str {
    if invite.used_at.is_some() { "Used" } else { "Pending" }
}

fn render(invite: &Invite) -> Value {
    json!({
        "id": invite.id.to_string(),
        "tenantId": invite.tenant.to_string(),
        "token": invite.token.expose(),
        "targetRole": words::role(invite.role),
        "expiresAt": invite.expires_at.to_string(),
        "usedAt": invite.used_at.map(|at| at.to_string()),
        "status": status(invite),
        "createdAt": invite.created_at.to_string(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewInvite {
    validity_days: Option<i64>,
    role: Option<Value>,
}

async fn create(State(desk): State<Arc<Desk>>, request: Request) -> Result<Response, Refused> {
    let (head, body) = request.into_parts();
    let person = desk.person_who_may(Deed::Govern, &head.headers).await?;
    let wanted: NewInvite = desk.document(&head.headers, body).await?;
    let days = wanted.validity_days.unwrap_or(DAYS_DEFAULT);
    let days = u32::try_from(days)
        .ok()
        .filter(|days| (1..=DAYS_MAX).contains(&i64::from(*days)))
        .ok_or_else(|| Refused::Invalid(format!("validityDays must be 1 to {DAYS_MAX}")))?;
    let role = wanted.role.as_ref().map_or(Ok(Role::Developer), words::read_role)?;
    // Only an owner makes admins; that nobody is invited as an owner is the operation's rule.
    if role == Role::Admin && person.user.role != Role::Owner {
        return Err(Refused::RoleMayNot);
    }
    let invite = desk
        .edge
        .manage
        .create_invite(scope(&person), person.user.tenant, role, DAY * days)
        .await?;
    Ok(answers::created(&format!("/api/v1/invites/{}", invite.id), &render(&invite)))
}

async fn list(State(desk): State<Arc<Desk>>, request: Request) -> Result<Response, Refused> {
    let person = desk.person_who_may(Deed::Govern, request.headers()).await?;
    let query = Query::of(request.uri().query());
    let page = query.page(FIELDS, "id")?;
    let wanted = match query.get("Status") {
        None => None,
        Some(text) if text == "0" || text.eq_ignore_ascii_case("pending") => Some("Pending"),
        Some(text) if text == "1" || text.eq_ignore_ascii_case("used") => Some("Used"),
        Some(_) => return Err(Refused::Invalid("Status must be Pending or Used".to_owned())),
    };
    let invites = desk.edge.manage.invites(scope(&person), person.user.tenant).await?;
    let taken = |invite: &&Invite| wanted.is_none_or(|wanted| status(invite) == wanted);
    Ok(page.cut(invites.iter().filter(taken).map(render).collect()))
}

#[derive(Deserialize)]
struct Registration {
    email: Option<String>,
    password: Option<String>,
}

/// In the contract's order: limit, token, shape of the address, whether it is taken, password, whether the invite is good.
async fn register(State(desk): State<Arc<Desk>>, PathText(token): PathText, request: Request) -> Result<Response, Refused> {
    let (head, body) = request.into_parts();
    let (caller, now) = (desk.address(&head), desk.edge.clock.now());
    desk.registrations.take(caller, now).map_err(|wait| Refused::TooMany {
        why: "too many registrations from this address",
        wait,
    })?;
    let manage = &desk.edge.manage;
    manage.invite_by_token(&token).await?;
    let wanted: Registration = desk.document(&head.headers, body).await?;
    let email = required(wanted.email, "email")?;
    check::email(&email).map_err(|why| Refused::Invalid(format!("email {why}")))?;
    if manage.email_is_taken(&email).await? {
        return Err(Refusal::Taken("the email address is taken".to_owned()).into());
    }
    let password = SecretText::new(required(wanted.password, "password")?);
    Ok(users::created(&manage.register(&token, email, password).await?))
}
