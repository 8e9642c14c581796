//! An endpoint: where deliveries go, and which events it wants.

use std::{ops::Deref, sync::Arc};

use hookyard_domain::{
    ApplicationId, EndpointId, EnvironmentId, EventTypeId, SubscriptionId, TenantId, Timestamp,
    pattern::EventPattern,
    profile::Profile,
    retry::AttemptsMax,
    signature::{SigningKey, SigningKeys},
};
use serde_json::{Map, Value};
use url::Url;

use super::{outbound_auth::OutboundAuth, tenant::Tenant};
use crate::store::{EndpointRow, Pairs};

/// Whether payloads may be sent without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainHttp {
    Refused,
    Allowed,
}

/// What its owner set. What its receiver's failures do for a while is the breaker's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointStatus {
    Active,
    Inactive,
    /// Its receiver failed for so long that nothing more is taken for it until its owner says otherwise.
    Suspended,
}

impl EndpointStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Suspended => "suspended",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "active" => Some(Self::Active),
            "inactive" => Some(Self::Inactive),
            "suspended" => Some(Self::Suspended),
            _ => None,
        }
    }
}

/// An endpoint with the tenant it belongs to. Its own settings are fields of it by way of [`Deref`]: they are parsed once and
/// shared, so a change of the tenant parses no endpoint again.
#[derive(Clone)]
pub struct Endpoint {
    pub tenant: Arc<Tenant>,
    pub(super) settings: Arc<EndpointSettings>,
}

impl Deref for Endpoint {
    type Target = EndpointSettings;

    fn deref(&self) -> &EndpointSettings {
        &self.settings
    }
}

impl Endpoint {
    /// What its deliveries are signed with.
    pub fn signing_keys(&self) -> &SigningKeys {
        self.settings.signing.as_ref().unwrap_or(&self.tenant.signing)
    }

    /// How many attempts a delivery to it has.
    pub fn attempts_max(&self) -> AttemptsMax {
        self.own_attempts_max
            .unwrap_or_else(|| self.profile.attempts_max.or(self.tenant.attempts_max))
    }
}

pub struct EndpointSettings {
    pub id: EndpointId,
    pub tenant_id: TenantId,
    pub environment: EnvironmentId,
    pub application: Option<ApplicationId>,
    pub name: Option<String>,
    label: String,
    pub description: Option<String>,
    pub url: Url,
    /// `scheme://host[:port]`: all of the URL that a plugin or a log line may see, for paths hold tokens.
    pub origin: String,
    pub status: EndpointStatus,
    pub profile: &'static Profile,
    /// From secrets of its own; none: its tenant's.
    pub signing: Option<SigningKeys>,
    /// What is sent along so that its receiver knows us.
    pub auth: Option<OutboundAuth>,
    pub subscriptions: Vec<Subscription>,
    /// What a plugin sees of the metadata: its top-level keys; a value that is not text as its JSON text.
    pub metadata: Pairs,
    /// The metadata as it was set: a JSON object, keys sorted, without spaces.
    pub metadata_json: String,
    pub concurrency_max: u32,
    /// None: what its profile or its tenant says, see [`Endpoint::attempts_max`].
    pub own_attempts_max: Option<AttemptsMax>,
    pub revision: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// One event pattern of an endpoint.
pub struct Subscription {
    pub id: SubscriptionId,
    pub pattern: EventPattern,
    /// The registered type it was made by, if it was made so.
    pub event_type: Option<EventTypeId>,
}

impl EndpointSettings {
    pub fn wants(&self, event_type: &str) -> bool {
        self.subscriptions
            .iter()
            .any(|subscription| subscription.pattern.matches(event_type))
    }

    /// What people and plugins read it as: its name, else its id.
    pub fn label(&self) -> &str {
        &self.label
    }
}

impl TryFrom<EndpointRow> for EndpointSettings {
    type Error = String;

    fn try_from(row: EndpointRow) -> Result<Self, String> {
        let url = Url::parse(&row.url).map_err(|error| format!("its URL does not parse: {error}"))?;
        let profile = Profile::named(&row.profile).ok_or_else(|| format!("there is no profile \"{}\"", row.profile))?;
        let metadata: Map<String, Value> =
            serde_json::from_str(&row.metadata).map_err(|error| format!("its metadata is not a JSON object: {error}"))?;
        let status = EndpointStatus::parse(&row.status).ok_or_else(|| format!("there is no status \"{}\"", row.status))?;
        let key = |text: &str| SigningKey::of_text(text).map_err(|error| format!("its secret cannot sign: {error}"));
        let mut signing = row
            .secret
            .as_ref()
            .map(|secret| key(secret.expose()).map(SigningKeys::new))
            .transpose()?;
        if let (Some(keys), Some(previous)) = (&signing, &row.previous_secret) {
            signing = Some(keys.clone().with_previous(key(previous.secret.expose())?, previous.until));
        }
        let subscription = |row: crate::store::SubscriptionRow| {
            let pattern = profile
                .patterns
                .read(&row.pattern)
                .map_err(|error| format!("its event pattern \"{}\": {error}", row.pattern))?;
            Ok::<_, String>(Subscription {
                id: row.id,
                pattern,
                event_type: row.event_type,
            })
        };
        Ok(Self {
            id: row.id,
            tenant_id: row.tenant,
            environment: row.environment,
            application: row.application,
            origin: url.origin().ascii_serialization(),
            url,
            status,
            profile,
            signing,
            auth: row.auth.as_ref().map(OutboundAuth::of_secret).transpose()?,
            subscriptions: row.subscriptions.into_iter().map(subscription).collect::<Result<_, _>>()?,
            metadata_json: Value::Object(metadata.clone()).to_string(),
            metadata: metadata.into_iter().map(|(key, value)| (key, as_text(value))).collect(),
            concurrency_max: row.concurrency_max,
            own_attempts_max: row
                .attempts_max
                .map(AttemptsMax::new)
                .transpose()
                .map_err(|error| error.to_string())?,
            label: row.name.clone().unwrap_or_else(|| row.id.to_string()),
            name: row.name,
            description: row.description,
            revision: row.revision,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

fn as_text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}
