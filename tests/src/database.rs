//! Fresh databases of both kinds, removed when the test is done with them.
//!
//! SQLite databases are files in a folder of their own. PostgreSQL databases are made in the cluster that
//! `HOOKYARD_TEST_POSTGRES` names, e.g. `postgres://postgres@127.0.0.1:5432/postgres`, so tests run side by side.

use std::path::Path;

use hookyard::store::{Location, SealKey, Store};
use hookyard_domain::Timestamp;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};
use tempfile::TempDir;
use url::Url;

/// Names the cluster PostgreSQL databases are made in.
const CLUSTER: &str = "HOOKYARD_TEST_POSTGRES";

/// The key that encrypts the secrets of all test databases, as the server's `--secret-key` takes it.
pub const SECRET_KEY_HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// A kind of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgres,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::Sqlite, Self::Postgres];
}

/// An empty database and a folder; both are removed with this value.
pub struct TestDatabase {
    kind: Kind,
    url: String,
    folder: TempDir,
    _in_cluster: Option<InCluster>,
}

impl TestDatabase {
    /// # Panics
    /// When it cannot be made; for PostgreSQL also when no cluster is named.
    pub async fn fresh(kind: Kind) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (url, in_cluster) = match kind {
            Kind::Sqlite => (format!("sqlite://{}", folder.path().join("hookyard.db").display()), None),
            Kind::Postgres => {
                let made = InCluster::create().await;
                (made.url(), Some(made))
            }
        };
        Self {
            kind,
            url,
            folder,
            _in_cluster: in_cluster,
        }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// As `--database` takes it.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn location(&self) -> Location {
        self.url.parse().expect("a test database has a URL the server takes")
    }

    /// A folder for files that belong to the database: data, plugins, logs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Opens a store on it that has [`SECRET_KEY_HEX`], and no lanes yet.
    ///
    /// # Panics
    /// When it does not open.
    pub async fn open(&self, now: Timestamp) -> Store {
        Box::pin(Store::open(&self.location(), Store::new_node_id(now), seal_key(), now))
            .await
            .expect("a test database opens")
    }

    /// Runs a statement past the server, to break something or to look at it.
    ///
    /// # Panics
    /// When the database refuses it.
    pub async fn execute(&self, sql: &str) {
        match self.kind {
            Kind::Sqlite => {
                let mut connection = SqliteConnection::connect(&self.url).await.expect("it opens");
                sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await.expect("it runs");
            }
            Kind::Postgres => {
                let mut connection = PgConnection::connect(&self.url).await.expect("it opens");
                sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await.expect("it runs");
            }
        }
    }
}

/// How many there are of each state.
pub type Counts = Vec<(String, i64)>;

impl TestDatabase {
    /// How many events and how many deliveries are in each state.
    ///
    /// # Panics
    /// When the database does not answer.
    pub async fn counts(&self) -> (Counts, Counts) {
        const EVENTS: &str = "SELECT s.state, COUNT(*) FROM (SELECT COALESCE((SELECT w.state FROM route_work w WHERE w.event_id = e.id), \
             (SELECT d.outcome FROM decision d WHERE d.event_id = e.id ORDER BY d.run DESC LIMIT 1), 'routed') AS state FROM event e) s \
             GROUP BY s.state ORDER BY s.state";
        const DELIVERIES: &str = "SELECT s.state, COUNT(*) FROM \
             (SELECT COALESCE((SELECT w.state FROM delivery_work w WHERE w.delivery_id = d.id), 'delivered') AS state FROM delivery d) s \
             GROUP BY s.state ORDER BY s.state";
        (self.count_by_state(EVENTS).await, self.count_by_state(DELIVERIES).await)
    }

    async fn count_by_state(&self, statement: &'static str) -> Counts {
        match self.kind {
            Kind::Sqlite => {
                let mut connection = SqliteConnection::connect(&self.url).await.expect("the database opens");
                sqlx::query_as(statement).fetch_all(&mut connection).await
            }
            Kind::Postgres => {
                let mut connection = PgConnection::connect(&self.url).await.expect("the database opens");
                sqlx::query_as(statement).fetch_all(&mut connection).await
            }
        }
        .expect("the database counts")
    }
}

/// [`SECRET_KEY_HEX`] as the store takes it.
pub fn seal_key() -> SealKey {
    SealKey::from_hex(SECRET_KEY_HEX).expect("the test key has 64 hexadecimal digits")
}

/// A database in the shared cluster.
struct InCluster {
    cluster: Url,
    name: String,
}

impl InCluster {
    async fn create() -> Self {
        let cluster =
            std::env::var(CLUSTER).unwrap_or_else(|_| panic!("no PostgreSQL to test on: run `cargo xtask test`, or set {CLUSTER}"));
        let made = Self {
            cluster: Url::parse(&cluster).unwrap_or_else(|error| panic!("{CLUSTER} is not a URL: {error}")),
            name: format!("hookyard_test_{:016x}", rand::random::<u64>()),
        };
        made.tell_cluster(format!("CREATE DATABASE {}", made.name))
            .await
            .unwrap_or_else(|error| panic!("cannot make a database in the cluster of {CLUSTER}: {error}"));
        made
    }

    fn url(&self) -> String {
        let mut url = self.cluster.clone();
        url.set_path(&self.name);
        url.into()
    }

    async fn tell_cluster(&self, statement: String) -> Result<(), sqlx::Error> {
        let mut connection = PgConnection::connect(self.cluster.as_str()).await?;
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
        connection.close().await
    }
}

impl Drop for InCluster {
    /// On a thread of its own, because a drop cannot wait. What it cannot remove goes with the cluster.
    fn drop(&mut self) {
        let dropping = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime
                .block_on(self.tell_cluster(format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)))
                .map_err(std::io::Error::other)
        };
        let outcome = std::thread::scope(|scope| scope.spawn(dropping).join());
        if !matches!(outcome, Ok(Ok(()))) {
            eprintln!("cannot drop the test database {}", self.name);
        }
    }
}
