//! Deliveries as Nahook makes them (docs/contracts/nahook.md, section 7).
//!
//! Nothing public says what the waits are, how many attempts there are, how long one may take, which statuses are final, or
//! when an endpoint is left alone (docs/contracts/nahook.md, section 13, lists what is open). Nahook signs as Standard Webhooks does, so what its contract leaves open follows the
//! sample of that specification, or what the other profiles do. None of these numbers is Nahook's; each is ours to change.

use std::time::Duration;

use super::{BreakerRule, Envelope, Profile, Setting};
use crate::attempt::Outcome;
use crate::pattern::PatternSyntax;
use crate::retry::{AttemptsMax, Schedule};
use crate::signature::InRotation;

/// Nahook's profile.
pub const PROFILE: Profile = Profile {
    name: "nahook",
    schedule: SCHEDULE,
    attempts_max: Setting::Fixed(ATTEMPTS_MAX),
    attempt_deadline: Some(ATTEMPT_DEADLINE),
    is_final,
    breaker: BreakerRule {
        // Left open (docs/contracts/nahook.md, section 13). Five in a row is what both other APIs have.
        failures_to_block: 5,
        counts: Outcome::is_receivers_failure,
        block_for: Setting::Tenants,
        suspends_after: None,
    },
    // The producer's payload, not wrapped (docs/contracts/nahook.md, section 7).
    envelope: Envelope::Verbatim,
    body_signature_header: None,
    header_prefix: None,
    // The documented verifier splits at the first comma and fails on a list (docs/contracts/nahook.md, section 7).
    in_rotation: InRotation::NewOnly,
    // Endpoints subscribe to registered types. Their names cannot hold a `*` (docs/contracts/nahook.md, section 4.2), so a
    // prefix is never mistaken for one.
    patterns: PatternSyntax::Prefixes,
};

/// Left open by the contract (docs/contracts/nahook.md, section 13): the sample of Standard Webhooks, "Retry schedule".
const SCHEDULE: Schedule = Schedule {
    first: Duration::from_secs(5),
    then: &[
        Duration::from_mins(5),
        Duration::from_mins(30),
        Duration::from_hours(2),
        Duration::from_hours(5),
        Duration::from_hours(10),
        Duration::from_hours(14),
        Duration::from_hours(20),
        Duration::from_hours(24),
    ],
    jitter_percent_max: 10,
};

/// Left open by the contract (docs/contracts/nahook.md, section 13): each wait of the schedule is used once. The last attempt
/// comes 75.6 hours after the first, well within the seven days that deliveries are kept (docs/contracts/nahook.md, section 8).
const ATTEMPTS_MAX: AttemptsMax = match AttemptsMax::new(10) {
    Ok(attempts) => attempts,
    Err(_) => panic!("10 lies within 1..=100"),
};

/// Left open by the contract (docs/contracts/nahook.md, section 13): the upper end of what Standard Webhooks recommends,
/// 15 to 30 s.
const ATTEMPT_DEADLINE: Duration = Duration::from_secs(30);

/// Left open by the contract (docs/contracts/nahook.md, section 13): no status is final. A needless attempt costs little, while
/// a delivery that is given up wrongly is lost.
const fn is_final(_status: u16) -> bool {
    false
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
        assert_eq!(PROFILE.name(), "nahook");
        assert_eq!(Profile::named("nahook"), Some(&PROFILE));
    }

    #[test]
    fn it_waits_as_standard_webhooks_proposes() {
        let seconds = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400, 86_400];
        assert_eq!(waits(&PROFILE, 10), seconds.map(Duration::from_secs));
    }

    #[test]
    fn ten_attempts_end_within_the_seven_days_that_deliveries_are_kept() {
        let span: Duration = waits(&PROFILE, 9).iter().map(|wait| wait.mul_f64(1.1)).sum();
        assert!(span < 4 * 24 * HOUR, "{span:?}");
        assert_eq!(PROFILE.attempts_max.or(AttemptsMax::MAX).get(), 10);
    }

    #[test]
    fn no_status_is_final() {
        assert_eq!(final_statuses(&PROFILE), [0; 0]);
    }

    #[test]
    fn an_attempt_has_30_seconds_or_less_where_the_operator_allows_less() {
        assert_eq!(PROFILE.attempt_deadline(MINUTE), Duration::from_secs(30));
        assert_eq!(PROFILE.attempt_deadline(Duration::from_secs(5)), Duration::from_secs(5));
    }

    /// docs/contracts/nahook.md, section 7, signed as a delivery of this profile is.
    #[test]
    fn the_published_signatures_are_reproduced() {
        let secret = StandardSecret::parse("whsec_dGVzdF93ZWJob29rX3NpZ25pbmdfa2V5XzMyYnl0ZXMh").unwrap();
        let keys = SigningKeys::new(SigningKey::of_secret(&secret));
        let at = Timestamp::from_micros(1_712_345_678_000_000);
        for (body, signature) in [
            (
                r#"{"order_id":"ord_123","amount":49.99}"#,
                "v1,VF1JBS4kdSwmE64FeeiWTgszlPCfaop53x8bwzvHizw=",
            ),
            ("", "v1,yNFeVvBSs4aZ/sVHHw1MaUWnN1IGK/Ul/16T8aptSJo="),
            (
                r#"{"name":"café","price":"€9.99"}"#,
                "v1,GcuGAMV9tELnF2rjay6sA8uo5PDPPlhaFi6gKUg06wQ=",
            ),
        ] {
            assert_eq!(PROFILE.envelope.wrap("order.created", "application/json", body.as_bytes()), None);
            assert_eq!(
                keys.standard(PROFILE.in_rotation, "msg_test_sig_001", at, body.as_bytes()),
                signature
            );
        }
    }

    #[test]
    fn during_a_rotation_one_signature_goes_out_that_of_the_new_secret() {
        let [new, old] = [1, 2].map(|byte| StandardSecret::from_bytes(vec![byte; 32]).unwrap());
        let at = Timestamp::from_micros(1_712_345_678_000_000);
        let keys = SigningKeys::new(SigningKey::of_secret(&new)).with_previous(SigningKey::of_secret(&old), at.plus(HOUR));
        let alone = SigningKeys::new(SigningKey::of_secret(&new));
        let signature = keys.standard(PROFILE.in_rotation, "msg", at, b"{}");
        assert_eq!(signature, alone.standard(PROFILE.in_rotation, "msg", at, b"{}"));
        assert!(!signature.contains(' '));
    }
}
