//! What the management routes share: who calls, what they may do, and how often strangers may ask.

use std::{net::IpAddr, str::FromStr, time::Duration};

use axum::{
    body::Body,
    extract::{FromRequestParts, Path},
    http::{HeaderMap, request::Parts},
};
use hookyard_domain::{Scope, TenantId, UserId};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error},
};
use serde_json::{Number, value::RawValue};
use tokio::sync::Semaphore;

use super::answers::Refused;
use crate::{
    configuration::Endpoint,
    http::{Edge, intake, peer::TrustedProxies, principal, windows::Windows},
    manage::{Deed, Person, Refusal, Role},
};

/// Pages of events read at once, all tenants' together.
const PAGES_AT_ONCE: usize = 4;

/// The edge with the limits of the routes that need no log-in (docs/contracts/hooksentry.md, section 3.7).
pub struct Desk {
    pub edge: Edge,
    /// Failed log-ins, by address of the caller and of the user.
    pub logins_by_caller: Windows<IpAddr>,
    pub logins_by_email: Windows<String>,
    /// Tenants made.
    pub tenants: Windows<IpAddr>,
    /// Uses of invites.
    pub registrations: Windows<IpAddr>,
    /// Pages of events being read: each may hold many payloads.
    pub pages: Semaphore,
}

impl Desk {
    pub fn new(edge: Edge) -> Self {
        Self {
            edge,
            logins_by_caller: Windows::new(10, Duration::from_mins(5)),
            logins_by_email: Windows::new(10, Duration::from_mins(5)),
            tenants: Windows::new(5, Duration::from_hours(1)),
            registrations: Windows::new(10, Duration::from_hours(1)),
            pages: Semaphore::new(PAGES_AT_ONCE),
        }
    }

    /// Who calls with an access token.
    ///
    /// # Errors
    /// [`Refused::Unidentified`].
    pub async fn person(&self, headers: &HeaderMap) -> Result<Person, Refused> {
        let token = principal::bearer(headers).ok_or(Refused::Unidentified)?;
        match self.edge.sessions.person(token).await {
            Err(Refusal::NotFound { .. }) => Err(Refused::Unidentified),
            person => Ok(person?),
        }
    }

    /// The same, where the role may do this.
    ///
    /// # Errors
    /// [`Refused::Unidentified`], [`Refused::RoleMayNot`].
    pub async fn person_who_may(&self, deed: Deed, headers: &HeaderMap) -> Result<Person, Refused> {
        let person = self.person(headers).await?;
        if person.user.role.may(deed) {
            Ok(person)
        } else {
            Err(Refused::RoleMayNot)
        }
    }

    /// Whom a limit counts a request against. Without an address, which only a listener of another kind has, all callers count as one.
    pub fn address(&self, head: &Parts) -> IpAddr {
        let caller = self.edge.trusted_proxies.caller(&head.headers, &head.extensions);
        TrustedProxies::counted(caller.unwrap_or(IpAddr::from([0, 0, 0, 0])))
    }

    /// A JSON body, which must say that it is one.
    ///
    /// # Errors
    /// As [`intake::Intake::document`].
    pub async fn document<T: DeserializeOwned>(&self, headers: &HeaderMap, body: Body) -> Result<T, Refused> {
        intake::check_content_type(headers)?;
        let text: Box<RawValue> = self.edge.intake.document(headers, body).await?;
        // Its reader would take a list for an object, by position.
        if !text.get().starts_with('{') {
            return Err(Refused::Invalid("the body must be a JSON object".to_owned()));
        }
        serde_json::from_str(text.get()).map_err(|error| Refused::Invalid(format!("the body is not as expected: {error}")))
    }
}

/// A part of the path. One that is not text is another path than any of ours.
pub struct PathText(pub String);

impl<S: Send + Sync> FromRequestParts<S> for PathText {
    type Rejection = Refused;

    async fn from_request_parts(head: &mut Parts, state: &S) -> Result<Self, Refused> {
        let Path(text) = Path::from_request_parts(head, state).await.map_err(|_| Refused::NoSuchPath)?;
        Ok(Self(text))
    }
}

/// Cancels what waits for an endpoint, and what comes back while it does so.
///
/// # Errors
/// The database is away; some may be cancelled.
pub async fn purge(desk: &Desk, person: &Person, endpoint: &Endpoint) -> Result<(), Refused> {
    let deliveries = Some(&*desk.edge.deliveries);
    let manage = &desk.edge.manage;
    manage
        .purge_endpoint(scope(person), endpoint.tenant_id, endpoint.id, deliveries)
        .await?;
    Ok(())
}

/// What is somebody's own, or is told to be another's: the contract tells the two apart (docs/contracts/hooksentry.md, section 15.2).
///
/// # Errors
/// [`Refused::OfAnotherTenant`].
pub fn own(person: &Person, tenant: TenantId) -> Result<(), Refused> {
    if person.user.tenant == tenant {
        Ok(())
    } else {
        Err(Refused::OfAnotherTenant)
    }
}

pub fn scope(person: &Person) -> Scope {
    Scope::Tenant(person.user.tenant)
}

/// An id of the path. The original's routes take UUIDs only: anything else is another path.
///
/// # Errors
/// [`Refused::NoSuchPath`].
pub fn id<Id: FromStr>(text: &str) -> Result<Id, Refused> {
    text.parse().map_err(|_| Refused::NoSuchPath)
}

/// A text that must be there.
///
/// # Errors
/// [`Refused::Invalid`].
pub fn required(text: Option<String>, name: &str) -> Result<String, Refused> {
    text.filter(|text| !text.is_empty())
        .ok_or_else(|| Refused::Invalid(format!("{name} is required")))
}

/// A whole number of a body, which some clients write as `7.0`: JSON does not tell the two apart.
///
/// # Errors
/// It is not a number, or not a whole one that fits.
pub fn whole<'de, D: Deserializer<'de>>(member: D) -> Result<Option<i64>, D::Error> {
    const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
    let Some(number) = Option::<Number>::deserialize(member)? else {
        return Ok(None);
    };
    let as_double = || number.as_f64().filter(|double| double.fract() == 0.0 && double.abs() <= WHOLE_MAX);
    // Up to 2^53 every whole number is a double, and every such double that number.
    let whole = number.as_i64().or_else(|| as_double().map(|double| double as i64));
    whole
        .map(Some)
        .ok_or_else(|| Error::custom(format!("{number} is not a whole number within bounds")))
}

/// Whether somebody may change a user: themselves, or as an admin or owner whoever is not above them.
///
/// # Errors
/// [`Refused::RoleMayNot`].
pub fn may_change(person: &Person, user: UserId, role: Role) -> Result<(), Refused> {
    if person.user.id == user || person.user.role.may_give(role) {
        Ok(())
    } else {
        Err(Refused::RoleMayNot)
    }
}
