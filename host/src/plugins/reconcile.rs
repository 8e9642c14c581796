//! Brings this node to what the table says is active.
//!
//! Every activation ends here on every node but the one that made it, and a start begins here. A version that cannot
//! be loaded is put into its place all the same, with the reason (see [`Slot::Unloadable`]): its events go by
//! their sender's failure policy and show that reason, instead of being postponed for ever. It is loaded again when something about the plugin
//! changes, and every half minute in case the cause was this machine's.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use hookyard_domain::{ContentHash, TenantId};
use tokio_util::sync::CancellationToken;

use super::{LOOK_EVERY, Plugins, refusal::kept_reason};
use crate::{
    configuration::PluginState,
    installed::{Active, Slot},
    store::{Error, PluginRow, Renewed},
    wasm::{Compiler, Engine, Module},
};

/// Versions that are loaded at the same time.
const LOADS_AT_ONCE: usize = 4;

/// What to do about versions that could not be loaded the last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unloadable {
    /// Try them again.
    TryAgain,
    /// Leave them, unless their plugin has changed: trying costs a compilation.
    LeaveAlone,
}

impl Plugins {
    /// Follows the table until told to stop: at each change of configuration, and every half minute.
    pub async fn follow(self, closing: CancellationToken) {
        let mut changes = self.0.changes.subscribe();
        while !closing.is_cancelled() {
            let unloadable = tokio::select! {
                changed = changes.changed() => {
                    // This task holds the sender, through `self`.
                    changed.expect("the sender lives as long as this task");
                    Unloadable::LeaveAlone
                }
                () = tokio::time::sleep(LOOK_EVERY) => Unloadable::TryAgain,
                () = closing.cancelled() => return,
            };
            if let Err(error) = self.reconcile(unloadable).await {
                tracing::warn!(%error, "cannot read which plugin versions are active; the ones loaded serve on");
            }
        }
    }

    /// Loads every active version that this node does not have yet. Which they are says the configuration in force, so
    /// nothing is read when nothing about a plugin has changed.
    ///
    /// # Errors
    /// The store does not answer. What is wrong with one plugin stays with that plugin.
    pub async fn reconcile(&self, unloadable: Unloadable) -> Result<(), Error> {
        let snapshot = Arc::clone(&self.0.parts.configuration.current());
        let due = snapshot
            .plugins()
            .filter(|(tenant, name, state)| self.is_due(*tenant, name, state, unloadable))
            .map(|(tenant, name, _)| Ok((tenant, name)));
        // Some at a time, so that one that takes long to compile keeps few others waiting.
        futures_util::stream::iter(due)
            .try_for_each_concurrent(LOADS_AT_ONCE, |(tenant, name)| self.install(tenant, name))
            .await
    }

    /// Whether this node has yet to load what the configuration says is active.
    fn is_due(&self, tenant: TenantId, name: &str, state: &PluginState, unloadable: Unloadable) -> bool {
        let installed = &self.0.parts.installed;
        match installed.get(tenant, name) {
            // This node made an activation that its snapshot does not show yet.
            Some(slot) if slot.generation() > state.generation => false,
            Some(Slot::Ready(mut active)) if active.generation == state.generation => {
                if active.revision < state.revision {
                    active.revision = state.revision;
                    installed.put(tenant, name, &Slot::Ready(active));
                }
                false
            }
            Some(slot @ Slot::Unloadable { .. }) if slot.generation() == state.generation && slot.revision() >= state.revision => {
                unloadable == Unloadable::TryAgain
            }
            _ => true,
        }
    }

    async fn install(&self, tenant: TenantId, name: &str) -> Result<(), Error> {
        let parts = &self.0.parts;
        let Some(row) = parts.store.plugin(tenant, name).await? else {
            return Ok(());
        };
        let Some(version) = row.active else { return Ok(()) };
        let slot = match self.load(version).await? {
            Ok(module) => {
                tracing::info!(
                    plugin = name,
                    version = version.short(),
                    generation = row.generation,
                    "plugin version loaded"
                );
                let revision = self.renew(&row, version).await?;
                Slot::Ready(Active::new(row.id, module, row.generation, revision))
            }
            Err(reason) => {
                let tried_before = matches!(parts.installed.get(tenant, name),
                    Some(slot @ Slot::Unloadable { .. }) if slot.generation() == row.generation);
                if !tried_before {
                    tracing::error!(
                        plugin = name,
                        version = version.short(),
                        generation = row.generation,
                        reason,
                        "the active version of a plugin cannot be loaded; its events go by their sender's failure policy"
                    );
                }
                self.mark(&row, version, &reason).await?;
                Slot::Unloadable {
                    generation: row.generation,
                    revision: row.revision,
                    reason: Arc::from(reason),
                }
            }
        };
        parts.installed.put(tenant, name, &slot);
        Ok(())
    }

    /// Keeps with the plugin why its active version cannot be loaded, so that people find it without this node's log, and so that
    /// the node that can load it, perhaps after a restart, knows what to release.
    async fn mark(&self, row: &PluginRow, version: ContentHash, reason: &str) -> Result<(), Error> {
        if row.refused.as_ref().is_some_and(|(refused, ..)| *refused == version) {
            return Ok(());
        }
        let (parts, reason) = (&self.0.parts, kept_reason(reason));
        parts
            .store
            .refuse_plugin(row.id, row.tenant, &row.name, version, &reason, parts.clock.now())
            .await
    }

    /// Takes such a mark away again, which releases the events that were held for it. Returns the plugin's revision.
    async fn renew(&self, row: &PluginRow, version: ContentHash) -> Result<i64, Error> {
        if row.refused.as_ref().is_none_or(|(refused, ..)| *refused != version) {
            return Ok(row.revision);
        }
        Ok(match self.0.parts.store.renew_plugin(row.id, row.generation).await? {
            Renewed::Renewed { revision } => revision,
            Renewed::Unmarked => row.revision,
        })
    }

    /// Compiles a version from the table, or finds it among those loaded. The outer error is the store's, the inner one
    /// the reason why the version cannot be loaded.
    async fn load(&self, version: ContentHash) -> Result<Result<Module, String>, Error> {
        if let Some(module) = self.0.parts.installed.module(version) {
            return Ok(Ok(module));
        }
        let (engine, compiler) = (self.0.parts.engine.clone(), self.0.parts.compiler.clone());
        let kept = tokio::task::spawn_blocking({
            let (engine, compiler) = (engine.clone(), compiler.clone());
            move || engine.kept(&compiler, version)
        });
        if let Ok(Some(module)) = kept.await {
            return Ok(Ok(module));
        }
        if let Some(reason) = self.refused_before(version).await? {
            return Ok(Err(reason));
        }
        // Of all that is compiled here at a time, this is one.
        let _check = self.0.turns.check().await;
        let wasm = self.0.parts.store.module(version).await?;
        match whole(version, wasm) {
            Ok(wasm) => self.in_work(version, self.compile(version, wasm.into())).await,
            Err(reason) => Ok(Err(reason)),
        }
    }
}

/// What the table holds of a version, if it is that.
fn whole(version: ContentHash, wasm: Option<Vec<u8>>) -> Result<Vec<u8>, String> {
    let wasm = wasm.ok_or("its module is not in the database")?;
    if ContentHash::of(&wasm) != version {
        return Err("its module in the database is damaged: the bytes do not have the hash they are kept under".to_owned());
    }
    Ok(wasm)
}

/// Compiles what the table holds of a version.
///
/// # Errors
/// Why it cannot be loaded, for the operator.
pub(super) fn compile_stored(engine: &Engine, compiler: &Compiler, version: ContentHash, wasm: Option<Vec<u8>>) -> Result<Module, String> {
    let wasm = whole(version, wasm)?;
    engine.compile(compiler, &wasm).map_err(|refusal| refusal.to_string())
}
