//! Builds everything in release and hands it to the benchmark program, with a PostgreSQL cluster beside it.

use std::ffi::OsString;
use std::process::Command;

use crate::foreground::Foreground;
use crate::guests;
use crate::postgres::Cluster;
use crate::workspace::Workspace;

/// Both cargo's name of the profile and that of its folder.
const PROFILE: &str = "release";

/// Runs the benchmark with our arguments and then the user's.
///
/// # Errors
///
/// When something does not build, the cluster does not start, or the benchmark fails.
pub(crate) fn run(arguments: &[OsString], workspace: &Workspace, foreground: &Foreground) -> anyhow::Result<()> {
    guests::build(workspace, foreground)?;
    let packages = ["-p", "hookyard", "-p", "hookyard-tests", "--bins"];
    foreground.run(workspace.cargo().args(["build", "--locked", "--profile", PROFILE]).args(packages))?;
    // Only now: even an idle cluster writes checkpoints, which would slow the compiler.
    let cluster = Cluster::start(foreground)?;
    let programs = workspace.programs(PROFILE);
    foreground.run(
        Command::new(programs.join("bench"))
            .arg("--hookyard")
            .arg(programs.join("hookyard"))
            .arg("--plugin")
            .arg(guests::component(workspace, guests::SHOWN))
            .args(["--postgres", cluster.url()])
            .args(arguments),
    )?;
    Ok(())
}
