//! The one entry for a new version of a plugin.
//!
//! An offer ends in one of three ways, and each leaves something that serves: the version is active, it already was,
//! or it is refused and the version before it serves on (P1). Offers of one tenant wait for each other, so the same
//! bytes offered twice at once are activated once; and a tenant that keeps offering takes its own turns, not those of
//! others (S2).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use bytes::Bytes;
use hookyard_domain::{ContentHash, PluginId, TenantId};
use tokio::sync::{OwnedMutexGuard, Semaphore, SemaphorePermit};

use super::Plugins;
use crate::{
    installed::{Active, Slot},
    store::{Error, PluginRow},
    wasm::Module,
};

/// Versions that are checked at the same time on this node. Compiling takes a core for as long as it lasts; the rest
/// of the machine is for events.
const CHECKS_AT_ONCE: usize = 2;
/// Length of a plugin's name, in bytes; it is also the name of a file.
const NAME_BYTES_MAX: usize = 100;

/// How an offer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offered {
    /// The version is the active one from now on.
    Activated { version: ContentHash, generation: u32 },
    /// It was the active one already.
    Unchanged { version: ContentHash, generation: u32 },
    /// It does not become active, for a reason its author can act on. What was active still is.
    Refused { version: ContentHash, reason: String },
}

impl Offered {
    /// The word for it in the metrics.
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Activated { .. } => "activated",
            Self::Unchanged { .. } => "unchanged",
            Self::Refused { .. } => "refused",
        }
    }
}

impl Plugins {
    /// Makes the bytes the active version of a tenant's plugin, if they pass every check. A plugin of a new name comes
    /// into being by its first offer. Takes from milliseconds to some seconds.
    ///
    /// # Errors
    /// The store does not answer. Offering again is safe.
    pub async fn offer(&self, tenant: TenantId, name: &str, wasm: Bytes) -> Result<Offered, Error> {
        let offered = self.judge(tenant, name, wasm).await?;
        self.0.parts.metrics.plugin_offers.inc("result", offered.as_str());
        Ok(offered)
    }

    async fn judge(&self, tenant: TenantId, name: &str, wasm: Bytes) -> Result<Offered, Error> {
        let version = ContentHash::of(&wasm);
        if let Err(reason) = check_name(name) {
            // Not kept: no sender can use a plugin under this name, so nobody would look there.
            let reason = reason.to_owned();
            return Ok(Offered::Refused { version, reason });
        }
        let _turn = self.0.turns.take(tenant).await;
        // Read within the turn: an offer of the same bytes may just have ended.
        let row = self.0.parts.store.plugin(tenant, name).await?;
        if let Some(row) = &row
            && row.active == Some(version)
            && !self.is_unloadable(tenant, name)
        {
            let generation = row.generation;
            return Ok(Offered::Unchanged { version, generation });
        }
        match self.check(tenant, name, wasm.clone()).await? {
            Ok(module) => self.activate(row, tenant, name, module, &wasm).await,
            Err(reason) => self.refuse(row, tenant, name, version, &reason).await,
        }
    }

    /// Whether this node cannot load the active version of the plugin. Then even an offer of the same bytes is worth
    /// taking up: those in the table may be damaged, and are replaced.
    pub(super) fn is_unloadable(&self, tenant: TenantId, name: &str) -> bool {
        matches!(self.0.parts.installed.get(tenant, name), Some(Slot::Unloadable { .. }))
    }

    async fn activate(&self, row: Option<PluginRow>, tenant: TenantId, name: &str, module: Module, wasm: &[u8]) -> Result<Offered, Error> {
        let parts = &self.0.parts;
        let (id, version) = (self.id_of(row.as_ref()), module.hash());
        let activation = parts
            .store
            .activate_plugin(id, tenant, name, version, wasm, parts.clock.now())
            .await?;
        parts.installed.put(
            tenant,
            name,
            &Slot::Ready(Active::new(id, module, activation.generation, activation.revision)),
        );
        tracing::info!(
            tenant = self.tenant_name(tenant),
            plugin = name,
            version = version.short(),
            generation = activation.generation,
            "plugin version activated"
        );
        Ok(Offered::Activated {
            version,
            generation: activation.generation,
        })
    }

    pub(super) fn id_of(&self, row: Option<&PluginRow>) -> PluginId {
        row.map_or_else(|| PluginId::new_v7(self.0.parts.clock.now(), rand::random()), |row| row.id)
    }

    pub(super) fn tenant_name(&self, tenant: TenantId) -> String {
        let snapshot = self.0.parts.configuration.current();
        snapshot
            .tenants
            .get(&tenant)
            .map_or_else(|| tenant.to_string(), |tenant| tenant.name.clone())
    }
}

/// Whether senders could use a plugin under this name.
pub(super) fn check_name(name: &str) -> Result<(), &'static str> {
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(known) {
        return Err("not a plugin's name (a-z, 0-9, '-', '_', '.'; the first is not a '.')");
    }
    if name.len() > NAME_BYTES_MAX {
        return Err("not a plugin's name (longer than 100 characters)");
    }
    Ok(())
}

/// Who may check a version now: one offer per tenant, and few in all.
pub(super) struct Turns {
    /// The lock of each tenant that has an offer under way.
    tenants: Mutex<HashMap<TenantId, Weak<tokio::sync::Mutex<()>>>>,
    checks: Semaphore,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            tenants: Mutex::default(),
            checks: Semaphore::new(CHECKS_AT_ONCE),
        }
    }
}

/// Held for as long as an offer is judged.
struct Turn<'a> {
    _of_tenant: OwnedMutexGuard<()>,
    _check: SemaphorePermit<'a>,
}

impl Turns {
    /// The tenant's own turn first: whoever waits behind another offer of the same tenant takes no check from others.
    async fn take(&self, tenant: TenantId) -> Turn<'_> {
        let of_tenant = self.of_tenant(tenant).lock_owned().await;
        let check = self.check().await;
        Turn {
            _of_tenant: of_tenant,
            _check: check,
        }
    }

    /// A check for what is active already, which no offer of its tenant needs to wait for.
    pub(super) async fn check(&self) -> SemaphorePermit<'_> {
        self.checks.acquire().await.expect("the semaphore is never closed")
    }

    fn of_tenant(&self, tenant: TenantId) -> Arc<tokio::sync::Mutex<()>> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = tenants.get(&tenant).and_then(Weak::upgrade) {
            return lock;
        }
        // Whoever comes first cleans up behind those who have gone.
        tenants.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::default();
        tenants.insert(tenant, Arc::downgrade(&lock));
        lock
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn a_name_is_what_a_sender_and_a_file_can_be_called_by() {
        for name in ["route", "eu-orders", "v2.route_all", "7"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        for name in ["", "Bad Name", ".hidden", "a/b", "..", "ärger", &long] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[tokio::test]
    async fn offers_of_one_tenant_take_turns_and_leave_a_check_to_others() {
        let turns = Turns::default();
        let [busy, other] = [1, 2].map(|n| TenantId::from_uuid(uuid::Uuid::from_u128(n)));
        let first = turns.take(busy).await;
        let mut second = Box::pin(turns.take(busy));
        let mut waits = || second.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending();
        assert!(waits());
        let elsewhere = turns.take(other).await;
        assert!(waits());
        drop(first);
        drop(second.await);
        drop(elsewhere);
        assert_eq!(turns.checks.available_permits(), CHECKS_AT_ONCE);
    }
}
