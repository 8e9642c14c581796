//! What the outcome of one HTTP try means for its delivery.
//!
//! [`settle`] is the whole rule: success, a status that the profile calls final, another attempt later, or no attempt left.
//! A delivery's attempts are numbered 1..n without gaps, and it is terminal exactly when it is completed (promise D1): this
//! file decides when, and the store keeps it so. How a request is made and its errors are classified is up to `egress`.

use crate::profile::Profile;
use crate::retry::AttemptsMax;
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
        /// The total deadline passed, whatever the try was doing.
        Timeout = "timeout",
        /// What came back is not HTTP, or ended before the status.
        Protocol = "protocol",
        /// What the receiver wants sent along cannot be had: its token endpoint does not give a token.
        Auth = "auth",
        /// The endpoint's URL cannot be requested.
        InvalidUrl = "invalid-url",
        /// A fault of our own: a resolver that does not answer, no file handle left, a shutdown during the try.
        Internal = "internal",
    }
}

/// How one try ended. A response body that is too large is cut, which is not an error: the status is the outcome.
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

    /// Whether the receiver made it fail. Not so when we failed ourselves, or when the URL or its address was never called.
    /// Which outcomes move an endpoint's breaker is said by its profile ([`crate::profile::BreakerRule::verdict`]).
    pub const fn is_receivers_failure(self) -> bool {
        match self {
            Self::Status(_) => !self.is_success(),
            Self::Error(class) => match class {
                ErrorClass::Dns | ErrorClass::Connect | ErrorClass::Tls | ErrorClass::Timeout | ErrorClass::Protocol => true,
                ErrorClass::AddressRefused | ErrorClass::Auth | ErrorClass::InvalidUrl | ErrorClass::Internal => false,
            },
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
    /// Which state a delivery is in.
    pub enum DeliveryState {
        /// Its next attempt is due at some moment, perhaps now. An attempt in flight is a lease, not a state of its own.
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

words! {
    /// What a delivery was made for.
    pub enum DeliveryKind {
        /// An event was accepted and this endpoint was chosen for it.
        Event = "event",
        /// Someone asked for a test of the endpoint.
        Test = "test",
        /// Someone asked for an event to be delivered again.
        Replay = "replay",
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
/// Our own faults use up attempts as the receiver's do: the attempt is in the list, and a delivery that always fails through
/// us must end at some time. `unit_random` (0.0..=1.0) chooses the jitter; see
/// [`crate::retry::Schedule::wait_after`].
pub fn settle(
    profile: &Profile,
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
        && (profile.is_final)(status)
    {
        return Settlement::Rejected;
    }
    if attempt_number >= u32::from(attempts_max.get()) {
        return Settlement::Exhausted;
    }
    Settlement::RetryAt(now.plus(profile.schedule.wait_after(attempt_number, unit_random)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_783_080_000_000_000);

    fn settled(profile: &Profile, attempt_number: u32, outcome: Outcome) -> Settlement {
        settle(profile, attempt_number, AttemptsMax::default(), outcome, NOW, 0.0)
    }

    #[test]
    fn a_failure_waits_as_the_profile_says_unless_it_is_final() {
        for profile in crate::profile::ALL {
            let retry = Settlement::RetryAt(NOW.plus(profile.schedule.first));
            for status in (100..200).chain(300..600) {
                let expected = if (profile.is_final)(status) { Settlement::Rejected } else { retry };
                assert_eq!(settled(profile, 1, Outcome::Status(status)), expected, "{profile}, {status}");
            }
            for class in ErrorClass::ALL {
                assert_eq!(settled(profile, 1, Outcome::Error(*class)), retry, "{profile}, {class}");
            }
        }
    }

    #[test]
    fn the_last_attempt_that_fails_exhausts_and_one_that_succeeds_delivers() {
        let failed = Outcome::Status(500);
        for profile in crate::profile::ALL {
            assert!(matches!(settled(profile, 9, failed), Settlement::RetryAt(_)));
            assert_eq!(settled(profile, 10, failed), Settlement::Exhausted);
            assert_eq!(settled(profile, 10, Outcome::Status(204)), Settlement::Delivered);
            let only_one = settle(profile, 1, AttemptsMax::MIN, failed, NOW, 0.0);
            assert_eq!(only_one, Settlement::Exhausted, "one attempt means no retry");
            let refused = (100..600).find(|status| (profile.is_final)(*status));
            if let Some(status) = refused {
                assert_eq!(settled(profile, 10, Outcome::Status(status)), Settlement::Rejected);
            }
        }
    }

    #[test]
    fn our_faults_and_calls_never_made_are_not_the_receivers() {
        let spared: Vec<_> = ErrorClass::ALL
            .iter()
            .filter(|class| !Outcome::Error(**class).is_receivers_failure())
            .collect();
        assert_eq!(
            spared,
            [
                &ErrorClass::AddressRefused,
                &ErrorClass::Auth,
                &ErrorClass::InvalidUrl,
                &ErrorClass::Internal
            ]
        );
        assert!(Outcome::Status(401).is_receivers_failure());
        assert!(Outcome::Status(500).is_receivers_failure());
        assert!(!Outcome::Status(204).is_receivers_failure());
    }
}
