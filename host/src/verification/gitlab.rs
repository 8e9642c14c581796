//! GitLab: a signing token, or the older secret token.
//!
//! <https://docs.gitlab.com/user/project/integrations/webhooks/>: a signing token (`whsec_…`) signs as Standard Webhooks
//! does; a secret token is sent as it is, in `X-Gitlab-Token`, and proves nothing about the body. A sender's secrets may be
//! of both sorts, as while a webhook moves from one to the other: a request that is signed must be signed rightly, and only
//! one without a signature is asked for the secret token.
//!
//! The type is made of `X-Gitlab-Event` and the action: `Merge Request Hook` with `open` is `merge_request.open`. The key is
//! `Idempotency-Key` (GitLab 17.4), which is the message id of a signature. `X-Gitlab-Event-UUID` is not used: all webhooks
//! that are caused by one another share it, and taking it for a key would lose all but the first.

use hookyard_domain::{Timestamp, signature};

use super::{
    Payload, Refused, Request, TOLERANCE_S_DEFAULT, Verified, json, mac,
    request::{dotted, named},
    standard,
};

const TOKEN: &str = "x-gitlab-token";
const EVENT: &str = "x-gitlab-event";
const KEY: &str = "idempotency-key";
/// What the name of a system hook becomes. Its body says what happened.
const SYSTEM: &str = "system";

pub(super) fn check_secret(secret: &str) -> Result<(), String> {
    if is_signing_token(secret) {
        standard::check_secret(secret)
    } else if secret.is_ascii() {
        Ok(())
    } else {
        Err("a secret token is sent in a header, so it is ASCII".to_owned())
    }
}

pub(super) fn verify(secrets: &[&str], request: &Request<'_>, now: Timestamp) -> Result<Verified, Refused> {
    let (signing, plain): (Vec<&str>, Vec<&str>) = secrets.iter().partition(|secret| is_signing_token(secret));
    let is_signed = request.has(signature::SIGNATURE_HEADER);
    let signed_id = if !signing.is_empty() && (is_signed || plain.is_empty()) {
        Some(standard::verify_signature(&signing, request, now, TOLERANCE_S_DEFAULT)?)
    } else {
        verify_token(&plain, request)?;
        None
    };
    let [action, top_action, event_name, object_kind] = json::texts(
        request.body,
        [&["object_attributes", "action"], &["action"], &["event_name"], &["object_kind"]],
    )?;
    let name = request.described_by(EVENT).map(|event| event_name_of(&event));
    let detail = if name.as_deref() == Some(SYSTEM) {
        event_name.or(object_kind)
    } else {
        action.or(top_action)
    };
    Ok(Verified::Event {
        event_type: dotted(name, detail),
        idempotency_key: signed_id.and_then(named).or_else(|| request.described_by(KEY)),
        payload: Payload::AsReceived,
    })
}

fn is_signing_token(secret: &str) -> bool {
    secret.starts_with(standard::SECRET_PREFIX)
}

fn verify_token(tokens: &[&str], request: &Request<'_>) -> Result<(), Refused> {
    let given = request.header(TOKEN)?;
    if tokens.iter().any(|token| mac::same(token, given)) {
        return Ok(());
    }
    Err(Refused::WrongSecret {
        place: format!("header {TOKEN}"),
    })
}

/// `Tag Push Hook` as `tag_push`.
fn event_name_of(header: &str) -> String {
    header
        .strip_suffix(" Hook")
        .unwrap_or(header)
        .to_lowercase()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join("_")
}
