//! The watched folder, a caller of [`Plugins::offer`].
//!
//! A file is offered once it has come to rest. What became of it is remembered, so that each file is judged once and
//! a version that was replaced (a rollback, another node's folder) does not come back by itself. Deleting a file
//! deactivates nothing. Cast: [`scan`] finds the files and hears of changes.

mod scan;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io::{self, Read as _},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use hookyard_domain::ContentHash;
use tokio::{
    sync::{Notify, Semaphore, oneshot},
    task::{JoinError, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use self::scan::Found;
use super::{LOOK_EVERY, Offered, Plugins};
use crate::store::{Error, PluginRow};

/// A file counts as written when nothing more happened to the folder for so long.
const QUIET: Duration = Duration::from_millis(150);
/// How long a folder that is never quiet is waited for.
const QUIET_MAX: Duration = Duration::from_secs(5);

/// Tenants whose files are read and offered at the same time. Each holds one file in memory.
const TENANTS_AT_ONCE: usize = 4;

/// The folder and what is known of its files.
pub struct Folder {
    path: PathBuf,
    plugins: Plugins,
    /// What each file held when it was last judged.
    judged: HashMap<PathBuf, Judged>,
    /// Files that have been warned of: misplaced ones, and those that cannot be read.
    told: HashSet<PathBuf>,
    /// The tenants whose files are being offered, each by a task of its own: one whose files take long keeps nobody else waiting.
    offering: JoinSet<Offering>,
    busy: HashSet<String>,
    /// Something changed for a tenant that was busy.
    again: bool,
    places: Arc<Semaphore>,
}

/// What became of a tenant's files.
struct Offering {
    tenant: String,
    judged: Vec<(PathBuf, Judged)>,
    unreadable: Vec<(PathBuf, String)>,
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
            offering: JoinSet::new(),
            busy: HashSet::new(),
            again: false,
            places: Arc::new(Semaphore::new(TENANTS_AT_ONCE)),
        }
    }

    /// Offers what the folder holds until told to stop: when a file changes, when the configuration does, and every
    /// half minute. Says once that all that lay there has been judged.
    pub async fn follow(mut self, all_offered: oneshot::Sender<()>, closing: CancellationToken) {
        let mut all_offered = Some(all_offered);
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
        self.look(&closing).await;
        self.say_when_idle(&mut all_offered);
        while !closing.is_cancelled() {
            tokio::select! {
                () = touched.notified() => come_to_rest(&touched, &closing).await,
                changed = changes.changed() => changed.expect("the sender lives as long as this task"),
                Some(offered) = self.offering.join_next() => {
                    self.take_note(offered);
                    if !self.again {
                        self.say_when_idle(&mut all_offered);
                        continue;
                    }
                }
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = closing.cancelled() => break,
            }
            self.look(&closing).await;
            self.say_when_idle(&mut all_offered);
        }
        // A check that has begun is not left half done.
        while self.offering.join_next().await.is_some() {}
    }

    fn say_when_idle(&self, all_offered: &mut Option<oneshot::Sender<()>>) {
        if self.offering.is_empty()
            && let Some(all_offered) = all_offered.take()
        {
            // Who waited may have gone on.
            all_offered.send(()).ok();
        }
    }

    /// Begins to offer the files of each tenant that has no task at it.
    async fn look(&mut self, closing: &CancellationToken) {
        self.again = false;
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
        let mut of_tenant: BTreeMap<String, Vec<(Found, Option<Judged>)>> = BTreeMap::new();
        for file in scan.found {
            let judged = self.judged.get(&file.path).copied();
            of_tenant.entry(file.tenant.clone()).or_default().push((file, judged));
        }
        for (tenant, files) in of_tenant {
            if !self.busy.insert(tenant.clone()) {
                self.again = true;
                continue;
            }
            let (plugins, places, closing) = (self.plugins.clone(), Arc::clone(&self.places), closing.clone());
            self.offering.spawn(async move {
                let _place = places.acquire().await.expect("the semaphore is never closed");
                offer_of_tenant(&plugins, tenant, files, &closing).await
            });
        }
    }

    fn take_note(&mut self, offered: Result<Offering, JoinError>) {
        match offered {
            Ok(offering) => {
                self.busy.remove(&offering.tenant);
                for (path, why) in offering.unreadable {
                    if self.told.insert(path.clone()) {
                        tracing::warn!(path = %path.display(), why, "a file in the plugin folder cannot be read");
                    }
                }
                self.judged.extend(offering.judged);
            }
            Err(error) => {
                // Whose task it was is not known any more; all are looked at again.
                tracing::error!(%error, "offering a tenant's plugin files failed");
                if self.offering.is_empty() {
                    self.busy.clear();
                }
                self.again = true;
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
        let found: HashSet<_> = misplaced.into_iter().map(|(path, _)| path).collect();
        self.told.retain(|path| found.contains(path) || path.symlink_metadata().is_ok());
        self.told.extend(found);
    }
}

/// Offers the files of one tenant, one after the other.
async fn offer_of_tenant(plugins: &Plugins, tenant: String, files: Vec<(Found, Option<Judged>)>, closing: &CancellationToken) -> Offering {
    let mut offering = Offering {
        tenant,
        judged: Vec::new(),
        unreadable: Vec::new(),
    };
    for (file, judged) in files {
        if closing.is_cancelled() {
            break;
        }
        let path = file.path.clone();
        match consider(plugins, file, judged).await {
            Ok(Some(judged)) => offering.judged.push((path, judged)),
            Ok(None) => {}
            Err(NotOffered::Unreadable(error)) => offering.unreadable.push((path, error.to_string())),
            Err(NotOffered::Store(error)) => {
                tracing::warn!(path = %path.display(), %error, "cannot offer a plugin file now; it will be looked at again");
            }
        }
    }
    offering
}

/// Why a file was not offered.
enum NotOffered {
    Unreadable(io::Error),
    Store(Error),
}

impl From<Error> for NotOffered {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

/// Offers one file, unless it has been judged as it is now. None: nothing is new.
async fn consider(plugins: &Plugins, file: Found, judged: Option<Judged>) -> Result<Option<Judged>, NotOffered> {
    let parts = &plugins.0.parts;
    let Some((tenant, revision)) = ({
        let snapshot = parts.configuration.current();
        snapshot.tenant_by_name(&file.tenant).map(|tenant| (tenant.id, snapshot.revision))
    }) else {
        tracing::debug!(path = %file.path.display(), tenant = file.tenant, "no such tenant yet");
        return Ok(None);
    };
    let wasm = read(file.path.clone(), parts.engine.settings().module_bytes_max)
        .await
        .map_err(NotOffered::Unreadable)?;
    let version = ContentHash::of(&wasm);
    match judged {
        Some(judged) if [Judged::Done(version), Judged::Refused(version, revision)].contains(&judged) => return Ok(None),
        Some(_) => {}
        // First seen by this process and older than what is active: what it was replaced by, here or on another
        // node, goes on serving. A file that was put there since is offered.
        None => {
            let row = parts.store.plugin(tenant, &file.plugin).await?;
            if row.is_some_and(|row| is_older(&file, &row, version)) {
                tracing::info!(path = %file.path.display(), "older than the active version and left alone; touch the file to offer it");
                return Ok(Some(Judged::Done(version)));
            }
        }
    }
    Ok(Some(match plugins.offer(tenant, &file.plugin, wasm).await? {
        Offered::Activated { .. } | Offered::Unchanged { .. } => Judged::Done(version),
        Offered::Refused { .. } => Judged::Refused(version, revision),
    }))
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
async fn read(path: PathBuf, bytes_max: usize) -> io::Result<Bytes> {
    let reading = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        scan::open(&path)?.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes.into())
    });
    reading
        .await
        .unwrap_or_else(|_| Err(io::Error::other("reading it was interrupted")))
}
