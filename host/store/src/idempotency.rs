//! Idempotency keys outside of a commit: what a key names, and forgetting those whose time is over.

use hookyard_domain::{TenantId, Timestamp};

use super::{
    Store,
    error::Error,
    on,
    reading::{ExistingRow, existing},
    record::Existing,
    statements as sql,
};

/// Keys forgotten at once: a short write beside the others'.
const FORGET_MAX: i64 = 1_000;

/// How far forgetting has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgotten {
    /// There may be more: ask again.
    Some,
    All,
}

impl Store {
    /// The event a tenant's idempotency key names in a scope, if any.
    pub async fn existing(&self, tenant: TenantId, scope: &str, key: &str, now: Timestamp) -> Result<Option<Existing>, Error> {
        let row: Option<ExistingRow> = on!(self, |pool| sqlx::query_as(sql::SELECT_EXISTING)
            .bind(tenant.as_uuid())
            .bind(scope)
            .bind(key)
            .bind(now.as_micros())
            .fetch_optional(pool)
            .await)?;
        row.map(existing).transpose()
    }

    /// Forgets some keys whose time is over.
    pub async fn forget_expired_keys(&self, now: Timestamp) -> Result<Forgotten, Error> {
        let rows = on!(self, |pool| sqlx::query(sql::FORGET_EXPIRED_KEYS)
            .bind(now.as_micros())
            .bind(FORGET_MAX)
            .execute(pool)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(if rows < FORGET_MAX as u64 {
            Forgotten::All
        } else {
            Forgotten::Some
        })
    }
}
