//! What another tenant learns, and whoever may only read.

use super::*;

on_both_databases!(another_tenants_things_look_absent,);

async fn another_tenants_things_look_absent(kind: Kind) {
    let receiver = Receiver::start().await;
    receiver.script("/gone", [Reply::Status(404)]);
    let mut host = TestHost::builder(kind).setup(acme(&receiver)).start().await;
    let operator = Caller::operator(&host).await;
    let stranger = Caller::of(&host, &["--tenant", "other", "--rights", "write"]).await;
    let posted = host.client().post(&endpoint_token("acme", "gone"), "1").send().await;
    let event = posted.event_id();
    let delivery = until("the delivery has ended", async || {
        let list = is(&operator.get("/api/v1/deliveries?tenant=acme&state=rejected").await, 200);
        list["items"].get(0).map(|item| text(&item["id"]))
    })
    .await;
    let first = async |path: &str| text(&is(&operator.get(path).await, 200)["items"][0]["id"]);
    let tenant = host.tenant("acme").to_string();
    let endpoint = first("/api/v1/endpoints?tenant=acme").await;
    let sender = first("/api/v1/senders?tenant=acme").await;
    let environment = first("/api/v1/environments?tenant=acme").await;
    let credential = first("/api/v1/credentials?tenant=acme&kind=api-key").await;
    let user = json!({ "tenant": "acme", "email": "a@b.example", "password": "correct horse", "role": "owner" });
    let user = text(&is(&operator.post("/api/v1/users", &user).await, 201)["id"]);
    let own = text(&is(&operator.get("/api/v1/credentials").await, 200)["items"][1]["id"]);
    let (get, post, patch, delete) = (Method::GET, Method::POST, Method::PATCH, Method::DELETE);
    let routes: Vec<(Method, String, Option<Value>)> = vec![
        (get.clone(), format!("/api/v1/tenants/{tenant}"), None),
        (
            patch.clone(),
            format!("/api/v1/tenants/{tenant}"),
            Some(json!({ "attempts_max": 9 })),
        ),
        (get.clone(), format!("/api/v1/environments/{environment}"), None),
        (get.clone(), format!("/api/v1/environments?tenant={tenant}"), None),
        (
            post.clone(),
            "/api/v1/environments".to_owned(),
            Some(json!({ "tenant": "acme", "slug": "mine" })),
        ),
        (
            patch.clone(),
            format!("/api/v1/environments/{environment}"),
            Some(json!({ "name": "mine" })),
        ),
        (delete.clone(), format!("/api/v1/environments/{environment}"), None),
        (get.clone(), format!("/api/v1/endpoints/{endpoint}"), None),
        (get.clone(), format!("/api/v1/endpoints/{endpoint}/secret"), None),
        (get.clone(), "/api/v1/endpoints?tenant=acme".to_owned(), None),
        (post.clone(), format!("/api/v1/endpoints/{endpoint}/secret"), Some(json!({}))),
        (post.clone(), format!("/api/v1/endpoints/{endpoint}/token"), Some(json!({}))),
        (
            post.clone(),
            "/api/v1/endpoints".to_owned(),
            Some(json!({ "tenant": "acme", "url": "https://example.com" })),
        ),
        (
            patch.clone(),
            format!("/api/v1/endpoints/{endpoint}"),
            Some(json!({ "url": "https://example.com" })),
        ),
        (delete.clone(), format!("/api/v1/endpoints/{endpoint}"), None),
        (get.clone(), format!("/api/v1/senders/{sender}"), None),
        (get.clone(), "/api/v1/senders?tenant=acme".to_owned(), None),
        (post.clone(), format!("/api/v1/senders/{sender}/token"), Some(json!({}))),
        (post.clone(), "/api/v1/senders".to_owned(), Some(json!({ "tenant": tenant }))),
        (patch.clone(), format!("/api/v1/senders/{sender}"), Some(json!({ "active": false }))),
        (delete.clone(), format!("/api/v1/senders/{sender}"), None),
        (get.clone(), format!("/api/v1/credentials/{credential}"), None),
        (get.clone(), format!("/api/v1/credentials/{own}"), None),
        (get.clone(), "/api/v1/credentials?tenant=acme".to_owned(), None),
        (
            patch.clone(),
            format!("/api/v1/credentials/{credential}"),
            Some(json!({ "disabled": true })),
        ),
        (delete.clone(), format!("/api/v1/credentials/{credential}"), None),
        (get.clone(), format!("/api/v1/users/{user}"), None),
        (get.clone(), "/api/v1/users?tenant=acme".to_owned(), None),
        (
            patch.clone(),
            format!("/api/v1/users/{user}"),
            Some(json!({ "password": "mine now" })),
        ),
        (delete, format!("/api/v1/users/{user}"), None),
        (get.clone(), format!("/api/v1/events/{event}"), None),
        (get.clone(), format!("/api/v1/events/{event}/payload"), None),
        (get.clone(), format!("/api/v1/events/{event}/deliveries"), None),
        (get.clone(), "/api/v1/events?tenant=acme".to_owned(), None),
        (post.clone(), format!("/api/v1/events/{event}/replay"), Some(json!({}))),
        (get.clone(), format!("/api/v1/deliveries/{delivery}"), None),
        (get.clone(), format!("/api/v1/deliveries/{delivery}/attempts"), None),
        (get.clone(), format!("/api/v1/deliveries?endpoint={endpoint}"), None),
        (post.clone(), format!("/api/v1/deliveries/{delivery}/replay"), Some(json!({}))),
        (get, "/api/v1/status?tenant=acme".to_owned(), None),
    ];
    let reader = Caller::of(&host, &["--tenant", "acme"]).await;
    for (method, path, body) in &routes {
        let answer = stranger.call(method.clone(), path, body.as_ref()).await;
        assert_eq!(answer.status, 404, "{method} {path}: {}", answer.text());
        // Whoever may only read its own tenant changes nothing and sees no secret.
        let operators = path.ends_with(&own);
        let answer = reader.call(method.clone(), path, body.as_ref()).await;
        let expected = match *method {
            Method::GET if operators => 404,
            Method::GET if path.ends_with("/secret") => 403,
            Method::GET => 200,
            _ => 403,
        };
        assert_eq!(answer.status, expected, "{method} {path} by a reader: {}", answer.text());
    }
    for (path, body) in [
        (
            "/api/v1/endpoints",
            json!({ "url": "https://example.com", "environment": environment }),
        ),
        ("/api/v1/senders", json!({ "environment": environment })),
        ("/api/v1/senders", json!({ "endpoint": endpoint })),
    ] {
        let answer = stranger.post(path, &body).await;
        assert!([404, 422].contains(&answer.status), "{path} {body}: {}", answer.text());
    }
    is(&stranger.post("/api/v1/setup", &json!({ "text": "" })).await, 403);
    // Contents of plugins are nobody's, so which of them are refused is the operator's to see.
    let refused = format!("/api/v1/modules/refused/{}", "0".repeat(64));
    is(&stranger.get("/api/v1/modules/refused").await, 403);
    is(&stranger.call(Method::DELETE, &refused, None).await, 403);
    is(&operator.get("/api/v1/modules/refused").await, 200);
    is(&operator.call(Method::DELETE, &refused, None).await, 404);
    is(&operator.call(Method::DELETE, "/api/v1/modules/refused/x", None).await, 404);
    // Nothing of all that was done.
    is(&operator.get(&format!("/api/v1/endpoints/{endpoint}")).await, 200);
    assert_eq!(is(&stranger.get("/api/v1/events").await, 200)["items"], json!([]));
    assert_eq!(is(&stranger.get("/api/v1/deliveries").await, 200)["items"], json!([]));
    assert_eq!(is(&stranger.get("/api/v1/status").await, 200)["deliveries"], json!([]));
    host.stop().await;
}
