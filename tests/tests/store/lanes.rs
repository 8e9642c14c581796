//! Group commit and the schema: batches under load, refused writes, a closing store, migrations.

use super::contract::*;

on_both_databases!(
    a_thousand_concurrent_events_are_all_answered_and_kept,
    one_refused_write_fails_alone,
    what_was_handed_over_is_written_before_the_lanes_end,
    migrating_twice_changes_nothing,
    a_newer_schema_is_refused_with_what_to_do,
);

async fn a_thousand_concurrent_events_are_all_answered_and_kept(kind: Kind) {
    let contract = Contract::on(kind).await;
    let handed: Vec<_> = (0..1_000)
        .map(|_| {
            let event = contract.event();
            let one = contract.delivery(some_endpoint(), NOW, Leased::ToNobody);
            (
                event.id,
                hand_over(&contract.store, event, Some(routed(vec![one])), Leased::ToNobody),
            )
        })
        .collect();
    for (id, answer) in handed {
        assert_eq!(answer.await.expect("answered").expect("accepted"), Accepted::New);
        assert!(contract.store.payload(Scope::Operator, id).await.expect("read").is_some());
    }
    let (events, deliveries) = contract.database.counts().await;
    assert_eq!(
        (events, deliveries),
        (vec![("routed".to_owned(), 1_000)], vec![("waiting".to_owned(), 1_000)])
    );
}

async fn one_refused_write_fails_alone(kind: Kind) {
    let contract = Contract::on(kind).await;
    let handed: Vec<_> = (0..100)
        .map(|index| {
            let mut deliveries = vec![contract.delivery(some_endpoint(), NOW, Leased::ToNobody)];
            if index == 50 {
                deliveries.push(deliveries[0].clone());
            }
            let event = contract.event();
            (
                event.id,
                hand_over(&contract.store, event, Some(routed(deliveries)), Leased::ToNobody),
            )
        })
        .collect();
    for (index, (id, answer)) in handed.into_iter().enumerate() {
        let answer = answer.await.expect("answered");
        let kept = contract.store.event(Scope::Operator, id).await.expect("read").is_some();
        assert_eq!((answer.is_ok(), kept), (index != 50, index != 50), "write {index}: {answer:?}");
    }
    assert_eq!(contract.database.counts().await.1, [("waiting".to_owned(), 99)]);
}

async fn what_was_handed_over_is_written_before_the_lanes_end(kind: Kind) {
    let contract = Contract::on(kind).await;
    let made: Vec<_> = (0..50).map(|_| contract.delivery(some_endpoint(), NOW, Leased::ToUs)).collect();
    let made_ids: Vec<_> = made.iter().map(|one| one.id).collect();
    contract.routed(made).await;
    let mut answers = Vec::new();
    for id in &made_ids {
        answers.push(hand_settle(&contract.store, result(*id, 1, DeliveryState::Delivered, NOW)).await);
    }
    let reader = contract.store.without_lanes();
    drop(contract.store);
    contract.lanes.finished(PATIENCE).await;
    assert_eq!(contract.database.counts().await.1, [("delivered".to_owned(), 50)]);
    for answer in answers {
        assert_eq!(answer.await.expect("answered").expect("settled"), SettleOutcome::Settled);
    }
    let refused = reader.claim_events(contract.sender, NOW, 0, 1).await;
    assert!(matches!(refused, Err(Error::Closed)), "{refused:?}");
}

async fn migrating_twice_changes_nothing(kind: Kind) {
    let contract = Contract::on(kind).await;
    let event = contract.pending(Leased::ToNobody).await;
    let (first, second) = tokio::join!(contract.database.open(NOW), contract.database.open(NOW));
    for store in [first, second] {
        assert!(store.event(Scope::Operator, event).await.expect("read").is_some());
    }
}

async fn a_newer_schema_is_refused_with_what_to_do(kind: Kind) {
    let contract = Contract::on(kind).await;
    contract
        .spoil("INSERT INTO schema_migration (version, name, checksum, applied_at) VALUES (9999, 'future', '', 0)".to_owned())
        .await;
    let opened = Box::pin(Store::open(
        &contract.database.location(),
        Store::new_node_id(NOW),
        hookyard_tests::database::seal_key(),
        NOW,
    ))
    .await;
    let problem = opened.map(drop).expect_err("an older binary must not run on it").to_string();
    assert!(
        problem.contains("migration 9999") && problem.contains("use the newer hookyard"),
        "{problem}"
    );
}
