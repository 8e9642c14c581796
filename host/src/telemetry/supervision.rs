//! Owners of the server's loops: a loop that panics is logged, counted and started again, and one that stops coming round is
//! noticed.
//!
//! A loop keeps nothing that a restart of it may lose: what it works on is in the tables or in its stage's shared state. The
//! lanes of the store look after themselves, for their queues must outlive a panic.

use std::{
    panic::AssertUnwindSafe,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::metrics::CounterBy;

/// Pause before a loop that panicked is started again; doubled for each further panic, up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// A loop that ran for so long has recovered: its next panic is a first one.
const RECOVERED_AFTER: Duration = Duration::from_secs(60);

/// Runs a loop until it ends by itself, and again whenever it panics; between two runs not once the server closes.
pub async fn supervised<F: Future<Output = ()>>(
    part: &'static str,
    panics: CounterBy,
    closing: CancellationToken,
    mut begin: impl FnMut() -> F,
) {
    let mut pause = PAUSE_FIRST;
    loop {
        let begun = Instant::now();
        if AssertUnwindSafe(begin()).catch_unwind().await.is_ok() {
            return;
        }
        if begun.elapsed() >= RECOVERED_AFTER {
            pause = PAUSE_FIRST;
        }
        // What panicked has said why, on standard error, where panics go.
        tracing::error!(
            part,
            again_in_ms = pause.as_millis() as u64,
            "a part of the server panicked and is started again"
        );
        panics.inc("part", part);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = closing.cancelled() => return,
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// When a loop last came round.
pub struct Pulse(Mutex<Instant>);

impl Default for Pulse {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl Pulse {
    pub fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    pub fn silent_for(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

/// The loops that nothing moves without.
#[derive(Default)]
pub struct Pulses {
    /// What brings events from the table to the plugins.
    pub routing: Pulse,
    /// What brings deliveries from the table to their attempts.
    pub delivery: Pulse,
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::telemetry::metrics::Metrics;

    #[tokio::test]
    async fn a_loop_that_panics_is_started_again_ever_later_and_counted() {
        let metrics = Metrics::default();
        let (runs, begun) = (AtomicU32::new(0), Instant::now());
        supervised("claimer", metrics.panics.clone(), CancellationToken::new(), || async {
            assert!(runs.fetch_add(1, Ordering::Relaxed) >= 2, "a defect");
        })
        .await;
        assert_eq!(runs.load(Ordering::Relaxed), 3);
        assert!(begun.elapsed() >= PAUSE_FIRST * 3, "one pause, and one twice as long");
        assert!(metrics.text().contains("hookyard_panics_total{part=\"claimer\"} 2"));
    }

    #[tokio::test]
    async fn a_loop_that_panics_while_the_server_closes_is_not_started_again() {
        let (metrics, closing) = (Metrics::default(), CancellationToken::new());
        let runs = AtomicU32::new(0);
        supervised("claimer", metrics.panics.clone(), closing.clone(), || async {
            runs.fetch_add(1, Ordering::Relaxed);
            closing.cancel();
            panic!("a defect");
        })
        .await;
        assert_eq!(runs.load(Ordering::Relaxed), 1);
    }
}
