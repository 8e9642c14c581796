//! One event, one sender's plugin, one step: what is done with the event next.
//!
//! Here a plugin is run. What its answer means is [`crate::ruling`]'s business, whether it may run [`super::breakers`]'s;
//! this file asks both, and tells failures that may pass by themselves from those that do not.

use std::{borrow::Cow, sync::Arc, time::Duration};

use bytes::Bytes;
use hookyard_domain::{
    ContentHash, DecidedBy, EventId, Timestamp,
    breaker::{Admit, Verdict},
    decision::{Decision, Limits, check},
    failure::{FailureClass, FailurePolicy, PluginFailure},
};

use super::{
    Parts,
    breakers::{Breakers, Change, verdict},
    failure_log::FailureLog,
    holding::{Loaded, held_under},
    queue::{Owner, Queued},
};
use crate::{
    configuration::{MappingFailure, Reach, Sender, Snapshot},
    explanation::not_handled,
    installed::{Active, Slot},
    mapping,
    ruling::{Ran, Ruling},
    run::run,
    store::{Event, PluginCost},
    wasm::Run,
};

/// Wait for what another node knows already and this one does not yet: a sender, or a version that is being loaded.
const UNKNOWN_WAIT: Duration = Duration::from_secs(1);
/// Longest wait of an event whose runs the host keeps starving.
const STARVED_WAIT_MAX: Duration = Duration::from_secs(60);
/// Runs after which a failure that may pass by itself is treated as one that does not.
const TRANSIENT_TRIES_MAX: u32 = 5;
/// Wait after the first such failure; doubled after each further one.
const TRANSIENT_WAIT_FIRST: Duration = Duration::from_secs(1);
/// Runs over their processor time after which it is the plugin's doing. The clock of a thread now and then counts what
/// the host did meanwhile: an idle machine held one event in some hundred thousand for it.
const OVERRUNS_MAX: u8 = 2;

/// What is to be done with an event.
#[expect(clippy::large_enum_variant, reason = "nearly every step is a decision, and none is kept")]
pub(super) enum Step {
    Decide {
        ruling: Ruling,
        /// See [`super::holding`].
        held_under: i64,
    },
    /// Give it back to the table until then.
    Postpone { due_at: Timestamp, failures: u32 },
    /// Run it once more, when it is its sender's turn again.
    RunAgain,
    /// The plugin is left alone: give it back with all that its sender has queued.
    Stopped { until: Timestamp },
}

/// What one event's turn came to.
pub(super) struct Turn {
    pub(super) step: Step,
    /// What its run changes for the sender's other events.
    pub(super) change: Change,
}

impl From<Step> for Turn {
    fn from(step: Step) -> Self {
        Self {
            step,
            change: Change::None,
        }
    }
}

/// Decides what is done with one event of this sender.
pub(super) fn decide(parts: &Parts, breakers: &Breakers, log: &FailureLog, snapshot: &Snapshot, queued: &Queued) -> Turn {
    let now = parts.clock.now();
    let held = &queued.held;
    let event = &held.event;
    if queued.owner == Owner::Deleted {
        return ruled(Ruling::sender_deleted(), snapshot.revision);
    }
    let Some(sender) = event.source.sender().and_then(|sender| snapshot.senders.get(&sender)) else {
        return Step::Postpone {
            due_at: now.plus(UNKNOWN_WAIT),
            failures: held.failures,
        }
        .into();
    };
    let own = sender.endpoint.and_then(|id| snapshot.endpoints.get(&id));
    if own.is_none()
        && sender
            .endpoint
            .is_some_and(|id| snapshot.set_aside().any(|row| row.id == id.as_uuid()))
    {
        // Its destination is there and cannot be read: that passes, and the event with it would not come back.
        return Step::Postpone {
            due_at: now.plus(UNKNOWN_WAIT),
            failures: held.failures,
        }
        .into();
    }
    // Where no plugin chooses, what comes for a sender with a destination of its own goes there and nowhere else.
    let candidates = || match own {
        Some(own) => Reach::only(Arc::clone(own)).candidates(&event.event_type),
        None => sender.reach.candidates(&event.event_type),
    };
    let mapped = match mapped(sender, event) {
        Ok(mapped) => mapped,
        Err(failure) => {
            return ruled(Ruling::unmapped(candidates(), &failure), snapshot.revision);
        }
    };
    let Some(plugin) = &sender.plugin else {
        let ruling = Ruling::pass(DecidedBy::Sender, candidates(), None).with_payload(mapped);
        return ruled(ruling, snapshot.revision);
    };
    let slot = parts.installed.get(sender.tenant_id, plugin);
    let held_under = held_under(snapshot, sender, Loaded::from(slot.as_ref()));
    let without_version = |failure: PluginFailure| {
        log.failed(sender, plugin, None, &failure, now);
        let ruling = Ruling::failed(candidates(), &failure, sender.failure_policy, None);
        ruled(ruling.with_payload(mapped.clone()), held_under)
    };
    match slot {
        None if snapshot.plugin(sender.tenant_id, plugin).is_some() => Step::Postpone {
            due_at: now.plus(UNKNOWN_WAIT),
            failures: held.failures,
        }
        .into(),
        None => without_version(PluginFailure {
            class: FailureClass::Contract,
            code: "no-active-version".to_owned(),
            message: format!("no version of plugin \"{plugin}\" is active"),
        }),
        Some(Slot::Unloadable { reason, .. }) => without_version(PluginFailure {
            class: FailureClass::Contract,
            code: "version-does-not-load".to_owned(),
            message: format!("the active version of plugin \"{plugin}\" does not load on this node: {reason}"),
        }),
        Some(Slot::Ready(active)) if !active.handles(&event.event_type) => {
            let why = not_handled(plugin, &event.event_type);
            ruled(
                Ruling::pass(DecidedBy::Sender, candidates(), Some(why)).with_payload(mapped.clone()),
                held_under,
            )
        }
        Some(Slot::Ready(active)) => {
            let asked = Asked {
                parts,
                breakers,
                log,
                sender,
                plugin,
                active: &active,
                held_under,
                mapped,
            };
            asked.run(queued, now)
        }
    }
}

/// What the sender's mapping makes of an event; none where it has none, or goes on with the payload as received when that fails.
fn mapped(sender: &Sender, event: &Event) -> Result<Option<Bytes>, mapping::Failure> {
    let Some(mapping) = &sender.mapping else { return Ok(None) };
    match (mapping.apply(&event.payload), sender.mapping_failure) {
        (Ok(payload), _) => Ok(Some(payload.into())),
        (Err(_), MappingFailure::Raw) => Ok(None),
        (Err(failure), MappingFailure::Hold) => Err(failure),
    }
}

fn ruled(ruling: Ruling, held_under: i64) -> Turn {
    Step::Decide { ruling, held_under }.into()
}

/// A sender's plugin about to be asked.
struct Asked<'a> {
    parts: &'a Parts,
    breakers: &'a Breakers,
    log: &'a FailureLog,
    sender: &'a Sender,
    plugin: &'a str,
    active: &'a Active,
    held_under: i64,
    /// What it is asked about, where that is not the payload as received.
    mapped: Option<Bytes>,
}

impl Asked<'_> {
    /// The event as the plugin sees it.
    fn event<'e>(&self, event: &'e Arc<Event>) -> Cow<'e, Event> {
        match &self.mapped {
            None => Cow::Borrowed(&**event),
            Some(payload) => Cow::Owned(Event {
                payload: payload.clone(),
                content_type: "application/json".to_owned(),
                ..(**event).clone()
            }),
        }
    }

    fn run(&self, queued: &Queued, now: Timestamp) -> Turn {
        let (parts, sender, held) = (self.parts, self.sender, &queued.held);
        let event = self.event(&held.event);
        let candidates = sender.reach.candidates(&event.event_type);
        if candidates.endpoints.is_empty() {
            return ruled(Ruling::pass(DecidedBy::Sender, candidates, None), self.held_under);
        }
        let version = self.active.module.hash();
        let admitted = match self.breakers.admit(sender.id, version, now) {
            // Held events would only wait for a new version; these also find the plugin well again by itself.
            Admit::Wait { until } if sender.failure_policy == FailurePolicy::Hold => return Step::Stopped { until }.into(),
            Admit::Wait { .. } => {
                let failure = stopped(self.plugin);
                let ruling = Ruling::failed(candidates, &failure, sender.failure_policy, None);
                return ruled(ruling.with_payload(self.mapped.clone()), self.held_under);
            }
            admitted @ (Admit::Pass | Admit::Probe) => admitted,
        };
        let seed = seed(&parts.seed_key, event.id, version);
        let (result, ran) = take_apart(
            run(&self.active.module, &event, sender, &candidates.endpoints, seed, parts.limits),
            self.active,
        );
        let result = result.and_then(|decision| checked(decision, candidates.endpoints.len()));
        let now = parts.clock.now();
        self.count(&ran, result.as_ref().err());
        let class = result.as_ref().err().map(|failure| failure.class);
        let step = class.and_then(|class| tried_again(class, queued.overruns, held.failures, now));
        let verdict = match step {
            Some(Step::RunAgain) => Verdict::Unknown,
            _ => verdict(&result, admitted),
        };
        let change = match (
            self.breakers.report(sender.id, version, admitted, verdict, now),
            sender.failure_policy,
        ) {
            // Only an event that is to be held can wait for the plugin; the others go by the policy at once.
            (Change::Stopped { .. }, FailurePolicy::DeadLetter | FailurePolicy::PassThrough) => Change::None,
            (change, _) => change,
        };
        let step = step.unwrap_or_else(|| {
            let ruling = match result {
                Ok(decision) => Ruling::decided(candidates, decision, ran),
                Err(failure) => {
                    self.log.failed(sender, self.plugin, Some(version), &failure, now);
                    Ruling::failed(candidates, &failure, sender.failure_policy, Some(ran))
                }
            };
            Step::Decide {
                ruling: ruling.with_payload(self.mapped.clone()),
                held_under: self.held_under,
            }
        });
        Turn { step, change }
    }
}

impl Asked<'_> {
    fn count(&self, ran: &Ran, failure: Option<&PluginFailure>) {
        let metrics = &self.parts.metrics;
        metrics
            .plugin_runs
            .inc("result", failure.map_or("decided", |failure| failure.class.as_str()));
        metrics.plugin_cpu_seconds.observe(Duration::from_micros(ran.cost.cpu_us));
        metrics.plugin_wall_seconds.observe(Duration::from_micros(ran.cost.wall_us));
    }
}

/// The plugin's answer, and the rest of its run.
fn take_apart(run: Run, active: &Active) -> (Result<Decision, PluginFailure>, Ran) {
    let cost = PluginCost {
        plugin: active.plugin,
        generation: active.generation,
        cpu_us: u64::try_from(run.cpu.as_micros()).unwrap_or(u64::MAX),
        wall_us: u64::try_from(run.wall.as_micros()).unwrap_or(u64::MAX),
        memory_bytes: run.memory_bytes_peak as u64,
    };
    let ran = Ran {
        cost,
        log: run.log,
        log_dropped: run.log_dropped,
    };
    (run.result, ran)
}

/// Holds a plugin's answer against the rules of a decision.
fn checked(decision: Decision, candidates: usize) -> Result<Decision, PluginFailure> {
    check(decision, candidates, &Limits::default()).map_err(|refused| PluginFailure {
        class: FailureClass::OutputRefused,
        code: String::new(),
        message: refused.to_string(),
    })
}

fn stopped(plugin: &str) -> PluginFailure {
    PluginFailure {
        class: FailureClass::Internal,
        code: "plugin-stopped".to_owned(),
        message: format!("plugin \"{plugin}\" failed too often and is left alone for a while"),
    }
}

/// How an event whose run failed is tried again, if the same run may succeed later. What the plugin calls transient is
/// believed so many times; what the host starved is the host's fault and never ends in the sender's failure policy.
fn tried_again(class: FailureClass, overruns: u8, failures: u32, now: Timestamp) -> Option<Step> {
    match class {
        FailureClass::CpuBudget if overruns + 1 < OVERRUNS_MAX => Some(Step::RunAgain),
        FailureClass::Transient if failures >= TRANSIENT_TRIES_MAX => None,
        FailureClass::Transient | FailureClass::WallCap => Some(Step::Postpone {
            due_at: now.plus(wait(failures)),
            failures: failures + 1,
        }),
        _ => None,
    }
}

fn wait(failures: u32) -> Duration {
    (TRANSIENT_WAIT_FIRST * 2_u32.pow(failures.min(10))).min(STARVED_WAIT_MAX)
}

/// A run's randomness: repeatable for us, unpredictable for a plugin.
fn seed(key: &[u8; 32], event: EventId, version: ContentHash) -> u64 {
    let mut text = [0_u8; 32 + 16 + 32];
    text[..32].copy_from_slice(key);
    text[32..48].copy_from_slice(event.as_uuid().as_bytes());
    text[48..].copy_from_slice(version.as_bytes());
    let hash = ContentHash::of(&text);
    u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("a hash has more than 8 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_000_000);

    /// An idle host held one event in some hundred thousand for a moment in which it was busy with something else.
    #[test]
    fn the_first_overrun_of_an_event_is_forgiven_and_the_second_is_the_plugins() {
        assert!(matches!(tried_again(FailureClass::CpuBudget, 0, 0, NOW), Some(Step::RunAgain)));
        assert!(tried_again(FailureClass::CpuBudget, 1, 0, NOW).is_none());
    }

    #[test]
    fn what_may_pass_is_postponed_ever_longer_and_what_is_transient_not_for_ever() {
        let wait_s = |class, failures| match tried_again(class, 0, failures, NOW) {
            Some(Step::Postpone { due_at, failures: next }) => {
                assert_eq!(next, failures + 1);
                Some(due_at.since(NOW).as_secs())
            }
            _ => None,
        };
        let waits: Vec<_> = (0..7).map(|failures| wait_s(FailureClass::Transient, failures)).collect();
        assert_eq!(waits, [Some(1), Some(2), Some(4), Some(8), Some(16), None, None]);
        assert_eq!(wait_s(FailureClass::WallCap, 1_000), Some(60), "the host's fault");
        assert_eq!(wait_s(FailureClass::Trap, 0), None);
    }

    #[test]
    fn a_seed_is_the_same_for_a_repeat_and_another_for_anything_else() {
        let (event, version) = (EventId::new_v7(NOW, [1; 10]), ContentHash::of(b"1"));
        let one = seed(&[7; 32], event, version);
        assert_eq!(one, seed(&[7; 32], event, version));
        assert_ne!(one, seed(&[8; 32], event, version));
        assert_ne!(one, seed(&[7; 32], event, ContentHash::of(b"2")));
    }
}
