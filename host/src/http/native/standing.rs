//! `/api/v1/status`: what stands still, and why (O1).

use std::sync::Arc;

use axum::{extract::State, http::Method, response::Response};
use serde_json::Value;

use super::{
    Desk,
    answers::{self, Refused},
    caller::Reader,
    openapi::{Op, tag::STATUS},
    params::Params,
};
use crate::{
    documents::{BlockedDocument, SetAsideDocument, StandingDeliveriesDocument, StandingDocument, StandingEventsDocument},
    http::openapi::Routes,
    manage::{Standing, StandingEvents},
    store::COUNT_MAX,
};

pub fn routes() -> Routes<Arc<Desk>> {
    Routes::new().on(
        &Method::GET,
        "/api/v1/status",
        show,
        Op::read("showStatus", STATUS, "Everything that waits for somebody to act")
            .of_tenant()
            .shows::<StandingDocument>("what stands still, and why")
            .into(),
    )
}

async fn show(State(desk): State<Arc<Desk>>, reader: Reader, params: Params) -> Result<Response, Refused> {
    params.only(&["tenant"])?;
    let scope = desk.tenant_or_all(reader.scope, params.get("tenant")).await?;
    let standing = desk.manage.standing(scope).await?;
    Ok(answers::shown(None, &document(&standing)))
}

fn or_more(count: u64) -> bool {
    count >= COUNT_MAX
}

/// What went wrong, from the first event's decision.
fn reason(events: &StandingEvents) -> Option<String> {
    let detail: Value = serde_json::from_str(events.detail.as_deref()?).ok()?;
    let text = |pointer| detail.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    let (class, message) = (text("/failure/class")?, text("/failure/message"));
    Some(message.map_or_else(|| class.to_owned(), |message| format!("{class}: {message}")))
}

fn document(standing: &Standing) -> StandingDocument {
    let events = standing.events.iter().map(|events| StandingEventsDocument {
        sender: events.sender.to_string(),
        name: events.name.clone(),
        state: events.state.as_str().to_owned(),
        count: events.count,
        or_more: or_more(events.count),
        first: events.first.to_string(),
        reason: reason(events),
    });
    let deliveries = standing.deliveries.iter().map(|deliveries| StandingDeliveriesDocument {
        endpoint: deliveries.endpoint.to_string(),
        name: deliveries.name.clone(),
        state: deliveries.state.as_str().to_owned(),
        count: deliveries.count,
        or_more: or_more(deliveries.count),
    });
    let blocked = standing.blocked.iter().map(|blocked| BlockedDocument {
        endpoint: blocked.endpoint.to_string(),
        name: blocked.name.clone(),
        opened_at: blocked.opened_at.to_string(),
        until: blocked.until.to_string(),
    });
    let set_aside = standing.set_aside.iter().map(|row| SetAsideDocument {
        table: row.table.to_owned(),
        id: row.id.to_string(),
        name: row.name.clone(),
        reason: row.why.to_string(),
    });
    StandingDocument {
        events: events.collect(),
        deliveries: deliveries.collect(),
        blocked: blocked.collect(),
        set_aside: set_aside.collect(),
    }
}
