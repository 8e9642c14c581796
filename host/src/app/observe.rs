//! What the gauges are set from, every few seconds: the stages' memory and bounded reads of the tables.
//!
//! It runs whether or not anybody scrapes, so that a scrape costs no query, and asks for no more than index entries up to a
//! bound. Here the lanes' words become metrics too, because the store knows none.

use std::{sync::Arc, time::Duration};

use hookyard_domain::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    configuration::Configuration,
    deliver::Deliver,
    installed::{Installed, Slot},
    route::Route,
    store::{Backlog, Error, Store, Told, Watcher},
    telemetry::metrics::Metrics,
};

/// Time between two readings: below a scraper's usual 15 s, so that no scrape sees the same one twice for long.
const EVERY: Duration = Duration::from_secs(5);
/// How long one reading of the database may take.
const READING_MAX: Duration = Duration::from_secs(5);

/// Counts what the lanes tell.
pub fn watcher(metrics: Arc<Metrics>) -> Watcher {
    Watcher::new(move |told| match told {
        Told::Committed { lane, writes, took } => {
            metrics.store_commit_seconds.observe("lane", lane, took);
            metrics.store_batch_writes.observe("lane", lane, writes);
        }
        Told::Failed { lane } => metrics.store_commits_failed.inc("lane", lane),
        Told::Panicked { part } => metrics.panics.inc("part", part),
    })
}

/// What is looked at.
#[derive(Clone)]
pub(super) struct Observed {
    /// Without lanes of its own, so that it keeps none open.
    pub(super) store: Store,
    pub(super) configuration: Arc<Configuration>,
    pub(super) installed: Arc<Installed>,
    pub(super) route: Route,
    pub(super) deliver: Deliver,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
}

pub(super) async fn observe(observed: Observed, closing: CancellationToken) {
    loop {
        observed.look_at_memory();
        let read = tokio::time::timeout(READING_MAX, observed.look_at_tables()).await;
        let reachable = matches!(read, Ok(Ok(())));
        observed.metrics.database_reachable.set(if reachable { 1.0 } else { 0.0 });
        if let Ok(Err(error)) = read {
            tracing::debug!(%error, "cannot read what the gauges are set from");
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = closing.cancelled() => return,
        }
    }
}

impl Observed {
    fn look_at_memory(&self) {
        let metrics = &self.metrics;
        for lane in self.store.lane_states() {
            metrics.queued.set("queue", lane.queue, lane.waiting as f64);
        }
        let window = self.deliver.census();
        metrics.queued.set("queue", "routing", self.route.queued() as f64);
        metrics.queued.set("queue", "delivery", window.held as f64);
        metrics.attempts_in_flight.set(window.in_flight as f64);
        for (state, count) in [
            ("passing", window.passing),
            ("blocked", window.blocked),
            ("probing", window.probing),
        ] {
            metrics.endpoint_breakers.set("state", state, count as f64);
        }
        let snapshot = self.configuration.current();
        let slots = snapshot.plugins().map(|(tenant, name, _)| self.installed.get(tenant, name));
        let (mut loaded, mut unloadable) = (0.0, 0.0);
        for slot in slots.flatten() {
            match slot {
                Slot::Ready(_) => loaded += 1.0,
                Slot::Unloadable { .. } => unloadable += 1.0,
            }
        }
        metrics.plugins.set("state", "loaded", loaded);
        metrics.plugins.set("state", "unloadable", unloadable);
        metrics.rows_set_aside.set(snapshot.set_aside().count() as f64);
        for (name, pulse) in [("routing", &metrics.pulses.routing), ("delivery", &metrics.pulses.delivery)] {
            metrics.loop_silent_seconds.set("loop", name, pulse.silent_for().as_secs_f64());
        }
    }

    async fn look_at_tables(&self) -> Result<(), Error> {
        let backlog = self.store.backlog().await?;
        self.tell_backlog(&backlog, self.clock.now());
        for (part, bytes) in self.store.bytes_kept().await? {
            self.metrics.database_bytes.set("part", part, bytes as f64);
        }
        Ok(())
    }

    fn tell_backlog(&self, backlog: &Backlog, now: Timestamp) {
        let metrics = &self.metrics;
        for (state, count) in [
            ("pending", backlog.pending),
            ("held", backlog.held),
            ("dead-lettered", backlog.dead_lettered),
        ] {
            metrics.events_in_table.set("state", state, count as f64);
        }
        for (state, count) in [
            ("waiting", backlog.waiting),
            ("rejected", backlog.rejected),
            ("exhausted", backlog.exhausted),
            ("cancelled", backlog.cancelled),
        ] {
            metrics.deliveries_in_table.set("state", state, count as f64);
        }
        let age = |since: Option<Timestamp>| since.map_or(0.0, |since| now.since(since).as_secs_f64());
        metrics.oldest_due_seconds.set("work", "routing", age(backlog.first_event_due));
        metrics.oldest_due_seconds.set("work", "delivery", age(backlog.first_delivery_due));
        metrics.oldest_held_seconds.set(age(backlog.oldest_held));
    }
}
