//! The set-up file: tenants, keys, endpoints and senders, as TOML.
//!
//! Reading collects every problem of the file instead of stopping at the first, each with the place it stands at.
//! Secrets never stand in the file: they come from the environment or from files of their own.

use std::{collections::BTreeMap, io::Read as _, path::Path};

use hookyard_domain::{failure::FailurePolicy, pattern::EventPattern, retry::AttemptsMax, signature::SigningKey};
use serde::Deserialize;
use url::Url;

use crate::store::SecretText;

/// Characters of a name: it stands in paths, logs and pages.
const NAME_CHARS_MAX: usize = 64;
/// Shortest credential: below it a token could be guessed.
const CREDENTIAL_CHARS_MIN: usize = 20;
/// Longest ingest token (docs/contracts/hooksentry.md, section 12).
const TOKEN_CHARS_MAX: usize = 512;
/// Far above any secret, far below what a device file would give.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1_024;
const URL_CHARS_MAX: usize = 2_048;
const METADATA_KEYS_MAX: usize = 32;
const METADATA_VALUE_CHARS_MAX: usize = 1_024;
/// A sender's plugin configuration; it is handed to every run.
const CONFIG_BYTES_MAX: usize = 64 * 1_024;
/// Attempts at once to one endpoint (the bound HookSentry's dashboard sets is 100; machines of a team's own take more).
const CONCURRENCY_MAX: u32 = 1_024;
/// Concurrent deliveries unless the file says otherwise (docs/contracts/hooksentry.md, section 9).
const CONCURRENCY_DEFAULT: u32 = 5;
/// docs/contracts/hooksentry.md, section 5.
const BREAKER_BLOCK_S_DEFAULT: u32 = 300;
const BREAKER_BLOCK_S_MAX: u32 = 86_400;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    tenant: Vec<RawTenant>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTenant {
    name: String,
    webhook_secret: SecretSource,
    attempts_max: Option<u16>,
    breaker_block_s: Option<u32>,
    #[serde(default)]
    api_key: Vec<RawApiKey>,
    #[serde(default)]
    endpoint: Vec<RawEndpoint>,
    #[serde(default)]
    sender: Vec<RawSender>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawApiKey {
    name: String,
    key: SecretSource,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEndpoint {
    name: String,
    environment: Option<String>,
    url: String,
    #[serde(default)]
    insecure_http: bool,
    #[serde(default)]
    inactive: bool,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    events: Option<Vec<String>>,
    concurrency_max: Option<u32>,
    token: Option<SecretSource>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSender {
    name: String,
    environment: Option<String>,
    token: SecretSource,
    #[serde(default)]
    inactive: bool,
    plugin: Option<String>,
    config: Option<toml::Table>,
    event_type_header: Option<String>,
    #[serde(default)]
    expose_headers: Vec<String>,
    endpoints: Option<Vec<String>>,
    on_failure: Option<String>,
}

/// Where a secret is read from: exactly one of the two.
#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a secret's source, { env = \"NAME\" } or { file = \"PATH\" }: secrets never stand in the file"
)]
struct SecretSource {
    env: Option<String>,
    file: Option<String>,
}

/// A checked set-up.
#[derive(Debug, Default)]
pub struct Setup {
    pub tenants: Vec<TenantSetup>,
}

#[derive(Debug)]
pub struct TenantSetup {
    pub name: String,
    pub webhook_secret: SecretText,
    pub attempts_max: u16,
    pub breaker_block_s: u32,
    pub api_keys: Vec<(String, SecretText)>,
    pub endpoints: Vec<EndpointSetup>,
    pub senders: Vec<SenderSetup>,
}

#[derive(Debug)]
pub struct EndpointSetup {
    pub name: String,
    pub environment: String,
    pub url: String,
    pub status: &'static str,
    pub metadata: BTreeMap<String, String>,
    pub events: Vec<String>,
    pub concurrency_max: u32,
    pub token: Option<SecretText>,
}

#[derive(Debug)]
pub struct SenderSetup {
    pub name: String,
    pub environment: String,
    pub token: SecretText,
    pub status: &'static str,
    pub plugin: Option<String>,
    /// JSON text.
    pub config: String,
    pub event_type_header: Option<String>,
    pub exposed_headers: Vec<String>,
    pub endpoints: Option<Vec<String>>,
    pub failure_policy: FailurePolicy,
}

/// Everything that is wrong with a file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Problems(pub Vec<String>);

/// Where secrets come from; a parameter, so that the rules can be tested without an environment.
pub trait Secrets {
    fn variable(&self, name: &str) -> Result<String, String>;
    fn file(&self, path: &Path) -> Result<String, String>;
}

/// The process's environment and file system; relative paths start at the set-up file's folder.
pub struct SystemSecrets<'a> {
    pub base: &'a Path,
}

impl Secrets for SystemSecrets<'_> {
    fn variable(&self, name: &str) -> Result<String, String> {
        std::env::var(name).map_err(|_| format!("environment variable {name} is not set"))
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        let mut text = String::new();
        std::fs::File::open(self.base.join(path))
            .and_then(|file| file.take(SECRET_FILE_BYTES_MAX + 1).read_to_string(&mut text))
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        if text.len() as u64 > SECRET_FILE_BYTES_MAX {
            return Err(format!("{} is larger than {SECRET_FILE_BYTES_MAX} bytes", path.display()));
        }
        Ok(text)
    }
}

/// Reads and checks a set-up file.
///
/// # Errors
/// All its problems; nothing of it is used then.
pub fn read(text: &str, secrets: &dyn Secrets) -> Result<Setup, Problems> {
    let raw: RawFile = toml::from_str(text).map_err(|error| Problems(vec![syntax(text, &error)]))?;
    let mut reader = Reader {
        problems: Vec::new(),
        secrets,
    };
    let mut setup = Setup::default();
    if raw.tenant.is_empty() {
        reader.problem("the file", "sets up nothing: it has no [[tenant]]");
    }
    for tenant in raw.tenant {
        let tenant = reader.tenant(tenant);
        if setup.tenants.iter().any(|other| other.name == tenant.name) {
            reader.problem(&format!("tenant \"{}\"", tenant.name), "stands twice");
        }
        setup.tenants.push(tenant);
    }
    reader.check_credentials_differ(&setup);
    if reader.problems.is_empty() {
        Ok(setup)
    } else {
        Err(Problems(reader.problems))
    }
}

/// The line and what is wrong with it. Not the line itself: it may hold a secret that should not stand there.
fn syntax(text: &str, error: &toml::de::Error) -> String {
    let message = match error.message().split_once(", expected ") {
        // The value is in the message, too.
        Some((found, expected)) if found.starts_with("invalid type: string") => format!("a string, expected {expected}"),
        _ => error.message().to_owned(),
    };
    match error.span() {
        Some(span) => {
            let line = text.get(..span.start).map_or(1, |before| before.matches('\n').count() + 1);
            format!("line {line}: {message}")
        }
        None => message,
    }
}

/// A plugin's configuration as it is handed over. What JSON has no form for is refused: guessing one would reach the
/// plugin as something nobody wrote.
fn json(value: toml::Value) -> Result<serde_json::Value, &'static str> {
    Ok(match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) if number.is_finite() => number.into(),
        toml::Value::Float(_) => return Err("JSON has no inf and nan"),
        toml::Value::Boolean(truth) => truth.into(),
        toml::Value::Datetime(_) => return Err("JSON has no dates and times: write them as strings, in quotes"),
        toml::Value::Array(items) => items.into_iter().map(json).collect::<Result<Vec<_>, _>>()?.into(),
        toml::Value::Table(table) => {
            let members = table.into_iter().map(|(key, value)| Ok::<_, &str>((key, json(value)?)));
            serde_json::Value::Object(members.collect::<Result<_, _>>()?)
        }
    })
}

struct Reader<'a> {
    problems: Vec<String>,
    secrets: &'a dyn Secrets,
}

impl Reader<'_> {
    fn problem(&mut self, at: &str, what: &str) {
        self.problems.push(format!("{at}: {what}"));
    }

    fn name(&mut self, at: &str, name: &str) {
        let fits = (1..=NAME_CHARS_MAX).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c));
        if !fits {
            let rule = format!("a name has 1 to {NAME_CHARS_MAX} of a-z, 0-9, '-', '_' and '.', and begins with a letter or digit");
            self.problem(at, &rule);
        }
    }

    fn secret(&mut self, at: &str, source: &SecretSource) -> SecretText {
        let read = match (&source.env, &source.file) {
            (Some(name), None) => self.secrets.variable(name),
            (None, Some(path)) => self.secrets.file(Path::new(path)),
            _ => Err("give exactly one of env and file".to_owned()),
        };
        match read {
            Ok(text) if text.trim().is_empty() => {
                self.problem(at, "is empty");
                SecretText::new(String::new())
            }
            Ok(text) => SecretText::new(text.trim().to_owned()),
            Err(problem) => {
                self.problem(at, &problem);
                SecretText::new(String::new())
            }
        }
    }

    fn credential(&mut self, at: &str, source: &SecretSource, prefix: &str) -> SecretText {
        let secret = self.secret(at, source);
        let text = secret.expose();
        if text.is_empty() {
            // Told when it was read.
        } else if !text.starts_with(prefix) {
            self.problem(at, &format!("must begin with {prefix}"));
        } else if !(CREDENTIAL_CHARS_MIN..=TOKEN_CHARS_MAX).contains(&text.len()) {
            self.problem(at, &format!("must have {CREDENTIAL_CHARS_MIN} to {TOKEN_CHARS_MAX} characters"));
        } else if !text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
            self.problem(at, "may hold letters, digits, '-', '_' and '.' only");
        }
        secret
    }

    fn tenant(&mut self, raw: RawTenant) -> TenantSetup {
        let at = format!("tenant \"{}\"", raw.name);
        self.name(&at, &raw.name);
        let secret_at = format!("{at}, webhook_secret");
        let webhook_secret = self.secret(&secret_at, &raw.webhook_secret);
        if !webhook_secret.expose().is_empty()
            && let Err(problem) = SigningKey::of_text(webhook_secret.expose())
        {
            self.problem(&secret_at, &problem.to_string());
        }
        let attempts_max = raw.attempts_max.unwrap_or(AttemptsMax::default().get());
        if let Err(error) = AttemptsMax::new(attempts_max) {
            self.problem(&format!("{at}, attempts_max"), &error.to_string());
        }
        let breaker_block_s = raw.breaker_block_s.unwrap_or(BREAKER_BLOCK_S_DEFAULT);
        if !(1..=BREAKER_BLOCK_S_MAX).contains(&breaker_block_s) {
            self.problem(&format!("{at}, breaker_block_s"), &format!("must be 1 to {BREAKER_BLOCK_S_MAX}"));
        }
        let api_keys = raw
            .api_key
            .into_iter()
            .map(|key| {
                let at = format!("{at}, api_key \"{}\"", key.name);
                self.name(&at, &key.name);
                let secret = self.credential(&format!("{at}, key"), &key.key, "");
                (key.name, secret)
            })
            .collect::<Vec<_>>();
        self.no_twins(&at, "api_key", api_keys.iter().map(|(name, _)| name.clone()));
        let endpoints: Vec<_> = raw.endpoint.into_iter().map(|endpoint| self.endpoint(&at, endpoint)).collect();
        self.no_twins(
            &at,
            "endpoint",
            endpoints
                .iter()
                .map(|endpoint| format!("{}/{}", endpoint.environment, endpoint.name)),
        );
        let senders: Vec<_> = raw.sender.into_iter().map(|sender| self.sender(&at, sender)).collect();
        self.no_twins(
            &at,
            "sender",
            senders.iter().map(|sender| format!("{}/{}", sender.environment, sender.name)),
        );
        TenantSetup {
            name: raw.name,
            webhook_secret,
            attempts_max,
            breaker_block_s,
            api_keys,
            endpoints,
            senders,
        }
    }

    fn no_twins(&mut self, at: &str, kind: &str, names: impl Iterator<Item = String>) {
        let mut seen = std::collections::BTreeSet::new();
        for name in names {
            if !seen.insert(name.clone()) {
                self.problem(&format!("{at}, {kind} \"{name}\""), "stands twice");
            }
        }
    }

    fn environment(&mut self, at: &str, name: Option<String>) -> String {
        let name = name.unwrap_or_else(|| "production".to_owned());
        self.name(&format!("{at}, environment"), &name);
        name
    }

    fn endpoint(&mut self, tenant: &str, raw: RawEndpoint) -> EndpointSetup {
        let at = format!("{tenant}, endpoint \"{}\"", raw.name);
        self.name(&at, &raw.name);
        self.url(&format!("{at}, url"), &raw.url, raw.insecure_http);
        if raw.metadata.len() > METADATA_KEYS_MAX {
            self.problem(&format!("{at}, metadata"), &format!("has more than {METADATA_KEYS_MAX} keys"));
        }
        for (key, value) in &raw.metadata {
            if key.is_empty() || key.len() > NAME_CHARS_MAX || value.len() > METADATA_VALUE_CHARS_MAX {
                self.problem(
                    &format!("{at}, metadata \"{key}\""),
                    "a key has 1 to 64 characters, a value up to 1024",
                );
            }
        }
        let events = raw.events.unwrap_or_else(|| vec!["*".to_owned()]);
        if events.is_empty() {
            self.problem(
                &format!("{at}, events"),
                "is empty: such an endpoint would never get anything; set inactive = true instead",
            );
        }
        for pattern in &events {
            if let Err(error) = EventPattern::parse(pattern) {
                self.problem(&format!("{at}, events \"{pattern}\""), &error.to_string());
            }
        }
        let concurrency_max = raw.concurrency_max.unwrap_or(CONCURRENCY_DEFAULT);
        if !(1..=CONCURRENCY_MAX).contains(&concurrency_max) {
            self.problem(&format!("{at}, concurrency_max"), &format!("must be 1 to {CONCURRENCY_MAX}"));
        }
        EndpointSetup {
            environment: self.environment(&at, raw.environment),
            token: raw
                .token
                .as_ref()
                .map(|token| self.credential(&format!("{at}, token"), token, "dst_")),
            name: raw.name,
            url: raw.url,
            status: if raw.inactive { "inactive" } else { "active" },
            metadata: raw.metadata,
            events,
            concurrency_max,
        }
    }

    fn url(&mut self, at: &str, text: &str, insecure_http: bool) {
        if text.len() > URL_CHARS_MAX {
            return self.problem(at, &format!("is longer than {URL_CHARS_MAX} characters"));
        }
        match Url::parse(text) {
            Err(error) => self.problem(at, &format!("is no URL: {error}")),
            Ok(url) => match url.scheme() {
                _ if !url.username().is_empty() || url.password().is_some() => self.problem(at, "must not hold a user name or password"),
                _ if url.host().is_none() => self.problem(at, "names no host"),
                "https" => {}
                "http" if insecure_http => {}
                "http" => self.problem(at, "must be https; set insecure_http = true to send payloads in the clear"),
                scheme => self.problem(at, &format!("must be https, not {scheme}")),
            },
        }
    }

    fn sender(&mut self, tenant: &str, raw: RawSender) -> SenderSetup {
        let at = format!("{tenant}, sender \"{}\"", raw.name);
        self.name(&at, &raw.name);
        if let Some(plugin) = &raw.plugin {
            self.name(&format!("{at}, plugin"), plugin);
        }
        let config = json(toml::Value::Table(raw.config.unwrap_or_default())).unwrap_or_else(|problem| {
            self.problem(&format!("{at}, config"), problem);
            serde_json::Value::Null
        });
        let config = config.to_string();
        if config.len() > CONFIG_BYTES_MAX {
            self.problem(&format!("{at}, config"), &format!("is larger than {CONFIG_BYTES_MAX} bytes"));
        }
        for name in raw.event_type_header.iter().chain(&raw.expose_headers) {
            if let Err(error) = http::HeaderName::try_from(name) {
                self.problem(&format!("{at}, header \"{name}\""), &error.to_string());
            } else if ["x-api-key", "authorization", "cookie"].contains(&name.to_ascii_lowercase().as_str()) {
                self.problem(
                    &format!("{at}, header \"{name}\""),
                    "holds a credential and is never shown to a plugin",
                );
            }
        }
        let policy = raw.on_failure.as_deref().unwrap_or(FailurePolicy::default().as_str()).to_owned();
        let failure_policy = FailurePolicy::parse(&policy).unwrap_or_else(|| {
            self.problem(&format!("{at}, on_failure"), "must be hold, dead-letter or pass-through");
            FailurePolicy::default()
        });
        SenderSetup {
            environment: self.environment(&at, raw.environment),
            token: self.credential(&format!("{at}, token"), &raw.token, "sndr_"),
            name: raw.name,
            status: if raw.inactive { "inactive" } else { "active" },
            plugin: raw.plugin,
            config,
            event_type_header: raw.event_type_header.map(|name| name.to_ascii_lowercase()),
            exposed_headers: raw.expose_headers.iter().map(|name| name.to_ascii_lowercase()).collect(),
            endpoints: raw.endpoints,
            failure_policy,
        }
    }

    /// A credential names one thing: looked up by its hash, a shared one would reach only one of its owners.
    fn check_credentials_differ(&mut self, setup: &Setup) {
        let mut seen: BTreeMap<&str, String> = BTreeMap::new();
        let mut twins = Vec::new();
        for tenant in &setup.tenants {
            let keys = tenant.api_keys.iter().map(|(name, key)| (format!("api_key \"{name}\""), key));
            let endpoints = tenant.endpoints.iter().filter_map(|endpoint| {
                endpoint
                    .token
                    .as_ref()
                    .map(|token| (format!("endpoint \"{}\"", endpoint.name), token))
            });
            let senders = tenant
                .senders
                .iter()
                .map(|sender| (format!("sender \"{}\"", sender.name), &sender.token));
            for (owner, secret) in keys.chain(endpoints).chain(senders) {
                let owner = format!("tenant \"{}\", {owner}", tenant.name);
                if secret.expose().is_empty() {
                    continue;
                }
                if let Some(other) = seen.insert(secret.expose(), owner.clone()) {
                    twins.push(format!("{owner}: has the same credential as {other}"));
                }
            }
        }
        self.problems.extend(twins);
    }
}

#[cfg(test)]
mod tests;
