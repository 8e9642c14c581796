//! Brings this node to what the table says is active.
//!
//! Every activation ends here on every node but the one that made it, and a start begins here. A version that cannot
//! be loaded is put into its place all the same, with the reason (see [`Slot::Unloadable`]): its events go by
//! their sender's failure policy and show that reason, instead of being postponed for ever. It is loaded again when something about the plugin
//! changes, and every half minute in case the cause was this machine's.

use std::sync::Arc;

use hookyard_domain::ContentHash;
use tokio_util::sync::CancellationToken;

use super::{LOOK_EVERY, Plugins};
use crate::{
    installed::{Active, Slot},
    store::{Error, PluginRow},
    wasm::{Engine, Module},
};

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

    /// Loads every active version that this node does not have yet.
    ///
    /// # Errors
    /// The store does not answer. What is wrong with one plugin stays with that plugin.
    pub async fn reconcile(&self, unloadable: Unloadable) -> Result<(), Error> {
        for row in self.0.parts.store.plugins().await? {
            self.install(&row, unloadable).await?;
        }
        Ok(())
    }

    async fn install(&self, row: &PluginRow, unloadable: Unloadable) -> Result<(), Error> {
        let Some(version) = row.active else { return Ok(()) };
        let (installed, revision) = (&self.0.parts.installed, row.revision);
        let former = installed.get(row.tenant, &row.name);
        match &former {
            Some(slot) if slot.generation() > row.generation => return Ok(()),
            Some(Slot::Ready(active)) if active.generation == row.generation => {
                if active.revision < revision {
                    let mut active = active.clone();
                    active.revision = revision;
                    installed.put(row.tenant, &row.name, &Slot::Ready(active));
                }
                return Ok(());
            }
            Some(slot) if slot.generation() == row.generation && slot.revision() == revision && unloadable == Unloadable::LeaveAlone => {
                return Ok(());
            }
            _ => {}
        }
        let failed_before = former.is_some_and(|slot| slot.generation() == row.generation);
        let slot = match self.load(version).await? {
            Ok(module) => {
                tracing::info!(
                    plugin = row.name,
                    version = version.short(),
                    generation = row.generation,
                    "plugin version loaded"
                );
                Slot::Ready(Active::new(module, row.generation, revision))
            }
            Err(reason) => {
                if !failed_before {
                    tracing::error!(
                        plugin = row.name,
                        version = version.short(),
                        generation = row.generation,
                        reason,
                        "the active version of a plugin cannot be loaded; its events go by their sender's failure policy"
                    );
                }
                Slot::Unloadable {
                    generation: row.generation,
                    revision,
                    reason: Arc::from(reason),
                }
            }
        };
        installed.put(row.tenant, &row.name, &slot);
        Ok(())
    }

    /// Compiles a version from the table, or finds it among those loaded. The outer error is the store's, the inner one
    /// the reason why the version cannot be loaded.
    async fn load(&self, version: ContentHash) -> Result<Result<Module, String>, Error> {
        if let Some(module) = self.0.parts.installed.module(version) {
            return Ok(Ok(module));
        }
        let wasm = self.0.parts.store.module(version).await?;
        let engine = self.0.parts.engine.clone();
        let compiled = tokio::task::spawn_blocking(move || compile_stored(&engine, version, wasm.as_deref())).await;
        Ok(compiled.unwrap_or_else(|_| Err("compiling it was interrupted".to_owned())))
    }
}

/// Compiles what the table holds of a version.
///
/// # Errors
/// Why it cannot be loaded, for the operator.
pub(super) fn compile_stored(engine: &Engine, version: ContentHash, wasm: Option<&[u8]>) -> Result<Module, String> {
    let wasm = wasm.ok_or("its module is not in the database")?;
    if ContentHash::of(wasm) != version {
        return Err("its module in the database is damaged: the bytes do not have the hash they are kept under".to_owned());
    }
    engine.compile(wasm).map_err(|refusal| refusal.to_string())
}
