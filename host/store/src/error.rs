//! What can go wrong between us and a database, sorted by what a caller can do about it.
//!
//! Errors are cheap to clone: one failed commit answers every write of its batch.

use std::sync::Arc;

/// A failed use of the store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The database is away, stopping, or too slow; the same call may succeed later.
    #[error("the database cannot be reached: {0}")]
    Unreachable(Arc<str>),
    /// The disk under the database has no room left; nothing of the write was kept.
    #[error("the database has no disk space left: {0}")]
    Full(Arc<str>),
    /// More writes wait than the bounded queue takes; nothing was written.
    #[error("too many writes are waiting")]
    Busy,
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
    /// A row does not hold what this version writes.
    #[error("corrupt row: {table}.{column} of {row}: {problem}")]
    Corrupt {
        table: &'static str,
        column: &'static str,
        row: String,
        problem: String,
    },
    /// A unique constraint refused the write.
    #[error("already taken: {0}")]
    Taken(Arc<str>),
    /// A row is no longer what a change of it was decided on; nothing was written. Names the thing.
    #[error("{0} was changed by somebody else meanwhile")]
    Changed(Arc<str>),
    /// Something else needs what was to be changed; nothing was written. Names the thing.
    #[error("{0} is still needed")]
    InUse(Arc<str>),
    /// The database refused a statement: a defect, not a condition.
    #[error("the database refused a statement: {0}")]
    Statement(Arc<str>),
}

impl Error {
    /// Whether the same call may succeed later without anybody changing it.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Full(_) | Self::Busy)
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        let text: Arc<str> = error.to_string().into();
        match error.sqlite_error_code() {
            Some(Code::DiskFull) => Self::Full(text),
            // SQLite reports a failed write-ahead-log write as an IO error: ENOSPC among others.
            Some(Code::SystemIoFailure | Code::DatabaseBusy | Code::DatabaseLocked | Code::CannotOpen) => Self::Unreachable(text),
            Some(Code::ConstraintViolation) => Self::Taken(text),
            _ => Self::Statement(text),
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let text: Arc<str> = error.to_string().into();
        match &error {
            sqlx::Error::Database(database) => {
                if database.is_unique_violation() {
                    return Self::Taken(text);
                }
                // PostgreSQL: class 08 connection, 53 resources, 57 operator intervention, 40 rolled back, 25006 read-only (failover).
                // SQLite: 5 busy, 6 locked, 10 IO, 13 full, 14 cannot open.
                match database.code().as_deref() {
                    Some("53100" | "13") => Self::Full(text),
                    Some("5" | "6" | "10" | "14" | "25006") => Self::Unreachable(text),
                    Some(code) if code.len() == 5 && ["08", "53", "57", "40"].contains(&&code[..2]) => Self::Unreachable(text),
                    _ => Self::Statement(text),
                }
            }
            sqlx::Error::RowNotFound | sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::TypeNotFound { .. } => {
                Self::Statement(text)
            }
            sqlx::Error::PoolClosed => Self::Closed,
            _ => Self::Unreachable(text),
        }
    }
}
