//! What a single value must be, whoever brings it: a set-up file, a dialect, a page. Pure, and each says how to mend it.

use hookyard_domain::{profile::Profile, retry::AttemptsMax, signature::SigningKey};
use serde_json::{Map, Value};
use url::Url;

use crate::{
    configuration::{CredentialKind, PlainHttp},
    store::SecretText,
};

/// Characters of a name: names are in paths, logs and pages.
const NAME_CHARS_MAX: usize = 64;
/// Characters of what people read a thing as: what every API we speak bounds names and labels to.
const LABEL_CHARS_MAX: usize = 255;
/// Longest password: nobody remembers a longer one, and hashing reads all of it.
const PASSWORD_BYTES_MAX: usize = 1_024;
/// A sentence or a few, for people.
const DESCRIPTION_CHARS_MAX: usize = 1_024;
/// Shortest credential: twenty characters cannot be guessed even where only letters and digits are used.
const CREDENTIAL_CHARS_MIN: usize = 20;
/// Longest credential: some are in a path, and common proxies refuse a request line above 8 KiB.
const CREDENTIAL_CHARS_MAX: usize = 512;
/// Longest URL: what every common client and server takes.
const URL_CHARS_MAX: usize = 2_048;
/// Size of an endpoint's metadata as JSON: every plugin call gets it for every candidate.
pub const METADATA_BYTES_MAX: usize = 16 * 1_024;
/// A sender's plugin configuration as JSON: every plugin call gets it.
const CONFIG_BYTES_MAX: usize = 64 * 1_024;
/// Patterns of one endpoint; whoever wants more wants a prefix.
const EVENTS_MAX: usize = 1_000;
/// Attempts at once to one endpoint: enough for a fleet of the tenant's own machines, and each may hold a connection.
const CONCURRENCY_MAX: u32 = 1_024;
/// Longest rest of a blocked endpoint: a day. Its deliveries wait meanwhile.
const BREAKER_BLOCK_S_MAX: u32 = 86_400;
/// Headers in which credentials travel.
const SECRET_HEADERS: [&str; 3] = ["x-api-key", "authorization", "cookie"];

pub fn name(text: &str) -> Result<(), String> {
    let fits = (1..=NAME_CHARS_MAX).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c));
    let rule = || format!("a name has 1 to {NAME_CHARS_MAX} of a-z, 0-9, '-', '_' and '.', and begins with a letter or digit");
    fits.then_some(()).ok_or_else(rule)
}

/// What a tenant is called: a company's name, as people write it.
pub fn tenant_name(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("is blank".to_owned());
    }
    if text.trim() != text {
        return Err("must not begin or end with a space".to_owned());
    }
    // Whoever means a tenant may say its name or its id.
    if uuid::Uuid::parse_str(text).is_ok() {
        return Err("must not look like an id".to_owned());
    }
    label(text)
}

/// What people read a thing as, where nothing looks it up by that.
pub fn label(text: &str) -> Result<(), String> {
    if text.chars().count() > LABEL_CHARS_MAX {
        return Err(format!("is longer than {LABEL_CHARS_MAX} characters"));
    }
    if text.chars().any(char::is_control) {
        return Err("must not hold control characters".to_owned());
    }
    Ok(())
}

pub fn description(text: &str) -> Result<(), String> {
    if text.chars().count() > DESCRIPTION_CHARS_MAX {
        return Err(format!("is longer than {DESCRIPTION_CHARS_MAX} characters"));
    }
    no_nul(text)
}

/// An address as it is compared: without what surrounds it, in lower case.
pub fn normal_email(text: &str) -> String {
    text.trim().to_lowercase()
}

/// An address somebody logs in by. Whether mail reaches it is not asked.
pub fn email(text: &str) -> Result<(), String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("is missing".to_owned());
    }
    if text.chars().count() > LABEL_CHARS_MAX {
        return Err(format!("is longer than {LABEL_CHARS_MAX} characters"));
    }
    if text.chars().any(char::is_control) {
        return Err("must not hold control characters".to_owned());
    }
    match text.split_once('@') {
        Some((name, host)) if !name.is_empty() && !host.is_empty() => Ok(()),
        _ => Err("is not an email address".to_owned()),
    }
}

pub fn password(text: &SecretText) -> Result<(), String> {
    match text.expose().len() {
        0 => Err("is missing".to_owned()),
        length if length > PASSWORD_BYTES_MAX => Err(format!("is longer than {PASSWORD_BYTES_MAX} bytes")),
        _ => Ok(()),
    }
}

/// The refusal of a single value.
pub fn invalid(field: &str, message: &str) -> super::Refusal {
    let mut problems = super::Problems::default();
    problems.add(field, message);
    super::Refusal::Invalid(problems)
}

/// PostgreSQL's text cannot hold it.
fn no_nul(text: &str) -> Result<(), String> {
    if text.contains('\0') {
        return Err("must not hold the character NUL".to_owned());
    }
    Ok(())
}

/// Where deliveries may go. The address behind the host is checked in each connection, not here.
pub fn url(text: &str, plain_http: PlainHttp) -> Result<(), String> {
    if text.len() > URL_CHARS_MAX {
        return Err(format!("is longer than {URL_CHARS_MAX} characters"));
    }
    let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
    match (url.scheme(), plain_http) {
        _ if !url.username().is_empty() || url.password().is_some() => Err("must not hold a user name or password".to_owned()),
        _ if url.host().is_none() => Err("names no host".to_owned()),
        ("https", _) | ("http", PlainHttp::Allowed) => Ok(()),
        ("http", PlainHttp::Refused) => Err("must be https; set insecure_http = true to send payloads in the clear".to_owned()),
        (scheme, _) => Err(format!("must be https, not {scheme}")),
    }
}

/// The text of a key or token.
pub fn credential(kind: CredentialKind, text: &SecretText) -> Result<(), String> {
    let text = text.expose();
    let prefix = kind.prefix();
    if !text.starts_with(prefix) {
        return Err(format!("must begin with {prefix}"));
    }
    // What a text begins with says what it is for.
    let of_another = |other: &CredentialKind| !other.prefix().is_empty() && *other != kind && text.starts_with(other.prefix());
    if let Some(other) = CredentialKind::ALL.iter().find(|other| of_another(other)) {
        return Err(format!(
            "must not begin with {}, as {}s do",
            other.prefix(),
            other.as_str().replace('-', " ")
        ));
    }
    if !(CREDENTIAL_CHARS_MIN..=CREDENTIAL_CHARS_MAX).contains(&text.len()) {
        return Err(format!("must have {CREDENTIAL_CHARS_MIN} to {CREDENTIAL_CHARS_MAX} characters"));
    }
    if !text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
        return Err("may hold letters, digits, '-', '_' and '.' only".to_owned());
    }
    Ok(())
}

pub fn signing_secret(text: &SecretText) -> Result<(), String> {
    no_nul(text.expose())?;
    SigningKey::of_text(text.expose()).map(drop).map_err(|error| error.to_string())
}

pub fn attempts_max(attempts: u16) -> Result<(), String> {
    AttemptsMax::new(attempts).map(drop).map_err(|error| error.to_string())
}

pub fn breaker_block_s(seconds: u32) -> Result<(), String> {
    in_range(seconds, BREAKER_BLOCK_S_MAX)
}

pub fn concurrency_max(attempts: u32) -> Result<(), String> {
    in_range(attempts, CONCURRENCY_MAX)
}

fn in_range(number: u32, max: u32) -> Result<(), String> {
    let within = (1..=max).contains(&number);
    within.then_some(()).ok_or_else(|| format!("must be 1 to {max}"))
}

/// One event pattern, in the syntax of the endpoint's profile.
pub fn event_pattern(profile: &Profile, text: &str) -> Result<(), String> {
    profile.patterns.read(text).map(drop).map_err(|error| error.to_string())
}

pub fn events_count(count: usize) -> Result<(), String> {
    if count > EVENTS_MAX {
        return Err(format!("has more than {EVENTS_MAX} patterns"));
    }
    Ok(())
}

pub fn metadata(object: &Map<String, Value>) -> Result<(), String> {
    let bytes = serde_json::to_string(object).map_or(usize::MAX, |text| text.len());
    if bytes > METADATA_BYTES_MAX {
        return Err(format!("is larger than {METADATA_BYTES_MAX} bytes as JSON"));
    }
    if object.contains_key("") {
        return Err("has a key without a name".to_owned());
    }
    Ok(())
}

pub fn plugin_config(config: &Value) -> Result<(), String> {
    if config.to_string().len() > CONFIG_BYTES_MAX {
        return Err(format!("is larger than {CONFIG_BYTES_MAX} bytes as JSON"));
    }
    Ok(())
}

/// A header of the request that a plugin is shown.
pub fn exposed_header(name: &str) -> Result<(), String> {
    http::HeaderName::try_from(name).map_err(|error| error.to_string())?;
    if SECRET_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
        return Err("holds a credential and is never shown to a plugin".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
