//! When an endpoint, or a plugin, is left alone for a while.
//!
//! Two small state machines with one vocabulary. [`Breaker`] counts an endpoint's failed attempts in a row.
//! [`PluginBreaker`] looks at the rate of a plugin's failed runs, since one bad event between good
//! ones says nothing about it. Both then let one probe through at a time, and both are told about every probe they admit:
//! success, failure, or abandoned when it gave no verdict.
//!
//! What counts as a failure is decided before it gets here: [`crate::profile::BreakerRule::counts`] (promise D3)
//! and [`crate::failure::FailureClass::counts_against_plugin`]. State is per node and may be lost with it: a restart costs a
//! few attempts to find out again.

use std::time::Duration;

use crate::time::Timestamp;

/// How soon to ask again while another's probe is on its way. No profile gives an attempt more than
/// 30 s of its own accord, so by then there usually is a verdict.
const PROBE_EXPECTED_WITHIN: Duration = Duration::from_secs(30);

/// When a probe that was never reported is given up and another may go. Far above any attempt's deadline: this mends a
/// caller that broke its word, so that an endpoint cannot stay blocked for good.
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

/// Where an endpoint's breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Deliveries go through; so many attempts in a row have failed.
    Passing {
        /// Failed attempts since the last success, below the number that blocks.
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
    /// When the last probe was admitted; says in `Probing` whether it is lost.
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

    /// Where it stands.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Takes new settings for what happens from now on; a block that has begun keeps its end.
    pub const fn configure(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// Asks whether an attempt may be made now.
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

    /// Reports that an attempt succeeded. Whatever the state, even of an attempt admitted before the block: the receiver
    /// works, so everything passes again.
    pub const fn on_success(&mut self) {
        self.state = State::Passing { failures: 0 };
    }

    /// Reports that an attempt failed through the receiver. While blocked it changes nothing: attempts that were in flight
    /// when the block began do not prolong it. While probing any failure is taken for the probe's.
    pub fn on_failure(&mut self, now: Timestamp) {
        match self.state {
            State::Passing { failures } => {
                let failures = failures.saturating_add(1);
                self.state = if failures >= self.settings.failures_to_block {
                    self.blocked_from(now)
                } else {
                    State::Passing { failures }
                };
            }
            State::Blocked { .. } => {}
            State::Probing => self.state = self.blocked_from(now),
        }
    }

    /// Reports that an admitted [`Admit::Probe`] ended without a verdict on the receiver: our own fault, or it was never
    /// made. The next to ask is a probe at once (promise D3). For other attempts there is nothing to report.
    pub fn on_abandoned(&mut self) {
        if self.state == State::Probing {
            self.state = State::Blocked {
                until: self.probe_admitted_at,
            };
        }
    }

    fn blocked_from(&self, now: Timestamp) -> State {
        State::Blocked {
            until: now.plus(self.settings.block_for),
        }
    }
}

/// The time a plugin's breaker looks back.
pub const PLUGIN_WINDOW: Duration = Duration::from_secs(60);

/// Runs within the window below which nothing is concluded: one failure of one run is not a rate.
pub const PLUGIN_RUNS_MIN: u32 = 20;

/// First wait of a stopped plugin, and the longest; it doubles in between. A version that is fixed or a cause that passes
/// is noticed within a second at first, and a broken one costs a run a minute in the end.
pub const PLUGIN_BACKOFF_FIRST: Duration = Duration::from_secs(1);
/// See [`PLUGIN_BACKOFF_FIRST`].
pub const PLUGIN_BACKOFF_MAX: Duration = Duration::from_secs(60);

/// One slot of the window for each of its seconds.
const WINDOW_SLOTS: usize = PLUGIN_WINDOW.as_secs() as usize;

/// Where a plugin's breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PluginState {
    /// Events are routed.
    Closed,
    /// Events are held until this moment, when one probes.
    Open {
        /// When a probe may go.
        until: Timestamp,
    },
    /// One event probes; the others are held.
    Probing,
}

/// The breaker of one plugin version for one sender: opens when at least 20 runs ended within 60 s and more than half of
/// them failed, then probes after 1 s, 2 s, … 60 s until a run works. A new version gets a new breaker.
#[derive(Debug, Clone)]
pub struct PluginBreaker {
    state: PluginState,
    /// Runs and failures by second, each in slot `second mod 60`: fixed in size however many runs there are.
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

    /// Where it stands.
    pub const fn state(&self) -> PluginState {
        self.state
    }

    /// Asks whether the plugin may run now.
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

    /// Reports how a run ended: `ok` is false exactly when its failure counts against the plugin. While open, ends of runs
    /// that began earlier change nothing; while probing, any end is taken for the probe's.
    pub fn record(&mut self, ok: bool, now: Timestamp) {
        match self.state {
            PluginState::Closed => {
                self.count(ok, now);
                if self.more_than_half_failed(now) {
                    self.open(now);
                }
            }
            PluginState::Open { .. } => {}
            PluginState::Probing if ok => *self = Self::new(),
            PluginState::Probing => self.open(now),
        }
    }

    /// Reports that an admitted [`Admit::Probe`] says nothing about the plugin: the host failed it, or the event did. The
    /// next to ask is a probe at once.
    pub fn on_abandoned(&mut self) {
        if self.state == PluginState::Probing {
            self.state = PluginState::Open {
                until: self.probe_admitted_at,
            };
        }
    }

    fn count(&mut self, ok: bool, now: Timestamp) {
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
        slot.failed = slot.failed.saturating_add(u32::from(!ok));
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
