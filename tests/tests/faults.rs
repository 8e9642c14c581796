//! What goes wrong around the server, and that it costs nobody an event: bad set-ups, bad requests, a full disk, a
//! PostgreSQL that goes away, and being told to stop in the middle of work.
//!
//! Faults are real ones: a file system with no room left, a wire that is cut, a signal. After each the same server, never
//! restarted for it, must take events again and have delivered all it had accepted.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

use hookyard::app;
use hookyard_tests::{
    client::{Answer, Client},
    database::{Kind, TestDatabase},
    host::TestHost,
    namespace::{self, Namespace},
    on_both_databases,
    proxy::Proxy,
    receiver::{Received, Receiver, Reply},
    server::{self, Server},
    setup::{Endpoint, Sender, SetupFile, Tenant, api_key, endpoint_token, sender_token, webhook_secret},
    wait,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const BODY: &str = r#"{"order": 17}"#;

on_both_databases!(
    a_bad_setup_file_changes_nothing_and_its_place_is_named,
    applying_a_setup_again_changes_nothing,
    bad_requests_are_refused_and_nothing_is_kept,
    a_stop_under_load_hands_the_rest_to_the_next_start,
);

// -- set-up files -----------------------------------------------------------------------------------------------------

async fn a_bad_setup_file_changes_nothing_and_its_place_is_named(kind: Kind) {
    let database = TestDatabase::fresh(kind).await;
    let good = small_setup("https://example.com/hook");
    server::apply(&database, &good).await;
    let store = database.open(app::now()).await;
    let before = store.configuration_since(0).await.expect("the store answers").revision;
    let folder = database.folder().join("setup");

    let changed = small_setup("https://example.com/other").text();
    let cases: [(&str, String, &str); 9] = [
        ("no TOML", "[[tenant".to_owned(), "line 1"),
        ("nothing in it", String::new(), "[[tenant]]"),
        (
            "an unknown key",
            changed.replace("name = \"acme\"", "name = \"acme\"\ncolour = \"red\""),
            "colour",
        ),
        (
            "no secret",
            changed.replace("secrets/acme.key", "secrets/nowhere"),
            "tenant \"acme\", api_key \"test\"",
        ),
        (
            "plain HTTP",
            changed.replace("https://example.com/other", "ftp://example.com"),
            "tenant \"acme\", endpoint \"hook\", url",
        ),
        (
            "no such pattern",
            format!("{changed}\n[[tenant.endpoint]]\nname = \"new\"\nurl = \"https://example.com\"\nevents = [\"a.*.b\"]"),
            "endpoint \"new\", events",
        ),
        (
            "an endpoint that is not",
            changed.replace("endpoints = [\"hook\"]", "endpoints = [\"hook\", \"gone\"]"),
            "sender \"github\": there is no endpoint \"gone\"",
        ),
        (
            "a name with a space",
            changed.replace("name = \"github\"", "name = \"git hub\""),
            "sender \"git hub\"",
        ),
        ("twins", format!("{changed}\n{changed}"), "twice"),
    ];
    for (what, text, place) in cases {
        let output = apply_text(&database, &folder, text.as_bytes()).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{what}: {said}");
        assert!(said.contains(place), "{what}: the message does not name {place}: {said}");
        holds_no_secret(&output);
    }
    let output = apply_text(&database, &folder, b"[[tenant]]\nname = \"\xff\xfe\"").await;
    assert_eq!(
        output.status.code(),
        Some(2),
        "not UTF-8: {}",
        String::from_utf8_lossy(&output.stderr)
    );

    // A credential that is wrong is named by its place, never shown.
    std::fs::write(folder.join("secrets/acme.key"), "short and secret").expect("the folder can be written");
    let output = apply_text(&database, &folder, changed.as_bytes()).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("short and secret"));

    let rows = store.configuration_since(0).await.expect("the store answers");
    assert_eq!(rows.revision, before, "nothing was written");
    assert_eq!(rows.endpoints.rows.len(), 1);
    assert_eq!(rows.endpoints.rows[0].url, "https://example.com/hook");
}

async fn applying_a_setup_again_changes_nothing(kind: Kind) {
    let database = TestDatabase::fresh(kind).await;
    let setup = small_setup("https://example.com/hook");
    server::apply(&database, &setup).await;
    let store = database.open(app::now()).await;
    let before = store.configuration_since(0).await.expect("the store answers").revision;
    let file = setup.write_into(&database.folder().join("setup"));
    for dry in [false, true] {
        let mut args = vec!["apply", "--file", file.to_str().expect("a temporary path is text")];
        args.extend(dry.then_some("--dry-run"));
        let output = server::run(&database, &args).await;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(
            said.contains("unchanged") && !said.contains("created") && !said.contains("updated"),
            "{said}"
        );
        holds_no_secret(&output);
    }
    // A dry run of a change tells it and writes nothing.
    let changed = small_setup("https://example.com/other").write_into(&database.folder().join("setup"));
    let output = server::run(
        &database,
        &["apply", "--dry-run", "--file", changed.to_str().expect("a temporary path is text")],
    )
    .await;
    assert!(String::from_utf8_lossy(&output.stdout).contains("updated   endpoint acme/hook (url)"));
    assert_eq!(store.configuration_since(0).await.expect("the store answers").revision, before);
}

fn small_setup(url: &str) -> SetupFile {
    SetupFile::new().tenant(
        Tenant::named("acme")
            .endpoint(Endpoint::new("hook", url))
            .sender(Sender::new("github").endpoints(&["hook"])),
    )
}

async fn apply_text(database: &TestDatabase, folder: &Path, text: &[u8]) -> Output {
    let file = folder.join("bad.toml");
    std::fs::write(&file, text).expect("the folder can be written");
    server::run(database, &["apply", "--file", file.to_str().expect("a temporary path is text")]).await
}

fn holds_no_secret(output: &Output) {
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    for secret in [
        api_key("acme"),
        webhook_secret("acme"),
        endpoint_token("acme", "hook"),
        sender_token("acme", "github"),
    ] {
        assert!(!said.contains(&secret), "a secret was printed: {said}");
    }
}

// -- requests ---------------------------------------------------------------------------------------------------------

async fn bad_requests_are_refused_and_nothing_is_kept(kind: Kind) {
    const BODY_BYTES_MAX: usize = 64 * 1_024;
    let receiver = Receiver::start().await;
    let tenant = Tenant::named("acme")
        .endpoint(Endpoint::new("hook", &receiver.url("/hook")))
        .endpoint(Endpoint::new("off", &receiver.url("/off")).inactive())
        .sender(Sender::new("github").event_type_header("X-GitHub-Event").endpoints(&["hook"]));
    let other = Tenant::named("other").endpoint(Endpoint::new("theirs", &receiver.url("/theirs")));
    let mut host = TestHost::builder(kind)
        .setup(SetupFile::new().tenant(tenant).tenant(other))
        .config(|config| config.body_bytes_max = BODY_BYTES_MAX)
        .start()
        .await;
    let client = host.client().clone();
    let hook = endpoint_token("acme", "hook");
    let theirs = client.ingest_url(&hook).replace(&hook, &endpoint_token("other", "theirs"));

    let large = format!("\"{}\"", "x".repeat(BODY_BYTES_MAX));
    let deep = "[".repeat(BODY_BYTES_MAX / 2);
    let posts = [
        ("an unknown token", client.post("dst_unknown", BODY), 404),
        ("an unknown sender", client.post("sndr_unknown", BODY), 404),
        ("a token of no kind", client.post("token", BODY), 400),
        ("an endless token", client.post(&format!("dst_{}", "x".repeat(600)), BODY), 400),
        ("no key", client.post(&hook, BODY).without("x-api-key"), 401),
        (
            "another's key",
            client.post(&hook, BODY).header("x-api-key", &api_key("other")),
            403,
        ),
        (
            "another's token",
            client.post_to(&theirs, BODY).header("x-api-key", &api_key("acme")),
            403,
        ),
        ("an inactive endpoint", client.post(&endpoint_token("acme", "off"), BODY), 422),
        ("no JSON type", client.post(&hook, BODY).header("content-type", "text/plain"), 415),
        ("no type", client.post(&hook, BODY).without("content-type"), 415),
        ("no JSON", client.post(&hook, "{\"order\":"), 400),
        ("nothing", client.post(&hook, ""), 400),
        ("no UTF-8", client.post(&hook, b"\"\xff\xfe\"".to_vec()), 400),
        ("half a letter", client.post(&hook, b"\"\xc3\"".to_vec()), 400),
        ("unclosed depths", client.post(&hook, deep), 400),
        ("too much", client.post(&hook, large), 413),
        ("a long key", client.post(&hook, BODY).key(&"k".repeat(256)), 400),
        (
            "a key of no text",
            client.post(&hook, BODY).header_bytes("x-idempotency-key", b"\xff\xfe"),
            400,
        ),
    ];
    for (what, post, status) in posts {
        let answer = post.send().await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
    }
    for path in ["/api/v1/ingest/no-uuid/dst_x", "/api/v1/ingest/%ff/%fe", "/nowhere"] {
        let answer = client
            .post_to(&format!("{}{path}", client.base()), BODY)
            .header("x-api-key", &api_key("acme"))
            .send()
            .await;
        assert!([400, 404].contains(&answer.status), "{path}: {}", answer.status);
    }
    let chunked = format!(
        "POST /api/v1/ingest/{}/{hook} HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
        host.tenant("acme"),
        api_key("acme"),
    );
    let endless = format!("{chunked}{}", format!("4000\r\n{}\r\n", "1".repeat(0x4000)).repeat(5));
    for (what, bytes, status) in [
        ("a body that grows too large", endless.into_bytes(), Some("413")),
        ("a chunk of no size", format!("{chunked}zz\r\n").into_bytes(), Some("400")),
        ("a body that breaks off", format!("{chunked}5\r\n{{\"a\"").into_bytes(), None),
        (
            "no HTTP",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00\x00".to_vec(),
            None,
        ),
        (
            "an endless head",
            format!("GET / HTTP/1.1\r\nx: {}", "x".repeat(1_000_000)).into_bytes(),
            None,
        ),
    ] {
        let answer = raw(client.base(), &bytes).await;
        if let Some(status) = status {
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{what}: {answer}");
        }
    }

    let (events, deliveries) = host.database().counts().await;
    assert_eq!((events.len(), deliveries.len()), (0, 0), "nothing was kept");
    assert!(receiver.received().is_empty(), "nothing was sent");

    // Unusual is not wrong: these are good JSON and good headers, on either database.
    for (token, body) in [
        (&hook, "\"\\u0000\\ud83d\\ude00\""),
        (&hook, "1e400"),
        (&sender_token("acme", "github"), "{\"a\":\"\\u0000\"}"),
    ] {
        let answer = client
            .post(token, body)
            .key(&format!("schlüssel-{}", body.len()))
            .header_bytes("x-github-event", b"\xff\xfe")
            .send()
            .await;
        assert_eq!(answer.status, 202, "{body}: {}", answer.text());
    }
    let received = receiver.wait_for(3).await;
    assert!(received.iter().any(|one| &one.body[..] == b"\"\\u0000\\ud83d\\ude00\""));
    host.stop().await;
}

/// Sends bytes, ends the sending side, and reads what comes back.
async fn raw(base: &str, bytes: &[u8]) -> String {
    let address = base.strip_prefix("http://").expect("the server speaks plain HTTP");
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("the server listens");
    // The server may close before it has read all: that is an answer, too.
    let sent = stream.write_all(bytes).await;
    if sent.is_ok() {
        drop(stream.shutdown().await);
    }
    let mut answer = Vec::new();
    let read = tokio::time::timeout(wait::PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the server neither answers nor closes");
    String::from_utf8_lossy(&answer).into_owned()
}

// -- a full disk ------------------------------------------------------------------------------------------------------

/// The whole folder of the server lies on a small file system: database, data folder, and the log it writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_answered_503_and_forgotten_when_there_is_room_again() {
    const FULL_DISK: &str = "a_full_disk_is_answered_503_and_forgotten_when_there_is_room_again";
    let database = TestDatabase::fresh(Kind::Sqlite).await;
    let Some(_disk) = SmallDisk::mount(database.folder()) else {
        assert_eq!(
            Namespace::here(),
            Namespace::Shared,
            "even in a namespace of its own nothing can be mounted"
        );
        return namespace::run_again(FULL_DISK, &["--mount"], "true");
    };
    wait::bounded(fill_the_disk_and_free_it(&database)).await;
}

async fn fill_the_disk_and_free_it(database: &TestDatabase) {
    /// Posts of 16 KiB, far more than the disk has room for.
    const POSTS_MAX: usize = 2_000;
    let ballast = database.folder().join("ballast");
    std::fs::write(&ballast, vec![0; 6 << 20]).expect("the disk has room for the ballast");
    let receiver = Receiver::start().await;
    // Outcomes of attempts come in while there is no room to keep them.
    receiver.script("/hook", [Reply::After(Duration::from_millis(50), Box::new(Reply::Status(200)))]);
    let tenants = server::apply(database, &small_setup(&receiver.url("/hook"))).await;
    let mut server = Server::on(database).tenants(&tenants).start().await;
    let client = server.client().clone();
    let body = format!("\"{}\"", "x".repeat(16 * 1_024));
    let mut accepted = BTreeSet::new();
    let mut refused = None;
    for _ in 0..POSTS_MAX {
        let answer = client.post(&endpoint_token("acme", "hook"), body.clone()).send().await;
        if answer.status != 202 {
            refused = Some(answer);
            break;
        }
        accepted.insert(answer.event_id());
    }
    is_unavailable(&refused.expect("the disk is full in the end"));
    assert!(!accepted.is_empty());
    // To the last byte, so that neither a small event nor a line of the log finds room.
    let rest = database.folder().join("rest");
    fill(&rest);
    for token in [endpoint_token("acme", "hook"), sender_token("acme", "github")]
        .iter()
        .cycle()
        .take(80)
    {
        is_unavailable(&client.post(token, body.clone()).send().await);
    }
    std::fs::remove_file(&rest).expect("the rest can be removed");
    assert_eq!(client.get("/health/live").await.status, 200);

    std::fs::remove_file(&ballast).expect("the ballast can be removed");
    accepted.insert(post_until_accepted(&client).await.event_id());
    everything_arrives_once(&receiver, &accepted).await;
    until_settled(database, accepted.len()).await;
    assert!(!server.has_ended(), "the same server all along");
    assert!(!server.log().contains("panicked"), "nothing panicked");
    assert!(server.stop().await.success());
}

/// Writes a file until the disk takes no more.
fn fill(file: &Path) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(file).expect("a full disk still takes names");
    let error = loop {
        if let Err(error) = file.write_all(&[0; 512]) {
            break error;
        }
    };
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull, "{error}");
}

/// A file system of 16 MiB in memory, mounted over a folder; unmounted when dropped.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    /// `None`: this process may not mount.
    fn mount(over: &'a Path) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=16m", "none"])
            .arg(over)
            .output()
            .expect("the system has a mount command");
        mounted.status.success().then(|| Self(over))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        // Lazily, for a server killed by a failing test may still have files open.
        let done = Command::new("umount").arg("--lazy").arg(self.0).status();
        if !done.is_ok_and(|status| status.success()) {
            eprintln!("cannot unmount {}", self.0.display());
        }
    }
}

// -- PostgreSQL goes away ---------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_is_gone_is_answered_503_and_forgotten_when_it_is_back() {
    wait::bounded(lose_postgres(Proxy::cut, Duration::from_secs(5))).await;
}

/// A server that does not answer is told from a slow one by waiting longer: a commit has ten seconds, connecting two.
#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_falls_silent_is_answered_503_and_forgotten_when_it_speaks_again() {
    wait::bounded(lose_postgres(Proxy::stall, Duration::from_secs(14))).await;
}

async fn lose_postgres(lose: impl Fn(&Proxy), answers_within: Duration) {
    const EVENTS: usize = 30;
    let database = TestDatabase::fresh(Kind::Postgres).await;
    let receiver = Receiver::start().await;
    // Some deliveries are in flight when the wire goes, and are answered while it is away.
    receiver.script("/hook", [Reply::After(Duration::from_millis(400), Box::new(Reply::Status(200)))]);
    let tenants = server::apply(&database, &small_setup(&receiver.url("/hook"))).await;
    let proxy = Proxy::before(database.url()).await;
    let mut server = Server::on(&database)
        .env("DATABASE_URL", &proxy.url())
        .tenants(&tenants)
        .start()
        .await;
    let client = server.client().clone();
    let mut accepted = BTreeSet::new();
    for number in 0..EVENTS {
        let token = if number % 2 == 0 {
            endpoint_token("acme", "hook")
        } else {
            sender_token("acme", "github")
        };
        let answer = client.post(&token, BODY).send().await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        accepted.insert(answer.event_id());
    }
    receiver.wait_for(1).await;

    lose(&proxy);
    let mut posts = tokio::task::JoinSet::new();
    for number in 0..4 {
        let post = client.post(&endpoint_token("acme", "hook"), BODY).key(&format!("away-{number}"));
        posts.spawn(async move {
            let begun = Instant::now();
            (post.send().await, begun.elapsed())
        });
    }
    while let Some(posted) = posts.join_next().await {
        let (answer, took) = posted.expect("a post does not panic");
        is_unavailable(&answer);
        assert!(took < answers_within, "the answer took {took:?}");
    }
    is_unavailable(&client.get("/health/ready").await);
    assert_eq!(client.get("/health/live").await.status, 200, "the process itself is well");

    proxy.restore();
    accepted.insert(post_until_accepted(&client).await.event_id());
    // The same key again says what became of a post whose commit was cut: one event, now or then.
    for number in 0..4 {
        let answer = client
            .post(&endpoint_token("acme", "hook"), BODY)
            .key(&format!("away-{number}"))
            .send()
            .await;
        assert!([200, 202].contains(&answer.status), "{}", answer.text());
        accepted.insert(answer.event_id());
    }
    assert_eq!(accepted.len(), EVENTS + 5, "every key names one event");
    wait::until("the server is ready again", async || {
        (client.get("/health/ready").await.status == 200).then_some(())
    })
    .await;
    everything_arrives_once(&receiver, &accepted).await;
    until_settled(&database, accepted.len()).await;
    assert!(!server.has_ended(), "the same server all along");
    assert!(server.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_its_database_fails_and_says_why() {
    let database = TestDatabase::fresh(Kind::Sqlite).await;
    let output = server::run(
        &database,
        &[
            "--database",
            "postgres://nobody@127.0.0.1:1/none",
            "serve",
            "--listen",
            "127.0.0.1:0",
        ],
    )
    .await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot open the store"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

// -- stopping ---------------------------------------------------------------------------------------------------------

async fn a_stop_under_load_hands_the_rest_to_the_next_start(kind: Kind) {
    const EVENTS: usize = 40;
    const GRACE: Duration = Duration::from_secs(2);
    let database = TestDatabase::fresh(kind).await;
    let receiver = Receiver::start().await;
    receiver.script("/slow", [Reply::After(Duration::from_millis(700), Box::new(Reply::Status(200)))]);
    receiver.script("/hang", [Reply::Hang]);
    let setup = SetupFile::new().tenant(
        Tenant::named("acme")
            .endpoint(Endpoint::new("slow", &receiver.url("/slow")).concurrency_max(4))
            .endpoint(Endpoint::new("hang", &receiver.url("/hang")).concurrency_max(4)),
    );
    let tenants = server::apply(&database, &setup).await;
    // A lease far longer than the test: whatever arrives after the restart was released, not taken over.
    let serve = || {
        Server::on(&database)
            .arg("--grace-s=2")
            .arg("--lease-s=120")
            .tenants(&tenants)
            .start()
    };
    let mut server = serve().await;
    let client = server.client().clone();
    let mut accepted = BTreeSet::new();
    for number in 0..EVENTS {
        let answer = client
            .post(&endpoint_token("acme", if number % 4 == 0 { "hang" } else { "slow" }), BODY)
            .send()
            .await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        accepted.insert(answer.event_id());
    }
    receiver
        .wait_until(wait::PATIENCE, |received| {
            [4, 4] == ["/slow", "/hang"].map(|path| received.iter().filter(|one| one.path == path).count().min(4))
        })
        .await;
    let load = tokio::spawn(post_until_refused(client));

    let begun = Instant::now();
    let status = server.stop().await;
    let took = begun.elapsed();
    assert_eq!(status.code(), Some(0), "{}", server.log());
    assert!(took < GRACE + Duration::from_secs(6), "stopping took {took:?}");
    accepted.extend(load.await.expect("the producer does not panic"));
    let before = times_seen(&receiver.received());
    let hanging: Vec<String> = receiver
        .received_at("/hang")
        .iter()
        .map(|one| one.header("webhook-id").to_owned())
        .collect();

    for path in ["/slow", "/hang"] {
        receiver.script(path, [Reply::Status(200)]);
    }
    let mut server = serve().await;
    receiver
        .wait_until(wait::PATIENCE, |received| {
            let times = times_seen(received);
            accepted.iter().all(|event| times.contains_key(event)) && hanging.iter().all(|event| times[event] == 2)
        })
        .await;
    until_settled(&database, accepted.len()).await;
    let times = times_seen(&receiver.received());
    assert_eq!(
        times.keys().collect::<BTreeSet<_>>(),
        accepted.iter().collect(),
        "what was accepted was sent, and nothing else"
    );
    for (event, times) in &times {
        let cut_off = hanging.contains(event);
        assert_eq!(
            *times,
            if cut_off { 2 } else { 1 },
            "event {event}, sent {} times before the stop",
            before.get(event).unwrap_or(&0)
        );
    }
    assert!(server.stop().await.success());
}

/// Posts until the server is gone; returns the ids of what was accepted.
async fn post_until_refused(client: Client) -> Vec<String> {
    let mut accepted = Vec::new();
    while let Ok(answer) = client.post(&endpoint_token("acme", "slow"), BODY).try_send().await {
        assert_eq!(answer.status, 202, "{}", answer.text());
        accepted.push(answer.event_id());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    accepted
}

// -- what the tests share ---------------------------------------------------------------------------------------------

fn is_unavailable(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    let retry_after: u64 = answer.header("retry-after").parse().expect("a 503 says when to come again");
    assert!((1..=60).contains(&retry_after));
}

async fn post_until_accepted(client: &Client) -> Answer {
    wait::until("a post is accepted again", async || {
        let answer = client.post(&endpoint_token("acme", "hook"), BODY).send().await;
        if answer.status != 202 {
            is_unavailable(&answer);
        }
        (answer.status == 202).then_some(answer)
    })
    .await
}

/// Without a crash there is no repeat, and nothing arrives that was refused.
async fn everything_arrives_once(receiver: &Receiver, accepted: &BTreeSet<String>) {
    let received = receiver
        .wait_until(Duration::from_secs(40), |received| {
            let times = times_seen(received);
            accepted.iter().all(|event| times.contains_key(event))
        })
        .await;
    for (event, times) in times_seen(&received) {
        assert!(accepted.contains(&event), "event {event} was refused and sent all the same");
        assert_eq!(times, 1, "event {event} was repeated without a crash");
    }
}

fn times_seen(received: &[Received]) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for one in received {
        *times.entry(one.header("webhook-id").to_owned()).or_default() += 1;
    }
    times
}

/// Waits until so many deliveries are delivered and no other is there.
async fn until_settled(database: &TestDatabase, count: usize) {
    wait::until("every delivery is settled", async || {
        let (_, deliveries) = database.counts().await;
        (deliveries == [("delivered".to_owned(), i64::try_from(count).expect("a small number"))]).then_some(())
    })
    .await;
}
