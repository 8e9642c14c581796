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

    /// How long the caller has to wait, if it has used up its counts.
    pub fn wait(&self, key: &Key, now: Timestamp) -> Option<Duration> {
        let counts = self.counts();
        let count = counts.get(key).filter(|count| count.count >= self.count_max)?;
        let passed = now.since(count.since);
        (passed < self.lasts).then(|| self.lasts - passed)
    }

    pub fn count(&self, key: Key, now: Timestamp) {
        let mut counts = self.counts();
        if counts.len() >= CALLERS_MAX {
            counts.retain(|_, count| now.since(count.since) < self.lasts);
            if counts.len() >= CALLERS_MAX {
                counts.clear();
            }
        }
        let count = counts.entry(key).or_insert(Count { since: now, count: 0 });
        if now.since(count.since) >= self.lasts {
            *count = Count { since: now, count: 0 };
        }
        count.count += 1;
    }

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
        assert_eq!(windows.wait(&"a", at(0)), None);
        windows.count("a", at(0));
        assert_eq!(windows.wait(&"a", at(1)), None);
        windows.count("a", at(100));
        assert_eq!(windows.wait(&"a", at(100)), Some(Duration::from_secs(200)));
        assert_eq!(windows.wait(&"b", at(100)), None, "another caller");
        assert_eq!(windows.wait(&"a", at(300)), None);
        windows.count("a", at(300));
        assert_eq!(windows.wait(&"a", at(300)), None, "a new window");
        windows.count("a", at(301));
        windows.forget(&"a");
        assert_eq!(windows.wait(&"a", at(302)), None);
    }
}
