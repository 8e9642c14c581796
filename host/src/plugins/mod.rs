//! Plugins: which version of each plugin serves, and how another takes its place.
//!
//! A new version comes in by one entry, [`Plugins::offer`], whoever brings it: it is compiled, checked and tried, and
//! only then does one transaction make it the active version and one pointer swap put it to work here. A version that
//! fails any of this is refused with its reason, and the former version goes on serving (P1). The watched
//! [`Folder`] is one caller of that entry.
//!
//! What is active is what the table says; [`Plugins::reconcile`] brings this node to it. So a restart with a broken
//! file, or a node without the file, serves what was active, and deleting a file deactivates nothing.
//!
//! Cast: `offer` takes a version in, `judge` has it compiled elsewhere and remembers what was refused, `trial` runs it on what its senders send, `refusal` keeps what fails, `reconcile` loads
//! what is active, `configs` asks plugins about configurations, `folder` finds files and remembers which it has offered.

mod configs;
mod folder;
mod judge;
mod offer;
mod reconcile;
mod refusal;
mod trial;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use self::offer::Turns;
pub use self::{
    configs::{Answer, CheckError, NotAsked, Question, check_configs},
    folder::Folder,
    offer::Offered,
    reconcile::Unloadable,
};
use crate::{
    clock::Clock,
    configuration::Configuration,
    installed::Installed,
    store::Store,
    telemetry::metrics::Metrics,
    wasm::{Compiler, Engine},
};

/// How often table and folder are looked at without a reason: notices can be lost, and some file systems send none.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// What the stage is built from.
pub struct Parts {
    pub store: Store,
    pub engine: Engine,
    pub compiler: Compiler,
    pub installed: Arc<Installed>,
    pub configuration: Arc<Configuration>,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
}

/// The plugin stage. Cheap to clone.
#[derive(Clone)]
pub struct Plugins(Arc<Inner>);

struct Inner {
    parts: Parts,
    turns: Turns,
    /// Counts the changes of configuration that this node has heard of.
    changes: watch::Sender<u64>,
}

impl Plugins {
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner {
            parts,
            turns: Turns::default(),
            changes: watch::Sender::new(0),
        }))
    }

    /// Counts a compilation that began then.
    fn count_compilation<T, E>(&self, begun: Instant, outcome: &Result<T, E>) {
        let metrics = &self.0.parts.metrics;
        metrics.plugin_compile_seconds.observe(begun.elapsed());
        metrics
            .plugin_compilations
            .inc("result", if outcome.is_ok() { "compiled" } else { "refused" });
    }

    /// Says that the configuration changed, activations included: there may be a version to load, and a version that was
    /// refused may now pass.
    pub fn configuration_changed(&self) {
        self.0.changes.send_modify(|changes| *changes = changes.wrapping_add(1));
    }
}
