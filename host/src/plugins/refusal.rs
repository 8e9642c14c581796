//! The refusal of a broken version: what a version must pass before it serves, and what is kept of one that does not.
//!
//! A version is compiled (the reasons against it are [`crate::wasm::Refusal`]) and then tried ([`super::trial`]). One
//! that fails leaves its reason with the plugin and a line in the log; the version before it serves on (P1).

use std::sync::Arc;

use bytes::Bytes;
use hookyard_domain::{ContentHash, TenantId};

use super::{Plugins, offer::Offered, trial};
use crate::{
    configuration::Sender,
    store::{Error, PluginRow},
    wasm::Module,
};

/// Length of a kept refusal.
const REASON_CHARS_MAX: usize = 2_000;

impl Plugins {
    /// Compiles and tries a version. The outer error is the store's, the inner one the reason to refuse the version.
    pub(super) async fn check(&self, tenant: TenantId, name: &str, wasm: Bytes) -> Result<Result<Module, String>, Error> {
        let version = ContentHash::of(&wasm);
        match self.refused_before(version).await? {
            Some(reason) => Ok(Err(reason)),
            None => self.in_work(version, self.compile_and_try(tenant, name, version, wasm)).await,
        }
    }

    async fn compile_and_try(
        &self,
        tenant: TenantId,
        name: &str,
        version: ContentHash,
        wasm: Bytes,
    ) -> Result<Result<Module, String>, Error> {
        let parts = &self.0.parts;
        let module = match self.compile(version, wasm).await? {
            Ok(module) => module,
            Err(reason) => return Ok(Err(reason)),
        };
        let senders: Vec<_> = {
            let snapshot = parts.configuration.current();
            let uses = |sender: &&Arc<Sender>| sender.tenant.id == tenant && sender.plugin.as_deref() == Some(name);
            snapshot.senders.values().filter(uses).cloned().collect()
        };
        let trials = trial::prepare(&parts.store, &senders).await?;
        let limits = parts.engine.settings().call_limits();
        let tried = tokio::task::spawn_blocking(move || trial::all(&module, &trials, limits).map(|()| module)).await;
        Ok(tried.unwrap_or_else(|_| Err("the trial was interrupted; offer the version again".to_owned())))
    }

    /// Keeps the reason with the plugin.
    pub(super) async fn refuse(
        &self,
        row: Option<PluginRow>,
        tenant: TenantId,
        name: &str,
        version: ContentHash,
        reason: &str,
    ) -> Result<Offered, Error> {
        let reason = kept_reason(reason);
        let parts = &self.0.parts;
        parts
            .store
            .refuse_plugin(self.id_of(row.as_ref()), tenant, name, version, &reason, parts.clock.now())
            .await?;
        let serving = row.and_then(|row| row.active);
        tracing::warn!(
            tenant = self.tenant_name(tenant),
            plugin = name,
            version = version.short(),
            serving = serving.map_or_else(|| "none".to_owned(), |active| active.short()),
            reason,
            "plugin version refused"
        );
        Ok(Offered::Refused { version, reason })
    }
}

/// A reason as it is kept: it can quote names from inside a module, and PostgreSQL's text takes no NUL.
pub(super) fn kept_reason(reason: &str) -> String {
    reason.chars().filter(|c| *c != '\0').take(REASON_CHARS_MAX).collect()
}
