//! Accept: from a checked request to one durable commit.
//!
//! What needs no plugin is decided here and committed together with the event: an endpoint's own token leads to that
//! endpoint and nowhere else, and a sender without a plugin passes everything to its endpoints. What needs a plugin is
//! committed first and routed after, so a plugin can never cost an event.
//!
//! Nothing here reads the database: the snapshot has all that is asked, and the idempotency key is judged by the
//! unique index inside the commit (A2). An answer of [`Accepted`] means the event is on disk (A1).

use std::sync::Arc;

use bytes::Bytes;
use hookyard_domain::{DecidedBy, EventId, EventState, TenantId, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::{
    clock::Clock,
    configuration::{Configuration, Endpoint, Sender},
    explanation::{Chosen, Explanation, candidates, no_endpoint},
    fanout::{Deliveries, FanOut, Routing, Target},
    store::{self, Accepted, Decided, Error, Event, HeldEvent, IdempotencyClaim, Leased, NewDelivery, Pairs, Placement, Progress, Store},
    telemetry::metrics::Metrics,
};

/// The token an event came in by, resolved.
pub enum Source {
    Endpoint(Arc<Endpoint>),
    Sender(Arc<Sender>),
}

/// A payload whose sender and shape have been checked.
pub struct Incoming {
    pub source: Source,
    pub idempotency_key: Option<String>,
    pub event_type: String,
    pub content_type: String,
    pub headers: Pairs,
    pub payload: Bytes,
    /// Memory the payload holds until it is on disk.
    pub memory: OwnedSemaphorePermit,
}

/// What the caller is told.
#[derive(Debug)]
pub enum Answer {
    New { event: EventId, accepted_at: Timestamp },
    Existing(Progress),
}

/// The accepting stage. Cheap to clone.
#[derive(Clone)]
pub struct Accept {
    store: Store,
    pub configuration: Arc<Configuration>,
    clock: Clock,
    deliveries: Arc<dyn Deliveries>,
    routing: Arc<dyn Routing>,
    metrics: Arc<Metrics>,
}

impl Accept {
    pub fn new(
        store: Store,
        configuration: Arc<Configuration>,
        clock: Clock,
        deliveries: Arc<dyn Deliveries>,
        routing: Arc<dyn Routing>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            store,
            configuration,
            clock,
            deliveries,
            routing,
            metrics,
        }
    }

    /// The time, for whoever judges credentials before it accepts.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The event a tenant's idempotency key already names. Only for requests that would be refused otherwise: the
    /// others learn it from the commit.
    pub async fn existing(&self, tenant: TenantId, key: &str) -> Result<Option<Progress>, Error> {
        let found = self.store.existing(tenant, SCOPE, key, self.clock.now()).await?;
        let found = found.map(|existing| existing.progress);
        if found.is_some() {
            self.metrics.events_repeated.inc();
        }
        Ok(found)
    }

    /// Commits the event and hands it on. The commit and the handing on happen even if the caller goes away meanwhile.
    pub async fn accept(&self, incoming: Incoming) -> Result<Answer, Error> {
        let now = self.clock.now();
        let (tenant, environment, source) = match &incoming.source {
            Source::Endpoint(endpoint) => (endpoint.tenant.id, endpoint.environment, store::Source::Endpoint(endpoint.id)),
            Source::Sender(sender) => (sender.tenant.id, sender.environment, store::Source::Sender(sender.id)),
        };
        let event = Arc::new(Event {
            id: EventId::new_v7(now, rand::random()),
            tenant,
            environment,
            source,
            idempotency_key: incoming.idempotency_key,
            event_type: incoming.event_type,
            content_type: incoming.content_type,
            headers: incoming.headers,
            payload: incoming.payload,
            accepted_at: now,
        });
        let accepted = match &incoming.source {
            Source::Endpoint(endpoint) => {
                self.commit_decided(&event, std::slice::from_ref(endpoint), None, incoming.memory)
                    .await?
            }
            Source::Sender(sender) if sender.plugin.is_none() => {
                let (explanation, chosen) = pass(sender, &event.event_type);
                self.commit_decided(&event, &chosen, Some(explanation), incoming.memory).await?
            }
            Source::Sender(sender) => self.commit_undecided(&event, sender, incoming.memory).await?,
        };
        Ok(match accepted {
            Accepted::New => {
                self.metrics.events_accepted.inc();
                Answer::New {
                    event: event.id,
                    accepted_at: now,
                }
            }
            Accepted::Existing(existing) => {
                self.metrics.events_repeated.inc();
                Answer::Existing(existing.progress)
            }
        })
    }

    async fn commit_decided(
        &self,
        event: &Arc<Event>,
        endpoints: &[Arc<Endpoint>],
        explanation: Option<Explanation>,
        memory: OwnedSemaphorePermit,
    ) -> Result<Accepted, Error> {
        let targets = endpoints.iter().map(|endpoint| Target {
            endpoint,
            content: None,
            content_type: &event.content_type,
            body: &event.payload,
            headers: Pairs::new(),
            due_at: event.accepted_at,
        });
        let (fan_out, rows): (FanOut, Vec<NewDelivery>) = FanOut::plan(&*self.deliveries, event, targets, event.accepted_at);
        let decided = Decided {
            outcome: if rows.is_empty() { EventState::Dropped } else { EventState::Routed },
            decided_by: explanation.as_ref().map(|_| DecidedBy::Sender),
            cost: None,
            detail: explanation.map(|explanation| explanation.to_text()),
            held_under: 0,
            decided_at: event.accepted_at,
            contents: Vec::new(),
            deliveries: rows,
        };
        let (answer, answered) = oneshot::channel();
        let deliveries = Arc::clone(&self.deliveries);
        let done = Box::new(move |outcome: Result<Accepted, Error>| {
            match &outcome {
                Ok(Accepted::New) => fan_out.committed(&*deliveries),
                Ok(Accepted::Existing(_)) | Err(_) => fan_out.abandoned(&*deliveries),
            }
            drop(memory);
            drop(answer.send(outcome));
        });
        self.store
            .accept(Arc::clone(event), claim(event), Placement::Decided(decided), done);
        answered.await.unwrap_or(Err(Error::Closed))
    }

    async fn commit_undecided(&self, event: &Arc<Event>, sender: &Sender, memory: OwnedSemaphorePermit) -> Result<Accepted, Error> {
        let place = self.routing.reserve(sender.id, event.id, event.payload.len());
        let leased = if place { Leased::ToUs } else { Leased::ToNobody };
        let (answer, answered) = oneshot::channel();
        let routing = Arc::clone(&self.routing);
        let handed = Arc::clone(event);
        let done = Box::new(move |outcome: Result<Accepted, Error>| {
            match (&outcome, place) {
                (Ok(Accepted::New), true) => routing.hand_over(HeldEvent {
                    event: handed,
                    failures: 0,
                    run: 1,
                }),
                (Ok(Accepted::New), false) => routing.look(),
                (_, true) => routing.forget(handed.id),
                (_, false) => {}
            }
            drop(memory);
            drop(answer.send(outcome));
        });
        self.store
            .accept(Arc::clone(event), claim(event), Placement::Undecided { leased }, done);
        answered.await.unwrap_or(Err(Error::Closed))
    }
}

/// A sender without a plugin delivers the payload as received to every endpoint that may have it.
fn pass(sender: &Sender, event_type: &str) -> (Explanation, Vec<Arc<Endpoint>>) {
    let (endpoints, skipped) = candidates(&sender.reach, event_type);
    let chosen = endpoints.iter().map(|endpoint| Chosen {
        endpoint: endpoint.label().to_owned(),
        payload: "original".to_owned(),
        delay_ms: 0,
    });
    let explanation = Explanation {
        by: "sender".to_owned(),
        outcome: if endpoints.is_empty() { "drop" } else { "pass" }.to_owned(),
        drop: endpoints.is_empty().then(|| no_endpoint(&sender.reach)),
        chosen: chosen.collect(),
        skipped,
        ..Explanation::default()
    };
    (explanation, endpoints)
}

const SCOPE: &str = "hooksentry";

fn claim(event: &Event) -> Option<IdempotencyClaim> {
    Some(IdempotencyClaim {
        scope: SCOPE.to_owned(),
        key: event.idempotency_key.clone()?,
        fingerprint: None,
        expires_at: None,
    })
}
