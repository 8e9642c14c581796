//! What the outcome of one HTTP try means for its delivery.
//!
//! [`settle`] is the whole rule: success, a status that the profile calls final, another attempt later, or no attempt left.
//! A delivery's attempts number 1..n without gaps and it is terminal exactly when it is completed (promise D1); the store
//! keeps that, this file decides when. How the request was made and how an error was classified is `egress`'s business.

use crate::retry::{AttemptsMax, Schedule};
use crate::time::Timestamp;
use crate::words::words;

words! {
    /// Why a try got no status.
    pub enum ErrorClass {
        /// The receiver's name has no address. A resolver of ours that does not answer is `Internal`.
        Dns = "dns",
        /// Every address the name has is one that deliveries may not go to; see [`crate::address`].
        AddressRefused = "address-refused",
        /// The connection was refused, reset while opening, or the host was unreachable.
        Connect = "connect",
        /// The TLS handshake or the certificate failed.
        Tls = "tls",
        /// The total deadline passed, in whichever part of the try.
        Timeout = "timeout",
        /// What came back is not HTTP, or broke off before the status.
        Protocol = "protocol",
        /// The endpoint's URL cannot be requested.
        InvalidUrl = "invalid-url",
        /// A fault of our own: a resolver, a file handle, a shutdown in mid-flight.
        Internal = "internal",
    }
}

/// How one try ended. A response body that was too large is cut, not an error, so it ends as its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver answered with this status, e.g. 200.
    Status(u16),
    /// There was no answer.
    Error(ErrorClass),
}

impl Outcome {
    /// Whether the receiver took the delivery: any 2xx. Redirects are not followed, so 3xx is a failure.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Status(200..=299))
    }

    /// Whether this failure moves the endpoint's breaker (promise D3): only what the receiver did counts, so neither our
    /// own faults nor a URL or address that was never called. 401, 403 and 404 count
    /// (docs/contracts/hooksentry.md, section 14.8).
    pub const fn counts_against_endpoint(self) -> bool {
        match self {
            Self::Status(_) => !self.is_success(),
            Self::Error(class) => match class {
                ErrorClass::Dns | ErrorClass::Connect | ErrorClass::Tls | ErrorClass::Timeout | ErrorClass::Protocol => true,
                ErrorClass::AddressRefused | ErrorClass::InvalidUrl | ErrorClass::Internal => false,
            },
        }
    }
}

words! {
    /// The habits of the API that created an endpoint, as far as they bear on its deliveries.
    pub enum Profile {
        /// HookSentry (docs/contracts/hooksentry.md, section 14).
        HookSentry = "hooksentry",
    }
}

impl Profile {
    /// The waits between attempts.
    pub const fn schedule(self) -> Schedule {
        match self {
            Self::HookSentry => Schedule::hooksentry(),
        }
    }

    /// The statuses that end a delivery at once, however many attempts are left.
    pub const fn final_statuses(self) -> &'static [u16] {
        match self {
            // docs/contracts/hooksentry.md, section 14.4. 410 and 429 get no special treatment there.
            Self::HookSentry => &[401, 403, 404],
        }
    }
}

/// What becomes of a delivery after a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// The receiver took it.
    Delivered,
    /// Another attempt is due at this moment.
    RetryAt(Timestamp),
    /// The receiver answered with a final status.
    Rejected,
    /// It failed and no attempt is left.
    Exhausted,
}

impl Settlement {
    /// The state the delivery is in from now on.
    pub const fn state(self) -> DeliveryState {
        match self {
            Self::Delivered => DeliveryState::Delivered,
            Self::RetryAt(_) => DeliveryState::Waiting,
            Self::Rejected => DeliveryState::Rejected,
            Self::Exhausted => DeliveryState::Exhausted,
        }
    }
}

words! {
    /// Where a delivery stands.
    pub enum DeliveryState {
        /// Its next attempt is due at some moment, now perhaps; an attempt in flight is a lease, not a state.
        Waiting = "waiting",
        /// The receiver took it.
        Delivered = "delivered",
        /// The receiver answered with a final status.
        Rejected = "rejected",
        /// Every attempt failed.
        Exhausted = "exhausted",
        /// Someone stopped it, e.g. by deleting its endpoint.
        Cancelled = "cancelled",
    }
}

impl DeliveryState {
    /// Whether there will be no further attempt.
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Waiting => false,
            Self::Delivered | Self::Rejected | Self::Exhausted | Self::Cancelled => true,
        }
    }
}

/// Decides what becomes of a delivery whose attempt `attempt_number` (from 1) ended at `now` with `outcome`.
///
/// Our own faults use up attempts like the receiver's: an attempt was made and stands in the list, and a delivery that
/// always fails here must end somewhere. `unit_random` (0.0..=1.0) chooses the jitter; see [`Schedule::wait_after`].
pub fn settle(
    profile: Profile,
    attempt_number: u32,
    attempts_max: AttemptsMax,
    outcome: Outcome,
    now: Timestamp,
    unit_random: f64,
) -> Settlement {
    if outcome.is_success() {
        return Settlement::Delivered;
    }
    if let Outcome::Status(status) = outcome
        && profile.final_statuses().contains(&status)
    {
        return Settlement::Rejected;
    }
    if attempt_number >= u32::from(attempts_max.get()) {
        return Settlement::Exhausted;
    }
    Settlement::RetryAt(now.plus(profile.schedule().wait_after(attempt_number, unit_random)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::from_micros(1_783_080_000_000_000);

    fn settle_hooksentry(attempt_number: u32, outcome: Outcome) -> Settlement {
        settle(Profile::HookSentry, attempt_number, AttemptsMax::default(), outcome, NOW, 0.0)
    }

    fn any_outcome() -> impl Strategy<Value = Outcome> {
        prop_oneof![
            (100_u16..600).prop_map(Outcome::Status),
            prop::sample::select(ErrorClass::ALL).prop_map(Outcome::Error),
        ]
    }

    #[test]
    fn hooksentry_settles_as_its_contract_says() {
        let in_two_minutes = Settlement::RetryAt(NOW.plus(Duration::from_secs(120)));
        for (outcome, settlement) in [
            (Outcome::Status(200), Settlement::Delivered),
            (Outcome::Status(299), Settlement::Delivered),
            (Outcome::Status(199), in_two_minutes),
            (Outcome::Status(302), in_two_minutes),
            (Outcome::Status(401), Settlement::Rejected),
            (Outcome::Status(403), Settlement::Rejected),
            (Outcome::Status(404), Settlement::Rejected),
            (Outcome::Status(400), in_two_minutes),
            (Outcome::Status(410), in_two_minutes),
            (Outcome::Status(429), in_two_minutes),
            (Outcome::Status(503), in_two_minutes),
            (Outcome::Error(ErrorClass::Timeout), in_two_minutes),
            (Outcome::Error(ErrorClass::AddressRefused), in_two_minutes),
        ] {
            assert_eq!(settle_hooksentry(1, outcome), settlement, "{outcome:?}");
        }
    }

    #[test]
    fn the_last_attempt_that_fails_exhausts_and_one_that_succeeds_delivers() {
        let failed = Outcome::Status(500);
        assert!(matches!(settle_hooksentry(9, failed), Settlement::RetryAt(_)));
        assert_eq!(settle_hooksentry(10, failed), Settlement::Exhausted);
        assert_eq!(settle_hooksentry(10, Outcome::Status(404)), Settlement::Rejected);
        assert_eq!(settle_hooksentry(10, Outcome::Status(204)), Settlement::Delivered);
        assert_eq!(
            settle(Profile::HookSentry, 1, AttemptsMax::MIN, failed, NOW, 0.0),
            Settlement::Exhausted,
            "one attempt means no retry"
        );
    }

    #[test]
    fn only_the_receivers_behaviour_moves_its_breaker() {
        let spared: Vec<_> = ErrorClass::ALL
            .iter()
            .filter(|class| !Outcome::Error(**class).counts_against_endpoint())
            .collect();
        assert_eq!(
            spared,
            [&ErrorClass::AddressRefused, &ErrorClass::InvalidUrl, &ErrorClass::Internal]
        );
        assert!(Outcome::Status(401).counts_against_endpoint());
        assert!(Outcome::Status(500).counts_against_endpoint());
        assert!(!Outcome::Status(204).counts_against_endpoint());
    }

    proptest! {
        #[test]
        fn every_delivery_ends_within_its_attempts(
            outcomes in prop::collection::vec(any_outcome(), 100), attempts_max in 1_u16..=100, unit_random in 0.0_f64..=1.0,
        ) {
            let attempts_max = AttemptsMax::new(attempts_max).unwrap();
            let mut now = NOW;
            let mut attempts_made = 0;
            for (number, outcome) in (1..).zip(outcomes) {
                attempts_made = number;
                match settle(Profile::HookSentry, number, attempts_max, outcome, now, unit_random) {
                    Settlement::RetryAt(at) => {
                        prop_assert!(at > now);
                        now = at;
                    }
                    settlement => {
                        prop_assert!(settlement.state().is_terminal());
                        break;
                    }
                }
            }
            prop_assert!(attempts_made <= u32::from(attempts_max.get()));
        }

        #[test]
        fn a_success_is_never_retried_and_never_counts(status in 200_u16..300, number: u32) {
            let outcome = Outcome::Status(status);
            prop_assert_eq!(settle_hooksentry(number, outcome), Settlement::Delivered);
            prop_assert!(!outcome.counts_against_endpoint());
        }
    }
}
