//! Installs packages of Debian where this machine and this user can.

use std::process::Command;
use std::{env, path::Path};

use anyhow::bail;
use rustix::process::geteuid;

/// A shell that runs `script` with the rights to install packages. `missing` is what is not there, `packages` what would
/// bring it.
///
/// # Errors
///
/// When this is not Debian, or this user may not install; the message says what to do.
pub(crate) fn installing(script: &str, missing: &str, packages: &str) -> anyhow::Result<Command> {
    let has = |program: &str| {
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path).any(|folder: std::path::PathBuf| Path::new(&folder).join(program).is_file())
    };
    if !has("apt-get") {
        bail!("{missing} is not installed and this is not Debian; install it and repeat");
    }
    let mut command = if geteuid().is_root() {
        Command::new("sh")
    } else if has("sudo") {
        let mut sudo = Command::new("sudo");
        sudo.arg("sh");
        sudo
    } else {
        bail!("{missing} is not installed; as root run `apt-get install {packages}`, then repeat");
    };
    command.args(["-c", script]);
    Ok(command)
}
