//! A sender: an upstream identity, and where its events may go.

use std::{ops::Deref, sync::Arc};

use hookyard_domain::{EndpointId, EnvironmentId, SenderId, TenantId, failure::FailurePolicy};
use http::HeaderName;

use super::{reach::Reach, tenant::Tenant};
use crate::store::SenderRow;

/// A sender with its tenant and the endpoints it may reach. Its own settings are fields of it by way of [`Deref`]: they are
/// parsed once and shared, so a change of an endpoint parses no sender again.
#[derive(Clone)]
pub struct Sender {
    pub tenant: Arc<Tenant>,
    /// The slug of its environment.
    pub environment_name: Arc<str>,
    pub reach: Reach,
    pub(super) settings: Arc<SenderSettings>,
}

impl Deref for Sender {
    type Target = SenderSettings;

    fn deref(&self) -> &SenderSettings {
        &self.settings
    }
}

pub struct SenderSettings {
    pub id: SenderId,
    pub tenant_id: TenantId,
    pub environment: EnvironmentId,
    /// Its own destination: with one, its events go there and to the endpoints it names, not to all of its environment.
    pub endpoint: Option<EndpointId>,
    pub name: Option<String>,
    label: String,
    pub active: bool,
    pub plugin: Option<String>,
    /// A JSON document.
    pub config: Arc<str>,
    pub failure_policy: FailurePolicy,
    pub event_type_header: Option<HeaderName>,
    pub exposed_headers: Vec<HeaderName>,
    /// The names of the endpoints it may reach; none is all of its environment.
    pub endpoint_names: Option<Vec<String>>,
    pub revision: i64,
}

impl SenderSettings {
    /// What people and plugins read it as: its name, else its id.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Whether this state of a sender and a later one treat an event alike: what one held, the other would hold again.
    pub fn routes_like(&self, other: &Self) -> bool {
        self.plugin == other.plugin && self.config == other.config && self.failure_policy == other.failure_policy
    }
}

impl TryFrom<SenderRow> for SenderSettings {
    type Error = String;

    fn try_from(row: SenderRow) -> Result<Self, String> {
        let header = |name: &str| HeaderName::try_from(name).map_err(|error| format!("its header \"{name}\": {error}"));
        let exposed: Vec<String> =
            serde_json::from_str(&row.exposed_headers).map_err(|error| format!("its list of headers is not one of texts: {error}"))?;
        let endpoint_names: Option<Vec<String>> = row
            .endpoints
            .as_deref()
            .map(serde_json::from_str)
            .transpose()
            .map_err(|error| format!("its list of endpoints is not one of names: {error}"))?;
        let _: serde::de::IgnoredAny =
            serde_json::from_str(&row.config).map_err(|error| format!("its configuration is not JSON: {error}"))?;
        Ok(Self {
            id: row.id,
            tenant_id: row.tenant,
            environment: row.environment,
            endpoint: row.endpoint,
            label: row.name.clone().unwrap_or_else(|| row.id.to_string()),
            name: row.name,
            active: match row.status.as_str() {
                "active" => true,
                "inactive" => false,
                other => return Err(format!("there is no status \"{other}\"")),
            },
            plugin: row.plugin,
            config: row.config.into(),
            failure_policy: FailurePolicy::parse(&row.failure_policy)
                .ok_or_else(|| format!("there is no failure policy \"{}\"", row.failure_policy))?,
            event_type_header: row.event_type_header.as_deref().map(header).transpose()?,
            exposed_headers: exposed.iter().map(|name| header(name)).collect::<Result<_, _>>()?,
            endpoint_names,
            revision: row.revision,
        })
    }
}
