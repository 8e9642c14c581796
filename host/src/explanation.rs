//! Why an event went where it went (R2): what is stored of it, and what people are shown.
//!
//! The columns of a decision say who decided, what came of it and what the run cost; its delivery rows say who was
//! chosen. [`Detail`] is the rest, stored as one JSON document beside them. Its size follows from what somebody chose
//! and said, never from how many endpoints were passed over: those are counted by reason. [`Explanation`] puts columns,
//! detail and deliveries together again for operators and scripts (`hookyard events ID --format json`).
//!
//! Fields of both are only ever added.

use std::{collections::HashMap, time::Duration};

use hookyard_domain::{DecidedBy, EndpointId, EventState, failure::PluginFailure};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    configuration::PassedOver,
    store::{DecisionView, DeliveryView, PluginRunView},
    wasm::LogLine,
};

/// Names given for a reason to pass endpoints over; the others are only counted.
const EXAMPLES_MAX: usize = 3;
/// Reasons told apart in one decision. A plugin may write another for each endpoint; past this they share one entry.
const REASONS_MAX: usize = 16;

/// What neither the decision's columns nor its deliveries say. The default has nothing to add.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DecisionDetail)]
pub struct Detail {
    /// What a plugin answered, where the deliveries do not show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// Why the sender's plugin was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<Reason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop: Option<Reason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// First attempts that were put off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delays: Vec<Delay>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Vec<String>>)]
    pub annotations: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<LogEntry>,
    /// Log lines beyond the caps of a run.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub log_dropped: u32,
}

/// See [`Detail::answer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = DecisionAnswer)]
pub enum Answer {
    /// Deliver the payload as received to every endpoint it could choose from.
    Pass,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DecisionReason)]
pub struct Reason {
    pub code: String,
    pub message: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DecisionFailure)]
pub struct Failure {
    pub class: String,
    pub code: String,
    pub message: String,
    /// What the sender's failure policy made of it: `hold`, `dead-letter` or `pass-through`.
    pub policy: String,
}

impl Failure {
    pub fn new(failure: &PluginFailure, policy: &str) -> Self {
        Self {
            class: failure.class.as_str().to_owned(),
            code: failure.code.clone(),
            message: failure.message.clone(),
            policy: policy.to_owned(),
        }
    }
}

/// Deliveries that wait equally long before their first attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Delay {
    pub delay_ms: u64,
    /// Ids of their endpoints; none means all of the decision's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
}

/// Endpoints that were passed over for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PassedOver)]
pub struct Skipped {
    pub reason: String,
    pub count: u32,
    /// Names of the first three at most.
    pub examples: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogEntry {
    pub level: String,
    pub text: String,
}

impl From<PassedOver> for Skipped {
    fn from(passed_over: PassedOver) -> Self {
        Self {
            reason: passed_over.reason,
            count: passed_over.count,
            examples: passed_over.examples,
        }
    }
}

impl From<&LogLine> for LogEntry {
    fn from(line: &LogLine) -> Self {
        Self {
            level: line.level.as_str().to_owned(),
            text: line.text.clone(),
        }
    }
}

impl Detail {
    /// The document to store; none when there is nothing to add.
    pub fn to_text(&self) -> Option<String> {
        (*self != Self::default()).then(|| serde_json::to_string(self).expect("a detail always serialises"))
    }
}

/// Counts endpoints that are passed over, by reason.
#[derive(Debug, Default)]
pub struct Skips(Vec<Skipped>);

impl Skips {
    /// Goes on from what was counted before.
    pub fn after(counted: Vec<Skipped>) -> Self {
        Self(counted)
    }

    pub fn add(&mut self, reason: &str, name: &str) {
        let reason = if self.0.len() >= REASONS_MAX && !self.0.iter().any(|one| one.reason == reason) {
            "other reasons"
        } else {
            reason
        };
        let skipped = match self.0.iter().position(|one| one.reason == reason) {
            Some(index) => &mut self.0[index],
            None => {
                self.0.push(Skipped {
                    reason: reason.to_owned(),
                    count: 0,
                    examples: Vec::new(),
                });
                self.0.last_mut().expect("one was just pushed")
            }
        };
        skipped.count = skipped.count.saturating_add(1);
        if skipped.examples.len() < EXAMPLES_MAX {
            skipped.examples.push(name.to_owned());
        }
    }

    pub fn into_vec(self) -> Vec<Skipped> {
        self.0
    }
}

/// Collects delays by their length, in the order they first come up.
#[derive(Debug, Default)]
pub struct Delays {
    lengths: Vec<Delay>,
    by_length: HashMap<u64, usize>,
    deliveries: usize,
}

impl Delays {
    /// Counts one delivery; one that does not wait is counted too, for it tells a delay of all from a delay of some.
    pub fn add(&mut self, endpoint: EndpointId, delay: Duration) {
        self.deliveries += 1;
        if delay.is_zero() {
            return;
        }
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        let index = *self.by_length.entry(delay_ms).or_insert_with(|| {
            self.lengths.push(Delay {
                delay_ms,
                endpoints: Vec::new(),
            });
            self.lengths.len() - 1
        });
        self.lengths[index].endpoints.push(endpoint.to_string());
    }

    pub fn into_vec(mut self) -> Vec<Delay> {
        if let [only] = self.lengths.as_mut_slice()
            && only.endpoints.len() == self.deliveries
        {
            only.endpoints.clear();
        }
        self.lengths
    }
}

/// Everything about one decision, as it is shown.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = Decision)]
pub struct Explanation {
    /// `plugin`, or who passes everything on: `sender` or `subscriptions`.
    pub by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PluginRun>,
    /// `pass`, `deliver`, `drop` or `failed`.
    pub outcome: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chosen: Vec<Chosen>,
    #[serde(flatten)]
    pub detail: Detail,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PluginRun {
    pub name: String,
    /// SHA-256 of the module, 64 hexadecimal digits.
    pub version: String,
    pub generation: u32,
    pub cpu_us: u64,
    pub wall_us: u64,
    pub memory_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Chosen {
    pub endpoint: String,
    /// `original`, or who made another: `plugin` or `mapping`.
    pub payload: String,
    #[serde(default, skip_serializing_if = "is_zero_u64")]
    pub delay_ms: u64,
}

impl Explanation {
    /// Puts together what is stored of a decision. `deliveries` are the event's; a list that has not read them shows
    /// nobody as chosen.
    pub fn of(decision: &DecisionView, deliveries: &[DeliveryView]) -> Self {
        // A text that does not parse was not written by us; what the columns say is shown all the same.
        let stored = decision.detail.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let mut detail: Detail = stored.unwrap_or_default();
        let answer = detail.answer.take();
        let delays = std::mem::take(&mut detail.delays);
        let of_all = delays
            .iter()
            .find(|delay| delay.endpoints.is_empty())
            .map_or(0, |delay| delay.delay_ms);
        let of_some: HashMap<&str, u64> = delays
            .iter()
            .flat_map(|delay| delay.endpoints.iter().map(|id| (id.as_str(), delay.delay_ms)))
            .collect();
        let delay_ms = |endpoint: EndpointId| match of_some.is_empty() {
            true => of_all,
            false => of_some.get(endpoint.to_string().as_str()).copied().unwrap_or(of_all),
        };
        let chosen = deliveries
            .iter()
            .filter(|delivery| delivery.run == decision.run && delivery.kind == "event")
            .map(|delivery| Chosen {
                endpoint: delivery.endpoint.clone(),
                payload: match (delivery.content, decision.decided_by) {
                    (None, _) => "original",
                    (Some(_), DecidedBy::Plugin) => "plugin",
                    (Some(_), _) => "mapping",
                }
                .to_owned(),
                delay_ms: delay_ms(delivery.endpoint_id),
            });
        let outcome = match (decision.outcome, decision.decided_by) {
            _ if detail.failure.is_some() => "failed",
            (EventState::Dropped | EventState::DeadLettered, _) => "drop",
            (_, DecidedBy::Plugin) if answer.is_none() => "deliver",
            _ => "pass",
        };
        Self {
            by: decision.decided_by.as_str().to_owned(),
            plugin: decision.plugin.as_ref().map(PluginRun::from),
            outcome: outcome.to_owned(),
            chosen: chosen.collect(),
            detail,
        }
    }
}

impl From<&PluginRunView> for PluginRun {
    fn from(run: &PluginRunView) -> Self {
        Self {
            name: run.name.clone(),
            version: run.version.to_string(),
            generation: run.generation,
            cpu_us: run.cpu_us,
            wall_us: run.wall_us,
            memory_bytes: run.memory_bytes,
        }
    }
}

/// Why a plugin was not asked about an event.
pub fn not_handled(plugin: &str, event_type: &str) -> Reason {
    let message = if event_type.is_empty() {
        format!("plugin \"{plugin}\" handles events by their type, and this one has none: it passes as it came")
    } else {
        format!("plugin \"{plugin}\" does not handle \"{event_type}\": the event passes as it came")
    };
    Reason {
        code: "event-type-not-handled".to_owned(),
        message,
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if takes a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if takes a reference")]
fn is_zero_u64(n: &u64) -> bool {
    *n == 0
}
