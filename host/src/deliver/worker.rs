//! One worker: takes an endpoint's next delivery, makes one attempt, hands the outcome to the store, and comes back.

use std::{sync::Arc, time::Duration};

use hookyard_domain::{
    DeliveryState, EndpointId, Timestamp,
    attempt::{Outcome, Settlement, settle},
    breaker::Verdict,
    retry::AttemptsMax,
};

use super::{
    Deliver,
    attempt::{self, Made},
    journal::Journal,
    share::{SLOW_AFTER, Standing},
    window::{Next, Picked, Worker},
};
use crate::{
    configuration::Endpoint,
    fanout::Deliveries,
    store::{Attempt, Body, Error, HeldDelivery, Settle, SettleOutcome},
};

/// Pause of a worker whose delivery's body could not be read from the store.
const PAUSE_AFTER_FAILED_READ: Duration = Duration::from_millis(200);

impl Deliver {
    /// Attempts until there is nothing to do for the endpoint, or others come first. When the stage closes, what waits
    /// goes back with the node's other leases.
    pub(super) async fn work(self, id: EndpointId) {
        let mut worker = Worker::JustStarted;
        while !self.is_closing() {
            let endpoint = self.endpoint_to_serve(id);
            let next = match &endpoint {
                Some(endpoint) => {
                    let settings = endpoint.profile.breaker.settings(endpoint.tenant.breaker_block);
                    let now = self.0.clock.now();
                    self.with_window(|window| window.next(id, worker, endpoint.concurrency_max, now, settings))
                }
                // Inactive, gone, or this node has yet to hear of it: the claimer leaves it alone until that changes.
                None => Next::GiveBack(self.with_window(|window| window.retire(id, worker))),
            };
            match (next, endpoint) {
                (Next::Attempt(picked), Some(endpoint)) => self.attempt(&endpoint, *picked).await,
                (Next::GiveBack(deliveries), _) => return self.give_back(deliveries).await,
                _ => return,
            }
            worker = Worker::BackFromAnAttempt;
        }
    }

    async fn attempt(&self, endpoint: &Endpoint, picked: Picked) {
        let Picked {
            delivery,
            body,
            share,
            admitted,
        } = picked;
        let body = match body {
            Body::Here(body) => Ok(Some(body)),
            Body::Stored => self.0.store.delivery_body(delivery.id).await,
        };
        // Only now: what came before is our own waiting, and a receiver refuses a signature that is minutes old.
        let started_at = self.0.clock.now();
        let begun = tokio::time::Instant::now();
        let (made, standing) = match body {
            Ok(Some(body)) => {
                let made = attempt::make(&self.0.egress, endpoint, &delivery, body, share, started_at);
                tokio::select! {
                    observed = self.observed(endpoint.id, made) => observed,
                    // Cut off in flight: unsettled, so the delivery is repeated, with the same id (at least once).
                    () = self.0.stopping.cancelled() => return,
                }
            }
            Ok(None) => (Made::internal("the payload is gone from the store"), Standing::Quick),
            Err(error) => {
                tracing::warn!(delivery = %delivery.id, %error, "cannot read a payload");
                // No attempt was made, so none is recorded.
                self.with_window(|window| window.report(endpoint.id, admitted, Verdict::Unknown, started_at));
                self.give_back(vec![delivery]).await;
                tokio::time::sleep(PAUSE_AFTER_FAILED_READ).await;
                return;
            }
        };
        let now = self.0.clock.now();
        let verdict = endpoint.profile.breaker.verdict(made.outcome);
        let became = self.with_window(|window| {
            window.attempt_ended(endpoint.id, standing);
            window.report(endpoint.id, admitted, verdict, now)
        });
        if let Some(became) = became {
            Journal::endpoint(endpoint, became, now);
            self.0.breakers.note(endpoint, became);
        }
        let settlement = judge(endpoint, &delivery, made.outcome, now);
        let duration_us = i64::try_from(begun.elapsed().as_micros()).unwrap_or(i64::MAX);
        let outcome = made.outcome;
        self.settle(
            endpoint,
            delivery,
            settlement,
            outcome,
            made.into_record(started_at, duration_us),
            now,
        )
        .await;
    }

    /// Tells the window when the attempt has lasted long, while it goes on.
    async fn observed(&self, endpoint: EndpointId, attempt: impl Future<Output = Made>) -> (Made, Standing) {
        let mut attempt = std::pin::pin!(attempt);
        match tokio::time::timeout(SLOW_AFTER, &mut attempt).await {
            Ok(made) => (made, Standing::Quick),
            Err(_) => {
                self.with_window(|window| window.attempt_lasts(endpoint));
                (attempt.await, Standing::Slow)
            }
        }
    }

    async fn settle(
        &self,
        endpoint: &Endpoint,
        delivery: HeldDelivery,
        settlement: Settlement,
        outcome: Outcome,
        attempt: Attempt,
        now: Timestamp,
    ) {
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
        self.0.journal.attempt(endpoint, &delivery, &settle, now);
        let took = Duration::from_micros(u64::try_from(settle.attempt.duration_us).unwrap_or(0));
        let failed_by = failure_class(outcome);
        let (endpoint, id, due_at) = (delivery.endpoint, delivery.id, settle.due_at);
        // Weak, for this waits in the store's commit lane while the database is away, and the lane ends when nobody holds
        // the store any more.
        let stage = Arc::downgrade(&self.0);
        let done = Box::new(move |outcome: Result<SettleOutcome, Error>| {
            match &outcome {
                Ok(SettleOutcome::Settled) => {}
                Ok(SettleOutcome::LeaseLost) => {
                    tracing::warn!(delivery = %id, "a result came after its lease was lost; it changes nothing");
                }
                Err(error) => tracing::error!(delivery = %id, %error, "cannot settle a delivery; it will be repeated"),
            }
            let Some(deliver) = stage.upgrade().map(Deliver) else { return };
            if matches!(outcome, Ok(SettleOutcome::Settled)) {
                let metrics = &deliver.0.metrics;
                metrics.attempts.inc("delivery", state.as_str());
                metrics.attempt_seconds.observe(took);
                if let Some(class) = failed_by {
                    metrics.attempts_failed.inc("class", class);
                }
            }
            if state == DeliveryState::Waiting {
                deliver.note(endpoint, due_at);
            }
            deliver.forget(endpoint, id);
        });
        self.0.store.settle(settle, done).await;
    }

    /// Returns deliveries to the table, unattempted.
    pub(super) async fn give_back(&self, deliveries: Vec<HeldDelivery>) {
        if self.is_closing() || deliveries.is_empty() {
            // A node that closes gives everything back at once.
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
}

/// The word for a failure in the metrics.
const fn failure_class(outcome: Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Status(200..=299) => None,
        Outcome::Status(300..=399) => Some("status-3xx"),
        Outcome::Status(400..=499) => Some("status-4xx"),
        Outcome::Status(500..=599) => Some("status-5xx"),
        Outcome::Status(_) => Some("status-other"),
        Outcome::Error(class) => Some(class.as_str()),
    }
}

/// What an outcome means for this delivery.
fn judge(endpoint: &Endpoint, delivery: &HeldDelivery, outcome: Outcome, now: Timestamp) -> Settlement {
    let since_replay = delivery.attempts - delivery.attempts_before + 1;
    let attempts_max = AttemptsMax::new(delivery.attempts_max).unwrap_or(AttemptsMax::MAX);
    settle(endpoint.profile, since_replay, attempts_max, outcome, now, rand::random())
}
