//! Lists of signatures, and what is taken from headers and bodies.

use super::*;

fn event(verified: Result<Verified, Refused>) -> (Option<String>, Option<String>, Payload) {
    match verified {
        Ok(Verified::Event {
            event_type,
            idempotency_key,
            payload,
        }) => (event_type, idempotency_key, payload),
        other => panic!("{other:?}"),
    }
}

fn verify(kind: &str, secret: &str, sent: &Sent) -> Result<Verified, Refused> {
    settings(json!({ "kind": kind })).verify(&[secret], &sent.request(), at(NOW_SECS))
}

#[test]
fn of_a_list_of_signatures_any_of_the_first_sixteen_counts() {
    let secret = KEYS[0];
    let wrong = sha256_hex(b"another", &[b""]);
    let sent = |before: usize| {
        let mut sent = stripe(secret, NOW_SECS, BODY.as_bytes());
        let good = sent.headers["stripe-signature"].to_str().expect("ASCII").to_owned();
        let (time, signature) = good.split_once(',').expect("a list");
        sent.set(
            "stripe-signature",
            &format!("{time}{}, {signature}", format!(",v1={wrong}").repeat(before)),
        );
        sent
    };
    assert!(verify("stripe", secret, &sent(1)).is_ok());
    assert!(verify("stripe", secret, &sent(15)).is_ok());
    assert!(matches!(verify("stripe", secret, &sent(16)), Err(Refused::WrongSignature { .. })));

    let standard = |before: usize| {
        let mut sent = standard_named("webhook", secret, NOW_SECS, BODY.as_bytes());
        let good = sent.headers["webhook-signature"].to_str().expect("ASCII").to_owned();
        let wrong = format!("v1,{} ", sha256_base64(b"another", &[b""])).repeat(before);
        sent.set("webhook-signature", &format!("v1a,hnO3f9T8Ytu9HwrXslvumg== {wrong}{good}"));
        sent
    };
    assert!(verify("standard-webhooks", secret, &standard(15)).is_ok());
    assert!(verify("standard-webhooks", secret, &standard(16)).is_err());
}

#[test]
fn a_header_beyond_its_bound_is_not_looked_into() {
    let mut sent = stripe(KEYS[0], NOW_SECS, BODY.as_bytes());
    let good = sent.headers["stripe-signature"].to_str().expect("ASCII").to_owned();
    sent.set("stripe-signature", &format!("{good},v0={}", "0".repeat(4_096 - good.len() - 4)));
    assert!(verify("stripe", KEYS[0], &sent).is_ok());
    sent.set("stripe-signature", &format!("{good},v0={}", "0".repeat(4_096 - good.len() - 3)));
    assert!(matches!(verify("stripe", KEYS[0], &sent), Err(Refused::Malformed { .. })));
}

#[test]
fn stripes_other_schemes_are_ignored() {
    let mut sent = stripe(KEYS[0], NOW_SECS, BODY.as_bytes());
    let value = sent.headers["stripe-signature"].to_str().expect("ASCII").replace("v1=", "v0=");
    sent.set("stripe-signature", &value);
    assert!(matches!(verify("stripe", KEYS[0], &sent), Err(Refused::Malformed { .. })));
    sent.set("stripe-signature", &format!("t=1,{}", value.replace("v0=", "v1=")));
    assert!(
        matches!(verify("stripe", KEYS[0], &sent), Err(Refused::Malformed { .. })),
        "two times"
    );
}

#[test]
fn githubs_real_bodies_have_their_types() {
    for (name, body, event_type) in [
        (
            "issues",
            include_str!("../../../../tests/fixtures/github/issues.opened.json"),
            "issues.opened",
        ),
        ("push", include_str!("../../../../tests/fixtures/github/push.branch.json"), "push"),
        (
            "workflow_run",
            include_str!("../../../../tests/fixtures/github/workflow_run.completed.json"),
            "workflow_run.completed",
        ),
        (
            "fork",
            include_str!("../../../../tests/fixtures/github/fork.repository.json"),
            "fork",
        ),
    ] {
        let sent = github(TEXTS[0], 0, body.as_bytes()).with("x-github-event", name);
        let (found, _, payload) = event(verify("github", TEXTS[0], &sent));
        assert_eq!(found.as_deref(), Some(event_type));
        assert_eq!(payload.bytes(&sent.body), body.as_bytes());
    }
}

#[test]
fn githubs_form_is_signed_as_it_came_and_taken_as_its_json() {
    let body = b"payload=%7B%22action%22%3A%22opened%22%2C+%22n%22%3A+%22%C3%A9%22%7D";
    let (event_type, key, payload) = event(verify("github", TEXTS[0], &github(TEXTS[0], 0, body).form()));
    assert_eq!(event_type.as_deref(), Some("issues.opened"));
    assert_eq!(key.as_deref(), Some("72d3162e-cc78-11e3-81ab-4c9367dc0958"));
    assert_eq!(payload, Payload::Json("{\"action\":\"opened\", \"n\": \"é\"}".to_owned()));

    let json = b"{\"action\":\"opened\"}";
    let mut signed_over_the_json = github(TEXTS[0], 0, json).form();
    signed_over_the_json.body = b"payload=%7B%22action%22%3A%22opened%22%7D".to_vec();
    let refused = verify("github", TEXTS[0], &signed_over_the_json);
    assert!(matches!(refused, Err(Refused::WrongSignature { .. })), "{refused:?}");
}

#[test]
fn a_body_that_is_signed_and_unreadable_is_refused_as_authentic() {
    for (kind, sent) in [
        ("github", github(TEXTS[0], 0, b"a=b").form()),
        ("github", github(TEXTS[0], 0, b"payload={").form()),
        ("github", github(TEXTS[0], 0, b"")),
        ("slack", slack(TEXTS[0], NOW_SECS, b"payload=x").form()),
        ("slack", slack(TEXTS[0], NOW_SECS, b"{\"type\":\"url_verification\"}")),
        ("gitlab", gitlab_token(TEXTS[0], 0, b"[")),
    ] {
        let refused = verify(kind, TEXTS[0], &sent);
        assert!(matches!(&refused, Err(refused) if refused.is_authentic()), "{kind}: {refused:?}");
    }
}

#[test]
fn slacks_events_interactions_and_commands_have_types_and_keys() {
    let sent = |body: &str| slack(TEXTS[0], NOW_SECS, body.as_bytes());
    let found = |sent: Sent| event(verify("slack", TEXTS[0], &sent));

    let body = r#"{"type":"event_callback","event":{"type":"app_mention","user":"U1"},"event_id":"Ev08MFMKH6"}"#;
    assert_eq!(
        found(sent(body)),
        (Some("app_mention".to_owned()), Some("Ev08MFMKH6".to_owned()), Payload::AsReceived)
    );
    let (event_type, key, _) = found(sent(r#"{"type":"app_rate_limited","minute_rate_limited":1518467820}"#));
    assert_eq!((event_type.as_deref(), key), (Some("app_rate_limited"), None));

    let json = r#"{"type":"block_actions","trigger_id":"12466734323.1395872398","actions":[]}"#;
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("payload", json)
        .finish();
    assert_eq!(
        found(sent(&body).form()),
        (
            Some("block_actions".to_owned()),
            Some("12466734323.1395872398".to_owned()),
            Payload::Json(json.to_owned())
        )
    );
    let (event_type, _, payload) = found(sent("command=%2Fweather&text=94070+%26+more&trigger_id=1.2").form());
    assert_eq!(event_type.as_deref(), Some("slash_command"));
    let fields: serde_json::Value = serde_json::from_slice(payload.bytes(b"")).expect("JSON");
    assert_eq!(
        fields,
        json!({ "command": "/weather", "text": "94070 & more", "trigger_id": "1.2" })
    );
}

#[test]
fn gitlabs_names_are_spelled_with_underscores() {
    for (header, body, event_type) in [
        ("Push Hook", r#"{"object_kind":"push"}"#, "push"),
        (
            "Merge Request Hook",
            r#"{"object_attributes":{"action":"merge"},"action":"x"}"#,
            "merge_request.merge",
        ),
        (
            "Confidential Issue Hook",
            r#"{"object_attributes":{"action":"open"}}"#,
            "confidential_issue.open",
        ),
        ("Release Hook", r#"{"action":"create"}"#, "release.create"),
        ("System Hook", r#"{"event_name":"project_create"}"#, "system.project_create"),
        (
            "System Hook",
            r#"{"object_kind":"merge_request","object_attributes":{"action":"open"}}"#,
            "system.merge_request",
        ),
        ("Something New", "[]", "something_new"),
    ] {
        let sent = gitlab_token(TEXTS[0], 0, body.as_bytes()).with("x-gitlab-event", header);
        let (found, ..) = event(verify("gitlab", TEXTS[0], &sent));
        assert_eq!(found.as_deref(), Some(event_type));
    }
}

#[test]
fn gitlabs_secret_token_is_no_way_around_a_signature() {
    let (token, signing) = (TEXTS[0], KEYS[0]);
    let gitlab = settings(json!({ "kind": "gitlab" }));
    let verify = |secrets: &[&str], sent: &Sent| gitlab.verify(secrets, &sent.request(), at(NOW_SECS));
    let mut both = gitlab_signed(signing, NOW_SECS, BODY.as_bytes()).with("x-gitlab-token", token);
    assert!(verify(&[signing, token], &both).is_ok());
    assert!(verify(&[signing], &both).is_ok());
    assert!(verify(&[token], &both).is_ok());
    assert!(verify(&[signing, token], &gitlab_token(token, 0, BODY.as_bytes())).is_ok());

    both.body.push(b' ');
    assert!(matches!(verify(&[signing, token], &both), Err(Refused::WrongSignature { .. })));
    let unsigned = gitlab_token(token, 0, BODY.as_bytes());
    assert!(matches!(verify(&[signing], &unsigned), Err(Refused::Missing { .. })));
    let shown = gitlab_token(signing, 0, BODY.as_bytes());
    assert!(
        matches!(verify(&[signing, token], &shown), Err(Refused::WrongSecret { .. })),
        "a signing token is never taken as a secret token"
    );
}

#[test]
fn gitlab_without_an_idempotency_key_has_none() {
    let mut sent = gitlab_token(TEXTS[0], 0, BODY.as_bytes());
    sent.headers.remove("idempotency-key");
    let (_, key, _) = event(verify("gitlab", TEXTS[0], &sent));
    assert_eq!(key, None, "the event's UUID is shared by webhooks that cause one another");
}

#[test]
fn a_name_that_is_too_long_or_odd_is_left_out_and_the_event_is_kept() {
    let long = "x".repeat(256);
    for name in ["", "  ", &long, "a\tb"] {
        let sent = github(TEXTS[0], 0, b"{}")
            .with("x-github-event", name)
            .with("x-github-delivery", name);
        let (event_type, key, _) = event(verify("github", TEXTS[0], &sent));
        assert_eq!((event_type, key), (None, None), "{name:.10}");
    }
    for value in [json!(long), json!(""), json!("a\u{0}b"), json!({}), json!(null)] {
        let body = json!({ "type": value, "id": value }).to_string();
        let (event_type, key, _) = event(verify("stripe", KEYS[0], &stripe(KEYS[0], NOW_SECS, body.as_bytes())));
        assert_eq!((event_type, key), (None, None));
    }
    let body = json!({ "action": "x".repeat(250) }).to_string();
    let (event_type, ..) = event(verify("github", TEXTS[0], &github(TEXTS[0], 0, body.as_bytes())));
    assert_eq!(event_type, None, "the two together are too long");
}

#[test]
fn a_generic_sender_reads_the_body_only_if_it_is_asked_to() {
    let hmac = |more: serde_json::Value| {
        let mut value = json!({ "kind": "hmac", "header": "x-signature" });
        value
            .as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        settings(value)
    };
    let body = b"not JSON";
    let sent = Sent::post(body).with("x-signature", &sha256_hex(TEXTS[0].as_bytes(), &[body]));
    let verify = |settings: Verification| settings.verify(&[TEXTS[0]], &sent.request(), at(0));
    assert!(verify(hmac(json!({}))).is_ok());
    assert!(verify(hmac(json!({ "event_type_from": "header:x-type" }))).is_ok());
    let refused = verify(hmac(json!({ "idempotency_key_from": "body:id" })));
    assert!(matches!(refused, Err(Refused::BodyNotReadable(_))), "{refused:?}");

    let body = br#"{"id":7,"event":{"kind":"a.b"}}"#;
    let sent = Sent::post(body).with("x-signature", &sha256_hex(TEXTS[0].as_bytes(), &[body]));
    let both = hmac(json!({ "event_type_from": "body:event/kind", "idempotency_key_from": "body:id" }));
    let (event_type, key, _) = event(both.verify(&[TEXTS[0]], &sent.request(), at(0)));
    assert_eq!((event_type.as_deref(), key.as_deref()), (Some("a.b"), Some("7")));
}

#[test]
fn a_header_of_the_signed_text_must_be_there() {
    let settings = settings(json!({ "kind": "hmac", "header": "x-signature", "signed": "{header:x-id}{body}" }));
    let sent = Sent::post(b"{}").with("x-signature", &sha256_hex(TEXTS[0].as_bytes(), &[b"{}"]));
    assert_eq!(
        settings.verify(&[TEXTS[0]], &sent.request(), at(0)),
        Err(Refused::Missing {
            place: "header x-id".to_owned()
        })
    );
}

#[test]
fn a_time_that_is_no_number_is_refused() {
    for time in ["", "now", "-1", "1e9", "99999999999999999999"] {
        let sent = slack(TEXTS[0], NOW_SECS, b"{}").with("x-slack-request-timestamp", time);
        let refused = verify("slack", TEXTS[0], &sent);
        assert!(matches!(refused, Err(Refused::Malformed { .. })), "{time}: {refused:?}");
    }
}
