//! Each metric is moved by a scenario. One that is added without a scenario or without a line in `docs/metrics.md`, and one that
//! either of them names and that does not exist, fails a test.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use hookyard::{
    app::watcher,
    store::{Accepted, Error, Leased, Placement, Store},
    telemetry::metrics::Metrics,
};
use hookyard_tests::database::TestDatabase;
use http::Method;

use super::{parsed::Parsed, *};

/// What moves a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// [`events_that_go_well_and_badly_move_what_counts_them`].
    Events,
    /// [`what_waits_is_told_with_its_age`].
    Waiting,
    /// [`a_database_that_is_away_is_told`].
    Outage,
    /// [`a_panic_in_a_lane_is_counted_and_costs_one_answer`].
    Panic,
}

const SCENARIOS: &[(&str, By)] = &[
    ("hookyard_events_accepted_total", By::Events),
    ("hookyard_events_repeated_total", By::Events),
    ("hookyard_requests_refused_total", By::Events),
    ("hookyard_events_decided_total", By::Events),
    ("hookyard_attempts_total", By::Events),
    ("hookyard_attempts_failed_total", By::Events),
    ("hookyard_attempt_seconds", By::Events),
    ("hookyard_plugin_runs_total", By::Events),
    ("hookyard_plugin_cpu_seconds", By::Events),
    ("hookyard_plugin_wall_seconds", By::Events),
    ("hookyard_plugin_offers_total", By::Events),
    ("hookyard_plugin_compilations_total", By::Events),
    ("hookyard_plugin_compile_seconds", By::Events),
    ("hookyard_store_commit_seconds", By::Events),
    ("hookyard_store_batch_writes", By::Events),
    ("hookyard_log_lines_left_out_total", By::Events),
    ("hookyard_build_info", By::Events),
    ("hookyard_events_in_table", By::Waiting),
    ("hookyard_deliveries_in_table", By::Waiting),
    ("hookyard_oldest_due_seconds", By::Waiting),
    ("hookyard_oldest_held_seconds", By::Waiting),
    ("hookyard_queued", By::Waiting),
    ("hookyard_attempts_in_flight", By::Waiting),
    ("hookyard_endpoint_breakers", By::Waiting),
    ("hookyard_plugins", By::Waiting),
    ("hookyard_rows_set_aside", By::Waiting),
    ("hookyard_database_bytes", By::Waiting),
    ("hookyard_database_reachable", By::Outage),
    ("hookyard_loop_silent_seconds", By::Outage),
    ("hookyard_store_commits_failed_total", By::Outage),
    ("hookyard_panics_total", By::Panic),
];

fn moved_by(scenario: By) -> impl Iterator<Item = &'static str> {
    SCENARIOS.iter().filter(move |(_, by)| *by == scenario).map(|(name, _)| *name)
}

#[test]
fn every_metric_has_a_scenario_and_a_line_in_its_document_and_nothing_else_has() {
    let registered: BTreeSet<String> = Metrics::names().into_iter().collect();
    let tested: BTreeSet<String> = SCENARIOS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(registered, tested, "registered, and with a scenario");
    assert_eq!(tested.len(), SCENARIOS.len(), "a scenario each");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("docs").join("metrics.md");
    let page = std::fs::read_to_string(page).expect("the metrics have a page");
    let documented: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `hookyard_")?.split_once('`'))
        .map(|(name, _)| format!("hookyard_{}", name.split('{').next().unwrap_or_default()))
        .collect();
    assert_eq!(registered, documented, "registered, and documented");
}

on_both_databases!(
    events_that_go_well_and_badly_move_what_counts_them,
    what_waits_is_told_with_its_age,
    a_panic_in_a_lane_is_counted_and_costs_one_answer,
    the_metrics_are_the_operators,
);

async fn events_that_go_well_and_badly_move_what_counts_them(kind: Kind) {
    let receiver = Receiver::start().await;
    receiver.script("/broken", [Reply::Status(500)]);
    let tenant = Tenant::named(routing::TENANT)
        .endpoint(Endpoint::new("hook", &receiver.url("/hook")))
        .endpoint(Endpoint::new("broken", &receiver.url("/broken")))
        .sender(routing::sender_in("pass").endpoints(&["hook"]));
    // A version that traps for one of its senders would not pass its trial, so this one comes later.
    let with_trap = tenant.clone().sender(routing::sender_in("trap").endpoints(&["hook"]));
    let mut host = TestHost::builder(kind).setup(SetupFile::new().tenant(tenant)).start().await;
    let before = Parsed::now(host.operations()).await;
    host.put_plugin(routing::TENANT, routing::PLUGIN, &routing::version(1));
    routing::active(&host, routing::PLUGIN, &routing::version(1)).await;
    let token = |endpoint| endpoint_token(routing::TENANT, endpoint);
    for (token, key, body, status) in [
        (token("hook").as_str(), "one", "{}", 202),
        (&token("hook"), "one", "{}", 200),
        (&token("hook"), "two", "{", 400),
        ("dst_unknown", "three", "{}", 404),
        (&token("broken"), "four", "{}", 202),
        (&token("broken"), "five", "{}", 202),
    ] {
        let answer = host.client().post(token, body).key(key).send().await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    let passed = routing::post(&host, "pass", "{}").await;
    routing::delivered(&host, passed).await;
    host.apply(&SetupFile::new().tenant(with_trap)).await;
    let held = until("the server knows the second sender", async || {
        let token = sender_token(routing::TENANT, "trap");
        let answer = host.client().post(&token, "{}").send().await;
        (answer.status == 202).then(|| answer.event_id())
    })
    .await;
    routing::decided(&host, held.parse().expect("an event's id is an id")).await;
    let after = until("all of it is counted", async || {
        let now = Parsed::now(host.operations()).await;
        let all = now.with("hookyard_attempts_total", "delivered") >= 2.0 && now.with("hookyard_attempts_total", "waiting") >= 2.0;
        all.then_some(now)
    })
    .await;
    for name in moved_by(By::Events).filter(|name| *name != "hookyard_build_info") {
        assert!(after.sum(name) > before.sum(name), "{name} was not moved");
    }
    for (name, label, value) in [
        ("hookyard_requests_refused_total", "not-json", 1.0),
        ("hookyard_events_decided_total", "held", 1.0),
        ("hookyard_events_decided_total", "routed", 4.0),
        ("hookyard_attempts_failed_total", "status-5xx", 2.0),
        ("hookyard_plugin_runs_total", "decided", 1.0),
        ("hookyard_plugin_runs_total", "trap", 1.0),
        ("hookyard_plugin_offers_total", "activated", 1.0),
        ("hookyard_build_info", env!("CARGO_PKG_VERSION"), 1.0),
    ] {
        assert_eq!(after.with(name, label), value, "{name} {label}");
    }
    assert_eq!(after.sum("hookyard_events_accepted_total"), 5.0);
    let names: BTreeSet<String> = after.names().into_iter().collect();
    let known: BTreeSet<String> = Metrics::names().into_iter().collect();
    assert!(names.is_subset(&known), "{:?}", names.difference(&known));
    for value in after.label_values() {
        assert!(!value.contains(routing::TENANT), "metrics name nobody: {value}");
    }
    host.stop().await;
}

async fn what_waits_is_told_with_its_age(kind: Kind) {
    /// As many failures in a row as block an endpoint, and one more event that waits for it.
    const EVENTS: usize = 6;
    let receiver = Receiver::start().await;
    receiver.script("/broken", [Reply::Status(500)]);
    receiver.script("/hangs", [Reply::Hang]);
    receiver.script("/gone", [Reply::Status(404)]);
    let tenant = Tenant::named(routing::TENANT)
        .endpoint(Endpoint::new("broken", &receiver.url("/broken")).concurrency_max(1))
        .endpoint(Endpoint::new("hangs", &receiver.url("/hangs")))
        .endpoint(Endpoint::new("gone", &receiver.url("/gone")))
        .endpoint(Endpoint::new("spoilt", &receiver.url("/spoilt")))
        .sender(Sender::new("github").plugin("missing"));
    let mut host = TestHost::builder(kind)
        .setup(SetupFile::new().tenant(tenant))
        .plugin(routing::TENANT, routing::PLUGIN, routing::version(1))
        .start()
        .await;
    let before = Parsed::now(host.operations()).await;
    for endpoint in [&["broken"; EVENTS][..], &["hangs", "gone"]].concat() {
        let answer = host.client().post(&endpoint_token(routing::TENANT, endpoint), "{}").send().await;
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    routing::post(&host, "github", "{}").await;
    host.database()
        .execute("UPDATE endpoint SET metadata = 'not JSON', revision = revision + 1000 WHERE name = 'spoilt'")
        .await;
    host.database().execute("UPDATE configuration SET revision = revision + 1000").await;
    let after = until("all of it is told", async || {
        let now = Parsed::now(host.operations()).await;
        let told = now.with("hookyard_events_in_table", "held") == 1.0
            && now.with("hookyard_deliveries_in_table", "rejected") == 1.0
            && now.with("hookyard_deliveries_in_table", "waiting") >= 6.0
            && now.with("hookyard_endpoint_breakers", "blocked") == 1.0
            && now.with("hookyard_oldest_due_seconds", "delivery") > 0.0
            && now.sum("hookyard_attempts_in_flight") == 1.0
            && now.sum("hookyard_rows_set_aside") == 1.0;
        told.then_some(now)
    })
    .await;
    assert_eq!(after.with("hookyard_plugins", "loaded"), 1.0);
    assert_eq!(after.with("hookyard_queued", "delivery"), 1.0, "the one that hangs");
    assert!(after.sum("hookyard_oldest_held_seconds") > 0.0);
    assert!(after.sum("hookyard_database_bytes") > 0.0);
    // These were right from the first reading on, which the first scrape may have been after.
    let from_the_start = ["hookyard_plugins", "hookyard_database_bytes"];
    for name in moved_by(By::Waiting).filter(|name| !from_the_start.contains(name)) {
        assert!(after.sum(name) > before.sum(name), "{name} was not moved");
    }
    host.stop().await;
}

/// Only PostgreSQL can be away.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_told() {
    hookyard_tests::wait::bounded(away()).await;
}

async fn away() {
    let receiver = Receiver::start().await;
    let tenant = Tenant::named("acme").endpoint(Endpoint::new("hook", &receiver.url("/hook")));
    let mut host = TestHost::builder(Kind::Postgres)
        .setup(SetupFile::new().tenant(tenant))
        .through_proxy()
        .start()
        .await;
    let before = until("the first reading", async || {
        let now = Parsed::now(host.operations()).await;
        (now.sum("hookyard_database_reachable") == 1.0).then_some(now)
    })
    .await;
    host.proxy().cut();
    let answer = host.client().post(&endpoint_token("acme", "hook"), "{}").send().await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    let after = until("the gauges say so", async || {
        let now = Parsed::now(host.operations()).await;
        (now.sum("hookyard_database_reachable") == 0.0).then_some(now)
    })
    .await;
    for name in moved_by(By::Outage) {
        assert!(after.sum(name) != before.sum(name), "{name} was not moved");
    }
    assert_eq!(after.with("hookyard_store_commits_failed_total", "accept"), 1.0);
    host.proxy().restore();
    until("the server finds the database again", async || {
        let answer = host.client().post(&endpoint_token("acme", "hook"), "{}").send().await;
        (answer.status == 202).then_some(())
    })
    .await;
    host.stop().await;
}

/// A panic of whoever is answered once ended the lane: every further accept was refused until somebody restarted the server.
async fn a_panic_in_a_lane_is_counted_and_costs_one_answer(kind: Kind) {
    let database = TestDatabase::fresh(kind).await;
    let metrics = Arc::new(Metrics::default());
    let now = hookyard::app::now();
    let store = database.open(now).await;
    store.register_node(now, Duration::from_secs(15)).await.expect("a node registers");
    let (store, lanes) = store
        .watched(watcher(Arc::clone(&metrics)))
        .start_lanes(&database.location())
        .expect("the lanes start");
    let event = |number| hookyard::store::Event {
        id: hookyard_domain::EventId::new_v7(now, [number; 10]),
        tenant: hookyard_domain::TenantId::new_v7(now, [1; 10]),
        environment: hookyard_domain::EnvironmentId::new_v7(now, [1; 10]),
        source: hookyard::store::Source::Sender(hookyard_domain::SenderId::new_v7(now, [1; 10])),
        idempotency_key: None,
        event_type: "push".to_owned(),
        content_type: "application/json".to_owned(),
        headers: Vec::new(),
        payload: b"{}".to_vec().into(),
        accepted_at: now,
    };
    let hand_over = |store: &Store, number, panics: bool| {
        let (told, hears) = tokio::sync::oneshot::channel();
        let done = Box::new(move |outcome: Result<Accepted, Error>| {
            assert!(!panics, "as a defect would");
            told.send(outcome).ok();
        });
        let leased = Leased::ToNobody;
        store.accept(Arc::new(event(number)), None, Placement::Undecided { leased }, done);
        hears
    };
    let first = hand_over(&store, 1, true);
    let second = hand_over(&store, 2, false);
    assert!(first.await.is_err(), "nobody is told");
    assert_eq!(second.await.expect("it is told").expect("it is accepted"), Accepted::New);
    let parsed = Parsed::of(&metrics.text());
    for name in moved_by(By::Panic) {
        assert_eq!(parsed.with(name, "commit-answer"), 1.0, "{name}");
    }
    let (events, _) = database.counts().await;
    assert_eq!(events, [("pending".to_owned(), 2)], "both were committed");
    let states = store.lane_states();
    assert!(!states.is_empty() && states.iter().all(|lane| !lane.ended), "{states:?}");
    drop(store);
    lanes.finished(Duration::from_secs(10)).await;
}

async fn the_metrics_are_the_operators(kind: Kind) {
    let tenant = Tenant::named("acme");
    let mut host = TestHost::builder(kind).setup(SetupFile::new().tenant(tenant)).start().await;
    assert_eq!(host.client().get("/metrics").await.status, 401);
    for (args, status) in [(&[][..], 200), (&["--tenant", "acme"][..], 403)] {
        let args: Vec<&str> = ["token", "create"].into_iter().chain(args.iter().copied()).collect();
        let output = hookyard_tests::server::run(host.database(), &args).await;
        let token = String::from_utf8(output.stdout).expect("a token is text").trim().to_owned();
        until("the server knows the token", async || {
            let answer = host.client().call(Method::GET, "/metrics", Some(&token), None).await;
            (answer.status == status).then_some(())
        })
        .await;
    }
    assert_eq!(host.operations().get("/health/live").await.status, 200);
    assert_eq!(
        host.operations().get("/api/v1/status").await.status,
        404,
        "nothing else is open there"
    );
    host.stop().await;
}
