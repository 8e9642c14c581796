//! Deliver: from a committed delivery to a settled one.
//!
//! Deliveries come in two ways: handed over from memory right after the commit that leased them to this node, or
//! claimed from the table when due. Each endpoint has a queue and at most `concurrency_max` workers; a worker takes the
//! next delivery, makes one attempt, hands the outcome to the store and goes on without waiting for the flush. The place
//! of a delivery is freed only when its outcome is on disk, so what is in memory stays bounded.
//!
//! Cast: [`window`] knows what is held and whose turn it is, by the rules of [`share`]; [`sending`] counts the memory of
//! large bodies; [`worker`] makes attempts: [`request`] builds and signs what each sends, [`attempt`] posts it. [`claimer`]
//! brings work from the table when the [`agenda`] says; [`breakers`] keeps which endpoints are left alone; [`journal`] writes
//! the log.

mod agenda;
mod attempt;
mod breakers;
mod claimer;
mod journal;
mod outbound_auth;
mod request;
mod sending;
mod share;
mod window;
mod worker;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hookyard_domain::{DeliveryId, EndpointId, Timestamp};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    agenda::{Agenda, Noted},
    breakers::Breakers,
    journal::Journal,
    sending::Sending,
    window::{Census, TableHolds, Window},
};
use crate::{
    clock::Clock,
    configuration::{Configuration, Endpoint, EndpointStatus},
    egress::Egress,
    fanout::Deliveries,
    store::{BreakerRow, HeldDelivery, Leased, Store},
    telemetry::{metrics::Metrics, supervision::supervised},
};

/// How long attempts that were cut off may take to hand in what they hold.
const CUT_OFF_MAX: Duration = Duration::from_secs(5);

/// The delivery stage. Cheap to clone.
#[derive(Clone)]
pub struct Deliver(Arc<Inner>);

struct Inner {
    store: Store,
    egress: Egress,
    configuration: Arc<Configuration>,
    clock: Clock,
    window: Mutex<Window>,
    sending: Sending,
    agenda: Mutex<Agenda>,
    /// The claimer has something to do sooner than it thinks.
    claimer: Notify,
    breakers: Breakers,
    journal: Journal,
    metrics: Arc<Metrics>,
    /// No new attempts.
    closing: CancellationToken,
    /// Cut off the attempts in flight.
    stopping: CancellationToken,
    tasks: TaskTracker,
    /// Every attempt has ended and told what it had to tell.
    ended: CancellationToken,
    /// Writes what attempts told of endpoints; ends after them.
    keeper: TaskTracker,
    runtime: tokio::runtime::Handle,
    /// How often the table is looked through without a reason.
    search_every: Duration,
}

impl Deliver {
    /// Starts the stage, which knows of `blocked` endpoints from an earlier run. Call within the runtime that the
    /// deliveries are to run on.
    pub fn start(
        store: Store,
        egress: Egress,
        configuration: Arc<Configuration>,
        clock: Clock,
        metrics: Arc<Metrics>,
        search_every: Duration,
        blocked: &[BreakerRow],
    ) -> Self {
        let sending = Sending::default();
        let deliver = Self(Arc::new(Inner {
            store,
            egress,
            configuration,
            clock,
            window: Mutex::new(Window::new(sending.clone(), blocked)),
            sending,
            agenda: Mutex::default(),
            claimer: Notify::new(),
            breakers: Breakers::default(),
            journal: Journal::new(&metrics),
            metrics,
            closing: CancellationToken::new(),
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
            ended: CancellationToken::new(),
            keeper: TaskTracker::new(),
            runtime: tokio::runtime::Handle::current(),
            search_every,
        }));
        let inner = &deliver.0;
        let owned = |part, stage: &Self| (part, stage.0.metrics.panics.clone(), stage.0.closing.clone(), stage.clone());
        let (part, panics, closing, stage) = owned("delivery-claimer", &deliver);
        inner
            .tasks
            .spawn(supervised(part, panics, closing, move || claimer::run(stage.clone())));
        let (part, panics, closing, stage) = owned("delivery-bytes", &deliver);
        inner
            .tasks
            .spawn(supervised(part, panics, closing, move || stage.clone().share_bytes()));
        let (part, panics, _, stage) = owned("breaker-keeper", &deliver);
        // It ends after the attempts, not when the stage closes.
        let ended = inner.ended.clone();
        inner
            .keeper
            .spawn(supervised(part, panics, ended, move || stage.clone().keep_breakers()));
        deliver
    }

    /// Does something with the window, and starts the workers that are to be started for that.
    fn with_window<T>(&self, act: impl FnOnce(&mut Window) -> T) -> T {
        let mut window = self.0.window.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = act(&mut window);
        let starts: Vec<_> = std::iter::from_fn(|| window.start_next()).collect();
        drop(window);
        for endpoint in starts {
            self.0.tasks.spawn_on(self.clone().work(endpoint), &self.0.runtime);
        }
        outcome
    }

    /// The endpoint, if deliveries may go to it now.
    fn endpoint_to_serve(&self, id: EndpointId) -> Option<Arc<Endpoint>> {
        let endpoint = self.0.configuration.current().endpoints.get(&id).cloned()?;
        (endpoint.status == EndpointStatus::Active).then_some(endpoint)
    }

    fn is_closing(&self) -> bool {
        self.0.closing.is_cancelled()
    }

    /// Notes that the table has work of this endpoint that is due then.
    fn note(&self, endpoint: EndpointId, due_at: Timestamp) {
        let noted = self.with_agenda(|agenda| agenda.note(endpoint, due_at));
        if noted == Noted::First {
            self.0.claimer.notify_one();
        }
    }

    fn with_agenda<T>(&self, act: impl FnOnce(&mut Agenda) -> T) -> T {
        act(&mut self.0.agenda.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Hands bytes of large bodies on as they come back.
    async fn share_bytes(self) {
        loop {
            tokio::select! {
                () = self.0.sending.freed() => self.with_window(Window::share_bytes),
                () = self.0.closing.cancelled() => return,
            }
        }
    }

    async fn keep_breakers(self) {
        self.0.breakers.write(&self.0.store, &self.0.clock, &self.0.ended).await;
    }

    /// What this node has in memory, counted.
    pub fn census(&self) -> Census {
        self.with_window(|window| window.census())
    }

    /// Forgets everything queued: this node's leases have been given to others.
    pub fn abandon(&self) {
        let drained = self.with_window(Window::drain);
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
        self.0.ended.cancel();
        self.0.keeper.close();
        if tokio::time::timeout(CUT_OFF_MAX, self.0.keeper.wait()).await.is_err() {
            tracing::warn!("cannot keep which endpoints are left alone; stopping without it");
        }
    }
}

impl Deliveries for Deliver {
    fn reserve(&self, endpoint: EndpointId, delivery: DeliveryId) -> Leased {
        if self.is_closing() {
            return Leased::ToNobody;
        }
        let now = self.0.clock.now();
        self.with_window(|window| window.reserve(endpoint, delivery, now))
    }

    fn forget(&self, endpoint: EndpointId, delivery: DeliveryId) {
        let now = self.0.clock.now();
        match self.with_window(|window| window.free(endpoint, delivery, now)) {
            TableHolds::MoreToFetch => self.note(endpoint, now),
            TableHolds::NothingKnown => {}
        }
    }

    fn hand_over(&self, delivery: HeldDelivery) {
        // One worker for an endpoint that is not to be served: it gives the delivery back.
        let concurrency = self
            .endpoint_to_serve(delivery.endpoint)
            .map_or(1, |endpoint| endpoint.concurrency_max);
        self.with_window(|window| window.hand_over(delivery, concurrency));
    }

    fn withdraw(&self, endpoint: EndpointId) {
        let deliveries = self.with_window(|window| window.withdraw(endpoint));
        // Given back and not only forgotten: one that was committed since the others were cancelled is leased to this node, and
        // would be in nobody's memory.
        let stage = self.clone();
        self.0
            .tasks
            .spawn_on(async move { stage.give_back(deliveries).await }, &self.0.runtime);
    }

    fn left_in_table(&self, endpoint: EndpointId, due_at: Timestamp) {
        self.note(endpoint, due_at);
    }
}
