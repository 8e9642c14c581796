//! `/api/v1/deliveries`: where events went, how each attempt ended, and trying again.

use std::{borrow::Cow, sync::Arc};

use axum::{
    extract::{Request, State},
    http::Method,
    response::Response,
};
use hookyard_domain::{DeliveryId, DeliveryState, EndpointId, Scope};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};
use uuid::Uuid;

use super::{
    Desk,
    answers::{self, Refused, documented as said},
    caller::{Id, Reader, Writer},
    openapi::{Op, tag::DELIVERIES},
    params::{Params, REPLAYED_MAX, cut},
};
use crate::{
    documents::{AttemptDocument, DeliveryDocument, List, ReplayDocument, ReplayedDocument, ReplayedPageDocument, schemas},
    http::{openapi::Routes, paging::KeyPage},
    store::{DeliveryView, Page},
};

pub fn routes() -> Routes<Arc<Desk>> {
    Routes::new()
        .on(
            &Method::GET,
            "/api/v1/deliveries",
            list,
            Op::read("listDeliveries", DELIVERIES, "Lists deliveries")
                .of_tenant()
                .filter("state", "Their state; not together with `endpoint`.", schemas::delivery_state())
                .filter("endpoint", "The id of their endpoint.", schemas::id())
                .pages::<DeliveryDocument>()
                .answers([said::absent("there is no such endpoint within the token's tenant")])
                .about("Of those that are delivered a page may be short and have a `next`.")
                .into(),
        )
        .on(
            &Method::GET,
            "/api/v1/deliveries/{id}",
            show,
            Op::read("showDelivery", DELIVERIES, "Shows a delivery with its attempts")
                .of_one("delivery")
                .shows::<DeliveryDocument>("the delivery")
                .into(),
        )
        .on(
            &Method::GET,
            "/api/v1/deliveries/{id}/attempts",
            attempts,
            Op::read("listAttempts", DELIVERIES, "Lists a delivery's attempts")
                .of_one("delivery")
                .shows::<List<AttemptDocument>>("all of them, on one page")
                .into(),
        )
        .on(
            &Method::POST,
            "/api/v1/deliveries/{id}/replay",
            replay,
            Op::read(
                "replayDelivery",
                DELIVERIES,
                "Starts a failed delivery over; one that waits is due now",
            )
            .write()
            .of_one("delivery")
            .conflicts("it changed at the same moment")
            .shows::<ReplayedDocument>("what was put back to work, if anything")
            .into(),
        )
        .on(
            &Method::POST,
            "/api/v1/deliveries/replay",
            replay_many,
            Op::read("replayDeliveries", DELIVERIES, "The same for up to 500 in one state")
                .about("`next` as `before` goes on.")
                .write()
                .names_tenant()
                .takes::<ToReplay>("Which.")
                .shows::<ReplayedPageDocument>("what was put back to work, and where to go on")
                .into(),
        )
}

async fn list(State(desk): State<Arc<Desk>>, reader: Reader, params: Params) -> Result<Response, Refused> {
    params.only(&["tenant", "endpoint", "state", "before", "limit"])?;
    let page = params.page()?;
    let state = params.word("state", DeliveryState::ALL, DeliveryState::as_str)?;
    let scope = desk.tenant_or_all(reader.scope, params.get("tenant")).await?;
    let asked_for_delivered = state == Some(DeliveryState::Delivered);
    let rows = match params.get("endpoint").map(str::parse::<Uuid>) {
        None => {
            let rows = Page {
                state,
                before: page.before,
                limit: page.rows(),
            };
            desk.store.list_deliveries(scope, &rows).await?
        }
        Some(Err(_)) => return Err(Refused::wrong("endpoint", "is not an id")),
        Some(Ok(_)) if state.is_some() => return Err(Refused::wrong("state", "cannot be asked for together with endpoint")),
        Some(Ok(endpoint)) => {
            let endpoint = desk.manage.endpoint(scope, EndpointId::from_uuid(endpoint)).await?;
            desk.store.deliveries_of_endpoint(endpoint.id, page.before, page.rows()).await?
        }
    };
    let mut list = cut(
        rows,
        &page,
        |delivery| delivery.id.as_uuid(),
        |delivery| DeliveryDocument::from(&delivery),
    );
    if list.next.is_none() && asked_for_delivered {
        let end = desk.store.walk_of_deliveries(scope, page.before).await?;
        list.next = end.map(|id| id.to_string());
    }
    Ok(answers::shown(None, &list))
}

async fn find(desk: &Desk, scope: Scope, id: DeliveryId) -> Result<DeliveryView, Refused> {
    desk.store.delivery(scope, id).await?.ok_or(Refused::Absent("delivery"))
}

async fn attempts_of(desk: &Desk, scope: Scope, id: DeliveryId) -> Result<Vec<AttemptDocument>, Refused> {
    let attempts = desk.store.attempts(scope, id).await?;
    Ok(attempts.iter().map(AttemptDocument::from).collect())
}

async fn show(State(desk): State<Arc<Desk>>, reader: Reader, Id(id): Id) -> Result<Response, Refused> {
    let id = DeliveryId::from_uuid(id);
    let mut document = DeliveryDocument::from(&find(&desk, reader.scope, id).await?);
    document.attempts_made = Some(attempts_of(&desk, reader.scope, id).await?);
    Ok(answers::shown(None, &document))
}

async fn attempts(State(desk): State<Arc<Desk>>, reader: Reader, Id(id): Id) -> Result<Response, Refused> {
    let id = DeliveryId::from_uuid(id);
    find(&desk, reader.scope, id).await?;
    let list = List {
        items: attempts_of(&desk, reader.scope, id).await?,
        next: None,
    };
    Ok(answers::shown(None, &list))
}

/// How [`ReplayDocument`] is described here.
struct ToReplay;

impl PartialSchema for ToReplay {
    fn schema() -> RefOr<Schema> {
        schemas::changed::<ReplayDocument>(|body| {
            body.properties
                .insert("state".to_owned(), schemas::words(&["exhausted", "rejected", "cancelled"]).into());
        })
    }
}

impl ToSchema for ToReplay {
    fn name() -> Cow<'static, str> {
        "DeliveriesReplay".into()
    }
}

/// Does the same for a page of those in one state.
async fn replay_many(State(desk): State<Arc<Desk>>, writer: Writer, request: Request) -> Result<Response, Refused> {
    let wanted: ReplayDocument = desk.document(request).await?;
    let state = match DeliveryState::parse(&wanted.state) {
        Some(state @ (DeliveryState::Exhausted | DeliveryState::Rejected | DeliveryState::Cancelled)) => state,
        _ => return Err(Refused::wrong("state", "must be exhausted, rejected or cancelled")),
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
    let deliveries = desk.store.list_deliveries(scope, &rows).await?;
    let (deliveries, next) = page.cut(deliveries, |delivery| delivery.id.as_uuid());
    let ids: Vec<DeliveryId> = deliveries.iter().map(|delivery| delivery.id).collect();
    let replayed = desk.manage.replay_deliveries(scope, &ids).await?;
    let document = ReplayedPageDocument {
        restarted: replayed.count,
        next: next.map(|id| id.to_string()),
    };
    Ok(answers::shown(None, &document))
}

/// Starts over a delivery that ended without arriving; one that waits for its next attempt is due now.
async fn replay(State(desk): State<Arc<Desk>>, writer: Writer, Id(id): Id) -> Result<Response, Refused> {
    find(&desk, writer.scope, DeliveryId::from_uuid(id)).await?;
    let replayed = desk.manage.replay(writer.scope, id).await?;
    let document = ReplayedDocument {
        id: id.to_string(),
        restarted: replayed.count,
    };
    Ok(answers::shown(None, &document))
}
