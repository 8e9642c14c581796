//! Doubt: after a failed commit the table may lease rows to this node that its memory does not hold.
//!
//! When a commit fails its outcome may be unknown. For a while afterwards the claimers compare what the table leases to
//! this node with what memory holds, and give back the rest.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How long after a failed commit stray rows are still searched for: a commit that was given up here may yet finish there.
const DOUBT_LASTS: Duration = Duration::from_secs(30);
/// How often, while it lasts.
const SEARCH_EVERY: Duration = Duration::from_secs(1);
/// How often without any: a slow answer may hide a failure nobody was told of.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// One flag each for deliveries and events, for two stages search for strays, each among its own.
#[derive(Debug, Clone, Default)]
pub struct Doubts {
    pub deliveries: Doubt,
    pub events: Doubt,
}

impl Doubts {
    pub fn raise(&self) {
        self.deliveries.raise();
        self.events.raise();
    }
}

/// See [`Doubts`].
#[derive(Debug, Clone, Default)]
pub struct Doubt(Arc<Mutex<Doubted>>);

#[derive(Debug, Default)]
struct Doubted {
    raised: Option<Instant>,
    searched: Option<Instant>,
}

/// Whether to search for strays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    Now,
    NotYet,
}

impl Doubt {
    /// Raised only after the failed writes have been answered: whoever searches must no longer find their places taken.
    pub fn raise(&self) {
        *self.lock() = Doubted {
            raised: Some(Instant::now()),
            searched: None,
        };
    }

    /// Whether it is time to search; if so, the next time is later.
    pub fn search(&self) -> Search {
        let mut doubted = self.lock();
        let every = if doubted.raised.is_some() { SEARCH_EVERY } else { SWEEP_EVERY };
        if doubted.searched.is_some_and(|searched| searched.elapsed() < every) {
            return Search::NotYet;
        }
        doubted.searched = Some(Instant::now());
        if doubted.raised.is_some_and(|raised| raised.elapsed() > DOUBT_LASTS) {
            doubted.raised = None;
        }
        Search::Now
    }

    fn lock(&self) -> MutexGuard<'_, Doubted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
