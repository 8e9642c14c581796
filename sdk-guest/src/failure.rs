//! What a plugin answers when it cannot decide. The kind is what the host acts on; code and message are for people.

use std::fmt;

/// What kind of failure it was, and with it whether another try can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// This event can never be handled: running again will not help.
    BadEvent,
    /// The configuration is wrong: no event can be handled.
    BadConfig,
    /// Worth another try later.
    Transient,
    /// A defect in the plugin.
    Internal,
}

/// A plugin could not decide an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub kind: FailureKind,
    /// Short stable code for metrics, `bad-event` and so on unless [`Failure::with_code`] names a better one.
    pub code: String,
    pub message: String,
}

impl Failure {
    /// This event can never be handled.
    pub fn bad_event(message: impl Into<String>) -> Self {
        Self::of(FailureKind::BadEvent, "bad-event", message)
    }

    /// The configuration is wrong, so that no event can be handled.
    pub fn bad_config(message: impl Into<String>) -> Self {
        Self::of(FailureKind::BadConfig, "bad-config", message)
    }

    /// Another try later may succeed.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::of(FailureKind::Transient, "transient", message)
    }

    /// The plugin is at fault.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::of(FailureKind::Internal, "internal", message)
    }

    /// Replaces the code by a more telling one.
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = code.into();
        self
    }

    fn of(kind: FailureKind, code: &str, message: impl Into<String>) -> Self {
        Self {
            kind,
            code: code.to_owned(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Failure {}

/// JSON that cannot be read is the event's fault; a value that cannot be written as JSON is the plugin's.
impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        if error.line() == 0 {
            return Self::internal(format!("cannot write JSON: {error}"));
        }
        Self::bad_event(format!("the body is not the JSON expected: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_that_cannot_be_read_is_a_bad_event() {
        let failure = Failure::from(serde_json::from_str::<u8>("[1]").unwrap_err());
        assert_eq!(failure.kind, FailureKind::BadEvent);
        assert!(failure.message.ends_with("at line 1 column 0"), "{failure}");
    }

    #[test]
    fn a_value_that_cannot_be_written_as_json_is_a_defect() {
        let keys_that_are_not_strings = std::collections::BTreeMap::from([((1, 2), 3)]);
        let failure = Failure::from(serde_json::to_string(&keys_that_are_not_strings).unwrap_err());
        assert_eq!(failure.kind, FailureKind::Internal);
    }
}
