//! Migrations: forward only, at start, one node at a time.
//!
//! The files of `migrations/` share one number line; `*.postgres.sql` and `*.sqlite.sql` run on the one they name. A database that knows
//! a migration this binary does not is newer than the binary, and is refused: running old code on it could lose what
//! the new columns hold. An applied file that was edited since is refused too.

use hookyard_domain::{ContentHash, Timestamp};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Database {
    Sqlite,
    Postgres,
}

struct Migration {
    version: i64,
    name: &'static str,
    /// None is both.
    only_on: Option<Database>,
    sql: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "foundation",
        only_on: None,
        sql: include_str!("../../../migrations/0001_foundation.sql"),
    },
    Migration {
        version: 2,
        name: "foundation",
        only_on: Some(Database::Postgres),
        sql: include_str!("../../../migrations/0002_foundation.postgres.sql"),
    },
    Migration {
        version: 3,
        name: "counts",
        only_on: Some(Database::Sqlite),
        sql: include_str!("../../../migrations/0003_counts.sqlite.sql"),
    },
    Migration {
        version: 4,
        name: "module_checks",
        only_on: None,
        sql: include_str!("../../../migrations/0004_module_checks.sql"),
    },
];

const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migration \
    (version BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)";
const SELECT_APPLIED: &str = "SELECT version, checksum FROM schema_migration ORDER BY version";
const INSERT_APPLIED: &str = "INSERT INTO schema_migration (version, name, checksum, applied_at) VALUES ($1, $2, $3, $4)";
/// One node migrates at a time. The key is "hookyard" in ASCII, so that it meets nobody else's.
const LOCK_POSTGRES: &str = "SELECT pg_advisory_xact_lock(7525354119829123684)";

/// Why a database cannot be brought to this version.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the database has migration {found}, this version of hookyard knows up to {known}: use the newer hookyard that wrote it")]
    NewerSchema { found: i64, known: i64 },
    #[error("migration {version} is not the one that was applied to this database")]
    Changed { version: i64 },
    #[error("cannot migrate the database")]
    Database(#[from] sqlx::Error),
}

/// Decides what is still to run from what was applied.
fn missing(applied: &[(i64, String)], database: Database) -> Result<Vec<&'static Migration>, Error> {
    let known = MIGRATIONS.last().map_or(0, |migration| migration.version);
    for (version, checksum) in applied {
        match MIGRATIONS.iter().find(|migration| migration.version == *version) {
            None => return Err(Error::NewerSchema { found: *version, known }),
            Some(migration) if ContentHash::of(migration.sql.as_bytes()).to_string() != *checksum => {
                return Err(Error::Changed { version: *version });
            }
            Some(_) => {}
        }
    }
    Ok(MIGRATIONS
        .iter()
        .filter(|migration| migration.only_on.is_none_or(|only| only == database))
        .filter(|migration| applied.iter().all(|(version, _)| *version != migration.version))
        .collect())
}

/// Uncovers what a migration says to SQLite alone: the text of `/*sqlite: … */`, which PostgreSQL reads as a comment.
pub fn for_sqlite(migration: &str) -> String {
    let mut text = String::with_capacity(migration.len());
    let mut rest = migration;
    while let Some((before, after)) = rest.split_once("/*sqlite:") {
        let (uncovered, behind) = after.split_once("*/").unwrap_or((after, ""));
        text.push_str(before);
        text.push_str(uncovered);
        rest = behind;
    }
    text + rest
}

/// Runs what is missing in an open transaction of either database, and commits.
macro_rules! migrate {
    ($transaction:ident, $database:expr, $now:expr) => {{
        sqlx::raw_sql(CREATE_TABLE).execute(&mut *$transaction).await?;
        let applied: Vec<(i64, String)> = sqlx::query_as(SELECT_APPLIED).fetch_all(&mut *$transaction).await?;
        let missing = missing(&applied, $database)?;
        for migration in &missing {
            let text = match $database {
                Database::Postgres => migration.sql.to_owned(),
                Database::Sqlite => for_sqlite(migration.sql),
            };
            sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut *$transaction).await?;
            sqlx::query(INSERT_APPLIED)
                .bind(migration.version)
                .bind(migration.name)
                .bind(ContentHash::of(migration.sql.as_bytes()).to_string())
                .bind($now.as_micros())
                .execute(&mut *$transaction)
                .await?;
        }
        $transaction.commit().await?;
        Ok(missing.len())
    }};
}

/// Takes SQLite's write lock at BEGIN, which keeps other processes out. Returns how many migrations ran.
pub async fn sqlite(connection: &mut SqliteConnection, now: Timestamp) -> Result<usize, Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    migrate!(transaction, Database::Sqlite, now)
}

/// Keeps other nodes out by an advisory lock. Returns how many migrations ran.
pub async fn postgres(connection: &mut PgConnection, now: Timestamp) -> Result<usize, Error> {
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql(LOCK_POSTGRES).execute(&mut *transaction).await?;
    migrate!(transaction, Database::Postgres, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(migration: &Migration) -> (i64, String) {
        (migration.version, ContentHash::of(migration.sql.as_bytes()).to_string())
    }

    #[test]
    fn what_is_said_to_sqlite_alone_is_uncovered() {
        assert_eq!(for_sqlite("a /*sqlite: b */; /* c */ d"), "a  b ; /* c */ d");
        let foundation = for_sqlite(MIGRATIONS[0].sql);
        assert!(foundation.contains("WITHOUT ROWID ;") && !foundation.contains("*/"));
    }

    #[test]
    fn versions_rise_by_one() {
        for (index, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(migration.version, index as i64 + 1);
        }
    }

    #[test]
    fn a_newer_schema_is_refused_by_number() {
        let mut rows: Vec<_> = MIGRATIONS.iter().map(applied).collect();
        rows.push((99, "ab".to_owned()));
        assert!(matches!(
            missing(&rows, Database::Postgres),
            Err(Error::NewerSchema { found: 99, .. })
        ));
    }

    #[test]
    fn an_edited_migration_is_refused() {
        assert!(matches!(
            missing(&[(1, "00".to_owned())], Database::Postgres),
            Err(Error::Changed { version: 1 })
        ));
    }

    #[test]
    fn a_migrated_database_misses_nothing() {
        let rows: Vec<_> = MIGRATIONS.iter().map(applied).collect();
        assert!(missing(&rows, Database::Postgres).is_ok_and(|missing| missing.is_empty()));
    }
}
