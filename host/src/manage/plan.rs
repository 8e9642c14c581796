//! From a set-up and what there is to the rows that must be written.
//!
//! Things are known by name: a tenant by its own, the rest by theirs within the tenant (endpoints and senders within
//! their environment). What the file does not name stays as it is; applying the same file twice changes nothing.

use hookyard_domain::{ContentHash, CredentialId, EndpointId, EnvironmentId, SenderId, TenantId, Timestamp, profile};
use serde::Serialize;

use super::setup::{EndpointSetup, Problems, SenderSetup, Setup, TenantSetup};
use crate::store::{ApiKeyRow, Change, EndpointRow, EnvironmentRow, Rows, SecretText, SenderRow, TenantRow};

/// What applying would do.
#[derive(Debug, Default)]
pub struct Plan {
    pub changes: Vec<Change>,
    pub lines: Vec<Line>,
    /// Every tenant of the file with its id: ingest URLs hold it.
    pub tenants: Vec<(String, TenantId)>,
}

/// One thing of the file and what becomes of it.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Line {
    pub action: Action,
    pub kind: &'static str,
    pub name: String,
    /// The columns that change, for an update.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<&'static str>,
}

#[derive(Debug, Clone, Copy, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    Create,
    Update,
    Unchanged,
}

impl Action {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "created",
            Self::Update => "updated",
            Self::Unchanged => "unchanged",
        }
    }
}

/// Decides what to write.
///
/// # Errors
/// Names in the file that lead nowhere, and credentials that already belong to something else.
pub fn plan(setup: &Setup, rows: &Rows, now: Timestamp) -> Result<Plan, Problems> {
    let mut planner = Planner {
        rows,
        now,
        plan: Plan::default(),
        problems: Vec::new(),
    };
    for tenant in &setup.tenants {
        planner.tenant(tenant);
    }
    if planner.problems.is_empty() {
        Ok(planner.plan)
    } else {
        Err(Problems(planner.problems))
    }
}

struct Planner<'a> {
    rows: &'a Rows,
    now: Timestamp,
    plan: Plan,
    problems: Vec<String>,
}

/// Lists the names of the fields in which two rows differ.
macro_rules! differing {
    ($old:expr, $new:expr; $($field:ident),+) => {
        [$( ($old.$field != $new.$field).then_some(stringify!($field)) ),+].into_iter().flatten().collect::<Vec<&'static str>>()
    };
}

impl Planner<'_> {
    /// `fields` is none for a new row, else what differs.
    fn note(&mut self, kind: &'static str, name: String, fields: Option<Vec<&'static str>>, change: Change) {
        let action = match &fields {
            None => Action::Create,
            Some(fields) if fields.is_empty() => Action::Unchanged,
            Some(_) => Action::Update,
        };
        if action != Action::Unchanged {
            self.plan.changes.push(change);
        }
        self.plan.lines.push(Line {
            action,
            kind,
            name,
            fields: fields.unwrap_or_default(),
        });
    }

    fn tenant(&mut self, setup: &TenantSetup) {
        let old = self.rows.tenants.iter().find(|row| row.name == setup.name);
        let id = old.map_or_else(|| TenantId::new_v7(self.now, rand::random()), |row| row.id);
        let new = TenantRow {
            id,
            name: setup.name.clone(),
            attempts_max: setup.attempts_max,
            breaker_block_s: setup.breaker_block_s,
            webhook_secret: setup.webhook_secret.clone(),
        };
        let fields = old.map(|old| differing!(old, new; attempts_max, breaker_block_s, webhook_secret));
        self.plan.tenants.push((setup.name.clone(), id));
        self.note("tenant", setup.name.clone(), fields, Change::Tenant(new));
        for (name, key) in &setup.api_keys {
            self.api_key(id, &setup.name, name, key);
        }
        let mut environments: Vec<(String, EnvironmentId)> = self
            .rows
            .environments
            .iter()
            .filter(|row| row.tenant == id)
            .map(|row| (row.name.clone(), row.id))
            .collect();
        let used = setup
            .endpoints
            .iter()
            .map(|endpoint| &endpoint.environment)
            .chain(setup.senders.iter().map(|sender| &sender.environment));
        for name in used {
            if environments.iter().all(|(known, _)| known != name) {
                let environment = EnvironmentId::new_v7(self.now, rand::random());
                environments.push((name.clone(), environment));
                let row = EnvironmentRow {
                    id: environment,
                    tenant: id,
                    name: name.clone(),
                };
                self.note("environment", format!("{}/{name}", setup.name), None, Change::Environment(row));
            }
        }
        let environment = |name: &str| {
            environments
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, id)| *id)
                .expect("every environment in use was just found or made")
        };
        for endpoint in &setup.endpoints {
            self.endpoint(id, &setup.name, environment(&endpoint.environment), endpoint);
        }
        for sender in &setup.senders {
            self.sender(id, setup, environment(&sender.environment), sender);
        }
    }

    fn api_key(&mut self, tenant: TenantId, tenant_name: &str, name: &str, key: &SecretText) {
        let key_hash = ContentHash::of(key.expose().as_bytes());
        let old = self.rows.api_keys.iter().find(|row| row.tenant == tenant && row.name == name);
        let at = format!("tenant \"{tenant_name}\", api_key \"{name}\"");
        if self
            .rows
            .api_keys
            .iter()
            .any(|row| row.key_hash == key_hash && (row.tenant != tenant || row.name != name))
        {
            self.problems.push(format!("{at}: its key already belongs to another API key"));
        }
        let id = old.map_or_else(|| CredentialId::new_v7(self.now, rand::random()), |row| row.id);
        let new = ApiKeyRow {
            id,
            tenant,
            name: name.to_owned(),
            key_hash,
        };
        let fields = old.map(|old| differing!(old, new; key_hash));
        self.note("api_key", format!("{tenant_name}/{name}"), fields, Change::ApiKey(new));
    }

    fn endpoint(&mut self, tenant: TenantId, tenant_name: &str, environment: EnvironmentId, setup: &EndpointSetup) {
        let old = self
            .rows
            .endpoints
            .iter()
            .find(|row| row.environment == environment && row.name == setup.name);
        let id = old.map_or_else(|| EndpointId::new_v7(self.now, rand::random()), |row| row.id);
        let token_hash = setup.token.as_ref().map(|token| ContentHash::of(token.expose().as_bytes()));
        if token_hash.is_some() && self.rows.endpoints.iter().any(|row| row.token_hash == token_hash && row.id != id) {
            self.problems.push(format!(
                "tenant \"{tenant_name}\", endpoint \"{}\": its token already belongs to another endpoint",
                setup.name
            ));
        }
        let new = EndpointRow {
            id,
            tenant,
            environment,
            name: setup.name.clone(),
            url: setup.url.clone(),
            status: setup.status.to_owned(),
            profile: profile::DEFAULT.name().to_owned(),
            event_patterns: serde_json::to_string(&setup.events).expect("strings always serialise"),
            metadata: serde_json::to_string(&setup.metadata).expect("strings always serialise"),
            concurrency_max: setup.concurrency_max,
            token_hash,
        };
        let fields = old.map(|old| differing!(old, new; url, status, profile, event_patterns, metadata, concurrency_max, token_hash));
        self.note("endpoint", format!("{tenant_name}/{}", setup.name), fields, Change::Endpoint(new));
    }

    fn sender(&mut self, tenant: TenantId, owner: &TenantSetup, environment: EnvironmentId, setup: &SenderSetup) {
        let at = format!("tenant \"{}\", sender \"{}\"", owner.name, setup.name);
        for name in setup.endpoints.iter().flatten() {
            let in_file = owner
                .endpoints
                .iter()
                .any(|endpoint| endpoint.name == *name && endpoint.environment == setup.environment);
            let in_rows = self
                .rows
                .endpoints
                .iter()
                .any(|row| row.environment == environment && row.name == *name);
            if !in_file && !in_rows {
                self.problems.push(format!(
                    "{at}: there is no endpoint \"{name}\" in environment \"{}\"",
                    setup.environment
                ));
            }
        }
        let old = self
            .rows
            .senders
            .iter()
            .find(|row| row.environment == environment && row.name == setup.name);
        let id = old.map_or_else(|| SenderId::new_v7(self.now, rand::random()), |row| row.id);
        let token_hash = ContentHash::of(setup.token.expose().as_bytes());
        if self.rows.senders.iter().any(|row| row.token_hash == token_hash && row.id != id) {
            self.problems.push(format!("{at}: its token already belongs to another sender"));
        }
        let new = SenderRow {
            id,
            tenant,
            environment,
            name: setup.name.clone(),
            token_hash,
            status: setup.status.to_owned(),
            plugin: setup.plugin.clone(),
            config: setup.config.clone(),
            failure_policy: setup.failure_policy.as_str().to_owned(),
            event_type_header: setup.event_type_header.clone(),
            exposed_headers: serde_json::to_string(&setup.exposed_headers).expect("strings always serialise"),
            endpoints: setup
                .endpoints
                .as_ref()
                .map(|names| serde_json::to_string(names).expect("strings always serialise")),
        };
        let fields = old.map(
            |old| differing!(old, new; token_hash, status, plugin, config, failure_policy, event_type_header, exposed_headers, endpoints),
        );
        self.note("sender", format!("{}/{}", owner.name, setup.name), fields, Change::Sender(new));
    }
}
