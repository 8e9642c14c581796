//! The one place that says who calls.
//!
//! A dialect names the places where it lets a credential be given, and gets a [`Principal`] or a [`Refused`]. What the
//! principal may do is for the operation to ask of its scope; which refusal becomes which status is for the dialect.
//! Credentials are looked up in the snapshot by their hash, so no request reads the database to learn who it is from.

use hookyard_domain::{CredentialId, EndpointId, EnvironmentId, Scope, SenderId, TenantId, Timestamp};
use http::{HeaderMap, HeaderName, header};

use crate::configuration::{CredentialKind, Rights, Snapshot};

/// Where a credential may be given.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// The whole value of a header.
    Header(&'a HeaderName),
    /// `Authorization: Bearer …`. The scheme's case does not matter (RFC 9110, section 11.1).
    Bearer,
    /// A part of the path, which the dialect has cut out.
    Path(&'a str),
}

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Principal {
    pub credential: CredentialId,
    /// None is the operator.
    pub tenant: Option<TenantId>,
    /// Where the credential is bound to one environment.
    pub environment: Option<EnvironmentId>,
    pub subject: Subject,
}

/// What a credential stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The tenant as a whole.
    Tenant,
    /// An endpoint's own ingest token: what comes by it goes there and nowhere else.
    Endpoint(EndpointId),
    /// A sender's ingest token.
    Sender(SenderId),
    /// Whoever manages, through Hookyard's own API.
    Manager(Rights),
}

/// Why nobody is known to call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// No place holds a credential.
    Missing,
    /// The credential is unknown, disabled or has expired. A revoked one is no longer known.
    Unknown,
}

impl Principal {
    /// Whose things it may see and change, as far as its kind and rights let it.
    pub fn scope(&self) -> Scope {
        self.tenant.map_or(Scope::Operator, Scope::Tenant)
    }
}

/// The principal of a request. The first place that holds a credential decides: a second one is not tried, so that a
/// request means the same whatever else it carries.
///
/// # Errors
/// [`Refused`].
pub fn identify(snapshot: &Snapshot, headers: &HeaderMap, places: &[Place<'_>], now: Timestamp) -> Result<Principal, Refused> {
    let text = places.iter().find_map(|place| given(headers, place)).ok_or(Refused::Missing)?;
    find(snapshot, text, now).ok_or(Refused::Unknown)
}

/// The text of a bearer token, whatever kind it is.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    given(headers, &Place::Bearer)
}

/// The text in one place; a blank one counts as none.
fn given<'a>(headers: &'a HeaderMap, place: &Place<'a>) -> Option<&'a str> {
    let text = match place {
        Place::Header(name) => headers.get(*name)?.to_str().ok()?.trim(),
        Place::Bearer => {
            let (scheme, text) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
            if !scheme.eq_ignore_ascii_case("bearer") {
                return None;
            }
            text.trim()
        }
        Place::Path(text) => text,
    };
    Some(text).filter(|text| !text.is_empty())
}

fn find(snapshot: &Snapshot, text: &str, now: Timestamp) -> Option<Principal> {
    let credential = snapshot.credential(text, now)?;
    let subject = match credential.kind {
        CredentialKind::ApiKey => Subject::Tenant,
        CredentialKind::EndpointToken => Subject::Endpoint(credential.endpoint()?),
        CredentialKind::SenderToken => Subject::Sender(credential.sender()?),
        CredentialKind::ManagementToken => Subject::Manager(credential.management()?),
    };
    Some(Principal {
        credential: credential.id,
        tenant: credential.tenant,
        environment: credential.environment,
        subject,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: HeaderName = HeaderName::from_static("some-key");

    fn headers(lines: &[(&HeaderName, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| ((*name).clone(), value.parse().expect("a header value")))
            .collect()
    }

    #[test]
    fn each_place_gives_the_credential_without_what_surrounds_it() {
        let bearer = |value: &str| given(&headers(&[(&header::AUTHORIZATION, value)]), &Place::Bearer).map(str::to_owned);
        assert_eq!(bearer("Bearer abc"), Some("abc".to_owned()));
        assert_eq!(bearer("bEARER  abc "), Some("abc".to_owned()));
        for none in ["", "Bearer", "Bearer ", "Basic abc", "abc"] {
            assert_eq!(bearer(none), None, "{none:?}");
        }
        let own = headers(&[(&KEY, " abc ")]);
        assert_eq!(given(&own, &Place::Header(&KEY)), Some("abc"));
        assert_eq!(given(&headers(&[(&KEY, "  ")]), &Place::Header(&KEY)), None);
        assert_eq!(given(&own, &Place::Path("token")), Some("token"));
    }

    #[test]
    fn nothing_given_and_something_unknown_are_told_apart() {
        let snapshot = Snapshot::default();
        let places = [Place::Header(&KEY), Place::Bearer];
        assert_eq!(
            identify(&snapshot, &HeaderMap::new(), &places, Timestamp::EPOCH),
            Err(Refused::Missing)
        );
        assert_eq!(
            identify(&snapshot, &headers(&[(&KEY, "abc")]), &places, Timestamp::EPOCH),
            Err(Refused::Unknown)
        );
        let both = headers(&[(&KEY, " "), (&header::AUTHORIZATION, "Bearer abc")]);
        assert_eq!(identify(&snapshot, &both, &places, Timestamp::EPOCH), Err(Refused::Unknown));
    }
}
