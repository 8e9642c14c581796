//! When a request was signed, as the service wrote it, and whether that is recent.

use std::time::Duration;

use hookyard_domain::Timestamp;
use serde::{Deserialize, Serialize};

use super::Refused;

/// How far the time of a signature may be from ours, in either direction. Stripe, Slack and Standard Webhooks agree on it.
pub const TOLERANCE_S_DEFAULT: u32 = 300;
/// A day. Beyond it the check would keep out nothing that the idempotency key does not.
pub const TOLERANCE_S_MAX: u32 = 86_400;
/// Digits of a Unix time: microseconds would need 16 for centuries to come.
const DIGITS_MAX: usize = 18;
const MICROS_PER_SEC: i64 = 1_000_000;
const MICROS_PER_MILLI: i64 = 1_000;

/// What a service counts since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    #[default]
    Seconds,
    Milliseconds,
}

/// The time of a signature.
pub(super) struct Stamp<'a> {
    /// As it was sent, for these characters are what is signed.
    pub text: &'a str,
    at: Timestamp,
}

impl<'a> Stamp<'a> {
    /// Reads a Unix time in decimal digits.
    ///
    /// # Errors
    /// [`Refused::Malformed`], about `place`.
    pub fn read(text: &'a str, unit: Unit, place: impl Into<String>) -> Result<Self, Refused> {
        let is_number = (1..=DIGITS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        let count: Option<i64> = if is_number { text.parse().ok() } else { None };
        let count = count.ok_or_else(|| Refused::Malformed {
            place: place.into(),
            expected: "a Unix time in digits",
        })?;
        let micros_per_unit = match unit {
            Unit::Seconds => MICROS_PER_SEC,
            Unit::Milliseconds => MICROS_PER_MILLI,
        };
        Ok(Self {
            text,
            at: Timestamp::from_micros(count.saturating_mul(micros_per_unit)),
        })
    }

    /// # Errors
    /// [`Refused::Stale`], for the past and for the future.
    pub fn check(&self, now: Timestamp, tolerance_s: u32) -> Result<(), Refused> {
        let tolerance = Duration::from_secs(tolerance_s.into());
        if now.since(self.at) > tolerance || self.at.since(now) > tolerance {
            return Err(Refused::Stale {
                signed_at: self.at,
                now,
                tolerance_s,
            });
        }
        Ok(())
    }
}

/// # Errors
/// It is not between a second and a day.
pub(super) fn check_tolerance(tolerance_s: Option<u32>) -> Result<(), String> {
    match tolerance_s {
        Some(seconds) if !(1..=TOLERANCE_S_MAX).contains(&seconds) => Err(format!("tolerance_s must be between 1 and {TOLERANCE_S_MAX}")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tolerance_counts_in_both_directions() {
        let stamp = Stamp::read("1000", Unit::Seconds, "t").expect("a time");
        let at = |micros: i64| stamp.check(Timestamp::from_micros(micros), 300);
        assert_eq!(at(700_000_000), Ok(()));
        assert_eq!(at(1_300_000_000), Ok(()));
        for wrong in [699_999_999, 1_300_000_001, 0, i64::MIN, i64::MAX] {
            assert!(matches!(at(wrong), Err(Refused::Stale { .. })), "{wrong}");
        }
    }

    #[test]
    fn a_time_is_digits_and_nothing_else() {
        for bad in ["", "-1", "+1", "1.5", "1e3", " 1", "١", "0x10", &"9".repeat(19)] {
            assert!(
                matches!(Stamp::read(bad, Unit::Seconds, "t"), Err(Refused::Malformed { .. })),
                "{bad}"
            );
        }
        let far = Stamp::read(&"9".repeat(18), Unit::Seconds, "t").map(|stamp| stamp.at);
        assert_eq!(
            far,
            Ok(Timestamp::from_micros(i64::MAX)),
            "too far is stale, and does not wrap around"
        );
        let stamp = Stamp::read("1000500", Unit::Milliseconds, "t").map(|stamp| stamp.at);
        assert_eq!(stamp, Ok(Timestamp::from_micros(1_000_500_000)));
    }
}
