//! `/api/v1/users`: people who log in to a tenant's dashboard.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method},
    response::Response,
};
use hookyard_domain::UserId;
use serde::Deserialize;
use utoipa::{ToSchema, openapi::ObjectBuilder};

use super::{
    Desk,
    answers::{self, Refused},
    caller::{Id, Reader, Writer, given},
    openapi::{self, Op, tag::USERS},
    params::{Params, cut},
};
use crate::{
    documents::{UserDocument, schemas},
    http::openapi::Routes,
    manage::{NewUser, Role, User, UserChange},
    store::SecretText,
};

pub fn routes() -> Routes<Arc<Desk>> {
    Routes::new()
        .on(
            &Method::GET,
            "/api/v1/users",
            list,
            Op::read("listUsers", USERS, "Lists a tenant's users")
                .of_one_tenant()
                .filter("email", "The one with this address.", openapi::description())
                .pages::<UserDocument>()
                .into(),
        )
        .on(
            &Method::POST,
            "/api/v1/users",
            create,
            Op::read("createUser", USERS, "Makes a user")
                .write()
                .names_tenant()
                .takes::<New>("How they log in, and what they may do.")
                .makes::<UserDocument>("it was made")
                .conflicts("the address is taken")
                .into(),
        )
        .on(
            &Method::GET,
            "/api/v1/users/{id}",
            show,
            Op::read("showUser", USERS, "Shows a user")
                .of_one("user")
                .shows_with_tag::<UserDocument>("the user")
                .into(),
        )
        .on(
            &Method::PATCH,
            "/api/v1/users/{id}",
            change,
            Op::read("changeUser", USERS, "Changes a user")
                .write()
                .of_one("user")
                .about("What is not named stays.")
                .takes::<Wanted>("What changes.")
                .if_match()
                .conflicts("the address is taken, or it is the tenant's last active owner")
                .shows_with_tag::<UserDocument>("the user as it is now")
                .into(),
        )
        .on(
            &Method::DELETE,
            "/api/v1/users/{id}",
            remove,
            Op::read("deleteUser", USERS, "Deletes a user")
                .write()
                .of_one("user")
                .if_match()
                .conflicts("it is the tenant's last active owner")
                .ends("it is gone")
                .into(),
        )
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

/// What every mail server takes. The server takes more, such as letters of all languages.
fn email() -> ObjectBuilder {
    let email = schemas::text().max_length(Some(255)).pattern(Some("^[!-?A-~]+@[!-~]+$"));
    email.examples(["ana@example.com"])
}

fn password() -> ObjectBuilder {
    let password = schemas::text().min_length(Some(1)).max_length(Some(1_024));
    password.description(Some("1 to 1,024 bytes in UTF-8."))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewUser)]
struct New {
    #[schema(schema_with = openapi::tenant_or_none)]
    tenant: Option<String>,
    #[schema(schema_with = email)]
    email: String,
    #[schema(schema_with = password)]
    password: String,
    #[schema(schema_with = schemas::role)]
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
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UserChange)]
struct Wanted {
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = email)]
    email: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = password)]
    password: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = schemas::role)]
    role: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = schemas::in_use)]
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
