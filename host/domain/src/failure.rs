//! How a plugin run fails, and what its sender wants done about it.
//!
//! A failed run is not a failed delivery: it uses up no attempt and moves no endpoint's breaker. The guest may name its own
//! kind of failure, the host adds those it sees from outside, and the sender's policy decides what becomes of the event.
//! When a plugin that keeps failing is left alone is [`crate::breaker::PluginBreaker`]'s question.

use std::fmt;

use crate::words::words;

words! {
    /// What went wrong in a run, by who has to act on it.
    pub enum FailureClass {
        /// The plugin says that this event can never be handled.
        BadEvent = "bad-event",
        /// The plugin says that its configuration is wrong, so no event can be handled.
        BadConfig = "bad-config",
        /// The plugin says that another try may work.
        Transient = "transient",
        /// The plugin reports a defect of its own, or left with an unknown exit code.
        Internal = "internal",
        /// The guest trapped: a panic, an `unreachable`, an access out of bounds.
        Trap = "trap",
        /// It used up its CPU time or its instruction budget.
        CpuBudget = "cpu-budget",
        /// It got too little CPU to finish within the wall-clock cap: a fault of the host, not of the plugin.
        WallCap = "wall-cap",
        /// It asked for more memory or table space than it may have.
        Memory = "memory",
        /// It recursed past its stack.
        StackOverflow = "stack-overflow",
        /// It answered, but the answer broke a rule of [`crate::decision::check`].
        OutputRefused = "output-refused",
        /// It does not keep the plugin contract: a missing export, an unknown import, an answer that is not one.
        Contract = "contract",
    }
}

impl FailureClass {
    /// Whether the run counts towards the plugin's breaker.
    ///
    /// Not counted: what a single event caused (`BadEvent`), what may pass by itself (`Transient`) and what the host caused
    /// (`WallCap`). A flood of malformed events must not stop a plugin that refuses them rightly.
    pub const fn counts_against_plugin(self) -> bool {
        match self {
            Self::BadEvent | Self::Transient | Self::WallCap => false,
            Self::BadConfig
            | Self::Internal
            | Self::Trap
            | Self::CpuBudget
            | Self::Memory
            | Self::StackOverflow
            | Self::OutputRefused
            | Self::Contract => true,
        }
    }
}

words! {
    /// What a sender wants done with an event whose plugin failed.
    #[derive(Default)]
    pub enum FailurePolicy {
        /// Keep the event, show it, and route it again once a version works. The default: neither lets through what a
        /// filter was there to stop, nor loses what a bad deployment touched.
        #[default]
        Hold = "hold",
        /// Set the event aside for good, for inspection.
        DeadLetter = "dead-letter",
        /// Deliver the payload as received to every candidate, as if there were no plugin.
        PassThrough = "pass-through",
    }
}

/// One failed run, as it is stored with the event and shown to the sender's owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginFailure {
    /// Who has to act.
    pub class: FailureClass,
    /// A short stable code for metrics, the plugin's own or the host's, e.g. `memory-limit`; may be empty.
    pub code: String,
    /// What happened, in the words of the plugin or the host.
    pub message: String,
}

impl fmt::Display for PluginFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.class)?;
        if !self.code.is_empty() {
            write!(f, " ({})", self.code)?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for PluginFailure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_the_event_nor_the_host_nor_bad_luck_counts_against_a_plugin() {
        let not_counted: Vec<_> = FailureClass::ALL.iter().filter(|class| !class.counts_against_plugin()).collect();
        assert_eq!(
            not_counted,
            [&FailureClass::BadEvent, &FailureClass::Transient, &FailureClass::WallCap]
        );
    }

    #[test]
    fn an_event_is_held_unless_the_sender_says_otherwise() {
        assert_eq!(FailurePolicy::default(), FailurePolicy::Hold);
    }

    #[test]
    fn a_failure_is_shown_without_the_parts_it_lacks() {
        let failure = |code: &str, message: &str| {
            PluginFailure {
                class: FailureClass::Trap,
                code: code.into(),
                message: message.into(),
            }
            .to_string()
        };
        assert_eq!(failure("no-repo", "payload names none"), "trap (no-repo): payload names none");
        assert_eq!(failure("", "unreachable executed"), "trap: unreachable executed");
        assert_eq!(failure("", ""), "trap");
    }
}
