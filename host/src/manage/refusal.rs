//! Why an operation was not carried out, in cases a caller can act on. Each dialect spells them in its own way.

use std::fmt;

use crate::store::Error;

/// Nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// It is not there, or not within the scope: the two look the same from outside.
    #[error("there is no such {what}")]
    NotFound { what: &'static str },
    /// What was asked for is wrong; every problem is listed.
    #[error("{0}")]
    Invalid(Problems),
    /// A name or a credential is another's. The text says which.
    #[error("{0}")]
    Taken(String),
    /// The same thing was changed by somebody else at the same time. Asking again works on what it is now.
    #[error("{0} was changed by somebody else meanwhile")]
    Changed(String),
    /// It is not any more what the caller said it wants to change.
    #[error("{what} is another than the one that is to be changed: it has revision {found}")]
    Outdated { what: &'static str, found: i64 },
    /// Something else still needs it.
    #[error("{0}")]
    InUse(String),
    /// Too much of this kind is going on; the same call may succeed soon.
    #[error("too much is going on")]
    Busy,
    /// The plugins cannot be asked about a configuration, for a reason of this machine's.
    #[error("the plugins cannot be asked: {0}")]
    PluginsNotAsked(String),
    /// The database is away, full or too busy; the same call may succeed later.
    #[error("the database is not available")]
    Unavailable(#[source] Error),
    /// A defect of the server or a damaged row. Repeating does not help.
    #[error("the operation failed")]
    Defect(#[source] Error),
}

/// Everything that is wrong with what was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The path to the field, e.g. `events[2]`; in a set-up with what it belongs to before it.
    pub field: String,
    pub message: String,
}

impl Problems {
    pub fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem {
            field: field.into(),
            message: message.into(),
        });
    }

    /// Adds the problem of a check that failed.
    pub fn check(&mut self, field: &str, checked: Result<(), String>) {
        if let Err(message) = checked {
            self.add(field, message);
        }
    }

    /// Adds the problems of a part, each with the part's place before its field.
    pub fn within(&mut self, place: &str, part: Self) {
        for problem in part.0 {
            self.add(format!("{place}, {}", problem.field), problem.message);
        }
    }

    /// # Errors
    /// [`Refusal::Invalid`] when there are any.
    pub fn refuse(self) -> Result<(), Refusal> {
        if self.0.is_empty() { Ok(()) } else { Err(Refusal::Invalid(self)) }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::Taken(text) => Self::Taken(text.to_string()),
            Error::Changed(thing) => Self::Changed(thing.to_string()),
            Error::InUse(thing) => Self::InUse(format!("{thing} is still needed")),
            Error::Unreachable(_) | Error::Full(_) | Error::Busy | Error::Closed => Self::Unavailable(error),
            Error::Corrupt { .. } | Error::Statement(_) => Self::Defect(error),
        }
    }
}
