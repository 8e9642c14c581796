//! `/api/v1/events`: what was accepted, what was decided about it, and deciding again.

use std::{borrow::Cow, sync::Arc};

use axum::{
    extract::{Request, State},
    http::Method,
    response::Response,
};
use hookyard_domain::{EventId, EventState, Scope};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use super::{
    Desk,
    answers::{self, Refused, documented as said},
    caller::{Id, ListOf, Reader, Writer},
    openapi::{Op, tag::EVENTS},
    params::{Params, REPLAYED_MAX, cut},
};
use crate::{
    documents::{DeliveryDocument, EventDocument, ReplayDocument, ReplayedDocument, ReplayedPageDocument, schemas},
    http::{openapi::Routes, paging::KeyPage},
    store::{EventView, Page},
};

/// Endpoints that a decision is shown to have chosen; its deliveries tell the others.
const CHOSEN_MAX: u32 = 100;

pub fn routes() -> Routes<Arc<Desk>> {
    Routes::new()
        .on(
            &Method::GET,
            "/api/v1/events",
            list,
            Op::read("listEvents", EVENTS, "Lists events")
                .of_tenant()
                .filter("state", "Their state.", schemas::event_state())
                .pages::<EventDocument>()
                .about("Of those that are routed a page may be short and have a `next`.")
                .into(),
        )
        .on(
            &Method::GET,
            "/api/v1/events/{id}",
            show,
            Op::read("showEvent", EVENTS, "Shows an event with its decision")
                .of_one("event")
                .shows::<EventDocument>("the event; of a decision's endpoints a hundred at most")
                .into(),
        )
        .on(
            &Method::GET,
            "/api/v1/events/{id}/payload",
            payload,
            Op::read("showPayload", EVENTS, "The payload as it was accepted")
                .of_one("event")
                .answers([said::payload()])
                .into(),
        )
        .on(
            &Method::GET,
            "/api/v1/events/{id}/deliveries",
            deliveries,
            Op::read("listDeliveriesOfEvent", EVENTS, "Lists an event's deliveries")
                .of_one("event")
                .pages::<DeliveryDocument>()
                .into(),
        )
        .on(
            &Method::POST,
            "/api/v1/events/{id}/replay",
            replay,
            Op::read(
                "replayEvent",
                EVENTS,
                "Routes a held or dead-lettered event again, and starts its failed deliveries over",
            )
            .write()
            .of_one("event")
            .conflicts("it changed at the same moment")
            .shows::<ReplayedDocument>("what was put back to work, if anything")
            .into(),
        )
        .on(
            &Method::POST,
            "/api/v1/events/replay",
            replay_many,
            Op::read("replayEvents", EVENTS, "The same for up to 500 in one state")
                .about("`next` as `before` goes on.")
                .write()
                .names_tenant()
                .takes::<ToReplay>("Which.")
                .shows::<ReplayedPageDocument>("what was put back to work, and where to go on")
                .into(),
        )
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

/// How [`ReplayDocument`] is described here.
struct ToReplay;

impl PartialSchema for ToReplay {
    fn schema() -> RefOr<Schema> {
        schemas::changed::<ReplayDocument>(|body| {
            body.properties
                .insert("state".to_owned(), schemas::words(&["held", "dead-lettered"]).into());
        })
    }
}

impl ToSchema for ToReplay {
    fn name() -> Cow<'static, str> {
        "EventsReplay".into()
    }
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
