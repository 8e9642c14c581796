//! `/api/v1/users` (docs/contracts/hooksentry.md, section 6), with the holes of docs/contracts/hooksentry.md, section 3.6, closed: nobody gives a role above
//! their own, and only admins and owners change other people.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
    routing::get,
};
use hookyard_domain::{Scope, UserId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    answers::{self, Refused},
    desk::{Desk, PathText, id, may_change, own, required, scope},
    lists::Query,
    words,
};
use crate::{
    manage::{Deed, NewUser, Person, Role, User, UserChange},
    store::SecretText,
};

const FIELDS: &[&str] = &["id", "tenantId", "email", "status", "role", "createdAt", "updatedAt"];

pub fn router() -> Router<Arc<Desk>> {
    Router::new()
        .route("/api/v1/users", get(list).post(create))
        .route("/api/v1/users/{id}", get(show).patch(change).delete(remove))
}

/// Also what a registration by invite answers.
pub fn render(user: &User) -> Value {
    json!({
        "id": user.id.to_string(),
        "tenantId": user.tenant.to_string(),
        "email": user.email,
        "status": words::active(user.active),
        "role": words::role(user.role),
        "createdAt": user.created_at.to_string(),
        "updatedAt": user.updated_at.to_string(),
    })
}

pub fn created(user: &User) -> Response {
    answers::created(&format!("/api/v1/users/{}", user.id), &render(user))
}

#[derive(Deserialize)]
struct Wanted {
    email: Option<String>,
    password: Option<String>,
    role: Option<Value>,
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
    Ok(page.cut(users.iter().filter(taken).map(render).collect()))
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
    let wanted: Wanted = desk.document(&head.headers, body).await?;
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
