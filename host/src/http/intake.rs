//! The one place that takes a JSON body in: its type, size, time, share of memory, UTF-8 and JSON, and the idempotency
//! key that comes with it.
//!
//! A dialect chooses the order of the checks and the name of the idempotency header, and turns [`Refused`] into its own
//! answer. No dialect's word is known here, and no dialect reads a body itself.

mod body;
mod content_type;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, header};
use serde::de::{DeserializeOwned, IgnoredAny};
use tokio::sync::OwnedSemaphorePermit;

use self::body::{Bodies, Received};
pub use self::content_type::check_content_type;

/// Characters of an idempotency key. The contracts that bound it agree on this.
const KEY_CHARS_MAX: usize = 255;
/// Bytes of a document that is read into a command, such as a new endpoint: metadata may hold 16 KiB, and there may be
/// long lists beside it.
const DOCUMENT_BYTES_MAX: usize = 256 * 1_024;

/// Why a request was not taken in. Nothing of it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// The content type is not JSON.
    ContentType,
    TooLarge {
        bytes_max: usize,
    },
    /// The memory all bodies share is used up; the same request may be sent again.
    Busy,
    BrokeOff,
    TooSlow,
    NotUtf8 {
        /// The first wrong byte.
        position: usize,
    },
    /// The body is not JSON, or not of the expected shape; the text says where and why.
    NotJson(String),
    KeyIsNotText,
    KeyIsTooLong {
        chars_max: usize,
    },
    KeyHoldsControls,
}

impl Refused {
    /// The word for it in the metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::ContentType => "content-type",
            Self::TooLarge { .. } => "too-large",
            Self::Busy => "busy",
            Self::BrokeOff => "broke-off",
            Self::TooSlow => "too-slow",
            Self::NotUtf8 { .. } => "not-utf-8",
            Self::NotJson(_) => "not-json",
            Self::KeyIsNotText | Self::KeyIsTooLong { .. } | Self::KeyHoldsControls => "idempotency-key",
        }
    }
}

/// A payload that will be an event: checked to be JSON, and otherwise as it came.
pub struct Payload {
    pub content_type: String,
    pub bytes: Bytes,
    /// Memory the payload holds until it is on disk.
    pub memory: OwnedSemaphorePermit,
}

/// Takes bodies in. Cheap to clone; clones share one bound on memory.
#[derive(Clone)]
pub struct Intake {
    payloads: Bodies,
    documents: Bodies,
    payload_bytes_max: usize,
}

impl Intake {
    pub fn new(payload_bytes_max: usize) -> Self {
        Self {
            payloads: Bodies::of_payloads(),
            documents: Bodies::of_documents(),
            payload_bytes_max,
        }
    }

    /// A body that will be an event, kept byte for byte (A3). Its content type is expected to have been checked.
    ///
    /// # Errors
    /// [`Refused`], at the first bound that is passed.
    pub async fn payload(&self, headers: &HeaderMap, body: Body) -> Result<Payload, Refused> {
        let Received { bytes, memory } = receive(&self.payloads, headers, body, self.payload_bytes_max).await?;
        parse::<IgnoredAny>(&bytes)?;
        Ok(Payload {
            content_type: content_type_of(headers).to_owned(),
            bytes,
            memory,
        })
    }

    /// A body whose very bytes are looked at before anything is known of it: a service's signature is over these.
    ///
    /// # Errors
    /// [`Refused`], at the first bound that is passed.
    pub async fn bytes(&self, headers: &HeaderMap, body: Body) -> Result<(Bytes, OwnedSemaphorePermit), Refused> {
        let Received { bytes, memory } = receive(&self.payloads, headers, body, self.payload_bytes_max).await?;
        Ok((bytes, memory))
    }

    /// A body that is read into a value of the dialect's own. Its content type is expected to have been checked.
    ///
    /// # Errors
    /// [`Refused`], at the first bound that is passed.
    pub async fn document<T: DeserializeOwned>(&self, headers: &HeaderMap, body: Body) -> Result<T, Refused> {
        let received = receive(&self.documents, headers, body, DOCUMENT_BYTES_MAX).await?;
        parse(&received.bytes)
    }

    /// The same for a document of many things, up to 8 MiB. Only for callers who are known.
    ///
    /// # Errors
    /// [`Refused`], at the first bound that is passed.
    pub async fn large_document<T: DeserializeOwned>(&self, headers: &HeaderMap, body: Body) -> Result<T, Refused> {
        let received = receive(&self.documents, headers, body, LARGE_DOCUMENT_BYTES_MAX).await?;
        parse(&received.bytes)
    }
}

/// Bytes of a document that holds many things, such as a set-up of thousands of endpoints.
const LARGE_DOCUMENT_BYTES_MAX: usize = 8 * 1_024 * 1_024;

async fn receive(pool: &Bodies, headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<Received, Refused> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    pool.receive(announced, body, bytes_max).await
}

/// The idempotency key in a dialect's header. A blank one counts as none. Of several such headers the first counts: no
/// contract says otherwise, and a client's retry repeats them in the same order.
///
/// # Errors
/// The key is not text, too long, or holds control characters.
pub fn idempotency_key(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, Refused> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| Refused::KeyIsNotText)?.trim();
    if text.is_empty() {
        return Ok(None);
    }
    if text.chars().count() > KEY_CHARS_MAX {
        return Err(Refused::KeyIsTooLong { chars_max: KEY_CHARS_MAX });
    }
    if text.chars().any(char::is_control) {
        return Err(Refused::KeyHoldsControls);
    }
    Ok(Some(text.to_owned()))
}

/// What a payload says it is.
pub fn content_type_of(headers: &HeaderMap) -> &str {
    content_type::of(headers).unwrap_or("application/json")
}

/// Whether bytes are a payload: well-formed JSON in UTF-8.
///
/// # Errors
/// [`Refused::NotUtf8`], [`Refused::NotJson`].
pub fn check_json(bytes: &[u8]) -> Result<(), Refused> {
    parse::<IgnoredAny>(bytes).map(drop)
}

/// Well-formed JSON in UTF-8. Read as [`IgnoredAny`] it may hold any values: numbers are not read then, so `1e400` is as
/// good as 1.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refused> {
    let text = std::str::from_utf8(bytes).map_err(|error| Refused::NotUtf8 {
        position: error.valid_up_to(),
    })?;
    serde_json::from_str(text).map_err(|error| Refused::NotJson(error.to_string()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde::Deserialize;

    use super::*;

    const KEY: HeaderName = HeaderName::from_static("some-key");

    fn with(name: &HeaderName, value: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_bytes(value).expect("a header value"));
        headers
    }

    #[test]
    fn idempotency_keys_are_bounded_text() {
        let key = |value: &[u8]| idempotency_key(&with(&KEY, value), &KEY);
        assert_eq!(idempotency_key(&HeaderMap::new(), &KEY), Ok(None));
        assert_eq!(key(b"  "), Ok(None));
        assert_eq!(key(b" a-1 "), Ok(Some("a-1".to_owned())));
        assert_eq!(key("é".repeat(255).as_bytes()), Ok(Some("é".repeat(255))));
        assert_eq!(key("é".repeat(256).as_bytes()), Err(Refused::KeyIsTooLong { chars_max: 255 }));
        assert_eq!(key(b"a\tb"), Err(Refused::KeyHoldsControls));
        assert_eq!(key(&[0xff, 0xfe]), Err(Refused::KeyIsNotText));
    }

    #[test]
    fn of_two_idempotency_headers_the_first_counts() {
        let mut headers = with(&KEY, b"first");
        headers.append(&KEY, HeaderValue::from_static("second"));
        assert_eq!(idempotency_key(&headers, &KEY), Ok(Some("first".to_owned())));
    }

    #[test]
    fn json_is_checked_without_reading_its_values() {
        let check = |bytes: &[u8]| parse::<IgnoredAny>(bytes).map(drop);
        for good in [
            "1e400",
            "18446744073709551617",
            " {\"a\":1,\"a\":2}\n",
            "\"\\ud83d\\ude00\"",
            "null",
            "1.0",
        ] {
            assert_eq!(check(good.as_bytes()), Ok(()), "{good}");
        }
        for bad in ["", " ", "{", "{\"a\":01}", "nul", "[1,]", "{} {}"] {
            assert!(matches!(check(bad.as_bytes()), Err(Refused::NotJson(_))), "{bad}");
        }
        assert_eq!(check(&[b'"', 0xff, b'"']), Err(Refused::NotUtf8 { position: 1 }));
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(check(deep.as_bytes()), Ok(()), "depth is not ours to bound, and does not overflow");
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Named {
        name: String,
    }

    #[tokio::test]
    async fn a_document_has_its_own_shape_and_bound() {
        let intake = Intake::new(10);
        let take = async |text: &str| intake.document::<Named>(&HeaderMap::new(), Body::from(text.to_owned())).await;
        assert_eq!(
            take("{\"name\":\"longer than a payload may be\"}")
                .await
                .map(|named| named.name.len()),
            Ok(28)
        );
        let refused = take("{\"name\":7}").await;
        assert!(
            matches!(&refused, Err(Refused::NotJson(text)) if text.contains("expected a string")),
            "{refused:?}"
        );
        let large = "x".repeat(DOCUMENT_BYTES_MAX + 1);
        assert_eq!(
            take(&large).await,
            Err(Refused::TooLarge {
                bytes_max: DOCUMENT_BYTES_MAX
            })
        );
    }
}
