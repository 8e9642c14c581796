//! `/api/v1/credentials`: keys and tokens of every kind. Those of endpoints and senders are made and replaced with these.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method},
    response::Response,
};
use hookyard_domain::{CredentialId, Scope, TenantId, Timestamp};
use serde::Deserialize;
use utoipa::{ToSchema, openapi::ObjectBuilder};

use super::{
    Desk,
    answers::{self, Refused},
    caller::{Id, Reader, Writer},
    openapi::{self, Op, tag::CREDENTIALS},
    params::{Params, read_time},
};
use crate::{
    configuration::{CredentialKind, Rights},
    documents::{CredentialDocument, List, schemas},
    http::openapi::Routes,
    manage::{IssuedCredential, NewCredential, Text, random_credential},
};

pub fn routes() -> Routes<Arc<Desk>> {
    Routes::new()
        .on(
            &Method::GET,
            "/api/v1/credentials",
            list,
            Op::read(
                "listCredentials",
                CREDENTIALS,
                "Lists keys and tokens of one kind, revoked ones too",
            )
            .of_tenant()
            .filter(
                "kind",
                "Their kind.",
                schemas::credential_kind().default(Some("management-token".into())),
            )
            .pages::<CredentialDocument>()
            .into(),
        )
        .on(
            &Method::POST,
            "/api/v1/credentials",
            create,
            Op::read("createCredential", CREDENTIALS, "Makes a management token or an API key")
                .about("It is over no later than the token that makes it.")
                .write()
                .names_tenant()
                .takes::<New>("What it is for.")
                .makes::<CredentialDocument>("it was made; `text` is shown here alone")
                .into(),
        )
        .on(
            &Method::GET,
            "/api/v1/credentials/{id}",
            show,
            Op::read("showCredential", CREDENTIALS, "Shows a key or token, without its text")
                .of_one("credential")
                .shows_with_tag::<CredentialDocument>("the credential")
                .into(),
        )
        .on(
            &Method::PATCH,
            "/api/v1/credentials/{id}",
            change,
            Op::read("changeCredential", CREDENTIALS, "Disables a key or token, or enables it again")
                .write()
                .of_one("credential")
                .takes::<Wanted>("Whether it is disabled.")
                .if_match()
                .shows_with_tag::<CredentialDocument>("the credential as it is now")
                .into(),
        )
        .on(
            &Method::DELETE,
            "/api/v1/credentials/{id}",
            revoke,
            Op::read("revokeCredential", CREDENTIALS, "Revokes a key or token, for good and at once")
                .write()
                .of_one("credential")
                .if_match()
                .ends("it opens nothing any more")
                .into(),
        )
}

impl From<&IssuedCredential> for CredentialDocument {
    fn from(issued: &IssuedCredential) -> Self {
        let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
        Self {
            id: issued.id.to_string(),
            tenant: issued.tenant.map(|tenant| tenant.to_string()),
            kind: issued.kind.as_str().to_owned(),
            subject: issued.subject.map(|subject| subject.to_string()),
            name: issued.name.clone(),
            label: issued.label.clone(),
            rights: Rights::parse(&issued.rights).map(|rights| rights.as_str().to_owned()),
            created_at: issued.created_at.to_string(),
            expires_at: time(issued.expires_at),
            last_used_at: time(issued.last_used_at),
            disabled_at: time(issued.disabled_at),
            revoked_at: time(issued.revoked_at),
            revision: issued.revision,
            text: None,
        }
    }
}

/// Revoked ones too.
async fn list(State(desk): State<Arc<Desk>>, reader: Reader, params: Params) -> Result<Response, Refused> {
    params.only(&["tenant", "kind", "before", "limit"])?;
    let kind = params.word("kind", &CredentialKind::ALL, CredentialKind::as_str)?;
    let kind = kind.unwrap_or(CredentialKind::ManagementToken);
    let page = params.page()?;
    let scope = desk.tenant_or_all(reader.scope, params.get("tenant")).await?;
    let before = page.before.map(CredentialId::from_uuid);
    let rows = desk.manage.credentials_page(scope, kind, before, page.rows()).await?;
    let (rows, next) = page.cut(rows, |(id, _)| id.as_uuid());
    // One that cannot be read is told in the status; what is older than it is shown all the same.
    let list = List {
        items: rows
            .iter()
            .filter_map(|(_, issued)| issued.as_ref())
            .map(CredentialDocument::from)
            .collect(),
        next: next.map(|id| id.to_string()),
    };
    Ok(answers::shown(None, &list))
}

fn made_kind() -> ObjectBuilder {
    schemas::words(&["management-token", "api-key"])
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCredential)]
struct New {
    /// `management-token` or `api-key`.
    #[schema(schema_with = made_kind)]
    kind: String,
    /// None: the caller's own. For a management token of the operator's: none too.
    #[schema(schema_with = openapi::tenant_or_none)]
    tenant: Option<String>,
    /// For people alone.
    #[schema(schema_with = schemas::label_or_none)]
    label: Option<String>,
    /// Of a management token: `read` or `write`.
    #[schema(schema_with = schemas::rights_or_none)]
    rights: Option<String>,
    /// RFC 3339; none: it does not expire.
    #[schema(schema_with = schemas::moment_or_none)]
    expires_at: Option<String>,
}

impl New {
    fn rights(&self, kind: CredentialKind) -> Result<String, Refused> {
        match (kind, self.rights.as_deref()) {
            (CredentialKind::ManagementToken, Some(word)) => Rights::parse(word)
                .map(|rights| rights.as_str().to_owned())
                .ok_or_else(|| Refused::wrong("rights", "must be read or write")),
            (CredentialKind::ManagementToken, None) => Err(Refused::wrong("rights", "is required: read or write")),
            (_, Some(_)) => Err(Refused::wrong("rights", "is for management tokens")),
            (_, None) => Ok(String::new()),
        }
    }

    async fn tenant(&self, desk: &Desk, scope: Scope, kind: CredentialKind) -> Result<Option<TenantId>, Refused> {
        match (kind, scope, self.tenant.as_deref()) {
            (CredentialKind::ManagementToken, Scope::Operator, None) => Ok(None),
            (_, _, named) => desk.tenant(scope, named).await.map(Some),
        }
    }
}

/// Answers with the text, which is shown now and never again.
async fn create(State(desk): State<Arc<Desk>>, writer: Writer, request: Request) -> Result<Response, Refused> {
    let new: New = desk.document(request).await?;
    let kind = match CredentialKind::parse(&new.kind) {
        Some(kind @ (CredentialKind::ManagementToken | CredentialKind::ApiKey)) => kind,
        _ => return Err(Refused::wrong("kind", "must be management-token or api-key")),
    };
    let expires_at = new.expires_at.as_deref().map(|text| read_time("expires_at", text)).transpose()?;
    let expires_at = match (expires_at, writer.expires_at) {
        (wanted, None) => wanted,
        (None, Some(own)) => Some(own),
        (Some(wanted), Some(own)) if wanted <= own => Some(wanted),
        (Some(_), Some(own)) => {
            return Err(Refused::wrong(
                "expires_at",
                format!("must not be after that of the caller's own token, {own}"),
            ));
        }
    };
    let text = random_credential(kind);
    let made = NewCredential {
        tenant: new.tenant(&desk, writer.scope, kind).await?,
        kind,
        subject: None,
        environment: None,
        name: None,
        label: new.label.clone(),
        rights: new.rights(kind)?,
        text: Text::Hashed(text.clone()),
        expires_at,
    };
    let made = desk.manage.create_credential(writer.scope, made).await?;
    let issued = desk.manage.issued_credential(writer.scope, made.id).await?;
    let mut document = CredentialDocument::from(&issued);
    document.text = Some(text.expose().to_owned());
    Ok(answers::created(
        &format!("/api/v1/credentials/{}", made.id),
        made.revision,
        &document,
    ))
}

async fn show(State(desk): State<Arc<Desk>>, reader: Reader, Id(id): Id) -> Result<Response, Refused> {
    let issued = desk.manage.issued_credential(reader.scope, CredentialId::from_uuid(id)).await?;
    Ok(answers::shown(Some(issued.revision), &CredentialDocument::from(&issued)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CredentialChange)]
struct Wanted {
    /// One that is disabled opens nothing until it is enabled again.
    disabled: bool,
}

async fn change(
    State(desk): State<Arc<Desk>>,
    writer: Writer,
    Id(id): Id,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Refused> {
    let wanted: Wanted = desk.document(request).await?;
    let id = CredentialId::from_uuid(id);
    desk.manage_if_match(&headers)?
        .disable_credential(writer.scope, id, wanted.disabled)
        .await?;
    let issued = desk.manage.issued_credential(writer.scope, id).await?;
    Ok(answers::shown(Some(issued.revision), &CredentialDocument::from(&issued)))
}

/// Ends it for good, on this node at once and on the others within a second.
async fn revoke(State(desk): State<Arc<Desk>>, writer: Writer, Id(id): Id, headers: HeaderMap) -> Result<Response, Refused> {
    let manage = desk.manage_if_match(&headers)?;
    manage.revoke_credential(writer.scope, CredentialId::from_uuid(id)).await?;
    Ok(answers::done())
}
