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

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    use super::*;
    use crate::ruling::samples::{PLUGIN, Sample};

    /// What was logged.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no test panics under it").write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// A bad version once wrote a line for each of 500,000 events.
    #[test]
    fn a_flood_of_failures_is_two_lines_and_counts_all_of_them() {
        const FAILURES: usize = 500_000;
        let (log, lines) = (FailureLog::new(&Metrics::default()), Lines::default());
        let sender = Sample::at(1).sender();
        let failure = PluginFailure {
            class: FailureClass::Trap,
            code: String::new(),
            message: "unreachable executed".to_owned(),
        };
        let now = Timestamp::from_micros(1_000_000);
        let into = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || into.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..FAILURES {
                log.failed(&sender, PLUGIN, Some(ContentHash::of(b"bad")), &failure, now);
            }
            log.tell_rest(now);
            log.tell_rest(now.plus(INTERVAL));
            log.tell_rest(now.plus(2 * INTERVAL));
        });
        let text = String::from_utf8(lines.0.lock().expect("no test panics under it").clone()).expect("a log is text");
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("trap: unreachable executed"), "{text}");
        assert!(text.contains(&format!("left_out={}", FAILURES - 1)), "{text}");
    }
}
