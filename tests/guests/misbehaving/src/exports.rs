//! The component's exports: reads the mode and calls what breaks that limit.

use hookyard_guest::bindings::exports::hookyard::plugin::{lifecycle, router};
use hookyard_guest::bindings::hookyard::plugin::settings;
use hookyard_guest::bindings::hookyard::plugin::types::{ConfigProblem, Decision, Endpoint, Event, Failure, FailureKind, Manifest};

use crate::mode::{Config, Mode};
use crate::{answers, faults, surroundings};

struct Misbehaving;

impl router::Guest for Misbehaving {
    fn route(_: Event, endpoints: Vec<Endpoint>) -> Result<Decision, Failure> {
        let config = read(&settings::json()).map_err(|message| failed(FailureKind::BadConfig, message))?;
        Ok(match config.mode {
            Mode::Pass => Decision::Pass,

            Mode::EndlessLoop => faults::loop_endlessly(),
            Mode::BurnCpuMs => passing(|| faults::burn_cpu(config.ms)),
            Mode::MemoryBomb => faults::fill_memory(),
            Mode::DeepRecursion => passing(faults::recurse_in_locals),
            Mode::DeepRecursionInMemory => passing(faults::recurse_in_memory),
            Mode::Panic => faults::panic_reported(),
            Mode::PanicUnreported => panic!("misbehaving on purpose"),
            Mode::Trap => core::arch::wasm32::unreachable(),

            Mode::HugeOutput => answers::output_of(answers::HUGE_BODY_BYTES),
            Mode::LargeOutput => answers::output_of(answers::LARGE_BODY_BYTES),
            Mode::MillionRoutes => answers::routes(1_000_000),
            Mode::ManyRoutes => answers::routes(200_000),
            Mode::BadIndex => answers::bad_index(&endpoints),
            Mode::BadContentIndex => answers::bad_content_index(),
            Mode::DuplicateEndpoint => answers::duplicate_endpoint(),
            Mode::EmptyRoutes => answers::empty_routes(),
            Mode::ReservedHeader => answers::reserved_header(),

            Mode::LogFlood => passing(faults::flood_log),
            Mode::HugeLogLine => passing(faults::write_huge_log_line),
            Mode::Print => passing(faults::print),

            Mode::Sleep => answers::annotated(&endpoints, surroundings::sleep()),
            Mode::ReadEnvAndFiles => answers::annotated(&endpoints, surroundings::env_and_files()),
            Mode::Ambient => answers::annotated(&endpoints, surroundings::clocks_and_randomness()),
            Mode::Exit => std::process::exit(7),
            Mode::Metadata => answers::annotated(&endpoints, surroundings::metadata(&endpoints)),

            Mode::FailBadEvent => return Err(failed(FailureKind::BadEvent, "this event is bad")),
            Mode::FailBadConfig => {
                return Err(failed(FailureKind::BadConfig, "this configuration is bad"));
            }
            Mode::FailTransient => return Err(failed(FailureKind::Transient, "try again later")),
            Mode::FailInternal => return Err(failed(FailureKind::Internal, "a defect")),
        })
    }
}

impl lifecycle::Guest for Misbehaving {
    fn describe() -> Manifest {
        Manifest {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Breaks one limit per mode; for tests only.".to_owned(),
            config_schema: None,
            event_types: Vec::new(),
            needs: Vec::new(),
        }
    }

    fn check_config(json: String) -> Result<(), Vec<ConfigProblem>> {
        match read(&json) {
            Ok(_) => Ok(()),
            Err(message) => Err(vec![ConfigProblem {
                pointer: "/mode".to_owned(),
                message,
            }]),
        }
    }
}

fn read(json: &str) -> Result<Config, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

fn passing(fault: impl FnOnce()) -> Decision {
    fault();
    Decision::Pass
}

fn failed(kind: FailureKind, message: impl Into<String>) -> Failure {
    Failure {
        kind,
        code: "on-purpose".to_owned(),
        message: message.into(),
    }
}

// The exported symbols are `unsafe` attributes that the generated code proves by construction.
#[allow(unsafe_code)]
const _: () = {
    hookyard_guest::bindings::export!(Misbehaving with_types_in hookyard_guest::bindings);
};
