//! `hookyard replay`.

use clap::Args;
use hookyard_domain::Scope;
use uuid::Uuid;

use super::{Common, Failure, Format, manage, refused};
use crate::manage::Refusal;

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
        let manage = manage(common.existing_store().await?);
        let restarted = match manage.replay(Scope::Operator, self.id).await {
            Ok(replayed) => replayed.count,
            Err(Refusal::NotFound { what }) => return Err(Failure::NotFound(format!("there is no {what} {}", self.id))),
            Err(refusal) => return Err(refused(refusal)),
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
