//! HookSentry's words for ours, and back: the one state of an event (docs/contracts/hooksentry.md, section 2.1), roles and
//! statuses. On the way in a word is taken in any case, or as its number (docs/contracts/hooksentry.md, section 1).

use hookyard_domain::{EventState, Timestamp};
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use utoipa::openapi::{ObjectBuilder, schema::OneOfBuilder};

use super::{answers::Refused, openapi};
use crate::{
    configuration::EndpointStatus,
    manage::Role,
    store::{Become, Progress},
};

pub const CRITICAL_FAILURE: &str = "CriticalFailure";

/// An event of several deliveries is as far as its least finished one, and as bad as its worst.
///
/// A held event is `Pending`: it will be routed. A dropped one was `Cancelled`, on purpose.
pub fn status(progress: &Progress) -> &'static str {
    match progress.state {
        EventState::Pending | EventState::Held => "Pending",
        EventState::Dropped => "Cancelled",
        EventState::DeadLettered => CRITICAL_FAILURE,
        EventState::Routed if progress.fresh > 0 => "Pending",
        EventState::Routed if progress.retrying > 0 => "WaitingRetry",
        EventState::Routed if progress.exhausted > 0 => CRITICAL_FAILURE,
        EventState::Routed if progress.rejected > 0 => "AuthenticationFailed",
        EventState::Routed if progress.delivered > 0 => "Succeeded",
        EventState::Routed => "Cancelled",
    }
}

/// A status that a list of events may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    State(Become),
    /// The contract has the word and no event is ever in it.
    Never,
}

/// # Errors
/// No such status.
pub fn read_status(text: &str) -> Result<Wanted, Refused> {
    one_of("Status", text, &STATUS_NUMBERS, &STATUSES)
}

const STATUSES: [(&str, Wanted); 8] = [
    ("Pending", Wanted::State(Become::Pending)),
    ("Processing", Wanted::Never),
    ("Succeeded", Wanted::State(Become::Delivered)),
    ("Failed", Wanted::Never),
    ("WaitingRetry", Wanted::State(Become::Retrying)),
    (CRITICAL_FAILURE, Wanted::State(Become::Exhausted)),
    ("Cancelled", Wanted::State(Become::Cancelled)),
    ("AuthenticationFailed", Wanted::State(Become::Rejected)),
];
/// In the order of [`STATUSES`].
const STATUS_NUMBERS: [u32; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

pub fn status_schema() -> ObjectBuilder {
    let written = STATUSES.iter().filter(|(_, wanted)| *wanted != Wanted::Never);
    openapi::one_of(&written.map(|(word, _)| *word).collect::<Vec<_>>())
}

pub fn status_filter_schema() -> OneOfBuilder {
    openapi::one_of_or_number(&STATUSES.map(|(word, _)| word), &STATUS_NUMBERS)
}

const ROLES: [(&str, Role); 4] = [
    ("Developer", Role::Developer),
    ("Admin", Role::Admin),
    ("Owner", Role::Owner),
    ("Viewer", Role::Viewer),
];
/// In the order of [`ROLES`].
const ROLE_NUMBERS: [u32; 4] = [0, 1, 10, 20];
const ACTIVE: [(&str, bool); 2] = [("Active", true), ("Inactive", false)];
/// In the order of [`ACTIVE`].
const ACTIVE_NUMBERS: [u32; 2] = [0, 1];

pub fn role_schema() -> ObjectBuilder {
    openapi::one_of(&ROLES.map(|(word, _)| word))
}

pub fn role_filter_schema() -> OneOfBuilder {
    openapi::one_of_or_number(&ROLES.map(|(word, _)| word), &ROLE_NUMBERS)
}

pub fn role_in_schema() -> OneOfBuilder {
    openapi::any_or_none(role_filter_schema())
}

/// Of an invite: nobody is invited as an owner.
pub fn role_to_invite_schema() -> OneOfBuilder {
    let others: Vec<_> = ROLES
        .iter()
        .zip(ROLE_NUMBERS)
        .filter(|((_, role), _)| *role != Role::Owner)
        .collect();
    let words: Vec<_> = others.iter().map(|((word, _), _)| *word).collect();
    let numbers: Vec<_> = others.iter().map(|(_, number)| *number).collect();
    openapi::any_or_none(openapi::one_of_or_number(&words, &numbers))
}

pub fn active_schema() -> ObjectBuilder {
    openapi::one_of(&ACTIVE.map(|(word, _)| word))
}

pub fn active_filter_schema() -> OneOfBuilder {
    openapi::one_of_or_number(&ACTIVE.map(|(word, _)| word), &ACTIVE_NUMBERS)
}

pub fn active_in_schema() -> OneOfBuilder {
    openapi::any_or_none(active_filter_schema())
}

pub fn endpoint_status_schema() -> ObjectBuilder {
    use EndpointStatus::{Active, Inactive, Suspended};
    openapi::one_of(&[Active, Inactive, Suspended].map(endpoint_status))
}

pub fn role(role: Role) -> &'static str {
    let known = ROLES.iter().find(|(_, known)| *known == role);
    known.expect("every role has a word").0
}

/// # Errors
/// No such role.
pub fn read_role(value: &Value) -> Result<Role, Refused> {
    read_role_text(&as_text(value))
}

/// # Errors
/// No such role.
pub fn read_role_text(text: &str) -> Result<Role, Refused> {
    one_of("role", text, &ROLE_NUMBERS, &ROLES)
}

pub fn active(active: bool) -> &'static str {
    if active { "Active" } else { "Inactive" }
}

/// # Errors
/// Neither active nor inactive.
pub fn read_active(value: &Value) -> Result<bool, Refused> {
    read_active_text(&as_text(value))
}

/// # Errors
/// Neither active nor inactive.
pub fn read_active_text(text: &str) -> Result<bool, Refused> {
    one_of("status", text, &ACTIVE_NUMBERS, &ACTIVE)
}

pub fn endpoint_status(status: EndpointStatus) -> &'static str {
    match status {
        EndpointStatus::Active => "Active",
        EndpointStatus::Inactive => "Inactive",
        EndpointStatus::Suspended => "Suspended",
    }
}

/// A bound on a time: RFC 3339, or a day, which begins at midnight UTC.
///
/// # Errors
/// It is neither.
pub fn read_time(name: &str, text: &str) -> Result<Timestamp, Refused> {
    // A '+' of an offset that was not escaped arrives as a space.
    let text = text.replace(' ', "+");
    let spellings = [text.clone(), format!("{text}Z"), format!("{text}:00Z"), format!("{text}T00:00:00Z")];
    let read = spellings.iter().find_map(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    let micros = read.and_then(|at| i64::try_from(at.unix_timestamp_nanos() / 1_000).ok());
    micros
        .map(Timestamp::from_micros)
        .ok_or_else(|| Refused::Invalid(format!("{name} must be a time such as 2026-07-03T12:00:00Z")))
}

fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn one_of<T: Copy>(name: &str, text: &str, numbers: &[u32], words: &[(&'static str, T)]) -> Result<T, Refused> {
    let text = text.trim();
    let by_number = || {
        let number: u32 = text.parse().ok()?;
        let place = numbers.iter().position(|known| *known == number)?;
        words.get(place)
    };
    let by_word = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
    by_word.or_else(by_number).map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        Refused::Invalid(format!("{name} must be one of {}", known.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use hookyard_domain::{EventId, Timestamp};

    use super::*;

    fn routed(fresh: u32, retrying: u32, delivered: u32, rejected: u32, exhausted: u32) -> Progress {
        Progress {
            event: EventId::from_uuid(uuid::Uuid::nil()),
            accepted_at: Timestamp::EPOCH,
            state: EventState::Routed,
            fresh,
            retrying,
            delivered,
            rejected,
            exhausted,
        }
    }

    #[test]
    fn the_least_finished_then_the_worst_delivery_speaks() {
        for (progress, word) in [
            (routed(1, 1, 1, 1, 1), "Pending"),
            (routed(0, 1, 1, 1, 1), "WaitingRetry"),
            (routed(0, 0, 1, 1, 1), "CriticalFailure"),
            (routed(0, 0, 1, 1, 0), "AuthenticationFailed"),
            (routed(0, 0, 1, 0, 0), "Succeeded"),
            (routed(0, 0, 0, 0, 0), "Cancelled"),
            (
                Progress {
                    state: EventState::Held,
                    ..routed(0, 0, 0, 0, 0)
                },
                "Pending",
            ),
            (
                Progress {
                    state: EventState::Dropped,
                    ..routed(0, 0, 0, 0, 0)
                },
                "Cancelled",
            ),
        ] {
            assert_eq!(status(&progress), word, "{progress:?}");
        }
    }
}
