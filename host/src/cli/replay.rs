//! `hookyard replay`.

use clap::Args;
use hookyard_domain::{DeliveryId, EventId, Scope};
use uuid::Uuid;

use super::{Common, Failure, Format};
use crate::app;

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
        let store = common.existing_store().await?;
        let now = app::now();
        let restarted = if store.event(Scope::Operator, EventId::from_uuid(self.id)).await?.is_some() {
            store.replay_event(Scope::Operator, EventId::from_uuid(self.id), now).await?
        } else if store.delivery(Scope::Operator, DeliveryId::from_uuid(self.id)).await?.is_some() {
            store.replay_delivery(Scope::Operator, DeliveryId::from_uuid(self.id), now).await?
        } else {
            return Err(Failure::NotFound(format!("there is no event or delivery {}", self.id)));
        };
        match self.format {
            Format::Json => say!("{}", serde_json::json!({ "id": self.id.to_string(), "restarted": restarted })),
            Format::Table if restarted == 0 => {
                say!("nothing to replay: it is under way or due already, was delivered, or was dropped on purpose");
            }
            Format::Table => say!("{restarted} put back to work"),
        }
        Ok(())
    }
}
