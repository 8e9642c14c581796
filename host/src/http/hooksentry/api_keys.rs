//! `/api/v1/apikeys` (docs/contracts/hooksentry.md, section 8).

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    http::Method,
    response::{IntoResponse as _, Response},
};
use hookyard_domain::{CredentialId, Scope};
use serde::{Deserialize, Serialize};
use utoipa::{
    ToSchema,
    openapi::{ObjectBuilder, Type},
};

use super::{
    answers::{self, Refused},
    desk::{Desk, PathText, id, required, scope},
    lists::Query,
    openapi::{self, Op, tag::API_KEYS},
};
use crate::{
    configuration::CredentialKind,
    http::openapi::Routes,
    manage::{Deed, IssuedCredential, NewCredential, Text, check, random_credential},
};

const FIELDS: &[&str] = &["id", "name", "isActive", "createdAt", "revokedAt"];
const NAME_CHARS_MAX: usize = 100;

pub fn routes() -> Routes<Arc<Desk>> {
    let path = "/api/v1/apikeys";
    Routes::new()
        .on(
            &Method::GET,
            path,
            list,
            Op::of_person("listApiKeys", API_KEYS, "Lists the tenant's API keys, without the keys themselves")
                .lists::<Key>(FIELDS, "id", u32::MAX)
                .filter(
                    "IsActive",
                    "Those that open ingest now, or those that were revoked.",
                    openapi::of_type(Type::Boolean),
                )
                .into(),
        )
        .on(
            &Method::POST,
            path,
            create,
            Op::of_person("createApiKey", API_KEYS, "Makes an API key")
                .by_role()
                .takes::<NewKey>("What it is called.")
                .makes::<MadeKey<'_>>("it was made; the key is shown here only")
                .into(),
        )
        .on(
            &Method::DELETE,
            "/api/v1/apikeys/{id}",
            revoke,
            Op::of_person("revokeApiKey", API_KEYS, "Revokes an API key, for good and at once")
                .by_role()
                .of_one("id", "API key")
                .about("One that was revoked already is absent.")
                .changes()
                .shows::<Key>("the key as it is now")
                .into(),
        )
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ApiKey)]
struct Key {
    #[schema(schema_with = openapi::id)]
    id: String,
    #[schema(required)]
    name: Option<String>,
    is_active: bool,
    #[schema(schema_with = openapi::moment)]
    created_at: String,
    #[schema(schema_with = openapi::moment_or_none)]
    revoked_at: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CreatedApiKey)]
struct MadeKey<'a> {
    #[schema(schema_with = openapi::id)]
    id: String,
    name: String,
    key: &'a str,
    #[schema(schema_with = openapi::moment)]
    created_at: String,
}

fn render(key: &IssuedCredential) -> Key {
    Key {
        id: key.id.to_string(),
        name: key.label.clone(),
        is_active: key.revoked_at.is_none(),
        created_at: key.created_at.to_string(),
        revoked_at: key.revoked_at.map(|at| at.to_string()),
    }
}

fn name_schema() -> ObjectBuilder {
    openapi::line_not_blank(NAME_CHARS_MAX)
}

#[derive(Deserialize, ToSchema)]
#[schema(as = NewApiKey)]
struct NewKey {
    #[schema(schema_with = name_schema, required)]
    name: Option<String>,
}

async fn create(State(desk): State<Arc<Desk>>, request: Request) -> Result<Response, Refused> {
    let (head, body) = request.into_parts();
    let person = desk.person_who_may(Deed::Work, &head.headers).await?;
    let name = required(desk.document::<NewKey>(&head.headers, body).await?.name, "name")?;
    if name.trim().is_empty() || name.chars().count() > NAME_CHARS_MAX {
        return Err(Refused::Invalid(format!("name must have 1 to {NAME_CHARS_MAX} characters")));
    }
    check::label(&name).map_err(|why| Refused::Invalid(format!("name {why}")))?;
    let key = random_credential(CredentialKind::ApiKey);
    let new = NewCredential {
        tenant: Some(person.user.tenant),
        kind: CredentialKind::ApiKey,
        subject: None,
        environment: None,
        name: None,
        label: Some(name.clone()),
        rights: String::new(),
        text: Text::Hashed(key.clone()),
        expires_at: None,
    };
    let made = desk.edge.manage.create_credential(scope(&person), new).await?;
    Ok(answers::created(
        &format!("/api/v1/apikeys/{}", made.id),
        &MadeKey {
            id: made.id.to_string(),
            name,
            key: key.expose(),
            created_at: made.created_at.to_string(),
        },
    ))
}

async fn list(State(desk): State<Arc<Desk>>, request: Request) -> Result<Response, Refused> {
    let person = desk.person(request.headers()).await?;
    let query = Query::of(request.uri().query());
    let page = query.page(FIELDS, "id")?;
    let active = match query.get("IsActive") {
        None => None,
        Some(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Some(text) if text.eq_ignore_ascii_case("false") => Some(false),
        Some(_) => return Err(Refused::Invalid("IsActive must be true or false".to_owned())),
    };
    let keys = desk
        .edge
        .manage
        .issued_credentials(scope(&person), person.user.tenant, CredentialKind::ApiKey)
        .await?;
    let taken = |key: &&IssuedCredential| active.is_none_or(|active| key.revoked_at.is_none() == active);
    Ok(page.cut(keys.iter().filter(taken).map(render)))
}

/// Answers with the key as it is now. One that is unknown or revoked already is absent, whoever's it was (docs/contracts/hooksentry.md, section 8).
async fn revoke(State(desk): State<Arc<Desk>>, PathText(key): PathText, request: Request) -> Result<Response, Refused> {
    let key: CredentialId = id(&key)?;
    let person = desk.person_who_may(Deed::Work, request.headers()).await?;
    let found = desk.edge.manage.credential(Scope::Operator, key).await?;
    if found.kind != CredentialKind::ApiKey {
        return Err(Refused::Absent("API key"));
    }
    if found.tenant != Some(person.user.tenant) {
        return Err(Refused::OfAnotherTenant);
    }
    let issued = desk.edge.manage.issued_credential(scope(&person), key).await?;
    let revoked_at = desk.edge.manage.revoke_credential(scope(&person), key).await?;
    let key = IssuedCredential {
        revoked_at: Some(revoked_at),
        ..issued
    };
    Ok(Json(render(&key)).into_response())
}
