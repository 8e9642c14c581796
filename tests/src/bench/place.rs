//! Where a row is measured: a fresh database of either kind, what it holds, and what it takes on disk.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::TempDir;

use super::process;

/// Work that is finished leaves dead rows behind, whose room PostgreSQL uses again only once they are swept. A server
/// that runs longer than a benchmark sweeps them all the time.
const SWEEP_WORK: &[&str] = &["VACUUM route_work", "VACUUM delivery_work", "CHECKPOINT"];

/// A database system to measure on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Kind {
    Sqlite,
    Postgres,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// A fresh database and a folder for what belongs to it.
pub struct Place {
    pub kind: Kind,
    pub url: String,
    folder: TempDir,
    /// Of the cluster, and the database's name in it.
    cluster: Option<(String, String)>,
    /// The first process of the cluster, when it runs on this machine.
    postmaster: Option<u32>,
}

impl Place {
    /// Makes an empty database; `cluster` is the URL of a database of the cluster that may create others.
    ///
    /// # Errors
    /// The folder cannot be written or the cluster refuses.
    pub async fn fresh(kind: Kind, beneath: &Path, cluster: Option<&str>) -> anyhow::Result<Self> {
        std::fs::create_dir_all(beneath)?;
        let folder = tempfile::tempdir_in(beneath).context("cannot make a folder")?;
        match kind {
            Kind::Sqlite => Ok(Self {
                kind,
                url: format!("sqlite://{}", folder.path().join("bench.db").display()),
                folder,
                cluster: None,
                postmaster: None,
            }),
            Kind::Postgres => {
                let cluster = cluster.context("give --postgres to measure on PostgreSQL")?;
                let name = format!("hookyard_bench_{:016x}", rand::random::<u64>());
                let mut connection = PgConnection::connect(cluster).await.context("cannot reach PostgreSQL")?;
                sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}")))
                    .execute(&mut connection)
                    .await?;
                let (backend,): (i32,) = sqlx::query_as("SELECT pg_backend_pid()").fetch_one(&mut connection).await?;
                let mut url = url::Url::parse(cluster)?;
                url.set_path(&name);
                Ok(Self {
                    kind,
                    url: url.to_string(),
                    folder,
                    cluster: Some((cluster.to_owned(), name)),
                    postmaster: u32::try_from(backend).ok().and_then(process::parent).filter(|parent| *parent > 0),
                })
            }
        }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file of a SQLite database.
    pub fn file(&self) -> PathBuf {
        self.folder().join("bench.db")
    }

    /// Processor time of the database's own processes; none for SQLite, which runs in the server.
    pub fn database_cpu(&self) -> Duration {
        self.postmaster.map_or(Duration::ZERO, process::cpu_with_children)
    }

    /// One number from the database.
    ///
    /// # Errors
    /// The database cannot be asked.
    pub async fn count(&self, sql: &'static str) -> anyhow::Result<u64> {
        let count: i64 = match self.kind {
            Kind::Sqlite => rusqlite::Connection::open(self.file())?.query_row(sql, [], |row| row.get(0))?,
            Kind::Postgres => {
                let mut connection = PgConnection::connect(&self.url).await?;
                sqlx::query_as::<_, (i64,)>(sql).fetch_one(&mut connection).await?.0
            }
        };
        Ok(u64::try_from(count)?)
    }

    /// What the database takes on disk, with its log folded in and without what finished work gave back. No server may
    /// run on it.
    ///
    /// # Errors
    /// The database cannot be asked.
    pub async fn bytes(&self) -> anyhow::Result<u64> {
        match self.kind {
            Kind::Sqlite => {
                let connection = rusqlite::Connection::open(self.file())?;
                connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
                let pages =
                    "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
                Ok(u64::try_from(connection.query_row(pages, [], |row| row.get::<_, i64>(0))?)?)
            }
            Kind::Postgres => {
                let mut connection = PgConnection::connect(&self.url).await?;
                for sweep in SWEEP_WORK {
                    sqlx::raw_sql(*sweep).execute(&mut connection).await?;
                }
                self.count("SELECT pg_database_size(current_database())").await
            }
        }
    }

    /// Removes the database.
    ///
    /// # Errors
    /// The cluster refuses.
    pub async fn remove(self) -> anyhow::Result<()> {
        if let Some((cluster, name)) = &self.cluster {
            let mut connection = PgConnection::connect(cluster).await?;
            sqlx::query(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)")))
                .execute(&mut connection)
                .await?;
        }
        Ok(())
    }
}
