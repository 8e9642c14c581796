//! Deliveries as receivers and operators see them: when they are tried, how they are signed, what is kept of them, where
//! they never go, and that one receiver's failures slow no other.
//!
//! The whole server runs in the test's process on a real database, against a receiver that plays by a script. Its clock
//! is moved, so hours of retries pass in seconds.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use base64::Engine as _;
use hookyard::{
    config::Config,
    store::{AttemptView, DeliveryView},
};
use hookyard_domain::{DeliveryState, EventId, Scope, Timestamp, address::Loopback};
use hookyard_tests::{
    database::{Kind, TestDatabase},
    host::TestHost,
    on_both_databases,
    receiver::{Received, Receiver, Reply},
    server::{self, Server},
    setup::{Endpoint, SetupFile, Tenant, endpoint_token, webhook_secret},
    wait,
};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;

/// How long a condition may take that needs no moved clock, on a busy machine.
const SOON: Duration = Duration::from_secs(15);
/// Deadline of one attempt where a test waits for it to pass.
const SHORT_DEADLINE: Duration = Duration::from_secs(1);
/// Waits after the failed attempts (docs/contracts/hooksentry.md, section 14.4).
const WAITS_S: [u64; 6] = [2 * 60, 5 * 60, 15 * 60, 60 * 60, 6 * 60 * 60, 6 * 60 * 60];
/// Bytes of an answer that are kept with its attempt.
const ANSWER_KEPT_BYTES: usize = 1_024;
/// Its spaces, and the letter beyond ASCII, must reach the receiver as they are.
const BODY: &str = r#"{ "order": 17,  "note": "spaces  and é stay" }"#;

on_both_databases!(
    failed_attempts_are_repeated_on_the_contracts_schedule,
    a_repeat_has_the_same_id_and_a_signature_of_its_own,
    an_answer_of_401_403_or_404_is_final,
    an_attempt_is_kept_with_status_duration_and_first_bytes,
    a_receiver_that_gives_no_answer_is_told_by_class,
    a_blocked_endpoint_is_probed_and_opened_by_a_success,
    a_hanging_endpoint_delays_no_other,
    an_endpoint_never_has_more_attempts_at_once_than_it_may,
);

// -- retries ----------------------------------------------------------------------------------------------------------

async fn failed_attempts_are_repeated_on_the_contracts_schedule(kind: Kind) {
    // Seven attempts, and a breaker that has long let go when the next one is due.
    let stage = Stage::start(kind, |tenant| tenant.attempts_max(7).breaker_block_s(1), |_| {}).await;
    stage.receiver.script("/hook", [Reply::Status(500)]);
    let event = stage.post(BODY).await;
    for (failed, wait_s) in (1..).zip(WAITS_S) {
        let (delivery, attempts) = stage.after_attempts(event, failed).await;
        assert_eq!(delivery.state, DeliveryState::Waiting, "after attempt {failed}");
        let due_at = delivery.due_at.expect("a waiting delivery is due at some time");
        let waits = due_at.since(ended(&attempts[failed - 1]));
        let expected = Duration::from_secs(wait_s);
        // The wait is reckoned a moment after the attempt's end; jitter only adds.
        let latest = expected.mul_f64(1.1) + Duration::from_secs(1);
        assert!(
            (expected..=latest).contains(&waits),
            "after attempt {failed} the wait is {waits:?} instead of {expected:?} and at most a tenth more"
        );
        // To just before the moment, so that an attempt too early would show.
        let ahead = due_at.since(stage.host.clock().now());
        stage.host.advance(ahead.saturating_sub(Duration::from_millis(300)));
        let (_, attempts) = stage.after_attempts(event, failed + 1).await;
        assert!(attempts[failed].started_at >= due_at, "attempt {} came before its time", failed + 1);
    }
    let (delivery, attempts) = stage.after_attempts(event, 7).await;
    assert_eq!(delivery.state, DeliveryState::Exhausted);
    assert!(delivery.completed_at.is_some(), "an exhausted delivery has ended (D1)");
    let numbers: Vec<u32> = attempts.iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7], "attempts number 1..n without gaps (D1)");
    assert_eq!(stage.receiver.received_at("/hook").len(), 7);
    stage.stop().await;
}

async fn a_repeat_has_the_same_id_and_a_signature_of_its_own(kind: Kind) {
    let stage = Stage::start(kind, |tenant| tenant, |_| {}).await;
    stage
        .receiver
        .script("/hook", [Reply::Status(503), Reply::Close, Reply::Status(200)]);
    let event = stage.post(BODY).await;
    for failed in 1..=2 {
        let (delivery, _) = stage.after_attempts(event, failed).await;
        let due_at = delivery.due_at.expect("a waiting delivery is due at some time");
        stage.host.advance(due_at.since(stage.host.clock().now()));
    }
    let (delivery, _) = stage.after_attempts(event, 3).await;
    assert_eq!(delivery.state, DeliveryState::Delivered);

    let received = stage.receiver.received_at("/hook");
    assert_eq!(received.len(), 3);
    let secret = webhook_secret("acme");
    let reference = standardwebhooks::Webhook::from_bytes(secret.clone().into_bytes()).expect("the secret is long enough");
    // The first attempt's time is this machine's, which is all the library takes.
    reference
        .verify(&received[0].body, &received[0].headers)
        .expect("the standardwebhooks library accepts the delivery");
    let mut times = Vec::new();
    for one in &received {
        assert_eq!(one.body, BODY.as_bytes(), "the payload arrives byte for byte (A3)");
        assert_eq!(one.header("content-type"), "application/json");
        assert_eq!(one.header("webhook-id"), event.to_string());
        let sent_at: i64 = one.header("webhook-timestamp").parse().expect("a timestamp is a number");
        let signed = [
            one.header("webhook-id").as_bytes(),
            b".",
            sent_at.to_string().as_bytes(),
            b".",
            &one.body,
        ]
        .concat();
        let standard = base64::engine::general_purpose::STANDARD.encode(hmac_sha256(secret.as_bytes(), &signed));
        assert_eq!(one.header("webhook-signature"), format!("v1,{standard}"));
        assert_eq!(
            reference
                .sign(one.header("webhook-id"), sent_at, &one.body)
                .expect("the body can be signed"),
            one.header("webhook-signature")
        );
        let hexadecimal: String = hmac_sha256(secret.as_bytes(), &one.body)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(one.header("x-hooksentry-signature"), format!("sha256={hexadecimal}"));
        times.push(sent_at);
    }
    assert!(
        times.is_sorted_by(|a, b| a < b),
        "each attempt is signed at its own time: {times:?}"
    );
    stage.stop().await;
}

async fn an_answer_of_401_403_or_404_is_final(kind: Kind) {
    let stage = Stage::start(kind, |tenant| tenant, |_| {}).await;
    for status in [401, 403, 404] {
        stage.receiver.script("/hook", [Reply::Status(status)]);
        let event = stage.post(BODY).await;
        let (delivery, attempts) = stage.after_attempts(event, 1).await;
        assert_eq!(delivery.state, DeliveryState::Rejected, "after {status}");
        assert!(delivery.completed_at.is_some(), "after {status}");
        assert_eq!(attempts[0].status, Some(status));
    }
    assert_eq!(stage.receiver.received().len(), 3);
    stage.stop().await;
}

async fn an_attempt_is_kept_with_status_duration_and_first_bytes(kind: Kind) {
    let stage = Stage::start(kind, |tenant| tenant, |_| {}).await;
    let takes = Duration::from_millis(150);
    let long = "answer ".repeat(1_000);
    stage.receiver.script(
        "/hook",
        [
            Reply::After(takes, Box::new(Reply::Text(500, long.clone()))),
            Reply::Text(200, "ok".to_owned()),
            Reply::Flood,
        ],
    );
    let slow = stage.post(BODY).await;
    let (_, attempts) = stage.after_attempts(slow, 1).await;
    let attempt = &attempts[0];
    assert_eq!((attempt.number, attempt.status, attempt.error.as_deref()), (1, Some(500), None));
    assert_eq!(attempt.response.as_deref(), Some(&long.as_bytes()[..ANSWER_KEPT_BYTES]));
    assert!(
        duration(attempt) >= takes && duration(attempt) < SOON,
        "it took {:?}",
        duration(attempt)
    );

    let short = stage.post(BODY).await;
    let (delivery, attempts) = stage.after_attempts(short, 1).await;
    assert_eq!(delivery.state, DeliveryState::Delivered);
    assert_eq!(attempts[0].response.as_deref(), Some(&b"ok"[..]));

    let endless = stage.post(BODY).await;
    let (delivery, attempts) = stage.after_attempts(endless, 1).await;
    assert_eq!(
        delivery.state,
        DeliveryState::Delivered,
        "an endless body is cut; its status counts"
    );
    assert_eq!(attempts[0].response.as_deref().map(<[u8]>::len), Some(ANSWER_KEPT_BYTES));
    assert!(
        duration(&attempts[0]) < Duration::from_secs(5),
        "the body was cut long before the deadline"
    );
    stage.stop().await;
}

async fn a_receiver_that_gives_no_answer_is_told_by_class(kind: Kind) {
    let receiver = Receiver::start().await;
    receiver.script("/hang", [Reply::Hang]);
    receiver.script("/close", [Reply::Close]);
    receiver.script("/away", [Reply::Redirect(receiver.url("/elsewhere"))]);
    let nobody = closed_port().await;
    let tenant = Tenant::named("acme")
        .endpoint(Endpoint::new("hang", &receiver.url("/hang")))
        .endpoint(Endpoint::new("close", &receiver.url("/close")))
        .endpoint(Endpoint::new("nobody", &format!("http://{nobody}/")))
        .endpoint(Endpoint::new("tls", &format!("https://{}/", receiver.address())))
        .endpoint(Endpoint::new("name", "http://no-such-host.invalid/"))
        .endpoint(Endpoint::new("away", &receiver.url("/away")));
    let stage = Stage::with(kind, receiver, tenant, |config| config.attempt_deadline = SHORT_DEADLINE).await;
    for (endpoint, class) in [
        ("hang", "timeout"),
        ("close", "protocol"),
        ("nobody", "connect"),
        ("tls", "tls"),
        ("name", "dns"),
    ] {
        let event = stage.post_to(endpoint, BODY).await;
        let (delivery, attempts) = stage.after_attempts(event, 1).await;
        let attempt = &attempts[0];
        assert_eq!(attempt.error.as_deref(), Some(class), "{endpoint}: {:?}", attempt.error_detail);
        assert_eq!((attempt.status, attempt.response.as_deref()), (None, None), "{endpoint}");
        assert!(attempt.error_detail.as_ref().is_some_and(|detail| !detail.is_empty()), "{endpoint}");
        assert_eq!(delivery.state, DeliveryState::Waiting, "{endpoint}: it is tried again");
        if endpoint == "hang" {
            assert!(
                duration(attempt) >= SHORT_DEADLINE && duration(attempt) < SHORT_DEADLINE * 4,
                "{:?}",
                duration(attempt)
            );
        }
    }
    let event = stage.post_to("away", BODY).await;
    let (delivery, attempts) = stage.after_attempts(event, 1).await;
    assert_eq!(
        (attempts[0].status, delivery.state),
        (Some(302), DeliveryState::Waiting),
        "a redirect is a failure"
    );
    assert!(stage.receiver.received_at("/elsewhere").is_empty(), "a redirect is not followed");
    stage.stop().await;
}

// -- one endpoint's limits --------------------------------------------------------------------------------------------

async fn a_blocked_endpoint_is_probed_and_opened_by_a_success(kind: Kind) {
    const BLOCK: Duration = Duration::from_secs(60);
    const EVENTS: usize = 8;
    let receiver = Receiver::start().await;
    let tenant = Tenant::named("acme")
        .breaker_block_s(60)
        .endpoint(Endpoint::new("hook", &receiver.url("/hook")).concurrency_max(1))
        .endpoint(Endpoint::new("other", &receiver.url("/other")));
    let stage = Stage::with(kind, receiver, tenant, |_| {}).await;
    stage.receiver.script("/hook", [Reply::Status(500)]);
    let mut events = Vec::new();
    for _ in 0..EVENTS {
        events.push(stage.post(BODY).await);
    }
    let blocked_at = ended(&stage.attempts_of_all(&events, 5).await[4]);
    // Another endpoint's delivery shows that the server is at work and this one alone waits.
    let other = stage.post_to("other", BODY).await;
    stage.after_attempts(other, 1).await;

    // To just before the probe's time: it must not come earlier.
    let lead = Duration::from_millis(500);
    stage
        .host
        .advance(blocked_at.plus(BLOCK).since(stage.host.clock().now()).saturating_sub(lead));
    let attempts = stage.attempts_of_all(&events, 6).await;
    assert!(
        attempts[5].started_at >= blocked_at.plus(BLOCK),
        "the endpoint was left alone for its 60 s"
    );

    // The probe failed, so it is blocked anew; this time the probe succeeds and everything passes.
    stage.receiver.script("/hook", [Reply::Status(200)]);
    let blocked_at = ended(&attempts[5]);
    stage
        .host
        .advance(blocked_at.plus(BLOCK).since(stage.host.clock().now()).saturating_sub(lead));
    // Two of the eight have had no attempt yet. The six that failed have become due meanwhile, or do so soon.
    let attempts = stage.attempts_of_all(&events, 8).await;
    assert!(
        attempts[6].started_at >= blocked_at.plus(BLOCK),
        "a failed probe blocks for another 60 s"
    );
    stage.host.advance(Duration::from_secs(5 * 60));
    for event in &events {
        stage.until_state(*event, DeliveryState::Delivered).await;
    }
    stage.stop().await;
}

async fn a_hanging_endpoint_delays_no_other(kind: Kind) {
    /// More than one endpoint may hold in memory, so that the rest waits in the table.
    const HANGING: usize = 1_100;
    const OTHERS: usize = 50;
    let receiver = Receiver::start().await;
    receiver.script("/hang", [Reply::Hang]);
    let tenant = Tenant::named("acme")
        .endpoint(Endpoint::new("hang", &receiver.url("/hang")).concurrency_max(5))
        .endpoint(Endpoint::new("other", &receiver.url("/other")));
    // The deadline lies beyond the test's end: no place is freed by it.
    let stage = Stage::with(kind, receiver, tenant, |config| {
        config.attempt_deadline = Duration::from_secs(120);
        config.grace = Duration::ZERO;
    })
    .await;
    stage.post_many("hang", HANGING).await;
    stage
        .receiver
        .wait_until(SOON, |received| received.iter().filter(|one| one.path == "/hang").count() == 5)
        .await;
    let begun = Instant::now();
    stage.post_many("other", OTHERS).await;
    stage
        .receiver
        .wait_until(SOON, |received| {
            received.iter().filter(|one| one.path == "/other").count() == OTHERS
        })
        .await;
    assert!(begun.elapsed() < Duration::from_secs(5), "the others took {:?}", begun.elapsed());
    assert_eq!(
        stage.receiver.received_at("/hang").len(),
        5,
        "the hanging endpoint has its five attempts and no more"
    );
    stage.stop().await;
}

async fn an_endpoint_never_has_more_attempts_at_once_than_it_may(kind: Kind) {
    const AT_ONCE: usize = 3;
    const EVENTS: usize = 30;
    let takes = Duration::from_millis(50);
    let receiver = Receiver::start().await;
    let tenant = Tenant::named("acme").endpoint(Endpoint::new("hook", &receiver.url("/hook")).concurrency_max(AT_ONCE as u32));
    let stage = Stage::with(kind, receiver, tenant, |_| {}).await;
    stage.receiver.script("/hook", [Reply::After(takes, Box::new(Reply::Status(200)))]);
    stage.post_many("hook", EVENTS).await;
    let received = stage.receiver.wait_until(SOON, |received| received.len() == EVENTS).await;
    // A request is open for at least `takes` from its arrival, so these overlaps are real ones.
    let most = received.iter().map(|one| open_at(&received, one.at, takes)).max();
    assert_eq!(most, Some(AT_ONCE), "as many as it may, and never more");
    stage.stop().await;
}

/// How many requests were certainly open at a moment.
fn open_at(received: &[Received], moment: Instant, takes: Duration) -> usize {
    received.iter().filter(|one| one.at <= moment && moment < one.at + takes).count()
}

// -- where deliveries never go ----------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn no_byte_goes_to_a_forbidden_address_however_it_is_spelled() {
    wait::bounded(async {
        let v4 = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let port = address(&v4).port();
        // The same port on IPv6 where the machine has it; a machine without cannot be reached there either.
        let v6 = TcpListener::bind(("::1", port)).await.ok();
        let urls = [
            format!("http://127.0.0.1:{port}/"),
            format!("http://127.8.7.6:{port}/"),
            format!("http://[::1]:{port}/"),
            format!("http://[::ffff:127.0.0.1]:{port}/"),
            format!("http://[::ffff:7f00:1]:{port}/"),
            format!("http://0.0.0.0:{port}/"),
            format!("http://[::]:{port}/"),
            format!("http://2130706433:{port}/"),
            format!("http://0177.0.0.1:{port}/"),
            format!("http://0x7f.1:{port}/"),
            format!("http://127.1:{port}/"),
            format!("http://localhost:{port}/"),
            format!("http://LocalHost:{port}/"),
            format!("https://127.0.0.1:{port}/"),
            "http://10.0.0.1/".to_owned(),
            "http://172.16.0.1/".to_owned(),
            "http://192.168.1.1/".to_owned(),
            "http://100.64.0.1/".to_owned(),
            "http://169.254.169.254/latest/meta-data/".to_owned(),
            "http://[fe80::1]/".to_owned(),
            "http://[fd00::1]/".to_owned(),
            "http://[64:ff9b::a00:1]/".to_owned(),
        ];
        let tenant = urls.iter().enumerate().fold(Tenant::named("acme"), |tenant, (index, url)| {
            tenant.endpoint(Endpoint::new(&format!("e{index}"), url))
        });
        let refuse_loopback = |config: &mut Config| config.addresses.loopback = Loopback::Refused;
        let stage = Stage::with(Kind::Sqlite, Receiver::start().await, tenant, refuse_loopback).await;
        for (index, url) in urls.iter().enumerate() {
            let event = stage.post_to(&format!("e{index}"), BODY).await;
            let (delivery, attempts) = stage.after_attempts(event, 1).await;
            assert_eq!(
                attempts[0].error.as_deref(),
                Some("address-refused"),
                "{url}: {:?}",
                attempts[0].error_detail
            );
            assert_eq!(
                delivery.state,
                DeliveryState::Waiting,
                "{url}: it is tried again, for a name may change"
            );
        }
        assert!(untouched(v4), "somebody connected to 127.0.0.1");
        assert!(v6.is_none_or(untouched), "somebody connected to ::1");
        stage.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_to_another_address_is_not_followed() {
    wait::bounded(async {
        let elsewhere = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let stage = Stage::start(Kind::Sqlite, |tenant| tenant, |_| {}).await;
        stage.receiver.script(
            "/hook",
            [
                Reply::Redirect(format!("http://{}/", address(&elsewhere))),
                Reply::Redirect("http://169.254.169.254/latest/meta-data/".to_owned()),
                Reply::Redirect("file:///etc/passwd".to_owned()),
            ],
        );
        for _ in 0..3 {
            let event = stage.post(BODY).await;
            let (_, attempts) = stage.after_attempts(event, 1).await;
            assert_eq!((attempts[0].status, attempts[0].error.as_deref()), (Some(302), None));
        }
        assert!(untouched(elsewhere), "a redirect was followed");
        stage.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn proxies_named_by_the_environment_are_not_used() {
    wait::bounded(async {
        let proxy = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let receiver = Receiver::start().await;
        let database = TestDatabase::fresh(Kind::Sqlite).await;
        let setup = SetupFile::new().tenant(Tenant::named("acme").endpoint(Endpoint::new("hook", &receiver.url("/hook"))));
        let tenants = server::apply(&database, &setup).await;
        let mut server = Server::on(&database).tenants(&tenants);
        for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
            server = server.env(name, &format!("http://{}", address(&proxy)));
        }
        let mut server = server.start().await;
        let answer = server.client().post(&endpoint_token("acme", "hook"), BODY).send().await;
        assert_eq!(answer.status, 202);
        receiver.wait_for(1).await;
        assert!(server.stop().await.success());
        assert!(untouched(proxy), "a delivery went by way of the proxy");
    })
    .await;
}

// -- the stage of these tests -----------------------------------------------------------------------------------------

/// A host, its receiver, and one tenant `acme` whose endpoint `hook` delivers to the receiver's `/hook`.
struct Stage {
    host: TestHost,
    receiver: Receiver,
}

impl Stage {
    async fn start(kind: Kind, tenant: impl FnOnce(Tenant) -> Tenant, config: impl FnOnce(&mut Config) + Send + 'static) -> Self {
        let receiver = Receiver::start().await;
        let hook = Endpoint::new("hook", &receiver.url("/hook"));
        Self::with(kind, receiver, tenant(Tenant::named("acme").endpoint(hook)), config).await
    }

    async fn with(kind: Kind, receiver: Receiver, tenant: Tenant, config: impl FnOnce(&mut Config) + Send + 'static) -> Self {
        let host = TestHost::builder(kind)
            .setup(SetupFile::new().tenant(tenant))
            .config(config)
            .start()
            .await;
        Self { host, receiver }
    }

    async fn stop(mut self) {
        self.host.stop().await;
    }

    async fn post(&self, body: &str) -> EventId {
        self.post_to("hook", body).await
    }

    async fn post_to(&self, endpoint: &str, body: &str) -> EventId {
        let answer = self
            .host
            .client()
            .post(&endpoint_token("acme", endpoint), body.to_owned())
            .send()
            .await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.event_id().parse().expect("an event's id is one")
    }

    /// Posts so many events, several at a time.
    async fn post_many(&self, endpoint: &str, count: usize) {
        const AT_ONCE: usize = 16;
        let mut posts = tokio::task::JoinSet::new();
        for number in 0..count {
            if posts.len() >= AT_ONCE {
                accepted(posts.join_next().await);
            }
            let post = self
                .host
                .client()
                .post(&endpoint_token("acme", endpoint), format!(r#"{{"n":{number}}}"#));
            posts.spawn(post.send());
        }
        while let Some(answer) = posts.join_next().await {
            accepted(Some(answer));
        }
    }

    /// Waits until the event's one delivery has had so many attempts.
    async fn after_attempts(&self, event: EventId, count: usize) -> (DeliveryView, Vec<AttemptView>) {
        wait::until(&format!("event {event} has had {count} attempts"), async || {
            let (delivery, attempts) = self.look(event).await?;
            // Read one after the other: both must tell of the same attempts.
            (attempts.len() >= count && delivery.attempts as usize == attempts.len()).then_some((delivery, attempts))
        })
        .await
    }

    async fn until_state(&self, event: EventId, state: DeliveryState) {
        wait::until(&format!("the delivery of event {event} is {}", state.as_str()), async || {
            let (delivery, _) = self.look(event).await?;
            (delivery.state == state).then_some(())
        })
        .await;
    }

    /// Waits until the events' deliveries have had so many attempts together; these, in order of their beginning.
    async fn attempts_of_all(&self, events: &[EventId], count: usize) -> Vec<AttemptView> {
        wait::until(&format!("{count} attempts were made"), async || {
            let mut all = Vec::new();
            for event in events {
                if let Some((_, attempts)) = self.look(*event).await {
                    all.extend(attempts);
                }
            }
            all.sort_by_key(|attempt| attempt.started_at);
            (all.len() >= count).then_some(all)
        })
        .await
    }

    async fn look(&self, event: EventId) -> Option<(DeliveryView, Vec<AttemptView>)> {
        let store = self.host.store();
        let delivery = store
            .deliveries_of_event(Scope::Operator, event)
            .await
            .expect("the store answers")
            .into_iter()
            .next()?;
        let attempts = store.attempts(Scope::Operator, delivery.id).await.expect("the store answers");
        Some((delivery, attempts))
    }
}

fn accepted(posted: Option<Result<hookyard_tests::client::Answer, tokio::task::JoinError>>) {
    let answer = posted.expect("a post is under way").expect("a post does not panic");
    assert_eq!(answer.status, 202, "{}", answer.text());
}

fn duration(attempt: &AttemptView) -> Duration {
    Duration::from_micros(u64::try_from(attempt.duration_us).expect("a duration is not negative"))
}

fn ended(attempt: &AttemptView) -> Timestamp {
    attempt.started_at.plus(duration(attempt))
}

fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("a bound listener has an address")
}

/// Whether nobody has connected to a listener that never accepted: a connection would wait in its backlog.
fn untouched(listener: TcpListener) -> bool {
    let listener = listener.into_std().expect("a listener can be taken off the runtime");
    matches!(listener.accept(), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

/// An address nobody listens on: it was free a moment ago.
async fn closed_port() -> SocketAddr {
    address(&TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port"))
}

/// HMAC-SHA256 as RFC 2104 defines it, so that the server's signatures are held against something that is not its own.
fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    const BLOCK_BYTES: usize = 64;
    assert!(key.len() <= BLOCK_BYTES, "a longer key would be hashed first");
    let mut padded = [0; BLOCK_BYTES];
    padded[..key.len()].copy_from_slice(key);
    let inner = Sha256::new()
        .chain_update(padded.map(|byte| byte ^ 0x36))
        .chain_update(message)
        .finalize();
    Sha256::new()
        .chain_update(padded.map(|byte| byte ^ 0x5c))
        .chain_update(inner)
        .finalize()
        .into()
}
