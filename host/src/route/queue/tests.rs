//! The queue's rules, each on a queue of its own.

use std::sync::Arc;

use bytes::Bytes;
use hookyard_domain::{EnvironmentId, TenantId};
use uuid::Uuid;

use super::*;
use crate::store::{Event, Source};

const NOW: Timestamp = Timestamp::from_micros(1_000_000);

fn sender(n: u128) -> SenderId {
    SenderId::from_uuid(Uuid::from_u128(n))
}

fn id(n: usize) -> EventId {
    EventId::from_uuid(Uuid::from_u128(n as u128))
}

fn event(n: usize) -> Queued {
    let event = Event {
        id: id(n),
        tenant: TenantId::from_uuid(Uuid::nil()),
        environment: EnvironmentId::from_uuid(Uuid::nil()),
        source: Source::Sender(sender(0)),
        idempotency_key: None,
        event_type: String::new(),
        content_type: String::new(),
        headers: Vec::new(),
        payload: Bytes::new(),
        accepted_at: Timestamp::EPOCH,
    };
    Queued {
        held: HeldEvent {
            event: Arc::new(event),
            failures: 0,
            run: 1,
        },
        owner: Owner::Sender,
        overruns: 0,
    }
}

fn number(queued: &Queued) -> u128 {
    queued.held.event.id.as_uuid().as_u128()
}

/// Reserves as many of these as fit; answers how many.
fn fill(queue: &mut Queue, sender: SenderId, events: std::ops::Range<usize>, bytes: usize) -> usize {
    events.filter(|n| queue.reserve(sender, id(*n), bytes, NOW)).count()
}

#[test]
fn senders_take_turns() {
    let mut queue = Queue::new(3);
    for n in 0..3 {
        queue.push(sender(1), event(10 + n));
    }
    queue.push(sender(2), event(20));
    let order: Vec<u128> = std::iter::from_fn(|| queue.next()).map(|event| number(&event)).collect();
    assert_eq!(order, [10, 20, 11, 12]);
}

#[test]
fn a_sender_at_its_limit_is_stepped_over_until_a_run_ends() {
    let mut queue = Queue::new(1);
    queue.push(sender(1), event(10));
    queue.push(sender(1), event(11));
    queue.push(sender(2), event(20));
    assert_eq!(queue.next().map(|event| number(&event)), Some(10));
    assert!(queue.can_run());
    assert_eq!(queue.next().map(|event| number(&event)), Some(20));
    assert!(!queue.can_run());
    assert!(queue.next().is_none());
    queue.ran(sender(1));
    assert!(queue.can_run());
    assert_eq!(queue.next().map(|event| number(&event)), Some(11));
}

#[test]
fn a_sender_takes_no_more_than_its_share() {
    let mut queue = Queue::new(1);
    assert_eq!(fill(&mut queue, sender(1), 0..2_000, 1), PLACES_PER_SENDER);
    assert_eq!(queue.room(sender(1)), Room::Full);
    assert!(queue.reserve(sender(2), id(9_999), 1, NOW));
}

#[test]
fn a_sender_with_large_payloads_leaves_the_bytes_of_the_others_alone() {
    let mut queue = Queue::new(1);
    let taken = fill(&mut queue, sender(1), 0..1_000, 1024 * 1024);
    assert_eq!(taken, PAYLOAD_BYTES_PER_SENDER / (1024 * 1024));
    assert!(queue.reserve(sender(2), id(9_999), 1024 * 1024, NOW));
}

#[test]
fn payloads_are_bounded_but_one_always_fits() {
    let mut queue = Queue::new(1);
    assert!(queue.reserve(sender(1), id(1), 2 * PAYLOAD_BYTES_MAX, NOW));
    assert!(!queue.reserve(sender(1), id(2), 1024 * 1024, NOW));
    assert_eq!(queue.free(id(1)), Wake::Claimer, "room for what was left");
    assert!(queue.reserve(sender(1), id(2), 1024 * 1024, NOW));
}

/// Four senders with slow plugins once took every place, and a fifth waited for half of their events to be run.
#[test]
fn a_full_queue_still_has_places_for_a_sender_that_has_none() {
    let mut queue = Queue::new(1);
    let taken: usize = (0..10)
        .map(|n| fill(&mut queue, sender(n as u128), n * 1_000..(n + 1) * 1_000, 1))
        .sum();
    assert!(taken >= PLACES, "{taken}");
    assert_eq!(fill(&mut queue, sender(99), 99_000..100_000, 1), PLACES_GUARANTEED);
    assert_eq!(queue.room(sender(98)), Room::Places(PLACES_GUARANTEED));
}

/// The claimer slept up to a second after each fill, because room was told only to those who had failed to reserve.
#[test]
fn room_is_told_to_a_claimer_that_found_none() {
    let mut queue = Queue::new(1);
    for n in 0..PLACES_PER_SENDER {
        queue.take(sender(1), id(n), 1);
    }
    assert_eq!(queue.room(sender(1)), Room::Full);
    queue.leave(sender(1));
    let told: Vec<_> = (0..PLACES_PER_SENDER).filter(|n| queue.free(id(*n)) == Wake::Claimer).collect();
    assert_eq!(told, [PLACES_PER_SENDER / 2 - 1], "once, when half of the share is free");
}

#[test]
fn room_of_the_node_is_told_once_there_is_enough_for_a_claim() {
    let mut queue = Queue::new(1);
    for n in 0..PLACES_TO_CLAIM {
        queue.take(sender(n as u128 % 100), id(n), 1);
    }
    queue.take(sender(200), id(9_999), 1);
    for n in 0..PLACES_GUARANTEED {
        queue.take(sender(200), id(10_000 + n), 1);
    }
    assert_eq!(queue.room(sender(200)), Room::Full);
    queue.leave(sender(200));
    let told = (0..PLACES_TO_CLAIM).filter(|n| queue.free(id(*n)) == Wake::Claimer).count();
    assert_eq!(told, 1);
}

#[test]
fn an_event_left_in_the_table_calls_the_claimer_only_if_there_is_room() {
    let mut queue = Queue::new(1);
    fill(&mut queue, sender(1), 0..1_000, 1);
    assert_eq!(queue.left_in_table(sender(1), NOW), Wake::Nobody);
    // Freed after the place was refused and before the event was committed.
    for n in 0..PLACES_PER_SENDER {
        queue.free(id(n));
    }
    assert_eq!(queue.left_in_table(sender(1), NOW), Wake::Claimer);
}

/// A stopped plugin's backlog was claimed and given back at each back-off, a write each.
#[test]
fn a_stopped_senders_events_stay_in_the_table_until_its_time() {
    let mut queue = Queue::new(1);
    let later = Timestamp::from_micros(2_000_000);
    for n in 0..3 {
        assert!(queue.reserve(sender(1), id(n), 1, NOW));
        queue.push(sender(1), event(n));
    }
    let stopped = queue.stop(sender(1), later);
    assert_eq!(stopped.iter().map(number).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(!queue.can_run() && queue.next().is_none());
    assert!(!queue.reserve(sender(1), id(4), 1, NOW));
    assert_eq!(queue.left_in_table(sender(1), NOW), Wake::Nobody);
    assert!(queue.reserve(sender(1), id(4), 1, later));
    assert_eq!(queue.resume(sender(1)), Wake::Claimer);
    assert_eq!(queue.resume(sender(1)), Wake::Nobody);
    assert!(queue.reserve(sender(1), id(5), 1, NOW));
}

#[test]
fn a_sender_that_was_stopped_has_one_turn_and_not_two() {
    let mut queue = Queue::new(9);
    queue.push(sender(1), event(10));
    drop(queue.stop(sender(1), NOW));
    queue.resume(sender(1));
    queue.push(sender(1), event(11));
    queue.push(sender(1), event(12));
    queue.push(sender(2), event(20));
    let order: Vec<u128> = std::iter::from_fn(|| queue.next()).map(|event| number(&event)).collect();
    assert_eq!(order, [11, 20, 12]);
}

#[test]
fn nothing_is_kept_of_a_sender_without_events() {
    let mut queue = Queue::new(1);
    assert!(queue.reserve(sender(1), id(1), 1, NOW));
    queue.push(sender(1), event(1));
    assert!(queue.next().is_some());
    // The place may be freed before the thread is done, or after.
    queue.free(id(1));
    queue.ran(sender(1));
    assert!(queue.senders.is_empty() && queue.held.is_empty() && queue.payload_bytes == 0);
}
