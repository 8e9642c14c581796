//! Deliveries as nestarc makes them (docs/contracts/nestarc.md, section 6 and those after it).
//!
//! Where this departs from the original it is on purpose:
//!
//! * There an endpoint that failed too often gets no deliveries for an hour: the events of that hour are lost to it. Here
//!   its deliveries wait, and after the hour one of them probes it (docs/contracts/nestarc.md, section 15, leaves us this choice).
//! * There a delivery is signed with the secrets of the moment it was created (docs/contracts/nestarc.md, section 11), here with
//!   those of the attempt: a secret that leaked signs nothing any more once its time is over.

use std::time::Duration;

use super::{BreakerRule, Envelope, Profile, Setting};
use crate::attempt::{ErrorClass, Outcome};
use crate::pattern::PatternSyntax;
use crate::retry::{AttemptsMax, Schedule};
use crate::signature::InRotation;

/// nestarc's profile.
pub const PROFILE: Profile = Profile {
    name: "nestarc",
    schedule: SCHEDULE,
    attempts_max: Setting::Fixed(ATTEMPTS_MAX),
    // The platform's setting; the engine's own default is 10 s (docs/contracts/nestarc.md, section 6).
    attempt_deadline: Some(Duration::from_secs(30)),
    is_final,
    breaker: BreakerRule {
        // docs/contracts/nestarc.md, section 9, as is the hour.
        failures_to_block: 5,
        counts,
        block_for: Setting::Fixed(Duration::from_hours(1)),
        suspends_after: None,
    },
    envelope: Envelope::TypeAndData,
    body_signature_header: None,
    header_prefix: None,
    // The new secret's signature, then the previous one's (docs/contracts/nestarc.md, section 6).
    in_rotation: InRotation::NewAndPrevious,
    // The exact type, or `*` alone (docs/contracts/nestarc.md, section 4).
    patterns: PatternSyntax::Literal,
};

/// docs/contracts/nestarc.md, section 8, its jitter included, which is only ever added.
const SCHEDULE: Schedule = Schedule {
    first: Duration::from_secs(30),
    then: &[
        Duration::from_mins(5),
        Duration::from_mins(30),
        Duration::from_hours(2),
        Duration::from_hours(24),
    ],
    jitter_percent_max: 10,
};

/// The platform's setting, the only one under which the last wait is ever used (docs/contracts/nestarc.md, section 8).
const ATTEMPTS_MAX: AttemptsMax = match AttemptsMax::new(6) {
    Ok(attempts) => attempts,
    Err(_) => panic!("6 lies within 1..=100"),
};

/// Every 4xx but those that speak of the moment, 410 included (docs/contracts/nestarc.md, section 8).
const fn is_final(status: u16) -> bool {
    matches!(status, 400..=499) && !matches!(status, 408 | 409 | 425 | 429)
}

/// Every failed attempt, one to a refused address included (docs/contracts/nestarc.md, section 9). What is left out is our own
/// faults (promise D3).
const fn counts(outcome: Outcome) -> bool {
    outcome.is_receivers_failure() || matches!(outcome, Outcome::Error(ErrorClass::AddressRefused | ErrorClass::InvalidUrl))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::tests::{final_statuses, waits};
    use crate::signature::{SigningKey, SigningKeys, StandardSecret};
    use crate::time::Timestamp;

    const MINUTE: Duration = Duration::from_mins(1);
    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn its_name_in_the_rows_is_never_respelled() {
        assert_eq!(PROFILE.name(), "nestarc");
        assert_eq!(Profile::named("nestarc"), Some(&PROFILE));
    }

    #[test]
    fn it_waits_as_its_contract_says() {
        let day = 24 * HOUR;
        assert_eq!(
            waits(&PROFILE, 6),
            [Duration::from_secs(30), 5 * MINUTE, 30 * MINUTE, 2 * HOUR, day, day]
        );
    }

    #[test]
    fn six_attempts_span_about_26_hours_36_minutes() {
        let attempts = PROFILE.attempts_max.or(AttemptsMax::MAX).get();
        assert_eq!(attempts, 6);
        let span: Duration = waits(&PROFILE, 5).iter().sum();
        assert_eq!(span, 26 * HOUR + 35 * MINUTE + Duration::from_secs(30));
    }

    #[test]
    fn waits_are_lengthened_by_a_tenth_at_most() {
        // "Observed with jitter" (docs/contracts/nestarc.md, section 8).
        for (failed_attempt, seconds) in [(1, 33), (2, 330), (3, 1980), (4, 7920), (5, 95_040)] {
            let longest = PROFILE.schedule.wait_after(failed_attempt, 1.0);
            assert_eq!(longest, Duration::from_secs(seconds), "after attempt {failed_attempt}");
        }
    }

    #[test]
    fn every_4xx_is_final_but_the_four_that_speak_of_the_moment() {
        let expected: Vec<u16> = (400..500).filter(|status| ![408, 409, 425, 429].contains(status)).collect();
        assert_eq!(final_statuses(&PROFILE), expected);
        assert!((PROFILE.is_final)(410));
    }

    #[test]
    fn an_attempt_has_30_seconds_and_a_block_lasts_an_hour_whatever_the_tenants_setting() {
        assert_eq!(PROFILE.attempt_deadline(MINUTE), Duration::from_secs(30));
        let settings = PROFILE.breaker.settings(MINUTE);
        assert_eq!((settings.failures_to_block, settings.block_for), (5, HOUR));
    }

    #[test]
    fn a_refused_address_counts_for_the_breaker() {
        assert!((PROFILE.breaker.counts)(Outcome::Error(ErrorClass::AddressRefused)));
        assert!((PROFILE.breaker.counts)(Outcome::Status(410)));
    }

    #[test]
    fn patterns_are_literal_but_for_the_star_alone() {
        // docs/contracts/nestarc.md, section 4.
        for (pattern, event_type, matches) in [
            ("*", "order.created", true),
            ("*", "Order Created!", true),
            ("order.created", "order.created", true),
            ("order.created", "Order.created", false),
            ("order.*", "order.created", false),
            ("order.*", "order.*", true),
            ("*.created", "order.created", false),
            ("bestellung größer", "bestellung größer", true),
        ] {
            let read = PROFILE.patterns.read(pattern).unwrap();
            assert_eq!(read.matches(event_type), matches, "{pattern} on {event_type}");
        }
    }

    /// The golden vector (docs/contracts/nestarc.md, section 11): a wrapped body, signed during a rotation.
    #[test]
    fn the_golden_body_and_its_two_signatures_are_reproduced() {
        let stored = r#"{"id":"ord_123","total":4900,"note":"é😀"}"#;
        let body = PROFILE
            .envelope
            .wrap("order.created", "application/json", stored.as_bytes())
            .unwrap();
        assert_eq!(
            String::from_utf8(body.clone()).unwrap(),
            r#"{"type":"order.created","data":{"id":"ord_123","total":4900,"note":"é😀"}}"#
        );
        let new = StandardSecret::from_bytes((0x00..=0x1f).collect()).unwrap();
        let previous = StandardSecret::from_bytes((0xe0..=0xff).rev().collect()).unwrap();
        assert_eq!(*new.to_base64(), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
        assert_eq!(*previous.to_base64(), "//79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eA=");
        let at = Timestamp::from_micros(1_714_003_200_000_000);
        let keys = SigningKeys::new(SigningKey::of_secret(&new)).with_previous(SigningKey::of_secret(&previous), at.plus(HOUR));
        assert_eq!(
            keys.standard(PROFILE.in_rotation, "3f0c1d2e-0000-4000-8000-000000000001", at, &body),
            "v1,imGqJu/Xk+JcFuprpi48268O6GbpEq2Xh+TPB4QzWf0= v1,Ex68SI5MYsu/5WKEfE/hCGuIVnHdOhSb1KV94cIcm6I="
        );
    }
}
