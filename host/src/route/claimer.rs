//! The claimer: brings pending events from the table to the routing threads.
//!
//! It runs at start, when a postponed event falls due, when room appears for what found none, and once a second
//! besides, because another process may have released held events.

use std::time::Duration;

use super::Route;
use crate::{
    fanout::Routing,
    store::{Error, Search},
};

/// How often the table is looked at without a reason.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Events per claim. Their payloads come along, so this and the body limit bound what one claim can bring.
const CLAIM_MAX: u32 = 32;
/// Rest between two looks: under load every commit may ask for one.
const REST: Duration = Duration::from_millis(5);
/// Pause after the store failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(500);

pub(super) async fn run(route: Route) {
    while !route.is_closing() {
        let pause = match look(&route).await {
            Ok(pause) => pause,
            Err(Error::Closed) => return,
            Err(error) => {
                tracing::warn!(%error, "cannot look for pending events");
                PAUSE_AFTER_FAILURE
            }
        };
        tokio::time::sleep(REST).await;
        tokio::select! {
            () = route.0.look.notified() => {}
            () = tokio::time::sleep(pause) => {}
            () = route.0.closing.cancelled() => {}
        }
    }
}

async fn look(route: &Route) -> Result<Duration, Error> {
    let parts = &route.0.parts;
    if parts.store.doubts().events.search() == Search::Now {
        release_strays(route).await?;
    }
    let snapshot = std::sync::Arc::clone(&parts.configuration.current());
    let mut senders: Vec<_> = parts
        .store
        .senders_with_pending()
        .await?
        .into_iter()
        .map(|(sender, _)| sender)
        .collect();
    senders.extend(parts.store.senders_with_held().await?.into_iter().map(|(sender, _)| sender));
    for sender in senders {
        let now = parts.clock.now();
        if route.is_closing() || !route.queue().has_room() {
            return Ok(LOOK_EVERY);
        }
        for held in parts.store.claim_events(sender, now, snapshot.revision, CLAIM_MAX).await? {
            route.queue().take(sender, held.event.id, held.event.payload.len());
            route.hand_over(held);
        }
    }
    Ok(LOOK_EVERY)
}

/// After a commit of unknown outcome: gives back what the table says is ours and the queue does not hold. As for
/// deliveries, only this task claims, and every other lease takes its place before it is committed.
async fn release_strays(route: &Route) -> Result<(), Error> {
    let store = &route.0.parts.store;
    let doubt = &store.doubts().events;
    let leased = store.leased_events().await.inspect_err(|_| doubt.raise())?;
    let strays: Vec<_> = leased.into_iter().filter(|event| !route.queue().holds(*event)).collect();
    store.release_events(&strays).await.inspect_err(|_| doubt.raise())?;
    if !strays.is_empty() {
        tracing::info!(events = strays.len(), "gave back events of a commit whose outcome was unknown");
    }
    Ok(())
}
