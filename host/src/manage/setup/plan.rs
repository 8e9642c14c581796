//! From a set-up and what there is to the rows that must be written.

use std::collections::{HashMap, HashSet};

use hookyard_domain::{ContentHash, CredentialId, EndpointId, EnvironmentId, SenderId, TenantId, Timestamp};
use uuid::Uuid;

use super::{Action, EndpointSetup, Line, SenderSetup, Setup, TenantSetup};
use crate::{
    configuration::CredentialKind,
    manage::{ConfigQuestion, Problems, endpoint::blank, tenant::FIRST_ENVIRONMENT},
    store::{Change, CredentialRow, EndpointRow, EnvironmentRow, Expected, Row, Rows, SecretText, SenderRow, SetAside, TenantRow, Thing},
};

/// What carrying out a set-up would do.
#[derive(Debug, Default)]
pub struct Plan {
    pub changes: Vec<Change>,
    pub lines: Vec<Line>,
    /// Endpoints that are deleted.
    pub deleted: Vec<(TenantId, EndpointId)>,
    /// Every tenant of the set-up with its id.
    pub tenants: Vec<(String, TenantId)>,
    /// What plugins are to be asked before anything is written.
    pub questions: Vec<Asked>,
}

/// A question about the configuration of a sender.
#[derive(Debug)]
pub struct Asked {
    pub place: String,
    pub question: ConfigQuestion,
}

/// Decides what to write.
///
/// # Errors
/// Names that lead nowhere, and credentials that already belong to something else.
pub fn plan(setup: &Setup, rows: &Rows, now: Timestamp) -> Result<Plan, Problems> {
    let mut planner = Planner {
        known: Known::of(rows),
        now,
        plan: Plan::default(),
        problems: Problems::default(),
    };
    for tenant in &setup.tenants {
        planner.tenant(tenant);
    }
    if planner.problems.0.is_empty() {
        Ok(planner.plan)
    } else {
        Err(planner.problems)
    }
}

/// What there is, by what a set-up knows it by.
struct Known<'a> {
    tenants: HashMap<&'a str, &'a TenantRow>,
    environments: HashMap<TenantId, Vec<&'a EnvironmentRow>>,
    endpoints: HashMap<(EnvironmentId, &'a str), &'a EndpointRow>,
    senders: HashMap<(EnvironmentId, &'a str), &'a SenderRow>,
    credentials: HashMap<Owner<'a>, &'a CredentialRow>,
    owners: HashMap<ContentHash, Owner<'a>>,
    /// Rows that cannot be read, by table, what their name is unique in, and name.
    unreadable: HashMap<(&'static str, Option<Uuid>, &'a str), &'a SetAside>,
}

/// Whose credential it is: tenant, kind, subject and name.
type Owner<'a> = (Option<TenantId>, &'a str, Option<Uuid>, Option<&'a str>);

impl<'a> Known<'a> {
    fn of(rows: &'a Rows) -> Self {
        let owner = |row: &'a CredentialRow| (row.tenant, row.kind.as_str(), row.subject, row.name.as_deref());
        let mut environments: HashMap<_, Vec<_>> = HashMap::new();
        for row in &rows.environments.rows {
            environments.entry(row.tenant).or_default().push(row);
        }
        let credentials = &rows.credentials.rows;
        Self {
            tenants: rows.tenants.rows.iter().map(|row| (row.name.as_str(), row)).collect(),
            environments,
            endpoints: (rows.endpoints.rows.iter())
                .filter_map(|row| Some(((row.environment, row.name.as_deref()?), row)))
                .collect(),
            senders: (rows.senders.rows.iter())
                .filter_map(|row| Some(((row.environment, row.name.as_deref()?), row)))
                .collect(),
            credentials: credentials.iter().map(|row| (owner(row), row)).collect(),
            owners: credentials.iter().map(|row| (row.hash, owner(row))).collect(),
            unreadable: (rows.set_aside.iter())
                .map(|row| ((row.table, row.within, row.name.as_str()), row))
                .collect(),
        }
    }
}

impl Known<'_> {
    /// A row of an environment that cannot be read.
    fn broken(&self, table: &'static str, environment: EnvironmentId, name: &str) -> Option<(Uuid, i64)> {
        let found = self.unreadable.get(&(table, Some(environment.as_uuid()), name));
        found.map(|row| (row.id, row.revision))
    }
}

/// What people read a removed thing as: the environment is told where it is not the usual one.
fn told_as(tenant: &str, environment: &str, name: &str) -> String {
    if environment == FIRST_ENVIRONMENT {
        format!("{tenant}/{name}")
    } else {
        format!("{tenant}/{environment}/{name}")
    }
}

struct Planner<'a> {
    known: Known<'a>,
    now: Timestamp,
    plan: Plan,
    problems: Problems,
}

/// A thing of the set-up whose credential is planned.
struct Holder<'a> {
    place: &'a str,
    told_as: &'a str,
    tenant: TenantId,
    kind: CredentialKind,
    subject: Option<Uuid>,
    environment: Option<EnvironmentId>,
    name: Option<&'a str>,
    /// None: what it is.
    disabled: Option<bool>,
}

/// Lists the names of the fields in which two rows differ.
macro_rules! differing {
    ($old:expr, $new:expr; $($field:ident),+) => {
        [$( ($old.$field != $new.$field).then_some(stringify!($field)) ),+].into_iter().flatten().collect::<Vec<&'static str>>()
    };
}

impl Planner<'_> {
    /// `fields` is none for a new row, else what differs.
    fn note(&mut self, kind: &'static str, name: &str, id: Uuid, fields: Option<Vec<&'static str>>, row: Row, expected: Expected) {
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
            name: name.to_owned(),
            fields: fields.unwrap_or_default(),
            id: Some(id),
        });
    }

    /// Plans the end of a thing; one that is gone already is as it shall be.
    fn remove(&mut self, kind: &'static str, name: String, found: Option<(Thing, Uuid, i64)>) {
        let action = match found {
            Some((thing, _, revision)) => {
                self.plan.changes.push(Change::Delete { thing, revision });
                Action::Delete
            }
            None => Action::Unchanged,
        };
        self.plan.lines.push(Line {
            action,
            kind,
            name,
            fields: Vec::new(),
            id: found.map(|(_, id, _)| id),
        });
    }

    fn removed(&mut self, tenant: TenantId, tenant_name: &str, setup: &TenantSetup) {
        let removed = &setup.removed;
        let set_up: Vec<&str> = setup.senders.iter().map(|sender| sender.name.as_str()).collect();
        for name in &removed.api_keys {
            let kind = CredentialKind::ApiKey.as_str();
            let found = self.known.credentials.get(&(Some(tenant), kind, None, Some(name.as_str())));
            let readable = found.map(|row| (row.id.as_uuid(), row.revision));
            let broken = self.known.unreadable.get(&("credential", Some(tenant.as_uuid()), name.as_str()));
            let found = readable.or_else(|| broken.map(|row| (row.id, row.revision)));
            let found = found.map(|(id, revision)| (Thing::Credential(CredentialId::from_uuid(id)), id, revision));
            self.remove(kind, format!("{tenant_name}/{name}"), found);
        }
        for (slug, name) in &removed.senders {
            let Some(environment) = self.environment_of_removed(tenant, tenant_name, slug, name) else {
                continue;
            };
            let readable = self
                .known
                .senders
                .get(&(environment, name.as_str()))
                .map(|row| (row.id.as_uuid(), row.revision));
            let found = readable.or_else(|| self.known.broken("sender", environment, name));
            let found = found.map(|(id, revision)| (Thing::Sender(SenderId::from_uuid(id)), id, revision));
            self.remove("sender", told_as(tenant_name, slug, name), found);
        }
        for (slug, name) in &removed.endpoints {
            let Some(environment) = self.environment_of_removed(tenant, tenant_name, slug, name) else {
                continue;
            };
            let readable = self
                .known
                .endpoints
                .get(&(environment, name.as_str()))
                .map(|row| (row.id.as_uuid(), row.revision));
            let found = readable.or_else(|| self.known.broken("endpoint", environment, name));
            let found = found.map(|(id, revision)| (EndpointId::from_uuid(id), id, revision));
            // What the set-up says of its own senders is checked with the set-up.
            let stays = |(at, sender): &&(EnvironmentId, &str)| {
                *at == environment && !set_up.contains(sender) && !removed.senders.contains(&(slug.clone(), (*sender).to_owned()))
            };
            let names = |key: &&(EnvironmentId, &str)| {
                let endpoints = self.known.senders.get(*key).and_then(|row| row.endpoints.as_deref());
                let endpoints: Vec<String> = endpoints.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
                endpoints.contains(name)
            };
            if let Some((_, sender)) = self.known.senders.keys().filter(stays).find(names) {
                let problem = format!("is still named by the sender \"{sender}\"");
                self.problems
                    .add(format!("tenant \"{tenant_name}\", remove \"{slug}/{name}\""), problem);
            }
            self.plan.deleted.extend(found.map(|(endpoint, ..)| (tenant, endpoint)));
            let found = found.map(|(endpoint, id, revision)| (Thing::Endpoint(endpoint), id, revision));
            self.remove("endpoint", told_as(tenant_name, slug, name), found);
        }
    }

    /// An environment that is misspelled would pass for one in which everything is gone already.
    fn environment_of_removed(&mut self, tenant: TenantId, tenant_name: &str, slug: &str, name: &str) -> Option<EnvironmentId> {
        let environments = self.known.environments.get(&tenant).into_iter().flatten();
        let found = environments.into_iter().find(|row| row.slug == slug).map(|row| row.id);
        if found.is_none() && slug != FIRST_ENVIRONMENT {
            self.problems.add(
                format!("tenant \"{tenant_name}\", remove \"{slug}/{name}\""),
                "is in an environment that is not there",
            );
        }
        found
    }

    fn tenant(&mut self, setup: &TenantSetup) {
        let name = setup.fields.name.as_str();
        let old = self.known.tenants.get(name).copied();
        let broken = self.known.unreadable.get(&("tenant", None, name)).copied();
        let id = id_of(old.map(|row| row.id), broken, TenantId::from_uuid).unwrap_or_else(|| TenantId::new_v7(self.now, rand::random()));
        let new = setup.fields.row(id);
        if old.is_some_and(|old| old.registered) {
            let problem = "was registered over HTTP by somebody whose users have its secret; a set-up file does not write into it";
            self.problems.add(format!("tenant \"{name}\""), problem);
        }
        let differing = old.map(|old| differing!(old, new; attempts_max, breaker_block_s, webhook_secret));
        let expected = expected(old.map(|row| row.revision), broken);
        self.plan.tenants.push((name.to_owned(), id));
        self.note("tenant", name, id.as_uuid(), fields(differing, broken), Row::Tenant(new), expected);
        for key in &setup.api_keys {
            let holder = Holder {
                place: &format!("tenant \"{name}\", api_key \"{}\"", key.name),
                told_as: &format!("{name}/{}", key.name),
                tenant: id,
                kind: CredentialKind::ApiKey,
                subject: None,
                environment: None,
                name: Some(&key.name),
                disabled: key.disabled,
            };
            self.credential(&holder, &key.text);
        }
        let environments = self.environments(id, setup);
        for endpoint in &setup.endpoints {
            self.endpoint(id, name, environments[endpoint.environment.as_str()], endpoint);
        }
        let named: HashSet<(&str, &str)> = (setup.endpoints.iter())
            .map(|endpoint| (endpoint.environment.as_str(), endpoint.name.as_str()))
            .collect();
        for sender in &setup.senders {
            let environment = environments[sender.environment.as_str()];
            let place = format!("tenant \"{name}\", sender \"{}\"", sender.name);
            for endpoint in sender.fields.endpoints.iter().flatten() {
                let here = named.contains(&(sender.environment.as_str(), endpoint.as_str()));
                if !here && !self.known.endpoints.contains_key(&(environment, endpoint.as_str())) {
                    let problem = format!("there is no endpoint \"{endpoint}\" in environment \"{}\"", sender.environment);
                    self.problems.add(place.as_str(), problem);
                }
            }
            self.sender(id, name, &place, environment, sender);
        }
        self.removed(id, name, setup);
    }

    /// The environments the set-up uses, with those it makes. The first of a tenant is its default, unless one has the name
    /// that is meant when none is given.
    fn environments<'s>(&mut self, tenant: TenantId, setup: &'s TenantSetup) -> HashMap<&'s str, EnvironmentId> {
        let used = (setup.endpoints.iter())
            .map(|endpoint| endpoint.environment.as_str())
            .chain(setup.senders.iter().map(|sender| sender.environment.as_str()));
        let mut slugs: Vec<&str> = used.collect();
        slugs.sort_unstable_by_key(|slug| (*slug != FIRST_ENVIRONMENT, *slug));
        slugs.dedup();
        let known = self.known.environments.get(&tenant).cloned().unwrap_or_default();
        if slugs.is_empty() && known.is_empty() {
            // As for a tenant made in any other way: it has an environment from the beginning.
            slugs.push(FIRST_ENVIRONMENT);
        }
        let mut has_default = known.iter().any(|row| row.is_default);
        let mut environments = HashMap::new();
        for slug in slugs {
            if let Some(row) = known.iter().find(|row| row.slug == slug) {
                environments.insert(slug, row.id);
                continue;
            }
            let row = EnvironmentRow {
                id: EnvironmentId::new_v7(self.now, rand::random()),
                tenant,
                slug: slug.to_owned(),
                name: slug.to_owned(),
                is_default: !has_default,
                revision: 0,
            };
            has_default = true;
            environments.insert(slug, row.id);
            let told_as = format!("{}/{slug}", setup.fields.name);
            self.note(
                "environment",
                &told_as,
                row.id.as_uuid(),
                None,
                Row::Environment(row),
                Expected::New,
            );
        }
        environments
    }

    fn credential(&mut self, holder: &Holder<'_>, text: &SecretText) {
        let hash = ContentHash::of(text.expose().as_bytes());
        let owner = (Some(holder.tenant), holder.kind.as_str(), holder.subject, holder.name);
        let old = self.known.credentials.get(&owner).copied();
        if self.known.owners.get(&hash).is_some_and(|other| *other != owner) {
            self.problems.add(holder.place, "its credential already belongs to something else");
        }
        let new = CredentialRow {
            id: old.map_or_else(|| CredentialId::new_v7(self.now, rand::random()), |row| row.id),
            tenant: Some(holder.tenant),
            kind: holder.kind.as_str().to_owned(),
            subject: holder.subject,
            environment: holder.environment,
            name: holder.name.map(str::to_owned),
            label: old.and_then(|row| row.label.clone()),
            rights: String::new(),
            hash,
            sealed: None,
            expires_at: None,
            disabled_at: match (holder.disabled, old.and_then(|row| row.disabled_at)) {
                (Some(false), _) => None,
                (Some(true), None) => Some(self.now),
                (_, before) => before,
            },
            last_used_at: None,
            revoked_at: None,
            revision: 0,
            created_at: self.now,
            updated_at: self.now,
        };
        let differing = old.map(|old| differing!(old, new; hash, disabled_at));
        let expected = expected(old.map(|row| row.revision), None);
        let id = new.id.as_uuid();
        self.note(holder.kind.as_str(), holder.told_as, id, differing, Row::Credential(new), expected);
    }

    fn endpoint(&mut self, tenant: TenantId, tenant_name: &str, environment: EnvironmentId, setup: &EndpointSetup) {
        let name = setup.name.as_str();
        let old = self.known.endpoints.get(&(environment, name)).copied();
        let within = Some(environment.as_uuid());
        let broken = self.known.unreadable.get(&("endpoint", within, name)).copied();
        let id =
            id_of(old.map(|row| row.id), broken, EndpointId::from_uuid).unwrap_or_else(|| EndpointId::new_v7(self.now, rand::random()));
        let mut new = old.cloned().unwrap_or_else(|| blank(id, tenant, environment, self.now));
        setup.fields.put_into(&mut new, self.now);
        if let (None, Some(old)) = (setup.profile, old) {
            new.profile.clone_from(&old.profile);
        }
        // What a set-up file cannot say stays as it is.
        new.auth = old.and_then(|old| old.auth.clone());
        let differing =
            old.map(|old| differing!(old, new; description, url, status, profile, subscriptions, metadata, concurrency_max, attempts_max));
        let expected = expected(old.map(|row| row.revision), broken);
        let told_as = format!("{tenant_name}/{name}");
        self.note(
            "endpoint",
            &told_as,
            id.as_uuid(),
            fields(differing, broken),
            Row::Endpoint(Box::new(new)),
            expected,
        );
        if let Some(token) = &setup.token {
            let holder = Holder {
                place: &format!("tenant \"{tenant_name}\", endpoint \"{name}\""),
                told_as: &told_as,
                tenant,
                kind: CredentialKind::EndpointToken,
                subject: Some(id.as_uuid()),
                environment: Some(environment),
                name: None,
                disabled: None,
            };
            self.credential(&holder, token);
        }
    }

    fn sender(&mut self, tenant: TenantId, tenant_name: &str, place: &str, environment: EnvironmentId, setup: &SenderSetup) {
        let name = setup.name.as_str();
        let old = self.known.senders.get(&(environment, name)).copied();
        let within = Some(environment.as_uuid());
        let broken = self.known.unreadable.get(&("sender", within, name)).copied();
        let id = id_of(old.map(|row| row.id), broken, SenderId::from_uuid).unwrap_or_else(|| SenderId::new_v7(self.now, rand::random()));
        let mut new = setup.fields.row(id, tenant, environment);
        if let Some(old) = old {
            // What a set-up file cannot say stays as it is.
            new.endpoint = old.endpoint;
            new.label.clone_from(&old.label);
        }
        if let Some(plugin) = &new.plugin {
            let is_new = !self.known.tenants.contains_key(tenant_name);
            self.plan.questions.push(Asked {
                place: place.to_owned(),
                question: ConfigQuestion {
                    tenant: (!is_new).then_some(tenant),
                    plugin: plugin.clone(),
                    config: new.config.as_str().into(),
                },
            });
        }
        let differing =
            old.map(|old| differing!(old, new; status, plugin, config, failure_policy, event_type_header, exposed_headers, endpoints, mapping, mapping_failure, verification));
        let expected = expected(old.map(|row| row.revision), broken);
        let told_as = format!("{tenant_name}/{name}");
        let differing = fields(differing, broken);
        self.note("sender", &told_as, id.as_uuid(), differing, Row::Sender(new), expected);
        let holder = Holder {
            place,
            told_as: &told_as,
            tenant,
            kind: CredentialKind::SenderToken,
            subject: Some(id.as_uuid()),
            environment: Some(environment),
            name: None,
            disabled: None,
        };
        self.credential(&holder, &setup.token);
    }
}

/// The id of the row that is there, readable or not.
fn id_of<Id>(known: Option<Id>, broken: Option<&SetAside>, of: impl Fn(Uuid) -> Id) -> Option<Id> {
    known.or_else(|| broken.map(|row| of(row.id)))
}

fn expected(revision: Option<i64>, broken: Option<&SetAside>) -> Expected {
    let revision = revision.or_else(|| broken.map(|row| row.revision));
    revision.map_or(Expected::New, Expected::Revision)
}

/// A row that cannot be read differs in an unknown number of fields.
fn fields(differing: Option<Vec<&'static str>>, broken: Option<&SetAside>) -> Option<Vec<&'static str>> {
    differing.or_else(|| broken.map(|_| vec!["unreadable"]))
}
