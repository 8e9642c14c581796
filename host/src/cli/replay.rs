//! `hookyard replay`.

use clap::Args;
use serde_json::json;
use uuid::Uuid;

use super::{Common, Failure, Format, Needs, api::Api};
use crate::documents::{ReplayDocument, ReplayedDocument, ReplayedPageDocument};

#[derive(Debug, Args)]
pub(super) struct Replay {
    /// A delivery: one that failed starts over, one that waits for its next attempt is due now. Or an event: one that is
    /// held or dead-lettered is routed again, and the same is done with all its deliveries
    #[arg(required_unless_present_any = ["events", "deliveries"])]
    id: Option<Uuid>,
    /// Instead: all events in this state, held or dead-lettered
    #[arg(long, value_name = "STATE", conflicts_with_all = ["id", "deliveries"])]
    events: Option<String>,
    /// Instead: all deliveries in this state, exhausted, rejected or cancelled
    #[arg(long, value_name = "STATE", conflicts_with = "id")]
    deliveries: Option<String>,
    /// With --events or --deliveries: only this tenant's, by name
    #[arg(long, value_name = "NAME", conflicts_with = "id")]
    tenant: Option<String>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

impl Replay {
    pub(super) async fn run(self, common: &Common) -> Result<(), Failure> {
        let api = common.api(Needs::Database).await?;
        let Some(id) = self.id else { return self.many(&api).await };
        let replayed: Result<ReplayedDocument, _> = api.post(&format!("/api/v1/events/{id}/replay"), &json!({})).await;
        let replayed = match replayed {
            Err(Failure::NotFound(_)) => api.post(&format!("/api/v1/deliveries/{id}/replay"), &json!({})).await,
            replayed => replayed,
        };
        let replayed = match replayed {
            Err(Failure::NotFound(_)) => return Err(Failure::NotFound(format!("there is no event or delivery {id}"))),
            replayed => replayed?,
        };
        match self.format {
            Format::Json => say!("{}", serde_json::to_string(&replayed)?),
            Format::Table if replayed.restarted == 0 => {
                say!("nothing to replay: it is under way or due already, was delivered, or was dropped on purpose");
            }
            Format::Table => say!("{} put back to work", replayed.restarted),
        }
        Ok(())
    }

    /// Page after page, so that no other write waits long.
    async fn many(self, api: &Api) -> Result<(), Failure> {
        let (what, state) = match (self.events, self.deliveries) {
            (Some(state), _) => ("events", state),
            (None, state) => ("deliveries", state.unwrap_or_default()),
        };
        let mut wanted = ReplayDocument {
            tenant: self.tenant,
            state,
            before: None,
        };
        let mut restarted = 0;
        loop {
            let replayed: ReplayedPageDocument = api.post(&format!("/api/v1/{what}/replay"), &wanted).await?;
            restarted += replayed.restarted;
            let Some(next) = replayed.next else { break };
            wanted.before = Some(next.parse()?);
        }
        match self.format {
            Format::Json => say!("{}", json!({ "restarted": restarted })),
            Format::Table => say!("{restarted} put back to work"),
        }
        Ok(())
    }
}
