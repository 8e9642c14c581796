//! When an endpoint, or a plugin, is left alone for a while.
//!
//! Two small state machines with one vocabulary. [`Breaker`] counts an endpoint's failed attempts in a row.
//! [`PluginBreaker`] looks at the rate of a plugin's failed runs, since one bad event between good ones says nothing about
//! it. Both then let one probe through at a time. The end of everything that was let in is reported with the [`Admit`] that
//! let it in and a [`Verdict`]. Otherwise an attempt from before the block that ends during the probe would be taken for it.
//!
//! What counts as a failure is decided before it gets here: [`crate::profile::BreakerRule::verdict`] (promise D3) and
//! [`crate::failure::FailureClass::counts_against_plugin`]. Each node has its own breakers; which endpoints are blocked is
//! kept in the database, so that a restart does not call them all at once.

use std::time::Duration;

use crate::time::Timestamp;

/// How soon to ask again while another's probe is on its way. Few attempts last longer than 30 s, so by then there usually
/// is a verdict.
const PROBE_EXPECTED_WITHIN: Duration = Duration::from_secs(30);

/// When a probe whose end is not reported is given up and another may go, so that an endpoint cannot stay blocked for ever.
/// Above the longest deadline an operator can set, 300 s.
const PROBE_LOST_AFTER: Duration = Duration::from_secs(600);

/// Whether work may go ahead now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admit {
    /// Yes, as always.
    Pass,
    /// Yes, as the one probe. Its end must be reported.
    Probe,
    /// No; ask again at this moment. Nothing was tried, so no attempt is used up.
    Wait {
        /// When to ask again, after the time of asking.
        until: Timestamp,
    },
}

/// What the end of an attempt or a run says about the endpoint or plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It works.
    Works,
    /// It failed.
    Fails,
    /// Nothing: we failed ourselves, the event was at fault, or what was let in was never tried.
    Unknown,
}

/// The state of an endpoint's breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Deliveries go through.
    Passing {
        /// Failed attempts since the last success, fewer than the number that blocks.
        failures: u32,
    },
    /// Deliveries wait; the first to ask from this moment on is the probe.
    Blocked {
        /// When a probe may go.
        until: Timestamp,
    },
    /// One probe is on its way; the other deliveries wait.
    Probing,
}

/// An endpoint's breaker settings; see [`crate::profile::BreakerRule`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Failed attempts in a row that block the endpoint; 0 counts as 1.
    pub failures_to_block: u32,
    /// How long it is left alone before a probe.
    pub block_for: Duration,
}

/// An endpoint's breaker: passes, blocks after a run of failures, then probes.
#[derive(Debug, Clone)]
pub struct Breaker {
    settings: Settings,
    state: State,
    /// When the last probe was let in. In `Probing` this tells whether it is lost.
    probe_admitted_at: Timestamp,
}

impl Breaker {
    /// A breaker that lets everything through.
    pub const fn new(settings: Settings) -> Self {
        Self {
            settings,
            state: State::Passing { failures: 0 },
            probe_admitted_at: Timestamp::EPOCH,
        }
    }

    /// A breaker that blocks until this moment, to go on from what the database says of an endpoint.
    pub const fn blocked(settings: Settings, until: Timestamp) -> Self {
        Self {
            state: State::Blocked { until },
            ..Self::new(settings)
        }
    }

    /// Its state.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Takes new settings for what happens from now on; a block that has begun keeps its end.
    pub const fn configure(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// Asks whether an attempt may be made now. Its end must be reported with the answer.
    pub fn admit(&mut self, now: Timestamp) -> Admit {
        match self.state {
            State::Passing { .. } => Admit::Pass,
            State::Blocked { until } if now < until => Admit::Wait { until },
            State::Probing if now.since(self.probe_admitted_at) < PROBE_LOST_AFTER => Admit::Wait {
                until: now.plus(PROBE_EXPECTED_WITHIN),
            },
            State::Blocked { .. } | State::Probing => {
                self.state = State::Probing;
                self.probe_admitted_at = now;
                Admit::Probe
            }
        }
    }

    /// Reports how an attempt ended that was let in with this answer.
    ///
    /// After a success everything passes again, whatever the state was, and even if the attempt was made before the block:
    /// the receiver works. A failure counts while the breaker passes. Later only the probe's failure counts: attempts that
    /// were in flight when the block began neither prolong it nor end the probe. A probe that gave no verdict is followed by
    /// another at once (promise D3).
    pub fn report(&mut self, admitted: Admit, verdict: Verdict, now: Timestamp) {
        let is_probe = admitted == Admit::Probe;
        match (verdict, self.state) {
            (Verdict::Works, _) => self.state = State::Passing { failures: 0 },
            (Verdict::Fails, State::Passing { failures }) => {
                let failures = failures.saturating_add(1);
                self.state = if failures >= self.settings.failures_to_block {
                    self.blocked_from(now)
                } else {
                    State::Passing { failures }
                };
            }
            (Verdict::Fails, State::Probing) if is_probe => self.state = self.blocked_from(now),
            (Verdict::Unknown, State::Probing) if is_probe => {
                self.state = State::Blocked {
                    until: self.probe_admitted_at,
                };
            }
            (Verdict::Fails | Verdict::Unknown, _) => {}
        }
    }

    fn blocked_from(&self, now: Timestamp) -> State {
        State::Blocked {
            until: now.plus(self.settings.block_for),
        }
    }
}

/// How far back a plugin's breaker looks.
pub const PLUGIN_WINDOW: Duration = Duration::from_secs(60);

/// With fewer runs than this within the window nothing is concluded: one failure of one run is not a rate.
pub const PLUGIN_RUNS_MIN: u32 = 20;

/// The first wait of a stopped plugin; each further one is twice as long, up to [`PLUGIN_BACKOFF_MAX`]. A cause that passes
/// soon is noticed within a second, and a plugin that stays broken costs one run a minute.
pub const PLUGIN_BACKOFF_FIRST: Duration = Duration::from_secs(1);
/// The longest wait of a stopped plugin.
pub const PLUGIN_BACKOFF_MAX: Duration = Duration::from_secs(60);

/// One slot of the window for each of its seconds.
const WINDOW_SLOTS: usize = PLUGIN_WINDOW.as_secs() as usize;

/// The state of a plugin's breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PluginState {
    /// Events are routed.
    Closed,
    /// Events wait until this moment, when one probes.
    Open {
        /// When a probe may go.
        until: Timestamp,
    },
    /// One event probes; the others wait.
    Probing,
}

/// The breaker of one plugin version for one sender: opens when at least 20 runs ended within 60 s and more than half of
/// them failed, then probes after 1 s, 2 s, … 60 s until a run works. A new version gets a new breaker.
#[derive(Debug, Clone)]
pub struct PluginBreaker {
    state: PluginState,
    /// Runs and failures of each second, in slot `second mod 60`, so that its size does not depend on the number of runs.
    window: [Second; WINDOW_SLOTS],
    /// How long the next opening lasts.
    backoff: Duration,
    /// When the last probe was admitted.
    probe_admitted_at: Timestamp,
}

#[derive(Debug, Clone, Copy, Default)]
struct Second {
    unix_secs: i64,
    runs: u32,
    failed: u32,
}

impl Default for PluginBreaker {
    fn default() -> Self {
        Self::new()
    }
}

impl PluginBreaker {
    /// A closed breaker that has seen nothing.
    pub fn new() -> Self {
        Self {
            state: PluginState::Closed,
            window: [Second::default(); WINDOW_SLOTS],
            backoff: PLUGIN_BACKOFF_FIRST,
            probe_admitted_at: Timestamp::EPOCH,
        }
    }

    /// Its state.
    pub const fn state(&self) -> PluginState {
        self.state
    }

    /// Asks whether the plugin may run now. The end of the run must be reported with the answer.
    pub fn admit(&mut self, now: Timestamp) -> Admit {
        match self.state {
            PluginState::Closed => Admit::Pass,
            PluginState::Open { until } if now < until => Admit::Wait { until },
            PluginState::Probing if now.since(self.probe_admitted_at) < PROBE_LOST_AFTER => {
                // A run ends within milliseconds, so the shortest backoff is ample.
                Admit::Wait {
                    until: now.plus(PLUGIN_BACKOFF_FIRST),
                }
            }
            PluginState::Open { .. } | PluginState::Probing => {
                self.state = PluginState::Probing;
                self.probe_admitted_at = now;
                Admit::Probe
            }
        }
    }

    /// Reports how a run ended that was let in with this answer.
    ///
    /// While closed every verdict counts, and a run without a verdict does not. Later only the probe's verdict counts: runs
    /// that began before change nothing. A probe that gave no verdict is followed by another at once, with the same back-off.
    pub fn report(&mut self, admitted: Admit, verdict: Verdict, now: Timestamp) {
        match (self.state, verdict) {
            (PluginState::Closed, Verdict::Works | Verdict::Fails) => {
                self.count(verdict, now);
                if self.more_than_half_failed(now) {
                    self.open(now);
                }
            }
            (PluginState::Closed, Verdict::Unknown) | (PluginState::Open { .. }, _) => {}
            (PluginState::Probing, _) if admitted != Admit::Probe => {}
            (PluginState::Probing, Verdict::Works) => *self = Self::new(),
            (PluginState::Probing, Verdict::Fails) => self.open(now),
            (PluginState::Probing, Verdict::Unknown) => {
                self.state = PluginState::Open {
                    until: self.probe_admitted_at,
                };
            }
        }
    }

    fn count(&mut self, verdict: Verdict, now: Timestamp) {
        let unix_secs = now.as_secs();
        let slot = &mut self.window[slot_of(unix_secs)];
        if slot.unix_secs != unix_secs {
            *slot = Second {
                unix_secs,
                runs: 0,
                failed: 0,
            };
        }
        slot.runs = slot.runs.saturating_add(1);
        slot.failed = slot.failed.saturating_add(u32::from(verdict == Verdict::Fails));
    }

    fn more_than_half_failed(&self, now: Timestamp) -> bool {
        let newest = now.as_secs();
        let oldest = newest.saturating_sub(WINDOW_SLOTS as i64 - 1);
        let within = self.window.iter().filter(|second| (oldest..=newest).contains(&second.unix_secs));
        let (runs, failed) = within.fold((0_u64, 0_u64), |(runs, failed), second| {
            (runs + u64::from(second.runs), failed + u64::from(second.failed))
        });
        runs >= u64::from(PLUGIN_RUNS_MIN) && failed * 2 > runs
    }

    fn open(&mut self, now: Timestamp) {
        self.state = PluginState::Open {
            until: now.plus(self.backoff),
        };
        self.backoff = self.backoff.saturating_mul(2).min(PLUGIN_BACKOFF_MAX);
    }
}

fn slot_of(unix_secs: i64) -> usize {
    usize::try_from(unix_secs.rem_euclid(WINDOW_SLOTS as i64)).expect("a remainder of 60 is 0..=59")
}

#[cfg(test)]
mod tests;
