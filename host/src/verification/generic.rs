//! Any HMAC in a header: for services that have no file of their own here.
//!
//! What differs between them is in the settings. `docs/inbound.md` has those of Meta, Dropbox, X, Zoom, Paddle and others,
//! each with the page it was taken from.

use hookyard_domain::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Payload, Refused, Request, SIGNATURES_PER_HEADER_MAX, TOLERANCE_S_DEFAULT, Verified,
    handshake::Handshake,
    mac::{self, Encoding, Hash},
    place::{self, Place},
    request::HeaderField,
    signed_text::SignedText,
    stamp::{self, Stamp, Unit},
    stripe::{only, values},
};

/// Characters of a prefix and of the name of a field.
const WORD_CHARS_MAX: usize = 64;

/// The settings of a sender whose requests carry an HMAC in a header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generic {
    /// The header that holds the signature.
    pub header: HeaderField,
    #[serde(default)]
    pub hash: Hash,
    #[serde(default)]
    pub encoding: Encoding,
    /// What comes before the signature, such as `sha256=`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// If the header is a list such as `ts=1;h1=ab`: the name that signatures have in it, `h1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature_field: Option<String>,
    /// The header that holds the time of signing, in Unix time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_header: Option<HeaderField>,
    /// Or the name that this time has in the signature's header, if that is a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_field: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_unit: Option<Unit>,
    /// Seconds, 1..=86,400; 300 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance_s: Option<u32>,
    /// What is signed. Without it `{body}`, or `{timestamp}.{body}` if there is a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<SignedText>,
    /// Without it the sender's header of event types counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_type_from: Option<Place>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key_from: Option<Place>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handshake: Option<Handshake>,
}

impl Generic {
    fn has_timestamp(&self) -> bool {
        self.timestamp_header.is_some() || self.timestamp_field.is_some()
    }

    pub(super) fn check(&self) -> Result<(), String> {
        stamp::check_tolerance(self.tolerance_s)?;
        for (setting, word) in [
            ("prefix", &self.prefix),
            ("signature_field", &self.signature_field),
            ("timestamp_field", &self.timestamp_field),
        ] {
            let Some(word) = word else { continue };
            if !(1..=WORD_CHARS_MAX).contains(&word.len()) || !word.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
                return Err(format!("{setting} has 1 to {WORD_CHARS_MAX} characters of ASCII"));
            }
            if setting != "prefix" && word.contains([',', ';', '=', ' ']) {
                return Err(format!("{setting} is a name, without signs of a list"));
            }
        }
        if self.timestamp_header.is_some() && self.timestamp_field.is_some() {
            return Err("the time is in timestamp_header or in timestamp_field, not in both".to_owned());
        }
        if self.timestamp_field.is_some() && self.signature_field.is_none() {
            return Err("timestamp_field names a part of a list, in which the signature needs its signature_field, too".to_owned());
        }
        if !self.has_timestamp() && (self.timestamp_unit.is_some() || self.tolerance_s.is_some()) {
            return Err("timestamp_unit and tolerance_s need a timestamp_header or a timestamp_field".to_owned());
        }
        if let Some(signed) = &self.signed
            && signed.has_timestamp() != self.has_timestamp()
        {
            return Err(if signed.has_timestamp() {
                "signed holds {timestamp}, so timestamp_header or timestamp_field must say where it is".to_owned()
            } else {
                "the time must be in what is signed, as {timestamp}: anybody could change one that is not".to_owned()
            });
        }
        self.handshake.as_ref().map_or(Ok(()), Handshake::check)
    }

    pub(super) fn check_secret(&self, secret: &str) -> Result<(), String> {
        self.handshake.as_ref().map_or(Ok(()), |handshake| handshake.check_secret(secret))
    }

    pub(super) fn verify(&self, secrets: &[&str], request: &Request<'_>, now: Timestamp) -> Result<Verified, Refused> {
        if request.method == http::Method::GET {
            let handshake = self.handshake.as_ref().ok_or(Refused::NoHandshake)?;
            return handshake.answer_get(secrets, request).map(Verified::Handshake);
        }
        let signer = self.verify_signature(secrets, request, now)?;
        if let Some(handshake) = &self.handshake
            && let Some(reply) = handshake.answer_post(secrets[signer], request)?
        {
            return Ok(Verified::Handshake(reply));
        }
        let [event_type, idempotency_key] = place::names_at([self.event_type_from.as_ref(), self.idempotency_key_from.as_ref()], request)?;
        Ok(Verified::Event {
            event_type,
            idempotency_key,
            payload: Payload::AsReceived,
        })
    }

    /// Which of the secrets signed.
    fn verify_signature(&self, secrets: &[&str], request: &Request<'_>, now: Timestamp) -> Result<usize, Refused> {
        let place = || format!("header {}", self.header);
        let value = request.header(self.header.as_str())?;
        let given = self.codes(value);
        if given.is_empty() {
            return Err(Refused::Malformed {
                place: place(),
                expected: "a signature of the set hash and encoding, after the set prefix or field name",
            });
        }
        let stamp = self.stamp(value, request)?;
        let default;
        let signed = match &self.signed {
            Some(signed) => signed,
            None => {
                default = if stamp.is_some() {
                    SignedText::timestamp_and_body()
                } else {
                    SignedText::body()
                };
                &default
            }
        };
        let pieces = signed.pieces(request, stamp.as_ref())?;
        let signer = mac::signer(secrets, self.hash, &pieces, &given).ok_or_else(|| Refused::WrongSignature { place: place() })?;
        if let Some(stamp) = stamp {
            stamp.check(now, self.tolerance_s.unwrap_or(TOLERANCE_S_DEFAULT))?;
        }
        Ok(signer)
    }

    fn codes(&self, value: &str) -> Vec<Vec<u8>> {
        let decode = |text: &str| {
            let code = text.strip_prefix(self.prefix.as_deref().unwrap_or_default())?;
            self.encoding.decode(self.hash, code)
        };
        match &self.signature_field {
            Some(name) => values(value, name).take(SIGNATURES_PER_HEADER_MAX).filter_map(decode).collect(),
            None => decode(value).into_iter().collect(),
        }
    }

    fn stamp<'a>(&self, list: &'a str, request: &Request<'a>) -> Result<Option<Stamp<'a>>, Refused> {
        let (text, place) = match (&self.timestamp_header, &self.timestamp_field) {
            (Some(name), _) => (request.header(name.as_str())?, format!("header {name}")),
            (None, Some(name)) => {
                let place = format!("field {name} of header {}", self.header);
                let text = only(values(list, name)).ok_or_else(|| Refused::Malformed {
                    place: place.clone(),
                    expected: "there once",
                })?;
                (text, place)
            }
            (None, None) => return Ok(None),
        };
        Stamp::read(text, self.timestamp_unit.unwrap_or_default(), place).map(Some)
    }
}
