//! `/api/v1/users` (docs/contracts/hooksentry.md, section 6), with the holes of docs/contracts/hooksentry.md, section 3.6, closed: nobody gives a role above
//! their own, and only admins and owners change other people.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    http::Method,
    response::{IntoResponse as _, Response},
};
use hookyard_domain::{Scope, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    answers::{self, Refused, documented},
    desk::{Desk, PathText, id, may_change, own, required, scope},
    lists::Query,
    openapi::{self, Op, tag::USERS},
    words,
};
use crate::{
    http::openapi::Routes,
    manage::{Deed, NewUser, Person, Role, User, UserChange},
    store::SecretText,
};

const FIELDS: &[&str] = &["id", "tenantId", "email", "status", "role", "createdAt", "updatedAt"];

pub fn routes() -> Routes<Arc<Desk>> {
    let one = "/api/v1/users/{id}";
    Routes::new()
        .on(
            &Method::GET,
            "/api/v1/users",
            list,
            Op::of_person("listUsers", USERS, "Lists the tenant's users")
                .lists::<Shown<'_>>(FIELDS, "id", u32::MAX)
                .filter("Status", "Those who may log in, or may not.", words::active_filter_schema())
                .filter("Role", "Those of one role.", words::role_filter_schema())
                .into(),
        )
        .on(
            &Method::POST,
            "/api/v1/users",
            create,
            Op::of_person("createUser", USERS, "Makes a user")
                .about("Developers and Admins make Developers and Viewers, Owners all.")
                .by_role()
                .takes::<Wanted>("The user.")
                .answers([documented::conflict("the address is taken")])
                .makes::<Shown<'_>>("the user was made")
                .into(),
        )
        .on(
            &Method::GET,
            one,
            show,
            Op::of_person("showUser", USERS, "Shows a user")
                .of_one("id", "user")
                .shows::<Shown<'_>>("the user")
                .into(),
        )
        .on(
            &Method::PATCH,
            one,
            change,
            Op::of_person("changeUser", USERS, "Changes a user")
                .about("Another password, role or status ends all log-ins of the user.")
                .by_role()
                .of_one("id", "user")
                .takes::<Change>("What is to be another; what is missing stays.")
                .answers([documented::last_owner(), documented::conflict("the address is taken")])
                .changes()
                .shows::<Shown<'_>>("the user as it is now")
                .into(),
        )
        .on(
            &Method::DELETE,
            one,
            remove,
            Op::of_person("deleteUser", USERS, "Deletes a user, for good")
                .by_role()
                .of_one("id", "user")
                .answers([documented::last_owner()])
                .changes()
                .ends("the user is deleted")
                .into(),
        )
}

/// Also what a registration by invite answers.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = User)]
pub struct Shown<'a> {
    #[schema(schema_with = openapi::id)]
    id: String,
    #[schema(schema_with = openapi::id)]
    tenant_id: String,
    email: &'a str,
    #[schema(schema_with = words::active_schema)]
    status: &'static str,
    #[schema(schema_with = words::role_schema)]
    role: &'static str,
    #[schema(schema_with = openapi::moment)]
    created_at: String,
    #[schema(schema_with = openapi::moment)]
    updated_at: String,
}

fn render(user: &User) -> Shown<'_> {
    Shown {
        id: user.id.to_string(),
        tenant_id: user.tenant.to_string(),
        email: &user.email,
        status: words::active(user.active),
        role: words::role(user.role),
        created_at: user.created_at.to_string(),
        updated_at: user.updated_at.to_string(),
    }
}

pub fn created(user: &User) -> Response {
    answers::created(&format!("/api/v1/users/{}", user.id), &render(user))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = NewUser)]
struct Wanted {
    #[schema(schema_with = openapi::email, required)]
    email: Option<String>,
    #[schema(schema_with = openapi::password, required)]
    password: Option<String>,
    #[schema(schema_with = words::role_in_schema)]
    role: Option<Value>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = UserChange)]
struct Change {
    #[schema(schema_with = openapi::email_or_none)]
    email: Option<String>,
    #[schema(schema_with = openapi::password_or_none)]
    password: Option<String>,
    #[schema(schema_with = words::role_in_schema)]
    role: Option<Value>,
    #[schema(schema_with = words::active_in_schema)]
    status: Option<Value>,
}

async fn create(State(desk): State<Arc<Desk>>, request: Request) -> Result<Response, Refused> {
    let (head, body) = request.into_parts();
    let person = desk.person_who_may(Deed::Work, &head.headers).await?;
    let wanted: Wanted = desk.document(&head.headers, body).await?;
    let role = wanted.role.as_ref().map_or(Ok(Role::Developer), words::read_role)?;
    // A developer brings in colleagues, not those who could change the developer.
    if !matches!(role, Role::Developer | Role::Viewer) && !person.user.role.may_give(role) {
        return Err(Refused::RoleMayNot);
    }
    let new = NewUser {
        tenant: person.user.tenant,
        email: required(wanted.email, "email")?,
        password: SecretText::new(required(wanted.password, "password")?),
        role,
    };
    Ok(created(&desk.edge.manage.create_user(scope(&person), new).await?))
}

async fn list(State(desk): State<Arc<Desk>>, request: Request) -> Result<Response, Refused> {
    let person = desk.person(request.headers()).await?;
    let query = Query::of(request.uri().query());
    let page = query.page(FIELDS, "id")?;
    let active = query.get("Status").map(words::read_active_text).transpose()?;
    let role = query.get("Role").map(words::read_role_text).transpose()?;
    let users = desk.edge.manage.users(scope(&person), person.user.tenant).await?;
    let taken = |user: &&User| active.is_none_or(|active| user.active == active) && role.is_none_or(|role| user.role == role);
    Ok(page.cut(users.iter().filter(taken).map(render)))
}

async fn show(State(desk): State<Arc<Desk>>, PathText(user): PathText, request: Request) -> Result<Response, Refused> {
    let user: UserId = id(&user)?;
    let person = desk.person(request.headers()).await?;
    Ok(Json(render(&theirs(&desk, &person, user).await?)).into_response())
}

async fn theirs(desk: &Desk, person: &Person, id: UserId) -> Result<User, Refused> {
    let user = desk.edge.manage.user(Scope::Operator, id).await?;
    own(person, user.tenant)?;
    Ok(user)
}

async fn change(State(desk): State<Arc<Desk>>, PathText(user): PathText, request: Request) -> Result<Response, Refused> {
    let user: UserId = id(&user)?;
    let (head, body) = request.into_parts();
    let person = desk.person(&head.headers).await?;
    let old = theirs(&desk, &person, user).await?;
    may_change(&person, user, old.role)?;
    let wanted: Change = desk.document(&head.headers, body).await?;
    let change = UserChange {
        email: wanted.email,
        password: wanted.password.map(SecretText::new),
        role: wanted.role.as_ref().map(words::read_role).transpose()?,
        active: wanted.status.as_ref().map(words::read_active).transpose()?,
    };
    // Email and password are everybody's own; what somebody may do is not.
    let role = change.role.filter(|role| *role != old.role);
    let governs = role.is_some() || change.active.is_some_and(|active| active != old.active);
    if governs && !(person.user.role.may_give(old.role) && role.is_none_or(|role| person.user.role.may_give(role))) {
        return Err(Refused::RoleMayNot);
    }
    let changed = desk.edge.manage.update_user(scope(&person), user, &change).await?;
    Ok(Json(render(&changed)).into_response())
}

async fn remove(State(desk): State<Arc<Desk>>, PathText(user): PathText, request: Request) -> Result<Response, Refused> {
    let user: UserId = id(&user)?;
    let person = desk.person_who_may(Deed::Govern, request.headers()).await?;
    let old = theirs(&desk, &person, user).await?;
    if !person.user.role.may_give(old.role) {
        return Err(Refused::RoleMayNot);
    }
    desk.edge.manage.delete_user(scope(&person), user).await?;
    Ok(answers::done())
}
