//! `/api/v1/invites` (docs/contracts/hooksentry.md, section 7).

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::Method,
    response::Response,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{
    ToSchema,
    openapi::{ObjectBuilder, schema::OneOfBuilder},
};

use super::{
    answers::{self, Refused, documented},
    desk::{self, Desk, PathText, required, scope},
    lists::Query,
    openapi::{self, Op, tag::INVITES},
    users, words,
};
use crate::{
    http::openapi::{Routes, text},
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

const PENDING: &str = "Pending";
const USED: &str = "Used";

pub fn routes() -> Routes<Arc<Desk>> {
    Routes::new()
        .on(
            &Method::GET,
            "/api/v1/invites",
            list,
            Op::of_person("listInvites", INVITES, "Lists the tenant's invites, with their tokens")
                .by_role()
                .lists::<Shown<'_>>(FIELDS, "id", u32::MAX)
                .filter("Status", "Those that were used, or were not.", status_filter_schema())
                .into(),
        )
        .on(
            &Method::POST,
            "/api/v1/invites",
            create,
            Op::of_person("createInvite", INVITES, "Makes an invite")
                .about("Only Owners invite Admins, and nobody invites an Owner.")
                .by_role()
                .takes::<NewInvite>("For how long, and what the user will be.")
                .makes::<Shown<'_>>("the invite was made")
                .into(),
        )
        .on(
            &Method::POST,
            "/api/v1/invites/{token}/register",
            register,
            Op::of_anyone("register", INVITES, "Makes a user by an invite, which is used up by that")
                .in_path("token", "The invite's token.", text().min_length(Some(1)))
                .takes::<Registration>("The user.")
                .makes::<users::Shown<'_>>("the user was made")
                .answers([
                    documented::absent("there is no invite with this token"),
                    documented::conflict("the address is taken, or the invite was used or has run out"),
                    documented::too_many("ten uses from this address within an hour"),
                ])
                .into(),
        )
}

fn status_schema() -> ObjectBuilder {
    openapi::one_of(&[PENDING, USED])
}

fn status_filter_schema() -> OneOfBuilder {
    openapi::one_of_or_number(&[PENDING, USED], &[0, 1])
}

fn status(invite: &Invite) -> &'static str {
    if invite.used_at.is_some() { USED } else { PENDING }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Invite)]
struct Shown<'a> {
    #[schema(schema_with = openapi::id)]
    id: String,
    #[schema(schema_with = openapi::id)]
    tenant_id: String,
    token: &'a str,
    #[schema(schema_with = words::role_schema)]
    target_role: &'static str,
    #[schema(schema_with = openapi::moment)]
    expires_at: String,
    #[schema(schema_with = openapi::moment_or_none)]
    used_at: Option<String>,
    #[schema(schema_with = status_schema)]
    status: &'static str,
    #[schema(schema_with = openapi::moment)]
    created_at: String,
}

fn render(invite: &Invite) -> Shown<'_> {
    Shown {
        id: invite.id.to_string(),
        tenant_id: invite.tenant.to_string(),
        token: invite.token.expose(),
        target_role: words::role(invite.role),
        expires_at: invite.expires_at.to_string(),
        used_at: invite.used_at.map(|at| at.to_string()),
        status: status(invite),
        created_at: invite.created_at.to_string(),
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct NewInvite {
    #[serde(default, deserialize_with = "desk::whole")]
    #[schema(minimum = 1, maximum = 30, default = 7)]
    validity_days: Option<i64>,
    #[schema(schema_with = words::role_to_invite_schema)]
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
        Some(text) if text == "0" || text.eq_ignore_ascii_case("pending") => Some(PENDING),
        Some(text) if text == "1" || text.eq_ignore_ascii_case("used") => Some(USED),
        Some(_) => return Err(Refused::Invalid("Status must be Pending or Used".to_owned())),
    };
    let invites = desk.edge.manage.invites(scope(&person), person.user.tenant).await?;
    let taken = |invite: &&Invite| wanted.is_none_or(|wanted| status(invite) == wanted);
    Ok(page.cut(invites.iter().filter(taken).map(render)))
}

#[derive(Deserialize, ToSchema)]
struct Registration {
    #[schema(schema_with = openapi::email, required)]
    email: Option<String>,
    #[schema(schema_with = openapi::password, required)]
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
