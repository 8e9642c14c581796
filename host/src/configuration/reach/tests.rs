//! The index finds what looking at every endpoint would find, and says little about the rest.

use hookyard_domain::{EnvironmentId, SubscriptionId, TenantId, Timestamp};
use uuid::Uuid;

use super::*;
use crate::{
    configuration::Snapshot,
    store::{Changed, EndpointRow, Rows, SecretText, SubscriptionRow, TenantRow},
};

const AT: Timestamp = Timestamp::EPOCH;

/// A reach of endpoints with a name, a status and patterns, by the way a node takes: rows, then a snapshot.
fn reach(endpoints: impl IntoIterator<Item = (Option<String>, &'static str, Vec<&'static str>)>) -> Reach {
    let (tenant, environment) = (
        TenantId::from_uuid(Uuid::from_u128(1)),
        EnvironmentId::from_uuid(Uuid::from_u128(2)),
    );
    let rows = (0_u128..).zip(endpoints).map(|(number, (name, status, patterns))| EndpointRow {
        id: hookyard_domain::EndpointId::from_uuid(Uuid::from_u128(1_000 + number)),
        tenant,
        environment,
        application: None,
        name,
        description: None,
        url: "https://example.com".to_owned(),
        status: status.to_owned(),
        profile: hookyard_domain::profile::DEFAULT.name().to_owned(),
        metadata: "{}".to_owned(),
        concurrency_max: 1,
        attempts_max: None,
        secret: None,
        previous_secret: None,
        auth: None,
        subscriptions: patterns
            .into_iter()
            .map(|pattern| SubscriptionRow {
                id: SubscriptionId::from_uuid(Uuid::nil()),
                pattern: pattern.to_owned(),
                event_type: None,
                created_at: AT,
            })
            .collect(),
        revision: 1,
        created_at: AT,
        updated_at: AT,
    });
    let tenant = TenantRow {
        id: tenant,
        name: "acme".to_owned(),
        attempts_max: 10,
        breaker_block_s: 300,
        webhook_secret: SecretText::new("0123456789abcdef0123456789abcdef".to_owned()),
        registered: false,
        revision: 1,
        created_at: AT,
        updated_at: AT,
    };
    let snapshot = Snapshot::default().with(Rows {
        revision: 1,
        tenants: Changed {
            rows: vec![tenant],
            gone: Vec::new(),
        },
        endpoints: Changed {
            rows: rows.collect(),
            gone: Vec::new(),
        },
        ..Rows::default()
    });
    assert_eq!(snapshot.set_aside().count(), 0);
    snapshot.subscribers(environment).cloned().unwrap_or_default()
}

fn named(name: &str, patterns: &[&'static str]) -> (Option<String>, &'static str, Vec<&'static str>) {
    (Some(name.to_owned()), "active", patterns.to_vec())
}

fn labels(endpoints: &[Arc<Endpoint>]) -> Vec<&str> {
    endpoints.iter().map(|endpoint| endpoint.label()).collect()
}

#[test]
fn the_index_finds_what_looking_at_every_endpoint_finds() {
    let reach = reach([
        named("all", &["*"]),
        named("orders", &["order.*"]),
        named("lines", &["order.line.*", "ping"]),
        named("both", &["order.*", "order.paid", "*"]),
        named("exact", &["order.paid"]),
        named("dot", &["order."]),
        (Some("asleep".to_owned()), "inactive", vec!["*"]),
        (None, "active", vec!["ping"]),
    ]);
    for event_type in [
        "",
        "ping",
        "order",
        "order.",
        "order.paid",
        "order.line.added",
        "order.line.",
        "orders.x",
        ".",
        "..",
    ] {
        let active = |endpoint: &&Arc<Endpoint>| endpoint.status == EndpointStatus::Active && endpoint.wants(event_type);
        let looked_at: Vec<_> = reach.all().iter().filter(active).map(|endpoint| endpoint.label()).collect();
        assert_eq!(labels(&reach.candidates(event_type).endpoints), looked_at, "{event_type:?}");
    }
    assert_eq!(
        labels(&reach.candidates("order.paid").endpoints),
        ["all", "both", "exact", "orders"],
        "in the order of their names, each once"
    );
}

/// An explanation used to name every endpoint that was not chosen: 0.6 to 0.9 MB per event at 10,000 of them.
#[test]
fn ten_thousand_endpoints_of_which_one_is_meant_are_told_in_a_few_words() {
    let many = (0..9_999).map(|number| named(&format!("other-{number:04}"), &["order.paid"]));
    let reach = reach(many.chain([named("the-one", &["ping"])]));
    let candidates = reach.candidates("ping");
    assert_eq!(labels(&candidates.endpoints), ["the-one"]);
    let [passed_over] = &candidates.passed_over[..] else {
        panic!("there is one reason: {:?}", candidates.passed_over);
    };
    assert_eq!(passed_over.count, 9_999);
    assert_eq!(passed_over.examples, ["other-0000", "other-0001", "other-0002"]);
}

#[test]
fn each_reason_is_counted_by_itself() {
    let asleep = |name: &str| (Some(name.to_owned()), "inactive", vec!["ping"]);
    let reach = reach([asleep("a"), asleep("b"), asleep("c"), asleep("d"), named("e", &["pong"])]);
    let candidates = reach.candidates("ping");
    assert!(candidates.endpoints.is_empty());
    let told: Vec<_> = candidates
        .passed_over
        .iter()
        .map(|one| (one.count, one.examples.join(" ")))
        .collect();
    assert_eq!(told, [(4, "a b c".to_owned()), (1, "e".to_owned())]);
    assert!(candidates.passed_over[0].reason.contains("inactive"));
    assert!(Reach::default().candidates("ping").passed_over.is_empty());
}
