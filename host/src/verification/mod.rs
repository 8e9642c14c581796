//! Inbound verification: whether the service that a sender stands for really made a request.
//!
//! With it a sender's ingest URL is pasted into GitHub, Stripe or Slack as it is. Instead of an API key of ours, the sender
//! checks the signature that the service makes anyway, and takes the event's type and idempotency key from where the
//! service puts them. The first request of some services is a question whether the URL is ours; it is answered.
//!
//! Everything here is a function of its arguments: no IO, no clock, no configuration. The order is the same for all kinds:
//! first the signature over the bytes exactly as they came, then the age of the request, and only then is the body read.
//! So [`Refused::Stale`] says that the signature was right.
//!
//! Not checked here, and where it is:
//!
//! * A second copy of a request: the idempotency key keeps it out, in `accept`. GitHub, Shopify and a plain shared secret do
//!   not sign their delivery id, so with them a captured request could be sent again under another id.
//! * Who may know the ingest URL: its token is a secret of its own, found before any of this runs.
//! * How strong a secret is, beyond its length.
//!
//! One file for each provider; `generic` is for all the others, with `signed_text` and `handshake`. What they share is in
//! `request` (headers, query), `mac` (the codes and their comparison), `stamp` (age), `json` and `form` (bodies).

mod form;
mod generic;
mod github;
mod gitlab;
mod handshake;
mod json;
mod mac;
mod place;
mod request;
mod shared_secret;
mod shopify;
mod signed_text;
mod slack;
mod stamp;
mod standard;
mod stripe;

use hookyard_domain::Timestamp;
use http::Method;
use serde::{Deserialize, Serialize};

pub use self::{
    generic::Generic,
    handshake::Handshake,
    mac::{Encoding, Hash},
    place::Place,
    request::{HeaderField, Request},
    shared_secret::SharedSecret,
    signed_text::SignedText,
    stamp::{TOLERANCE_S_DEFAULT, TOLERANCE_S_MAX, Unit},
    standard::Standard,
};

/// How many secrets of a sender are tried. A rotation has two, a hurried one three; each costs a pass over the body.
pub const SECRETS_MAX: usize = 8;
/// Characters of a secret. Fewer than eight are a typing error or a guess away.
pub const SECRET_CHARS_MIN: usize = 8;
/// See [`SECRET_CHARS_MIN`]. No service makes longer ones, and the texts are kept sealed in one row.
pub const SECRET_CHARS_MAX: usize = 1_024;
/// How many signatures of one header are compared. A rotation has two; without a bound a stranger could keep us comparing.
const SIGNATURES_PER_HEADER_MAX: usize = 16;

/// Who signs a sender's requests, and how: the settings without the secrets, which are sealed elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Verification {
    Github(Settled),
    Stripe(Settled),
    Slack(Settled),
    Shopify(Settled),
    Gitlab(Settled),
    StandardWebhooks(Standard),
    /// Any other HMAC in a header.
    Hmac(Box<Generic>),
    /// The secret itself, in a header or in the query.
    Secret(SharedSecret),
}

/// The settings of a provider whose scheme leaves nothing to set. A struct and not a unit, so that a setting that does not
/// exist is refused instead of ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settled {}

/// What a request turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verified {
    Event {
        /// At most 255 characters without controls; none if the request names none. Then the sender's own header counts.
        event_type: Option<String>,
        /// The same bounds.
        idempotency_key: Option<String>,
        payload: Payload,
    },
    /// A question about the URL, to be answered with 200. It is no event.
    Handshake(Reply),
}

/// What the event's payload is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// The body, byte for byte. Whether it is JSON may still have to be checked.
    AsReceived,
    /// A JSON text that came inside a form. Its content type is `application/json`.
    Json(String),
}

impl Payload {
    /// The payload's bytes, `body` being the request's.
    pub fn bytes<'a>(&'a self, body: &'a [u8]) -> &'a [u8] {
        match self {
            Self::AsReceived => body,
            Self::Json(text) => text.as_bytes(),
        }
    }
}

/// The body of the answer to a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To be sent as `text/plain` with `X-Content-Type-Options: nosniff`: a stranger who knows the URL may have chosen it.
    Text(String),
    /// To be sent as `application/json`.
    Json(String),
    Empty,
}

/// Why a request was not taken. The messages are for the operator's log and never tell what the signature should have been.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the sender has no secret to verify requests with")]
    NoSecret,
    #[error("a GET request is not answered, or is not the question about the URL that this sender answers")]
    NoHandshake,
    #[error("the request has no {place}: is the secret set in the service, and is this the right kind of verification?")]
    Missing { place: String },
    #[error("the {place} is not {expected}")]
    Malformed { place: String, expected: &'static str },
    #[error("no secret of the sender made the signature in the {place}: compare the secrets, and see that no proxy changes the body")]
    WrongSignature { place: String },
    #[error("the {place} holds none of the sender's secrets")]
    WrongSecret { place: String },
    #[error(
        "the request was signed at {signed_at}, more than {tolerance_s} s from this server's time {now}: set the clock, or somebody sent an old request again"
    )]
    Stale {
        signed_at: Timestamp,
        now: Timestamp,
        tolerance_s: u32,
    },
    #[error("the body is signed rightly and cannot be read: {0}")]
    BodyNotReadable(String),
}

impl Refused {
    /// The word for it in the metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NoSecret => "no-secret",
            Self::NoHandshake => "no-handshake",
            Self::Missing { .. } => "missing-signature",
            Self::Malformed { .. } => "malformed-signature",
            Self::WrongSignature { .. } => "wrong-signature",
            Self::WrongSecret { .. } => "wrong-secret",
            Self::Stale { .. } => "stale",
            Self::BodyNotReadable(_) => "body-not-readable",
        }
    }

    /// Whether who sent the request proved to be the service: then another attempt with the same body fails again, and 400
    /// tells more than 401.
    pub const fn is_authentic(&self) -> bool {
        matches!(self, Self::BodyNotReadable(_))
    }
}

impl Verification {
    /// Whether the settings make sense together.
    ///
    /// # Errors
    /// What is wrong, as a sentence about the setting.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Github(_) | Self::Stripe(_) | Self::Slack(_) | Self::Shopify(_) | Self::Gitlab(_) => Ok(()),
            Self::StandardWebhooks(settings) => settings.check(),
            Self::Hmac(settings) => settings.check(),
            Self::Secret(settings) => settings.check(),
        }
    }

    /// Whether a text can be a secret of this kind; finds the wrong one of several that a service shows.
    ///
    /// # Errors
    /// What is wrong with it, without any of it.
    pub fn check_secret(&self, secret: &str) -> Result<(), String> {
        let chars = secret.chars().count();
        if !(SECRET_CHARS_MIN..=SECRET_CHARS_MAX).contains(&chars) {
            return Err(format!(
                "a secret has {SECRET_CHARS_MIN} to {SECRET_CHARS_MAX} characters, this one has {chars}"
            ));
        }
        if secret.trim() != secret || secret.chars().any(char::is_control) {
            return Err("a secret has no spaces around it and no control characters in it".to_owned());
        }
        match self {
            Self::Github(_) | Self::Shopify(_) => Ok(()),
            Self::Stripe(_) => stripe::check_secret(secret),
            Self::Slack(_) => slack::check_secret(secret),
            Self::Gitlab(_) => gitlab::check_secret(secret),
            Self::StandardWebhooks(_) => standard::check_secret(secret),
            Self::Hmac(settings) => settings.check_secret(secret),
            Self::Secret(settings) => settings.check_secret(secret),
        }
    }

    /// Whether GET requests are to be given to [`Verification::verify`]. Other kinds have no use for them.
    pub fn answers_get(&self) -> bool {
        match self {
            Self::Slack(_) => true,
            Self::Hmac(settings) => settings.handshake.as_ref().is_some_and(Handshake::asks_with_get),
            Self::Secret(settings) => settings.handshake.as_ref().is_some_and(Handshake::asks_with_get),
            Self::Github(_) | Self::Stripe(_) | Self::Shopify(_) | Self::Gitlab(_) | Self::StandardWebhooks(_) => false,
        }
    }

    /// Decides what a request is. Any of the secrets may have signed it, so that a service and a sender need not change
    /// theirs in the same moment; of more than [`SECRETS_MAX`] the first count. The newest secret comes first.
    ///
    /// # Errors
    /// [`Refused`]. All but [`Refused::BodyNotReadable`] are 401 to the caller, without the reason.
    pub fn verify(&self, secrets: &[&str], request: &Request<'_>, now: Timestamp) -> Result<Verified, Refused> {
        let secrets = &secrets[..secrets.len().min(SECRETS_MAX)];
        if secrets.is_empty() {
            return Err(Refused::NoSecret);
        }
        if request.method == Method::GET && !self.answers_get() {
            return Err(Refused::NoHandshake);
        }
        match self {
            Self::Github(_) => github::verify(secrets, request),
            Self::Stripe(_) => stripe::verify(secrets, request, now),
            Self::Slack(_) => slack::verify(secrets, request, now),
            Self::Shopify(_) => shopify::verify(secrets, request),
            Self::Gitlab(_) => gitlab::verify(secrets, request, now),
            Self::StandardWebhooks(settings) => settings.verify(secrets, request, now),
            Self::Hmac(settings) => settings.verify(secrets, request, now),
            Self::Secret(settings) => settings.verify(secrets, request),
        }
    }
}

#[cfg(test)]
mod tests;
