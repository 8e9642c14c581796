//! What the commands that list things have in common: which rows, and how they are printed.

use clap::Args;
use hookyard_domain::Scope;
use serde_json::Value;
use uuid::Uuid;

use super::{Failure, Format};
use crate::store::{Page, Store};

#[derive(Debug, Args)]
pub(super) struct List {
    /// Only this tenant, by name
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Only this state
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Only what is older than this id: the last one of the page before
    #[arg(long, value_name = "ID")]
    before: Option<Uuid>,
    /// How many, newest first (1 to 1000)
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: u32,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(super) format: Format,
}

impl List {
    pub(super) fn page<State: Copy>(&self, states: &[State], word: fn(State) -> &'static str) -> Result<Page<State>, Failure> {
        let state = match &self.state {
            None => None,
            Some(text) => Some(*states.iter().find(|state| word(**state) == text).ok_or_else(|| {
                let words: Vec<_> = states.iter().map(|state| word(*state)).collect();
                Failure::Usage(format!("there is no state {text}; there are {}", words.join(", ")))
            })?),
        };
        Ok(Page {
            state,
            before: self.before,
            limit: self.limit,
        })
    }

    /// On whose behalf the list is asked for.
    pub(super) async fn scope(&self, store: &Store) -> Result<Scope, Failure> {
        let Some(name) = &self.tenant else { return Ok(Scope::Operator) };
        let tenant = store.tenant_named(name).await?;
        tenant
            .map(Scope::Tenant)
            .ok_or_else(|| Failure::NotFound(format!("there is no tenant {name}")))
    }
}

pub(super) fn not_found(what: &str, id: impl std::fmt::Display) -> Failure {
    Failure::NotFound(format!("there is no {what} {id}"))
}

pub(super) fn print_json(value: &Value) -> Result<(), Failure> {
    say!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}
