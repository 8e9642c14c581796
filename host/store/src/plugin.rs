//! Plugins as rows: which version of each is active, and how that came about.

use hookyard_domain::{ContentHash, PluginId, SenderId, TenantId, Timestamp};
use uuid::Uuid;

use super::{Store, error::Error, in_transaction, on, rows::hash, statements as sql};

/// A tenant's plugin and the version it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginRow {
    pub id: PluginId,
    pub tenant: TenantId,
    pub name: String,
    pub active: Option<ContentHash>,
    /// Activations so far.
    pub generation: u32,
    /// The newest version that was refused, until another is activated.
    pub refused: Option<(ContentHash, String, Timestamp)>,
    /// When a version was last activated.
    pub updated_at: Timestamp,
}

pub(super) type PluginColumns = (
    Uuid,
    Uuid,
    String,
    Option<Vec<u8>>,
    i64,
    Option<Vec<u8>>,
    Option<String>,
    Option<i64>,
    i64,
);

impl Store {
    pub async fn plugins(&self) -> Result<Vec<PluginRow>, Error> {
        let rows: Vec<PluginColumns> = on!(self, |pool| sqlx::query_as(sql::SELECT_PLUGINS).fetch_all(pool).await)?;
        rows.into_iter().map(plugin_row).collect()
    }

    pub async fn module(&self, version: ContentHash) -> Result<Option<Vec<u8>>, Error> {
        let row: Option<(Vec<u8>,)> = on!(self, |pool| sqlx::query_as(sql::SELECT_MODULE)
            .bind(&version.as_bytes()[..])
            .fetch_optional(pool)
            .await)?;
        Ok(row.map(|(wasm,)| wasm))
    }

    /// Makes a checked version the active one: a new generation (P1). Events held for this plugin wait for routing
    /// again. Returns the generation and how many events were released.
    pub async fn activate_plugin(
        &self,
        plugin: PluginId,
        tenant: TenantId,
        name: &str,
        version: ContentHash,
        wasm: &[u8],
        now: Timestamp,
    ) -> Result<(u32, u64), Error> {
        let at = now.as_micros();
        let hash = version.as_bytes().to_vec();
        let (generation, released) = in_transaction!(self, |transaction| {
            sqlx::query(sql::INSERT_MODULE)
                .bind(&hash)
                .bind(wasm)
                .bind(at)
                .execute(&mut *transaction)
                .await?;
            let (id, generation): (Uuid, i64) = sqlx::query_as(sql::ACTIVATE_PLUGIN)
                .bind(plugin.as_uuid())
                .bind(tenant.as_uuid())
                .bind(name)
                .bind(&hash)
                .bind(at)
                .fetch_one(&mut *transaction)
                .await?;
            sqlx::query(sql::INSERT_ACTIVATION)
                .bind(id)
                .bind(generation)
                .bind(&hash)
                .bind(at)
                .execute(&mut *transaction)
                .await?;
            let released = sqlx::query(sql::RELEASE_HELD_EVENTS)
                .bind(tenant.as_uuid())
                .bind(at)
                .bind(name)
                .execute(&mut *transaction)
                .await?
                .rows_affected();
            sqlx::query(sql::RAISE_REVISION).execute(&mut *transaction).await?;
            (generation as u32, released)
        });
        self.announce_configuration().await;
        Ok((generation, released))
    }

    /// Lets the events held for a plugin wait for routing again. [`Store::activate_plugin`] has done so once, but a node
    /// that had yet to load the version may have held some since. Returns how many there were.
    pub async fn release_held_of_plugin(&self, tenant: TenantId, name: &str, now: Timestamp) -> Result<u64, Error> {
        Ok(on!(self, |pool| sqlx::query(sql::RELEASE_HELD_EVENTS)
            .bind(tenant.as_uuid())
            .bind(now.as_micros())
            .bind(name)
            .execute(pool)
            .await
            .map(|done| done.rows_affected()))?)
    }

    /// Lets the events held for a sender wait for routing again. [`Store::configure`] has done so once, but a node that
    /// had yet to load the change may have held some since. Returns how many there were.
    pub async fn release_held_of_sender(&self, sender: SenderId, now: Timestamp) -> Result<u64, Error> {
        Ok(on!(self, |pool| sqlx::query(sql::RELEASE_HELD_EVENTS_OF_SENDER)
            .bind(sender.as_uuid())
            .bind(now.as_micros())
            .execute(pool)
            .await
            .map(|done| done.rows_affected()))?)
    }

    /// Remembers why a version was not activated; the active one stays (P1).
    pub async fn refuse_plugin(
        &self,
        plugin: PluginId,
        tenant: TenantId,
        name: &str,
        version: ContentHash,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        on!(self, |pool| sqlx::query(sql::REFUSE_PLUGIN)
            .bind(plugin.as_uuid())
            .bind(tenant.as_uuid())
            .bind(name)
            .bind(version.as_bytes().to_vec())
            .bind(reason)
            .bind(now.as_micros())
            .execute(pool)
            .await
            .map(drop))?;
        Ok(())
    }
}

pub(super) fn plugin_row(columns: PluginColumns) -> Result<PluginRow, Error> {
    let (id, tenant, name, active, generation, refused, reason, refused_at, updated_at) = columns;
    let refused = match (refused, reason, refused_at) {
        (Some(bytes), Some(reason), Some(at)) => Some((hash("plugin", "refused_hash", &bytes)?, reason, Timestamp::from_micros(at))),
        _ => None,
    };
    Ok(PluginRow {
        id: PluginId::from_uuid(id),
        tenant: TenantId::from_uuid(tenant),
        name,
        active: active.map(|bytes| hash("plugin", "active_hash", &bytes)).transpose()?,
        generation: generation as u32,
        refused,
        updated_at: Timestamp::from_micros(updated_at),
    })
}
