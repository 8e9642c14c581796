//! What a ruling makes of each kind of answer, and how little it stores of what nobody chose.

use std::{sync::Mutex, time::Duration};

use hookyard_domain::{
    DeliveryId, EndpointId, EnvironmentId, EventId, PluginId, SenderId, TenantId,
    decision::{Content, DropReason, Limits, Route, Skip, check},
    failure::FailureClass,
};
use uuid::Uuid;

use super::{samples::Sample, *};
use crate::{
    explanation::Explanation,
    store::{DecisionView, DeliveryView, HeldDelivery, Leased, Source},
};

const NOW: Timestamp = Timestamp::from_micros(1_000_000);

/// Takes every delivery for which there is a place, and remembers them.
#[derive(Default)]
struct Places(Mutex<Vec<HeldDelivery>>);

impl Deliveries for Places {
    fn reserve(&self, _: EndpointId, _: DeliveryId) -> Leased {
        Leased::ToUs
    }
    fn forget(&self, _: EndpointId, _: DeliveryId) {}
    fn hand_over(&self, delivery: HeldDelivery) {
        self.0.lock().expect("no test panics under it").push(delivery);
    }
    fn withdraw(&self, _: EndpointId) {}

    fn left_in_table(&self, _: EndpointId, _: Timestamp) {}
}

fn event() -> Event {
    Event {
        id: EventId::from_uuid(Uuid::from_u128(9)),
        tenant: TenantId::from_uuid(Uuid::from_u128(1)),
        environment: EnvironmentId::from_uuid(Uuid::from_u128(2)),
        source: Source::Sender(SenderId::from_uuid(Uuid::from_u128(3))),
        idempotency_key: None,
        event_type: "order.paid".to_owned(),
        content_type: "application/json".to_owned(),
        headers: Vec::new(),
        payload: Bytes::from_static(b"{\"as\":\"received\"}"),
        accepted_at: NOW,
    }
}

fn ran() -> Ran {
    Ran {
        cost: PluginCost {
            plugin: PluginId::from_uuid(Uuid::from_u128(4)),
            generation: 3,
            cpu_us: 100,
            wall_us: 200,
            memory_bytes: 65_536,
        },
        log: Vec::new(),
        log_dropped: 0,
    }
}

fn failure() -> PluginFailure {
    PluginFailure {
        class: FailureClass::Trap,
        code: "unreachable".to_owned(),
        message: "it trapped".to_owned(),
    }
}

/// The rows of a ruling, and the deliveries handed on once they are committed.
fn rows(ruling: Ruling) -> (Decided, Vec<HeldDelivery>) {
    let places = Places::default();
    let (decided, fan_out) = ruling.into_rows(&places, &event(), 42, NOW);
    fan_out.committed(&places);
    (decided, places.0.into_inner().expect("no test panics under it"))
}

/// What a person is shown of these rows.
fn shown(decided: &Decided, names: &[&str]) -> Explanation {
    let view = DecisionView {
        run: 1,
        outcome: decided.outcome,
        decided_by: decided.decided_by.expect("somebody decided"),
        decided_at: decided.decided_at,
        plugin: None,
        detail: decided.detail.clone(),
    };
    let deliveries: Vec<_> = decided
        .deliveries
        .iter()
        .zip(names)
        .map(|(row, name)| DeliveryView {
            id: row.id,
            event: event().id,
            tenant_id: event().tenant,
            tenant: "acme".to_owned(),
            endpoint_id: row.endpoint,
            endpoint: (*name).to_owned(),
            run: 1,
            kind: "event".to_owned(),
            content: row.content,
            state: hookyard_domain::DeliveryState::Waiting,
            attempts: 0,
            attempts_before: 0,
            attempts_max: None,
            due_at: Some(row.due_at),
            completed_at: None,
        })
        .collect();
    Explanation::of(&view, &deliveries)
}

fn route(endpoint: u32, content: Option<u32>, delay: Duration) -> Route {
    Route {
        endpoint,
        content,
        headers: Vec::new(),
        delay,
    }
}

#[test]
fn an_endpoints_own_token_leaves_no_decision() {
    let endpoint = Sample::at(1).endpoint("a", "*").candidates("order.paid").endpoints.remove(0);
    let (decided, handed) = rows(Ruling::direct(endpoint));
    assert_eq!(
        (decided.decided_by, decided.detail, decided.outcome),
        (None, None, EventState::Routed)
    );
    assert_eq!((decided.deliveries.len(), handed.len()), (1, 1));
}

#[test]
fn what_passes_to_everybody_has_nothing_to_add() {
    let candidates = Sample::at(1).endpoint("a", "*").endpoint("b", "order.*").candidates("order.paid");
    let (decided, handed) = rows(Ruling::pass(DecidedBy::Sender, candidates, None));
    assert_eq!(decided.outcome, EventState::Routed);
    assert_eq!(decided.detail, None);
    assert_eq!(decided.deliveries.iter().map(|row| row.content).collect::<Vec<_>>(), [None, None]);
    assert!(
        decided
            .deliveries
            .iter()
            .all(|row| row.leased == Leased::ToUs && row.body_bytes == 17)
    );
    assert_eq!(handed.len(), 2);
    let shown = shown(&decided, &["a", "b"]);
    assert_eq!((shown.by.as_str(), shown.outcome.as_str()), ("sender", "pass"));
    assert_eq!(shown.chosen[1].endpoint, "b");
    assert_eq!(shown.chosen[1].payload, "original");
}

#[test]
fn an_event_that_nobody_takes_is_dropped_and_says_why() {
    let reason = |by, sample: Sample| {
        let (decided, _) = rows(Ruling::pass(by, sample.candidates("order.paid"), None));
        assert_eq!((decided.outcome, decided.deliveries.len()), (EventState::Dropped, 0));
        let shown = shown(&decided, &[]);
        assert_eq!(shown.outcome, "drop");
        shown.detail.drop.expect("a drop says why").message
    };
    assert_eq!(reason(DecidedBy::Sender, Sample::at(1)), "the sender has no endpoints");
    assert_eq!(
        reason(DecidedBy::Sender, Sample::at(1).endpoint("a", "invoice.*")),
        "none of the sender's endpoints takes this event"
    );
    assert_eq!(
        reason(DecidedBy::Subscriptions, Sample::at(1).endpoint("a", "invoice.*")),
        "no endpoint is subscribed to this event"
    );
}

#[test]
fn a_plugins_plan_is_kept_as_it_was_made() {
    let candidates = Sample::at(1)
        .endpoint("a", "*")
        .endpoint("b", "*")
        .endpoint("c", "*")
        .candidates("order.paid");
    let plan = Plan {
        contents: vec![Content {
            content_type: "text/plain".to_owned(),
            body: b"paid".to_vec(),
        }],
        routes: vec![route(2, Some(0), Duration::from_secs(5)), route(0, None, Duration::ZERO)],
        skips: vec![Skip {
            endpoint: 1,
            reason: "muted".to_owned(),
        }],
        annotations: vec![("rule".to_owned(), "7".to_owned())],
    };
    let decision = check(Decision::Deliver(plan), 3, &Limits::default()).expect("the plan keeps the rules");
    let (decided, handed) = rows(Ruling::decided(candidates, decision, ran()));
    assert_eq!(decided.cost.map(|cost| cost.generation), Some(3));
    assert_eq!(decided.contents[0].body, "paid");
    let row = &decided.deliveries[0];
    assert_eq!(
        (row.content, row.body_bytes, row.due_at, row.leased),
        (Some(0), 4, NOW.plus(Duration::from_secs(5)), Leased::ToNobody)
    );
    assert_eq!(handed.len(), 1, "what is due later waits in the table");
    let shown = shown(&decided, &["c", "a"]);
    assert_eq!((shown.by.as_str(), shown.outcome.as_str()), ("plugin", "deliver"));
    let chosen: Vec<_> = shown
        .chosen
        .iter()
        .map(|one| (one.endpoint.as_str(), one.payload.as_str(), one.delay_ms))
        .collect();
    assert_eq!(chosen, [("c", "plugin", 5_000), ("a", "original", 0)]);
    assert_eq!(shown.detail.skipped.len(), 1);
    assert_eq!(
        (shown.detail.skipped[0].reason.as_str(), shown.detail.skipped[0].count),
        ("muted", 1)
    );
    assert_eq!(shown.detail.annotations, [("rule".to_owned(), "7".to_owned())]);
}

#[test]
fn a_delay_of_all_deliveries_is_kept_once() {
    let candidates = Sample::at(1).endpoint("a", "*").endpoint("b", "*").candidates("order.paid");
    let plan = Plan {
        routes: vec![route(0, None, Duration::from_secs(60)), route(1, None, Duration::from_secs(60))],
        ..Plan::default()
    };
    let (decided, _) = rows(Ruling::decided(candidates, Decision::Deliver(plan), ran()));
    assert_eq!(decided.detail.as_deref(), Some(r#"{"delays":[{"delay_ms":60000}]}"#));
    assert!(shown(&decided, &["a", "b"]).chosen.iter().all(|one| one.delay_ms == 60_000));
}

#[test]
fn a_plugin_that_passes_or_drops_is_told_from_one_that_delivers() {
    let candidates = || Sample::at(1).endpoint("a", "*").candidates("order.paid");
    let (decided, _) = rows(Ruling::decided(candidates(), Decision::Pass, ran()));
    let told = shown(&decided, &["a"]);
    assert_eq!((told.by.as_str(), told.outcome.as_str(), told.chosen.len()), ("plugin", "pass", 1));
    let reason = DropReason {
        code: "test-mode".to_owned(),
        message: "only a test".to_owned(),
    };
    let (decided, _) = rows(Ruling::decided(candidates(), Decision::Drop(reason), ran()));
    assert_eq!(decided.outcome, EventState::Dropped);
    let told = shown(&decided, &[]);
    assert_eq!((told.by.as_str(), told.outcome.as_str()), ("plugin", "drop"));
    assert_eq!(told.detail.drop.expect("a drop says why").code, "test-mode");
}

#[test]
fn a_failure_goes_by_the_senders_policy() {
    let cases = [
        (FailurePolicy::Hold, EventState::Held, 0),
        (FailurePolicy::DeadLetter, EventState::DeadLettered, 0),
        (FailurePolicy::PassThrough, EventState::Routed, 1),
    ];
    for (policy, outcome, deliveries) in cases {
        let candidates = Sample::at(1).endpoint("a", "*").candidates("order.paid");
        let (decided, _) = rows(Ruling::failed(candidates, &failure(), policy, Some(ran())));
        assert_eq!((decided.outcome, decided.deliveries.len()), (outcome, deliveries), "{policy}");
        assert_eq!((decided.held_under, decided.decided_by), (42, Some(DecidedBy::Plugin)));
        let told = shown(&decided, &["a"]);
        assert_eq!(told.outcome, "failed");
        assert_eq!(told.detail.failure.expect("a failure is explained").policy, policy.as_str());
    }
    let nobody = Sample::at(1).candidates("order.paid");
    let (decided, _) = rows(Ruling::failed(nobody, &failure(), FailurePolicy::PassThrough, Some(ran())));
    assert_eq!(decided.outcome, EventState::Dropped);
    assert!(
        shown(&decided, &[]).detail.drop.is_some(),
        "R2: it says that nobody was there to take it"
    );
}

/// At 10,000 endpoints every event once stored 0.6 to 0.9 MB of names of those it did not go to.
#[test]
fn what_is_stored_does_not_grow_with_the_endpoints_that_were_passed_over() {
    const ENDPOINTS: u32 = 10_000;
    let sample = (0..ENDPOINTS).fold(Sample::at(1), |sample, n| sample.endpoint(&format!("endpoint-{n:05}"), "*"));
    let size = |skips: Vec<Skip>| {
        let plan = Plan {
            routes: vec![route(7, None, Duration::ZERO)],
            skips,
            ..Plan::default()
        };
        let (decided, _) = rows(Ruling::decided(sample.candidates("order.paid"), Decision::Deliver(plan), ran()));
        let told = shown(&decided, &["endpoint-00007"]);
        let passed_over: u32 = told.detail.skipped.iter().map(|skipped| skipped.count).sum();
        assert_eq!(passed_over, ENDPOINTS - 1, "they are all counted");
        assert!(told.detail.skipped.iter().all(|skipped| skipped.examples.len() <= 3));
        decided.detail.map_or(0, |text| text.len())
    };
    assert!(size(Vec::new()) < 200);
    let one_reason_each = (0..ENDPOINTS).filter(|n| *n != 7).map(|n| Skip {
        endpoint: n,
        reason: format!("number {n} is muted"),
    });
    assert!(size(one_reason_each.collect()) < 4_096);
}
