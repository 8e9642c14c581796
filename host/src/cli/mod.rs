//! The command line: `serve`, `apply`, `migrate`, `backup`, `events`, `deliveries`, `status`, `replay`, `modules`, `users`, `token`.
//!
//! All but `serve`, `migrate` and `backup` are clients of Hookyard's own API ([`api`]): of a server's with `--server`, else of one in
//! this process over the database.
//!
//! Results go to standard output, as text for people or JSON for scripts; logs and errors go to standard error. Exit
//! codes: 0 done, 1 failed, 2 the call or a set-up file is wrong, 3 what was asked for does not exist.

/// Prints a line of results. Where standard output cannot be written (a full disk, a reader that went away) there is
/// nobody to tell results to: the command ends, without the panic `println!` would make of it.
macro_rules! say {
    () => { say!("") };
    ($($text:tt)*) => {{
        use std::io::Write as _;
        if let Err(error) = writeln!(std::io::stdout(), $($text)*) {
            $crate::cli::cannot_say(&error);
        }
    }};
}

mod api;
mod apply;
mod backup;
mod deliveries;
mod events;
mod list;
mod modules;
mod replay;
mod serve;
mod status;
mod table;
mod token;
mod users;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};

use self::api::Api;
use crate::{
    app,
    config::{KEY_FILE, Keys, keys, open_store},
    store::{Location, SealKey, SecretText, Store},
    telemetry::log::{self, LogFormat},
    wasm::Compiler,
};

/// A webhook and event router that its users extend in WebAssembly.
#[derive(Debug, Parser)]
#[command(
    name = "hookyard",
    version,
    after_help = "Exit codes: 0 done, 1 failed, 2 the call or a set-up file is wrong, 3 not found."
)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Common {
    /// sqlite://PATH or postgres://USER@HOST/NAME. Default: sqlite in the data folder
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, global = true, value_name = "URL")]
    database: Option<String>,
    /// Where the embedded database and the secret key are kept
    #[arg(
        long,
        env = "HOOKYARD_DATA_DIR",
        default_value = "hookyard-data",
        global = true,
        value_name = "DIR"
    )]
    data_dir: PathBuf,
    /// Key for secrets at rest: 64 hexadecimal digits. Default: hookyard.key in the data folder, made at first start.
    /// Nodes that share a database need the same key
    #[arg(long, env = "HOOKYARD_SECRET_KEY", hide_env_values = true, global = true, value_name = "HEX")]
    secret_key: Option<String>,
    /// Asks this server instead of opening the database: its URL. Needs --token
    #[arg(long, env = "HOOKYARD_SERVER", global = true, value_name = "URL")]
    server: Option<String>,
    /// A management token, made with "hookyard token create"
    #[arg(long, env = "HOOKYARD_TOKEN", hide_env_values = true, global = true, value_name = "TOKEN")]
    token: Option<String>,
    /// What to log, e.g. `debug` or `info,hookyard::deliver=debug`
    #[arg(long, env = "HOOKYARD_LOG", default_value = "info,sqlx=warn", global = true, value_name = "FILTER")]
    log: String,
    #[arg(long, env = "HOOKYARD_LOG_FORMAT", default_value = "text", global = true)]
    log_format: LogFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the server
    Serve(Box<serve::Serve>),
    /// Applies a set-up file: tenants, API keys, endpoints, senders
    Apply(apply::Apply),
    /// Brings the database to this version's schema (serve does so by itself)
    Migrate,
    /// Copies the embedded database into a new file, also while a server works on it
    Backup(backup::Backup),
    /// Lists events, or shows one with its decision and deliveries
    Events(events::Events),
    /// Lists deliveries, or shows one with its attempts
    Deliveries(deliveries::Deliveries),
    /// Says what stands still and why: held events, failed deliveries, blocked endpoints, rows set aside
    Status(status::Status),
    /// Who may log in: lists, makes and removes users
    Users(users::Users),
    /// Management tokens, for --token and for scripts: makes, lists and revokes them
    Token(token::Token),
    /// Contents of plugins that are refused or quarantined: lists them and has one tried again
    Modules(modules::Modules),
    /// Starts failed deliveries over, makes waiting ones due, or routes a held event again
    Replay(replay::Replay),
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// For scripts: one JSON document
    Json,
}

/// What a command needs that opens the database by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// One that is there.
    Database,
    /// One that is there, with the key of its secrets.
    DatabaseAndKey,
    /// One with its key; both are made if need be.
    MadeDatabase,
    /// The same, and the key becomes the database's if it has none yet.
    ClaimedDatabase,
}

/// Ends a command with an exit code of its own.
#[derive(Debug)]
enum Failure {
    Failed(anyhow::Error),
    /// The caller's mistake.
    Usage(String),
    /// What was brought is wrong, as a set-up.
    Invalid(String),
    NotFound(String),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// How long work on other threads may take to notice that the process ends.
const SHUTDOWN_MAX: std::time::Duration = std::time::Duration::from_secs(2);

/// Runs the command this process was called with.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let outcome = log::start(&cli.common.log, cli.common.log_format)
        .context("cannot start logging")
        .and_then(|()| {
            tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()
                .context("cannot start the runtime")
        })
        .map_err(Failure::Failed)
        .and_then(|runtime| {
            let outcome = runtime.block_on(execute(cli));
            // What had to be awaited was; nothing else may keep a process that was told twice to end.
            runtime.shutdown_timeout(SHUTDOWN_MAX);
            outcome
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Failed(error)) => complain(&format!("{error:#}"), 1),
        Err(Failure::Usage(problem) | Failure::Invalid(problem)) => complain(&problem, 2),
        Err(Failure::NotFound(what)) => complain(&what, 3),
    }
}

/// Ends the process: see [`say!`].
fn cannot_say(error: &std::io::Error) -> ! {
    eprintln!("hookyard: cannot write to standard output: {error}");
    std::process::exit(1)
}

fn complain(text: &str, code: u8) -> ExitCode {
    for line in text.lines() {
        eprintln!("hookyard: {line}");
    }
    ExitCode::from(code)
}

async fn execute(cli: Cli) -> Result<(), Failure> {
    if cli.common.server.is_some() && matches!(cli.command, Command::Serve(_) | Command::Migrate | Command::Backup(_)) {
        let why = "serve, migrate and backup work on a database of this machine: leave out --server and HOOKYARD_SERVER";
        return Err(Failure::Usage(why.to_owned()));
    }
    match cli.command {
        Command::Serve(serve) => serve.run(&cli.common).await,
        Command::Apply(apply) => apply.run(&cli.common).await,
        Command::Migrate => {
            let store = cli.common.keyless_store().await?;
            say!("the {} database is at this version's schema", store.kind());
            Ok(())
        }
        Command::Backup(backup) => backup.run(&cli.common).await,
        Command::Events(events) => events.run(&cli.common).await,
        Command::Deliveries(deliveries) => deliveries.run(&cli.common).await,
        Command::Status(status) => status.run(&cli.common).await,
        Command::Replay(replay) => replay.run(&cli.common).await,
        Command::Modules(modules) => modules.run(&cli.common).await,
        Command::Users(users) => users.run(&cli.common).await,
        Command::Token(token) => token.run(&cli.common).await,
    }
}

impl Common {
    /// Hookyard's own API: that of the server that is named, else one in this process.
    async fn api(&self, needs: Needs) -> Result<Api, Failure> {
        if let Some(server) = &self.server {
            let token = self
                .token
                .clone()
                .ok_or_else(|| Failure::Usage("--server needs --token, or HOOKYARD_TOKEN in the environment".to_owned()))?;
            return Api::there(server, SecretText::new(token));
        }
        let store = match needs {
            Needs::Database => self.existing_store().await?,
            Needs::DatabaseAndKey => self.existing_store_with_key().await?,
            Needs::MadeDatabase => self.store().await?,
            Needs::ClaimedDatabase => {
                let store = self.store().await?;
                store.claim_key().await?;
                store
            }
        };
        Ok(Api::here(app::own_api(store, Compiler::this_program())))
    }

    fn database(&self) -> Result<Location, Failure> {
        match &self.database {
            Some(text) => text.parse().map_err(Failure::Usage),
            None => Ok(Location::Sqlite(self.data_dir.join("hookyard.db"))),
        }
    }

    /// Makes the data folder, readable by its owner only: it holds payloads and the secret key.
    fn make_data_dir(&self) -> anyhow::Result<()> {
        use std::os::unix::fs::DirBuilderExt as _;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.data_dir)
            .with_context(|| format!("cannot make the data folder {}", self.data_dir.display()))
    }

    /// Opens a database that must be there: a mistyped path is an error, not an empty answer.
    async fn existing_store(&self) -> Result<Store, Failure> {
        self.must_exist()?;
        self.keyless_store().await
    }

    /// Opens a database that must be there with a key that must be there: a command that only reads makes neither.
    async fn existing_store_with_key(&self) -> Result<Store, Failure> {
        self.must_exist()?;
        let file = self.data_dir.join(KEY_FILE);
        if self.secret_key.is_none() && !file.exists() {
            let problem = format!("there is no key at {}; give the database's with --secret-key", file.display());
            return Err(Failure::NotFound(problem));
        }
        self.store().await
    }

    /// The key of the database's secrets. One is made only for a database that has none yet: beside one whose key was lost or
    /// forgotten, another would only stand in the way.
    async fn keys(&self) -> Result<Keys, Failure> {
        self.make_data_dir()?;
        let file = self.data_dir.join(KEY_FILE);
        if self.secret_key.is_none() && !file.exists() && self.must_exist().is_ok() && self.keyless_store().await?.has_key().await? {
            let problem = format!(
                "the database has a key, and there is none at {}: put the database's there, or give it with --secret-key",
                file.display()
            );
            return Err(Failure::Failed(anyhow::anyhow!(problem)));
        }
        Ok(keys(self.secret_key.as_deref(), &self.data_dir)?)
    }

    fn must_exist(&self) -> Result<(), Failure> {
        if let Location::Sqlite(path) = self.database()?
            && !path.exists()
        {
            return Err(Failure::NotFound(format!(
                "there is no database at {}; are --data-dir and --database right?",
                path.display()
            )));
        }
        Ok(())
    }

    /// Opens the database, made if need be, for what takes no secret. The key need not be at hand, and none is made.
    async fn keyless_store(&self) -> Result<Store, Failure> {
        let database = self.database()?;
        if matches!(&database, Location::Sqlite(path) if path.starts_with(&self.data_dir)) {
            self.make_data_dir()?;
        }
        let seal = SealKey::from_bytes(&rand::random());
        let now = app::now();
        Ok(Store::open(&database, Store::new_node_id(now), seal, now)
            .await
            .context("cannot open the store")?)
    }

    /// Opens the database, made if need be, with the key of its secrets.
    async fn store(&self) -> Result<Store, Failure> {
        let database = self.database()?;
        let keys = self.keys().await?;
        Ok(open_store(&database, keys.seal, app::now()).await?)
    }
}
