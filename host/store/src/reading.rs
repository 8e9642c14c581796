//! Reads, and PostgreSQL's claims: rows in, records out.

use std::sync::Arc;

use bytes::Bytes;
use hookyard_domain::{DeliveryId, EndpointId, EnvironmentId, EventId, SenderId, TenantId, Timestamp};
use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use super::{
    Store,
    error::Error,
    on,
    record::{Body, CLAIM_BYTES_MAX, Event, HELD_BODY_BYTES_MAX, HeldDelivery, HeldEvent, Origin, Progress},
    rows::{delivery_state, event_state, pairs_from_text},
    statements as sql,
};

pub(super) async fn progress_by_idempotency_key(on: &mut PgConnection, tenant: TenantId, key: &str) -> Result<Option<Progress>, Error> {
    let row: Option<ProgressRow> = sqlx::query_as(sql::SELECT_EVENT_BY_IDEMPOTENCY_KEY)
        .bind(tenant.as_uuid())
        .bind(key)
        .fetch_optional(on)
        .await?;
    row.map(progress).transpose()
}

type ProgressRow = (Uuid, i64, String, i64, i64, i64, i64, i64);

fn progress((id, accepted_at, state, fresh, retrying, delivered, rejected, exhausted): ProgressRow) -> Result<Progress, Error> {
    let count = |n: i64| u32::try_from(n).unwrap_or(u32::MAX);
    Ok(Progress {
        event: EventId::from_uuid(id),
        accepted_at: Timestamp::from_micros(accepted_at),
        state: event_state(&state)?,
        fresh: count(fresh),
        retrying: count(retrying),
        delivered: count(delivered),
        rejected: count(rejected),
        exhausted: count(exhausted),
    })
}

pub(super) async fn claim_deliveries(
    on: &mut PgConnection,
    node: Uuid,
    endpoint: EndpointId,
    due_by: Timestamp,
    limit: u32,
) -> Result<Vec<HeldDelivery>, Error> {
    let rows = sqlx::query(sql::CLAIM_DELIVERIES_SKIP_LOCKED)
        .bind(node)
        .bind(endpoint.as_uuid())
        .bind(due_by.as_micros())
        .bind(i64::from(limit))
        .bind(HELD_BODY_BYTES_MAX as i64)
        .fetch_all(on)
        .await?;
    rows.iter().map(held_delivery).collect()
}

fn held_delivery(row: &PgRow) -> Result<HeldDelivery, Error> {
    let body: Option<Vec<u8>> = row.try_get(9)?;
    Ok(HeldDelivery {
        id: DeliveryId::from_uuid(row.try_get(0)?),
        event: EventId::from_uuid(row.try_get(1)?),
        endpoint: EndpointId::from_uuid(row.try_get(2)?),
        headers: pairs_from_text(row.try_get::<Option<String>, _>(3)?.as_deref())?,
        attempts: row.try_get::<i64, _>(4)? as u32,
        attempts_max: row.try_get::<i64, _>(5)? as u16,
        attempts_before: row.try_get::<i64, _>(6)? as u32,
        due_at: Timestamp::from_micros(row.try_get(7)?),
        content_type: row.try_get(8)?,
        body: body.map_or(Body::Stored, |bytes| Body::Here(Bytes::from(bytes))),
        event_type: row.try_get(10)?,
        accepted_at: Timestamp::from_micros(row.try_get(11)?),
    })
}

pub(super) async fn claim_events(on: &mut PgConnection, node: Uuid, due_by: Timestamp, limit: u32) -> Result<Vec<HeldEvent>, Error> {
    let rows = sqlx::query(sql::CLAIM_EVENTS_SKIP_LOCKED)
        .bind(node)
        .bind(due_by.as_micros())
        .bind(i64::from(limit))
        .bind(CLAIM_BYTES_MAX)
        .fetch_all(on)
        .await?;
    rows.iter().map(held_event).collect()
}

fn held_event(row: &PgRow) -> Result<HeldEvent, Error> {
    Ok(HeldEvent {
        event: Arc::new(Event {
            id: EventId::from_uuid(row.try_get(0)?),
            tenant: TenantId::from_uuid(row.try_get(1)?),
            environment: EnvironmentId::from_uuid(row.try_get(2)?),
            origin: Origin::Sender(SenderId::from_uuid(row.try_get(3)?)),
            idempotency_key: None,
            event_type: row.try_get(4)?,
            content_type: row.try_get(5)?,
            headers: pairs_from_text(Some(row.try_get(6)?))?,
            payload: Bytes::from(row.try_get::<Vec<u8>, _>(7)?),
            accepted_at: Timestamp::from_micros(row.try_get(8)?),
        }),
        failures: row.try_get::<i64, _>(9)? as u32,
    })
}

/// An event as an operator reads it.
#[derive(Debug, Clone)]
pub struct EventView {
    pub id: EventId,
    pub tenant: String,
    pub sender: Option<String>,
    pub endpoint: Option<String>,
    pub event_type: String,
    pub content_type: String,
    pub accepted_at: Timestamp,
    pub state: hookyard_domain::EventState,
    /// JSON text.
    pub explanation: Option<String>,
    pub idempotency_key: Option<String>,
    pub payload_bytes: u64,
}

type EventRow = (
    Uuid,
    String,
    Option<String>,
    Option<String>,
    String,
    String,
    i64,
    String,
    Option<String>,
    Option<String>,
    i32,
);

fn event_view(row: EventRow) -> Result<EventView, Error> {
    let (id, tenant, sender, endpoint, event_type, content_type, accepted_at, state, explanation, idempotency_key, bytes) = row;
    Ok(EventView {
        id: EventId::from_uuid(id),
        tenant,
        sender,
        endpoint,
        event_type,
        content_type,
        accepted_at: Timestamp::from_micros(accepted_at),
        state: event_state(&state)?,
        explanation,
        idempotency_key,
        payload_bytes: u64::try_from(bytes).unwrap_or(0),
    })
}

/// A delivery as an operator reads it.
#[derive(Debug, Clone)]
pub struct DeliveryView {
    pub id: DeliveryId,
    pub event: EventId,
    pub tenant: String,
    pub endpoint: String,
    pub state: hookyard_domain::DeliveryState,
    pub attempts: u32,
    pub attempts_max: u32,
    pub due_at: Timestamp,
    pub completed_at: Option<Timestamp>,
}

type DeliveryRow = (Uuid, Uuid, String, String, String, i64, i64, i64, Option<i64>);

fn delivery_view(row: DeliveryRow) -> Result<DeliveryView, Error> {
    let (id, event, tenant, endpoint, state, attempts, attempts_max, due_at, completed_at) = row;
    Ok(DeliveryView {
        id: DeliveryId::from_uuid(id),
        event: EventId::from_uuid(event),
        tenant,
        endpoint,
        state: delivery_state(&state)?,
        attempts: attempts as u32,
        attempts_max: attempts_max as u32,
        due_at: Timestamp::from_micros(due_at),
        completed_at: completed_at.map(Timestamp::from_micros),
    })
}

/// An attempt as an operator reads it.
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

type AttemptRow = (i64, i64, i64, Option<i64>, Option<String>, Option<String>, Option<Vec<u8>>);

/// Which rows of a list: newest first, before an id, at most so many.
#[derive(Debug, Clone)]
pub struct Page {
    /// Tenant name; empty is every tenant.
    pub tenant: String,
    /// State word; empty is every state.
    pub state: String,
    /// Only rows older than this id.
    pub before: Option<Uuid>,
    pub limit: u32,
}

impl Page {
    fn before(&self) -> Uuid {
        self.before.unwrap_or(Uuid::max())
    }
}

impl Store {
    /// The event a tenant's idempotency key names, if any.
    pub async fn progress(&self, tenant: TenantId, key: &str) -> Result<Option<Progress>, Error> {
        let row: Option<ProgressRow> = on!(self, |pool| sqlx::query_as(sql::SELECT_EVENT_BY_IDEMPOTENCY_KEY)
            .bind(tenant.as_uuid())
            .bind(key)
            .fetch_optional(pool)
            .await)?;
        row.map(progress).transpose()
    }

    pub async fn list_events(&self, page: &Page) -> Result<Vec<EventView>, Error> {
        let rows: Vec<EventRow> = on!(self, |pool| sqlx::query_as(sql::LIST_EVENTS)
            .bind(&page.tenant)
            .bind(&page.state)
            .bind(page.before())
            .bind(i64::from(page.limit))
            .fetch_all(pool)
            .await)?;
        rows.into_iter().map(event_view).collect()
    }

    pub async fn event(&self, id: EventId) -> Result<Option<EventView>, Error> {
        let row: Option<EventRow> = on!(self, |pool| sqlx::query_as(sql::SELECT_EVENT)
            .bind(id.as_uuid())
            .fetch_optional(pool)
            .await)?;
        row.map(event_view).transpose()
    }

    pub async fn payload(&self, id: EventId) -> Result<Option<Vec<u8>>, Error> {
        let row: Option<(Vec<u8>,)> = on!(self, |pool| sqlx::query_as(sql::SELECT_PAYLOAD)
            .bind(id.as_uuid())
            .fetch_optional(pool)
            .await)?;
        Ok(row.map(|(payload,)| payload))
    }

    /// The newest events of a sender whose routing worked, to try a plugin version on.
    pub async fn recent_events(
        &self,
        tenant: TenantId,
        environment: EnvironmentId,
        sender: SenderId,
        limit: u32,
    ) -> Result<Vec<Event>, Error> {
        let rows: Vec<(Uuid, String, String, String, Vec<u8>, i64)> = on!(self, |pool| sqlx::query_as(sql::SELECT_RECENT_EVENTS)
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
                    origin: Origin::Sender(sender),
                    idempotency_key: None,
                    event_type,
                    content_type,
                    headers: pairs_from_text(Some(&headers))?,
                    payload: Bytes::from(payload),
                    accepted_at: Timestamp::from_micros(accepted_at),
                })
            })
            .collect()
    }

    /// The bytes a delivery sends, for one too large to wait in memory.
    pub async fn delivery_body(&self, id: DeliveryId) -> Result<Option<Bytes>, Error> {
        let row: Option<(Vec<u8>,)> = on!(self, |pool| sqlx::query_as(sql::SELECT_DELIVERY_BODY)
            .bind(id.as_uuid())
            .fetch_optional(pool)
            .await)?;
        Ok(row.map(|(body,)| Bytes::from(body)))
    }

    pub async fn list_deliveries(&self, page: &Page) -> Result<Vec<DeliveryView>, Error> {
        let rows: Vec<DeliveryRow> = on!(self, |pool| sqlx::query_as(sql::LIST_DELIVERIES)
            .bind(&page.tenant)
            .bind(&page.state)
            .bind(page.before())
            .bind(i64::from(page.limit))
            .fetch_all(pool)
            .await)?;
        rows.into_iter().map(delivery_view).collect()
    }

    pub async fn deliveries_of_event(&self, id: EventId) -> Result<Vec<DeliveryView>, Error> {
        let rows: Vec<DeliveryRow> = on!(self, |pool| sqlx::query_as(sql::LIST_DELIVERIES_OF_EVENT)
            .bind(id.as_uuid())
            .fetch_all(pool)
            .await)?;
        rows.into_iter().map(delivery_view).collect()
    }

    pub async fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryView>, Error> {
        let row: Option<DeliveryRow> = on!(self, |pool| sqlx::query_as(sql::SELECT_DELIVERY)
            .bind(id.as_uuid())
            .fetch_optional(pool)
            .await)?;
        row.map(delivery_view).transpose()
    }

    pub async fn attempts(&self, id: DeliveryId) -> Result<Vec<AttemptView>, Error> {
        let rows: Vec<AttemptRow> = on!(self, |pool| sqlx::query_as(sql::LIST_ATTEMPTS)
            .bind(id.as_uuid())
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

    /// How many events and deliveries are in each state.
    pub async fn counts(&self) -> Result<(Vec<(String, i64)>, Vec<(String, i64)>), Error> {
        let events = on!(self, |pool| sqlx::query_as(sql::COUNT_EVENTS).fetch_all(pool).await)?;
        let deliveries = on!(self, |pool| sqlx::query_as(sql::COUNT_DELIVERIES).fetch_all(pool).await)?;
        Ok((events, deliveries))
    }
}
