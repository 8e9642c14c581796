//! A row of either database, so that each table is decoded by one function, row by row.
//!
//! A query decoded as a whole fails as a whole: one cell that does not hold what its column promises (SQLite checks no
//! types) would take every other row with it.

use sqlx::{Decode, Postgres, Row as _, Sqlite, Type, postgres::PgRow, sqlite::SqliteRow};

use crate::error::Error;

pub enum AnyRow {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl From<SqliteRow> for AnyRow {
    fn from(row: SqliteRow) -> Self {
        Self::Sqlite(row)
    }
}

impl From<PgRow> for AnyRow {
    fn from(row: PgRow) -> Self {
        Self::Postgres(row)
    }
}

impl AnyRow {
    /// The column at an index, counted from 0 in the order of the statement.
    pub fn get<T>(&self, column: usize) -> Result<T, Error>
    where
        T: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres>,
    {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(column)?,
            Self::Postgres(row) => row.try_get(column)?,
        })
    }
}
