//! The list of metrics. A metric is added by one line in `metrics!` below, counted where the line says, told of in
//! `docs/metrics.md`, and moved by a scenario of the suite `telemetry`, which holds the three against each other.
//!
//! They count and name nobody: no tenant, endpoint or id is a label, so their number is bounded and a scraper learns no
//! name. Who wants to know about one tenant asks the API. A server has its own set of them, passed to its stages, so that
//! several servers in one process do not count into each other.
//!
//! A counter is raised where the thing happens. A gauge is set every few seconds by `app/observe.rs`, so a scrape reads
//! memory alone, however often somebody scrapes.

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::prometheus_text,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use super::supervision::Pulses;

/// The content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// Bounds of times, in seconds: from a commit to memory-backed disk to a plugin that takes half a minute to compile.
const SECONDS: [f64; 14] = [
    0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0,
];
/// Bounds of batches, in writes. The largest batch has 512.
const WRITES: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 256.0, 512.0];

type Label = [(&'static str, &'static str); 1];

/// A counter for each value of one label. The values are words in the code, never something a caller sent.
#[derive(Clone, Default)]
pub struct CounterBy(Family<Label, Counter>);

impl CounterBy {
    pub fn inc(&self, label: &'static str, value: &'static str) {
        self.0.get_or_create(&[(label, value)]).inc();
    }
}

/// A level that rises and falls.
#[derive(Clone, Default)]
pub struct Level(Gauge<f64, AtomicU64>);

impl Level {
    pub fn set(&self, level: f64) {
        self.0.set(level);
    }
}

/// A level for each value of one label, as with [`CounterBy`].
#[derive(Clone, Default)]
pub struct LevelBy(Family<Label, Gauge<f64, AtomicU64>>);

impl LevelBy {
    pub fn set(&self, label: &'static str, value: &'static str, level: f64) {
        self.0.get_or_create(&[(label, value)]).set(level);
    }
}

/// How long something takes.
#[derive(Clone)]
pub struct Times(Histogram);

impl Default for Times {
    fn default() -> Self {
        Self(Histogram::new(SECONDS))
    }
}

impl Times {
    pub fn observe(&self, took: Duration) {
        self.0.observe(took.as_secs_f64());
    }
}

/// How long something takes, for each value of one label.
#[derive(Clone)]
pub struct TimesBy(Family<Label, Histogram>);

impl Default for TimesBy {
    fn default() -> Self {
        Self(Family::new_with_constructor(|| Histogram::new(SECONDS)))
    }
}

impl TimesBy {
    pub fn observe(&self, label: &'static str, value: &'static str, took: Duration) {
        self.0.get_or_create(&[(label, value)]).observe(took.as_secs_f64());
    }
}

/// How many writes something has, for each value of one label.
#[derive(Clone)]
pub struct WritesBy(Family<Label, Histogram>);

impl Default for WritesBy {
    fn default() -> Self {
        Self(Family::new_with_constructor(|| Histogram::new(WRITES)))
    }
}

impl WritesBy {
    pub fn observe(&self, label: &'static str, value: &'static str, writes: usize) {
        self.0.get_or_create(&[(label, value)]).observe(writes as f64);
    }
}

/// Makes the struct, the registration and the list out of one line per metric.
macro_rules! metrics {
    ($($(#[doc = $counted:literal])+ $field:ident: $kind:ty = $meaning:literal;)+) => {
        /// The metrics of one server. A counter's name outside is `hookyard_<field>_total`, another's `hookyard_<field>`.
        pub struct Metrics {
            registry: Registry,
            /// When the server's loops last came round: what readiness asks.
            pub pulses: Pulses,
            $($(#[doc = $counted])+ pub $field: $kind,)+
        }

        impl Default for Metrics {
            fn default() -> Self {
                let mut registry = Registry::with_prefix(PREFIX);
                $(
                    let $field = <$kind>::default();
                    Register::register(&$field, &mut registry, stringify!($field), $meaning);
                )+
                Self { registry, pulses: Pulses::default(), $($field,)+ }
            }
        }

        impl Metrics {
            /// The name of each metric as [`Metrics::text`] has it in its `# TYPE` line.
            pub fn names() -> Vec<String> {
                vec![$(format!("{PREFIX}_{}{}", stringify!($field), <$kind as Register>::SUFFIX),)+]
            }
        }
    };
}

const PREFIX: &str = "hookyard";

metrics! {
    /// Counted in `accept.rs`.
    events_accepted: Counter = "Events that were committed to disk, each counted once";
    /// Counted in `accept.rs`.
    events_repeated: Counter = "Requests whose idempotency key named an event that was there already";
    /// Counted by each dialect where it answers; the label `reason` has its words from the room that refused.
    requests_refused: CounterBy = "Requests that were refused and left nothing behind";
    /// Counted in `accept.rs` and `route/mod.rs` by `outcome`, once the decision is committed.
    events_decided: CounterBy = "Decisions about events; a held event gets a further one";
    /// Counted in `deliver/worker.rs` by what the `delivery` was after it, once the outcome is committed: `waiting` is a
    /// failure that will be repeated.
    attempts: CounterBy = "Attempts that ended";
    /// Counted in `deliver/worker.rs` by `class`: that of the error, or of the status.
    attempts_failed: CounterBy = "Attempts that ended without success";
    /// Observed in `deliver/worker.rs`.
    attempt_seconds: Times = "How long attempts took, from connecting to the answer";
    /// Counted in `route/decide.rs` by `result`: `decided`, or the class of the failure.
    plugin_runs: CounterBy = "Runs of plugins on events";
    /// Observed in `route/decide.rs`.
    plugin_cpu_seconds: Times = "Processor time of a plugin's run";
    /// Observed in `route/decide.rs`.
    plugin_wall_seconds: Times = "Wall time of a plugin's run";
    /// Counted in `plugins/offer.rs` by `result`.
    plugin_offers: CounterBy = "Versions of plugins that were offered: activated, unchanged, or refused";
    /// Counted in `plugins/mod.rs` by `result`.
    plugin_compilations: CounterBy = "Compilations of plugin versions: compiled or refused";
    /// Observed in `plugins/mod.rs`.
    plugin_compile_seconds: Times = "How long compiling a version took";
    /// Observed in `app/observe.rs` by `lane`.
    store_commit_seconds: TimesBy = "How long a transaction of group commit took, until it was on disk";
    /// Observed in `app/observe.rs` by `lane`.
    store_batch_writes: WritesBy = "Writes in one transaction of group commit";
    /// Counted in `app/observe.rs` by `lane`.
    store_commits_failed: CounterBy = "Transactions of group commit that failed or whose outcome is unknown";
    /// Counted in `telemetry/supervision.rs` and `app/observe.rs` by `part`.
    panics: CounterBy = "Defects that ended a part of the server, which was then started again";
    /// Counted in `telemetry/aggregate.rs`.
    log_lines_left_out: Counter = "Log lines that were counted and not written, because they repeat";
    /// Set in `app/observe.rs` by `state`.
    events_in_table: LevelBy = "Events that are not routed and that no node has in memory, counted to 10,000";
    /// Set in `app/observe.rs` by `state`.
    deliveries_in_table: LevelBy = "Deliveries that are not delivered and that no node has in memory, counted to 10,000";
    /// Set in `app/observe.rs` by `work`: events to route, deliveries to attempt.
    oldest_due_seconds: LevelBy = "For how long the oldest due work in the tables has been due";
    /// Set in `app/observe.rs`.
    oldest_held_seconds: Level = "Age of the oldest held event; 0 when none is held";
    /// Set in `app/observe.rs` by `queue`: those before the lanes, and what this node holds for routing and for delivery.
    queued: LevelBy = "What waits in memory on this node";
    /// Set in `app/observe.rs`.
    attempts_in_flight: Level = "Attempts that are being made";
    /// Set in `app/observe.rs` by `state`.
    endpoint_breakers: LevelBy = "Endpoints that this node has delivered to since its start, by their breaker's state";
    /// Set in `app/observe.rs` by `state`.
    plugins: LevelBy = "Plugins with an active version that this node has loaded, or cannot load";
    /// Set in `app/observe.rs`.
    rows_set_aside: Level = "Configured rows that cannot be used";
    /// Set in `app/observe.rs` by `loop`.
    loop_silent_seconds: LevelBy = "Time since a loop of the server last came round";
    /// Set in `app/observe.rs`.
    database_reachable: Level = "1 when the last reading of these gauges reached the database, else 0, and what is read from it is old";
    /// Set in `app/observe.rs` by `part`.
    database_bytes: LevelBy = "Bytes the database takes";
    /// Set in `app.rs` by `version`.
    build_info: LevelBy = "1; the label says which version runs";
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
    /// What the name outside ends in.
    const SUFFIX: &'static str;

    fn register(&self, registry: &mut Registry, name: &str, meaning: &str);
}

/// Registers what a kind is made of.
macro_rules! registers {
    ($($kind:ty, $suffix:literal, $this:ident => $made_of:expr;)+) => {
        $(impl Register for $kind {
            const SUFFIX: &'static str = $suffix;

            fn register(&self, registry: &mut Registry, name: &str, meaning: &str) {
                let $this = self;
                registry.register(name, meaning, $made_of.clone());
            }
        })+
    };
}

registers! {
    Counter, "_total", this => this;
    CounterBy, "_total", this => this.0;
    Level, "", this => this.0;
    LevelBy, "", this => this.0;
    Times, "", this => this.0;
    TimesBy, "", this => this.0;
    WritesBy, "", this => this.0;
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
