//! A tenant: the unit of isolation, and what holds for its endpoints unless they say otherwise.

use std::time::Duration;

use hookyard_domain::{
    TenantId, Timestamp,
    retry::AttemptsMax,
    signature::{SigningKey, SigningKeys},
};

use crate::store::TenantRow;

pub struct Tenant {
    pub id: TenantId,
    pub name: String,
    pub attempts_max: AttemptsMax,
    /// How long a blocked endpoint rests before it is probed.
    pub breaker_block: Duration,
    /// Signs for its endpoints that have no secret of their own.
    pub signing: SigningKeys,
    pub revision: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl TryFrom<TenantRow> for Tenant {
    type Error = String;

    fn try_from(row: TenantRow) -> Result<Self, String> {
        Ok(Self {
            id: row.id,
            attempts_max: AttemptsMax::new(row.attempts_max).map_err(|error| error.to_string())?,
            breaker_block: Duration::from_secs(u64::from(row.breaker_block_s)),
            signing: SigningKeys::new(SigningKey::of_text(row.webhook_secret.expose()).map_err(|error| error.to_string())?),
            name: row.name,
            revision: row.revision,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}
