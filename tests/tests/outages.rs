//! What the server does while something it needs is away: the system's resolver, and the database while it stops.
//!
//! The outages are real: a name server that does not answer, a wire that is cut.

use std::time::{Duration, Instant};

use hookyard_domain::{EventId, Scope};
use hookyard_tests::{
    database::Kind,
    host::TestHost,
    namespace::{self, Namespace},
    receiver::{Receiver, Reply},
    setup::{Endpoint, SetupFile, Tenant, endpoint_token},
    wait,
};
use tokio::net::UdpSocket;

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

async fn post(host: &TestHost) -> EventId {
    let answer = host.client().post(&endpoint_token("acme", "hook"), BODY).send().await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.event_id().parse().expect("an event's id is an id")
}
