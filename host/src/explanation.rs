//! Why an event went where it went: the JSON document stored with every decision (R2).
//!
//! Written by whoever decided, read by operators and scripts (`hookyard events ID --format json`). Fields are only
//! ever added.

use std::sync::Arc;

use hookyard_domain::failure::PluginFailure;
use serde::{Deserialize, Serialize};

use crate::configuration::{Endpoint, Reach};

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Explanation {
    /// `plugin` or `sender` (a sender without a plugin passes everything on).
    pub by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PluginRun>,
    /// `pass`, `deliver`, `drop` or `failed`.
    pub outcome: String,
    /// Why the sender's plugin was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<Reason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop: Option<Reason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chosen: Vec<Chosen>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub annotations: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<LogEntry>,
    /// Log lines beyond the caps of a run.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub log_dropped: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PluginRun {
    pub name: String,
    /// SHA-256 of the module, 64 hexadecimal digits.
    pub version: String,
    pub generation: u32,
    pub cpu_us: u64,
    pub wall_us: u64,
    pub memory_bytes: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reason {
    pub code: String,
    pub message: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
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

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Chosen {
    pub endpoint: String,
    /// `original` or `plugin`.
    pub payload: String,
    #[serde(default, skip_serializing_if = "is_zero_u64")]
    pub delay_ms: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Skipped {
    pub endpoint: String,
    pub reason: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogEntry {
    pub level: String,
    pub text: String,
}

impl Explanation {
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("an explanation always serialises")
    }
}

/// The endpoints an event may go to, and why the others are not among them: a line per reason.
pub fn candidates(reach: &Reach, event_type: &str) -> (Vec<Arc<Endpoint>>, Vec<Skipped>) {
    let candidates = reach.candidates(event_type);
    let skipped = candidates.passed_over.into_iter().map(|passed_over| Skipped {
        endpoint: passed_over.examples.join(", "),
        reason: format!("{} ({} in all)", passed_over.reason, passed_over.count),
    });
    (candidates.endpoints, skipped.collect())
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

/// Why an event of a sender without a single candidate goes nowhere.
pub fn no_endpoint(reach: &Reach) -> Reason {
    let message = if reach.all().is_empty() {
        "the sender has no endpoints"
    } else {
        "none of the sender's endpoints takes this event"
    };
    Reason {
        code: "no-endpoint".to_owned(),
        message: message.to_owned(),
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
