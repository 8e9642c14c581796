//! What the server does while something it needs is away: the system's resolver, and the database while it stops.
//!
//! The outages are real: a name server that does not answer, a wire that is cut.

use std::time::{Duration, Instant};

use hookyard_domain::{DeliveryState, EventId, Scope};
use hookyard_tests::{
    database::Kind,
    host::TestHost,
    namespace::{self, Namespace},
    receiver::{Receiver, Reply},
    setup::{Endpoint, SetupFile, Tenant, endpoint_token},
    wait,
};
use sqlx::Connection as _;
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

const BODY: &str = r#"{"order": 17}"#;

/// The time for connecting once included the look-up of the name, so while the system's resolver was silent every endpoint
/// was taken for one that times out, and after five attempts each was left alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_resolver_that_does_not_answer_is_nobodys_failure_but_ours() {
    const NAME: &str = "a_resolver_that_does_not_answer_is_nobodys_failure_but_ours";
    match Namespace::here() {
        Namespace::Own => wait::bounded(resolve_in_vain()).await,
        Namespace::Shared => {
            let folder = tempfile::tempdir().expect("a temporary folder can be made");
            let name_server = folder.path().join("resolv.conf");
            std::fs::write(&name_server, "nameserver 127.0.0.1\n").expect("the folder can be written");
            let prepare = format!("ip link set lo up && mount --bind {} /etc/resolv.conf", name_server.display());
            namespace::run_again(NAME, &["--mount", "--net"], &prepare);
        }
    }
}

async fn resolve_in_vain() {
    /// More than the failures in a row after which an endpoint is left alone.
    const EVENTS: usize = 40;
    // It takes questions in and never answers.
    let _silent = UdpSocket::bind("127.0.0.1:53")
        .await
        .expect("in a namespace of its own this is root");
    let tenant = Tenant::named("acme").endpoint(Endpoint::new("hook", "http://receiver.example/hook").concurrency_max(EVENTS as u32));
    let mut host = TestHost::builder(Kind::Sqlite)
        .setup(SetupFile::new().tenant(tenant))
        .config(|config| config.grace = Duration::ZERO)
        .start()
        .await;
    let threads_before = threads();
    let mut events = Vec::new();
    for _ in 0..EVENTS {
        events.push(post(&host).await);
    }
    for event in events {
        assert_eq!(first_error(&host, event).await, "internal");
    }
    // The system's resolver goes on trying after each attempt has given up.
    let more = threads().saturating_sub(threads_before);
    assert!(more < EVENTS / 2, "{EVENTS} attempts for one name took {more} threads");
    let after_all = post(&host).await;
    assert_eq!(first_error(&host, after_all).await, "internal", "the endpoint is not left alone");
    host.stop().await;
}

/// How many threads this process has.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").expect("the system lists them").count()
}

/// The class of the first attempt of the event's one delivery.
async fn first_error(host: &TestHost, event: EventId) -> String {
    wait::until("an attempt was made", async || {
        let store = host.store();
        let deliveries = store.deliveries_of_event(Scope::Operator, event).await.expect("the store answers");
        let delivery = deliveries.first()?.id;
        let attempts = store.attempts(Scope::Operator, delivery).await.expect("the store answers");
        attempts.into_iter().next()?.error
    })
    .await
}

/// Outcomes that were being written again and again once kept the store's lane open, so that a stop while the database was
/// away took ten seconds more than its grace.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_without_its_database_does_not_wait_for_it() {
    wait::bounded(stop_without_the_database()).await;
}

async fn stop_without_the_database() {
    /// Two seconds for the last outcomes, three to find out that the node cannot be released.
    const STOP_MAX: Duration = Duration::from_secs(8);
    let receiver = Receiver::start().await;
    receiver.script("/hook", [Reply::After(Duration::from_millis(500), Box::new(Reply::Status(200)))]);
    let tenant = Tenant::named("acme").endpoint(Endpoint::new("hook", &receiver.url("/hook")));
    let mut host = TestHost::builder(Kind::Postgres)
        .setup(SetupFile::new().tenant(tenant))
        .config(|config| config.grace = Duration::from_secs(2))
        .through_proxy()
        .start()
        .await;
    post(&host).await;
    receiver.wait_for(1).await;
    // The attempt is in flight: its outcome finds no database.
    host.proxy().cut();
    let begun = Instant::now();
    host.stop().await;
    assert!(begun.elapsed() < STOP_MAX, "stopping took {:?}", begun.elapsed());
}

/// The heartbeat once ended before the attempts in flight: a node that took longer to stop than its lease lasted was taken for
/// dead, and what it was delivering was delivered again by another.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_drains_keeps_its_leases() {
    wait::bounded(drain_longer_than_a_lease()).await;
}

async fn drain_longer_than_a_lease() {
    const LEASE: Duration = Duration::from_secs(2);
    let receiver = Receiver::start().await;
    receiver.script(
        "/hook",
        [Reply::After(2 * LEASE + Duration::from_secs(1), Box::new(Reply::Status(200)))],
    );
    let tenant = Tenant::named("acme").endpoint(Endpoint::new("hook", &receiver.url("/hook")));
    let mut host = TestHost::builder(Kind::Postgres)
        .setup(SetupFile::new().tenant(tenant))
        .config(|config| {
            config.lease = LEASE;
            config.grace = 5 * LEASE;
        })
        .start()
        .await;
    let event = post(&host).await;
    receiver.wait_for(1).await;
    let clock = host.clock().clone();
    let mut database = sqlx::PgConnection::connect(host.database().url())
        .await
        .expect("the cluster is there");
    let stopping = CancellationToken::new();
    let stopped = stopping.clone();
    let watch = async move {
        let mut looks = 0;
        while !stopped.is_cancelled() {
            let until: Option<(i64,)> = sqlx::query_as("SELECT alive_until FROM node")
                .fetch_optional(&mut database)
                .await
                .expect("the database answers");
            // The row goes at the very end, with all that is left.
            let Some((until,)) = until else { break };
            assert!(until > clock.now().as_micros(), "the lease ran out after {looks} looks");
            looks += 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        looks
    };
    let stop = async {
        host.stop().await;
        stopping.cancel();
    };
    let ((), looks) = tokio::join!(stop, watch);
    assert!(looks > 20, "it drained for longer than its lease: {looks} looks");
    let deliveries = host
        .store()
        .deliveries_of_event(Scope::Operator, event)
        .await
        .expect("the store answers");
    assert_eq!((deliveries[0].state, deliveries[0].attempts), (DeliveryState::Delivered, 1));
    assert_eq!(receiver.received().len(), 1);
}

async fn post(host: &TestHost) -> EventId {
    let answer = host.client().post(&endpoint_token("acme", "hook"), BODY).send().await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.event_id().parse().expect("an event's id is an id")
}
