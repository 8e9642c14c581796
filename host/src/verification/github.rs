//! GitHub: an HMAC-SHA256 over the body, in hexadecimal.
//!
//! <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>. The older SHA-1 signature
//! beside it is not looked at. A webhook whose content type is a form carries its JSON in the field `payload`
//! (<https://docs.github.com/en/webhooks/using-webhooks/creating-webhooks>).
//!
//! Neither the event's name nor the delivery id is signed. A redelivery keeps the id of the first delivery, so pressing
//! "Redeliver" makes no second event (<https://docs.github.com/en/webhooks/using-webhooks/best-practices-for-using-webhooks>).

use super::{
    Refused, Reply, Request, Verified, form, json,
    mac::{self, Encoding, Hash},
    request::dotted,
};

const SIGNATURE: &str = "x-hub-signature-256";
const EVENT: &str = "x-github-event";
const DELIVERY: &str = "x-github-delivery";
/// Sent once when a webhook is set up.
const PING: &str = "ping";

pub(super) fn verify(secrets: &[&str], request: &Request<'_>) -> Result<Verified, Refused> {
    let place = || format!("header {SIGNATURE}");
    let given = request
        .header(SIGNATURE)?
        .strip_prefix("sha256=")
        .and_then(|code| Encoding::Hex.decode(Hash::Sha256, code))
        .ok_or_else(|| Refused::Malformed {
            place: place(),
            expected: "sha256= and 64 hexadecimal digits",
        })?;
    mac::signer(secrets, Hash::Sha256, &[request.body], &[given]).ok_or_else(|| Refused::WrongSignature { place: place() })?;
    let event = request.described_by(EVENT);
    if event.as_deref() == Some(PING) {
        return Ok(Verified::Handshake(Reply::Empty));
    }
    let payload = form::payload(request)?;
    let [action] = json::texts(payload.bytes(request.body), [&["action"]])?;
    Ok(Verified::Event {
        event_type: dotted(event, action),
        idempotency_key: request.described_by(DELIVERY),
        payload,
    })
}
