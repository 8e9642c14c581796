//! Deciding: an event's decision and its deliveries appear together or not at all (R1).

use super::contract::*;

on_both_databases!(
    a_decision_and_its_deliveries_appear_together,
    a_batch_of_two_tenants_keeps_their_deliveries_apart,
    a_second_decision_changes_nothing,
    two_decisions_in_one_batch_keep_the_first_alone,
    a_decision_under_a_lost_lease_changes_nothing,
    a_refused_decision_leaves_no_trace,
);

async fn a_decision_and_its_deliveries_appear_together(kind: Kind) {
    let contract = Contract::on(kind).await;
    let event = contract.pending(Leased::ToUs).await;
    let mut first = contract.delivery(some_endpoint(), NOW, Leased::ToNobody);
    first.content = Some(1);
    first.headers = vec![("x-b".to_owned(), "2".to_owned()), ("x-a".to_owned(), "1".to_owned())];
    let second = contract.delivery(some_endpoint(), NOW.plus(SECOND), Leased::ToUs);
    let (endpoint, made) = (first.endpoint, [first.id, second.id]);
    let content = |body: &'static [u8]| NewContent {
        content_type: "text/plain".to_owned(),
        body: Bytes::from_static(body),
    };
    let decision = Decided {
        contents: vec![content(b"unused"), content(b"made \xff")],
        ..routed(vec![first, second])
    };
    assert!(contract.decide(&contract.store, event, decision).await.expect("decided"));
    let view = contract.store.event(Scope::Operator, event).await.expect("read").expect("there");
    assert_eq!(
        (view.state, view.decision.as_ref().and_then(|decision| decision.detail.as_deref())),
        (EventState::Routed, Some("{\"by\":\"test\"}"))
    );
    assert_eq!(leased(&contract.store).await, (vec![], vec![made[1]]));
    let claimed = contract.store.claim_deliveries(endpoint, NOW, 10, u64::MAX).await.expect("claimed");
    assert_eq!(ids(&claimed), [made[0]]);
    assert_eq!((claimed[0].content_type.as_str(), claimed[0].event), ("text/plain", event));
    assert!(matches!(&claimed[0].body, Body::Here(body) if &body[..] == b"made \xff"));
    assert_eq!(
        claimed[0].headers,
        [("x-b".to_owned(), "2".to_owned()), ("x-a".to_owned(), "1".to_owned())]
    );
    assert_eq!(
        (claimed[0].attempts, claimed[0].attempts_max, claimed[0].attempts_before),
        (0, 3, 0)
    );
    let body = contract.store.delivery_body(made[1]).await.expect("read").expect("there");
    assert_eq!(&body[..], b"{\"n\":1}");
}

async fn a_batch_of_two_tenants_keeps_their_deliveries_apart(kind: Kind) {
    let contract = Contract::on(kind).await;
    let rows = contract.store.configuration_since(0).await.expect("the configuration is read");
    let of = |tenant| {
        let endpoint = rows
            .endpoints
            .rows
            .iter()
            .find(|row| row.tenant == tenant && row.url.ends_with("/one"))
            .map(|row| row.id);
        let event = Event {
            tenant,
            ..contract.event()
        };
        let delivery = contract.delivery(endpoint.expect("there is one"), NOW, Leased::ToNobody);
        (event, delivery)
    };
    let mut expected = Vec::new();
    let mut answers = Vec::new();
    let mut pending = Vec::new();
    for (tenant, name) in [(contract.tenant, "acme"), (contract.other_tenant, "beta")] {
        let (event, delivery) = of(tenant);
        expected.push((delivery.id, event.id, name.to_owned()));
        answers.push(hand_over(&contract.store, event, Some(routed(vec![delivery])), Leased::ToNobody));
        let (event, delivery) = of(tenant);
        expected.push((delivery.id, event.id, name.to_owned()));
        pending.push((named(event.id, tenant), delivery));
        answers.push(hand_over(&contract.store, event, None, Leased::ToUs));
    }
    for answer in answers {
        assert_eq!(answer.await.expect("answered").expect("accepted"), Accepted::New);
    }
    let decisions: Vec<_> = pending
        .into_iter()
        .map(|(event, delivery)| hand_decision(&contract.store, &event, routed(vec![delivery])))
        .collect();
    for decision in decisions {
        assert_eq!(decision.await.expect("answered").expect("decided"), DecideOutcome::Decided);
    }
    for (delivery, event, tenant) in expected {
        let view = contract
            .store
            .delivery(Scope::Operator, delivery)
            .await
            .expect("read")
            .expect("there");
        assert_eq!((view.event, view.tenant, view.endpoint.as_str()), (event, tenant, "one"));
    }
}

async fn a_second_decision_changes_nothing(kind: Kind) {
    let contract = Contract::on(kind).await;
    let event = contract.pending(Leased::ToUs).await;
    assert!(
        contract
            .decide(&contract.store, event, decided(EventState::Dropped))
            .await
            .expect("decided")
    );
    let late = contract.delivery(some_endpoint(), NOW, Leased::ToNobody);
    let late_id = late.id;
    assert!(!contract.decide(&contract.store, event, routed(vec![late])).await.expect("answered"));
    assert_eq!(contract.state(event).await, EventState::Dropped);
    assert!(contract.store.delivery(Scope::Operator, late_id).await.expect("read").is_none());
}

async fn two_decisions_in_one_batch_keep_the_first_alone(kind: Kind) {
    let contract = Contract::on(kind).await;
    let before = contract.pending(Leased::ToUs).await;
    let event = contract.pending(Leased::ToUs).await;
    let large = Decided {
        contents: vec![NewContent {
            content_type: "text/plain".to_owned(),
            body: vec![0; 4 << 20].into(),
        }],
        ..decided(EventState::Dropped)
    };
    // While this one is written, the two that follow gather into one batch.
    let first_of_all = hand_decision(&contract.store, &named(before, contract.tenant), large);
    let deliveries = [0, 1].map(|_| contract.delivery(some_endpoint(), NOW, Leased::ToNobody));
    let expected = deliveries[0].id;
    let answers = deliveries.map(|one| hand_decision(&contract.store, &named(event, contract.tenant), routed(vec![one])));
    assert_eq!(first_of_all.await.expect("answered").expect("decided"), DecideOutcome::Decided);
    let mut outcomes = Vec::new();
    for answer in answers {
        outcomes.push(answer.await.expect("answered").expect("decided"));
    }
    assert_eq!(outcomes, [DecideOutcome::Decided, DecideOutcome::LeaseLost]);
    assert!(contract.store.delivery_body(expected).await.expect("read").is_some());
    let (_, by_state) = contract.database.counts().await;
    assert_eq!(by_state, [("waiting".to_owned(), 1)]);
}

async fn a_decision_under_a_lost_lease_changes_nothing(kind: Kind) {
    let contract = Contract::on(kind).await;
    let event = contract.pending(Leased::ToUs).await;
    contract.store.release_events(&[event]).await.expect("released");
    let late = contract.delivery(some_endpoint(), NOW, Leased::ToNobody);
    let late_id = late.id;
    assert!(!contract.decide(&contract.store, event, routed(vec![late])).await.expect("answered"));
    assert_eq!(contract.state(event).await, EventState::Pending);
    assert!(contract.store.delivery_body(late_id).await.expect("read").is_none());
    let (other, _lanes) = contract.other_node().await;
    assert_eq!(other.claim_events(contract.sender, NOW, 0, 10).await.expect("claimed").len(), 1);
    assert!(
        !contract
            .decide(&contract.store, event, decided(EventState::Dropped))
            .await
            .expect("answered")
    );
    assert!(contract.decide(&other, event, decided(EventState::Dropped)).await.expect("decided"));
}

async fn a_refused_decision_leaves_no_trace(kind: Kind) {
    let contract = Contract::on(kind).await;
    let event = contract.pending(Leased::ToUs).await;
    let twice = contract.delivery(some_endpoint(), NOW, Leased::ToNobody);
    let deliveries = vec![twice.clone(), twice];
    let outcome = contract.decide(&contract.store, event, routed(deliveries)).await;
    assert!(matches!(outcome, Err(Error::Taken(_))), "{outcome:?}");
    assert_eq!(contract.state(event).await, EventState::Pending);
    assert_eq!(contract.database.counts().await.1, []);
    assert!(
        contract
            .decide(&contract.store, event, decided(EventState::Dropped))
            .await
            .expect("decided")
    );
}
