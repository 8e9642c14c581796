//! How long to wait after a failed attempt, and how many attempts there are.
//!
//! The waits themselves are in the profiles ([`crate::profile`]); whether there is another attempt at all is decided in
//! [`crate::attempt`]. `Retry-After` is not read: the contracts give it no effect, and it would let a receiver hold its
//! deliveries for as long as it likes.

use std::time::Duration;

/// The waits between the attempts of a delivery. There is always a first wait, so every failed attempt has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// The wait after the first failed attempt.
    pub first: Duration,
    /// The waits after the second, the third and so on; the last wait of all repeats.
    pub then: &'static [Duration],
    /// How much of a wait is added to it at random, at most. Added, never taken away: contracts publish their waits, and a
    /// receiver may rely on not being called sooner.
    pub jitter_percent_max: u8,
}

impl Schedule {
    /// How long to wait after failed attempt `failed_attempt`, counted from 1 (0 counts as 1).
    ///
    /// `unit_random` is a random number of 0.0..=1.0 that chooses how much jitter is added; outside that range it is
    /// clamped, and what is not a number adds nothing.
    pub fn wait_after(&self, failed_attempt: u32, unit_random: f64) -> Duration {
        let wait = match failed_attempt {
            0 | 1 => self.first,
            later => {
                let index = usize::try_from(later - 2).unwrap_or(usize::MAX);
                *self.then.get(index).or(self.then.last()).unwrap_or(&self.first)
            }
        };
        wait.saturating_add(self.jitter(wait, unit_random))
    }

    fn jitter(&self, wait: Duration, unit_random: f64) -> Duration {
        let fraction = unit_random.clamp(0.0, 1.0) * f64::from(self.jitter_percent_max) / 100.0;
        // If it is not a number, neither is the product, and that is not a duration.
        Duration::try_from_secs_f64(wait.as_secs_f64() * fraction).unwrap_or(Duration::ZERO)
    }
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
    /// At six hours each, a hundred attempts take 24 days. For a receiver that is away longer a replay is better, and every
    /// attempt is a row that is kept.
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

/// Ten, a tenant's setting unless it chooses another: with the waits of any profile the last attempt comes more than a day
/// after the first.
impl Default for AttemptsMax {
    fn default() -> Self {
        Self(10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_mins(1);

    const SCHEDULE: Schedule = Schedule {
        first: Duration::from_mins(2),
        then: &[Duration::from_mins(5), Duration::from_mins(15)],
        jitter_percent_max: 10,
    };

    #[test]
    fn the_last_wait_repeats() {
        for (failed_attempt, minutes) in [(0, 2), (1, 2), (2, 5), (3, 15), (4, 15), (u32::MAX, 15)] {
            assert_eq!(
                SCHEDULE.wait_after(failed_attempt, 0.0),
                minutes * MINUTE,
                "after attempt {failed_attempt}"
            );
        }
        let only_first = Schedule { then: &[], ..SCHEDULE };
        assert_eq!(only_first.wait_after(7, 0.0), 2 * MINUTE);
    }

    #[test]
    fn a_random_number_out_of_range_is_clamped_and_what_is_not_a_number_adds_nothing() {
        assert_eq!(SCHEDULE.wait_after(1, f64::NAN), 2 * MINUTE);
        assert_eq!(SCHEDULE.wait_after(1, -5.0), 2 * MINUTE);
        assert_eq!(SCHEDULE.wait_after(1, f64::INFINITY), Duration::from_secs(132));
        assert_eq!(SCHEDULE.wait_after(1, 1.0), Duration::from_secs(132));
    }

    #[test]
    fn ten_attempts_last_longer_than_a_day_in_every_profile() {
        for profile in crate::profile::ALL {
            let failed = 1..u32::from(AttemptsMax::default().get());
            let span: Duration = failed.map(|failed| profile.schedule.wait_after(failed, 0.0)).sum();
            assert!(span > 24 * 60 * MINUTE, "{profile}: {span:?}");
        }
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
        fn a_wait_is_never_shorter_than_promised_nor_lengthened_by_more_than_its_jitter(
            first_ms in 0_u64..1 << 40, jitter_percent_max in 0_u8..=100, failed_attempt: u32, unit_random in 0.0_f64..=1.0,
        ) {
            let schedule = Schedule { first: Duration::from_millis(first_ms), jitter_percent_max, ..SCHEDULE };
            let promised = schedule.wait_after(failed_attempt, 0.0);
            let wait = schedule.wait_after(failed_attempt, unit_random);
            prop_assert!(wait >= promised);
            let longest = promised.mul_f64(1.0 + f64::from(jitter_percent_max) / 100.0) + Duration::from_micros(1);
            prop_assert!(wait <= longest);
        }

        #[test]
        fn no_wait_overflows(seconds: u64, unit_random: f64) {
            let schedule = Schedule { first: Duration::from_secs(seconds), ..SCHEDULE };
            prop_assert!(schedule.wait_after(1, unit_random) >= Duration::from_secs(seconds));
        }
    }
}
