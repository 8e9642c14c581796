//! Replay: what ended without success starts over, what waits comes forward.

use super::contract::*;

on_both_databases!(replay_starts_over_and_goes_on_counting, replay_brings_a_waiting_delivery_forward,);

async fn replay_starts_over_and_goes_on_counting(kind: Kind) {
    let contract = Contract::on(kind).await;
    let endpoint = some_endpoint();
    let one = contract.delivery(endpoint, NOW, Leased::ToUs);
    let id = one.id;
    let event = contract.routed(vec![one]).await;
    assert!(
        contract.store.replay_delivery(Scope::Operator, id, NOW).await.expect("answered") == 0,
        "it is still waiting"
    );
    assert!(
        settle(&contract.store, result(id, 1, DeliveryState::Exhausted, NOW))
            .await
            .expect("settled")
    );
    let later = NOW.plus(SECOND);
    assert!(contract.store.replay_delivery(Scope::Operator, id, later).await.expect("replayed") == 1);
    let claimed = contract
        .store
        .claim_deliveries(endpoint, later, 1, u64::MAX)
        .await
        .expect("claimed");
    assert_eq!((claimed[0].attempts, claimed[0].attempts_before, claimed[0].due_at), (1, 1, later));
    assert!(
        !settle(&contract.store, result(id, 1, DeliveryState::Delivered, NOW))
            .await
            .expect("answered")
    );
    assert!(
        settle(&contract.store, result(id, 2, DeliveryState::Rejected, NOW))
            .await
            .expect("settled")
    );
    assert_eq!(contract.attempt_numbers(id).await, [1, 2]);
    assert_eq!(
        contract.store.replay_event(Scope::Operator, event, later).await.expect("replayed"),
        1
    );
    let claimed = contract
        .store
        .claim_deliveries(endpoint, later, 1, u64::MAX)
        .await
        .expect("claimed");
    assert!(
        settle(&contract.store, result(claimed[0].id, 3, DeliveryState::Delivered, NOW))
            .await
            .expect("settled")
    );
    assert_eq!(
        contract.store.replay_event(Scope::Operator, event, later).await.expect("answered"),
        0,
        "what was delivered stays so"
    );
    let held = contract.held(contract.sender, 1).await;
    assert_eq!(
        contract.store.replay_event(Scope::Operator, held, later).await.expect("replayed"),
        1
    );
    assert_eq!(contract.state(held).await, EventState::Pending);
}

async fn replay_brings_a_waiting_delivery_forward(kind: Kind) {
    let contract = Contract::on(kind).await;
    let endpoint = some_endpoint();
    let one = contract.delivery(endpoint, NOW, Leased::ToUs);
    let delayed = contract.delivery(some_endpoint(), NOW.plus(60 * SECOND), Leased::ToNobody);
    let (id, delayed_id) = (one.id, delayed.id);
    let event = contract.routed(vec![one, delayed]).await;
    let retry_at = NOW.plus(60 * SECOND);
    assert!(
        settle(&contract.store, result(id, 1, DeliveryState::Waiting, retry_at))
            .await
            .expect("settled")
    );
    let now = NOW.plus(SECOND);
    assert!(
        contract
            .store
            .claim_deliveries(endpoint, now, 1, u64::MAX)
            .await
            .expect("claimed")
            .is_empty()
    );
    assert_eq!(contract.store.replay_delivery(Scope::Operator, id, now).await.expect("replayed"), 1);
    assert_eq!(
        contract.store.replay_event(Scope::Operator, event, now).await.expect("answered"),
        0,
        "it is due already"
    );
    let claimed = contract.store.claim_deliveries(endpoint, now, 1, u64::MAX).await.expect("claimed");
    assert_eq!((claimed[0].attempts, claimed[0].attempts_before, claimed[0].due_at), (1, 0, now));
    assert!(
        contract.store.replay_delivery(Scope::Operator, id, NOW).await.expect("answered") == 0,
        "what is under way is left alone"
    );
    assert!(
        settle(&contract.store, result(id, 2, DeliveryState::Waiting, retry_at))
            .await
            .expect("settled")
    );
    assert_eq!(
        contract.store.replay_event(Scope::Operator, event, now).await.expect("replayed"),
        1,
        "a delay the plugin decided on is kept"
    );
    assert_eq!(
        contract
            .store
            .replay_delivery(Scope::Operator, delayed_id, now)
            .await
            .expect("replayed"),
        1
    );
}
