//! A secret that is sent as it is, in a header or in the query: for services that sign nothing.
//!
//! It proves who sends and nothing about the body; whoever reads one request can make others. A secret in the query also
//! reaches the logs of every proxy on the way, so the header is the better place wherever the service has one.

use serde::{Deserialize, Serialize};

use super::{
    Payload, Refused, Request, Verified,
    handshake::Handshake,
    mac,
    place::{self, Place},
    request::HeaderField,
};

/// Characters of a parameter's name and of a prefix.
const WORD_CHARS_MAX: usize = 64;

/// The settings of a sender whose requests carry a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedSecret {
    /// The header that holds the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderField>,
    /// What comes before it there, such as `Bearer `.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Or the query parameter that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Without it the sender's header of event types counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_type_from: Option<Place>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key_from: Option<Place>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handshake: Option<Handshake>,
}

impl SharedSecret {
    pub(super) fn check(&self) -> Result<(), String> {
        if self.header.is_some() == self.query.is_some() {
            return Err("give exactly one of header and query".to_owned());
        }
        if self.prefix.is_some() && self.header.is_none() {
            return Err("a prefix needs a header".to_owned());
        }
        for (setting, word) in [("prefix", &self.prefix), ("query", &self.query)] {
            if let Some(word) = word
                && (!(1..=WORD_CHARS_MAX).contains(&word.len()) || !word.bytes().all(|byte| matches!(byte, b' '..=b'~')))
            {
                return Err(format!("{setting} has 1 to {WORD_CHARS_MAX} characters of ASCII"));
            }
        }
        match &self.handshake {
            Some(handshake) if handshake.needs_key() => Err("this handshake is answered with a signature: it needs kind hmac".to_owned()),
            Some(handshake) => handshake.check(),
            None => Ok(()),
        }
    }

    pub(super) fn check_secret(&self, secret: &str) -> Result<(), String> {
        if self.header.is_some() && !secret.is_ascii() {
            return Err("a secret in a header is ASCII".to_owned());
        }
        self.handshake.as_ref().map_or(Ok(()), |handshake| handshake.check_secret(secret))
    }

    pub(super) fn verify(&self, secrets: &[&str], request: &Request<'_>) -> Result<Verified, Refused> {
        if request.method == http::Method::GET {
            let handshake = self.handshake.as_ref().ok_or(Refused::NoHandshake)?;
            return handshake.answer_get(secrets, request).map(Verified::Handshake);
        }
        self.verify_secret(secrets, request)?;
        let [event_type, idempotency_key] = place::names_at([self.event_type_from.as_ref(), self.idempotency_key_from.as_ref()], request)?;
        Ok(Verified::Event {
            event_type,
            idempotency_key,
            payload: Payload::AsReceived,
        })
    }

    fn verify_secret(&self, secrets: &[&str], request: &Request<'_>) -> Result<(), Refused> {
        let is_one = |given: &str| secrets.iter().any(|secret| mac::same(secret, given));
        let (place, is_right) = match (&self.header, &self.query) {
            (Some(name), _) => {
                let place = format!("header {name}");
                let value = request.header(name.as_str())?;
                let given = value
                    .strip_prefix(self.prefix.as_deref().unwrap_or_default())
                    .ok_or_else(|| Refused::Malformed {
                        place: place.clone(),
                        expected: "the set prefix and a secret",
                    })?;
                (place, is_one(given))
            }
            (None, Some(name)) => (format!("query parameter {name}"), is_one(&request.required_parameter(name)?)),
            (None, None) => return Err(Refused::NoSecret),
        };
        if is_right { Ok(()) } else { Err(Refused::WrongSecret { place }) }
    }
}
