//! How a plugin run fails, and what its sender wants done about it.
//!
//! A failed run is not a failed delivery: it uses up no attempt and moves no endpoint's breaker. Some kinds of failure are
//! reported by the guest, others are seen by the host from outside. The sender's policy decides what becomes of the event,
//! and [`crate::breaker::PluginBreaker`] when a plugin that keeps failing is left alone.

use std::fmt;

use crate::words::words;

words! {
    /// What went wrong in a run. Each class says who has to act.
    pub enum FailureClass {
        /// The plugin says that this event can never be handled.
        BadEvent = "bad-event",
        /// The plugin says that its configuration is wrong, so no event can be handled.
        BadConfig = "bad-config",
        /// The plugin says that another try may work.
        Transient = "transient",
        /// The plugin reports a defect of its own, or ended with an unknown exit code.
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
        /// It does not keep the plugin contract: a missing export, an unknown import, an answer that cannot be read.
        Contract = "contract",
    }
}

impl FailureClass {
    /// Whether the run counts towards the plugin's breaker.
    ///
    /// Not counted: what a single event caused (`BadEvent`), what another try may not meet again (`Transient`) and what the
    /// host caused (`WallCap`). A flood of malformed events must not stop a plugin that is right to refuse them.
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
        /// Keep the event, show it, and route it again once a version works. The default: nothing gets past a filter that is
        /// broken, and no event is lost to a bad deployment.
        #[default]
        Hold = "hold",
        /// Keep the event for inspection and never route it again.
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
    /// A short code for metrics that does not change, the plugin's or the host's, e.g. `memory-limit`; may be empty.
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
