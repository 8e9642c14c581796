//! Guests that attack the host, through real senders, and a neighbour that must not notice (P2, D4).
//!
//! A suite of its own: cargo runs it while no other suite keeps the machine busy, for one of its tests measures.

use std::time::{Duration, Instant};

use hookyard_domain::EventState;
use hookyard_tests::{
    database::Kind,
    host::TestHost,
    receiver::Receiver,
    routing::*,
    setup::{Endpoint, Sender, SetupFile, Tenant, sender_token},
    wait::PATIENCE,
};
use tokio_util::sync::CancellationToken;

/// Held by each test in turn, so that none runs while another measures.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Like `on_both_databases`, but one test at a time; the time of a test begins when it may run.
macro_rules! one_at_a_time_on_both_databases {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    let _alone = super::ALONE.lock().await;
                    hookyard_tests::wait::bounded(super::$name(super::Kind::Sqlite)).await;
                }
            )+
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    let _alone = super::ALONE.lock().await;
                    hookyard_tests::wait::bounded(super::$name(super::Kind::Postgres)).await;
                }
            )+
        }
    };
}

one_at_a_time_on_both_databases!(
    hostile_guests_are_stopped_within_their_limits_and_their_events_held_with_a_reason,
    hostile_neighbours_leave_a_well_behaved_senders_p99_where_it_was,
    a_flood_of_hostile_events_costs_a_neighbour_turns_and_not_its_place_in_one_queue
);

/// Modes of the guest that must fail, and the classes they may fail with: the machine may decide which limit ends a run
/// first, but one of them must.
const HOSTILE: [(&str, &[&str]); 12] = [
    ("endless-loop", &["cpu-budget"]),
    ("memory-bomb", &["memory", "cpu-budget"]),
    ("deep-recursion", &["stack-overflow", "trap"]),
    ("deep-recursion-in-memory", &["stack-overflow", "trap"]),
    ("panic", &["trap"]),
    ("trap", &["trap"]),
    ("huge-output", &["memory", "output-refused", "cpu-budget"]),
    ("large-output", &["output-refused", "memory", "cpu-budget"]),
    ("million-routes", &["memory", "output-refused", "cpu-budget"]),
    ("many-routes", &["output-refused", "cpu-budget"]),
    ("log-flood", &["cpu-budget"]),
    ("reserved-header", &["output-refused"]),
];

/// What the host adds to a budget of processor time: the tick that notices, and what it does for the guest meanwhile.
const CPU_SLACK: Duration = Duration::from_millis(250);

/// The plugin becomes active while every sender is well; then these senders come.
async fn host_with(kind: Kind, tenant: &Tenant, senders: impl IntoIterator<Item = Sender>) -> TestHost {
    let mut host = TestHost::builder(kind)
        .setup(SetupFile::new().tenant(tenant.clone().sender(sender_in("pass"))))
        .plugin(TENANT, PLUGIN, version(1))
        .start()
        .await;
    let tenant = senders.into_iter().fold(tenant.clone(), Tenant::sender);
    restart_with(&mut host, &SetupFile::new().tenant(tenant)).await;
    host
}

async fn hostile_guests_are_stopped_within_their_limits_and_their_events_held_with_a_reason(kind: Kind) {
    let receiver = Receiver::start().await;
    let senders = HOSTILE.iter().map(|(mode, _)| sender_in(mode)).chain([sender_in("pass")]);
    let tenant = Tenant::named(TENANT).endpoint(Endpoint::new("hook", &receiver.url("/hook")));
    let mut host = host_with(kind, &tenant, senders).await;
    let limits = hookyard::wasm::Settings::default().call_limits();
    let mut events = Vec::new();
    for (mode, classes) in HOSTILE {
        events.push((mode, classes, post(&host, mode, "{}").await));
    }
    let well = post(&host, "pass", "{}").await;
    for (mode, classes, event) in events {
        let (state, explanation) = decided(&host, event).await;
        assert_eq!(state, EventState::Held, "{mode}");
        let failure = explanation.detail.failure.expect("a held event says why");
        assert!(
            classes.contains(&failure.class.as_str()),
            "{mode} ended as {}: {}",
            failure.class,
            failure.message
        );
        assert!(!failure.message.is_empty(), "{mode} ended without a word");
        let run = explanation.plugin.expect("it says what ran");
        let cpu = Duration::from_micros(run.cpu_us);
        assert!(cpu < limits.cpu_budget + CPU_SLACK, "{mode} used {cpu:?}");
        assert!(
            run.memory_bytes <= limits.memory_bytes_max as u64,
            "{mode} used {} bytes",
            run.memory_bytes
        );
        let log_bytes: usize = explanation.detail.log.iter().map(|line| line.text.len()).sum();
        assert!(log_bytes <= 64 << 10, "{mode} left {log_bytes} bytes of log");
    }
    assert_eq!(delivered(&host, well).await.outcome, "pass");
    assert_eq!(receiver.received().len(), 1, "nothing of a hostile sender went out");
    host.stop().await;
}

/// Posts one after another and waits for each at the receiver; returns the times from post to arrival, sorted.
async fn latencies(host: &TestHost, receiver: &Receiver, events: usize) -> Vec<Duration> {
    let mut latencies = Vec::new();
    for _ in 0..events {
        let before = receiver.received().len();
        let posted = Instant::now();
        post(host, "pass", "{}").await;
        let received = receiver.wait_until(PATIENCE, |received| received.len() > before).await;
        latencies.push(received[before].at.duration_since(posted));
    }
    latencies.sort_unstable();
    latencies
}

fn p99(sorted: &[Duration]) -> Duration {
    sorted[(sorted.len() * 99).div_ceil(100) - 1]
}

/// Senders of `sink` that attack, each in its own way, until this is over.
const ATTACKERS: [&str; 4] = ["endless-loop", "memory-bomb", "log-flood", "panic"];
/// Senders of `sink` that stay within their budget, so that no breaker ever stops them.
const BUSY: [&str; 3] = ["busy-1", "busy-2", "busy-3"];
/// What a busy sender's event takes of its 20 ms, give or take half.
const BUSY_MS: i64 = 10;
/// Pause between two events of one neighbour: together more than a hundred a second.
const ATTACK_EVERY: Duration = Duration::from_millis(50);

/// A well-behaved sender's latencies alone, and beside its neighbours, each of which begins with so many events.
async fn beside_neighbours(kind: Kind, neighbours: &[&'static str], backlog: usize, events: usize) -> (Vec<Duration>, Vec<Duration>) {
    let (receiver, sink) = (Receiver::start().await, Receiver::start().await);
    let tenant = Tenant::named(TENANT)
        .endpoint(Endpoint::new("hook", &receiver.url("/hook")))
        .endpoint(Endpoint::new("sink", &sink.url("/sink")));
    let mut busy = mode("burn-cpu-ms");
    busy.insert("ms".to_owned(), BUSY_MS.into());
    let mut senders = vec![sender_in("pass").endpoints(&["hook"])];
    senders.extend(BUSY.map(|name| Sender::new(name).plugin(PLUGIN).config(busy.clone()).endpoints(&["sink"])));
    senders.extend(ATTACKERS.map(|mode| sender_in(mode).endpoints(&["sink"])));
    let mut host = host_with(kind, &tenant, senders).await;
    latencies(&host, &receiver, 10).await;
    let alone = latencies(&host, &receiver, events).await;

    let closing = CancellationToken::new();
    let mut attacks = Vec::new();
    for name in neighbours {
        let (client, closing) = (host.client().clone(), closing.clone());
        let token = sender_token(TENANT, name);
        for _ in 0..backlog {
            assert_eq!(client.post(&token, "{}").send().await.status, 202);
        }
        attacks.push(tokio::spawn(async move {
            let mut accepted = 0_u32;
            while !closing.is_cancelled() {
                // A full queue would be an answer too; what matters is that the attack goes on.
                accepted += u32::from(client.post(&token, "{}").send().await.status == 202);
                tokio::time::sleep(ATTACK_EVERY).await;
            }
            accepted
        }));
    }
    let beside = latencies(&host, &receiver, events).await;
    closing.cancel();
    for attack in attacks {
        assert!(attack.await.expect("posting does not panic") > 0, "every neighbour was there");
    }
    host.stop().await;
    (alone, beside)
}

async fn hostile_neighbours_leave_a_well_behaved_senders_p99_where_it_was(kind: Kind) {
    /// Noise of a machine that runs other things too.
    const NOISE: Duration = Duration::from_millis(250);
    let (alone, beside) = beside_neighbours(kind, &ATTACKERS, 0, 100).await;
    assert!(
        p99(&beside) <= p99(&alone) * 3 + NOISE,
        "p99 went from {:?} to {:?}",
        p99(&alone),
        p99(&beside)
    );
}

/// More work than the machine has processors for, seconds of it before the first well-behaved event.
async fn a_flood_of_hostile_events_costs_a_neighbour_turns_and_not_its_place_in_one_queue(kind: Kind) {
    const BACKLOG: usize = 100;
    /// Every neighbour's turn on one thread is 7 times 20 ms; the rest is for processors that others use as well. In one
    /// queue with all of the flood the same events waited for more than 20 s.
    const TURNS: Duration = Duration::from_secs(1);
    let neighbours: Vec<_> = ATTACKERS.into_iter().chain(BUSY).collect();
    let (alone, beside) = beside_neighbours(kind, &neighbours, BACKLOG, 40).await;
    assert!(
        p99(&beside) <= p99(&alone) * 3 + TURNS,
        "p99 went from {:?} to {:?}",
        p99(&alone),
        p99(&beside)
    );
}
