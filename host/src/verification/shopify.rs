//! Shopify: an HMAC-SHA256 over the body, in base64.
//!
//! <https://shopify.dev/docs/apps/build/webhooks/verify-deliveries>: the key is the app's client secret, and
//! `X-Shopify-Webhook-Id` is what duplicates are known by. `X-Shopify-Event-Id` is not used, for several deliveries of one
//! action share it. Neither the topic nor the id is signed, and there is no time. During a change of the client secret both
//! may sign for up to an hour.

use super::{
    Payload, Refused, Request, Verified,
    mac::{self, Encoding, Hash},
};

const SIGNATURE: &str = "x-shopify-hmac-sha256";
const TOPIC: &str = "x-shopify-topic";
const WEBHOOK_ID: &str = "x-shopify-webhook-id";

pub(super) fn verify(secrets: &[&str], request: &Request<'_>) -> Result<Verified, Refused> {
    let place = || format!("header {SIGNATURE}");
    let given = Encoding::Base64
        .decode(Hash::Sha256, request.header(SIGNATURE)?)
        .ok_or_else(|| Refused::Malformed {
            place: place(),
            expected: "the base64 of 32 bytes",
        })?;
    mac::signer(secrets, Hash::Sha256, &[request.body], &[given]).ok_or_else(|| Refused::WrongSignature { place: place() })?;
    Ok(Verified::Event {
        event_type: request.described_by(TOPIC).map(|topic| topic.replace('/', ".")),
        idempotency_key: request.described_by(WEBHOOK_ID),
        payload: Payload::AsReceived,
    })
}
