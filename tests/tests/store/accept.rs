//! Accepting: what is kept, and what an idempotency key finds (A1, A2).

use hookyard_domain::ContentHash;

use super::contract::*;

on_both_databases!(
    an_event_is_kept_with_all_it_came_with,
    a_large_payload_and_odd_bytes_come_back_byte_for_byte,
    same_key_with_other_body_returns_the_first_event,
    two_tenants_may_use_one_key,
    a_batch_of_one_key_keeps_one_event,
    progress_counts_deliveries_by_how_far_they_are,
    a_key_counts_again_when_its_time_is_over,
    keys_of_different_scopes_never_meet,
    a_repeat_brings_the_first_requests_fingerprint,
);

async fn an_event_is_kept_with_all_it_came_with(kind: Kind) {
    let contract = Contract::on(kind).await;
    let event = contract.event_with_key("k-1");
    let id = event.id;
    assert_eq!(
        accept(&contract.store, event, None, Leased::ToNobody).await.expect("accepted"),
        Accepted::New
    );
    let view = contract.store.event(Scope::Operator, id).await.expect("read").expect("there");
    assert_eq!(
        (view.tenant.as_str(), view.source_kind.as_str(), view.source_name.as_deref()),
        ("acme", "sender", Some("github"))
    );
    assert_eq!((view.event_type.as_str(), view.content_type.as_str()), ("push", "application/json"));
    assert_eq!((view.state, view.accepted_at, view.payload_bytes), (EventState::Pending, NOW, 7));
    assert_eq!(view.idempotency_key.as_deref(), Some("k-1"));
    let held = contract.store.claim_events(contract.sender, NOW, 0, 10).await.expect("claimed");
    assert_eq!(held.len(), 1);
    assert_eq!(held[0].event.headers, contract.event().headers);
    assert_eq!(&held[0].event.payload[..], b"{\"n\":1}");
    assert_eq!((held[0].event.tenant, held[0].failures), (contract.tenant, 0));
}

async fn a_large_payload_and_odd_bytes_come_back_byte_for_byte(kind: Kind) {
    let contract = Contract::on(kind).await;
    let mut large = vec![0_u8; 8 << 20];
    large
        .iter_mut()
        .enumerate()
        .for_each(|(index, byte)| *byte = (index * 31 % 256) as u8);
    let every_byte: Vec<u8> = (0..=255).collect();
    for payload in [large, every_byte, Vec::new()] {
        let event = Event {
            payload: payload.clone().into(),
            ..contract.event()
        };
        let id = event.id;
        let to = contract.delivery(some_endpoint(), NOW, Leased::ToNobody);
        let delivery = to.id;
        accept(&contract.store, event, Some(routed(vec![to])), Leased::ToNobody)
            .await
            .expect("accepted");
        assert!(contract.store.payload(Scope::Operator, id).await.expect("read").expect("there") == payload);
        assert!(contract.store.delivery_body(delivery).await.expect("read").expect("there")[..] == payload[..]);
    }
}

async fn same_key_with_other_body_returns_the_first_event(kind: Kind) {
    let contract = Contract::on(kind).await;
    let first = contract.event_with_key("k");
    let id = first.id;
    let to = contract.delivery(some_endpoint(), NOW, Leased::ToNobody);
    accept(&contract.store, first, Some(routed(vec![to])), Leased::ToNobody)
        .await
        .expect("accepted");
    let second = Event {
        payload: Bytes::from_static(b"other"),
        ..contract.event_with_key("k")
    };
    let second_id = second.id;
    let late = contract.delivery(some_endpoint(), NOW, Leased::ToNobody);
    let late_id = late.id;
    let answer = accept(&contract.store, second, Some(routed(vec![late])), Leased::ToNobody).await;
    let Ok(Accepted::Existing(Existing { progress, .. })) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!((progress.event, progress.accepted_at, progress.fresh), (id, NOW, 1));
    assert!(contract.store.event(Scope::Operator, second_id).await.expect("read").is_none());
    assert!(contract.store.delivery(Scope::Operator, late_id).await.expect("read").is_none());
    let asked = contract.existing("k").await.expect("there").progress;
    assert_eq!(asked, progress);
    assert!(contract.existing("K").await.is_none());
}

async fn two_tenants_may_use_one_key(kind: Kind) {
    let contract = Contract::on(kind).await;
    let other = Event {
        tenant: contract.other_tenant,
        source: Source::Sender(contract.other_sender),
        ..contract.event_with_key("k")
    };
    let ours = contract.event_with_key("k");
    for event in [ours, other] {
        assert_eq!(
            accept(&contract.store, event, None, Leased::ToNobody).await.expect("accepted"),
            Accepted::New
        );
    }
    assert_eq!(contract.events().await, 2);
}

async fn a_batch_of_one_key_keeps_one_event(kind: Kind) {
    let contract = Contract::on(kind).await;
    let answers: Vec<_> = (0..300)
        .map(|_| {
            let event = contract.event_with_key("k");
            (event.id, hand_over(&contract.store, event, None, Leased::ToNobody))
        })
        .collect();
    let mut new = Vec::new();
    let mut existing = Vec::new();
    for (id, answer) in answers {
        match answer.await.expect("answered").expect("accepted") {
            Accepted::New => new.push(id),
            Accepted::Existing(Existing { progress, .. }) => existing.push(progress.event),
        }
    }
    assert_eq!((new.len(), existing.len()), (1, 299));
    assert!(existing.iter().all(|id| *id == new[0]));
    assert_eq!(contract.events().await, 1);
}

async fn progress_counts_deliveries_by_how_far_they_are(kind: Kind) {
    let contract = Contract::on(kind).await;
    let ends = [
        None,
        Some(DeliveryState::Waiting),
        Some(DeliveryState::Delivered),
        Some(DeliveryState::Rejected),
        Some(DeliveryState::Exhausted),
    ];
    let deliveries: Vec<_> = ends.iter().map(|_| contract.delivery(some_endpoint(), NOW, Leased::ToUs)).collect();
    let made: Vec<_> = deliveries.iter().map(|one| one.id).collect();
    let event = contract.event_with_key("k");
    accept(&contract.store, event, Some(routed(deliveries)), Leased::ToNobody)
        .await
        .expect("accepted");
    for (id, end) in made.into_iter().zip(ends) {
        if let Some(state) = end {
            assert!(settle(&contract.store, result(id, 1, state, NOW)).await.expect("settled"));
        }
    }
    let progress = contract.existing("k").await.expect("there").progress;
    let counts = [
        progress.fresh,
        progress.retrying,
        progress.delivered,
        progress.rejected,
        progress.exhausted,
    ];
    assert_eq!(counts, [1; 5]);
}

/// Accepts an event under a claim.
async fn accept_under(contract: &Contract, claim: IdempotencyClaim, at: Timestamp) -> (EventId, Accepted) {
    let event = Event {
        idempotency_key: Some(claim.key.clone()),
        accepted_at: at,
        ..contract.event()
    };
    let id = event.id;
    let (answer, answered) = oneshot::channel();
    let done = Box::new(move |outcome| drop(answer.send(outcome)));
    let placement = Placement::Undecided { leased: Leased::ToNobody };
    contract.store.accept(Arc::new(event), Some(claim), placement, done);
    (id, answered.await.expect("answered").expect("accepted"))
}

fn claim(scope: &str, expires_at: Option<Timestamp>) -> IdempotencyClaim {
    IdempotencyClaim {
        scope: scope.to_owned(),
        key: "k".to_owned(),
        fingerprint: None,
        expires_at,
    }
}

async fn a_key_counts_again_when_its_time_is_over(kind: Kind) {
    let contract = Contract::on(kind).await;
    let over = NOW.plus(SECOND);
    let (first, answer) = accept_under(&contract, claim(SCOPE, Some(over)), NOW).await;
    assert_eq!(answer, Accepted::New);
    let (_, answer) = accept_under(&contract, claim(SCOPE, Some(over)), NOW).await;
    assert!(matches!(answer, Accepted::Existing(Existing { progress, .. }) if progress.event == first));
    let later = over.plus(SECOND);
    let (second, answer) = accept_under(&contract, claim(SCOPE, Some(later.plus(SECOND))), later).await;
    assert_eq!(answer, Accepted::New, "its time is over");
    let (_, answer) = accept_under(&contract, claim(SCOPE, Some(later)), later).await;
    assert!(matches!(answer, Accepted::Existing(Existing { progress, .. }) if progress.event == second));
    assert!(
        contract
            .store
            .existing(contract.tenant, SCOPE, "k", later.plus(SECOND))
            .await
            .expect("read")
            .is_none()
    );
    contract.store.forget_expired_keys(later).await.expect("forgotten");
    assert!(contract.existing("k").await.is_some(), "it has been renewed");
    assert_eq!(
        contract.store.forget_expired_keys(later.plus(SECOND)).await.expect("forgotten"),
        Forgotten::All
    );
    assert!(contract.existing("k").await.is_none(), "it is gone, whatever the time");
}

async fn keys_of_different_scopes_never_meet(kind: Kind) {
    let contract = Contract::on(kind).await;
    for scope in ["one", "two"] {
        assert_eq!(accept_under(&contract, claim(scope, None), NOW).await.1, Accepted::New);
    }
    assert_eq!(contract.events().await, 2);
}

async fn a_repeat_brings_the_first_requests_fingerprint(kind: Kind) {
    let contract = Contract::on(kind).await;
    let fingerprinted = |text: &str| IdempotencyClaim {
        fingerprint: Some(ContentHash::of(text.as_bytes())),
        ..claim(SCOPE, None)
    };
    assert_eq!(accept_under(&contract, fingerprinted("first"), NOW).await.1, Accepted::New);
    let (_, answer) = accept_under(&contract, fingerprinted("second"), NOW).await;
    let Accepted::Existing(existing) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(existing.fingerprint, Some(ContentHash::of(b"first")));
}
