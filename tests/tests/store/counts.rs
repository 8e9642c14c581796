//! The numbers of events that are kept, against those that are counted.

use hookyard::store::{Become, EventSearch, Total};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use sqlx::{Connection as _, PgConnection, SqliteConnection};
use uuid::Uuid;

use crate::contract::*;

on_both_databases!(
    what_is_kept_is_what_is_there_whatever_happens_to_events,
    a_total_is_exact_beyond_what_would_be_counted
);

/// What has become of each event, found out from all its rows: the least finished delivery speaks, then the worst.
const COUNT: &str = "SELECT s.tenant_id, s.state, COUNT(*) FROM (SELECT e.tenant_id, CASE \
     WHEN EXISTS (SELECT 1 FROM route_work r WHERE r.event_id = e.id AND r.state <> 'dead-lettered') \
       OR EXISTS (SELECT 1 FROM delivery d JOIN delivery_work w ON w.delivery_id = d.id WHERE d.event_id = e.id \
         AND w.state = 'waiting' AND w.attempts = w.attempts_before) THEN 'pending' \
     WHEN EXISTS (SELECT 1 FROM delivery d JOIN delivery_work w ON w.delivery_id = d.id WHERE d.event_id = e.id AND w.state = 'waiting') \
       THEN 'retrying' \
     WHEN EXISTS (SELECT 1 FROM route_work r WHERE r.event_id = e.id) \
       OR EXISTS (SELECT 1 FROM delivery d JOIN delivery_work w ON w.delivery_id = d.id WHERE d.event_id = e.id AND w.state = 'exhausted') \
       THEN 'exhausted' \
     WHEN EXISTS (SELECT 1 FROM delivery d JOIN delivery_work w ON w.delivery_id = d.id WHERE d.event_id = e.id AND w.state = 'rejected') \
       THEN 'rejected' \
     WHEN EXISTS (SELECT 1 FROM delivery d WHERE d.event_id = e.id AND NOT EXISTS (SELECT 1 FROM delivery_work w WHERE w.delivery_id = d.id)) \
       THEN 'delivered' \
     ELSE 'cancelled' END AS state FROM event e) s GROUP BY s.tenant_id, s.state";

const STATES: [(Become, &str); 6] = [
    (Become::Pending, "pending"),
    (Become::Retrying, "retrying"),
    (Become::Delivered, "delivered"),
    (Become::Exhausted, "exhausted"),
    (Become::Rejected, "rejected"),
    (Become::Cancelled, "cancelled"),
];

async fn counted(contract: &Contract) -> Vec<(Uuid, String, i64)> {
    let url = contract.database.url();
    match contract.database.kind() {
        Kind::Sqlite => {
            let mut connection = SqliteConnection::connect(url).await.expect("it opens");
            sqlx::query_as(COUNT).fetch_all(&mut connection).await
        }
        Kind::Postgres => {
            let mut connection = PgConnection::connect(url).await.expect("it opens");
            sqlx::query_as(COUNT).fetch_all(&mut connection).await
        }
    }
    .expect("it counts")
}

async fn total(contract: &Contract, tenant: TenantId, state: Option<Become>) -> u64 {
    let search = EventSearch {
        tenant,
        state,
        endpoint: None,
        from: None,
        to: None,
        newest_first: true,
        limit: 1,
        offset: 0,
    };
    match contract.store.search_events(&search).await.expect("it is searched").total {
        Total::Kept(total) => total,
        Total::Counted(total) => panic!("{total} were counted, and none is kept"),
    }
}

async fn compare(contract: &Contract, after: &str) {
    let counted = counted(contract).await;
    for tenant in [contract.tenant, contract.other_tenant] {
        let of_tenant = |state: Option<&str>| -> i64 {
            let rows = counted.iter().filter(|(of, ..)| *of == tenant.as_uuid());
            rows.filter(|(_, is, _)| state.is_none_or(|state| state == is))
                .map(|(.., count)| count)
                .sum()
        };
        assert_eq!(total(contract, tenant, None).await as i64, of_tenant(None), "all, {after}");
        for (state, word) in STATES {
            assert_eq!(
                total(contract, tenant, Some(state)).await as i64,
                of_tenant(Some(word)),
                "{word}, {after}: {counted:?}"
            );
        }
    }
}

/// Where a run is: what exists, and by which node.
struct Run<'a> {
    contract: &'a Contract,
    random: StdRng,
    stores: Vec<Store>,
    endpoints: [EndpointId; 3],
    events: Vec<(EventId, TenantId, u32)>,
    deliveries: Vec<DeliveryId>,
}

impl Run<'_> {
    fn one<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        (!of.is_empty()).then(|| of[self.random.random_range(0..of.len())])
    }

    fn store(&mut self) -> Store {
        let index = self.random.random_range(0..self.stores.len());
        self.stores[index].clone()
    }

    /// A decision for one to three endpoints, or for none.
    fn decision(&mut self) -> Decided {
        match self.random.random_range(0..10) {
            0 => decided(EventState::Dropped),
            1 => decided(EventState::Held),
            2 => decided(EventState::DeadLettered),
            _ => self.routed(),
        }
    }

    fn routed(&mut self) -> Decided {
        let several = self.random.random_range(1..=3);
        let deliveries: Vec<_> = (0..several)
            .map(|index| {
                let leased = if self.random.random_range(0..4) == 0 {
                    Leased::ToNobody
                } else {
                    Leased::ToUs
                };
                self.contract.delivery(self.endpoints[index], NOW, leased)
            })
            .collect();
        self.deliveries.extend(deliveries.iter().map(|delivery| delivery.id));
        routed(deliveries)
    }

    async fn accept(&mut self) {
        let mut event = match self.random.random_range(0..4) {
            0 => self.contract.event_with_key(&format!("key-{}", self.random.random_range(0..20))),
            _ => self.contract.event(),
        };
        if self.random.random_range(0..3) == 0 {
            event.tenant = self.contract.other_tenant;
        }
        let placement = match self.random.random_range(0..3) {
            0 => None,
            1 => Some(decided(EventState::Dropped)),
            _ => Some(self.routed()),
        };
        self.events.push((event.id, event.tenant, 1));
        let store = self.store();
        accept(&store, event, placement, Leased::ToUs).await.expect("it is accepted");
    }

    async fn decide(&mut self) {
        let events = self.events.clone();
        let Some((event, tenant, run)) = self.one(&events) else { return };
        let decision = self.decision();
        let (store, named) = (self.store(), named(event, tenant));
        let (answer, answered) = oneshot::channel();
        let done = Box::new(move |outcome| drop(answer.send(outcome)));
        tokio::task::block_in_place(|| store.decide(named, run, decision, done));
        answered.await.expect("every write is answered").expect("it is decided or too late");
    }

    /// Outcomes of many attempts at once, by whichever node: siblings are settled side by side.
    async fn settle(&mut self) {
        let mut handed = Vec::new();
        for _ in 0..8 {
            let deliveries = self.deliveries.clone();
            let Some(delivery) = self.one(&deliveries) else { return };
            let number = self.random.random_range(1..=3);
            let state = [
                DeliveryState::Waiting,
                DeliveryState::Delivered,
                DeliveryState::Delivered,
                DeliveryState::Rejected,
                DeliveryState::Exhausted,
            ][self.random.random_range(0..5)];
            for store in self.stores.clone() {
                handed.push(hand_settle(&store, result(delivery, number, state, NOW)).await);
            }
        }
        for answer in handed {
            answer.await.expect("every write is answered").expect("it is settled or too late");
        }
    }

    async fn claim(&mut self) {
        let (store, endpoints) = (self.store(), self.endpoints);
        let endpoint = self.one(&endpoints).expect("there are some");
        let rows = self.random.random_range(1..20);
        store.claim_deliveries(endpoint, NOW, rows, 1_000).await.expect("they are claimed");
        let sender = [self.contract.sender, self.contract.other_sender][self.random.random_range(0..2)];
        let below = self.random.random_range(0..3);
        for held in store.claim_events(sender, NOW, below, rows).await.expect("they are claimed") {
            self.events.push((held.event.id, held.event.tenant, held.run));
        }
    }

    async fn replay_or_cancel(&mut self) {
        let (events, deliveries) = (self.events.clone(), self.deliveries.clone());
        let store = &self.contract.store;
        match self.random.random_range(0..8) {
            0..=2 => {
                if let Some((event, ..)) = self.one(&events) {
                    store.replay_event(Scope::Operator, event, NOW).await.expect("it is replayed");
                }
            }
            3..=5 => {
                if let Some(delivery) = self.one(&deliveries) {
                    store.replay_delivery(Scope::Operator, delivery, NOW).await.expect("it is replayed");
                }
            }
            6 => {
                store.cancel_waiting(self.endpoints[2], 5, NOW).await.expect("they are cancelled");
            }
            _ => {
                store.cancel_leased(self.endpoints[2], NOW).await.expect("they are cancelled");
            }
        }
    }
}

async fn what_is_kept_is_what_is_there_whatever_happens_to_events(kind: Kind) {
    const STRETCHES: usize = 8;
    const STEPS: usize = 150;
    let contract = Contract::on(kind).await;
    let other = match kind {
        Kind::Sqlite => None,
        Kind::Postgres => Some(contract.other_node().await),
    };
    let mut stores = vec![contract.store.clone()];
    stores.extend(other.iter().map(|(store, _)| store.clone()));
    let mut run = Run {
        contract: &contract,
        random: StdRng::seed_from_u64(7),
        stores,
        endpoints: [some_endpoint(), some_endpoint(), some_endpoint()],
        events: Vec::new(),
        deliveries: Vec::new(),
    };
    for stretch in 0..STRETCHES {
        for _ in 0..STEPS {
            match run.random.random_range(0..10) {
                0..=2 => run.accept().await,
                3..=4 => run.decide().await,
                5..=7 => run.settle().await,
                8 => run.claim().await,
                _ => run.replay_or_cancel().await,
            }
        }
        compare(&contract, &format!("after stretch {stretch}")).await;
    }
    let seen = counted(&contract).await;
    for (_, word) in STATES {
        assert!(
            seen.iter().any(|(_, state, _)| state == word),
            "no event came to be {word}: {seen:?}"
        );
    }
}

/// A batch of the store's own size would count ten thousand and stop.
async fn a_total_is_exact_beyond_what_would_be_counted(kind: Kind) {
    const EVENTS: usize = 10_500;
    let contract = Contract::on(kind).await;
    let endpoint = some_endpoint();
    let mut answers = Vec::new();
    for _ in 0..EVENTS {
        let delivery = contract.delivery(endpoint, NOW, Leased::ToNobody);
        answers.push(hand_over(
            &contract.store,
            contract.event(),
            Some(routed(vec![delivery])),
            Leased::ToNobody,
        ));
        if answers.len() == 1_000 {
            for answer in answers.drain(..) {
                answer.await.expect("answered").expect("accepted");
            }
        }
    }
    for answer in answers {
        answer.await.expect("answered").expect("accepted");
    }
    assert_eq!(total(&contract, contract.tenant, None).await, EVENTS as u64);
    assert_eq!(total(&contract, contract.tenant, Some(Become::Pending)).await, EVENTS as u64);
    assert_eq!(total(&contract, contract.tenant, Some(Become::Delivered)).await, 0);
    let of_endpoint = EventSearch {
        tenant: contract.tenant,
        state: None,
        endpoint: Some(endpoint),
        from: None,
        to: None,
        newest_first: true,
        limit: 1,
        offset: 0,
    };
    let found = contract.store.search_events(&of_endpoint).await.expect("it is searched");
    assert!(
        matches!(found.total, Total::Counted(total) if total < EVENTS as u64),
        "{:?}",
        found.total
    );
}
