//! A store on a fresh database with two tenants set up, and the words the suite is written in.

pub use std::{sync::Arc, time::Duration};

pub use bytes::Bytes;
pub use hookyard::store::{
    Accepted, Attempt, Body, DecideOutcome, Decided, Error, Event, Existing, Forgotten, HeldDelivery, IdempotencyClaim, LaneTasks, Leased,
    Liveness, NewContent, NewDelivery, Page, Placement, Postponed, Settle, SettleOutcome, Source, Store, Waiting,
};
pub use hookyard_domain::{
    DecidedBy, DeliveryId, DeliveryState, EndpointId, EnvironmentId, EventId, EventState, Scope, SenderId, TenantId, Timestamp,
};
pub use hookyard_tests::{
    database::{Kind, TestDatabase},
    on_both_databases,
    setup::{Endpoint, Sender, SetupFile, Tenant},
    wait::PATIENCE,
};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};
pub use tokio::sync::oneshot;

/// Whose idempotency keys these are.
pub const SCOPE: &str = "test";

/// A moment of no importance, the same for every run.
pub const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
pub const LEASE: Duration = Duration::from_secs(15);
pub const SECOND: Duration = Duration::from_secs(1);

/// A store with lanes on a fresh database, with two tenants set up.
pub struct Contract {
    pub store: Store,
    pub lanes: LaneTasks,
    pub database: TestDatabase,
    pub tenant: TenantId,
    pub other_tenant: TenantId,
    pub environment: EnvironmentId,
    pub sender: SenderId,
    pub other_sender: SenderId,
}

pub fn setup() -> SetupFile {
    let tenant = |name| {
        Tenant::named(name)
            .endpoint(Endpoint::new("one", "https://example.com/one"))
            .endpoint(Endpoint::new("two", "https://example.com/two"))
            .sender(Sender::new("github").plugin("router"))
    };
    SetupFile::new().tenant(tenant("acme")).tenant(tenant("beta"))
}

impl Contract {
    pub async fn on(kind: Kind) -> Self {
        let database = TestDatabase::fresh(kind).await;
        let store = database.open(NOW).await;
        store.register_node(NOW, LEASE).await.expect("a node registers");
        let tenants = setup().apply_in_process(&store, NOW).await;
        let (store, lanes) = store.start_lanes(&database.location()).expect("the lanes start");
        let rows = store.configuration_since(0).await.expect("the configuration is read");
        let (tenant, other_tenant) = (tenants["acme"], tenants["beta"]);
        let sender_of = |tenant| {
            rows.senders
                .rows
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
                .rows
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
    pub async fn other_node(&self) -> (Store, LaneTasks) {
        let store = self.database.open(NOW).await;
        store.start_lanes(&self.database.location()).expect("the lanes start")
    }

    pub fn event(&self) -> Event {
        Event {
            id: EventId::new_v7(NOW, rand::random()),
            tenant: self.tenant,
            environment: self.environment,
            source: Source::Sender(self.sender),
            idempotency_key: None,
            event_type: "push".to_owned(),
            content_type: "application/json".to_owned(),
            headers: vec![("x-github-event".to_owned(), "push".to_owned())],
            payload: Bytes::from_static(b"{\"n\":1}"),
            accepted_at: NOW,
        }
    }

    pub fn event_with_key(&self, key: &str) -> Event {
        Event {
            idempotency_key: Some(key.to_owned()),
            ..self.event()
        }
    }

    /// Keeps a pending event, held by this node or by nobody.
    pub async fn pending(&self, leased: Leased) -> EventId {
        let event = self.event();
        let id = event.id;
        let accepted = accept(&self.store, event, None, leased).await;
        assert_eq!(accepted.expect("it is accepted"), Accepted::New);
        id
    }

    /// Keeps an event with one delivery per endpoint.
    pub async fn routed(&self, deliveries: Vec<NewDelivery>) -> EventId {
        let event = self.event();
        let id = event.id;
        let accepted = accept(&self.store, event, Some(routed(deliveries)), Leased::ToNobody).await;
        assert_eq!(accepted.expect("it is accepted"), Accepted::New);
        id
    }

    pub fn delivery(&self, endpoint: EndpointId, due_at: Timestamp, leased: Leased) -> NewDelivery {
        NewDelivery {
            id: DeliveryId::new_v7(NOW, rand::random()),
            endpoint,
            content: None,
            headers: Vec::new(),
            attempts_max: 3,
            body_bytes: 7,
            due_at,
            leased,
        }
    }

    /// Keeps a pending event of a sender and decides that it is held, under a revision.
    pub async fn held(&self, sender: SenderId, held_under: i64) -> EventId {
        let event = Event {
            source: Source::Sender(sender),
            ..self.event()
        };
        let id = event.id;
        accept(&self.store, event, None, Leased::ToUs).await.expect("it is accepted");
        let held = Decided {
            held_under,
            ..decided(EventState::Held)
        };
        assert!(self.decide(&self.store, id, held).await.expect("it is decided"));
        id
    }

    pub async fn state(&self, event: EventId) -> EventState {
        self.store
            .event(Scope::Operator, event)
            .await
            .expect("it is read")
            .expect("it is there")
            .state
    }

    pub async fn events(&self) -> usize {
        let page = Page {
            state: None,
            before: None,
            limit: 10_000,
        };
        self.store.list_events(Scope::Operator, &page).await.expect("they are listed").len()
    }

    pub async fn attempt_numbers(&self, delivery: DeliveryId) -> Vec<u32> {
        let attempts = self.store.attempts(Scope::Operator, delivery).await.expect("they are read");
        attempts.iter().map(|attempt| attempt.number).collect()
    }

    /// Runs SQL past the store.
    pub async fn spoil(&self, statement: String) {
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

pub fn some_endpoint() -> EndpointId {
    EndpointId::new_v7(NOW, rand::random())
}

pub fn decided(state: EventState) -> Decided {
    Decided {
        outcome: state,
        decided_by: Some(DecidedBy::Plugin),
        cost: None,
        detail: Some("{\"by\":\"test\"}".to_owned()),
        held_under: 1,
        decided_at: NOW,
        contents: Vec::new(),
        deliveries: Vec::new(),
    }
}

pub fn routed(deliveries: Vec<NewDelivery>) -> Decided {
    Decided {
        deliveries,
        ..decided(EventState::Routed)
    }
}

/// Hands an event to the store; the answer comes through the channel.
pub fn hand_over(store: &Store, event: Event, decided: Option<Decided>, leased: Leased) -> oneshot::Receiver<Result<Accepted, Error>> {
    let (answer, answered) = oneshot::channel();
    let claim = event.idempotency_key.clone().map(|key| IdempotencyClaim {
        scope: SCOPE.to_owned(),
        key,
        fingerprint: None,
        expires_at: None,
    });
    let placement = decided.map_or(Placement::Undecided { leased }, Placement::Decided);
    store.accept(
        Arc::new(event),
        claim,
        placement,
        Box::new(move |outcome| drop(answer.send(outcome))),
    );
    answered
}

pub async fn accept(store: &Store, event: Event, decided: Option<Decided>, leased: Leased) -> Result<Accepted, Error> {
    hand_over(store, event, decided, leased).await.expect("every write is answered")
}

/// An event as far as a decision names it.
pub fn named(id: EventId, tenant: TenantId) -> Arc<Event> {
    Arc::new(Event {
        id,
        tenant,
        environment: EnvironmentId::new_v7(NOW, [0; 10]),
        source: Source::Sender(SenderId::new_v7(NOW, [0; 10])),
        idempotency_key: None,
        event_type: String::new(),
        content_type: String::new(),
        headers: Vec::new(),
        payload: Bytes::new(),
        accepted_at: NOW,
    })
}

/// Hands in an event's first decision; the answer comes through the channel.
pub fn hand_decision(store: &Store, event: &Arc<Event>, decided: Decided) -> oneshot::Receiver<Result<DecideOutcome, Error>> {
    let (answer, answered) = oneshot::channel();
    let done = Box::new(move |outcome| drop(answer.send(outcome)));
    tokio::task::block_in_place(|| store.decide(Arc::clone(event), 1, decided, done));
    answered
}

impl Contract {
    /// Decides about one of the tenant's events for the first time. `false`: the lease was lost.
    pub async fn decide(&self, store: &Store, event: EventId, decided: Decided) -> Result<bool, Error> {
        let outcome = hand_decision(store, &named(event, self.tenant), decided)
            .await
            .expect("every write is answered");
        outcome.map(|outcome| outcome == DecideOutcome::Decided)
    }

    pub async fn existing(&self, key: &str) -> Option<Existing> {
        self.store.existing(self.tenant, SCOPE, key, NOW).await.expect("the store reads")
    }

    /// Gives an event back until then, with so many failures behind it.
    pub async fn postpone(&self, event: EventId, due_at: Timestamp, failures: u32) {
        let (answer, answered) = oneshot::channel();
        let done = Box::new(move |outcome| drop(answer.send(outcome)));
        let postponed = vec![Postponed { event, due_at, failures }];
        tokio::task::block_in_place(|| self.store.postpone(postponed, done));
        answered.await.expect("answered").expect("postponed");
    }
}

/// What the table leases to a node.
pub async fn leased(store: &Store) -> (Vec<EventId>, Vec<DeliveryId>) {
    let events = store.leased_events().await.expect("the store reads");
    (events, store.leased_deliveries().await.expect("the store reads"))
}

/// The outcome of an attempt that a delivery goes on from, or ends with.
pub fn result(delivery: DeliveryId, number: u32, state: DeliveryState, due_at: Timestamp) -> Settle {
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

/// Settles. `false`: the lease was lost.
pub async fn settle(store: &Store, settle: Settle) -> Result<bool, Error> {
    let outcome = hand_settle(store, settle).await.await.expect("every write is answered");
    outcome.map(|outcome| outcome == SettleOutcome::Settled)
}

pub async fn hand_settle(store: &Store, settle: Settle) -> oneshot::Receiver<Result<SettleOutcome, Error>> {
    let (answer, answered) = oneshot::channel();
    store.settle(settle, Box::new(move |outcome| drop(answer.send(outcome)))).await;
    answered
}

pub fn ids(claimed: &[HeldDelivery]) -> Vec<DeliveryId> {
    claimed.iter().map(|delivery| delivery.id).collect()
}
