//! A moment, as the tables store it.
//!
//! One integer: microseconds since the Unix epoch, in UTC, leap seconds not counted. There are no time zones here and no
//! clock: the time arrives as a parameter. Arithmetic saturates, so that no row and no setting, however wrong, makes a moment
//! wrap around.

use std::fmt;
use std::time::Duration;

const MICROS_PER_MILLI: i64 = 1_000;
const MICROS_PER_SEC: i64 = 1_000_000;
const SECS_PER_DAY: i64 = 86_400;

/// A moment: microseconds since 1970-01-01T00:00:00Z, negative before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// Takes microseconds since the Unix epoch; every value is a moment.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since the Unix epoch, rounded towards the past.
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(MICROS_PER_MILLI)
    }

    /// Whole seconds since the Unix epoch, rounded towards the past.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(MICROS_PER_SEC)
    }

    /// The moment `wait` later, rounded down to a microsecond; the last moment there is if that is too far.
    pub fn plus(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(saturating_micros(wait)))
    }

    /// The moment `span` earlier, rounded to a microsecond; the first moment there is if that is too far.
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(saturating_micros(span)))
    }

    /// How long after `earlier` this is; zero if it is not later, as when a clock was set back.
    pub fn since(self, earlier: Self) -> Duration {
        if self <= earlier {
            return Duration::ZERO;
        }
        Duration::from_micros(self.0.abs_diff(earlier.0))
    }
}

fn saturating_micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// RFC 3339 in UTC with milliseconds, e.g. `2026-07-03T12:00:00.123Z`. Years outside 0000–9999, which RFC 3339 cannot
/// write, get the digits they need and a minus sign before year 0.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.as_secs();
        let (year, month, day) = civil_date(secs.div_euclid(SECS_PER_DAY));
        let second_of_day = secs.rem_euclid(SECS_PER_DAY);
        let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
        let milli = self.as_millis().rem_euclid(1000);
        let sign = if year < 0 { "-" } else { "" };
        let year = year.unsigned_abs();
        write!(
            f,
            "{sign}{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"
        )
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({} = {self})", self.0)
    }
}

/// Year, month (1..=12) and day (1..=31) of the proleptic Gregorian calendar, from days since 1970-01-01.
///
/// After Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms" (2013), `civil_from_days`: years are counted from
/// 1 March so that the leap day comes last; then 400 years are always 146,097 days, four years within a century 1,461, and
/// five months from March on 153.
fn civil_date(days_since_1970: i64) -> (i64, i64, i64) {
    /// From 0000-03-01, where the first 400-year cycle begins, to 1970-01-01.
    const DAYS_FROM_CYCLE_START_TO_1970: i64 = 719_468;
    const DAYS_PER_400_YEARS: i64 = 146_097;

    let days = days_since_1970 + DAYS_FROM_CYCLE_START_TO_1970;
    let cycle = days.div_euclid(DAYS_PER_400_YEARS);
    let day_of_cycle = days.rem_euclid(DAYS_PER_400_YEARS);

    // Each century but the last of a cycle has 36,524 days; the formulas shift by 3 quarters of a day to let the longer
    // last one fall out of the same division.
    let century = (4 * day_of_cycle + 3) / DAYS_PER_400_YEARS;
    let day_of_century = day_of_cycle - century * DAYS_PER_400_YEARS / 4;
    let year_of_century = (4 * day_of_century + 3) / 1461;
    let day_of_year = day_of_century - year_of_century * 1461 / 4;

    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, years_carried) = if month_from_march < 10 {
        (month_from_march + 3, 0)
    } else {
        (month_from_march - 9, 1)
    };
    (400 * cycle + 100 * century + year_of_century + years_carried, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn moments_are_written_as_rfc_3339_in_utc() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (1_783_080_000_123_999, "2026-07-03T12:00:00.123Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000Z"),
            (951_868_799_999_999, "2000-02-29T23:59:59.999Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799_999_999, "9999-12-31T23:59:59.999Z"),
            (253_402_300_800_000_000, "10000-01-01T00:00:00.000Z"),
            (-62_167_219_200_000_000, "0000-01-01T00:00:00.000Z"),
            (-62_167_219_200_000_001, "-0001-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Timestamp::from_micros(micros).to_string(), text);
        }
    }

    #[test]
    fn every_day_of_sixteen_centuries_follows_the_day_before_it() {
        let days_in_month = |year: i64, month: i64| match month {
            2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        assert_eq!(civil_date(0), (1970, 1, 1));
        let (first, last) = (-281_240, 303_146);
        assert_eq!(civil_date(first).0, 1199);
        assert_eq!(civil_date(last).0, 2799);
        let mut today = civil_date(first);
        for days in first + 1..=last {
            let (year, month, day) = today;
            let tomorrow = if day < days_in_month(year, month) {
                (year, month, day + 1)
            } else if month < 12 {
                (year, month + 1, 1)
            } else {
                (year + 1, 1, 1)
            };
            today = civil_date(days);
            assert_eq!(today, tomorrow);
        }
    }

    proptest! {
        #[test]
        fn a_cycle_of_400_years_later_is_the_same_day_of_the_year(days in -100_000_000_i64..100_000_000) {
            let (year, month, day) = civil_date(days);
            prop_assert_eq!(civil_date(days + 146_097), (year + 400, month, day));
        }

        #[test]
        fn within_rfc_3339_texts_sort_as_their_moments_do(
            a in 0_i64..253_402_300_800_000, b in 0_i64..253_402_300_800_000,
        ) {
            let (first, second) = (Timestamp::from_micros(a * 1000), Timestamp::from_micros(b * 1000));
            prop_assert_eq!(first.to_string().cmp(&second.to_string()), a.cmp(&b));
        }

        #[test]
        fn every_moment_can_be_written_and_moved(micros: i64, by: u64) {
            let at = Timestamp::from_micros(micros);
            let by = Duration::from_micros(by);
            prop_assert!(at.to_string().ends_with('Z'));
            prop_assert!(at.plus(by) >= at);
            prop_assert!(at.minus(by) <= at);
            prop_assert!(at.plus(by).since(at) <= by);
            prop_assert_eq!(at.since(at.plus(by)), Duration::ZERO);
        }

        #[test]
        fn a_wait_is_what_lies_between(micros in -(1_i64 << 60)..1 << 60, by in 0_u64..1 << 60) {
            let at = Timestamp::from_micros(micros);
            prop_assert_eq!(at.plus(Duration::from_micros(by)).since(at), Duration::from_micros(by));
        }
    }

    #[test]
    fn a_moment_saturates_instead_of_wrapping() {
        let last = Timestamp::from_micros(i64::MAX);
        let first = Timestamp::from_micros(i64::MIN);
        assert_eq!(last.plus(Duration::MAX), last);
        assert_eq!(first.minus(Duration::MAX), first);
        assert_eq!(last.since(first), Duration::from_micros(u64::MAX));
        assert_eq!(Timestamp::from_micros(-1).as_secs(), -1);
        assert_eq!(Timestamp::from_micros(-1).as_millis(), -1);
    }
}
