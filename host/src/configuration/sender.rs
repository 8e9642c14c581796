//! A sender: an upstream identity, and where its events may go.

use std::{ops::Deref, sync::Arc};

use hookyard_domain::{EndpointId, EnvironmentId, SenderId, TenantId, Timestamp, failure::FailurePolicy};
use http::HeaderName;

use super::{reach::Reach, tenant::Tenant};
use crate::{
    mapping::Mapping,
    store::{SecretText, SenderRow, VerificationRow},
    verification::Verification,
};

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
    /// For people alone.
    pub own_label: Option<String>,
    label: String,
    pub active: bool,
    /// What makes another payload of each event, before a plugin sees it.
    pub mapping: Option<Mapping>,
    pub mapping_failure: MappingFailure,
    /// How a service's own signature is checked, where the sender does so.
    pub verification: Option<InboundCheck>,
    pub plugin: Option<String>,
    /// A JSON document.
    pub config: Arc<str>,
    pub failure_policy: FailurePolicy,
    pub event_type_header: Option<HeaderName>,
    pub exposed_headers: Vec<HeaderName>,
    /// The names of the endpoints it may reach; none is all of its environment.
    pub endpoint_names: Option<Vec<String>>,
    pub revision: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// How a request is known to come from the service a sender stands for.
pub struct InboundCheck {
    pub settings: Verification,
    /// Newest first; any of them is good.
    pub secrets: Vec<SecretText>,
}

impl InboundCheck {
    /// # Errors
    /// What does not parse, without any of the secrets.
    pub fn of(row: &VerificationRow) -> Result<Self, String> {
        let settings = serde_json::from_str(&row.settings).map_err(|error| format!("its verification does not parse: {error}"))?;
        let secrets: Vec<String> =
            serde_json::from_str(row.secrets.expose()).map_err(|_| "the secrets of its verification do not parse".to_owned())?;
        Ok(Self {
            settings,
            secrets: secrets.into_iter().map(SecretText::new).collect(),
        })
    }

    /// # Errors
    /// It cannot be kept as JSON.
    pub fn to_row(&self) -> Result<VerificationRow, String> {
        let secrets: Vec<&str> = self.secrets.iter().map(SecretText::expose).collect();
        let text = |error: serde_json::Error| error.to_string();
        Ok(VerificationRow {
            settings: serde_json::to_string(&self.settings).map_err(text)?,
            secrets: SecretText::new(serde_json::to_string(&secrets).map_err(text)?),
        })
    }
}

fn mapping(text: &str) -> Result<Mapping, String> {
    Mapping::parse(text).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        format!("its mapping: {}", lines.join("; "))
    })
}

/// What becomes of an event whose mapping cannot be applied. Its word is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MappingFailure {
    /// It is held until the mapping is changed.
    #[default]
    Hold,
    /// Its payload goes on as it was received.
    Raw,
}

impl MappingFailure {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Raw => "raw",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Hold, Self::Raw].into_iter().find(|failure| failure.as_str() == text)
    }
}

impl SenderSettings {
    /// What people and plugins read it as: its name, else its id.
    pub fn label(&self) -> &str {
        &self.label
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
            label: row.name.clone().or_else(|| row.label.clone()).unwrap_or_else(|| row.id.to_string()),
            own_label: row.label,
            name: row.name,
            active: match row.status.as_str() {
                "active" => true,
                "inactive" => false,
                other => return Err(format!("there is no status \"{other}\"")),
            },
            mapping: row.mapping.as_deref().map(mapping).transpose()?,
            mapping_failure: MappingFailure::parse(&row.mapping_failure)
                .ok_or_else(|| format!("there is no mapping failure \"{}\"", row.mapping_failure))?,
            verification: row.verification.as_ref().map(InboundCheck::of).transpose()?,
            plugin: row.plugin,
            config: row.config.into(),
            failure_policy: FailurePolicy::parse(&row.failure_policy)
                .ok_or_else(|| format!("there is no failure policy \"{}\"", row.failure_policy))?,
            event_type_header: row.event_type_header.as_deref().map(header).transpose()?,
            exposed_headers: exposed.iter().map(|name| header(name)).collect::<Result<_, _>>()?,
            endpoint_names,
            revision: row.revision,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}
