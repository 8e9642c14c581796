//! `hookyard replay`.

use clap::Args;
use serde_json::json;
use uuid::Uuid;

use super::{Common, Failure, Format, Needs};
use crate::documents::ReplayedDocument;

#[derive(Debug, Args)]
pub(super) struct Replay {
    /// A delivery: one that failed starts over, one that waits for its next attempt is due now. Or an event: one that is
    /// held or dead-lettered is routed again, and the same is done with all its deliveries
    id: Uuid,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

impl Replay {
    pub(super) async fn run(self, common: &Common) -> Result<(), Failure> {
        let api = common.api(Needs::Database).await?;
        let id = self.id;
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
}
