//! Standard Webhooks, and Svix, whose headers have another first word.
//!
//! <https://www.standardwebhooks.com>, "Signature scheme", and
//! <https://docs.svix.com/receiving/verifying-payloads/how-manual>: an HMAC-SHA256 over id, time and body, in base64, each
//! signature with its version before it. Only the symmetric `v1` is verified; a public key is refused as a secret.
//!
//! Secrets are read more widely than ours are made: the libraries take one without `whsec_`, and Svix's own example has 18
//! bytes where the specification asks for 24.

use hookyard_domain::{Timestamp, signature};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use base64::Engine as _;

use super::{
    Payload, Refused, Request, SIGNATURES_PER_HEADER_MAX, TOLERANCE_S_DEFAULT, Verified, json,
    mac::{self, BASE64, Encoding, Hash},
    request::named,
    stamp::{self, Stamp, Unit},
};

pub(super) const SECRET_PREFIX: &str = "whsec_";
/// 128 bits: what a signature needs to be out of reach.
const KEY_BYTES_MIN: usize = 16;
const SCHEME: &str = "v1,";

struct Names {
    id: &'static str,
    timestamp: &'static str,
    signature: &'static str,
}

const STANDARD: Names = Names {
    id: signature::ID_HEADER,
    timestamp: signature::TIMESTAMP_HEADER,
    signature: signature::SIGNATURE_HEADER,
};

const SVIX: Names = Names {
    id: "svix-id",
    timestamp: "svix-timestamp",
    signature: "svix-signature",
};

/// The settings of a sender whose requests follow Standard Webhooks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standard {
    /// Seconds, 1..=86,400; 300 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance_s: Option<u32>,
}

impl Standard {
    pub(super) fn check(&self) -> Result<(), String> {
        stamp::check_tolerance(self.tolerance_s)
    }

    pub(super) fn verify(&self, secrets: &[&str], request: &Request<'_>, now: Timestamp) -> Result<Verified, Refused> {
        let id = verify_signature(secrets, request, now, self.tolerance_s.unwrap_or(TOLERANCE_S_DEFAULT))?;
        let [event_type] = json::texts(request.body, [&["type"]])?;
        Ok(Verified::Event {
            event_type: event_type.as_deref().and_then(named),
            idempotency_key: named(id),
            payload: Payload::AsReceived,
        })
    }
}

pub(super) fn check_secret(secret: &str) -> Result<(), String> {
    if secret.starts_with("whpk_") || secret.starts_with("whsk_") {
        return Err("this is half of a key pair; only symmetric secrets are verified, which begin with whsec_".to_owned());
    }
    key(secret).map(drop)
}

/// The bytes that a secret's text means.
fn key(secret: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let encoded = secret.strip_prefix(SECRET_PREFIX).unwrap_or(secret);
    let bytes = BASE64
        .decode(encoded)
        .map(Zeroizing::new)
        .map_err(|_| format!("a signing secret is base64, after {SECRET_PREFIX} if it begins so"))?;
    if bytes.len() < KEY_BYTES_MIN {
        return Err(format!(
            "a signing secret has at least {KEY_BYTES_MIN} bytes, this one has {}",
            bytes.len()
        ));
    }
    Ok(bytes)
}

/// Verifies and gives the message's id, which is signed.
pub(super) fn verify_signature<'a>(secrets: &[&str], request: &Request<'a>, now: Timestamp, tolerance_s: u32) -> Result<&'a str, Refused> {
    let names = if !request.has(STANDARD.signature) && request.has(SVIX.signature) {
        SVIX
    } else {
        STANDARD
    };
    let place = || format!("header {}", names.signature);
    let given: Vec<Vec<u8>> = request
        .header(names.signature)?
        .split_ascii_whitespace()
        .filter_map(|signature| signature.strip_prefix(SCHEME))
        .take(SIGNATURES_PER_HEADER_MAX)
        .filter_map(|code| Encoding::Base64.decode(Hash::Sha256, code))
        .collect();
    if given.is_empty() {
        return Err(Refused::Malformed {
            place: place(),
            expected: "a list that holds v1, and the base64 of 32 bytes, separated by spaces",
        });
    }
    let id = request.header(names.id)?;
    let stamp = Stamp::read(
        request.header(names.timestamp)?,
        Unit::Seconds,
        format!("header {}", names.timestamp),
    )?;
    // What is not a key was told when it was set; it has signed nothing.
    let keys: Vec<Zeroizing<Vec<u8>>> = secrets.iter().filter_map(|secret| key(secret).ok()).collect();
    let signed: [&[u8]; 5] = [id.as_bytes(), b".", stamp.text.as_bytes(), b".", request.body];
    mac::signer(&keys, Hash::Sha256, &signed, &given).ok_or_else(|| Refused::WrongSignature { place: place() })?;
    stamp.check(now, tolerance_s)?;
    Ok(id)
}
