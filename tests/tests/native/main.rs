//! Hookyard's own API (docs/api.md): tokens and what they open, every resource, what another tenant learns, and the command
//! line as its client.

mod document;

use std::time::Duration;

use hookyard_tests::{
    client::Answer,
    database::{Kind, TestDatabase},
    host::TestHost,
    on_both_databases,
    receiver::{Receiver, Reply},
    server::{self, Server},
    setup::{Endpoint, Sender, SetupFile, Tenant, endpoint_token},
    wait::until,
};
use http::Method;
use serde_json::{Value, json};

on_both_databases!(
    a_token_opens_what_it_is_for_until_it_is_revoked,
    a_token_that_is_over_or_disabled_opens_nothing,
    the_last_use_of_a_token_is_kept,
    everything_is_made_changed_and_deleted,
    a_change_of_an_older_revision_is_refused,
    an_event_is_found_and_set_going_again,
    what_waits_for_a_deleted_endpoint_is_cancelled_at_once,
    many_are_set_going_again_at_once,
    another_tenants_things_look_absent,
    a_set_up_removes_and_disables,
    commands_do_the_same_on_a_server_as_on_its_database,
);

fn acme(receiver: &Receiver) -> SetupFile {
    let tenant = |name: &str| {
        Tenant::named(name)
            .attempts_max(1)
            .endpoint(Endpoint::new("hook", &receiver.url("/hook")))
            .endpoint(Endpoint::new("gone", &receiver.url("/gone")))
            .sender(Sender::new("github").endpoints(&["hook"]))
    };
    SetupFile::new().tenant(tenant("acme")).tenant(tenant("other"))
}

/// A token made on the database beside the server.
async fn token(database: &TestDatabase, args: &[&str]) -> String {
    let args: Vec<&str> = ["token", "create"].into_iter().chain(args.iter().copied()).collect();
    let output = server::run(database, &args).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("a token is text").trim().to_owned()
}

/// A caller with a token.
struct Caller<'a> {
    host: &'a TestHost,
    token: String,
}

impl<'a> Caller<'a> {
    async fn of(host: &'a TestHost, args: &[&str]) -> Self {
        let token = token(host.database(), args).await;
        let caller = Self { host, token };
        until("the server knows the token", async || {
            (caller.get("/api/v1/status").await.status == 200).then_some(())
        })
        .await;
        caller
    }

    async fn operator(host: &'a TestHost) -> Self {
        Self::of(host, &["--rights", "write"]).await
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        self.host.client().call(method, path, Some(&self.token), body).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::PATCH, path, Some(body)).await
    }

    async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }
}

#[track_caller]
fn is(answer: &Answer, status: u16) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text());
    if status >= 400 {
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.json()["status"], status, "{}", answer.text());
    }
    answer.json()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a text")).to_owned()
}

async fn a_token_opens_what_it_is_for_until_it_is_revoked(kind: Kind) {
    let receiver = Receiver::start().await;
    let mut host = TestHost::builder(kind).setup(acme(&receiver)).start().await;
    let operator = Caller::operator(&host).await;
    let reader = Caller::of(&host, &["--tenant", "acme", "--label", "a dashboard"]).await;
    let writer = Caller::of(&host, &["--tenant", "acme", "--rights", "write"]).await;

    let nobody = host.client().get("/api/v1/status").await;
    is(&nobody, 401);
    assert_eq!(nobody.header("www-authenticate"), "Bearer");
    let made_up = host.client().call(Method::GET, "/api/v1/tenants", Some("hym_made-up"), None).await;
    is(&made_up, 401);
    is(&reader.get("/api/v1/nowhere").await, 404);
    is(&reader.call(Method::PUT, "/api/v1/status", None).await, 405);

    let names = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().expect("a list has items");
        items.iter().map(|item| text(&item["name"])).collect()
    };
    assert_eq!(names(&is(&operator.get("/api/v1/tenants").await, 200)).len(), 2);
    assert_eq!(names(&is(&reader.get("/api/v1/tenants").await, 200)), ["acme"]);

    let new = json!({ "url": receiver.url("/new") , "insecure_http": true, "name": "new" });
    is(&reader.post("/api/v1/endpoints", &new).await, 403);
    is(&writer.post("/api/v1/endpoints", &new).await, 201);
    is(&writer.post("/api/v1/tenants", &json!({ "name": "mine" })).await, 403);
    is(&operator.post("/api/v1/tenants", &json!({ "name": "new" })).await, 201);
    is(&operator.post("/api/v1/endpoints", &new).await, 422);

    // A token of one tenant makes others of that tenant and no more.
    let wanted = json!({ "kind": "management-token", "rights": "write", "label": "made by a token" });
    let made = is(&writer.post("/api/v1/credentials", &wanted).await, 201);
    assert_eq!(made["tenant"], host.tenant("acme").to_string());
    assert!(text(&made["text"]).starts_with("hym_"), "{made}");
    let shown = is(&writer.get(&format!("/api/v1/credentials/{}", text(&made["id"]))).await, 200);
    assert!(shown.get("text").is_none(), "{shown}");
    let for_other = json!({ "kind": "management-token", "rights": "read", "tenant": "other" });
    is(&writer.post("/api/v1/credentials", &for_other).await, 404);

    // What a token makes is over no later than itself.
    let soon = host.clock().now().plus(Duration::from_secs(600)).to_string();
    let short = json!({ "kind": "management-token", "rights": "write", "expires_at": soon });
    let short = Caller {
        host: &host,
        token: text(&is(&writer.post("/api/v1/credentials", &short).await, 201)["text"]),
    };
    let child = json!({ "kind": "management-token", "rights": "read" });
    assert_eq!(is(&short.post("/api/v1/credentials", &child).await, 201)["expires_at"], soon);
    let child = json!({ "kind": "management-token", "rights": "read", "expires_at": "2099-01-01T00:00:00Z" });
    is(&short.post("/api/v1/credentials", &child).await, 422);

    // Set-up files know a tenant by its name, and scripts by its id.
    let acme = format!("/api/v1/tenants/{}", host.tenant("acme"));
    is(&writer.patch(&acme, &json!({ "name": "globex" })).await, 422);
    is(&writer.patch(&acme, &json!({ "attempts_max": 2 })).await, 200);
    let like_an_id = json!({ "name": host.tenant("other").to_string() });
    is(&operator.post("/api/v1/tenants", &like_an_id).await, 422);
    is(
        &operator.get("/api/v1/status?tenant=0198a5b4-0000-7000-8000-000000000000").await,
        404,
    );

    // Revoked over REST: at once on this node.
    let path = format!("/api/v1/credentials/{}", text(&made["id"]));
    let of_made = Caller {
        host: &host,
        token: text(&made["text"]),
    };
    is(&of_made.get("/api/v1/status").await, 200);
    is(&writer.delete(&path).await, 204);
    is(&of_made.get("/api/v1/status").await, 401);
    is(&writer.delete(&path).await, 404);

    // Revoked by another process: within a second.
    let list = is(&operator.get("/api/v1/credentials?tenant=acme").await, 200);
    let items = list["items"].as_array().expect("a list has items");
    let dashboard = items
        .iter()
        .find(|item| item["label"] == "a dashboard")
        .expect("the reader's is listed");
    let revoked = server::run(host.database(), &["token", "revoke", &text(&dashboard["id"])]).await;
    assert!(revoked.status.success(), "{}", String::from_utf8_lossy(&revoked.stderr));
    until("the reader is shut out", async || {
        (reader.get("/api/v1/status").await.status == 401).then_some(())
    })
    .await;
    host.stop().await;
}

async fn a_token_that_is_over_or_disabled_opens_nothing(kind: Kind) {
    let receiver = Receiver::start().await;
    let mut host = TestHost::builder(kind).setup(acme(&receiver)).start().await;
    let operator = Caller::operator(&host).await;
    let wanted = |expires_at: &str| json!({ "kind": "management-token", "rights": "read", "expires_at": expires_at });
    let problem = is(&operator.post("/api/v1/credentials", &wanted("yesterday")).await, 422);
    assert_eq!(problem["problems"][0]["field"], "expires_at");
    is(&operator.post("/api/v1/credentials", &wanted("2001-01-01T00:00:00Z")).await, 422);
    let soon = host.clock().now().plus(Duration::from_secs(600)).to_string();
    let made = is(&operator.post("/api/v1/credentials", &wanted(&soon)).await, 201);
    let holder = Caller {
        host: &host,
        token: text(&made["text"]),
    };
    let path = format!("/api/v1/credentials/{}", text(&made["id"]));
    is(&holder.get("/api/v1/status").await, 200);
    is(&operator.patch(&path, &json!({ "disabled": true })).await, 200);
    is(&holder.get("/api/v1/status").await, 401);
    is(&operator.patch(&path, &json!({ "disabled": false })).await, 200);
    is(&holder.get("/api/v1/status").await, 200);
    host.advance(Duration::from_secs(601));
    is(&holder.get("/api/v1/status").await, 401);
    is(&operator.get("/api/v1/status").await, 200);
    host.stop().await;
}

async fn the_last_use_of_a_token_is_kept(kind: Kind) {
    let receiver = Receiver::start().await;
    let mut host = TestHost::builder(kind).setup(acme(&receiver)).start().await;
    let reader = Caller::of(&host, &["--tenant", "acme"]).await;
    is(&reader.get("/api/v1/status").await, 200);
    let token = token(host.database(), &["--tenant", "acme", "--label", "unused"]).await;
    assert!(token.starts_with("hym_"));
    let used = reader.token.clone();
    // Nor is it lost with what is revoked in the minute in which it was used.
    let operator = Caller::operator(&host).await;
    let made = json!({ "kind": "management-token", "rights": "read", "tenant": "acme", "label": "leaked" });
    let made = is(&operator.post("/api/v1/credentials", &made).await, 201);
    let leaked = Caller {
        host: &host,
        token: text(&made["text"]),
    };
    is(&leaked.get("/api/v1/status").await, 200);
    let path = format!("/api/v1/credentials/{}", text(&made["id"]));
    is(&operator.patch(&path, &json!({ "disabled": true })).await, 200);
    is(&operator.delete(&path).await, 204);
    // A server that stops writes down what it saw.
    host.stop().await;
    let output = server::run(host.database(), &["token", "list", "--tenant", "acme", "--format", "json"]).await;
    let list: Value = serde_json::from_slice(&output.stdout).expect("a list is JSON");
    assert_eq!((&list[0]["label"], &list[1]["label"]), (&json!("leaked"), &json!("unused")));
    assert_eq!(list[1]["last_used_at"], Value::Null);
    for used in [&list[0], &list[2]] {
        assert!(text(&used["last_used_at"]) >= text(&used["created_at"]), "{list}");
    }
    let table = server::run(host.database(), &["token", "list"]).await;
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.contains("never used") && !table.contains(&used), "{table}");
}

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

async fn an_event_is_found_and_set_going_again(kind: Kind) {
    let receiver = Receiver::start().await;
    receiver.script("/gone", [Reply::Status(404), Reply::Status(200)]);
    let mut host = TestHost::builder(kind).setup(acme(&receiver)).start().await;
    let reader = Caller::of(&host, &["--tenant", "acme"]).await;
    let writer = Caller::of(&host, &["--tenant", "acme", "--rights", "write"]).await;
    let payload = "{\"a\": [1,  2.0]}";
    let posted = host
        .client()
        .post(&endpoint_token("acme", "gone"), payload)
        .key("once")
        .send()
        .await;
    assert_eq!(posted.status, 202, "{}", posted.text());
    let id = posted.event_id();
    let rejected = until("the delivery is rejected", async || {
        let list = is(&reader.get("/api/v1/deliveries?state=rejected").await, 200);
        list["items"].get(0).cloned()
    })
    .await;
    assert_eq!(rejected["event"], id);
    let event = is(&reader.get(&format!("/api/v1/events/{id}")).await, 200);
    assert_eq!((&event["idempotency_key"], &event["state"]), (&json!("once"), &json!("routed")));
    let kept = reader.get(&format!("/api/v1/events/{id}/payload")).await;
    assert_eq!((kept.status, kept.text().as_str()), (200, payload));
    assert_eq!(kept.header("x-content-type-options"), "nosniff");
    let delivery = format!("/api/v1/deliveries/{}", text(&rejected["id"]));
    assert_eq!(is(&reader.get(&delivery).await, 200)["attempts_made"][0]["status"], 404);
    assert_eq!(is(&reader.get(&format!("{delivery}/attempts")).await, 200)["items"][0]["number"], 1);
    let endpoint = text(&rejected["endpoint_id"]);
    let of_endpoint = is(&reader.get(&format!("/api/v1/deliveries?endpoint={endpoint}")).await, 200);
    assert_eq!(of_endpoint["items"].as_array().map(Vec::len), Some(1));
    let standing = is(&reader.get("/api/v1/status").await, 200);
    assert_eq!(standing["deliveries"][0]["name"], "acme/gone");

    is(&reader.post(&format!("{delivery}/replay"), &json!({})).await, 403);
    let replayed = is(&writer.post(&format!("{delivery}/replay"), &json!({})).await, 200);
    assert_eq!(replayed["restarted"], 1);
    until("it is delivered", async || {
        (is(&reader.get(&delivery).await, 200)["state"] == "delivered").then_some(())
    })
    .await;
    assert_eq!(
        is(&writer.post(&format!("/api/v1/events/{id}/replay"), &json!({})).await, 200)["restarted"],
        0
    );

    // Page after page, each event once.
    for number in 0..5 {
        let answer = host.client().post(&endpoint_token("acme", "hook"), number.to_string()).send().await;
        assert_eq!(answer.status, 202);
    }
    let (mut seen, mut before) = (Vec::new(), String::new());
    loop {
        let page = is(&reader.get(&format!("/api/v1/events?limit=2{before}")).await, 200);
        seen.extend(page["items"].as_array().expect("items").iter().map(|item| text(&item["id"])));
        let Some(next) = page["next"].as_str() else { break };
        before = format!("&before={next}");
    }
    assert_eq!((seen.len(), seen.last()), (6, Some(&id)));
    host.stop().await;
}

async fn what_waits_for_a_deleted_endpoint_is_cancelled_at_once(kind: Kind) {
    let receiver = Receiver::start().await;
    let tenant = Tenant::named("acme")
        .endpoint(Endpoint::new("hook", &receiver.url("/hook")).inactive())
        .endpoint(Endpoint::new("gone", &receiver.url("/gone")).inactive())
        .sender(Sender::new("github"));
    let setup = SetupFile::new().tenant(tenant);
    let mut host = TestHost::builder(kind).setup(setup).start().await;
    let acme = Caller::of(&host, &["--tenant", "acme", "--rights", "write"]).await;
    let operator = Caller::operator(&host).await;
    let list = is(&acme.get("/api/v1/endpoints").await, 200);
    let id = |name: &str| {
        let mut items = list["items"].as_array().expect("items").iter();
        text(&items.find(|item| item["name"] == name).expect("it is listed")["id"])
    };
    let path = |name: &str| format!("/api/v1/endpoints/{}", id(name));
    for name in ["hook", "gone"] {
        is(&acme.patch(&path(name), &json!({ "status": "active" })).await, 200);
        receiver.script(&format!("/{name}"), [Reply::Status(503)]);
        let answer = host.client().post(&endpoint_token("acme", name), "1").send().await;
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    let states = async || {
        let list = is(&acme.get("/api/v1/deliveries").await, 200);
        let items = list["items"].as_array().expect("items");
        items
            .iter()
            .map(|item| (text(&item["state"]), item["attempts"] == 1))
            .collect::<Vec<_>>()
    };
    let waiting = ("waiting".to_owned(), true);
    until("both wait for a second attempt", async || {
        (states().await == [waiting.clone(), waiting.clone()]).then_some(())
    })
    .await;
    is(&acme.delete(&path("hook")).await, 204);
    assert!(states().await.contains(&("cancelled".to_owned(), true)), "{:?}", states().await);
    let body = json!({
        "text": "[[tenant]]\nname = \"acme\"\nwebhook_secret = { env = \"SECRET\" }\n[tenant.remove]\nendpoints = [\"gone\"]",
        "variables": { "SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" },
    });
    is(&operator.post("/api/v1/setup", &body).await, 200);
    let cancelled = ("cancelled".to_owned(), true);
    assert_eq!(states().await, [cancelled.clone(), cancelled]);
    host.stop().await;
}

async fn many_are_set_going_again_at_once(kind: Kind) {
    let receiver = Receiver::start().await;
    receiver.script("/gone", [Reply::Status(404)]);
    let mut host = TestHost::builder(kind).setup(acme(&receiver)).start().await;
    let acme = Caller::of(&host, &["--tenant", "acme", "--rights", "write"]).await;
    let other = Caller::of(&host, &["--tenant", "other", "--rights", "write"]).await;
    for _ in 0..3 {
        let answer = host.client().post(&endpoint_token("acme", "gone"), "1").send().await;
        assert_eq!(answer.status, 202);
    }
    let rejected = async || {
        let list = is(&acme.get("/api/v1/deliveries?state=rejected").await, 200);
        list["items"].as_array().map_or(0, Vec::len)
    };
    until("three are rejected", async || (rejected().await == 3).then_some(())).await;
    let all = json!({ "state": "rejected" });
    assert_eq!(is(&other.post("/api/v1/deliveries/replay", &all).await, 200)["restarted"], 0);
    is(&acme.post("/api/v1/deliveries/replay", &json!({ "state": "delivered" })).await, 422);
    is(&acme.post("/api/v1/events/replay", &json!({ "state": "routed" })).await, 422);
    assert_eq!(
        is(&acme.post("/api/v1/events/replay", &json!({ "state": "held" })).await, 200)["restarted"],
        0
    );
    receiver.script("/gone", [Reply::Status(200)]);
    let output = server::run(host.database(), &["replay", "--deliveries", "rejected", "--tenant", "acme"]).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said.trim(), "3 put back to work", "{}", String::from_utf8_lossy(&output.stderr));
    until("all are delivered", async || {
        let list = is(&acme.get("/api/v1/deliveries?state=delivered").await, 200);
        (list["items"].as_array().map(Vec::len) == Some(3)).then_some(())
    })
    .await;
    host.stop().await;
}

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
    // Nothing of all that was done.
    is(&operator.get(&format!("/api/v1/endpoints/{endpoint}")).await, 200);
    assert_eq!(is(&stranger.get("/api/v1/events").await, 200)["items"], json!([]));
    assert_eq!(is(&stranger.get("/api/v1/deliveries").await, 200)["items"], json!([]));
    assert_eq!(is(&stranger.get("/api/v1/status").await, 200)["deliveries"], json!([]));
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

async fn commands_do_the_same_on_a_server_as_on_its_database(kind: Kind) {
    let receiver = Receiver::start().await;
    receiver.script("/gone", [Reply::Status(404)]);
    let database = TestDatabase::fresh(kind).await;
    let setup = acme(&receiver);
    let tenants = server::apply(&database, &setup).await;
    let mut running = Server::on(&database).tenants(&tenants).start().await;
    let token = token(&database, &["--rights", "write"]).await;
    let base = running.client().base().to_owned();
    let there = async |args: &[&str]| {
        let reach = ["--server", &base, "--token", &token];
        server::run(&database, &args.iter().copied().chain(reach).collect::<Vec<_>>()).await
    };
    until("the server knows the token", async || {
        there(&["status"]).await.status.success().then_some(())
    })
    .await;
    let posted = running.client().post(&endpoint_token("acme", "gone"), "[1]").send().await;
    let event = posted.event_id();
    let delivery = until("the delivery has ended", async || {
        let output = there(&["deliveries", "--state", "rejected", "--format", "json"]).await;
        let list: Value = serde_json::from_slice(&output.stdout).expect("a list is JSON");
        list.get(0).map(|item| text(&item["id"]))
    })
    .await;
    let file = setup.write_into(&database.folder().join("setup"));
    let file = file.to_string_lossy().into_owned();
    let nobody = "0198a5b4-0000-7000-8000-000000000000";
    for args in [
        &["events", "--format", "json"][..],
        &["events", &event],
        &["events", &event, "--format", "json"],
        &["events", &event, "--payload"],
        &["events", nobody],
        &["events", "--state", "lost"],
        &["events", "--tenant", "nobody"],
        &["deliveries", &delivery],
        &["deliveries", &delivery, "--format", "json"],
        &["deliveries", nobody],
        &["status"],
        &["status", "--tenant", "acme", "--format", "json"],
        &["users", "list", "--tenant", "acme"],
        &["users", "list", "--tenant", "nobody"],
        &["replay", nobody],
        &["apply", "--file", &file],
        &["apply", "--file", &file, "--dry-run", "--format", "json"],
        &["token", "revoke", nobody],
    ] {
        let (here, there) = (server::run(&database, args).await, there(args).await);
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(
            here.status.code(),
            there.status.code(),
            "{args:?}: {} / {}",
            said(&here.stderr),
            said(&there.stderr)
        );
        assert_eq!(said(&here.stdout), said(&there.stdout), "{args:?}");
        assert_eq!(said(&here.stderr), said(&there.stderr), "{args:?}");
    }
    let replayed = there(&["replay", &delivery]).await;
    assert_eq!(String::from_utf8_lossy(&replayed.stdout).trim(), "1 put back to work");

    let wrong = server::run(&database, &["status", "--server", &base, "--token", "hym_wrong"]).await;
    assert_eq!(wrong.status.code(), Some(2));
    let missing = server::run(&database, &["status", "--server", &base]).await;
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("--token"));
    running.stop().await;
    let away = there(&["status"]).await;
    assert_eq!(away.status.code(), Some(1));
    assert!(!String::from_utf8_lossy(&away.stderr).contains(&token), "no secret in an error");
}
