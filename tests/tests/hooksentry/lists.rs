//! Lists: pages, order, filters and what they count (docs/contracts/hooksentry.md, section 15.1).

use std::time::Duration;

use hookyard_tests::{
    database::Kind,
    on_both_databases,
    receiver::{Receiver, Reply},
};
use serde_json::{Value, json};

use crate::{Yard, id, text};

on_both_databases!(pages_cut_a_list_without_gap_or_overlap, events_are_found_by_what_has_become_of_them);

async fn pages_cut_a_list_without_gap_or_overlap(kind: Kind) {
    let yard = Yard::on(kind).await;
    let owner = yard.tenant("acme").await;
    let mut made = Vec::new();
    for number in 0..7 {
        let body = json!({ "name": format!("key {}", number % 3) });
        let key = yard.post("/api/v1/apikeys", &owner, &body).await;
        made.push(id(&key.json()).to_owned());
    }
    let page = async |query: &str| {
        let answer = yard.get(&format!("/api/v1/apikeys?{query}"), &owner).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        let answer = answer.json();
        assert_eq!(answer["total"], json!(7), "{query}");
        let items = answer["items"].as_array().expect("a list").clone();
        items.iter().map(|item| id(item).to_owned()).collect::<Vec<_>>()
    };
    let newest_first: Vec<_> = made.iter().rev().cloned().collect();
    assert_eq!(page("").await, newest_first);
    assert_eq!(page("TpOrd=asc").await, made);
    let mut by_name = Vec::new();
    for number in 1..=4 {
        by_name.extend(page(&format!("Qt=2&Pg={number}&CpOrd=NAME&TpOrd=Asc")).await);
    }
    let mut sorted = by_name.clone();
    sorted.sort_unstable();
    let mut all = made.clone();
    all.sort_unstable();
    assert_eq!((by_name.len(), sorted), (7, all));
    assert_eq!(page("Qt=2&Pg=5").await, Vec::<String>::new());
}

async fn events_are_found_by_what_has_become_of_them(kind: Kind) {
    let yard = Yard::on(kind).await;
    let receiver = Receiver::start().await;
    let owner = yard.tenant("acme").await;
    let key = yard.api_key(&owner).await;
    let mut by_status: Vec<(&str, String, Value)> = Vec::new();
    for (path, reply, status) in [
        ("/good", 200, "Succeeded"),
        ("/bad", 500, "WaitingRetry"),
        ("/denied", 401, "AuthenticationFailed"),
    ] {
        receiver.script(path, [Reply::Status(reply)]);
        let destination = yard.destination(&owner, &receiver.url(path)).await;
        let event = yard.ingest(&owner, &key, &destination, "{}").await.event_id();
        yard.event_in(&owner, &event, status).await;
        by_status.push((status, event, destination));
    }
    let list = async |query: &str| {
        let answer = yard.get(&format!("/api/v1/events?{query}"), &owner).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        let answer = answer.json();
        let items = answer["items"].as_array().expect("a list").clone();
        assert_eq!(answer["total"], json!(items.len()), "{query}");
        items.iter().map(|item| id(item).to_owned()).collect::<Vec<_>>()
    };
    for (status, event, destination) in &by_status {
        assert_eq!(
            list(&format!("Status={}", status.to_lowercase())).await,
            std::slice::from_ref(event),
            "{status}"
        );
        let by_destination = format!("DestinationUrlId={}", id(destination));
        assert_eq!(list(&by_destination).await, std::slice::from_ref(event));
        assert_eq!(
            list(&format!("{by_destination}&Status={status}")).await,
            std::slice::from_ref(event)
        );
        assert_eq!(list(&format!("{by_destination}&Status=Cancelled")).await, Vec::<String>::new());
    }
    for none in ["Pending", "Processing", "Failed", "Cancelled", "CriticalFailure"] {
        assert_eq!(list(&format!("Status={none}")).await, Vec::<String>::new(), "{none}");
    }
    let all: Vec<String> = by_status.iter().map(|(_, event, _)| event.clone()).collect();
    let newest_first: Vec<_> = all.iter().rev().cloned().collect();
    assert_eq!(list("").await, newest_first);
    assert_eq!(list("CpOrd=acceptedAt&TpOrd=Asc").await, all);
    let second = yard.get(&format!("/api/v1/events/{}", all[1]), &owner).await.json();
    let at = text(&second["acceptedAt"]).to_owned();
    let later = list(&format!("From={at}&TpOrd=Asc")).await;
    assert!(
        later.ends_with(&all[2..]) && later.len() <= 3 && later.contains(&all[1]),
        "{later:?}"
    );
    assert!(list(&format!("To={at}")).await.contains(&all[1]));
    assert_eq!(list("From=2199-01-01").await, Vec::<String>::new());
    // A purge ends what waits, and nothing else.
    let waiting = &by_status[1];
    let purge = format!("/api/v1/queues/{}", id(&waiting.2));
    assert_eq!(yard.delete(&purge, &owner).await.status, 204);
    yard.event_in(&owner, &waiting.1, "Cancelled").await;
    assert_eq!(list("Status=Cancelled").await, std::slice::from_ref(&waiting.1));
    let attempts = receiver.received_at("/bad").len();
    yard.host.advance(Duration::from_hours(24));
    let owner = yard.log_in(&owner.email).await;
    yard.event_in(&owner, &by_status[0].1, "Succeeded").await;
    assert_eq!(receiver.received_at("/bad").len(), attempts);
}
