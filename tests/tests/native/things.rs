//! What is configured, one by one and as a set-up.

use super::*;

on_both_databases!(
    everything_is_made_changed_and_deleted,
    a_change_of_an_older_revision_is_refused,
    a_set_up_removes_and_disables,
);

async fn everything_is_made_changed_and_deleted(kind: Kind) {
    let receiver = Receiver::start().await;
    let mut host = TestHost::builder(kind).setup(acme(&receiver)).start().await;
    let operator = Caller::operator(&host).await;
    let tenant = is(&operator.post("/api/v1/tenants", &json!({ "name": "Émile & Sons" })).await, 201);
    let id = text(&tenant["id"]);
    is(&operator.post("/api/v1/tenants", &json!({ "name": "acme" })).await, 409);
    is(&operator.post("/api/v1/tenants", &json!({ "name": "" })).await, 422);
    is(&operator.post("/api/v1/tenants", &json!({ "colour": "red" })).await, 400);
    is(&operator.post("/api/v1/tenants", &json!([1])).await, 400);
    let changed = is(
        &operator
            .patch(&format!("/api/v1/tenants/{id}"), &json!({ "attempts_max": 3 }))
            .await,
        200,
    );
    assert_eq!((&changed["attempts_max"], &changed["name"]), (&json!(3), &json!("Émile & Sons")));

    let staging = json!({ "tenant": id, "slug": "staging" });
    let staging = is(&operator.post("/api/v1/environments", &staging).await, 201);
    let environment = format!("/api/v1/environments/{}", text(&staging["id"]));
    let renamed = is(&operator.patch(&environment, &json!({ "name": "Staging area" })).await, 200);
    assert_eq!(renamed["name"], "Staging area");
    is(&operator.patch(&environment, &json!({ "default": false })).await, 422);

    let new = json!({
        "tenant": "Émile & Sons", "environment": staging["id"], "name": "hook", "url": "https://example.com/hook",
        "metadata": { "plan": "gold", "nested": { "a": [1] } }, "events": ["order.*"], "with_token": true, "attempts_max": 7,
    });
    let answer = operator.post("/api/v1/endpoints", &new).await;
    let endpoint = is(&answer, 201);
    let path = answer.header("location").to_owned();
    assert!(text(&endpoint["token"]).starts_with("dst_"), "{endpoint}");
    is(&operator.delete(&environment).await, 409);
    let changed = is(
        &operator
            .patch(
                &path,
                &json!({ "attempts_max": null, "status": "inactive", "description": "out of order" }),
            )
            .await,
        200,
    );
    assert_eq!(changed["attempts_max"], Value::Null);
    assert_eq!(changed["status"], "inactive");
    assert_eq!(changed["metadata"], new["metadata"], "what is not named stays");
    is(&operator.patch(&path, &json!({ "url": "http://example.com/" })).await, 422);
    is(&operator.patch(&path, &json!({ "tenant": "acme" })).await, 422);
    is(&operator.patch(&path, &json!({ "status": "suspended" })).await, 422);
    for null in ["url", "metadata", "events", "concurrency_max", "status"] {
        is(&operator.patch(&path, &json!({ null: null })).await, 400);
    }
    is(&operator.patch(&path, &json!({ "insecure_http": true })).await, 422);
    is(&operator.patch(&format!("{path}?tenant=acme"), &json!({})).await, 422);
    is(&operator.delete(&format!("{path}?dry_run=true")).await, 422);
    let of_tenant = is(&operator.get(&format!("{path}/secret")).await, 200);
    assert_eq!(of_tenant["of"], "tenant");
    let own = is(&operator.post(&format!("{path}/secret"), &json!({ "overlap_s": 60 })).await, 200);
    assert_eq!(
        (
            &own["of"],
            is(&operator.get(&format!("{path}/secret")).await, 200)["secret"].clone()
        ),
        (&json!("endpoint"), own["secret"].clone())
    );
    let replaced = is(&operator.post(&format!("{path}/token"), &json!({})).await, 200);
    assert_ne!(replaced["token"], endpoint["token"]);

    let new = json!({
        "tenant": id, "environment": staging["id"], "name": "shop", "endpoints": ["hook"], "on_failure": "dead-letter",
        "mapping": { "text": "$.a" }, "verification": { "kind": "github", "secrets": ["a secret of GitHub's"] },
    });
    let answer = operator.post("/api/v1/senders", &new).await;
    let sender = is(&answer, 201);
    let path_of_sender = answer.header("location").to_owned();
    assert!(text(&sender["token"]).starts_with("sndr_"), "{sender}");
    assert_eq!(sender["verification"], json!({ "kind": "github" }), "without its secrets");
    let changed = is(
        &operator.patch(&path_of_sender, &json!({ "mapping": null, "active": false })).await,
        200,
    );
    assert_eq!((&changed["mapping"], &changed["active"]), (&Value::Null, &json!(false)));
    assert_eq!(changed["verification"], json!({ "kind": "github" }));
    for wrong in [
        json!({ "endpoints": ["nowhere"] }),
        json!({ "on_failure": "explode" }),
        json!({ "mapping": { "text": "$.[" } }),
        json!({ "verification": { "kind": "github", "secrets": ["short"] } }),
        json!({ "verification": { "kind": "pigeon", "secrets": ["long enough"] } }),
        json!({ "verification": { "kind": "hmac", "secrets": ["long enough"] } }),
    ] {
        let refused = operator.patch(&path_of_sender, &wrong).await;
        is(&refused, 422);
        assert!(!refused.text().contains("long enough"), "{}", refused.text());
    }

    let new = json!({ "tenant": id, "email": "Ann@Example.com", "password": "correct horse", "role": "admin" });
    let user = is(&operator.post("/api/v1/users", &new).await, 201);
    assert_eq!(user["email"], "ann@example.com");
    let user = format!("/api/v1/users/{}", text(&user["id"]));
    let changed = is(
        &operator.patch(&user, &json!({ "status": "inactive", "role": "viewer" })).await,
        200,
    );
    assert_eq!((&changed["status"], &changed["role"]), (&json!("inactive"), &json!("viewer")));
    is(&operator.delete(&user).await, 204);
    is(&operator.get(&user).await, 404);

    let shop = json!({ "tenant": id, "environment": staging["id"], "name": "shop2", "endpoints": ["hook"] });
    let shop = operator.post("/api/v1/senders", &shop).await;
    is(&shop, 201);
    is(&operator.delete(&path_of_sender).await, 204);
    is(&operator.delete(&path).await, 409);
    is(&operator.patch(&path, &json!({ "name": "another" })).await, 409);
    let path_of_sender = shop.header("location").to_owned();
    for path in [path_of_sender, path, environment] {
        is(&operator.get(&path).await, 200);
        is(&operator.delete(&path).await, 204);
        is(&operator.get(&path).await, 404);
    }
    for (path, field) in [
        ("/api/v1/endpoints?colour=red", "colour"),
        ("/api/v1/endpoints?limit=0", "limit"),
        ("/api/v1/endpoints?before=yesterday", "before"),
        ("/api/v1/events?state=lost", "state"),
        ("/api/v1/environments", "tenant"),
    ] {
        assert_eq!(is(&operator.get(path).await, 422)["problems"][0]["field"], field, "{path}");
    }
    host.stop().await;
}

async fn a_change_of_an_older_revision_is_refused(kind: Kind) {
    let receiver = Receiver::start().await;
    let mut host = TestHost::builder(kind).setup(acme(&receiver)).start().await;
    let operator = Caller::operator(&host).await;
    let list = is(&operator.get("/api/v1/endpoints?tenant=acme").await, 200);
    let mut items = list["items"].as_array().expect("items").iter();
    let gone = items.find(|item| item["name"] == "gone").expect("it is listed");
    let url = format!("{}/api/v1/endpoints/{}", host.client().base(), text(&gone["id"]));
    let tag = operator.get(&url.replace(host.client().base(), "")).await.header("etag").to_owned();
    assert!(tag.starts_with('"'), "{tag}");
    let change = async |tag: &str, method: Method, body: &str| {
        let bearer = format!("Bearer {}", operator.token);
        let headers = [("authorization", bearer.as_str()), ("if-match", tag)];
        let answer = host.client().with_headers(method, &url, &headers, body).await;
        (answer.status, answer.header("etag").to_owned())
    };
    let (status, next) = change(&tag, Method::PATCH, "{\"description\":\"one\"}").await;
    assert_eq!(status, 200);
    assert_ne!(next, tag);
    assert_eq!(change(&tag, Method::PATCH, "{\"description\":\"two\"}").await.0, 412);
    assert_eq!(change(&tag, Method::DELETE, "").await.0, 412);
    assert_eq!(change("W/whatever", Method::DELETE, "").await.0, 422);
    assert_eq!(change("*", Method::PATCH, "{\"description\":\"three\"}").await.0, 200);
    let shown = is(&operator.get(&url.replace(host.client().base(), "")).await, 200);
    assert_eq!(shown["description"], "three");
    assert_eq!(change(&format!("\"{}\"", shown["revision"]), Method::DELETE, "").await.0, 204);
    host.stop().await;
}

async fn a_set_up_removes_and_disables(kind: Kind) {
    let receiver = Receiver::start().await;
    let mut host = TestHost::builder(kind).setup(acme(&receiver)).start().await;
    let operator = Caller::operator(&host).await;
    let with = |rest: &str| {
        let text = format!(
            "[[tenant]]\nname = \"acme\"\nattempts_max = 1\nwebhook_secret = {{ env = \"SECRET\" }}\n{rest}\n\
             [[tenant.api_key]]\nname = \"robot\"\nkey = {{ file = \"robot.key\" }}\ndisabled = true\n"
        );
        json!({
            "text": text,
            "variables": { "SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" },
            "files": { "robot.key": "robot-key-of-acme-0123456789" },
        })
    };
    let remove = "[tenant.remove]\nsenders = [\"github\"]\nendpoints = [\"gone\", \"never\"]";
    let applied = is(&operator.post("/api/v1/setup", &with(remove)).await, 200);
    let action = |applied: &Value, kind: &str, name: &str| {
        let mut changes = applied["changes"].as_array().expect("changes").iter();
        let found = changes.rfind(|change| change["kind"] == kind && change["name"] == name).cloned();
        found.unwrap_or_else(|| panic!("no {kind} {name} in {applied:#}"))
    };
    assert_eq!(action(&applied, "sender", "acme/github")["action"], "delete");
    assert_eq!(action(&applied, "endpoint", "acme/gone")["action"], "delete");
    assert_eq!(action(&applied, "endpoint", "acme/never")["action"], "unchanged");
    let robot = action(&applied, "api-key", "acme/robot");
    assert_eq!(robot["action"], "create");
    let robot = is(&operator.get(&format!("/api/v1/credentials/{}", text(&robot["id"]))).await, 200);
    assert!(robot["disabled_at"].is_string(), "{robot}");
    assert_eq!(is(&operator.get("/api/v1/senders?tenant=acme").await, 200)["items"], json!([]));
    let again = is(&operator.post("/api/v1/setup", &with(remove)).await, 200);
    assert!(
        again["changes"]
            .as_array()
            .expect("changes")
            .iter()
            .all(|change| change["action"] == "unchanged"),
        "{again:#}"
    );
    let both = format!("{remove}\n[[tenant.endpoint]]\nname = \"gone\"\nurl = \"https://example.com\"");
    let refused = is(&operator.post("/api/v1/setup", &with(&both)).await, 422);
    assert!(text(&refused["detail"]).contains("appears twice"), "{refused}");
    let elsewhere = with("[tenant.remove]\nsenders = [\"stagin/github\"]");
    let refused = is(&operator.post("/api/v1/setup", &elsewhere).await, 422);
    assert!(text(&refused["detail"]).contains("stagin/github"), "{refused}");
    let mut unsent = with(remove);
    unsent["files"] = json!({});
    let refused = is(&operator.post("/api/v1/setup", &unsent).await, 422);
    assert!(text(&refused["detail"]).contains("robot.key was not sent along"), "{refused}");
    host.stop().await;
}
