//! Deliveries as HookSentry makes them (docs/contracts/hooksentry.md, section 14).

use std::time::Duration;

use super::{BreakerRule, Envelope, Profile, Setting};
use crate::attempt::Outcome;
use crate::pattern::PatternSyntax;
use crate::retry::Schedule;
use crate::signature::InRotation;

/// HookSentry's profile.
pub const PROFILE: Profile = Profile {
    name: "hooksentry",
    schedule: SCHEDULE,
    // A tenant's `maxTrys` (docs/contracts/hooksentry.md, section 14.4).
    attempts_max: Setting::Tenants,
    // 30 s by default, and the operator's to change (docs/contracts/hooksentry.md, section 14.1).
    attempt_deadline: None,
    is_final,
    breaker: BreakerRule {
        // docs/contracts/hooksentry.md, section 14.8. The block time is a tenant's `circuitBreakerTimer`.
        failures_to_block: 5,
        counts: Outcome::is_receivers_failure,
        block_for: Setting::Tenants,
        // Who sets `Suspended` is left open (docs/contracts/hooksentry.md, section 14.8). A day is longer than a receiver's outage, and
        // shorter than the last wait of a delivery that has ten attempts.
        suspends_after: Some(Duration::from_hours(24)),
    },
    envelope: Envelope::Verbatim,
    body_signature_header: Some("x-hooksentry-signature"),
    header_prefix: Some("x-hooksentry-"),
    // A new secret drops the old one at once (docs/contracts/hooksentry.md, section 5).
    in_rotation: InRotation::NewOnly,
    // Its destinations get every event, for which there is `*`; event types are ours.
    patterns: PatternSyntax::Prefixes,
};

/// After the fifth failed attempt and every later one, six hours (docs/contracts/hooksentry.md, section 14.4). The contract has no
/// jitter; up to a tenth is added all the same, so that deliveries that failed together, as when a receiver restarts, do not
/// all come back in the same second.
const SCHEDULE: Schedule = Schedule {
    first: Duration::from_mins(2),
    then: &[
        Duration::from_mins(5),
        Duration::from_mins(15),
        Duration::from_hours(1),
        Duration::from_hours(6),
    ],
    jitter_percent_max: 10,
};

/// The receiver refuses us, which no repetition mends (docs/contracts/hooksentry.md, section 14.4). 410 and 429 get no special
/// treatment there.
const fn is_final(status: u16) -> bool {
    matches!(status, 401 | 403 | 404)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::ErrorClass;
    use crate::profile::tests::{final_statuses, waits};
    use crate::retry::AttemptsMax;

    const MINUTE: Duration = Duration::from_mins(1);
    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn its_name_in_the_rows_is_never_respelled() {
        assert_eq!(PROFILE.name(), "hooksentry");
        assert_eq!(Profile::named("hooksentry"), Some(&PROFILE));
        assert_eq!(crate::profile::DEFAULT, &PROFILE);
    }

    #[test]
    fn it_waits_as_its_contract_says() {
        assert_eq!(
            waits(&PROFILE, 7),
            [2 * MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 6 * HOUR, 6 * HOUR, 6 * HOUR]
        );
    }

    #[test]
    fn ten_attempts_span_31_hours_22_minutes() {
        let span: Duration = waits(&PROFILE, 9).iter().sum();
        assert_eq!(span, 31 * HOUR + 22 * MINUTE);
    }

    #[test]
    fn three_statuses_are_final() {
        assert_eq!(final_statuses(&PROFILE), [401, 403, 404]);
    }

    #[test]
    fn attempts_and_block_time_are_the_tenants_and_the_deadline_is_the_operators() {
        let three = AttemptsMax::new(3).unwrap();
        assert_eq!(PROFILE.attempts_max.or(three), three);
        assert_eq!(PROFILE.breaker.settings(HOUR).block_for, HOUR);
        assert_eq!(PROFILE.breaker.settings(HOUR).failures_to_block, 5);
        assert_eq!(PROFILE.attempt_deadline(MINUTE), MINUTE);
    }

    #[test]
    fn refusals_of_any_kind_count_for_the_breaker_but_no_address_that_was_never_called() {
        // 401, 403 and 404 count as failures (docs/contracts/hooksentry.md, section 14.8).
        for status in [401, 403, 404, 500] {
            assert!((PROFILE.breaker.counts)(Outcome::Status(status)), "{status}");
        }
        assert!(!(PROFILE.breaker.counts)(Outcome::Error(ErrorClass::AddressRefused)));
    }
}
