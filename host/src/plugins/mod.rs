//! Plugins: which version of each plugin serves, and how another takes its place.
//!
//! A version comes from the watched folder or from another node's activation; both end in [`Plugins::reconcile`]. A
//! file is hashed, compiled, checked and tried; only then does one transaction make it the active version, and one
//! pointer swap puts it to work here. A version that fails any of this is refused with its reason and the former
//! version goes on serving (P1). Deleting a file deactivates nothing.
//!
//! Active modules live in the database, not in the folder: a restart with a broken file, or a node without the file,
//! serves what was active. Cast: [`folder`] finds files, [`trial`] tries a version.

mod folder;
mod trial;

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use hookyard_domain::{ContentHash, PluginId, TenantId};
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;

use self::folder::Found;
pub use self::trial::check_config;
use crate::{
    clock::Clock,
    configuration::Configuration,
    installed::{Active, Installed},
    store::{Error, PluginRow, Store},
    wasm::Engine,
};

/// How often the folder and the table are looked at without a reason: file systems without change notices exist.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// A file counts as written when nothing more happened to the folder for so long.
const QUIET: Duration = Duration::from_millis(150);

/// How long a folder that is never quiet is waited for.
const QUIET_MAX: Duration = Duration::from_secs(5);
/// Length of a kept refusal.
const REASON_CHARS_MAX: usize = 2_000;

/// The plugin stage. Cheap to clone.
#[derive(Clone)]
pub struct Plugins(Arc<Inner>);

struct Inner {
    store: Store,
    engine: Engine,
    installed: Arc<Installed>,
    configuration: Arc<Configuration>,
    clock: Clock,
    folder: Option<PathBuf>,
    /// What each file held when it was last judged, so that it is judged once.
    judged: Mutex<HashMap<PathBuf, Judged>>,
    /// Misplaced files that have been warned of.
    told: Mutex<HashSet<PathBuf>>,
    look: Notify,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judged {
    /// It became the active version. Should another version follow it (a rollback, another node's folder), the file
    /// does not come back by itself.
    Activated(ContentHash),
    /// It was refused under this revision of the configuration; a change of that may be what it wanted.
    Refused(ContentHash, i64),
}

impl Plugins {
    pub fn new(
        store: Store,
        engine: Engine,
        installed: Arc<Installed>,
        configuration: Arc<Configuration>,
        clock: Clock,
        folder: Option<PathBuf>,
    ) -> Self {
        Self(Arc::new(Inner {
            store,
            engine,
            installed,
            configuration,
            clock,
            folder,
            judged: Mutex::default(),
            told: Mutex::default(),
            look: Notify::new(),
        }))
    }

    /// Asks for a look at table and folder soon.
    pub fn look(&self) {
        self.0.look.notify_one();
    }

    /// Watches until told to stop.
    pub async fn watch(self, closing: CancellationToken) {
        let watcher = self.0.folder.as_deref().map(|folder| {
            let plugins = self.clone();
            folder::watch(folder, move || plugins.look())
        });
        if let Some(Err(error)) = &watcher {
            tracing::warn!(%error, "cannot watch the plugin folder; it is looked at every {} s instead", LOOK_EVERY.as_secs());
        }
        while !closing.is_cancelled() {
            tokio::select! {
                () = self.0.look.notified() => {
                    // Let a file that is being written come to rest; not for ever, should one never rest.
                    let restless = tokio::time::Instant::now();
                    while restless.elapsed() < QUIET_MAX && tokio::time::timeout(QUIET, self.0.look.notified()).await.is_ok() {
                        if closing.is_cancelled() {
                            return;
                        }
                    }
                }
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = closing.cancelled() => return,
            }
            if let Err(error) = self.reconcile().await {
                tracing::warn!(%error, "cannot read the plugins");
            }
        }
    }

    /// Brings this node to what the table says is active, then the table to what the folder holds.
    ///
    /// # Errors
    /// The store does not answer. What is wrong with one plugin is logged and stays with that plugin.
    pub async fn reconcile(&self) -> Result<(), Error> {
        let rows = self.0.store.plugins().await?;
        for row in &rows {
            if let Err(error) = self.install(row).await {
                tracing::error!(
                    plugin = row.name,
                    error = format!("{error:#}"),
                    "cannot load the active version of a plugin"
                );
            }
        }
        let Some(folder) = self.0.folder.clone() else { return Ok(()) };
        let scan = match tokio::task::spawn_blocking(move || folder::scan(&folder)).await {
            Ok(Ok(scan)) => scan,
            Ok(Err(error)) => {
                tracing::warn!(%error, "cannot read the plugin folder");
                return Ok(());
            }
            Err(_) => return Ok(()),
        };
        self.tell_misplaced(scan.misplaced).await;
        for file in scan.found {
            let path = file.path.clone();
            if let Err(error) = self.consider(file, &rows).await {
                tracing::warn!(path = %path.display(), %error, "cannot take up a plugin file now; it will be looked at again");
            }
        }
        Ok(())
    }

    /// Warns of each misplaced file once, for as long as it stays.
    async fn tell_misplaced(&self, misplaced: Vec<(PathBuf, &'static str)>) {
        let mut told = self.0.told.lock().await;
        for (path, why) in &misplaced {
            if !told.contains(path) {
                tracing::warn!(path = %path.display(), why, "a file in the plugin folder is left alone");
            }
        }
        *told = misplaced.into_iter().map(|(path, _)| path).collect();
    }

    /// Loads the active version if this node does not have that generation yet.
    async fn install(&self, row: &PluginRow) -> anyhow::Result<()> {
        let Some(version) = row.active else { return Ok(()) };
        let former = self.0.installed.get(row.tenant, &row.name).map(|active| active.generation);
        if former.is_some_and(|former| former >= row.generation) {
            return Ok(());
        }
        let wasm = self
            .0
            .store
            .module(version)
            .await?
            .ok_or_else(|| anyhow::anyhow!("module {version} is not in the database"))?;
        let engine = self.0.engine.clone();
        let module = tokio::task::spawn_blocking(move || engine.compile(&wasm)).await??;
        self.0
            .installed
            .activate(row.tenant, &row.name, &Active::new(module, row.generation));
        tracing::info!(
            plugin = row.name,
            version = version.short(),
            generation = row.generation,
            "plugin version loaded"
        );
        if former.is_some() {
            self.release_held(row.tenant, &row.name).await?;
        }
        Ok(())
    }

    /// Releases what this node held by the former version between the activation and the swap of the pointer.
    async fn release_held(&self, tenant: TenantId, plugin: &str) -> Result<u64, Error> {
        self.0.store.release_held_of_plugin(tenant, plugin, self.0.clock.now()).await
    }

    /// Judges one file: unchanged, refused, or the next active version.
    async fn consider(&self, file: Found, rows: &[PluginRow]) -> Result<(), Error> {
        let tenant = {
            let snapshot = self.0.configuration.current();
            snapshot.tenant_by_name(&file.tenant).map(|tenant| tenant.id)
        };
        let Some(tenant) = tenant else {
            tracing::debug!(path = %file.path.display(), tenant = file.tenant, "no such tenant yet");
            return Ok(());
        };
        let Some(wasm) = read(&file.path, self.0.engine.settings().module_bytes_max).await else {
            return Ok(());
        };
        let version = ContentHash::of(&wasm);
        let mut judged = self.0.judged.lock().await;
        let row = rows.iter().find(|row| row.tenant == tenant && row.name == file.plugin);
        let revision = self.0.configuration.current().revision;
        let known = [Judged::Activated(version), Judged::Refused(version, revision)];
        if row.is_some_and(|row| row.active == Some(version)) {
            judged.insert(file.path, Judged::Activated(version));
            return Ok(());
        }
        match judged.get(&file.path) {
            Some(judged) if known.contains(judged) => return Ok(()),
            // First seen by this process and older than what is active: what it was replaced by, here or on another
            // node, goes on serving. A file that was put there since is taken up.
            None if row.is_some_and(|row| row.active.is_some() && file.modified_at < row.updated_at) => {
                tracing::info!(path = %file.path.display(), "older than the active version and left alone; touch the file to take it up");
                judged.insert(file.path, Judged::Activated(version));
                return Ok(());
            }
            _ => {}
        }
        let id = row.map_or_else(|| PluginId::new_v7(self.0.clock.now(), rand::random()), |row| row.id);
        match self.check(tenant, &file.plugin, wasm.clone()).await? {
            Ok(module) => {
                let now = self.0.clock.now();
                let (generation, released) = self.0.store.activate_plugin(id, tenant, &file.plugin, version, &wasm, now).await?;
                self.0.installed.activate(tenant, &file.plugin, &Active::new(module, generation));
                judged.insert(file.path, Judged::Activated(version));
                let released = released + self.release_held(tenant, &file.plugin).await?;
                tracing::info!(
                    tenant = file.tenant,
                    plugin = file.plugin,
                    version = version.short(),
                    generation,
                    released,
                    "plugin version activated"
                );
            }
            Err(reason) => {
                // A module's own names may stand in it; PostgreSQL's text takes no NUL.
                let reason: String = reason.chars().filter(|c| *c != '\0').take(REASON_CHARS_MAX).collect();
                self.0
                    .store
                    .refuse_plugin(id, tenant, &file.plugin, version, &reason, self.0.clock.now())
                    .await?;
                judged.insert(file.path, Judged::Refused(version, revision));
                let serving = row
                    .and_then(|row| row.active)
                    .map_or_else(|| "none".to_owned(), |active| active.short());
                tracing::warn!(
                    tenant = file.tenant,
                    plugin = file.plugin,
                    version = version.short(),
                    serving,
                    reason,
                    "plugin version refused"
                );
            }
        }
        Ok(())
    }

    /// Compiles and tries a version. The outer error is the store's, the inner one is the version's own.
    async fn check(&self, tenant: TenantId, plugin: &str, wasm: Vec<u8>) -> Result<Result<crate::wasm::Module, String>, Error> {
        let engine = self.0.engine.clone();
        let module = match tokio::task::spawn_blocking(move || engine.compile(&wasm)).await {
            Ok(Ok(module)) => module,
            Ok(Err(refusal)) => return Ok(Err(refusal.to_string())),
            Err(_) => return Ok(Err("the check was interrupted".to_owned())),
        };
        let senders: Vec<_> = {
            let snapshot = self.0.configuration.current();
            let uses = |sender: &&Arc<_>| uses(sender, tenant, plugin);
            snapshot.senders.values().filter(uses).cloned().collect()
        };
        let trials = trial::prepare(&self.0.store, &senders).await?;
        let limits = self.0.engine.settings().call_limits();
        let tried = tokio::task::spawn_blocking(move || trial::all(&module, &trials, limits).map(|()| module)).await;
        Ok(tried.unwrap_or_else(|_| Err("the trial was interrupted".to_owned())))
    }
}

fn uses(sender: &crate::configuration::Sender, tenant: TenantId, plugin: &str) -> bool {
    sender.tenant.id == tenant && sender.plugin.as_deref() == Some(plugin)
}

/// Reads a module file. One that is too large is read up to one byte past the limit: enough to be refused for its size.
async fn read(path: &Path, bytes_max: usize) -> Option<Vec<u8>> {
    use tokio::io::AsyncReadExt as _;
    let mut bytes = Vec::new();
    let file = tokio::fs::File::open(path).await.ok()?;
    match file.take(bytes_max as u64 + 1).read_to_end(&mut bytes).await {
        Ok(_) => Some(bytes),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "cannot read a plugin file");
            None
        }
    }
}
