//! The ingest route against docs/contracts/hooksentry.md, section 12: every answer, in the contract's order of checks, and what
//! reaches the endpoint afterwards.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use hookyard_domain::{EventId, Scope};
use hookyard_tests::{
    client::{Answer, Client},
    database::{Kind, TestDatabase},
    host::TestHost,
    on_both_databases,
    receiver::{Receiver, Reply},
    server::{self, Server},
    setup::{Endpoint, Sender, SetupFile, Tenant, api_key, endpoint_token, sender_token},
    wait::{PATIENCE, bounded, until},
};
use http::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

on_both_databases!(
    checks_come_in_the_contracts_order,
    a_known_key_is_answered_before_anything_else_is_checked,
    acceptance_names_the_event_and_where_to_find_it,
    a_repeated_key_is_answered_with_the_events_current_status,
    a_key_names_one_event_per_tenant,
    bodies_reach_their_endpoint_byte_for_byte,
    two_hundred_posts_with_one_key_are_one_event,
);

/// Small enough that a test can pass it, large enough for what the others post.
const BODY_BYTES_MAX: usize = 6 << 20;

fn setup(receiver: &Receiver) -> SetupFile {
    let acme = Tenant::named("acme")
        .endpoint(Endpoint::new("hook", &receiver.url("/hook")))
        .endpoint(Endpoint::new("off", &receiver.url("/off")).inactive())
        .endpoint(Endpoint::new("picky", &receiver.url("/picky")).events(&["order.*"]))
        .sender(Sender::new("plain").endpoints(&["hook"]))
        .sender(Sender::new("nobody").endpoints(&["picky"]).event_type_header("x-event"))
        .sender(Sender::new("off").inactive())
        .sender(Sender::new("waiting").plugin("absent"));
    let once = Tenant::named("once")
        .attempts_max(1)
        .endpoint(Endpoint::new("hook", &receiver.url("/once")));
    SetupFile::new().tenant(acme).tenant(once)
}

async fn host(kind: Kind, receiver: &Receiver) -> TestHost {
    TestHost::builder(kind)
        .setup(setup(receiver))
        .config(|config| config.body_bytes_max = BODY_BYTES_MAX)
        .start()
        .await
}

fn hook() -> String {
    endpoint_token("acme", "hook")
}

async fn checks_come_in_the_contracts_order(kind: Kind) {
    let receiver = Receiver::start().await;
    let host = host(kind, &receiver).await;
    let client = host.client();
    let (base, ours, other) = (client.base(), host.tenant("acme"), host.tenant("once"));
    let url = |tenant: &str, token: &str| format!("{base}/api/v1/ingest/{tenant}/{token}");
    let (ours, other) = (ours.to_string(), other.to_string());
    let long = format!("dst_{}", "x".repeat(509));
    let (foreign, off) = (endpoint_token("once", "hook"), endpoint_token("acme", "off"));
    let off_sender = sender_token("acme", "off");
    let (ours_key, json_type, key) = (api_key("acme"), "application/json", "k".repeat(256));
    // Each line mends the first fault of the line before it; all later faults are still there.
    let lines: &[(u16, &str, &str, &str, &str, &str, &str)] = &[
        (404, "not-a-uuid", &long, "", "text/plain", &key, "{"),
        (401, &other, &long, "", "text/plain", &key, "{"),
        (401, &other, &long, "wrong-key-0123456789abcdef", "text/plain", &key, "{"),
        (415, &other, &long, &ours_key, "text/plain", &key, "{"),
        (415, &other, &long, &ours_key, "application/x-www-form-urlencoded", &key, "{"),
        (403, &other, &long, &ours_key, json_type, &key, "{"),
        (400, &ours, &long, &ours_key, json_type, &key, "{"),
        (400, &ours, "src_x", &ours_key, json_type, &key, "{"),
        (404, &ours, "dst_unknown", &ours_key, json_type, &key, "{"),
        (404, &ours, "sndr_unknown", &ours_key, json_type, &key, "{"),
        (403, &ours, &foreign, &ours_key, json_type, &key, "{"),
        (422, &ours, &off, &ours_key, json_type, &key, "{"),
        (422, &ours, &off_sender, &ours_key, json_type, &key, "{"),
        (400, &ours, &hook(), &ours_key, json_type, &key, "{"),
        (400, &ours, &hook(), &ours_key, json_type, "fine", "{"),
        (202, &ours, &hook(), &ours_key, json_type, "fine", "{}"),
        (202, &ours, &hook(), &ours_key, "Application/JSON; Charset=UTF-8", "better", "{}"),
        (202, &ours, &hook(), &ours_key, "application/cloudevents+json", "best", "{}"),
    ];
    for (number, (status, tenant, token, api_key, content_type, key, body)) in lines.iter().enumerate() {
        let answer = client
            .post_to(&url(tenant, token), (*body).to_owned())
            .header("x-api-key", api_key)
            .header("content-type", content_type)
            .key(key)
            .send()
            .await;
        assert_eq!(answer.status, *status, "line {number}: {}", answer.text());
        assert_eq!(answer.header("access-control-allow-origin"), "*", "line {number}");
        if [400, 403, 415, 422].contains(status) {
            assert!(answer.json().is_string(), "line {number}: a refusal says why in a JSON string");
        }
    }
    receiver.wait_for(3).await;
    assert_eq!(receiver.received().len(), 3, "what was refused goes nowhere");
}

async fn a_known_key_is_answered_before_anything_else_is_checked(kind: Kind) {
    let receiver = Receiver::start().await;
    let host = host(kind, &receiver).await;
    let client = host.client();
    let first = client.post(&hook(), "{}").key("known").send().await;
    assert_eq!(first.status, 202);
    for (token, body) in [
        (hook(), "{\"other\":1}"),
        (sender_token("acme", "plain"), "{}"),
        ("src_x".to_owned(), "{}"),
        ("dst_unknown".to_owned(), "{}"),
        ("sndr_unknown".to_owned(), "{}"),
        (endpoint_token("acme", "off"), "{}"),
        (hook(), "no json"),
    ] {
        let again = client.post(&token, body.to_owned()).key("known").send().await;
        assert_eq!((again.status, again.event_id()), (200, first.event_id()), "{token}");
        assert_eq!(again.header("location"), "");
        assert_eq!(again.json()["acceptedAt"], first.json()["acceptedAt"]);
    }
    let too_long = format!("dst_{}", "x".repeat(509));
    assert_eq!(
        client.post(&too_long, "{}").key("known").send().await.status,
        400,
        "a token's length comes first"
    );
    let refused = client.post(&hook(), "{}").key("known").without("x-api-key").send().await;
    assert_eq!(refused.status, 401, "a stranger learns of no key");
    receiver.wait_for(1).await;
    let (events, deliveries) = host.database().counts().await;
    assert_eq!((events[0].1, deliveries[0].1), (1, 1));
}

async fn acceptance_names_the_event_and_where_to_find_it(kind: Kind) {
    let receiver = Receiver::start().await;
    let host = host(kind, &receiver).await;
    for token in [hook(), sender_token("acme", "plain"), sender_token("acme", "waiting")] {
        let answer = host.client().post(&token, "[1]").send().await;
        let body = answer.json();
        let fields: BTreeSet<&str> = body.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!((answer.status, fields), (202, BTreeSet::from(["acceptedAt", "eventId", "status"])));
        assert_eq!(body["status"], json!("Pending"));
        assert_eq!(answer.header("location"), format!("/api/v1/events/{}", answer.event_id()));
        assert!(answer.header("content-type").starts_with("application/json"));
        let id: EventId = answer.event_id().parse().expect("the id is a UUID");
        let event = host
            .store()
            .event(Scope::Operator, id)
            .await
            .expect("read")
            .expect("what was accepted is there");
        assert_eq!(body["acceptedAt"], json!(event.accepted_at.to_string()));
        assert_eq!(
            host.store().payload(Scope::Operator, id).await.expect("read").expect("there"),
            b"[1]"
        );
    }
}

async fn status_becomes(client: &Client, token: &str, key: &str, status: &str) {
    until(&format!("the event of key {key} is {status}"), async || {
        let answer = client.post(token, "{}").key(key).send().await;
        assert!([200, 202].contains(&answer.status), "{}", answer.text());
        (answer.status == 200 && answer.json()["status"] == json!(status)).then_some(())
    })
    .await;
}

async fn a_repeated_key_is_answered_with_the_events_current_status(kind: Kind) {
    let receiver = Receiver::start().await;
    let host = host(kind, &receiver).await;
    let client = host.client();
    let once = endpoint_token("once", "hook");
    status_becomes(client, &hook(), "delivered", "Succeeded").await;
    receiver.script("/hook", [Reply::Status(503), Reply::Status(200)]);
    status_becomes(client, &hook(), "busy", "WaitingRetry").await;
    host.advance(Duration::from_secs(300));
    status_becomes(client, &hook(), "busy", "Succeeded").await;
    receiver.script("/once", [Reply::Status(500)]);
    status_becomes(client, &once, "given-up", "CriticalFailure").await;
    for status in [401, 403, 404] {
        receiver.script("/hook", [Reply::Status(status)]);
        status_becomes(client, &hook(), &format!("refused-{status}"), "AuthenticationFailed").await;
    }
    status_becomes(client, &sender_token("acme", "nobody"), "unwanted", "Cancelled").await;
    status_becomes(client, &sender_token("acme", "waiting"), "not-routed", "Pending").await;
    receiver.script("/hook", [Reply::Hang]);
    status_becomes(client, &hook(), "under-way", "Pending").await;
}

async fn a_key_names_one_event_per_tenant(kind: Kind) {
    let receiver = Receiver::start().await;
    let host = host(kind, &receiver).await;
    let client = host.client();
    let post = async |token: &str, key: &[u8]| client.post(token, "{}").header_bytes("x-idempotency-key", key).send().await;
    let fresh = async |token: &str, key: &[u8]| {
        let answer = post(token, key).await;
        assert_eq!(answer.status, 202, "{:?}: {}", String::from_utf8_lossy(key), answer.text());
        answer.event_id()
    };
    // A blank key counts as no key.
    assert_ne!(fresh(&hook(), b"").await, fresh(&hook(), b"   ").await);
    let first = fresh(&hook(), b"same").await;
    assert_ne!(fresh(&endpoint_token("once", "hook"), b"same").await, first);
    assert_eq!(post(&hook(), b"same").await.event_id(), first);
    assert_eq!(post(&sender_token("acme", "plain"), b" same ").await.event_id(), first);
    assert_ne!(fresh(&hook(), b"Same").await, first);
    // Lengths count in characters, not bytes.
    for longest in ["k".repeat(255), "é".repeat(255)] {
        let id = fresh(&hook(), longest.as_bytes()).await;
        assert_eq!(post(&hook(), longest.as_bytes()).await.event_id(), id);
    }
    for bad in ["k".repeat(256).into_bytes(), b"a\tb".to_vec(), vec![0xff, 0xfe]] {
        assert_eq!(post(&hook(), &bad).await.status, 400);
    }
}

/// Bodies that would keep their meaning, but not their bytes, if they were parsed and printed again.
fn awkward_bodies() -> Vec<Vec<u8>> {
    let texts = [
        "\r\n\t {\"a\" : 1 ,\r\n\t\"b\":[ ]}\n \n",
        "{\"a\":1.0,\"b\":1e400,\"c\":-0,\"d\":9223372036854775809,\"e\":0.1000,\"f\":1E+2}",
        "{\"a\":1,\"a\":2,\"b\":null,\"a\":3}",
        "{\"escaped\":\"\\ud83d\\ude00\\u0041\\/\",\"raw\":\"😀é\u{2028}\"}",
        "{\"lone\":\"\\ud800\"}",
        "{\"z\":1,\"a\":2,\"\":3}",
        "\"just text\"",
        "null",
        "  7  ",
        "[]",
    ];
    let mut bodies: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    bodies.push(["[".repeat(5_000), "]".repeat(5_000)].concat().into_bytes());
    let unit = "{\"n\": 0.10 ,\"s\":\"\\u00e9é\"},\n";
    let many = unit.repeat((5 << 20) / unit.len());
    bodies.push(format!("[{}null]", many).into_bytes());
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/github");
    for entry in fs::read_dir(fixtures).expect("the fixtures can be listed") {
        let path = entry.expect("the fixtures can be listed").path();
        if path.extension().is_some_and(|extension| extension == "json") {
            bodies.push(fs::read(path).expect("a fixture can be read"));
        }
    }
    assert!(bodies.len() > 25, "the fixtures are there");
    bodies
}

async fn bodies_reach_their_endpoint_byte_for_byte(kind: Kind) {
    let receiver = Receiver::start().await;
    let host = host(kind, &receiver).await;
    let mut expected = Vec::new();
    for body in awkward_bodies() {
        for token in [hook(), sender_token("acme", "plain")] {
            let post = host.client().post(&token, body.clone());
            let answer = post.header("content-type", "application/json; charset=utf-8").send().await;
            let start = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
            assert_eq!(answer.status, 202, "{start}: {}", answer.text());
            expected.push((answer.event_id(), body.clone(), start));
        }
    }
    let received = receiver.wait_for(expected.len()).await;
    for (id, body, start) in expected {
        let one = received.iter().find(|one| one.header("webhook-id") == id);
        let one = one.unwrap_or_else(|| panic!("{start} did not arrive"));
        assert!(one.body[..] == body[..], "{start} was changed on its way");
        assert_eq!(one.header("content-type"), "application/json; charset=utf-8");
        let stored = host
            .store()
            .payload(Scope::Operator, id.parse().expect("a UUID"))
            .await
            .expect("read");
        assert!(stored.expect("there") == body, "{start} was changed in the store");
    }
}

/// Posts the same key from many connections at once, each with a body of its own.
async fn post_all(clients: &[&Client], count: usize) -> Vec<(usize, Answer)> {
    let mut posts = JoinSet::new();
    for number in 0..count {
        let client = clients[number % clients.len()].clone();
        posts.spawn(async move {
            let body = format!("{{\"number\":{number}}}");
            (number, client.post(&hook(), body).key("one").send().await)
        });
    }
    posts.join_all().await
}

/// One answer is 202, all others 200, all name one event. Returns the winner's number and the event's id.
fn one_winner(answers: &[(usize, Answer)]) -> (usize, String) {
    let new: Vec<_> = answers.iter().filter(|(_, answer)| answer.status == 202).collect();
    assert_eq!(new.len(), 1);
    let id = new[0].1.event_id();
    for (number, answer) in answers {
        assert!(
            [200, 202].contains(&answer.status),
            "post {number}: {} {}",
            answer.status,
            answer.text()
        );
        assert_eq!(answer.event_id(), id, "post {number}");
    }
    (new[0].0, id)
}

async fn two_hundred_posts_with_one_key_are_one_event(kind: Kind) {
    let receiver = Receiver::start().await;
    let mut host = host(kind, &receiver).await;
    let answers = post_all(&[host.client()], 200).await;
    let (winner, id) = one_winner(&answers);
    status_becomes(host.client(), &hook(), "one", "Succeeded").await;
    host.restart().await;
    for (_, answer) in post_all(&[host.client()], 50).await {
        assert_eq!((answer.status, answer.event_id()), (200, id.clone()));
        assert_eq!(answer.json()["status"], json!("Succeeded"));
    }
    let (events, deliveries) = host.database().counts().await;
    assert_eq!(
        (events, deliveries),
        (vec![("routed".to_owned(), 1)], vec![("delivered".to_owned(), 1)])
    );
    let received = receiver.received();
    assert_eq!(received.len(), 1);
    assert_eq!(&received[0].body[..], format!("{{\"number\":{winner}}}").as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_keep_one_event_per_key() {
    bounded(async {
        let receiver = Receiver::start().await;
        let database = TestDatabase::fresh(Kind::Postgres).await;
        let tenants = server::apply(&database, &setup(&receiver)).await;
        let one = Server::on(&database).tenants(&tenants).start().await;
        let two = Server::on(&database).tenants(&tenants).start().await;
        let answers = post_all(&[one.client(), two.client()], 200).await;
        one_winner(&answers);
        status_becomes(two.client(), &hook(), "one", "Succeeded").await;
        assert_eq!(receiver.received().len(), 1);
    })
    .await;
}

/// Writes bytes to the server and reads what it answers, until it closes or answers in full.
async fn raw(client: &Client, bytes: &[u8]) -> String {
    let address = client.base().trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.expect("the server listens");
    // The server may close while we write; its answer is read all the same.
    drop(stream.write_all(bytes).await);
    let mut answer = Vec::new();
    let mut piece = [0; 4_096];
    let reading = async {
        while let Ok(read @ 1..) = stream.read(&mut piece).await {
            answer.extend_from_slice(&piece[..read]);
            if answer.windows(4).any(|window| window == b"\r\n\r\n") {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("the server answers or closes");
    String::from_utf8_lossy(&answer).into_owned()
}

fn head(client: &Client, extra: &str) -> Vec<u8> {
    let path = client.ingest_url(&hook()).replace(client.base(), "");
    let key = api_key("acme");
    format!("POST {path} HTTP/1.1\r\nHost: hookyard\r\nX-Api-Key: {key}\r\nContent-Type: application/json\r\n{extra}\r\n\r\n").into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_the_largest_size_is_taken_and_one_byte_more_is_not() {
    let receiver = Receiver::start().await;
    let host = host(Kind::Sqlite, &receiver).await;
    let client = host.client();
    let largest = format!("7{}", " ".repeat(BODY_BYTES_MAX - 1));
    assert_eq!(client.post(&hook(), largest.clone()).send().await.status, 202);
    let announced = raw(client, &head(client, &format!("Content-Length: {}", BODY_BYTES_MAX + 1))).await;
    assert!(announced.starts_with("HTTP/1.1 413 "), "refused before it is sent: {announced}");
    let mut chunked = head(client, "Transfer-Encoding: chunked");
    // Nothing after the first byte too many: bytes the server leaves unread could cost us its answer.
    chunked.extend(format!("{:x}\r\n{largest} ", BODY_BYTES_MAX + 1).into_bytes());
    let answer = raw(client, &chunked).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "refused when it grows too large: {answer}");
    let mut chunked = head(client, "Transfer-Encoding: chunked");
    chunked.extend(b"2\r\n[1\r\n3\r\n,2]\r\n0\r\n\r\n");
    assert!(raw(client, &chunked).await.starts_with("HTTP/1.1 202 "));
    let received = receiver.wait_for(2).await;
    assert!(received.iter().any(|one| &one.body[..] == b"[1,2]"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_json_is_refused() {
    let receiver = Receiver::start().await;
    let host = host(Kind::Sqlite, &receiver).await;
    let bad: &[&[u8]] = &[
        b"",
        b"  ",
        b"{",
        b"{\"a\":01}",
        b"{'a':1}",
        b"[1,]",
        b"{} {}",
        b"nul",
        b"NaN",
        b"\"\xff\"",
        b"\"\xed\xa0\x80\"",
        b"\"\x00\"",
        b"\xff\xfe{\x00}\x00",
        b"a=1&b=2",
        b"<xml/>",
    ];
    for body in bad {
        let answer = host.client().post(&hook(), body.to_vec()).send().await;
        assert_eq!(answer.status, 400, "{:?}: {}", String::from_utf8_lossy(body), answer.text());
        assert!(answer.json().is_string());
    }
    assert_eq!(host.database().counts().await.0, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_may_ask_and_other_methods_are_refused() {
    let receiver = Receiver::start().await;
    let host = host(Kind::Sqlite, &receiver).await;
    let client = host.client();
    let url = client.ingest_url(&hook());
    let preflight = client.request(Method::OPTIONS, &url).await;
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (204, "*"));
    assert!(preflight.header("access-control-allow-methods").contains("POST"));
    for name in ["content-type", "x-api-key", "x-idempotency-key"] {
        assert!(preflight.header("access-control-allow-headers").contains(name), "{name}");
    }
    for method in [Method::GET, Method::PUT, Method::PATCH, Method::DELETE] {
        let answer = client.request(method.clone(), &url).await;
        assert_eq!(answer.status, 405, "{method}");
        assert!(answer.header("allow").contains("POST"), "{method}");
    }
    for path in [
        "/",
        "/api/v1/ingest",
        "/api/v1/ingest/x",
        "/api/v1/ingest/x/y/z",
        "/api/v2/ingest/x/y",
    ] {
        assert_eq!(client.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_refused_and_the_server_goes_on() {
    let receiver = Receiver::start().await;
    let host = host(Kind::Sqlite, &receiver).await;
    let client = host.client();
    let mut noise = vec![0_u8; 4_096];
    rand::fill(&mut noise[..]);
    noise.extend(b"\r\n\r\n");
    let long_path = format!("POST /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(1 << 20)).into_bytes();
    let many_headers = format!("POST / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(10_000)).into_bytes();
    let encoded = |path: &str| format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").into_bytes();
    for bytes in [
        noise,
        long_path,
        many_headers,
        b"GET\r\n\r\n".to_vec(),
        b"POST / HTTP/9.9\r\n\r\n".to_vec(),
        head(client, "Content-Length: -1"),
        head(client, "Content-Length: 99999999999999999999999"),
        [
            &head(client, "Content-Length: 2\r\nTransfer-Encoding: chunked")[..],
            b"zz\r\n{}\r\n",
        ]
        .concat(),
        [&head(client, "Transfer-Encoding: chunked")[..], b"ffffffffffffffffff\r\n{}\r\n"].concat(),
        encoded("/api/v1/ingest/%00/%ff%fe"),
        encoded("/api/v1/ingest/%e2%80%ae/dst_%00"),
        encoded("/api/v1/ingest/00000000-0000-0000-0000-000000000000/dst_%ff"),
    ] {
        let answer = raw(client, &bytes).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    let token = format!("dst_%F0%9F%98%80{}", "%00".repeat(3));
    let answer = client.post(&token, "{}").send().await;
    assert_eq!(answer.status, 404, "{}", answer.text());
    assert_eq!(client.post(&hook(), "{}").send().await.status, 202);
}

/// A refusal that came before the body was read closed the connection under a client that was still writing: now and then it
/// saw a reset instead of the answer.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_before_its_body_was_read_is_answered_and_the_connection_stays() {
    let receiver = Receiver::start().await;
    let mut host = host(Kind::Sqlite, &receiver).await;
    let client = host.client();
    let path = client.ingest_url(&hook()).replace(client.base(), "");
    let large = "x".repeat(8 << 20);
    let mut requests = format!(
        "POST {path} HTTP/1.1\r\nHost: hookyard\r\nContent-Length: {}\r\n\r\n{large}",
        large.len()
    );
    requests.push_str("GET /health HTTP/1.1\r\nHost: hookyard\r\nConnection: close\r\n\r\n");
    let mut stream = TcpStream::connect(client.base().trim_start_matches("http://"))
        .await
        .expect("the server listens");
    stream.write_all(requests.as_bytes()).await.expect("all of it is taken");
    let mut answers = String::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answers)).await;
    read.expect("the server answers both").expect("and closes in order");
    let statuses: Vec<&str> = answers.lines().filter(|line| line.starts_with("HTTP/1.1 ")).collect();
    assert_eq!(statuses, ["HTTP/1.1 401 Unauthorized", "HTTP/1.1 200 OK"]);
    host.stop().await;
}
