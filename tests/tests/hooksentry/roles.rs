//! Role by route: what each may do (docs/contracts/hooksentry.md, section 3.6, with its holes closed).

use hookyard_tests::{database::Kind, on_both_databases, receiver::Receiver};
use http::Method;
use serde_json::{Value, json};

use crate::{Account, PASSWORD, Yard, id};

on_both_databases!(each_role_does_what_it_may_and_no_more, nobody_gives_a_role_above_their_own);

async fn each_role_does_what_it_may_and_no_more(kind: Kind) {
    let yard = Yard::on(kind).await;
    let receiver = Receiver::start().await;
    let owner = yard.tenant("acme").await;
    let destination = yard.destination(&owner, &receiver.url("/hook")).await;
    let sender = yard.sender(&owner, &destination).await;
    let key = yard.api_key(&owner).await;
    let accepted = yard.ingest(&owner, &key, &destination, "{}").await;
    let event = accepted.event_id();
    yard.event_in(&owner, &event, "Succeeded").await;
    let spare = yard.destination(&owner, &receiver.url("/spare")).await;
    let (tenant, d, s) = (owner.tenant.as_str(), id(&destination), id(&sender));
    // Method, path, body, what a role gets that may, and the lowest role that may: 0 viewer, 1 developer, 2 admin.
    let lines: Vec<(Method, String, Option<Value>, u16, u8)> = vec![
        (Method::GET, format!("/api/v1/tenants/{tenant}"), None, 200, 0),
        (Method::PATCH, format!("/api/v1/tenants/{tenant}"), Some(json!({})), 200, 2),
        (Method::GET, format!("/api/v1/tenants/{tenant}/webhook-secret"), None, 200, 0),
        (Method::POST, format!("/api/v1/tenants/{tenant}/webhook-secret"), None, 200, 1),
        (
            Method::POST,
            format!("/api/v1/tenants/{tenant}/webhook-secret/verify"),
            Some(json!({ "payload": "", "signature": "" })),
            200,
            0,
        ),
        (Method::GET, "/api/v1/users".to_owned(), None, 200, 0),
        (Method::GET, "/api/v1/invites".to_owned(), None, 200, 2),
        (Method::POST, "/api/v1/invites".to_owned(), Some(json!({})), 201, 2),
        (Method::GET, "/api/v1/apikeys".to_owned(), None, 200, 0),
        (Method::POST, "/api/v1/apikeys".to_owned(), Some(json!({ "name": "k" })), 201, 1),
        (Method::GET, "/api/v1/destinations".to_owned(), None, 200, 0),
        (
            Method::POST,
            "/api/v1/destinations".to_owned(),
            Some(json!({ "url": receiver.url("/more") })),
            201,
            1,
        ),
        (Method::GET, format!("/api/v1/destinations/{d}"), None, 200, 0),
        (Method::PATCH, format!("/api/v1/destinations/{d}"), Some(json!({})), 200, 1),
        (
            Method::POST,
            format!("/api/v1/destinations/{}/ingest-token", id(&spare)),
            None,
            200,
            1,
        ),
        (Method::GET, format!("/api/v1/destinations/{d}/senders"), None, 200, 0),
        (Method::POST, format!("/api/v1/destinations/{d}/senders"), Some(json!({})), 201, 1),
        (Method::GET, format!("/api/v1/senders/{s}"), None, 200, 0),
        (Method::PATCH, format!("/api/v1/senders/{s}"), Some(json!({ "label": "x" })), 200, 1),
        (Method::POST, format!("/api/v1/senders/{s}/ingest-token"), None, 200, 1),
        (
            Method::POST,
            format!("/api/v1/senders/{s}/mapping"),
            Some(json!({ "a": "b" })),
            200,
            1,
        ),
        (Method::GET, format!("/api/v1/senders/{s}/mapping"), None, 200, 0),
        (
            Method::POST,
            format!("/api/v1/senders/{s}/mapping/preview"),
            Some(json!({ "payload": { "b": 1 }, "mapping": { "a": "b" } })),
            200,
            0,
        ),
        (Method::DELETE, format!("/api/v1/senders/{s}/mapping"), None, 204, 1),
        (Method::GET, "/api/v1/events".to_owned(), None, 200, 0),
        (Method::GET, format!("/api/v1/events/{event}"), None, 200, 0),
        (Method::GET, format!("/api/v1/events/{event}/attempts"), None, 200, 0),
        (Method::POST, format!("/api/v1/events/{event}/replay"), None, 400, 1),
        (Method::DELETE, format!("/api/v1/queues/{d}"), None, 204, 2),
    ];
    let people: [(u8, Account); 4] = [
        (0, yard.colleague(&owner, "Viewer").await),
        (1, yard.colleague(&owner, "Developer").await),
        (2, yard.colleague(&owner, "Admin").await),
        (3, owner.clone()),
    ];
    for (method, path, body, status, lowest) in &lines {
        // The mapping is there for whoever reads it, whoever deleted it before.
        let mapping = format!("/api/v1/senders/{s}/mapping");
        for (rank, person) in &people {
            assert_eq!(yard.post(&mapping, &owner, &json!({ "a": "b" })).await.status, 200);
            let answer = yard.call(method.clone(), path, Some(&person.access), body.as_ref()).await;
            let expected = if rank >= lowest { *status } else { 403 };
            assert_eq!(answer.status, expected, "{method} {path} as {}: {}", person.email, answer.text());
        }
        let stranger = yard.call(method.clone(), path, None, body.as_ref()).await;
        assert_eq!((stranger.status, stranger.body.len()), (401, 0), "{method} {path} without a token");
    }
}

async fn nobody_gives_a_role_above_their_own(kind: Kind) {
    let yard = Yard::on(kind).await;
    let owner = yard.tenant("acme").await;
    let viewer = yard.colleague(&owner, "Viewer").await;
    let developer = yard.colleague(&owner, "Developer").await;
    let admin = yard.colleague(&owner, "Admin").await;
    let mut number = 0;
    for (person, role, status) in [
        (&viewer, "Viewer", 403),
        (&developer, "Developer", 201),
        (&developer, "Viewer", 201),
        (&developer, "Admin", 403),
        (&developer, "Owner", 403),
        (&admin, "Admin", 403),
        (&admin, "Developer", 201),
        (&admin, "Owner", 403),
        (&owner, "Owner", 201),
    ] {
        number += 1;
        let body = json!({ "email": format!("n{number}@acme.example"), "password": PASSWORD, "role": role });
        let answer = yard.post("/api/v1/users", person, &body).await;
        assert_eq!(answer.status, status, "{} makes {role}: {}", person.email, answer.text());
    }
    let of = |account: &Account| format!("/api/v1/users/{}", account.user);
    for (person, whom, body, status) in [
        (&developer, &developer, json!({ "role": "Owner" }), 403),
        (&developer, &viewer, json!({ "email": "x@acme.example" }), 403),
        (&developer, &developer, json!({ "email": "dev2@acme.example" }), 200),
        (&admin, &owner, json!({ "password": "taken over" }), 403),
        (&admin, &admin, json!({ "role": "Owner" }), 403),
        (&admin, &viewer, json!({ "role": "Developer" }), 200),
        (&admin, &admin, json!({ "password": PASSWORD }), 200),
        (&owner, &admin, json!({ "role": 10 }), 200),
    ] {
        let answer = yard.patch(&of(whom), person, &body).await;
        assert_eq!(
            answer.status,
            status,
            "{} changes {}: {body} {}",
            person.email,
            whom.email,
            answer.text()
        );
    }
    let invite = json!({ "role": "Admin" });
    let second = json!({ "email": "admin2@acme.example", "password": PASSWORD, "role": "admin" });
    assert_eq!(yard.post("/api/v1/users", &owner, &second).await.status, 201);
    let admin = yard.log_in("admin2@acme.example").await;
    assert_eq!(
        yard.post("/api/v1/invites", &admin, &invite).await.status,
        403,
        "only an owner makes admins"
    );
    assert_eq!(yard.post("/api/v1/invites", &owner, &json!({ "role": "Owner" })).await.status, 400);
}
