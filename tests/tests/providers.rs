//! Services that sign by themselves (docs/inbound.md), with requests that their own libraries have signed: each as it is, with
//! another secret, changed by one byte, repeated, and too late.

use std::{path::Path, process::Command, time::Duration};

use hookyard_tests::{
    client::Answer,
    database::Kind,
    host::TestHost,
    on_both_databases, python,
    receiver::Receiver,
    server,
    setup::{Endpoint, SetupFile, Tenant},
    wait::until,
};
use http::Method;
use serde_json::{Value, json};

on_both_databases!(each_request_of_a_provider_counts_once_and_only_as_it_was_signed);

/// Longer than the tolerance of every provider.
const TOO_LATE: Duration = Duration::from_secs(301);

/// What the libraries have signed now; what a line holds is said in the program.
fn signed() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/signing");
    let programs = python::programs(&folder.join("requirements.txt"));
    let output = Command::new(programs.join("python"))
        .arg(folder.join("sign.py"))
        .output()
        .expect("Python can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("its lines are text");
    lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .collect()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// Whether the signature is over the body, so that a changed one is noticed.
fn covers_the_body(line: &Value) -> bool {
    text(line, "kind") != "secret" && text(line, "name") != "gitlab, secret token" && text(line, "method") == "POST"
}

/// Whether it is over a time, too.
fn has_a_time(line: &Value) -> bool {
    ["stripe", "slack", "standard-webhooks"].contains(&text(line, "kind"))
        || ["gitlab, signing token", "hmac, zoom", "hmac, zoom's question", "hmac, paddle"].contains(&text(line, "name"))
}

/// The same text but for one character, which stays one of its alphabet.
fn another(text: &str) -> String {
    let mut letters = text.char_indices().rev().filter(|(_, letter)| letter.is_ascii_alphanumeric());
    // Not the last ones: those of base64 may stand for bits that do not count.
    let (at, letter) = letters.nth(4).expect("there are enough of them");
    let other = if letter == 'a' { "b" } else { "a" };
    format!("{}{other}{}", &text[..at], &text[at + 1..])
}

struct Yard {
    host: TestHost,
    token: String,
}

impl Yard {
    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        self.host.client().call(method, path, Some(&self.token), body).await
    }

    /// The ingest URL of a new sender that checks like this.
    async fn sender(&self, settings: &Value, secret: &str) -> String {
        let mut verification = settings.clone();
        verification["secrets"] = json!([secret]);
        let made = self
            .call(Method::POST, "/api/v1/senders", Some(&json!({ "verification": verification })))
            .await;
        assert_eq!(made.status, 201, "{settings}: {}", made.text());
        let token = made.json()["token"].as_str().expect("a new sender has a token").to_owned();
        self.host.ingest_url(&token)
    }

    async fn post(&self, url: &str, line: &Value, body: &str) -> Answer {
        let url = line["query"]
            .as_str()
            .map_or_else(|| url.to_owned(), |query| format!("{url}?{query}"));
        if text(line, "method") == "GET" {
            return self.host.client().request(Method::GET, &url).await;
        }
        let headers = line["headers"].as_object().expect("a line has headers");
        let mut post = self.host.client().post_to(&url, body.to_owned());
        for (name, value) in headers {
            post = post.header(name, value.as_str().expect("a header is text"));
        }
        post.send().await
    }

    /// The first time: an event as the provider meant it, or the answer to its question.
    async fn is_as_meant(&self, line: &Value, answer: &Answer) {
        let (name, expected) = (text(line, "name"), &line["expected"]);
        match &expected["reply"] {
            Value::Null => {}
            Value::String(reply) => {
                assert_eq!((answer.status, answer.text().as_str()), (200, reply.as_str()), "{name}");
                return;
            }
            reply => {
                assert_eq!((answer.status, &answer.json()), (200, reply), "{name}");
                return;
            }
        }
        assert_eq!(answer.status, 202, "{name}: {}", answer.text());
        let path = format!("/api/v1/events/{}", answer.event_id());
        let event = self.call(Method::GET, &path, None).await.json();
        assert_eq!(text(&event, "event_type"), text(expected, "event_type"), "{name}");
        assert_eq!(event["idempotency_key"], expected["idempotency_key"], "{name}");
        let payload = self.call(Method::GET, &format!("{path}/payload"), None).await;
        let meant = expected["payload"].as_str().unwrap_or(text(line, "body"));
        assert_eq!(payload.text(), meant, "{name}");
    }
}

async fn each_request_of_a_provider_counts_once_and_only_as_it_was_signed(kind: Kind) {
    let receiver = Receiver::start().await;
    let acme = Tenant::named("acme").endpoint(Endpoint::new("hook", &receiver.url("/hook")));
    let host = TestHost::builder(kind).setup(SetupFile::new().tenant(acme)).start().await;
    let made = server::run(host.database(), &["token", "create", "--tenant", "acme", "--rights", "write"]).await;
    let token = String::from_utf8(made.stdout).expect("a token is text").trim().to_owned();
    let mut yard = Yard { host, token };
    until("the server knows the token", async || {
        (yard.call(Method::GET, "/api/v1/status", None).await.status == 200).then_some(())
    })
    .await;

    let lines = tokio::task::spawn_blocking(signed).await.expect("the lines are signed");
    assert!(lines.len() >= 18, "{} lines", lines.len());
    let mut urls = Vec::new();
    for line in &lines {
        let (name, body, secret) = (text(line, "name"), text(line, "body"), text(line, "secret"));
        let url = yard.sender(&line["settings"], secret).await;
        let stranger = yard.sender(&line["settings"], &another(secret)).await;
        // Meta's question is opened by a word of its own, not by the secret.
        if text(line, "method") == "POST" {
            let refused = yard.post(&stranger, line, body).await;
            assert_eq!(
                (refused.status, refused.body.len()),
                (401, 0),
                "{name}, another secret: {}",
                refused.text()
            );
        }
        if covers_the_body(line) {
            let changed = another(body);
            assert_eq!(yard.post(&url, line, &changed).await.status, 401, "{name}, one byte changed");
        }
        let first = yard.post(&url, line, body).await;
        yard.is_as_meant(line, &first).await;
        let again = yard.post(&url, line, body).await;
        match &line["expected"]["idempotency_key"] {
            Value::String(_) => assert_eq!((again.status, again.event_id()), (200, first.event_id()), "{name}, repeated"),
            // What has no id of its own cannot be told from another of its kind.
            _ => assert_eq!(again.status, first.status, "{name}, repeated"),
        }
        urls.push(url);
    }
    yard.host.advance(TOO_LATE);
    for (line, url) in lines.iter().zip(&urls) {
        let late = yard.post(url, line, text(line, "body")).await;
        let expected = if has_a_time(line) { late.status == 401 } else { late.status < 300 };
        assert!(expected, "{}, too late: {} {}", text(line, "name"), late.status, late.text());
    }
    yard.host.stop().await;
}
