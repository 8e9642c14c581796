//! The watched folder, a caller of [`Plugins::offer`].
//!
//! A file is offered once it has come to rest. What became of it is remembered, so that each file is judged once and
//! a version that was replaced (a rollback, another node's folder) does not come back by itself. Deleting a file
//! deactivates nothing. Cast: [`scan`] finds the files and hears of changes.

mod scan;

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use hookyard_domain::{ContentHash, TenantId};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use self::scan::Found;
use super::{LOOK_EVERY, Offered, Plugins};
use crate::store::{Error, PluginRow};

/// A file counts as written when nothing more happened to the folder for so long.
const QUIET: Duration = Duration::from_millis(150);
/// How long a folder that is never quiet is waited for.
const QUIET_MAX: Duration = Duration::from_secs(5);

/// The folder and what is known of its files.
pub struct Folder {
    path: PathBuf,
    plugins: Plugins,
    /// What each file held when it was last judged.
    judged: HashMap<PathBuf, Judged>,
    /// Misplaced files that have been warned of.
    told: HashSet<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judged {
    /// It is or was the active version, or was passed over for a newer one. It does not come back by itself.
    Done(ContentHash),
    /// It was refused under this revision of the configuration; a change of that may be what it wanted.
    Refused(ContentHash, i64),
}

impl Folder {
    pub fn new(path: PathBuf, plugins: Plugins) -> Self {
        Self {
            path,
            plugins,
            judged: HashMap::new(),
            told: HashSet::new(),
        }
    }

    /// Offers what the folder holds until told to stop: when a file changes, when the configuration does, and every
    /// half minute.
    pub async fn follow(mut self, closing: CancellationToken) {
        let touched = Arc::new(Notify::new());
        let watcher = scan::watch(&self.path, {
            let touched = Arc::clone(&touched);
            move || touched.notify_one()
        });
        if let Err(error) = &watcher {
            let every_s = LOOK_EVERY.as_secs();
            tracing::warn!(%error, "cannot watch the plugin folder; it is looked at every {every_s} s instead");
        }
        // What was put there between the last look and the watch is told by nobody.
        touched.notify_one();
        let mut changes = self.plugins.0.changes.subscribe();
        while !closing.is_cancelled() {
            tokio::select! {
                () = touched.notified() => come_to_rest(&touched, &closing).await,
                changed = changes.changed() => changed.expect("the sender lives as long as this task"),
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = closing.cancelled() => return,
            }
            self.offer_files(&closing).await;
        }
    }

    /// Offers each file that has not been judged as it is now. What is wrong with a file, or with the folder, is logged.
    pub async fn offer_files(&mut self, closing: &CancellationToken) {
        let folder = self.path.clone();
        let scan = match tokio::task::spawn_blocking(move || scan::scan(&folder)).await {
            Ok(Ok(scan)) => scan,
            Ok(Err(error)) => {
                tracing::warn!(%error, "cannot read the plugin folder");
                return;
            }
            Err(_) => return,
        };
        self.tell_misplaced(scan.misplaced);
        for file in scan.found {
            if closing.is_cancelled() {
                break;
            }
            let path = file.path.clone();
            if let Err(error) = self.consider(file).await {
                tracing::warn!(path = %path.display(), %error, "cannot offer a plugin file now; it will be looked at again");
            }
        }
    }

    /// Warns of each misplaced file once, for as long as it stays.
    fn tell_misplaced(&mut self, misplaced: Vec<(PathBuf, &'static str)>) {
        for (path, why) in &misplaced {
            if !self.told.contains(path) {
                tracing::warn!(path = %path.display(), why, "a file in the plugin folder is left alone");
            }
        }
        self.told = misplaced.into_iter().map(|(path, _)| path).collect();
    }

    /// Offers one file, unless it has been judged as it is now.
    async fn consider(&mut self, file: Found) -> Result<(), Error> {
        let Some((tenant, revision)) = self.tenant(&file.tenant) else {
            tracing::debug!(path = %file.path.display(), tenant = file.tenant, "no such tenant yet");
            return Ok(());
        };
        let parts = &self.plugins.0.parts;
        let Some(wasm) = read(&file.path, parts.engine.settings().module_bytes_max).await else {
            return Ok(());
        };
        let version = ContentHash::of(&wasm);
        let known = [Judged::Done(version), Judged::Refused(version, revision)];
        match self.judged.get(&file.path) {
            Some(judged) if known.contains(judged) => return Ok(()),
            Some(_) => {}
            // First seen by this process and older than what is active: what it was replaced by, here or on another
            // node, goes on serving. A file that was put there since is offered.
            None => {
                let row = parts.store.plugin(tenant, &file.plugin).await?;
                if row.is_some_and(|row| is_older(&file, &row, version)) {
                    tracing::info!(path = %file.path.display(), "older than the active version and left alone; touch the file to offer it");
                    self.judged.insert(file.path, Judged::Done(version));
                    return Ok(());
                }
            }
        }
        let judged = match self.plugins.offer(tenant, &file.plugin, wasm).await? {
            Offered::Activated { .. } | Offered::Unchanged { .. } => Judged::Done(version),
            Offered::Refused { .. } => Judged::Refused(version, revision),
        };
        self.judged.insert(file.path, judged);
        Ok(())
    }

    /// The tenant of a name, and the revision of the configuration that knows it.
    fn tenant(&self, name: &str) -> Option<(TenantId, i64)> {
        let snapshot = self.plugins.0.parts.configuration.current();
        let tenant = snapshot.tenant_by_name(name)?;
        Some((tenant.id, snapshot.revision))
    }
}

/// Whether a file was put in place before another version became the active one.
fn is_older(file: &Found, row: &PluginRow, version: ContentHash) -> bool {
    row.active.is_some_and(|active| active != version) && file.modified_at < row.updated_at
}

/// Lets a file that is being written come to rest; not for ever, should one never rest.
async fn come_to_rest(touched: &Notify, closing: &CancellationToken) {
    let began = Instant::now();
    while began.elapsed() < QUIET_MAX && !closing.is_cancelled() {
        if tokio::time::timeout(QUIET, touched.notified()).await.is_err() {
            return;
        }
    }
}

/// Reads a module file. One that is too large is read up to one byte past the limit: enough to be refused for its size.
async fn read(path: &Path, bytes_max: usize) -> Option<Bytes> {
    use tokio::io::AsyncReadExt as _;
    let mut bytes = Vec::new();
    let file = tokio::fs::File::open(path).await.ok()?;
    match file.take(bytes_max as u64 + 1).read_to_end(&mut bytes).await {
        Ok(_) => Some(bytes.into()),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "cannot read a plugin file");
            None
        }
    }
}
