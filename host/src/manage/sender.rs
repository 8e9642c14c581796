//! Senders: upstream identities with a route.

use std::sync::Arc;

use hookyard_domain::{CredentialId, EndpointId, EnvironmentId, Scope, SenderId, TenantId, Timestamp, failure::FailurePolicy};
use serde_json::Value;

use super::{Manage, NO_SENDER, NO_TENANT, NewCredential, Problems, Refusal, TRIES_MAX, Text, check, retried, within};
use crate::{
    configuration::{CredentialKind, InboundCheck, MappingFailure, Sender, Snapshot},
    mapping::Mapping,
    store::{Change, Expected, Row, SecretText, SenderRow, Thing, VerificationRow},
    verification::SECRETS_MAX,
};

/// All that is set for a sender.
#[derive(Debug, Clone, PartialEq)]
pub struct SenderFields {
    /// None: it is known by its id alone.
    pub name: Option<String>,
    /// For people alone.
    pub label: Option<String>,
    pub active: bool,
    /// What makes another payload of each event before its plugin sees it: the text of a [`Mapping`].
    pub mapping: Option<String>,
    pub mapping_failure: MappingFailure,
    pub verification: Option<VerificationRow>,
    /// None: every payload goes on as it was received.
    pub plugin: Option<String>,
    /// What its plugin is given.
    pub config: Value,
    pub failure_policy: FailurePolicy,
    pub event_type_header: Option<String>,
    /// Headers of a request that its plugin is shown.
    pub exposed_headers: Vec<String>,
    /// Names of the endpoints it may reach; none: all of its environment.
    pub endpoints: Option<Vec<String>>,
    /// Its own destination.
    pub endpoint: Option<EndpointId>,
}

impl Default for SenderFields {
    fn default() -> Self {
        Self {
            name: None,
            label: None,
            active: true,
            mapping: None,
            mapping_failure: MappingFailure::default(),
            verification: None,
            plugin: None,
            config: Value::Object(serde_json::Map::new()),
            failure_policy: FailurePolicy::default(),
            event_type_header: None,
            exposed_headers: Vec::new(),
            endpoints: None,
            endpoint: None,
        }
    }
}

impl SenderFields {
    /// What is wrong with it by itself; whether the endpoints it names are there is asked besides.
    pub fn check(&self) -> Problems {
        let mut problems = Problems::default();
        problems.check("name", self.name.as_deref().map_or(Ok(()), check::name));
        problems.check("label", self.label.as_deref().map_or(Ok(()), check::label));
        problems.check("plugin", self.plugin.as_deref().map_or(Ok(()), check::name));
        problems.check("config", check::plugin_config(&self.config));
        for problem in self
            .mapping
            .as_deref()
            .map(Mapping::parse)
            .and_then(Result::err)
            .into_iter()
            .flatten()
        {
            problems.add("mapping", problem.to_string());
        }
        problems.check("verification", self.verification.as_ref().map_or(Ok(()), check_verification));
        for header in self.event_type_header.iter().chain(&self.exposed_headers) {
            problems.check(&format!("header \"{header}\""), check::exposed_header(header));
        }
        problems
    }

    fn of(row: &SenderRow) -> Option<Self> {
        Some(Self {
            name: row.name.clone(),
            label: row.label.clone(),
            active: row.status == ACTIVE,
            mapping: row.mapping.clone(),
            mapping_failure: MappingFailure::parse(&row.mapping_failure)?,
            verification: row.verification.clone(),
            plugin: row.plugin.clone(),
            config: serde_json::from_str(&row.config).ok()?,
            failure_policy: FailurePolicy::parse(&row.failure_policy)?,
            event_type_header: row.event_type_header.clone(),
            exposed_headers: serde_json::from_str(&row.exposed_headers).ok()?,
            endpoints: row.endpoints.as_deref().map(serde_json::from_str).transpose().ok()?,
            endpoint: row.endpoint,
        })
    }

    pub(super) fn row(&self, id: SenderId, tenant: TenantId, environment: EnvironmentId) -> SenderRow {
        let names = |names: &[String]| Value::from(names.to_vec()).to_string();
        let lower: Vec<String> = self.exposed_headers.iter().map(|name| name.to_ascii_lowercase()).collect();
        SenderRow {
            id,
            tenant,
            environment,
            endpoint: self.endpoint,
            name: self.name.clone(),
            label: self.label.clone(),
            mapping: self.mapping.clone(),
            mapping_failure: self.mapping_failure.as_str().to_owned(),
            verification: self.verification.clone(),
            status: if self.active { ACTIVE } else { "inactive" }.to_owned(),
            plugin: self.plugin.clone(),
            config: self.config.to_string(),
            failure_policy: self.failure_policy.as_str().to_owned(),
            event_type_header: self.event_type_header.as_deref().map(str::to_ascii_lowercase),
            exposed_headers: names(&lower),
            endpoints: self.endpoints.as_deref().map(names),
            revision: 0,
            created_at: Timestamp::EPOCH,
            updated_at: Timestamp::EPOCH,
        }
    }

    /// Whether the endpoints it names are there.
    fn check_endpoints(&self, snapshot: &Snapshot, environment: EnvironmentId) -> Problems {
        let mut problems = Problems::default();
        let all = snapshot.subscribers(environment).map_or(&[][..], |reach| reach.all());
        for name in self.endpoints.iter().flatten() {
            if all.iter().all(|endpoint| endpoint.name.as_ref() != Some(name)) {
                problems.add("endpoints", format!("there is no endpoint \"{name}\" in its environment"));
            }
        }
        let elsewhere = |id: EndpointId| {
            snapshot
                .endpoints
                .get(&id)
                .is_none_or(|endpoint| endpoint.environment != environment)
        };
        if self.endpoint.is_some_and(elsewhere) {
            problems.add("endpoint", "is not an endpoint of its environment");
        }
        problems
    }
}

/// What is wrong with how a service's signature is to be checked, without any of its secrets.
fn check_verification(row: &VerificationRow) -> Result<(), String> {
    let check = InboundCheck::of(row)?;
    check.settings.check()?;
    if !(1..=SECRETS_MAX).contains(&check.secrets.len()) {
        return Err(format!("must have 1 to {SECRETS_MAX} secrets"));
    }
    check
        .secrets
        .iter()
        .try_for_each(|secret| check.settings.check_secret(secret.expose()))
}

const ACTIVE: &str = "active";

#[derive(Debug, Clone)]
pub struct NewSender {
    pub tenant: TenantId,
    /// None: the tenant's default.
    pub environment: Option<EnvironmentId>,
    pub fields: SenderFields,
    /// Its ingest token.
    pub token: SecretText,
}

impl Manage {
    pub async fn create_sender(&self, scope: Scope, new: NewSender) -> Result<Arc<Sender>, Refusal> {
        within(scope, new.tenant, NO_TENANT)?;
        let snapshot = self.fresh().await?;
        if !snapshot.tenants.contains_key(&new.tenant) {
            return Err(NO_TENANT);
        }
        let environment = Self::environment_of(&snapshot, new.tenant, new.environment)?;
        let mut problems = new.fields.check();
        problems.check("token", check::credential(CredentialKind::SenderToken, &new.token));
        problems.0.extend(new.fields.check_endpoints(&snapshot, environment).0);
        problems.refuse()?;
        let now = self.clock.now();
        let id = SenderId::new_v7(now, rand::random());
        let row = new.fields.row(id, new.tenant, environment);
        self.ask_about(new.tenant, row.plugin.as_deref(), &row.config).await?;
        let token = NewCredential {
            tenant: Some(new.tenant),
            kind: CredentialKind::SenderToken,
            subject: Some(id.as_uuid()),
            environment: Some(environment),
            name: None,
            label: None,
            rights: String::new(),
            text: Text::Hashed(new.token),
            expires_at: None,
        };
        let token = self.credential_row(CredentialId::new_v7(now, rand::random()), &token);
        let changes = [Change::new(Row::Sender(row)), Change::new(Row::Credential(token))];
        let snapshot = self.write(&changes).await?;
        snapshot.senders.get(&id).cloned().ok_or(NO_SENDER)
    }

    /// Changes a sender: `edit` is given what it is and makes of it what it shall be. Its held events are routed again.
    pub async fn update_sender(&self, scope: Scope, id: SenderId, edit: impl Fn(&mut SenderFields)) -> Result<Arc<Sender>, Refusal> {
        retried!(async {
            let snapshot = self.fresh().await?;
            let old = self.store.sender_row(scope, id).await?.ok_or(NO_SENDER)?;
            self.expect("the sender", old.revision)?;
            let mut fields = SenderFields::of(&old).ok_or(NO_SENDER)?;
            edit(&mut fields);
            let mut problems = fields.check();
            // What it named already may be gone meanwhile, and this change is not to blame for it.
            if SenderFields::of(&old).is_none_or(|old| (&old.endpoint, &old.endpoints) != (&fields.endpoint, &fields.endpoints)) {
                problems.0.extend(fields.check_endpoints(&snapshot, old.environment).0);
            }
            problems.refuse()?;
            let row = fields.row(id, old.tenant, old.environment);
            if (&row.plugin, &row.config) != (&old.plugin, &old.config) {
                self.ask_about(old.tenant, row.plugin.as_deref(), &row.config).await?;
            }
            let change = Change::Put {
                row: Row::Sender(row),
                expected: Expected::Revision(old.revision),
            };
            let snapshot = self.write(&[change]).await?;
            snapshot.senders.get(&id).cloned().ok_or(NO_SENDER)
        })
    }

    /// Deletes a sender: its token opens nothing from now on.
    pub async fn delete_sender(&self, scope: Scope, id: SenderId) -> Result<(), Refusal> {
        retried!(async {
            let row = self.store.sender_row(scope, id).await?.ok_or(NO_SENDER)?;
            self.expect("the sender", row.revision)?;
            let change = Change::Delete {
                thing: Thing::Sender(id),
                revision: row.revision,
            };
            self.write(&[change]).await.map(drop)
        })
    }

    pub async fn sender(&self, scope: Scope, id: SenderId) -> Result<Arc<Sender>, Refusal> {
        let snapshot = self.fresh().await?;
        let found = snapshot.senders.get(&id).filter(|sender| scope.holds(sender.tenant_id));
        found.cloned().ok_or(NO_SENDER)
    }

    /// The senders of the scope, newest first.
    pub async fn senders(&self, scope: Scope) -> Result<Vec<Arc<Sender>>, Refusal> {
        let snapshot = self.fresh().await?;
        let mut senders: Vec<_> = snapshot
            .senders
            .values()
            .filter(|sender| scope.holds(sender.tenant_id))
            .cloned()
            .collect();
        senders.sort_unstable_by_key(|sender| std::cmp::Reverse(sender.id));
        Ok(senders)
    }
}
