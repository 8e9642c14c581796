//! What is refused of a body, a query or a path, and what is taken, field by field (docs/contracts/hooksentry.md, sections 5 to 13). That each
//! code comes at all is held by `matrix`; who may do what by `roles` and `isolation`.

use hookyard_tests::{database::Kind, on_both_databases, receiver::Receiver};
use http::Method;
use serde_json::{Value, json};

use crate::{PASSWORD, Yard, id};

on_both_databases!(each_route_answers_with_its_codes, bodies_that_are_not_json_are_refused_everywhere);

async fn each_route_answers_with_its_codes(kind: Kind) {
    let yard = Yard::on(kind).await;
    let receiver = Receiver::start().await;
    let owner = yard.tenant("acme").await;
    yard.tenant("taken").await;
    let destination = yard.destination(&owner, &receiver.url("/hook")).await;
    let sender = yard.sender(&owner, &destination).await;
    let (tenant, d, s) = (owner.tenant.as_str(), id(&destination), id(&sender));
    let keys = yard.api_key(&owner).await;
    assert!(keys.starts_with("hsk_") && keys.len() == 47, "{keys}");
    let long = "x".repeat(256);
    let t = format!("/api/v1/tenants/{tenant}");
    let destinations = "/api/v1/destinations".to_owned();
    let at = |path: &str| path.to_owned();
    let url = receiver.url("/other");
    let auth = |kind: &str, credentials: Value| json!({ "url": url, "authType": kind, "credentials": credentials });
    let lines: Vec<(Method, String, Value, u16)> = vec![
        // Tenants.
        (Method::PATCH, t.clone(), json!({ "name": "acme" }), 200),
        (
            Method::PATCH,
            t.clone(),
            json!({ "name": "Renamed", "maxTrys": 7, "circuitBreakerTimer": 60 }),
            200,
        ),
        (Method::PATCH, t.clone(), json!({ "name": "taken" }), 409),
        (Method::PATCH, t.clone(), json!({ "name": "  " }), 400),
        (Method::PATCH, t.clone(), json!({ "maxTrys": 0 }), 400),
        (Method::PATCH, t.clone(), json!({ "maxTrys": -1 }), 400),
        (Method::PATCH, t.clone(), json!({ "maxTrys": "7" }), 400),
        (Method::PATCH, t.clone(), json!({ "circuitBreakerTimer": 0 }), 400),
        (Method::PATCH, t.clone(), json!([]), 400),
        (Method::POST, format!("{t}/webhook-secret/verify"), json!({ "payload": "x" }), 400),
        (Method::GET, at("/api/v1/tenants/not-a-uuid"), Value::Null, 404),
        // 7.0 is 7 in JSON, and some clients write it so; found by asking whatever the document allows.
        (Method::PATCH, t.clone(), json!({ "maxTrys": 7.0, "circuitBreakerTimer": 6e1 }), 200),
        (Method::PATCH, t.clone(), json!({ "maxTrys": 7.5 }), 400),
        (Method::PATCH, t.clone(), json!({ "maxTrys": 1e300 }), 400),
        // Users.
        (
            Method::POST,
            at("/api/v1/users"),
            json!({ "email": "new@acme.example", "password": PASSWORD, "role": 20 }),
            201,
        ),
        (
            Method::POST,
            at("/api/v1/users"),
            json!({ "email": "new@acme.example", "password": PASSWORD }),
            409,
        ),
        (
            Method::POST,
            at("/api/v1/users"),
            json!({ "email": "no at", "password": PASSWORD }),
            400,
        ),
        (Method::POST, at("/api/v1/users"), json!({ "password": PASSWORD }), 400),
        (Method::POST, at("/api/v1/users"), json!({ "email": "e@acme.example" }), 400),
        (
            Method::POST,
            at("/api/v1/users"),
            json!({ "email": "e@acme.example", "password": PASSWORD, "role": "King" }),
            400,
        ),
        (
            Method::PATCH,
            format!("/api/v1/users/{}", owner.user),
            json!({ "email": "new@acme.example" }),
            409,
        ),
        (
            Method::PATCH,
            format!("/api/v1/users/{}", owner.user),
            json!({ "status": "Asleep" }),
            400,
        ),
        (Method::GET, at("/api/v1/users?CpOrd=passwordHash"), Value::Null, 400),
        (Method::GET, at("/api/v1/users?Status=2"), Value::Null, 400),
        (Method::GET, at("/api/v1/users?Role=3"), Value::Null, 400),
        // Invites.
        (Method::POST, at("/api/v1/invites"), json!({ "validityDays": 0 }), 400),
        (Method::POST, at("/api/v1/invites"), json!({ "validityDays": 31 }), 400),
        (Method::POST, at("/api/v1/invites"), json!({ "role": "King" }), 400),
        (Method::GET, at("/api/v1/invites?Status=5"), Value::Null, 400),
        // API keys.
        (Method::POST, at("/api/v1/apikeys"), json!({}), 400),
        (Method::POST, at("/api/v1/apikeys"), json!({ "name": " " }), 400),
        (Method::POST, at("/api/v1/apikeys"), json!({ "name": "x".repeat(101) }), 400),
        (Method::POST, at("/api/v1/apikeys"), json!({ "name": "a\nb" }), 400),
        (Method::POST, at("/api/v1/apikeys"), json!({ "name": "Production" }), 201),
        (Method::GET, at("/api/v1/apikeys?IsActive=maybe"), Value::Null, 400),
        // Destinations.
        (Method::POST, destinations.clone(), json!({}), 400),
        (Method::POST, destinations.clone(), json!({ "url": "ftp://example.com" }), 400),
        (Method::POST, destinations.clone(), json!({ "url": "/relative" }), 400),
        (Method::POST, destinations.clone(), json!({ "url": url, "serverRateLimit": 0 }), 400),
        (Method::POST, destinations.clone(), json!({ "url": url, "authType": "ApiKey" }), 400),
        (Method::POST, destinations.clone(), json!({ "url": url, "credentials": {} }), 400),
        (Method::POST, destinations.clone(), auth("Kerberos", json!({})), 400),
        (
            Method::POST,
            destinations.clone(),
            auth("apikey", json!({ "headerName": "X-Key", "value": "v" })),
            201,
        ),
        (
            Method::POST,
            destinations.clone(),
            auth("BasicAuth", json!({ "username": "a:b", "password": "p" })),
            400,
        ),
        (
            Method::POST,
            destinations.clone(),
            json!({ "url": url, "metadata": { "team": "a" }, "events": ["order.*"] }),
            201,
        ),
        (Method::POST, destinations.clone(), json!({ "url": url, "events": ["a b"] }), 400),
        (
            Method::PATCH,
            format!("/api/v1/destinations/{d}"),
            json!({ "status": "suspended" }),
            400,
        ),
        (Method::PATCH, format!("/api/v1/destinations/{d}"), json!({ "url": "x" }), 400),
        (
            Method::PATCH,
            format!("/api/v1/destinations/{d}"),
            json!({ "serverRateLimit": 1_025 }),
            400,
        ),
        (
            Method::PATCH,
            format!("/api/v1/destinations/{d}"),
            json!({ "authType": "BearerToken", "credentials": { "token": "t" } }),
            200,
        ),
        (
            Method::PATCH,
            format!("/api/v1/destinations/{d}"),
            json!({ "removeAuth": true }),
            200,
        ),
        (Method::GET, at("/api/v1/destinations?CpOrd=secret"), Value::Null, 400),
        // Senders and mappings.
        (
            Method::POST,
            format!("/api/v1/destinations/{d}/senders"),
            json!({ "label": long }),
            400,
        ),
        (Method::GET, format!("/api/v1/destinations/{d}/senders?Qt=0"), Value::Null, 400),
        (Method::PATCH, format!("/api/v1/senders/{s}"), json!({ "label": "a\u{7}b" }), 400),
        (Method::GET, format!("/api/v1/senders/{s}/mapping"), Value::Null, 404),
        (Method::DELETE, format!("/api/v1/senders/{s}/mapping"), Value::Null, 204),
        (Method::POST, format!("/api/v1/senders/{s}/mapping"), json!([]), 400),
        (Method::POST, format!("/api/v1/senders/{s}/mapping"), json!({ "a": 5 }), 400),
        (Method::POST, format!("/api/v1/senders/{s}/mapping"), json!({ "a": "b[" }), 400),
        (
            Method::POST,
            format!("/api/v1/senders/{s}/mapping/preview"),
            json!({ "payload": {} }),
            404,
        ),
        (
            Method::POST,
            format!("/api/v1/senders/{s}/mapping/preview"),
            json!({ "mapping": {} }),
            400,
        ),
        // Events and queues.
        (Method::GET, at("/api/v1/events?Status=Lost"), Value::Null, 400),
        (Method::GET, at("/api/v1/events?CpOrd=payload"), Value::Null, 400),
        (Method::GET, at("/api/v1/events?From=yesterday"), Value::Null, 400),
        (Method::GET, at("/api/v1/events?DestinationUrlId=5"), Value::Null, 400),
        (Method::GET, at("/api/v1/events?Pg=4000000000"), Value::Null, 400),
        (Method::PUT, at("/api/v1/events"), Value::Null, 405),
    ];
    for (method, path, body, status) in &lines {
        let body = (!body.is_null()).then_some(body);
        let answer = yard.call(method.clone(), path, Some(&owner.access), body).await;
        assert_eq!(answer.status, *status, "{method} {path} {body:?}: {}", answer.text());
        if *status == 400 || *status == 409 {
            assert!(answer.json().is_string(), "{method} {path}: a refusal says why in a JSON string");
        }
    }
    let keys = yard.get("/api/v1/apikeys?CpOrd=createdAt&TpOrd=Asc", &owner).await.json();
    let first = &keys["items"][0];
    let revoke = format!("/api/v1/apikeys/{}", id(first));
    let revoked = yard.delete(&revoke, &owner).await;
    assert_eq!((revoked.status, &revoked.json()["isActive"]), (200, &json!(false)));
    assert!(revoked.json()["revokedAt"].is_string());
    assert_eq!(yard.delete(&revoke, &owner).await.status, 404, "revoked already");
    let inactive = yard.get("/api/v1/apikeys?IsActive=false", &owner).await.json();
    assert_eq!((&inactive["total"], id(&inactive["items"][0])), (&json!(1), id(first)));
    assert_eq!(yard.delete(&format!("/api/v1/senders/{s}"), &owner).await.status, 204);
    assert_eq!(yard.get(&format!("/api/v1/senders/{s}"), &owner).await.status, 404);
    assert_eq!(yard.delete(&format!("/api/v1/destinations/{d}"), &owner).await.status, 204);
    assert_eq!(yard.get(&format!("/api/v1/destinations/{d}"), &owner).await.status, 404);
}

async fn bodies_that_are_not_json_are_refused_everywhere(kind: Kind) {
    let yard = Yard::on(kind).await;
    let owner = yard.tenant("acme").await;
    let client = yard.host.client();
    for path in [
        "/api/v1/auth/login",
        "/api/v1/auth/refresh",
        "/api/v1/auth/logout",
        "/api/v1/tenants",
        "/api/v1/users",
        "/api/v1/invites",
        "/api/v1/apikeys",
        "/api/v1/destinations",
    ] {
        let post = |body: &'static str, content_type: &str| {
            client
                .post_to(&format!("{}{path}", client.base()), body)
                .header("authorization", &format!("Bearer {}", owner.access))
                .header("content-type", content_type)
                .send()
        };
        for body in ["", "{", "null", "5", "\"text\""] {
            let answer = post(body, "application/json").await;
            assert_eq!(answer.status, 400, "{path} {body:?}: {}", answer.text());
        }
        assert_eq!(post("{}", "text/plain").await.status, 415, "{path}");
    }
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(300 * 1024));
    let url = format!("{}/api/v1/tenants", client.base());
    assert_eq!(client.post_to(&url, large).send().await.status, 413);
}
