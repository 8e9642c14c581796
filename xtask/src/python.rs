//! Python with its module `venv`, for the examples in that language and the suites that run programs of its registry.

use std::process::{Command, Stdio};

use anyhow::Context;

use crate::debian;
use crate::foreground::Foreground;

/// A failed update is not reported here: if it mattered, the installation fails.
const INSTALL: &str = "set -e
export DEBIAN_FRONTEND=noninteractive
apt-get update || true
apt-get install -y --no-install-recommends python3 python3-venv
";

/// Installs it when it is missing.
///
/// # Errors
///
/// When it is, and this machine or this user cannot install it; the message says what to do.
pub(crate) fn find_or_install(foreground: &Foreground) -> anyhow::Result<()> {
    if is_there() {
        return Ok(());
    }
    println!("Python's module venv is not installed; installing Debian's packages `python3` and `python3-venv`.");
    foreground
        .run(&mut debian::installing(
            INSTALL,
            "Python with its module venv",
            "python3 python3-venv",
        )?)
        .context("cannot install Python; install python3 with its module venv yourself and repeat")
        .map(drop)
}

/// Debian takes `ensurepip` out of Python's package, and `venv` does not work without it.
fn is_there() -> bool {
    let mut ask = Command::new("python3");
    ask.args(["-c", "import ensurepip, venv"]);
    let ended = ask.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    ended.is_ok_and(|status| status.success())
}
