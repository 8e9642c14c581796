//! The SQLite side of group commit: one write connection on its own thread.
//!
//! It uses rusqlite beside sqlx, both over the one bundled SQLite: sqlx pays a hop to its worker thread per
//! statement, which at one statement per row is ten times the row's own cost (measurements in `ARCHITECTURE.md`).
//! Everything that is not on an event's path goes through sqlx.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use hookyard_domain::{DeliveryId, DeliveryState, EndpointId, EnvironmentId, EventId, EventState, NodeId, SenderId, TenantId, Timestamp};
use rusqlite::{Connection, Row, TransactionBehavior, params};
use uuid::Uuid;

use super::{
    checkpoint::{Checkpointer, Rest},
    error::Error,
    record::{
        Accepted, Body, DecideOutcome, Decided, Event, Existing, HeldDelivery, HeldEvent, IdempotencyClaim, Leased, Placement, Postponed,
        Progress, Settle, SettleOutcome, Source,
    },
    rows::{content_type_from_text, content_type_to_text, event_state, hash, pairs_from_text, pairs_to_text},
    statements as sql,
    vitals::Watcher,
    write::{ClaimDeliveries, ClaimEvents, Outcome, Write},
};

/// How long a write waits for another process's transaction (`hookyard apply` beside a running server).
pub(super) const BUSY_TIMEOUT_MS: u64 = 5_000;
/// Prepared statements kept: all that the batch loop uses, with room.
const STATEMENT_CACHE: usize = 32;

/// Spells a statement's parameters as SQLite's `?1`. `$1` is a *name* there, numbered by where it first appears; sqlx
/// reads it as a number, rusqlite does not.
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
    checkpointer: Checkpointer,
    rest: Rest,
    node: Uuid,
}

impl Writer {
    pub fn open(path: &Path, node: NodeId, watcher: &Watcher) -> Result<Self, Error> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(std::time::Duration::from_millis(BUSY_TIMEOUT_MS))?;
        // FULL: the log is flushed before a commit answers (A1). NORMAL would flush only at checkpoints.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cache_size", -32 * 1024)?;
        connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
        let checkpointer = Checkpointer::start(path, &connection, watcher)?;
        Ok(Self {
            connection,
            checkpointer,
            rest: Rest::Leave,
            node: node.as_uuid(),
        })
    }

    pub fn commit(&mut self, batch: &[Write]) -> Result<Vec<Outcome>, Error> {
        // Not after the commit: its writes wait for their answers.
        let rest = std::mem::replace(&mut self.rest, Rest::Leave);
        if let Err(error) = self.checkpointer.heed(rest, &self.connection) {
            tracing::warn!(%error, "cannot fold the log into the database");
        }
        let node = self.node;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let outcomes = batch
            .iter()
            .map(|write| apply(&transaction, node, write))
            .collect::<Result<Vec<_>, Error>>()?;
        transaction.commit()?;
        self.rest = self.checkpointer.after_commit();
        Ok(outcomes)
    }
}

fn apply(on: &Connection, node: Uuid, write: &Write) -> Result<Outcome, Error> {
    match write {
        Write::Accept {
            event, claim, placement, ..
        } => accept(on, node, event, claim.as_ref(), placement).map(Outcome::Accepted),
        Write::Decide { event, run, decided, .. } => decide(on, node, event, *run, decided).map(Outcome::Decided),
        Write::Postpone { events, .. } => postpone(on, node, events).map(|()| Outcome::Done),
        Write::Settle { settle, .. } => self::settle(on, node, settle).map(Outcome::Settled),
        Write::ClaimDeliveries { claim, .. } => claim_deliveries(on, node, claim).map(Outcome::Deliveries),
        Write::ClaimEvents { claim, .. } => claim_events(on, node, claim).map(Outcome::Events),
        Write::ReleaseDeliveries { deliveries, .. } => {
            let mut release = on.prepare_cached(numbered!(sql::RELEASE_DELIVERY))?;
            for delivery in deliveries {
                release.execute(params![delivery.as_uuid(), node])?;
            }
            Ok(Outcome::Done)
        }
        Write::ReleaseEvents { events, .. } => {
            let mut release = on.prepare_cached(numbered!(sql::RELEASE_EVENT))?;
            for event in events {
                release.execute(params![event.as_uuid(), node])?;
            }
            Ok(Outcome::Done)
        }
    }
}

fn accept(on: &Connection, node: Uuid, event: &Event, claim: Option<&IdempotencyClaim>, placement: &Placement) -> Result<Accepted, Error> {
    if let Some(claim) = claim
        && let Some(existing) = claim_key(on, event, claim)?
    {
        return Ok(Accepted::Existing(existing));
    }
    on.prepare_cached(numbered!(sql::INSERT_EVENT))?.execute(params![
        event.id.as_uuid(),
        event.tenant.as_uuid(),
        event.environment.as_uuid(),
        event.source.kind(),
        event.source.id(),
        event.idempotency_key,
        event.event_type,
        content_type_to_text(&event.content_type),
        pairs_to_text(&event.headers),
        event.accepted_at.as_micros(),
        event.payload.len() as i64,
        &event.payload[..],
    ])?;
    match placement {
        Placement::Decided(decided) => {
            explain(on, event, 1, decided)?;
            fan_out(on, node, event, 1, decided)?;
        }
        Placement::Undecided { leased } => {
            on.prepare_cached(numbered!(sql::INSERT_ROUTE_WORK))?.execute(params![
                event.id.as_uuid(),
                event.tenant.as_uuid(),
                event.source.id(),
                event.payload.len() as i64,
                event.accepted_at.as_micros(),
                lease(*leased, node),
            ])?;
        }
    }
    Ok(Accepted::New)
}

/// Claims the key for this event, or finds the event that has it.
fn claim_key(on: &Connection, event: &Event, claim: &IdempotencyClaim) -> Result<Option<Existing>, Error> {
    let claimed = on.prepare_cached(numbered!(sql::CLAIM_IDEMPOTENCY_KEY))?.execute(params![
        event.tenant.as_uuid(),
        claim.scope,
        claim.key,
        event.id.as_uuid(),
        claim.fingerprint.as_ref().map(|hash| &hash.as_bytes()[..]),
        claim.expires_at.map(Timestamp::as_micros),
        event.accepted_at.as_micros(),
    ])?;
    if claimed > 0 {
        return Ok(None);
    }
    let mut statement = on.prepare_cached(numbered!(sql::SELECT_EXISTING))?;
    let mut rows = statement.query(params![
        event.tenant.as_uuid(),
        claim.scope,
        claim.key,
        event.accepted_at.as_micros()
    ])?;
    let row = rows
        .next()?
        .ok_or_else(|| Error::Statement("an event was refused for an idempotency key that names no event".into()))?;
    existing(row).map(Some)
}

fn existing(row: &Row<'_>) -> Result<Existing, Error> {
    let fingerprint: Option<Vec<u8>> = row.get(2)?;
    Ok(Existing {
        progress: Progress {
            event: EventId::from_uuid(row.get(0)?),
            accepted_at: Timestamp::from_micros(row.get(1)?),
            state: event_state(&row.get::<_, String>(3)?)?,
            fresh: row.get(4)?,
            retrying: row.get(5)?,
            delivered: row.get(6)?,
            rejected: row.get(7)?,
            exhausted: row.get(8)?,
        },
        fingerprint: fingerprint.map(|bytes| hash("idempotency", "fingerprint", &bytes)).transpose()?,
    })
}

/// Writes a decision's own row.
fn explain(on: &Connection, event: &Event, run: u32, decided: &Decided) -> Result<(), Error> {
    let Some(by) = decided.decided_by else { return Ok(()) };
    let cost = decided.cost.as_ref();
    on.prepare_cached(numbered!(sql::INSERT_DECISION))?.execute(params![
        event.id.as_uuid(),
        run,
        decided.outcome.as_str(),
        by.as_str(),
        decided.decided_at.as_micros(),
        cost.map(|cost| cost.plugin.as_uuid()),
        cost.map(|cost| cost.generation),
        cost.map(|cost| cost.cpu_us as i64),
        cost.map(|cost| cost.wall_us as i64),
        cost.map(|cost| cost.memory_bytes as i64),
        decided.detail,
        (decided.outcome != EventState::Routed).then(|| event.tenant.as_uuid()),
    ])?;
    Ok(())
}

fn fan_out(on: &Connection, node: Uuid, event: &Event, run: u32, decided: &Decided) -> Result<(), Error> {
    for (ordinal, content) in decided.contents.iter().enumerate() {
        on.prepare_cached(numbered!(sql::INSERT_CONTENT))?.execute(params![
            event.id.as_uuid(),
            run,
            ordinal as i64,
            content_type_to_text(&content.content_type),
            &content.body[..]
        ])?;
    }
    if decided.deliveries.is_empty() {
        return Ok(());
    }
    let siblings = decided.siblings();
    let mut insert = on.prepare_cached(numbered!(sql::INSERT_DELIVERY))?;
    let mut insert_work = on.prepare_cached(numbered!(sql::INSERT_DELIVERY_WORK))?;
    for delivery in &decided.deliveries {
        insert.execute(params![
            delivery.id.as_uuid(),
            event.id.as_uuid(),
            event.tenant.as_uuid(),
            delivery.endpoint.as_uuid(),
            run,
            delivery.content,
            pairs_to_text(&delivery.headers),
        ])?;
        insert_work.execute(params![
            delivery.id.as_uuid(),
            event.tenant.as_uuid(),
            delivery.endpoint.as_uuid(),
            delivery.attempts_max,
            delivery.body_bytes as i64,
            delivery.due_at.as_micros(),
            lease(delivery.leased, node),
            siblings.is_some(),
        ])?;
    }
    if let Some(deliveries) = siblings {
        on.prepare_cached(numbered!(sql::INSERT_FAN_OUT))?
            .execute(params![event.id.as_uuid(), event.tenant.as_uuid(), deliveries])?;
    }
    Ok(())
}

fn decide(on: &Connection, node: Uuid, event: &Event, run: u32, decided: &Decided) -> Result<DecideOutcome, Error> {
    let changed = match decided.outcome {
        EventState::Held | EventState::DeadLettered => on.prepare_cached(numbered!(sql::KEEP_ROUTE_WORK))?.execute(params![
            event.id.as_uuid(),
            node,
            run,
            decided.outcome.as_str(),
            decided.held_under
        ])?,
        EventState::Routed | EventState::Dropped | EventState::Pending => on
            .prepare_cached(numbered!(sql::FINISH_ROUTE_WORK))?
            .execute(params![event.id.as_uuid(), node, run])?,
    };
    if changed == 0 {
        return Ok(DecideOutcome::LeaseLost);
    }
    explain(on, event, run, decided)?;
    fan_out(on, node, event, run, decided)?;
    Ok(DecideOutcome::Decided)
}

fn postpone(on: &Connection, node: Uuid, events: &[Postponed]) -> Result<(), Error> {
    let mut postpone = on.prepare_cached(numbered!(sql::POSTPONE_EVENT))?;
    for event in events {
        postpone.execute(params![event.event.as_uuid(), node, event.due_at.as_micros(), event.failures])?;
    }
    Ok(())
}

fn settle(on: &Connection, node: Uuid, settle: &Settle) -> Result<SettleOutcome, Error> {
    let changed = match settle.state {
        DeliveryState::Delivered => {
            on.prepare_cached(numbered!(sql::FINISH_DELIVERY_WORK))?
                .execute(params![settle.delivery.as_uuid(), node, settle.number])?
        }
        _ => on.prepare_cached(numbered!(sql::KEEP_DELIVERY_WORK))?.execute(params![
            settle.delivery.as_uuid(),
            node,
            settle.number,
            settle.state.as_str(),
            settle.due_at.as_micros(),
            settle.completed_at.map(Timestamp::as_micros),
        ])?,
    };
    if changed == 0 {
        return Ok(SettleOutcome::LeaseLost);
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
    Ok(SettleOutcome::Settled)
}

/// A claimed row of the work table.
type ClaimedDelivery = (Uuid, Uuid, u32, u16, u32, i64, i64);

fn claim_deliveries(on: &Connection, node: Uuid, claim: &ClaimDeliveries) -> Result<Vec<HeldDelivery>, Error> {
    let mut claimed: Vec<ClaimedDelivery> = on
        .prepare_cached(numbered!(sql::CLAIM_DELIVERIES))?
        .query_map(
            params![node, claim.endpoint.as_uuid(), claim.due_by.as_micros(), claim.rows_max],
            |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                    row.get(5)?,
                    row.get(6)?,
                ))
            },
        )?
        .collect::<Result<_, _>>()?;
    // RETURNING lists the right rows in no order.
    claimed.sort_by_key(|(id, .., due_at, _)| (*due_at, *id));
    let mut select = on.prepare_cached(numbered!(sql::SELECT_CLAIMED_DELIVERY))?;
    let mut select_body = on.prepare_cached(numbered!(sql::SELECT_DELIVERY_BODY))?;
    let mut body_bytes_left = claim.body_bytes_max;
    let mut held = Vec::with_capacity(claimed.len());
    for (id, endpoint, attempts, attempts_max, attempts_before, due_at, body_bytes) in claimed {
        let body_bytes = body_bytes as u64;
        let body = if body_bytes <= body_bytes_left {
            body_bytes_left -= body_bytes;
            Body::Here(Bytes::from(select_body.query_row(params![id], |row| row.get::<_, Vec<u8>>(0))?))
        } else {
            body_bytes_left = 0;
            Body::Stored
        };
        let mut rows = select.query(params![id])?;
        let row = rows
            .next()?
            .ok_or_else(|| Error::Statement("a claimed delivery has no event".into()))?;
        held.push(HeldDelivery {
            id: DeliveryId::from_uuid(id),
            event: EventId::from_uuid(row.get(0)?),
            endpoint: EndpointId::from_uuid(endpoint),
            headers: pairs_from_text(row.get::<_, Option<String>>(1)?.as_deref())?,
            attempts,
            attempts_max,
            attempts_before,
            due_at: Timestamp::from_micros(due_at),
            content_type: content_type_from_text(row.get(4)?),
            body_bytes,
            body,
            event_type: row.get(2)?,
            accepted_at: Timestamp::from_micros(row.get(3)?),
        });
    }
    Ok(held)
}

/// Held events first, for they were accepted first; then as many pending ones as there is still room for.
fn claim_events(on: &Connection, node: Uuid, claim: &ClaimEvents) -> Result<Vec<HeldEvent>, Error> {
    let mut held = Vec::new();
    let mut rows_left = claim.rows_max;
    let mut bytes_left = claim.payload_bytes_max;
    for (statement, before) in [
        (numbered!(sql::CLAIM_HELD_EVENTS), claim.held_below),
        (numbered!(sql::CLAIM_PENDING_EVENTS), claim.due_by.as_micros()),
    ] {
        if rows_left == 0 || bytes_left == 0 {
            break;
        }
        let mut claimed: Vec<(Uuid, u32, u32, i64)> = on
            .prepare_cached(statement)?
            .query_map(params![node, claim.sender.as_uuid(), before, rows_left, bytes_left as i64], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })?
            .collect::<Result<_, _>>()?;
        claimed.sort_unstable_by_key(|(id, ..)| *id);
        for (id, failures, runs, payload_bytes) in claimed {
            rows_left = rows_left.saturating_sub(1);
            bytes_left = bytes_left.saturating_sub(payload_bytes as u64);
            held.push(HeldEvent {
                event: Arc::new(claimed_event(on, id)?),
                failures,
                run: runs + 1,
            });
        }
    }
    Ok(held)
}

fn claimed_event(on: &Connection, id: Uuid) -> Result<Event, Error> {
    let mut select = on.prepare_cached(numbered!(sql::SELECT_CLAIMED_EVENT))?;
    let mut rows = select.query(params![id])?;
    let row = rows
        .next()?
        .ok_or_else(|| Error::Statement("a claimed event is not there".into()))?;
    Ok(Event {
        id: EventId::from_uuid(id),
        tenant: TenantId::from_uuid(row.get(0)?),
        environment: EnvironmentId::from_uuid(row.get(1)?),
        source: Source::Sender(SenderId::from_uuid(row.get(2)?)),
        idempotency_key: None,
        event_type: row.get(3)?,
        content_type: content_type_from_text(row.get(4)?),
        headers: pairs_from_text(row.get::<_, Option<String>>(5)?.as_deref())?,
        payload: Bytes::from(row.get::<_, Vec<u8>>(7)?),
        accepted_at: Timestamp::from_micros(row.get(6)?),
    })
}

fn lease(leased: Leased, node: Uuid) -> Option<Uuid> {
    match leased {
        Leased::ToUs => Some(node),
        Leased::ToNobody => None,
    }
}
