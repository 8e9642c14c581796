//! What every profile keeps, whatever its contract says.

use super::*;
use crate::attempt::{ErrorClass, Settlement, settle};
use crate::breaker::Verdict;
use crate::decision::reserved_header;
use crate::time::Timestamp;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_micros(1_783_080_000_000_000);

/// The first waits of a profile, without jitter.
pub(super) fn waits(profile: &Profile, count: u32) -> Vec<Duration> {
    (1..=count).map(|failed| profile.schedule.wait_after(failed, 0.0)).collect()
}

/// Every status that is final, of all there can be.
pub(super) fn final_statuses(profile: &Profile) -> Vec<u16> {
    (100..1000).filter(|status| (profile.is_final)(*status)).collect()
}

fn any_profile() -> impl Strategy<Value = &'static Profile> {
    prop::sample::select(ALL)
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        (100_u16..600).prop_map(Outcome::Status),
        prop::sample::select(ErrorClass::ALL).prop_map(Outcome::Error),
    ]
}

#[test]
fn a_profile_is_found_by_its_name_alone() {
    for profile in ALL {
        assert_eq!(Profile::named(profile.name()), Some(*profile));
        assert_eq!(profile.to_string(), profile.name());
        assert_eq!(Profile::named(&profile.name().to_uppercase()), None);
    }
    assert_eq!(Profile::named(""), None);
    let mut names: Vec<_> = ALL.iter().map(|profile| profile.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ALL.len());
}

/// Promise D3.
#[test]
fn no_profile_counts_a_success_or_our_own_fault() {
    for profile in ALL {
        assert!(!(profile.breaker.counts)(Outcome::Error(ErrorClass::Internal)), "{profile}");
        for status in 200..300 {
            assert!(!(profile.breaker.counts)(Outcome::Status(status)), "{profile}");
            assert_eq!(profile.breaker.verdict(Outcome::Status(status)), Verdict::Works, "{profile}");
        }
        for status in (100..200).chain(300..600) {
            assert_eq!(profile.breaker.verdict(Outcome::Status(status)), Verdict::Fails, "{profile}");
        }
        let ours = Outcome::Error(ErrorClass::Internal);
        assert_eq!(profile.breaker.verdict(ours), Verdict::Unknown, "{profile}");
    }
}

#[test]
fn no_profile_ends_a_delivery_over_a_fault_of_the_receivers_server() {
    for profile in ALL {
        let fatal: Vec<_> = final_statuses(profile)
            .into_iter()
            .filter(|status| !(400..500).contains(status))
            .collect();
        assert_eq!(fatal, [0; 0], "{profile}");
        assert!(!(profile.is_final)(429), "{profile}");
    }
}

#[test]
fn the_headers_of_a_profile_are_closed_to_routers() {
    for profile in ALL {
        if let Some(header) = profile.body_signature_header {
            assert!(header.starts_with(profile.header_prefix.unwrap()), "{header}");
            assert!(
                reserved_header(header) && reserved_header(&header.to_uppercase().replace('-', "_")),
                "{header}"
            );
        }
    }
}

#[test]
fn the_star_wants_every_event_in_every_profile() {
    for profile in ALL {
        assert!(profile.patterns.read("*").unwrap().matches("order.created"), "{profile}");
        assert!(
            profile.patterns.read("order.created").unwrap().matches("order.created"),
            "{profile}"
        );
        assert!(!profile.patterns.read("order.created").unwrap().matches("order.paid"), "{profile}");
    }
}

proptest! {
    #[test]
    fn every_delivery_ends_within_its_attempts(
        profile in any_profile(), outcomes in prop::collection::vec(any_outcome(), 100), tenants in 1_u16..=100, unit_random in 0.0_f64..=1.0,
    ) {
        let attempts_max = profile.attempts_max.or(AttemptsMax::new(tenants).unwrap());
        let mut now = NOW;
        let mut attempts_made = 0;
        for (number, outcome) in (1..).zip(outcomes) {
            attempts_made = number;
            match settle(profile, number, attempts_max, outcome, now, unit_random) {
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
    fn a_success_is_never_retried(profile in any_profile(), status in 200_u16..300, number: u32) {
        let settlement = settle(profile, number, AttemptsMax::default(), Outcome::Status(status), NOW, 0.0);
        prop_assert_eq!(settlement, Settlement::Delivered);
    }

    #[test]
    fn an_attempt_never_takes_longer_than_the_operator_allows(profile in any_profile(), operators_ms in 1_u64..1_000_000) {
        let operators = Duration::from_millis(operators_ms);
        let deadline = profile.attempt_deadline(operators);
        prop_assert!(deadline <= operators && deadline > Duration::ZERO);
    }
}
