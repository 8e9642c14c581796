//! The real binary as a process of its own, which can be killed.
//!
//! `HOOKYARD_BIN` names the binary; without it cargo builds the one in the running test's target folder.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    process::{ExitStatus, Output, Stdio},
    sync::OnceLock,
};

use hookyard::wasm::Compiler;
use hookyard_domain::TenantId;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use crate::{
    client::Client,
    database::{SECRET_KEY_HEX, TestDatabase},
    setup::SetupFile,
    wait::{PATIENCE, built},
};

/// What the server prints when it is ready.
const READY: &str = "listening on ";
/// Lines of its log shown when a test fails.
const LOG_LINES_SHOWN: usize = 60;

/// The path of the `hookyard` binary.
///
/// # Panics
/// When it cannot be built.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| std::env::var_os("HOOKYARD_BIN").map_or_else(|| built(build), PathBuf::from))
}

/// Compiles plugins as the binary does, for servers in the test's own process.
pub fn compiler() -> Compiler {
    Compiler::new(binary().to_owned())
}

/// Builds the binary with the profile this test was built with: its folder says which.
fn build() -> PathBuf {
    let me = std::env::current_exe().expect("this process has an executable");
    let folder = me
        .ancestors()
        .skip(1)
        .find(|folder| !folder.ends_with("deps"))
        .expect("executables are in a folder of their profile");
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let mut cargo = std::process::Command::new(env!("CARGO"));
    // Without the outer cargo's variables about this package: build scripts that watch them would run again each time.
    for (name, _) in std::env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"]
            .iter()
            .any(|of_package| name.to_string_lossy().starts_with(of_package))
        {
            cargo.env_remove(name);
        }
    }
    let built = cargo
        .args([
            "build",
            "--quiet",
            "--package",
            "hookyard",
            "--bin",
            "hookyard",
            "--profile",
            profile,
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("the cargo that built this test can be run");
    assert!(built.success(), "the hookyard binary does not build");
    folder.join("hookyard")
}

/// Runs one command of the binary on a database to its end.
///
/// # Panics
/// When it cannot be run or does not end in time.
pub async fn run(database: &TestDatabase, args: &[&str]) -> Output {
    let ended = command(database, args).stdin(Stdio::null()).output();
    tokio::time::timeout(PATIENCE, ended)
        .await
        .unwrap_or_else(|_| panic!("hookyard {args:?} did not end within {PATIENCE:?}"))
        .expect("hookyard can be run")
}

/// Applies a set-up through the binary and returns each tenant's id.
///
/// # Panics
/// When it does not apply.
pub async fn apply(database: &TestDatabase, setup: &SetupFile) -> BTreeMap<String, TenantId> {
    let file = setup.write_into(&database.folder().join("setup"));
    let output = run(database, &["apply", "--format", "json", "--file", &file.to_string_lossy()]).await;
    assert!(output.status.success(), "apply failed: {}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("apply reports JSON");
    let tenants = report["tenants"].as_array().expect("the report lists tenants");
    tenants
        .iter()
        .map(|tenant| {
            let text = |field: &str| tenant[field].as_str().expect("a tenant has a name and an id").to_owned();
            (text("name"), text("id").parse().expect("a tenant's id is an id"))
        })
        .collect()
}

/// The binary with a test's database, key and folder, and nothing from the environment.
fn command(database: &TestDatabase, args: &[&str]) -> Command {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HOOKYARD_") {
            command.env_remove(name);
        }
    }
    command
        .args(args)
        .env("DATABASE_URL", database.url())
        .env("HOOKYARD_DATA_DIR", database.folder().join("data"))
        .env("HOOKYARD_SECRET_KEY", SECRET_KEY_HEX)
        .kill_on_drop(true);
    command
}

/// A server that is not started yet.
pub struct Builder<'a> {
    database: &'a TestDatabase,
    args: Vec<String>,
    environment: Vec<(String, String)>,
    tenants: BTreeMap<String, TenantId>,
}

impl Builder<'_> {
    /// Adds an argument of `hookyard serve`.
    #[must_use]
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The tenants the server's client posts for, as [`apply`] returned them.
    #[must_use]
    pub fn tenants(mut self, tenants: &BTreeMap<String, TenantId>) -> Self {
        self.tenants.clone_from(tenants);
        self
    }

    /// # Panics
    /// When the server does not start; its log is printed.
    pub async fn start(self) -> Server {
        let mut args = vec!["serve", "--listen", "127.0.0.1:0", "--allow-loopback-for-tests"];
        args.extend(self.args.iter().map(String::as_str));
        let log = self.database.folder().join(format!("server-{:08x}.log", rand::random::<u32>()));
        let mut child = command(self.database, &args)
            .envs(self.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).expect("a log can be made"))
            .spawn()
            .expect("hookyard can be run");
        let stdout = child.stdout.take().expect("its standard output is a pipe");
        let mut server = Server {
            child,
            log,
            client: Client::new("", BTreeMap::new()),
        };
        let mut lines = BufReader::new(stdout).lines();
        let ready = tokio::time::timeout(PATIENCE, lines.next_line()).await;
        let line = ready.ok().and_then(Result::ok).flatten().unwrap_or_default();
        let base = line
            .strip_prefix(READY)
            .unwrap_or_else(|| panic!("the server did not come up, it said {line:?}"));
        server.client = Client::new(base, self.tenants);
        // Keeps the pipe open and empty for as long as the server runs.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        server
    }
}

/// A running process. Dropping it kills it.
pub struct Server {
    child: Child,
    log: PathBuf,
    client: Client,
}

impl Server {
    pub fn on(database: &TestDatabase) -> Builder<'_> {
        Builder {
            database,
            args: Vec::new(),
            environment: Vec::new(),
            tenants: BTreeMap::new(),
        }
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The process's id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Kills it without a warning (SIGKILL) and waits for its end.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("a child can be killed");
    }

    /// Asks it to stop (SIGTERM) and waits for its end.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn stop(&mut self) -> ExitStatus {
        if let Some(pid) = self.child.id() {
            let told = Command::new("kill").args(["-TERM", &pid.to_string()]).status().await;
            assert!(told.is_ok_and(|status| status.success()), "the server cannot be told to stop");
        }
        tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .unwrap_or_else(|_| panic!("the server did not stop within {PATIENCE:?}"))
            .expect("a child can be waited for")
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("the server's last log lines:");
            for line in &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..] {
                eprintln!("  {line}");
            }
        }
    }
}
