//! One log line for a fault that repeats: the first at once, then at most one per interval, with a count of the others.
//!
//! A plugin that fails for each of 500,000 events would otherwise write as many lines, in which nobody finds anything
//! and which cost more than the work. The caller writes the line itself, with the fields it wants; here is only decided
//! whether. The time is passed in, so that a test moves it.

use std::{collections::HashMap, hash::Hash, sync::Mutex, time::Duration};

use hookyard_domain::Timestamp;
use prometheus_client::metrics::counter::Counter;

/// What to do with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Write it, and say that so many like it were left out since the last one.
    Write { left_out: u64 },
    /// It is counted, and told with a later one.
    LeaveOut,
}

/// Lines that were left out and that no later line of the same key has told of.
#[derive(Debug, PartialEq, Eq)]
pub struct Untold<K> {
    /// `None` stands for all keys that found no room.
    pub key: Option<K>,
    pub left_out: u64,
}

/// Decides about lines by a key, such as a plugin's id together with the kind of its failure.
pub struct Aggregate<K> {
    interval: Duration,
    keys_max: usize,
    left_out: Counter,
    state: Mutex<State<K>>,
}

struct State<K> {
    keys: HashMap<K, Seen>,
    others: Option<Seen>,
}

#[derive(Clone, Copy)]
struct Seen {
    written_at: Timestamp,
    left_out: u64,
}

impl Seen {
    const fn at(now: Timestamp) -> Self {
        Self {
            written_at: now,
            left_out: 0,
        }
    }

    fn rested(&self, interval: Duration, now: Timestamp) -> bool {
        now.since(self.written_at) >= interval
    }

    fn line(&mut self, interval: Duration, now: Timestamp) -> Line {
        if self.rested(interval, now) {
            let left_out = self.left_out;
            *self = Self::at(now);
            Line::Write { left_out }
        } else {
            self.left_out += 1;
            Line::LeaveOut
        }
    }
}

impl<K: Clone + Eq + Hash> Aggregate<K> {
    /// At most `keys_max` keys are told apart at a time; what does not fit is treated as one further key. `left_out`
    /// counts every line that is not written.
    pub fn new(interval: Duration, keys_max: usize, left_out: Counter) -> Self {
        Self {
            interval,
            keys_max,
            left_out,
            state: Mutex::new(State {
                keys: HashMap::new(),
                others: None,
            }),
        }
    }

    /// Whether a line is written.
    pub fn line(&self, key: &K, now: Timestamp) -> Line {
        let line = self.decide(key, now);
        if line == Line::LeaveOut {
            self.left_out.inc();
        }
        line
    }

    fn decide(&self, key: &K, now: Timestamp) -> Line {
        let mut state = self.lock();
        if let Some(seen) = state.keys.get_mut(key) {
            return seen.line(self.interval, now);
        }
        if state.keys.len() >= self.keys_max {
            // A key whose interval has passed and that left nothing out would be told at once again: it is as good as new.
            state.keys.retain(|_, seen| seen.left_out > 0 || !seen.rested(self.interval, now));
        }
        if state.keys.len() < self.keys_max {
            state.keys.insert(key.clone(), Seen::at(now));
            return Line::Write { left_out: 0 };
        }
        match &mut state.others {
            Some(seen) => seen.line(self.interval, now),
            others => {
                *others = Some(Seen::at(now));
                Line::Write { left_out: 0 }
            }
        }
    }

    /// What was left out and whose interval has passed without a further line: the end of a burst. Called now and then,
    /// so that the count of the last burst is told too.
    pub fn untold(&self, now: Timestamp) -> Vec<Untold<K>> {
        let mut state = self.lock();
        let interval = self.interval;
        let due = |seen: &mut Seen| {
            let due = seen.left_out > 0 && seen.rested(interval, now);
            due.then(|| {
                let left_out = seen.left_out;
                *seen = Seen::at(now);
                left_out
            })
        };
        let mut untold: Vec<_> = state
            .keys
            .iter_mut()
            .filter_map(|(key, seen)| {
                Some(Untold {
                    left_out: due(seen)?,
                    key: Some(key.clone()),
                })
            })
            .collect();
        let others = state.others.as_mut().and_then(due);
        untold.extend(others.map(|left_out| Untold { key: None, left_out }));
        untold
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State<K>> {
        // Nothing that can panic runs under the lock, and a count is not worth stopping a server.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::EPOCH.plus(Duration::from_secs(seconds))
    }

    #[test]
    fn the_first_is_written_at_once_and_then_one_per_interval_with_a_count() {
        let aggregate = Aggregate::new(MINUTE, 10, Counter::default());
        assert_eq!(aggregate.line(&"a", at(0)), Line::Write { left_out: 0 });
        for second in 1..60 {
            assert_eq!(aggregate.line(&"a", at(second)), Line::LeaveOut, "{second}");
        }
        assert_eq!(aggregate.left_out.get(), 59);
        assert_eq!(aggregate.line(&"a", at(60)), Line::Write { left_out: 59 });
        assert_eq!(aggregate.line(&"a", at(61)), Line::LeaveOut);
        assert_eq!(aggregate.line(&"a", at(500)), Line::Write { left_out: 1 });
        assert_eq!(aggregate.line(&"a", at(1_000)), Line::Write { left_out: 0 });
    }

    #[test]
    fn keys_are_counted_apart() {
        let aggregate = Aggregate::new(MINUTE, 10, Counter::default());
        assert_eq!(aggregate.line(&"a", at(0)), Line::Write { left_out: 0 });
        assert_eq!(aggregate.line(&"b", at(1)), Line::Write { left_out: 0 });
        assert_eq!(aggregate.line(&"a", at(2)), Line::LeaveOut);
        assert_eq!(aggregate.line(&"b", at(61)), Line::Write { left_out: 0 });
    }

    #[test]
    fn the_end_of_a_burst_is_told_once() {
        let aggregate = Aggregate::new(MINUTE, 10, Counter::default());
        aggregate.line(&"a", at(0));
        aggregate.line(&"a", at(1));
        aggregate.line(&"a", at(2));
        aggregate.line(&"quiet", at(2));
        assert_eq!(aggregate.untold(at(59)), []);
        let told = Untold {
            key: Some("a"),
            left_out: 2,
        };
        assert_eq!(aggregate.untold(at(60)), [told]);
        assert_eq!(aggregate.untold(at(600)), []);
        assert_eq!(aggregate.line(&"a", at(601)), Line::Write { left_out: 0 });
    }

    #[test]
    fn keys_without_room_share_one_line() {
        let aggregate = Aggregate::new(MINUTE, 2, Counter::default());
        aggregate.line(&1, at(0));
        aggregate.line(&2, at(0));
        assert_eq!(aggregate.line(&3, at(1)), Line::Write { left_out: 0 });
        for key in 4..1_000 {
            assert_eq!(aggregate.line(&key, at(2)), Line::LeaveOut);
        }
        let told = Untold { key: None, left_out: 996 };
        assert_eq!(aggregate.untold(at(61)), [told]);
    }

    #[test]
    fn a_key_that_has_rested_makes_room_and_one_with_a_count_does_not() {
        let aggregate = Aggregate::new(MINUTE, 2, Counter::default());
        aggregate.line(&1, at(0));
        aggregate.line(&2, at(0));
        aggregate.line(&2, at(1));
        assert_eq!(aggregate.line(&3, at(61)), Line::Write { left_out: 0 });
        assert_eq!(aggregate.line(&2, at(61)), Line::Write { left_out: 1 });
        assert_eq!(aggregate.line(&3, at(62)), Line::LeaveOut, "it was given the room of 1");
    }

    #[test]
    fn a_clock_set_back_does_not_silence_for_longer_than_it_was_set_back() {
        let aggregate = Aggregate::new(MINUTE, 2, Counter::default());
        aggregate.line(&1, at(100));
        assert_eq!(aggregate.line(&1, at(0)), Line::LeaveOut);
        assert_eq!(aggregate.line(&1, at(160)), Line::Write { left_out: 1 });
    }
}
