//! So many times within so long, per caller: fixed windows that begin with the first count.
//!
//! Kept per node and in memory: a restart forgives. Rate libraries admit or refuse at the request; here what counts is known
//! only afterwards (a password was wrong, a tenant was made), and some counts are taken back.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hookyard_domain::Timestamp;

/// Callers remembered; past it those whose window is over are forgotten, and if there are none, all. A flood of addresses
/// then forgives, which is better than to refuse everybody.
const CALLERS_MAX: usize = 100_000;

/// Counts per caller.
pub struct Windows<Key> {
    count_max: u32,
    lasts: Duration,
    counts: Mutex<HashMap<Key, Count>>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    since: Timestamp,
    count: u32,
}

impl<Key: Eq + Hash> Windows<Key> {
    pub fn new(count_max: u32, lasts: Duration) -> Self {
        Self {
            count_max,
            lasts,
            counts: Mutex::default(),
        }
    }

    /// Counts this time. Counted before it is known whether it counts, so that many requests at once do not all pass.
    ///
    /// # Errors
    /// How long the caller has to wait, if it has used up its counts.
    pub fn take(&self, key: Key, now: Timestamp) -> Result<(), Duration> {
        let mut counts = self.counts();
        if counts.len() >= CALLERS_MAX && !counts.contains_key(&key) {
            counts.retain(|_, count| now.since(count.since) < self.lasts);
            if counts.len() >= CALLERS_MAX {
                counts.clear();
            }
        }
        let count = counts.entry(key).or_insert(Count { since: now, count: 0 });
        let passed = now.since(count.since);
        if passed >= self.lasts {
            *count = Count { since: now, count: 0 };
        } else if count.count >= self.count_max {
            return Err(self.lasts - passed);
        }
        count.count += 1;
        Ok(())
    }

    /// It did not count after all.
    pub fn give_back(&self, key: &Key) {
        let mut counts = self.counts();
        if let Some(count) = counts.get_mut(key) {
            count.count = count.count.saturating_sub(1);
            if count.count == 0 {
                counts.remove(key);
            }
        }
    }

    /// Whatever was counted is forgiven.
    pub fn forget(&self, key: &Key) {
        self.counts().remove(key);
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<Key, Count>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_begins_with_its_first_count_and_ends_by_itself() {
        let windows = Windows::new(2, Duration::from_mins(5));
        let at = |seconds: u64| Timestamp::EPOCH.plus(Duration::from_secs(seconds));
        assert_eq!(windows.take("a", at(0)), Ok(()));
        assert_eq!(windows.take("a", at(100)), Ok(()));
        assert_eq!(windows.take("a", at(100)), Err(Duration::from_secs(200)));
        assert_eq!(windows.take("b", at(100)), Ok(()), "another caller");
        windows.give_back(&"a");
        assert_eq!(windows.take("a", at(101)), Ok(()));
        assert_eq!(windows.take("a", at(299)), Err(Duration::from_secs(1)));
        assert_eq!(windows.take("a", at(300)), Ok(()), "a new window");
        assert_eq!(windows.take("a", at(301)), Ok(()));
        windows.forget(&"a");
        assert_eq!(windows.take("a", at(302)), Ok(()));
    }
}
