//! The rows themselves. A `revision` is the configuration's revision at the row's last change.

use hookyard_domain::{
    ApplicationId, ContentHash, CredentialId, EndpointId, EnvironmentId, EventTypeId, SenderId, SubscriptionId, TenantId, Timestamp,
};
use uuid::Uuid;

use crate::{plugin::PluginRow, seal::SecretText};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantRow {
    pub id: TenantId,
    pub name: String,
    pub attempts_max: u16,
    pub breaker_block_s: u32,
    pub webhook_secret: SecretText,
    /// Somebody made it for themselves.
    pub registered: bool,
    pub revision: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentRow {
    pub id: EnvironmentId,
    pub tenant: TenantId,
    pub slug: String,
    pub name: String,
    pub is_default: bool,
    pub revision: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointRow {
    pub id: EndpointId,
    pub tenant: TenantId,
    pub environment: EnvironmentId,
    pub application: Option<ApplicationId>,
    pub name: Option<String>,
    pub description: Option<String>,
    pub url: String,
    pub status: String,
    pub profile: String,
    /// A JSON object.
    pub metadata: String,
    pub concurrency_max: u32,
    /// None: the tenant's.
    pub attempts_max: Option<u16>,
    /// A signing secret of its own; none: the tenant's.
    pub secret: Option<SecretText>,
    pub previous_secret: Option<PreviousSecret>,
    /// Outbound authentication: a JSON document.
    pub auth: Option<SecretText>,
    pub subscriptions: Vec<SubscriptionRow>,
    pub revision: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A secret that was rotated out and signs beside the new one for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviousSecret {
    pub secret: SecretText,
    pub until: Timestamp,
}

/// One event pattern of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionRow {
    pub id: SubscriptionId,
    pub pattern: String,
    pub event_type: Option<EventTypeId>,
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderRow {
    pub id: SenderId,
    pub tenant: TenantId,
    pub environment: EnvironmentId,
    /// Its own destination, where it has one.
    pub endpoint: Option<EndpointId>,
    pub name: Option<String>,
    /// For people alone.
    pub label: Option<String>,
    pub status: String,
    /// A JSON object.
    pub mapping: Option<String>,
    pub mapping_failure: String,
    pub verification: Option<VerificationRow>,
    pub plugin: Option<String>,
    /// A JSON document.
    pub config: String,
    pub failure_policy: String,
    pub event_type_header: Option<String>,
    /// A JSON list of header names in lower case.
    pub exposed_headers: String,
    /// A JSON list of endpoint names; none is all of the environment.
    pub endpoints: Option<String>,
    pub revision: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// How a service's own signature is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerificationRow {
    /// A JSON document.
    pub settings: String,
    /// A JSON list of texts, newest first.
    pub secrets: SecretText,
}

/// A key or token of any kind. Its text is not kept, only the text's hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialRow {
    pub id: CredentialId,
    /// None is the operator's.
    pub tenant: Option<TenantId>,
    pub kind: String,
    /// What it stands for; none is the tenant as a whole.
    pub subject: Option<Uuid>,
    pub environment: Option<EnvironmentId>,
    pub name: Option<String>,
    /// For people alone.
    pub label: Option<String>,
    /// What it allows, in the words of its kind.
    pub rights: String,
    pub hash: ContentHash,
    /// The sealed text, only where an API shows it again: [`crate::Store::seal_credential`] and
    /// [`crate::Store::open_credential`].
    pub sealed: Option<Vec<u8>>,
    pub expires_at: Option<Timestamp>,
    pub disabled_at: Option<Timestamp>,
    /// To the minute. Written by itself, without another revision.
    pub last_used_at: Option<Timestamp>,
    /// Only in lists that show what is revoked.
    pub revoked_at: Option<Timestamp>,
    pub revision: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What changed in one table.
#[derive(Debug, Clone)]
pub struct Changed<Row, Id> {
    pub rows: Vec<Row>,
    /// Deleted, or revoked: to be forgotten.
    pub gone: Vec<Id>,
}

impl<Row, Id> Default for Changed<Row, Id> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            gone: Vec::new(),
        }
    }
}

/// What changed after one revision, as of another.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    pub revision: i64,
    pub tenants: Changed<TenantRow, TenantId>,
    pub environments: Changed<EnvironmentRow, EnvironmentId>,
    pub endpoints: Changed<EndpointRow, EndpointId>,
    pub senders: Changed<SenderRow, SenderId>,
    pub credentials: Changed<CredentialRow, CredentialId>,
    pub plugins: Vec<PluginRow>,
    /// Rows that changed and cannot be read. What was known of such a row before is out of date.
    pub set_aside: Vec<SetAside>,
}

/// A row that cannot be used, and why. It takes nothing else with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    pub table: &'static str,
    pub id: Uuid,
    /// What its name is unique in: an endpoint's or a sender's environment, anything else's tenant.
    pub within: Option<Uuid>,
    /// Empty where the row has none, or it cannot be read either.
    pub name: String,
    pub revision: i64,
    pub why: Unreadable,
}

/// Why a row cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("its {column} does not open: it was sealed with another key, or the row was changed")]
    Sealed { column: &'static str },
    #[error("{problem}")]
    Malformed { problem: String },
}
