//! One accepted event as a plugin sees it: plain owned values, so that a unit test can make one.
//!
//! The body is never copied or parsed on the way in; [`Event::json`] lets a plugin's own structs borrow from it.

use std::borrow::Cow;
use std::ops::Deref;

use serde::Deserialize;

use crate::Failure;

/// One accepted event, exactly as the producer sent it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// Stable id; the same id is seen on every re-run of this event.
    pub id: String,
    /// What the sender's settings name as the type; empty when unknown.
    pub event_type: String,
    /// The sender this event belongs to: the name its owner gave it, else its id.
    pub sender: String,
    /// Milliseconds since the Unix epoch at which the event was accepted.
    pub received_at_ms: u64,
    pub content_type: String,
    /// Producer headers shown to plugins, names in lower case; names may repeat.
    pub headers: Vec<(String, String)>,
    /// Open-ended facts from the host, such as the environment.
    pub attributes: Vec<(String, String)>,
    pub body: Body,
}

/// A payload: `Text` when the bytes are valid UTF-8, as nearly every webhook is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    Text(String),
    Binary(Vec<u8>),
}

impl Body {
    /// The payload's bytes, whichever way they came.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Body {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes)
    }
}

/// A JSON string that borrows from the body when it holds no escapes, and owns its text when it does.
///
/// serde borrows into a bare `Cow<'a, str>` field marked `#[serde(borrow)]`, but always copies into an
/// `Option<Cow<'a, str>>` or a `Vec` of them. This type borrows wherever it is used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Event {
    /// Reads the body as JSON into a type that may borrow from it.
    ///
    /// Name only the fields you need, strings as [`Text`]: what is not named is skipped without being built, which makes
    /// a typed plugin several times as fast as one over `serde_json::Value`.
    ///
    /// # Errors
    ///
    /// `bad-event` with the parser's words, line and column.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Failure> {
        let read = match &self.body {
            Body::Text(text) => serde_json::from_str(text),
            Body::Binary(bytes) => serde_json::from_slice(bytes),
        };
        read.map_err(Failure::from)
    }

    /// The first header of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The first attribute of that name.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Starts an event for a test: that type, an empty JSON body.
    pub fn of_type(event_type: impl Into<String>) -> Self {
        Self {
            event_type: event_type.into(),
            content_type: "application/json".to_owned(),
            ..Self::default()
        }
    }

    /// Sets the body to text.
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.body = Body::Text(text.into());
        self
    }

    /// Sets the body to bytes that are not text.
    pub fn with_binary(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.body = Body::Binary(bytes.into());
        self
    }

    /// Adds a header; the name is lower-cased, as the host does.
    pub fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.into()));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FailureKind;

    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        name: Option<Text<'a>>,
    }

    #[test]
    fn strings_without_escapes_are_borrowed_and_others_are_unescaped() {
        let plain = Event::default().with_text(r#"{"name":"plain"}"#);
        assert!(matches!(
            plain.json::<Named<'_>>().unwrap().name,
            Some(Text(Cow::Borrowed("plain")))
        ));
        let escaped = Event::default().with_text(r#"{"name":"a\nb"}"#);
        assert_eq!(escaped.json::<Named<'_>>().unwrap().name.as_deref(), Some("a\nb"));
    }

    #[test]
    fn a_body_that_is_not_the_json_expected_is_a_bad_event_with_line_and_column() {
        let failure = Event::default().with_text("{\n  \"name\": 7\n}").json::<Named<'_>>().err().unwrap();
        assert_eq!(failure.kind, FailureKind::BadEvent);
        assert!(failure.message.contains("line 2 column 11"), "{failure}");
    }

    #[test]
    fn a_body_that_is_not_text_is_a_bad_event_too() {
        let failure = Event::default().with_binary([b'"', 0xff, b'"']).json::<Text<'_>>().unwrap_err();
        assert_eq!(failure.kind, FailureKind::BadEvent);
    }

    #[test]
    fn headers_are_found_in_any_case() {
        let event = Event::of_type("push").with_header("X-GitHub-Delivery", "72d3162e");
        assert_eq!(event.header("x-github-DELIVERY"), Some("72d3162e"));
        assert_eq!(event.header("absent"), None);
    }
}
