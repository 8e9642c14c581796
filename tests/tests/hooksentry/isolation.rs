//! What another tenant's token gets: 403 for what is there, 404 for what is not (docs/contracts/hooksentry.md, section 15.2), and nothing of it.

use hookyard_tests::{
    database::Kind,
    on_both_databases,
    receiver::Receiver,
    server,
    setup::{SetupFile, Tenant},
};
use http::Method;
use serde_json::{Value, json};

use crate::{Yard, id};

on_both_databases!(
    another_tenants_things_can_be_neither_read_nor_changed,
    lists_show_a_tenants_own_things_alone,
    a_set_up_file_does_not_write_into_a_tenant_that_registered_itself,
    an_unknown_tenant_and_a_path_that_is_not_text_are_not_found,
);

async fn another_tenants_things_can_be_neither_read_nor_changed(kind: Kind) {
    let yard = Yard::on(kind).await;
    let receiver = Receiver::start().await;
    let (owner, stranger) = (yard.tenant("acme").await, yard.tenant("beta").await);
    let destination = yard.destination(&owner, &receiver.url("/hook")).await;
    let sender = yard.sender(&owner, &destination).await;
    let key = yard.api_key(&owner).await;
    let event = yard.ingest(&owner, &key, &destination, "{\"secret\":1}").await.event_id();
    let keys = yard.get("/api/v1/apikeys", &owner).await.json();
    let mapping = format!("/api/v1/senders/{}/mapping", id(&sender));
    assert_eq!(yard.post(&mapping, &owner, &json!({ "a": "b" })).await.status, 200);
    let before = yard.get(&format!("/api/v1/destinations/{}", id(&destination)), &owner).await.json();
    let (t, d, s) = (format!("/api/v1/tenants/{}", owner.tenant), id(&destination), id(&sender));
    let some = || Some(json!({}));
    let lines: Vec<(Method, String, Option<Value>)> = vec![
        (Method::GET, t.clone(), None),
        (Method::PATCH, t.clone(), Some(json!({ "name": "mine" }))),
        (Method::GET, format!("{t}/webhook-secret"), None),
        (Method::POST, format!("{t}/webhook-secret"), None),
        (
            Method::POST,
            format!("{t}/webhook-secret/verify"),
            Some(json!({ "payload": "", "signature": "" })),
        ),
        (Method::GET, format!("/api/v1/users/{}", owner.user), None),
        (
            Method::PATCH,
            format!("/api/v1/users/{}", owner.user),
            Some(json!({ "password": "mine" })),
        ),
        (Method::DELETE, format!("/api/v1/users/{}", owner.user), None),
        (Method::DELETE, format!("/api/v1/apikeys/{}", id(&keys["items"][0])), None),
        (Method::GET, format!("/api/v1/destinations/{d}"), None),
        (
            Method::PATCH,
            format!("/api/v1/destinations/{d}"),
            Some(json!({ "status": "inactive" })),
        ),
        (Method::DELETE, format!("/api/v1/destinations/{d}"), None),
        (Method::POST, format!("/api/v1/destinations/{d}/ingest-token"), None),
        (Method::GET, format!("/api/v1/destinations/{d}/senders"), None),
        (Method::POST, format!("/api/v1/destinations/{d}/senders"), some()),
        (Method::GET, format!("/api/v1/senders/{s}"), None),
        (Method::PATCH, format!("/api/v1/senders/{s}"), some()),
        (Method::DELETE, format!("/api/v1/senders/{s}"), None),
        (Method::POST, format!("/api/v1/senders/{s}/ingest-token"), None),
        (Method::GET, mapping.clone(), None),
        (Method::POST, mapping.clone(), some()),
        (Method::DELETE, mapping.clone(), None),
        (Method::POST, format!("{mapping}/preview"), Some(json!({ "payload": {} }))),
        (Method::GET, format!("/api/v1/events/{event}"), None),
        (Method::GET, format!("/api/v1/events/{event}/attempts"), None),
        (Method::POST, format!("/api/v1/events/{event}/replay"), None),
        (Method::DELETE, format!("/api/v1/queues/{d}"), None),
    ];
    for (method, path, body) in &lines {
        let answer = yard.call(method.clone(), path, Some(&stranger.access), body.as_ref()).await;
        assert_eq!(answer.status, 403, "{method} {path}: {}", answer.text());
        for secret in ["secret", "acme", &receiver.url("/hook")] {
            assert!(!answer.text().contains(secret), "{method} {path}: {}", answer.text());
        }
    }
    let after = yard.get(&format!("/api/v1/destinations/{d}"), &owner).await.json();
    assert_eq!(before, after);
    assert_eq!(yard.get(&mapping, &owner).await.json(), json!({ "mapping": { "a": "b" } }));
    yard.event_in(&owner, &event, "Succeeded").await;
    // The tokens of one tenant open nothing with another's key.
    let other_key = yard.api_key(&stranger).await;
    assert_eq!(yard.ingest(&owner, &other_key, &destination, "{}").await.status, 403);
    assert_eq!(yard.ingest(&stranger, &other_key, &destination, "{}").await.status, 403);
    // An API key opens no management route, and an access token no ingest.
    let by_key = yard.call(Method::GET, "/api/v1/users", Some(&key), None).await;
    assert_eq!(by_key.status, 401);
    assert_eq!(yard.ingest(&owner, &owner.access, &destination, "{}").await.status, 401);
}

async fn lists_show_a_tenants_own_things_alone(kind: Kind) {
    let yard = Yard::on(kind).await;
    let receiver = Receiver::start().await;
    let (owner, stranger) = (yard.tenant("acme").await, yard.tenant("beta").await);
    let destination = yard.destination(&owner, &receiver.url("/hook")).await;
    yard.sender(&owner, &destination).await;
    let key = yard.api_key(&owner).await;
    assert_eq!(yard.ingest(&owner, &key, &destination, "{}").await.status, 202);
    assert_eq!(yard.post("/api/v1/invites", &owner, &json!({})).await.status, 201);
    for list in ["users", "invites", "apikeys", "destinations", "events"] {
        let path = format!("/api/v1/{list}");
        let own = yard.get(&path, &owner).await.json();
        assert_eq!(own["total"], json!(1), "{list}: {own}");
        let theirs = yard.get(&path, &stranger).await.json();
        let expected = u32::from(list == "users");
        assert_eq!(theirs["total"], json!(expected), "{list}: {theirs}");
    }
}

/// Whoever registered the operator's next tenant name would have owned what the operator then put there.
async fn a_set_up_file_does_not_write_into_a_tenant_that_registered_itself(kind: Kind) {
    let yard = Yard::on(kind).await;
    yard.tenant("acme").await;
    let setup = SetupFile::new().tenant(Tenant::named("acme"));
    let path = setup.write_into(&yard.host.database().folder().join("setup"));
    let output = server::run(yard.host.database(), &["apply", "--file", &path.to_string_lossy()]).await;
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("registered over HTTP"), "{told}");
}

async fn an_unknown_tenant_and_a_path_that_is_not_text_are_not_found(kind: Kind) {
    let yard = Yard::on(kind).await;
    let owner = yard.tenant("acme").await;
    let key = yard.api_key(&owner).await;
    let client = yard.host.client();
    let unknown = format!("{}/api/v1/ingest/00000000-0000-7000-8000-000000000000/dst_x", client.base());
    let answer = client.post_to(&unknown, "{}").header("x-api-key", &key).send().await;
    assert_eq!(answer.status, 404, "{}", answer.text());
    for path in [
        "/api/v1/ingest/%ff/dst_x",
        "/api/v1/ingest/00000000-0000-7000-8000-000000000000/%ff",
    ] {
        let url = format!("{}{path}", client.base());
        let answer = client.post_to(&url, "{}").header("x-api-key", &key).send().await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (404, "*"), "{path}");
    }
    assert_eq!(yard.get("/api/v1/events/%ff", &owner).await.status, 404);
    let healthy = yard.call(Method::GET, "/health", None, None).await;
    assert_eq!((healthy.status, healthy.json()["status"].clone()), (200, json!("healthy")));
    for body in [json!(["acme", "a@b.example", "password"]), json!("text"), json!(null)] {
        let answer = yard.call(Method::POST, "/api/v1/tenants", None, Some(&body)).await;
        assert_eq!(answer.status, 400, "{body}");
    }
}
