//! The project's own commands: `cargo xtask demo | test | bench | guests | postgres`.
//!
//! Everything a contributor or a build machine runs is one of these, so that both run the same thing. They need cargo,
//! a C compiler and, for what uses PostgreSQL, its server binaries; what is missing is added where that is possible. No
//! running service is needed, and none is changed.
//!
//! Reading order: this file is the command line; `steps` is what `test` runs, `demo` and `bench` start the programs
//! of the same name, `deny` judges dependencies, `guests` builds plugins, `postgres` runs a cluster for as long as one command takes. All of them use
//! `workspace`, which knows where things are, `debian`, which installs what is missing, and `foreground`, which runs a child so that Ctrl-C leaves nothing behind.
//!
//! What it refuses to know: anything about the server itself. It depends on no other package of the workspace, so
//! that it compiles in seconds on a machine that has built nothing yet.

mod bench;
mod debian;
mod demo;
mod deny;
mod foreground;
mod guests;
mod postgres;
mod python;
mod steps;
mod workspace;

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use clap::{Parser, Subcommand};

use demo::Demo;
use foreground::{ChildError, Foreground};
use postgres::Cluster;
use steps::Step;
use workspace::Workspace;

/// The project's own commands.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Builds server and plugins, starts a server on embedded SQLite and shows events on their way; Ctrl-C stops it.
    Demo(Demo),
    /// Runs every check, in this order: fmt, deny, guests, clippy, docs, test, demo. Stops at the first that fails.
    ///
    /// The tests run on SQLite and on a private PostgreSQL cluster that lives as long as they do.
    Test {
        /// Runs this step alone; may be repeated. The order stays the same.
        #[arg(long = "only", value_name = "STEP")]
        only: Vec<Step>,
    },
    /// Measures a release build on a private PostgreSQL cluster.
    Bench {
        /// Handed on to the benchmark program.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Builds the plugins and the guests of the suites as WebAssembly components.
    Guests,
    /// Runs a command while a private PostgreSQL cluster is up, its URL in HOOKYARD_TEST_POSTGRES.
    ///
    /// For example: cargo xtask postgres -- cargo test -p hookyard-tests --test delivery
    Postgres {
        /// The program and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let task = Arguments::parse().task;
    let outcome = Foreground::take_over().and_then(|foreground| run(task, &foreground));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(error.downcast_ref::<ChildError>().map_or(1, ChildError::exit_code))
        }
    }
}

fn run(task: Task, foreground: &Foreground) -> anyhow::Result<()> {
    let workspace = Workspace::locate();
    match task {
        Task::Demo(demo) => demo.run(&workspace, foreground),
        Task::Test { only } => steps::run(&Step::chosen(&only), &workspace, foreground),
        Task::Bench { arguments } => bench::run(&arguments, &workspace, foreground),
        Task::Guests => {
            for component in guests::build(&workspace, foreground)? {
                println!("{}", component.display());
            }
            Ok(())
        }
        Task::Postgres { command } => {
            let (program, arguments) = command.split_first().expect("clap requires at least the program");
            python::find_or_install(foreground)?;
            let cluster = Cluster::start(foreground)?;
            foreground.run(Command::new(program).args(arguments).env(postgres::URL_VARIABLE, cluster.url()))?;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn a_benchmarks_own_flags_reach_it_untouched() {
        let arguments = Arguments::try_parse_from(["xtask", "bench", "--seconds", "5", "-q"]).unwrap();
        let Task::Bench { arguments } = arguments.task else {
            panic!("parsed as {:?}", arguments.task)
        };
        assert_eq!(arguments, ["--seconds", "5", "-q"]);
    }

    #[test]
    fn a_command_for_the_cluster_comes_after_two_dashes() {
        let arguments = Arguments::try_parse_from(["xtask", "postgres", "--", "psql", "--list"]).unwrap();
        assert!(matches!(arguments.task, Task::Postgres { command } if command == ["psql", "--list"]));
        assert!(Arguments::try_parse_from(["xtask", "postgres"]).is_err());
    }
}
