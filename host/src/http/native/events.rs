//! `/api/v1/events`: what was accepted, what was decided about it, and deciding again.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    response::Response,
    routing::{get, post},
};
use hookyard_domain::{EventId, EventState, Scope};

use super::{
    Desk,
    answers::{self, Refused},
    caller::{Id, ListOf, Reader, Writer},
    params::{Params, REPLAYED_MAX, cut},
};
use crate::{
    documents::{DeliveryDocument, EventDocument, ReplayDocument, ReplayedDocument, ReplayedPageDocument},
    http::paging::KeyPage,
    store::{EventView, Page},
};

/// Endpoints that a decision is shown to have chosen; its deliveries tell the others.
const CHOSEN_MAX: u32 = 100;

pub fn router() -> Router<Arc<Desk>> {
    Router::new()
        .route("/api/v1/events", get(list))
        .route("/api/v1/events/{id}", get(show))
        .route("/api/v1/events/{id}/payload", get(payload))
        .route("/api/v1/events/{id}/deliveries", get(deliveries))
        .route("/api/v1/events/{id}/replay", post(replay))
        .route("/api/v1/events/replay", post(replay_many))
}

async fn list(State(desk): State<Arc<Desk>>, reader: Reader, params: Params) -> Result<Response, Refused> {
    params.only(&["tenant", "state", "before", "limit"])?;
    let page = params.page()?;
    let rows = Page {
        state: params.word("state", EventState::ALL, EventState::as_str)?,
        before: page.before,
        limit: page.rows(),
    };
    let scope = desk.tenant_or_all(reader.scope, params.get("tenant")).await?;
    let events = desk.store.list_events(scope, &rows).await?;
    let mut list = cut(events, &page, |event| event.id.as_uuid(), |event| EventDocument::of(&event, &[]));
    if list.next.is_none() && rows.state == Some(EventState::Routed) {
        let end = desk.store.walk_of_events(scope, page.before).await?;
        list.next = end.map(|id| id.to_string());
    }
    Ok(answers::shown(None, &list))
}

async fn find(desk: &Desk, scope: Scope, id: EventId) -> Result<EventView, Refused> {
    desk.store.event(scope, id).await?.ok_or(Refused::Absent("event"))
}

async fn show(State(desk): State<Arc<Desk>>, reader: Reader, Id(id): Id) -> Result<Response, Refused> {
    let id = EventId::from_uuid(id);
    let event = find(&desk, reader.scope, id).await?;
    let deliveries = desk.store.page_of_deliveries(reader.scope, id, None, CHOSEN_MAX).await?;
    Ok(answers::shown(None, &EventDocument::of(&event, &deliveries)))
}

async fn payload(State(desk): State<Arc<Desk>>, reader: Reader, Id(id): Id) -> Result<Response, Refused> {
    let id = EventId::from_uuid(id);
    let event = find(&desk, reader.scope, id).await?;
    let bytes = desk.store.payload(reader.scope, id).await?.ok_or(Refused::Absent("payload"))?;
    Ok(answers::payload(&event, bytes))
}

async fn deliveries(State(desk): State<Arc<Desk>>, reader: Reader, ListOf(id): ListOf, params: Params) -> Result<Response, Refused> {
    params.only(&["before", "limit"])?;
    let page = params.page()?;
    let id = EventId::from_uuid(id);
    find(&desk, reader.scope, id).await?;
    let deliveries = desk.store.page_of_deliveries(reader.scope, id, page.before, page.rows()).await?;
    let list = cut(
        deliveries,
        &page,
        |delivery| delivery.id.as_uuid(),
        |delivery| DeliveryDocument::from(&delivery),
    );
    Ok(answers::shown(None, &list))
}

/// Does the same for a page of those in one state.
async fn replay_many(State(desk): State<Arc<Desk>>, writer: Writer, request: Request) -> Result<Response, Refused> {
    let wanted: ReplayDocument = desk.document(request).await?;
    let state = match EventState::parse(&wanted.state) {
        Some(state @ (EventState::Held | EventState::DeadLettered)) => state,
        _ => return Err(Refused::wrong("state", "must be held or dead-lettered")),
    };
    let scope = desk.tenant_or_all(writer.scope, wanted.tenant.as_deref()).await?;
    let page = KeyPage {
        before: wanted.before,
        limit: REPLAYED_MAX,
    };
    let rows = Page {
        state: Some(state),
        before: page.before,
        limit: page.rows(),
    };
    let events = desk.store.list_events(scope, &rows).await?;
    let (events, next) = page.cut(events, |event| event.id.as_uuid());
    let ids: Vec<EventId> = events.iter().map(|event| event.id).collect();
    let replayed = desk.manage.replay_events(scope, &ids).await?;
    let document = ReplayedPageDocument {
        restarted: replayed.count,
        next: next.map(|id| id.to_string()),
    };
    Ok(answers::shown(None, &document))
}

/// Routes a held or dead-lettered event again, and starts over its deliveries that ended without arriving.
async fn replay(State(desk): State<Arc<Desk>>, writer: Writer, Id(id): Id) -> Result<Response, Refused> {
    find(&desk, writer.scope, EventId::from_uuid(id)).await?;
    let replayed = desk.manage.replay(writer.scope, id).await?;
    let document = ReplayedDocument {
        id: id.to_string(),
        restarted: replayed.count,
    };
    Ok(answers::shown(None, &document))
}
