//! Everything that must survive: one [`Store`] over SQLite or PostgreSQL.
//!
//! An event's own path (accept, decide, settle, claim) goes through the group commit of [`commit`]; everything else
//! is ordinary queries, one SQL text each for both databases, run through the [`on!`] macro. There is no store trait
//! and no mock: the contract suite runs on both databases, because the worst bugs of two-database systems are
//! differences between the two.
//!
//! The store knows rows and leases. It does not know HTTP, plugins or endpoints' behaviour. Read [`statements`] next,
//! then [`commit`].

mod announce;
mod commit;
mod configuration;
mod error;
mod lease;
pub mod migrate;
mod plugin;
mod postgres;
mod reading;
mod record;
mod replay;
mod rows;
mod seal;
mod sqlite;
pub mod statements;

use std::{path::PathBuf, str::FromStr, sync::Arc, time::Duration};

use hookyard_domain::{DeliveryId, EndpointId, EventId, NodeId, Timestamp};
use sqlx::{
    Connection, PgPool, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::{mpsc, oneshot};

pub use self::{
    announce::Announcements,
    commit::{Done, Doubt, Doubts},
    configuration::{ApiKeyRow, Change, EndpointRow, EnvironmentRow, Rows, SenderRow, TenantRow},
    error::Error,
    lease::Liveness,
    plugin::PluginRow,
    reading::{AttemptView, DeliveryView, EventView, Page},
    record::{
        Accepted, Attempt, Body, Decided, Event, HELD_BODY_BYTES_MAX, HeldDelivery, HeldEvent, Leased, NewContent, NewDelivery, Origin,
        Pairs, Progress, Settle,
    },
    seal::{SealError, SealKey, SecretText},
};
use commit::Write;

/// Bounds what waits for the database: a host that vanished says nothing, and TCP would wait a quarter of an hour.
pub(crate) async fn in_time<T, E: Into<Error>>(query: impl Future<Output = Result<T, E>>) -> Result<T, Error> {
    match tokio::time::timeout(QUERY_MAX, query).await {
        Ok(outcome) => outcome.map_err(Into::into),
        Err(_) => Err(Error::Unreachable("the database took too long to answer".into())),
    }
}

/// Runs one expression on whichever database there is; `$pool` is its pool.
macro_rules! on {
    ($store:expr, |$pool:ident| $body:expr) => {
        match &$store.db {
            $crate::Db::Sqlite($pool) => $crate::in_time(async { $body }).await,
            $crate::Db::Postgres($pool) => $crate::in_time(async { $body }).await,
        }
    };
}
/// Runs one block in a transaction of whichever database there is, and commits it.
///
/// SQLite takes its write lock at BEGIN: a transaction that begins by reading and then writes could otherwise fail
/// half-way because another connection wrote in between.
macro_rules! in_transaction {
    ($store:expr, |$transaction:ident| $body:block) => {
        match &$store.db {
            $crate::Db::Sqlite(pool) => {
                $crate::in_time(async {
                    let mut $transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
                    let outcome = $body;
                    $transaction.commit().await?;
                    Ok::<_, $crate::Error>(outcome)
                })
                .await?
            }
            $crate::Db::Postgres(pool) => {
                $crate::in_time(async {
                    let mut $transaction = pool.begin().await?;
                    let outcome = $body;
                    $transaction.commit().await?;
                    Ok::<_, $crate::Error>(outcome)
                })
                .await?
            }
        }
    };
}
pub(crate) use {in_transaction, on};

/// Connections for everything off the hot path.
const POOL_CONNECTIONS_MAX: u32 = 8;
/// How long a query may wait for a connection before the database counts as unreachable.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long anything off the hot path may wait for the database.
const QUERY_MAX: Duration = Duration::from_secs(10);

/// Where the database is: `sqlite://path` or `postgres://…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    Sqlite(PathBuf),
    Postgres(String),
}

impl FromStr for Location {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("sqlite://") {
            if path.is_empty() || path == ":memory:" {
                return Err("a sqlite database needs a file path: a memory database would lose every accepted event".to_owned());
            }
            return Ok(Self::Sqlite(PathBuf::from(path)));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            PgConnectOptions::from_str(text).map_err(|error| error.to_string())?;
            return Ok(Self::Postgres(text.to_owned()));
        }
        Err("the database must be sqlite://<path> or postgres://<user>@<host>/<name>".to_owned())
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Db {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot open the database")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Migrate(#[from] migrate::Error),
    #[error("cannot open the write connection")]
    Writer(#[source] Error),
    #[error("cannot start the store's thread")]
    Thread(#[source] std::io::Error),
}

/// Why a key is not the one to open a database's secrets with.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the secrets of this database are sealed with another key than the one given or kept in the data folder")]
    Other,
    #[error(transparent)]
    Store(#[from] Error),
}

/// What is sealed to know a key by.
const KEY_CHECK: &str = "hookyard";

/// The lanes of group commit, by kind of write. SQLite's three are one.
#[derive(Debug, Clone)]
struct Lanes {
    accept: mpsc::Sender<Write>,
    route: mpsc::Sender<Write>,
    settle: mpsc::Sender<Write>,
}

/// The database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    db: Db,
    node: NodeId,
    seal: Arc<SealKey>,
    doubts: Doubts,
    lanes: Option<Lanes>,
}

/// What ends when every [`Store`] that can write is dropped.
#[derive(Debug)]
pub struct LaneTasks(Vec<oneshot::Receiver<()>>);

impl LaneTasks {
    /// Waits until all that was handed to the lanes is on disk or given up with an error in the log; for so long at
    /// most, should somebody still hold the store.
    pub async fn finished(self, at_most: Duration) {
        let all = async {
            for lane in self.0 {
                // A lane that panicked drops its sender: it is over either way.
                drop(lane.await);
            }
        };
        if tokio::time::timeout(at_most, all).await.is_err() {
            tracing::warn!("the store is still in use; stopping all the same");
        }
    }
}

impl Store {
    /// Opens the database, creates and migrates it where needed. Such a store reads and configures; it accepts events
    /// only after [`Store::start_lanes`].
    pub async fn open(location: &Location, node: NodeId, seal: SealKey, now: Timestamp) -> Result<Self, OpenError> {
        let db = match location {
            Location::Sqlite(path) => {
                create_private(path);
                let options = SqliteConnectOptions::new()
                    .filename(path)
                    .create_if_missing(true)
                    // Larger pages hold a typical 1–7 KiB payload in few overflow pages; fixed when the file is created.
                    .page_size(8_192)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Full)
                    .busy_timeout(Duration::from_millis(sqlite::BUSY_TIMEOUT_MS))
                    .foreign_keys(true);
                let pool = SqlitePoolOptions::new()
                    .max_connections(POOL_CONNECTIONS_MAX)
                    .acquire_timeout(ACQUIRE_TIMEOUT)
                    .connect_with(options)
                    .await?;
                migrate::sqlite(&mut *pool.acquire().await?, now).await?;
                Db::Sqlite(pool)
            }
            Location::Postgres(url) => {
                let options = PgConnectOptions::from_str(url)?.application_name("hookyard");
                migrate::postgres(&mut sqlx::PgConnection::connect_with(&options).await?, now).await?;
                let pool = PgPoolOptions::new()
                    .max_connections(POOL_CONNECTIONS_MAX)
                    .acquire_timeout(ACQUIRE_TIMEOUT)
                    .connect_with(options)
                    .await?;
                Db::Postgres(pool)
            }
        };
        Ok(Self {
            db,
            node,
            seal: Arc::new(seal),
            doubts: Doubts::default(),
            lanes: None,
        })
    }

    /// Whether the database's secrets are known to be sealed with this store's key. `false`: none has been claimed yet.
    ///
    /// # Errors
    /// [`KeyError::Other`]: they are sealed with another.
    pub async fn check_key(&self) -> Result<bool, KeyError> {
        let (check,): (Option<Vec<u8>>,) = on!(self, |pool| sqlx::query_as(statements::SELECT_KEY_CHECK).fetch_one(pool).await)?;
        match check {
            Some(check) => self.seal.open(&check, KEY_CHECK).map(|_| true).map_err(|_| KeyError::Other),
            None => Ok(false),
        }
    }

    /// Makes this store's key the database's, if it has none yet and the key opens the secrets that are there.
    ///
    /// # Errors
    /// As [`Store::check_key`]; a secret does not open.
    pub async fn claim_key(&self) -> Result<(), KeyError> {
        if self.check_key().await? {
            return Ok(());
        }
        self.configuration().await?;
        let check = self.seal.seal(&SecretText::new(KEY_CHECK.to_owned()), KEY_CHECK, rand::random());
        on!(self, |pool| sqlx::query(statements::CLAIM_KEY)
            .bind(&check)
            .execute(pool)
            .await
            .map(drop))?;
        // Of two keys that come at once one has won.
        self.check_key().await.map(drop)
    }

    /// Starts group commit. The lanes end when the returned store and all its clones are gone.
    pub fn start_lanes(mut self, location: &Location) -> Result<(Self, LaneTasks), OpenError> {
        let (lanes, tasks) = match location {
            Location::Sqlite(path) => {
                let (sender, receiver) = commit::channel();
                let writer = sqlite::Writer::open(path, self.node).map_err(OpenError::Writer)?;
                let lane = commit::run(commit::Writer::Sqlite(writer), receiver, Duration::ZERO, self.doubts.clone());
                let (over, task) = oneshot::channel();
                let runtime = tokio::runtime::Handle::current();
                std::thread::Builder::new()
                    .name("hookyard-commit".to_owned())
                    .spawn(move || {
                        runtime.block_on(lane);
                        over.send(()).ok();
                    })
                    .map_err(OpenError::Thread)?;
                (
                    Lanes {
                        accept: sender.clone(),
                        route: sender.clone(),
                        settle: sender,
                    },
                    vec![task],
                )
            }
            Location::Postgres(url) => {
                let options = PgConnectOptions::from_str(url)?.application_name("hookyard-commit");
                let mut tasks = Vec::new();
                let mut lane = |rest| {
                    let (sender, receiver) = commit::channel();
                    let writer = commit::Writer::Postgres(Box::new(postgres::Writer::new(options.clone(), self.node)));
                    let lane = commit::run(writer, receiver, rest, self.doubts.clone());
                    let (over, task) = oneshot::channel();
                    tokio::spawn(async move {
                        lane.await;
                        over.send(()).ok();
                    });
                    tasks.push(task);
                    sender
                };
                (
                    Lanes {
                        accept: lane(Duration::ZERO),
                        route: lane(postgres::ROUTE_REST),
                        settle: lane(postgres::SETTLE_REST),
                    },
                    tasks,
                )
            }
        };
        self.lanes = Some(lanes);
        Ok((self, LaneTasks(tasks)))
    }

    /// A clone that reads and configures but keeps no lane open.
    pub fn without_lanes(&self) -> Self {
        Self {
            lanes: None,
            ..self.clone()
        }
    }

    pub fn node(&self) -> NodeId {
        self.node
    }

    pub fn doubts(&self) -> &Doubts {
        &self.doubts
    }

    /// Name of the database kind, for logs and pages.
    pub fn kind(&self) -> &'static str {
        match self.db {
            Db::Sqlite(_) => "sqlite",
            Db::Postgres(_) => "postgresql",
        }
    }

    fn lanes(&self) -> Result<&Lanes, Error> {
        self.lanes.as_ref().ok_or(Error::Closed)
    }

    /// Writes an accepted event, with its decision where that needs no plugin. `done` runs once it is on disk (A1).
    ///
    /// Never waits for room: a full queue is the caller's backpressure, answered as [`Error::Busy`].
    pub fn accept(&self, event: Arc<Event>, decided: Option<Decided>, leased: Leased, done: Done<Accepted>) {
        let write = Write::Accept {
            event,
            decided,
            leased,
            done,
        };
        match self.lanes() {
            Ok(lanes) => match lanes.accept.try_send(write) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(write)) => write.fail(Error::Busy),
                Err(mpsc::error::TrySendError::Closed(write)) => write.fail(Error::Closed),
            },
            Err(error) => write.fail(error),
        }
    }

    /// Writes a decision and its deliveries together (R1). `done` gets `false` when the event was no longer ours to
    /// decide. Blocks while the lane is full: for the routing threads, not for async code.
    pub fn decide(&self, event: EventId, decided: Decided, done: Done<bool>) {
        self.send_blocking(Write::Decide { event, decided, done });
    }

    /// Gives a pending event back, to be routed at `route_due_at`, with so many transient failures behind it. Blocks
    /// as [`Store::decide`] does.
    pub fn postpone(&self, event: EventId, route_due_at: Timestamp, failures: u32, done: Done<()>) {
        self.send_blocking(Write::Postpone {
            event,
            route_due_at,
            failures,
            done,
        });
    }

    fn send_blocking(&self, write: Write) {
        match self.lanes() {
            Ok(lanes) => {
                if let Err(mpsc::error::SendError(write)) = lanes.route.blocking_send(write) {
                    write.fail(Error::Closed);
                }
            }
            Err(error) => write.fail(error),
        }
    }

    /// Writes the outcome of an attempt. Keeps trying while the database is away; `done` gets an error only when the
    /// store closes or the database refuses the row.
    pub async fn settle(&self, settle: Settle, done: Done<bool>) {
        let write = Write::Settle { settle, done };
        match self.lanes() {
            Ok(lanes) => {
                if let Err(mpsc::error::SendError(write)) = lanes.settle.send(write).await {
                    write.fail(Error::Closed);
                }
            }
            Err(error) => write.fail(error),
        }
    }

    /// Leases due deliveries of one endpoint to this node, oldest first.
    pub async fn claim_deliveries(&self, endpoint: EndpointId, due_by: Timestamp, limit: u32) -> Result<Vec<HeldDelivery>, Error> {
        let mut claimed = ask(&self.lanes()?.route, |done| Write::ClaimDeliveries {
            endpoint,
            due_by,
            limit,
            done,
        })
        .await?;
        // RETURNING lists the right rows in no order, on either database.
        claimed.sort_by_key(|delivery| delivery.due_at);
        Ok(claimed)
    }

    /// Leases due pending events to this node, oldest first.
    pub async fn claim_events(&self, due_by: Timestamp, limit: u32) -> Result<Vec<HeldEvent>, Error> {
        let mut claimed = ask(&self.lanes()?.route, |done| Write::ClaimEvents { due_by, limit, done }).await?;
        claimed.sort_by_key(|held| held.event.accepted_at);
        Ok(claimed)
    }

    /// Gives held deliveries back to the table, unattempted. After an error some may have been given back.
    pub async fn release_deliveries(&self, deliveries: &[DeliveryId]) -> Result<(), Error> {
        ask_each(&self.lanes()?.route, deliveries, |&delivery, done| Write::ReleaseDelivery {
            delivery,
            done,
        })
        .await
    }

    /// Gives held events back to the table, undecided. After an error some may have been given back.
    pub async fn release_events(&self, events: &[EventId]) -> Result<(), Error> {
        ask_each(&self.lanes()?.route, events, |&event, done| Write::ReleaseEvent { event, done }).await
    }
}

/// Makes an empty database file that only its owner can read, for it holds payloads; the files SQLite puts beside it
/// take after it. Whatever stands against that, SQLite will meet and say better.
fn create_private(path: &std::path::Path) {
    use std::os::unix::fs::OpenOptionsExt as _;
    drop(std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path));
}

/// Sends a write; its outcome comes through the channel.
async fn tell<T: Send + 'static>(
    lane: &mpsc::Sender<Write>,
    write: impl FnOnce(Done<T>) -> Write,
) -> Result<oneshot::Receiver<Result<T, Error>>, Error> {
    let (answer, answered) = oneshot::channel();
    let done: Done<T> = Box::new(move |outcome| drop(answer.send(outcome)));
    lane.send(write(done)).await.map_err(|_| Error::Closed)?;
    Ok(answered)
}

/// Sends a write and waits for its outcome.
async fn ask<T: Send + 'static>(lane: &mpsc::Sender<Write>, write: impl FnOnce(Done<T>) -> Write) -> Result<T, Error> {
    tell(lane, write).await?.await.unwrap_or(Err(Error::Closed))
}

/// Sends a write for each, so that they share commits, and waits for all; answers the first error.
async fn ask_each<K>(lane: &mpsc::Sender<Write>, each: &[K], write: impl Fn(&K, Done<()>) -> Write) -> Result<(), Error> {
    let mut answers = Vec::with_capacity(each.len());
    for one in each {
        answers.push(tell(lane, |done| write(one, done)).await?);
    }
    let mut all = Ok(());
    for answer in answers {
        all = all.and(answer.await.unwrap_or(Err(Error::Closed)));
    }
    all
}

impl std::fmt::Debug for Write {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Write")
    }
}
