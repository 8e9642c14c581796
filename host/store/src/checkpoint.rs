//! Folding SQLite's log into the database beside the commits.
//!
//! Left to SQLite, the commit that makes the log long enough folds it in, and everybody whose write is in that commit or
//! waits for the next one waits with it. Here a thread of its own does so over a connection of its own, while commits go
//! on. What they added meanwhile is little: the writer folds it in before a later commit, and the log begins anew.
//!
//! Where commits come faster than the disk takes what they wrote, the log grows while it is folded. Each commit then pauses
//! for a moment, the longer the longer the log is, up to [`PAUSE_MAX`], until the thread keeps up. Should the log reach
//! [`LOG_PAGES_MAX`] all the same, the writer waits for the thread and folds the whole rest.
//!
//! A reader with an old view of the database keeps the log from being folded in as a whole. It then grows until the
//! reader is gone, and from [`LOG_PAGES_MAX`] on each commit tries.
//!
//! Two connections that fold while a third writes the log anew could corrupt the database in SQLite before 3.51.3
//! (<https://sqlite.org/wal.html#walresetbug>); ours is newer, which the tidy suite holds.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use rusqlite::Connection;

use super::{
    PAGE_BYTES,
    error::Error,
    sqlite::BUSY_TIMEOUT_MS,
    vitals::{Pulse, Watcher},
};

/// Pages by which the log grows before they are folded in: 12 MiB.
const PAGES: usize = 1_536;
/// Pages that the writer folds in itself: a few milliseconds.
const FEW_PAGES: usize = 512;
/// Pages of log from which on commits pause while the thread folds: 48 MiB.
const MANY_PAGES: usize = 4 * PAGES;
/// Before the thread goes on after a panic.
const PAUSE_AFTER_PANIC: Duration = Duration::from_millis(100);
/// The longest pause before a commit.
const PAUSE_MAX: Duration = Duration::from_millis(10);
/// Pages of log from which on commits fold it themselves, should the thread not come to it: 128 MiB.
pub(super) const LOG_PAGES_MAX: usize = 16_384;
/// What the log's file keeps of the disk once it begins anew.
const LOG_BYTES_KEPT: usize = 2 * PAGES * PAGE_BYTES as usize;

thread_local! {
    /// Pages in the log after the last commit of this thread, whoever wrote them: SQLite's hook takes no closure.
    static LOG_PAGES: Cell<usize> = const { Cell::new(0) };
}

/// The thread that folds. It ends when it is dropped.
pub(super) struct Checkpointer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Held by whoever folds.
    folding: Mutex<()>,
}

#[derive(Default)]
struct State {
    wanted: bool,
    closing: bool,
    /// Pages of log after the writer's last commit.
    pages: usize,
    /// Pages of log when it was last wanted.
    wanted_at: usize,
    /// The thread is folding, pass after pass.
    folding: bool,
    /// The thread has left what the writer should fold in.
    rest_is_the_writers: bool,
}

/// What the writer should do about the log before its next commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// Fold in what is left.
    Fold,
    /// Let the thread keep up.
    Pause(Duration),
    Leave,
}

impl Checkpointer {
    /// Starts the thread, and has `writer`, whose commits are noted, no longer fold by itself.
    ///
    /// # Errors
    /// The database cannot be opened, or the system refuses a thread.
    pub(super) fn start(path: &Path, writer: &Connection, watcher: &Watcher) -> Result<Self, Error> {
        writer.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT as i64)?;
        writer.wal_hook(Some(|_, pages| {
            LOG_PAGES.set(usize::try_from(pages).unwrap_or(0));
            Ok(())
        }));
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_millis(BUSY_TIMEOUT_MS))?;
        // The database is flushed before the log is written over.
        connection.pragma_update(None, "synchronous", "FULL")?;
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        let pulse = Pulse::new("checkpoint", watcher.clone());
        let thread = std::thread::Builder::new()
            .name("hookyard-fold".to_owned())
            .spawn(move || {
                while catch_unwind(AssertUnwindSafe(|| serving.serve(&connection))).is_err() {
                    pulse.panicked("checkpoint");
                    std::thread::sleep(PAUSE_AFTER_PANIC);
                }
            })
            .map_err(|error| Error::Unreachable(error.to_string().into()))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// What to do about the log after a commit of this thread.
    pub(super) fn after_commit(&self) -> Rest {
        let pages = LOG_PAGES.get();
        let mut state = self.shared.state();
        state.pages = pages;
        if pages >= LOG_PAGES_MAX {
            return Rest::Fold;
        }
        if pages < state.wanted_at {
            // The log began anew.
            state.wanted_at = 0;
            state.rest_is_the_writers = false;
        }
        if std::mem::take(&mut state.rest_is_the_writers) {
            return Rest::Fold;
        }
        if pages >= state.wanted_at + PAGES {
            state.wanted_at = pages;
            state.wanted = true;
            self.shared.changed.notify_one();
        }
        if state.folding { pause(pages) } else { Rest::Leave }
    }

    /// Does before a commit of `writer` what [`after_commit`](Self::after_commit) said after the last one. Should the thread
    /// be in the middle of a pass when the rest is to be folded, it ends that first.
    pub(super) fn heed(&self, rest: Rest, writer: &Connection) -> Result<(), Error> {
        match rest {
            Rest::Fold => {
                let _one = self.shared.one_folds();
                fold(writer)?;
            }
            Rest::Pause(pause) => std::thread::sleep(pause),
            Rest::Leave => {}
        }
        Ok(())
    }
}

/// None until the log is long, and in proportion to what it is longer.
fn pause(pages: usize) -> Rest {
    let beyond = pages.saturating_sub(MANY_PAGES);
    if beyond == 0 {
        return Rest::Leave;
    }
    Rest::Pause(PAUSE_MAX.mul_f64(beyond as f64 / (LOG_PAGES_MAX - MANY_PAGES) as f64))
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
            while !state.wanted && !state.closing {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.closing {
                return;
            }
            state.wanted = false;
            state.folding = true;
            drop(state);
            let little_is_left = self.fold_down(connection).unwrap_or_else(|error| {
                tracing::warn!(%error, "cannot fold the log into the database");
                false
            });
            let mut state = self.state();
            state.folding = false;
            state.rest_is_the_writers = little_is_left;
        }
    }

    fn one_folds(&self) -> MutexGuard<'_, ()> {
        self.folding.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pass after pass, each folding what was written during the one before, until little is left: `true`. Not so where a
    /// reader keeps the log, or where it is so long that the writer folds all of it.
    fn fold_down(&self, connection: &Connection) -> Result<bool, Error> {
        let mut folded_before = None;
        loop {
            let one = self.one_folds();
            let folded = fold(connection)?;
            drop(one);
            let state = self.state();
            // The log may have begun anew meanwhile; then there is little in it.
            let next = state.pages.saturating_sub(folded);
            if next <= FEW_PAGES || state.closing {
                return Ok(true);
            }
            if folded_before == Some(folded) || state.pages >= LOG_PAGES_MAX {
                return Ok(false);
            }
            folded_before = Some(folded);
        }
    }
}

/// Writes into the database what the log holds and no reader needs there, without waiting for anybody. Returns how many
/// pages of the log are in the database; what was written meanwhile is not among them.
fn fold(connection: &Connection) -> Result<usize, Error> {
    let (busy, folded): (i64, i64) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok((row.get(0)?, row.get(2)?)))?;
    if busy != 0 {
        // Somebody else is folding.
        return Ok(0);
    }
    Ok(usize::try_from(folded).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_pages(path: &Path) -> usize {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        usize::try_from(std::fs::metadata(log).map_or(0, |log| log.len())).expect("it fits") / PAGE_BYTES as usize
    }

    /// Left to the thread alone the log never began anew under load, and grew without bound.
    #[test]
    fn the_log_is_bounded_under_load_and_begins_anew_after_a_long_reader() {
        let folder = tempfile::tempdir().expect("a folder is made");
        let path = folder.path().join("log.db");
        let writer = Connection::open(&path).expect("it opens");
        writer
            .execute_batch(&format!(
                "PRAGMA page_size = {PAGE_BYTES}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE kept (bytes BLOB)"
            ))
            .expect("a table is made");
        let checkpointer = Checkpointer::start(&path, &writer, &Watcher::default()).expect("it starts");
        let mut rest = Rest::Leave;
        let mut write = |pages: usize| {
            for _ in 0..pages / 64 {
                checkpointer.heed(rest, &writer).expect("it folds");
                writer
                    .execute("INSERT INTO kept VALUES (zeroblob(?1))", [64 * PAGE_BYTES])
                    .expect("it is written");
                rest = checkpointer.after_commit();
            }
        };
        write(LOG_PAGES_MAX * 2);
        // Whatever the disk: what is over the limit is the last commit.
        assert!(log_pages(&path) < LOG_PAGES_MAX + 256, "{} pages of log", log_pages(&path));

        let reader = Connection::open(&path).expect("it opens");
        reader.execute_batch("BEGIN; SELECT COUNT(*) FROM kept").expect("it reads");
        write(PAGES * 12);
        assert!(
            log_pages(&path) >= PAGES * 10,
            "the reader keeps the log: {} pages",
            log_pages(&path)
        );
        reader.execute_batch("COMMIT").expect("it ends");
        // The thread may be in the middle of a pass; it needs few more commits than it has passes left.
        let written = std::iter::repeat_with(|| write(64)).take(1_000);
        assert!(
            written.into_iter().any(|()| LOG_PAGES.get() < PAGES),
            "the log does not begin anew: {} pages",
            LOG_PAGES.get()
        );
    }
}
