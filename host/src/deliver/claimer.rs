//! The claimer: brings due deliveries from the table into the window.
//!
//! It asks endpoint by endpoint, when the agenda says that one has something due, and for no more than there is room for:
//! so a million deliveries waiting for one dead endpoint neither fill the window nor cost the others anything (D4). Now
//! and then it looks through the whole table for endpoints with waiting work, because another process may have put some there,
//! and less often when that takes long.

use std::time::Duration;

use hookyard_domain::{EndpointId, Scope, Timestamp};
use tokio::{
    task::{JoinError, JoinSet},
    time::Instant,
};

use super::{Deliver, window::Room};
use crate::{
    configuration::EndpointStatus,
    fanout::Deliveries,
    store::{Error, Search, Waiting},
};

/// A look that takes long is made less often, so that this process spends a twentieth of its time with it at most.
const REST_PER_LOOK: u32 = 20;
/// Deliveries per claim: past about a hundred a larger claim no longer lowers the cost per row.
const CLAIM_MAX: usize = 128;
/// Claims at once: they share a commit, and more would hold up the decisions that are written beside them.
const CLAIMS_AT_ONCE_MAX: usize = 32;
/// Deliveries of a gone endpoint that are cancelled in one transaction: some ten milliseconds, so that no other write waits
/// long however large the backlog.
const CANCELLED_AT_ONCE: u32 = 1_000;
/// Rest between two rounds: under load every settled delivery may ask for one.
const REST: Duration = Duration::from_millis(20);
/// Pause after the store failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(500);

/// How far one round, or one claim of it, got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claimed {
    /// All that was due, or all there is room for.
    Enough,
    /// As many as one claim takes: the endpoint is on the agenda again.
    MoreMayBeDue,
}

/// What to do about an endpoint's due work.
enum Task {
    Claim {
        places: usize,
        body_bytes: usize,
    },
    /// It is not in the configuration that this node has.
    FindOutWhy,
    Leave,
}

pub(super) async fn run(deliver: Deliver) {
    let mut next_look = Instant::now();
    while !deliver.is_closing() {
        deliver.0.metrics.pulses.delivery.beat();
        let rest = match round(&deliver, &mut next_look).await {
            Ok(Claimed::MoreMayBeDue) => continue,
            Ok(Claimed::Enough) => REST,
            Err(Error::Closed) => return,
            Err(error) => {
                tracing::warn!(%error, "cannot claim due deliveries");
                next_look = Instant::now();
                PAUSE_AFTER_FAILURE
            }
        };
        tokio::time::sleep(rest).await;
        let until_next_look = next_look.saturating_duration_since(Instant::now());
        let next_due = deliver.with_agenda(|agenda| agenda.next());
        let pause = next_due.map_or(until_next_look, |due| due.since(deliver.0.clock.now()).min(until_next_look));
        tokio::select! {
            () = deliver.0.claimer.notified() => {}
            () = tokio::time::sleep(pause) => {}
            () = deliver.0.closing.cancelled() => {}
        }
    }
}

/// Claims for every endpoint that has something due, each at most once.
async fn round(deliver: &Deliver, next_look: &mut Instant) -> Result<Claimed, Error> {
    if deliver.0.store.doubts().deliveries.search() == Search::Now {
        release_strays(deliver).await?;
    }
    let begun = Instant::now();
    if begun >= *next_look {
        look(deliver).await?;
        *next_look = Instant::now() + (begun.elapsed() * REST_PER_LOOK).max(deliver.0.search_every);
    }
    let now = deliver.0.clock.now();
    let due: Vec<_> = deliver.with_agenda(|agenda| std::iter::from_fn(|| agenda.take_due(now)).collect());
    let mut serving = JoinSet::new();
    let mut all = Claimed::Enough;
    for endpoint in due {
        let task = task(deliver, endpoint, now);
        if matches!(task, Task::Leave) {
            continue;
        }
        if serving.len() >= CLAIMS_AT_ONCE_MAX {
            all = all.and(serving.join_next().await)?;
        }
        serving.spawn(serve(deliver.clone(), endpoint, task, now));
    }
    while let Some(served) = serving.join_next().await {
        all = all.and(Some(served))?;
    }
    Ok(all)
}

impl Claimed {
    fn and(self, other: Option<Result<Result<Self, Error>, JoinError>>) -> Result<Self, Error> {
        match other {
            Some(Ok(Ok(Self::MoreMayBeDue))) => Ok(Self::MoreMayBeDue),
            Some(Ok(Err(error))) => Err(error),
            // A claim that panicked has said so; what it leased is found as strays.
            Some(Ok(Ok(Self::Enough)) | Err(_)) | None => Ok(self),
        }
    }
}

/// Puts on the agenda whose work waits in the table.
async fn look(deliver: &Deliver) -> Result<(), Error> {
    let now = deliver.0.clock.now();
    let waiting = deliver.0.store.waiting_endpoints(now).await?;
    deliver.with_agenda(|agenda| match waiting {
        // The next round asks again.
        Waiting::Later(_) => {}
        Waiting::Due(endpoints) => endpoints.into_iter().for_each(|endpoint| {
            agenda.note(endpoint, now);
        }),
        Waiting::All(endpoints) => endpoints.into_iter().for_each(|(endpoint, due_at)| {
            agenda.note(endpoint, due_at);
        }),
    });
    deliver.0.journal.tell_the_rest(now);
    Ok(())
}

fn task(deliver: &Deliver, endpoint: EndpointId, now: Timestamp) -> Task {
    match deliver.0.configuration.current().endpoints.get(&endpoint) {
        None => return Task::FindOutWhy,
        // Its deliveries wait, and use up no attempt, until it is active again: the next look finds them then.
        Some(endpoint) if endpoint.status != EndpointStatus::Active => return Task::Leave,
        Some(_) => {}
    }
    let (room, body_bytes) = deliver.with_window(|window| {
        let room = window.room(endpoint, now);
        if room == Room::Places(0) {
            // Freed places put it on the agenda again.
            window.leave_backlog(endpoint);
        }
        (room, window.room_for_bodies(endpoint))
    });
    match room {
        Room::Blocked(until) => {
            deliver.note(endpoint, until);
            Task::Leave
        }
        Room::Places(0) => Task::Leave,
        Room::Places(places) => Task::Claim {
            places: places.min(CLAIM_MAX),
            body_bytes,
        },
    }
}

async fn serve(deliver: Deliver, endpoint: EndpointId, task: Task, now: Timestamp) -> Result<Claimed, Error> {
    let served = match task {
        Task::Claim { places, body_bytes } => claim(&deliver, endpoint, places, body_bytes, now).await,
        Task::FindOutWhy => cancel_if_gone(&deliver, endpoint, now).await,
        Task::Leave => Ok(Claimed::Enough),
    };
    match served {
        Ok(Claimed::MoreMayBeDue) => deliver.note(endpoint, now),
        Err(error) if error.is_passing() || matches!(error, Error::Closed) => return Err(error),
        Err(error) => {
            // Something is wrong with a row of this endpoint; the others' work goes on.
            tracing::error!(%endpoint, %error, "cannot serve an endpoint's waiting deliveries");
            return Ok(Claimed::Enough);
        }
        Ok(Claimed::Enough) => {}
    }
    served
}

async fn claim(deliver: &Deliver, endpoint: EndpointId, places: usize, body_bytes: usize, now: Timestamp) -> Result<Claimed, Error> {
    let claimed = deliver
        .0
        .store
        .claim_deliveries(endpoint, now, places as u32, body_bytes as u64)
        .await?;
    let progress = if claimed.len() < places {
        Claimed::Enough
    } else {
        Claimed::MoreMayBeDue
    };
    for delivery in claimed {
        deliver.with_window(|window| window.take(endpoint, delivery.id));
        deliver.hand_over(delivery);
    }
    Ok(progress)
}

/// Ends the backlog of an endpoint that is gone, a part of it at a time. One that this node has yet to hear of, or whose
/// row it cannot read, is left alone.
async fn cancel_if_gone(deliver: &Deliver, endpoint: EndpointId, now: Timestamp) -> Result<Claimed, Error> {
    let store = &deliver.0.store;
    if store.endpoint_row(Scope::Operator, endpoint).await?.is_some() {
        return Ok(Claimed::Enough);
    }
    let cancelled = store.cancel_waiting(endpoint, CANCELLED_AT_ONCE, now).await?;
    if cancelled > 0 {
        tracing::info!(%endpoint, deliveries = cancelled, "cancelled deliveries of an endpoint that is gone");
    }
    Ok(if cancelled < u64::from(CANCELLED_AT_ONCE) {
        Claimed::Enough
    } else {
        Claimed::MoreMayBeDue
    })
}

/// After a commit of unknown outcome: gives back what the table says is ours and memory does not hold.
///
/// Only this task claims deliveries, and every other lease takes its place in the window before it is committed; so a
/// row that was leased when it was read and has no place now is a stray, or was settled in between and is no longer
/// leased.
async fn release_strays(deliver: &Deliver) -> Result<(), Error> {
    let doubt = &deliver.0.store.doubts().deliveries;
    let leased = deliver.0.store.leased_deliveries().await.inspect_err(|_| doubt.raise())?;
    let strays: Vec<_> = deliver.with_window(|window| leased.into_iter().filter(|delivery| !window.holds(*delivery)).collect());
    deliver.0.store.release_deliveries(&strays).await.inspect_err(|_| doubt.raise())?;
    if !strays.is_empty() {
        tracing::info!(
            deliveries = strays.len(),
            "gave back deliveries of a commit whose outcome was unknown"
        );
    }
    Ok(())
}
