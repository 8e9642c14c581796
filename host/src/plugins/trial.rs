//! The trial: a version must work on what its senders send before it serves.
//!
//! It is asked about the configuration of every sender that uses it, and run on a made-up event and on the newest real
//! ones. A refusal of an event is an answer; what refuses the version is a fault: a trap, a limit, a broken answer.
//! Nothing of a trial is delivered.

use std::sync::Arc;

use bytes::Bytes;
use hookyard_domain::{
    EventId, Timestamp,
    decision::{Limits, check},
    failure::FailureClass,
    pattern::EventPattern,
};

use crate::{
    configuration::Sender,
    run::run,
    store::{Error, Event, Source, Store},
    wasm::{CallLimits, ConfigRefused, Module},
};

/// Real events per sender: enough to meet the usual types, few enough to be over in well under a second.
const EVENTS_PER_SENDER: u32 = 8;

/// A sender and what to try for it.
pub struct Trial {
    sender: Arc<Sender>,
    events: Vec<Event>,
}

pub async fn prepare(store: &Store, senders: &[Arc<Sender>]) -> Result<Vec<Trial>, Error> {
    let mut trials = Vec::with_capacity(senders.len());
    for sender in senders {
        let events = store
            .recent_events(sender.tenant.id, sender.environment, sender.id, EVENTS_PER_SENDER)
            .await?;
        trials.push(Trial {
            sender: Arc::clone(sender),
            events,
        });
    }
    Ok(trials)
}

/// # Errors
/// The reason to refuse the version, for its author.
pub fn all(module: &Module, trials: &[Trial], limits: CallLimits) -> Result<(), String> {
    for pattern in &module.manifest().event_types {
        EventPattern::parse(pattern).map_err(|error| format!("its manifest asks for event type \"{pattern}\": {error}"))?;
    }
    for Trial { sender, events } in trials {
        check_config(module, &sender.config).map_err(|problem| format!("the configuration of sender \"{}\": {problem}", sender.label()))?;
        try_event(module, sender, limits, &made_up(sender)).map_err(|problem| format!("a trial with the event {{}}: {problem}"))?;
        for event in events {
            try_event(module, sender, limits, event).map_err(|problem| format!("a trial with event {}: {problem}", event.id))?;
        }
    }
    Ok(())
}

/// Asks a version about a configuration document.
///
/// # Errors
/// All that it finds wrong, in one line.
pub fn check_config(module: &Module, config: &str) -> Result<(), String> {
    module.check_config(config).map_err(|refused| match refused {
        ConfigRefused::Problems(problems) => {
            let lines: Vec<_> = problems
                .iter()
                .map(|problem| format!("{}: {}", problem.pointer, problem.message))
                .collect();
            lines.join("; ")
        }
        ConfigRefused::Failed(failure) => failure.to_string(),
    })
}

/// The least event there is, as this sender could have sent it.
fn made_up(sender: &Sender) -> Event {
    Event {
        id: EventId::from_uuid(uuid::Uuid::nil()),
        tenant: sender.tenant.id,
        environment: sender.environment,
        source: Source::Sender(sender.id),
        idempotency_key: None,
        event_type: String::new(),
        content_type: "application/json".to_owned(),
        headers: Vec::new(),
        payload: Bytes::from_static(b"{}"),
        accepted_at: Timestamp::EPOCH,
    }
}

fn try_event(module: &Module, sender: &Sender, limits: CallLimits, event: &Event) -> Result<(), String> {
    let once = || run(module, event, sender, sender.reach.all(), 0, limits).result;
    let result = match once() {
        // The machine may have spent the time for reasons of its own; a version is not refused for that.
        Err(failure) if failure.class == FailureClass::CpuBudget => once(),
        result => result,
    };
    match result {
        Ok(decision) => check(decision, sender.reach.all().len(), &Limits::default())
            .map(drop)
            .map_err(|refused| refused.to_string()),
        Err(failure) if is_fault(failure.class) => Err(failure.to_string()),
        Err(_) => Ok(()),
    }
}

/// Whether a failure says that the version is broken, rather than that it will not have this event.
fn is_fault(class: FailureClass) -> bool {
    match class {
        FailureClass::BadEvent | FailureClass::Transient | FailureClass::WallCap => false,
        FailureClass::BadConfig
        | FailureClass::Internal
        | FailureClass::Trap
        | FailureClass::CpuBudget
        | FailureClass::Memory
        | FailureClass::StackOverflow
        | FailureClass::OutputRefused
        | FailureClass::Contract => true,
    }
}
