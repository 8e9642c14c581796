//! What settings and secrets are refused, with what words, and that settings survive being stored.

use super::*;

fn parse(value: serde_json::Value) -> Result<Verification, String> {
    serde_json::from_value::<Verification>(value)
        .map_err(|error| error.to_string())
        .and_then(|settings| settings.check().map(|()| settings))
}

fn hmac(more: serde_json::Value) -> Result<Verification, String> {
    let mut value = json!({ "kind": "hmac", "header": "x-signature" });
    value
        .as_object_mut()
        .expect("an object")
        .extend(more.as_object().expect("an object").clone());
    parse(value)
}

#[test]
fn settings_survive_being_stored() {
    for provider in providers() {
        let text = serde_json::to_string(&provider.settings).expect("JSON");
        let read: Verification = serde_json::from_str(&text).expect("settings");
        assert_eq!(read, provider.settings, "{text}");
    }
    assert_eq!(
        serde_json::to_value(settings(json!({ "kind": "github" }))).expect("JSON"),
        json!({ "kind": "github" })
    );
}

#[test]
fn a_setting_that_does_not_exist_is_refused() {
    for kind in ["github", "stripe", "slack", "shopify", "gitlab", "standard-webhooks"] {
        let told = parse(json!({ "kind": kind, "secret": "x" })).expect_err("an unknown setting");
        assert!(told.contains("secret"), "{kind}: {told}");
    }
    assert!(hmac(json!({ "heder": "x" })).is_err());
    assert!(hmac(json!({ "handshake": { "kind": "challenge", "token": "x" } })).is_err());
    assert!(parse(json!({ "kind": "secret", "header": "a", "hash": "sha256" })).is_err());
    assert!(parse(json!({ "kind": "paypal" })).is_err());
    assert!(parse(json!({})).is_err());
}

#[test]
fn settings_that_make_no_sense_are_refused_by_name() {
    for (more, told) in [
        (json!({ "header": "a header" }), "not the name of a header"),
        (json!({ "hash": "md5" }), "md5"),
        (json!({ "encoding": "base32" }), "base32"),
        (json!({ "prefix": "" }), "prefix"),
        (json!({ "prefix": "é" }), "prefix"),
        (json!({ "tolerance_s": 60 }), "need a timestamp_header"),
        (json!({ "timestamp_header": "x-time", "tolerance_s": 0 }), "between 1 and 86400"),
        (
            json!({ "timestamp_header": "x-time", "tolerance_s": 86_401 }),
            "between 1 and 86400",
        ),
        (json!({ "timestamp_unit": "seconds" }), "need a timestamp_header"),
        (json!({ "timestamp_field": "t" }), "signature_field"),
        (
            json!({ "timestamp_header": "x-time", "timestamp_field": "t", "signature_field": "v1" }),
            "not in both",
        ),
        (json!({ "signature_field": "a=b" }), "signature_field"),
        (
            json!({ "timestamp_header": "x-time", "signed": "{body}" }),
            "must be in what is signed",
        ),
        (json!({ "signed": "{timestamp}.{body}" }), "timestamp_header or timestamp_field"),
        (json!({ "signed": "{timestamp}" }), "{body}"),
        (json!({ "signed": "{url}{body}" }), "{url}"),
        (json!({ "event_type_from": "type" }), "neither header:NAME nor body:"),
        (json!({ "event_type_from": "body:" }), "member names"),
        (json!({ "event_type_from": "body:a/b/c/d/e/f/g/h/i" }), "member names"),
        (json!({ "idempotency_key_from": "header:a b" }), "not the name of a header"),
        (json!({ "handshake": { "kind": "hub" } }), "verify_token"),
        (json!({ "handshake": { "kind": "hub", "verify_token": "" } }), "verify_token"),
        (json!({ "handshake": { "kind": "secret-handshake" } }), "secret-handshake"),
    ] {
        let problem = hmac(more.clone()).expect_err("settings that make no sense");
        assert!(problem.contains(told), "{more}: {problem}");
    }
    for (settings, told) in [
        (json!({ "kind": "secret" }), "exactly one"),
        (json!({ "kind": "secret", "header": "a", "query": "b" }), "exactly one"),
        (json!({ "kind": "secret", "query": "a", "prefix": "Bearer " }), "prefix"),
        (json!({ "kind": "secret", "query": "" }), "query"),
        (
            json!({ "kind": "secret", "header": "a", "handshake": { "kind": "crc" } }),
            "kind hmac",
        ),
        (json!({ "kind": "standard-webhooks", "tolerance_s": 0 }), "between 1 and 86400"),
    ] {
        let problem = parse(settings.clone()).expect_err("settings that make no sense");
        assert!(problem.contains(told), "{settings}: {problem}");
    }
}

#[test]
fn the_wrong_secret_of_several_that_a_service_shows_is_found() {
    let refused = |kind: &str, secret: &str, told: &str| {
        let problem = settings(json!({ "kind": kind })).check_secret(secret).expect_err("no secret");
        assert!(problem.contains(told), "{kind}: {problem}");
        assert!(secret.is_empty() || !problem.contains(secret), "{problem}");
    };
    for kind in ["github", "stripe", "slack", "shopify", "gitlab", "standard-webhooks"] {
        refused(kind, "", "8 to 1024 characters");
        refused(kind, "1234567", "8 to 1024 characters");
        refused(kind, &"x".repeat(1_025), "8 to 1024 characters");
        refused(kind, "a-secret-and-a-line\n", "no spaces around it");
        refused(kind, " whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "no spaces around it");
    }
    refused("stripe", "sk_live_4eC39HqLyjWDarjtT1zdp7dc", "begins with whsec_");
    refused("slack", "xoxb-17653672481-19874698323", "signing secret");
    refused("standard-webhooks", "whpk_FR5dJKFm3fVkeWYTjmZcQJJZc2bUHxGJ5oRk6WCYyTk=", "key pair");
    refused("standard-webhooks", "whsec_not base64", "base64");
    refused("standard-webhooks", "whsec_AAECAwQFBgcICQo=", "at least 16 bytes");
    refused("gitlab", "whsec_short", "base64");
    refused("gitlab", "geheimnis-für-alle", "ASCII");
    let meta = hmac(json!({ "handshake": { "kind": "hub", "verify_token": "meatyhamhock" } })).expect("settings");
    assert!(meta.check_secret("meatyhamhock").is_err());
    assert!(meta.check_secret("another-secret").is_ok());
}

#[test]
fn only_kinds_that_are_asked_with_get_answer_it() {
    let with = |handshake: &str| hmac(json!({ "handshake": { "kind": handshake } })).expect("settings");
    assert!(with("challenge").answers_get() && with("crc").answers_get() && with("okta").answers_get());
    assert!(!with("zoom").answers_get());
    assert!(!hmac(json!({})).expect("settings").answers_get());
    for kind in ["github", "stripe", "shopify", "gitlab", "standard-webhooks"] {
        assert!(!settings(json!({ "kind": kind })).answers_get(), "{kind}");
    }
}
