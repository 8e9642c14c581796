//! What an operator sets, checked once at start.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context as _;
use hookyard_domain::{
    ContentHash, Timestamp,
    address::{AddressPolicy, Cidr},
};
use http::HeaderValue;
use rand::RngCore as _;

use crate::{
    configuration::PlainHttp,
    store::{Location, SealKey, Store},
    wasm,
};

/// Whether anybody may make a tenant over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    Open,
    Closed,
}

/// Everything a server is started with.
#[derive(Debug, Clone)]
pub struct Config {
    pub database: Location,
    pub seal: SealKey,
    pub listen: SocketAddr,
    /// Where the metrics are open, and health too: a network of the operators'.
    pub operations_listen: Option<SocketAddr>,
    /// Watched for `<tenant>/<plugin>.wasm`.
    pub plugins: Option<PathBuf>,
    pub addresses: AddressPolicy,
    /// Total time of one attempt: 30 s unless set (docs/contracts/hooksentry.md, section 14.1).
    pub attempt_deadline: Duration,
    /// Size of an accepted payload.
    pub body_bytes_max: usize,
    /// How long a silent node keeps its leases.
    pub lease: Duration,
    /// How long attempts in flight may go on when the server stops.
    pub grace: Duration,
    pub wasm: wasm::Settings,
    /// How long a start waits for plugins to be loaded and offered before it listens.
    pub plugins_wait: Duration,
    /// What plugins are compiled with.
    pub compiler: wasm::Compiler,
    /// Secret that seeds the randomness plugins see.
    pub seed_key: [u8; 32],
    /// Signs access tokens.
    pub token_key: [u8; 32],
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Cidr>,
    pub registration: Registration,
    /// Whether endpoints made over HTTP may have plain http URLs.
    pub plain_http: PlainHttp,
    pub dashboard_origin: Option<HeaderValue>,
    /// How often the tables are searched without a reason, for what another process may have left there.
    pub search_every: Duration,
}

/// Default of [`Config::search_every`]: what another node's events wait at most where no notice of them comes.
pub const SEARCH_EVERY_DEFAULT: Duration = Duration::from_secs(1);

/// Default of [`Config::plugins_wait`]: enough for some new plugins, and short for whoever posts meanwhile.
pub const PLUGINS_WAIT_DEFAULT: Duration = Duration::from_secs(2);

/// Default of [`Config::body_bytes_max`]: GitHub's payloads go up to 25 MB.
pub const BODY_BYTES_MAX_DEFAULT: usize = 25 * 1024 * 1024;

/// Where the key for secrets at rest is kept in the data folder, unless it is given.
pub const KEY_FILE: &str = "hookyard.key";

/// The key for secrets at rest, and what follows from it.
pub struct Keys {
    pub seal: SealKey,
    /// See [`Config::seed_key`].
    pub seed: [u8; 32],
    /// See [`Config::token_key`].
    pub tokens: [u8; 32],
    /// Authenticates the machine code that is kept in the data folder.
    pub machine_code: [u8; 32],
}

/// The key for secrets at rest: given, or kept in the data folder, made at the first start.
///
/// # Errors
/// The given key is none, or the folder cannot be written.
pub fn keys(given: Option<&str>, data_dir: &std::path::Path) -> anyhow::Result<Keys> {
    let text = match given {
        Some(text) => text.to_owned(),
        None => key_file(&data_dir.join(KEY_FILE))?,
    };
    let seal = SealKey::from_hex(&text).context("cannot use the secret key")?;
    let derived = |purpose: &str| *ContentHash::of(format!("hookyard {purpose} {}", text.trim()).as_bytes()).as_bytes();
    Ok(Keys {
        seal,
        seed: derived("plugin seed"),
        machine_code: *ContentHash::of(format!("hookyard machine code {}", text.trim().to_ascii_lowercase()).as_bytes()).as_bytes(),
        tokens: *ContentHash::of(format!("hookyard access tokens {}", text.trim().to_ascii_lowercase()).as_bytes()).as_bytes(),
    })
}

fn key_file(path: &std::path::Path) -> anyhow::Result<String> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    match std::fs::read_to_string(path) {
        Ok(text) => return Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
    let mut bytes = [0_u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    // Written beside and linked into place: of two first starts one wins, and nobody reads half a key.
    let beside = path.with_extension(format!("key.{}", std::process::id()));
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)
        .with_context(|| format!("cannot write {}", beside.display()))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&beside, path);
    std::fs::remove_file(&beside)?;
    if let Some(folder) = path.parent() {
        // The name, too, must outlive a power cut: what is sealed with a lost key is lost.
        std::fs::File::open(folder)?.sync_all()?;
    }
    match linked {
        Ok(()) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(std::fs::read_to_string(path)?),
        Err(error) => Err(error).with_context(|| format!("cannot write {}", path.display())),
    }
}

/// Opens the store with the key its secrets are sealed with.
///
/// # Errors
/// The database cannot be opened, is newer than this binary, or belongs to another key.
pub async fn open_store(database: &Location, seal: SealKey, now: Timestamp) -> anyhow::Result<Store> {
    let store = Store::open(database, Store::new_node_id(now), seal, now)
        .await
        .context("cannot open the store")?;
    store.check_key().await?;
    Ok(store)
}
