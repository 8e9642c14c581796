//! The SQLite side of group commit: one write connection on its own thread.
//!
//! It uses rusqlite beside sqlx, both over the one bundled SQLite: sqlx pays a hop to its worker thread per
//! statement, which at one statement per row is ten times the row's own cost (measurements in `ARCHITECTURE.md`).
//! Everything that is not on an event's path goes through sqlx.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use hookyard_domain::{DeliveryId, EndpointId, EnvironmentId, EventId, NodeId, SenderId, TenantId, Timestamp};
use rusqlite::{Connection, Row, TransactionBehavior, params};
use uuid::Uuid;

use super::{
    commit::{Outcome, Write},
    error::Error,
    record::{
        Accepted, Body, CLAIM_BYTES_MAX, Decided, Event, HELD_BODY_BYTES_MAX, HeldDelivery, HeldEvent, Leased, NewDelivery, Origin,
        Progress, Settle,
    },
    rows::{event_state, pairs_from_text, pairs_to_text},
    statements as sql,
};

/// How long a write waits for another process's transaction (`hookyard apply` beside a running server).
pub(super) const BUSY_TIMEOUT_MS: u64 = 5_000;
/// Prepared statements kept: all that the batch loop uses, with room.
const STATEMENT_CACHE: usize = 32;
/// Pages of write-ahead log before a commit folds them into the database: 16 MiB at 8 KiB pages.
const CHECKPOINT_PAGES: u32 = 2_000;

/// Spells a statement's parameters as SQLite's `?1`. `$1` is a *name* there, numbered by where it first stands; sqlx
/// knows to read it as a number, rusqlite does not.
macro_rules! numbered {
    ($sql:expr) => {{
        const BYTES: [u8; $sql.len()] = question_marks($sql);
        const TEXT: &str = match std::str::from_utf8(&BYTES) {
            Ok(text) => text,
            Err(_) => panic!("replacing ASCII by ASCII keeps UTF-8 valid"),
        };
        TEXT
    }};
}

const fn question_marks<const N: usize>(sql: &str) -> [u8; N] {
    let mut bytes = [0; N];
    let mut index = 0;
    while index < N {
        bytes[index] = if sql.as_bytes()[index] == b'$' {
            b'?'
        } else {
            sql.as_bytes()[index]
        };
        index += 1;
    }
    bytes
}

pub struct Writer {
    connection: Connection,
    node: Uuid,
}

impl Writer {
    pub fn open(path: &Path, node: NodeId) -> Result<Self, Error> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(std::time::Duration::from_millis(BUSY_TIMEOUT_MS))?;
        // FULL: the log is flushed before a commit answers (A1). NORMAL would flush only at checkpoints.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection.pragma_update(None, "cache_size", -32 * 1024)?;
        connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
        Ok(Self {
            connection,
            node: node.as_uuid(),
        })
    }

    pub fn commit(&mut self, batch: &[Write]) -> Result<Vec<Outcome>, Error> {
        let node = self.node;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let outcomes = batch
            .iter()
            .map(|write| apply(&transaction, node, write))
            .collect::<Result<Vec<_>, Error>>()?;
        transaction.commit()?;
        Ok(outcomes)
    }
}

fn apply(on: &Connection, node: Uuid, write: &Write) -> Result<Outcome, Error> {
    match write {
        Write::Accept {
            event, decided, leased, ..
        } => accept(on, node, event, decided.as_ref(), *leased).map(Outcome::Accepted),
        Write::Decide { event, decided, .. } => decide(on, node, *event, decided).map(Outcome::Changed),
        Write::Postpone {
            event,
            route_due_at,
            failures,
            ..
        } => {
            let changed = on.prepare_cached(numbered!(sql::POSTPONE_EVENT))?.execute(params![
                event.as_uuid(),
                route_due_at.as_micros(),
                node,
                failures
            ])?;
            Ok(Outcome::Changed(changed > 0))
        }
        Write::Settle { settle, .. } => self::settle(on, node, settle).map(Outcome::Changed),
        Write::ClaimDeliveries {
            endpoint, due_by, limit, ..
        } => claim_deliveries(on, node, *endpoint, *due_by, *limit).map(Outcome::Deliveries),
        Write::ClaimEvents { due_by, limit, .. } => claim_events(on, node, *due_by, *limit).map(Outcome::Events),
        Write::ReleaseDelivery { delivery, .. } => {
            let changed = on
                .prepare_cached(numbered!(sql::RELEASE_DELIVERY))?
                .execute(params![delivery.as_uuid(), node])?;
            Ok(Outcome::Changed(changed > 0))
        }
        Write::ReleaseEvent { event, .. } => {
            let changed = on
                .prepare_cached(numbered!(sql::RELEASE_EVENT))?
                .execute(params![event.as_uuid(), node])?;
            Ok(Outcome::Changed(changed > 0))
        }
    }
}

fn accept(on: &Connection, node: Uuid, event: &Event, decided: Option<&Decided>, leased: Leased) -> Result<Accepted, Error> {
    let state = decided.map_or("pending", |decided| decided.state.as_str());
    let inserted = on.prepare_cached(numbered!(sql::INSERT_EVENT))?.execute(params![
        event.id.as_uuid(),
        event.tenant.as_uuid(),
        event.environment.as_uuid(),
        event.origin.sender().map(SenderId::as_uuid),
        event.origin.endpoint().map(EndpointId::as_uuid),
        event.idempotency_key,
        event.event_type,
        event.content_type,
        pairs_to_text(&event.headers),
        &event.payload[..],
        event.accepted_at.as_micros(),
        state,
        decided.and_then(|decided| decided.explanation.as_deref()),
        decided.map(|decided| decided.decided_at.as_micros()),
        lease(leased, node),
    ])?;
    if inserted == 0 {
        let key = event.idempotency_key.as_deref().unwrap_or_default();
        return existing(on, event.tenant, key)?
            .map(Accepted::Existing)
            .ok_or_else(|| Error::Statement("an event was refused for an idempotency key that names no event".into()));
    }
    for delivery in decided.map_or(&[][..], |decided| &decided.deliveries) {
        insert_delivery(on, node, event.id, delivery)?;
    }
    Ok(Accepted::New)
}

fn existing(on: &Connection, tenant: TenantId, key: &str) -> Result<Option<Progress>, Error> {
    let mut statement = on.prepare_cached(numbered!(sql::SELECT_EVENT_BY_IDEMPOTENCY_KEY))?;
    let mut rows = statement.query(params![tenant.as_uuid(), key])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some(Progress {
        event: EventId::from_uuid(row.get(0)?),
        accepted_at: Timestamp::from_micros(row.get(1)?),
        state: event_state(&row.get::<_, String>(2)?)?,
        fresh: row.get(3)?,
        retrying: row.get(4)?,
        delivered: row.get(5)?,
        rejected: row.get(6)?,
        exhausted: row.get(7)?,
    }))
}

fn insert_delivery(on: &Connection, node: Uuid, event: EventId, delivery: &NewDelivery) -> Result<(), Error> {
    on.prepare_cached(numbered!(sql::INSERT_DELIVERY))?.execute(params![
        delivery.id.as_uuid(),
        event.as_uuid(),
        delivery.tenant.as_uuid(),
        delivery.endpoint.as_uuid(),
        delivery.content,
        (!delivery.headers.is_empty()).then(|| pairs_to_text(&delivery.headers)),
        delivery.attempts_max,
        delivery.due_at.as_micros(),
        lease(delivery.leased, node),
    ])?;
    Ok(())
}

fn decide(on: &Connection, node: Uuid, event: EventId, decided: &Decided) -> Result<bool, Error> {
    let changed = on.prepare_cached(numbered!(sql::DECIDE_EVENT))?.execute(params![
        event.as_uuid(),
        decided.state.as_str(),
        decided.explanation,
        decided.decided_at.as_micros(),
        node,
    ])?;
    if changed == 0 {
        return Ok(false);
    }
    for (ordinal, content) in decided.contents.iter().enumerate() {
        on.prepare_cached(numbered!(sql::INSERT_CONTENT))?.execute(params![
            event.as_uuid(),
            ordinal as i64,
            content.content_type,
            &content.body[..]
        ])?;
    }
    for delivery in &decided.deliveries {
        insert_delivery(on, node, event, delivery)?;
    }
    Ok(true)
}

fn settle(on: &Connection, node: Uuid, settle: &Settle) -> Result<bool, Error> {
    let changed = on.prepare_cached(numbered!(sql::SETTLE_DELIVERY))?.execute(params![
        settle.delivery.as_uuid(),
        node,
        settle.state.as_str(),
        settle.number,
        settle.due_at.as_micros(),
        settle.completed_at.map(Timestamp::as_micros),
    ])?;
    if changed == 0 {
        return Ok(false);
    }
    let attempt = &settle.attempt;
    on.prepare_cached(numbered!(sql::INSERT_ATTEMPT))?.execute(params![
        settle.delivery.as_uuid(),
        settle.number,
        attempt.started_at.as_micros(),
        attempt.duration_us,
        attempt.status,
        attempt.error,
        attempt.error_detail,
        (!attempt.response.is_empty()).then_some(&attempt.response[..]),
    ])?;
    Ok(true)
}

fn claim_deliveries(on: &Connection, node: Uuid, endpoint: EndpointId, due_by: Timestamp, limit: u32) -> Result<Vec<HeldDelivery>, Error> {
    let ids: Vec<Uuid> = on
        .prepare_cached(numbered!(sql::CLAIM_DELIVERIES))?
        .query_map(params![node, endpoint.as_uuid(), due_by.as_micros(), limit], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut select = on.prepare_cached(numbered!(sql::SELECT_CLAIMED_DELIVERY))?;
    ids.into_iter()
        .map(|id| {
            let mut rows = select.query(params![id, HELD_BODY_BYTES_MAX as i64])?;
            let row = rows
                .next()?
                .ok_or_else(|| Error::Statement("a claimed delivery has no event".into()))?;
            held_delivery(row)
        })
        .collect()
}

fn held_delivery(row: &Row<'_>) -> Result<HeldDelivery, Error> {
    let body: Option<Vec<u8>> = row.get(9)?;
    Ok(HeldDelivery {
        id: DeliveryId::from_uuid(row.get(0)?),
        event: EventId::from_uuid(row.get(1)?),
        endpoint: EndpointId::from_uuid(row.get(2)?),
        headers: pairs_from_text(row.get::<_, Option<String>>(3)?.as_deref())?,
        attempts: row.get(4)?,
        attempts_max: row.get(5)?,
        attempts_before: row.get(6)?,
        due_at: Timestamp::from_micros(row.get(7)?),
        content_type: row.get(8)?,
        body: body.map_or(Body::Stored, |bytes| Body::Here(Bytes::from(bytes))),
        event_type: row.get(10)?,
        accepted_at: Timestamp::from_micros(row.get(11)?),
    })
}

fn claim_events(on: &Connection, node: Uuid, due_by: Timestamp, limit: u32) -> Result<Vec<HeldEvent>, Error> {
    let mut statement = on.prepare_cached(numbered!(sql::CLAIM_EVENTS))?;
    let mut rows = statement.query(params![node, due_by.as_micros(), limit, CLAIM_BYTES_MAX])?;
    let mut claimed = Vec::new();
    while let Some(row) = rows.next()? {
        let payload: Vec<u8> = row.get(7)?;
        claimed.push(HeldEvent {
            event: Arc::new(Event {
                id: EventId::from_uuid(row.get(0)?),
                tenant: TenantId::from_uuid(row.get(1)?),
                environment: EnvironmentId::from_uuid(row.get(2)?),
                origin: Origin::Sender(SenderId::from_uuid(row.get(3)?)),
                idempotency_key: None,
                event_type: row.get(4)?,
                content_type: row.get(5)?,
                headers: pairs_from_text(Some(&row.get::<_, String>(6)?))?,
                payload: Bytes::from(payload),
                accepted_at: Timestamp::from_micros(row.get(8)?),
            }),
            failures: row.get(9)?,
        });
    }
    Ok(claimed)
}

fn lease(leased: Leased, node: Uuid) -> Option<Uuid> {
    match leased {
        Leased::ToUs => Some(node),
        Leased::ToNobody => None,
    }
}
