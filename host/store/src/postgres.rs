//! The PostgreSQL side of group commit: one connection per lane, one statement per batch.
//!
//! A batch travels as arrays and is written by a single statement, so it costs one round trip and one commit. The
//! connection is the lane's own: a pooled one would be pinged at every loan. After any failure it is dropped and the
//! next batch opens another.

use std::{collections::HashSet, time::Duration};

use hookyard_domain::{EndpointId, EventId, NodeId, SenderId, Timestamp};
use sqlx::{ConnectOptions, Connection, PgConnection, Row, postgres::PgConnectOptions};
use uuid::Uuid;

use super::{
    commit::{Outcome, Write},
    error::Error,
    reading,
    record::{Accepted, Decided, Event, Leased, Settle},
    rows::pairs_to_text,
    statements as sql,
};

/// How long connecting may take before the waiting writes are answered as unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a batch may take: far above a slow flush, below what a caller would wait.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Rest of the lane of decisions, for which only the deliveries they make wait.
pub const ROUTE_REST: Duration = Duration::from_millis(2);
/// Rest of the lane of settlements, for which only the delivery's place in memory waits. A crash repeats the deliveries
/// whose attempt ended within it or the commit that follows.
pub const SETTLE_REST: Duration = Duration::from_millis(5);

pub struct Writer {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
    node: Uuid,
}

impl Writer {
    pub fn new(options: PgConnectOptions, node: NodeId) -> Self {
        Self {
            options,
            connection: None,
            node: node.as_uuid(),
        }
    }

    pub async fn commit(&mut self, batch: &[Write]) -> Result<Vec<Outcome>, Error> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            absent => {
                let opened = tokio::time::timeout(CONNECT_TIMEOUT, async {
                    let mut opened = self.options.connect().await?;
                    sqlx::query(sql::FLUSH_COMMITS).execute(&mut opened).await?;
                    sqlx::query(sql::PLAN_BY_KEY).execute(&mut opened).await?;
                    Ok::<_, sqlx::Error>(opened)
                })
                .await
                .map_err(|_| Error::Unreachable("connecting took too long".into()))??;
                absent.insert(opened)
            }
        };
        let outcome = tokio::time::timeout(COMMIT_TIMEOUT, write(connection, self.node, batch))
            .await
            .unwrap_or_else(|_| Err(Error::Unreachable("the commit took too long".into())));
        if outcome.is_err()
            && let Some(connection) = self.connection.take()
        {
            // Best effort: the server may be gone, and its side ends with the socket anyway.
            drop(connection.close_hard().await);
        }
        outcome
    }
}

/// Writes the batch, kind by kind; a lane's batch is nearly always of one kind.
async fn write(on: &mut PgConnection, node: Uuid, batch: &[Write]) -> Result<Vec<Outcome>, Error> {
    let mut accepts = Vec::new();
    let mut decisions = Vec::new();
    let mut settlements = Vec::new();
    // One statement sees the rows as they were before it, so two writes to one row in a batch would both count. The
    // second comes too late here as it would in a batch of its own.
    let mut to_decide = HashSet::new();
    let mut to_settle = HashSet::new();
    for write in batch {
        match write {
            Write::Accept {
                event, decided, leased, ..
            } => accepts.push((&**event, decided.as_ref(), *leased)),
            Write::Decide { event, decided, .. } if to_decide.insert(*event) => decisions.push((*event, decided)),
            Write::Settle { settle, .. } if to_settle.insert(settle.delivery) => settlements.push(settle),
            _ => {}
        }
    }
    // Two nodes that insert the same idempotency keys in the same order wait for each other instead of deadlocking.
    accepts.sort_by(|(a, ..), (b, ..)| (a.tenant, &a.idempotency_key).cmp(&(b.tenant, &b.idempotency_key)));
    // Statements of different kinds touch different rows, so the batch needs no transaction around them; each is
    // atomic, and a batch that fails half-way is in doubt as a whole, which the caller handles either way.
    let accepted = accept(on, node, &accepts).await?;
    let mut decided = decide(on, node, &decisions).await?;
    let mut settled = settle(on, node, &settlements).await?;

    let mut outcomes = Vec::with_capacity(batch.len());
    for write in batch {
        outcomes.push(match write {
            Write::Accept { event, .. } if accepted.contains(&event.id.as_uuid()) => Outcome::Accepted(Accepted::New),
            Write::Accept { event, .. } => Outcome::Accepted(Accepted::Existing(existing(on, event).await?)),
            Write::Decide { event, .. } => Outcome::Changed(decided.remove(&event.as_uuid())),
            Write::Settle { settle, .. } => Outcome::Changed(settled.remove(&settle.delivery.as_uuid())),
            Write::Postpone {
                event,
                route_due_at,
                failures,
                ..
            } => Outcome::Changed(
                sqlx::query(sql::POSTPONE_EVENT)
                    .bind(event.as_uuid())
                    .bind(route_due_at.as_micros())
                    .bind(node)
                    .bind(i64::from(*failures))
                    .execute(&mut *on)
                    .await?
                    .rows_affected()
                    > 0,
            ),
            Write::ReleaseDelivery { delivery, .. } => {
                Outcome::Changed(release(on, sql::RELEASE_DELIVERY, delivery.as_uuid(), node).await?)
            }
            Write::ReleaseEvent { event, .. } => Outcome::Changed(release(on, sql::RELEASE_EVENT, event.as_uuid(), node).await?),
            Write::ClaimDeliveries {
                endpoint, due_by, limit, ..
            } => Outcome::Deliveries(reading::claim_deliveries(on, node, *endpoint, *due_by, *limit).await?),
            Write::ClaimEvents { due_by, limit, .. } => Outcome::Events(reading::claim_events(on, node, *due_by, *limit).await?),
        });
    }
    Ok(outcomes)
}

async fn release(on: &mut PgConnection, statement: &'static str, id: Uuid, node: Uuid) -> Result<bool, Error> {
    Ok(sqlx::query(statement).bind(id).bind(node).execute(on).await?.rows_affected() > 0)
}

/// The event that holds the idempotency key this one was refused for.
async fn existing(on: &mut PgConnection, event: &Event) -> Result<super::record::Progress, Error> {
    reading::progress_by_idempotency_key(on, event.tenant, event.idempotency_key.as_deref().unwrap_or_default())
        .await?
        .ok_or_else(|| Error::Statement("an event was refused for an idempotency key that names no event".into()))
}

fn lease(leased: Leased, node: Uuid) -> Option<Uuid> {
    match leased {
        Leased::ToUs => Some(node),
        Leased::ToNobody => None,
    }
}

fn ids(rows: Result<Vec<sqlx::postgres::PgRow>, sqlx::Error>) -> Result<HashSet<Uuid>, Error> {
    rows?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

async fn accept(on: &mut PgConnection, node: Uuid, accepts: &[(&Event, Option<&Decided>, Leased)]) -> Result<HashSet<Uuid>, Error> {
    if accepts.is_empty() {
        return Ok(HashSet::new());
    }
    let events = || accepts.iter().map(|(event, ..)| *event);
    let decisions = || accepts.iter().map(|(_, decided, _)| *decided);
    let deliveries = || {
        accepts.iter().flat_map(|(event, decided, _)| {
            decided
                .iter()
                .flat_map(|decided| decided.deliveries.iter().map(|delivery| (event.id, delivery)))
        })
    };
    ids(sqlx::query(sql::INSERT_EVENTS)
        .bind(events().map(|event| event.id.as_uuid()).collect::<Vec<_>>())
        .bind(events().map(|event| event.tenant.as_uuid()).collect::<Vec<_>>())
        .bind(events().map(|event| event.environment.as_uuid()).collect::<Vec<_>>())
        .bind(
            events()
                .map(|event| event.origin.sender().map(SenderId::as_uuid))
                .collect::<Vec<_>>(),
        )
        .bind(
            events()
                .map(|event| event.origin.endpoint().map(EndpointId::as_uuid))
                .collect::<Vec<_>>(),
        )
        .bind(events().map(|event| event.idempotency_key.as_deref()).collect::<Vec<_>>())
        .bind(events().map(|event| event.event_type.as_str()).collect::<Vec<_>>())
        .bind(events().map(|event| event.content_type.as_str()).collect::<Vec<_>>())
        .bind(events().map(|event| pairs_to_text(&event.headers)).collect::<Vec<_>>())
        .bind(events().map(|event| &event.payload[..]).collect::<Vec<_>>())
        .bind(events().map(|event| event.accepted_at.as_micros()).collect::<Vec<_>>())
        .bind(
            decisions()
                .map(|decided| decided.map_or("pending", |decided| decided.state.as_str()))
                .collect::<Vec<_>>(),
        )
        .bind(
            decisions()
                .map(|decided| decided.and_then(|decided| decided.explanation.as_deref()))
                .collect::<Vec<_>>(),
        )
        .bind(
            decisions()
                .map(|decided| decided.map(|decided| decided.decided_at.as_micros()))
                .collect::<Vec<_>>(),
        )
        .bind(accepts.iter().map(|(.., leased)| lease(*leased, node)).collect::<Vec<_>>())
        .bind(deliveries().map(|(_, delivery)| delivery.id.as_uuid()).collect::<Vec<_>>())
        .bind(deliveries().map(|(event, _)| event.as_uuid()).collect::<Vec<_>>())
        .bind(deliveries().map(|(_, delivery)| delivery.tenant.as_uuid()).collect::<Vec<_>>())
        .bind(deliveries().map(|(_, delivery)| delivery.endpoint.as_uuid()).collect::<Vec<_>>())
        .bind(
            deliveries()
                .map(|(_, delivery)| i64::from(delivery.attempts_max))
                .collect::<Vec<_>>(),
        )
        .bind(deliveries().map(|(_, delivery)| delivery.due_at.as_micros()).collect::<Vec<_>>())
        .bind(deliveries().map(|(_, delivery)| lease(delivery.leased, node)).collect::<Vec<_>>())
        .fetch_all(on)
        .await)
}

async fn decide(on: &mut PgConnection, node: Uuid, decisions: &[(EventId, &Decided)]) -> Result<HashSet<Uuid>, Error> {
    if decisions.is_empty() {
        return Ok(HashSet::new());
    }
    let contents = || {
        decisions.iter().flat_map(|(event, decided)| {
            decided
                .contents
                .iter()
                .enumerate()
                .map(move |(ordinal, content)| (*event, ordinal as i64, content))
        })
    };
    let deliveries = || {
        decisions
            .iter()
            .flat_map(|(event, decided)| decided.deliveries.iter().map(move |delivery| (*event, delivery)))
    };
    ids(sqlx::query(sql::DECIDE_EVENTS)
        .bind(decisions.iter().map(|(event, _)| event.as_uuid()).collect::<Vec<_>>())
        .bind(decisions.iter().map(|(_, decided)| decided.state.as_str()).collect::<Vec<_>>())
        .bind(
            decisions
                .iter()
                .map(|(_, decided)| decided.explanation.as_deref())
                .collect::<Vec<_>>(),
        )
        .bind(
            decisions
                .iter()
                .map(|(_, decided)| decided.decided_at.as_micros())
                .collect::<Vec<_>>(),
        )
        .bind(node)
        .bind(contents().map(|(event, ..)| event.as_uuid()).collect::<Vec<_>>())
        .bind(contents().map(|(_, ordinal, _)| ordinal).collect::<Vec<_>>())
        .bind(contents().map(|(.., content)| content.content_type.as_str()).collect::<Vec<_>>())
        .bind(contents().map(|(.., content)| &content.body[..]).collect::<Vec<_>>())
        .bind(deliveries().map(|(_, delivery)| delivery.id.as_uuid()).collect::<Vec<_>>())
        .bind(deliveries().map(|(event, _)| event.as_uuid()).collect::<Vec<_>>())
        .bind(deliveries().map(|(_, delivery)| delivery.tenant.as_uuid()).collect::<Vec<_>>())
        .bind(deliveries().map(|(_, delivery)| delivery.endpoint.as_uuid()).collect::<Vec<_>>())
        .bind(
            deliveries()
                .map(|(_, delivery)| delivery.content.map(i64::from))
                .collect::<Vec<_>>(),
        )
        .bind(
            deliveries()
                .map(|(_, delivery)| (!delivery.headers.is_empty()).then(|| pairs_to_text(&delivery.headers)))
                .collect::<Vec<_>>(),
        )
        .bind(
            deliveries()
                .map(|(_, delivery)| i64::from(delivery.attempts_max))
                .collect::<Vec<_>>(),
        )
        .bind(deliveries().map(|(_, delivery)| delivery.due_at.as_micros()).collect::<Vec<_>>())
        .bind(deliveries().map(|(_, delivery)| lease(delivery.leased, node)).collect::<Vec<_>>())
        .fetch_all(on)
        .await)
}

async fn settle(on: &mut PgConnection, node: Uuid, settlements: &[&Settle]) -> Result<HashSet<Uuid>, Error> {
    if settlements.is_empty() {
        return Ok(HashSet::new());
    }
    let each = || settlements.iter().copied();
    ids(sqlx::query(sql::SETTLE_DELIVERIES)
        .bind(node)
        .bind(each().map(|settle| settle.delivery.as_uuid()).collect::<Vec<_>>())
        .bind(each().map(|settle| settle.state.as_str()).collect::<Vec<_>>())
        .bind(each().map(|settle| i64::from(settle.number)).collect::<Vec<_>>())
        .bind(each().map(|settle| settle.due_at.as_micros()).collect::<Vec<_>>())
        .bind(
            each()
                .map(|settle| settle.completed_at.map(Timestamp::as_micros))
                .collect::<Vec<_>>(),
        )
        .bind(each().map(|settle| settle.attempt.started_at.as_micros()).collect::<Vec<_>>())
        .bind(each().map(|settle| settle.attempt.duration_us).collect::<Vec<_>>())
        .bind(each().map(|settle| settle.attempt.status.map(i64::from)).collect::<Vec<_>>())
        .bind(each().map(|settle| settle.attempt.error).collect::<Vec<_>>())
        .bind(each().map(|settle| settle.attempt.error_detail.as_deref()).collect::<Vec<_>>())
        .bind(
            each()
                .map(|settle| (!settle.attempt.response.is_empty()).then_some(&settle.attempt.response[..]))
                .collect::<Vec<_>>(),
        )
        .fetch_all(on)
        .await)
}
