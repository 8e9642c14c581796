//! Events, their replay, and the purge of a destination's queue (docs/contracts/hooksentry.md, section 13).
//!
//! An event is what Hookyard keeps as an event and its deliveries. Hookyard adds what the contract has no field for: the
//! payload as it was accepted where a mapping made another, and the deliveries with their attempts.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    http::Method,
    response::{IntoResponse as _, Response},
};
use hookyard_domain::{DeliveryState, EndpointId, EventId, Scope, SenderId, Timestamp};
use serde::Serialize;
use utoipa::{ToSchema, openapi::ObjectBuilder};

use super::{
    answers::{self, Refused, documented},
    desk::{self, Desk, PathText, id, own, scope},
    destinations,
    lists::{self, Query},
    openapi::{self, Op, tag::EVENTS},
    words,
};
use crate::{
    http::openapi::Routes,
    manage::{Deed, Person},
    store::{AttemptView, DeliveryView, EventSearch, EventView, Progress, Total},
};

/// What a list can be sorted by: both are the order of acceptance. Sorting millions by anything else would read them all.
const FIELDS: &[&str] = &["acceptedAt", "id"];
/// Bytes of payloads on one page, past which it ends early: whoever asks for large events gets few of them at a time.
const LIST_BYTES_MAX: u64 = 16 * 1_024 * 1_024;
/// Rows before the page that are walked over for it.
const OFFSET_MAX: u32 = 1_000_000;

pub fn routes() -> Routes<Arc<Desk>> {
    Routes::new()
        .on(
            &Method::GET,
            "/api/v1/events",
            list,
            Op::of_person("listEvents", EVENTS, "Lists events, newest first unless asked otherwise")
                .about("Without a filter, and with `Status` alone, `total` is exact; with another filter it is counted up to 10,000 and `totalIsBounded` is true. A page ends early once its payloads have 16 MiB together, and begins after at most 1,000,000 events.")
                .lists::<Shown>(FIELDS, "acceptedAt", OFFSET_MAX + 1)
                .filter("Status", "Those in one state.", words::status_filter_schema())
                .filter("DestinationUrlId", "Those that have a delivery to this destination.", openapi::id())
                .filter("From", "Accepted then or later: RFC 3339, or a day, which means its first moment.", openapi::bound())
                .filter("To", "Accepted then or earlier.", openapi::bound())
                .into(),
        )
        .on(
            &Method::GET,
            "/api/v1/events/{id}",
            show,
            Op::of_person("showEvent", EVENTS, "Shows an event with its deliveries")
                .of_one("id", "event")
                .shows::<Shown>("the event")
                .into(),
        )
        .on(
            &Method::GET,
            "/api/v1/events/{id}/attempts",
            attempts,
            Op::of_person("listAttempts", EVENTS, "Lists all attempts to deliver an event, without pages")
                .of_one("id", "event")
                .shows::<lists::Listed<ShownAttempt>>("all of them")
                .into(),
        )
        .on(
            &Method::POST,
            "/api/v1/events/{id}/replay",
            replay,
            Op::of_person("replayEvent", EVENTS, "Puts an event that has failed for good back to work")
                .by_role()
                .of_one("id", "event")
                .answers([documented::invalid("the event is not in `CriticalFailure`, or its destination is gone")])
                .shows::<Shown>("the event as it is now")
                .into(),
        )
        .on(
            &Method::DELETE,
            "/api/v1/queues/{destinationId}",
            purge,
            Op::of_person("purgeQueue", EVENTS, "Cancels what waits for a destination, for good")
                .by_role()
                .of_one("destinationId", "destination")
                .ends("what waited is cancelled")
                .into(),
        )
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Event)]
struct Shown {
    #[schema(schema_with = openapi::id)]
    id: String,
    #[schema(schema_with = openapi::id)]
    tenant_id: String,
    #[schema(schema_with = id_or_none, required)]
    destination_url_id: Option<String>,
    /// A text that holds JSON: what is delivered.
    payload: String,
    #[schema(schema_with = words::status_schema)]
    status: &'static str,
    #[schema(required)]
    idempotency_key: Option<String>,
    /// Failed attempts since the last replay; the last one of a delivery that ended is not counted.
    current_retry_count: u32,
    #[schema(schema_with = openapi::moment_or_none, required)]
    next_attempt_at: Option<String>,
    #[schema(schema_with = openapi::moment)]
    accepted_at: String,
    #[schema(schema_with = openapi::moment_or_none, required)]
    delivered_at: Option<String>,
    /// The payload as it was accepted; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    accepted_payload: Option<String>,
    deliveries: Vec<ShownDelivery>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Delivery)]
struct ShownDelivery {
    #[schema(schema_with = openapi::id)]
    id: String,
    #[schema(schema_with = openapi::id)]
    destination_url_id: String,
    #[schema(schema_with = delivery_state_schema)]
    status: &'static str,
    attempts: u32,
    #[schema(schema_with = openapi::moment_or_none, required)]
    next_attempt_at: Option<String>,
    #[schema(schema_with = openapi::moment_or_none, required)]
    completed_at: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Attempt)]
struct ShownAttempt {
    #[schema(schema_with = openapi::id)]
    delivery_id: String,
    #[schema(schema_with = openapi::id)]
    destination_url_id: String,
    /// From 1, never begun anew.
    number: u32,
    #[schema(schema_with = openapi::moment)]
    started_at: String,
    #[schema(schema_with = openapi::moment)]
    ended_at: String,
    #[schema(required)]
    response_status: Option<u16>,
    /// Where there was no answer.
    #[schema(required)]
    error: Option<String>,
    #[schema(required)]
    error_detail: Option<String>,
    /// The first 1,024 bytes.
    #[schema(required)]
    response_body: Option<String>,
}

fn id_or_none() -> ObjectBuilder {
    openapi::or_none(openapi::id())
}

fn delivery_state_schema() -> ObjectBuilder {
    let words: Vec<_> = DeliveryState::ALL.iter().map(|state| state.as_str()).collect();
    openapi::one_of(&words)
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
async fn render(desk: &Desk, person: &Person, event: &EventView) -> Result<Shown, Refused> {
    let store = &desk.edge.store;
    let scope = scope(person);
    let deliveries = store.deliveries_of_event(scope, event.id).await?;
    let accepted = store.payload(scope, event.id).await?.unwrap_or_default();
    // What its destination gets, where that is another.
    let sent = match deliveries.iter().find(|delivery| delivery.content.is_some()) {
        Some(delivery) => store.delivery_body(delivery.id).await?.map(|body| body.to_vec()),
        None => None,
    };
    let accepted = String::from_utf8_lossy(&accepted).into_owned();
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
    Ok(Shown {
        id: event.id.to_string(),
        tenant_id: event.tenant_id.to_string(),
        destination_url_id: destination,
        payload: sent.unwrap_or_else(|| accepted.clone()),
        status: words::status(&progress(event, &deliveries)),
        idempotency_key: event.idempotency_key.clone(),
        current_retry_count: deliveries.iter().map(retries).max().unwrap_or(0),
        next_attempt_at: next.map(|at| at.to_string()),
        accepted_at: event.accepted_at.to_string(),
        delivered_at: delivered
            .filter_map(|delivery| delivery.completed_at)
            .max()
            .map(|at| at.to_string()),
        accepted_payload: Some(accepted),
        deliveries: deliveries.iter().map(render_delivery).collect(),
    })
}

fn render_delivery(delivery: &DeliveryView) -> ShownDelivery {
    ShownDelivery {
        id: delivery.id.to_string(),
        destination_url_id: delivery.endpoint_id.to_string(),
        status: delivery.state.as_str(),
        attempts: delivery.attempts,
        next_attempt_at: delivery.due_at.map(|at| at.to_string()),
        completed_at: delivery.completed_at.map(|at| at.to_string()),
    }
}

async fn list(State(desk): State<Arc<Desk>>, request: Request) -> Result<Response, Refused> {
    let person = desk.person(request.headers()).await?;
    let query = Query::of(request.uri().query());
    let page = query.page(FIELDS, "acceptedAt")?;
    if page.offset() > u64::from(OFFSET_MAX) {
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
        Some(words::Wanted::Never) => return Ok(lists::answer(0, Vec::<Shown>::new())),
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
            item.accepted_payload = None;
            // What a mapping or a plugin made may be larger than what was accepted.
            bytes += item.payload.len() as u64;
            items.push(item);
        }
    }
    Ok(match found.total {
        Total::Kept(total) => lists::answer(total, items),
        Total::Counted(total) => lists::answer_counted(total, items),
    })
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

fn render_attempt(delivery: &DeliveryView, attempt: &AttemptView) -> ShownAttempt {
    let ended_at = Timestamp::from_micros(attempt.started_at.as_micros() + attempt.duration_us);
    ShownAttempt {
        delivery_id: delivery.id.to_string(),
        destination_url_id: delivery.endpoint_id.to_string(),
        number: attempt.number,
        started_at: attempt.started_at.to_string(),
        ended_at: ended_at.to_string(),
        response_status: attempt.status,
        error: attempt.error.clone(),
        error_detail: attempt.error_detail.clone(),
        response_body: attempt.response.as_deref().map(|body| String::from_utf8_lossy(body).into_owned()),
    }
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
