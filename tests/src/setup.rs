//! A set-up file built in code, whose credentials the test can derive from names.
//!
//! The same value is written as TOML for `hookyard apply` and applied in process for [`crate::host::TestHost`]; both
//! go through the server's own reading and planning. Credentials follow from names, so a test needs no copy of them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use hookyard::{
    clock::Clock,
    manage::{
        Manage, ask_no_plugin,
        setup::{
            Mode,
            file::{Secrets, read},
        },
    },
    store::Store,
};
use hookyard_domain::{Scope, TenantId, Timestamp};
use toml::{Table, Value};

/// The API key of a tenant.
pub fn api_key(tenant: &str) -> String {
    format!("{tenant}.key-0123456789abcdef")
}

/// The ingest token of an endpoint: `dst_…`.
pub fn endpoint_token(tenant: &str, endpoint: &str) -> String {
    format!("dst_{tenant}.{endpoint}-0123456789abcdef")
}

/// The ingest token of a sender: `sndr_…`.
pub fn sender_token(tenant: &str, sender: &str) -> String {
    format!("sndr_{tenant}.{sender}-0123456789abcdef")
}

/// The secret a tenant's deliveries are signed with.
pub fn webhook_secret(tenant: &str) -> String {
    format!("{tenant}.secret-0123456789abcdef0123456789")
}

/// A set-up file under construction.
#[derive(Debug, Clone, Default)]
pub struct SetupFile {
    tenants: Vec<Tenant>,
    /// File name of each secret and what it holds.
    secrets: BTreeMap<String, String>,
}

/// A tenant with one API key.
#[derive(Debug, Clone)]
pub struct Tenant {
    name: String,
    fields: Table,
    endpoints: Vec<Endpoint>,
    senders: Vec<Sender>,
}

#[derive(Debug, Clone)]
pub struct Endpoint {
    name: String,
    fields: Table,
}

#[derive(Debug, Clone)]
pub struct Sender {
    name: String,
    fields: Table,
}

impl Tenant {
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            fields: Table::new(),
            endpoints: Vec::new(),
            senders: Vec::new(),
        }
    }

    #[must_use]
    pub fn attempts_max(self, attempts: u16) -> Self {
        self.field("attempts_max", i64::from(attempts))
    }

    #[must_use]
    pub fn breaker_block_s(self, seconds: u32) -> Self {
        self.field("breaker_block_s", i64::from(seconds))
    }

    /// Sets any other field of `[[tenant]]`.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    #[must_use]
    pub fn endpoint(mut self, endpoint: Endpoint) -> Self {
        self.endpoints.push(endpoint);
        self
    }

    #[must_use]
    pub fn sender(mut self, sender: Sender) -> Self {
        self.senders.push(sender);
        self
    }
}

impl Endpoint {
    /// An endpoint with a token of its own ([`endpoint_token`]); plain HTTP is allowed.
    pub fn new(name: &str, url: &str) -> Self {
        let endpoint = Self {
            name: name.to_owned(),
            fields: Table::new(),
        };
        endpoint.field("url", url).field("insecure_http", true)
    }

    #[must_use]
    pub fn events(self, patterns: &[&str]) -> Self {
        self.field("events", patterns.to_vec())
    }

    #[must_use]
    pub fn metadata(self, pairs: &[(&str, &str)]) -> Self {
        let table: Table = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        self.field("metadata", table)
    }

    #[must_use]
    pub fn concurrency_max(self, attempts: u32) -> Self {
        self.field("concurrency_max", i64::from(attempts))
    }

    #[must_use]
    pub fn inactive(self) -> Self {
        self.field("inactive", true)
    }

    /// Sets any other field of `[[tenant.endpoint]]`.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }
}

impl Sender {
    /// A sender without a plugin: it passes every payload on as received.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            fields: Table::new(),
        }
    }

    #[must_use]
    pub fn plugin(self, name: &str) -> Self {
        self.field("plugin", name)
    }

    #[must_use]
    pub fn config(self, config: Table) -> Self {
        self.field("config", config)
    }

    #[must_use]
    pub fn event_type_header(self, name: &str) -> Self {
        self.field("event_type_header", name)
    }

    #[must_use]
    pub fn expose_headers(self, names: &[&str]) -> Self {
        self.field("expose_headers", names.to_vec())
    }

    #[must_use]
    pub fn endpoints(self, names: &[&str]) -> Self {
        self.field("endpoints", names.to_vec())
    }

    #[must_use]
    pub fn on_failure(self, policy: &str) -> Self {
        self.field("on_failure", policy)
    }

    #[must_use]
    pub fn inactive(self) -> Self {
        self.field("inactive", true)
    }

    /// Sets any other field of `[[tenant.sender]]`.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }
}

impl SetupFile {
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn secret(mut self, file: &str, text: &str) -> Self {
        self.secrets.insert(file.to_owned(), text.to_owned());
        self
    }

    #[must_use]
    pub fn tenant(mut self, tenant: Tenant) -> Self {
        let name = &tenant.name;
        self.secrets.insert(secret_file(name, "key"), api_key(name));
        self.secrets.insert(secret_file(name, "webhook"), webhook_secret(name));
        for endpoint in &tenant.endpoints {
            let file = secret_file(name, &format!("endpoint-{}", endpoint.name));
            self.secrets.insert(file, endpoint_token(name, &endpoint.name));
        }
        for sender in &tenant.senders {
            let file = secret_file(name, &format!("sender-{}", sender.name));
            self.secrets.insert(file, sender_token(name, &sender.name));
        }
        self.tenants.push(tenant);
        self
    }

    /// Names of the tenants, in order.
    pub fn tenants(&self) -> impl Iterator<Item = &str> {
        self.tenants.iter().map(|tenant| tenant.name.as_str())
    }

    /// The file as text; its secrets are to be found in files of their own.
    ///
    /// # Panics
    /// When a field was given a value TOML cannot write.
    pub fn text(&self) -> String {
        let tenants: Vec<Value> = self.tenants.iter().map(tenant_table).collect();
        let mut file = Table::new();
        file.insert("tenant".to_owned(), Value::Array(tenants));
        toml::to_string(&file).expect("tables of plain values can be written")
    }

    /// Writes the file and its secrets into a folder and returns the file's path, for `hookyard apply --file`.
    ///
    /// # Panics
    /// When the folder cannot be written.
    pub fn write_into(&self, folder: &Path) -> PathBuf {
        std::fs::create_dir_all(folder.join("secrets")).expect("the set-up's folder can be made");
        for (file, secret) in &self.secrets {
            std::fs::write(folder.join(file), secret).expect("a secret can be written");
        }
        let path = folder.join("hookyard.toml");
        std::fs::write(&path, self.text()).expect("the set-up can be written");
        path
    }

    /// Applies the set-up as `hookyard apply` does; returns each tenant's id.
    ///
    /// # Panics
    /// When it does not apply.
    pub async fn apply_in_process(&self, store: &Store, now: Timestamp) -> BTreeMap<String, TenantId> {
        let setup = read(&self.text(), self).unwrap_or_else(|problems| panic!("the set-up is wrong:\n{problems}"));
        // No plugin is asked: a suite may want a sender whose configuration its plugin refuses.
        let clock = Clock::default();
        clock.advance(now.since(clock.now()));
        let manage = Manage::new(store.clone(), Arc::default(), clock, ask_no_plugin());
        let applied = manage.apply(Scope::Operator, &setup, Mode::Write).await;
        let applied = applied.unwrap_or_else(|refusal| panic!("the set-up does not apply:\n{refusal}"));
        applied.tenants.into_iter().collect()
    }
}

impl Secrets for SetupFile {
    fn variable(&self, name: &str) -> Result<String, String> {
        Err(format!("environment variable {name} is not set"))
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        self.secrets
            .get(&*path.to_string_lossy())
            .cloned()
            .ok_or_else(|| format!("cannot read {}", path.display()))
    }
}

fn secret_file(tenant: &str, what: &str) -> String {
    format!("secrets/{tenant}.{what}")
}

fn from_file(tenant: &str, what: &str) -> Value {
    let mut source = Table::new();
    source.insert("file".to_owned(), secret_file(tenant, what).into());
    source.into()
}

fn tenant_table(tenant: &Tenant) -> Value {
    let mut table = tenant.fields.clone();
    table.insert("name".to_owned(), tenant.name.as_str().into());
    table.insert("webhook_secret".to_owned(), from_file(&tenant.name, "webhook"));
    let mut key = Table::new();
    key.insert("name".to_owned(), "test".into());
    key.insert("key".to_owned(), from_file(&tenant.name, "key"));
    table.insert("api_key".to_owned(), Value::Array(vec![key.into()]));
    let named = |name: &str, fields: &Table, kind: &str| {
        let mut table = fields.clone();
        table.insert("name".to_owned(), name.into());
        table
            .entry("token")
            .or_insert_with(|| from_file(&tenant.name, &format!("{kind}-{name}")));
        Value::Table(table)
    };
    let endpoints = tenant.endpoints.iter().map(|one| named(&one.name, &one.fields, "endpoint"));
    table.insert("endpoint".to_owned(), Value::Array(endpoints.collect()));
    let senders = tenant.senders.iter().map(|one| named(&one.name, &one.fields, "sender"));
    table.insert("sender".to_owned(), Value::Array(senders.collect()));
    table.into()
}
