//! When a sender's plugin is left alone, and what a run says about it.
//!
//! There is one [`PluginBreaker`] for each sender and version: the same module may work with one configuration and fail
//! with another. Here is decided which ends of a run are a verdict on the plugin at all; the breaker's own rules are the
//! domain's.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use hookyard_domain::{
    ContentHash, SenderId, Timestamp,
    breaker::{Admit, PLUGIN_BACKOFF_FIRST, PluginBreaker, PluginState, Verdict},
    failure::{FailureClass, PluginFailure},
};

/// What a run says about the plugin, that was let in with this answer.
///
/// An event that the plugin refuses is as good as an answer: a flood of malformed events must not stop a plugin that
/// refuses them rightly. Of a probe it does not tell whether the plugin works again.
pub fn verdict<T>(result: &Result<T, PluginFailure>, admitted: Admit) -> Verdict {
    match result {
        Ok(_) => Verdict::Works,
        Err(failure) if failure.class.counts_against_plugin() => Verdict::Fails,
        Err(failure) if failure.class == FailureClass::BadEvent && admitted == Admit::Pass => Verdict::Works,
        Err(_) => Verdict::Unknown,
    }
}

/// What a run's end changes for its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    None,
    /// The plugin is left alone until then.
    Stopped {
        until: Timestamp,
    },
    /// Its events may be let in again: all of them, or the next one as a probe.
    Resumed,
}

/// Whether a sender's plugin may run, for the claimer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Runs,
    /// One event may probe.
    Probes,
    Stopped {
        until: Timestamp,
    },
}

#[derive(Default)]
pub struct Breakers(Mutex<HashMap<SenderId, (ContentHash, PluginBreaker)>>);

impl Breakers {
    /// Asks whether a version may run for a sender now. The end of the run has to be reported.
    pub fn admit(&self, sender: SenderId, version: ContentHash, now: Timestamp) -> Admit {
        let mut breakers = self.lock();
        let (of, breaker) = breakers.entry(sender).or_insert_with(|| (version, PluginBreaker::new()));
        if *of != version {
            // A new version starts with a clean slate.
            (*of, *breaker) = (version, PluginBreaker::new());
        }
        breaker.admit(now)
    }

    /// Reports how a run ended that was let in as `admitted`. The last runs of a replaced version change nothing.
    pub fn report(&self, sender: SenderId, version: ContentHash, admitted: Admit, verdict: Verdict, now: Timestamp) -> Change {
        let mut breakers = self.lock();
        let Some((_, breaker)) = breakers.get_mut(&sender).filter(|(of, _)| *of == version) else {
            return Change::None;
        };
        let before = breaker.state();
        breaker.report(admitted, verdict, now);
        match breaker.state() {
            after if after == before => Change::None,
            PluginState::Open { until } if until > now => Change::Stopped { until },
            PluginState::Open { .. } | PluginState::Closed => Change::Resumed,
            PluginState::Probing => Change::None,
        }
    }

    /// Whether a version may run for a sender. Unlike [`Breakers::admit`] it lets nothing in.
    pub fn standing(&self, sender: SenderId, version: ContentHash, now: Timestamp) -> Standing {
        match self.lock().get(&sender) {
            Some((of, breaker)) if *of == version => match breaker.state() {
                PluginState::Closed => Standing::Runs,
                PluginState::Open { until } if now < until => Standing::Stopped { until },
                PluginState::Open { .. } => Standing::Probes,
                // A run ends within milliseconds; its end resumes the sender.
                PluginState::Probing => Standing::Stopped {
                    until: now.plus(PLUGIN_BACKOFF_FIRST),
                },
            },
            _ => Standing::Runs,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SenderId, (ContentHash, PluginBreaker)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use hookyard_domain::breaker::PLUGIN_RUNS_MIN;
    use uuid::Uuid;

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_000_000);

    fn sender() -> SenderId {
        SenderId::from_uuid(Uuid::from_u128(1))
    }

    fn version(n: u8) -> ContentHash {
        ContentHash::of(&[n])
    }

    fn failed(class: FailureClass) -> Result<(), PluginFailure> {
        Err(PluginFailure {
            class,
            code: String::new(),
            message: String::new(),
        })
    }

    /// Breakers of which the sender's has just opened, and until when.
    fn opened() -> (Breakers, Timestamp) {
        let breakers = Breakers::default();
        for n in 1..=PLUGIN_RUNS_MIN {
            let admitted = breakers.admit(sender(), version(1), NOW);
            assert_eq!(admitted, Admit::Pass);
            let change = breakers.report(sender(), version(1), admitted, Verdict::Fails, NOW);
            assert_eq!(change != Change::None, n == PLUGIN_RUNS_MIN);
        }
        let until = NOW.plus(PLUGIN_BACKOFF_FIRST);
        assert_eq!(breakers.standing(sender(), version(1), NOW), Standing::Stopped { until });
        (breakers, until)
    }

    #[test]
    fn opening_stops_a_sender_and_a_probe_that_works_resumes_it() {
        let (breakers, until) = opened();
        assert_eq!(breakers.standing(sender(), version(1), until), Standing::Probes);
        let admitted = breakers.admit(sender(), version(1), until);
        assert_eq!(admitted, Admit::Probe);
        assert!(matches!(breakers.standing(sender(), version(1), until), Standing::Stopped { .. }));
        let change = breakers.report(sender(), version(1), admitted, Verdict::Works, until);
        assert_eq!(
            (change, breakers.standing(sender(), version(1), until)),
            (Change::Resumed, Standing::Runs)
        );
    }

    /// A probe that met a bad event closed the breaker of a plugin that was as broken as before.
    #[test]
    fn a_probe_without_a_verdict_leaves_the_breaker_to_the_next_probe() {
        for class in [FailureClass::BadEvent, FailureClass::Transient, FailureClass::WallCap] {
            let (breakers, until) = opened();
            let admitted = breakers.admit(sender(), version(1), until);
            let verdict = verdict(&failed(class), admitted);
            assert_eq!(breakers.report(sender(), version(1), admitted, verdict, until), Change::Resumed);
            assert_eq!(breakers.standing(sender(), version(1), until), Standing::Probes);
            assert_eq!(breakers.admit(sender(), version(1), until), Admit::Probe);
            let change = breakers.report(sender(), version(1), Admit::Probe, Verdict::Fails, until);
            let until = until.plus(2 * PLUGIN_BACKOFF_FIRST);
            assert_eq!(change, Change::Stopped { until });
        }
    }

    #[test]
    fn a_flood_of_bad_events_stops_nothing_and_dilutes_what_fails_besides() {
        let breakers = Breakers::default();
        for class in [FailureClass::BadEvent; 100].into_iter().chain([FailureClass::Trap; 50]) {
            let admitted = breakers.admit(sender(), version(1), NOW);
            assert_eq!(admitted, Admit::Pass);
            let verdict = verdict(&failed(class), admitted);
            assert_eq!(breakers.report(sender(), version(1), admitted, verdict, NOW), Change::None);
        }
    }

    #[test]
    fn a_new_version_starts_with_a_clean_slate() {
        let (breakers, _) = opened();
        assert_eq!(breakers.standing(sender(), version(2), NOW), Standing::Runs);
        assert_eq!(breakers.admit(sender(), version(2), NOW), Admit::Pass);
        let change = breakers.report(sender(), version(1), Admit::Pass, Verdict::Fails, NOW);
        assert_eq!(change, Change::None, "the former version's last run");
    }
}
