//! `/api/v1/apikeys` (docs/contracts/hooksentry.md, section 8).

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
    routing::{delete, get},
};
use hookyard_domain::{CredentialId, Scope};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    answers::{self, Refused},
    desk::{Desk, PathText, id, required, scope},
    lists::Query,
};
use crate::{
    configuration::CredentialKind,
    manage::{Deed, IssuedCredential, NewCredential, Text, check, random_credential},
};

const FIELDS: &[&str] = &["id", "name", "isActive", "createdAt", "revokedAt"];
const NAME_CHARS_MAX: usize = 100;

pub fn router() -> Router<Arc<Desk>> {
    Router::new()
        .route("/api/v1/apikeys", get(list).post(create))
        .route("/api/v1/apikeys/{id}", delete(revoke))
}

fn render(key: &IssuedCredential) -> Value {
    json!({
        "id": key.id.to_string(),
        "name": key.label,
        "isActive": key.revoked_at.is_none(),
        "createdAt": key.created_at.to_string(),
        "revokedAt": key.revoked_at.map(|at| at.to_string()),
    })
}

#[derive(Deserialize)]
struct NewKey {
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
        &json!({
            "id": made.id.to_string(),
            "name": name,
            "key": key.expose(),
            "createdAt": made.created_at.to_string(),
        }),
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
    Ok(page.cut(keys.iter().filter(taken).map(render).collect()))
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
