//! An event's way, as an integrator and an operator live it (docs/contracts/hooksentry.md, sections 12 to 14).

use std::time::Duration;

use hookyard_domain::signature::verify_body;
use hookyard_tests::{
    database::Kind,
    on_both_databases,
    receiver::{Receiver, Reply},
};
use serde_json::json;

use crate::{Yard, id, text};

on_both_databases!(
    an_event_is_delivered_signed_failed_and_replayed,
    outbound_authentication_is_sent_along,
    a_bearer_token_is_fetched_for_each_attempt,
    a_destination_that_fails_for_a_day_is_suspended_until_somebody_acts,
    a_token_that_was_replaced_opens_nothing,
    an_inactive_destination_takes_nothing_and_keeps_what_waits,
    a_rotated_secret_signs_from_now_on,
    what_is_withdrawn_from_memory_is_delivered_all_the_same,
    nobody_registers_where_that_is_closed,
    a_dashboard_of_the_configured_origin_may_call,
);

async fn an_event_is_delivered_signed_failed_and_replayed(kind: Kind) {
    let yard = Yard::on(kind).await;
    let receiver = Receiver::start().await;
    let owner = yard.tenant("acme").await;
    let destination = yard.destination(&owner, &receiver.url("/hook")).await;
    let key = yard.api_key(&owner).await;
    let body = r#"{ "amount": 10.50, "n": 12345678901234567890 }"#;
    let answer = yard.ingest(&owner, &key, &destination, body).await;
    assert_eq!((answer.status, answer.json()["status"].clone()), (202, json!("Pending")));
    let event = answer.event_id();
    assert_eq!(answer.header("location"), format!("/api/v1/events/{event}"));
    let delivered = yard.event_in(&owner, &event, "Succeeded").await;
    assert_eq!(
        (text(&delivered["payload"]), text(&delivered["destinationUrlId"])),
        (body, id(&destination))
    );
    assert_eq!(
        (&delivered["currentRetryCount"], &delivered["nextAttemptAt"]),
        (&json!(0), &json!(null))
    );
    assert!(delivered["deliveredAt"].is_string() && delivered["idempotencyKey"].is_null());
    let secret = yard
        .get(&format!("/api/v1/tenants/{}/webhook-secret", owner.tenant), &owner)
        .await
        .json();
    let secret = text(&secret["webhookSecret"]).to_owned();
    let received = receiver.received_at("/hook").remove(0);
    let signature = received.header("x-hooksentry-signature").to_owned();
    assert!(verify_body(&secret, &received.body, &signature));
    let verify = async |payload: &str, signature: &str| {
        let path = format!("/api/v1/tenants/{}/webhook-secret/verify", owner.tenant);
        let answer = yard
            .post(&path, &owner, &json!({ "payload": payload, "signature": signature }))
            .await;
        assert_eq!(answer.status, 200);
        answer.json()["valid"].clone()
    };
    assert_eq!(verify(body, &signature).await, json!(true));
    assert_eq!(verify(&format!("{body} "), &signature).await, json!(false));
    assert_eq!(verify(body, &signature.to_uppercase()).await, json!(false));
    assert_eq!(verify(body, "nonsense").await, json!(false));

    receiver.script("/hook", [Reply::Status(500), Reply::Status(503), Reply::Status(200)]);
    let event = yard.ingest(&owner, &key, &destination, "{}").await.event_id();
    let waiting = yard.event_in(&owner, &event, "WaitingRetry").await;
    assert_eq!(waiting["currentRetryCount"], json!(1));
    assert!(waiting["nextAttemptAt"].is_string());
    let replay = format!("/api/v1/events/{event}/replay");
    assert_eq!(
        yard.post(&replay, &owner, &json!({})).await.status,
        400,
        "only what failed for good"
    );
    yard.host.advance(Duration::from_mins(3));
    let failed = yard.event_in(&owner, &event, "CriticalFailure").await;
    assert_eq!(failed["currentRetryCount"], json!(1), "one less than there were attempts");
    let attempts = yard.get(&format!("/api/v1/events/{event}/attempts"), &owner).await.json();
    let statuses: Vec<_> = attempts["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|attempt| attempt["responseStatus"].clone())
        .collect();
    assert_eq!(statuses, [json!(500), json!(503)]);
    let again = yard.post(&replay, &owner, &json!({})).await;
    assert_eq!(
        (again.status, again.json()["currentRetryCount"].clone()),
        (200, json!(0)),
        "{}",
        again.text()
    );
    yard.event_in(&owner, &event, "Succeeded").await;
}

async fn outbound_authentication_is_sent_along(kind: Kind) {
    let yard = Yard::on(kind).await;
    let receiver = Receiver::start().await;
    let owner = yard.tenant("acme").await;
    let key = yard.api_key(&owner).await;
    for (name, credentials, header, value) in [
        (
            "ApiKey",
            json!({ "headerName": "X-Their-Key", "value": "v 1" }),
            "x-their-key",
            "v 1",
        ),
        ("BearerToken", json!({ "token": "t" }), "authorization", "Bearer t"),
        // RFC 7617, section 2.
        (
            "BasicAuth",
            json!({ "username": "Aladdin", "password": "open sesame" }),
            "authorization",
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        ),
    ] {
        let path = format!("/{name}");
        let body = json!({ "url": receiver.url(&path), "authType": name, "credentials": credentials });
        let made = yard.post("/api/v1/destinations", &owner, &body).await;
        assert_eq!(
            (made.status, made.json()["authType"].clone()),
            (201, json!(name)),
            "{}",
            made.text()
        );
        assert!(!made.text().contains("credentials") && !made.text().contains("sesame"));
        let event = yard.ingest(&owner, &key, &made.json(), "{}").await.event_id();
        yard.event_in(&owner, &event, "Succeeded").await;
        assert_eq!(receiver.received_at(&path)[0].header(header), value, "{name}");
        let removed = json!({ "removeAuth": true });
        let changed = yard
            .patch(&format!("/api/v1/destinations/{}", id(&made.json())), &owner, &removed)
            .await;
        assert_eq!((changed.status, changed.json()["authType"].clone()), (200, json!(null)));
        let event = yard.ingest(&owner, &key, &made.json(), "{}").await.event_id();
        yard.event_in(&owner, &event, "Succeeded").await;
        assert_eq!(receiver.received_at(&path)[1].header(header), "", "{name}");
    }
}

async fn a_token_that_was_replaced_opens_nothing(kind: Kind) {
    let yard = Yard::on(kind).await;
    let receiver = Receiver::start().await;
    let owner = yard.tenant("acme").await;
    let key = yard.api_key(&owner).await;
    let destination = yard.destination(&owner, &receiver.url("/hook")).await;
    let sender = yard.sender(&owner, &destination).await;
    for (thing, path) in [(&destination, "destinations"), (&sender, "senders")] {
        assert_eq!(yard.ingest(&owner, &key, thing, "{}").await.status, 202);
        let path = format!("/api/v1/{path}/{}/ingest-token", id(thing));
        let fresh = yard.post(&path, &owner, &json!({})).await;
        assert_eq!(fresh.status, 200);
        assert_eq!(yard.ingest(&owner, &key, thing, "{}").await.status, 404, "at once");
        assert_eq!(yard.ingest(&owner, &key, &fresh.json(), "{}").await.status, 202);
    }
    let keys = yard.get("/api/v1/apikeys", &owner).await.json();
    let revoke = format!("/api/v1/apikeys/{}", id(&keys["items"][0]));
    assert_eq!(yard.delete(&revoke, &owner).await.status, 200);
    assert_eq!(yard.ingest(&owner, &key, &destination, "{}").await.status, 401, "at once");
}

async fn an_inactive_destination_takes_nothing_and_keeps_what_waits(kind: Kind) {
    let yard = Yard::on(kind).await;
    let receiver = Receiver::start().await;
    receiver.script("/hook", [Reply::Status(500), Reply::Status(200)]);
    let owner = yard.tenant("acme").await;
    let key = yard.api_key(&owner).await;
    let destination = yard.destination(&owner, &receiver.url("/hook")).await;
    let sender = yard.sender(&owner, &destination).await;
    let event = yard.ingest(&owner, &key, &sender, "{}").await.event_id();
    yard.event_in(&owner, &event, "WaitingRetry").await;
    let path = format!("/api/v1/destinations/{}", id(&destination));
    let off = yard.patch(&path, &owner, &json!({ "status": "inactive" })).await;
    assert_eq!((off.status, off.json()["status"].clone()), (200, json!("Inactive")));
    for thing in [&destination, &sender] {
        assert_eq!(yard.ingest(&owner, &key, thing, "{}").await.status, 422);
    }
    yard.host.advance(Duration::from_mins(3));
    assert_eq!(yard.patch(&path, &owner, &json!({ "status": "ACTIVE" })).await.status, 200);
    yard.event_in(&owner, &event, "Succeeded").await;
    assert_eq!(receiver.received_at("/hook").len(), 2);
    assert_eq!(yard.delete(&path, &owner).await.status, 204);
    for thing in [&destination, &sender] {
        let status = yard.ingest(&owner, &key, thing, "{}").await.status;
        assert!([404, 422].contains(&status), "{status}");
    }
}

async fn a_rotated_secret_signs_from_now_on(kind: Kind) {
    let yard = Yard::on(kind).await;
    let receiver = Receiver::start().await;
    let owner = yard.tenant("acme").await;
    let key = yard.api_key(&owner).await;
    let destination = yard.destination(&owner, &receiver.url("/hook")).await;
    let path = format!("/api/v1/tenants/{}/webhook-secret", owner.tenant);
    let old = yard.get(&path, &owner).await.json();
    let new = yard.post(&path, &owner, &json!({})).await.json();
    assert_ne!(old, new);
    assert_eq!(yard.get(&path, &owner).await.json(), new);
    let event = yard.ingest(&owner, &key, &destination, "{}").await.event_id();
    yard.event_in(&owner, &event, "Succeeded").await;
    let received = receiver.received_at("/hook").remove(0);
    let signature = received.header("x-hooksentry-signature");
    assert!(verify_body(text(&new["webhookSecret"]), &received.body, signature));
    assert!(!verify_body(text(&old["webhookSecret"]), &received.body, signature));
}

async fn nobody_registers_where_that_is_closed(kind: Kind) {
    let host = hookyard_tests::host::TestHost::builder(kind)
        .config(|config| config.registration = hookyard::config::Registration::Closed)
        .start()
        .await;
    let body = json!({ "name": "acme", "ownerEmail": "a@acme.example", "ownerPassword": crate::PASSWORD });
    let answer = host.client().call(http::Method::POST, "/api/v1/tenants", None, Some(&body)).await;
    assert_eq!(answer.status, 403);
}

async fn a_dashboard_of_the_configured_origin_may_call(kind: Kind) {
    let origin = "https://hooks.example.com";
    let host = hookyard_tests::host::TestHost::builder(kind)
        .config(move |config| config.dashboard_origin = Some(http::HeaderValue::from_static(origin)))
        .start()
        .await;
    let body = json!({ "name": "acme", "ownerEmail": "a@acme.example", "ownerPassword": crate::PASSWORD });
    let made = host.client().call(http::Method::POST, "/api/v1/tenants", None, Some(&body)).await;
    assert_eq!((made.status, made.header("access-control-allow-origin")), (201, origin));
    assert!(made.header("access-control-expose-headers").contains("location"));
    let asked = host.client().call(http::Method::OPTIONS, "/api/v1/destinations", None, None).await;
    assert_eq!((asked.status, asked.header("access-control-allow-origin")), (200, origin));
}

async fn a_bearer_token_is_fetched_for_each_attempt(kind: Kind) {
    let yard = Yard::on(kind).await;
    let receiver = Receiver::start().await;
    let token = |text: &str| Reply::Text(200, json!({ "access_token": text, "token_type": "Bearer" }).to_string());
    receiver.script("/token", [Reply::Status(500), token("one"), token(&"two".repeat(1_000))]);
    let owner = yard.tenant("acme").await;
    let key = yard.api_key(&owner).await;
    let destination = yard.destination(&owner, &receiver.url("/hook")).await;
    let token_endpoint = receiver.url("/token");
    // Over HTTP only an https endpoint is taken.
    let edge = yard.host.edge();
    let endpoint = id(&destination).parse().expect("an id");
    let edit = |fields: &mut hookyard::manage::EndpointFields| {
        fields.auth = Some(hookyard::configuration::OutboundAuth::JwtBearer {
            token_endpoint: token_endpoint.clone(),
            client_id: "client".to_owned(),
            client_secret: "its & secret".to_owned(),
            scope: Some("a b".to_owned()),
        });
    };
    let changed = edge.manage.update_endpoint(hookyard_domain::Scope::Operator, endpoint, edit).await;
    assert!(changed.is_ok());
    drop(edge);
    let event = yard.ingest(&owner, &key, &destination, "{}").await.event_id();
    let waiting = yard.event_in(&owner, &event, "WaitingRetry").await;
    assert_eq!(
        waiting["currentRetryCount"],
        json!(1),
        "a token that cannot be fetched is a failed attempt"
    );
    assert!(receiver.received_at("/hook").is_empty());
    let attempts = yard.get(&format!("/api/v1/events/{event}/attempts"), &owner).await.text();
    assert!(attempts.contains("token endpoint") && !attempts.contains("secret"), "{attempts}");
    yard.host.advance(Duration::from_mins(3));
    yard.event_in(&owner, &event, "Succeeded").await;
    let event = yard.ingest(&owner, &key, &destination, "{}").await.event_id();
    yard.event_in(&owner, &event, "Succeeded").await;
    let sent: Vec<_> = receiver
        .received_at("/hook")
        .iter()
        .map(|one| one.header("authorization").to_owned())
        .collect();
    assert_eq!(sent, ["Bearer one".to_owned(), format!("Bearer {}", "two".repeat(1_000))]);
    let asked = receiver.received_at("/token").remove(0);
    assert_eq!(
        asked.body,
        "grant_type=client_credentials&client_id=client&client_secret=its+%26+secret&scope=a+b"
    );
}

async fn a_destination_that_fails_for_a_day_is_suspended_until_somebody_acts(kind: Kind) {
    let yard = Yard::on(kind).await;
    let receiver = Receiver::start().await;
    receiver.script("/hook", [Reply::Status(500)]);
    let owner = yard.tenant("acme").await;
    let key = yard.api_key(&owner).await;
    let destination = yard.destination(&owner, &receiver.url("/hook")).await;
    let path = format!("/api/v1/destinations/{}", id(&destination));
    for _ in 0..5 {
        assert_eq!(yard.ingest(&owner, &key, &destination, "{}").await.status, 202);
    }
    receiver.wait_for(5).await;
    let mut shown = json!(null);
    for _ in 0..400 {
        shown = yard.get(&path, &owner).await.json();
        if shown["circuitBreakerState"] == "Open" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(
        (&shown["circuitBreakerState"], &shown["status"]),
        (&json!("Open"), &json!("Active")),
        "{shown}"
    );
    assert!(shown["circuitBreakerNextCheckAt"].is_string());
    assert_eq!(
        yard.ingest(&owner, &key, &destination, "{}").await.status,
        202,
        "what comes meanwhile waits"
    );
    let suspend = async || {
        let edge = yard.host.edge();
        assert!(edge.manage.suspend_endpoints().await.is_ok());
    };
    yard.host.advance(Duration::from_hours(23));
    suspend().await;
    let owner = yard.log_in(&owner.email).await;
    assert_eq!(yard.get(&path, &owner).await.json()["status"], json!("Active"));
    yard.host.advance(Duration::from_hours(2));
    suspend().await;
    let owner = yard.log_in(&owner.email).await;
    assert_eq!(yard.get(&path, &owner).await.json()["status"], json!("Suspended"));
    assert_eq!(yard.ingest(&owner, &key, &destination, "{}").await.status, 422);
    let active = yard.patch(&path, &owner, &json!({ "status": "active" })).await;
    assert_eq!((active.status, active.json()["status"].clone()), (200, json!("Active")));
    suspend().await;
    assert_eq!(
        yard.get(&path, &owner).await.json()["status"],
        json!("Active"),
        "it has another day"
    );
    assert_eq!(yard.ingest(&owner, &key, &destination, "{}").await.status, 202);
}

/// A purge takes out what waits in memory. An event that was accepted in the moment after the others were cancelled went with
/// them: leased to the node, in nobody's memory, and never delivered.
async fn what_is_withdrawn_from_memory_is_delivered_all_the_same(kind: Kind) {
    let yard = Yard::on(kind).await;
    let receiver = Receiver::start().await;
    receiver.script("/hook", [Reply::After(Duration::from_millis(500), Box::new(Reply::Status(200)))]);
    let owner = yard.tenant("acme").await;
    let key = yard.api_key(&owner).await;
    let body = json!({ "url": receiver.url("/hook"), "serverRateLimit": 1 });
    let destination = yard.post("/api/v1/destinations", &owner, &body).await.json();
    let mut events = Vec::new();
    for _ in 0..3 {
        events.push(yard.ingest(&owner, &key, &destination, "{}").await.event_id());
    }
    // One is under way, two wait in memory.
    receiver.wait_for(1).await;
    let edge = yard.host.edge();
    edge.deliveries.withdraw(id(&destination).parse().expect("an id"));
    drop(edge);
    for event in events {
        yard.event_in(&owner, &event, "Succeeded").await;
    }
    assert_eq!(receiver.received_at("/hook").len(), 3);
}
