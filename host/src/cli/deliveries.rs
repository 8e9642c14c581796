//! `hookyard deliveries`: where events went, and how each attempt ended.

use clap::Args;
use hookyard_domain::DeliveryState;
use uuid::Uuid;

use super::{
    Common, Failure, Format, Needs,
    api::Api,
    list::{self, pairs, print_json},
    table,
};
use crate::documents::{DeliveryDocument, List};

#[derive(Debug, Args)]
pub(super) struct Deliveries {
    /// Shows the attempts of this delivery, or the deliveries of this event
    id: Option<Uuid>,
    #[command(flatten)]
    list: list::List,
}

impl Deliveries {
    pub(super) async fn run(self, common: &Common) -> Result<(), Failure> {
        let query = self.list.query(DeliveryState::ALL, DeliveryState::as_str)?;
        let api = common.api(Needs::Database).await?;
        let deliveries = match self.id {
            None => {
                let listed: Result<List<DeliveryDocument>, _> = api.get("/api/v1/deliveries", &pairs(&query)).await;
                listed.map_err(|failure| self.list.absent(failure))?.items
            }
            Some(id) => match deliveries_of(&api, &id.to_string()).await {
                Err(Failure::NotFound(_)) => return one_delivery(&api, id, self.list.format).await,
                of_event => of_event?,
            },
        };
        match self.list.format {
            Format::Json => print_json(&deliveries)?,
            Format::Table => print_deliveries(&deliveries),
        }
        Ok(())
    }
}

/// Those of an event, in the order in which they were made.
pub(super) async fn deliveries_of(api: &Api, event: &str) -> Result<Vec<DeliveryDocument>, Failure> {
    let path = format!("/api/v1/events/{event}/deliveries");
    let mut deliveries = Vec::new();
    let mut before: Option<String> = None;
    loop {
        let mut query = vec![("limit", "1000")];
        query.extend(before.as_deref().map(|before| ("before", before)));
        let page: List<DeliveryDocument> = api.get(&path, &query).await?;
        deliveries.extend(page.items);
        before = page.next;
        if before.is_none() {
            deliveries.reverse();
            return Ok(deliveries);
        }
    }
}

/// One with its attempts.
pub(super) async fn with_attempts(api: &Api, id: &str) -> Result<DeliveryDocument, Failure> {
    api.get(&format!("/api/v1/deliveries/{id}"), &[]).await
}

async fn one_delivery(api: &Api, id: Uuid, format: Format) -> Result<(), Failure> {
    let delivery = match with_attempts(api, &id.to_string()).await {
        Err(Failure::NotFound(_)) => return Err(Failure::NotFound(format!("there is no event or delivery {id}"))),
        delivery => delivery?,
    };
    match format {
        Format::Json => print_json(&delivery)?,
        Format::Table => {
            print_deliveries(std::slice::from_ref(&delivery));
            say!();
            let attempts = delivery.attempts_made.unwrap_or_default();
            let rows: Vec<_> = attempts
                .into_iter()
                .map(|attempt| {
                    vec![
                        attempt.number.to_string(),
                        attempt.started_at,
                        format!("{:.1} ms", attempt.duration_us as f64 / 1_000.0),
                        attempt
                            .status
                            .map_or_else(|| attempt.error.unwrap_or_default(), |status| status.to_string()),
                        attempt.error_detail.or(attempt.response).unwrap_or_default(),
                    ]
                })
                .collect();
            table::print(&["ATTEMPT", "STARTED", "TOOK", "OUTCOME", "DETAIL"], &rows);
        }
    }
    Ok(())
}

pub(super) fn print_deliveries(deliveries: &[DeliveryDocument]) {
    let rows: Vec<_> = deliveries
        .iter()
        .map(|delivery| {
            vec![
                delivery.id.clone(),
                delivery.event.clone(),
                delivery.tenant.clone(),
                delivery.endpoint.clone(),
                delivery.state.clone(),
                match delivery.attempts_max {
                    Some(max) => format!("{}/{max}", delivery.attempts),
                    None => delivery.attempts.to_string(),
                },
                match (&delivery.completed_at, &delivery.due_at) {
                    (Some(at), _) => format!("ended {at}"),
                    (None, Some(at)) => format!("due {at}"),
                    (None, None) => String::new(),
                },
            ]
        })
        .collect();
    table::print(&["ID", "EVENT", "TENANT", "ENDPOINT", "STATE", "ATTEMPTS", "WHEN"], &rows);
}
