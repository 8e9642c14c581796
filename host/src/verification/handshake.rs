//! Questions by which a service finds out whether a URL is ours, and their answers.
//!
//! | kind | question | answer |
//! |---|---|---|
//! | `hub` | GET with `hub.challenge` and our own `hub.verify_token` ([Meta](https://developers.facebook.com/docs/graph-api/webhooks/getting-started)) | the challenge |
//! | `challenge` | GET with `challenge` ([Dropbox](https://www.dropbox.com/developers/reference/webhooks)) | the challenge |
//! | `crc` | GET with `crc_token` ([X](https://docs.x.com/x-api/webhooks/quickstart)) | the token's HMAC-SHA256, in JSON |
//! | `okta` | GET with a header ([Okta](https://developer.okta.com/docs/concepts/event-hooks/)) | the header's value, in JSON |
//! | `zoom` | a signed POST of type `endpoint.url_validation` ([Zoom](https://developers.zoom.us/docs/api/webhooks/)) | the token and its HMAC-SHA256, in JSON |
//!
//! GET questions are not signed: whoever knows the URL can ask. That gives away nothing, with one exception. The answer to
//! `crc` is made with the key that signs events, so that a stranger could have a body signed by asking for it as a token.
//! Therefore a token has letters, digits and a few signs only, and an event of such a sender must be a JSON object: no token
//! is one.

use base64::Engine as _;
use hookyard_domain::hex;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Refused, Reply, Request, json,
    mac::{self, BASE64, Hash},
};

/// Bytes of what is sent back. The challenges of all of them have fewer than a hundred.
const CHALLENGE_BYTES_MAX: usize = 1_024;
/// Characters of a verify token, which people think up.
const VERIFY_TOKEN_CHARS_MAX: usize = 255;
const OKTA_CHALLENGE: &str = "x-okta-verification-challenge";

/// The question a service asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Handshake {
    Hub(Hub),
    Challenge(Plain),
    Crc(Plain),
    Okta(Plain),
    Zoom(Plain),
}

/// What Meta calls the verify token: a text of our choice that comes back in the query. It is not a secret that signs, and
/// it must not be one, for queries are written to logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hub {
    pub verify_token: String,
}

/// A question that has no settings. A struct and not a unit, so that a setting that does not exist is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plain {}

impl Handshake {
    pub(super) fn asks_with_get(&self) -> bool {
        !matches!(self, Self::Zoom(_))
    }

    /// Whether the answer is made with a key, which a sender without signatures does not have.
    pub(super) fn needs_key(&self) -> bool {
        matches!(self, Self::Crc(_) | Self::Zoom(_))
    }

    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self::Hub(hub) if !(1..=VERIFY_TOKEN_CHARS_MAX).contains(&hub.verify_token.chars().count()) => {
                Err(format!("verify_token has 1 to {VERIFY_TOKEN_CHARS_MAX} characters"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn check_secret(&self, secret: &str) -> Result<(), String> {
        match self {
            Self::Hub(hub) if hub.verify_token == secret => {
                Err("the verify_token travels in the query, which is written to logs: it must not be the secret as well".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Answers a GET request.
    ///
    /// # Errors
    /// It is not the question, or has another verify token.
    pub(super) fn answer_get(&self, secrets: &[&str], request: &Request<'_>) -> Result<Reply, Refused> {
        debug_assert_eq!(request.method, Method::GET);
        match self {
            Self::Hub(hub) => {
                if request.required_parameter("hub.mode")? != "subscribe" {
                    return Err(Refused::NoHandshake);
                }
                if !mac::same(&request.required_parameter("hub.verify_token")?, &hub.verify_token) {
                    return Err(Refused::WrongSecret {
                        place: "query parameter hub.verify_token".to_owned(),
                    });
                }
                echo(request, "hub.challenge")
            }
            Self::Challenge(_) => echo(request, "challenge"),
            Self::Crc(_) => {
                let token = request.required_parameter("crc_token")?;
                if !is_bounded(&token) || !token.bytes().all(is_token_byte) {
                    return Err(Refused::Malformed {
                        place: "query parameter crc_token".to_owned(),
                        expected: "a token of letters, digits and - _ . + / =",
                    });
                }
                let secret = secrets.first().ok_or(Refused::NoSecret)?;
                let code = Hash::Sha256.code(secret.as_bytes(), &[token.as_bytes()]);
                Ok(Reply::Json(
                    json!({ "response_token": format!("sha256={}", BASE64.encode(code)) }).to_string(),
                ))
            }
            Self::Okta(_) => {
                let challenge = request.header(OKTA_CHALLENGE)?;
                Ok(Reply::Json(json!({ "verification": challenge }).to_string()))
            }
            Self::Zoom(_) => Err(Refused::NoHandshake),
        }
    }

    /// Answers a POST request that was found to be signed with `secret`; none if it is an event.
    ///
    /// # Errors
    /// [`Refused::BodyNotReadable`].
    pub(super) fn answer_post(&self, secret: &str, request: &Request<'_>) -> Result<Option<Reply>, Refused> {
        match self {
            Self::Zoom(_) => {
                let [event, token] = json::texts(request.body, [&["event"], &["payload", "plainToken"]])?;
                if event.as_deref() != Some("endpoint.url_validation") {
                    return Ok(None);
                }
                let token = token
                    .filter(|token| is_bounded(token))
                    .ok_or_else(|| Refused::BodyNotReadable("it is an endpoint.url_validation without a plainToken".to_owned()))?;
                let code = hex::encode(&Hash::Sha256.code(secret.as_bytes(), &[token.as_bytes()]));
                Ok(Some(Reply::Json(
                    json!({ "plainToken": token, "encryptedToken": code }).to_string(),
                )))
            }
            Self::Crc(_) if request.body.trim_ascii_start().first() != Some(&b'{') => {
                Err(Refused::BodyNotReadable("it is not a JSON object".to_owned()))
            }
            Self::Crc(_) | Self::Hub(_) | Self::Challenge(_) | Self::Okta(_) => Ok(None),
        }
    }
}

fn echo(request: &Request<'_>, name: &str) -> Result<Reply, Refused> {
    let challenge = request.required_parameter(name)?;
    if !is_bounded(&challenge) || challenge.chars().any(char::is_control) {
        return Err(Refused::Malformed {
            place: format!("query parameter {name}"),
            expected: "a text of 1 to 1,024 bytes without control characters",
        });
    }
    Ok(Reply::Text(challenge.into_owned()))
}

fn is_bounded(text: &str) -> bool {
    (1..=CHALLENGE_BYTES_MAX).contains(&text.len())
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.+/=".contains(&byte)
}
