//! `hookyard deliveries`: where events went, and how each attempt ended.

use clap::Args;
use hookyard_domain::{DeliveryId, DeliveryState, EventId, Scope};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Common, Failure, Format,
    list::{List, not_found, print_json},
    table,
};
use crate::store::{AttemptView, DeliveryView, Store};

#[derive(Debug, Args)]
pub(super) struct Deliveries {
    /// Shows the attempts of this delivery, or the deliveries of this event
    id: Option<Uuid>,
    #[command(flatten)]
    list: List,
}

impl Deliveries {
    pub(super) async fn run(self, common: &Common) -> Result<(), Failure> {
        let store = common.existing_store().await?;
        let deliveries = match self.id {
            None => {
                let page = self.list.page(DeliveryState::ALL, DeliveryState::as_str)?;
                store.list_deliveries(self.list.scope(&store).await?, &page).await?
            }
            Some(id) => {
                let of_event = store.deliveries_of_event(Scope::Operator, EventId::from_uuid(id)).await?;
                if of_event.is_empty() && store.event(Scope::Operator, EventId::from_uuid(id)).await?.is_none() {
                    return one_delivery(&store, DeliveryId::from_uuid(id), self.list.format).await;
                }
                of_event
            }
        };
        match self.list.format {
            Format::Json => print_json(&Value::Array(deliveries.iter().map(delivery_json).collect()))?,
            Format::Table => print_deliveries(&deliveries),
        }
        Ok(())
    }
}

async fn one_delivery(store: &Store, id: DeliveryId, format: Format) -> Result<(), Failure> {
    let attempts = store.attempts(Scope::Operator, id).await?;
    let delivery = store
        .delivery(Scope::Operator, id)
        .await?
        .ok_or_else(|| not_found("event or delivery", id))?;
    match format {
        Format::Json => {
            print_json(&with_attempts(delivery_json(&delivery), &attempts))?;
        }
        Format::Table => {
            print_deliveries(std::slice::from_ref(&delivery));
            say!();
            let rows: Vec<_> = attempts
                .iter()
                .map(|attempt| {
                    vec![
                        attempt.number.to_string(),
                        attempt.started_at.to_string(),
                        format!("{:.1} ms", attempt.duration_us as f64 / 1_000.0),
                        attempt
                            .status
                            .map_or_else(|| attempt.error.clone().unwrap_or_default(), |status| status.to_string()),
                        attempt.error_detail.clone().unwrap_or_else(|| answer_text(attempt)),
                    ]
                })
                .collect();
            table::print(&["ATTEMPT", "STARTED", "TOOK", "OUTCOME", "DETAIL"], &rows);
        }
    }
    Ok(())
}

pub(super) fn print_deliveries(deliveries: &[DeliveryView]) {
    let rows: Vec<_> = deliveries
        .iter()
        .map(|delivery| {
            vec![
                delivery.id.to_string(),
                delivery.event.to_string(),
                delivery.tenant.clone(),
                delivery.endpoint.clone(),
                delivery.state.as_str().to_owned(),
                match delivery.attempts_max {
                    Some(max) => format!("{}/{max}", delivery.attempts),
                    None => delivery.attempts.to_string(),
                },
                match (delivery.completed_at, delivery.due_at) {
                    (Some(at), _) => format!("ended {at}"),
                    (None, Some(at)) => format!("due {at}"),
                    (None, None) => String::new(),
                },
            ]
        })
        .collect();
    table::print(&["ID", "EVENT", "TENANT", "ENDPOINT", "STATE", "ATTEMPTS", "WHEN"], &rows);
}

pub(super) fn delivery_json(delivery: &DeliveryView) -> Value {
    json!({
        "id": delivery.id.to_string(),
        "event": delivery.event.to_string(),
        "tenant": delivery.tenant,
        "endpoint": delivery.endpoint,
        "state": delivery.state.as_str(),
        "attempts": delivery.attempts,
        "attempts_max": delivery.attempts_max,
        "due_at": delivery.due_at.map(|at| at.to_string()),
        "completed_at": delivery.completed_at.map(|at| at.to_string()),
    })
}

pub(super) fn with_attempts(mut delivery: Value, attempts: &[AttemptView]) -> Value {
    delivery["attempts_made"] = Value::Array(attempts.iter().map(attempt_json).collect());
    delivery
}

fn attempt_json(attempt: &AttemptView) -> Value {
    json!({
        "number": attempt.number,
        "started_at": attempt.started_at.to_string(),
        "duration_us": attempt.duration_us,
        "status": attempt.status,
        "error": attempt.error,
        "error_detail": attempt.error_detail,
        "response": attempt.response.as_ref().map(|_| answer_text(attempt)),
    })
}

/// The kept part of an answer, as text on one line.
fn answer_text(attempt: &AttemptView) -> String {
    let bytes = attempt.response.as_deref().unwrap_or_default();
    String::from_utf8_lossy(bytes)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(200)
        .collect()
}
