//! `bench`: measures the server against floors of the same run. `cargo xtask bench` builds everything and calls it.
//!
//! The floors are hidden sub-commands, run as children, so that their processor time is told apart from the load's.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hookyard_tests::bench::{self, floor};

/// Measures Hookyard: accepted and delivered events per second, processor time, memory and disk, against two floors.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    settings: bench::Settings,
    #[command(subcommand)]
    floor: Option<Floor>,
}

#[derive(Debug, Subcommand)]
enum Floor {
    /// Serves the bare HTTP handler
    #[command(hide = true)]
    Floor {
        #[arg(long, value_enum)]
        parsing: floor::Parsing,
    },
    /// Commits events without HTTP
    #[command(hide = true)]
    Commit {
        #[arg(long)]
        database: String,
        #[arg(long)]
        writers: usize,
        #[arg(long)]
        count: usize,
        #[arg(long)]
        runs: usize,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // What failed and why, on one line: a backtrace would bury it.
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.floor {
        None => bench::run(&cli.settings).await,
        Some(Floor::Floor { parsing }) => floor::http(parsing).await,
        Some(Floor::Commit {
            database,
            writers,
            count,
            runs,
        }) => floor::commit(&database, writers, count, runs).await,
    }
}
