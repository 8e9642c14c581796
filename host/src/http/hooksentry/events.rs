//! Events, their replay, and the purge of a destination's queue (docs/contracts/hooksentry.md, section 13).
//!
//! An event is what Hookyard keeps as an event and its deliveries. Hookyard adds what the contract has no field for: the
//! payload as it was accepted where a mapping made another, and the deliveries with their attempts.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
    routing::{delete, get, post},
};
use hookyard_domain::{DeliveryState, EndpointId, EventId, Scope, SenderId, Timestamp};
use serde_json::{Value, json};

use super::{
    answers::{self, Refused},
    desk::{self, Desk, PathText, id, own, scope},
    destinations,
    lists::{self, Query},
    words,
};
use crate::{
    manage::{Deed, Person},
    store::{AttemptView, DeliveryView, EventSearch, EventView, Progress},
};

/// What a list can be sorted by: both are the order of acceptance. Sorting millions by anything else would read them all.
const FIELDS: &[&str] = &["acceptedAt", "id"];
/// Bytes of payloads on one page, past which it ends early: whoever asks for large events gets few of them at a time.
const LIST_BYTES_MAX: u64 = 16 * 1_024 * 1_024;
/// Rows before the page that are walked over for it.
const OFFSET_MAX: u64 = 1_000_000;

pub fn router() -> Router<Arc<Desk>> {
    Router::new()
        .route("/api/v1/events", get(list))
        .route("/api/v1/events/{id}", get(show))
        .route("/api/v1/events/{id}/attempts", get(attempts))
        .route("/api/v1/events/{id}/replay", post(replay))
        .route("/api/v1/queues/{id}", delete(purge))
}

/// How far an event is, counted over its deliveries.
fn progress(event: &EventView, deliveries: &[DeliveryView]) -> Progress {
    let count =
        |of: &dyn Fn(&DeliveryView) -> bool| u32::try_from(deliveries.iter().filter(|delivery| of(delivery)).count()).unwrap_or(u32::MAX);
    let waiting = |delivery: &DeliveryView| delivery.state == DeliveryState::Waiting;
    Progress {
        event: event.id,
        accepted_at: event.accepted_at,
        state: event.state,
        fresh: count(&|delivery| waiting(delivery) && delivery.attempts == delivery.attempts_before),
        retrying: count(&|delivery| waiting(delivery) && delivery.attempts > delivery.attempts_before),
        delivered: count(&|delivery| delivery.state == DeliveryState::Delivered),
        rejected: count(&|delivery| delivery.state == DeliveryState::Rejected),
        exhausted: count(&|delivery| delivery.state == DeliveryState::Exhausted),
    }
}

/// Failed attempts since the last replay. The last one of a delivery that ended is not counted, as the original does not.
fn retries(delivery: &DeliveryView) -> u32 {
    let attempts = delivery.attempts.saturating_sub(delivery.attempts_before);
    match delivery.state {
        DeliveryState::Waiting => attempts,
        _ => attempts.saturating_sub(1),
    }
}

/// Reads what the contract's object needs of one event.
async fn render(desk: &Desk, person: &Person, event: &EventView) -> Result<Value, Refused> {
    let store = &desk.edge.store;
    let scope = scope(person);
    let deliveries = store.deliveries_of_event(scope, event.id).await?;
    let accepted = store.payload(scope, event.id).await?.unwrap_or_default();
    // What its destination gets, where that is another.
    let sent = match deliveries.iter().find(|delivery| delivery.content.is_some()) {
        Some(delivery) => store.delivery_body(delivery.id).await?.map(|body| body.to_vec()),
        None => None,
    };
    let accepted = String::from_utf8_lossy(&accepted);
    let sent = sent.map(|body| String::from_utf8_lossy(&body).into_owned());
    let snapshot = desk.edge.configuration.current();
    let own_endpoint = match event.source_kind.as_str() {
        "endpoint" => Some(event.source_id.to_string()),
        _ => snapshot
            .senders
            .get(&SenderId::from_uuid(event.source_id))
            .and_then(|sender| sender.endpoint)
            .map(|endpoint| endpoint.to_string()),
    };
    let destination = own_endpoint.or_else(|| deliveries.first().map(|delivery| delivery.endpoint_id.to_string()));
    let delivered = deliveries.iter().filter(|delivery| delivery.state == DeliveryState::Delivered);
    let next = deliveries
        .iter()
        .filter(|delivery| delivery.attempts > 0)
        .filter_map(|delivery| delivery.due_at)
        .min();
    let all: Vec<Value> = deliveries.iter().map(render_delivery).collect();
    Ok(json!({
        "id": event.id.to_string(),
        "tenantId": event.tenant_id.to_string(),
        "destinationUrlId": destination,
        "payload": sent.as_deref().unwrap_or(&accepted),
        "status": words::status(&progress(event, &deliveries)),
        "idempotencyKey": event.idempotency_key,
        "currentRetryCount": deliveries.iter().map(retries).max().unwrap_or(0),
        "nextAttemptAt": next.map(|at| at.to_string()),
        "acceptedAt": event.accepted_at.to_string(),
        "deliveredAt": delivered.filter_map(|delivery| delivery.completed_at).max().map(|at| at.to_string()),
        "acceptedPayload": accepted,
        "deliveries": all,
    }))
}

fn render_delivery(delivery: &DeliveryView) -> Value {
    json!({
        "id": delivery.id.to_string(),
        "destinationUrlId": delivery.endpoint_id.to_string(),
        "status": delivery.state.as_str(),
        "attempts": delivery.attempts,
        "nextAttemptAt": delivery.due_at.map(|at| at.to_string()),
        "completedAt": delivery.completed_at.map(|at| at.to_string()),
    })
}

async fn list(State(desk): State<Arc<Desk>>, request: Request) -> Result<Response, Refused> {
    let person = desk.person(request.headers()).await?;
    let query = Query::of(request.uri().query());
    let page = query.page(FIELDS, "acceptedAt")?;
    if page.offset() > OFFSET_MAX {
        return Err(Refused::Invalid(format!(
            "Pg is too far: a list ends after {OFFSET_MAX} events; narrow it by From and To"
        )));
    }
    let wanted = query.get("Status").map(words::read_status).transpose()?;
    let endpoint = query.get("DestinationUrlId").map(|text| {
        text.parse::<EndpointId>()
            .map_err(|_| Refused::Invalid("DestinationUrlId must be a UUID".to_owned()))
    });
    let time = |name: &str| query.get(name).map(|text| words::read_time(name, text)).transpose();
    let state = match wanted {
        None => None,
        Some(words::Wanted::Never) => return Ok(lists::answer(0, Vec::new())),
        Some(words::Wanted::State(state)) => Some(state),
    };
    let search = EventSearch {
        tenant: person.user.tenant,
        state,
        endpoint: endpoint.transpose()?,
        from: time("From")?,
        to: time("To")?,
        newest_first: page.descending,
        limit: page.items,
        offset: page.offset(),
    };
    let found = desk.edge.store.search_events(&search).await?;
    let mut items = Vec::with_capacity(found.events.len());
    let mut bytes = 0;
    let _turn = desk.pages.acquire().await.expect("it is never closed");
    for event in found.events {
        // Deleted meanwhile, by age: it is no longer of the list.
        if let Some(event) = desk.edge.store.event(scope(&person), event).await? {
            if bytes + event.payload_bytes > LIST_BYTES_MAX && !items.is_empty() {
                break;
            }
            let mut item = render(&desk, &person, &event).await?;
            // Beside the payload once more it would double the page.
            item.as_object_mut().map(|item| item.remove("acceptedPayload"));
            // What a mapping or a plugin made may be larger than what was accepted.
            bytes += item["payload"].as_str().map_or(0, |payload| payload.len() as u64);
            items.push(item);
        }
    }
    Ok(lists::answer(found.total, items))
}

async fn theirs(desk: &Desk, person: &Person, id: EventId) -> Result<EventView, Refused> {
    let event = desk.edge.store.event(Scope::Operator, id).await?;
    let event = event.ok_or(Refused::Absent("event"))?;
    own(person, event.tenant_id)?;
    Ok(event)
}

async fn show(State(desk): State<Arc<Desk>>, PathText(event): PathText, request: Request) -> Result<Response, Refused> {
    let event: EventId = id(&event)?;
    let person = desk.person(request.headers()).await?;
    let event = theirs(&desk, &person, event).await?;
    Ok(Json(render(&desk, &person, &event).await?).into_response())
}

/// What each attempt of an event's deliveries came to.
async fn attempts(State(desk): State<Arc<Desk>>, PathText(event): PathText, request: Request) -> Result<Response, Refused> {
    let event: EventId = id(&event)?;
    let person = desk.person(request.headers()).await?;
    theirs(&desk, &person, event).await?;
    let mut items = Vec::new();
    for delivery in desk.edge.store.deliveries_of_event(scope(&person), event).await? {
        for attempt in desk.edge.store.attempts(scope(&person), delivery.id).await? {
            items.push(render_attempt(&delivery, &attempt));
        }
    }
    Ok(lists::answer(items.len() as u64, items))
}

fn render_attempt(delivery: &DeliveryView, attempt: &AttemptView) -> Value {
    let ended_at = Timestamp::from_micros(attempt.started_at.as_micros() + attempt.duration_us);
    json!({
        "deliveryId": delivery.id.to_string(),
        "destinationUrlId": delivery.endpoint_id.to_string(),
        "number": attempt.number,
        "startedAt": attempt.started_at.to_string(),
        "endedAt": ended_at.to_string(),
        "responseStatus": attempt.status,
        "error": attempt.error,
        "errorDetail": attempt.error_detail,
        "responseBody": attempt.response.as_deref().map(String::from_utf8_lossy),
    })
}

/// Only what has failed for good starts over: the same event, with the destination's present address, secret and limits.
async fn replay(State(desk): State<Arc<Desk>>, PathText(event): PathText, request: Request) -> Result<Response, Refused> {
    let event: EventId = id(&event)?;
    let person = desk.person_who_may(Deed::Work, request.headers()).await?;
    let view = theirs(&desk, &person, event).await?;
    let deliveries = desk.edge.store.deliveries_of_event(scope(&person), event).await?;
    let snapshot = desk.edge.configuration.current();
    let gone = |delivery: &DeliveryView| !snapshot.endpoints.contains_key(&delivery.endpoint_id);
    if !deliveries.is_empty() && deliveries.iter().all(gone) {
        return Err(Refused::Invalid("its destination is gone".to_owned()));
    }
    let failed = words::status(&progress(&view, &deliveries)) == words::CRITICAL_FAILURE;
    if !failed || desk.edge.manage.replay(scope(&person), event.as_uuid()).await?.count == 0 {
        return Err(Refused::Invalid("only an event in CriticalFailure can be replayed".to_owned()));
    }
    let view = theirs(&desk, &person, event).await?;
    Ok(Json(render(&desk, &person, &view).await?).into_response())
}

/// Cancels what waits for a destination. An attempt that is under way, or that another node has next in memory, may still
/// arrive; nothing follows it.
async fn purge(State(desk): State<Arc<Desk>>, PathText(endpoint): PathText, request: Request) -> Result<Response, Refused> {
    let endpoint: EndpointId = id(&endpoint)?;
    let person = desk.person_who_may(Deed::Govern, request.headers()).await?;
    let endpoint = destinations::theirs(&desk, &person, endpoint).await?;
    desk::purge(&desk, &person, &endpoint).await?;
    Ok(answers::done())
}
