//! The window: places, bytes and workers are shared out, and nobody is forgotten.

use bytes::Bytes;
use hookyard_domain::EventId;
use uuid::Uuid;

use super::*;

const NOW: Timestamp = Timestamp::from_micros(1_000_000);
const SETTINGS: Settings = Settings {
    failures_to_block: 5,
    block_for: Duration::from_mins(5),
};

fn window() -> Window {
    Window::new(Sending::default(), &[])
}

fn endpoint(n: usize) -> EndpointId {
    EndpointId::from_uuid(Uuid::from_u128(n as u128))
}

fn delivery(n: usize) -> DeliveryId {
    DeliveryId::from_uuid(Uuid::from_u128(n as u128))
}

fn held(of: usize, n: usize, bytes: usize) -> HeldDelivery {
    HeldDelivery {
        id: delivery(n),
        event: EventId::from_uuid(Uuid::from_u128(n as u128)),
        endpoint: endpoint(of),
        headers: Vec::new(),
        attempts: 0,
        attempts_max: 10,
        attempts_before: 0,
        due_at: NOW,
        content_type: "application/json".to_owned(),
        body_bytes: bytes as u64,
        body: Body::Here(Bytes::from(vec![b'x'; bytes])),
        event_type: "test".to_owned(),
        accepted_at: NOW,
    }
}

fn reserve(window: &mut Window, of: usize, n: usize) -> bool {
    window.reserve(endpoint(of), delivery(n), NOW) == Leased::ToUs
}

/// Hands over and starts what is to be started; the endpoints whose workers then begin an attempt.
fn hand_over(window: &mut Window, delivery: HeldDelivery, concurrency_max: u32) -> Vec<EndpointId> {
    window.hand_over(delivery, concurrency_max);
    begin(window, concurrency_max)
}

fn begin(window: &mut Window, concurrency_max: u32) -> Vec<EndpointId> {
    let mut began = Vec::new();
    while let Some(endpoint) = window.start_next() {
        if let Next::Attempt(_) = window.next(endpoint, Worker::JustStarted, concurrency_max, NOW, SETTINGS) {
            began.push(endpoint);
        }
    }
    began
}

#[test]
fn an_endpoint_takes_no_more_than_its_share_of_places() {
    let mut window = window();
    let taken = (0..PLACES).filter(|n| reserve(&mut window, 1, *n)).count();
    assert!((PLACES / 5..PLACES / 2).contains(&taken), "{taken}");
    assert!(reserve(&mut window, 2, PLACES));
}

#[test]
fn however_full_the_window_is_every_endpoint_gets_a_place() {
    let mut window = window();
    for n in 0..2 * PLACES {
        reserve(&mut window, n % 16, n);
    }
    for of in 100..10_000 {
        assert!(reserve(&mut window, of, 100_000 + of), "{of}");
    }
    assert!(window.held.len() <= PLACES + 10_000 * PLACES_GUARANTEED, "{}", window.held.len());
}

#[test]
fn freeing_tells_once_when_work_in_the_table_can_be_fetched() {
    let mut window = window();
    let taken = (0..=PLACES).take_while(|n| reserve(&mut window, 1, *n)).count();
    window.leave_backlog(endpoint(1));
    let told: Vec<usize> = (0..taken)
        .filter(|n| window.free(endpoint(1), delivery(*n), NOW) == TableHolds::MoreToFetch)
        .collect();
    assert_eq!(told.len(), 1);
    assert!(
        (taken / 4..taken * 3 / 4).contains(&told[0]),
        "told when about half is free: {told:?} of {taken}"
    );
}

#[test]
fn a_place_is_freed_once() {
    let mut window = window();
    let before = window.room(endpoint(1), NOW);
    assert!(reserve(&mut window, 1, 1));
    window.free(endpoint(1), delivery(1), NOW);
    window.free(endpoint(1), delivery(1), NOW);
    assert_eq!(window.room(endpoint(1), NOW), before);
    assert!(!window.holds(delivery(1)));
}

/// A body above 32 KiB was once read from the store again, whatever memory had room for.
#[test]
fn bodies_wait_in_memory_while_there_is_room_for_their_bytes() {
    const BYTES: usize = 1024 * 1024;
    let mut window = window();
    for n in 0..WAITING_BODY_BYTES_MAX / BYTES {
        window.hand_over(held(1, n, BYTES), 1);
    }
    let here = |window: &Window, of| {
        let waiting = &window.queues[&endpoint(of)].waiting;
        waiting.iter().filter(|delivery| matches!(delivery.body, Body::Here(_))).count()
    };
    let own = here(&window, 1);
    assert!((20..70).contains(&own), "{own} MiB of one endpoint wait in memory");
    window.hand_over(held(2, 1_000, BYTES), 1);
    assert_eq!(here(&window, 2), 1, "another endpoint's find room");
    window.drain();
    assert_eq!(window.room_for_bodies(endpoint(3)), WAITING_BODY_BYTES_MAX / 8 * 3);
}

/// Attempts in flight once had no bound but each endpoint's own.
#[test]
fn hanging_endpoints_fill_no_more_than_their_part_of_the_node() {
    let mut window = window();
    let mut flying = 0;
    for n in 0..40_000 {
        flying += hand_over(&mut window, held(n % 10_000, n, 1), 16).len();
    }
    assert_eq!(
        flying,
        ATTEMPTS_AT_ONCE_MAX / 4 * 3,
        "endpoints nobody has tried yet leave a quarter"
    );
    let slow: Vec<_> = (0..10_000).filter(|of| window.queues[&endpoint(*of)].workers > 0).collect();
    for of in &slow {
        for _ in 0..window.queues[&endpoint(*of)].workers {
            window.attempt_lasts(endpoint(*of));
        }
    }
    assert!(begin(&mut window, 16).is_empty());

    // An endpoint whose attempts end soon goes on beside all of them.
    window.queues.entry(endpoint(99_999)).or_default().last = Standing::Quick;
    for n in 0..100 {
        assert_eq!(hand_over(&mut window, held(99_999, 50_000 + n, 1), 200), [endpoint(99_999)]);
    }

    // And nobody is forgotten: when these end, those get their turn that have waited.
    for of in &slow {
        while window.queues[&endpoint(*of)].workers > 0 {
            window.attempt_ended(endpoint(*of), Standing::Slow);
            window.next(endpoint(*of), Worker::BackFromAnAttempt, 16, NOW, SETTINGS);
        }
    }
    let began = begin(&mut window, 16);
    assert!(began.len() > ATTEMPTS_AT_ONCE_MAX / 4, "{}", began.len());
    assert!(
        slow.iter().all(|of| !began.contains(&endpoint(*of))),
        "who had a turn waits for the next"
    );
}

#[test]
fn a_full_node_serves_its_endpoints_in_turn() {
    let mut window = window();
    for of in 0..3_000 {
        window.queues.entry(endpoint(of)).or_default().last = Standing::Quick;
        for n in 0..3 {
            window.hand_over(held(of, of * 10 + n, 1), 1);
        }
    }
    let mut flying = begin(&mut window, 1);
    assert_eq!(flying.len(), ATTEMPTS_AT_ONCE_MAX);
    let mut attempts: HashMap<EndpointId, usize> = HashMap::new();
    while !flying.is_empty() {
        let made = |of: usize| attempts.get(&endpoint(of)).copied().unwrap_or(0);
        let least = (0..3_000).map(made).min();
        assert!(
            attempts.values().max().copied() <= least.map(|least| least + 2),
            "one is far ahead of another"
        );
        for of in std::mem::take(&mut flying) {
            *attempts.entry(of).or_default() += 1;
            window.attempt_ended(of, Standing::Quick);
            match window.next(of, Worker::BackFromAnAttempt, 1, NOW, SETTINGS) {
                Next::Attempt(_) => flying.push(of),
                Next::GiveBack(_) | Next::Nothing => {}
            }
            flying.extend(begin(&mut window, 1));
        }
    }
    assert_eq!(attempts.values().sum::<usize>(), 9_000, "every delivery is tried");
}

#[test]
fn a_large_body_waits_for_its_bytes_without_a_worker_and_then_goes() {
    const BYTES: usize = 40 * 1024 * 1024;
    let sending = Sending::default();
    let mut window = Window::new(sending.clone(), &[]);
    let mut shares = Vec::new();
    while let Some(share) = sending.take(endpoint(1_000 + shares.len()), Standing::Slow, BYTES) {
        shares.push(share);
    }
    window.attempt_lasts(endpoint(1));
    window.hand_over(held(1, 1, 0), 4);
    window.attempt_lasts(endpoint(1));
    let mut large = held(1, 2, 0);
    large.body_bytes = BYTES as u64;
    assert_eq!(begin(&mut window, 4), [endpoint(1)], "the small one needs no bytes");
    assert!(hand_over(&mut window, large, 4).is_empty());
    assert_eq!(window.queues[&endpoint(1)].workers, 1, "who waits for bytes holds no worker");
    // Another endpoint's small body does not wait behind it.
    assert_eq!(hand_over(&mut window, held(2, 3, 10), 4), [endpoint(2)]);

    shares.clear();
    window.share_bytes();
    assert_eq!(begin(&mut window, 4), [endpoint(1)]);
}

fn report(window: &mut Window, verdict: Verdict, now: Timestamp) -> Option<Became> {
    window.hand_over(held(1, 1, 1), 1);
    let started = window.start_next()?;
    let Next::Attempt(picked) = window.next(started, Worker::JustStarted, 1, now, SETTINGS) else {
        panic!("an attempt is to be made");
    };
    let became = window.report(started, picked.admitted, verdict, now);
    assert!(matches!(
        window.next(started, Worker::BackFromAnAttempt, 1, now, SETTINGS),
        Next::Nothing
    ));
    became
}

#[test]
fn a_change_of_an_endpoint_is_told_once() {
    let mut window = window();
    let told: Vec<_> = (0..5).map(|_| report(&mut window, Verdict::Fails, NOW)).collect();
    let until = NOW.plus(SETTINGS.block_for);
    assert_eq!(told, [None, None, None, None, Some(Became::Blocked { since: NOW, until })]);
    assert_eq!(report(&mut window, Verdict::Unknown, until), None);
    let again = until.plus(SETTINGS.block_for);
    let became = report(&mut window, Verdict::Fails, until);
    assert_eq!(
        became,
        Some(Became::Blocked { since: NOW, until: again }),
        "left alone since the first time"
    );
    assert_eq!(report(&mut window, Verdict::Works, again), Some(Became::Working));
    assert_eq!(report(&mut window, Verdict::Works, again), None);
}

#[test]
fn an_endpoint_that_an_earlier_run_left_alone_is_left_alone_still() {
    let until = NOW.plus(Duration::from_secs(60));
    let row = BreakerRow {
        endpoint: endpoint(1),
        tenant: hookyard_domain::TenantId::from_uuid(Uuid::from_u128(1)),
        opened_at: NOW,
        blocked_until: until,
    };
    let mut window = Window::new(Sending::default(), &[row]);
    assert_eq!(window.room(endpoint(1), NOW), Room::Blocked(until));
    assert_eq!(window.room(endpoint(1), until), Room::Places(1), "a probe");
    assert_eq!(report(&mut window, Verdict::Works, until), Some(Became::Working));
}
