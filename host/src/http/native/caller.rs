//! Who calls this API, and what they may do: a token of the operator or of one tenant, to read or to write.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, Path, Request},
    http::{HeaderMap, header, request::Parts},
};
use hookyard_domain::{Scope, TenantId, Timestamp};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{Desk, answers::Refused, params::Params};
use crate::{
    configuration::{PlainHttp, Rights},
    http::{
        intake,
        principal::{self, Place, Principal, Subject},
    },
    manage::Manage,
};

/// Marks a request that the operator's own command makes within its process. Nothing that comes over the network bears it.
#[derive(Debug, Clone, Copy)]
pub struct LocalOperator;

/// Somebody who may read.
#[derive(Debug, Clone, Copy)]
pub struct Reader {
    pub scope: Scope,
}

/// Somebody who may change things, too.
#[derive(Debug, Clone, Copy)]
pub struct Writer {
    pub scope: Scope,
    /// When its token is over. What it makes for others like it is over by then, too.
    pub expires_at: Option<Timestamp>,
}

fn identify(head: &Parts, desk: &Desk) -> Result<(Scope, Rights, Option<Timestamp>), Refused> {
    if head.extensions.get::<LocalOperator>().is_some() {
        return Ok((Scope::Operator, Rights::Write, None));
    }
    let snapshot = desk.configuration.current();
    match principal::identify(&snapshot, &head.headers, &[Place::Bearer], desk.clock.now()) {
        Ok(
            caller @ Principal {
                subject: Subject::Manager(rights),
                ..
            },
        ) => {
            let credential = snapshot.credentials.get(&caller.credential);
            Ok((caller.scope(), rights, credential.and_then(|credential| credential.expires_at)))
        }
        _ => Err(Refused::Unidentified),
    }
}

impl FromRequestParts<Arc<Desk>> for Reader {
    type Rejection = Refused;

    async fn from_request_parts(head: &mut Parts, desk: &Arc<Desk>) -> Result<Self, Refused> {
        identify(head, desk).map(|(scope, ..)| Self { scope })
    }
}

impl FromRequestParts<Arc<Desk>> for Writer {
    type Rejection = Refused;

    async fn from_request_parts(head: &mut Parts, desk: &Arc<Desk>) -> Result<Self, Refused> {
        match identify(head, desk)? {
            (scope, Rights::Write, expires_at) => Ok(Self { scope, expires_at }),
            (_, Rights::Read, _) => Err(Refused::MayOnlyRead),
        }
    }
}

impl Reader {
    /// # Errors
    /// [`Refused::OperatorOnly`].
    pub fn operator(self) -> Result<(), Refused> {
        operator(self.scope)
    }
}

fn operator(scope: Scope) -> Result<(), Refused> {
    match scope {
        Scope::Operator => Ok(()),
        Scope::Tenant(_) => Err(Refused::OperatorOnly),
    }
}

impl Writer {
    /// # Errors
    /// [`Refused::OperatorOnly`].
    pub fn operator(self) -> Result<(), Refused> {
        operator(self.scope)
    }

    /// Whether an endpoint's URL may be plain http.
    pub fn plain_http(self, desk: &Desk) -> PlainHttp {
        match self.scope {
            Scope::Operator => PlainHttp::Allowed,
            Scope::Tenant(_) => desk.plain_http,
        }
    }
}

/// An id in the path of one thing, which takes no parameters. What is not an id names nothing.
pub struct Id(pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Refused;

    async fn from_request_parts(head: &mut Parts, state: &S) -> Result<Self, Refused> {
        let ListOf(id) = ListOf::from_request_parts(head, state).await?;
        Params::from_request_parts(head, state).await?.only(&[])?;
        Ok(Self(id))
    }
}

/// An id in the path of a list that is its own, which has parameters.
pub struct ListOf(pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for ListOf {
    type Rejection = Refused;

    async fn from_request_parts(head: &mut Parts, state: &S) -> Result<Self, Refused> {
        let Path(id) = Path::from_request_parts(head, state).await.map_err(|_| Refused::Absent("id"))?;
        Ok(Self(id))
    }
}

/// A body may take its time, and its token may be revoked meanwhile.
fn still_known(head: &Parts, desk: &Desk) -> Result<(), Refused> {
    identify(head, desk).map(drop)
}

/// The reader of an object would take a list for one, by position.
fn object<T: DeserializeOwned>(text: &RawValue) -> Result<T, Refused> {
    if !text.get().starts_with('{') {
        return Err(intake::Refused::NotJson("it must be an object".to_owned()).into());
    }
    serde_json::from_str(text.get()).map_err(|error| intake::Refused::NotJson(error.to_string()).into())
}

/// A field that may be left out and cannot be taken away: null is not a value of it.
///
/// # Errors
/// It is null, or of another type.
pub fn given<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A field that may be left out, or taken away by null.
///
/// # Errors
/// It is of another type.
pub fn said<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl Desk {
    /// The operations, held to the revision that the request names with `If-Match`.
    ///
    /// # Errors
    /// The header is not one of our tags.
    pub fn manage_if_match(&self, headers: &HeaderMap) -> Result<Manage, Refused> {
        let Some(value) = headers.get(header::IF_MATCH) else {
            return Ok(self.manage.clone());
        };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(self.manage.clone());
        }
        let revision = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).map(str::parse);
        match revision {
            Some(Ok(revision)) => Ok(self.manage.only_at(revision)),
            _ => Err(Refused::wrong("If-Match", "is not an ETag of this API, such as \"17\"")),
        }
    }

    /// A JSON object of this shape.
    ///
    /// # Errors
    /// As [`intake::Intake::document`].
    pub async fn document<T: DeserializeOwned>(&self, request: Request) -> Result<T, Refused> {
        let (mut head, body) = request.into_parts();
        Params::from_request_parts(&mut head, self).await?.only(&[])?;
        intake::check_content_type(&head.headers)?;
        let text = self.intake.document::<Box<RawValue>>(&head.headers, body).await?;
        still_known(&head, self)?;
        object(&text)
    }

    /// A set-up, which may be much larger than any other document.
    ///
    /// # Errors
    /// As [`Desk::document`].
    pub async fn set_up<T: DeserializeOwned>(&self, request: Request) -> Result<T, Refused> {
        let (mut head, body) = request.into_parts();
        Params::from_request_parts(&mut head, self).await?.only(&[])?;
        intake::check_content_type(&head.headers)?;
        let text = self.intake.large_document::<Box<RawValue>>(&head.headers, body).await?;
        still_known(&head, self)?;
        object(&text)
    }

    /// The tenant that is meant: the one named, by id or name, else the caller's own.
    ///
    /// # Errors
    /// There is no such tenant within the scope; an operator named none.
    pub async fn tenant(&self, scope: Scope, named: Option<&str>) -> Result<TenantId, Refused> {
        self.tenant_or_all(scope, named).await?.tenant().ok_or(Refused::TenantNotNamed)
    }

    /// The scope narrowed to a tenant, where one is named.
    ///
    /// # Errors
    /// There is no such tenant within the scope.
    pub async fn tenant_or_all(&self, scope: Scope, named: Option<&str>) -> Result<Scope, Refused> {
        let Some(named) = named else { return Ok(scope) };
        let found = match named.parse::<Uuid>().map(TenantId::from_uuid) {
            // No name looks like an id.
            Ok(id) if self.store.knows_tenant(id).await? => Some(id),
            Ok(_) => None,
            // PostgreSQL's text cannot hold it, and no name does.
            Err(_) if named.contains('\0') => None,
            Err(_) => self.store.tenant_named(named).await?,
        };
        match found {
            Some(id) if scope.holds(id) => Ok(Scope::Tenant(id)),
            _ => Err(Refused::Absent("tenant")),
        }
    }
}
