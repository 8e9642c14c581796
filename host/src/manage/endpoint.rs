//! Endpoints: where deliveries go.

use std::{sync::Arc, time::Duration};

use hookyard_domain::{
    ApplicationId, CredentialId, EndpointId, EnvironmentId, Scope, SubscriptionId, TenantId, Timestamp, profile, profile::Profile,
    signature::StandardSecret,
};
use serde_json::{Map, Value};

use super::{Manage, NO_ENDPOINT, NO_TENANT, NewCredential, PlainHttp, Problems, Refusal, TRIES_MAX, Text, check, retried, within};
use crate::{
    configuration::{CredentialKind, Endpoint, EndpointStatus, OutboundAuth, Sender},
    store::{Change, EndpointRow, Expected, PreviousSecret, Row, SecretText, SubscriptionRow, Thing},
};

/// Attempts at once to an endpoint unless it says otherwise: what a small receiver can bear.
pub(super) const CONCURRENCY_DEFAULT: u32 = 5;

/// All that is set for an endpoint, but for its secrets.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointFields {
    /// None: it is known by its id alone.
    pub name: Option<String>,
    pub description: Option<String>,
    pub url: String,
    /// Whether the URL may be http.
    pub plain_http: PlainHttp,
    pub status: EndpointStatus,
    /// How its deliveries are made; kept from its creation on.
    pub profile: &'static Profile,
    /// Up to 16 KiB as JSON.
    pub metadata: Map<String, Value>,
    /// Event patterns in the syntax of the profile; none: nothing reaches it but what names it.
    pub events: Vec<String>,
    pub concurrency_max: u32,
    /// None: what its profile or its tenant says.
    pub attempts_max: Option<u16>,
    pub auth: Option<OutboundAuth>,
}

impl EndpointFields {
    /// An endpoint with the defaults, which wants every event.
    pub fn at(url: &str) -> Self {
        Self {
            name: None,
            description: None,
            url: url.to_owned(),
            plain_http: PlainHttp::Refused,
            status: EndpointStatus::Active,
            profile: profile::DEFAULT,
            metadata: Map::new(),
            events: vec!["*".to_owned()],
            concurrency_max: CONCURRENCY_DEFAULT,
            attempts_max: None,
            auth: None,
        }
    }

    pub fn check(&self) -> Problems {
        let mut problems = Problems::default();
        problems.check("name", self.name.as_deref().map_or(Ok(()), check::name));
        problems.check("description", self.description.as_deref().map_or(Ok(()), check::description));
        problems.check("url", check::url(&self.url, self.plain_http));
        problems.check("metadata", check::metadata(&self.metadata));
        problems.check("events", check::events_count(self.events.len()));
        for pattern in &self.events {
            problems.check(&format!("events \"{pattern}\""), check::event_pattern(self.profile, pattern));
        }
        problems.check("concurrency_max", check::concurrency_max(self.concurrency_max));
        problems.check("attempts_max", self.attempts_max.map_or(Ok(()), check::attempts_max));
        problems
    }

    /// What a row says. One that cannot be used is not read this far.
    fn of(row: &EndpointRow) -> Option<Self> {
        Some(Self {
            name: row.name.clone(),
            description: row.description.clone(),
            // It was allowed when it was set, and stays so for as long as it is not https.
            plain_http: if row.url.starts_with("http://") {
                PlainHttp::Allowed
            } else {
                PlainHttp::Refused
            },
            url: row.url.clone(),
            status: EndpointStatus::parse(&row.status)?,
            profile: Profile::named(&row.profile)?,
            metadata: serde_json::from_str(&row.metadata).ok()?,
            events: row.subscriptions.iter().map(|subscription| subscription.pattern.clone()).collect(),
            concurrency_max: row.concurrency_max,
            attempts_max: row.attempts_max,
            auth: row.auth.as_ref().map(OutboundAuth::of_secret).transpose().ok()?,
        })
    }

    /// Puts these fields into a row; the subscriptions whose pattern stays keep their ids.
    pub(super) fn put_into(&self, row: &mut EndpointRow, now: Timestamp) {
        row.name.clone_from(&self.name);
        row.description.clone_from(&self.description);
        row.url.clone_from(&self.url);
        self.status.as_str().clone_into(&mut row.status);
        self.profile.name().clone_into(&mut row.profile);
        row.metadata = Value::Object(self.metadata.clone()).to_string();
        row.concurrency_max = self.concurrency_max;
        row.attempts_max = self.attempts_max;
        row.auth = self.auth.as_ref().map(OutboundAuth::to_secret);
        let known = std::mem::take(&mut row.subscriptions);
        for pattern in &self.events {
            if row.subscriptions.iter().any(|subscription| subscription.pattern == *pattern) {
                continue;
            }
            let kept = known.iter().find(|subscription| subscription.pattern == *pattern).cloned();
            row.subscriptions.push(kept.unwrap_or_else(|| SubscriptionRow {
                id: SubscriptionId::new_v7(now, rand::random()),
                pattern: pattern.clone(),
                event_type: None,
                created_at: now,
            }));
        }
        row.subscriptions.sort_unstable_by_key(|subscription| subscription.id);
    }
}

#[derive(Debug, Clone)]
pub struct NewEndpoint {
    pub tenant: TenantId,
    /// None: the tenant's default.
    pub environment: Option<EnvironmentId>,
    pub application: Option<ApplicationId>,
    pub fields: EndpointFields,
    /// A signing secret of its own; none: the tenant's.
    pub secret: Option<SecretText>,
    /// An ingest token of its own; what comes by it goes here and nowhere else.
    pub token: Option<SecretText>,
}

impl NewEndpoint {
    /// An endpoint in the tenant's default environment that signs with the tenant's secret.
    pub fn of(tenant: TenantId, fields: EndpointFields) -> Self {
        Self {
            tenant,
            environment: None,
            application: None,
            fields,
            secret: None,
            token: None,
        }
    }
}

/// Which endpoints of the scope are listed.
#[derive(Debug, Clone, Copy, Default)]
pub struct EndpointFilter {
    pub environment: Option<EnvironmentId>,
    pub application: Option<ApplicationId>,
    pub profile: Option<&'static Profile>,
    pub status: Option<EndpointStatus>,
}

impl EndpointFilter {
    fn takes(&self, endpoint: &Endpoint) -> bool {
        self.environment.is_none_or(|environment| endpoint.environment == environment)
            && self.application.is_none_or(|application| endpoint.application == Some(application))
            && self.profile.is_none_or(|profile| endpoint.profile == profile)
            && self.status.is_none_or(|status| endpoint.status == status)
    }
}

/// A new signing secret: `whsec_` and 256 random bits.
pub fn random_signing_secret() -> SecretText {
    let bytes: [u8; 32] = rand::random();
    let secret = StandardSecret::from_bytes(bytes.to_vec()).expect("32 bytes are within 24 to 64");
    SecretText::new(secret.to_text().to_string())
}

impl Manage {
    pub async fn create_endpoint(&self, scope: Scope, new: NewEndpoint) -> Result<Arc<Endpoint>, Refusal> {
        within(scope, new.tenant, NO_TENANT)?;
        let snapshot = self.fresh().await?;
        if !snapshot.tenants.contains_key(&new.tenant) {
            return Err(NO_TENANT);
        }
        let environment = Self::environment_of(&snapshot, new.tenant, new.environment)?;
        let mut problems = new.fields.check();
        problems.check("secret", new.secret.as_ref().map_or(Ok(()), check::signing_secret));
        let token = |text| check::credential(CredentialKind::EndpointToken, text);
        problems.check("token", new.token.as_ref().map_or(Ok(()), token));
        problems.refuse()?;
        let now = self.clock.now();
        let id = EndpointId::new_v7(now, rand::random());
        let mut row = blank(id, new.tenant, environment, now);
        row.application = new.application;
        row.secret = new.secret;
        new.fields.put_into(&mut row, now);
        let mut changes = vec![Change::new(Row::Endpoint(Box::new(row)))];
        if let Some(token) = new.token {
            let token = NewCredential {
                tenant: Some(new.tenant),
                kind: CredentialKind::EndpointToken,
                subject: Some(id.as_uuid()),
                environment: Some(environment),
                name: None,
                label: None,
                rights: String::new(),
                text: Text::Hashed(token),
                expires_at: None,
            };
            let row = self.credential_row(CredentialId::new_v7(now, rand::random()), &token);
            changes.push(Change::new(Row::Credential(row)));
        }
        let snapshot = self.write(&changes).await?;
        snapshot.endpoints.get(&id).cloned().ok_or(NO_ENDPOINT)
    }

    /// Changes an endpoint: `edit` is given what it is and makes of it what it shall be. What waits for the endpoint is
    /// delivered by what it has become.
    pub async fn update_endpoint(
        &self,
        scope: Scope,
        id: EndpointId,
        edit: impl Fn(&mut EndpointFields),
    ) -> Result<Arc<Endpoint>, Refusal> {
        // Whoever names it names it by this.
        let before = self.store.endpoint_row(scope, id).await?.ok_or(NO_ENDPOINT)?;
        let named = self.no_sender_names(before.environment, before.name.as_deref()).await;
        self.change_endpoint(scope, id, |row, now| {
            let mut fields = EndpointFields::of(row).ok_or(NO_ENDPOINT)?;
            edit(&mut fields);
            fields.check().refuse()?;
            if fields.name != row.name {
                named.clone()?;
            }
            fields.put_into(row, now);
            Ok(())
        })
        .await
    }

    /// Refuses where a sender chooses from endpoints by this name: its events would reach nobody, and nobody would be told.
    async fn no_sender_names(&self, environment: EnvironmentId, name: Option<&str>) -> Result<(), Refusal> {
        let Some(name) = name else { return Ok(()) };
        let snapshot = self.fresh().await?;
        let names = |sender: &&Arc<Sender>| {
            sender.environment == environment && sender.endpoint_names.iter().flatten().any(|endpoint| endpoint == name)
        };
        match snapshot.senders.values().find(names) {
            Some(sender) => Err(Refusal::InUse(format!(
                "sender \"{}\" names the endpoint \"{name}\": change the sender first",
                sender.label()
            ))),
            None => Ok(()),
        }
    }

    /// Suspends the endpoints whose receivers have failed for as long as their profile bears: nothing more is taken for them until
    /// their owner makes them active again. What waits for them waits on.
    pub async fn suspend_endpoints(&self) -> Result<(), Refusal> {
        let (snapshot, now) = (self.fresh().await?, self.clock.now());
        for row in self.store.breakers().await? {
            let Some(endpoint) = snapshot.endpoints.get(&row.endpoint) else {
                continue;
            };
            let lasts = endpoint.profile.breaker.suspends_after;
            // Since somebody last did something about it, or it would be suspended again as soon as it is made active.
            let failing = now.since(row.opened_at.max(endpoint.updated_at));
            // One that nobody tried lately may work again for all we know.
            let tried_lately = now < row.blocked_until.plus(TRIED_WITHIN);
            if endpoint.status == EndpointStatus::Active && tried_lately && lasts.is_some_and(|lasts| failing >= lasts) {
                let edit = |fields: &mut EndpointFields| fields.status = EndpointStatus::Suspended;
                if let Err(error) = self.update_endpoint(Scope::Operator, row.endpoint, edit).await {
                    tracing::warn!(endpoint = endpoint.label(), %error, "cannot suspend an endpoint");
                    continue;
                }
                tracing::warn!(
                    endpoint = endpoint.label(),
                    tenant = endpoint.tenant.name,
                    failing_since = %row.opened_at,
                    "endpoint suspended: its receiver has failed for too long"
                );
            }
        }
        Ok(())
    }

    /// Gives an endpoint another signing secret. The one before it, its own or the tenant's, signs beside the new one for as
    /// long as `overlap`, where the endpoint's profile allows two signatures.
    pub async fn rotate_endpoint_secret(
        &self,
        scope: Scope,
        id: EndpointId,
        secret: SecretText,
        overlap: Duration,
    ) -> Result<Arc<Endpoint>, Refusal> {
        let mut problems = Problems::default();
        problems.check("secret", check::signing_secret(&secret));
        problems.refuse()?;
        let tenant = {
            let row = self.store.endpoint_row(scope, id).await?.ok_or(NO_ENDPOINT)?;
            self.store.tenant_row(Scope::Operator, row.tenant).await?.ok_or(NO_ENDPOINT)?
        };
        self.change_endpoint(scope, id, |row, now| {
            let former = row.secret.replace(secret.clone()).unwrap_or_else(|| tenant.webhook_secret.clone());
            row.previous_secret = (!overlap.is_zero()).then(|| PreviousSecret {
                secret: former,
                until: now.plus(overlap),
            });
            Ok(())
        })
        .await
    }

    /// The secret an endpoint's deliveries are signed with, to show it to its owner: its own, or none where it is the
    /// tenant's.
    pub async fn endpoint_secret(&self, scope: Scope, id: EndpointId) -> Result<Option<SecretText>, Refusal> {
        Ok(self.store.endpoint_row(scope, id).await?.ok_or(NO_ENDPOINT)?.secret)
    }

    async fn change_endpoint(
        &self,
        scope: Scope,
        id: EndpointId,
        edit: impl Fn(&mut EndpointRow, Timestamp) -> Result<(), Refusal>,
    ) -> Result<Arc<Endpoint>, Refusal> {
        retried!(async {
            let mut row = self.store.endpoint_row(scope, id).await?.ok_or(NO_ENDPOINT)?;
            self.expect("the endpoint", row.revision)?;
            let expected = Expected::Revision(row.revision);
            edit(&mut row, self.clock.now())?;
            let row = Row::Endpoint(Box::new(row));
            let snapshot = self.write(&[Change::Put { row, expected }]).await?;
            snapshot.endpoints.get(&id).cloned().ok_or(NO_ENDPOINT)
        })
    }

    /// Deletes an endpoint: nothing new is sent to it from now on, and its token opens nothing. Its row stays for what names
    /// it; what waits for it is cancelled by the delivering stage.
    pub async fn delete_endpoint(&self, scope: Scope, id: EndpointId) -> Result<(), Refusal> {
        retried!(async {
            let row = self.store.endpoint_row(scope, id).await?.ok_or(NO_ENDPOINT)?;
            self.expect("the endpoint", row.revision)?;
            self.no_sender_names(row.environment, row.name.as_deref()).await?;
            let change = Change::Delete {
                thing: Thing::Endpoint(id),
                revision: row.revision,
            };
            self.write(&[change]).await.map(drop)
        })
    }

    pub async fn endpoint(&self, scope: Scope, id: EndpointId) -> Result<Arc<Endpoint>, Refusal> {
        let snapshot = self.fresh().await?;
        let found = snapshot.endpoints.get(&id).filter(|endpoint| scope.holds(endpoint.tenant_id));
        found.cloned().ok_or(NO_ENDPOINT)
    }

    /// The endpoints of the scope that the filter takes, newest first.
    pub async fn endpoints(&self, scope: Scope, filter: &EndpointFilter) -> Result<Vec<Arc<Endpoint>>, Refusal> {
        let snapshot = self.fresh().await?;
        let listed = |endpoint: &&Arc<Endpoint>| scope.holds(endpoint.tenant_id) && filter.takes(endpoint);
        let mut endpoints: Vec<_> = snapshot.endpoints.values().filter(listed).cloned().collect();
        endpoints.sort_unstable_by_key(|endpoint| std::cmp::Reverse(endpoint.id));
        Ok(endpoints)
    }
}

/// How long after it might have been probed an endpoint still counts as failing: longer than the longest wait between two
/// attempts of a delivery.
const TRIED_WITHIN: Duration = Duration::from_hours(7);

/// A row to put fields into.
pub(super) fn blank(id: EndpointId, tenant: TenantId, environment: EnvironmentId, now: Timestamp) -> EndpointRow {
    EndpointRow {
        id,
        tenant,
        environment,
        application: None,
        name: None,
        description: None,
        url: String::new(),
        status: String::new(),
        profile: String::new(),
        metadata: String::new(),
        concurrency_max: 0,
        attempts_max: None,
        secret: None,
        previous_secret: None,
        auth: None,
        subscriptions: Vec::new(),
        revision: 0,
        created_at: now,
        updated_at: now,
    }
}
