//! `hookyard token`: management tokens.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use uuid::Uuid;

use super::{
    Common, Failure, Format, Needs, app,
    list::{pairs, print_json},
    table,
};
use crate::documents::{CredentialDocument, List};

#[derive(Debug, Args)]
pub(super) struct Token {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes a token and prints it: it is kept nowhere and never shown again
    Create {
        /// The tenant it is for, by name. Without it, the token is the operator's and may do everything
        #[arg(long, value_name = "NAME")]
        tenant: Option<String>,
        /// What it allows
        #[arg(long, value_enum, default_value_t = Rights::Read)]
        rights: Rights,
        /// What people read it as, such as who has it
        #[arg(long, value_name = "TEXT")]
        label: Option<String>,
        /// Days until it expires. Default: it does not
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3_650))]
        expires_in_days: Option<u32>,
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Lists tokens, newest first, with their last use
    List {
        /// Only this tenant's, by name
        #[arg(long, value_name = "NAME")]
        tenant: Option<String>,
        /// How many (1 to 1000)
        #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
        limit: u32,
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Ends a token for good: at once on one server, within a second on the others
    Revoke {
        /// The token's id, as "hookyard token list" shows it
        id: Uuid,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Rights {
    /// To see everything but secrets
    Read,
    /// To change things, too
    Write,
}

impl Rights {
    fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

const DAY_S: u64 = 86_400;

impl Token {
    pub(super) async fn run(self, common: &Common) -> Result<(), Failure> {
        match self.command {
            Command::Create {
                tenant,
                rights,
                label,
                expires_in_days,
                format,
            } => {
                let api = common.api(Needs::ClaimedDatabase).await?;
                let lasts = |days: u32| std::time::Duration::from_secs(u64::from(days) * DAY_S);
                let expires_at = expires_in_days.map(|days| app::now().plus(lasts(days)).to_string());
                let new = json!({
                    "kind": "management-token",
                    "tenant": tenant,
                    "rights": rights.as_str(),
                    "label": label,
                    "expires_at": expires_at,
                });
                let made: Result<CredentialDocument, _> = api.post("/api/v1/credentials", &new).await;
                let made = made.map_err(|failure| absent(failure, tenant.as_deref()))?;
                match format {
                    Format::Json => print_json(&made)?,
                    Format::Table => say!("{}", made.text.unwrap_or_default()),
                }
                Ok(())
            }
            Command::List { tenant, limit, format } => {
                let api = common.api(Needs::Database).await?;
                let mut query = vec![("limit", limit.to_string())];
                query.extend(tenant.clone().map(|tenant| ("tenant", tenant)));
                let listed: Result<List<CredentialDocument>, _> = api.get("/api/v1/credentials", &pairs(&query)).await;
                let listed = listed.map_err(|failure| absent(failure, tenant.as_deref()))?;
                match format {
                    Format::Json => print_json(&listed.items)?,
                    Format::Table => print(&listed.items),
                }
                Ok(())
            }
            Command::Revoke { id } => {
                let api = common.api(Needs::DatabaseAndKey).await?;
                match api.delete(&format!("/api/v1/credentials/{id}")).await {
                    Err(Failure::NotFound(_)) => Err(Failure::NotFound(format!("there is no token {id}, or it is revoked already"))),
                    revoked => {
                        revoked?;
                        say!("token {id} is revoked");
                        Ok(())
                    }
                }
            }
        }
    }
}

fn absent(failure: Failure, tenant: Option<&str>) -> Failure {
    match (failure, tenant) {
        (Failure::NotFound(_), Some(tenant)) => Failure::NotFound(format!("there is no tenant {tenant}")),
        (failure, _) => failure,
    }
}

fn print(tokens: &[CredentialDocument]) {
    let now = app::now().to_string();
    let rows: Vec<_> = tokens
        .iter()
        .map(|token| {
            // Times are texts that sort as their moments do.
            let state = match (&token.revoked_at, &token.disabled_at, &token.expires_at) {
                (Some(at), _, _) => format!("revoked {at}"),
                (None, Some(_), _) => "disabled".to_owned(),
                (None, None, Some(at)) if *at <= now => format!("expired {at}"),
                (None, None, Some(at)) => format!("until {at}"),
                (None, None, None) => "active".to_owned(),
            };
            vec![
                token.id.clone(),
                token.tenant.clone().unwrap_or_else(|| "operator".to_owned()),
                token.rights.clone().unwrap_or_default(),
                state,
                token.last_used_at.clone().unwrap_or_else(|| "never used".to_owned()),
                token.label.clone().unwrap_or_default(),
            ]
        })
        .collect();
    table::print(&["ID", "TENANT", "RIGHTS", "STATE", "LAST USED", "LABEL"], &rows);
}
