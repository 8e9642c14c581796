//! From one plugin run to rows: what is delivered, what is kept, and the explanation of both.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hookyard_domain::{
    DecidedBy, EventState, Timestamp,
    decision::{Decision, DropReason, Limits, check},
    failure::{FailureClass, FailurePolicy, PluginFailure},
};

use crate::{
    configuration::{Endpoint, Sender},
    explanation::{Chosen, Explanation, Failure, LogEntry, PluginRun, Reason, Skipped, candidates, no_endpoint},
    fanout::{Deliveries, FanOut, Target},
    installed::Active,
    store::{Decided, Event, NewContent, Pairs},
    wasm::Run,
};

/// What was decided about an event, not yet rows.
pub(super) struct Ruling {
    state: EventState,
    explanation: Explanation,
    contents: Vec<NewContent>,
    targets: Vec<Planned>,
}

/// One endpoint to deliver to.
struct Planned {
    endpoint: Arc<Endpoint>,
    content: Option<u32>,
    headers: Pairs,
    delay: Duration,
}

/// Holds a plugin's answer against the rules of a decision.
pub(super) fn judge(result: Result<Decision, PluginFailure>, candidates: usize) -> Result<Decision, PluginFailure> {
    check(result?, candidates, &Limits::default()).map_err(|refused| PluginFailure {
        class: FailureClass::OutputRefused,
        code: String::new(),
        message: refused.to_string(),
    })
}

impl Ruling {
    /// Whether the event is to wait for another version or configuration.
    pub(super) fn holds(&self) -> bool {
        self.state == EventState::Held
    }

    fn dropped(mut explanation: Explanation, reason: DropReason) -> Self {
        explanation.outcome = "drop".to_owned();
        explanation.drop = Some(Reason {
            code: reason.code,
            message: reason.message,
        });
        Self {
            state: EventState::Dropped,
            explanation,
            contents: Vec::new(),
            targets: Vec::new(),
        }
    }

    fn to_all(mut explanation: Explanation, endpoints: Vec<Arc<Endpoint>>) -> Self {
        explanation.chosen.extend(endpoints.iter().map(|endpoint| Chosen {
            endpoint: endpoint.label().to_owned(),
            payload: "original".to_owned(),
            delay_ms: 0,
        }));
        let targets = endpoints
            .into_iter()
            .map(|endpoint| Planned {
                endpoint,
                content: None,
                headers: Pairs::new(),
                delay: Duration::ZERO,
            })
            .collect();
        Self {
            state: EventState::Routed,
            explanation,
            contents: Vec::new(),
            targets,
        }
    }

    /// The sender has no plugin (any more), or for this reason its plugin is not asked.
    pub(super) fn pass(event: &Event, sender: &Sender, why: Option<Reason>) -> Self {
        let (candidates, skipped) = candidates(&sender.reach, &event.event_type);
        if candidates.is_empty() {
            return Self::no_candidates(sender, skipped);
        }
        let explanation = Explanation {
            by: "sender".to_owned(),
            outcome: "pass".to_owned(),
            pass: why,
            skipped,
            ..Explanation::default()
        };
        Self::to_all(explanation, candidates)
    }

    pub(super) fn no_candidates(sender: &Sender, skipped: Vec<Skipped>) -> Self {
        let mut explanation = Explanation {
            by: "sender".to_owned(),
            skipped,
            ..Explanation::default()
        };
        let reason = no_endpoint(&sender.reach);
        explanation.outcome = "drop".to_owned();
        explanation.drop = Some(reason);
        Self {
            state: EventState::Dropped,
            explanation,
            contents: Vec::new(),
            targets: Vec::new(),
        }
    }

    /// No version of the sender's plugin is active.
    pub(super) fn no_version(event: &Event, sender: &Sender, plugin: &str) -> Self {
        let message = format!("no version of plugin \"{plugin}\" is active");
        Self::without_run(event, sender, "no-active-version", message)
    }

    /// The active version of the sender's plugin cannot be loaded on this node.
    pub(super) fn unloadable(event: &Event, sender: &Sender, plugin: &str, reason: &str) -> Self {
        let message = format!("the active version of plugin \"{plugin}\" cannot be loaded: {reason}");
        Self::without_run(event, sender, "unloadable-version", message)
    }

    fn without_run(event: &Event, sender: &Sender, code: &str, message: String) -> Self {
        let failure = PluginFailure {
            class: FailureClass::Contract,
            code: code.to_owned(),
            message,
        };
        let (candidates, skipped) = candidates(&sender.reach, &event.event_type);
        let explanation = Explanation {
            by: "plugin".to_owned(),
            skipped,
            ..Explanation::default()
        };
        Self::failed(explanation, &failure, sender.failure_policy, candidates)
    }

    /// The plugin's breaker keeps it from running now, and the sender's policy does not wait.
    pub(super) fn stopped(sender: &Sender, plugin: &str, candidates: Vec<Arc<Endpoint>>, skipped: Vec<Skipped>) -> Self {
        let failure = PluginFailure {
            class: FailureClass::Internal,
            code: "plugin-stopped".to_owned(),
            message: format!("plugin \"{plugin}\" failed too often and is left alone for a while"),
        };
        let explanation = Explanation {
            by: "plugin".to_owned(),
            skipped,
            ..Explanation::default()
        };
        Self::failed(explanation, &failure, sender.failure_policy, candidates)
    }

    fn failed(mut explanation: Explanation, failure: &PluginFailure, policy: FailurePolicy, candidates: Vec<Arc<Endpoint>>) -> Self {
        explanation.outcome = "failed".to_owned();
        explanation.failure = Some(Failure::new(failure, policy.as_str()));
        let state = match policy {
            FailurePolicy::PassThrough if candidates.is_empty() => EventState::Dropped,
            FailurePolicy::PassThrough => return Self::to_all(explanation, candidates),
            FailurePolicy::Hold => EventState::Held,
            FailurePolicy::DeadLetter => EventState::DeadLettered,
        };
        Self {
            state,
            explanation,
            contents: Vec::new(),
            targets: Vec::new(),
        }
    }

    pub(super) fn of_run(
        sender: &Sender,
        plugin: &str,
        active: &Active,
        run: &Run,
        judged: Result<Decision, PluginFailure>,
        candidates: Vec<Arc<Endpoint>>,
        skipped: Vec<Skipped>,
    ) -> Self {
        let mut explanation = Explanation {
            by: "plugin".to_owned(),
            plugin: Some(PluginRun {
                name: plugin.to_owned(),
                version: active.module.hash().to_string(),
                generation: active.generation,
                cpu_us: u64::try_from(run.cpu.as_micros()).unwrap_or(u64::MAX),
                wall_us: u64::try_from(run.wall.as_micros()).unwrap_or(u64::MAX),
                memory_bytes: run.memory_bytes_peak as u64,
            }),
            skipped,
            log: run
                .log
                .iter()
                .map(|line| LogEntry {
                    level: line.level.as_str().to_owned(),
                    text: line.text.clone(),
                })
                .collect(),
            log_dropped: run.log_dropped,
            ..Explanation::default()
        };
        match judged {
            Err(failure) => Self::failed(explanation, &failure, sender.failure_policy, candidates),
            Ok(Decision::Drop(reason)) => Self::dropped(explanation, reason),
            Ok(Decision::Pass) => {
                explanation.outcome = "pass".to_owned();
                Self::to_all(explanation, candidates)
            }
            Ok(Decision::Deliver(plan)) => {
                explanation.outcome = "deliver".to_owned();
                explanation.annotations = plan.annotations;
                let mut reasons: Vec<Option<String>> = vec![None; candidates.len()];
                for skip in plan.skips {
                    reasons[skip.endpoint as usize] = Some(skip.reason);
                }
                let mut routed = vec![false; candidates.len()];
                let mut targets = Vec::with_capacity(plan.routes.len());
                for route in plan.routes {
                    let endpoint = &candidates[route.endpoint as usize];
                    routed[route.endpoint as usize] = true;
                    explanation.chosen.push(Chosen {
                        endpoint: endpoint.label().to_owned(),
                        payload: if route.content.is_some() { "plugin" } else { "original" }.to_owned(),
                        delay_ms: u64::try_from(route.delay.as_millis()).unwrap_or(u64::MAX),
                    });
                    targets.push(Planned {
                        endpoint: Arc::clone(endpoint),
                        content: route.content,
                        headers: route.headers,
                        delay: route.delay,
                    });
                }
                for ((endpoint, reason), routed) in candidates.iter().zip(reasons).zip(routed) {
                    if !routed {
                        let reason = reason.unwrap_or_else(|| "not chosen by the plugin".to_owned());
                        explanation.skipped.push(Skipped {
                            endpoint: endpoint.label().to_owned(),
                            reason,
                        });
                    }
                }
                let contents = plan
                    .contents
                    .into_iter()
                    .map(|content| NewContent {
                        content_type: content.content_type,
                        body: Bytes::from(content.body),
                    })
                    .collect();
                Self {
                    state: EventState::Routed,
                    explanation,
                    contents,
                    targets,
                }
            }
        }
    }

    /// The rows to commit, with a place taken for each delivery that finds one.
    pub(super) fn into_rows(self, deliveries: &dyn Deliveries, event: &Event, now: Timestamp) -> (Decided, FanOut) {
        let contents = self.contents;
        let targets = self.targets.iter().map(|target| {
            let (content_type, body) = match target.content.and_then(|index| contents.get(index as usize)) {
                Some(content) => (content.content_type.as_str(), &content.body),
                None => (event.content_type.as_str(), &event.payload),
            };
            Target {
                endpoint: &target.endpoint,
                content: target.content,
                content_type,
                body,
                headers: target.headers.clone(),
                due_at: now.plus(target.delay),
            }
        });
        let (fan_out, rows) = FanOut::plan(deliveries, event, targets, now);
        let decided = Decided {
            outcome: self.state,
            decided_by: Some(if self.explanation.plugin.is_some() {
                DecidedBy::Plugin
            } else {
                DecidedBy::Sender
            }),
            cost: None,
            detail: Some(self.explanation.to_text()),
            held_under: 0,
            decided_at: now,
            contents,
            deliveries: rows,
        };
        (decided, fan_out)
    }
}
