//! Folding SQLite's log into the database beside the commits.
//!
//! Left to SQLite, the commit that makes the log long enough folds it in, and everybody whose write is in that commit or
//! waits for the next one waits with it. Here a thread of its own does so over a connection of its own, while commits go
//! on. What they added meanwhile is left for the writer, which folds in so little within a moment, and the log begins
//! anew.

use std::{
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use rusqlite::Connection;

use super::{error::Error, sqlite::BUSY_TIMEOUT_MS, write::Write};

/// Pages of log after which they are folded in: 12 MiB at 8 KiB pages.
const PAGES: usize = 1_500;
/// Bytes of payload in a page of log.
const PAGE_BYTES: usize = 8_192;
/// Rows whose writing changes a page, more or less: large rows change one each, small ones share them.
const ROWS_OF_A_PAGE: usize = 4;
/// Pages that a commit writes whatever its size: the last of every tree.
const PAGES_OF_A_COMMIT: usize = 12;

/// The thread that folds. It ends when it is dropped.
pub(super) struct Checkpointer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Written since the last pass began, by estimate.
    pages: usize,
    rest_is_small: bool,
    closing: bool,
}

/// What the writer should do about the log before its next commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// Fold in what is left: it is little.
    Fold,
    Leave,
}

impl Checkpointer {
    /// # Errors
    /// The database cannot be opened, or the system refuses a thread.
    pub(super) fn start(path: &Path) -> Result<Self, Error> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_millis(BUSY_TIMEOUT_MS))?;
        // The database is flushed before the log is written over.
        connection.pragma_update(None, "synchronous", "FULL")?;
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("hookyard-fold".to_owned())
            .spawn(move || serving.serve(&connection))
            .map_err(|error| Error::Unreachable(error.to_string().into()))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Notes a commit.
    pub(super) fn committed(&self, batch: &[Write]) -> Rest {
        let pages: usize = batch
            .iter()
            .map(|write| write.payload_bytes() * ROWS_OF_A_PAGE / PAGE_BYTES + write.rows())
            .sum();
        let mut state = self.shared.state();
        state.pages += pages / ROWS_OF_A_PAGE + PAGES_OF_A_COMMIT;
        if state.pages >= PAGES {
            self.shared.changed.notify_one();
        }
        if std::mem::take(&mut state.rest_is_small) {
            Rest::Fold
        } else {
            Rest::Leave
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.shared.state().closing = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, connection: &Connection) {
        loop {
            let mut state = self.state();
            while state.pages < PAGES && !state.closing {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.closing {
                return;
            }
            state.pages = 0;
            drop(state);
            match fold(connection) {
                Ok(()) => self.state().rest_is_small = true,
                // The writer's own limit holds, and the next pass tries again.
                Err(error) => tracing::warn!(%error, "cannot fold the log into the database"),
            }
        }
    }
}

/// Writes into the database what the log holds and no reader needs there, without waiting for anybody.
pub(super) fn fold(connection: &Connection) -> Result<(), Error> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    Ok(())
}
