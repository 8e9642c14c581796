//! `hookyard modules`: contents of plugins that are refused, and having one tried again.

use clap::{Args, Subcommand};

use super::{Common, Failure, Format, Needs, list::print_json, table};
use crate::documents::RefusedModulesDocument;

#[derive(Debug, Args)]
pub(super) struct Modules {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists the contents that are refused, whoever brings them, newest first
    Refused {
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Has a refused or quarantined content tried again
    Retry {
        /// SHA-256 of the file, as "hookyard modules refused" shows it
        hash: String,
    },
}

impl Modules {
    pub(super) async fn run(self, common: &Common) -> Result<(), Failure> {
        let api = common.api(Needs::DatabaseAndKey).await?;
        match self.command {
            Command::Refused { format } => {
                let refused: RefusedModulesDocument = api.get("/api/v1/modules/refused", &[]).await?;
                match format {
                    Format::Json => print_json(&refused.items)?,
                    Format::Table if refused.items.is_empty() => say!("no content is refused"),
                    Format::Table => print(&refused),
                }
                Ok(())
            }
            Command::Retry { hash } => {
                if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return Err(Failure::Usage(format!(
                        "{hash} is not the SHA-256 of a file: 64 hexadecimal digits"
                    )));
                }
                match api.delete(&format!("/api/v1/modules/refused/{}", hash.to_ascii_lowercase())).await {
                    Err(Failure::NotFound(_)) => Err(Failure::NotFound(format!("no content with the hash {hash} is refused"))),
                    retried => {
                        retried?;
                        say!("module {hash} is tried again");
                        Ok(())
                    }
                }
            }
        }
    }
}

fn print(refused: &RefusedModulesDocument) {
    let rows: Vec<_> = refused
        .items
        .iter()
        .map(|module| {
            vec![
                module.hash.clone(),
                if module.quarantined { "quarantined" } else { "refused" }.to_owned(),
                module.refused_at.clone(),
                module.until.clone().unwrap_or_else(|| "for good".to_owned()),
                module.reason.clone(),
            ]
        })
        .collect();
    table::print(&["MODULE", "STATE", "SINCE", "UNTIL", "WHY"], &rows);
}
