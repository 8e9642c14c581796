//! Signatures that were made by others and are printed on their pages.

use super::*;

/// <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>, "Testing the webhook payload
/// validation". Its body is not JSON: that it comes to reading it shows that the signature was right.
#[test]
fn githubs_example_verifies() {
    let sent = Sent::post(b"Hello, World!").with(
        "x-hub-signature-256",
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
    );
    let verify = |secret: &str| settings(json!({ "kind": "github" })).verify(&[secret], &sent.request(), at(0));
    let Err(refused) = verify("It's a Secret to Everybody") else {
        panic!("a body that is not JSON")
    };
    assert!(refused.is_authentic(), "{refused}");
    assert!(matches!(verify("It's a secret to everybody"), Err(Refused::WrongSignature { .. })));
    // The same, for a sender that does not look into the body.
    let plain = settings(json!({ "kind": "hmac", "header": "x-hub-signature-256", "prefix": "sha256=" }));
    assert!(plain.verify(&["It's a Secret to Everybody"], &sent.request(), at(0)).is_ok());
}

/// <https://docs.slack.dev/authentication/verifying-requests-from-slack>: secret, time, body and signature of its walk-through.
#[test]
fn slacks_example_verifies() {
    let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&\
                channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&\
                response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&\
                trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let sent = Sent::post(body.as_bytes())
        .form()
        .with("x-slack-request-timestamp", "1531420618")
        .with(
            "x-slack-signature",
            "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        );
    let slack = settings(json!({ "kind": "slack" }));
    let verified = slack.verify(&["8f742231b10e8888abcd99yyyzzz85a5"], &sent.request(), at(1_531_420_700));
    let Ok(Verified::Event {
        event_type,
        idempotency_key,
        payload: Payload::Json(json),
    }) = verified
    else {
        panic!("{verified:?}");
    };
    assert_eq!(event_type.as_deref(), Some("slash_command"));
    assert_eq!(
        idempotency_key.as_deref(),
        Some("398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c")
    );
    let fields: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(fields["command"], "/webhook-collect");
    assert_eq!(fields["text"], "");
    assert_eq!(
        fields["response_url"],
        "https://hooks.slack.com/commands/T1DC2JH3J/397700885554/96rGlfmibIGlgcZRskXaIFfN"
    );
}

fn standard_example(prefix: &str, [secret, id, time, body, signature]: [&str; 5]) -> Result<Verified, Refused> {
    let sent = Sent::post(body.as_bytes())
        .with(&format!("{prefix}-id"), id)
        .with(&format!("{prefix}-timestamp"), time)
        .with(&format!("{prefix}-signature"), signature);
    let standard = settings(json!({ "kind": "standard-webhooks" }));
    standard.check_secret(secret).expect("a secret");
    standard.verify(&[secret], &sent.request(), at(time.parse().expect("a time")))
}

/// The example that the Standard Webhooks libraries are tested with
/// (<https://github.com/standard-webhooks/standard-webhooks>, `libraries/`), and the same secret without its first word.
#[test]
fn the_example_of_standard_webhooks_verifies() {
    for secret in ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
        let example = [
            secret,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "1614265330",
            r#"{"test": 2432232314}"#,
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ];
        for prefix in ["webhook", "svix"] {
            assert_eq!(
                standard_example(prefix, example),
                Ok(Verified::Event {
                    event_type: None,
                    idempotency_key: Some("msg_p5jXN8AQM9LWM0D4loKWxJek".to_owned()),
                    payload: Payload::AsReceived,
                })
            );
        }
    }
}

/// <https://docs.svix.com/receiving/verifying-payloads/how-manual>, "Example signatures"; the list of three signatures is from
/// the same page.
#[test]
fn svixs_example_verifies() {
    fn example(signature: &str) -> [&str; 5] {
        [
            "whsec_plJ3nmyCDGBKInavdOK15jsl",
            "msg_loFOjxBNrRLzqYUf",
            "1731705121",
            r#"{"event_type":"ping","data":{"success":true}}"#,
            signature,
        ]
    }
    let signature = "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=";
    assert!(standard_example("svix", example(signature)).is_ok());
    let others = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1,bm9ldHUjKzFob2VudXRob2VodWUzMjRvdWVvdW9ldQo= \
                  v2,MzJsNDk4MzI0K2VvdSMjMTEjQEBAQDEyMzMzMzEyMwo=";
    let list = format!("{others} {signature}");
    assert!(standard_example("svix", example(&list)).is_ok());
    assert!(matches!(
        standard_example("svix", example(others)),
        Err(Refused::WrongSignature { .. })
    ));
}

/// The header of <https://docs.stripe.com/webhooks#verify-manually>. Its secret and body are not printed there, so it shows the
/// form alone: read, and then found to be signed by somebody else.
#[test]
fn stripes_example_is_read() {
    let sent = Sent::post(b"{}").with(
        "stripe-signature",
        "t=1492774577,v1=5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd,\
         v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39",
    );
    let refused = settings(json!({ "kind": "stripe" })).verify(&["whsec_some_secret"], &sent.request(), at(1_492_774_577));
    assert!(matches!(refused, Err(Refused::WrongSignature { .. })), "{refused:?}");
}
