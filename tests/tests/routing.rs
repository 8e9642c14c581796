//! Routing beneath the plugins: whose events are claimed, in which order, and what lets held events go.
//!
//! What a plugin's answer becomes is the subject of the suite `plugins`. Here a second store stands for another node:
//! it accepts and decides beside the server, as that node would.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hookyard::store::{Accepted, DecideOutcome, Decided, Event, IdempotencyClaim, LaneTasks, Leased, Placement, SenderRow, Source, Store};
use hookyard_domain::{DecidedBy, EventId, EventState, SenderId};
use hookyard_tests::{
    database::Kind,
    host::TestHost,
    on_both_databases,
    receiver::Receiver,
    routing::*,
    setup::{Endpoint, Sender, SetupFile, Tenant},
    wait,
};
use tokio::sync::oneshot;

on_both_databases!(
    an_event_held_by_a_node_that_had_not_heard_of_the_change_is_routed_again,
    held_events_are_routed_in_the_order_of_their_acceptance_once_a_version_works,
    one_senders_backlog_does_not_come_before_the_others,
    a_backlog_is_worked_off_without_waiting_for_the_next_search,
    a_stopped_plugins_backlog_stays_in_the_table_where_it_was,
    events_of_a_version_that_does_not_load_are_held_with_the_reason_and_routed_by_the_next,
    events_of_a_deleted_sender_end_with_that_reason
);

/// A node of its own on the host's database. Not registered: on SQLite that would end the host's leases.
struct OtherNode {
    store: Store,
    lanes: LaneTasks,
}

impl OtherNode {
    async fn start(host: &TestHost) -> Self {
        let store = host.database().open(host.clock().now()).await;
        let (store, lanes) = store.start_lanes(&host.database().location()).expect("the lanes start");
        Self { store, lanes }
    }

    /// Accepts events for a sender as a node would that finds no place in memory for them, or that has one.
    async fn accept(
        &self,
        host: &TestHost,
        sender: &SenderRow,
        bodies: impl IntoIterator<Item = String>,
        leased: Leased,
    ) -> Vec<Arc<Event>> {
        let mut waiting = Vec::new();
        for body in bodies {
            let now = host.clock().now();
            let event = Arc::new(Event {
                id: EventId::new_v7(now, rand::random()),
                tenant: sender.tenant,
                environment: sender.environment,
                source: Source::Sender(sender.id),
                idempotency_key: None,
                event_type: String::new(),
                content_type: "application/json".to_owned(),
                headers: Vec::new(),
                payload: Bytes::from(body),
                accepted_at: now,
            });
            let (answer, answered) = oneshot::channel();
            let none: Option<IdempotencyClaim> = None;
            let done = Box::new(move |outcome| drop(answer.send(outcome)));
            self.store.accept(Arc::clone(&event), none, Placement::Undecided { leased }, done);
            waiting.push((event, answered));
        }
        let mut events = Vec::new();
        for (event, answered) in waiting {
            let accepted = answered.await.expect("the lane answers").expect("the event is written");
            assert_eq!(accepted, Accepted::New);
            events.push(event);
        }
        events
    }

    async fn decide(&self, event: &Arc<Event>, decided: Decided) {
        let (store, event) = (self.store.clone(), Arc::clone(event));
        let (answer, answered) = oneshot::channel();
        let done = Box::new(move |outcome| drop(answer.send(outcome)));
        tokio::task::spawn_blocking(move || store.decide(event, 1, decided, done))
            .await
            .expect("it does not panic");
        let outcome = answered.await.expect("the lane answers").expect("the decision is written");
        assert_eq!(outcome, DecideOutcome::Decided);
    }

    async fn stop(self) {
        drop(self.store);
        self.lanes.finished(Duration::from_secs(10)).await;
    }
}

async fn sender_row(host: &TestHost, name: &str) -> SenderRow {
    let rows = host.store().configuration_since(0).await.expect("the configuration is read");
    let row = rows.senders.rows.into_iter().find(|row| row.name.as_deref() == Some(name));
    row.expect("the sender is configured")
}

async fn pending(host: &TestHost) -> i64 {
    let (events, _) = host.database().counts().await;
    let of_state = events.iter().find(|(state, _)| state == EventState::Pending.as_str());
    of_state.map_or(0, |(_, count)| *count)
}

/// When the first of a sender's unleased pending events is due, if it has any.
async fn first_due(host: &TestHost, sender: SenderId) -> Option<hookyard_domain::Timestamp> {
    let pending = host.store().senders_with_pending().await.expect("the store reads");
    pending.into_iter().find(|(id, _)| *id == sender).map(|(_, due_at)| due_at)
}

/// A node holds an event by the version it runs while another has activated the next one and released what was held.
/// The event came too late for that release, and nothing else ever released it.
async fn an_event_held_by_a_node_that_had_not_heard_of_the_change_is_routed_again(kind: Kind) {
    let receiver = Receiver::start().await;
    let mut host = TestHost::builder(kind)
        .setup(setup(&receiver, [sender_in("pass")]))
        .plugin(TENANT, PLUGIN, version(1))
        .config(|config| config.lease = Duration::from_secs(120))
        .start()
        .await;
    let activated = active(&host, PLUGIN, &version(1)).await;
    let sender = sender_row(&host, "pass").await;
    let other = OtherNode::start(&host).await;
    let events = other.accept(&host, &sender, ["{\"late\":true}".to_owned()], Leased::ToUs).await;
    let held = Decided {
        outcome: EventState::Held,
        decided_by: Some(DecidedBy::Plugin),
        cost: None,
        detail: None,
        held_under: activated.revision.max(sender.revision) - 1,
        decided_at: host.clock().now(),
        contents: Vec::new(),
        deliveries: Vec::new(),
    };
    other.decide(&events[0], held).await;
    assert_eq!(delivered(&host, events[0].id).await.outcome, "pass");
    assert_eq!(receiver.received()[0].body, "{\"late\":true}");
    other.stop().await;
    host.stop().await;
}

async fn held_events_are_routed_in_the_order_of_their_acceptance_once_a_version_works(kind: Kind) {
    const EVENTS: usize = 120;
    /// Events that may overtake another: as many as run at once, and their commits.
    const OVERTAKING_MAX: usize = 32;
    let receiver = Receiver::start().await;
    let tenant = Tenant::named(TENANT)
        .endpoint(Endpoint::new("hook", &receiver.url("/hook")).concurrency_max(1))
        .sender(sender_in("pass"));
    let mut host = TestHost::builder(kind).setup(SetupFile::new().tenant(tenant)).start().await;
    let mut last = None;
    for n in 0..EVENTS {
        last = Some(post(&host, "pass", &n.to_string()).await);
    }
    let last = last.expect("events were posted");
    assert_eq!(decided(&host, last).await.0, EventState::Held);
    wait::until("all are held", async || (pending(&host).await == 0).then_some(())).await;
    host.put_plugin(TENANT, PLUGIN, &version(1));
    let received = receiver.wait_for(EVENTS).await;
    for (place, one) in received.iter().enumerate() {
        let n: usize = String::from_utf8_lossy(&one.body).parse().expect("a number was posted");
        assert!(n.abs_diff(place) <= OVERTAKING_MAX, "event {n} came as number {place}");
    }
    host.stop().await;
}

/// The backlog was one queue in the order of due times: a sender's million events came before everybody's.
async fn one_senders_backlog_does_not_come_before_the_others(kind: Kind) {
    const BACKLOG: usize = 2_000;
    /// What may be routed of it meanwhile; all that was due before the other's event once had to be.
    const LEFT_MIN: i64 = 1_000;
    let receiver = Receiver::start().await;
    let mut busy = mode("burn-cpu-ms");
    busy.insert("ms".to_owned(), 20.into());
    let mut host = TestHost::builder(kind)
        .setup(setup(
            &receiver,
            [sender_in("pass"), Sender::new("busy").plugin(PLUGIN).config(busy)],
        ))
        .plugin(TENANT, PLUGIN, version(1))
        .config(|config| config.wasm.cpu_budget = Duration::from_secs(1))
        .start()
        .await;
    let (busy, pass) = (sender_row(&host, "busy").await, sender_row(&host, "pass").await);
    let other = OtherNode::start(&host).await;
    other
        .accept(&host, &busy, (0..BACKLOG).map(|n| n.to_string()), Leased::ToNobody)
        .await;
    let late = other.accept(&host, &pass, ["{}".to_owned()], Leased::ToNobody).await;
    delivered(&host, late[0].id).await;
    let left = pending(&host).await;
    assert!(left >= LEFT_MIN, "{left} of the backlog are left");
    other.stop().await;
    host.stop().await;
}

/// Whenever the queue was full the claimer slept until its next search without a reason, a second later: a backlog was worked
/// off at one queue a second. Here that search comes after the test.
async fn a_backlog_is_worked_off_without_waiting_for_the_next_search(kind: Kind) {
    /// Several times what a sender may have in its queue, and an endpoint in its window.
    const BACKLOG: usize = 3_000;
    let receiver = Receiver::start().await;
    let mut host = TestHost::builder(kind)
        .setup(setup(&receiver, [sender_in("pass")]))
        .plugin(TENANT, PLUGIN, version(1))
        .config(|config| config.search_every = wait::TEST_MAX * 10)
        .start()
        .await;
    active(&host, PLUGIN, &version(1)).await;
    let sender = sender_row(&host, "pass").await;
    host.stop().await;
    let other = OtherNode::start(&host).await;
    other
        .accept(&host, &sender, (0..BACKLOG).map(|n| n.to_string()), Leased::ToNobody)
        .await;
    other.stop().await;
    host.start().await;
    receiver.wait_until(wait::TEST_MAX, |received| received.len() >= BACKLOG).await;
    host.stop().await;
}

/// At each back-off the whole backlog was claimed, refused by the breaker and postponed: a write for each event.
async fn a_stopped_plugins_backlog_stays_in_the_table_where_it_was(kind: Kind) {
    const EVENTS: usize = 60;
    let receiver = Receiver::start().await;
    let mut host = TestHost::builder(kind)
        .setup(setup(&receiver, [sender_in("pass")]))
        .plugin(TENANT, PLUGIN, version(1))
        .start()
        .await;
    restart_with(&mut host, &setup(&receiver, [sender_in("trap"), sender_in("pass")])).await;
    let sender = sender_row(&host, "trap").await;
    let mut events = Vec::new();
    for _ in 0..EVENTS {
        events.push(post(&host, "trap", "{}").await);
    }
    let posted_by = host.clock().now();
    let held = async |host: &TestHost| EVENTS as i64 - pending(host).await;
    let mut failed = wait::until("the breaker has seen enough", async || {
        let held = held(&host).await;
        (held >= 20).then_some(held)
    })
    .await;
    // Back-offs of 1, 2 and 4 seconds, each ended by one probe.
    for back_off_s in [1, 2, 4] {
        let due = wait::until("the rest is back in the table", async || first_due(&host, sender.id).await).await;
        assert!(due <= posted_by, "it was postponed by {:?}", due.since(posted_by));
        host.advance(Duration::from_secs(back_off_s));
        failed = wait::until("a probe has failed", async || {
            let held = held(&host).await;
            (held > failed).then_some(held)
        })
        .await;
    }
    assert!(
        failed < 40,
        "{failed} runs failed, which is more than the breaker needs and its probes"
    );
    let event = post(&host, "pass", "{}").await;
    delivered(&host, event).await;
    // What the breaker kept back is due at once for a sender that works.
    host.apply(&setup(
        &receiver,
        [Sender::new("trap").plugin(PLUGIN).config(mode("pass")), sender_in("pass")],
    ))
    .await;
    host.advance(Duration::from_secs(60));
    for event in events {
        assert_eq!(delivered(&host, event).await.outcome, "pass");
    }
    host.stop().await;
}

/// Such events were postponed for a second again and again, for ever, and no list said why.
async fn events_of_a_version_that_does_not_load_are_held_with_the_reason_and_routed_by_the_next(kind: Kind) {
    let receiver = Receiver::start().await;
    let mut host = TestHost::builder(kind)
        .setup(setup(&receiver, [sender_in("pass")]))
        .plugin(TENANT, PLUGIN, version(1))
        .start()
        .await;
    host.stop().await;
    let spoilt = match kind {
        Kind::Sqlite => "UPDATE plugin_module SET wasm = X'00'",
        Kind::Postgres => "UPDATE plugin_module SET wasm = '\\x00'::bytea",
    };
    host.database().execute(spoilt).await;
    std::fs::remove_file(host.database().folder().join("plugins").join(TENANT).join("guest.wasm")).expect("the file is there");
    host.start().await;
    let event = post(&host, "pass", "{}").await;
    let (state, explanation) = decided(&host, event).await;
    assert_eq!(state, EventState::Held);
    let failure = explanation.detail.failure.expect("a held event says why");
    assert_eq!((failure.code.as_str(), failure.policy.as_str()), ("version-does-not-load", "hold"));
    assert!(failure.message.contains(PLUGIN), "{}", failure.message);
    host.put_plugin(TENANT, PLUGIN, &version(2));
    assert_eq!(ran(&delivered(&host, event).await), (hash(&version(2)), 2));
    host.stop().await;
}

/// Nothing ever decided about them: a node waited for a sender it took for one it had not heard of yet.
async fn events_of_a_deleted_sender_end_with_that_reason(kind: Kind) {
    let receiver = Receiver::start().await;
    let mut host = TestHost::builder(kind)
        .setup(setup(&receiver, [sender_in("pass"), sender_in("gone")]))
        .start()
        .await;
    // Without a version, one is held; another is accepted by a node that has not heard of the deletion.
    let held = post(&host, "gone", "{}").await;
    assert_eq!(decided(&host, held).await.0, EventState::Held);
    let sender = sender_row(&host, "gone").await;
    host.database().execute("UPDATE configuration SET revision = revision + 1").await;
    host.database()
        .execute("UPDATE sender SET deleted_at = 1, revision = (SELECT revision FROM configuration) WHERE name = 'gone'")
        .await;
    let other = OtherNode::start(&host).await;
    let late = other.accept(&host, &sender, ["{}".to_owned()], Leased::ToNobody).await;
    for event in [held, late[0].id] {
        let end = wait::until("the event has ended", async || {
            let (state, explanation) = decided(&host, event).await;
            (state == EventState::DeadLettered).then_some(explanation)
        })
        .await;
        assert_eq!(end.detail.drop.expect("it says why").code, "sender-deleted");
    }
    other.stop().await;
    host.stop().await;
}
