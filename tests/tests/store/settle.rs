//! Settling: attempts count without gaps, and a late result changes nothing (D1, D2).

use super::contract::*;

on_both_databases!(
    attempts_number_from_one_without_gaps,
    a_result_from_a_lost_lease_changes_nothing,
    a_result_reported_twice_counts_once,
);

async fn attempts_number_from_one_without_gaps(kind: Kind) {
    let contract = Contract::on(kind).await;
    let endpoint = some_endpoint();
    let one = contract.delivery(endpoint, NOW, Leased::ToUs);
    let id = one.id;
    contract.routed(vec![one]).await;
    assert!(
        !settle(&contract.store, result(id, 2, DeliveryState::Waiting, NOW))
            .await
            .expect("answered"),
        "a gap is refused"
    );
    assert!(
        settle(&contract.store, result(id, 1, DeliveryState::Waiting, NOW))
            .await
            .expect("settled")
    );
    assert!(
        !settle(&contract.store, result(id, 2, DeliveryState::Waiting, NOW))
            .await
            .expect("answered"),
        "settling gives the lease back"
    );
    let claimed = contract.store.claim_deliveries(endpoint, NOW, 1, u64::MAX).await.expect("claimed");
    assert_eq!((ids(&claimed), claimed[0].attempts), (vec![id], 1));
    assert!(
        settle(&contract.store, result(id, 2, DeliveryState::Delivered, NOW))
            .await
            .expect("settled")
    );
    assert_eq!(contract.attempt_numbers(id).await, [1, 2]);
    let attempts = contract.store.attempts(Scope::Operator, id).await.expect("read");
    assert_eq!((attempts[0].status, attempts[0].error.as_deref()), (Some(503), None));
    assert_eq!(attempts[0].response.as_deref(), Some(&b"busy \x00\xff"[..]));
    assert!(
        contract
            .store
            .claim_deliveries(endpoint, NOW.plus(LEASE), 1, u64::MAX)
            .await
            .expect("claimed")
            .is_empty()
    );
}

async fn a_result_from_a_lost_lease_changes_nothing(kind: Kind) {
    let contract = Contract::on(kind).await;
    let endpoint = some_endpoint();
    let one = contract.delivery(endpoint, NOW, Leased::ToUs);
    let id = one.id;
    contract.routed(vec![one]).await;
    contract.store.release_deliveries(&[id]).await.expect("released");
    assert!(
        !settle(&contract.store, result(id, 1, DeliveryState::Delivered, NOW))
            .await
            .expect("answered")
    );
    let (other, _lanes) = contract.other_node().await;
    assert_eq!(
        ids(&other.claim_deliveries(endpoint, NOW, 1, u64::MAX).await.expect("claimed")),
        [id]
    );
    assert!(
        !settle(&contract.store, result(id, 1, DeliveryState::Delivered, NOW))
            .await
            .expect("answered")
    );
    assert!(contract.attempt_numbers(id).await.is_empty());
    assert!(settle(&other, result(id, 1, DeliveryState::Exhausted, NOW)).await.expect("settled"));
    assert!(
        !settle(&contract.store, result(id, 1, DeliveryState::Delivered, NOW))
            .await
            .expect("answered")
    );
    assert_eq!(contract.attempt_numbers(id).await, [1]);
    assert_eq!(contract.database.counts().await.1, [("exhausted".to_owned(), 1)]);
}

async fn a_result_reported_twice_counts_once(kind: Kind) {
    let contract = Contract::on(kind).await;
    let made: Vec<_> = (0..20).map(|_| contract.delivery(some_endpoint(), NOW, Leased::ToUs)).collect();
    let made_ids: Vec<_> = made.iter().map(|one| one.id).collect();
    contract.routed(made).await;
    let mut answers = Vec::new();
    for id in &made_ids {
        for _ in 0..2 {
            answers.push(hand_settle(&contract.store, result(*id, 1, DeliveryState::Delivered, NOW)).await);
        }
    }
    let mut changed = Vec::new();
    for answer in answers {
        changed.push(answer.await.expect("answered").expect("settled"));
    }
    assert_eq!(changed, [SettleOutcome::Settled, SettleOutcome::LeaseLost].repeat(20));
    for id in made_ids {
        assert_eq!(contract.attempt_numbers(id).await, [1]);
    }
}
