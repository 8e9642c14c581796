//! Every provider through the same questions, then what is particular to each. Published examples are named with their page;
//! where there is none, the codes come from the functions that `mac` holds against the RFCs.

mod bodies;
mod handshakes;
mod published;
mod settings;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use hookyard_domain::hex;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

use super::*;

/// 2026-07-03T12:00:00Z.
const NOW_SECS: i64 = 1_783_080_000;
const BODY: &str = r#"{"id":"evt_1","type":"invoice.paid","action":"opened"}"#;

struct Sent {
    method: Method,
    headers: HeaderMap,
    query: Option<String>,
    body: Vec<u8>,
}

impl Sent {
    fn post(body: &[u8]) -> Self {
        Self {
            method: Method::POST,
            headers: HeaderMap::new(),
            query: None,
            body: body.to_vec(),
        }
    }

    fn get(query: &str) -> Self {
        Self {
            method: Method::GET,
            query: Some(query.to_owned()),
            ..Self::post(b"")
        }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.set(name, value);
        self
    }

    fn set(&mut self, name: &str, value: &str) {
        let name = HeaderName::try_from(name).expect("a header name");
        self.headers.insert(name, HeaderValue::from_str(value).expect("a header value"));
    }

    fn form(self) -> Self {
        self.with("content-type", "application/x-www-form-urlencoded; charset=UTF-8")
    }

    fn request(&self) -> Request<'_> {
        Request {
            method: &self.method,
            headers: &self.headers,
            query: self.query.as_deref(),
            body: &self.body,
        }
    }
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_micros(secs * 1_000_000)
}

fn settings(value: serde_json::Value) -> Verification {
    let verification: Verification = serde_json::from_value(value).expect("settings");
    verification.check().expect("settings that make sense");
    verification
}

fn sha256_hex(key: &[u8], parts: &[&[u8]]) -> String {
    hex::encode(&Hash::Sha256.code(key, parts))
}

fn sha256_base64(key: &[u8], parts: &[&[u8]]) -> String {
    BASE64.encode(Hash::Sha256.code(key, parts))
}

fn key_of(secret: &str) -> Vec<u8> {
    BASE64.decode(secret.strip_prefix("whsec_").unwrap_or(secret)).expect("base64")
}

/// A provider, and how it sends.
struct Provider {
    name: &'static str,
    settings: Verification,
    /// Three different ones.
    secrets: [&'static str; 3],
    send: fn(&str, i64, &[u8]) -> Sent,
    /// Where the signature is; none if it is in the query.
    header: Option<&'static str>,
    is_timed: bool,
    covers_body: bool,
    event: (Option<&'static str>, Option<&'static str>),
}

const TEXTS: [&str; 3] = ["a-secret-of-github-1", "a-secret-of-github-2", "a-secret-of-github-3"];
const KEYS: [&str; 3] = [
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "whsec_HRwbGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgEA",
];

fn stripe(secret: &str, secs: i64, body: &[u8]) -> Sent {
    let code = sha256_hex(secret.as_bytes(), &[secs.to_string().as_bytes(), b".", body]);
    Sent::post(body).with("stripe-signature", &format!("t={secs},v1={code}"))
}

fn slack(secret: &str, secs: i64, body: &[u8]) -> Sent {
    let code = sha256_hex(secret.as_bytes(), &[b"v0:", secs.to_string().as_bytes(), b":", body]);
    Sent::post(body)
        .with("x-slack-request-timestamp", &secs.to_string())
        .with("x-slack-signature", &format!("v0={code}"))
}

fn github(secret: &str, _: i64, body: &[u8]) -> Sent {
    Sent::post(body)
        .with("x-hub-signature-256", &format!("sha256={}", sha256_hex(secret.as_bytes(), &[body])))
        .with("x-github-event", "issues")
        .with("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")
}

fn shopify(secret: &str, _: i64, body: &[u8]) -> Sent {
    Sent::post(body)
        .with("x-shopify-hmac-sha256", &sha256_base64(secret.as_bytes(), &[body]))
        .with("x-shopify-topic", "orders/create")
        .with("x-shopify-webhook-id", "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043")
}

fn gitlab_token(secret: &str, _: i64, body: &[u8]) -> Sent {
    Sent::post(body)
        .with("x-gitlab-token", secret)
        .with("x-gitlab-event", "Merge Request Hook")
        .with("idempotency-key", "f5e5f430-f57b-4e6e-9fac-d9128cd7232f")
        .with("x-gitlab-event-uuid", "13792a34-cac6-4fda-95a8-c58e00a3954e")
}

fn gitlab_signed(secret: &str, secs: i64, body: &[u8]) -> Sent {
    standard_named("webhook", secret, secs, body).with("x-gitlab-event", "Tag Push Hook")
}

fn standard_named(prefix: &str, secret: &str, secs: i64, body: &[u8]) -> Sent {
    let code = sha256_base64(&key_of(secret), &[b"msg_1.", secs.to_string().as_bytes(), b".", body]);
    Sent::post(body)
        .with(&format!("{prefix}-id"), "msg_1")
        .with(&format!("{prefix}-timestamp"), &secs.to_string())
        .with(&format!("{prefix}-signature"), &format!("v1,{code}"))
}

fn providers() -> Vec<Provider> {
    let named = |kind: &str| settings(json!({ "kind": kind }));
    vec![
        Provider {
            name: "github",
            settings: named("github"),
            secrets: TEXTS,
            send: github,
            header: Some("x-hub-signature-256"),
            is_timed: false,
            covers_body: true,
            event: (Some("issues.opened"), Some("72d3162e-cc78-11e3-81ab-4c9367dc0958")),
        },
        Provider {
            name: "stripe",
            settings: named("stripe"),
            secrets: KEYS,
            send: stripe,
            header: Some("stripe-signature"),
            is_timed: true,
            covers_body: true,
            event: (Some("invoice.paid"), Some("evt_1")),
        },
        Provider {
            name: "slack",
            settings: named("slack"),
            secrets: TEXTS,
            send: slack,
            header: Some("x-slack-signature"),
            is_timed: true,
            covers_body: true,
            event: (Some("invoice.paid"), None),
        },
        Provider {
            name: "shopify",
            settings: named("shopify"),
            secrets: TEXTS,
            send: shopify,
            header: Some("x-shopify-hmac-sha256"),
            is_timed: false,
            covers_body: true,
            event: (Some("orders.create"), Some("b54557e4-bdd9-4b37-8a5f-bf7d70bcd043")),
        },
        Provider {
            name: "gitlab with a secret token",
            settings: named("gitlab"),
            secrets: TEXTS,
            send: gitlab_token,
            header: Some("x-gitlab-token"),
            is_timed: false,
            covers_body: false,
            event: (Some("merge_request.opened"), Some("f5e5f430-f57b-4e6e-9fac-d9128cd7232f")),
        },
        Provider {
            name: "gitlab with a signing token",
            settings: named("gitlab"),
            secrets: KEYS,
            send: gitlab_signed,
            header: Some("webhook-signature"),
            is_timed: true,
            covers_body: true,
            event: (Some("tag_push.opened"), Some("msg_1")),
        },
        Provider {
            name: "standard webhooks",
            settings: named("standard-webhooks"),
            secrets: KEYS,
            send: |secret, secs, body| standard_named("webhook", secret, secs, body),
            header: Some("webhook-signature"),
            is_timed: true,
            covers_body: true,
            event: (Some("invoice.paid"), Some("msg_1")),
        },
        Provider {
            name: "svix",
            settings: named("standard-webhooks"),
            secrets: KEYS,
            send: |secret, secs, body| standard_named("svix", secret, secs, body),
            header: Some("svix-signature"),
            is_timed: true,
            covers_body: true,
            event: (Some("invoice.paid"), Some("msg_1")),
        },
        Provider {
            name: "hmac, the body alone",
            settings: settings(json!({ "kind": "hmac", "header": "X-Signature", "hash": "sha1", "encoding": "base64" })),
            secrets: TEXTS,
            send: |secret, _, body| {
                let code = Hash::Sha1.code(secret.as_bytes(), &[body]);
                Sent::post(body).with("x-signature", &BASE64.encode(code))
            },
            header: Some("x-signature"),
            is_timed: false,
            covers_body: true,
            event: (None, None),
        },
        Provider {
            name: "hmac, with time and headers",
            settings: settings(json!({
                "kind": "hmac", "header": "x-signature", "hash": "sha512", "prefix": "sha512=",
                "timestamp_header": "x-time", "timestamp_unit": "milliseconds", "tolerance_s": 300,
                "signed": "POST\n{timestamp}\n{header:x-id}\n{body}",
                "event_type_from": "body:type", "idempotency_key_from": "header:x-id",
            })),
            secrets: TEXTS,
            send: |secret, secs, body| {
                let time = format!("{secs}000");
                let code = Hash::Sha512.code(secret.as_bytes(), &[b"POST\n", time.as_bytes(), b"\nid-7\n", body]);
                Sent::post(body)
                    .with("x-signature", &format!("sha512={}", hex::encode(&code)))
                    .with("x-time", &time)
                    .with("x-id", "id-7")
            },
            header: Some("x-signature"),
            is_timed: true,
            covers_body: true,
            event: (Some("invoice.paid"), Some("id-7")),
        },
        Provider {
            name: "hmac in a list",
            settings: settings(json!({
                "kind": "hmac", "header": "paddle-signature", "signature_field": "h1", "timestamp_field": "ts",
                "signed": "{timestamp}:{body}", "event_type_from": "header:x-type", "idempotency_key_from": "body:id",
            })),
            secrets: TEXTS,
            send: |secret, secs, body| {
                let code = sha256_hex(secret.as_bytes(), &[secs.to_string().as_bytes(), b":", body]);
                Sent::post(body)
                    .with("paddle-signature", &format!("ts={secs};h1={code}"))
                    .with("x-type", "a.b")
            },
            header: Some("paddle-signature"),
            is_timed: true,
            covers_body: true,
            event: (Some("a.b"), Some("evt_1")),
        },
        Provider {
            name: "a secret in a header",
            settings: settings(json!({
                "kind": "secret", "header": "authorization", "prefix": "Bearer ", "event_type_from": "body:type",
            })),
            secrets: TEXTS,
            send: |secret, _, body| Sent::post(body).with("authorization", &format!("Bearer {secret}")),
            header: Some("authorization"),
            is_timed: false,
            covers_body: false,
            event: (Some("invoice.paid"), None),
        },
        Provider {
            name: "a secret in the query",
            settings: settings(json!({ "kind": "secret", "query": "token" })),
            secrets: TEXTS,
            send: |secret, _, body| {
                let mut sent = Sent::post(body);
                sent.query = Some(format!("a=b&token={}", secret.replace('-', "%2D")));
                sent
            },
            header: None,
            is_timed: false,
            covers_body: false,
            event: (None, None),
        },
    ]
}

impl Provider {
    fn verify(&self, secrets: &[&str], sent: &Sent) -> Result<Verified, Refused> {
        self.settings.verify(secrets, &sent.request(), at(NOW_SECS))
    }

    fn sent(&self) -> Sent {
        (self.send)(self.secrets[0], NOW_SECS, BODY.as_bytes())
    }
}

#[test]
fn a_request_signed_with_the_secret_is_an_event() {
    for provider in providers() {
        let (event_type, key) = provider.event;
        assert_eq!(
            provider.verify(&provider.secrets[..1], &provider.sent()),
            Ok(Verified::Event {
                event_type: event_type.map(str::to_owned),
                idempotency_key: key.map(str::to_owned),
                payload: Payload::AsReceived,
            }),
            "{}",
            provider.name
        );
        for secret in provider.secrets {
            assert_eq!(provider.settings.check_secret(secret), Ok(()), "{}", provider.name);
        }
    }
}

#[test]
fn a_request_signed_with_another_secret_is_refused() {
    for provider in providers() {
        let refused = provider.verify(&provider.secrets[1..], &provider.sent());
        assert!(
            matches!(refused, Err(Refused::WrongSignature { .. } | Refused::WrongSecret { .. })),
            "{}: {refused:?}",
            provider.name
        );
    }
}

#[test]
fn any_of_several_secrets_may_have_signed() {
    for provider in providers() {
        let [old, new, newest] = provider.secrets;
        for secrets in [vec![new, old], vec![old, new], vec![newest, new, old]] {
            let verified = provider.verify(&secrets, &provider.sent());
            assert!(verified.is_ok(), "{}: {verified:?}", provider.name);
        }
    }
}

#[test]
fn more_secrets_than_the_bound_are_not_tried() {
    let provider = &providers()[0];
    let mut secrets = vec!["another-secret"; SECRETS_MAX];
    secrets.push(provider.secrets[0]);
    let refused = provider.verify(&secrets, &provider.sent());
    assert!(matches!(refused, Err(Refused::WrongSignature { .. })), "{refused:?}");
}

#[test]
fn a_sender_without_secrets_takes_nothing() {
    for provider in providers() {
        assert_eq!(provider.verify(&[], &provider.sent()), Err(Refused::NoSecret), "{}", provider.name);
    }
}

#[test]
fn a_request_without_its_signature_is_refused_by_the_place_of_it() {
    for provider in providers() {
        let mut sent = provider.sent();
        let place = match provider.header {
            Some(header) => {
                sent.headers.remove(header);
                // Without either, the request is asked for the standard's own header.
                format!("header {}", header.replace("svix", "webhook"))
            }
            None => {
                sent.query = None;
                "query parameter token".to_owned()
            }
        };
        let refused = provider.verify(&provider.secrets[..1], &sent);
        assert_eq!(refused, Err(Refused::Missing { place }), "{}", provider.name);
    }
}

#[test]
fn a_signature_that_is_there_twice_is_refused() {
    for provider in providers() {
        let Some(header) = provider.header else { continue };
        let mut sent = provider.sent();
        let value = sent.headers[header].clone();
        sent.headers.append(HeaderName::from_static(header), value);
        let refused = provider.verify(&provider.secrets[..1], &sent);
        assert!(matches!(refused, Err(Refused::Malformed { .. })), "{}: {refused:?}", provider.name);
    }
}

#[test]
fn a_malformed_signature_is_refused() {
    for provider in providers() {
        let Some(header) = provider.header else { continue };
        let good = provider.sent().headers[header].to_str().expect("ASCII").to_owned();
        let cut = good[..good.len() - 5].to_owned();
        let long = format!("{good}{}", "0".repeat(5_000));
        for value in ["", "=", "v1,", "sha256=", "t=,v1=", "t=1", "é", &cut, &long] {
            let mut sent = provider.sent();
            let bytes = HeaderValue::from_bytes(value.as_bytes()).expect("a header value");
            sent.headers.insert(HeaderName::from_static(header), bytes);
            let refused = provider.verify(&provider.secrets[..1], &sent);
            let is_right = match provider.covers_body {
                true => matches!(refused, Err(Refused::Malformed { .. })),
                false => matches!(refused, Err(Refused::Malformed { .. } | Refused::WrongSecret { .. })),
            };
            assert!(is_right, "{}: {value:.20}: {refused:?}", provider.name);
        }
    }
}

#[test]
fn no_character_of_a_signature_can_be_changed() {
    for provider in providers() {
        let Some(header) = provider.header else { continue };
        let good = provider.sent().headers[header].to_str().expect("ASCII").to_owned();
        for position in 0..good.len() {
            let mut bytes = good.clone().into_bytes();
            bytes[position] = if bytes[position] == b'7' { b'8' } else { b'7' };
            let mut sent = provider.sent();
            let value = HeaderValue::from_bytes(&bytes).expect("a header value");
            sent.headers.insert(HeaderName::from_static(header), value);
            let refused = provider.verify(&provider.secrets[..1], &sent);
            assert!(refused.is_err(), "{}: {position}", provider.name);
        }
    }
}

#[test]
fn a_body_with_one_other_byte_is_refused() {
    for provider in providers().into_iter().filter(|provider| provider.covers_body) {
        for change in [
            |body: &mut Vec<u8>| body[10] ^= 1,
            |body: &mut Vec<u8>| body.push(b' '),
            |body: &mut Vec<u8>| {
                body.pop();
            },
        ] {
            let mut sent = provider.sent();
            change(&mut sent.body);
            let refused = provider.verify(&provider.secrets[..1], &sent);
            assert!(
                matches!(refused, Err(Refused::WrongSignature { .. })),
                "{}: {refused:?}",
                provider.name
            );
        }
    }
}

#[test]
fn a_request_from_too_far_in_the_past_or_the_future_is_refused() {
    for provider in providers().into_iter().filter(|provider| provider.is_timed) {
        let verify = |secs: i64| provider.verify(&provider.secrets[..1], &(provider.send)(provider.secrets[0], secs, BODY.as_bytes()));
        for secs in [NOW_SECS - 300, NOW_SECS + 300] {
            assert!(verify(secs).is_ok(), "{}: {secs}", provider.name);
        }
        for secs in [NOW_SECS - 301, NOW_SECS + 301, 0] {
            assert_eq!(
                verify(secs),
                Err(Refused::Stale {
                    signed_at: at(secs),
                    now: at(NOW_SECS),
                    tolerance_s: 300
                }),
                "{}",
                provider.name
            );
        }
    }
}

#[test]
fn a_changed_time_breaks_the_signature() {
    for provider in providers().into_iter().filter(|provider| provider.is_timed) {
        let mut sent = (provider.send)(provider.secrets[0], NOW_SECS - 1_000, BODY.as_bytes());
        let (old, new) = ((NOW_SECS - 1_000).to_string(), NOW_SECS.to_string());
        for value in sent.headers.values_mut() {
            let text = value.to_str().expect("ASCII").replace(&old, &new);
            *value = HeaderValue::from_str(&text).expect("a header value");
        }
        let refused = provider.verify(&provider.secrets[..1], &sent);
        assert!(
            matches!(refused, Err(Refused::WrongSignature { .. })),
            "{}: {refused:?}",
            provider.name
        );
    }
}

#[test]
fn a_get_request_is_no_event() {
    for provider in providers() {
        let mut sent = provider.sent();
        sent.method = Method::GET;
        assert_eq!(
            provider.verify(&provider.secrets[..1], &sent),
            Err(Refused::NoHandshake),
            "{}",
            provider.name
        );
    }
}

#[test]
fn a_refusal_tells_neither_a_secret_nor_a_signature() {
    for provider in providers() {
        let expected = provider.sent();
        let mut sent = provider.sent();
        sent.body.push(b' ');
        for secrets in [&provider.secrets[..1], &provider.secrets[1..]] {
            let Err(refused) = provider.verify(secrets, &sent) else { continue };
            let told = format!("{refused} {refused:?} {}", refused.reason());
            for secret in provider.secrets {
                assert!(!told.contains(secret), "{told}");
            }
            for value in provider.header.iter().filter_map(|header| expected.headers[*header].to_str().ok()) {
                assert!(!told.contains(value), "{told}");
            }
            assert!(!refused.is_authentic());
        }
    }
}
