//! The configuration as the hot path sees it: parsed, indexed, immutable.
//!
//! Accepting an event reads no database: credentials, tokens and endpoints come from here. A change writes rows,
//! raises the revision, and every node builds a new snapshot and swaps it in; work in flight finishes on the one it
//! began with. A row that does not parse is left out and reported, so that one bad row does not take a node down.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use arc_swap::{ArcSwap, Guard};
use hookyard_domain::{
    ContentHash, EndpointId, EnvironmentId, SenderId, TenantId,
    failure::FailurePolicy,
    pattern::EventPattern,
    profile::Profile,
    retry::AttemptsMax,
    signature::{SigningKey, SigningKeys},
};
use http::HeaderName;
use url::Url;

use crate::store::{EndpointRow, Error, Pairs, Rows, SenderRow, Store, TenantRow};

pub struct Tenant {
    pub id: TenantId,
    pub name: String,
    pub attempts_max: AttemptsMax,
    /// How long a blocked endpoint rests before it is probed.
    pub breaker_block: Duration,
    /// Sign for its endpoints that have no secret of their own.
    pub signing: SigningKeys,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointStatus {
    Active,
    Inactive,
    Suspended,
}

pub struct Endpoint {
    pub id: EndpointId,
    pub tenant: Arc<Tenant>,
    pub environment: EnvironmentId,
    pub name: String,
    pub url: Url,
    /// `scheme://host[:port]`: all of the URL a plugin or a log line may see, for paths hold tokens.
    pub origin: String,
    pub status: EndpointStatus,
    pub profile: &'static Profile,
    /// Its own; none: its tenant's.
    pub signing: Option<SigningKeys>,
    pub event_patterns: Vec<EventPattern>,
    pub metadata: Pairs,
    pub concurrency_max: u32,
}

impl Endpoint {
    /// What its deliveries are signed with.
    pub fn signing_keys(&self) -> &SigningKeys {
        self.signing.as_ref().unwrap_or(&self.tenant.signing)
    }

    pub fn wants(&self, event_type: &str) -> bool {
        self.event_patterns.iter().any(|pattern| pattern.matches(event_type))
    }
}

pub struct Sender {
    pub id: SenderId,
    pub tenant: Arc<Tenant>,
    pub environment: EnvironmentId,
    pub environment_name: String,
    pub name: String,
    pub active: bool,
    pub plugin: Option<String>,
    pub config: Arc<str>,
    pub failure_policy: FailurePolicy,
    pub event_type_header: Option<HeaderName>,
    pub exposed_headers: Vec<HeaderName>,
    /// The endpoints this sender may reach, active or not.
    pub endpoints: Vec<Arc<Endpoint>>,
}

impl Sender {
    /// Whether this sender and a later state of it treat an event alike: what one held, the other would hold again.
    pub fn routes_like(&self, other: &Self) -> bool {
        self.plugin == other.plugin && self.config == other.config && self.failure_policy == other.failure_policy
    }
}

/// All that is configured, as of one revision.
#[derive(Default)]
pub struct Snapshot {
    pub revision: i64,
    pub tenants: HashMap<TenantId, Arc<Tenant>>,
    pub endpoints: HashMap<EndpointId, Arc<Endpoint>>,
    pub senders: HashMap<SenderId, Arc<Sender>>,
    /// Plugins of which a version is active, here or on its way here.
    active_plugins: HashSet<(TenantId, String)>,
    api_keys: HashMap<ContentHash, TenantId>,
    endpoint_tokens: HashMap<ContentHash, Arc<Endpoint>>,
    sender_tokens: HashMap<ContentHash, Arc<Sender>>,
}

impl Snapshot {
    /// The tenant an API key belongs to. Looking a hash up by equality leaks nothing: a caller cannot choose a hash.
    pub fn tenant_of_key(&self, key: &str) -> Option<TenantId> {
        self.api_keys.get(&ContentHash::of(key.as_bytes())).copied()
    }

    pub fn endpoint_by_token(&self, token: &str) -> Option<&Arc<Endpoint>> {
        self.endpoint_tokens.get(&ContentHash::of(token.as_bytes()))
    }

    pub fn sender_by_token(&self, token: &str) -> Option<&Arc<Sender>> {
        self.sender_tokens.get(&ContentHash::of(token.as_bytes()))
    }

    /// The senders that route otherwise than in an earlier snapshot.
    pub fn rerouted_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = SenderId> {
        let changed = |sender: &&Arc<Sender>| before.senders.get(&sender.id).is_some_and(|old| !old.routes_like(sender));
        self.senders.values().filter(changed).map(|sender| sender.id)
    }

    /// Whether the table names an active version, whether or not this node has loaded it yet.
    pub fn has_active_plugin(&self, tenant: TenantId, plugin: &str) -> bool {
        self.active_plugins.contains(&(tenant, plugin.to_owned()))
    }

    pub fn tenant_by_name(&self, name: &str) -> Option<&Arc<Tenant>> {
        self.tenants.values().find(|tenant| tenant.name == name)
    }

    /// Builds the indexes. Rows that do not parse are left out with an error in the log.
    pub fn build(rows: Rows) -> Self {
        let mut built = Self {
            revision: rows.revision,
            ..Self::default()
        };
        for row in rows.tenants {
            if let Some(tenant) = parsed("tenant", &row.name.clone(), tenant(row)) {
                built.tenants.insert(tenant.id, Arc::new(tenant));
            }
        }
        built.active_plugins = rows.active_plugins.into_iter().collect();
        for row in rows.api_keys {
            built.api_keys.insert(row.key_hash, row.tenant);
        }
        let mut by_environment: HashMap<EnvironmentId, Vec<Arc<Endpoint>>> = HashMap::new();
        for row in rows.endpoints {
            let token = row.token_hash;
            let Some(owner) = built.tenants.get(&row.tenant).cloned() else {
                continue;
            };
            if let Some(endpoint) = parsed("endpoint", &row.name.clone(), endpoint(row, owner)) {
                let endpoint = Arc::new(endpoint);
                by_environment.entry(endpoint.environment).or_default().push(Arc::clone(&endpoint));
                if let Some(token) = token {
                    built.endpoint_tokens.insert(token, Arc::clone(&endpoint));
                }
                built.endpoints.insert(endpoint.id, endpoint);
            }
        }
        let names: HashMap<EnvironmentId, String> = rows
            .environments
            .into_iter()
            .map(|environment| (environment.id, environment.name))
            .collect();
        for row in rows.senders {
            let token = row.token_hash;
            let Some(owner) = built.tenants.get(&row.tenant).cloned() else {
                continue;
            };
            let environment_name = names.get(&row.environment).cloned().unwrap_or_default();
            let reachable = by_environment.get(&row.environment).map_or(&[][..], Vec::as_slice);
            if let Some(sender) = parsed("sender", &row.name.clone(), sender(row, owner, environment_name, reachable)) {
                let sender = Arc::new(sender);
                built.sender_tokens.insert(token, Arc::clone(&sender));
                built.senders.insert(sender.id, sender);
            }
        }
        built
    }
}

fn parsed<T>(kind: &'static str, name: &str, row: Result<T, String>) -> Option<T> {
    row.inspect_err(|problem| tracing::error!(kind, name, %problem, "a configured row does not parse and is left out"))
        .ok()
}

fn tenant(row: TenantRow) -> Result<Tenant, String> {
    Ok(Tenant {
        id: row.id,
        name: row.name,
        attempts_max: AttemptsMax::new(row.attempts_max).map_err(|error| error.to_string())?,
        breaker_block: Duration::from_secs(u64::from(row.breaker_block_s)),
        signing: SigningKeys::new(SigningKey::of_text(row.webhook_secret.expose()).map_err(|error| error.to_string())?),
    })
}

fn endpoint(row: EndpointRow, tenant: Arc<Tenant>) -> Result<Endpoint, String> {
    let url = Url::parse(&row.url).map_err(|error| error.to_string())?;
    let patterns: Vec<String> = serde_json::from_str(&row.event_patterns).map_err(|error| error.to_string())?;
    let metadata: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&row.metadata).map_err(|error| error.to_string())?;
    let profile = Profile::named(&row.profile).ok_or_else(|| format!("there is no profile {}", row.profile))?;
    Ok(Endpoint {
        id: row.id,
        tenant,
        environment: row.environment,
        origin: url.origin().ascii_serialization(),
        url,
        status: match row.status.as_str() {
            "active" => EndpointStatus::Active,
            "inactive" => EndpointStatus::Inactive,
            "suspended" => EndpointStatus::Suspended,
            other => return Err(format!("no such status: {other}")),
        },
        profile,
        signing: None,
        event_patterns: patterns
            .iter()
            .map(|pattern| profile.patterns.read(pattern).map_err(|error| error.to_string()))
            .collect::<Result<_, _>>()?,
        metadata: metadata
            .into_iter()
            .map(|(name, value)| {
                value
                    .as_str()
                    .map(|value| (name.clone(), value.to_owned()))
                    .ok_or_else(|| format!("metadata {name} is no string"))
            })
            .collect::<Result<_, _>>()?,
        concurrency_max: row.concurrency_max,
        name: row.name,
    })
}

fn sender(row: SenderRow, tenant: Arc<Tenant>, environment_name: String, reachable: &[Arc<Endpoint>]) -> Result<Sender, String> {
    let header = |name: &str| HeaderName::try_from(name).map_err(|error| format!("{name}: {error}"));
    let exposed: Vec<String> = serde_json::from_str(&row.exposed_headers).map_err(|error| error.to_string())?;
    let chosen: Option<Vec<String>> = row
        .endpoints
        .as_deref()
        .map(serde_json::from_str)
        .transpose()
        .map_err(|error| error.to_string())?;
    Ok(Sender {
        id: row.id,
        tenant,
        environment: row.environment,
        environment_name,
        active: row.status == "active",
        plugin: row.plugin,
        config: row.config.into(),
        failure_policy: FailurePolicy::parse(&row.failure_policy)
            .ok_or_else(|| format!("no such failure policy: {}", row.failure_policy))?,
        event_type_header: row.event_type_header.as_deref().map(header).transpose()?,
        exposed_headers: exposed.iter().map(|name| header(name)).collect::<Result<_, _>>()?,
        endpoints: match chosen {
            None => reachable.to_vec(),
            Some(names) => reachable
                .iter()
                .filter(|endpoint| names.contains(&endpoint.name))
                .cloned()
                .collect(),
        },
        name: row.name,
    })
}

/// The snapshot in force, swapped as one pointer.
#[derive(Default)]
pub struct Configuration(ArcSwap<Snapshot>);

impl Configuration {
    pub fn current(&self) -> Guard<Arc<Snapshot>> {
        self.0.load()
    }

    /// Builds a new snapshot if the revision moved; tells whether it did.
    pub async fn refresh(&self, store: &Store) -> Result<bool, Error> {
        if store.revision().await? == self.current().revision {
            return Ok(false);
        }
        self.0.store(Arc::new(Snapshot::build(store.configuration().await?)));
        Ok(true)
    }
}
