//! The configuration as of one revision: parsed, indexed, immutable.
//!
//! A node applies what changed to the snapshot it has ([`Snapshot::with`]) and swaps the next one in; work in flight
//! finishes on the one it began with. Rows that did not change are neither read nor parsed again. What is shared between
//! them (a tenant among its endpoints, endpoints among senders) is linked anew where one end changed, which costs pointers.
//!
//! The next snapshot does not depend on the way that led to it: many small steps and one large step give the same.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use hookyard_domain::{ContentHash, CredentialId, EndpointId, EnvironmentId, SenderId, TenantId, Timestamp};
use uuid::Uuid;

use super::{
    credential::Credential,
    endpoint::{Endpoint, EndpointSettings},
    environment::Environment,
    plugin::PluginState,
    reach::Reach,
    sender::{Sender, SenderSettings},
    table::TableRow,
    tenant::Tenant,
};
use crate::store::{Changed, Rows, SetAside, Unreadable};

/// All that is configured, as of one revision. A table that did not change is shared with the snapshot before.
#[derive(Clone, Default)]
pub struct Snapshot {
    pub revision: i64,
    pub tenants: Arc<HashMap<TenantId, Arc<Tenant>>>,
    pub environments: Arc<HashMap<EnvironmentId, Arc<Environment>>>,
    /// The endpoints of tenants that are known.
    pub endpoints: Arc<HashMap<EndpointId, Arc<Endpoint>>>,
    /// The senders of tenants that are known.
    pub senders: Arc<HashMap<SenderId, Arc<Sender>>>,
    pub credentials: Arc<HashMap<CredentialId, Arc<Credential>>>,
    /// What parsed, whether or not the tenant is known: it may be set aside now and come back.
    endpoint_settings: Arc<HashMap<EndpointId, Arc<EndpointSettings>>>,
    sender_settings: Arc<HashMap<SenderId, Arc<SenderSettings>>>,
    by_hash: Arc<HashMap<ContentHash, Arc<Credential>>>,
    subscribers: Arc<HashMap<EnvironmentId, Reach>>,
    plugins: Arc<HashMap<TenantId, HashMap<String, PluginState>>>,
    set_aside: Arc<BTreeMap<(&'static str, Uuid), SetAside>>,
}

impl Snapshot {
    /// The credential with this text, unless it is disabled or has expired. Looking a hash up by equality leaks nothing: a
    /// caller cannot choose a hash. A revoked one is not known any more. That it was found counts as a use.
    pub fn credential(&self, text: &str, now: Timestamp) -> Option<&Arc<Credential>> {
        let credential = self.by_hash.get(&ContentHash::of(text.as_bytes()))?;
        if !credential.works(now) {
            return None;
        }
        credential.last_use.note(now);
        Some(credential)
    }

    pub fn tenant_by_name(&self, name: &str) -> Option<&Arc<Tenant>> {
        self.tenants.values().find(|tenant| tenant.name == name)
    }

    /// The environment that is meant where none is named.
    pub fn default_environment(&self, tenant: TenantId) -> Option<&Arc<Environment>> {
        self.environments
            .values()
            .find(|environment| environment.tenant == tenant && environment.is_default)
    }

    /// All endpoints of an environment, by the event types they want; none when it has no endpoint.
    pub fn subscribers(&self, environment: EnvironmentId) -> Option<&Reach> {
        self.subscribers.get(&environment)
    }

    /// The version of a plugin that the table says is active, whether or not this node has loaded it.
    pub fn plugin(&self, tenant: TenantId, name: &str) -> Option<&PluginState> {
        self.plugins.get(&tenant)?.get(name)
    }

    /// All plugins with an active version, by tenant and name.
    pub fn plugins(&self) -> impl Iterator<Item = (TenantId, &str, &PluginState)> {
        self.plugins
            .iter()
            .flat_map(|(tenant, plugins)| plugins.iter().map(|(name, state)| (*tenant, name.as_str(), state)))
    }

    /// The revision that a sender's route has: that of its own row or of its plugin's activation, whichever is later. An
    /// event that was held under an earlier one is routed again.
    pub fn route_revision(&self, sender: &Sender) -> i64 {
        let plugin = sender
            .plugin
            .as_deref()
            .and_then(|name| self.plugin(sender.tenant_id, name))
            .map_or(0, |plugin| plugin.revision);
        sender.revision.max(plugin)
    }

    /// The rows that cannot be used, and why.
    pub fn set_aside(&self) -> impl Iterator<Item = &SetAside> {
        self.set_aside.values()
    }

    /// Whether this very state of a row was set aside before.
    pub(super) fn has_set_aside(&self, row: &SetAside) -> bool {
        self.set_aside.get(&(row.table, row.id)) == Some(row)
    }

    /// The snapshot that follows from this one and what changed since its revision.
    #[must_use]
    pub fn with(&self, rows: Rows) -> Self {
        let mut next = self.clone();
        next.revision = rows.revision;
        let aside = Arc::make_mut(&mut next.set_aside);
        let mut unreadable: HashMap<&'static str, Vec<Uuid>> = HashMap::new();
        for row in rows.set_aside {
            unreadable.entry(row.table).or_default().push(row.id);
            aside.insert((row.table, row.id), row);
        }
        let tenants = apply(&mut next.tenants, rows.tenants, &unreadable, aside);
        let environments = apply(&mut next.environments, rows.environments, &unreadable, aside);
        let endpoints = apply(&mut next.endpoint_settings, rows.endpoints, &unreadable, aside);
        let senders = apply(&mut next.sender_settings, rows.senders, &unreadable, aside);
        let credentials = apply(&mut next.credentials, rows.credentials, &unreadable, aside);
        for row in &rows.plugins {
            aside.remove(&("plugin", row.id.as_uuid()));
            let of_tenant = Arc::make_mut(&mut next.plugins).entry(row.tenant).or_default();
            match PluginState::of(row) {
                Some(state) => of_tenant.insert(row.name.clone(), state),
                None => of_tenant.remove(&row.name),
            };
        }
        next.forget_plugins(unreadable.get("plugin").map_or(&[], Vec::as_slice));
        next.index_credentials(self, &credentials);
        let crowded = next.link_endpoints(&tenants, endpoints);
        next.link_senders(&tenants, &environments, &crowded, senders);
        next
    }

    fn forget_plugins(&mut self, ids: &[Uuid]) {
        if !ids.is_empty() {
            for of_tenant in Arc::make_mut(&mut self.plugins).values_mut() {
                of_tenant.retain(|_, state| !ids.contains(&state.id.as_uuid()));
            }
        }
    }

    fn index_credentials(&mut self, before: &Self, changed: &HashSet<CredentialId>) {
        if changed.is_empty() {
            return;
        }
        let by_hash = Arc::make_mut(&mut self.by_hash);
        for old in changed.iter().filter_map(|id| before.credentials.get(id)) {
            by_hash.remove(&old.hash);
        }
        for new in changed.iter().filter_map(|id| self.credentials.get(id)) {
            if let Some(old) = before.credentials.get(&new.id) {
                new.last_use.go_on_from(&old.last_use);
            }
            by_hash.insert(new.hash, Arc::clone(new));
        }
    }

    /// Gives the endpoints that changed, or whose tenant did, their tenant. Returns the environments whose endpoints are not
    /// what they were.
    fn link_endpoints(&mut self, tenants: &HashSet<TenantId>, mut changed: HashSet<EndpointId>) -> HashSet<EnvironmentId> {
        if !tenants.is_empty() {
            let of_changed = |settings: &&Arc<EndpointSettings>| tenants.contains(&settings.tenant_id);
            changed.extend(self.endpoint_settings.values().filter(of_changed).map(|settings| settings.id));
        }
        let mut crowded = HashSet::new();
        if changed.is_empty() {
            return crowded;
        }
        let endpoints = Arc::make_mut(&mut self.endpoints);
        for id in &changed {
            let linked = self.endpoint_settings.get(id).and_then(|settings| {
                let tenant = Arc::clone(self.tenants.get(&settings.tenant_id)?);
                let settings = Arc::clone(settings);
                Some(Arc::new(Endpoint { tenant, settings }))
            });
            crowded.extend(linked.as_ref().map(|endpoint| endpoint.environment));
            let former = match linked {
                Some(endpoint) => endpoints.insert(*id, endpoint),
                None => endpoints.remove(id),
            };
            crowded.extend(former.map(|endpoint| endpoint.environment));
        }
        let subscribers = Arc::make_mut(&mut self.subscribers);
        let mut members: HashMap<EnvironmentId, Vec<Arc<Endpoint>>> = HashMap::new();
        for environment in &crowded {
            let former = subscribers.remove(environment).unwrap_or_default();
            let stay = former.all().iter().filter(|endpoint| !changed.contains(&endpoint.id));
            members.insert(*environment, stay.cloned().collect());
        }
        for endpoint in changed.iter().filter_map(|id| endpoints.get(id)) {
            members.entry(endpoint.environment).or_default().push(Arc::clone(endpoint));
        }
        for (environment, endpoints) in members {
            if !endpoints.is_empty() {
                subscribers.insert(environment, Reach::of(endpoints));
            }
        }
        crowded
    }

    /// Gives the senders that changed, or to which something they are linked to did, their tenant and their reach.
    fn link_senders(
        &mut self,
        tenants: &HashSet<TenantId>,
        environments: &HashSet<EnvironmentId>,
        crowded: &HashSet<EnvironmentId>,
        mut changed: HashSet<SenderId>,
    ) {
        let affected = |settings: &&Arc<SenderSettings>| {
            tenants.contains(&settings.tenant_id) || environments.contains(&settings.environment) || crowded.contains(&settings.environment)
        };
        if !(tenants.is_empty() && environments.is_empty() && crowded.is_empty()) {
            changed.extend(self.sender_settings.values().filter(affected).map(|settings| settings.id));
        }
        if changed.is_empty() {
            return;
        }
        let mut by_name: HashMap<EnvironmentId, HashMap<&str, &Arc<Endpoint>>> = HashMap::new();
        let mut linked = Vec::with_capacity(changed.len());
        for id in changed {
            let sender = self.sender_settings.get(&id).and_then(|settings| {
                let tenant = Arc::clone(self.tenants.get(&settings.tenant_id)?);
                let environment_name = self
                    .environments
                    .get(&settings.environment)
                    .map_or_else(Arc::default, |environment| environment.slug.as_str().into());
                let reach = self.reach_of(settings, &mut by_name);
                let settings = Arc::clone(settings);
                Some(Arc::new(Sender {
                    tenant,
                    environment_name,
                    reach,
                    settings,
                }))
            });
            linked.push((id, sender));
        }
        let senders = Arc::make_mut(&mut self.senders);
        for (id, sender) in linked {
            match sender {
                Some(sender) => senders.insert(id, sender),
                None => senders.remove(&id),
            };
        }
    }

    /// Its own endpoint alone, where it has one and no plugin that could choose others; else those it names, and its own; else
    /// all of its environment.
    fn reach_of<'a>(&'a self, sender: &SenderSettings, by_name: &mut HashMap<EnvironmentId, HashMap<&'a str, &'a Arc<Endpoint>>>) -> Reach {
        let everywhere = self.subscribers.get(&sender.environment);
        let own = sender.endpoint.and_then(|id| self.endpoints.get(&id));
        match (&sender.endpoint_names, sender.endpoint, &sender.plugin) {
            (_, Some(_), None) => return own.cloned().map(Reach::only).unwrap_or_default(),
            (None, _, _) => return everywhere.cloned().unwrap_or_default(),
            (Some(_), _, _) => {}
        }
        let mut endpoints: Vec<Arc<Endpoint>> = own.into_iter().cloned().collect();
        if let Some(names) = &sender.endpoint_names {
            let by_name = by_name.entry(sender.environment).or_insert_with(|| {
                let all = everywhere.map_or(&[][..], Reach::all);
                all.iter()
                    .filter_map(|endpoint| Some((endpoint.settings.name.as_deref()?, endpoint)))
                    .collect()
            });
            let named = names.iter().filter_map(|name| by_name.get(name.as_str()));
            for endpoint in named {
                if endpoints.iter().all(|other| other.id != endpoint.id) {
                    endpoints.push(Arc::clone(endpoint));
                }
            }
        }
        Reach::of(endpoints)
    }
}

/// Puts the rows of a table that changed into its map, and takes out what is gone or cannot be used any more. Returns all
/// that it touched.
fn apply<Row: TableRow>(
    map: &mut Arc<HashMap<Row::Id, Arc<Row::Noun>>>,
    changed: Changed<Row, Row::Id>,
    unreadable: &HashMap<&'static str, Vec<Uuid>>,
    aside: &mut BTreeMap<(&'static str, Uuid), SetAside>,
) -> HashSet<Row::Id> {
    let mut touched = HashSet::new();
    let unreadable = unreadable.get(Row::TABLE).map_or(&[][..], Vec::as_slice);
    if changed.rows.is_empty() && changed.gone.is_empty() && unreadable.is_empty() {
        return touched;
    }
    let map = Arc::make_mut(map);
    for id in unreadable.iter().copied().map(Row::id_of) {
        map.remove(&id);
        touched.insert(id);
    }
    for id in changed.gone {
        map.remove(&id);
        aside.remove(&(Row::TABLE, Row::uuid_of(id)));
        touched.insert(id);
    }
    for row in changed.rows {
        let id = row.id();
        let key = (Row::TABLE, Row::uuid_of(id));
        let told = row.about();
        match row.parse() {
            Ok(noun) => {
                map.insert(id, Arc::new(noun));
                aside.remove(&key);
            }
            Err(problem) => {
                map.remove(&id);
                let why = Unreadable::Malformed { problem };
                aside.insert(key, SetAside { why, ..told });
            }
        }
        touched.insert(id);
    }
    touched
}
