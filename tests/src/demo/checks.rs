//! The checks of the demonstration: what should be, what was, and whether they are the same.

use std::fmt::Display;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) what: String,
    pub(super) expected: String,
    /// None when it was as expected.
    pub(super) instead: Option<String>,
}

/// Every check so far, in the order of the story.
#[derive(Debug, Default)]
pub(super) struct Checks(Vec<Check>);

impl Checks {
    /// Notes whether two values are equal.
    pub(super) fn same(&mut self, what: impl Into<String>, expected: impl Display, found: impl Display) {
        let (expected, found) = (expected.to_string(), found.to_string());
        let instead = (expected != found).then_some(found);
        self.0.push(Check {
            what: what.into(),
            expected,
            instead,
        });
    }

    /// Notes whether something holds; `found` says what was there when it does not.
    pub(super) fn holds(&mut self, what: impl Into<String>, expected: impl Display, held: bool, found: impl Display) {
        self.0.push(Check {
            what: what.into(),
            expected: expected.to_string(),
            instead: (!held).then(|| found.to_string()),
        });
    }

    pub(super) fn all(&self) -> &[Check] {
        &self.0
    }

    pub(super) fn failed(&self) -> usize {
        self.0.iter().filter(|check| check.instead.is_some()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_fails_when_what_is_found_differs_and_says_how() {
        let mut checks = Checks::default();
        checks.same("status", 202, "202");
        checks.same("status", 202, 500);
        checks.holds("time", "below 1 s", true, "0.2 s");
        checks.holds("time", "below 1 s", false, "2 s");
        assert_eq!(checks.failed(), 2);
        let instead: Vec<_> = checks.all().iter().map(|check| check.instead.as_deref()).collect();
        assert_eq!(instead, [None, Some("500"), None, Some("2 s")]);
    }
}
