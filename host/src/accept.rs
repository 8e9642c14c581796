//! Accept: from a checked request to one durable commit.
//!
//! What needs no plugin is ruled here and committed together with the event: an endpoint's own token leads to that
//! endpoint and nowhere else, a sender without a plugin passes everything to its endpoints, and what a credential
//! publishes goes to whoever subscribed. What needs a plugin is committed first and routed after, so a plugin can never
//! cost an event.
//!
//! Nothing here reads the database: the snapshot has all that is asked, and the idempotency key is judged by the
//! unique index inside the commit (A2). [`Answer::New`] means the event is on disk (A1). What a refusal looks like on the
//! wire is each dialect's business.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hookyard_domain::{ContentHash, CredentialId, DecidedBy, DeliveryId, EnvironmentId, EventId, TenantId, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::{
    clock::Clock,
    configuration::{Configuration, Endpoint, Sender},
    fanout::{Deliveries, Routing},
    ruling::Ruling,
    store::{self, Accepted, Error, Event, Existing, HeldEvent, IdempotencyClaim, Leased, Pairs, Placement, Progress, Store},
    telemetry::metrics::Metrics,
};

/// What an event came in by, resolved.
pub enum Source {
    /// An endpoint's own token.
    Endpoint(Arc<Endpoint>),
    /// A sender's token.
    Sender(Arc<Sender>),
    /// A credential that publishes by type: the event goes to the environment's endpoints that want its type.
    Published {
        credential: CredentialId,
        tenant: TenantId,
        environment: EnvironmentId,
    },
}

/// A request's idempotency key, and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// Whose keys these are: the API, its route, the endpoint, as the dialect wants them told apart.
    pub scope: String,
    pub key: String,
    /// How long the key names the event; none is for ever.
    pub lasts: Option<Duration>,
    pub other_body: OtherBody,
}

/// What becomes of a request with a known key and another payload than the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherBody {
    /// It is answered with the first event, whatever it says itself.
    FirstWins,
    /// It is refused.
    Refused,
}

/// A payload whose source and shape have been checked.
pub struct Incoming {
    pub source: Source,
    pub idempotency: Option<Idempotency>,
    pub event_type: String,
    pub content_type: String,
    pub headers: Pairs,
    pub payload: Bytes,
    /// Memory the payload holds until it is on disk.
    pub memory: OwnedSemaphorePermit,
}

/// What the caller is told.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    New {
        event: EventId,
        accepted_at: Timestamp,
        /// What it has become so far; nothing while a plugin has to decide.
        deliveries: Vec<DeliveryId>,
    },
    /// The idempotency key already names this event.
    Existing(Progress),
}

/// Why nothing was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too much waits to be written. Nothing was kept; repeating is safe.
    #[error("too many events are waiting to be written")]
    Busy,
    /// Nothing was kept; repeating is safe, and of use once somebody made room.
    #[error("no disk space is left")]
    Full,
    /// The event may be on disk and may not: repeating is safe with an idempotency key.
    #[error("the database is away")]
    Away,
    #[error("the idempotency key was used for another body")]
    KeyUsedForAnotherBody,
    /// A defect of ours, which the log tells. Repeating is of no use.
    #[error("the event could not be written")]
    Defect,
}

impl Refused {
    /// The word for it in the metrics.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Full => "full",
            Self::Away => "away",
            Self::KeyUsedForAnotherBody => "key-used",
            Self::Defect => "defect",
        }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        match error {
            Error::Busy => Self::Busy,
            Error::Full(_) => Self::Full,
            Error::Unreachable(_) | Error::Closed => Self::Away,
            error => {
                tracing::error!(%error, "cannot accept an event");
                Self::Defect
            }
        }
    }
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

    /// The event an idempotency key already names. Only for requests that would be refused otherwise: the others learn
    /// it from the commit.
    ///
    /// # Errors
    /// As [`Accept::accept`].
    pub async fn existing(&self, tenant: TenantId, scope: &str, key: &str) -> Result<Option<Progress>, Refused> {
        let existing = self.store.existing(tenant, scope, key, self.clock.now()).await?;
        if existing.is_some() {
            self.metrics.events_repeated.inc();
        }
        Ok(existing.map(|existing| existing.progress))
    }

    /// Commits the event and hands it on. The commit and the handing on happen even if the caller goes away meanwhile.
    ///
    /// # Errors
    /// Nothing was accepted; each [`Refused`] says whether repeating is safe.
    pub async fn accept(&self, incoming: Incoming) -> Result<Answer, Refused> {
        let now = self.clock.now();
        let claim = incoming.idempotency.map(|idempotency| claim(idempotency, &incoming.payload, now));
        let fingerprint = claim.as_ref().and_then(|claim| claim.fingerprint);
        let (tenant, environment, source) = match &incoming.source {
            Source::Endpoint(endpoint) => (endpoint.tenant.id, endpoint.environment, store::Source::Endpoint(endpoint.id)),
            Source::Sender(sender) => (sender.tenant.id, sender.environment, store::Source::Sender(sender.id)),
            Source::Published {
                credential,
                tenant,
                environment,
            } => (*tenant, *environment, store::Source::Credential(*credential)),
        };
        let event = Arc::new(Event {
            id: EventId::new_v7(now, rand::random()),
            tenant,
            environment,
            source,
            idempotency_key: claim.as_ref().map(|claim| claim.key.clone()),
            event_type: incoming.event_type,
            content_type: incoming.content_type,
            headers: incoming.headers,
            payload: incoming.payload,
            accepted_at: now,
        });
        let (accepted, deliveries) = match self.rule(incoming.source, &event) {
            Some(ruling) => self.commit_decided(&event, claim, ruling, incoming.memory).await?,
            None => (self.commit_undecided(&event, claim, incoming.memory).await?, Vec::new()),
        };
        match accepted {
            Accepted::New => {
                self.metrics.events_accepted.inc();
                Ok(Answer::New {
                    event: event.id,
                    accepted_at: now,
                    deliveries,
                })
            }
            Accepted::Existing(existing) => {
                let answer = same_request(existing, fingerprint)?;
                self.metrics.events_repeated.inc();
                Ok(answer)
            }
        }
    }

    /// What needs neither a plugin nor a mapping, either of which may fail, is decided at once; none is for routing.
    fn rule(&self, source: Source, event: &Event) -> Option<Ruling> {
        match source {
            Source::Endpoint(endpoint) => Some(Ruling::direct(endpoint)),
            Source::Sender(sender) if sender.plugin.is_some() || sender.mapping.is_some() => None,
            Source::Sender(sender) => Some(Ruling::pass(DecidedBy::Sender, sender.reach.candidates(&event.event_type), None)),
            Source::Published { environment, .. } => {
                let snapshot = self.configuration.current();
                let reach = snapshot.subscribers(environment).cloned().unwrap_or_default();
                Some(Ruling::pass(DecidedBy::Subscriptions, reach.candidates(&event.event_type), None))
            }
        }
    }

    async fn commit_decided(
        &self,
        event: &Arc<Event>,
        claim: Option<IdempotencyClaim>,
        ruling: Ruling,
        memory: OwnedSemaphorePermit,
    ) -> Result<(Accepted, Vec<DeliveryId>), Error> {
        // Nothing decided here is held, so no revision is waited for.
        let (decided, fan_out) = ruling.into_rows(&*self.deliveries, event, 0, event.accepted_at);
        let ids = decided.deliveries.iter().map(|delivery| delivery.id).collect();
        let (answer, answered) = oneshot::channel();
        let (deliveries, metrics, word) = (Arc::clone(&self.deliveries), Arc::clone(&self.metrics), decided.outcome.as_str());
        let done = Box::new(move |outcome: Result<Accepted, Error>| {
            match &outcome {
                Ok(Accepted::New) => {
                    metrics.events_decided.inc("outcome", word);
                    fan_out.committed(&*deliveries);
                }
                Ok(Accepted::Existing(_)) | Err(_) => fan_out.abandoned(&*deliveries),
            }
            drop(memory);
            drop(answer.send(outcome));
        });
        self.store.accept(Arc::clone(event), claim, Placement::Decided(decided), done);
        let accepted = answered.await.unwrap_or(Err(Error::Closed))?;
        Ok((accepted, ids))
    }

    async fn commit_undecided(
        &self,
        event: &Arc<Event>,
        claim: Option<IdempotencyClaim>,
        memory: OwnedSemaphorePermit,
    ) -> Result<Accepted, Error> {
        let Some(sender) = event.source.sender() else {
            return Err(Error::Statement("only what a sender's plugin must decide is left undecided".into()));
        };
        let leased = self.routing.reserve(sender, event.id, event.payload.len());
        let (answer, answered) = oneshot::channel();
        let routing = Arc::clone(&self.routing);
        let handed = Arc::clone(event);
        let done = Box::new(move |outcome: Result<Accepted, Error>| {
            match (&outcome, leased) {
                (Ok(Accepted::New), Leased::ToUs) => routing.hand_over(HeldEvent {
                    event: handed,
                    failures: 0,
                    run: 1,
                }),
                (Ok(Accepted::New), Leased::ToNobody) => routing.left_in_table(sender),
                (_, Leased::ToUs) => routing.forget(handed.id),
                (_, Leased::ToNobody) => {}
            }
            drop(memory);
            drop(answer.send(outcome));
        });
        self.store.accept(Arc::clone(event), claim, Placement::Undecided { leased }, done);
        answered.await.unwrap_or(Err(Error::Closed))
    }
}

fn claim(idempotency: Idempotency, payload: &[u8], now: Timestamp) -> IdempotencyClaim {
    IdempotencyClaim {
        fingerprint: match idempotency.other_body {
            OtherBody::FirstWins => None,
            OtherBody::Refused => Some(ContentHash::of(payload)),
        },
        expires_at: idempotency.lasts.map(|lasts| now.plus(lasts)),
        scope: idempotency.scope,
        key: idempotency.key,
    }
}

/// Whether a repeat gets the first event: always where no fingerprint is asked for, or none was kept.
fn same_request(existing: Existing, fingerprint: Option<ContentHash>) -> Result<Answer, Refused> {
    match (fingerprint, existing.fingerprint) {
        (Some(ours), Some(first)) if ours != first => Err(Refused::KeyUsedForAnotherBody),
        _ => Ok(Answer::Existing(existing.progress)),
    }
}
