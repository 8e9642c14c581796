//! What can go wrong, by name.

use serde::Deserialize;

/// The configuration of this guest.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    pub mode: Mode,
    /// For [`Mode::BurnCpuMs`]: about how many milliseconds to burn, 1 to 10,000.
    #[serde(default = "one")]
    pub ms: u32,
}

fn one() -> u32 {
    1
}

/// What to do with every event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Answers `pass`.
    #[default]
    Pass,

    /// Never returns: over the CPU budget.
    EndlessLoop,
    /// Works for about `ms` milliseconds, counted in iterations because no clock moves, then passes.
    BurnCpuMs,
    /// Allocates and touches memory until it is refused: over the memory limit.
    MemoryBomb,
    /// Calls itself without end, with all of a frame in locals: over the engine's stack limit.
    DeepRecursion,
    /// Calls itself without end, with frames in linear memory: below the bottom of that stack, which is an access out of
    /// bounds and not a stack overflow to the engine.
    DeepRecursionInMemory,
    /// Panics with a message, which the SDK's hook writes to the log at level error.
    Panic,
    /// Panics with a message that goes to standard error only.
    PanicUnreported,
    /// Executes `unreachable` without a message.
    Trap,

    /// Answers with a body of 40 MB: needs more than 32 MiB of memory to get as far as being refused.
    HugeOutput,
    /// Answers with a body of 20 MB, which fits 32 MiB of memory and is over an output limit of 16 MiB.
    LargeOutput,
    /// Answers with a million routes to endpoint 0: needs more than 80 MiB of memory to get as far as being refused.
    MillionRoutes,
    /// Answers with two hundred thousand routes to endpoint 0, which fit 32 MiB of memory.
    ManyRoutes,
    /// Answers with a route to the endpoint after the last.
    BadIndex,
    /// Answers with a route whose content is not in the table.
    BadContentIndex,
    /// Answers with two routes to endpoint 0.
    DuplicateEndpoint,
    /// Answers with a plan that has no routes.
    EmptyRoutes,
    /// Answers with a `webhook-signature` header of its own.
    ReservedHeader,

    /// Writes three million log lines, then passes.
    LogFlood,
    /// Writes one log line of 200 KiB, then passes.
    HugeLogLine,
    /// Prints to standard output and error, then passes.
    Print,

    /// Sleeps ten seconds, then passes with the annotation `slept-ms`: how long its own clock says that it took.
    Sleep,
    /// Passes with annotations of what it can see: `env`, `args`, `root` and `cwd`.
    ReadEnvAndFiles,
    /// Passes with annotations of every clock and every randomness it has; two runs of one event must agree.
    Ambient,
    /// Calls `std::process::exit(7)`.
    Exit,
    /// Passes with the metadata of every endpoint as annotations, each key behind the endpoint's name: `hook.region`.
    Metadata,

    /// Fails as `bad-event`.
    FailBadEvent,
    /// Fails as `bad-config`.
    FailBadConfig,
    /// Fails as `transient`.
    FailTransient,
    /// Fails as `internal`.
    FailInternal,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_spelt_in_kebab_case_and_pass_is_the_default() {
        let read = |json| serde_json::from_str::<Config>(json);
        assert_eq!(read("{}").unwrap().mode, Mode::Pass);
        assert_eq!(read(r#"{"mode":"read-env-and-files"}"#).unwrap().mode, Mode::ReadEnvAndFiles);
        let burn = read(r#"{"mode":"burn-cpu-ms","ms":5}"#).unwrap();
        assert_eq!((burn.mode, burn.ms), (Mode::BurnCpuMs, 5));
    }

    #[test]
    fn an_unknown_mode_is_refused_with_the_list_of_known_ones() {
        let error = serde_json::from_str::<Config>(r#"{"mode":"behave"}"#).unwrap_err().to_string();
        assert!(error.contains("`behave`") && error.contains("`endless-loop`"), "{error}");
    }
}
