//! What the store tells of itself: how its lanes do, how much waits, how much it keeps.
//!
//! The lanes tell a [`Watcher`] of each commit; whoever counts is outside this crate. What is asked for ([`Store::lane_states`],
//! [`Store::backlog`], [`Store::bytes_kept`]) is answered from memory or by reads that end after a number of index entries,
//! however much is stored.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use hookyard_domain::{EventId, Timestamp};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{Db, Store, error::Error, on, statements as sql, write::Write};

/// How far a backlog is counted: who watches wants to know whether it grows, and ten thousand index entries take a
/// millisecond or two.
pub const BACKLOG_COUNT_MAX: u64 = 10_000;

/// Something that a lane tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// A transaction with so many writes is on disk.
    Committed { lane: &'static str, writes: usize, took: Duration },
    /// A transaction was not committed, or it is not known.
    Failed { lane: &'static str },
    /// A defect of ours: what was under way was answered with an error, and the lane goes on.
    Panicked { part: &'static str },
}

/// Who hears what the lanes tell. Called on their threads: it must not block.
#[derive(Clone, Default)]
pub struct Watcher(Option<Arc<dyn Fn(Told) + Send + Sync>>);

impl Watcher {
    pub fn new(hears: impl Fn(Told) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hears)))
    }

    pub(super) fn tell(&self, told: Told) {
        if let Some(hears) = &self.0 {
            hears(told);
        }
    }
}

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watcher")
    }
}

/// What a lane keeps current about itself.
#[derive(Debug, Clone)]
pub(super) struct Pulse {
    pub(super) lane: &'static str,
    watcher: Watcher,
    born: Instant,
    /// Microseconds from `born` to the begin of the commit under way, plus one; 0 while there is none.
    committing: Arc<AtomicU64>,
}

impl Pulse {
    pub(super) fn new(lane: &'static str, watcher: Watcher) -> Self {
        Self {
            lane,
            watcher,
            born: Instant::now(),
            committing: Arc::default(),
        }
    }

    fn micros(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_micros()).unwrap_or(u64::MAX - 1)
    }

    /// Times a commit of so many writes and tells of its end. One that panics counts as refused by the database: the lane
    /// then finds the write that causes it by committing one by one.
    pub(super) async fn commit<T>(&self, writes: usize, commit: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let begun = self.micros();
        self.committing.store(begun + 1, Ordering::Relaxed);
        let ended = AssertUnwindSafe(commit).catch_unwind().await;
        self.committing.store(0, Ordering::Relaxed);
        let took = Duration::from_micros(self.micros() - begun);
        let lane = self.lane;
        let outcome = ended.unwrap_or_else(|_| {
            self.watcher.tell(Told::Panicked { part: "commit" });
            Err(Error::Statement("writing it panicked, which is a defect".into()))
        });
        self.watcher.tell(match &outcome {
            Ok(_) => Told::Committed { lane, writes, took },
            Err(_) => Told::Failed { lane },
        });
        outcome
    }

    /// Does what follows a commit for one write. Should that panic, the other writes are answered all the same.
    pub(super) fn answer(&self, answer: impl FnOnce()) {
        if std::panic::catch_unwind(AssertUnwindSafe(answer)).is_err() {
            self.panicked("commit-answer");
        }
    }

    pub(super) fn panicked(&self, part: &'static str) {
        tracing::error!(lane = self.lane, part, "a panic in the store; it goes on");
        self.watcher.tell(Told::Panicked { part });
    }
}

/// A queue before a lane, and the lane it leads to.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) queue: &'static str,
    /// Weak: a lane ends when nobody can write any more.
    pub(super) writes: mpsc::WeakSender<Write>,
    pub(super) pulse: Pulse,
}

/// How a lane does, seen from one of its queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneState {
    pub queue: &'static str,
    /// Writes in the queue.
    pub waiting: usize,
    /// How long the commit under way has taken so far.
    pub committing_for: Option<Duration>,
    /// Nobody takes writes out of the queue any more.
    pub ended: bool,
}

/// What waits in the tables. Each count ends at [`BACKLOG_COUNT_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// Events without a decision that no node has in memory.
    pub pending: u64,
    pub held: u64,
    pub dead_lettered: u64,
    /// Deliveries whose next attempt is due now or later and that no node has in memory.
    pub waiting: u64,
    pub rejected: u64,
    pub exhausted: u64,
    pub cancelled: u64,
    /// When the first of the waiting deliveries was or will be due.
    pub first_delivery_due: Option<Timestamp>,
    /// When the first of the pending events was or will be due.
    pub first_event_due: Option<Timestamp>,
    /// When the oldest of the held events was accepted, to the millisecond.
    pub oldest_held: Option<Timestamp>,
}

type BacklogRow = (i64, i64, i64, i64, i64, i64, i64, Option<i64>, Option<Uuid>);

impl Store {
    /// Has somebody hear what the lanes tell. To be called before [`Store::start_lanes`].
    #[must_use]
    pub fn watched(mut self, watcher: Watcher) -> Self {
        self.watcher = watcher;
        self
    }

    /// How the lanes do; none where they were not started. Asks no database.
    pub fn lane_states(&self) -> Vec<LaneState> {
        self.seen
            .iter()
            .map(|seen| {
                let writes = seen.writes.upgrade();
                let committing = seen.pulse.committing.load(Ordering::Relaxed);
                LaneState {
                    queue: seen.queue,
                    waiting: writes.as_ref().map_or(0, |writes| writes.max_capacity() - writes.capacity()),
                    committing_for: (committing > 0).then(|| Duration::from_micros(seen.pulse.micros().saturating_sub(committing - 1))),
                    ended: writes.is_none_or(|writes| writes.is_closed()),
                }
            })
            .collect()
    }

    /// What waits, counted up to a bound.
    pub async fn backlog(&self) -> Result<Backlog, Error> {
        let row: BacklogRow = on!(self, |pool| sqlx::query_as(sql::COUNT_BACKLOG)
            .bind(BACKLOG_COUNT_MAX as i64)
            .fetch_one(pool)
            .await)?;
        let first_event_due = self.senders_with_pending().await?.into_iter().map(|(_, due_at)| due_at).min();
        let count = |counted: i64| u64::try_from(counted).unwrap_or(0);
        Ok(Backlog {
            pending: count(row.0),
            held: count(row.1),
            dead_lettered: count(row.2),
            waiting: count(row.3),
            rejected: count(row.4),
            exhausted: count(row.5),
            cancelled: count(row.6),
            first_delivery_due: row.7.map(Timestamp::from_micros),
            first_event_due,
            oldest_held: row.8.map(|id| EventId::from_uuid(id).made_at()),
        })
    }

    /// Bytes that the database takes, by part. SQLite: its file without what is free in it, what is free, and the log. PostgreSQL: the
    /// tables of each kind with their indexes.
    pub async fn bytes_kept(&self) -> Result<Vec<(&'static str, u64)>, Error> {
        let sizes: Vec<(&'static str, i64)> = match &self.db {
            Db::Sqlite(_) => {
                let (pages, free, page_bytes): (i64, i64, i64) = on!(self, |pool| sqlx::query_as(sql::SELECT_PAGES).fetch_one(pool).await)?;
                vec![
                    ("data", (pages - free) * page_bytes),
                    ("free", free * page_bytes),
                    ("log", self.log_bytes()),
                ]
            }
            Db::Postgres(_) => {
                let (facts, work, configuration): (i64, i64, i64) =
                    on!(self, |pool| sqlx::query_as(sql::SELECT_TABLE_BYTES).fetch_one(pool).await)?;
                vec![("facts", facts), ("work", work), ("configuration", configuration)]
            }
        };
        Ok(sizes
            .into_iter()
            .map(|(part, bytes)| (part, u64::try_from(bytes).unwrap_or(0)))
            .collect())
    }

    /// Bytes of SQLite's log, which is a file beside the database.
    fn log_bytes(&self) -> i64 {
        let Db::Sqlite(pool) = &self.db else { return 0 };
        let options = pool.connect_options();
        let mut log = options.get_filename().as_os_str().to_owned();
        log.push("-wal");
        std::fs::metadata(log).map_or(0, |log| i64::try_from(log.len()).unwrap_or(i64::MAX))
    }
}
