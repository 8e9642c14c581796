//! Route: a plugin decides, once, where an event goes.
//!
//! Events come in as deliveries do: handed over after the commit that leased them to this node, or claimed from the
//! table. Plugins run on threads of this stage's own, as many as there are cores, so a guest never sits on a thread
//! that serves requests; which event runs next is [`queue`]'s business. The decision and its deliveries are committed
//! together (R1) and retries never run a plugin again.
//!
//! A failing plugin never costs an event: what may pass by itself is tried again later, the rest goes by the sender's
//! failure policy, whose default is to hold the event until a version works. Cast: [`decide`] turns one run into rows
//! and an explanation; [`claimer`] brings events from the table.

mod claimer;
mod decide;
mod queue;

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hookyard_domain::{
    ContentHash, EventId, SenderId, Timestamp,
    breaker::{Admit, PluginBreaker},
    decision::Decision,
    failure::{FailureClass, FailurePolicy, PluginFailure},
};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{decide::Ruling, queue::Queue};
use crate::{
    clock::Clock,
    configuration::{Configuration, Sender},
    explanation::{candidates, not_handled},
    fanout::{Deliveries, Routing},
    installed::{Active, Installed, Slot},
    run::run,
    store::{DecideOutcome, Error, HeldEvent, Postponed, Store},
    wasm::CallLimits,
};

/// Wait for a version that is active but not loaded here yet.
const UNLOADED_WAIT: Duration = Duration::from_secs(1);
/// Longest wait of an event whose runs the host keeps starving.
const STARVED_WAIT_MAX: Duration = Duration::from_secs(60);
/// Events that waited for one breaker come back spread over so many milliseconds, not all at once.
const BREAKER_SPREAD_MS: u64 = 1_000;
/// Runs after which a failure that may pass by itself is treated as one that does not.
const TRANSIENT_TRIES_MAX: u32 = 5;
/// Wait after the first such failure; doubled after each further one.
const TRANSIENT_WAIT_FIRST: Duration = Duration::from_secs(1);

/// What the stage is built from.
pub struct Parts {
    pub store: Store,
    pub configuration: Arc<Configuration>,
    pub installed: Arc<Installed>,
    pub deliveries: Arc<dyn Deliveries>,
    pub clock: Clock,
    pub limits: CallLimits,
    /// Secret from which each run's randomness is derived: repeatable for us, unpredictable for a plugin.
    pub seed_key: [u8; 32],
    /// Plugin threads; at least 1.
    pub threads: usize,
}

/// The routing stage. Cheap to clone.
#[derive(Clone)]
pub struct Route(Arc<Inner>);

struct Inner {
    parts: Parts,
    queue: Mutex<Queue>,
    /// A queued event may run, or the stage closes.
    ready: Condvar,
    breakers: Mutex<HashMap<SenderId, (ContentHash, PluginBreaker)>>,
    look: Notify,
    closing: CancellationToken,
    tasks: TaskTracker,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
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
        let route = Self(Arc::new(Inner {
            parts,
            queue: Mutex::new(Queue::new(running_max)),
            ready: Condvar::new(),
            breakers: Mutex::default(),
            look: Notify::new(),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
            threads: Mutex::default(),
        }));
        for index in 0..threads {
            let worker = route.clone();
            let thread = std::thread::Builder::new()
                .name(format!("hookyard-plugin-{index}"))
                .spawn(move || worker.work())?;
            lock(&route.0.threads).push(thread);
        }
        route.0.tasks.spawn(claimer::run(route.clone()));
        Ok(route)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.0.queue)
    }

    fn is_closing(&self) -> bool {
        self.0.closing.is_cancelled()
    }

    fn work(self) {
        while let Some(held) = self.next() {
            let (sender, id) = (held.event.source.sender(), held.event.id);
            if std::panic::catch_unwind(AssertUnwindSafe(|| self.route(held))).is_err() {
                // A defect of ours, not of the plugin, whose faults are results. The event stays pending.
                tracing::error!(event = %id, "routing an event panicked; it will be routed again");
                self.forget(id);
                self.0.parts.store.doubts().events.raise();
            }
            if let Some(sender) = sender {
                self.queue().ran(sender);
            }
        }
    }

    fn next(&self) -> Option<HeldEvent> {
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

    /// Routes one event on this thread.
    fn route(&self, held: HeldEvent) {
        let parts = &self.0.parts;
        let now = parts.clock.now();
        let event = &held.event;
        let snapshot = parts.configuration.current();
        let Some(sender) = event.source.sender().and_then(|sender| snapshot.senders.get(&sender)).cloned() else {
            // Written by a node that knows a sender this one has not heard of yet.
            return self.postpone(&held, now.plus(Duration::from_secs(1)), held.failures);
        };
        let slot = self.slot(&sender);
        let generation = slot.as_ref().map(Slot::generation);
        let ruling = match &sender.plugin {
            None => Ruling::pass(event, &sender, None),
            Some(plugin) => match slot {
                // A version is active, and on its way to this node.
                None if snapshot.plugin(sender.tenant.id, plugin).is_some() => {
                    return self.postpone(&held, now.plus(UNLOADED_WAIT), held.failures);
                }
                None => Ruling::no_version(event, &sender, plugin),
                Some(Slot::Unloadable { reason, .. }) => Ruling::unloadable(event, &sender, plugin, &reason),
                Some(Slot::Ready(active)) if !active.handles(&event.event_type) => {
                    Ruling::pass(event, &sender, Some(not_handled(plugin, &event.event_type)))
                }
                Some(Slot::Ready(active)) => match self.run(&held, &sender, plugin, &active, now) {
                    Ok(ruling) => ruling,
                    Err(until) => {
                        let failures = if until.counts { held.failures + 1 } else { held.failures };
                        return self.postpone(&held, until.at, failures);
                    }
                },
            },
        };
        if ruling.holds() && !self.is_in_force(&sender, generation) {
            // What failed the event has been replaced meanwhile, and what was held for it released: held now, the event
            // would wait for a change that has happened.
            return self.postpone(&held, parts.clock.now(), held.failures);
        }
        let (decided, fan_out) = ruling.into_rows(&*parts.deliveries, event, parts.clock.now());
        let (route, id, deliveries) = (self.clone(), event.id, Arc::clone(&parts.deliveries));
        parts.store.decide(
            Arc::clone(event),
            held.run,
            decided,
            Box::new(move |outcome| {
                match outcome {
                    Ok(DecideOutcome::Decided) => fan_out.committed(&*deliveries),
                    Ok(DecideOutcome::LeaseLost) => {
                        tracing::warn!(event = %id, "a decision came after its lease was lost; it changes nothing");
                        fan_out.abandoned(&*deliveries);
                    }
                    Err(error) => {
                        tracing::warn!(event = %id, %error, "cannot write a decision; the event will be routed again");
                        fan_out.abandoned(&*deliveries);
                    }
                }
                route.forget(id);
            }),
        );
    }

    fn slot(&self, sender: &Sender) -> Option<Slot> {
        self.0.parts.installed.get(sender.tenant.id, sender.plugin.as_deref()?)
    }

    /// Whether an event of this sender would meet the same plugin and configuration again.
    fn is_in_force(&self, sender: &Sender, generation: Option<u32>) -> bool {
        let snapshot = self.0.parts.configuration.current();
        let current = snapshot.senders.get(&sender.id);
        current.is_some_and(|current| current.routes_like(sender) && self.slot(current).map(|slot| slot.generation()) == generation)
    }

    /// Runs the plugin. `Err`: not now, but then.
    fn run(&self, held: &HeldEvent, sender: &Sender, plugin: &str, active: &Active, now: Timestamp) -> Result<Ruling, Later> {
        let parts = &self.0.parts;
        let event = &held.event;
        let (candidates, skipped) = candidates(&sender.reach, &event.event_type);
        if candidates.is_empty() {
            return Ok(Ruling::no_candidates(sender, skipped));
        }
        let version = active.module.hash();
        match self.breaker(sender.id, version, |breaker| breaker.admit(now)) {
            // Held events would only wait for a new version; postponed ones also find the plugin well again by itself.
            Admit::Wait { until } if sender.failure_policy == FailurePolicy::Hold => {
                let spread = Duration::from_millis(rand::random_range(0..BREAKER_SPREAD_MS));
                return Err(Later {
                    at: until.plus(spread),
                    counts: false,
                });
            }
            Admit::Wait { .. } => return Ok(Ruling::stopped(sender, plugin, candidates, skipped)),
            Admit::Pass | Admit::Probe => {}
        }
        let seed = self.seed(event.id, version);
        let mut run = run(&active.module, event, sender, &candidates, seed, parts.limits);
        let result = std::mem::replace(&mut run.result, Ok(Decision::Pass));
        let judged = decide::judge(result, candidates.len());
        let ok = judged.as_ref().err().is_none_or(|failure| !failure.class.counts_against_plugin());
        self.breaker(sender.id, version, |breaker| breaker.record(ok, parts.clock.now()));
        if let Err(failure) = &judged
            && may_pass(failure, held.failures)
        {
            tracing::info!(event = %event.id, sender = sender.name, plugin, %failure, "the plugin failed for now; the event is routed again later");
            return Err(Later {
                at: parts
                    .clock
                    .now()
                    .plus((TRANSIENT_WAIT_FIRST * 2_u32.pow(held.failures.min(10))).min(STARVED_WAIT_MAX)),
                counts: true,
            });
        }
        if let Err(failure) = &judged {
            tracing::warn!(event = %event.id, sender = sender.name, plugin, version = version.short(), %failure,
                policy = sender.failure_policy.as_str(), "the plugin failed");
        }
        Ok(Ruling::of_run(sender, plugin, active, &run, judged, candidates, skipped))
    }

    fn breaker<T>(&self, sender: SenderId, version: ContentHash, with: impl FnOnce(&mut PluginBreaker) -> T) -> T {
        let mut breakers = lock(&self.0.breakers);
        let (of, breaker) = breakers.entry(sender).or_insert_with(|| (version, PluginBreaker::new()));
        if *of != version {
            // A new version starts with a clean slate.
            (*of, *breaker) = (version, PluginBreaker::new());
        }
        with(breaker)
    }

    fn seed(&self, event: EventId, version: ContentHash) -> u64 {
        let mut text = [0_u8; 32 + 16 + 32];
        text[..32].copy_from_slice(&self.0.parts.seed_key);
        text[32..48].copy_from_slice(event.as_uuid().as_bytes());
        text[48..].copy_from_slice(version.as_bytes());
        let hash = ContentHash::of(&text);
        u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("a hash has more than 8 bytes"))
    }

    fn postpone(&self, held: &HeldEvent, at: Timestamp, failures: u32) {
        let (route, id) = (self.clone(), held.event.id);
        self.0.parts.store.postpone(
            vec![Postponed {
                event: id,
                due_at: at,
                failures,
            }],
            Box::new(move |outcome: Result<(), Error>| {
                if let Err(error) = outcome {
                    tracing::warn!(event = %id, %error, "cannot postpone an event");
                }
                route.forget(id);
                route.look();
            }),
        );
    }

    /// Forgets everything queued: this node's leases have been given to others.
    pub fn abandon(&self) {
        let drained = self.queue().drain();
        for held in drained {
            self.forget(held.event.id);
        }
    }

    /// Stops: runs in flight end, within their own limits; what is queued stays leased until the node's leases are
    /// released.
    pub async fn stop(&self) {
        self.0.closing.cancel();
        self.0.tasks.close();
        // Under the lock, so that no thread is between looking and waiting.
        drop(self.queue());
        self.0.ready.notify_all();
        let threads = std::mem::take(&mut *lock(&self.0.threads));
        let ended = tokio::task::spawn_blocking(move || threads.into_iter().for_each(|thread| drop(thread.join())));
        drop(ended.await);
        self.0.tasks.wait().await;
    }
}

impl Routing for Route {
    fn reserve(&self, sender: SenderId, event: EventId, payload_bytes: usize) -> bool {
        !self.is_closing() && self.queue().reserve(sender, event, payload_bytes)
    }

    fn forget(&self, event: EventId) {
        let room_for_more = self.queue().free(event);
        if room_for_more {
            self.look();
        }
    }

    fn hand_over(&self, held: HeldEvent) {
        let Some(sender) = held.event.source.sender() else { return };
        let mut queue = self.queue();
        // While something could run before, a thread is on its way to it and will wake the next.
        let is_first = !queue.can_run();
        queue.push(sender, held);
        let wake = is_first && queue.can_run();
        drop(queue);
        if wake {
            self.0.ready.notify_one();
        }
    }

    fn look(&self) {
        self.0.look.notify_one();
    }
}

/// When to route an event that could not be routed now.
struct Later {
    at: Timestamp,
    /// Whether it was a failure, of which only so many are tried again.
    counts: bool,
}

/// Whether the same run may succeed later. What the plugin calls transient is believed so many times; what the host
/// starved is the host's fault and never ends in the sender's failure policy.
fn may_pass(failure: &PluginFailure, failures: u32) -> bool {
    match failure.class {
        FailureClass::Transient => failures < TRANSIENT_TRIES_MAX,
        FailureClass::WallCap => true,
        _ => false,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
