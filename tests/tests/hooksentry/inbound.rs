//! Services that post to a sender's bare ingest URL and sign by themselves. What each provider's signature is over is the
//! module's own suite; here is the way from the set-up to the event.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use hookyard_tests::{
    client::Answer,
    database::Kind,
    host::TestHost,
    on_both_databases,
    receiver::Receiver,
    setup::{Endpoint, Sender, SetupFile, Tenant, api_key, sender_token},
};
use serde_json::json;
use sha2::Sha256;
use toml::Table;

on_both_databases!(
    a_github_webhook_needs_no_header_but_githubs_own,
    a_stale_or_changed_stripe_request_is_refused,
    slack_hears_its_challenge,
    a_sender_without_verification_still_asks_for_a_key,
);

/// In the form of Stripe's, which is the only one of these that has one.
const SECRET: &str = "whsec_5WbX5kEWLlfzsGNjH64I8lOOqUB6e8FH";

fn verified(kind: &str) -> Table {
    let mut settings = Table::new();
    settings.insert("kind".to_owned(), kind.into());
    let mut source = Table::new();
    source.insert("file".to_owned(), "service.secret".into());
    settings.insert("secrets".to_owned(), toml::Value::Array(vec![source.into()]));
    settings
}

pub async fn host(kind: Kind, service: &str, receiver: &Receiver) -> TestHost {
    let sender = Sender::new("service").field("verification", verified(service));
    let acme = Tenant::named("acme")
        .endpoint(Endpoint::new("hook", &receiver.url("/hook")))
        .sender(sender)
        .sender(Sender::new("plain"));
    let setup = SetupFile::new().secret("service.secret", SECRET).tenant(acme);
    TestHost::builder(kind).setup(setup).start().await
}

fn sign(text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length will do");
    mac.update(text.as_bytes());
    hookyard_domain::hex::encode(&mac.finalize().into_bytes())
}

async fn post(host: &TestHost, body: &str, headers: &[(&str, &str)]) -> Answer {
    let url = host.ingest_url(&sender_token("acme", "service"));
    let mut post = host.client().post_to(&url, body.to_owned());
    for (name, value) in headers {
        post = post.header(name, value);
    }
    post.send().await
}

async fn a_github_webhook_needs_no_header_but_githubs_own(kind: Kind) {
    let receiver = Receiver::start().await;
    let host = host(kind, "github", &receiver).await;
    let body = r#"{"action":"opened","issue":{"number":7}}"#;
    let signature = format!("sha256={}", sign(body));
    let headers = [
        ("x-github-event", "issues"),
        ("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
        ("x-hub-signature-256", signature.as_str()),
    ];
    let accepted = post(&host, body, &headers).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text());
    let event = host
        .store()
        .event(hookyard_domain::Scope::Operator, accepted.event_id().parse().expect("an id"))
        .await;
    let event = event.expect("the store answers").expect("it is there");
    assert_eq!(event.event_type, "issues.opened");
    assert_eq!(event.idempotency_key.as_deref(), Some("72d3162e-cc78-11e3-81ab-4c9367dc0958"));
    let repeated = post(&host, body, &headers).await;
    assert_eq!((repeated.status, repeated.event_id()), (200, accepted.event_id()));
    let received = receiver.wait_for(1).await;
    assert_eq!(received[0].body, body);
    // Its default encoding is a form; the signature is over the form.
    let form = "payload=%7B%22action%22%3A%22closed%22%7D";
    let signature = format!("sha256={}", sign(form));
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("x-github-event", "issues"),
        ("x-github-delivery", "another"),
        ("x-hub-signature-256", signature.as_str()),
    ];
    let accepted = post(&host, form, &headers).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text());
    let received = receiver.wait_for(2).await;
    assert_eq!(
        (received[1].body.as_ref(), received[1].header("content-type")),
        (&br#"{"action":"closed"}"#[..], "application/json")
    );
    for headers in [
        vec![("x-github-event", "issues")],
        vec![("x-github-event", "issues"), ("x-hub-signature-256", "sha256=00")],
        vec![("x-github-event", "issues"), ("x-hub-signature-256", signature.as_str())],
    ] {
        let refused = post(&host, body, &headers).await;
        assert_eq!((refused.status, refused.body.len()), (401, 0), "{headers:?}");
    }
    assert_eq!(receiver.received().len(), 2);
}

async fn a_stale_or_changed_stripe_request_is_refused(kind: Kind) {
    let receiver = Receiver::start().await;
    let host = host(kind, "stripe", &receiver).await;
    let body = r#"{"id":"evt_1","type":"invoice.paid"}"#;
    let at = host.clock().now().as_secs();
    let signature = format!("t={at},v1={}", sign(&format!("{at}.{body}")));
    let changed = post(&host, &body.replace("paid", "void"), &[("stripe-signature", &signature)]).await;
    assert_eq!(changed.status, 401);
    let accepted = post(&host, body, &[("stripe-signature", &signature)]).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text());
    assert_eq!(
        post(&host, body, &[("stripe-signature", &signature)]).await.status,
        200,
        "the same delivery"
    );
    host.advance(Duration::from_secs(301));
    assert_eq!(
        post(&host, body, &[("stripe-signature", &signature)]).await.status,
        401,
        "five minutes old"
    );
}

async fn slack_hears_its_challenge(kind: Kind) {
    let receiver = Receiver::start().await;
    let host = host(kind, "slack", &receiver).await;
    let body = json!({ "type": "url_verification", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P" }).to_string();
    let at = host.clock().now().as_secs().to_string();
    let signature = format!("v0={}", sign(&format!("v0:{at}:{body}")));
    let headers = [
        ("x-slack-request-timestamp", at.as_str()),
        ("x-slack-signature", signature.as_str()),
    ];
    let answer = post(&host, &body, &headers).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains("3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"));
    assert!(receiver.received().is_empty(), "a handshake is not an event");
}

async fn a_sender_without_verification_still_asks_for_a_key(kind: Kind) {
    let receiver = Receiver::start().await;
    let host = host(kind, "github", &receiver).await;
    let url = host.ingest_url(&sender_token("acme", "plain"));
    assert_eq!(host.client().post_to(&url, "{}").send().await.status, 401);
    // A sender that verifies takes an API key as well: its owner may try it out.
    let url = host.ingest_url(&sender_token("acme", "service"));
    let by_key = host.client().post_to(&url, "{}").header("x-api-key", &api_key("acme")).send().await;
    assert_eq!(by_key.status, 202, "{}", by_key.text());
    let asked = host.client().request(http::Method::GET, &url).await;
    assert_eq!(asked.status, 405, "GitHub asks nothing by GET");
}
