//! A sender's mapping, from saving to what arrives (docs/contracts/hooksentry.md, section 11). The language itself has a suite of its own.

use hookyard_tests::{database::Kind, on_both_databases, receiver::Receiver};
use serde_json::json;

use crate::{Yard, id, text};

on_both_databases!(
    a_mapping_makes_the_payload_that_is_delivered,
    an_event_whose_mapping_fails_is_held_until_it_is_changed,
    a_mapping_is_tried_before_it_is_saved,
);

async fn a_mapping_makes_the_payload_that_is_delivered(kind: Kind) {
    let yard = Yard::on(kind).await;
    let receiver = Receiver::start().await;
    let owner = yard.tenant("acme").await;
    let key = yard.api_key(&owner).await;
    let (destination, other) = (
        yard.destination(&owner, &receiver.url("/hook")).await,
        yard.destination(&owner, &receiver.url("/other")).await,
    );
    let sender = yard.sender(&owner, &destination).await;
    assert_eq!(sender["hasMapping"], json!(false));
    let path = format!("/api/v1/senders/{}/mapping", id(&sender));
    let mapping = json!({ "zebra": "user:name", "n": "qty+extra", "pair": ["id", "nope"] });
    let saved = yard.post(&path, &owner, &mapping).await;
    assert_eq!((saved.status, saved.json()), (200, json!({ "mapping": mapping })));
    let payload = r#"{"id":7,"user":{"name":"Ana"},"qty":2,"extra":0.5}"#;
    let event = yard.ingest(&owner, &key, &sender, payload).await.event_id();
    let event = yard.event_in(&owner, &event, "Succeeded").await;
    let received = receiver.received_at("/hook").remove(0);
    let mapped: serde_json::Value = serde_json::from_slice(&received.body).expect("it is JSON");
    assert_eq!(mapped, json!({ "zebra": "Ana", "n": 2.5, "pair": [7, null] }));
    assert_eq!(text(&event["payload"]).as_bytes(), received.body);
    assert_eq!(text(&event["acceptedPayload"]), payload);
    assert_eq!(text(&event["destinationUrlId"]), id(&destination));
    // Another mapping takes its place, and none is none.
    assert_eq!(yard.post(&path, &owner, &json!({ "only": "id" })).await.status, 200);
    let event = yard.ingest(&owner, &key, &sender, payload).await.event_id();
    let event = yard.event_in(&owner, &event, "Succeeded").await;
    assert_eq!(text(&event["payload"]), r#"{"only":7}"#);
    assert_eq!(yard.delete(&path, &owner).await.status, 204);
    let event = yard.ingest(&owner, &key, &sender, payload).await.event_id();
    let event = yard.event_in(&owner, &event, "Succeeded").await;
    assert_eq!(text(&event["payload"]), payload);
    // A destination's own token never maps, and a sender reaches its own destination alone.
    assert_eq!(yard.post(&path, &owner, &json!({ "only": "id" })).await.status, 200);
    let event = yard.ingest(&owner, &key, &destination, payload).await.event_id();
    let event = yard.event_in(&owner, &event, "Succeeded").await;
    assert_eq!(text(&event["payload"]), payload);
    assert!(receiver.received_at("/other").is_empty(), "{}", id(&other));
}

/// The original goes on with the raw payload and says nothing.
async fn an_event_whose_mapping_fails_is_held_until_it_is_changed(kind: Kind) {
    let yard = Yard::on(kind).await;
    let receiver = Receiver::start().await;
    let owner = yard.tenant("acme").await;
    let key = yard.api_key(&owner).await;
    let destination = yard.destination(&owner, &receiver.url("/hook")).await;
    let sender = yard.sender(&owner, &destination).await;
    let path = format!("/api/v1/senders/{}/mapping", id(&sender));
    assert_eq!(yard.post(&path, &owner, &json!({ "sum": "a+b" })).await.status, 200);
    let payload = r#"{"a":9223372036854775807,"b":1}"#;
    let accepted = yard.ingest(&owner, &key, &sender, payload).await;
    assert_eq!(accepted.status, 202);
    let event = accepted.event_id();
    let held = || async {
        let view = yard
            .host
            .store()
            .event(hookyard_domain::Scope::Operator, event.parse().expect("an id"))
            .await;
        let view = view.expect("the store answers").expect("it is there");
        view.decision.and_then(|decision| decision.detail)
    };
    let mut detail = None;
    for _ in 0..400 {
        detail = held().await;
        if detail.is_some() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    assert!(
        detail.as_deref().is_some_and(|detail| detail.contains("mapping-failed")),
        "{detail:?}"
    );
    let pending = yard.event_in(&owner, &event, "Pending").await;
    assert_eq!(pending["deliveries"], json!([]));
    assert!(receiver.received().is_empty(), "nothing goes out raw in silence");
    assert_eq!(yard.post(&path, &owner, &json!({ "first": "a" })).await.status, 200);
    let event = yard.event_in(&owner, &event, "Succeeded").await;
    assert_eq!(text(&event["payload"]), r#"{"first":9223372036854775807}"#);
}

async fn a_mapping_is_tried_before_it_is_saved(kind: Kind) {
    let yard = Yard::on(kind).await;
    let receiver = Receiver::start().await;
    let owner = yard.tenant("acme").await;
    let destination = yard.destination(&owner, &receiver.url("/hook")).await;
    let sender = yard.sender(&owner, &destination).await;
    let path = format!("/api/v1/senders/{}/mapping/preview", id(&sender));
    let tried = yard
        .post(
            &path,
            &owner,
            &json!({ "mapping": { "x": "a:b" }, "payload": { "a": { "b": 1.0 } } }),
        )
        .await;
    assert_eq!((tried.status, tried.text().as_str()), (200, r#"{"payload":{"x":1}}"#));
    let failed = yard
        .post(&path, &owner, &json!({ "mapping": { "x": "a+a" }, "payload": { "a": 1e308 } }))
        .await;
    assert_eq!(failed.status, 422, "{}", failed.text());
    assert_eq!(
        yard.post(&path, &owner, &json!({ "mapping": { "x": "a[" }, "payload": {} }))
            .await
            .status,
        400
    );
    assert_eq!(
        yard.get(&format!("/api/v1/senders/{}/mapping", id(&sender)), &owner).await.status,
        404,
        "nothing was kept"
    );
}
