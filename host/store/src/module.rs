//! What is known of modules by their content: which are being checked now, and which need no further check.
//!
//! A check may end with the process that makes it. So it is written down before it begins and struck out when it is over;
//! what a dead node left is quarantined, by itself at its next start or by another node that sees it gone.

use hookyard_domain::{ContentHash, Timestamp};

use super::{Db, Store, error::Error, in_transaction, on, statements as sql};

/// Refusals that are kept of contents.
const REFUSALS_MAX: i64 = 10_000;
/// Refusals that are listed.
const LISTED_MAX: i64 = 1_000;

/// A content that is refused, whoever brings it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleRefusal {
    pub hash: ContentHash,
    /// It was being checked when a server died, and is tried again when somebody asks.
    pub quarantined: bool,
    pub reason: String,
    /// None: for good.
    pub until: Option<Timestamp>,
    pub refused_at: Timestamp,
}

type RefusalRow = (Vec<u8>, String, String, Option<i64>, i64);

impl Store {
    /// Notes that this node checks a module now.
    pub async fn begin_module_check(&self, module: ContentHash, now: Timestamp) -> Result<(), Error> {
        on!(self, |pool| sqlx::query(sql::BEGIN_MODULE_CHECK)
            .bind(&module.as_bytes()[..])
            .bind(self.node.as_uuid())
            .bind(now.as_micros())
            .execute(pool)
            .await
            .map(drop))?;
        Ok(())
    }

    /// Whether another node checks a module now, or died with it. On SQLite there is no other.
    pub async fn module_is_checked_elsewhere(&self, module: ContentHash) -> Result<bool, Error> {
        if matches!(self.db, Db::Sqlite(_)) {
            return Ok(false);
        }
        let row: Option<(i32,)> = on!(self, |pool| sqlx::query_as(sql::SELECT_MODULE_CHECK_ELSEWHERE)
            .bind(&module.as_bytes()[..])
            .bind(self.node.as_uuid())
            .fetch_optional(pool)
            .await)?;
        Ok(row.is_some())
    }

    /// Notes that the check is over, however it ended.
    pub async fn end_module_check(&self, module: ContentHash) -> Result<(), Error> {
        on!(self, |pool| sqlx::query(sql::END_MODULE_CHECK)
            .bind(&module.as_bytes()[..])
            .bind(self.node.as_uuid())
            .execute(pool)
            .await
            .map(drop))?;
        Ok(())
    }

    /// Quarantines what nodes that are gone were checking. Returns how many contents.
    pub async fn quarantine_abandoned_checks(&self, reason: &str, now: Timestamp) -> Result<u64, Error> {
        let quarantined = in_transaction!(self, |transaction| {
            let quarantined = sqlx::query(sql::QUARANTINE_ABANDONED_CHECKS)
                .bind(reason)
                .bind(now.as_micros())
                .execute(&mut *transaction)
                .await?
                .rows_affected();
            sqlx::query(sql::FORGET_ABANDONED_CHECKS).execute(&mut *transaction).await?;
            quarantined
        });
        Ok(quarantined)
    }

    /// Why a content is refused without another look, if it is. `judge` is who would look.
    pub async fn module_refusal(&self, module: ContentHash, judge: &str, now: Timestamp) -> Result<Option<String>, Error> {
        let row: Option<(String,)> = on!(self, |pool| sqlx::query_as(sql::SELECT_MODULE_REFUSAL)
            .bind(&module.as_bytes()[..])
            .bind(judge)
            .bind(now.as_micros())
            .fetch_optional(pool)
            .await)?;
        Ok(row.map(|(reason,)| reason))
    }

    /// The contents that are refused, newest first, up to 1,000.
    pub async fn module_refusals(&self) -> Result<Vec<ModuleRefusal>, Error> {
        let rows: Vec<RefusalRow> = on!(self, |pool| sqlx::query_as(sql::SELECT_MODULE_REFUSALS)
            .bind(LISTED_MAX)
            .fetch_all(pool)
            .await)?;
        Ok(rows
            .into_iter()
            .filter_map(|(hash, kind, reason, until, refused_at)| {
                Some(ModuleRefusal {
                    hash: ContentHash::from_bytes(hash.try_into().ok()?),
                    quarantined: kind == "quarantined",
                    reason,
                    until: until.map(Timestamp::from_micros),
                    refused_at: Timestamp::from_micros(refused_at),
                })
            })
            .collect())
    }

    /// Remembers that a content is refused, until then or for good. A quarantine stays one.
    pub async fn refuse_module(
        &self,
        module: ContentHash,
        judge: &str,
        reason: &str,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), Error> {
        in_transaction!(self, |transaction| {
            sqlx::query(sql::REFUSE_MODULE)
                .bind(&module.as_bytes()[..])
                .bind(judge)
                .bind(reason)
                .bind(until.map(Timestamp::as_micros))
                .bind(now.as_micros())
                .execute(&mut *transaction)
                .await?;
            sqlx::query(sql::FORGET_OLD_MODULE_REFUSALS)
                .bind(REFUSALS_MAX)
                .execute(&mut *transaction)
                .await?;
        });
        Ok(())
    }

    /// Lets a content be tried again, and has all nodes look at the plugins it was brought for. False: it is not refused.
    pub async fn forget_module_refusal(&self, module: ContentHash) -> Result<bool, Error> {
        let forgotten = in_transaction!(self, |transaction| {
            // Before the revision, which other transactions raise first: none of them touches this table. What is not refused
            // raises none.
            let forgotten = sqlx::query(sql::FORGET_MODULE_REFUSAL)
                .bind(&module.as_bytes()[..])
                .execute(&mut *transaction)
                .await?
                .rows_affected();
            if forgotten > 0 {
                let (revision,): (i64,) = sqlx::query_as(sql::RAISE_REVISION).fetch_one(&mut *transaction).await?;
                sqlx::query(sql::RENEW_PLUGINS_OF_MODULE)
                    .bind(&module.as_bytes()[..])
                    .bind(revision)
                    .execute(&mut *transaction)
                    .await?;
            }
            forgotten > 0
        });
        if forgotten {
            self.announce_configuration().await;
        }
        Ok(forgotten)
    }
}
