//! Programs of the Python registry, for suites that ask somebody else's judgement.
//!
//! Each list of requirements gets an environment of its own in the target folder, made when it is first needed and kept: its
//! name holds a hash of the list, so that another list makes another environment.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use hookyard_domain::ContentHash;

use crate::wait::built;

/// Tests of one process make an environment one after the other. Processes of `cargo test` do, too.
static MAKING: Mutex<()> = Mutex::new(());

/// Where the programs are that these requirements bring, one of them by line with its version.
///
/// # Panics
/// When Python has no `venv`, or a package cannot be fetched.
pub fn programs(requirements: &Path) -> PathBuf {
    let _making = MAKING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let wanted = fs::read(requirements).expect("the requirements can be read");
    let name = format!("python-{}", &ContentHash::of(&wanted).to_string()[..16]);
    let folder = target().join(name);
    // Written last: an environment that was left half made is made anew.
    let complete = folder.join("complete");
    if !complete.is_file() {
        built(|| make(&folder, requirements));
        fs::write(&complete, "").expect("the target folder can be written");
    }
    folder.join("bin")
}

fn make(folder: &Path, requirements: &Path) {
    run(
        Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder),
        "python3 with its module venv is needed (Debian: python3-venv)",
    );
    run(
        Command::new(folder.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
            .arg(requirements),
        "the packages cannot be installed",
    );
}

fn run(command: &mut Command, otherwise: &str) {
    let ended = command.status();
    assert!(matches!(&ended, Ok(status) if status.success()), "{otherwise}: {ended:?}");
}

/// The folder that cargo builds into, whichever it is.
fn target() -> PathBuf {
    let me = std::env::current_exe().expect("this process has an executable");
    let deps = me.parent().expect("a test lies in target/<profile>/deps");
    deps.ancestors().nth(2).expect("a test lies in target/<profile>/deps").to_owned()
}
