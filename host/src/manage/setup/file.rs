//! The set-up file: tenants, keys, endpoints and senders, as TOML.
//!
//! Reading collects every problem of the file instead of stopping at the first, each with the place it stands at.
//! Secrets never stand in the file: they come from the environment or from files of their own.

use std::{io::Read as _, path::Path};

use hookyard_domain::{failure::FailurePolicy, profile, profile::Profile};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{ApiKeySetup, EndpointSetup, Removed, SenderSetup, Setup, TenantSetup};
use crate::{
    configuration::{EndpointStatus, InboundCheck, MappingFailure},
    manage::{EndpointFields, PlainHttp, Problems, SenderFields, TenantFields, tenant::FIRST_ENVIRONMENT},
    store::{SecretText, VerificationRow},
    verification::Verification,
};

/// Far above any secret, far below what a device file would give.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1_024;

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
    #[serde(default)]
    remove: RawRemoved,
}

/// Names of what shall not be there; of endpoints and senders outside the default environment as `environment/name`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRemoved {
    #[serde(default)]
    api_keys: Vec<String>,
    #[serde(default)]
    endpoints: Vec<String>,
    #[serde(default)]
    senders: Vec<String>,
}

impl RawRemoved {
    fn read(self) -> Removed {
        let place = |name: String| match name.split_once('/') {
            Some((environment, name)) => (environment.to_owned(), name.to_owned()),
            None => (FIRST_ENVIRONMENT.to_owned(), name),
        };
        Removed {
            api_keys: self.api_keys,
            endpoints: self.endpoints.into_iter().map(place).collect(),
            senders: self.senders.into_iter().map(place).collect(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawApiKey {
    name: String,
    key: SecretSource,
    disabled: Option<bool>,
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
    description: Option<String>,
    profile: Option<String>,
    metadata: Option<toml::Table>,
    events: Option<Vec<String>>,
    concurrency_max: Option<u32>,
    attempts_max: Option<u16>,
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
    /// A JSON object, as a text: the order of its members is that of the output.
    mapping: Option<String>,
    on_mapping_failure: Option<String>,
    verification: Option<RawVerification>,
}

/// How a service's own signature is checked: the settings of [`Verification`], and the secrets beside them, newest first.
#[derive(Debug, Deserialize)]
struct RawVerification {
    secrets: Vec<SecretSource>,
    #[serde(flatten)]
    settings: Verification,
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
    let mut reader = Reader {
        problems: Problems::default(),
        secrets,
    };
    let raw: RawFile = match toml::from_str(text) {
        Ok(raw) => raw,
        Err(error) => {
            let (place, message) = syntax(text, &error);
            reader.problems.add(place, message);
            return Err(reader.problems);
        }
    };
    if raw.tenant.is_empty() {
        reader.problems.add("the file", "sets up nothing: it has no [[tenant]]");
    }
    let setup = Setup {
        tenants: raw.tenant.into_iter().map(|tenant| reader.tenant(tenant)).collect(),
    };
    let mut problems = reader.problems;
    // A field that could not even be read has been told of.
    let unread: Vec<String> = problems.0.iter().map(|problem| problem.field.clone()).collect();
    let checked = setup.check().0.into_iter().filter(|problem| !unread.contains(&problem.field));
    problems.0.extend(checked);
    if problems.0.is_empty() { Ok(setup) } else { Err(problems) }
}

/// The line and what is wrong with it. Not the line itself: it may hold a secret that should not stand there.
fn syntax(text: &str, error: &toml::de::Error) -> (String, String) {
    let message = match error.message().split_once(", expected ") {
        // The value is in the message, too.
        Some((found, expected)) if found.starts_with("invalid type: string") => format!("a string, expected {expected}"),
        _ => error.message().to_owned(),
    };
    match error.span() {
        Some(span) => {
            let line = text.get(..span.start).map_or(1, |before| before.matches('\n').count() + 1);
            (format!("line {line}"), message)
        }
        None => ("the file".to_owned(), message),
    }
}

/// A plugin's configuration as it is handed over. What JSON has no form for is refused: guessing one would reach the
/// plugin as something nobody wrote.
fn json(value: toml::Value) -> Result<Value, &'static str> {
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
            Value::Object(members.collect::<Result<_, _>>()?)
        }
    })
}

struct Reader<'a> {
    problems: Problems,
    secrets: &'a dyn Secrets,
}

impl Reader<'_> {
    /// An empty text stands for one that could not be read.
    fn secret(&mut self, at: &str, source: &SecretSource) -> SecretText {
        let read = match (&source.env, &source.file) {
            (Some(name), None) => self.secrets.variable(name),
            (None, Some(path)) => self.secrets.file(Path::new(path)),
            _ => Err("give exactly one of env and file".to_owned()),
        };
        let problem = match read {
            Ok(text) if text.trim().is_empty() => "is empty".to_owned(),
            Ok(text) => return SecretText::new(text.trim().to_owned()),
            Err(problem) => problem,
        };
        self.problems.add(at, problem);
        SecretText::new(String::new())
    }

    fn json(&mut self, at: &str, table: Option<toml::Table>) -> Map<String, Value> {
        match json(toml::Value::Table(table.unwrap_or_default())) {
            Ok(Value::Object(object)) => object,
            Ok(_) => Map::new(),
            Err(problem) => {
                self.problems.add(at, problem);
                Map::new()
            }
        }
    }

    fn tenant(&mut self, raw: RawTenant) -> TenantSetup {
        let at = format!("tenant \"{}\"", raw.name);
        let webhook_secret = self.secret(&format!("{at}, webhook_secret"), &raw.webhook_secret);
        let mut fields = TenantFields::new(&raw.name, webhook_secret);
        fields.attempts_max = raw.attempts_max.unwrap_or(fields.attempts_max);
        fields.breaker_block_s = raw.breaker_block_s.unwrap_or(fields.breaker_block_s);
        let api_keys = raw.api_key.into_iter().map(|key| {
            let text = self.secret(&format!("{at}, api_key \"{}\", key", key.name), &key.key);
            ApiKeySetup {
                name: key.name,
                text,
                disabled: key.disabled,
            }
        });
        let api_keys = api_keys.collect();
        TenantSetup {
            fields,
            api_keys,
            endpoints: raw.endpoint.into_iter().map(|endpoint| self.endpoint(&at, endpoint)).collect(),
            senders: raw.sender.into_iter().map(|sender| self.sender(&at, sender)).collect(),
            removed: raw.remove.read(),
        }
    }

    fn endpoint(&mut self, tenant: &str, raw: RawEndpoint) -> EndpointSetup {
        let at = format!("{tenant}, endpoint \"{}\"", raw.name);
        let named = |name: &str| Profile::named(name).ok_or_else(|| format!("there is no profile \"{name}\""));
        let profile = raw.profile.as_deref().map(named).transpose().unwrap_or_else(|problem| {
            self.problems.add(format!("{at}, profile"), problem);
            None
        });
        let mut fields = EndpointFields::at(&raw.url);
        fields.name = Some(raw.name.clone());
        fields.description = raw.description;
        fields.profile = profile.unwrap_or(profile::DEFAULT);
        if raw.insecure_http {
            fields.plain_http = PlainHttp::Allowed;
        }
        if raw.inactive {
            fields.status = EndpointStatus::Inactive;
        }
        fields.metadata = self.json(&format!("{at}, metadata"), raw.metadata);
        fields.events = raw.events.unwrap_or(fields.events);
        fields.concurrency_max = raw.concurrency_max.unwrap_or(fields.concurrency_max);
        fields.attempts_max = raw.attempts_max;
        EndpointSetup {
            token: raw.token.map(|token| self.secret(&format!("{at}, token"), &token)),
            name: raw.name,
            environment: raw.environment.unwrap_or_else(|| FIRST_ENVIRONMENT.to_owned()),
            fields,
            profile,
        }
    }

    fn verification(&mut self, at: &str, raw: RawVerification) -> Option<VerificationRow> {
        let place = |number: usize| format!("{at}, verification, secret {}", number + 1);
        let secrets = raw.secrets.iter().enumerate();
        let check = InboundCheck {
            settings: raw.settings,
            secrets: secrets.map(|(number, source)| self.secret(&place(number), source)).collect(),
        };
        match check.to_row() {
            Ok(row) => Some(row),
            Err(problem) => {
                self.problems.add(format!("{at}, verification"), problem);
                None
            }
        }
    }

    fn sender(&mut self, tenant: &str, raw: RawSender) -> SenderSetup {
        let at = format!("{tenant}, sender \"{}\"", raw.name);
        let on_failure = raw.on_failure.as_deref().unwrap_or(FailurePolicy::default().as_str());
        let failure_policy = FailurePolicy::parse(on_failure).unwrap_or_else(|| {
            let words: Vec<_> = FailurePolicy::ALL.iter().map(|policy| policy.as_str()).collect();
            self.problems
                .add(format!("{at}, on_failure"), format!("must be one of {}", words.join(", ")));
            FailurePolicy::default()
        });
        let on_mapping_failure = raw.on_mapping_failure.as_deref().unwrap_or(MappingFailure::default().as_str());
        let mapping_failure = MappingFailure::parse(on_mapping_failure).unwrap_or_else(|| {
            self.problems.add(format!("{at}, on_mapping_failure"), "must be hold or raw");
            MappingFailure::default()
        });
        let verification = raw.verification.map(|raw| self.verification(&at, raw));
        SenderSetup {
            token: self.secret(&format!("{at}, token"), &raw.token),
            environment: raw.environment.unwrap_or_else(|| FIRST_ENVIRONMENT.to_owned()),
            fields: SenderFields {
                name: Some(raw.name.clone()),
                active: !raw.inactive,
                plugin: raw.plugin,
                config: Value::Object(self.json(&format!("{at}, config"), raw.config)),
                failure_policy,
                event_type_header: raw.event_type_header,
                exposed_headers: raw.expose_headers,
                endpoints: raw.endpoints,
                mapping: raw.mapping,
                mapping_failure,
                verification: verification.flatten(),
                ..SenderFields::default()
            },
            name: raw.name,
        }
    }
}

#[cfg(test)]
mod tests;
