//! What is measured: the real server as a child process, on a fresh database of its own.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::TempDir;

use super::{load::Target, process};

const API_KEY: &str = "bench-0123456789abcdefghij";
/// Of the endpoint's own token.
pub const DIRECT: &str = "dst_0123456789abcdefghij";
/// Of a sender without a plugin and without endpoints: its events are kept and go nowhere.
pub const KEPT: &str = "sndr_kept-0123456789abcdefghij";
/// Of a sender whose plugin makes a new payload for the endpoint.
pub const PLUGIN: &str = "sndr_plugin-0123456789abcdefghij";
/// Of a sender whose plugin forwards the payload as received.
pub const FORWARD: &str = "sndr_forward-0123456789abcdefghij";

/// Attempts at once to the receiver.
const CONCURRENCY_MAX: u32 = 256;
/// Everything accepted is settled within this, or the row has failed.
const SETTLE_DEADLINE: Duration = Duration::from_secs(120);
/// How often it is asked whether everything is settled, once all deliveries have arrived.
const SETTLE_LOOK_EVERY: Duration = Duration::from_millis(2);

/// A database system to measure on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgres,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// A fresh database, and a folder for the files that belong to it.
pub struct Place {
    pub kind: Kind,
    pub url: String,
    folder: TempDir,
    /// Of the cluster, and the database's name in it.
    cluster: Option<(String, String)>,
    /// The first process of the cluster, when it runs on this machine.
    postmaster: Option<u32>,
}

impl Place {
    /// Makes an empty database; `cluster` is the URL of a database of the cluster that may create others.
    ///
    /// # Errors
    /// The folder cannot be written or the cluster refuses.
    pub async fn fresh(kind: Kind, beneath: &Path, cluster: Option<&str>) -> anyhow::Result<Self> {
        std::fs::create_dir_all(beneath)?;
        let folder = tempfile::tempdir_in(beneath).context("cannot make a folder")?;
        match kind {
            Kind::Sqlite => Ok(Self {
                kind,
                url: format!("sqlite://{}", folder.path().join("bench.db").display()),
                folder,
                cluster: None,
                postmaster: None,
            }),
            Kind::Postgres => {
                let cluster = cluster.context("give --postgres to measure on PostgreSQL")?;
                let name = format!("hookyard_bench_{:016x}", rand::random::<u64>());
                let mut connection = PgConnection::connect(cluster).await.context("cannot reach PostgreSQL")?;
                sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}")))
                    .execute(&mut connection)
                    .await?;
                let (backend,): (i32,) = sqlx::query_as("SELECT pg_backend_pid()").fetch_one(&mut connection).await?;
                let mut url = url::Url::parse(cluster)?;
                url.set_path(&name);
                Ok(Self {
                    kind,
                    url: url.to_string(),
                    folder,
                    cluster: Some((cluster.to_owned(), name)),
                    postmaster: u32::try_from(backend).ok().and_then(process::parent).filter(|parent| *parent > 0),
                })
            }
        }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Processor time of the database's own processes; none for SQLite, which runs in the server.
    pub fn database_cpu(&self) -> Duration {
        self.postmaster.map_or(Duration::ZERO, process::cpu_with_children)
    }

    /// One number from the database.
    ///
    /// # Errors
    /// The database cannot be asked.
    pub async fn count(&self, sql: &'static str) -> anyhow::Result<u64> {
        let count: i64 = match self.kind {
            Kind::Sqlite => rusqlite::Connection::open(self.file())?.query_row(sql, [], |row| row.get(0))?,
            Kind::Postgres => {
                let mut connection = PgConnection::connect(&self.url).await?;
                sqlx::query_as::<_, (i64,)>(sql).fetch_one(&mut connection).await?.0
            }
        };
        Ok(u64::try_from(count)?)
    }

    /// Size on disk, with the write-ahead log folded in. No server may run on it.
    ///
    /// # Errors
    /// The database cannot be asked.
    pub async fn bytes(&self) -> anyhow::Result<u64> {
        if self.kind == Kind::Postgres {
            return self.count("SELECT pg_database_size(current_database())").await;
        }
        rusqlite::Connection::open(self.file())?.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(std::fs::metadata(self.file())?.len())
    }

    fn file(&self) -> PathBuf {
        self.folder().join("bench.db")
    }

    /// Removes the database.
    ///
    /// # Errors
    /// The cluster refuses.
    pub async fn remove(self) -> anyhow::Result<()> {
        if let Some((cluster, name)) = &self.cluster {
            let mut connection = PgConnection::connect(cluster).await?;
            sqlx::query(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)")))
                .execute(&mut connection)
                .await?;
        }
        Ok(())
    }
}

/// A running server with one tenant, one endpoint that leads to the receiver, and the senders above.
pub struct Subject {
    pub place: Place,
    pub server: process::Server,
    tenant: String,
}

impl Subject {
    /// Sets a fresh database up and starts the server on it.
    ///
    /// # Errors
    /// The server refuses the set-up or does not start; its log is in the message.
    pub async fn start(place: Place, hookyard: &Path, plugin: &Path, receiver: SocketAddr) -> anyhow::Result<Self> {
        let folder = place.folder();
        for (file, text) in [
            ("secret", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="),
            ("key", API_KEY),
            ("direct", DIRECT),
            ("kept", KEPT),
            ("plugin", PLUGIN),
            ("forward", FORWARD),
        ] {
            std::fs::write(folder.join(file), text)?;
        }
        std::fs::write(folder.join("setup.toml"), set_up(receiver))?;
        let modules = folder.join("plugins").join("bench");
        std::fs::create_dir_all(&modules)?;
        std::fs::copy(plugin, modules.join("router.wasm")).with_context(|| format!("cannot copy {}", plugin.display()))?;

        let command = |name: &str| {
            let mut command = Command::new(hookyard);
            command
                .arg(name)
                .args(["--database", &place.url])
                .arg("--data-dir")
                .arg(folder)
                .env_remove("HOOKYARD_LOG");
            command
        };
        let applied = process::output(
            command("apply")
                .arg("--file")
                .arg(folder.join("setup.toml"))
                .args(["--format", "json"]),
        )?;
        let applied: serde_json::Value = serde_json::from_str(&applied)?;
        let tenant = applied["tenants"][0]["id"].as_str().context("apply names no tenant")?.to_owned();
        let log = folder.join("server.log");
        let server = process::Server::start(
            command("serve")
                .args(["--listen", "127.0.0.1:0", "--allow-loopback-for-tests"])
                .arg("--plugins-dir")
                .arg(folder.join("plugins")),
            &log,
        )?;
        Ok(Self { place, server, tenant })
    }

    /// Posts of `body` by a token.
    pub fn target(&self, token: &str, body: Bytes) -> anyhow::Result<Target> {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", self.server.address.to_string()),
            ("x-api-key", API_KEY.to_owned()),
            ("content-type", "application/json".to_owned()),
            ("x-github-event", "push".to_owned()),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::try_from(value)?);
        }
        Ok(Target {
            address: self.server.address,
            path: format!("/api/v1/ingest/{}/{token}", self.tenant).parse()?,
            headers,
            body,
        })
    }

    /// Waits until nothing is left to route, deliver or settle.
    ///
    /// # Errors
    /// It takes longer than two minutes; the server's log is in the message.
    pub async fn settled(&self, arrived: impl Fn() -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + SETTLE_DEADLINE;
        loop {
            // The database is asked only when all has arrived: asking costs what is being measured.
            if arrived() && self.place.count(LEFT).await? == 0 {
                return Ok(());
            }
            if Instant::now() > deadline {
                let log = std::fs::read_to_string(self.place.folder().join("server.log")).unwrap_or_default();
                let told: Vec<&str> = log.lines().rev().take(20).collect();
                bail!(
                    "not everything was settled in time; the server says, newest first:\n{}",
                    told.join("\n")
                );
            }
            tokio::time::sleep(SETTLE_LOOK_EVERY).await;
        }
    }

    /// Stops the server, checks that every event and delivery is there and done, and says how many bytes an event takes.
    ///
    /// # Errors
    /// Something is lost, doubled or unfinished.
    pub async fn finish(self, bytes_before: u64, events: usize, deliveries: usize) -> anyhow::Result<u64> {
        self.server.stop()?;
        for (what, sql, expected) in [
            ("events", "SELECT COUNT(*) FROM event", events),
            (
                "undecided events",
                "SELECT COUNT(*) FROM event WHERE state NOT IN ('routed', 'dropped')",
                0,
            ),
            ("deliveries", "SELECT COUNT(*) FROM delivery", deliveries),
            (
                "deliveries made",
                "SELECT COUNT(*) FROM delivery WHERE state = 'delivered'",
                deliveries,
            ),
            ("attempts", "SELECT COUNT(*) FROM attempt", deliveries),
        ] {
            let found = self.place.count(sql).await?;
            ensure!(found == expected as u64, "{found} {what}, not {expected}");
        }
        let bytes = self.place.bytes().await?.saturating_sub(bytes_before) / events.max(1) as u64;
        self.place.remove().await?;
        Ok(bytes)
    }
}

/// Zero exactly when nothing waits and nothing is held; answered from small partial indexes.
const LEFT: &str = "SELECT (SELECT COUNT(*) FROM event WHERE lease IS NOT NULL) \
    + (SELECT COUNT(*) FROM event WHERE state = 'pending' AND lease IS NULL) \
    + (SELECT COUNT(*) FROM delivery WHERE lease IS NOT NULL) \
    + (SELECT COUNT(*) FROM delivery WHERE completed_at IS NULL AND lease IS NULL)";

fn set_up(receiver: SocketAddr) -> String {
    let endpoint = |name: &str, more: &str| {
        format!(
            "[[tenant.endpoint]]\nname = \"{name}\"\nurl = \"http://{receiver}/{name}\"\ninsecure_http = true\n\
             concurrency_max = {CONCURRENCY_MAX}\n{more}\n"
        )
    };
    let sender = |name: &str, more: &str| {
        format!("[[tenant.sender]]\nname = \"{name}\"\ntoken = {{ file = \"{name}\" }}\nevent_type_header = \"x-github-event\"\n{more}\n")
    };
    [
        "[[tenant]]\nname = \"bench\"\nwebhook_secret = { file = \"secret\" }\n[[tenant.api_key]]\nname = \"bench\"\nkey = { file = \"key\" }\n".to_owned(),
        endpoint("sink", "token = { file = \"direct\" }\nmetadata = { repo = \"*\" }"),
        endpoint("original", "metadata = { repo = \"*\", payload = \"original\" }"),
        sender("kept", "endpoints = []"),
        sender("plugin", "plugin = \"router\"\nendpoints = [\"sink\"]"),
        sender("forward", "plugin = \"router\"\nendpoints = [\"original\"]"),
    ]
    .concat()
}
