//! Builds the guest components the suites run, with the very profile and target that plugins are shipped with.
//!
//! A guest is built once per process and cargo's own freshness check makes the next process quick, so a suite can ask
//! for a guest wherever it needs one. Guests are built one package per cargo call: in one common call cargo would give every
//! guest the SDK features that any of them asks for.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::wait;

/// What a Rust plugin compiles to.
const TARGET: &str = "wasm32-wasip2";

/// The workspace profile of guests.
const PROFILE: &str = "plugin";

static BUILT: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);

/// Builds a guest package of this workspace and returns the path of its component.
///
/// # Panics
/// When the package does not build; what cargo said is in the message.
pub fn build(package: &str) -> PathBuf {
    // A panic in here is a failed build, which does not change the map.
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let built = built.get_or_insert_default();
    if let Some(component) = built.get(package) {
        return component.clone();
    }
    let component = wait::built(|| build_now(package));
    built.insert(package.to_owned(), component.clone());
    component
}

/// Reads the component of a guest package, built if need be.
///
/// # Panics
/// As [`build`].
pub fn bytes(package: &str) -> Vec<u8> {
    let path = build(package);
    std::fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

fn build_now(package: &str) -> PathBuf {
    let mut outcome = cargo_build(package);
    if outcome.as_ref().is_err_and(|said| said.contains("target may not be installed")) {
        add_target();
        outcome = cargo_build(package);
    }
    outcome.unwrap_or_else(|said| panic!("cannot build the guest {package}:\n{said}"));
    let file = format!("{}.wasm", package.replace('-', "_"));
    target_dir().join(TARGET).join(PROFILE).join(file)
}

fn cargo_build(package: &str) -> Result<(), String> {
    let output = cargo()
        .args(["build", "--quiet", "--profile", PROFILE, "--target", TARGET, "--package", package])
        .output()
        .expect("the cargo that built this test can be run");
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn add_target() {
    let status = Command::new("rustup").args(["target", "add", TARGET]).status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "the target {TARGET} is missing and rustup could not add it"
    );
}

/// Cargo without what the outer cargo told this test: flags for the host are wrong for a guest.
fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(workspace())
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    cargo
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this package is a folder of the workspace")
}

/// Where cargo puts what it builds; a relative path in the environment is relative to the folder cargo runs in.
fn target_dir() -> PathBuf {
    workspace().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}
