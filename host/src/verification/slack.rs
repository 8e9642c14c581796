//! Slack: an HMAC-SHA256 over version, time and body, in hexadecimal.
//!
//! <https://docs.slack.dev/authentication/verifying-requests-from-slack>. Events come as JSON; interactions as a form whose
//! field `payload` is JSON (<https://docs.slack.dev/interactivity/handling-user-interaction>); slash commands as a form of
//! plain fields (<https://docs.slack.dev/interactivity/implementing-slash-commands>), here an object of texts with the event
//! type `slash_command`. Two questions are answered: `url_verification`, which is signed
//! (<https://docs.slack.dev/reference/events/url_verification>), and the look at the certificate, `ssl_check=1`, which tells
//! and changes nothing.

use hookyard_domain::Timestamp;
use http::Method;

use super::{
    Refused, Reply, Request, TOLERANCE_S_DEFAULT, Verified, form, json,
    mac::{self, Encoding, Hash},
    request::named,
    stamp::{Stamp, Unit},
};

const SIGNATURE: &str = "x-slack-signature";
const TIMESTAMP: &str = "x-slack-request-timestamp";
const SSL_CHECK: &str = "ssl_check";

pub(super) fn check_secret(secret: &str) -> Result<(), String> {
    if secret.starts_with("xox") || secret.starts_with("xapp-") {
        return Err("this is a token; the signing secret is under Basic Information, App Credentials".to_owned());
    }
    Ok(())
}

pub(super) fn verify(secrets: &[&str], request: &Request<'_>, now: Timestamp) -> Result<Verified, Refused> {
    if request.method == Method::GET {
        let is_check = request.parameter(SSL_CHECK).is_some_and(|value| value == "1");
        return if is_check {
            Ok(Verified::Handshake(Reply::Empty))
        } else {
            Err(Refused::NoHandshake)
        };
    }
    verify_signature(secrets, request, now)?;
    let payload = form::payload_or_fields(request);
    let [kind, challenge, event, command, event_id, trigger_id, ssl_check] = json::texts(
        payload.bytes(request.body),
        [
            &["type"],
            &["challenge"],
            &["event", "type"],
            &["command"],
            &["event_id"],
            &["trigger_id"],
            &[SSL_CHECK],
        ],
    )?;
    if kind.as_deref() == Some("url_verification") {
        let challenge = challenge.ok_or_else(|| Refused::BodyNotReadable("it is a url_verification without a challenge".to_owned()))?;
        return Ok(Verified::Handshake(Reply::Text(challenge)));
    }
    if request.is_form() && ssl_check.as_deref() == Some("1") {
        return Ok(Verified::Handshake(Reply::Empty));
    }
    let command = command.map(|_| "slash_command".to_owned());
    Ok(Verified::Event {
        event_type: event.or(kind).or(command).as_deref().and_then(named),
        // What a person does has no event id. The trigger's id is as unique and keeps out a copy that is sent again.
        idempotency_key: event_id.or(trigger_id).as_deref().and_then(named),
        payload,
    })
}

fn verify_signature(secrets: &[&str], request: &Request<'_>, now: Timestamp) -> Result<(), Refused> {
    let place = || format!("header {SIGNATURE}");
    let given = request
        .header(SIGNATURE)?
        .strip_prefix("v0=")
        .and_then(|code| Encoding::Hex.decode(Hash::Sha256, code))
        .ok_or_else(|| Refused::Malformed {
            place: place(),
            expected: "v0= and 64 hexadecimal digits",
        })?;
    let stamp = Stamp::read(request.header(TIMESTAMP)?, Unit::Seconds, format!("header {TIMESTAMP}"))?;
    let signed: [&[u8]; 4] = [b"v0:", stamp.text.as_bytes(), b":", request.body];
    mac::signer(secrets, Hash::Sha256, &signed, &[given]).ok_or_else(|| Refused::WrongSignature { place: place() })?;
    stamp.check(now, TOLERANCE_S_DEFAULT)
}
