//! `hookyard serve`.

use std::{fs::File, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context as _, anyhow};
use clap::Args;
use hookyard_domain::address::{AddressPolicy, Cidr, Loopback};
use http::HeaderValue;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Common, Failure};
use crate::{
    app::App,
    clock::Clock,
    config::{BODY_BYTES_MAX_DEFAULT, Config, PLUGINS_WAIT_DEFAULT, Registration, SEARCH_EVERY_DEFAULT},
    configuration::PlainHttp,
    store::Location,
    wasm,
};

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, env = "HOOKYARD_LISTEN", default_value = "127.0.0.1:5143", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Address of the operators' listener, which serves /metrics and /health without a token; keep it off public networks
    #[arg(long, env = "HOOKYARD_OPERATIONS_LISTEN", value_name = "ADDRESS")]
    operations_listen: Option<SocketAddr>,
    /// Folder watched for TENANT/PLUGIN.wasm. Default: plugins in the data folder
    #[arg(long, env = "HOOKYARD_PLUGINS_DIR", value_name = "DIR")]
    plugins_dir: Option<PathBuf>,
    /// Largest payload accepted, in bytes (1024 to 64 MiB)
    #[arg(long, env = "HOOKYARD_BODY_BYTES_MAX", default_value_t = BODY_BYTES_MAX_DEFAULT as u64, value_name = "BYTES",
        value_parser = clap::value_parser!(u64).range(1_024..=67_108_864))]
    body_bytes_max: u64,
    /// Total time of one delivery attempt, in seconds (1 to 300)
    #[arg(long, env = "HOOKYARD_ATTEMPT_DEADLINE_S", default_value_t = 30, value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=300))]
    attempt_deadline_s: u64,
    /// How long a silent node keeps its work, in seconds (2 to 300)
    #[arg(long, env = "HOOKYARD_LEASE_S", default_value_t = 15, value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(2..=300))]
    lease_s: u64,
    /// How long attempts in flight may go on when the server stops, in seconds (0 to 300)
    #[arg(long, env = "HOOKYARD_GRACE_S", default_value_t = 10, value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(0..=300))]
    grace_s: u64,
    /// CPU time one plugin run may take, in milliseconds (1 to 250)
    #[arg(long, env = "HOOKYARD_PLUGIN_CPU_MS", default_value_t = 20, value_name = "MS",
        value_parser = clap::value_parser!(u64).range(1..=250))]
    plugin_cpu_ms: u64,
    /// Memory one plugin run may use, in MiB (1 to 64)
    #[arg(long, env = "HOOKYARD_PLUGIN_MEMORY_MIB", default_value_t = 32, value_name = "MIB",
        value_parser = clap::value_parser!(u64).range(1..=64))]
    plugin_memory_mib: u64,
    /// Private address ranges deliveries may go to all the same, e.g. 10.1.0.0/16; may be given several times
    #[arg(long, env = "HOOKYARD_ALLOW_ADDRESSES", value_delimiter = ',', value_name = "CIDR")]
    allow_addresses: Vec<Cidr>,
    /// Lets nobody make a tenant over HTTP: tenants come from set-up files alone
    #[arg(long, env = "HOOKYARD_CLOSED_REGISTRATION")]
    closed_registration: bool,
    /// Lets endpoints that are made over HTTP have plain http URLs: their payloads travel in the clear
    #[arg(long, env = "HOOKYARD_ALLOW_PLAIN_HTTP")]
    allow_plain_http: bool,
    /// Address ranges of proxies before this server, whose X-Forwarded-For is believed; may be given several times
    #[arg(long, env = "HOOKYARD_TRUSTED_PROXIES", value_delimiter = ',', value_name = "CIDR")]
    trusted_proxies: Vec<Cidr>,
    /// Origin of a dashboard whose pages may call the management routes from a browser: scheme, host and port
    #[arg(long, env = "HOOKYARD_DASHBOARD_ORIGIN", value_name = "ORIGIN")]
    dashboard_origin: Option<HeaderValue>,
    /// Lets deliveries go to this machine itself. For tests and demonstrations only
    #[arg(long)]
    allow_loopback_for_tests: bool,
}

impl Serve {
    pub(super) async fn run(self, common: &Common) -> Result<(), Failure> {
        let database = common.database()?;
        let keys = common.keys().await?;
        let _alone = alone(&database)?;
        let plugins = self.plugins_dir.clone().unwrap_or_else(|| common.data_dir.join("plugins"));
        std::fs::create_dir_all(&plugins).with_context(|| format!("cannot make the plugin folder {}", plugins.display()))?;
        let config = Config {
            database,
            seal: keys.seal,
            seed_key: keys.seed,
            token_key: keys.tokens,
            trusted_proxies: self.trusted_proxies,
            registration: if self.closed_registration {
                Registration::Closed
            } else {
                Registration::Open
            },
            plain_http: if self.allow_plain_http {
                PlainHttp::Allowed
            } else {
                PlainHttp::Refused
            },
            dashboard_origin: self.dashboard_origin,
            search_every: SEARCH_EVERY_DEFAULT,
            listen: self.listen,
            operations_listen: self.operations_listen,
            plugins: Some(plugins),
            addresses: AddressPolicy {
                loopback: if self.allow_loopback_for_tests {
                    Loopback::AllowedForTests
                } else {
                    Loopback::Refused
                },
                allowed: self.allow_addresses,
            },
            attempt_deadline: Duration::from_secs(self.attempt_deadline_s),
            body_bytes_max: usize::try_from(self.body_bytes_max).unwrap_or(usize::MAX),
            lease: Duration::from_secs(self.lease_s),
            grace: Duration::from_secs(self.grace_s),
            plugins_wait: PLUGINS_WAIT_DEFAULT,
            compiler: wasm::Compiler::this_program()
                .with_cache(wasm::compiler::Cache::new(common.data_dir.join("compiled"), keys.machine_code)),
            wasm: wasm::Settings {
                cpu_budget: Duration::from_millis(self.plugin_cpu_ms),
                memory_bytes_max: usize::try_from(self.plugin_memory_mib << 20).unwrap_or(usize::MAX),
                ..wasm::Settings::default()
            },
        };
        // Before starting, so that a signal meanwhile is not lost.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let compiler = config.compiler.clone();
        // A start may take long: a migration, a database that does not answer.
        let app = tokio::select! {
            app = App::start(config, Clock::default()) => app?,
            () = either(&mut terminate, &mut interrupt) => {
                compiler.stop();
                tracing::info!("stopped before the start was over");
                return Ok(());
            }
        };
        // For whoever started us with port 0.
        say!("listening on http://{}", app.address());
        if let Some(operations) = app.operations_address() {
            say!("operations on http://{operations}");
        }
        either(&mut terminate, &mut interrupt).await;
        tracing::info!("stopping; a second signal stops at once");
        tokio::select! {
            () = app.stop() => Ok(()),
            () = either(&mut terminate, &mut interrupt) => {
                compiler.stop();
                Err(Failure::Failed(anyhow!("stopped at once; what was in flight is repeated at the next start")))
            }
        }
    }
}

/// Waits for one of the signals that ask a server to stop.
async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// One server per SQLite file: a second one would take the first one's work for a dead run's. The lock goes with the
/// process, however it ends.
fn alone(database: &Location) -> Result<Option<File>, Failure> {
    let Location::Sqlite(path) = database else { return Ok(None) };
    let path = path.with_extension("lock");
    let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => Err(Failure::Failed(anyhow!(
            "another hookyard serves this database already; use PostgreSQL for more than one"
        ))),
        Err(std::fs::TryLockError::Error(error)) => Err(Failure::Failed(
            anyhow::Error::new(error).context(format!("cannot lock {}", path.display())),
        )),
    }
}
