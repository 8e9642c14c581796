//! What is measured, how often and where: the command line of the benchmark.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;

use super::{
    place::{Kind, Place},
    subject::Programs,
};

/// Posts of a quick run; too few for steady figures, enough to see that everything works.
pub const QUICK_REQUESTS: usize = 2_000;
/// Bounds of a run whose count follows from `--seconds`.
const REQUESTS_MIN: usize = 2_000;
const REQUESTS_MAX: usize = 500_000;

/// How the benchmark is run.
#[derive(Debug, clap::Args)]
pub struct Settings {
    /// The server's program, built for release
    #[arg(long, value_name = "PROGRAM")]
    pub hookyard: Option<PathBuf>,
    /// The plugin of the rows that route through one: github-to-slack, built with the profile `plugin`
    #[arg(long, value_name = "WASM")]
    pub plugin: Option<PathBuf>,
    /// A database of the PostgreSQL cluster to measure on; fresh ones are made beside it. Without it, only SQLite
    #[arg(long, value_name = "URL")]
    pub postgres: Option<String>,
    /// Posts per run
    #[arg(long, default_value_t = 30_000, value_name = "N", conflicts_with = "seconds", value_parser = clap::value_parser!(u32).range(100..=500_000))]
    pub requests: u32,
    /// Aims at runs of this length instead, from the rate of the warm-up
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=60))]
    pub seconds: Option<u32>,
    /// Connections of the load generator
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_024))]
    pub connections: u16,
    /// Runs per row, of which the median counts
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=25))]
    pub runs: u16,
    /// Only rows whose name begins with one of these: floor, commit, accept, direct, plugin, forward, latency, fairness, idle, calls
    #[arg(long, value_delimiter = ',', value_name = "ROWS")]
    pub only: Vec<String>,
    /// Only on these databases
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KINDS")]
    pub database: Vec<Kind>,
    /// Measures a server that has much to keep instead: many events stored and waiting, many endpoints and senders
    #[arg(long, conflicts_with_all = ["only", "quick"])]
    pub scale: bool,
    /// Events stored for --scale; a tenth of them waits, another tenth is held
    #[arg(long, default_value_t = 10_000_000, value_name = "N", requires = "scale", value_parser = clap::value_parser!(u32).range(10_000..=100_000_000))]
    pub scale_events: u32,
    /// One short run per row, to see that everything works
    #[arg(long)]
    pub quick: bool,
    /// Fails when a bar is missed
    #[arg(long)]
    pub check: bool,
    /// Where the report is written as JSON
    #[arg(long, default_value = "target/bench.json", value_name = "FILE")]
    pub json: PathBuf,
    /// Where databases are kept meanwhile: on the kind of disk you want to know about, not in memory
    #[arg(long, default_value = "target/bench", value_name = "DIR")]
    pub scratch: PathBuf,
}

impl Settings {
    /// Whether a row is asked for.
    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| name.starts_with(only.as_str()))
    }

    /// Runs per row.
    pub fn runs(&self) -> usize {
        if self.quick { 1 } else { usize::from(self.runs) }
    }

    /// Posts of the warm-up.
    pub fn warm_up(&self) -> usize {
        if self.quick {
            QUICK_REQUESTS / 4
        } else {
            (self.requests as usize / 4).max(usize::from(self.connections))
        }
    }

    /// Posts of a run, given how long the warm-up took.
    pub fn requests(&self, warm_up: Duration) -> usize {
        match self.seconds {
            _ if self.quick => QUICK_REQUESTS,
            None => self.requests as usize,
            Some(seconds) => {
                let rate = self.warm_up() as f64 / warm_up.as_secs_f64().max(1e-6);
                ((rate * f64::from(seconds)) as usize).clamp(REQUESTS_MIN, REQUESTS_MAX)
            }
        }
    }

    /// The databases to measure on.
    pub fn kinds(&self) -> Vec<Kind> {
        match (&*self.database, &self.postgres) {
            ([], None) => vec![Kind::Sqlite],
            ([], Some(_)) => vec![Kind::Sqlite, Kind::Postgres],
            (chosen, _) => chosen.to_vec(),
        }
    }

    /// # Errors
    /// No program or plugin is given.
    pub fn programs(&self) -> anyhow::Result<Programs> {
        Ok(Programs {
            hookyard: self.hookyard.clone().context("give --hookyard, the server's program")?,
            plugin: self.plugin.clone().context("give --plugin, the component to route with")?,
        })
    }

    /// A fresh database.
    ///
    /// # Errors
    /// It cannot be made.
    pub async fn place(&self, kind: Kind) -> anyhow::Result<Place> {
        let beneath = std::path::absolute(&self.scratch)?;
        Place::fresh(kind, &beneath, self.postgres.as_deref()).await
    }
}
