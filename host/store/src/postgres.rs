//! The PostgreSQL side of group commit: one connection per lane, one statement per batch.
//!
//! A batch travels as arrays and is written by a single statement, so it costs one round trip and one commit. The
//! connection is the lane's own: a pooled one would be pinged at every loan. After any failure it is dropped and the
//! next batch opens another.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use hookyard_domain::{DeliveryId, DeliveryState, EndpointId, EnvironmentId, EventId, EventState, NodeId, SenderId, TenantId, Timestamp};
use sqlx::{ConnectOptions, Connection, PgConnection, Row, postgres::PgConnectOptions, postgres::PgRow};
use uuid::Uuid;

use super::{
    error::Error,
    reading::{ExistingRow, existing},
    record::{
        Accepted, Body, DecideOutcome, Decided, Event, Existing, HeldDelivery, HeldEvent, IdempotencyClaim, Leased, NewDelivery, Placement,
        Postponed, Settle, SettleOutcome, Source,
    },
    rows::{content_type_from_text, content_type_to_text, pairs_from_text, pairs_to_text},
    statements as sql,
    write::{ClaimDeliveries, ClaimEvents, Outcome, Write},
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
        // Taken out while it is used: after a panic nobody knows what it would say next.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => tokio::time::timeout(CONNECT_TIMEOUT, async {
                let mut opened = self.options.connect().await?;
                sqlx::query(sql::FLUSH_COMMITS).execute(&mut opened).await?;
                sqlx::query(sql::PLAN_BY_KEY).execute(&mut opened).await?;
                Ok::<_, sqlx::Error>(opened)
            })
            .await
            .map_err(|_| Error::Unreachable("connecting took too long".into()))??,
        };
        let outcome = tokio::time::timeout(COMMIT_TIMEOUT, write(&mut connection, self.node, batch))
            .await
            .unwrap_or_else(|_| Err(Error::Unreachable("the commit took too long".into())));
        if outcome.is_err() {
            // Best effort: the server may be gone, and its side ends with the socket anyway.
            drop(connection.close_hard().await);
        } else {
            self.connection = Some(connection);
        }
        outcome
    }
}

/// An accept of a batch.
struct Accepting<'a> {
    event: &'a Event,
    claim: Option<&'a IdempotencyClaim>,
    placement: &'a Placement,
}

/// A decision of a batch.
struct Deciding<'a> {
    event: &'a Event,
    run: u32,
    decided: &'a Decided,
}

/// Whose key it is.
type Key<'a> = (TenantId, &'a str, &'a str);

fn key<'a>(event: &Event, claim: &'a IdempotencyClaim) -> Key<'a> {
    (event.tenant, &claim.scope, &claim.key)
}

/// Writes the batch, kind by kind; a lane's batch is nearly always of one kind.
async fn write(on: &mut PgConnection, node: Uuid, batch: &[Write]) -> Result<Vec<Outcome>, Error> {
    let mut accepts = Vec::new();
    let mut decisions = Vec::new();
    let mut settlements = Vec::new();
    // One statement sees the rows as they were before it, so two writes to one row in a batch would both count. The
    // second comes too late here as it would in a batch of its own.
    let mut keys = HashSet::new();
    let mut to_decide = HashSet::new();
    let mut to_settle = HashSet::new();
    for write in batch {
        match write {
            Write::Accept {
                event, claim, placement, ..
            } if claim.as_ref().is_none_or(|claim| keys.insert(key(event, claim))) => accepts.push(Accepting {
                event,
                claim: claim.as_ref(),
                placement,
            }),
            Write::Decide { event, run, decided, .. } if to_decide.insert(event.id) => {
                decisions.push(Deciding { event, run: *run, decided });
            }
            Write::Settle { settle, .. } if to_settle.insert(settle.delivery) => settlements.push(settle),
            _ => {}
        }
    }
    // Two nodes that insert the same idempotency keys in the same order wait for each other instead of deadlocking.
    accepts.sort_by_key(|accepting| accepting.claim.map(|claim| key(accepting.event, claim)));
    // Statements of different kinds touch different rows, so the batch needs no transaction around them; each is
    // atomic, and a batch that fails half-way is in doubt as a whole, which the caller handles either way.
    let accepted = accept(on, node, &accepts).await?;
    let mut repeats = find_repeats(on, batch, &accepted).await?;
    let mut decided = decide(on, node, &decisions).await?;
    let mut settled = settle(on, node, &settlements).await?;

    let mut outcomes = Vec::with_capacity(batch.len());
    for (number, write) in batch.iter().enumerate() {
        outcomes.push(match write {
            Write::Accept { event, .. } if accepted.contains(&event.id.as_uuid()) => Outcome::Accepted(Accepted::New),
            Write::Accept { .. } => {
                Outcome::Accepted(Accepted::Existing(repeats.remove(&number).ok_or_else(|| {
                    Error::Statement("an event was refused for an idempotency key that names no event".into())
                })?))
            }
            Write::Decide { event, .. } => Outcome::Decided(match decided.remove(&event.id.as_uuid()) {
                true => DecideOutcome::Decided,
                false => DecideOutcome::LeaseLost,
            }),
            Write::Settle { settle, .. } => Outcome::Settled(match settled.remove(&settle.delivery.as_uuid()) {
                true => SettleOutcome::Settled,
                false => SettleOutcome::LeaseLost,
            }),
            Write::Postpone { events, .. } => postpone(on, node, events).await.map(|()| Outcome::Done)?,
            Write::ReleaseDeliveries { deliveries, .. } => {
                let ids = deliveries.iter().map(|id| id.as_uuid()).collect();
                release(on, sql::RELEASE_DELIVERIES, ids, node).await.map(|()| Outcome::Done)?
            }
            Write::ReleaseEvents { events, .. } => {
                let ids = events.iter().map(|id| id.as_uuid()).collect();
                release(on, sql::RELEASE_EVENTS, ids, node).await.map(|()| Outcome::Done)?
            }
            Write::ClaimDeliveries { claim, .. } => Outcome::Deliveries(claim_deliveries(on, node, claim).await?),
            Write::ClaimEvents { claim, .. } => Outcome::Events(claim_events(on, node, claim).await?),
        });
    }
    Ok(outcomes)
}

async fn release(on: &mut PgConnection, statement: &'static str, ids: Vec<Uuid>, node: Uuid) -> Result<(), Error> {
    sqlx::query(statement).bind(ids).bind(node).execute(on).await?;
    Ok(())
}

fn lease(leased: Leased, node: Uuid) -> Option<Uuid> {
    match leased {
        Leased::ToUs => Some(node),
        Leased::ToNobody => None,
    }
}

fn ids(rows: Result<Vec<PgRow>, sqlx::Error>) -> Result<HashSet<Uuid>, Error> {
    rows?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// One array of a statement: a value for each of the things it writes.
macro_rules! each {
    ($of:expr, |$one:pat_param| $value:expr) => {
        $of.iter().map(|$one| $value).collect::<Vec<_>>()
    };
}

async fn accept(on: &mut PgConnection, node: Uuid, accepts: &[Accepting<'_>]) -> Result<HashSet<Uuid>, Error> {
    if accepts.is_empty() {
        return Ok(HashSet::new());
    }
    let mut claims: Vec<(&Event, &IdempotencyClaim)> = Vec::new();
    let mut to_route: Vec<(&Event, Leased)> = Vec::new();
    let mut decisions: Vec<(&Event, &Decided, &'static str)> = Vec::new();
    let mut deliveries: Vec<(&Event, &Decided, &NewDelivery)> = Vec::new();
    let mut fan_outs: Vec<(&Event, u32)> = Vec::new();
    for Accepting { event, claim, placement } in accepts {
        claims.extend(claim.map(|claim| (*event, claim)));
        match placement {
            Placement::Undecided { leased } => to_route.push((event, *leased)),
            Placement::Decided(decided) => {
                decisions.extend(decided.decided_by.map(|by| (*event, decided, by.as_str())));
                deliveries.extend(decided.deliveries.iter().map(|delivery| (*event, decided, delivery)));
                fan_outs.extend(decided.siblings().map(|siblings| (*event, siblings)));
            }
        }
    }
    // The time by which a key of the batch counts as over: the latest of the batch, which arrived within milliseconds.
    let now = accepts.iter().map(|accepting| accepting.event.accepted_at).max();
    ids(sqlx::query(sql::INSERT_EVENTS)
        .bind(each!(accepts, |of| of.event.id.as_uuid()))
        .bind(each!(accepts, |of| of.event.tenant.as_uuid()))
        .bind(each!(accepts, |of| of.event.environment.as_uuid()))
        .bind(each!(accepts, |of| of.event.source.kind()))
        .bind(each!(accepts, |of| of.event.source.id()))
        .bind(each!(accepts, |of| of.event.idempotency_key.as_deref()))
        .bind(each!(accepts, |of| of.event.event_type.as_str()))
        .bind(each!(accepts, |of| content_type_to_text(&of.event.content_type)))
        .bind(each!(accepts, |of| pairs_to_text(&of.event.headers)))
        .bind(each!(accepts, |of| of.event.accepted_at.as_micros()))
        .bind(each!(accepts, |of| &of.event.payload[..]))
        .bind(each!(accepts, |of| of.claim.is_some()))
        .bind(each!(to_route, |(event, _)| event.id.as_uuid()))
        .bind(each!(to_route, |(_, leased)| lease(*leased, node)))
        .bind(each!(claims, |(event, _)| event.tenant.as_uuid()))
        .bind(each!(claims, |(_, claim)| claim.scope.as_str()))
        .bind(each!(claims, |(_, claim)| claim.key.as_str()))
        .bind(each!(claims, |(event, _)| event.id.as_uuid()))
        .bind(each!(claims, |(_, claim)| claim
            .fingerprint
            .as_ref()
            .map(|hash| hash.as_bytes().to_vec())))
        .bind(each!(claims, |(_, claim)| claim.expires_at.map(Timestamp::as_micros)))
        .bind(now.map(Timestamp::as_micros))
        .bind(each!(decisions, |(event, ..)| event.id.as_uuid()))
        .bind(each!(decisions, |(_, decided, _)| decided.outcome.as_str()))
        .bind(each!(decisions, |(.., by)| *by))
        .bind(each!(decisions, |(_, decided, _)| decided.decided_at.as_micros()))
        .bind(each!(decisions, |(_, decided, _)| decided.detail.as_deref()))
        .bind(each!(decisions, |(event, decided, _)| tenant_of_undelivered(event, decided)))
        .bind(each!(deliveries, |(.., delivery)| delivery.id.as_uuid()))
        .bind(each!(deliveries, |(event, ..)| event.id.as_uuid()))
        .bind(each!(deliveries, |(event, ..)| event.tenant.as_uuid()))
        .bind(each!(deliveries, |(.., delivery)| delivery.endpoint.as_uuid()))
        .bind(each!(deliveries, |(.., delivery)| i64::from(delivery.attempts_max)))
        .bind(each!(deliveries, |(.., delivery)| delivery.body_bytes as i64))
        .bind(each!(deliveries, |(.., delivery)| delivery.due_at.as_micros()))
        .bind(each!(deliveries, |(.., delivery)| lease(delivery.leased, node)))
        .bind(each!(to_route, |(event, _)| event.tenant.as_uuid()))
        .bind(each!(to_route, |(event, _)| event.source.id()))
        .bind(each!(to_route, |(event, _)| event.payload.len() as i64))
        .bind(each!(to_route, |(event, _)| event.accepted_at.as_micros()))
        .bind(each!(deliveries, |(_, decided, _)| i64::from(decided.siblings().is_some())))
        .bind(each!(fan_outs, |(event, _)| event.id.as_uuid()))
        .bind(each!(fan_outs, |(event, _)| event.tenant.as_uuid()))
        .bind(each!(fan_outs, |(_, deliveries)| i64::from(*deliveries)))
        .fetch_all(on)
        .await)
}

/// What `decision.tenant_id` holds.
fn tenant_of_undelivered(event: &Event, decided: &Decided) -> Option<Uuid> {
    (decided.outcome != EventState::Routed).then(|| event.tenant.as_uuid())
}

/// The events that the keys of refused accepts name, by place in the batch: all in one round trip.
async fn find_repeats(on: &mut PgConnection, batch: &[Write], accepted: &HashSet<Uuid>) -> Result<HashMap<usize, Existing>, Error> {
    let repeats: Vec<(usize, &Event, &IdempotencyClaim)> = batch
        .iter()
        .enumerate()
        .filter_map(|(number, write)| match write {
            Write::Accept {
                event, claim: Some(claim), ..
            } if !accepted.contains(&event.id.as_uuid()) => Some((number, &**event, claim)),
            _ => None,
        })
        .collect();
    if repeats.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query(sql::SELECT_ALL_EXISTING)
        .bind(each!(repeats, |(_, event, _)| event.tenant.as_uuid()))
        .bind(each!(repeats, |(.., claim)| claim.scope.as_str()))
        .bind(each!(repeats, |(.., claim)| claim.key.as_str()))
        .bind(each!(repeats, |(number, ..)| *number as i64))
        .fetch_all(on)
        .await?;
    rows.iter()
        .map(|row| {
            let columns: ExistingRow = sqlx::FromRow::from_row(row)?;
            let number: i64 = row.try_get(9)?;
            Ok((number as usize, existing(columns)?))
        })
        .collect()
}

async fn decide(on: &mut PgConnection, node: Uuid, decisions: &[Deciding<'_>]) -> Result<HashSet<Uuid>, Error> {
    if decisions.is_empty() {
        return Ok(HashSet::new());
    }
    let (kept, finished): (Vec<&Deciding<'_>>, Vec<&Deciding<'_>>) = decisions
        .iter()
        .partition(|of| matches!(of.decided.outcome, EventState::Held | EventState::DeadLettered));
    let explained: Vec<(&Deciding<'_>, &'static str)> = decisions
        .iter()
        .filter_map(|of| Some((of, of.decided.decided_by?.as_str())))
        .collect();
    let contents: Vec<_> = decisions
        .iter()
        .flat_map(|of| {
            of.decided
                .contents
                .iter()
                .enumerate()
                .map(move |(ordinal, content)| (of, ordinal, content))
        })
        .collect();
    let deliveries: Vec<_> = decisions
        .iter()
        .flat_map(|of| of.decided.deliveries.iter().map(move |delivery| (of, delivery)))
        .collect();
    let fan_outs: Vec<_> = decisions.iter().filter_map(|of| Some((of, of.decided.siblings()?))).collect();
    let cost = |of: &Deciding<'_>, value: fn(&super::record::PluginCost) -> u64| of.decided.cost.as_ref().map(|cost| value(cost) as i64);
    ids(sqlx::query(sql::DECIDE_EVENTS)
        .bind(node)
        .bind(each!(finished, |of| of.event.id.as_uuid()))
        .bind(each!(finished, |of| i64::from(of.run)))
        .bind(each!(kept, |of| of.event.id.as_uuid()))
        .bind(each!(kept, |of| i64::from(of.run)))
        .bind(each!(kept, |of| of.decided.outcome.as_str()))
        .bind(each!(kept, |of| of.decided.held_under))
        .bind(each!(explained, |(of, _)| of.event.id.as_uuid()))
        .bind(each!(explained, |(of, _)| i64::from(of.run)))
        .bind(each!(explained, |(of, _)| of.decided.outcome.as_str()))
        .bind(each!(explained, |(_, by)| *by))
        .bind(each!(explained, |(of, _)| of.decided.decided_at.as_micros()))
        .bind(each!(explained, |(of, _)| of
            .decided
            .cost
            .as_ref()
            .map(|cost| cost.plugin.as_uuid())))
        .bind(each!(explained, |(of, _)| cost(of, |cost| u64::from(cost.generation))))
        .bind(each!(explained, |(of, _)| cost(of, |cost| cost.cpu_us)))
        .bind(each!(explained, |(of, _)| cost(of, |cost| cost.wall_us)))
        .bind(each!(explained, |(of, _)| cost(of, |cost| cost.memory_bytes)))
        .bind(each!(explained, |(of, _)| of.decided.detail.as_deref()))
        .bind(each!(explained, |(of, _)| tenant_of_undelivered(of.event, of.decided)))
        .bind(each!(contents, |(of, ..)| of.event.id.as_uuid()))
        .bind(each!(contents, |(of, ..)| i64::from(of.run)))
        .bind(each!(contents, |(_, ordinal, _)| *ordinal as i64))
        .bind(each!(contents, |(.., content)| content_type_to_text(&content.content_type)))
        .bind(each!(contents, |(.., content)| &content.body[..]))
        .bind(each!(deliveries, |(_, delivery)| delivery.id.as_uuid()))
        .bind(each!(deliveries, |(of, _)| of.event.id.as_uuid()))
        .bind(each!(deliveries, |(of, _)| of.event.tenant.as_uuid()))
        .bind(each!(deliveries, |(_, delivery)| delivery.endpoint.as_uuid()))
        .bind(each!(deliveries, |(of, _)| i64::from(of.run)))
        .bind(each!(deliveries, |(_, delivery)| delivery.content.map(i64::from)))
        .bind(each!(deliveries, |(_, delivery)| pairs_to_text(&delivery.headers)))
        .bind(each!(deliveries, |(_, delivery)| i64::from(delivery.attempts_max)))
        .bind(each!(deliveries, |(_, delivery)| delivery.body_bytes as i64))
        .bind(each!(deliveries, |(_, delivery)| delivery.due_at.as_micros()))
        .bind(each!(deliveries, |(_, delivery)| lease(delivery.leased, node)))
        .bind(each!(deliveries, |(of, _)| i64::from(of.decided.siblings().is_some())))
        .bind(each!(fan_outs, |(of, _)| of.event.id.as_uuid()))
        .bind(each!(fan_outs, |(of, _)| of.event.tenant.as_uuid()))
        .bind(each!(fan_outs, |(_, deliveries)| i64::from(*deliveries)))
        .fetch_all(on)
        .await)
}

async fn postpone(on: &mut PgConnection, node: Uuid, events: &[Postponed]) -> Result<(), Error> {
    sqlx::query(sql::POSTPONE_EVENTS)
        .bind(node)
        .bind(each!(events, |of| of.event.as_uuid()))
        .bind(each!(events, |of| of.due_at.as_micros()))
        .bind(each!(events, |of| i64::from(of.failures)))
        .execute(on)
        .await?;
    Ok(())
}

async fn settle(on: &mut PgConnection, node: Uuid, settlements: &[&Settle]) -> Result<HashSet<Uuid>, Error> {
    if settlements.is_empty() {
        return Ok(HashSet::new());
    }
    let (finished, kept): (Vec<&Settle>, Vec<&Settle>) = settlements
        .iter()
        .copied()
        .partition(|settle| settle.state == DeliveryState::Delivered);
    ids(sqlx::query(sql::SETTLE_DELIVERIES)
        .bind(node)
        .bind(each!(finished, |of| of.delivery.as_uuid()))
        .bind(each!(finished, |of| i64::from(of.number)))
        .bind(each!(kept, |of| of.delivery.as_uuid()))
        .bind(each!(kept, |of| i64::from(of.number)))
        .bind(each!(kept, |of| of.state.as_str()))
        .bind(each!(kept, |of| of.due_at.as_micros()))
        .bind(each!(kept, |of| of.completed_at.map(Timestamp::as_micros)))
        .bind(each!(settlements, |of| of.delivery.as_uuid()))
        .bind(each!(settlements, |of| i64::from(of.number)))
        .bind(each!(settlements, |of| of.attempt.started_at.as_micros()))
        .bind(each!(settlements, |of| of.attempt.duration_us))
        .bind(each!(settlements, |of| of.attempt.status.map(i64::from)))
        .bind(each!(settlements, |of| of.attempt.error))
        .bind(each!(settlements, |of| of.attempt.error_detail.as_deref()))
        .bind(each!(settlements, |of| (!of.attempt.response.is_empty())
            .then_some(&of.attempt.response[..])))
        .fetch_all(on)
        .await)
}

async fn claim_deliveries(on: &mut PgConnection, node: Uuid, claim: &ClaimDeliveries) -> Result<Vec<HeldDelivery>, Error> {
    let rows = sqlx::query(sql::CLAIM_DELIVERIES_SKIP_LOCKED)
        .bind(node)
        .bind(claim.endpoint.as_uuid())
        .bind(claim.due_by.as_micros())
        .bind(i64::from(claim.rows_max))
        .bind(i64::try_from(claim.body_bytes_max).unwrap_or(i64::MAX))
        .fetch_all(on)
        .await?;
    let mut claimed: Vec<HeldDelivery> = rows.iter().map(held_delivery).collect::<Result<_, _>>()?;
    // The join lists the right rows in no order.
    claimed.sort_by_key(|delivery| (delivery.due_at, delivery.id));
    Ok(claimed)
}

fn held_delivery(row: &PgRow) -> Result<HeldDelivery, Error> {
    let body: Option<Vec<u8>> = row.try_get(12)?;
    Ok(HeldDelivery {
        id: DeliveryId::from_uuid(row.try_get(0)?),
        endpoint: EndpointId::from_uuid(row.try_get(1)?),
        attempts: row.try_get::<i64, _>(2)? as u32,
        attempts_max: row.try_get::<i64, _>(3)? as u16,
        attempts_before: row.try_get::<i64, _>(4)? as u32,
        due_at: Timestamp::from_micros(row.try_get(5)?),
        body_bytes: row.try_get::<i64, _>(6)? as u64,
        event: EventId::from_uuid(row.try_get(7)?),
        headers: pairs_from_text(row.try_get::<Option<String>, _>(8)?.as_deref())?,
        event_type: row.try_get(9)?,
        accepted_at: Timestamp::from_micros(row.try_get(10)?),
        content_type: content_type_from_text(row.try_get(11)?),
        body: body.map_or(Body::Stored, |bytes| Body::Here(Bytes::from(bytes))),
    })
}

/// Held events first, for they were accepted first; then as many pending ones as there is still room for.
async fn claim_events(on: &mut PgConnection, node: Uuid, claim: &ClaimEvents) -> Result<Vec<HeldEvent>, Error> {
    let mut held = Vec::new();
    let mut rows_left = i64::from(claim.rows_max);
    let mut bytes_left = i64::try_from(claim.payload_bytes_max).unwrap_or(i64::MAX);
    for (statement, before) in [
        (sql::CLAIM_HELD_EVENTS_SKIP_LOCKED, claim.held_below),
        (sql::CLAIM_PENDING_EVENTS_SKIP_LOCKED, claim.due_by.as_micros()),
    ] {
        if rows_left <= 0 || bytes_left <= 0 {
            break;
        }
        let rows = sqlx::query(statement)
            .bind(node)
            .bind(claim.sender.as_uuid())
            .bind(before)
            .bind(rows_left)
            .bind(bytes_left)
            .fetch_all(&mut *on)
            .await?;
        let mut claimed: Vec<HeldEvent> = rows.iter().map(held_event).collect::<Result<_, _>>()?;
        claimed.sort_by_key(|held| held.event.id);
        rows_left -= claimed.len() as i64;
        bytes_left -= claimed.iter().map(|held| held.event.payload.len() as i64).sum::<i64>();
        held.append(&mut claimed);
    }
    Ok(held)
}

fn held_event(row: &PgRow) -> Result<HeldEvent, Error> {
    Ok(HeldEvent {
        failures: row.try_get::<i64, _>(1)? as u32,
        run: row.try_get::<i64, _>(2)? as u32 + 1,
        event: Arc::new(Event {
            id: EventId::from_uuid(row.try_get(0)?),
            tenant: TenantId::from_uuid(row.try_get(4)?),
            environment: EnvironmentId::from_uuid(row.try_get(5)?),
            source: Source::Sender(SenderId::from_uuid(row.try_get(6)?)),
            idempotency_key: None,
            event_type: row.try_get(7)?,
            content_type: content_type_from_text(row.try_get(8)?),
            headers: pairs_from_text(row.try_get::<Option<String>, _>(9)?.as_deref())?,
            accepted_at: Timestamp::from_micros(row.try_get(10)?),
            payload: Bytes::from(row.try_get::<Vec<u8>, _>(11)?),
        }),
    })
}
