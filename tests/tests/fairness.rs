//! One endpoint's trouble is nobody else's (D4): receivers that hang, large bodies, endpoints that are inactive or gone, and
//! receivers that fail for so long that they are left alone, also over a restart.
//!
//! The whole server runs in the test's process on a real database, against receivers that play by a script.

use std::time::{Duration, Instant};

use hookyard::{
    config::Config,
    store::{AttemptView, Change, DeliveryView, Thing},
};
use hookyard_domain::{DeliveryState, EndpointId, EventId, Scope};
use hookyard_tests::{
    client::Answer,
    database::{Kind, TestDatabase},
    host::TestHost,
    on_both_databases,
    receiver::{Receiver, Reply},
    server::{self, Server},
    setup::{Endpoint, Sender, SetupFile, Tenant, endpoint_token, sender_token},
    wait,
};
use tokio::{net::TcpListener, task::JoinSet};

/// How long a healthy endpoint's deliveries may take beside hanging ones, on a busy machine. Each hangs for far longer.
const SOON: Duration = Duration::from_secs(10);
/// Longer than any test: no attempt that hangs is ended by it.
const NEVER: Duration = Duration::from_secs(300);
/// How long a signature is good for, by the Standard Webhooks library and HookSentry's documentation.
const SIGNATURE_LASTS: Duration = Duration::from_secs(300);
const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

on_both_databases!(
    large_bodies_for_a_hanging_endpoint_delay_no_other,
    endpoints_that_hang_leave_attempts_to_the_others,
    a_delivery_that_waited_for_memory_is_signed_when_it_is_sent,
    deliveries_of_an_inactive_endpoint_wait_and_use_up_no_attempt,
    the_backlog_of_a_deleted_endpoint_ends_as_cancelled,
    an_endpoint_that_is_left_alone_is_left_alone_after_a_restart,
);

/// A body over 32 KiB once held one of eight seats of the node for its whole attempt: 64 of them for an endpoint that hung
/// kept those of everybody else waiting for its deadline, again and again.
async fn large_bodies_for_a_hanging_endpoint_delay_no_other(kind: Kind) {
    const OTHERS: usize = 50;
    let receiver = Receiver::start().await;
    receiver.script("/hang", [Reply::Hang]);
    let tenant = Tenant::named("acme")
        .endpoint(Endpoint::new("hang", &receiver.url("/hang")).concurrency_max(64))
        .endpoint(Endpoint::new("other", &receiver.url("/other")));
    let mut host = start(kind, tenant, |config| config.attempt_deadline = NEVER).await;
    post_many(&host, &["hang"], 64, 64 * KIB).await;
    receiver
        .wait_until(SOON, |received| received.iter().filter(|one| one.path == "/hang").count() == 64)
        .await;
    let begun = Instant::now();
    post_many(&host, &["other"], OTHERS, 64 * KIB).await;
    receiver.wait_until(SOON, |received| received.len() == 64 + OTHERS).await;
    assert!(begun.elapsed() < SOON, "the others took {:?}", begun.elapsed());
    host.stop().await;
}

/// Attempts in flight once had no bound but each endpoint's own, so that enough hanging endpoints took all memory and file
/// handles there were.
async fn endpoints_that_hang_leave_attempts_to_the_others(kind: Kind) {
    const HANGING: usize = 40;
    const EACH: usize = 60;
    /// What the node has for endpoints whose attempts do not end soon: three quarters of 2,048.
    const LEFT_TO_THEM: usize = 1_536;
    let (hanging, others) = (Receiver::start().await, Receiver::start().await);
    let names: Vec<String> = (0..HANGING).map(|number| format!("hang-{number}")).collect();
    let tenant = names.iter().fold(Tenant::named("acme"), |tenant, name| {
        let path = format!("/{name}");
        hanging.script(&path, [Reply::Hang]);
        tenant.endpoint(Endpoint::new(name, &hanging.url(&path)).concurrency_max(EACH as u32))
    });
    let tenant = tenant
        .endpoint(Endpoint::new("known", &others.url("/known")))
        .endpoint(Endpoint::new("new", &others.url("/new")));
    let mut host = start(kind, tenant, |config| config.attempt_deadline = NEVER).await;
    post_many(&host, &["known"], 1, KIB).await;
    others.wait_for(1).await;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    post_many(&host, &names, HANGING * EACH, KIB).await;
    wait::until("the hanging endpoints have what they may have", async || {
        (hanging.received().len() > LEFT_TO_THEM / 2).then_some(())
    })
    .await;
    let begun = Instant::now();
    post_many(&host, &["known", "new"], 100, KIB).await;
    others.wait_until(SOON, |received| received.len() == 101).await;
    assert!(begun.elapsed() < SOON, "the others took {:?}", begun.elapsed());
    let in_flight = hanging.received().len();
    assert!(
        in_flight <= LEFT_TO_THEM,
        "{in_flight} attempts are in flight to endpoints that hang"
    );
    host.stop().await;
}

/// The time that is signed was once that at which the wait for a seat began, so after five minutes of it a receiver refused
/// the signature; and a 401 is final.
async fn a_delivery_that_waited_for_memory_is_signed_when_it_is_sent(kind: Kind) {
    /// As many bodies of this size as endpoints that nobody has tried may have in memory at once.
    const LARGE: usize = 24 * MIB;
    const SILENT: usize = 8;
    let receiver = Receiver::start().await;
    // Nobody accepts here: connections open and take what the system buffers, so the bodies stay in the server's memory.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = silent.local_addr().expect("a bound listener has an address");
    let names: Vec<String> = (0..SILENT).map(|number| format!("silent-{number}")).collect();
    let tenant = names.iter().fold(Tenant::named("acme"), |tenant, name| {
        tenant.endpoint(Endpoint::new(name, &format!("http://{address}/{name}")))
    });
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let tenant = tenant
        .sender(Sender::new("all").endpoints(&names))
        .endpoint(Endpoint::new("hook", &receiver.url("/hook")))
        .endpoint(Endpoint::new("small", &receiver.url("/small")));
    let deadline = Duration::from_secs(8);
    let mut host = start(kind, tenant, move |config| config.attempt_deadline = deadline).await;
    accepted(&host.client().post(&sender_token("acme", "all"), body(LARGE)).send().await);
    wait::until("every silent endpoint has its connection", async || {
        (connections_to(address.port()) >= SILENT).then_some(())
    })
    .await;
    accepted(&host.client().post(&endpoint_token("acme", "hook"), body(LARGE)).send().await);
    // Another endpoint's delivery shows that the server is at work and this one alone waits.
    post_many(&host, &["small"], 1, KIB).await;
    assert_eq!(receiver.wait_for(1).await[0].path, "/small");

    host.advance(SIGNATURE_LASTS * 2);
    let sent_after = host.clock().now();
    let received = receiver.wait_for(2).await;
    let hook = received.iter().find(|one| one.path == "/hook").expect("it is the second");
    assert_eq!(hook.body.len(), LARGE);
    let signed_at: i64 = hook.header("webhook-timestamp").parse().expect("a timestamp is a number");
    assert!(
        signed_at >= sent_after.as_secs(),
        "signed {} s before it was sent",
        sent_after.as_secs() - signed_at
    );
    drop(silent);
    host.stop().await;
}

/// How many connections to a port are open on this machine, whether or not anybody accepts them.
fn connections_to(port: u16) -> usize {
    const ESTABLISHED: &str = "01";
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the system lists its connections");
    let remote = format!(":{port:04X}");
    table
        .lines()
        .filter(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            columns.get(2).is_some_and(|address| address.ends_with(&remote)) && columns.get(3) == Some(&ESTABLISHED)
        })
        .count()
}

/// A receiver that takes a body and does not answer holds an attempt, and no memory: bodies for others go on meanwhile, far
/// more of them than fit into memory together.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_counts_until_it_is_sent_and_not_until_it_is_answered() {
    const ENDPOINTS: usize = 16;
    wait::bounded(async {
        let receiver = Receiver::start().await;
        let tenant = (0..ENDPOINTS).fold(Tenant::named("acme"), |tenant, number| {
            let path = format!("/hang-{number}");
            receiver.script(&path, [Reply::Hang]);
            tenant.endpoint(Endpoint::new(&format!("hang-{number}"), &receiver.url(&path)))
        });
        let tenant = tenant.sender(Sender::new("all"));
        let mut host = start(Kind::Sqlite, tenant, |config| config.attempt_deadline = NEVER).await;
        accepted(&host.client().post(&sender_token("acme", "all"), body(20 * MIB)).send().await);
        receiver.wait_for(ENDPOINTS).await;
        host.stop().await;
    })
    .await;
}

async fn deliveries_of_an_inactive_endpoint_wait_and_use_up_no_attempt(kind: Kind) {
    let receiver = Receiver::start().await;
    receiver.script("/hook", [Reply::Status(500), Reply::Status(200)]);
    let hook = Endpoint::new("hook", &receiver.url("/hook"));
    let other = Endpoint::new("other", &receiver.url("/other"));
    let setup = |hook: Endpoint| SetupFile::new().tenant(Tenant::named("acme").endpoint(hook).endpoint(other.clone()));
    let mut host = TestHost::builder(kind).setup(setup(hook.clone())).start().await;
    let event = accepted(&host.client().post(&endpoint_token("acme", "hook"), body(KIB)).send().await);
    until_attempts(&host, event, 1).await;

    host.apply(&setup(hook.clone().inactive())).await;
    until_answered(&host, "hook", 422).await;
    // Its retry is due now, and so is a delivery that shows that the claimer has been at work since.
    host.advance(Duration::from_secs(5 * 60));
    receiver.script("/other", [Reply::Status(500), Reply::Status(200)]);
    let beside = accepted(&host.client().post(&endpoint_token("acme", "other"), body(KIB)).send().await);
    until_attempts(&host, beside, 1).await;
    host.advance(Duration::from_secs(5 * 60));
    until_attempts(&host, beside, 2).await;
    let (delivery, attempts) = look(&host, event).await.expect("it is there");
    assert_eq!((delivery.state, attempts.len()), (DeliveryState::Waiting, 1));

    host.apply(&setup(hook)).await;
    let (delivery, _) = until_attempts(&host, event, 2).await;
    assert_eq!(delivery.state, DeliveryState::Delivered);
    host.stop().await;
}

/// Nothing once wrote `cancelled`: what waited for a deleted endpoint waited for ever.
async fn the_backlog_of_a_deleted_endpoint_ends_as_cancelled(kind: Kind) {
    /// More than one transaction ends.
    const BACKLOG: usize = 1_200;
    let receiver = Receiver::start().await;
    receiver.script("/hook", [Reply::Hang]);
    let tenant = Tenant::named("acme")
        .endpoint(Endpoint::new("hook", &receiver.url("/hook")).concurrency_max(1))
        .endpoint(Endpoint::new("other", &receiver.url("/other")));
    let mut host = start(kind, tenant, |config| config.attempt_deadline = Duration::from_secs(2)).await;
    post_many(&host, &["hook"], BACKLOG, KIB).await;
    let rows = host.store().configuration_since(0).await.expect("the store answers");
    let named = |name: &str| {
        let row = rows.endpoints.rows.iter().find(|row| row.name.as_deref() == Some(name));
        row.map(|row| (row.id, row.revision)).expect("the endpoint is there")
    };
    let (hook, revision): (EndpointId, i64) = named("hook");
    let thing = Thing::Endpoint(hook);
    host.store()
        .configure(&[Change::Delete { thing, revision }], host.clock().now())
        .await
        .expect("the endpoint is deleted");
    wait::until("every delivery but those that were tried is cancelled", async || {
        let (_, deliveries) = host.database().counts().await;
        let of = |state: &str| deliveries.iter().find(|(name, _)| name == state).map_or(0, |(_, count)| *count);
        (of("cancelled") == BACKLOG as i64 && of("waiting") == 0).then_some(())
    })
    .await;
    post_many(&host, &["other"], 1, KIB).await;
    receiver
        .wait_until(SOON, |received| received.iter().any(|one| one.path == "/other"))
        .await;
    host.stop().await;
}

/// What was known of a receiver was once lost with the process: each restart sent five more attempts to one long dead.
async fn an_endpoint_that_is_left_alone_is_left_alone_after_a_restart(kind: Kind) {
    const BLOCK: Duration = Duration::from_secs(600);
    let receiver = Receiver::start().await;
    receiver.script("/hook", [Reply::Status(500)]);
    let tenant = Tenant::named("acme")
        .breaker_block_s(600)
        .endpoint(Endpoint::new("hook", &receiver.url("/hook")).concurrency_max(1))
        .endpoint(Endpoint::new("other", &receiver.url("/other")));
    let mut host = start(kind, tenant, |_| {}).await;
    for sent in 1..=5 {
        let event = accepted(&host.client().post(&endpoint_token("acme", "hook"), body(KIB)).send().await);
        until_attempts(&host, event, 1).await;
        assert_eq!(receiver.received_at("/hook").len(), sent);
    }
    wait::until("it is kept that the endpoint is left alone", async || {
        let breakers = host.store().breakers().await.expect("the store answers");
        (breakers.len() == 1).then_some(())
    })
    .await;
    host.restart().await;
    let event = accepted(&host.client().post(&endpoint_token("acme", "hook"), body(KIB)).send().await);
    post_many(&host, &["other"], 1, KIB).await;
    receiver
        .wait_until(SOON, |received| received.iter().any(|one| one.path == "/other"))
        .await;
    assert_eq!(receiver.received_at("/hook").len(), 5, "it is left alone");

    receiver.script("/hook", [Reply::Status(200)]);
    host.advance(BLOCK);
    let (delivery, _) = until_attempts(&host, event, 1).await;
    assert_eq!(delivery.state, DeliveryState::Delivered, "the probe shows that it works again");
    wait::until("that is kept, too", async || {
        let breakers = host.store().breakers().await.expect("the store answers");
        breakers.is_empty().then_some(())
    })
    .await;
    host.stop().await;
}

/// The log once had a line for each failed attempt, for as long as an endpoint stayed bad.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_has_one_line_for_the_many_failures_of_an_endpoint() {
    const EVENTS: usize = 30;
    wait::bounded(async {
        let receiver = Receiver::start().await;
        // Two of three fail, so that it is never left alone.
        let replies = [Reply::Status(500), Reply::Status(500), Reply::Status(200)];
        receiver.script("/hook", replies.iter().cycle().take(EVENTS).cloned());
        let database = TestDatabase::fresh(Kind::Sqlite).await;
        let tenant = Tenant::named("acme").endpoint(Endpoint::new("hook", &receiver.url("/hook")).concurrency_max(1));
        let tenants = server::apply(&database, &SetupFile::new().tenant(tenant)).await;
        let mut server = Server::on(&database).tenants(&tenants).start().await;
        for _ in 0..EVENTS {
            accepted(&server.client().post(&endpoint_token("acme", "hook"), body(KIB)).send().await);
        }
        receiver.wait_for(EVENTS).await;
        assert!(server.stop().await.success());
        let log = server.log();
        assert_eq!(log.matches("attempt failed").count(), 1, "{log}");
    })
    .await;
}

// -- what these tests share -------------------------------------------------------------------------------------------

async fn start(kind: Kind, tenant: Tenant, config: impl FnOnce(&mut Config) + Send + 'static) -> TestHost {
    TestHost::builder(kind)
        .setup(SetupFile::new().tenant(tenant))
        .config(|config| config.grace = Duration::ZERO)
        .config(config)
        .start()
        .await
}

/// A JSON text of exactly so many bytes.
fn body(bytes: usize) -> String {
    format!("\"{}\"", "x".repeat(bytes - 2))
}

fn accepted(answer: &Answer) -> EventId {
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.event_id().parse().expect("an event's id is an id")
}

/// Posts so many events of this size, several at a time, to the endpoints in turn.
async fn post_many(host: &TestHost, endpoints: &[&str], count: usize, bytes: usize) {
    const AT_ONCE: usize = 16;
    let mut posts = JoinSet::new();
    for endpoint in endpoints.iter().cycle().take(count) {
        if posts.len() >= AT_ONCE {
            accepted(&posts.join_next().await.expect("there are some").expect("a post does not panic"));
        }
        posts.spawn(host.client().post(&endpoint_token("acme", endpoint), body(bytes)).send());
    }
    while let Some(answer) = posts.join_next().await {
        accepted(&answer.expect("a post does not panic"));
    }
}

/// Waits until a post for an endpoint is answered so: that the server has its new configuration.
async fn until_answered(host: &TestHost, endpoint: &str, status: u16) {
    wait::until(&format!("a post to {endpoint} is answered {status}"), async || {
        let answer = host.client().post(&endpoint_token("acme", endpoint), body(KIB)).send().await;
        (answer.status == status).then_some(())
    })
    .await;
}

/// Waits until the event's one delivery has had so many attempts.
async fn until_attempts(host: &TestHost, event: EventId, count: usize) -> (DeliveryView, Vec<AttemptView>) {
    wait::until(&format!("event {event} has had {count} attempts"), async || {
        let (delivery, attempts) = look(host, event).await?;
        // Read one after the other: both must tell of the same attempts.
        (attempts.len() == count && delivery.attempts as usize == count).then_some((delivery, attempts))
    })
    .await
}

async fn look(host: &TestHost, event: EventId) -> Option<(DeliveryView, Vec<AttemptView>)> {
    let store = host.store();
    let deliveries = store.deliveries_of_event(Scope::Operator, event).await.expect("the store answers");
    let delivery = deliveries.into_iter().next()?;
    let attempts = store.attempts(Scope::Operator, delivery.id).await.expect("the store answers");
    Some((delivery, attempts))
}
