//! What Hookyard's own API says of things.
//!
//! The API writes these documents and the command line reads them, so both know one shape. Fields are only ever added. Times
//! are RFC 3339 in UTC, ids are UUIDs.

use hookyard_domain::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};

use crate::{
    configuration::{Endpoint, Environment, Sender, Tenant},
    explanation::Explanation,
    store::{AttemptView, DeliveryView, EventView},
};

/// One page of a list, newest first.
#[derive(Debug, Serialize, Deserialize)]
pub struct List<T> {
    pub items: Vec<T>,
    /// What to ask for as `before` to get the next page; none on the last.
    pub next: Option<String>,
}

fn text(at: Timestamp) -> String {
    at.to_string()
}

#[derive(Debug, Serialize, Deserialize)]
pub struct TenantDocument {
    pub id: String,
    pub name: String,
    pub attempts_max: u16,
    /// Seconds that a blocked endpoint is left alone.
    pub breaker_block_s: u64,
    pub created_at: String,
    pub updated_at: String,
    pub revision: i64,
}

impl From<&Tenant> for TenantDocument {
    fn from(tenant: &Tenant) -> Self {
        Self {
            id: tenant.id.to_string(),
            name: tenant.name.clone(),
            attempts_max: tenant.attempts_max.get(),
            breaker_block_s: tenant.breaker_block.as_secs(),
            created_at: text(tenant.created_at),
            updated_at: text(tenant.updated_at),
            revision: tenant.revision,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub struct EnvironmentDocument {
    pub id: String,
    pub tenant: String,
    pub slug: String,
    pub name: String,
    pub default: bool,
    pub revision: i64,
}

impl From<&Environment> for EnvironmentDocument {
    fn from(environment: &Environment) -> Self {
        Self {
            id: environment.id.to_string(),
            tenant: environment.tenant.to_string(),
            slug: environment.slug.clone(),
            name: environment.name.clone(),
            default: environment.is_default,
            revision: environment.revision,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub struct EndpointDocument {
    pub id: String,
    pub tenant: String,
    pub environment: String,
    pub name: Option<String>,
    pub description: Option<String>,
    pub url: String,
    /// `active`, `inactive` or `suspended`.
    pub status: String,
    pub profile: String,
    pub metadata: Map<String, Value>,
    pub events: Vec<String>,
    pub concurrency_max: u32,
    /// None: what its profile or its tenant says.
    pub attempts_max: Option<u16>,
    /// The kind of outbound authentication; the rest of it is secret.
    pub auth: Option<String>,
    /// While its receiver fails: until when it is left alone.
    pub blocked_until: Option<String>,
    pub created_at: String,
    pub updated_at: String,
    pub revision: i64,
    /// Its ingest token, in the answer to its making alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl EndpointDocument {
    pub fn of(endpoint: &Endpoint, blocked_until: Option<Timestamp>) -> Self {
        Self {
            id: endpoint.id.to_string(),
            tenant: endpoint.tenant_id.to_string(),
            environment: endpoint.environment.to_string(),
            name: endpoint.name.clone(),
            description: endpoint.description.clone(),
            url: endpoint.url.to_string(),
            status: endpoint.status.as_str().to_owned(),
            profile: endpoint.profile.name().to_owned(),
            metadata: serde_json::from_str(&endpoint.metadata_json).unwrap_or_default(),
            events: endpoint
                .subscriptions
                .iter()
                .map(|subscription| subscription.pattern.to_string())
                .collect(),
            concurrency_max: endpoint.concurrency_max,
            attempts_max: endpoint.own_attempts_max.map(hookyard_domain::retry::AttemptsMax::get),
            auth: endpoint.auth.as_ref().map(|auth| auth.kind().to_owned()),
            blocked_until: blocked_until.map(text),
            created_at: text(endpoint.created_at),
            updated_at: text(endpoint.updated_at),
            revision: endpoint.revision,
            token: None,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub struct SenderDocument {
    pub id: String,
    pub tenant: String,
    pub environment: String,
    pub name: Option<String>,
    pub label: Option<String>,
    pub active: bool,
    /// The id of its own endpoint.
    pub endpoint: Option<String>,
    /// Names of the endpoints it may reach; none is all of its environment.
    pub endpoints: Option<Vec<String>>,
    pub plugin: Option<String>,
    pub config: Box<RawValue>,
    pub on_failure: String,
    pub event_type_header: Option<String>,
    pub expose_headers: Vec<String>,
    pub mapping: Option<Box<RawValue>>,
    pub on_mapping_failure: String,
    /// How a service's own signature is checked, without the secrets.
    pub verification: Option<Value>,
    pub created_at: String,
    pub updated_at: String,
    pub revision: i64,
    /// Its ingest token, in the answer to its making alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl SenderDocument {
    /// # Errors
    /// What is kept of it is not JSON, which is checked when it is read.
    pub fn of(sender: &Sender) -> Result<Self, serde_json::Error> {
        let mapping = sender.mapping.as_ref();
        let check = sender.verification.as_ref();
        Ok(Self {
            id: sender.id.to_string(),
            tenant: sender.tenant_id.to_string(),
            environment: sender.environment.to_string(),
            name: sender.name.clone(),
            label: sender.own_label.clone(),
            active: sender.active,
            endpoint: sender.endpoint.map(|endpoint| endpoint.to_string()),
            endpoints: sender.endpoint_names.clone(),
            plugin: sender.plugin.clone(),
            config: RawValue::from_string(sender.config.to_string())?,
            on_failure: sender.failure_policy.as_str().to_owned(),
            event_type_header: sender.event_type_header.as_ref().map(ToString::to_string),
            expose_headers: sender.exposed_headers.iter().map(ToString::to_string).collect(),
            mapping: mapping.map(|mapping| RawValue::from_string(mapping.to_string())).transpose()?,
            on_mapping_failure: sender.mapping_failure.as_str().to_owned(),
            verification: check.map(|check| serde_json::to_value(&check.settings)).transpose()?,
            created_at: text(sender.created_at),
            updated_at: text(sender.updated_at),
            revision: sender.revision,
            token: None,
        })
    }
}

/// A key or token. Its text is never kept.
#[derive(Debug, Serialize, Deserialize)]
pub struct CredentialDocument {
    pub id: String,
    /// None is the operator's.
    pub tenant: Option<String>,
    pub kind: String,
    /// The endpoint or sender whose token it is.
    pub subject: Option<String>,
    pub name: Option<String>,
    pub label: Option<String>,
    /// `read` or `write`, of a management token.
    pub rights: Option<String>,
    pub created_at: String,
    pub expires_at: Option<String>,
    /// To the minute, and told up to two minutes late.
    pub last_used_at: Option<String>,
    pub disabled_at: Option<String>,
    pub revoked_at: Option<String>,
    pub revision: i64,
    /// Its text, in the answer to its making alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// A person who logs in.
#[derive(Debug, Serialize, Deserialize)]
pub struct UserDocument {
    pub id: String,
    pub tenant: String,
    pub email: String,
    pub role: String,
    /// `active` or `inactive`.
    pub status: String,
    pub created_at: String,
    pub revision: i64,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct EventDocument {
    pub id: String,
    pub tenant: String,
    /// `sender`, `endpoint` or `credential`: by what it came in.
    pub source_kind: String,
    pub source_id: String,
    /// The name of the sender it came in by.
    pub sender: Option<String>,
    /// The name of the endpoint whose own token it came in by.
    pub endpoint: Option<String>,
    pub event_type: String,
    pub content_type: String,
    pub accepted_at: String,
    pub state: String,
    /// While it is pending: when it is routed next.
    pub route_due_at: Option<String>,
    pub idempotency_key: Option<String>,
    pub payload_bytes: u64,
    /// None while it is undecided, and where it went to the endpoint whose token it came in by.
    pub decision: Option<Explanation>,
}

impl EventDocument {
    /// With no deliveries, as in a list, nobody is shown as chosen.
    pub fn of(event: &EventView, deliveries: &[DeliveryView]) -> Self {
        let named = |kind: &str| event.source_name.clone().filter(|_| event.source_kind == kind);
        Self {
            id: event.id.to_string(),
            tenant: event.tenant.clone(),
            source_kind: event.source_kind.clone(),
            source_id: event.source_id.to_string(),
            sender: named("sender"),
            endpoint: named("endpoint"),
            event_type: event.event_type.clone(),
            content_type: event.content_type.clone(),
            accepted_at: text(event.accepted_at),
            state: event.state.as_str().to_owned(),
            route_due_at: event.route_due_at.map(text),
            idempotency_key: event.idempotency_key.clone(),
            payload_bytes: event.payload_bytes,
            decision: event.decision.as_ref().map(|decision| Explanation::of(decision, deliveries)),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub struct DeliveryDocument {
    pub id: String,
    pub event: String,
    pub tenant: String,
    /// The endpoint's name, or its id where it has none.
    pub endpoint: String,
    pub endpoint_id: String,
    pub state: String,
    pub attempts: u32,
    /// None once it was delivered: it no longer matters.
    pub attempts_max: Option<u32>,
    pub due_at: Option<String>,
    pub completed_at: Option<String>,
    /// Where one delivery is shown, not in a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts_made: Option<Vec<AttemptDocument>>,
}

impl From<&DeliveryView> for DeliveryDocument {
    fn from(delivery: &DeliveryView) -> Self {
        Self {
            id: delivery.id.to_string(),
            event: delivery.event.to_string(),
            tenant: delivery.tenant.clone(),
            endpoint: delivery.endpoint.clone(),
            endpoint_id: delivery.endpoint_id.to_string(),
            state: delivery.state.as_str().to_owned(),
            attempts: delivery.attempts,
            attempts_max: delivery.attempts_max,
            due_at: delivery.due_at.map(text),
            completed_at: delivery.completed_at.map(text),
            attempts_made: None,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub struct AttemptDocument {
    pub number: u32,
    pub started_at: String,
    pub duration_us: i64,
    /// None where nobody answered.
    pub status: Option<u16>,
    pub error: Option<String>,
    pub error_detail: Option<String>,
    /// The beginning of the answer, as text on one line.
    pub response: Option<String>,
}

/// Characters of an answer that are shown.
const ANSWER_CHARS_MAX: usize = 200;

impl From<&AttemptView> for AttemptDocument {
    fn from(attempt: &AttemptView) -> Self {
        let on_one_line = |bytes: &Vec<u8>| {
            let shown = |c: char| if c.is_control() { ' ' } else { c };
            String::from_utf8_lossy(bytes).chars().map(shown).take(ANSWER_CHARS_MAX).collect()
        };
        Self {
            number: attempt.number,
            started_at: text(attempt.started_at),
            duration_us: attempt.duration_us,
            status: attempt.status,
            error: attempt.error.clone(),
            error_detail: attempt.error_detail.clone(),
            response: attempt.response.as_ref().map(on_one_line),
        }
    }
}

/// Everything that waits for somebody to act.
#[derive(Debug, Serialize, Deserialize)]
pub struct StandingDocument {
    pub events: Vec<StandingEventsDocument>,
    pub deliveries: Vec<StandingDeliveriesDocument>,
    pub blocked: Vec<BlockedDocument>,
    /// Rows of the configuration that cannot be used; the operator alone is told.
    pub set_aside: Vec<SetAsideDocument>,
}

/// A sender's events that are held or dead-lettered.
#[derive(Debug, Serialize, Deserialize)]
pub struct StandingEventsDocument {
    pub sender: String,
    pub name: Option<String>,
    pub state: String,
    pub count: u64,
    /// Whether counting ended there.
    pub or_more: bool,
    /// The id of the first.
    pub first: String,
    pub reason: Option<String>,
}

/// An endpoint's deliveries that ended without arriving.
#[derive(Debug, Serialize, Deserialize)]
pub struct StandingDeliveriesDocument {
    pub endpoint: String,
    pub name: Option<String>,
    pub state: String,
    pub count: u64,
    pub or_more: bool,
}

/// An endpoint that is left alone because its receiver fails.
#[derive(Debug, Serialize, Deserialize)]
pub struct BlockedDocument {
    pub endpoint: String,
    pub name: Option<String>,
    pub opened_at: String,
    pub until: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct SetAsideDocument {
    pub table: String,
    pub id: String,
    pub name: String,
    pub reason: String,
}

/// What a replay put back to work.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReplayedDocument {
    pub id: String,
    /// Events and deliveries; 0 where nothing was to be done.
    pub restarted: u64,
}

/// Which of a list are to be put back to work: one page of it at a time.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayDocument {
    /// Id or name; a tenant's token needs none.
    #[serde(default)]
    pub tenant: Option<String>,
    /// The state they are in.
    pub state: String,
    #[serde(default)]
    pub before: Option<uuid::Uuid>,
}

/// What a replay of many put back to work.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReplayedPageDocument {
    /// Events and deliveries.
    pub restarted: u64,
    /// What to ask for as `before` to go on; none when all are done.
    pub next: Option<String>,
}

/// A set-up to be carried out.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetupDocument {
    /// The set-up file: TOML.
    pub text: String,
    /// What the file takes from the environment, by the name of the variable.
    #[serde(default)]
    pub variables: Map<String, Value>,
    /// What it takes from files, by path as the set-up spells it.
    #[serde(default)]
    pub files: Map<String, Value>,
    /// Only say what would change.
    #[serde(default)]
    pub dry_run: bool,
}

/// What became of a set-up.
#[derive(Debug, Serialize, Deserialize)]
pub struct AppliedDocument {
    pub dry_run: bool,
    pub changes: Vec<ChangeDocument>,
    pub tenants: Vec<NamedDocument>,
    /// What is not wrong and worth knowing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// One thing of a set-up.
#[derive(Debug, Serialize, Deserialize)]
pub struct ChangeDocument {
    /// `create`, `update`, `delete` or `unchanged`.
    pub action: String,
    pub kind: String,
    pub name: String,
    /// The columns that change, for an update.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// None for what a dry run would make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct NamedDocument {
    pub name: String,
    pub id: String,
}

/// Why a request was refused (RFC 9457).
#[derive(Debug, Serialize, Deserialize)]
pub struct ProblemDocument {
    pub title: String,
    pub status: u16,
    pub detail: String,
    /// Every field that is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<FieldProblem>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct FieldProblem {
    pub field: String,
    pub message: String,
}
