//! What becomes of an event whose plugin fails, and that it can be found.

use std::time::Duration;

use hookyard::{explanation::Explanation, store::Page};
use hookyard_domain::{DeliveryState, EventState, Scope};
use hookyard_tests::{
    database::Kind,
    guests,
    host::TestHost,
    on_both_databases,
    receiver::{Receiver, Reply},
    routing::*,
    server,
    setup::{Endpoint, Sender, SetupFile, Tenant},
    wait,
};
use serde_json::Value;

on_both_databases!(
    each_failure_policy_does_what_it_says,
    a_transient_failure_is_tried_again_with_growing_waits_and_then_held,
    a_plugin_that_keeps_failing_is_stopped_and_ingest_goes_on,
    a_changed_configuration_releases_what_was_held_for_its_sender,
    a_decision_is_stored_once_and_never_changes,
    every_event_that_reached_no_endpoint_is_found_with_its_reason
);

/// docs/contracts/hooksentry.md, section 14.4: 2 and 5 minutes, and the tenth that may be added at random.
const RETRY_WAITS: [Duration; 2] = [Duration::from_secs(132), Duration::from_secs(330)];

/// A host on which the plugin became active while all was well, and these senders came after.
async fn host_with(kind: Kind, receiver: &Receiver, senders: impl IntoIterator<Item = Sender>) -> TestHost {
    let mut host = TestHost::builder(kind)
        .setup(setup(receiver, [sender_in("pass")]))
        .plugin(TENANT, PLUGIN, version(1))
        .start()
        .await;
    restart_with(&mut host, &setup(receiver, senders)).await;
    host
}

fn failing(name: &str, policy: &str) -> Sender {
    Sender::new(name).plugin(PLUGIN).config(mode("trap")).on_failure(policy)
}

async fn each_failure_policy_does_what_it_says(kind: Kind) {
    let receiver = Receiver::start().await;
    let policies = [
        ("hold", EventState::Held),
        ("dead-letter", EventState::DeadLettered),
        ("pass-through", EventState::Routed),
    ];
    let senders = policies
        .iter()
        .map(|(policy, _)| failing(policy, policy))
        .chain([sender_in("trap")]);
    let mut host = host_with(kind, &receiver, senders).await;
    for (policy, expected) in policies {
        let event = post(&host, policy, &format!(r#"{{"policy":"{policy}"}}"#)).await;
        let (state, explanation) = decided(&host, event).await;
        assert_eq!(state, expected, "{policy}");
        assert_eq!(explanation.outcome, "failed");
        let failure = explanation.detail.failure.expect("a failure is explained");
        assert_eq!((failure.class.as_str(), failure.policy.as_str()), ("trap", policy));
        assert!(explanation.plugin.is_some(), "it says which version failed");
        let deliveries = host
            .store()
            .deliveries_of_event(Scope::Operator, event)
            .await
            .expect("the store reads");
        assert_eq!(deliveries.len(), usize::from(policy == "pass-through"), "{policy}");
    }
    let event = post(&host, "trap", "{}").await;
    assert_eq!(decided(&host, event).await.0, EventState::Held, "without a policy an event is held");
    let received = receiver.wait_for(1).await;
    assert_eq!(received[0].body, r#"{"policy":"pass-through"}"#);
    assert_eq!(receiver.received().len(), 1);
    host.stop().await;
}

async fn a_transient_failure_is_tried_again_with_growing_waits_and_then_held(kind: Kind) {
    const WAITS_S: [u64; 5] = [1, 2, 4, 8, 16];
    let receiver = Receiver::start().await;
    let mut host = host_with(kind, &receiver, [sender_in("fail-transient")]).await;
    let mut due_before = host.clock().now();
    let event = post(&host, "fail-transient", "{}").await;
    for wait_s in WAITS_S {
        let due = wait::until("the event is postponed", async || {
            let due = host.store().senders_with_pending().await.expect("the store reads").first()?.1;
            (due > due_before).then_some(due)
        })
        .await;
        let ahead = due.since(host.clock().now());
        assert!(ahead <= Duration::from_secs(wait_s), "{ahead:?} is more than {wait_s} s");
        assert!(
            due.since(due_before) >= Duration::from_secs(wait_s),
            "{:?} is less than {wait_s} s",
            due.since(due_before)
        );
        assert_eq!(state(&host, event).await, EventState::Pending);
        due_before = due;
        host.advance(ahead);
    }
    let (state, explanation) = decided(&host, event).await;
    assert_eq!(state, EventState::Held);
    let failure = explanation.detail.failure.expect("a held event says why");
    assert_eq!((failure.class.as_str(), failure.message.as_str()), ("transient", "try again later"));
    assert!(receiver.received().is_empty());
    host.stop().await;
}

async fn a_plugin_that_keeps_failing_is_stopped_and_ingest_goes_on(kind: Kind) {
    /// Twice the runs after which a breaker judges.
    const EVENTS: usize = 40;
    let receiver = Receiver::start().await;
    let mut host = host_with(kind, &receiver, [sender_in("trap"), sender_in("pass")]).await;
    let mut events = Vec::new();
    for _ in 0..EVENTS {
        events.push(post(&host, "trap", "{}").await);
    }
    let count = async |host: &TestHost, state: EventState| {
        let (by_state, _) = host.database().counts().await;
        by_state
            .iter()
            .find(|(name, _)| name == state.as_str())
            .map_or(0, |(_, count)| *count)
    };
    wait::until("the breaker has seen enough", async || {
        (count(&host, EventState::Held).await >= 20).then_some(())
    })
    .await;
    assert!(
        count(&host, EventState::Pending).await > 0,
        "the rest waits undecided instead of failing too"
    );
    // Another sender of the same plugin has a breaker of its own.
    let event = post(&host, "pass", "{}").await;
    assert_eq!(delivered(&host, event).await.outcome, "pass");
    // Once the cause is gone a probe finds out, and everything is routed.
    restart_with(
        &mut host,
        &setup(&receiver, [Sender::new("trap").plugin(PLUGIN).config(mode("pass"))]),
    )
    .await;
    for event in events {
        assert_eq!(delivered(&host, event).await.outcome, "pass");
    }
    host.stop().await;
}

async fn a_changed_configuration_releases_what_was_held_for_its_sender(kind: Kind) {
    let receiver = Receiver::start().await;
    let mut host = host_with(kind, &receiver, [sender_in("trap"), failing("other", "hold")]).await;
    let mut events = Vec::new();
    for _ in 0..5 {
        events.push(post(&host, "trap", "{}").await);
    }
    let other = post(&host, "other", "{}").await;
    for event in events.iter().chain([&other]) {
        assert_eq!(decided(&host, *event).await.0, EventState::Held);
    }
    // The server goes on meanwhile: events come before, during and after the change.
    let changed = setup(
        &receiver,
        [Sender::new("trap").plugin(PLUGIN).config(mode("pass")), failing("other", "hold")],
    );
    events.push(post(&host, "trap", "{}").await);
    host.apply(&changed).await;
    events.push(post(&host, "trap", "{}").await);
    for event in events {
        assert_eq!(delivered(&host, event).await.outcome, "pass");
    }
    assert_eq!(state(&host, other).await, EventState::Held, "nothing changed for the other sender");
    host.stop().await;
}

async fn a_decision_is_stored_once_and_never_changes(kind: Kind) {
    let receiver = Receiver::start().await;
    receiver.script("/hook", [Reply::Status(503), Reply::Status(503), Reply::Status(200)]);
    let mut host = TestHost::builder(kind)
        .setup(setup(&receiver, [sender_in("ambient")]))
        .plugin(TENANT, PLUGIN, version(1))
        .start()
        .await;
    let event = post(&host, "ambient", "{}").await;
    decided(&host, event).await;
    let read = async |host: &TestHost| {
        let view = host
            .store()
            .event(Scope::Operator, event)
            .await
            .expect("the store reads")
            .expect("it is there");
        let deliveries = host
            .store()
            .deliveries_of_event(Scope::Operator, event)
            .await
            .expect("the store reads");
        let ids: Vec<_> = deliveries.iter().map(|delivery| delivery.id).collect();
        (view.decision.and_then(|decision| decision.detail).expect("it is decided"), ids)
    };
    let first = read(&host).await;
    let attempts = async |host: &TestHost, wanted: u32| {
        wait::until("the attempt is made", async || {
            let deliveries = host
                .store()
                .deliveries_of_event(Scope::Operator, event)
                .await
                .expect("the store reads");
            deliveries.iter().all(|delivery| delivery.attempts >= wanted).then_some(())
        })
        .await;
    };
    attempts(&host, 1).await;
    host.put_plugin(TENANT, PLUGIN, &version(2));
    active(&host, PLUGIN, &version(2)).await;
    host.advance(RETRY_WAITS[0]);
    attempts(&host, 2).await;
    assert_eq!(read(&host).await, first, "a retry runs no plugin");
    restart_with(
        &mut host,
        &setup(&receiver, [Sender::new("ambient").plugin(PLUGIN).config(mode("trap"))]),
    )
    .await;
    host.advance(RETRY_WAITS[1]);
    attempts(&host, 3).await;
    assert_eq!(read(&host).await, first, "nor does a restart with another configuration");
    let (_, ids) = first;
    let delivery = host
        .store()
        .delivery(Scope::Operator, ids[0])
        .await
        .expect("the store reads")
        .expect("it is there");
    assert_eq!(delivery.state, DeliveryState::Delivered);
    host.stop().await;
}

async fn every_event_that_reached_no_endpoint_is_found_with_its_reason(kind: Kind) {
    let receiver = Receiver::start().await;
    let github = || Sender::new("github").plugin("github-to-slack").event_type_header("X-GitHub-Event");
    let tenant = |senders: Vec<Sender>| {
        let tenant = Tenant::named(TENANT)
            .endpoint(Endpoint::new("hook", &receiver.url("/hook")))
            .endpoint(Endpoint::new("asleep", &receiver.url("/asleep")).inactive());
        SetupFile::new().tenant(senders.into_iter().fold(tenant, Tenant::sender))
    };
    let mut host = TestHost::builder(kind)
        .setup(tenant(vec![github()]))
        .plugin(TENANT, "github-to-slack", guests::bytes("github-to-slack"))
        .plugin(TENANT, PLUGIN, version(1))
        .start()
        .await;
    let senders = vec![
        github(),
        Sender::new("nowhere").endpoints(&["asleep"]),
        failing("held", "hold"),
        failing("dead", "dead-letter"),
    ];
    restart_with(&mut host, &tenant(senders)).await;
    let ping = host
        .client()
        .post(
            &hookyard_tests::setup::sender_token(TENANT, "github"),
            include_str!("../../fixtures/github/ping.webhook.json"),
        )
        .header("x-github-event", "ping")
        .send()
        .await;
    let expected = [
        (
            ping.event_id().parse().expect("an id"),
            EventState::Dropped,
            "GitHub only tests the webhook",
        ),
        (
            post(&host, "nowhere", "{}").await,
            EventState::Dropped,
            "none of the sender's endpoints takes this event",
        ),
        (post(&host, "held", "{}").await, EventState::Held, "trap"),
        (post(&host, "dead", "{}").await, EventState::DeadLettered, "trap"),
    ];
    for (event, expected_state, words) in expected {
        let (state, explanation) = decided(&host, event).await;
        assert_eq!(state, expected_state);
        assert!(reason(&explanation).contains(words), "{words:?} is not in {explanation:?}");
        // By its state, in the store and on the command line.
        let page = Page {
            state: Some(state),
            before: None,
            limit: 100,
        };
        let listed = host
            .store()
            .list_events(Scope::Tenant(host.tenant(TENANT)), &page)
            .await
            .expect("the store reads");
        assert!(listed.iter().any(|view| view.id == event), "{state} events do not list it");
        let output = server::run(host.database(), &["events", "--state", state.as_str(), "--format", "json"]).await;
        let listed: Value = serde_json::from_slice(&output.stdout).expect("a list is JSON");
        let id = event.to_string();
        let found = listed.as_array().and_then(|events| events.iter().find(|one| one["id"] == id));
        let found = found.unwrap_or_else(|| panic!("the command line does not list {id}: {listed}"));
        let told: Explanation = serde_json::from_value(found["decision"].clone()).expect("a decision is shown whole");
        assert_eq!(reason(&told), reason(&explanation));
        let output = server::run(host.database(), &["events", &id]).await;
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains(words), "{text}");
    }
    assert!(receiver.received().is_empty());
    host.stop().await;
}

/// Why an event reached nobody.
fn reason(explanation: &Explanation) -> String {
    match (&explanation.detail.drop, &explanation.detail.failure) {
        (Some(drop), _) => drop.message.clone(),
        (None, Some(failure)) => format!("{}: {}", failure.class, failure.message),
        (None, None) => String::new(),
    }
}
