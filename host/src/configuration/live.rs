//! The snapshot in force, and how a node follows the table.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::Mutex;

use super::snapshot::Snapshot;
use crate::store::{Error, Store};

/// The snapshot in force, swapped as one pointer.
#[derive(Default)]
pub struct Configuration {
    current: ArcSwap<Snapshot>,
    /// One refresh at a time: each goes on from where the one before ended.
    refreshing: Mutex<()>,
}

/// What a refresh came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refreshed {
    /// Another snapshot is in force.
    Changed,
    Unchanged,
}

impl Configuration {
    pub fn current(&self) -> Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// Puts what changed in the table since the snapshot in force into a new one. A row that cannot be used is told in the
    /// log when it is met, and not again until it changes.
    ///
    /// # Errors
    /// The database does not answer; the snapshot in force stays. No row causes one.
    pub async fn refresh(&self, store: &Store) -> Result<Refreshed, Error> {
        let _one_at_a_time = self.refreshing.lock().await;
        let before = Arc::clone(&self.current());
        if store.revision().await? == before.revision {
            return Ok(Refreshed::Unchanged);
        }
        let rows = store.configuration_since(before.revision).await?;
        let next = before.with(rows);
        for row in next.set_aside().filter(|row| !before.has_set_aside(row)) {
            tracing::error!(table = row.table, id = %row.id, name = row.name, reason = %row.why, "a configured row cannot be used and is set aside");
        }
        self.current.store(Arc::new(next));
        Ok(Refreshed::Changed)
    }
}
