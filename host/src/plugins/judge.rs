//! Judges a module by its content: a child process compiles it, and what is refused is remembered.
//!
//! Contents that were refused before are refused again without another look, whoever brings them. A check that began is noted
//! in the table until it is over, so that a content which was being checked when a server died is found afterwards: it is
//! quarantined, and tried again only when somebody asks ([`Plugins::quarantine_abandoned`]).

use std::time::{Duration, Instant};

use bytes::Bytes;
use hookyard_domain::ContentHash;

use super::Plugins;
use crate::{
    store::Error,
    wasm::{Holds, Module},
};

/// How long a refusal holds that may have been the machine's doing.
const A_WHILE: Duration = Duration::from_hours(1);

/// How long another node's check is waited for: it takes up to a minute, or up to a lease to see that the node is gone.
const ELSEWHERE_MAX: Duration = Duration::from_secs(60);
const LOOK_ELSEWHERE_EVERY: Duration = Duration::from_millis(250);

/// Why a content is quarantined, for whoever reads it.
const QUARANTINED: &str = "a server ended while it checked this module, so it is not tried again by itself; \
    \"hookyard modules retry\" with its hash has it tried once more";

impl Plugins {
    /// Does `work` with a module and notes meanwhile that this node has it in work.
    pub(super) async fn in_work<T>(&self, version: ContentHash, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let parts = &self.0.parts;
        parts.store.begin_module_check(version, parts.clock.now()).await?;
        let outcome = work.await;
        if let Err(error) = parts.store.end_module_check(version).await {
            tracing::warn!(%error, module = version.short(), "cannot note that the check of a module is over");
        }
        outcome
    }

    /// Why a module is refused without another look. While another node looks at it, its outcome is waited for: it may be the
    /// node's end, and one is enough.
    pub(super) async fn refused_before(&self, version: ContentHash) -> Result<Option<String>, Error> {
        let parts = &self.0.parts;
        let (judge, begun) = (parts.engine.fingerprint(), Instant::now());
        loop {
            let refusal = parts.store.module_refusal(version, &judge, parts.clock.now()).await?;
            if refusal.is_some() || begun.elapsed() >= ELSEWHERE_MAX || !parts.store.module_is_checked_elsewhere(version).await? {
                return Ok(refusal);
            }
            tokio::time::sleep(LOOK_ELSEWHERE_EVERY).await;
            self.quarantine_abandoned().await?;
        }
    }

    /// Compiles a module. The outer error is the store's, the inner one the reason to refuse the module.
    pub(super) async fn compile(&self, version: ContentHash, wasm: Bytes) -> Result<Result<Module, String>, Error> {
        let parts = &self.0.parts;
        let (engine, compiler) = (parts.engine.clone(), parts.compiler.clone());
        let begun = Instant::now();
        let compiled = tokio::task::spawn_blocking(move || engine.compile(&compiler, &wasm)).await;
        let Ok(compiled) = compiled else {
            return Ok(Err("compiling it was interrupted; offer it again".to_owned()));
        };
        self.count_compilation(begun, &compiled);
        let refusal = match compiled {
            Ok(module) => return Ok(Ok(module)),
            Err(refusal) => refusal,
        };
        let reason = super::refusal::kept_reason(&refusal.to_string());
        let now = parts.clock.now();
        let until = match refusal.holds() {
            Holds::Always => None,
            Holds::ForAWhile => Some(now.plus(A_WHILE)),
            Holds::Not => return Ok(Err(reason)),
        };
        parts
            .store
            .refuse_module(version, &parts.engine.fingerprint(), &reason, until, now)
            .await?;
        Ok(Err(reason))
    }

    /// Quarantines what servers were checking that are gone.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn quarantine_abandoned(&self) -> Result<(), Error> {
        let parts = &self.0.parts;
        let quarantined = parts.store.quarantine_abandoned_checks(QUARANTINED, parts.clock.now()).await?;
        if quarantined > 0 {
            tracing::error!(
                modules = quarantined,
                "a server ended while it checked modules; they are quarantined: see \"hookyard modules\""
            );
        }
        Ok(())
    }
}
