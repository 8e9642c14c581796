//! The store's contract, one suite for both databases: what is written together, what is refused, what a lost lease
//! leaves alone.
//!
//! Everything goes through the store's public operations on a real database; raw SQL appears only where a test must see
//! or spoil what those operations hide.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hookyard::store::{
    Accepted, Attempt, Body, Change, Decided, Error, Event, HeldDelivery, LaneTasks, Leased, Liveness, NewContent, NewDelivery, Origin,
    Page, Settle, Store,
};
use hookyard_domain::{
    ContentHash, DeliveryId, DeliveryState, EndpointId, EnvironmentId, EventId, EventState, PluginId, SenderId, TenantId, Timestamp,
};
use hookyard_tests::{
    database::{Kind, TestDatabase},
    on_both_databases,
    setup::{Endpoint, Sender, SetupFile, Tenant, api_key, sender_token, webhook_secret},
    wait::PATIENCE,
};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};
use tokio::sync::oneshot;

on_both_databases!(
    an_event_is_kept_with_all_it_came_with,
    a_large_payload_and_odd_bytes_come_back_byte_for_byte,
    same_key_with_other_body_returns_the_first_event,
    two_tenants_may_use_one_key,
    a_batch_of_one_key_keeps_one_event,
    progress_counts_deliveries_by_how_far_they_are,
    a_decision_and_its_deliveries_appear_together,
    a_batch_of_two_tenants_keeps_their_deliveries_apart,
    a_second_decision_changes_nothing,
    two_decisions_in_one_batch_keep_the_first_alone,
    a_decision_under_a_lost_lease_changes_nothing,
    a_refused_decision_leaves_no_trace,
    attempts_number_from_one_without_gaps,
    a_result_from_a_lost_lease_changes_nothing,
    a_result_reported_twice_counts_once,
    claims_take_the_oldest_due_of_one_endpoint,
    claims_leave_large_bodies_in_the_store,
    two_nodes_never_claim_the_same_delivery,
    two_nodes_never_claim_the_same_event,
    a_postponed_event_waits_for_its_time,
    released_work_can_be_claimed_at_once,
    replay_starts_over_and_goes_on_counting,
    replay_brings_a_waiting_delivery_forward,
    waiting_endpoints_are_all_found_with_their_first_due_time,
    held_events_are_routed_again_when_their_plugin_works,
    held_events_are_routed_again_when_their_sender_changes,
    a_plugin_keeps_its_version_when_another_is_refused,
    a_change_of_configuration_is_all_or_nothing,
    a_plan_made_on_an_older_revision_is_refused,
    migrating_twice_changes_nothing,
    a_newer_schema_is_refused_with_what_to_do,
    no_credential_can_be_read_in_the_database,
    another_key_opens_no_secret,
    a_thousand_concurrent_events_are_all_answered_and_kept,
    one_refused_write_fails_alone,
    what_was_handed_over_is_written_before_the_lanes_end,
);

/// A moment of no importance, the same for every run.
const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
const LEASE: Duration = Duration::from_secs(15);
const SECOND: Duration = Duration::from_secs(1);

/// A store with lanes on a fresh database, with two tenants set up.
struct Contract {
    store: Store,
    lanes: LaneTasks,
    database: TestDatabase,
    tenant: TenantId,
    other_tenant: TenantId,
    environment: EnvironmentId,
    sender: SenderId,
    other_sender: SenderId,
}

fn setup() -> SetupFile {
    let tenant = |name| {
        Tenant::named(name)
            .endpoint(Endpoint::new("one", "https://example.com/one"))
            .endpoint(Endpoint::new("two", "https://example.com/two"))
            .sender(Sender::new("github").plugin("router"))
    };
    SetupFile::new().tenant(tenant("acme")).tenant(tenant("beta"))
}

impl Contract {
    async fn on(kind: Kind) -> Self {
        let database = TestDatabase::fresh(kind).await;
        let store = database.open(NOW).await;
        store.register_node(NOW, LEASE).await.expect("a node registers");
        let tenants = setup().apply_in_process(&store, NOW).await;
        let (store, lanes) = store.start_lanes(&database.location()).expect("the lanes start");
        let rows = store.configuration().await.expect("the configuration is read");
        let (tenant, other_tenant) = (tenants["acme"], tenants["beta"]);
        let sender_of = |tenant| {
            rows.senders
                .iter()
                .find(|row| row.tenant == tenant)
                .map(|row| row.id)
                .expect("there is one")
        };
        Self {
            tenant,
            other_tenant,
            environment: rows
                .environments
                .iter()
                .find(|row| row.tenant == tenant)
                .map(|row| row.id)
                .expect("there is one"),
            sender: sender_of(tenant),
            other_sender: sender_of(other_tenant),
            store,
            lanes,
            database,
        }
    }

    /// Another node's store on the same database.
    async fn other_node(&self) -> (Store, LaneTasks) {
        let store = self.database.open(NOW).await;
        store.start_lanes(&self.database.location()).expect("the lanes start")
    }

    fn event(&self) -> Event {
        Event {
            id: EventId::new_v7(NOW, rand::random()),
            tenant: self.tenant,
            environment: self.environment,
            origin: Origin::Sender(self.sender),
            idempotency_key: None,
            event_type: "push".to_owned(),
            content_type: "application/json".to_owned(),
            headers: vec![("x-github-event".to_owned(), "push".to_owned())],
            payload: Bytes::from_static(b"{\"n\":1}"),
            accepted_at: NOW,
        }
    }

    fn event_with_key(&self, key: &str) -> Event {
        Event {
            idempotency_key: Some(key.to_owned()),
            ..self.event()
        }
    }

    /// Keeps a pending event, held by this node or by nobody.
    async fn pending(&self, leased: Leased) -> EventId {
        let event = self.event();
        let id = event.id;
        let accepted = accept(&self.store, event, None, leased).await;
        assert_eq!(accepted.expect("it is accepted"), Accepted::New);
        id
    }

    /// Keeps an event with one delivery per endpoint.
    async fn routed(&self, deliveries: Vec<NewDelivery>) -> EventId {
        let event = self.event();
        let id = event.id;
        let accepted = accept(&self.store, event, Some(routed(deliveries)), Leased::ToNobody).await;
        assert_eq!(accepted.expect("it is accepted"), Accepted::New);
        id
    }

    fn delivery(&self, endpoint: EndpointId, due_at: Timestamp, leased: Leased) -> NewDelivery {
        NewDelivery {
            id: DeliveryId::new_v7(NOW, rand::random()),
            tenant: self.tenant,
            endpoint,
            content: None,
            headers: Vec::new(),
            attempts_max: 3,
            due_at,
            leased,
        }
    }

    /// Keeps a pending event and decides that it is held.
    async fn held(&self, tenant: TenantId, sender: SenderId) -> EventId {
        let event = Event {
            tenant,
            origin: Origin::Sender(sender),
            ..self.event()
        };
        let id = event.id;
        accept(&self.store, event, None, Leased::ToUs).await.expect("it is accepted");
        assert!(decide(&self.store, id, decided(EventState::Held)).await.expect("it is decided"));
        id
    }

    async fn state(&self, event: EventId) -> EventState {
        self.store.event(event).await.expect("it is read").expect("it is there").state
    }

    async fn events(&self) -> usize {
        let page = Page {
            tenant: String::new(),
            state: String::new(),
            before: None,
            limit: 10_000,
        };
        self.store.list_events(&page).await.expect("they are listed").len()
    }

    async fn attempt_numbers(&self, delivery: DeliveryId) -> Vec<u32> {
        let attempts = self.store.attempts(delivery).await.expect("they are read");
        attempts.iter().map(|attempt| attempt.number).collect()
    }

    /// Runs SQL past the store.
    async fn spoil(&self, statement: String) {
        match self.database.kind() {
            Kind::Sqlite => {
                let mut connection = SqliteConnection::connect(self.database.url()).await.expect("it opens");
                sqlx::raw_sql(AssertSqlSafe(statement))
                    .execute(&mut connection)
                    .await
                    .expect("it runs");
            }
            Kind::Postgres => {
                let mut connection = PgConnection::connect(self.database.url()).await.expect("it opens");
                sqlx::raw_sql(AssertSqlSafe(statement))
                    .execute(&mut connection)
                    .await
                    .expect("it runs");
            }
        }
    }
}

fn some_endpoint() -> EndpointId {
    EndpointId::new_v7(NOW, rand::random())
}

fn decided(state: EventState) -> Decided {
    Decided {
        state,
        explanation: Some("{\"by\":\"test\"}".to_owned()),
        decided_at: NOW,
        contents: Vec::new(),
        deliveries: Vec::new(),
    }
}

fn routed(deliveries: Vec<NewDelivery>) -> Decided {
    Decided {
        deliveries,
        ..decided(EventState::Routed)
    }
}

/// Hands an event to the store; the answer comes through the channel.
fn hand_over(store: &Store, event: Event, decided: Option<Decided>, leased: Leased) -> oneshot::Receiver<Result<Accepted, Error>> {
    let (answer, answered) = oneshot::channel();
    store.accept(
        Arc::new(event),
        decided,
        leased,
        Box::new(move |outcome| drop(answer.send(outcome))),
    );
    answered
}

async fn accept(store: &Store, event: Event, decided: Option<Decided>, leased: Leased) -> Result<Accepted, Error> {
    hand_over(store, event, decided, leased).await.expect("every write is answered")
}

fn hand_decision(store: &Store, event: EventId, decided: Decided) -> oneshot::Receiver<Result<bool, Error>> {
    let (answer, answered) = oneshot::channel();
    let done = Box::new(move |outcome| drop(answer.send(outcome)));
    tokio::task::block_in_place(|| store.decide(event, decided, done));
    answered
}

async fn decide(store: &Store, event: EventId, decided: Decided) -> Result<bool, Error> {
    hand_decision(store, event, decided).await.expect("every write is answered")
}

/// The outcome of an attempt that a delivery goes on from, or ends with.
fn result(delivery: DeliveryId, number: u32, state: DeliveryState, due_at: Timestamp) -> Settle {
    Settle {
        delivery,
        number,
        state,
        due_at,
        completed_at: (state != DeliveryState::Waiting).then_some(NOW),
        attempt: Attempt {
            started_at: NOW,
            duration_us: 1_500,
            status: Some(503),
            error: None,
            error_detail: None,
            response: Bytes::from_static(b"busy \x00\xff"),
        },
    }
}

async fn settle(store: &Store, settle: Settle) -> Result<bool, Error> {
    hand_settle(store, settle).await.await.expect("every write is answered")
}

async fn hand_settle(store: &Store, settle: Settle) -> oneshot::Receiver<Result<bool, Error>> {
    let (answer, answered) = oneshot::channel();
    store.settle(settle, Box::new(move |outcome| drop(answer.send(outcome)))).await;
    answered
}

fn ids(claimed: &[HeldDelivery]) -> Vec<DeliveryId> {
    claimed.iter().map(|delivery| delivery.id).collect()
}

async fn an_event_is_kept_with_all_it_came_with(kind: Kind) {
    let contract = Contract::on(kind).await;
    let event = contract.event_with_key("k-1");
    let id = event.id;
    assert_eq!(
        accept(&contract.store, event, None, Leased::ToNobody).await.expect("accepted"),
        Accepted::New
    );
    let view = contract.store.event(id).await.expect("read").expect("there");
    assert_eq!((view.tenant.as_str(), view.sender.as_deref()), ("acme", Some("github")));
    assert_eq!((view.event_type.as_str(), view.content_type.as_str()), ("push", "application/json"));
    assert_eq!((view.state, view.accepted_at, view.payload_bytes), (EventState::Pending, NOW, 7));
    assert_eq!(view.idempotency_key.as_deref(), Some("k-1"));
    let held = contract.store.claim_events(NOW, 10).await.expect("claimed");
    assert_eq!(held.len(), 1);
    assert_eq!(held[0].event.headers, contract.event().headers);
    assert_eq!(&held[0].event.payload[..], b"{\"n\":1}");
    assert_eq!((held[0].event.tenant, held[0].failures), (contract.tenant, 0));
}

async fn a_large_payload_and_odd_bytes_come_back_byte_for_byte(kind: Kind) {
    let contract = Contract::on(kind).await;
    let mut large = vec![0_u8; 8 << 20];
    large
        .iter_mut()
        .enumerate()
        .for_each(|(index, byte)| *byte = (index * 31 % 256) as u8);
    let every_byte: Vec<u8> = (0..=255).collect();
    for payload in [large, every_byte, Vec::new()] {
        let event = Event {
            payload: payload.clone().into(),
            ..contract.event()
        };
        let id = event.id;
        let to = contract.delivery(some_endpoint(), NOW, Leased::ToNobody);
        let delivery = to.id;
        accept(&contract.store, event, Some(routed(vec![to])), Leased::ToNobody)
            .await
            .expect("accepted");
        assert!(contract.store.payload(id).await.expect("read").expect("there") == payload);
        assert!(contract.store.delivery_body(delivery).await.expect("read").expect("there")[..] == payload[..]);
    }
}

async fn same_key_with_other_body_returns_the_first_event(kind: Kind) {
    let contract = Contract::on(kind).await;
    let first = contract.event_with_key("k");
    let id = first.id;
    let to = contract.delivery(some_endpoint(), NOW, Leased::ToNobody);
    accept(&contract.store, first, Some(routed(vec![to])), Leased::ToNobody)
        .await
        .expect("accepted");
    let second = Event {
        payload: Bytes::from_static(b"other"),
        ..contract.event_with_key("k")
    };
    let second_id = second.id;
    let late = contract.delivery(some_endpoint(), NOW, Leased::ToNobody);
    let late_id = late.id;
    let answer = accept(&contract.store, second, Some(routed(vec![late])), Leased::ToNobody).await;
    let Ok(Accepted::Existing(progress)) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!((progress.event, progress.accepted_at, progress.fresh), (id, NOW, 1));
    assert!(contract.store.event(second_id).await.expect("read").is_none());
    assert!(contract.store.delivery(late_id).await.expect("read").is_none());
    let asked = contract.store.progress(contract.tenant, "k").await.expect("read").expect("there");
    assert_eq!(asked, progress);
    assert!(contract.store.progress(contract.tenant, "K").await.expect("read").is_none());
}

async fn two_tenants_may_use_one_key(kind: Kind) {
    let contract = Contract::on(kind).await;
    let other = Event {
        tenant: contract.other_tenant,
        origin: Origin::Sender(contract.other_sender),
        ..contract.event_with_key("k")
    };
    let ours = contract.event_with_key("k");
    for event in [ours, other] {
        assert_eq!(
            accept(&contract.store, event, None, Leased::ToNobody).await.expect("accepted"),
            Accepted::New
        );
    }
    assert_eq!(contract.events().await, 2);
}

async fn a_batch_of_one_key_keeps_one_event(kind: Kind) {
    let contract = Contract::on(kind).await;
    let answers: Vec<_> = (0..300)
        .map(|_| {
            let event = contract.event_with_key("k");
            (event.id, hand_over(&contract.store, event, None, Leased::ToNobody))
        })
        .collect();
    let mut new = Vec::new();
    let mut existing = Vec::new();
    for (id, answer) in answers {
        match answer.await.expect("answered").expect("accepted") {
            Accepted::New => new.push(id),
            Accepted::Existing(progress) => existing.push(progress.event),
        }
    }
    assert_eq!((new.len(), existing.len()), (1, 299));
    assert!(existing.iter().all(|id| *id == new[0]));
    assert_eq!(contract.events().await, 1);
}

async fn progress_counts_deliveries_by_how_far_they_are(kind: Kind) {
    let contract = Contract::on(kind).await;
    let ends = [
        None,
        Some(DeliveryState::Waiting),
        Some(DeliveryState::Delivered),
        Some(DeliveryState::Rejected),
        Some(DeliveryState::Exhausted),
    ];
    let deliveries: Vec<_> = ends.iter().map(|_| contract.delivery(some_endpoint(), NOW, Leased::ToUs)).collect();
    let made: Vec<_> = deliveries.iter().map(|one| one.id).collect();
    let event = contract.event_with_key("k");
    accept(&contract.store, event, Some(routed(deliveries)), Leased::ToNobody)
        .await
        .expect("accepted");
    for (id, end) in made.into_iter().zip(ends) {
        if let Some(state) = end {
            assert!(settle(&contract.store, result(id, 1, state, NOW)).await.expect("settled"));
        }
    }
    let progress = contract.store.progress(contract.tenant, "k").await.expect("read").expect("there");
    let counts = [
        progress.fresh,
        progress.retrying,
        progress.delivered,
        progress.rejected,
        progress.exhausted,
    ];
    assert_eq!(counts, [1; 5]);
}

async fn a_decision_and_its_deliveries_appear_together(kind: Kind) {
    let contract = Contract::on(kind).await;
    let event = contract.pending(Leased::ToUs).await;
    let mut first = contract.delivery(some_endpoint(), NOW, Leased::ToNobody);
    first.content = Some(1);
    first.headers = vec![("x-b".to_owned(), "2".to_owned()), ("x-a".to_owned(), "1".to_owned())];
    let second = contract.delivery(some_endpoint(), NOW.plus(SECOND), Leased::ToUs);
    let (endpoint, made) = (first.endpoint, [first.id, second.id]);
    let content = |body: &'static [u8]| NewContent {
        content_type: "text/plain".to_owned(),
        body: Bytes::from_static(body),
    };
    let decision = Decided {
        contents: vec![content(b"unused"), content(b"made \xff")],
        ..routed(vec![first, second])
    };
    assert!(decide(&contract.store, event, decision).await.expect("decided"));
    let view = contract.store.event(event).await.expect("read").expect("there");
    assert_eq!(
        (view.state, view.explanation.as_deref()),
        (EventState::Routed, Some("{\"by\":\"test\"}"))
    );
    assert_eq!(contract.store.leased_to_us().await.expect("read"), (vec![], vec![made[1]]));
    let claimed = contract.store.claim_deliveries(endpoint, NOW, 10).await.expect("claimed");
    assert_eq!(ids(&claimed), [made[0]]);
    assert_eq!((claimed[0].content_type.as_str(), claimed[0].event), ("text/plain", event));
    assert!(matches!(&claimed[0].body, Body::Here(body) if &body[..] == b"made \xff"));
    assert_eq!(
        claimed[0].headers,
        [("x-b".to_owned(), "2".to_owned()), ("x-a".to_owned(), "1".to_owned())]
    );
    assert_eq!(
        (claimed[0].attempts, claimed[0].attempts_max, claimed[0].attempts_before),
        (0, 3, 0)
    );
    let body = contract.store.delivery_body(made[1]).await.expect("read").expect("there");
    assert_eq!(&body[..], b"{\"n\":1}");
}

async fn a_batch_of_two_tenants_keeps_their_deliveries_apart(kind: Kind) {
    let contract = Contract::on(kind).await;
    let rows = contract.store.configuration().await.expect("the configuration is read");
    let of = |tenant| {
        let endpoint = rows
            .endpoints
            .iter()
            .find(|row| row.tenant == tenant && row.name == "one")
            .map(|row| row.id);
        let event = Event {
            tenant,
            ..contract.event()
        };
        let delivery = NewDelivery {
            tenant,
            ..contract.delivery(endpoint.expect("there is one"), NOW, Leased::ToNobody)
        };
        (event, delivery)
    };
    let mut expected = Vec::new();
    let mut answers = Vec::new();
    let mut pending = Vec::new();
    for (tenant, name) in [(contract.tenant, "acme"), (contract.other_tenant, "beta")] {
        let (event, delivery) = of(tenant);
        expected.push((delivery.id, event.id, name.to_owned()));
        answers.push(hand_over(&contract.store, event, Some(routed(vec![delivery])), Leased::ToNobody));
        let (event, delivery) = of(tenant);
        expected.push((delivery.id, event.id, name.to_owned()));
        pending.push((event.id, delivery));
        answers.push(hand_over(&contract.store, event, None, Leased::ToUs));
    }
    for answer in answers {
        assert_eq!(answer.await.expect("answered").expect("accepted"), Accepted::New);
    }
    let decisions: Vec<_> = pending
        .into_iter()
        .map(|(event, delivery)| hand_decision(&contract.store, event, routed(vec![delivery])))
        .collect();
    for decision in decisions {
        assert!(decision.await.expect("answered").expect("decided"));
    }
    for (delivery, event, tenant) in expected {
        let view = contract.store.delivery(delivery).await.expect("read").expect("there");
        assert_eq!((view.event, view.tenant, view.endpoint.as_str()), (event, tenant, "one"));
    }
}

async fn a_second_decision_changes_nothing(kind: Kind) {
    let contract = Contract::on(kind).await;
    let event = contract.pending(Leased::ToUs).await;
    assert!(decide(&contract.store, event, decided(EventState::Dropped)).await.expect("decided"));
    let late = contract.delivery(some_endpoint(), NOW, Leased::ToNobody);
    let late_id = late.id;
    assert!(!decide(&contract.store, event, routed(vec![late])).await.expect("answered"));
    assert_eq!(contract.state(event).await, EventState::Dropped);
    assert!(contract.store.delivery(late_id).await.expect("read").is_none());
}

async fn two_decisions_in_one_batch_keep_the_first_alone(kind: Kind) {
    let contract = Contract::on(kind).await;
    let before = contract.pending(Leased::ToUs).await;
    let event = contract.pending(Leased::ToUs).await;
    let large = Decided {
        contents: vec![NewContent {
            content_type: "text/plain".to_owned(),
            body: vec![0; 4 << 20].into(),
        }],
        ..decided(EventState::Dropped)
    };
    // While this one is written, the two that follow gather into one batch.
    let first_of_all = hand_decision(&contract.store, before, large);
    let deliveries = [0, 1].map(|_| contract.delivery(some_endpoint(), NOW, Leased::ToNobody));
    let expected = deliveries[0].id;
    let answers = deliveries.map(|one| hand_decision(&contract.store, event, routed(vec![one])));
    assert!(first_of_all.await.expect("answered").expect("decided"));
    let mut outcomes = Vec::new();
    for answer in answers {
        outcomes.push(answer.await.expect("answered").expect("decided"));
    }
    assert_eq!(outcomes, [true, false]);
    assert!(contract.store.delivery_body(expected).await.expect("read").is_some());
    let (_, by_state) = contract.store.counts().await.expect("counted");
    assert_eq!(by_state, [("waiting".to_owned(), 1)]);
}

async fn a_decision_under_a_lost_lease_changes_nothing(kind: Kind) {
    let contract = Contract::on(kind).await;
    let event = contract.pending(Leased::ToUs).await;
    contract.store.release_events(&[event]).await.expect("released");
    let late = contract.delivery(some_endpoint(), NOW, Leased::ToNobody);
    let late_id = late.id;
    assert!(!decide(&contract.store, event, routed(vec![late])).await.expect("answered"));
    assert_eq!(contract.state(event).await, EventState::Pending);
    assert!(contract.store.delivery_body(late_id).await.expect("read").is_none());
    let (other, _lanes) = contract.other_node().await;
    assert_eq!(other.claim_events(NOW, 10).await.expect("claimed").len(), 1);
    assert!(
        !decide(&contract.store, event, decided(EventState::Dropped))
            .await
            .expect("answered")
    );
    assert!(decide(&other, event, decided(EventState::Dropped)).await.expect("decided"));
}

async fn a_refused_decision_leaves_no_trace(kind: Kind) {
    let contract = Contract::on(kind).await;
    let event = contract.pending(Leased::ToUs).await;
    let twice = some_endpoint();
    let deliveries = vec![
        contract.delivery(twice, NOW, Leased::ToNobody),
        contract.delivery(twice, NOW, Leased::ToNobody),
    ];
    let outcome = decide(&contract.store, event, routed(deliveries)).await;
    assert!(matches!(outcome, Err(Error::Taken(_))), "{outcome:?}");
    assert_eq!(contract.state(event).await, EventState::Pending);
    assert_eq!(contract.store.counts().await.expect("counted").1, []);
    assert!(decide(&contract.store, event, decided(EventState::Dropped)).await.expect("decided"));
}

async fn attempts_number_from_one_without_gaps(kind: Kind) {
    let contract = Contract::on(kind).await;
    let endpoint = some_endpoint();
    let one = contract.delivery(endpoint, NOW, Leased::ToUs);
    let id = one.id;
    contract.routed(vec![one]).await;
    assert!(
        !settle(&contract.store, result(id, 2, DeliveryState::Waiting, NOW))
            .await
            .expect("answered"),
        "a gap is refused"
    );
    assert!(
        settle(&contract.store, result(id, 1, DeliveryState::Waiting, NOW))
            .await
            .expect("settled")
    );
    assert!(
        !settle(&contract.store, result(id, 2, DeliveryState::Waiting, NOW))
            .await
            .expect("answered"),
        "settling gives the lease back"
    );
    let claimed = contract.store.claim_deliveries(endpoint, NOW, 1).await.expect("claimed");
    assert_eq!((ids(&claimed), claimed[0].attempts), (vec![id], 1));
    assert!(
        settle(&contract.store, result(id, 2, DeliveryState::Delivered, NOW))
            .await
            .expect("settled")
    );
    assert_eq!(contract.attempt_numbers(id).await, [1, 2]);
    let attempts = contract.store.attempts(id).await.expect("read");
    assert_eq!((attempts[0].status, attempts[0].error.as_deref()), (Some(503), None));
    assert_eq!(attempts[0].response.as_deref(), Some(&b"busy \x00\xff"[..]));
    assert!(
        contract
            .store
            .claim_deliveries(endpoint, NOW.plus(LEASE), 1)
            .await
            .expect("claimed")
            .is_empty()
    );
}

async fn a_result_from_a_lost_lease_changes_nothing(kind: Kind) {
    let contract = Contract::on(kind).await;
    let endpoint = some_endpoint();
    let one = contract.delivery(endpoint, NOW, Leased::ToUs);
    let id = one.id;
    contract.routed(vec![one]).await;
    contract.store.release_deliveries(&[id]).await.expect("released");
    assert!(
        !settle(&contract.store, result(id, 1, DeliveryState::Delivered, NOW))
            .await
            .expect("answered")
    );
    let (other, _lanes) = contract.other_node().await;
    assert_eq!(ids(&other.claim_deliveries(endpoint, NOW, 1).await.expect("claimed")), [id]);
    assert!(
        !settle(&contract.store, result(id, 1, DeliveryState::Delivered, NOW))
            .await
            .expect("answered")
    );
    assert!(contract.attempt_numbers(id).await.is_empty());
    assert!(settle(&other, result(id, 1, DeliveryState::Exhausted, NOW)).await.expect("settled"));
    assert!(
        !settle(&contract.store, result(id, 1, DeliveryState::Delivered, NOW))
            .await
            .expect("answered")
    );
    assert_eq!(contract.attempt_numbers(id).await, [1]);
    assert_eq!(contract.store.counts().await.expect("counted").1, [("exhausted".to_owned(), 1)]);
}

async fn a_result_reported_twice_counts_once(kind: Kind) {
    let contract = Contract::on(kind).await;
    let made: Vec<_> = (0..20).map(|_| contract.delivery(some_endpoint(), NOW, Leased::ToUs)).collect();
    let made_ids: Vec<_> = made.iter().map(|one| one.id).collect();
    contract.routed(made).await;
    let mut answers = Vec::new();
    for id in &made_ids {
        for _ in 0..2 {
            answers.push(hand_settle(&contract.store, result(*id, 1, DeliveryState::Delivered, NOW)).await);
        }
    }
    let mut changed = Vec::new();
    for answer in answers {
        changed.push(answer.await.expect("answered").expect("settled"));
    }
    assert_eq!(changed, [true, false].repeat(20));
    for id in made_ids {
        assert_eq!(contract.attempt_numbers(id).await, [1]);
    }
}

async fn claims_take_the_oldest_due_of_one_endpoint(kind: Kind) {
    let contract = Contract::on(kind).await;
    let (endpoint, other) = (some_endpoint(), some_endpoint());
    // Made in reverse, so that the order of ids is not the order of due times.
    let mut by_due = Vec::new();
    for age in 0..6 {
        let one = contract.delivery(endpoint, NOW.minus(SECOND * age), Leased::ToNobody);
        by_due.insert(0, one.id);
        contract.routed(vec![one]).await;
    }
    contract
        .routed(vec![contract.delivery(endpoint, NOW.plus(SECOND), Leased::ToNobody)])
        .await;
    contract.routed(vec![contract.delivery(other, NOW, Leased::ToNobody)]).await;
    contract
        .routed(vec![contract.delivery(endpoint, NOW.minus(LEASE), Leased::ToUs)])
        .await;
    let first = contract.store.claim_deliveries(endpoint, NOW, 4).await.expect("claimed");
    assert_eq!(ids(&first), by_due[..4]);
    let rest = contract.store.claim_deliveries(endpoint, NOW, 100).await.expect("claimed");
    assert_eq!(ids(&rest), by_due[4..]);
    assert!(
        contract
            .store
            .claim_deliveries(endpoint, NOW, 100)
            .await
            .expect("claimed")
            .is_empty()
    );
    let waiting = contract.store.waiting_endpoints().await.expect("read");
    assert!(
        waiting.contains(&(endpoint, NOW.plus(SECOND))) && waiting.contains(&(other, NOW)),
        "{waiting:?}"
    );
}

async fn claims_leave_large_bodies_in_the_store(kind: Kind) {
    let contract = Contract::on(kind).await;
    for (bytes, stays) in [(32 * 1_024, false), (32 * 1_024 + 1, true)] {
        let one = contract.delivery(some_endpoint(), NOW, Leased::ToNobody);
        let (id, endpoint) = (one.id, one.endpoint);
        let event = Event {
            payload: vec![b' '; bytes].into(),
            ..contract.event()
        };
        accept(&contract.store, event, Some(routed(vec![one])), Leased::ToNobody)
            .await
            .expect("accepted");
        let claimed = contract.store.claim_deliveries(endpoint, NOW, 1).await.expect("claimed");
        assert_eq!(matches!(claimed[0].body, Body::Stored), stays);
        assert_eq!(contract.store.delivery_body(id).await.expect("read").expect("there").len(), bytes);
    }
}

async fn two_nodes_never_claim_the_same_delivery(kind: Kind) {
    let contract = Contract::on(kind).await;
    let endpoint = some_endpoint();
    for _ in 0..60 {
        contract.routed(vec![contract.delivery(endpoint, NOW, Leased::ToNobody)]).await;
    }
    let (other, _lanes) = contract.other_node().await;
    let mut claimed = Vec::new();
    let mut first_empty = false;
    while !first_empty {
        let (ours, theirs) = tokio::join!(
            contract.store.claim_deliveries(endpoint, NOW, 4),
            other.claim_deliveries(endpoint, NOW, 4)
        );
        let (ours, theirs) = (ours.expect("claimed"), theirs.expect("claimed"));
        first_empty = ours.is_empty() && theirs.is_empty();
        claimed.extend(ids(&ours));
        claimed.extend(ids(&theirs));
    }
    assert_eq!(claimed.len(), 60);
    claimed.sort_unstable();
    claimed.dedup();
    assert_eq!(claimed.len(), 60);
}

async fn two_nodes_never_claim_the_same_event(kind: Kind) {
    let contract = Contract::on(kind).await;
    for _ in 0..30 {
        contract.pending(Leased::ToNobody).await;
    }
    contract.pending(Leased::ToUs).await;
    let (other, _lanes) = contract.other_node().await;
    let mut claimed = Vec::new();
    loop {
        let (ours, theirs) = tokio::join!(contract.store.claim_events(NOW, 4), other.claim_events(NOW, 4));
        let (ours, theirs) = (ours.expect("claimed"), theirs.expect("claimed"));
        if ours.is_empty() && theirs.is_empty() {
            break;
        }
        claimed.extend(ours.iter().chain(&theirs).map(|held| held.event.id));
    }
    assert_eq!(claimed.len(), 30);
    claimed.sort_unstable();
    claimed.dedup();
    assert_eq!(claimed.len(), 30);
}

async fn a_postponed_event_waits_for_its_time(kind: Kind) {
    let contract = Contract::on(kind).await;
    let event = contract.pending(Leased::ToUs).await;
    let (answer, answered) = oneshot::channel();
    let done = Box::new(move |outcome| drop(answer.send(outcome)));
    tokio::task::block_in_place(|| contract.store.postpone(event, NOW.plus(SECOND), 2, done));
    answered.await.expect("answered").expect("postponed");
    assert!(contract.store.claim_events(NOW, 10).await.expect("claimed").is_empty());
    assert_eq!(contract.store.next_route_due().await.expect("read"), Some(NOW.plus(SECOND)));
    let held = contract.store.claim_events(NOW.plus(SECOND), 10).await.expect("claimed");
    assert_eq!((held.len(), held[0].failures), (1, 2));
    assert_eq!(contract.store.next_route_due().await.expect("read"), None);
}

async fn released_work_can_be_claimed_at_once(kind: Kind) {
    let contract = Contract::on(kind).await;
    let one = contract.delivery(some_endpoint(), NOW, Leased::ToUs);
    let (id, endpoint) = (one.id, one.endpoint);
    contract.routed(vec![one]).await;
    let event = contract.pending(Leased::ToUs).await;
    let (other, _lanes) = contract.other_node().await;
    other.release_deliveries(&[id]).await.expect("answered");
    other.release_events(&[event]).await.expect("answered");
    assert_eq!(
        contract.store.leased_to_us().await.expect("read"),
        (vec![event], vec![id]),
        "another node releases nothing of ours"
    );
    contract.store.release_deliveries(&[id]).await.expect("released");
    contract.store.release_events(&[event]).await.expect("released");
    assert_eq!(ids(&other.claim_deliveries(endpoint, NOW, 1).await.expect("claimed")), [id]);
    assert_eq!(other.claim_events(NOW, 1).await.expect("claimed")[0].event.id, event);
}

async fn replay_starts_over_and_goes_on_counting(kind: Kind) {
    let contract = Contract::on(kind).await;
    let endpoint = some_endpoint();
    let one = contract.delivery(endpoint, NOW, Leased::ToUs);
    let id = one.id;
    let event = contract.routed(vec![one]).await;
    assert!(
        !contract.store.replay_delivery(id, NOW).await.expect("answered"),
        "it is still waiting"
    );
    assert!(
        settle(&contract.store, result(id, 1, DeliveryState::Exhausted, NOW))
            .await
            .expect("settled")
    );
    let later = NOW.plus(SECOND);
    assert!(contract.store.replay_delivery(id, later).await.expect("replayed"));
    let claimed = contract.store.claim_deliveries(endpoint, later, 1).await.expect("claimed");
    assert_eq!((claimed[0].attempts, claimed[0].attempts_before, claimed[0].due_at), (1, 1, later));
    assert!(
        !settle(&contract.store, result(id, 1, DeliveryState::Delivered, NOW))
            .await
            .expect("answered")
    );
    assert!(
        settle(&contract.store, result(id, 2, DeliveryState::Rejected, NOW))
            .await
            .expect("settled")
    );
    assert_eq!(contract.attempt_numbers(id).await, [1, 2]);
    assert_eq!(contract.store.replay_event(event, later).await.expect("replayed"), 1);
    let claimed = contract.store.claim_deliveries(endpoint, later, 1).await.expect("claimed");
    assert!(
        settle(&contract.store, result(claimed[0].id, 3, DeliveryState::Delivered, NOW))
            .await
            .expect("settled")
    );
    assert_eq!(
        contract.store.replay_event(event, later).await.expect("answered"),
        0,
        "what was delivered stays so"
    );
    let held = contract.held(contract.tenant, contract.sender).await;
    assert_eq!(contract.store.replay_event(held, later).await.expect("replayed"), 1);
    assert_eq!(contract.state(held).await, EventState::Pending);
}

async fn replay_brings_a_waiting_delivery_forward(kind: Kind) {
    let contract = Contract::on(kind).await;
    let endpoint = some_endpoint();
    let one = contract.delivery(endpoint, NOW, Leased::ToUs);
    let delayed = contract.delivery(some_endpoint(), NOW.plus(60 * SECOND), Leased::ToNobody);
    let (id, delayed_id) = (one.id, delayed.id);
    let event = contract.routed(vec![one, delayed]).await;
    let retry_at = NOW.plus(60 * SECOND);
    assert!(
        settle(&contract.store, result(id, 1, DeliveryState::Waiting, retry_at))
            .await
            .expect("settled")
    );
    let now = NOW.plus(SECOND);
    assert!(contract.store.claim_deliveries(endpoint, now, 1).await.expect("claimed").is_empty());
    assert!(contract.store.replay_delivery(id, now).await.expect("replayed"));
    assert_eq!(
        contract.store.replay_event(event, now).await.expect("answered"),
        0,
        "it is due already"
    );
    let claimed = contract.store.claim_deliveries(endpoint, now, 1).await.expect("claimed");
    assert_eq!((claimed[0].attempts, claimed[0].attempts_before, claimed[0].due_at), (1, 0, now));
    assert!(
        !contract.store.replay_delivery(id, NOW).await.expect("answered"),
        "what is under way is left alone"
    );
    assert!(
        settle(&contract.store, result(id, 2, DeliveryState::Waiting, retry_at))
            .await
            .expect("settled")
    );
    assert_eq!(
        contract.store.replay_event(event, now).await.expect("replayed"),
        1,
        "a delay the plugin decided on stands"
    );
    assert!(contract.store.replay_delivery(delayed_id, now).await.expect("replayed"));
}

async fn waiting_endpoints_are_all_found_with_their_first_due_time(kind: Kind) {
    let contract = Contract::on(kind).await;
    assert_eq!(contract.store.waiting_endpoints().await.expect("read"), []);
    let mut expected = Vec::new();
    let mut rows = Vec::new();
    for index in 0..150_u32 {
        let endpoint = some_endpoint();
        let due = NOW.plus(SECOND * (index * 7 % 50));
        // Every third has leased work only, every other also earlier leased work that must not count.
        if index % 3 != 0 {
            expected.push((endpoint, due));
            rows.push(contract.delivery(endpoint, due.plus(SECOND), Leased::ToNobody));
            contract.routed(vec![contract.delivery(endpoint, due, Leased::ToNobody)]).await;
        }
        contract
            .routed(vec![contract.delivery(endpoint, NOW.minus(SECOND), Leased::ToUs)])
            .await;
    }
    contract.routed(rows).await;
    let mut found = contract.store.waiting_endpoints().await.expect("read");
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

async fn held_events_are_routed_again_when_their_plugin_works(kind: Kind) {
    let contract = Contract::on(kind).await;
    let ours = contract.held(contract.tenant, contract.sender).await;
    let theirs = contract.held(contract.other_tenant, contract.other_sender).await;
    let wasm = b"\0asm".to_vec();
    let activate = |name, at| {
        let plugin = PluginId::new_v7(NOW, rand::random());
        contract
            .store
            .activate_plugin(plugin, contract.tenant, name, ContentHash::of(&wasm), &wasm, at)
    };
    assert_eq!(activate("another", NOW).await.expect("activated"), (1, 0));
    assert_eq!(activate("router", NOW.plus(SECOND)).await.expect("activated"), (1, 1));
    assert_eq!(
        (contract.state(ours).await, contract.state(theirs).await),
        (EventState::Pending, EventState::Held)
    );
    assert!(contract.store.claim_events(NOW, 10).await.expect("claimed").is_empty());
    let held = contract.store.claim_events(NOW.plus(SECOND), 10).await.expect("claimed");
    assert_eq!((held.len(), held[0].event.id, held[0].failures), (1, ours, 0));
    assert_eq!(activate("router", NOW).await.expect("activated"), (2, 0));
}

async fn held_events_are_routed_again_when_their_sender_changes(kind: Kind) {
    let contract = Contract::on(kind).await;
    let ours = contract.held(contract.tenant, contract.sender).await;
    let theirs = contract.held(contract.other_tenant, contract.other_sender).await;
    let rows = contract.store.configuration().await.expect("read");
    let mut sender = rows
        .senders
        .iter()
        .find(|row| row.id == contract.sender)
        .expect("it is there")
        .clone();
    sender.plugin = None;
    let changes = [Change::Sender(sender)];
    contract.store.configure(&changes, rows.revision, NOW).await.expect("configured");
    assert_eq!(
        (contract.state(ours).await, contract.state(theirs).await),
        (EventState::Pending, EventState::Held)
    );
}

async fn a_plugin_keeps_its_version_when_another_is_refused(kind: Kind) {
    let contract = Contract::on(kind).await;
    let id = || PluginId::new_v7(NOW, rand::random());
    let (good, bad) = (b"good".to_vec(), ContentHash::of(b"bad"));
    let version = ContentHash::of(&good);
    let store = &contract.store;
    store
        .refuse_plugin(id(), contract.tenant, "p", bad, "no contract", NOW)
        .await
        .expect("refused");
    let rows = store.plugins().await.expect("read");
    assert_eq!((rows.len(), rows[0].active, rows[0].generation), (1, None, 0));
    assert_eq!(rows[0].refused, Some((bad, "no contract".to_owned(), NOW)));
    let before = store.revision().await.expect("read");
    store
        .activate_plugin(id(), contract.tenant, "p", version, &good, NOW)
        .await
        .expect("activated");
    assert!(store.revision().await.expect("read") > before);
    store
        .refuse_plugin(id(), contract.tenant, "p", bad, "traps", NOW)
        .await
        .expect("refused");
    let rows = store.plugins().await.expect("read");
    assert_eq!((rows[0].active, rows[0].generation), (Some(version), 1));
    assert_eq!(store.module(version).await.expect("read"), Some(good));
    assert_eq!(store.module(bad).await.expect("read"), None);
}

async fn a_change_of_configuration_is_all_or_nothing(kind: Kind) {
    let contract = Contract::on(kind).await;
    let before = contract.store.configuration().await.expect("read");
    let mut tenant = before.tenants[0].clone();
    tenant.attempts_max = 7;
    let mut orphan = before.endpoints[0].clone();
    orphan.id = some_endpoint();
    orphan.name = "orphan".to_owned();
    orphan.token_hash = None;
    orphan.environment = EnvironmentId::new_v7(NOW, rand::random());
    let changes = [Change::Tenant(tenant), Change::Endpoint(orphan)];
    assert!(contract.store.configure(&changes, before.revision, NOW).await.is_err());
    let after = contract.store.configuration().await.expect("read");
    assert_eq!(
        (after.revision, after.tenants[0].attempts_max),
        (before.revision, before.tenants[0].attempts_max)
    );
    assert_eq!(after.endpoints, before.endpoints);
    let mut twin = before.endpoints[0].clone();
    twin.id = some_endpoint();
    let outcome = contract.store.configure(&[Change::Endpoint(twin)], before.revision, NOW).await;
    assert!(matches!(outcome, Err(Error::Taken(_))), "{outcome:?}");
}

async fn a_plan_made_on_an_older_revision_is_refused(kind: Kind) {
    let contract = Contract::on(kind).await;
    let rows = contract.store.configuration().await.expect("read");
    let mut tenant = rows.tenants[0].clone();
    tenant.attempts_max = 7;
    contract
        .store
        .configure(&[Change::Tenant(tenant.clone())], rows.revision, NOW)
        .await
        .expect("configured");
    tenant.attempts_max = 9;
    let outcome = contract.store.configure(&[Change::Tenant(tenant)], rows.revision, NOW).await;
    assert!(matches!(outcome, Err(Error::Taken(_))), "{outcome:?}");
    let after = contract.store.configuration().await.expect("read");
    assert_eq!((after.revision, after.tenants[0].attempts_max), (rows.revision + 1, 7));
}

async fn migrating_twice_changes_nothing(kind: Kind) {
    let contract = Contract::on(kind).await;
    let event = contract.pending(Leased::ToNobody).await;
    let (first, second) = tokio::join!(contract.database.open(NOW), contract.database.open(NOW));
    for store in [first, second] {
        assert!(store.event(event).await.expect("read").is_some());
    }
}

async fn a_newer_schema_is_refused_with_what_to_do(kind: Kind) {
    let contract = Contract::on(kind).await;
    contract
        .spoil("INSERT INTO schema_migration (version, name, checksum, applied_at) VALUES (9999, 'future', '', 0)".to_owned())
        .await;
    let opened = Box::pin(Store::open(
        &contract.database.location(),
        Store::new_node_id(NOW),
        hookyard_tests::database::seal_key(),
        NOW,
    ))
    .await;
    let problem = opened.map(drop).expect_err("an older binary must not run on it").to_string();
    assert!(
        problem.contains("migration 9999") && problem.contains("use the newer hookyard"),
        "{problem}"
    );
}

async fn no_credential_can_be_read_in_the_database(kind: Kind) {
    let contract = Contract::on(kind).await;
    let secrets = [webhook_secret("acme"), api_key("acme"), sender_token("acme", "github")];
    let there = |haystack: &[u8], needle: &[u8]| haystack.windows(needle.len()).any(|window| window == needle);
    match kind {
        Kind::Sqlite => {
            let mut bytes = Vec::new();
            for entry in std::fs::read_dir(contract.database.folder()).expect("listed") {
                let path = entry.expect("listed").path();
                if path.is_file() {
                    bytes.extend(std::fs::read(path).expect("read"));
                }
            }
            assert!(there(&bytes, b"https://example.com/one"), "the files hold the configuration");
            for secret in &secrets {
                assert!(!there(&bytes, secret.as_bytes()), "{secret} can be read");
            }
        }
        Kind::Postgres => {
            let mut connection = PgConnection::connect(contract.database.url()).await.expect("it opens");
            let mut rows = String::new();
            for table in ["tenant", "api_key", "endpoint", "sender"] {
                let statement = format!("SELECT string_agg(t::text, ' ') FROM {table} t");
                let (text,): (Option<String>,) = sqlx::query_as(AssertSqlSafe(statement))
                    .fetch_one(&mut connection)
                    .await
                    .expect("read");
                rows.push_str(&text.expect("the table has rows"));
            }
            assert!(rows.contains("https://example.com/one"), "the rows hold the configuration");
            for secret in &secrets {
                let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
                assert!(!rows.contains(secret) && !rows.contains(&hex), "{secret} can be read");
            }
        }
    }
    let opened = contract.store.configuration().await.expect("read");
    assert!(
        opened
            .tenants
            .iter()
            .any(|tenant| tenant.webhook_secret.expose() == webhook_secret("acme"))
    );
}

async fn another_key_opens_no_secret(kind: Kind) {
    let contract = Contract::on(kind).await;
    let key = hookyard::store::SealKey::from_bytes(&[9; 32]);
    let store = Box::pin(Store::open(&contract.database.location(), Store::new_node_id(NOW), key, NOW))
        .await
        .expect("the database opens");
    let problem = store
        .configuration()
        .await
        .map(drop)
        .expect_err("the secrets do not open")
        .to_string();
    assert!(problem.contains("sealed with another key"), "{problem}");
    let refused = store.claim_key().await;
    assert!(refused.is_err(), "a key that opens nothing does not become the database's");
    assert!(!contract.store.check_key().await.expect("read"), "none has been claimed");
    contract
        .store
        .claim_key()
        .await
        .expect("the key that opens the secrets becomes the database's");
    contract.store.claim_key().await.expect("and stays so");
    let problem = store.claim_key().await.expect_err("another is told").to_string();
    assert!(problem.contains("sealed with another key"), "{problem}");
}

async fn a_thousand_concurrent_events_are_all_answered_and_kept(kind: Kind) {
    let contract = Contract::on(kind).await;
    let handed: Vec<_> = (0..1_000)
        .map(|_| {
            let event = contract.event();
            let one = contract.delivery(some_endpoint(), NOW, Leased::ToNobody);
            (
                event.id,
                hand_over(&contract.store, event, Some(routed(vec![one])), Leased::ToNobody),
            )
        })
        .collect();
    for (id, answer) in handed {
        assert_eq!(answer.await.expect("answered").expect("accepted"), Accepted::New);
        assert!(contract.store.payload(id).await.expect("read").is_some());
    }
    let (events, deliveries) = contract.store.counts().await.expect("counted");
    assert_eq!(
        (events, deliveries),
        (vec![("routed".to_owned(), 1_000)], vec![("waiting".to_owned(), 1_000)])
    );
}

async fn one_refused_write_fails_alone(kind: Kind) {
    let contract = Contract::on(kind).await;
    let handed: Vec<_> = (0..100)
        .map(|index| {
            let endpoint = some_endpoint();
            let mut deliveries = vec![contract.delivery(endpoint, NOW, Leased::ToNobody)];
            if index == 50 {
                deliveries.push(contract.delivery(endpoint, NOW, Leased::ToNobody));
            }
            let event = contract.event();
            (
                event.id,
                hand_over(&contract.store, event, Some(routed(deliveries)), Leased::ToNobody),
            )
        })
        .collect();
    for (index, (id, answer)) in handed.into_iter().enumerate() {
        let answer = answer.await.expect("answered");
        let kept = contract.store.event(id).await.expect("read").is_some();
        assert_eq!((answer.is_ok(), kept), (index != 50, index != 50), "write {index}: {answer:?}");
    }
    assert_eq!(contract.store.counts().await.expect("counted").1, [("waiting".to_owned(), 99)]);
}

async fn what_was_handed_over_is_written_before_the_lanes_end(kind: Kind) {
    let contract = Contract::on(kind).await;
    let made: Vec<_> = (0..50).map(|_| contract.delivery(some_endpoint(), NOW, Leased::ToUs)).collect();
    let made_ids: Vec<_> = made.iter().map(|one| one.id).collect();
    contract.routed(made).await;
    let mut answers = Vec::new();
    for id in &made_ids {
        answers.push(hand_settle(&contract.store, result(*id, 1, DeliveryState::Delivered, NOW)).await);
    }
    let reader = contract.store.without_lanes();
    drop(contract.store);
    contract.lanes.finished(PATIENCE).await;
    assert_eq!(reader.counts().await.expect("counted").1, [("delivered".to_owned(), 50)]);
    for answer in answers {
        assert!(answer.await.expect("answered").expect("settled"));
    }
    let refused = reader.claim_events(NOW, 1).await;
    assert!(matches!(refused, Err(Error::Closed)), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_nodes_work_is_taken_over_on_postgres() {
    let contract = Contract::on(Kind::Postgres).await;
    let one = contract.delivery(some_endpoint(), NOW, Leased::ToUs);
    let (id, endpoint) = (one.id, one.endpoint);
    contract.routed(vec![one]).await;
    let event = contract.pending(Leased::ToUs).await;
    let (other, _lanes) = contract.other_node().await;
    other.register_node(NOW, LEASE).await.expect("registered");
    assert_eq!(other.keep_alive(NOW.plus(LEASE), LEASE).await.expect("alive"), Liveness::Alive);
    assert!(
        other.claim_deliveries(endpoint, NOW, 1).await.expect("claimed").is_empty(),
        "a node lives to the last microsecond of its lease"
    );
    let late = NOW.plus(LEASE + Duration::from_micros(1));
    assert_eq!(other.keep_alive(late, LEASE).await.expect("alive"), Liveness::Alive);
    assert_eq!(ids(&other.claim_deliveries(endpoint, NOW, 1).await.expect("claimed")), [id]);
    assert_eq!(other.claim_events(NOW, 1).await.expect("claimed")[0].event.id, event);
    assert_eq!(
        contract.store.keep_alive(late, LEASE).await.expect("answered"),
        Liveness::DeclaredDead
    );
    assert!(
        !settle(&contract.store, result(id, 1, DeliveryState::Delivered, NOW))
            .await
            .expect("answered")
    );
    contract.store.register_node(late, LEASE).await.expect("a node may start over");
    assert_eq!(contract.store.keep_alive(late, LEASE).await.expect("alive"), Liveness::Alive);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_former_runs_work_is_taken_over_at_once_on_sqlite() {
    let contract = Contract::on(Kind::Sqlite).await;
    let one = contract.delivery(some_endpoint(), NOW, Leased::ToUs);
    let (id, endpoint) = (one.id, one.endpoint);
    contract.routed(vec![one]).await;
    let event = contract.pending(Leased::ToUs).await;
    let (next_run, _lanes) = contract.other_node().await;
    assert!(next_run.claim_deliveries(endpoint, NOW, 1).await.expect("claimed").is_empty());
    next_run.register_node(NOW, LEASE).await.expect("registered");
    assert_eq!(ids(&next_run.claim_deliveries(endpoint, NOW, 1).await.expect("claimed")), [id]);
    assert_eq!(next_run.claim_events(NOW, 1).await.expect("claimed")[0].event.id, event);
}
