//! Questions about the URL.

use super::*;

const SECRET: &str = "an-app-secret-of-meta";

fn hmac(handshake: serde_json::Value) -> Verification {
    settings(json!({ "kind": "hmac", "header": "x-signature", "prefix": "sha256=", "encoding": "base64", "handshake": handshake }))
}

fn ask(settings: &Verification, sent: &Sent) -> Result<Verified, Refused> {
    settings.verify(&[SECRET], &sent.request(), at(NOW_SECS))
}

fn text(challenge: &str) -> Result<Verified, Refused> {
    Ok(Verified::Handshake(Reply::Text(challenge.to_owned())))
}

#[test]
fn github_pings_and_gets_an_empty_answer() {
    let body = include_str!("../../../../tests/fixtures/github/ping.webhook.json");
    let sent = github(SECRET, 0, body.as_bytes()).with("x-github-event", "ping");
    let settings = settings(json!({ "kind": "github" }));
    assert_eq!(ask(&settings, &sent), Ok(Verified::Handshake(Reply::Empty)));
    let unsigned = Sent::post(body.as_bytes()).with("x-github-event", "ping");
    assert!(matches!(ask(&settings, &unsigned), Err(Refused::Missing { .. })));
}

/// The body of <https://docs.slack.dev/reference/events/url_verification>.
#[test]
fn slack_gets_its_challenge_back_if_it_signed() {
    let body = br#"{"token":"Jhj5dZrVaK7ZwHHjRyZWjbDl","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"}"#;
    let settings = settings(json!({ "kind": "slack" }));
    assert_eq!(
        ask(&settings, &slack(SECRET, NOW_SECS, body)),
        text("3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P")
    );
    assert!(ask(&settings, &Sent::post(body)).is_err());
}

#[test]
fn slack_may_look_at_the_certificate() {
    let settings = settings(json!({ "kind": "slack" }));
    assert!(settings.answers_get());
    assert_eq!(
        ask(&settings, &Sent::get("ssl_check=1&token=x")),
        Ok(Verified::Handshake(Reply::Empty))
    );
    assert_eq!(ask(&settings, &Sent::get("ssl_check=0")), Err(Refused::NoHandshake));
    let posted = slack(SECRET, NOW_SECS, b"ssl_check=1&token=x").form();
    assert_eq!(ask(&settings, &posted), Ok(Verified::Handshake(Reply::Empty)));
}

/// The question of <https://developers.facebook.com/docs/graph-api/webhooks/getting-started>.
#[test]
fn meta_gets_its_challenge_back_for_the_verify_token() {
    let meta = hmac(json!({ "kind": "hub", "verify_token": "meatyhamhock" }));
    assert!(meta.answers_get());
    let asked = |query: &str| ask(&meta, &Sent::get(query));
    assert_eq!(
        asked("hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=meatyhamhock"),
        text("1158201444")
    );
    assert!(matches!(
        asked("hub.mode=subscribe&hub.challenge=1&hub.verify_token=meatyhamhocks"),
        Err(Refused::WrongSecret { .. })
    ));
    assert!(matches!(
        asked("hub.mode=subscribe&hub.challenge=1&hub.verify_token=an-app-secret-of-meta"),
        Err(Refused::WrongSecret { .. })
    ));
    assert_eq!(
        asked("hub.mode=unsubscribe&hub.challenge=1&hub.verify_token=meatyhamhock"),
        Err(Refused::NoHandshake)
    );
    assert!(matches!(
        asked("hub.mode=subscribe&hub.verify_token=meatyhamhock"),
        Err(Refused::Missing { .. })
    ));
    assert!(matches!(asked(""), Err(Refused::Missing { .. })));
}

/// The question of <https://www.dropbox.com/developers/reference/webhooks>.
#[test]
fn dropbox_gets_its_challenge_back() {
    let dropbox = hmac(json!({ "kind": "challenge" }));
    let asked = |query: &str| ask(&dropbox, &Sent::get(query));
    assert_eq!(asked("challenge=abc123"), text("abc123"));
    assert_eq!(asked("challenge=%3Cb%3E+%C3%A9"), text("<b> é"));
    for bad in ["challenge=", "challenge=a%0Ab", &format!("challenge={}", "x".repeat(1_025))] {
        assert!(matches!(asked(bad), Err(Refused::Malformed { .. })), "{bad:.20}");
    }
    assert!(matches!(asked("other=1"), Err(Refused::Missing { .. })));
}

/// Secret and token of the sample to which X's documentation of its check linked; the code was computed with Python's `hmac`.
#[test]
fn x_gets_its_token_signed() {
    let x = hmac(json!({ "kind": "crc" }));
    let secret = "z3ZX4v7mAAUGykl3EcmkqbartmuW8VFOOzCloLx9Q45P0hLrFu";
    let sent = Sent::get("crc_token=9b4507b3-9040-4669-9ca3-6b94edb50553&nonce=1");
    assert_eq!(
        x.verify(&[secret, "older"], &sent.request(), at(0)),
        Ok(Verified::Handshake(Reply::Json(
            r#"{"response_token":"sha256=Cytd4Sq+NvEcV3MMrXxWJGJx5A+y/lXzzU2Maartkx8="}"#.to_owned()
        )))
    );
}

#[test]
fn xs_check_signs_nothing_that_would_be_taken_as_an_event() {
    let x = hmac(json!({ "kind": "crc" }));
    for token in ["%7B%22a%22%3A1%7D", "%22a%22", "%5B1%5D", "a%20b", "", "%0A1"] {
        let refused = ask(&x, &Sent::get(&format!("crc_token={token}")));
        assert!(matches!(refused, Err(Refused::Malformed { .. })), "{token}: {refused:?}");
    }
    for body in ["12345", "true", "null", "1.5", "-1"] {
        let Ok(Verified::Handshake(Reply::Json(reply))) = ask(&x, &Sent::get(&format!("crc_token={body}"))) else {
            panic!("a token");
        };
        let reply: serde_json::Value = serde_json::from_str(&reply).expect("JSON");
        let forged = Sent::post(body.as_bytes()).with("x-signature", reply["response_token"].as_str().expect("a text"));
        let refused = ask(&x, &forged);
        assert!(matches!(refused, Err(Refused::BodyNotReadable(_))), "{body}: {refused:?}");
    }
    let body = b" \n{}";
    let real = Sent::post(body).with("x-signature", &format!("sha256={}", sha256_base64(SECRET.as_bytes(), &[body])));
    assert!(matches!(ask(&x, &real), Ok(Verified::Event { .. })));
}

/// The question of <https://developers.zoom.us/docs/api/webhooks/>, "Validate your webhook endpoint".
#[test]
fn zoom_gets_its_token_signed_with_the_secret_it_used() {
    let zoom = settings(json!({
        "kind": "hmac", "header": "x-zm-signature", "prefix": "v0=", "timestamp_header": "x-zm-request-timestamp",
        "signed": "v0:{timestamp}:{body}", "event_type_from": "body:event", "handshake": { "kind": "zoom" },
    }));
    assert!(!zoom.answers_get());
    let sent = |secret: &str, body: &str| {
        let time = NOW_SECS.to_string();
        let code = sha256_hex(secret.as_bytes(), &[b"v0:", time.as_bytes(), b":", body.as_bytes()]);
        Sent::post(body.as_bytes())
            .with("x-zm-request-timestamp", &time)
            .with("x-zm-signature", &format!("v0={code}"))
    };
    let body = r#"{"payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"},"event_ts":1654503849680,"event":"endpoint.url_validation"}"#;
    let code = sha256_hex(SECRET.as_bytes(), &[b"qgg8vlvZRS6UYooatFL8Aw"]);
    let verified = zoom.verify(&["newer-secret", SECRET], &sent(SECRET, body).request(), at(NOW_SECS));
    let Ok(Verified::Handshake(Reply::Json(reply))) = verified else {
        panic!("{verified:?}");
    };
    let reply: serde_json::Value = serde_json::from_str(&reply).expect("JSON");
    assert_eq!(reply, json!({ "plainToken": "qgg8vlvZRS6UYooatFL8Aw", "encryptedToken": code }));

    assert!(ask(&zoom, &Sent::post(body.as_bytes())).is_err(), "unsigned");
    let Ok(Verified::Event { event_type, .. }) = ask(&zoom, &sent(SECRET, r#"{"event":"meeting.started"}"#)) else {
        panic!("an event");
    };
    assert_eq!(event_type.as_deref(), Some("meeting.started"));
}

#[test]
fn okta_gets_its_challenge_back_as_json() {
    let okta = settings(json!({ "kind": "secret", "header": "authorization", "handshake": { "kind": "okta" } }));
    assert!(okta.answers_get());
    let sent = Sent::get("").with("x-okta-verification-challenge", "a\"b");
    assert_eq!(
        ask(&okta, &sent),
        Ok(Verified::Handshake(Reply::Json(r#"{"verification":"a\"b"}"#.to_owned())))
    );
    assert!(matches!(ask(&okta, &Sent::get("")), Err(Refused::Missing { .. })));
    let event = Sent::post(b"{}").with("authorization", SECRET);
    assert!(matches!(ask(&okta, &event), Ok(Verified::Event { .. })));
}
