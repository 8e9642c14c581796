//! What differs between dialects once a request has been answered: how an endpoint's deliveries are built, signed, repeated
//! and given up, and how its event patterns are read.
//!
//! An endpoint keeps the [`Profile`] of the dialect that created it; its row holds the profile's name. Whoever delivers asks
//! the profile and never which dialect there is, so a new dialect adds one file here and touches no stage. What every
//! profile has in common is not in it: the Standard Webhooks headers go out always, redirects are never followed, and any
//! 2xx is a success.
//!
//! The numbers of each are in its own file, with the section of its contract that gives them: [`hooksentry`], [`nahook`],
//! [`nestarc`]. How a request is answered is the dialect's own business and unknown here.

pub mod envelope;
pub mod hooksentry;
pub mod nahook;
pub mod nestarc;

use std::fmt;
use std::time::Duration;

use crate::attempt::Outcome;
use crate::breaker;
use crate::pattern::PatternSyntax;
use crate::retry::{AttemptsMax, Schedule};
use crate::signature::InRotation;
pub use envelope::Envelope;

/// Every profile there is.
pub const ALL: &[&Profile] = &[&hooksentry::PROFILE, &nahook::PROFILE, &nestarc::PROFILE];

/// The profile of an endpoint that no dialect created, such as one of the set-up file.
pub const DEFAULT: &Profile = &hooksentry::PROFILE;

/// How the deliveries of an endpoint are made. Endpoints hold it as `&'static Profile`.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Stored in the endpoint's row, so never respelled.
    name: &'static str,
    /// The waits between the attempts of a delivery.
    pub schedule: Schedule,
    /// How many attempts a delivery has, unless its endpoint says otherwise.
    pub attempts_max: Setting<AttemptsMax>,
    /// The most one attempt may take in all: connecting, sending, and reading the answer. None: as long as the operator
    /// allows.
    pub attempt_deadline: Option<Duration>,
    /// Whether a failure with this status ends the delivery at once, however many attempts are left. Asked of failures
    /// alone.
    pub is_final: fn(u16) -> bool,
    /// When the endpoint is left alone for a while.
    pub breaker: BreakerRule,
    /// What becomes of the stored bytes on their way into the request.
    pub envelope: Envelope,
    /// The header that holds the signature over the body alone, in lower case, where receivers expect one beside the
    /// Standard Webhooks headers.
    pub body_signature_header: Option<&'static str>,
    /// What the names of the profile's own headers begin with, in lower case. No router may add such a header to any
    /// delivery, for it would pass as ours.
    pub header_prefix: Option<&'static str>,
    /// How many signatures there are while a previous secret is still accepted.
    pub in_rotation: InRotation,
    /// How the texts of event patterns are read.
    pub patterns: PatternSyntax,
}

/// A number that a profile fixes, or leaves to the endpoint's tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting<T> {
    /// The tenant's own setting holds.
    Tenants,
    /// This holds, whatever the tenant's setting.
    Fixed(T),
}

impl<T> Setting<T> {
    /// The number that holds for an endpoint of a tenant with this setting.
    pub fn or(self, tenants: T) -> T {
        match self {
            Self::Tenants => tenants,
            Self::Fixed(fixed) => fixed,
        }
    }
}

/// When an endpoint's breaker blocks it, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct BreakerRule {
    /// Failed attempts in a row that block it.
    pub failures_to_block: u32,
    /// Whether an outcome counts as such a failure. Never true of our own faults (promise D3).
    pub counts: fn(Outcome) -> bool,
    /// How long it is left alone before one delivery probes it.
    pub block_for: Setting<Duration>,
    /// How long it may be blocked, without a success in between, until it is suspended: nothing more is taken for it until
    /// somebody acts. None: never.
    pub suspends_after: Option<Duration>,
}

impl BreakerRule {
    /// The settings of the breaker of an endpoint whose tenant has set this block time.
    pub fn settings(&self, tenants_block_for: Duration) -> breaker::Settings {
        breaker::Settings {
            failures_to_block: self.failures_to_block,
            block_for: self.block_for.or(tenants_block_for),
        }
    }

    /// What the outcome of an attempt says about the endpoint.
    pub fn verdict(&self, outcome: Outcome) -> breaker::Verdict {
        if outcome.is_success() {
            breaker::Verdict::Works
        } else if (self.counts)(outcome) {
            breaker::Verdict::Fails
        } else {
            breaker::Verdict::Unknown
        }
    }
}

impl Profile {
    /// The profile with this name, in exactly this spelling.
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().copied().find(|profile| profile.name == name)
    }

    /// The name under which an endpoint's row keeps it.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// How long one attempt may take where the operator allows this much.
    pub fn attempt_deadline(&self, operators: Duration) -> Duration {
        self.attempt_deadline.map_or(operators, |own| own.min(operators))
    }
}

/// Profiles are told apart by their names.
impl PartialEq for Profile {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Profile {}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name)
    }
}

#[cfg(test)]
mod tests;
