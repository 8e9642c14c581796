//! Reading and writing the few columns that hold more than a number or a name.
//!
//! What this version did not write is refused as [`Error::Corrupt`], never guessed at.

use hookyard_domain::{ContentHash, DeliveryState, EventState};

use super::{error::Error, record::Pairs};

/// The content type nearly every payload has, kept as NULL.
const JSON: &str = "application/json";

/// Pairs as JSON text, `[["name","value"],…]`; none as NULL.
pub fn pairs_to_text(pairs: &Pairs) -> Option<String> {
    (!pairs.is_empty()).then(|| serde_json::to_string(pairs).expect("strings always serialise"))
}

pub fn pairs_from_text(text: Option<&str>) -> Result<Pairs, Error> {
    match text {
        None => Ok(Vec::new()),
        Some(text) => serde_json::from_str(text).map_err(|error| corrupt("event", "headers", text, &error.to_string())),
    }
}

pub fn content_type_to_text(content_type: &str) -> Option<&str> {
    (content_type != JSON).then_some(content_type)
}

pub fn content_type_from_text(text: Option<String>) -> String {
    text.unwrap_or_else(|| JSON.to_owned())
}

pub fn event_state(text: &str) -> Result<EventState, Error> {
    EventState::parse(text).ok_or_else(|| corrupt("event", "state", text, "no such state"))
}

pub fn delivery_state(text: &str) -> Result<DeliveryState, Error> {
    DeliveryState::parse(text).ok_or_else(|| corrupt("delivery", "state", text, "no such state"))
}

pub fn hash(table: &'static str, column: &'static str, bytes: &[u8]) -> Result<ContentHash, Error> {
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| corrupt(table, column, "", "a hash has 32 bytes"))?;
    Ok(ContentHash::from_bytes(bytes))
}

pub fn corrupt(table: &'static str, column: &'static str, row: &str, problem: &str) -> Error {
    Error::Corrupt {
        table,
        column,
        row: row.chars().take(80).collect(),
        problem: problem.to_owned(),
    }
}
