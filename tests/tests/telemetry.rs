//! What the server tells about itself over HTTP: its counters and its health.

use hookyard_tests::{
    client::Client,
    database::Kind,
    host::TestHost,
    on_both_databases,
    receiver::Receiver,
    setup::{Endpoint, SetupFile, Tenant, endpoint_token},
    wait::until,
};

on_both_databases!(
    what_is_accepted_and_refused_is_counted,
    a_server_that_cannot_read_its_configuration_is_alive_and_not_ready,
);

/// The value of one line of `/metrics`, 0 where there is none yet.
async fn metric(client: &Client, name: &str) -> u64 {
    let answer = client.get("/metrics").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let text = answer.text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |value| value.parse().expect("a counter is a whole number"))
}

async fn what_is_accepted_and_refused_is_counted(kind: Kind) {
    let receiver = Receiver::start().await;
    let acme = Tenant::named("acme").endpoint(Endpoint::new("hook", &receiver.url("/hook")));
    let host = TestHost::builder(kind).setup(SetupFile::new().tenant(acme)).start().await;
    let client = host.client();
    let hook = endpoint_token("acme", "hook");
    for (token, key, body, status) in [
        (hook.as_str(), "one", "{}", 202),
        (&hook, "two", "{}", 202),
        (&hook, "one", "{}", 200),
        (&hook, "one", "{", 200),
        (&hook, "three", "{", 400),
        ("dst_unknown", "three", "{}", 404),
        ("dst_unknown", "three", "{}", 404),
    ] {
        let answer = client.post(token, body).key(key).send().await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    assert_eq!(client.post(&hook, "{}").without("x-api-key").send().await.status, 401);
    until("both deliveries are counted", async || {
        (metric(client, "hookyard_attempts_total{delivery=\"delivered\"}").await == 2).then_some(())
    })
    .await;
    for (name, value) in [
        ("hookyard_events_accepted_total", 2),
        ("hookyard_events_repeated_total", 2),
        ("hookyard_requests_refused_total{reason=\"not-json\"}", 1),
        ("hookyard_requests_refused_total{reason=\"unknown-token\"}", 2),
        ("hookyard_requests_refused_total{reason=\"unknown-credential\"}", 1),
    ] {
        assert_eq!(metric(client, name).await, value, "{name}");
    }
    let text = client.get("/metrics").await.text();
    assert!(!text.contains("acme"), "counters name nobody: {text}");
}

async fn a_server_that_cannot_read_its_configuration_is_alive_and_not_ready(kind: Kind) {
    let host = TestHost::builder(kind).start().await;
    let client = host.client();
    assert_eq!(client.get("/health/ready").await.status, 200);
    host.database().execute("ALTER TABLE configuration RENAME TO elsewhere").await;
    let answer = client.get("/health/ready").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["detail"], "the configuration cannot be read");
    assert_eq!(client.get("/health/live").await.status, 200);
    host.database().execute("ALTER TABLE elsewhere RENAME TO configuration").await;
    assert_eq!(client.get("/health/ready").await.status, 200);
}
