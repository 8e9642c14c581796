//! HookSentry's one state of an event, folded from ours (docs/contracts/hooksentry.md, section 2.1).

use hookyard_domain::EventState;

use crate::store::Progress;

/// An event of several deliveries is as far as its least finished one, and as bad as its worst.
///
/// A held event is `Pending`: it will be routed. A dropped one was `Cancelled`, on purpose.
pub fn status(progress: &Progress) -> &'static str {
    match progress.state {
        EventState::Pending | EventState::Held => "Pending",
        EventState::Dropped => "Cancelled",
        EventState::DeadLettered => "CriticalFailure",
        EventState::Routed if progress.fresh > 0 => "Pending",
        EventState::Routed if progress.retrying > 0 => "WaitingRetry",
        EventState::Routed if progress.exhausted > 0 => "CriticalFailure",
        EventState::Routed if progress.rejected > 0 => "AuthenticationFailed",
        EventState::Routed if progress.delivered > 0 => "Succeeded",
        EventState::Routed => "Cancelled",
    }
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
