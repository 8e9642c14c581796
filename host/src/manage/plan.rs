//! From a set-up and what there is to the rows that must be written.
//!
//! Things are known by name: a tenant by its own, the rest by theirs within the tenant (endpoints and senders within
//! their environment). What the file does not name stays as it is; applying the same file twice changes nothing.

use hookyard_domain::{ContentHash, CredentialId, EndpointId, EnvironmentId, SenderId, SubscriptionId, TenantId, Timestamp, profile};
use serde::Serialize;
use uuid::Uuid;

use super::setup::{EndpointSetup, Problems, SenderSetup, Setup, TenantSetup};
use crate::{
    configuration::CredentialKind,
    store::{
        Change, CredentialRow, EndpointRow, EnvironmentRow, Expected, Row, Rows, SecretText, SenderRow, SetAside, SubscriptionRow,
        TenantRow,
    },
};

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
    fn note(&mut self, kind: &'static str, name: String, fields: Option<Vec<&'static str>>, row: Row, expected: Expected) {
        let action = match &fields {
            None => Action::Create,
            Some(fields) if fields.is_empty() => Action::Unchanged,
            Some(_) => Action::Update,
        };
        if action != Action::Unchanged {
            self.plan.changes.push(Change::Put { row, expected });
        }
        self.plan.lines.push(Line {
            action,
            kind,
            name,
            fields: fields.unwrap_or_default(),
        });
    }

    /// A row of this name that cannot be read: the file says all there is to say about it, so writing it mends it.
    fn unreadable(&self, table: &str, within: Option<Uuid>, name: &str) -> Option<&SetAside> {
        self.rows
            .set_aside
            .iter()
            .find(|row| row.table == table && row.within == within && row.name == name)
    }

    fn tenant(&mut self, setup: &TenantSetup) {
        let old = self.rows.tenants.rows.iter().find(|row| row.name == setup.name);
        let broken = self.unreadable("tenant", None, &setup.name);
        let id = old
            .map(|row| row.id)
            .or_else(|| broken.map(|row| TenantId::from_uuid(row.id)))
            .unwrap_or_else(|| TenantId::new_v7(self.now, rand::random()));
        let expected = expected(old.map(|row| row.revision), broken);
        let new = TenantRow {
            id,
            name: setup.name.clone(),
            attempts_max: setup.attempts_max,
            breaker_block_s: setup.breaker_block_s,
            webhook_secret: setup.webhook_secret.clone(),
            revision: 0,
        };
        let fields = fields(
            old.map(|old| differing!(old, new; attempts_max, breaker_block_s, webhook_secret)),
            broken,
        );
        self.plan.tenants.push((setup.name.clone(), id));
        self.note("tenant", setup.name.clone(), fields, Row::Tenant(new), expected);
        for (name, key) in &setup.api_keys {
            let at = format!("tenant \"{}\", api_key \"{name}\"", setup.name);
            self.credential(
                &at,
                id,
                CredentialKind::ApiKey,
                None,
                Some(name),
                &format!("{}/{name}", setup.name),
                key,
            );
        }
        let mut environments: Vec<(String, EnvironmentId)> = self
            .rows
            .environments
            .rows
            .iter()
            .filter(|row| row.tenant == id)
            .map(|row| (row.slug.clone(), row.id))
            .collect();
        let used = setup
            .endpoints
            .iter()
            .map(|endpoint| &endpoint.environment)
            .chain(setup.senders.iter().map(|sender| &sender.environment));
        for slug in used {
            if environments.iter().all(|(known, _)| known != slug) {
                let environment = EnvironmentId::new_v7(self.now, rand::random());
                let row = EnvironmentRow {
                    id: environment,
                    tenant: id,
                    slug: slug.clone(),
                    name: slug.clone(),
                    is_default: environments.is_empty(),
                    revision: 0,
                };
                environments.push((slug.clone(), environment));
                let name = format!("{}/{slug}", setup.name);
                self.note("environment", name, None, Row::Environment(row), Expected::New);
            }
        }
        let environment = |slug: &str| {
            environments
                .iter()
                .find(|(known, _)| known == slug)
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

    #[expect(clippy::too_many_arguments, reason = "goes with the next step")]
    fn credential(
        &mut self,
        at: &str,
        tenant: TenantId,
        kind: CredentialKind,
        subject: Option<Uuid>,
        name: Option<&str>,
        told_as: &str,
        text: &SecretText,
    ) {
        let hash = ContentHash::of(text.expose().as_bytes());
        let same = |row: &&CredentialRow| {
            row.tenant == Some(tenant) && row.kind == kind.as_str() && row.subject == subject && row.name.as_deref() == name
        };
        let old = self.rows.credentials.rows.iter().find(same);
        if self.rows.credentials.rows.iter().any(|row| row.hash == hash && !same(&row)) {
            self.problems
                .push(format!("{at}: its credential already belongs to something else"));
        }
        let new = CredentialRow {
            id: old.map_or_else(|| CredentialId::new_v7(self.now, rand::random()), |row| row.id),
            tenant: Some(tenant),
            kind: kind.as_str().to_owned(),
            subject,
            environment: None,
            name: name.map(str::to_owned),
            rights: String::new(),
            hash,
            sealed: None,
            expires_at: None,
            disabled_at: None,
            revision: 0,
            created_at: self.now,
            updated_at: self.now,
        };
        let fields = old.map(|old| differing!(old, new; hash));
        let expected = expected(old.map(|row| row.revision), None);
        self.note(kind.as_str(), told_as.to_owned(), fields, Row::Credential(new), expected);
    }

    fn endpoint(&mut self, tenant: TenantId, tenant_name: &str, environment: EnvironmentId, setup: &EndpointSetup) {
        let old = self
            .rows
            .endpoints
            .rows
            .iter()
            .find(|row| row.environment == environment && row.name.as_ref() == Some(&setup.name));
        let broken = self.unreadable("endpoint", Some(environment.as_uuid()), &setup.name);
        let id = old
            .map(|row| row.id)
            .or_else(|| broken.map(|row| EndpointId::from_uuid(row.id)))
            .unwrap_or_else(|| EndpointId::new_v7(self.now, rand::random()));
        let expected = expected(old.map(|row| row.revision), broken);
        let known = old.map_or(&[][..], |old| &old.subscriptions);
        let subscriptions = setup.events.iter().map(|pattern| {
            let same = known.iter().find(|subscription| subscription.pattern == *pattern);
            same.cloned().unwrap_or_else(|| SubscriptionRow {
                id: SubscriptionId::new_v7(self.now, rand::random()),
                pattern: pattern.clone(),
                event_type: None,
                created_at: self.now,
            })
        });
        let mut subscriptions: Vec<_> = subscriptions.collect();
        subscriptions.sort_by_key(|subscription| subscription.id);
        subscriptions.dedup_by(|a, b| a.pattern == b.pattern);
        let new = EndpointRow {
            id,
            tenant,
            environment,
            application: old.and_then(|old| old.application),
            name: Some(setup.name.clone()),
            description: old.and_then(|old| old.description.clone()),
            url: setup.url.clone(),
            status: setup.status.to_owned(),
            profile: old.map_or_else(|| profile::DEFAULT.name().to_owned(), |old| old.profile.clone()),
            metadata: serde_json::to_string(&setup.metadata).expect("strings always serialise"),
            concurrency_max: setup.concurrency_max,
            attempts_max: old.and_then(|old| old.attempts_max),
            secret: old.and_then(|old| old.secret.clone()),
            previous_secret: old.and_then(|old| old.previous_secret.clone()),
            auth: old.and_then(|old| old.auth.clone()),
            subscriptions,
            revision: 0,
            created_at: self.now,
            updated_at: self.now,
        };
        let fields = fields(
            old.map(|old| differing!(old, new; url, status, profile, subscriptions, metadata, concurrency_max)),
            broken,
        );
        let told_as = format!("{tenant_name}/{}", setup.name);
        self.note("endpoint", told_as.clone(), fields, Row::Endpoint(Box::new(new)), expected);
        if let Some(token) = &setup.token {
            let at = format!("tenant \"{tenant_name}\", endpoint \"{}\"", setup.name);
            self.credential(
                &at,
                tenant,
                CredentialKind::EndpointToken,
                Some(id.as_uuid()),
                None,
                &told_as,
                token,
            );
        }
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
                .rows
                .iter()
                .any(|row| row.environment == environment && row.name.as_ref() == Some(name));
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
            .rows
            .iter()
            .find(|row| row.environment == environment && row.name.as_ref() == Some(&setup.name));
        let broken = self.unreadable("sender", Some(environment.as_uuid()), &setup.name);
        let id = old
            .map(|row| row.id)
            .or_else(|| broken.map(|row| SenderId::from_uuid(row.id)))
            .unwrap_or_else(|| SenderId::new_v7(self.now, rand::random()));
        let expected = expected(old.map(|row| row.revision), broken);
        let new = SenderRow {
            id,
            tenant,
            environment,
            endpoint: old.and_then(|old| old.endpoint),
            name: Some(setup.name.clone()),
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
            revision: 0,
        };
        let fields = fields(
            old.map(|old| differing!(old, new; status, plugin, config, failure_policy, event_type_header, exposed_headers, endpoints)),
            broken,
        );
        let told_as = format!("{}/{}", owner.name, setup.name);
        self.note("sender", told_as.clone(), fields, Row::Sender(new), expected);
        self.credential(
            &at,
            tenant,
            CredentialKind::SenderToken,
            Some(id.as_uuid()),
            None,
            &told_as,
            &setup.token,
        );
    }
}

fn expected(revision: Option<i64>, broken: Option<&SetAside>) -> Expected {
    match revision.or_else(|| broken.map(|row| row.revision)) {
        Some(revision) => Expected::Revision(revision),
        None => Expected::New,
    }
}

/// A row that cannot be read differs in an unknown number of fields.
fn fields(differing: Option<Vec<&'static str>>, broken: Option<&SetAside>) -> Option<Vec<&'static str>> {
    differing.or_else(|| broken.map(|_| vec!["unreadable"]))
}
