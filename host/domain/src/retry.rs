//! How long to wait after a failed attempt, and how many attempts there are.
//!
//! A schedule is a list of waits; the last one repeats. Whether there is another attempt at all is decided in
//! [`crate::attempt`]. `Retry-After` is not read: the contracts give it no effect, and it would let a receiver hold its
//! queue for as long as it likes.

use std::borrow::Cow;
use std::time::Duration;

/// Largest part of a wait that is added to it at random. Added, never taken away: the contracts publish their waits, and a
/// receiver may count on not being called sooner. A tenth is enough that deliveries that failed together, as when a
/// receiver restarts, do not all come back in the same second.
pub const JITTER_FRACTION_MAX: f64 = 0.10;

/// docs/contracts/hooksentry.md, section 14.4: after the fifth failed attempt and every later one, six hours.
const HOOKSENTRY_WAITS: [Duration; 5] = [
    Duration::from_secs(2 * 60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(15 * 60),
    Duration::from_secs(60 * 60),
    Duration::from_secs(6 * 60 * 60),
];

/// The waits between the attempts of a delivery: at least one; the last stands for all that follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    waits: Cow<'static, [Duration]>,
}

/// A schedule needs at least one wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a retry schedule needs at least one wait")]
pub struct EmptySchedule;

impl Schedule {
    /// HookSentry's: 2 min, 5 min, 15 min, 1 h, then 6 h each.
    pub const fn hooksentry() -> Self {
        Self {
            waits: Cow::Borrowed(&HOOKSENTRY_WAITS),
        }
    }

    /// Takes the wait after the first failed attempt, the second, and so on; the last repeats.
    pub fn from_waits(waits: Vec<Duration>) -> Result<Self, EmptySchedule> {
        if waits.is_empty() {
            return Err(EmptySchedule);
        }
        Ok(Self { waits: Cow::Owned(waits) })
    }

    /// How long to wait after failed attempt `failed_attempt`, counted from 1 (0 counts as 1).
    ///
    /// `unit_random` is a random number of 0.0..=1.0 that chooses how much of [`JITTER_FRACTION_MAX`] is added; outside
    /// that range it is clamped, and what is not a number adds nothing.
    pub fn wait_after(&self, failed_attempt: u32, unit_random: f64) -> Duration {
        let index = usize::try_from(failed_attempt.saturating_sub(1)).unwrap_or(usize::MAX);
        let wait = self.waits[index.min(self.waits.len() - 1)];
        wait.saturating_add(jitter(wait, unit_random))
    }
}

fn jitter(wait: Duration, unit_random: f64) -> Duration {
    let fraction = unit_random.clamp(0.0, 1.0) * JITTER_FRACTION_MAX;
    // Not a number stays so through all of this, and is no duration.
    Duration::try_from_secs_f64(wait.as_secs_f64() * fraction).unwrap_or(Duration::ZERO)
}

/// How many attempts a delivery has in all, the first included: 1..=100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptsMax(u16);

/// The number lies outside 1..=100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a delivery has 1 to {max} attempts, not {given}", max = AttemptsMax::MAX.get())]
pub struct AttemptsMaxError {
    /// The number asked for.
    pub given: u16,
}

impl AttemptsMax {
    /// One attempt, no retry.
    pub const MIN: Self = Self(1);
    /// A hundred attempts reach 24 days at six hours each. A receiver that was away longer is better served by a replay,
    /// and every attempt is a row that is kept.
    pub const MAX: Self = Self(100);

    /// Takes a number of 1..=100.
    pub const fn new(attempts: u16) -> Result<Self, AttemptsMaxError> {
        if attempts < Self::MIN.0 || attempts > Self::MAX.0 {
            return Err(AttemptsMaxError { given: attempts });
        }
        Ok(Self(attempts))
    }

    /// The number, 1..=100.
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// Ten, HookSentry's default (docs/contracts/hooksentry.md, section 14.4): the last attempt comes about 31 hours after
/// the first.
impl Default for AttemptsMax {
    fn default() -> Self {
        Self(10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn hooksentry_waits_as_its_contract_says() {
        let schedule = Schedule::hooksentry();
        for (failed_attempt, wait) in [
            (0, 2 * MINUTE),
            (1, 2 * MINUTE),
            (2, 5 * MINUTE),
            (3, 15 * MINUTE),
            (4, HOUR),
            (5, 6 * HOUR),
            (6, 6 * HOUR),
        ] {
            assert_eq!(schedule.wait_after(failed_attempt, 0.0), wait, "after attempt {failed_attempt}");
        }
        assert_eq!(schedule.wait_after(u32::MAX, 0.0), 6 * HOUR);
    }

    #[test]
    fn ten_attempts_span_31_hours_22_minutes() {
        let attempts = u32::from(AttemptsMax::default().get());
        let span: Duration = (1..attempts).map(|failed| Schedule::hooksentry().wait_after(failed, 0.0)).sum();
        assert_eq!(span, 31 * HOUR + 22 * MINUTE);
    }

    #[test]
    fn a_random_number_that_is_none_adds_nothing_and_one_out_of_range_is_clamped() {
        let schedule = Schedule::hooksentry();
        assert_eq!(schedule.wait_after(1, f64::NAN), 2 * MINUTE);
        assert_eq!(schedule.wait_after(1, -5.0), 2 * MINUTE);
        assert_eq!(schedule.wait_after(1, f64::INFINITY), Duration::from_secs(132));
        assert_eq!(schedule.wait_after(1, 1.0), Duration::from_secs(132));
    }

    #[test]
    fn a_schedule_without_waits_is_refused() {
        assert_eq!(Schedule::from_waits(vec![]), Err(EmptySchedule));
    }

    #[test]
    fn attempts_lie_between_1_and_100() {
        for (attempts, accepted) in [(0, false), (1, true), (100, true), (101, false), (u16::MAX, false)] {
            assert_eq!(AttemptsMax::new(attempts).is_ok(), accepted, "{attempts}");
        }
        assert_eq!(
            AttemptsMax::new(0).unwrap_err().to_string(),
            "a delivery has 1 to 100 attempts, not 0"
        );
    }

    proptest! {
        #[test]
        fn a_wait_is_never_shorter_than_promised_nor_a_tenth_longer(
            millis in prop::collection::vec(0_u64..1 << 40, 1..8), failed_attempt: u32, unit_random in 0.0_f64..=1.0,
        ) {
            let waits: Vec<_> = millis.iter().map(|ms| Duration::from_millis(*ms)).collect();
            let promised = waits[(failed_attempt.max(1) as usize - 1).min(waits.len() - 1)];
            let wait = Schedule::from_waits(waits).unwrap().wait_after(failed_attempt, unit_random);
            prop_assert!(wait >= promised);
            prop_assert!(wait <= promised.mul_f64(1.0 + JITTER_FRACTION_MAX) + Duration::from_micros(1));
        }

        #[test]
        fn no_wait_overflows(seconds: u64, unit_random: f64) {
            let schedule = Schedule::from_waits(vec![Duration::from_secs(seconds)]).unwrap();
            prop_assert!(schedule.wait_after(1, unit_random) >= Duration::from_secs(seconds));
        }
    }
}
