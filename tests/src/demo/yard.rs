//! The server as an operator has it: a folder, a set-up file, the `hookyard` binary.
//!
//! The server runs as a child process; the set-up is applied and events are looked up by the same binary's other
//! commands. The folder is removed with this value, and the child is ended if it still runs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, bail};
use base64::Engine as _;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::{Child, Command},
    sync::watch,
};

use super::{Options, payloads, sinks::Verifier};
use crate::client::{Client, Post};

/// The demonstration's tenant, and the folder of its plugins.
const TENANT: &str = "acme";
pub(super) const SENDER: &str = "github";
/// The sender whose URL GitHub is given as it is.
pub(super) const WEBHOOK: &str = "webhook";
pub(super) const PLUGIN: &str = "github-to-slack";
/// What the server prints when it is ready.
const READY: &str = "listening on ";
/// How long anything may take: far above what a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often an event is read while it is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Log lines shown when the demonstration breaks off.
const LOG_LINES_SHOWN: usize = 30;

/// Credentials as a set-up reads them from files; made anew for each run.
struct Credentials {
    api_key: String,
    sender_token: String,
    /// Of the sender whose URL is pasted into GitHub, and what is pasted beside it.
    webhook_token: String,
    github_secret: String,
    ledger_token: String,
    webhook_secret: String,
}

impl Credentials {
    fn random() -> Self {
        let hex = || {
            rand::random::<[u8; 16]>()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        let secret = base64::engine::general_purpose::STANDARD.encode(rand::random::<[u8; 32]>());
        Self {
            api_key: format!("hsk_{}", hex()),
            sender_token: format!("sndr_{}", hex()),
            webhook_token: format!("sndr_{}", hex()),
            github_secret: hex(),
            ledger_token: format!("dst_{}", hex()),
            webhook_secret: format!("whsec_{secret}"),
        }
    }
}

pub(super) struct Yard {
    hookyard: PathBuf,
    port: u16,
    folder: TempDir,
    credentials: Credentials,
    child: Option<Child>,
    log: Log,
    base: String,
    tenant: String,
    client: Client,
}

impl Yard {
    /// Makes the folder. Nothing runs yet.
    ///
    /// # Errors
    /// There is no such binary, or no temporary folder.
    pub(super) fn prepare(options: &Options) -> anyhow::Result<Self> {
        let hookyard = fs::canonicalize(&options.hookyard).with_context(|| format!("cannot find {}", options.hookyard.display()))?;
        let folder = tempfile::Builder::new()
            .prefix("hookyard-demo-")
            .tempdir()
            .context("cannot make a temporary folder")?;
        Ok(Self {
            hookyard,
            port: options.port,
            folder,
            credentials: Credentials::random(),
            child: None,
            log: Log::default(),
            base: String::new(),
            tenant: String::new(),
            client: Client::new("", Default::default()),
        })
    }

    /// Starts the server and returns its URL.
    ///
    /// # Errors
    /// It does not come up.
    pub(super) async fn start(&mut self) -> anyhow::Result<String> {
        let mut child = self
            .command(&[
                "serve",
                "--allow-loopback-for-tests",
                "--listen",
                &format!("127.0.0.1:{}", self.port),
            ])
            .env("HOOKYARD_LOG_FORMAT", "json")
            // In a process group of its own: Ctrl-C reaches us only, and we stop the server in order.
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", self.hookyard.display()))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        self.child = Some(child);
        self.log.follow(stderr.context("its log is a pipe")?);
        let mut lines = BufReader::new(stdout.context("its output is a pipe")?).lines();
        let line = tokio::time::timeout(PATIENCE, lines.next_line())
            .await
            .context("the server does not come up")??
            .unwrap_or_default();
        // Keeps the pipe open and empty for as long as the server runs.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        line.strip_prefix(READY)
            .with_context(|| format!("the server did not come up, it said {line:?}"))?
            .clone_into(&mut self.base);
        Ok(self.base.clone())
    }

    /// Writes the set-up file and its secrets, applies it, and returns what changed, one line each.
    ///
    /// # Errors
    /// It does not apply.
    pub(super) async fn apply(&mut self, urls: &[(&'static str, String)]) -> anyhow::Result<Vec<String>> {
        let secrets = self.folder.path().join("secrets");
        fs::create_dir_all(&secrets)?;
        for (file, secret) in [
            ("api-key", &self.credentials.api_key),
            ("sender-token", &self.credentials.sender_token),
            ("webhook-token", &self.credentials.webhook_token),
            ("github-secret", &self.credentials.github_secret),
            ("ledger-token", &self.credentials.ledger_token),
            ("webhook-secret", &self.credentials.webhook_secret),
        ] {
            fs::write(secrets.join(file), secret)?;
        }
        fs::write(self.setup_file(), setup_text(urls, "ignore_bots = true"))?;
        let report = self
            .run(&["apply", "--format", "json", "--file", &self.setup_file().to_string_lossy()])
            .await?;
        let report: Value = serde_json::from_str(&report).context("apply reports JSON")?;
        let tenant = report["tenants"][0]["id"].as_str().context("apply names the tenant's id")?;
        tenant.clone_into(&mut self.tenant);
        let changes = report["changes"].as_array().context("apply lists changes")?;
        Ok(changes
            .iter()
            .map(|change| {
                [&change["action"], &change["kind"], &change["name"]]
                    .map(|word| word.as_str().unwrap_or("?"))
                    .join(" ")
            })
            .collect())
    }

    /// Applies the same set-up with a mistake in the plugin's configuration. Returns the exit code and what was said.
    ///
    /// # Errors
    /// The command cannot be run.
    pub(super) async fn apply_mistake(&self, urls: &[(&'static str, String)]) -> anyhow::Result<(Option<i32>, String)> {
        let file = self.folder.path().join("mistake.toml");
        fs::write(&file, setup_text(urls, "ignore_bots = \"yes\""))?;
        let output = self.output(&["apply", "--file", &file.to_string_lossy()]).await?;
        Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }

    fn setup_file(&self) -> PathBuf {
        self.folder.path().join("hookyard.toml")
    }

    /// Puts a component into the watched folder: written under another name, then renamed.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(super) fn put_plugin(&self, component: &[u8]) -> anyhow::Result<()> {
        let file = self.plugin_file();
        fs::create_dir_all(file.parent().expect("the file is in a folder"))?;
        let beside = file.with_file_name(format!(".{PLUGIN}.part"));
        fs::write(&beside, component).context("cannot write the plugin")?;
        fs::rename(&beside, &file).context("cannot put the plugin in place")
    }

    /// Overwrites the file in place, as an interrupted copy would.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn overwrite_plugin(&self, bytes: &[u8]) -> anyhow::Result<()> {
        fs::write(self.plugin_file(), bytes).context("cannot write the plugin")
    }

    fn plugin_file(&self) -> PathBuf {
        self.data_dir().join("plugins").join(TENANT).join(format!("{PLUGIN}.wasm"))
    }

    /// How many log lines there are; what is waited for comes after them.
    pub(super) fn log_mark(&self) -> usize {
        self.log.len()
    }

    /// Waits for a log line with this message after the mark.
    ///
    /// # Errors
    /// None comes in time.
    pub(super) async fn logged(&self, message: &str, mark: usize) -> anyhow::Result<Value> {
        self.log.wait(message, mark).await
    }

    /// The end of the log, for when something went wrong.
    pub(super) fn last_log_lines(&self) -> String {
        self.log.last()
    }

    /// The URL GitHub would be given.
    pub(super) fn sender_url(&self) -> String {
        self.ingest_url(&self.credentials.sender_token)
    }

    /// The URL of the sender that knows GitHub by its signature.
    pub(super) fn webhook_url(&self) -> String {
        self.ingest_url(&self.credentials.webhook_token)
    }

    pub(super) fn github_secret(&self) -> &str {
        &self.credentials.github_secret
    }

    /// Prepares a post with nothing of ours: neither key nor header.
    pub(super) fn bare_post(&self, url: &str, body: &'static str) -> Post {
        self.client.post_to(url, body)
    }

    pub(super) fn ledger_url(&self) -> String {
        self.ingest_url(&self.credentials.ledger_token)
    }

    pub(super) fn api_key(&self) -> &str {
        &self.credentials.api_key
    }

    fn ingest_url(&self, token: &str) -> String {
        format!("{}/api/v1/ingest/{}/{token}", self.base, self.tenant)
    }

    pub(super) fn verifier(&self) -> Verifier {
        Verifier::new(&self.credentials.webhook_secret)
    }

    /// Prepares a post with the tenant's key.
    pub(super) fn post(&self, url: &str, body: &'static str) -> Post {
        self.client.post_to(url, body).header("x-api-key", &self.credentials.api_key)
    }

    /// Reads an event until it is decided and none of its deliveries waits.
    ///
    /// # Errors
    /// It cannot be read, or is not done in time.
    pub(super) async fn settled(&self, event: &str) -> anyhow::Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = self.run(&["events", event, "--format", "json"]).await?;
            let document: Value = serde_json::from_str(&text).context("an event is shown as JSON")?;
            let waiting = document["deliveries"]
                .as_array()
                .is_none_or(|deliveries| deliveries.iter().any(|delivery| delivery["state"] == "waiting"));
            if document["state"] != "pending" && !waiting {
                return Ok(document);
            }
            if Instant::now() > deadline {
                bail!("event {event} was not done after {PATIENCE:?}: {text}");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Asks the server to stop (SIGTERM) and waits for its end. Says how it ended; nothing to do if it never ran.
    ///
    /// # Errors
    /// It had ended by itself, does not end, or says that something went wrong.
    pub(super) async fn stop(&mut self) -> anyhow::Result<String> {
        let Some(mut child) = self.child.take() else {
            return Ok("was not started".to_owned());
        };
        let began = Instant::now();
        if let Some(status) = child.try_wait()? {
            bail!("the server had ended by itself: {status}");
        }
        let pid = child.id().context("a running child has an id")?;
        let told = Command::new("kill").args(["-TERM", &pid.to_string()]).status().await?;
        if !told.success() {
            bail!("the server cannot be told to stop");
        }
        let status = tokio::time::timeout(PATIENCE, child.wait())
            .await
            .map_err(|_| anyhow!("the server did not stop within {PATIENCE:?} and was killed"))??;
        if !status.success() {
            bail!("the server ended with {status}");
        }
        Ok(format!("stopped in order within {:.1} s", began.elapsed().as_secs_f64()))
    }

    async fn run(&self, args: &[&str]) -> anyhow::Result<String> {
        let output = self.output(args).await?;
        if !output.status.success() {
            bail!("hookyard {} failed: {}", args[0], String::from_utf8_lossy(&output.stderr).trim());
        }
        String::from_utf8(output.stdout).context("its output is text")
    }

    async fn output(&self, args: &[&str]) -> anyhow::Result<std::process::Output> {
        tokio::time::timeout(PATIENCE, self.command(args).output())
            .await
            .with_context(|| format!("hookyard {} does not end", args[0]))?
            .with_context(|| format!("cannot run {}", self.hookyard.display()))
    }

    /// The binary with this folder, and nothing from the environment.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.hookyard);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HOOKYARD_") {
                command.env_remove(name);
            }
        }
        command
            .args(args)
            .env_remove("DATABASE_URL")
            .env("HOOKYARD_DATA_DIR", self.data_dir())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    fn data_dir(&self) -> PathBuf {
        Path::new(self.folder.path()).join("data")
    }
}

/// The declarative set-up; secrets are in files beside it.
fn setup_text(urls: &[(&'static str, String)], config: &str) -> String {
    let endpoints = quoted(payloads::ENDPOINTS.iter().map(|endpoint| endpoint.name)).join(", ");
    let mut text = format!(
        r#"[[tenant]]
name = "{TENANT}"
webhook_secret = {{ file = "secrets/webhook-secret" }}

[[tenant.api_key]]
name = "github"
key = {{ file = "secrets/api-key" }}

[[tenant.sender]]
name = "{SENDER}"
token = {{ file = "secrets/sender-token" }}
plugin = "{PLUGIN}"
config = {{ {config} }}
event_type_header = "X-GitHub-Event"
expose_headers = ["X-GitHub-Delivery"]
endpoints = [{endpoints}]

[[tenant.sender]]
name = "{WEBHOOK}"
token = {{ file = "secrets/webhook-token" }}
plugin = "{PLUGIN}"
config = {{ {config} }}
expose_headers = ["X-GitHub-Delivery"]
endpoints = [{endpoints}]
verification = {{ kind = "github", secrets = [{{ file = "secrets/github-secret" }}] }}
"#,
    );
    for (name, url) in urls {
        text.push_str(&format!(
            "\n[[tenant.endpoint]]\nname = \"{name}\"\nurl = \"{url}\"\ninsecure_http = true\n"
        ));
        if *name == payloads::LEDGER {
            text.push_str("token = { file = \"secrets/ledger-token\" }\n");
        }
        if let Some(endpoint) = payloads::ENDPOINTS.iter().find(|endpoint| endpoint.name == *name) {
            let pairs: Vec<_> = endpoint
                .metadata
                .iter()
                .map(|(key, value)| format!("{key} = \"{value}\""))
                .collect();
            text.push_str(&format!("metadata = {{ {} }}\n", pairs.join(", ")));
        }
    }
    text
}

fn quoted(names: impl Iterator<Item = &'static str>) -> Vec<String> {
    names.map(|name| format!("\"{name}\"")).collect()
}

/// The server's log, line by line as it comes.
#[derive(Clone, Default)]
struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    count: Arc<watch::Sender<usize>>,
}

impl Log {
    /// Collects lines until the writer closes its end.
    fn follow(&self, from: impl AsyncRead + Unpin + Send + 'static) {
        let log = self.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(from).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                log.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                log.count.send_modify(|count| *count += 1);
            }
        });
    }

    fn len(&self) -> usize {
        self.snapshot().len()
    }

    fn snapshot(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn wait(&self, message: &str, mark: usize) -> anyhow::Result<Value> {
        let mut count = self.count.subscribe();
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let lines = self.snapshot();
                let mut parsed = lines.iter().skip(mark).filter_map(|line| serde_json::from_str::<Value>(line).ok());
                if let Some(found) = parsed.find(|line| line["message"] == message) {
                    return Ok(found);
                }
                count.changed().await?;
            }
        });
        waited
            .await
            .map_err(|_| anyhow!("the server did not log {message:?} within {PATIENCE:?}"))?
    }

    fn last(&self) -> String {
        let lines = self.snapshot();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_up_is_toml_and_leaves_the_ledger_to_its_own_token() {
        let urls = [
            (payloads::CHAT, "http://127.0.0.1:1/hook".to_owned()),
            (payloads::LEDGER, "http://127.0.0.1:2/hook".to_owned()),
        ];
        let setup: toml::Table = setup_text(&urls, "ignore_bots = true").parse().expect("it is TOML");
        let tenant = &setup["tenant"][0];
        assert_eq!(tenant["endpoint"][0]["metadata"]["repo"].as_str(), Some("Codertocat/*"));
        assert!(tenant["endpoint"][0].get("token").is_none() && tenant["endpoint"][1].get("token").is_some());
        let senders = tenant["sender"][0]["endpoints"].as_array().expect("a list");
        assert!(!senders.iter().any(|name| name.as_str() == Some(payloads::LEDGER)));
    }
}
