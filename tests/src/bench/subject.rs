//! What is measured: the real server as a child process, on a fresh database of its own.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    load::Target,
    place::Place,
    process,
    setup::{API_KEY, SetUp},
};

/// Everything accepted is settled within this, or the row has failed.
const SETTLE_DEADLINE: Duration = Duration::from_secs(120);
/// How often it is asked whether everything is settled, once all deliveries have arrived.
const SETTLE_LOOK_EVERY: Duration = Duration::from_millis(2);
/// How much of the server's log goes into an error.
const LOG_TAIL_LINES: usize = 20;

/// Zero exactly when nothing waits and nothing is held in memory; the work tables hold nothing else that is counted here.
const LEFT: &str = "SELECT (SELECT COUNT(*) FROM route_work WHERE state = 'pending') \
    + (SELECT COUNT(*) FROM delivery_work WHERE state = 'waiting')";

/// What a server is started from.
#[derive(Debug)]
pub struct Programs {
    pub hookyard: PathBuf,
    pub plugin: PathBuf,
}

/// A database that is set up, without a server.
pub struct Prepared {
    pub place: Place,
    hookyard: PathBuf,
    tenant: String,
}

/// A running server.
pub struct Subject {
    pub prepared: Prepared,
    pub server: process::Server,
}

impl Prepared {
    /// Applies a set-up to a fresh database.
    ///
    /// # Errors
    /// The server's program refuses it.
    pub fn apply(place: Place, programs: &Programs, set_up: &SetUp) -> anyhow::Result<Self> {
        set_up.write(place.folder(), &programs.plugin)?;
        let mut prepared = Self {
            place,
            hookyard: programs.hookyard.clone(),
            tenant: String::new(),
        };
        let applied = process::output(
            prepared
                .command("apply")
                .arg("--file")
                .arg(prepared.place.folder().join("setup.toml"))
                .args(["--format", "json"]),
        )?;
        let applied: serde_json::Value = serde_json::from_str(&applied)?;
        prepared.tenant = applied["tenants"][0]["id"].as_str().context("apply names no tenant")?.to_owned();
        Ok(prepared)
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(&self.hookyard);
        command
            .arg(name)
            .args(["--database", &self.place.url])
            .arg("--data-dir")
            .arg(self.place.folder())
            .env_remove("HOOKYARD_LOG");
        command
    }

    /// Starts the server.
    ///
    /// # Errors
    /// It does not start; its log is in the message.
    pub fn serve(self) -> anyhow::Result<Subject> {
        let server = process::Server::start(
            self.command("serve")
                .args(["--listen", "127.0.0.1:0", "--allow-loopback-for-tests"])
                .arg("--plugins-dir")
                .arg(self.place.folder().join("plugins")),
            &self.log(),
        )?;
        Ok(Subject { prepared: self, server })
    }

    fn log(&self) -> PathBuf {
        self.place.folder().join("server.log")
    }
}

impl Subject {
    /// Sets a fresh database up and starts the server on it.
    ///
    /// # Errors
    /// The server refuses the set-up or does not start; its log is in the message.
    pub fn start(place: Place, programs: &Programs, set_up: &SetUp) -> anyhow::Result<Self> {
        Prepared::apply(place, programs, set_up)?.serve()
    }

    pub fn place(&self) -> &Place {
        &self.prepared.place
    }

    pub fn folder(&self) -> &Path {
        self.prepared.place.folder()
    }

    /// Posts of `body` by a token.
    ///
    /// # Errors
    /// The token does not fit into a path.
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
            path: format!("/api/v1/ingest/{}/{token}", self.prepared.tenant).parse()?,
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
            if arrived() && self.place().count(LEFT).await? == 0 {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("not everything was settled in time; {}", self.last_words());
            }
            tokio::time::sleep(SETTLE_LOOK_EVERY).await;
        }
    }

    /// The end of the server's log.
    pub fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.prepared.log()).unwrap_or_default();
        let told: Vec<&str> = log.lines().rev().take(LOG_TAIL_LINES).collect();
        format!("the server says, newest first:\n{}", told.join("\n"))
    }

    /// Stops the server and leaves its database.
    ///
    /// # Errors
    /// It does not end as it should.
    pub fn stop(self) -> anyhow::Result<Prepared> {
        self.server.stop()?;
        Ok(self.prepared)
    }

    /// Ends the server without waiting for what it is doing, and leaves its database.
    pub fn kill(self) -> Place {
        drop(self.server);
        self.prepared.place
    }

    /// Stops the server, checks that every event and delivery is there and done, and says how many bytes an event takes.
    ///
    /// # Errors
    /// Something is lost, doubled or unfinished.
    pub async fn finish(self, bytes_before: u64, events: usize, deliveries: usize) -> anyhow::Result<u64> {
        let place = self.stop()?.place;
        for (what, sql, expected) in [
            ("events", "SELECT COUNT(*) FROM event", events),
            ("undecided events", "SELECT COUNT(*) FROM route_work", 0),
            ("deliveries", "SELECT COUNT(*) FROM delivery", deliveries),
            ("unfinished deliveries", "SELECT COUNT(*) FROM delivery_work", 0),
            (
                "attempts that were answered 200",
                "SELECT COUNT(*) FROM attempt WHERE status = 200",
                deliveries,
            ),
            ("attempts", "SELECT COUNT(*) FROM attempt", deliveries),
        ] {
            let found = place.count(sql).await?;
            ensure!(found == expected as u64, "{found} {what}, not {expected}");
        }
        let bytes = place.bytes().await?.saturating_sub(bytes_before) / events.max(1) as u64;
        place.remove().await?;
        Ok(bytes)
    }
}
