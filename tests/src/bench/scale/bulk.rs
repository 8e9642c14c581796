//! Rows by the million, straight into a database that no server runs on: on SQLite by prepared inserts without a flush,
//! on PostgreSQL by binary COPY. Both keep every index up to date, as a server would have.

use anyhow::Context as _;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::bench::place::{Kind, Place};

/// What PostgreSQL is sent at once, per table.
const COPY_BYTES: usize = 4 << 20;
/// SQLite's rows between two commits.
const ROWS_PER_COMMIT: usize = 1_000_000;
/// Beginning of PostgreSQL's binary COPY format: signature, flags, length of the extension.
const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Its end: a row with -1 fields.
const COPY_TRAILER: &[u8] = &[0xff, 0xff];

/// Without a journal a crash spoils the file, which is then made anew; an exclusive lock spares a lock per transaction.
const SQLITE_SEEDING: &str =
    "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000;";
/// As the server wants to find it.
const SQLITE_SEEDED: &str = "PRAGMA journal_mode = WAL";

/// A value of a row.
#[derive(Debug, Clone, Copy)]
pub enum Cell<'a> {
    Int(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
    Id(Uuid),
    Null,
}

/// A table, and the columns its rows are given for; the others stay NULL.
#[derive(Debug)]
pub struct Table {
    pub name: &'static str,
    pub columns: &'static [&'static str],
}

/// An open database.
pub struct Bulk {
    connection: Connection,
}

enum Connection {
    Sqlite {
        connection: rusqlite::Connection,
        uncommitted: usize,
    },
    Postgres {
        connection: Box<PgConnection>,
        /// Rows not yet sent, by table.
        waiting: Vec<(&'static Table, Vec<u8>)>,
    },
}

impl Bulk {
    /// Opens the database for seeding.
    ///
    /// # Errors
    /// It cannot be opened.
    pub async fn open(place: &Place) -> anyhow::Result<Self> {
        let connection = match place.kind {
            Kind::Sqlite => {
                let connection = rusqlite::Connection::open(place.file())?;
                connection.execute_batch(SQLITE_SEEDING)?;
                connection.execute_batch("BEGIN")?;
                Connection::Sqlite {
                    connection,
                    uncommitted: 0,
                }
            }
            Kind::Postgres => {
                let mut connection = PgConnection::connect(&place.url).await?;
                sqlx::raw_sql("SET synchronous_commit = off").execute(&mut connection).await?;
                Connection::Postgres {
                    connection: Box::new(connection),
                    waiting: Vec::new(),
                }
            }
        };
        Ok(Self { connection })
    }

    /// Adds a row, sooner or later.
    ///
    /// # Errors
    /// The database refuses it.
    pub async fn add(&mut self, table: &'static Table, row: &[Cell<'_>]) -> anyhow::Result<()> {
        debug_assert_eq!(table.columns.len(), row.len(), "a row of {} has another width", table.name);
        match &mut self.connection {
            Connection::Sqlite { connection, uncommitted } => {
                let mut insert = connection.prepare_cached(&insert(table))?;
                insert
                    .execute(rusqlite::params_from_iter(row.iter()))
                    .with_context(|| format!("cannot add to {}", table.name))?;
                *uncommitted += 1;
                if *uncommitted >= ROWS_PER_COMMIT {
                    *uncommitted = 0;
                    drop(insert);
                    connection.execute_batch("COMMIT; BEGIN")?;
                }
                Ok(())
            }
            Connection::Postgres { connection, waiting } => {
                let index = waiting.iter().position(|(other, _)| other.name == table.name).unwrap_or_else(|| {
                    waiting.push((table, COPY_HEADER.to_vec()));
                    waiting.len() - 1
                });
                let buffer = &mut waiting[index].1;
                encode(buffer, row);
                if buffer.len() >= COPY_BYTES {
                    copy(connection, table, std::mem::replace(buffer, COPY_HEADER.to_vec())).await?;
                }
                Ok(())
            }
        }
    }

    /// Runs a statement after everything that was added.
    ///
    /// # Errors
    /// The database refuses it.
    pub async fn run(&mut self, sql: &'static str) -> anyhow::Result<()> {
        self.flush().await?;
        match &mut self.connection {
            Connection::Sqlite { connection, .. } => connection.execute_batch(sql)?,
            Connection::Postgres { connection, .. } => {
                sqlx::raw_sql(sql).execute(&mut **connection).await?;
            }
        }
        Ok(())
    }

    /// The ids a query with one text parameter finds.
    ///
    /// # Errors
    /// The database refuses it.
    pub async fn ids(&mut self, sql: &'static str, parameter: &str) -> anyhow::Result<Vec<Uuid>> {
        self.flush().await?;
        Ok(match &mut self.connection {
            Connection::Sqlite { connection, .. } => connection
                .prepare_cached(sql)?
                .query_map([parameter], |row| row.get(0))?
                .collect::<Result<_, _>>()?,
            Connection::Postgres { connection, .. } => sqlx::query_scalar(sql).bind(parameter).fetch_all(&mut **connection).await?,
        })
    }

    /// The number a query with one text parameter finds.
    ///
    /// # Errors
    /// The database refuses it.
    pub async fn number(&mut self, sql: &'static str, parameter: &str) -> anyhow::Result<i64> {
        self.flush().await?;
        Ok(match &mut self.connection {
            Connection::Sqlite { connection, .. } => connection.query_row(sql, [parameter], |row| row.get(0))?,
            Connection::Postgres { connection, .. } => sqlx::query_scalar(sql).bind(parameter).fetch_one(&mut **connection).await?,
        })
    }

    async fn flush(&mut self) -> anyhow::Result<()> {
        if let Connection::Postgres { connection, waiting } = &mut self.connection {
            for (table, rows) in waiting.drain(..) {
                copy(connection, table, rows).await?;
            }
        }
        Ok(())
    }

    /// Ends seeding: everything is on disk, and PostgreSQL has swept and counted the tables, as it would have meanwhile
    /// by itself.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn finish(mut self) -> anyhow::Result<()> {
        self.flush().await?;
        match self.connection {
            Connection::Sqlite { connection, .. } => {
                connection.execute_batch("COMMIT")?;
                let file = connection.path().map(ToOwned::to_owned).context("the database has no file")?;
                // Ends the exclusive lock with it.
                connection.close().map_err(|(_, error)| error)?;
                rusqlite::Connection::open(&file)?.execute_batch(SQLITE_SEEDED)?;
                std::fs::File::open(&file)?.sync_all()?;
            }
            Connection::Postgres { mut connection, .. } => {
                for statement in ["VACUUM (ANALYZE)", "CHECKPOINT"] {
                    sqlx::raw_sql(statement).execute(&mut *connection).await?;
                }
            }
        }
        Ok(())
    }
}

fn insert(table: &Table) -> String {
    let places: Vec<String> = (1..=table.columns.len()).map(|place| format!("?{place}")).collect();
    format!(
        "INSERT INTO {} ({}) VALUES ({})",
        table.name,
        table.columns.join(", "),
        places.join(", ")
    )
}

async fn copy(connection: &mut PgConnection, table: &Table, mut rows: Vec<u8>) -> anyhow::Result<()> {
    rows.extend_from_slice(COPY_TRAILER);
    let statement = format!("COPY {} ({}) FROM STDIN (FORMAT binary)", table.name, table.columns.join(", "));
    let mut copying = connection.copy_in_raw(&statement).await?;
    copying.send(rows).await?;
    copying.finish().await.with_context(|| format!("cannot add to {}", table.name))?;
    Ok(())
}

/// One row of PostgreSQL's binary COPY format: the number of fields, then of each its length and its bytes.
fn encode(into: &mut Vec<u8>, row: &[Cell<'_>]) {
    into.extend_from_slice(&(row.len() as i16).to_be_bytes());
    for cell in row {
        let number;
        let bytes: &[u8] = match cell {
            Cell::Null => {
                into.extend_from_slice(&(-1_i32).to_be_bytes());
                continue;
            }
            Cell::Int(value) => {
                number = value.to_be_bytes();
                &number
            }
            Cell::Text(text) => text.as_bytes(),
            Cell::Bytes(bytes) => bytes,
            Cell::Id(id) => id.as_bytes(),
        };
        into.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
        into.extend_from_slice(bytes);
    }
}

impl rusqlite::ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        use rusqlite::types::{ToSqlOutput, ValueRef};
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
            Self::Id(id) => ValueRef::Blob(id.as_bytes()),
        }))
    }
}
