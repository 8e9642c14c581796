//! How far an accepted event has come.
//!
//! An event is either still to be routed, or there is a decision about it. Only the words for that are here; the payload, the
//! decision's text and the deliveries are rows of the store.

use crate::words::words;

words! {
    /// How far an event has come. Once decided it never changes (promise R1), except that a held event is routed again or
    /// given up.
    pub enum EventState {
        /// Accepted and committed; waits for routing.
        Pending = "pending",
        /// Routed: its deliveries were committed together with this word.
        Routed = "routed",
        /// Its router chose to deliver it to nobody, or nobody wanted it; the reason is kept with the decision.
        Dropped = "dropped",
        /// Its router failed and the sender's policy keeps it until a version works.
        Held = "held",
        /// Its router failed for good, or it was held too long; kept for inspection.
        DeadLettered = "dead-lettered",
    }
}

words! {
    /// Who decided about an event.
    pub enum DecidedBy {
        /// The sender's own set-up: every endpoint that takes the event gets it.
        Sender = "sender",
        /// The event's type: it was published to an environment, and every endpoint that wants the type gets it.
        Subscriptions = "subscriptions",
        /// The sender's plugin, or its failure policy where the plugin failed.
        Plugin = "plugin",
    }
}

impl EventState {
    /// Whether neither time nor a new plugin version moves the event any more. `Held` is not terminal: it waits.
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Routed | Self::Dropped | Self::DeadLettered => true,
            Self::Pending | Self::Held => false,
        }
    }

    /// Whether the event has reached no endpoint and a person may ask why (promise R2).
    pub const fn reached_no_endpoint(self) -> bool {
        match self {
            Self::Dropped | Self::Held | Self::DeadLettered => true,
            Self::Pending | Self::Routed => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_waits_is_not_terminal() {
        let waiting: Vec<_> = EventState::ALL.iter().filter(|state| !state.is_terminal()).collect();
        assert_eq!(waiting, [&EventState::Pending, &EventState::Held]);
    }

    #[test]
    fn every_terminal_event_is_routed_or_can_be_found_as_undelivered() {
        for state in EventState::ALL.iter().filter(|state| state.is_terminal()) {
            assert_ne!(*state == EventState::Routed, state.reached_no_endpoint(), "{state}");
        }
    }
}
