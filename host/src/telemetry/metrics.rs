//! The list of metrics. A metric is added by one line in `metrics!` below, and counted where the line says.
//!
//! They count and name nobody: no tenant, endpoint or id is a label, so their number is bounded and a scraper learns no
//! name. Who wants to know about one tenant asks the API. A server has its own set of them, passed to its stages, so that
//! several servers in one process do not count into each other.

use prometheus_client::{
    encoding::prometheus_text,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// The content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// A counter for each value of one label. The values are words in the code, never something a caller sent.
#[derive(Clone, Default)]
pub struct CounterBy(Family<[(&'static str, &'static str); 1], Counter>);

impl CounterBy {
    pub fn inc(&self, label: &'static str, value: &'static str) {
        self.0.get_or_create(&[(label, value)]).inc();
    }
}

/// Makes the struct, the registration and the list out of one line per metric.
macro_rules! metrics {
    ($($(#[doc = $counted:literal])+ $field:ident: $kind:ty = $meaning:literal;)+) => {
        /// The metrics of one server. A counter's name outside is `hookyard_<field>_total`.
        pub struct Metrics {
            registry: Registry,
            $($(#[doc = $counted])+ pub $field: $kind,)+
        }

        impl Default for Metrics {
            fn default() -> Self {
                let mut registry = Registry::with_prefix("hookyard");
                $(
                    let $field = <$kind>::default();
                    Register::register(&$field, &mut registry, stringify!($field), $meaning);
                )+
                Self { registry, $($field,)+ }
            }
        }
    };
}

metrics! {
    /// Counted in `accept.rs`.
    events_accepted: Counter = "Events that were committed to disk, each counted once";
    /// Counted in `accept.rs`.
    events_repeated: Counter = "Requests whose idempotency key named an event that was there already";
    /// Counted by each dialect where it answers; the label `reason` has its words from the room that refused.
    requests_refused: CounterBy = "Requests that were refused and left nothing behind";
    /// Counted in `route/mod.rs` by `outcome`, once the decision is committed.
    events_decided: CounterBy = "Decisions about events of senders with a plugin; a held event gets a further one";
    /// Counted in `deliver/worker.rs` by what the `delivery` was after it, once the outcome is committed: `waiting` is a
    /// failure that will be repeated.
    attempts: CounterBy = "Attempts that ended";
    /// Counted in `telemetry/aggregate.rs`.
    log_lines_left_out: Counter = "Log lines that were counted and not written, because they repeat";
}

impl Metrics {
    /// All of them in the Prometheus text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        prometheus_text::encode(&mut text, &self.registry).expect("writing to a string does not fail");
        text
    }
}

/// What a kind of metric puts into the registry.
trait Register {
    fn register(&self, registry: &mut Registry, name: &str, meaning: &str);
}

impl Register for Counter {
    fn register(&self, registry: &mut Registry, name: &str, meaning: &str) {
        registry.register(name, meaning, self.clone());
    }
}

impl Register for CounterBy {
    fn register(&self, registry: &mut Registry, name: &str, meaning: &str) {
        registry.register(name, meaning, self.0.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_told_in_the_prometheus_text_format() {
        let metrics = Metrics::default();
        metrics.events_accepted.inc();
        metrics.events_accepted.inc();
        metrics.requests_refused.inc("reason", "too-large");
        let text = metrics.text();
        for line in [
            "# HELP hookyard_events_accepted_total Events that were committed to disk, each counted once.",
            "# TYPE hookyard_events_accepted_total counter",
            "hookyard_events_accepted_total 2",
            "hookyard_events_repeated_total 0",
            "hookyard_requests_refused_total{reason=\"too-large\"} 1",
        ] {
            assert!(text.lines().any(|told| told == line), "{line}\n{text}");
        }
    }

    #[test]
    fn two_servers_count_apart() {
        let (one, other) = (Metrics::default(), Metrics::default());
        one.events_accepted.inc();
        assert_eq!((one.events_accepted.get(), other.events_accepted.get()), (1, 0));
    }
}
