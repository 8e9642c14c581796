//! What is read of a request besides its body: headers and the query, with a bound on each value.

use std::{borrow::Cow, fmt};

use http::{HeaderMap, HeaderName, Method, header};
use serde::{Deserialize, Serialize};
use url::form_urlencoded;

use super::Refused;

/// Bytes of a header or query value that is looked into. Sixteen SHA-512 signatures in hexadecimal fit in twice.
const VALUE_BYTES_MAX: usize = 4_096;
/// Characters of an event type and of an idempotency key; the same bounds as when a client of ours sends them.
const NAME_CHARS_MAX: usize = 255;

/// A request as it came. The body must be complete and unchanged: signatures are over its bytes.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub method: &'a Method,
    pub headers: &'a HeaderMap,
    /// What follows the question mark, still encoded.
    pub query: Option<&'a str>,
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    /// The value of a header that verification depends on.
    ///
    /// # Errors
    /// It is missing, is there more than once (which of them counts would be a guess), is too long or is not text.
    pub(super) fn header(&self, name: &str) -> Result<&'a str, Refused> {
        let place = || format!("header {name}");
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().ok_or_else(|| Refused::Missing { place: place() })?;
        if values.next().is_some() {
            return Err(Refused::Malformed {
                place: place(),
                expected: "there once",
            });
        }
        let text = value.to_str().ok().filter(|text| text.len() <= VALUE_BYTES_MAX);
        text.map(str::trim).ok_or_else(|| Refused::Malformed {
            place: place(),
            expected: "ASCII text of at most 4,096 characters",
        })
    }

    /// The value of a header that only describes the event; none if it is not a usable name.
    pub(super) fn described_by(&self, name: &str) -> Option<String> {
        named(self.headers.get(name)?.to_str().ok()?)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.headers.contains_key(name)
    }

    /// The first query parameter of this name, decoded.
    pub(super) fn parameter(&self, name: &str) -> Option<Cow<'a, str>> {
        form_urlencoded::parse(self.query?.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
            .filter(|value| value.len() <= VALUE_BYTES_MAX)
    }

    /// As [`Request::parameter`], for one that must be there.
    ///
    /// # Errors
    /// [`Refused::Missing`].
    pub(super) fn required_parameter(&self, name: &str) -> Result<Cow<'a, str>, Refused> {
        self.parameter(name).ok_or_else(|| Refused::Missing {
            place: format!("query parameter {name}"),
        })
    }

    /// Whether the body is a form, by its content type.
    pub(super) fn is_form(&self) -> bool {
        let content_type = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    }
}

/// A text as an event type or an idempotency key; none if it is blank, too long or holds control characters. A signed event
/// is not refused over its name: an event without a type is routed all the same.
pub(super) fn named(text: &str) -> Option<String> {
    let text = text.trim();
    let fits = !text.is_empty() && text.chars().count() <= NAME_CHARS_MAX && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
}

/// An event's name and what happened, as `issues.opened`.
pub(super) fn dotted(name: Option<String>, detail: Option<String>) -> Option<String> {
    let name = name?;
    match detail.as_deref().and_then(named) {
        Some(detail) => named(&format!("{name}.{detail}")),
        None => Some(name),
    }
}

/// A setting that names a header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HeaderField(HeaderName);

impl HeaderField {
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl TryFrom<String> for HeaderField {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        HeaderName::try_from(&name)
            .map(Self)
            .map_err(|_| format!("\"{name}\" is not the name of a header"))
    }
}

impl From<HeaderField> for String {
    fn from(field: HeaderField) -> Self {
        field.0.as_str().to_owned()
    }
}

impl fmt::Display for HeaderField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
