//! Claims and leases: whose work a node takes, and how it goes back.

use hookyard_domain::{ContentHash, PluginId};

use super::contract::*;

on_both_databases!(
    claims_take_the_oldest_due_of_one_endpoint,
    claims_bring_bodies_along_up_to_a_sum,
    two_nodes_never_claim_the_same_delivery,
    two_nodes_never_claim_the_same_event,
    a_postponed_event_waits_for_its_time,
    released_work_can_be_claimed_at_once,
    held_events_are_claimed_once_what_held_them_has_changed,
    an_activation_writes_no_row_of_a_held_event,
    a_claim_takes_held_events_first_and_no_more_than_asked,
    waiting_endpoints_are_named_when_their_work_is_due,
    waiting_endpoints_are_all_found_behind_a_large_backlog,
    a_backlog_is_cancelled_in_chunks,
);

async fn claims_take_the_oldest_due_of_one_endpoint(kind: Kind) {
    let contract = Contract::on(kind).await;
    let (endpoint, other) = (some_endpoint(), some_endpoint());
    // Made in reverse, so that the order of ids is not the order of due times.
    let mut by_due = Vec::new();
    for age in 0..6 {
        let one = contract.delivery(endpoint, NOW.minus(SECOND * age), Leased::ToNobody);
        by_due.insert(0, one.id);
        contract.routed(vec![one]).await;
    }
    contract
        .routed(vec![contract.delivery(endpoint, NOW.plus(SECOND), Leased::ToNobody)])
        .await;
    contract.routed(vec![contract.delivery(other, NOW, Leased::ToNobody)]).await;
    contract
        .routed(vec![contract.delivery(endpoint, NOW.minus(LEASE), Leased::ToUs)])
        .await;
    let first = contract.store.claim_deliveries(endpoint, NOW, 4, u64::MAX).await.expect("claimed");
    assert_eq!(ids(&first), by_due[..4]);
    let rest = contract
        .store
        .claim_deliveries(endpoint, NOW, 100, u64::MAX)
        .await
        .expect("claimed");
    assert_eq!(ids(&rest), by_due[4..]);
    assert!(
        contract
            .store
            .claim_deliveries(endpoint, NOW, 100, u64::MAX)
            .await
            .expect("claimed")
            .is_empty()
    );
}

async fn claims_bring_bodies_along_up_to_a_sum(kind: Kind) {
    let contract = Contract::on(kind).await;
    let endpoint = some_endpoint();
    let mut made = Vec::new();
    for age in (0..3).rev() {
        let one = NewDelivery {
            body_bytes: 1_000,
            ..contract.delivery(endpoint, NOW.minus(SECOND * age), Leased::ToNobody)
        };
        made.push(one.id);
        let event = Event {
            payload: vec![b' '; 1_000].into(),
            ..contract.event()
        };
        accept(&contract.store, event, Some(routed(vec![one])), Leased::ToNobody)
            .await
            .expect("accepted");
    }
    let claimed = contract.store.claim_deliveries(endpoint, NOW, 10, 2_500).await.expect("claimed");
    assert_eq!(ids(&claimed), made);
    let stays: Vec<bool> = claimed.iter().map(|one| matches!(one.body, Body::Stored)).collect();
    assert_eq!(stays, [false, false, true]);
    assert!(claimed.iter().all(|one| one.body_bytes == 1_000));
    let body = contract.store.delivery_body(made[2]).await.expect("read").expect("there");
    assert_eq!(body.len(), 1_000);
}

async fn two_nodes_never_claim_the_same_delivery(kind: Kind) {
    let contract = Contract::on(kind).await;
    let endpoint = some_endpoint();
    for _ in 0..60 {
        contract.routed(vec![contract.delivery(endpoint, NOW, Leased::ToNobody)]).await;
    }
    let (other, _lanes) = contract.other_node().await;
    let mut claimed = Vec::new();
    let mut first_empty = false;
    while !first_empty {
        let (ours, theirs) = tokio::join!(
            contract.store.claim_deliveries(endpoint, NOW, 4, u64::MAX),
            other.claim_deliveries(endpoint, NOW, 4, u64::MAX)
        );
        let (ours, theirs) = (ours.expect("claimed"), theirs.expect("claimed"));
        first_empty = ours.is_empty() && theirs.is_empty();
        claimed.extend(ids(&ours));
        claimed.extend(ids(&theirs));
    }
    assert_eq!(claimed.len(), 60);
    claimed.sort_unstable();
    claimed.dedup();
    assert_eq!(claimed.len(), 60);
}

async fn two_nodes_never_claim_the_same_event(kind: Kind) {
    let contract = Contract::on(kind).await;
    for _ in 0..30 {
        contract.pending(Leased::ToNobody).await;
    }
    contract.pending(Leased::ToUs).await;
    let (other, _lanes) = contract.other_node().await;
    let mut claimed = Vec::new();
    loop {
        let (ours, theirs) = tokio::join!(
            contract.store.claim_events(contract.sender, NOW, 0, 4),
            other.claim_events(contract.sender, NOW, 0, 4)
        );
        let (ours, theirs) = (ours.expect("claimed"), theirs.expect("claimed"));
        if ours.is_empty() && theirs.is_empty() {
            break;
        }
        claimed.extend(ours.iter().chain(&theirs).map(|held| held.event.id));
    }
    assert_eq!(claimed.len(), 30);
    claimed.sort_unstable();
    claimed.dedup();
    assert_eq!(claimed.len(), 30);
}

async fn a_postponed_event_waits_for_its_time(kind: Kind) {
    let contract = Contract::on(kind).await;
    let event = contract.pending(Leased::ToUs).await;
    contract.postpone(event, NOW.plus(SECOND), 2).await;
    let claim = |due_by| contract.store.claim_events(contract.sender, due_by, 0, 10);
    assert!(claim(NOW).await.expect("claimed").is_empty());
    let pending = contract.store.senders_with_pending().await.expect("read");
    assert_eq!(pending, [(contract.sender, NOW.plus(SECOND))]);
    let held = claim(NOW.plus(SECOND)).await.expect("claimed");
    assert_eq!((held.len(), held[0].failures, held[0].run), (1, 2, 1));
    assert_eq!(contract.store.senders_with_pending().await.expect("read"), []);
}

/// Activation put every held event back to work in one UPDATE: with half a million of them, every write of the node stood
/// still for seconds.
async fn held_events_are_claimed_once_what_held_them_has_changed(kind: Kind) {
    let contract = Contract::on(kind).await;
    let (first, second) = (contract.held(contract.sender, 5).await, contract.held(contract.sender, 5).await);
    let newer = contract.held(contract.sender, 8).await;
    let others = contract.held(contract.other_sender, 5).await;
    let held = contract.store.senders_with_held().await.expect("read");
    assert_eq!(
        held.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        [(contract.sender, 5), (contract.other_sender, 5)].into()
    );
    let claim = |held_below| contract.store.claim_events(contract.sender, NOW, held_below, 10);
    assert!(claim(5).await.expect("claimed").is_empty(), "what held them is still in force");
    let claimed = claim(8).await.expect("claimed");
    let mut expected = [first, second];
    expected.sort_unstable();
    assert_eq!(claimed.iter().map(|held| held.event.id).collect::<Vec<_>>(), expected);
    assert!(claimed.iter().all(|held| held.run == 2), "the next decision is the second");
    assert_eq!(
        (
            contract.state(first).await,
            contract.state(newer).await,
            contract.state(others).await
        ),
        (EventState::Pending, EventState::Held, EventState::Held)
    );
    let (other, _lanes) = contract.other_node().await;
    assert!(other.claim_events(contract.sender, NOW, 8, 10).await.expect("claimed").is_empty());
}

/// The same story, from the other side: here the database refuses the write.
async fn an_activation_writes_no_row_of_a_held_event(kind: Kind) {
    let contract = Contract::on(kind).await;
    let held = contract.held(contract.sender, 1).await;
    let refusal = match kind {
        Kind::Sqlite => "CREATE TRIGGER refusal BEFORE UPDATE ON route_work BEGIN SELECT RAISE(ABORT, 'it was written'); END",
        Kind::Postgres => {
            "CREATE FUNCTION refusal() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'it was written'; END $$; \
             CREATE TRIGGER refusal BEFORE UPDATE ON route_work FOR EACH ROW EXECUTE FUNCTION refusal()"
        }
    };
    contract.spoil(refusal.to_owned()).await;
    let wasm = b"a module";
    let version = ContentHash::of(wasm);
    let plugin = PluginId::new_v7(NOW, [7; 10]);
    let activated = contract
        .store
        .activate_plugin(plugin, contract.tenant, "router", version, wasm, NOW)
        .await;
    let activated = activated.expect("nothing of the backlog is written");
    assert_eq!(contract.state(held).await, EventState::Held);
    let claimed = contract.store.claim_events(contract.sender, NOW, activated.revision, 1).await;
    assert!(claimed.is_err(), "the trigger does refuse: a claim writes the row");
}

async fn a_claim_takes_held_events_first_and_no_more_than_asked(kind: Kind) {
    let contract = Contract::on(kind).await;
    let held = contract.held(contract.sender, 1).await;
    let mut pending = Vec::new();
    for _ in 0..3 {
        pending.push(contract.pending(Leased::ToNobody).await);
    }
    let claimed = contract.store.claim_events(contract.sender, NOW, 2, 2).await.expect("claimed");
    assert_eq!(claimed.len(), 2);
    assert_eq!(claimed[0].event.id, held);
    assert!(pending.contains(&claimed[1].event.id));
}

async fn released_work_can_be_claimed_at_once(kind: Kind) {
    let contract = Contract::on(kind).await;
    let one = contract.delivery(some_endpoint(), NOW, Leased::ToUs);
    let (id, endpoint) = (one.id, one.endpoint);
    contract.routed(vec![one]).await;
    let event = contract.pending(Leased::ToUs).await;
    let (other, _lanes) = contract.other_node().await;
    other.release_deliveries(&[id]).await.expect("answered");
    other.release_events(&[event]).await.expect("answered");
    assert_eq!(
        leased(&contract.store).await,
        (vec![event], vec![id]),
        "another node releases nothing of ours"
    );
    contract.store.release_deliveries(&[id]).await.expect("released");
    contract.store.release_events(&[event]).await.expect("released");
    assert_eq!(
        ids(&other.claim_deliveries(endpoint, NOW, 1, u64::MAX).await.expect("claimed")),
        [id]
    );
    assert_eq!(
        other.claim_events(contract.sender, NOW, 0, 1).await.expect("claimed")[0].event.id,
        event
    );
}

async fn waiting_endpoints_are_named_when_their_work_is_due(kind: Kind) {
    let contract = Contract::on(kind).await;
    assert_eq!(contract.store.waiting_endpoints(NOW).await.expect("read"), Waiting::Later(None));
    let mut expected = Vec::new();
    for index in 0..150_u32 {
        let endpoint = some_endpoint();
        // Every third has leased work only, every fifth work that is due later.
        let leased = if index % 3 == 0 { Leased::ToUs } else { Leased::ToNobody };
        let due_at = if index % 5 == 0 {
            NOW.plus(SECOND)
        } else {
            NOW.minus(SECOND * index)
        };
        if index % 3 != 0 && index % 5 != 0 {
            expected.push(endpoint);
        }
        contract.routed(vec![contract.delivery(endpoint, due_at, leased)]).await;
    }
    let early = NOW.minus(SECOND * 200);
    assert_eq!(
        contract.store.waiting_endpoints(early).await.expect("read"),
        Waiting::Later(Some(NOW.minus(SECOND * 149)))
    );
    expected.sort_unstable();
    assert_eq!(contract.store.waiting_endpoints(NOW).await.expect("read"), Waiting::Due(expected));
}

/// With thousands of due deliveries the endpoints are stepped through instead; each is still found with its first due time.
async fn waiting_endpoints_are_all_found_behind_a_large_backlog(kind: Kind) {
    let contract = Contract::on(kind).await;
    let (dead, healthy, later) = (some_endpoint(), some_endpoint(), some_endpoint());
    let backlog = (0..2_500)
        .map(|_| contract.delivery(dead, NOW.minus(LEASE), Leased::ToNobody))
        .collect();
    contract.routed(backlog).await;
    contract.routed(vec![contract.delivery(healthy, NOW, Leased::ToNobody)]).await;
    contract
        .routed(vec![contract.delivery(later, NOW.plus(SECOND), Leased::ToNobody)])
        .await;
    let Waiting::All(mut found) = contract.store.waiting_endpoints(NOW).await.expect("read") else {
        panic!("all endpoints are stepped through")
    };
    let mut expected = vec![(dead, NOW.minus(LEASE)), (healthy, NOW), (later, NOW.plus(SECOND))];
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

/// Nothing wrote `cancelled`: a deleted endpoint's backlog waited for ever.
async fn a_backlog_is_cancelled_in_chunks(kind: Kind) {
    let contract = Contract::on(kind).await;
    let endpoint = some_endpoint();
    let backlog = (0..25).map(|_| contract.delivery(endpoint, NOW, Leased::ToNobody)).collect();
    contract.routed(backlog).await;
    contract.routed(vec![contract.delivery(endpoint, NOW, Leased::ToUs)]).await;
    contract
        .routed(vec![contract.delivery(some_endpoint(), NOW, Leased::ToNobody)])
        .await;
    let mut chunks = Vec::new();
    loop {
        let cancelled = contract.store.cancel_waiting(endpoint, 10, NOW).await.expect("cancelled");
        chunks.push(cancelled);
        if cancelled < 10 {
            break;
        }
    }
    assert_eq!(chunks, [10, 10, 5]);
    let (_, deliveries) = contract.database.counts().await;
    assert_eq!(deliveries, [("cancelled".to_owned(), 25), ("waiting".to_owned(), 2)]);
}
