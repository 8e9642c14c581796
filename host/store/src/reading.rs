//! Reads by people: lists and single things, each within a [`Scope`]. What lies outside it looks absent.

use bytes::Bytes;
use hookyard_domain::{
    ContentHash, DecidedBy, DeliveryId, DeliveryState, EndpointId, EnvironmentId, EventId, EventState, Scope, SenderId, TenantId, Timestamp,
};
use sqlx::Row;
use uuid::Uuid;

use super::{
    Store,
    error::Error,
    on,
    record::{Event, Existing, Progress, Source},
    rows::{content_type_from_text, corrupt, delivery_state, event_state, hash, pairs_from_text},
    statements as sql,
};

/// Facts a list of what is usual (routed, delivered) looks through for one page: a tenant all of whose newest events were
/// dropped gets a short page instead of a walk over all it ever sent.
const WALK_ROWS_MAX: i64 = 20_000;

pub(super) type ExistingRow = (Uuid, i64, Option<Vec<u8>>, String, i64, i64, i64, i64, i64);

pub(super) fn existing(
    (id, accepted_at, fingerprint, state, fresh, retrying, delivered, rejected, exhausted): ExistingRow,
) -> Result<Existing, Error> {
    let count = |n: i64| u32::try_from(n).unwrap_or(u32::MAX);
    Ok(Existing {
        progress: Progress {
            event: EventId::from_uuid(id),
            accepted_at: Timestamp::from_micros(accepted_at),
            state: event_state(&state)?,
            fresh: count(fresh),
            retrying: count(retrying),
            delivered: count(delivered),
            rejected: count(rejected),
            exhausted: count(exhausted),
        },
        fingerprint: fingerprint.map(|bytes| hash("idempotency", "fingerprint", &bytes)).transpose()?,
    })
}

/// An event as a person reads it.
#[derive(Debug, Clone)]
pub struct EventView {
    pub id: EventId,
    pub tenant_id: TenantId,
    pub tenant: String,
    /// `sender`, `endpoint` or `credential`.
    pub source_kind: String,
    pub source_id: Uuid,
    /// Of the sender or endpoint it came in by, if that has one.
    pub source_name: Option<String>,
    pub event_type: String,
    pub content_type: String,
    pub accepted_at: Timestamp,
    pub idempotency_key: Option<String>,
    pub payload_bytes: u64,
    pub state: EventState,
    /// When it is routed next, while it is pending.
    pub route_due_at: Option<Timestamp>,
    /// The latest; none for an event that went where its endpoint's own token said, or that is still to be decided.
    pub decision: Option<DecisionView>,
}

/// What was decided about an event.
#[derive(Debug, Clone)]
pub struct DecisionView {
    /// Number of the decision, from 1.
    pub run: u32,
    pub outcome: EventState,
    pub decided_by: DecidedBy,
    pub decided_at: Timestamp,
    pub plugin: Option<PluginRunView>,
    /// JSON: what the rest does not say.
    pub detail: Option<String>,
}

/// A plugin's run, as it is kept with a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginRunView {
    pub name: String,
    pub version: ContentHash,
    pub generation: u32,
    pub cpu_us: u64,
    pub wall_us: u64,
    pub memory_bytes: u64,
}

/// Reads the columns of `event_columns!`; a row of either database.
macro_rules! event_view {
    ($row:expr) => {{
        let row = $row;
        let outcome: Option<String> = row.try_get(14)?;
        let number = |index: usize| -> Result<u64, sqlx::Error> { Ok(row.try_get::<Option<i64>, _>(index)?.unwrap_or(0) as u64) };
        let plugin: Option<String> = row.try_get(17)?;
        let version: Option<Vec<u8>> = row.try_get(18)?;
        let decision = match outcome {
            None => None,
            Some(outcome) => Some(DecisionView {
                run: number(13)? as u32,
                outcome: event_state(&outcome)?,
                decided_by: decided_by(row.try_get(15)?)?,
                decided_at: Timestamp::from_micros(row.try_get(16)?),
                plugin: match (plugin, version) {
                    (Some(name), Some(version)) => Some(PluginRunView {
                        name,
                        version: hash("plugin_activation", "hash", &version)?,
                        generation: number(19)? as u32,
                        cpu_us: number(20)?,
                        wall_us: number(21)?,
                        memory_bytes: number(22)?,
                    }),
                    _ => None,
                },
                detail: row.try_get(23)?,
            }),
        };
        let standing: Option<String> = row.try_get(11)?;
        let state = match (&standing, &decision) {
            (Some(state), _) => event_state(state)?,
            (None, Some(decision)) => decision.outcome,
            (None, None) => EventState::Routed,
        };
        Ok::<_, Error>(EventView {
            id: EventId::from_uuid(row.try_get(0)?),
            tenant_id: TenantId::from_uuid(row.try_get(1)?),
            tenant: row.try_get(2)?,
            source_kind: row.try_get(3)?,
            source_id: row.try_get(4)?,
            source_name: row.try_get(5)?,
            event_type: row.try_get(6)?,
            content_type: content_type_from_text(row.try_get(7)?),
            accepted_at: Timestamp::from_micros(row.try_get(8)?),
            idempotency_key: row.try_get(9)?,
            payload_bytes: number(10)?,
            state,
            route_due_at: match state {
                EventState::Pending => row.try_get::<Option<i64>, _>(12)?.map(Timestamp::from_micros),
                _ => None,
            },
            decision,
        })
    }};
}

fn decided_by(text: String) -> Result<DecidedBy, Error> {
    DecidedBy::parse(&text).ok_or_else(|| corrupt("decision", "decided_by", &text, "no such word"))
}

/// A delivery as a person reads it.
#[derive(Debug, Clone)]
pub struct DeliveryView {
    pub id: DeliveryId,
    pub event: EventId,
    pub tenant_id: TenantId,
    pub tenant: String,
    pub endpoint_id: EndpointId,
    /// Name of the endpoint, or its id where it has none.
    pub endpoint: String,
    /// Number of the decision that made it.
    pub run: u32,
    /// `event`, `test` or `replay`.
    pub kind: String,
    /// Which of the plugin's payloads it sends; none is the event's as received.
    pub content: Option<u32>,
    pub state: DeliveryState,
    pub attempts: u32,
    /// Attempts made before its last replay; 0 once it was delivered: it no longer matters.
    pub attempts_before: u32,
    /// None once it was delivered: it no longer matters.
    pub attempts_max: Option<u32>,
    /// When it is tried next, while it waits.
    pub due_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
}

/// Reads the columns of `delivery_columns!`; a row of either database.
macro_rules! delivery_view {
    ($row:expr) => {{
        let row = $row;
        let optional = |index: usize| row.try_get::<Option<i64>, _>(index);
        let standing: Option<String> = row.try_get(9)?;
        let state = standing.as_deref().map_or(Ok(DeliveryState::Delivered), delivery_state)?;
        let last_attempt_ended_at = match (optional(15)?, optional(16)?) {
            (Some(started_at), Some(duration_us)) => Some(Timestamp::from_micros(started_at + duration_us)),
            _ => None,
        };
        let endpoint_id = EndpointId::from_uuid(row.try_get(4)?);
        Ok::<_, Error>(DeliveryView {
            id: DeliveryId::from_uuid(row.try_get(0)?),
            event: EventId::from_uuid(row.try_get(1)?),
            tenant_id: TenantId::from_uuid(row.try_get(2)?),
            tenant: row.try_get(3)?,
            endpoint_id,
            endpoint: row.try_get::<Option<String>, _>(5)?.unwrap_or_else(|| endpoint_id.to_string()),
            run: row.try_get::<i64, _>(6)? as u32,
            kind: row.try_get(7)?,
            content: optional(8)?.map(|ordinal| ordinal as u32),
            state,
            attempts: optional(if standing.is_some() { 10 } else { 14 })?.unwrap_or(0) as u32,
            attempts_before: optional(17)?.unwrap_or(0) as u32,
            attempts_max: optional(11)?.map(|max| max as u32),
            due_at: match state {
                DeliveryState::Waiting => optional(12)?.map(Timestamp::from_micros),
                _ => None,
            },
            completed_at: match state {
                DeliveryState::Delivered => last_attempt_ended_at,
                _ => optional(13)?.map(Timestamp::from_micros),
            },
        })
    }};
}

/// An attempt as a person reads it.
#[derive(Debug, Clone)]
pub struct AttemptView {
    pub number: u32,
    pub started_at: Timestamp,
    pub duration_us: i64,
    pub status: Option<u16>,
    pub error: Option<String>,
    pub error_detail: Option<String>,
    pub response: Option<Vec<u8>>,
}

/// Id, type, content type, headers, payload and time of acceptance.
type RecentRow = (Uuid, String, Option<String>, Option<String>, Vec<u8>, i64);

type AttemptRow = (i64, i64, i64, Option<i64>, Option<String>, Option<String>, Option<Vec<u8>>);

/// Which rows of a list: newest first, before an id, at most so many.
#[derive(Debug, Clone)]
pub struct Page<State> {
    /// None is every state.
    pub state: Option<State>,
    /// Only rows older than this id.
    pub before: Option<Uuid>,
    pub limit: u32,
}

impl<State> Page<State> {
    fn before(&self) -> Uuid {
        self.before.unwrap_or(Uuid::max())
    }

    fn limit(&self) -> i64 {
        i64::from(self.limit)
    }
}

/// Fetches rows of a statement and reads each as a view, on whichever database there is.
macro_rules! views {
    ($store:expr, $view:ident, $sql:expr $(, $bind:expr)*) => {
        match &$store.db {
            super::Db::Sqlite(pool) => super::in_time(sqlx::query($sql)$(.bind($bind))*.fetch_all(pool)).await?.iter().map(|row| $view!(row)).collect::<Result<Vec<_>, Error>>(),
            super::Db::Postgres(pool) => super::in_time(sqlx::query($sql)$(.bind($bind))*.fetch_all(pool)).await?.iter().map(|row| $view!(row)).collect::<Result<Vec<_>, Error>>(),
        }
    };
}

impl Store {
    /// Events of the scope, newest first. In state `routed` a page may be short although there are more: it looks through
    /// so many of the newest events before its id.
    pub async fn list_events(&self, scope: Scope, page: &Page<EventState>) -> Result<Vec<EventView>, Error> {
        let (before, limit) = (page.before(), page.limit());
        match (scope.tenant().map(TenantId::as_uuid), page.state) {
            (None, None) => views!(self, event_view, sql::LIST_EVENTS, before, limit),
            (Some(tenant), None) => views!(self, event_view, sql::LIST_EVENTS_OF_TENANT, tenant, before, limit),
            (None, Some(EventState::Dropped)) => views!(self, event_view, sql::LIST_DROPPED_EVENTS, before, limit),
            (Some(tenant), Some(EventState::Dropped)) => {
                views!(self, event_view, sql::LIST_DROPPED_EVENTS_OF_TENANT, tenant, before, limit)
            }
            (None, Some(EventState::Routed)) => views!(self, event_view, sql::LIST_ROUTED_EVENTS, before, limit, WALK_ROWS_MAX),
            (Some(tenant), Some(EventState::Routed)) => {
                views!(
                    self,
                    event_view,
                    sql::LIST_ROUTED_EVENTS_OF_TENANT,
                    tenant,
                    before,
                    limit,
                    WALK_ROWS_MAX
                )
            }
            (None, Some(EventState::Pending)) => views!(self, event_view, sql::LIST_PENDING_EVENTS, before, limit),
            (None, Some(state)) => views!(self, event_view, sql::LIST_STANDING_EVENTS, state.as_str(), before, limit),
            (Some(tenant), Some(state)) => {
                views!(
                    self,
                    event_view,
                    sql::LIST_STANDING_EVENTS_OF_TENANT,
                    tenant,
                    state.as_str(),
                    before,
                    limit
                )
            }
        }
    }

    pub async fn event(&self, scope: Scope, id: EventId) -> Result<Option<EventView>, Error> {
        let tenant = scope.tenant().map(TenantId::as_uuid);
        Ok(views!(self, event_view, sql::SELECT_EVENT, id.as_uuid(), tenant)?.pop())
    }

    /// The bytes of an event as they were accepted.
    pub async fn payload(&self, scope: Scope, id: EventId) -> Result<Option<Vec<u8>>, Error> {
        let row: Option<(Vec<u8>,)> = on!(self, |pool| sqlx::query_as(sql::SELECT_PAYLOAD)
            .bind(id.as_uuid())
            .bind(scope.tenant().map(TenantId::as_uuid))
            .fetch_optional(pool)
            .await)?;
        Ok(row.map(|(payload,)| payload))
    }

    /// Some of the newest events of a sender whose routing worked, to try a plugin version on.
    pub async fn recent_events(
        &self,
        tenant: TenantId,
        environment: EnvironmentId,
        sender: SenderId,
        limit: u32,
    ) -> Result<Vec<Event>, Error> {
        let rows: Vec<RecentRow> = on!(self, |pool| sqlx::query_as(sql::SELECT_RECENT_EVENTS)
            .bind(tenant.as_uuid())
            .bind(sender.as_uuid())
            .bind(i64::from(limit))
            .fetch_all(pool)
            .await)?;
        rows.into_iter()
            .map(|(id, event_type, content_type, headers, payload, accepted_at)| {
                Ok(Event {
                    id: EventId::from_uuid(id),
                    tenant,
                    environment,
                    source: Source::Sender(sender),
                    idempotency_key: None,
                    event_type,
                    content_type: content_type_from_text(content_type),
                    headers: pairs_from_text(headers.as_deref())?,
                    payload: Bytes::from(payload),
                    accepted_at: Timestamp::from_micros(accepted_at),
                })
            })
            .collect()
    }

    /// The bytes a delivery sends, for one whose body did not wait in memory.
    pub async fn delivery_body(&self, id: DeliveryId) -> Result<Option<Bytes>, Error> {
        let row: Option<(Option<Vec<u8>>,)> = on!(self, |pool| sqlx::query_as(sql::SELECT_DELIVERY_BODY)
            .bind(id.as_uuid())
            .fetch_optional(pool)
            .await)?;
        Ok(row.and_then(|(body,)| body).map(Bytes::from))
    }

    /// Deliveries of the scope, newest first. In state `delivered` a page may be short, as [`Store::list_events`] says.
    pub async fn list_deliveries(&self, scope: Scope, page: &Page<DeliveryState>) -> Result<Vec<DeliveryView>, Error> {
        let (before, limit) = (page.before(), page.limit());
        match (scope.tenant().map(TenantId::as_uuid), page.state) {
            (None, None) => views!(self, delivery_view, sql::LIST_DELIVERIES, before, limit),
            (Some(tenant), None) => views!(self, delivery_view, sql::LIST_DELIVERIES_OF_TENANT, tenant, before, limit),
            (None, Some(DeliveryState::Delivered)) => {
                views!(self, delivery_view, sql::LIST_DELIVERED, before, limit, WALK_ROWS_MAX)
            }
            (Some(tenant), Some(DeliveryState::Delivered)) => {
                views!(
                    self,
                    delivery_view,
                    sql::LIST_DELIVERED_OF_TENANT,
                    tenant,
                    before,
                    limit,
                    WALK_ROWS_MAX
                )
            }
            (None, Some(DeliveryState::Waiting)) => views!(self, delivery_view, sql::LIST_WAITING_DELIVERIES, before, limit),
            (None, Some(state)) => views!(self, delivery_view, sql::LIST_ENDED_DELIVERIES, state.as_str(), before, limit),
            (Some(tenant), Some(state)) => {
                views!(
                    self,
                    delivery_view,
                    sql::LIST_STANDING_DELIVERIES_OF_TENANT,
                    tenant,
                    state.as_str(),
                    before,
                    limit
                )
            }
        }
    }

    /// Deliveries to one endpoint, newest first. The caller has checked whose endpoint it is.
    pub async fn deliveries_of_endpoint(&self, endpoint: EndpointId, before: Option<Uuid>, limit: u32) -> Result<Vec<DeliveryView>, Error> {
        let before = before.unwrap_or(Uuid::max());
        views!(
            self,
            delivery_view,
            sql::LIST_DELIVERIES_OF_ENDPOINT,
            endpoint.as_uuid(),
            before,
            i64::from(limit)
        )
    }

    /// Where the walk of a short page of [`Store::list_events`] in state `routed` ended: older ones follow there.
    pub async fn walk_of_events(&self, scope: Scope, before: Option<Uuid>) -> Result<Option<EventId>, Error> {
        let end = self.walk(scope, before, sql::END_OF_EVENTS, sql::END_OF_EVENTS_OF_TENANT).await?;
        Ok(end.map(EventId::from_uuid))
    }

    /// The same of [`Store::list_deliveries`] in state `delivered`.
    pub async fn walk_of_deliveries(&self, scope: Scope, before: Option<Uuid>) -> Result<Option<DeliveryId>, Error> {
        let end = self
            .walk(scope, before, sql::END_OF_DELIVERIES, sql::END_OF_DELIVERIES_OF_TENANT)
            .await?;
        Ok(end.map(DeliveryId::from_uuid))
    }

    async fn walk(&self, scope: Scope, before: Option<Uuid>, all: &'static str, of_tenant: &'static str) -> Result<Option<Uuid>, Error> {
        let before = before.unwrap_or(Uuid::max());
        let row: Option<(Uuid,)> = match scope.tenant() {
            None => on!(self, |pool| sqlx::query_as(all)
                .bind(before)
                .bind(WALK_ROWS_MAX - 1)
                .fetch_optional(pool)
                .await)?,
            Some(tenant) => on!(self, |pool| sqlx::query_as(of_tenant)
                .bind(tenant.as_uuid())
                .bind(before)
                .bind(WALK_ROWS_MAX - 1)
                .fetch_optional(pool)
                .await)?,
        };
        Ok(row.map(|(id,)| id))
    }

    /// Deliveries of an event, newest first, a page of them.
    pub async fn page_of_deliveries(
        &self,
        scope: Scope,
        id: EventId,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<DeliveryView>, Error> {
        let tenant = scope.tenant().map(TenantId::as_uuid);
        let before = before.unwrap_or(Uuid::max());
        views!(
            self,
            delivery_view,
            sql::PAGE_DELIVERIES_OF_EVENT,
            id.as_uuid(),
            tenant,
            before,
            i64::from(limit)
        )
    }

    pub async fn deliveries_of_event(&self, scope: Scope, id: EventId) -> Result<Vec<DeliveryView>, Error> {
        let tenant = scope.tenant().map(TenantId::as_uuid);
        views!(self, delivery_view, sql::LIST_DELIVERIES_OF_EVENT, id.as_uuid(), tenant)
    }

    pub async fn delivery(&self, scope: Scope, id: DeliveryId) -> Result<Option<DeliveryView>, Error> {
        let tenant = scope.tenant().map(TenantId::as_uuid);
        Ok(views!(self, delivery_view, sql::SELECT_DELIVERY, id.as_uuid(), tenant)?.pop())
    }

    pub async fn attempts(&self, scope: Scope, id: DeliveryId) -> Result<Vec<AttemptView>, Error> {
        let rows: Vec<AttemptRow> = on!(self, |pool| sqlx::query_as(sql::LIST_ATTEMPTS)
            .bind(id.as_uuid())
            .bind(scope.tenant().map(TenantId::as_uuid))
            .fetch_all(pool)
            .await)?;
        Ok(rows
            .into_iter()
            .map(
                |(number, started_at, duration_us, status, error, error_detail, response)| AttemptView {
                    number: number as u32,
                    started_at: Timestamp::from_micros(started_at),
                    duration_us,
                    status: status.map(|status| status as u16),
                    error,
                    error_detail,
                    response,
                },
            )
            .collect())
    }

    /// Whether the database answers: what readiness means.
    pub async fn ping(&self) -> Result<(), Error> {
        self.revision().await.map(drop)
    }
}
