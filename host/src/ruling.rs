//! The ruling: what becomes of one event, decided in one place for everything that decides.
//!
//! Accept and route both come here with the endpoints an event may go to and with what is known beyond them: nothing
//! (the sender has no plugin, the event was published by its type), a plugin's checked decision, or a failure and the
//! sender's policy for it. A [`Ruling`] is the outcome, the deliveries, their payloads and the explanation; pure, so
//! every rule here is a table in a test. [`Ruling::into_rows`] alone touches anything: it takes places in memory for the
//! deliveries, which [`crate::fanout`] hands on once the rows are on disk.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hookyard_domain::{
    DecidedBy, EventState, Timestamp,
    decision::{Decision, Plan},
    failure::{FailurePolicy, PluginFailure},
};

use crate::{
    configuration::{Candidates, Endpoint, PassedOver},
    explanation::{Answer, Delays, Detail, Failure, LogEntry, Reason, Skipped, Skips},
    fanout::{Deliveries, FanOut, Payload, Target},
    mapping,
    store::{Decided, Event, NewContent, NewDelivery, Pairs, PluginCost},
    wasm::LogLine,
};

/// What was decided about an event, not yet rows.
pub struct Ruling {
    /// None for an endpoint's own token: nobody was asked.
    decided_by: Option<DecidedBy>,
    outcome: EventState,
    cost: Option<PluginCost>,
    detail: Detail,
    contents: Vec<NewContent>,
    /// What the sender's mapping made of the payload: it is sent wherever the payload as received would be.
    mapped: Option<Bytes>,
    targets: Targets,
}

/// Who gets the event.
enum Targets {
    Nobody,
    /// One endpoint, the payload as received.
    One(Arc<Endpoint>),
    /// Each the payload as received.
    Each(Vec<Arc<Endpoint>>),
    /// As a plugin said.
    Chosen(Vec<Target>),
}

/// A run that ended, apart from its answer.
pub struct Ran {
    pub cost: PluginCost,
    pub log: Vec<LogLine>,
    pub log_dropped: u32,
}

impl Ruling {
    /// An endpoint's own token: the event goes there and nowhere else.
    pub fn direct(endpoint: Arc<Endpoint>) -> Self {
        Self {
            decided_by: None,
            outcome: EventState::Routed,
            cost: None,
            detail: Detail::default(),
            contents: Vec::new(),
            mapped: None,
            targets: Targets::One(endpoint),
        }
    }

    /// No plugin is asked, for this reason where the sender has one: every candidate gets the payload as received.
    pub fn pass(by: DecidedBy, candidates: Candidates, why: Option<Reason>) -> Self {
        let none_at_all = candidates.passed_over.is_empty();
        let mut ruling = Self::new(by, None, candidates.passed_over);
        ruling.detail.pass = why;
        if candidates.endpoints.is_empty() {
            ruling.detail.drop = Some(no_endpoint(by, none_at_all));
        }
        ruling.sent_to(candidates.endpoints)
    }

    /// A plugin answered, over these candidates. The decision has passed [`hookyard_domain::decision::check`].
    pub fn decided(candidates: Candidates, decision: Decision, ran: Ran) -> Self {
        let mut ruling = Self::new(DecidedBy::Plugin, Some(ran), candidates.passed_over);
        match decision {
            Decision::Pass => {
                ruling.detail.answer = Some(Answer::Pass);
                ruling.sent_to(candidates.endpoints)
            }
            Decision::Drop(reason) => {
                ruling.detail.drop = Some(Reason {
                    code: reason.code,
                    message: reason.message,
                });
                ruling
            }
            Decision::Deliver(plan) => ruling.deliver(&candidates.endpoints, plan),
        }
    }

    /// The plugin failed, or could not be run at all: the sender's policy decides.
    pub fn failed(candidates: Candidates, failure: &PluginFailure, policy: FailurePolicy, ran: Option<Ran>) -> Self {
        let none_at_all = candidates.passed_over.is_empty();
        let mut ruling = Self::new(DecidedBy::Plugin, ran, candidates.passed_over);
        ruling.detail.failure = Some(Failure::new(failure, policy.as_str()));
        match policy {
            FailurePolicy::Hold => ruling.outcome = EventState::Held,
            FailurePolicy::DeadLetter => ruling.outcome = EventState::DeadLettered,
            FailurePolicy::PassThrough if candidates.endpoints.is_empty() => {
                ruling.detail.drop = Some(no_endpoint(DecidedBy::Sender, none_at_all));
            }
            FailurePolicy::PassThrough => return ruling.sent_to(candidates.endpoints),
        }
        ruling
    }

    /// The sender was deleted while the event waited: nobody is left who could decide.
    pub fn sender_deleted() -> Self {
        let mut ruling = Self::new(DecidedBy::Sender, None, Vec::new());
        ruling.outcome = EventState::DeadLettered;
        ruling.detail.drop = Some(Reason {
            code: "sender-deleted".to_owned(),
            message: "the sender was deleted before the event was routed".to_owned(),
        });
        ruling
    }

    /// The sender's mapping cannot be applied, and the event is to wait until it is another.
    pub fn unmapped(candidates: Candidates, failure: &mapping::Failure) -> Self {
        let mut ruling = Self::new(DecidedBy::Sender, None, candidates.passed_over);
        ruling.outcome = EventState::Held;
        ruling.detail.failure = Some(Failure {
            class: "mapping".to_owned(),
            code: "mapping-failed".to_owned(),
            message: failure.to_string(),
            policy: FailurePolicy::Hold.as_str().to_owned(),
        });
        ruling
    }

    /// The same, with another payload wherever the one as received would be sent.
    #[must_use]
    pub fn with_payload(self, mapped: Option<Bytes>) -> Self {
        Self { mapped, ..self }
    }

    /// A ruling by which nobody gets anything.
    fn new(by: DecidedBy, ran: Option<Ran>, passed_over: Vec<PassedOver>) -> Self {
        let mut detail = Detail {
            skipped: passed_over.into_iter().map(Skipped::from).collect(),
            ..Detail::default()
        };
        let cost = ran.map(|ran| {
            detail.log = ran.log.iter().map(LogEntry::from).collect();
            detail.log_dropped = ran.log_dropped;
            ran.cost
        });
        Self {
            decided_by: Some(by),
            outcome: EventState::Dropped,
            cost,
            detail,
            contents: Vec::new(),
            mapped: None,
            targets: Targets::Nobody,
        }
    }

    /// Puts the mapped payload among the contents, if somebody gets it.
    fn place_of_mapped(&mut self) -> Payload {
        let is_sent = match &self.targets {
            Targets::Nobody => false,
            Targets::One(_) | Targets::Each(_) => true,
            Targets::Chosen(targets) => targets.iter().any(|target| target.payload == Payload::Received),
        };
        let Some(body) = self.mapped.take().filter(|_| is_sent) else {
            return Payload::Received;
        };
        let place = u32::try_from(self.contents.len()).expect("contents are bounded");
        self.contents.push(NewContent {
            content_type: "application/json".to_owned(),
            body,
        });
        Payload::Content(place)
    }

    fn sent_to(mut self, endpoints: Vec<Arc<Endpoint>>) -> Self {
        if !endpoints.is_empty() {
            self.outcome = EventState::Routed;
            self.targets = Targets::Each(endpoints);
        }
        self
    }

    fn deliver(mut self, candidates: &[Arc<Endpoint>], plan: Plan) -> Self {
        /// What a plan says about a candidate.
        #[derive(Clone)]
        enum Said {
            Nothing,
            Chosen,
            PassedOver(String),
        }
        let mut said = vec![Said::Nothing; candidates.len()];
        for skip in plan.skips {
            said[skip.endpoint as usize] = Said::PassedOver(skip.reason);
        }
        let mut delays = Delays::default();
        let mut targets = Vec::with_capacity(plan.routes.len());
        for route in plan.routes {
            let endpoint = &candidates[route.endpoint as usize];
            said[route.endpoint as usize] = Said::Chosen;
            delays.add(endpoint.id, route.delay);
            targets.push(Target {
                endpoint: Arc::clone(endpoint),
                payload: route.content.map_or(Payload::Received, Payload::Content),
                headers: route.headers,
                delay: route.delay,
            });
        }
        let mut skips = Skips::after(std::mem::take(&mut self.detail.skipped));
        for (endpoint, said) in candidates.iter().zip(&said) {
            match said {
                Said::Chosen => {}
                Said::PassedOver(reason) => skips.add(reason, endpoint.label()),
                Said::Nothing => skips.add("not chosen by the plugin", endpoint.label()),
            }
        }
        self.detail.skipped = skips.into_vec();
        self.detail.delays = delays.into_vec();
        self.detail.annotations = plan.annotations;
        self.contents = plan
            .contents
            .into_iter()
            .map(|content| NewContent {
                content_type: content.content_type,
                body: Bytes::from(content.body),
            })
            .collect();
        self.outcome = EventState::Routed;
        self.targets = Targets::Chosen(targets);
        self
    }

    /// The rows to commit, with a place taken for each delivery that is due and finds one. `held_under` is the revision
    /// of the configuration that an event held now waits to see changed.
    pub fn into_rows(mut self, deliveries: &dyn Deliveries, event: &Event, held_under: i64, now: Timestamp) -> (Decided, FanOut) {
        let stands_for_received = self.place_of_mapped();
        let mut fan_out = FanOut::planning(deliveries, event, &self.contents, now);
        let received = |endpoint| Target {
            endpoint,
            payload: stands_for_received,
            headers: Pairs::new(),
            delay: Duration::ZERO,
        };
        let chosen = |mut target: Target| {
            if target.payload == Payload::Received {
                target.payload = stands_for_received;
            }
            target
        };
        let rows: Vec<NewDelivery> = match self.targets {
            Targets::Nobody => Vec::new(),
            Targets::One(endpoint) => vec![fan_out.add(received(endpoint))],
            Targets::Each(endpoints) => endpoints.into_iter().map(|endpoint| fan_out.add(received(endpoint))).collect(),
            Targets::Chosen(targets) => targets.into_iter().map(|target| fan_out.add(chosen(target))).collect(),
        };
        let fan_out = fan_out.planned();
        let decided = Decided {
            outcome: self.outcome,
            decided_by: self.decided_by,
            cost: self.cost,
            detail: self.detail.to_text(),
            held_under,
            decided_at: now,
            contents: self.contents,
            deliveries: rows,
        };
        (decided, fan_out)
    }
}

/// Why an event without a single candidate goes nowhere.
fn no_endpoint(by: DecidedBy, none_at_all: bool) -> Reason {
    let message = match (by, none_at_all) {
        (DecidedBy::Subscriptions, true) => "no endpoint of the environment is subscribed to anything",
        (DecidedBy::Subscriptions, false) => "no endpoint is subscribed to this event",
        (_, true) => "the sender has no endpoints",
        (_, false) => "none of the sender's endpoints takes this event",
    };
    Reason {
        code: "no-endpoint".to_owned(),
        message: message.to_owned(),
    }
}

#[cfg(test)]
pub mod samples;
#[cfg(test)]
mod tests;
