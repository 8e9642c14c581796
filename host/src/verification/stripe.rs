//! Stripe: an HMAC-SHA256 over time and body, in a list of named values.
//!
//! <https://docs.stripe.com/webhooks#verify-manually>: `t` is the time, each `v1` a signature (two while a secret is being
//! rolled), and every other scheme is ignored, for a weaker one would let an attacker choose it. The key is the whole secret,
//! `whsec_` included. Type and id are members of the event, classic and thin ones alike.

use hookyard_domain::Timestamp;

use super::{
    Payload, Refused, Request, SIGNATURES_PER_HEADER_MAX, TOLERANCE_S_DEFAULT, Verified, json,
    mac::{self, Encoding, Hash},
    request::named,
    stamp::{Stamp, Unit},
};

const SIGNATURE: &str = "stripe-signature";
const SECRET_PREFIX: &str = "whsec_";

pub(super) fn check_secret(secret: &str) -> Result<(), String> {
    if secret.starts_with(SECRET_PREFIX) {
        return Ok(());
    }
    Err(format!(
        "Stripe's signing secret begins with {SECRET_PREFIX}; it belongs to the webhook endpoint, API keys sign nothing"
    ))
}

pub(super) fn verify(secrets: &[&str], request: &Request<'_>, now: Timestamp) -> Result<Verified, Refused> {
    let place = || format!("header {SIGNATURE}");
    let malformed = || Refused::Malformed {
        place: place(),
        expected: "one t= and at least one v1= with 64 hexadecimal digits, separated by commas",
    };
    let list = request.header(SIGNATURE)?;
    let stamp = Stamp::read(only(values(list, "t")).ok_or_else(malformed)?, Unit::Seconds, place())?;
    let given: Vec<Vec<u8>> = values(list, "v1")
        .take(SIGNATURES_PER_HEADER_MAX)
        .filter_map(|code| Encoding::Hex.decode(Hash::Sha256, code))
        .collect();
    if given.is_empty() {
        return Err(malformed());
    }
    let signed: [&[u8]; 3] = [stamp.text.as_bytes(), b".", request.body];
    mac::signer(secrets, Hash::Sha256, &signed, &given).ok_or_else(|| Refused::WrongSignature { place: place() })?;
    stamp.check(now, TOLERANCE_S_DEFAULT)?;
    let [event_type, id] = json::texts(request.body, [&["type"], &["id"]])?;
    Ok(Verified::Event {
        event_type: event_type.as_deref().and_then(named),
        idempotency_key: id.as_deref().and_then(named),
        payload: Payload::AsReceived,
    })
}

/// The values under a name in a list such as `t=1,v1=ab`; others separate by semicolons.
pub(super) fn values<'a>(list: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    list.split([',', ';'])
        .filter_map(|item| item.split_once('='))
        .filter(move |(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim())
}

/// The value, if there is exactly one.
pub(super) fn only<'a>(mut values: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let value = values.next()?;
    values.next().is_none().then_some(value)
}
