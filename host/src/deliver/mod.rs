//! Deliver: from a committed delivery to a settled one.
//!
//! Deliveries come in two ways: handed over from memory right after the commit that leased them to this node, or
//! claimed from the table when due. Each endpoint has a lane with at most `concurrency_max` workers; a worker takes
//! the next delivery, makes one attempt, hands the outcome to the store's settling lane and goes on without waiting
//! for the flush. The place of a delivery is freed only when its outcome is on disk, so what is in memory stays
//! bounded.
//!
//! Cast: [`window`] knows what is held and whose turn it is; [`request`] builds and signs what one attempt sends;
//! [`attempt`] posts it; [`claimer`] brings work from the table.

mod attempt;
mod claimer;
mod request;
mod window;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hookyard_domain::{
    DeliveryId, DeliveryState, EndpointId, Timestamp,
    attempt::{Outcome, Settlement, settle},
    retry::AttemptsMax,
};
use tokio::sync::{Notify, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    attempt::Made,
    window::{Next, Turn, Verdict, Window},
};
use crate::{
    clock::Clock,
    configuration::{Configuration, Endpoint},
    egress::Egress,
    fanout::Deliveries,
    store::{Attempt, Body, Error, HeldDelivery, Settle, SettleOutcome, Store},
};

/// Large bodies read from the store and being sent at once: at the default body limit, 200 MiB.
const LARGE_BODIES_MAX: usize = 8;
/// How long attempts that were cut off may take to hand in what they hold.
const CUT_OFF_MAX: Duration = Duration::from_secs(5);
/// Pause of a worker whose delivery's body could not be read from the store.
const PAUSE_AFTER_FAILED_READ: Duration = Duration::from_millis(200);

/// The delivery stage. Cheap to clone.
#[derive(Clone)]
pub struct Deliver(Arc<Inner>);

struct Inner {
    store: Store,
    egress: Egress,
    configuration: Arc<Configuration>,
    clock: Clock,
    window: Mutex<Window>,
    large_bodies: Semaphore,
    /// There may be work in the table, or room for it.
    look: Notify,
    /// No new attempts.
    closing: CancellationToken,
    /// Cut off the attempts in flight.
    stopping: CancellationToken,
    tasks: TaskTracker,
    runtime: tokio::runtime::Handle,
}

impl Deliver {
    /// Starts the claimer. Call within the runtime that the deliveries are to run on.
    pub fn start(store: Store, egress: Egress, configuration: Arc<Configuration>, clock: Clock) -> Self {
        let deliver = Self(Arc::new(Inner {
            store,
            egress,
            configuration,
            clock,
            window: Mutex::default(),
            large_bodies: Semaphore::new(LARGE_BODIES_MAX),
            look: Notify::new(),
            closing: CancellationToken::new(),
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
            runtime: tokio::runtime::Handle::current(),
        }));
        deliver.0.tasks.spawn(claimer::run(deliver.clone()));
        deliver
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.0.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn endpoint(&self, id: EndpointId) -> Option<Arc<Endpoint>> {
        self.0.configuration.current().endpoints.get(&id).cloned()
    }

    fn is_closing(&self) -> bool {
        self.0.closing.is_cancelled()
    }

    /// One worker of an endpoint's lane: attempts until the lane is empty. When the stage closes, what is queued goes
    /// back with the node's other leases.
    async fn work(self, id: EndpointId) {
        while !self.is_closing() {
            let Some(endpoint) = self.endpoint(id) else {
                // This node has yet to hear of it; the claimer leaves it alone until then.
                let queued = self.window().retire(id);
                return self.give_back(queued).await;
            };
            let settings = endpoint.profile.breaker.settings(endpoint.tenant.breaker_block);
            let next = self.window().next(id, endpoint.concurrency_max, self.0.clock.now(), settings);
            match next {
                Next::Attempt(delivery) => self.attempt(&endpoint, *delivery).await,
                Next::GiveBack(deliveries) => self.give_back(deliveries).await,
                Next::Idle => return,
            }
        }
    }

    async fn attempt(&self, endpoint: &Endpoint, delivery: HeldDelivery) {
        let started_at = self.0.clock.now();
        let begun = tokio::time::Instant::now();
        let made = tokio::select! {
            made = self.make(endpoint, &delivery, started_at) => made,
            // Cut off in flight: unsettled, so the delivery is repeated, with the same id (at least once).
            () = self.0.stopping.cancelled() => return,
        };
        let Some(made) = made else {
            // The body could not be read: no attempt was made, so none is recorded.
            self.window().report(delivery.endpoint, Verdict::OurFault, started_at);
            self.give_back(vec![delivery]).await;
            tokio::time::sleep(PAUSE_AFTER_FAILED_READ).await;
            return;
        };
        let now = self.0.clock.now();
        let verdict = match made.outcome {
            outcome if outcome.is_success() => Verdict::Success,
            outcome if (endpoint.profile.breaker.counts)(outcome) => Verdict::Failure,
            _ => Verdict::OurFault,
        };
        let turn = self.window().report(delivery.endpoint, verdict, now);
        if let Some(turn) = turn {
            log_turn(endpoint, turn);
        }
        let settlement = judge(endpoint, &delivery, made.outcome, now);
        let duration_us = i64::try_from(begun.elapsed().as_micros()).unwrap_or(i64::MAX);
        self.settle(endpoint, &delivery, settlement, made.into_record(started_at, duration_us), now)
            .await;
    }

    /// Makes one attempt. `None`: the store could not be asked for the body, so nothing was tried.
    async fn make(&self, endpoint: &Endpoint, delivery: &HeldDelivery, now: Timestamp) -> Option<Made> {
        // Held until the attempt ends: it bounds the large bodies in memory at once.
        let mut _seat = None;
        let body = match &delivery.body {
            Body::Here(bytes) => bytes.clone(),
            Body::Stored => {
                _seat = self.0.large_bodies.acquire().await.ok();
                match self.0.store.delivery_body(delivery.id).await {
                    Ok(Some(bytes)) => bytes,
                    Ok(None) => return Some(Made::internal("the payload is gone from the store")),
                    Err(error) => {
                        tracing::warn!(delivery = %delivery.id, %error, "cannot read a payload");
                        return None;
                    }
                }
            }
        };
        Some(attempt::make(&self.0.egress, endpoint, delivery, body, now).await)
    }

    async fn settle(&self, endpoint: &Endpoint, delivery: &HeldDelivery, settlement: Settlement, attempt: Attempt, now: Timestamp) {
        let state = settlement.state();
        let settle = Settle {
            delivery: delivery.id,
            number: delivery.attempts + 1,
            state,
            due_at: match settlement {
                Settlement::RetryAt(at) => at,
                _ => delivery.due_at,
            },
            completed_at: state.is_terminal().then_some(now),
            attempt,
        };
        log(endpoint, delivery, &settle);
        let (endpoint, id, deliver) = (delivery.endpoint, delivery.id, self.clone());
        let done = Box::new(move |outcome: Result<SettleOutcome, Error>| {
            match outcome {
                Ok(SettleOutcome::Settled) => {}
                Ok(SettleOutcome::LeaseLost) => {
                    tracing::warn!(delivery = %id, "a result came after its lease was lost; it changes nothing")
                }
                Err(error) => tracing::error!(delivery = %id, %error, "cannot settle a delivery; it will be repeated"),
            }
            deliver.forget(endpoint, id);
            if state == DeliveryState::Waiting {
                deliver.look();
            }
        });
        self.0.store.settle(settle, done).await;
    }

    /// Returns deliveries to the table, unattempted.
    async fn give_back(&self, deliveries: Vec<HeldDelivery>) {
        if self.is_closing() {
            // They go back with the node's other leases.
            return;
        }
        let ids: Vec<_> = deliveries.iter().map(|delivery| delivery.id).collect();
        if let Err(error) = self.0.store.release_deliveries(&ids).await {
            // The failed commit has raised the store's doubt: the claimer will find the stray leases.
            tracing::warn!(deliveries = ids.len(), %error, "cannot give deliveries back");
        }
        for delivery in deliveries {
            self.forget(delivery.endpoint, delivery.id);
        }
    }

    /// Forgets everything queued: this node's leases have been given to others.
    pub fn abandon(&self) {
        let drained = self.window().drain();
        for delivery in drained {
            self.forget(delivery.endpoint, delivery.id);
        }
    }

    /// Stops: no new attempts; those in flight get `grace` to end, then are cut off. What is still queued stays leased
    /// until the node's leases are released.
    pub async fn stop(&self, grace: Duration) {
        self.0.closing.cancel();
        self.0.tasks.close();
        if tokio::time::timeout(grace, self.0.tasks.wait()).await.is_err() {
            tracing::warn!(
                attempts = self.0.tasks.len(),
                "attempts did not end in time; their deliveries will be repeated"
            );
        }
        self.0.stopping.cancel();
        if tokio::time::timeout(CUT_OFF_MAX, self.0.tasks.wait()).await.is_err() {
            tracing::warn!(
                tasks = self.0.tasks.len(),
                "deliveries wait for the database; stopping without them"
            );
        }
    }
}

impl Deliveries for Deliver {
    fn reserve(&self, endpoint: EndpointId, delivery: DeliveryId) -> bool {
        !self.is_closing() && self.window().reserve(endpoint, delivery, self.0.clock.now())
    }

    fn forget(&self, endpoint: EndpointId, delivery: DeliveryId) {
        let room_for_more = self.window().free(endpoint, delivery);
        if room_for_more {
            self.look();
        }
    }

    fn hand_over(&self, delivery: HeldDelivery) {
        let endpoint = delivery.endpoint;
        // One worker for an endpoint this node has yet to hear of: it gives the delivery back.
        let concurrency = self.endpoint(endpoint).map_or(1, |endpoint| endpoint.concurrency_max);
        let start = self.window().hand_over(delivery, concurrency);
        if start {
            self.0.tasks.spawn_on(self.clone().work(endpoint), &self.0.runtime);
        }
    }

    fn look(&self) {
        self.0.look.notify_one();
    }
}

/// What an outcome means for this delivery.
fn judge(endpoint: &Endpoint, delivery: &HeldDelivery, outcome: Outcome, now: Timestamp) -> Settlement {
    let since_replay = delivery.attempts - delivery.attempts_before + 1;
    let attempts_max = AttemptsMax::new(delivery.attempts_max).unwrap_or(AttemptsMax::MAX);
    settle(endpoint.profile, since_replay, attempts_max, outcome, now, rand::random())
}

fn log_turn(endpoint: &Endpoint, turn: Turn) {
    let (tenant, endpoint) = (&endpoint.tenant.name, &endpoint.name);
    match turn {
        Turn::Blocked { until } => {
            tracing::warn!(tenant, endpoint, %until, "the endpoint failed too often in a row; its deliveries wait");
        }
        Turn::Recovered => tracing::info!(tenant, endpoint, "the endpoint works again"),
    }
}

fn log(endpoint: &Endpoint, delivery: &HeldDelivery, settle: &Settle) {
    let (event, number, attempt) = (&delivery.event, settle.number, &settle.attempt);
    let (tenant, endpoint, delivery) = (&endpoint.tenant.name, &endpoint.name, &delivery.id);
    let (status, error, detail) = (attempt.status, attempt.error, attempt.error_detail.as_deref());
    match settle.state {
        DeliveryState::Delivered => tracing::debug!(tenant, endpoint, %event, %delivery, number, status, "delivered"),
        DeliveryState::Waiting => {
            tracing::info!(tenant, endpoint, %event, %delivery, number, status, error, detail, retry_at = %settle.due_at, "attempt failed");
        }
        state => {
            let state = state.as_str();
            tracing::warn!(tenant, endpoint, %event, %delivery, number, status, error, detail, state, "delivery ended without success");
        }
    }
}
