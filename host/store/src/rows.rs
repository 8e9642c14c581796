//! Reading and writing the few columns that hold more than a number or a name.
//!
//! What this version did not write is refused as [`Error::Corrupt`], never guessed at.

use hookyard_domain::{DeliveryState, EventState};

use super::{error::Error, record::Pairs};

/// Pairs as JSON text, `[["name","value"],…]`.
pub fn pairs_to_text(pairs: &Pairs) -> String {
    if pairs.is_empty() {
        return "[]".to_owned();
    }
    serde_json::to_string(pairs).expect("strings always serialise")
}

pub fn pairs_from_text(text: Option<&str>) -> Result<Pairs, Error> {
    match text {
        None | Some("[]") => Ok(Vec::new()),
        Some(text) => serde_json::from_str(text).map_err(|error| corrupt("event", "headers", text, &error.to_string())),
    }
}

pub fn event_state(text: &str) -> Result<EventState, Error> {
    EventState::parse(text).ok_or_else(|| corrupt("event", "state", text, "no such state"))
}

pub fn delivery_state(text: &str) -> Result<DeliveryState, Error> {
    DeliveryState::parse(text).ok_or_else(|| corrupt("delivery", "state", text, "no such state"))
}

pub fn corrupt(table: &'static str, column: &'static str, row: &str, problem: &str) -> Error {
    Error::Corrupt {
        table,
        column,
        row: row.chars().take(80).collect(),
        problem: problem.to_owned(),
    }
}
