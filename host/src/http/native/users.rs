//! `/api/v1/users`: people who log in to a tenant's dashboard.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::HeaderMap,
    response::Response,
    routing::get,
};
use hookyard_domain::UserId;
use serde::Deserialize;

use super::{
    Desk,
    answers::{self, Refused},
    caller::{Id, Reader, Writer, given},
    params::{Params, cut},
};
use crate::{
    documents::UserDocument,
    manage::{NewUser, Role, User, UserChange},
    store::SecretText,
};

pub fn router() -> Router<Arc<Desk>> {
    Router::new()
        .route("/api/v1/users", get(list).post(create))
        .route("/api/v1/users/{id}", get(show).patch(change).delete(remove))
}

fn document(user: &User) -> UserDocument {
    UserDocument {
        id: user.id.to_string(),
        tenant: user.tenant.to_string(),
        email: user.email.clone(),
        role: user.role.as_str().to_owned(),
        status: if user.active { "active" } else { "inactive" }.to_owned(),
        created_at: user.created_at.to_string(),
        revision: user.revision,
    }
}

async fn list(State(desk): State<Arc<Desk>>, reader: Reader, params: Params) -> Result<Response, Refused> {
    params.only(&["tenant", "email", "before", "limit"])?;
    let tenant = desk.tenant(reader.scope, params.get("tenant")).await?;
    let page = params.page()?;
    let users = match params.get("email") {
        Some(email) => {
            let found = desk.manage.user_with_email(reader.scope, tenant, email).await?;
            Vec::from_iter(found.filter(|user| page.before.is_none_or(|before| user.id.as_uuid() < before)))
        }
        None => {
            let before = page.before.map(UserId::from_uuid);
            desk.manage.users_page(reader.scope, tenant, before, page.rows()).await?
        }
    };
    let list = cut(users, &page, |user| user.id.as_uuid(), |user| document(&user));
    Ok(answers::shown(None, &list))
}

fn role(word: &str) -> Result<Role, Refused> {
    Role::parse(word).ok_or_else(|| Refused::wrong("role", "must be viewer, developer, admin or owner"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    tenant: Option<String>,
    email: String,
    password: String,
    role: String,
}

async fn create(State(desk): State<Arc<Desk>>, writer: Writer, request: Request) -> Result<Response, Refused> {
    let new: New = desk.document(request).await?;
    let new = NewUser {
        tenant: desk.tenant(writer.scope, new.tenant.as_deref()).await?,
        email: new.email,
        password: SecretText::new(new.password),
        role: role(&new.role)?,
    };
    let user = desk.manage.create_user(writer.scope, new).await?;
    let location = format!("/api/v1/users/{}", user.id);
    Ok(answers::created(&location, user.revision, &document(&user)))
}

async fn show(State(desk): State<Arc<Desk>>, reader: Reader, Id(id): Id) -> Result<Response, Refused> {
    let user = desk.manage.user(reader.scope, UserId::from_uuid(id)).await?;
    Ok(answers::shown(Some(user.revision), &document(&user)))
}

/// What is not named stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default, deserialize_with = "given")]
    email: Option<String>,
    #[serde(default, deserialize_with = "given")]
    password: Option<String>,
    #[serde(default, deserialize_with = "given")]
    role: Option<String>,
    #[serde(default, deserialize_with = "given")]
    status: Option<String>,
}

async fn change(
    State(desk): State<Arc<Desk>>,
    writer: Writer,
    Id(id): Id,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Refused> {
    let wanted: Wanted = desk.document(request).await?;
    let change = UserChange {
        email: wanted.email,
        password: wanted.password.map(SecretText::new),
        role: wanted.role.as_deref().map(role).transpose()?,
        active: match wanted.status.as_deref() {
            None => None,
            Some("active") => Some(true),
            Some("inactive") => Some(false),
            Some(_) => return Err(Refused::wrong("status", "must be active or inactive")),
        },
    };
    let manage = desk.manage_if_match(&headers)?;
    let user = manage.update_user(writer.scope, UserId::from_uuid(id), &change).await?;
    Ok(answers::shown(Some(user.revision), &document(&user)))
}

async fn remove(State(desk): State<Arc<Desk>>, writer: Writer, Id(id): Id, headers: HeaderMap) -> Result<Response, Refused> {
    desk.manage_if_match(&headers)?
        .delete_user(writer.scope, UserId::from_uuid(id))
        .await?;
    Ok(answers::done())
}
