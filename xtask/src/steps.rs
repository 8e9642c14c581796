//! What `cargo xtask test` runs: every check, in an order that fails early, with a summary at the end.
//!
//! All steps share one profile and one set of features per kind of build, so that nothing is compiled twice.

use std::fmt::{self, Write as _};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::ValueEnum;

use crate::demo::Demo;
use crate::deny;
use crate::foreground::Foreground;
use crate::guests;
use crate::postgres::{Cluster, URL_VARIABLE};
use crate::python;
use crate::workspace::Workspace;

/// One check. They run in this order: what is quick and fails often comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Step {
    /// The format of the code.
    Fmt,
    /// Licences, bans, sources and known vulnerabilities of the dependencies.
    Deny,
    /// The plugins and the guests of the suites build.
    Guests,
    /// Clippy, native and for the guests' target; a warning is an error.
    Clippy,
    /// The documentation builds, private items included; a warning is an error.
    Docs,
    /// Every test, on SQLite and PostgreSQL.
    Test,
    /// One round of the demo.
    Demo,
}

impl Step {
    /// The chosen steps in the order of [`Step`], each once; all of them when none is named.
    pub(crate) fn chosen(only: &[Self]) -> Vec<Self> {
        Self::value_variants()
            .iter()
            .copied()
            .filter(|step| only.is_empty() || only.contains(step))
            .collect()
    }

    fn run(self, workspace: &Workspace, foreground: &Foreground) -> anyhow::Result<()> {
        match self {
            Self::Fmt => foreground.run(workspace.cargo().args(["fmt", "--all", "--check"]))?,
            Self::Deny => deny::run(workspace, foreground)?,
            Self::Guests => {
                guests::build(workspace, foreground)?;
            }
            Self::Clippy => {
                let everything = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
                foreground.run(workspace.cargo().args(everything))?;
                guests::clippy(workspace, foreground)?;
            }
            Self::Docs => {
                let everything = ["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"];
                foreground.run(workspace.cargo().args(everything).env("RUSTDOCFLAGS", "-D warnings"))?;
            }
            Self::Test => {
                python::find_or_install(foreground)?;
                let cluster = Cluster::start(foreground)?;
                foreground.run(
                    workspace
                        .cargo()
                        .args(["test", "--workspace", "--locked", "--no-fail-fast"])
                        .env(URL_VARIABLE, cluster.url()),
                )?;
            }
            Self::Demo => Demo::once().run(workspace, foreground)?,
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value().expect("no step is hidden from the command line");
        f.pad(value.get_name())
    }
}

/// Runs the steps and prints a heading before, the time after each, and a summary at the end.
///
/// # Errors
///
/// That of the first step that fails; the later ones are not run.
pub(crate) fn run(steps: &[Step], workspace: &Workspace, foreground: &Foreground) -> anyhow::Result<()> {
    let mut passed = Vec::new();
    for &step in steps {
        println!("\n==> {step}");
        let started = Instant::now();
        let outcome = step.run(workspace, foreground);
        let took = started.elapsed();
        if let Err(error) = outcome {
            let not_run = &steps[passed.len() + 1..];
            println!("\n{}", summary(&passed, Some((step, took)), not_run));
            return Err(error).with_context(|| format!("step {step} failed"));
        }
        println!("==> {step}: passed in {}", seconds(took));
        passed.push((step, took));
    }
    println!("\n{}", summary(&passed, None, &[]));
    Ok(())
}

fn summary(passed: &[(Step, Duration)], failed: Option<(Step, Duration)>, not_run: &[Step]) -> String {
    let mut text = String::new();
    let mut line = |step: Step, word: &str, time: String| {
        writeln!(text, "{step:<8}{word:<8}{time:>10}").expect("a string takes whatever is written to it");
    };
    for &(step, took) in passed {
        line(step, "passed", seconds(took));
    }
    if let Some((step, took)) = failed {
        line(step, "FAILED", seconds(took));
    }
    for &step in not_run {
        line(step, "not run", String::new());
    }
    let total = passed.iter().map(|&(_, took)| took).chain(failed.map(|(_, took)| took)).sum();
    let verdict = if failed.is_some() { "failed" } else { "passed" };
    write!(text, "xtask test {verdict} after {}", seconds(total)).expect("a string takes whatever is written to it");
    text
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_choice_every_step_runs_in_order() {
        let all = Step::chosen(&[]);
        assert_eq!(
            all,
            [
                Step::Fmt,
                Step::Deny,
                Step::Guests,
                Step::Clippy,
                Step::Docs,
                Step::Test,
                Step::Demo
            ]
        );
        assert!(all.is_sorted());
    }

    #[test]
    fn chosen_steps_keep_their_order_and_run_once() {
        assert_eq!(Step::chosen(&[Step::Test, Step::Fmt, Step::Test]), [Step::Fmt, Step::Test]);
    }

    #[test]
    fn a_summary_says_what_passed_what_failed_and_what_was_not_run() {
        let passed = [(Step::Fmt, Duration::from_millis(940))];
        let text = summary(&passed, Some((Step::Guests, Duration::from_millis(2060))), &[Step::Clippy]);
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert_eq!(
            lines,
            [
                "fmt     passed       0.9 s",
                "guests  FAILED       2.1 s",
                "clippy  not run",
                "xtask test failed after 3.0 s"
            ]
        );
    }

    #[test]
    fn a_summary_without_a_failure_says_passed() {
        let text = summary(&[(Step::Demo, Duration::from_secs(3))], None, &[]);
        assert!(text.ends_with("xtask test passed after 3.0 s"), "{text}");
    }
}
