//! Looks around: what a guest can learn of the machine it runs on, which should be nothing.

use std::collections::hash_map::RandomState;
use std::fmt::Debug;
use std::hash::BuildHasher;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hookyard_guest::bindings::hookyard::plugin::ambient;
use hookyard_guest::bindings::hookyard::plugin::types::Endpoint;

/// So long that a test notices if the host really waits.
const SLEEP: Duration = Duration::from_secs(10);

pub(crate) fn sleep() -> Vec<(String, String)> {
    let before = Instant::now();
    std::thread::sleep(SLEEP);
    vec![note("slept-ms", before.elapsed().as_millis())]
}

pub(crate) fn env_and_files() -> Vec<(String, String)> {
    let root = std::fs::read_dir("/").map(|entries| entries.flatten().map(|entry| entry.path()).collect::<Vec<_>>());
    vec![
        note("env", std::env::vars_os().collect::<Vec<_>>()),
        note("args", std::env::args_os().collect::<Vec<_>>()),
        note("root", root),
        note("cwd", std::env::current_dir()),
        note("passwd", std::fs::read_to_string("/etc/passwd")),
    ]
}

#[expect(clippy::disallowed_methods, reason = "shows what a guest gets when it asks for the real time")]
pub(crate) fn clocks_and_randomness() -> Vec<(String, String)> {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_nanos());
    let monotonic = Instant::now();
    vec![
        note("now-ms", ambient::now_ms()),
        note("random-u64", (ambient::random_u64(), ambient::random_u64())),
        note("system-time-ns", wall),
        note("instant", monotonic),
        note("hash-seed", RandomState::new().hash_one("the same")),
    ]
}

pub(crate) fn metadata(endpoints: &[Endpoint]) -> Vec<(String, String)> {
    let of_one = |endpoint: &Endpoint| {
        let name = endpoint.name.clone();
        let pairs = endpoint.metadata.clone();
        pairs.into_iter().map(move |(key, value)| (format!("{name}.{key}"), value))
    };
    endpoints.iter().flat_map(of_one).collect()
}

fn note(name: &str, seen: impl Debug) -> (String, String) {
    (name.to_owned(), format!("{seen:?}"))
}
