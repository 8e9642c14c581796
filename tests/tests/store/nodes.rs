//! Nodes: a dead one's work is taken over.

use super::contract::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_nodes_work_is_taken_over_on_postgres() {
    let contract = Contract::on(Kind::Postgres).await;
    let one = contract.delivery(some_endpoint(), NOW, Leased::ToUs);
    let (id, endpoint) = (one.id, one.endpoint);
    contract.routed(vec![one]).await;
    let event = contract.pending(Leased::ToUs).await;
    let (other, _lanes) = contract.other_node().await;
    other.register_node(NOW, LEASE).await.expect("registered");
    assert_eq!(other.keep_alive(NOW.plus(LEASE), LEASE).await.expect("alive"), Liveness::Alive);
    assert!(
        other
            .claim_deliveries(endpoint, NOW, 1, u64::MAX)
            .await
            .expect("claimed")
            .is_empty(),
        "a node lives to the last microsecond of its lease"
    );
    let late = NOW.plus(LEASE + Duration::from_micros(1));
    assert_eq!(other.keep_alive(late, LEASE).await.expect("alive"), Liveness::Alive);
    assert_eq!(
        ids(&other.claim_deliveries(endpoint, NOW, 1, u64::MAX).await.expect("claimed")),
        [id]
    );
    assert_eq!(
        other.claim_events(contract.sender, NOW, 0, 1).await.expect("claimed")[0].event.id,
        event
    );
    assert_eq!(
        contract.store.keep_alive(late, LEASE).await.expect("answered"),
        Liveness::DeclaredDead
    );
    assert!(
        !settle(&contract.store, result(id, 1, DeliveryState::Delivered, NOW))
            .await
            .expect("answered")
    );
    contract.store.register_node(late, LEASE).await.expect("a node may start over");
    assert_eq!(contract.store.keep_alive(late, LEASE).await.expect("alive"), Liveness::Alive);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_former_runs_work_is_taken_over_at_once_on_sqlite() {
    let contract = Contract::on(Kind::Sqlite).await;
    let one = contract.delivery(some_endpoint(), NOW, Leased::ToUs);
    let (id, endpoint) = (one.id, one.endpoint);
    contract.routed(vec![one]).await;
    let event = contract.pending(Leased::ToUs).await;
    let (next_run, _lanes) = contract.other_node().await;
    assert!(
        next_run
            .claim_deliveries(endpoint, NOW, 1, u64::MAX)
            .await
            .expect("claimed")
            .is_empty()
    );
    next_run.register_node(NOW, LEASE).await.expect("registered");
    assert_eq!(
        ids(&next_run.claim_deliveries(endpoint, NOW, 1, u64::MAX).await.expect("claimed")),
        [id]
    );
    assert_eq!(
        next_run.claim_events(contract.sender, NOW, 0, 1).await.expect("claimed")[0]
            .event
            .id,
        event
    );
}
