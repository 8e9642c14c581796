//! What Hookyard's own API says of things.
//!
//! The API writes these documents and the command line reads them, so both know one shape. Fields are only ever added. Times
//! are RFC 3339 in UTC, ids are UUIDs.

mod module;
pub mod schemas;
mod setup;

use hookyard_domain::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};
use utoipa::ToSchema;

pub use self::module::{RefusedModuleDocument, RefusedModulesDocument};
pub use self::setup::{AppliedDocument, ChangeDocument, NamedDocument, SetupDocument};
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

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Tenant)]
pub struct TenantDocument {
    #[schema(schema_with = schemas::id)]
    pub id: String,
    pub name: String,
    pub attempts_max: u16,
    /// Seconds that a blocked endpoint is left alone.
    pub breaker_block_s: u64,
    #[schema(schema_with = schemas::moment)]
    pub created_at: String,
    #[schema(schema_with = schemas::moment)]
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

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Environment)]
pub struct EnvironmentDocument {
    #[schema(schema_with = schemas::id)]
    pub id: String,
    #[schema(schema_with = schemas::id)]
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

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Endpoint)]
pub struct EndpointDocument {
    #[schema(schema_with = schemas::id)]
    pub id: String,
    #[schema(schema_with = schemas::id)]
    pub tenant: String,
    #[schema(schema_with = schemas::id)]
    pub environment: String,
    #[schema(required)]
    pub name: Option<String>,
    #[schema(required)]
    pub description: Option<String>,
    pub url: String,
    /// `active`, `inactive` or `suspended`.
    #[schema(schema_with = schemas::endpoint_status)]
    pub status: String,
    pub profile: String,
    #[schema(schema_with = schemas::object)]
    pub metadata: Map<String, Value>,
    pub events: Vec<String>,
    pub concurrency_max: u32,
    /// None: what its profile or its tenant says.
    #[schema(required)]
    pub attempts_max: Option<u16>,
    /// The kind of outbound authentication; the rest of it is secret.
    #[schema(required)]
    pub auth: Option<String>,
    /// While its receiver fails: until when it is left alone.
    #[schema(schema_with = schemas::moment_or_none, required)]
    pub blocked_until: Option<String>,
    #[schema(schema_with = schemas::moment)]
    pub created_at: String,
    #[schema(schema_with = schemas::moment)]
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

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Sender)]
pub struct SenderDocument {
    #[schema(schema_with = schemas::id)]
    pub id: String,
    #[schema(schema_with = schemas::id)]
    pub tenant: String,
    #[schema(schema_with = schemas::id)]
    pub environment: String,
    #[schema(required)]
    pub name: Option<String>,
    #[schema(required)]
    pub label: Option<String>,
    pub active: bool,
    /// The id of its own endpoint.
    #[schema(schema_with = schemas::id_or_none, required)]
    pub endpoint: Option<String>,
    /// Names of the endpoints it may reach; none is all of its environment.
    #[schema(required)]
    pub endpoints: Option<Vec<String>>,
    #[schema(required)]
    pub plugin: Option<String>,
    #[schema(schema_with = schemas::any)]
    pub config: Box<RawValue>,
    #[schema(schema_with = schemas::failure_policy)]
    pub on_failure: String,
    #[schema(required)]
    pub event_type_header: Option<String>,
    pub expose_headers: Vec<String>,
    #[schema(schema_with = schemas::object_or_none, required)]
    pub mapping: Option<Box<RawValue>>,
    #[schema(schema_with = schemas::mapping_failure)]
    pub on_mapping_failure: String,
    /// How a service's own signature is checked, without the secrets.
    #[schema(schema_with = schemas::object_or_none, required)]
    pub verification: Option<Value>,
    #[schema(schema_with = schemas::moment)]
    pub created_at: String,
    #[schema(schema_with = schemas::moment)]
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
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Credential)]
pub struct CredentialDocument {
    #[schema(schema_with = schemas::id)]
    pub id: String,
    /// None is the operator's.
    #[schema(schema_with = schemas::id_or_none, required)]
    pub tenant: Option<String>,
    #[schema(schema_with = schemas::credential_kind)]
    pub kind: String,
    /// The endpoint or sender whose token it is.
    #[schema(schema_with = schemas::id_or_none, required)]
    pub subject: Option<String>,
    #[schema(required)]
    pub name: Option<String>,
    #[schema(required)]
    pub label: Option<String>,
    /// `read` or `write`, of a management token.
    #[schema(schema_with = schemas::rights_or_none, required)]
    pub rights: Option<String>,
    #[schema(schema_with = schemas::moment)]
    pub created_at: String,
    #[schema(schema_with = schemas::moment_or_none, required)]
    pub expires_at: Option<String>,
    /// To the minute, and told up to two minutes late.
    #[schema(schema_with = schemas::moment_or_none, required)]
    pub last_used_at: Option<String>,
    #[schema(schema_with = schemas::moment_or_none, required)]
    pub disabled_at: Option<String>,
    #[schema(schema_with = schemas::moment_or_none, required)]
    pub revoked_at: Option<String>,
    pub revision: i64,
    /// Its text, in the answer to its making alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// A person who logs in.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = User)]
pub struct UserDocument {
    #[schema(schema_with = schemas::id)]
    pub id: String,
    #[schema(schema_with = schemas::id)]
    pub tenant: String,
    pub email: String,
    #[schema(schema_with = schemas::role)]
    pub role: String,
    /// `active` or `inactive`.
    #[schema(schema_with = schemas::in_use)]
    pub status: String,
    #[schema(schema_with = schemas::moment)]
    pub created_at: String,
    pub revision: i64,
}

/// Another ingest token. Its text is shown here alone.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Token)]
pub struct TokenDocument {
    pub token: String,
}

/// What deliveries are signed with.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Secret)]
pub struct SecretDocument {
    pub secret: String,
    /// Whose it is: `endpoint` or `tenant`.
    pub of: String,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Event)]
pub struct EventDocument {
    #[schema(schema_with = schemas::id)]
    pub id: String,
    pub tenant: String,
    /// `sender`, `endpoint` or `credential`: by what it came in.
    #[schema(schema_with = schemas::source_kind)]
    pub source_kind: String,
    #[schema(schema_with = schemas::id)]
    pub source_id: String,
    /// The name of the sender it came in by.
    #[schema(required)]
    pub sender: Option<String>,
    /// The name of the endpoint whose own token it came in by.
    #[schema(required)]
    pub endpoint: Option<String>,
    pub event_type: String,
    pub content_type: String,
    #[schema(schema_with = schemas::moment)]
    pub accepted_at: String,
    #[schema(schema_with = schemas::event_state)]
    pub state: String,
    /// While it is pending: when it is routed next.
    #[schema(schema_with = schemas::moment_or_none, required)]
    pub route_due_at: Option<String>,
    #[schema(required)]
    pub idempotency_key: Option<String>,
    pub payload_bytes: u64,
    /// None while it is undecided, and where it went to the endpoint whose token it came in by.
    #[schema(required)]
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

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Delivery)]
pub struct DeliveryDocument {
    #[schema(schema_with = schemas::id)]
    pub id: String,
    #[schema(schema_with = schemas::id)]
    pub event: String,
    pub tenant: String,
    /// The endpoint's name, or its id where it has none.
    pub endpoint: String,
    #[schema(schema_with = schemas::id)]
    pub endpoint_id: String,
    #[schema(schema_with = schemas::delivery_state)]
    pub state: String,
    pub attempts: u32,
    /// None once it was delivered: it no longer matters.
    #[schema(required)]
    pub attempts_max: Option<u32>,
    #[schema(schema_with = schemas::moment_or_none, required)]
    pub due_at: Option<String>,
    #[schema(schema_with = schemas::moment_or_none, required)]
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

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Attempt)]
pub struct AttemptDocument {
    pub number: u32,
    #[schema(schema_with = schemas::moment)]
    pub started_at: String,
    pub duration_us: i64,
    /// None where nobody answered.
    #[schema(required)]
    pub status: Option<u16>,
    #[schema(required)]
    pub error: Option<String>,
    #[schema(required)]
    pub error_detail: Option<String>,
    /// The beginning of the answer, as text on one line.
    #[schema(required)]
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
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Standing)]
pub struct StandingDocument {
    pub events: Vec<StandingEventsDocument>,
    pub deliveries: Vec<StandingDeliveriesDocument>,
    pub blocked: Vec<BlockedDocument>,
    /// Rows of the configuration that cannot be used; the operator alone is told.
    pub set_aside: Vec<SetAsideDocument>,
}

/// A sender's events that are held or dead-lettered.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = StandingEvents)]
pub struct StandingEventsDocument {
    #[schema(schema_with = schemas::id)]
    pub sender: String,
    #[schema(required)]
    pub name: Option<String>,
    #[schema(schema_with = schemas::event_state)]
    pub state: String,
    pub count: u64,
    /// Whether counting ended there.
    pub or_more: bool,
    /// The id of the first.
    #[schema(schema_with = schemas::id)]
    pub first: String,
    #[schema(required)]
    pub reason: Option<String>,
}

/// An endpoint's deliveries that ended without arriving.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = StandingDeliveries)]
pub struct StandingDeliveriesDocument {
    #[schema(schema_with = schemas::id)]
    pub endpoint: String,
    #[schema(required)]
    pub name: Option<String>,
    #[schema(schema_with = schemas::delivery_state)]
    pub state: String,
    pub count: u64,
    pub or_more: bool,
}

/// An endpoint that is left alone because its receiver fails.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Blocked)]
pub struct BlockedDocument {
    #[schema(schema_with = schemas::id)]
    pub endpoint: String,
    #[schema(required)]
    pub name: Option<String>,
    #[schema(schema_with = schemas::moment)]
    pub opened_at: String,
    #[schema(schema_with = schemas::moment)]
    pub until: String,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = SetAside)]
pub struct SetAsideDocument {
    pub table: String,
    pub id: String,
    pub name: String,
    pub reason: String,
}

/// What a replay put back to work.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Replayed)]
pub struct ReplayedDocument {
    #[schema(schema_with = schemas::id)]
    pub id: String,
    /// Events and deliveries; 0 where nothing was to be done.
    pub restarted: u64,
}

/// Which of a list are to be put back to work: one page of it at a time.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Replay)]
pub struct ReplayDocument {
    /// Id or name; a tenant's token needs none.
    #[serde(default)]
    pub tenant: Option<String>,
    /// The state they are in.
    pub state: String,
    #[serde(default)]
    #[schema(schema_with = schemas::id_or_none)]
    pub before: Option<uuid::Uuid>,
}

/// What a replay of many put back to work.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = ReplayedPage)]
pub struct ReplayedPageDocument {
    /// Events and deliveries.
    pub restarted: u64,
    /// What to ask for as `before` to go on; none when all are done.
    #[schema(schema_with = schemas::id_or_none, required)]
    pub next: Option<String>,
}

/// Why a request was refused (RFC 9457).
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument {
    pub title: String,
    pub status: u16,
    pub detail: String,
    /// Every field that is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<FieldProblem>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct FieldProblem {
    pub field: String,
    pub message: String,
}
