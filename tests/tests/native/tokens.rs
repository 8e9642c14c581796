//! Tokens: what each opens, for how long, and when it was last used.

use super::*;

on_both_databases!(
    a_token_opens_what_it_is_for_until_it_is_revoked,
    a_token_that_is_over_or_disabled_opens_nothing,
    the_last_use_of_a_token_is_kept,
);

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
