//! What the commands that list things have in common: which rows, and how they are printed.

use clap::Args;
use serde::Serialize;
use uuid::Uuid;

use super::{Failure, Format};

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
    /// What is asked for, as parameters of the API.
    ///
    /// # Errors
    /// There is no such state.
    pub(super) fn query<State: Copy>(
        &self,
        states: &[State],
        word: fn(State) -> &'static str,
    ) -> Result<Vec<(&'static str, String)>, Failure> {
        let mut query = vec![("limit", self.limit.to_string())];
        if let Some(text) = &self.state {
            if !states.iter().any(|state| word(*state) == text) {
                let words: Vec<_> = states.iter().map(|state| word(*state)).collect();
                return Err(Failure::Usage(format!("there is no state {text}; there are {}", words.join(", "))));
            }
            query.push(("state", text.clone()));
        }
        query.extend(self.tenant.clone().map(|tenant| ("tenant", tenant)));
        query.extend(self.before.map(|before| ("before", before.to_string())));
        Ok(query)
    }

    /// What a list that is absent means: the tenant is.
    pub(super) fn absent(&self, failure: Failure) -> Failure {
        match (failure, &self.tenant) {
            (Failure::NotFound(_), Some(tenant)) => Failure::NotFound(format!("there is no tenant {tenant}")),
            (failure, _) => failure,
        }
    }
}

/// A query with its values borrowed.
pub(super) fn pairs<'a>(query: &'a [(&'a str, String)]) -> Vec<(&'a str, &'a str)> {
    query.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

pub(super) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    say!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}
