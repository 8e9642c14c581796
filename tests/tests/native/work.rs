//! Events and deliveries: found, set going again, and ended with their endpoint.

use super::*;

on_both_databases!(
    an_event_is_found_and_set_going_again,
    what_waits_for_a_deleted_endpoint_is_cancelled_at_once,
    many_are_set_going_again_at_once,
);

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
