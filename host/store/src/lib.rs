//! Everything that must survive: one [`Store`] over SQLite or PostgreSQL.
//!
//! An event's own path (accept, decide, settle, claim) goes through [`group_commit`]; everything else
//! is ordinary queries, one SQL text each for both databases, run through the [`on!`] macro. There is no store trait
//! and no mock: the contract suite runs on both databases, because the worst bugs of two-database systems are
//! differences between the two.
//!
//! The store knows rows and leases. It does not know HTTP, plugins or endpoints' behaviour. Read [`statements`] next,
//! then [`group_commit`] and [`events`].

mod announce;
mod backup;
mod breaker;
mod checkpoint;
mod configuration;
mod doubt;
mod error;
mod events;
mod group_commit;
mod idempotency;
mod lease;
mod memory;
pub mod migrate;
mod module;
mod people;
mod plugin;
mod postgres;
mod reading;
mod record;
mod replay;
mod rows;
mod seal;
mod search;
mod sqlite;
mod standing;
pub mod statements;
mod vitals;
mod waiting;
mod write;

use std::{path::PathBuf, str::FromStr, sync::Arc, time::Duration};

use hookyard_domain::{NodeId, Timestamp};
use sqlx::{
    Connection, PgPool, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::{mpsc, oneshot};

use self::{
    group_commit::Inbox,
    memory::Memory,
    vitals::{Pulse, Seen},
};

pub use self::{
    announce::Announcements,
    backup::{BackupError, backup},
    configuration::{
        Change, Changed, CredentialRow, EndpointRow, EnvironmentRow, Expected, LAST_OWNER, PreviousSecret, Row, Rows, Rule, SenderRow,
        SetAside, SubscriptionRow, TenantRow, Thing, Unreadable, VerificationRow,
    },
    doubt::{Doubt, Doubts, Search},
    error::Error,
    idempotency::Forgotten,
    lease::Liveness,
    module::ModuleRefusal,
    people::{InviteRow, Refreshed, SessionRow, UserRow},
    plugin::{Activation, PluginRow, Renewed},
    reading::{AttemptView, DecisionView, DeliveryView, EventView, Page, PluginRunView},
    record::{
        Accepted, Attempt, Body, BreakerRow, CLAIM_BYTES_MAX, DecideOutcome, Decided, Event, Existing, HeldDelivery, HeldEvent,
        IdempotencyClaim, Leased, NewContent, NewDelivery, Pairs, Placement, PluginCost, Postponed, Progress, Settle, SettleOutcome,
        Source,
    },
    seal::{SealError, SealKey, SecretText},
    search::{Become, Found, SEARCH_COUNT_MAX, Search as EventSearch, Total},
    standing::{COUNT_MAX, StandingDeliveries, StandingEvents},
    vitals::{BACKLOG_COUNT_MAX, Backlog, LaneState, Told, Watcher},
    waiting::Waiting,
    write::Done,
};
use write::Write;

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

/// SQLite's page: large ones hold a typical payload of 1 to 7 KiB in few overflow pages. Fixed when the file is created.
const PAGE_BYTES: u32 = 8_192;
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

/// The lanes of group commit, by kind of write. SQLite's are one, with two queues before it.
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
    /// Of decisions on their way to the disk.
    memory: Memory,
    lanes: Option<Lanes>,
    watcher: Watcher,
    /// For a look at the lanes, without keeping them open.
    seen: Vec<Seen>,
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
                    .page_size(PAGE_BYTES)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Full)
                    // The lane's thread folds the log; this is the limit of a process without one.
                    .pragma("wal_autocheckpoint", checkpoint::LOG_PAGES_MAX.to_string())
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
            memory: Memory::default(),
            lanes: None,
            watcher: Watcher::default(),
            seen: Vec::new(),
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

    /// Whether the database has a key already, whichever it is.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn has_key(&self) -> Result<bool, Error> {
        let (check,): (Option<Vec<u8>>,) = on!(self, |pool| sqlx::query_as(statements::SELECT_KEY_CHECK).fetch_one(pool).await)?;
        Ok(check.is_some())
    }

    /// Makes this store's key the database's, if it has none yet and the key opens the secrets that are there.
    ///
    /// # Errors
    /// As [`Store::check_key`]; a secret does not open.
    pub async fn claim_key(&self) -> Result<(), KeyError> {
        if self.check_key().await? {
            return Ok(());
        }
        self.check_secrets_open().await?;
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
                let (accept, accepts) = group_commit::channel();
                let (sender, others) = group_commit::channel();
                let inbox = Inbox::of_both(accepts, others);
                let writer = sqlite::Writer::open(path, self.node, &self.watcher).map_err(OpenError::Writer)?;
                let pulse = Pulse::new("all", self.watcher.clone());
                self.see("accept", &accept, &pulse);
                self.see("others", &sender, &pulse);
                let lane = group_commit::serve(
                    group_commit::Writer::Sqlite(Box::new(writer)),
                    inbox,
                    Duration::ZERO,
                    self.doubts.clone(),
                    pulse,
                );
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
                        accept,
                        route: sender.clone(),
                        settle: sender,
                    },
                    vec![task],
                )
            }
            Location::Postgres(url) => {
                let options = PgConnectOptions::from_str(url)?.application_name("hookyard-commit");
                let mut tasks = Vec::new();
                let mut start = |name, rest| {
                    let (sender, receiver) = group_commit::channel();
                    let writer = group_commit::Writer::Postgres(Box::new(postgres::Writer::new(options.clone(), self.node)));
                    let pulse = Pulse::new(name, self.watcher.clone());
                    self.see(name, &sender, &pulse);
                    let lane = group_commit::serve(writer, Inbox::of_one(receiver), rest, self.doubts.clone(), pulse);
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
                        accept: start("accept", Duration::ZERO),
                        route: start("decide", postgres::ROUTE_REST),
                        settle: start("settle", postgres::SETTLE_REST),
                    },
                    tasks,
                )
            }
        };
        self.lanes = Some(lanes);
        Ok((self, LaneTasks(tasks)))
    }

    fn see(&mut self, queue: &'static str, writes: &mpsc::Sender<Write>, pulse: &Pulse) {
        self.seen.push(Seen {
            queue,
            writes: writes.downgrade(),
            pulse: pulse.clone(),
        });
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
}

/// Makes an empty database file that only its owner can read, because it will hold payloads; the files SQLite makes beside
/// it get the same rights. An error is left for SQLite to find: its message is better.
fn create_private(path: &std::path::Path) {
    use std::os::unix::fs::OpenOptionsExt as _;
    drop(std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path));
}
