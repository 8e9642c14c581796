//! The claimer: brings due deliveries from the table into the window.
//!
//! It runs at start, when a retry falls due, when room appears for work that found none, and once a second besides,
//! because another process may have put work back. On an idle system a look is one index probe. It asks endpoint by
//! endpoint, each for no more than it has room for, so a million deliveries waiting for one dead endpoint neither
//! fill the window nor slow the look for the others (D4).

use std::time::Duration;

use hookyard_domain::Timestamp;

use super::{Deliver, window::Room};
use crate::{
    fanout::Deliveries,
    store::{Error, Search, Waiting},
};

/// How often the table is looked at without a reason: what a replay by another process waits at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Deliveries per claim: past about a hundred a larger claim no longer lowers the cost per row.
const CLAIM_MAX: usize = 128;
/// Rest between two looks: under load every commit may ask for one.
const REST: Duration = Duration::from_millis(20);
/// Pause after the store failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(500);

pub(super) async fn run(deliver: Deliver) {
    while !deliver.is_closing() {
        let pause = match look(&deliver).await {
            Ok(next_due) => next_due.map_or(LOOK_EVERY, |due| due.since(deliver.0.clock.now()).min(LOOK_EVERY)),
            Err(Error::Closed) => return,
            Err(error) => {
                tracing::warn!(%error, "cannot look for due deliveries");
                PAUSE_AFTER_FAILURE
            }
        };
        tokio::time::sleep(REST).await;
        tokio::select! {
            () = deliver.0.look.notified() => {}
            () = tokio::time::sleep(pause) => {}
            () = deliver.0.closing.cancelled() => {}
        }
    }
}

/// Claims all there is room for; answers when the next delivery that could not be claimed now should be looked at.
async fn look(deliver: &Deliver) -> Result<Option<Timestamp>, Error> {
    if deliver.0.store.doubts().deliveries.search() == Search::Now {
        release_strays(deliver).await?;
    }
    let mut next: Option<Timestamp> = None;
    let mut later = |at: Timestamp| next = Some(next.map_or(at, |next| next.min(at)));
    let now = deliver.0.clock.now();
    let waiting = match deliver.0.store.waiting_endpoints(now).await? {
        Waiting::Later(next) => return Ok(next),
        Waiting::Due(endpoints) => endpoints.into_iter().map(|endpoint| (endpoint, now)).collect(),
        Waiting::All(endpoints) => endpoints,
    };
    for (endpoint, due_at) in waiting {
        let now = deliver.0.clock.now();
        if due_at > now {
            later(due_at);
            continue;
        }
        if deliver.endpoint(endpoint).is_none() {
            // Another node knows it already; the configuration follows within a second.
            continue;
        }
        while !deliver.is_closing() {
            let room = deliver.window().room(endpoint, deliver.0.clock.now());
            let places = match room {
                Room::Blocked(until) => {
                    later(until);
                    break;
                }
                Room::Places(0) => {
                    // Freed places call again.
                    deliver.window().leave_backlog(endpoint);
                    break;
                }
                Room::Places(places) => places.min(CLAIM_MAX),
            };
            let claimed = match deliver.0.store.claim_deliveries(endpoint, now, places as u32, u64::MAX).await {
                Ok(claimed) => claimed,
                Err(error) if error.is_passing() || matches!(error, Error::Closed) => return Err(error),
                Err(error) => {
                    // Something is wrong with a row of this endpoint; the others' work goes on.
                    tracing::error!(%endpoint, %error, "cannot claim deliveries");
                    break;
                }
            };
            let was_all = claimed.len() < places;
            for delivery in claimed {
                deliver.window().take(endpoint, delivery.id);
                deliver.hand_over(delivery);
            }
            if was_all {
                break;
            }
        }
    }
    Ok(next)
}

/// After a commit of unknown outcome: gives back what the table says is ours and memory does not hold.
///
/// Only this task claims deliveries, and every other lease takes its place in the window before it is committed; so a
/// row that was leased when it was read and has no place now is a stray, or was settled in between and is no longer
/// leased.
async fn release_strays(deliver: &Deliver) -> Result<(), Error> {
    let doubt = &deliver.0.store.doubts().deliveries;
    let leased = deliver.0.store.leased_deliveries().await.inspect_err(|_| doubt.raise())?;
    let strays: Vec<_> = leased.into_iter().filter(|delivery| !deliver.window().holds(*delivery)).collect();
    deliver.0.store.release_deliveries(&strays).await.inspect_err(|_| doubt.raise())?;
    if !strays.is_empty() {
        tracing::info!(
            deliveries = strays.len(),
            "gave back deliveries of a commit whose outcome was unknown"
        );
    }
    Ok(())
}
