//! People who log in: users, their sessions, and invites.
//!
//! No node keeps them in memory. A request of a person reads its session and user, so whoever was logged out or shut out is
//! so on every node at once. Users and invites are written like the configuration ([`crate::Change`]), because a tenant and
//! its first owner come into being together; sessions, of which there are many more, are written here.

use hookyard_domain::{ContentHash, InviteId, Scope, SessionId, TenantId, Timestamp, UserId};
use uuid::Uuid;

use super::{
    Store,
    configuration::{AnyRow, belongs_to},
    error::Error,
    on,
    rows::{corrupt, hash},
    seal::SecretText,
    statements as sql,
};

/// Sessions forgotten in one statement, so that nobody waits for a heap of them.
const FORGET_MAX: i64 = 1_000;

/// A person who logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRow {
    pub id: UserId,
    pub tenant: TenantId,
    pub email: String,
    /// A PHC string.
    pub password_hash: String,
    pub role: String,
    pub status: String,
    /// Whether writing this row ends all of the user's sessions. Never read.
    pub log_out: bool,
    pub revision: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A log-in.
#[derive(Debug, Clone)]
pub struct SessionRow {
    pub id: SessionId,
    /// Of the refresh token that is good now.
    pub hash: ContentHash,
    /// Of the one before it.
    pub previous_hash: Option<ContentHash>,
    /// When the one took the place of the other.
    pub refreshed_at: Timestamp,
    pub user: UserRow,
}

/// What lets somebody make a user, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InviteRow {
    pub id: InviteId,
    pub tenant: TenantId,
    pub token: SecretText,
    pub hash: ContentHash,
    pub role: String,
    pub expires_at: Timestamp,
    pub used_at: Option<Timestamp>,
    pub revision: i64,
    pub created_at: Timestamp,
}

/// What became of a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refreshed {
    Done,
    /// The token is not the one that is good now.
    UsedBefore,
}

impl Store {
    /// One user. What the scope does not hold is absent.
    pub async fn user(&self, scope: Scope, id: UserId) -> Result<Option<UserRow>, Error> {
        let row = self.person(sql::SELECT_USER, id.as_uuid()).await?;
        let row = row.map(|row| user(&row, 0)).transpose()?;
        Ok(row.filter(|row| scope.holds(row.tenant)))
    }

    /// The user with this address, which is in lower case.
    pub async fn user_by_email(&self, email: &str) -> Result<Option<UserRow>, Error> {
        let row: Option<AnyRow> = on!(self, |pool| sqlx::query(sql::SELECT_USER_BY_EMAIL)
            .bind(email)
            .fetch_optional(pool)
            .await
            .map(|row| row.map(AnyRow::from)))?;
        row.map(|row| user(&row, 0)).transpose()
    }

    /// The users of a tenant that are older than one, newest first.
    pub async fn users(&self, tenant: TenantId, before: Option<UserId>, rows_max: u32) -> Result<Vec<UserRow>, Error> {
        let rows: Vec<AnyRow> = on!(self, |pool| sqlx::query(sql::LIST_USERS)
            .bind(tenant.as_uuid())
            .bind(i64::from(rows_max))
            .bind(before.map_or(Uuid::max(), UserId::as_uuid))
            .fetch_all(pool)
            .await
            .map(|rows| rows.into_iter().map(AnyRow::from).collect()))?;
        rows.iter().map(|row| user(row, 0)).collect()
    }

    /// Keeps a new log-in of a user, unless that has changed since its password was checked. Returns whether it did.
    pub async fn open_session(
        &self,
        id: SessionId,
        user: &UserRow,
        hash: ContentHash,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, Error> {
        on!(self, |pool| sqlx::query(sql::INSERT_SESSION)
            .bind(id.as_uuid())
            .bind(user.id.as_uuid())
            .bind(hash.as_bytes().as_slice())
            .bind(expires_at.as_micros())
            .bind(now.as_micros())
            .bind(&user.password_hash)
            .execute(pool)
            .await
            .map(|done| done.rows_affected() == 1))
    }

    /// A log-in that is still good, with its user.
    pub async fn session(&self, id: SessionId, now: Timestamp) -> Result<Option<SessionRow>, Error> {
        let row: Option<AnyRow> = on!(self, |pool| sqlx::query(sql::SELECT_SESSION)
            .bind(id.as_uuid())
            .bind(now.as_micros())
            .fetch_optional(pool)
            .await
            .map(|row| row.map(AnyRow::from)))?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(SessionRow {
            id: SessionId::from_uuid(row.get(0)?),
            hash: hash("session", "hash", &row.get::<Vec<u8>>(1)?)?,
            previous_hash: row
                .get::<Option<Vec<u8>>>(2)?
                .map(|bytes| hash("session", "previous_hash", &bytes))
                .transpose()?,
            refreshed_at: Timestamp::from_micros(row.get(3)?),
            user: user(&row, 4)?,
        }))
    }

    /// Puts another refresh token in the place of the one that is good now.
    pub async fn refresh_session(
        &self,
        id: SessionId,
        used: ContentHash,
        next: ContentHash,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Refreshed, Error> {
        let rows = on!(self, |pool| sqlx::query(sql::REFRESH_SESSION)
            .bind(id.as_uuid())
            .bind(used.as_bytes().as_slice())
            .bind(next.as_bytes().as_slice())
            .bind(expires_at.as_micros())
            .bind(now.as_micros())
            .execute(pool)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(if rows == 1 { Refreshed::Done } else { Refreshed::UsedBefore })
    }

    /// Ends a log-in: none of its tokens opens anything from now on.
    pub async fn close_session(&self, id: SessionId) -> Result<(), Error> {
        on!(self, |pool| sqlx::query(sql::DELETE_SESSION)
            .bind(id.as_uuid())
            .execute(pool)
            .await
            .map(drop))
    }

    /// Deletes some of the log-ins that ran out; returns how many.
    pub async fn forget_sessions(&self, now: Timestamp) -> Result<u64, Error> {
        on!(self, |pool| sqlx::query(sql::FORGET_SESSIONS)
            .bind(now.as_micros())
            .bind(FORGET_MAX)
            .execute(pool)
            .await
            .map(|done| done.rows_affected()))
    }

    /// The invite with this token.
    pub async fn invite_by_token(&self, token: &str) -> Result<Option<InviteRow>, Error> {
        let hash = ContentHash::of(token.as_bytes());
        let row: Option<AnyRow> = on!(self, |pool| sqlx::query(sql::SELECT_INVITE_BY_HASH)
            .bind(hash.as_bytes().as_slice())
            .fetch_optional(pool)
            .await
            .map(|row| row.map(AnyRow::from)))?;
        row.map(|row| self.invite(&row)).transpose()
    }

    /// The invites of a tenant, newest first.
    pub async fn invites(&self, tenant: TenantId, rows_max: u32) -> Result<Vec<InviteRow>, Error> {
        let rows = self.people(sql::LIST_INVITES, tenant, rows_max).await?;
        rows.iter().map(|row| self.invite(row)).collect()
    }

    fn invite(&self, row: &AnyRow) -> Result<InviteRow, Error> {
        let id = InviteId::from_uuid(row.get(0)?);
        let token = self
            .seal
            .open(&row.get::<Vec<u8>>(3)?, &belongs_to::invite(id))
            .map_err(|error| corrupt("invite", "sealed", &id.to_string(), &error.to_string()))?;
        Ok(InviteRow {
            id,
            tenant: TenantId::from_uuid(row.get(1)?),
            token,
            hash: hash("invite", "hash", &row.get::<Vec<u8>>(2)?)?,
            role: row.get(4)?,
            expires_at: Timestamp::from_micros(row.get(5)?),
            used_at: row.get::<Option<i64>>(6)?.map(Timestamp::from_micros),
            revision: row.get(7)?,
            created_at: Timestamp::from_micros(row.get(8)?),
        })
    }

    async fn person(&self, statement: &'static str, id: Uuid) -> Result<Option<AnyRow>, Error> {
        on!(self, |pool| sqlx::query(statement)
            .bind(id)
            .fetch_optional(pool)
            .await
            .map(|row| row.map(AnyRow::from)))
    }

    async fn people(&self, statement: &'static str, tenant: TenantId, rows_max: u32) -> Result<Vec<AnyRow>, Error> {
        on!(self, |pool| sqlx::query(statement)
            .bind(tenant.as_uuid())
            .bind(i64::from(rows_max))
            .fetch_all(pool)
            .await
            .map(|rows| rows.into_iter().map(AnyRow::from).collect()))
    }
}

/// The columns of a user from `first` on.
fn user(row: &AnyRow, first: usize) -> Result<UserRow, Error> {
    Ok(UserRow {
        id: UserId::from_uuid(row.get(first)?),
        tenant: TenantId::from_uuid(row.get(first + 1)?),
        email: row.get(first + 2)?,
        password_hash: row.get(first + 3)?,
        role: row.get(first + 4)?,
        status: row.get(first + 5)?,
        log_out: false,
        revision: row.get(first + 6)?,
        created_at: Timestamp::from_micros(row.get(first + 7)?),
        updated_at: Timestamp::from_micros(row.get(first + 8)?),
    })
}
