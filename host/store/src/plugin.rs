//! Plugins as rows: which version of each is active, and how that came about.

use hookyard_domain::{ContentHash, PluginId, TenantId, Timestamp};
use uuid::Uuid;

use super::{
    Store,
    configuration::{AnyRow, Unreadable, hash},
    error::Error,
    in_transaction, on, statements as sql,
};

/// A tenant's plugin and the version it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginRow {
    pub id: PluginId,
    pub tenant: TenantId,
    pub name: String,
    pub active: Option<ContentHash>,
    /// Activations so far.
    pub generation: u32,
    /// The newest version that was refused, until another is activated. It is the active one itself where a node could not
    /// load that.
    pub refused: Option<(ContentHash, String, Timestamp)>,
    /// The configuration's revision at the last activation; 0 before the first.
    pub revision: i64,
    /// When a version was last activated.
    pub updated_at: Timestamp,
}

/// What [`Store::renew_plugin`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewed {
    /// The mark is gone; events that were held under an earlier revision are claimed again.
    Renewed { revision: i64 },
    /// There was no mark on this generation; nothing was written.
    Unmarked,
}

/// An activation that took place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activation {
    pub generation: u32,
    /// The configuration's revision it made. Events that were held under an earlier one are claimed again.
    pub revision: i64,
}

impl Store {
    /// All plugins of all tenants. A row that cannot be read is left out; [`Store::configuration_since`] says why.
    pub async fn plugins(&self) -> Result<Vec<PluginRow>, Error> {
        let rows: Vec<AnyRow> = on!(self, |pool| sqlx::query(sql::SELECT_PLUGINS)
            .fetch_all(pool)
            .await
            .map(|rows| rows.into_iter().map(AnyRow::from).collect()))?;
        Ok(rows.iter().filter_map(|row| plugin_row(row).ok()).collect())
    }

    /// One plugin, by the name its tenant gave it.
    pub async fn plugin(&self, tenant: TenantId, name: &str) -> Result<Option<PluginRow>, Error> {
        let row: Option<AnyRow> = on!(self, |pool| sqlx::query(sql::SELECT_PLUGIN)
            .bind(tenant.as_uuid())
            .bind(name)
            .fetch_optional(pool)
            .await
            .map(|row| row.map(AnyRow::from)))?;
        Ok(row.and_then(|row| plugin_row(&row).ok()))
    }

    pub async fn module(&self, version: ContentHash) -> Result<Option<Vec<u8>>, Error> {
        let row: Option<(Vec<u8>,)> = on!(self, |pool| sqlx::query_as(sql::SELECT_MODULE)
            .bind(&version.as_bytes()[..])
            .fetch_optional(pool)
            .await)?;
        Ok(row.map(|(wasm,)| wasm))
    }

    /// Makes a checked version the active one: a new generation (P1), unless it is active already. Nothing is done to the events that were held for this
    /// plugin; whoever claims sees the newer revision and takes them.
    pub async fn activate_plugin(
        &self,
        plugin: PluginId,
        tenant: TenantId,
        name: &str,
        version: ContentHash,
        wasm: &[u8],
        now: Timestamp,
    ) -> Result<Activation, Error> {
        let at = now.as_micros();
        let hash = version.as_bytes().to_vec();
        let activation = in_transaction!(self, |transaction| {
            // First, as in `configure`: two such transactions wait for each other here and nowhere else.
            let (revision,): (i64,) = sqlx::query_as(sql::RAISE_REVISION).fetch_one(&mut *transaction).await?;
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
                .bind(revision)
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
            Activation {
                generation: generation as u32,
                revision,
            }
        });
        self.announce_configuration().await;
        Ok(activation)
    }

    /// Takes the mark from an active version that some node could not load and now one can: a new revision, so that the
    /// events held for it are claimed again and the other nodes try too.
    pub async fn renew_plugin(&self, plugin: PluginId, generation: u32) -> Result<Renewed, Error> {
        let renewed = in_transaction!(self, |transaction| {
            let (revision,): (i64,) = sqlx::query_as(sql::RAISE_REVISION).fetch_one(&mut *transaction).await?;
            let changed = sqlx::query(sql::RENEW_PLUGIN)
                .bind(plugin.as_uuid())
                .bind(i64::from(generation))
                .bind(revision)
                .execute(&mut *transaction)
                .await?
                .rows_affected();
            if changed == 0 {
                return Ok(Renewed::Unmarked);
            }
            Renewed::Renewed { revision }
        });
        if renewed != Renewed::Unmarked {
            self.announce_configuration().await;
        }
        Ok(renewed)
    }

    /// Remembers why a version was not activated, or the active one not loaded; the active one stays (P1).
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

/// Decodes a row in the columns of [`sql::SELECT_PLUGINS`].
pub(super) fn plugin_row(row: &AnyRow) -> Result<PluginRow, Unreadable> {
    let optional_hash = |column| row.get::<Option<Vec<u8>>>(column)?.map(|bytes| hash(&bytes)).transpose();
    let refused_hash = optional_hash(7)?;
    let (reason, refused_at): (Option<String>, Option<i64>) = (row.get(8)?, row.get(9)?);
    Ok(PluginRow {
        id: PluginId::from_uuid(row.get(0)?),
        tenant: TenantId::from_uuid(row.get(1)?),
        name: row.get(2)?,
        revision: row.get(3)?,
        active: optional_hash(5)?,
        generation: row.get::<i64>(6)? as u32,
        refused: refused_hash
            .zip(reason)
            .zip(refused_at)
            .map(|((hash, reason), at)| (hash, reason, Timestamp::from_micros(at))),
        updated_at: Timestamp::from_micros(row.get(10)?),
    })
}
