//! Builds server and plugin and hands them to the demo program, which shows events on their way.

use std::ffi::OsString;
use std::process::Command;

use clap::Args;

use crate::foreground::Foreground;
use crate::guests;
use crate::workspace::Workspace;

/// The folder of the dev profile, the one the tests use too.
const PROFILE_FOLDER: &str = "debug";

/// What `cargo xtask demo` takes.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Ends after the first round: non-zero if anything was not as it should be.
    #[arg(long)]
    once: bool,
    /// The port the server listens on; without it a free one.
    #[arg(long)]
    port: Option<u16>,
    /// Handed on to the demo program.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    further: Vec<OsString>,
}

impl Demo {
    /// The demo as a check: one round on a free port.
    pub(crate) fn once() -> Self {
        Self {
            once: true,
            port: None,
            further: Vec::new(),
        }
    }

    /// Builds and runs the demo until it ends or Ctrl-C stops it.
    ///
    /// # Errors
    ///
    /// When something does not build, or the demo says that something was not as it should be.
    pub(crate) fn run(&self, workspace: &Workspace, foreground: &Foreground) -> anyhow::Result<()> {
        guests::build(workspace, foreground)?;
        foreground.run(
            workspace
                .cargo()
                .args(["build", "--locked", "-p", "hookyard", "-p", "hookyard-tests", "--bins"]),
        )?;
        let programs = workspace.programs(PROFILE_FOLDER);
        foreground.run(
            Command::new(programs.join("demo"))
                .arg("--hookyard")
                .arg(programs.join("hookyard"))
                .arg("--plugin")
                .arg(guests::component(workspace, guests::SHOWN))
                .args(self.handed_on()),
        )?;
        Ok(())
    }

    fn handed_on(&self) -> Vec<OsString> {
        let mut arguments = Vec::new();
        if self.once {
            arguments.push("--once".into());
        }
        if let Some(port) = self.port {
            arguments.extend(["--port".into(), port.to_string().into()]);
        }
        arguments.extend(self.further.iter().cloned());
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_user_said_reaches_the_demo_in_order() {
        let demo = Demo {
            once: true,
            port: Some(8080),
            further: vec!["--verbose".into()],
        };
        assert_eq!(demo.handed_on(), ["--once", "--port", "8080", "--verbose"]);
        assert_eq!(Demo::once().handed_on(), ["--once"]);
    }
}
