//! What is logged of failing plugins: the first failure of a kind at once, then at most a line per ten seconds with a
//! count. Every event says itself why it failed; the log only has to be noticed.

use std::time::Duration;

use hookyard_domain::{
    ContentHash, SenderId, Timestamp,
    failure::{FailureClass, PluginFailure},
};

use crate::{
    configuration::Sender,
    telemetry::{
        aggregate::{Aggregate, Line},
        metrics::Metrics,
    },
};

const INTERVAL: Duration = Duration::from_secs(10);
/// Kinds told apart: senders that fail at the same time, each in one or two ways.
const KINDS_MAX: usize = 1_024;

/// Failures that share a line: of one sender, by one version, of one class.
type Kind = (SenderId, Option<ContentHash>, FailureClass);

pub struct FailureLog(Aggregate<Kind>);

impl FailureLog {
    pub fn new(metrics: &Metrics) -> Self {
        Self(Aggregate::new(INTERVAL, KINDS_MAX, metrics.log_lines_left_out.clone()))
    }

    /// A run failed, or there was no version to run.
    pub fn failed(&self, sender: &Sender, plugin: &str, version: Option<ContentHash>, failure: &PluginFailure, now: Timestamp) {
        if let Line::Write { left_out } = self.0.line(&(sender.id, version, failure.class), now) {
            let version = version.map(|version| version.short()).unwrap_or_default();
            tracing::warn!(sender = sender.label(), plugin, version, %failure, policy = sender.failure_policy.as_str(), left_out,
                "a plugin failed; `hookyard events` tells for each event");
        }
    }

    /// Tells what was counted and has not been told since. Called now and then.
    pub fn tell_rest(&self, now: Timestamp) {
        for untold in self.0.untold(now) {
            let left_out = untold.left_out;
            match untold.key {
                Some((sender, version, class)) => {
                    let version = version.map(|version| version.short()).unwrap_or_default();
                    tracing::warn!(%sender, version, class = class.as_str(), left_out, "a plugin failed for more events");
                }
                None => tracing::warn!(left_out, "plugins failed for more events"),
            }
        }
    }
}
