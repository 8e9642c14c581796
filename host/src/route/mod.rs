//! Route: a plugin decides, once, where an event goes.
//!
//! Events come in as deliveries do: handed over after the commit that leased them to this node, or claimed from the
//! table. Plugins run on threads of this stage's own, as many as there are cores, so a guest never sits on a thread
//! that serves requests. The decision and its deliveries are committed together (R1) and retries never run a plugin
//! again. A failing plugin never costs an event: what may pass by itself is tried again later, the rest goes by the
//! sender's failure policy, whose default is to hold the event until a version works.
//!
//! Cast: [`queue`] says whose plugin runs next; [`decide`] makes one step of one event; [`breakers`] says when a plugin
//! is left alone; [`holding`] says when a held event is let go; [`claimer`] brings events from the table; [`failure_log`] keeps a flood of failures to a few lines.
//! What a decision means is in [`crate::ruling`].

mod breakers;
mod claimer;
mod decide;
mod failure_log;
mod holding;
mod queue;

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hookyard_domain::{EventId, SenderId, Timestamp};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    breakers::{Breakers, Change},
    decide::{Step, Turn},
    failure_log::FailureLog,
    queue::{Owner, Queue, Queued, Wake},
};
use crate::{
    clock::Clock,
    configuration::Configuration,
    fanout::{Deliveries, FanOut, Routing},
    installed::Installed,
    ruling::Ruling,
    store::{DecideOutcome, Error, HeldEvent, Leased, Postponed, Store},
    telemetry::{metrics::Metrics, supervision::supervised},
    wasm::CallLimits,
};

/// What the stage is built from.
pub struct Parts {
    pub store: Store,
    pub configuration: Arc<Configuration>,
    pub installed: Arc<Installed>,
    pub deliveries: Arc<dyn Deliveries>,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    pub limits: CallLimits,
    /// Secret from which each run's randomness is derived: repeatable for us, unpredictable for a plugin.
    pub seed_key: [u8; 32],
    /// Plugin threads; at least 1.
    pub threads: usize,
    /// How often the table is searched without a reason.
    pub search_every: Duration,
}

/// The routing stage. Cheap to clone.
#[derive(Clone)]
pub struct Route(Arc<Inner>);

struct Inner {
    parts: Parts,
    queue: Mutex<Queue>,
    /// A queued event may run, or the stage closes.
    ready: Condvar,
    breakers: Breakers,
    failures: FailureLog,
    /// The claimer is to search the table.
    search: Notify,
    closing: CancellationToken,
    tasks: TaskTracker,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

/// How much later than the other threads a plugin thread gets a processor, where there are too few.
const NICE: i32 = 5;

/// Routing comes after accepting, delivering and committing: a backlog that is worked off takes all the processor time there
/// is, and an event that is decided a little later harms nobody. On Linux the nice value is the calling thread's own
/// (nice(2), "C library/kernel differences"); elsewhere it would be the whole process's.
fn give_way() {
    if cfg!(target_os = "linux")
        && let Err(error) = rustix::process::nice(NICE)
    {
        tracing::info!(%error, "a plugin thread has the same priority as all other threads");
    }
}

impl Route {
    /// Starts the plugin threads and the claimer. Call within the runtime.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start(parts: Parts) -> std::io::Result<Self> {
        let threads = parts.threads.max(1);
        // A sender may use all threads but one, so that whatever its plugin does, another's event finds a thread.
        let running_max = threads.saturating_sub(1).max(1);
        let failures = FailureLog::new(&parts.metrics);
        let route = Self(Arc::new(Inner {
            parts,
            queue: Mutex::new(Queue::new(running_max)),
            ready: Condvar::new(),
            breakers: Breakers::default(),
            failures,
            search: Notify::new(),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
            threads: Mutex::default(),
        }));
        for index in 0..threads {
            let worker = route.clone();
            let thread = std::thread::Builder::new()
                .name(format!("hookyard-plugin-{index}"))
                .spawn(move || {
                    give_way();
                    worker.work();
                })?;
            lock(&route.0.threads).push(thread);
        }
        let (stage, panics) = (route.clone(), route.0.parts.metrics.panics.clone());
        let claiming = supervised("routing-claimer", panics, route.0.closing.clone(), move || {
            claimer::run(stage.clone())
        });
        route.0.tasks.spawn(claiming);
        Ok(route)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.0.queue)
    }

    fn is_closing(&self) -> bool {
        self.0.closing.is_cancelled()
    }

    /// Has the table searched now: the configuration changed, or a version was loaded.
    pub fn search(&self) {
        self.0.search.notify_one();
    }

    fn wake(&self, wake: Wake) {
        if wake == Wake::Claimer {
            self.search();
        }
    }

    fn work(self) {
        while let Some(queued) = self.next() {
            let (sender, id) = (queued.held.event.source.sender(), queued.held.event.id);
            if std::panic::catch_unwind(AssertUnwindSafe(|| self.route(queued))).is_err() {
                // A defect of ours, not of the plugin, whose faults are results. The event stays pending.
                self.0.parts.metrics.panics.inc("part", "routing");
                tracing::error!(event = %id, "routing an event panicked; it will be routed again");
                self.forget(id);
                self.0.parts.store.doubts().events.raise();
            }
            if let Some(sender) = sender {
                self.queue().ran(sender);
            }
        }
    }

    fn next(&self) -> Option<Queued> {
        let mut queue = self.queue();
        loop {
            if self.is_closing() {
                return None;
            }
            if let Some(event) = queue.next() {
                // Who finds work wakes the next thread while there is more.
                let more = queue.can_run();
                drop(queue);
                if more {
                    self.0.ready.notify_one();
                }
                return Some(event);
            }
            queue = self.0.ready.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Makes one step of one event on this thread.
    fn route(&self, queued: Queued) {
        let Inner {
            parts, breakers, failures, ..
        } = &*self.0;
        let Some(sender) = queued.held.event.source.sender() else { return };
        let snapshot = parts.configuration.current();
        let Turn { step, change } = decide::decide(parts, breakers, failures, &snapshot, &queued);
        match step {
            Step::Decide { ruling, held_under } => self.write(queued.held, ruling, held_under),
            Step::Postpone { due_at, failures } => self.postpone(vec![Postponed {
                event: queued.held.event.id,
                due_at,
                failures,
            }]),
            Step::RunAgain => self.enqueue(
                sender,
                Queued {
                    overruns: queued.overruns + 1,
                    ..queued
                },
            ),
            Step::Stopped { until } => self.stop_sender(sender, until, Some(queued)),
        }
        match change {
            Change::None => {}
            Change::Stopped { until } => self.stop_sender(sender, until, None),
            Change::Resumed => {
                let wake = self.queue().resume(sender);
                self.wake(wake);
            }
        }
    }

    /// Writes what was decided, and hands on what it makes.
    fn write(&self, held: HeldEvent, ruling: Ruling, held_under: i64) {
        let parts = &self.0.parts;
        let event = &held.event;
        let (decided, fan_out) = ruling.into_rows(&*parts.deliveries, event, held_under, parts.clock.now());
        let (route, id, deliveries) = (self.clone(), event.id, Arc::clone(&parts.deliveries));
        let event = Arc::clone(event);
        let word = decided.outcome.as_str();
        let done = move |outcome: Result<DecideOutcome, Error>| {
            if let Ok(DecideOutcome::Decided) = &outcome {
                route.0.parts.metrics.events_decided.inc("outcome", word);
            }
            written(id, outcome, fan_out, &*deliveries);
            route.forget(id);
        };
        parts.store.decide(event, held.run, decided, Box::new(done));
    }

    /// The sender's plugin is left alone until then: its events go back to the table, all in one batch, and stay there.
    /// They keep their order, and are due, so that a new version finds them at once.
    fn stop_sender(&self, sender: SenderId, until: Timestamp, with: Option<Queued>) {
        let mut queued = self.queue().stop(sender, until);
        queued.extend(with);
        let postponed: Vec<_> = queued
            .iter()
            .map(|queued| Postponed {
                event: queued.held.event.id,
                due_at: queued.held.event.accepted_at,
                failures: queued.held.failures,
            })
            .collect();
        if !postponed.is_empty() {
            self.postpone(postponed);
        }
        // It must know when the sender's time comes.
        self.search();
    }

    fn postpone(&self, events: Vec<Postponed>) {
        let route = self.clone();
        let ids: Vec<EventId> = events.iter().map(|postponed| postponed.event).collect();
        let done = move |outcome: Result<(), Error>| {
            if let Err(error) = outcome {
                tracing::warn!(events = ids.len(), %error, "cannot postpone events");
            }
            for id in ids {
                route.forget(id);
            }
            route.search();
        };
        self.0.parts.store.postpone(events, Box::new(done));
    }

    fn enqueue(&self, sender: SenderId, queued: Queued) {
        let mut queue = self.queue();
        // While something could run before, a thread is on its way to it and will wake the next.
        let is_first = !queue.can_run();
        queue.push(sender, queued);
        let wake = is_first && queue.can_run();
        drop(queue);
        if wake {
            self.0.ready.notify_one();
        }
    }

    /// Events that this node has in memory.
    pub fn queued(&self) -> usize {
        self.queue().held()
    }

    /// Forgets everything queued: this node's leases have been given to others.
    pub fn abandon(&self) {
        let drained = self.queue().drain();
        for queued in drained {
            self.forget(queued.held.event.id);
        }
    }

    /// Stops: runs in flight end, within their own limits; what is queued stays leased until the node's leases are
    /// released.
    pub async fn stop(&self) {
        self.0.closing.cancel();
        self.0.tasks.close();
        // Under the lock, so that no thread is between asking for work and waiting for it.
        drop(self.queue());
        self.0.ready.notify_all();
        let threads = std::mem::take(&mut *lock(&self.0.threads));
        let ended = tokio::task::spawn_blocking(move || threads.into_iter().for_each(|thread| drop(thread.join())));
        drop(ended.await);
        self.0.tasks.wait().await;
    }
}

impl Routing for Route {
    fn reserve(&self, sender: SenderId, event: EventId, payload_bytes: usize) -> Leased {
        let now = self.0.parts.clock.now();
        if !self.is_closing() && self.queue().reserve(sender, event, payload_bytes, now) {
            Leased::ToUs
        } else {
            Leased::ToNobody
        }
    }

    fn forget(&self, event: EventId) {
        let wake = self.queue().free(event);
        self.wake(wake);
    }

    fn hand_over(&self, held: HeldEvent) {
        if let Some(sender) = held.event.source.sender() {
            let owner = Owner::Sender;
            self.enqueue(sender, Queued { held, owner, overruns: 0 });
        }
    }

    fn left_in_table(&self, sender: SenderId) {
        let wake = self.queue().left_in_table(sender, self.0.parts.clock.now());
        self.wake(wake);
    }
}

/// A decision's outcome, on the store's own thread. What the store cannot write it has logged.
fn written(event: EventId, outcome: Result<DecideOutcome, Error>, fan_out: FanOut, deliveries: &dyn Deliveries) {
    match outcome {
        Ok(DecideOutcome::Decided) => return fan_out.committed(deliveries),
        Ok(DecideOutcome::LeaseLost) => tracing::debug!(%event, "a decision came after its lease was lost; it changes nothing"),
        Err(error) => tracing::debug!(%event, %error, "cannot write a decision; the event will be routed again"),
    }
    fan_out.abandoned(deliveries);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
