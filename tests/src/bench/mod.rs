//! The benchmark: what the server reaches on this machine, against what could be reached at all.
//!
//! Absolute figures move from machine to machine, so every figure is shown beside a floor measured in the same run: a
//! bare HTTP handler, and a group commit without HTTP ([`floor`]). Generator ([`load`]) and receiver ([`receiver`]) run
//! in this process, the server as a child of its own ([`subject`], [`process`]), all on the same cores: what the
//! generator uses, the server lacks, for the floor as for the server. [`report`] has the table and the bars.
//!
//! Every count is fixed beforehand, every wait has a deadline, and a row fails if one event is lost, doubled or left
//! unfinished: a fast answer that is wrong counts for nothing.

pub mod floor;
mod load;
mod payload;
mod plugin;
mod process;
mod receiver;
mod report;
mod subject;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};

use self::{
    load::{Burst, Target},
    receiver::Receiver,
    report::{Bar, Line, Report, median},
    subject::{Kind, Place, Subject},
};

/// Posts of a quick run; too few for steady figures, enough to see that everything works.
const QUICK_REQUESTS: usize = 2_000;
/// Span over which an idle server is watched; a hundred ticks of processor time are one second, so 10 s show 0.1 %.
const IDLE_FOR: Duration = Duration::from_secs(10);
const IDLE_FOR_QUICK: Duration = Duration::from_secs(2);
/// What an idle server has settled down after.
const IDLE_AFTER: Duration = Duration::from_secs(1);
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
    /// Only rows whose name begins with one of these: floor, commit, accept, direct, plugin, forward, idle, calls
    #[arg(long, value_delimiter = ',', value_name = "ROWS")]
    pub only: Vec<String>,
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

/// What one post carries.
#[derive(Debug, Clone, Copy)]
enum Payload {
    Small,
    Real,
}

/// What counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    /// The answer: the event is on disk.
    Accepted,
    /// The last delivery is settled.
    Settled,
}

struct Row {
    name: &'static str,
    token: &'static str,
    payload: Payload,
    until: Until,
}

const ACCEPT: &str = "accept";
const DIRECT: &str = "direct";
const PLUGIN: &str = "plugin";
const FLOOR: &str = "floor, bare axum + Value";

const ROWS: &[Row] = &[
    Row {
        name: ACCEPT,
        token: subject::KEPT,
        payload: Payload::Small,
        until: Until::Accepted,
    },
    Row {
        name: DIRECT,
        token: subject::DIRECT,
        payload: Payload::Small,
        until: Until::Settled,
    },
    Row {
        name: PLUGIN,
        token: subject::PLUGIN,
        payload: Payload::Small,
        until: Until::Settled,
    },
    Row {
        name: "forward",
        token: subject::FORWARD,
        payload: Payload::Small,
        until: Until::Settled,
    },
    Row {
        name: "direct, 7 KB",
        token: subject::DIRECT,
        payload: Payload::Real,
        until: Until::Settled,
    },
    Row {
        name: "plugin, 7 KB",
        token: subject::PLUGIN,
        payload: Payload::Real,
        until: Until::Settled,
    },
];

/// One run of a row.
struct Run {
    elapsed: Duration,
    events: usize,
    burst: Burst,
    server_cpu: Duration,
    database_cpu: Duration,
    client_cpu: Duration,
}

impl Settings {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| name.starts_with(only.as_str()))
    }

    fn runs(&self) -> usize {
        if self.quick { 1 } else { usize::from(self.runs) }
    }

    /// Posts of the warm-up.
    fn warm_up(&self) -> usize {
        if self.quick {
            QUICK_REQUESTS / 4
        } else {
            (self.requests as usize / 4).max(usize::from(self.connections))
        }
    }

    /// Posts of a run, given how long the warm-up took.
    fn requests(&self, warm_up: Duration) -> usize {
        match self.seconds {
            _ if self.quick => QUICK_REQUESTS,
            None => self.requests as usize,
            Some(seconds) => {
                let rate = self.warm_up() as f64 / warm_up.as_secs_f64().max(1e-6);
                ((rate * f64::from(seconds)) as usize).clamp(REQUESTS_MIN, REQUESTS_MAX)
            }
        }
    }

    fn kinds(&self) -> &'static [Kind] {
        if self.postgres.is_some() {
            &[Kind::Sqlite, Kind::Postgres]
        } else {
            &[Kind::Sqlite]
        }
    }

    async fn place(&self, kind: Kind) -> anyhow::Result<Place> {
        let beneath = std::path::absolute(&self.scratch)?;
        Place::fresh(kind, &beneath, self.postgres.as_deref()).await
    }
}

/// Measures everything asked for, prints the table and writes the report.
///
/// # Errors
/// Something does not start, an event is lost or doubled, or, with `check`, a bar is missed.
pub async fn run(settings: &Settings) -> anyhow::Result<()> {
    let hookyard = settings.hookyard.as_deref().context("give --hookyard, the server's program")?;
    let plugin = settings.plugin.as_deref().context("give --plugin, the component to route with")?;
    let mut report = Report {
        settings: BTreeMap::from([
            ("connections", settings.connections.to_string()),
            ("runs", settings.runs().to_string()),
            ("payload_bytes", format!("{} and {}", payload::small().len(), payload::real().len())),
            ("cores", std::thread::available_parallelism()?.to_string()),
        ]),
        ..Report::default()
    };
    if settings.wants("floor") {
        for (name, parsing) in [(FLOOR, "value"), ("floor, bare axum + check", "check")] {
            report.lines.push(http_floor(settings, name, parsing).await?);
        }
    }
    let floor = report.line(FLOOR, None).map(|line| line.rate);
    for kind in settings.kinds() {
        if settings.wants("commit") {
            report.lines.push(commit_floor(settings, *kind).await?);
        }
        for row in ROWS.iter().filter(|row| settings.wants(row.name)) {
            report.lines.push(server_row(settings, *kind, row, hookyard, plugin).await?);
        }
        if settings.wants("idle") {
            report.bars.extend(idle(settings, *kind, hookyard, plugin).await?);
        }
    }
    if settings.wants("calls") {
        let rows = tokio::task::block_in_place(|| plugin::calls(plugin, settings.quick))?;
        report.lines.extend(rows);
    }
    for line in &mut report.lines {
        line.of_floor = floor.filter(|_| line.server_cpu_us.is_some()).map(|floor| line.rate / floor);
    }
    let promised = bars(&report, settings.kinds());
    report.bars.splice(0..0, promised);
    report.print();
    if let Some(folder) = settings.json.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&settings.json, serde_json::to_vec_pretty(&report)?)
        .with_context(|| format!("cannot write {}", settings.json.display()))?;
    ensure!(!settings.check || report.bars.iter().all(|bar| bar.holds), "a bar was missed");
    Ok(())
}

/// What is promised of the lines that were measured.
fn bars(report: &Report, kinds: &[Kind]) -> Vec<Bar> {
    let mut bars = Vec::new();
    for kind in kinds {
        let database = kind.as_str();
        let line = |name| report.line(name, Some(database));
        let accept_min = match kind {
            Kind::Sqlite => 0.4,
            Kind::Postgres => 0.3,
        };
        if let Some(of_floor) = line(ACCEPT).and_then(|line| line.of_floor) {
            bars.push(Bar::at_least(format!("accepted, {database}"), of_floor, accept_min, "x floor"));
        }
        if let Some(of_floor) = line(PLUGIN).and_then(|line| line.of_floor) {
            bars.push(Bar::at_least(
                format!("accepted, routed by plugin, settled, {database}"),
                of_floor,
                0.15,
                "x floor",
            ));
        }
        if let (Some(plugin), Some(direct)) = (line(PLUGIN).and_then(Line::cpu_us), line(DIRECT).and_then(Line::cpu_us)) {
            bars.push(Bar::at_most(
                format!("processor time of a plugin's decision, {database}"),
                plugin - direct,
                60.0,
                "us",
            ));
        }
    }
    bars
}

async fn http_floor(settings: &Settings, name: &str, parsing: &str) -> anyhow::Result<Line> {
    eprintln!("{name}");
    std::fs::create_dir_all(&settings.scratch)?;
    let log = settings.scratch.join("floor.log");
    let server = process::Server::start(Command::new(process::myself()?).args(["floor", "--parsing", parsing]), &log)?;
    let mut headers = http::HeaderMap::new();
    headers.insert("host", server.address.to_string().parse()?);
    headers.insert("content-type", http::HeaderValue::from_static("application/json"));
    let target = Target {
        address: server.address,
        path: "/api/v1/ingest/tenant/token".parse()?,
        headers,
        body: payload::small(),
    };
    let warm_up = load::fire(&target, usize::from(settings.connections), settings.warm_up()).await?;
    let count = settings.requests(warm_up.elapsed);
    let mut runs = Vec::new();
    for _ in 0..settings.runs() {
        let (server_cpu, client_cpu) = (process::cpu(server.pid()), process::cpu(std::process::id()));
        let burst = load::fire(&target, usize::from(settings.connections), count).await?;
        all_accepted(&burst)?;
        runs.push(Run {
            elapsed: burst.elapsed,
            events: count,
            burst,
            server_cpu: process::cpu(server.pid()).saturating_sub(server_cpu),
            database_cpu: Duration::ZERO,
            client_cpu: process::cpu(std::process::id()).saturating_sub(client_cpu),
        });
    }
    server.stop()?;
    Ok(line(name, None, &runs))
}

async fn commit_floor(settings: &Settings, kind: Kind) -> anyhow::Result<Line> {
    let name = "commit, no HTTP";
    eprintln!("{name}, {}", kind.as_str());
    let place = settings.place(kind).await?;
    let count = if settings.quick {
        QUICK_REQUESTS
    } else {
        settings.requests as usize
    };
    let mut command = Command::new(process::myself()?);
    command
        .args(["commit", "--database", &place.url])
        .args(["--writers", &settings.connections.to_string()])
        .args(["--count", &count.to_string()])
        .args(["--runs", &settings.runs().to_string()]);
    let database_cpu = place.database_cpu();
    let printed = tokio::task::block_in_place(|| process::output(&mut command))?;
    let database_cpu = place.database_cpu().saturating_sub(database_cpu);
    let committed: floor::Committed = serde_json::from_str(&printed)?;
    place.remove().await?;
    let rates: Vec<f64> = committed.elapsed_us.iter().map(|us| count as f64 * 1e6 / *us as f64).collect();
    let cpus: Vec<f64> = committed.cpu_us.iter().map(|us| *us as f64 / count as f64).collect();
    // The warm-up is a quarter of a run.
    let events = count as f64 * (settings.runs() as f64 + 0.25);
    Ok(Line {
        name: name.to_owned(),
        database: Some(kind.as_str()),
        rate: median(&rates),
        rates,
        server_cpu_us: Some(median(&cpus)),
        database_cpu_us: (kind == Kind::Postgres).then_some(database_cpu.as_secs_f64() * 1e6 / events),
        ..Line::default()
    })
}

async fn server_row(settings: &Settings, kind: Kind, row: &Row, hookyard: &Path, plugin: &Path) -> anyhow::Result<Line> {
    eprintln!("{}, {}", row.name, kind.as_str());
    let receiver = Receiver::start().await?;
    let subject = Subject::start(settings.place(kind).await?, hookyard, plugin, receiver.address).await?;
    let bytes_before = match kind {
        Kind::Sqlite => 0,
        Kind::Postgres => subject.place.bytes().await?,
    };
    let target = subject.target(
        row.token,
        match row.payload {
            Payload::Small => payload::small(),
            Payload::Real => payload::real(),
        },
    )?;
    let warm_up = one_run(settings, &subject, &receiver, row, &target, settings.warm_up()).await?;
    let count = settings.requests(warm_up.elapsed);
    let mut runs = Vec::new();
    for _ in 0..settings.runs() {
        runs.push(one_run(settings, &subject, &receiver, row, &target, count).await?);
    }
    let (_, memory_peak_bytes) = process::memory_bytes(subject.server.pid())?;
    let events = warm_up.events + count * runs.len();
    let deliveries = if row.until == Until::Settled { events } else { 0 };
    ensure!(
        receiver.received() == deliveries,
        "the receiver got {} deliveries of {deliveries}",
        receiver.received()
    );
    let disk_bytes_per_event = subject.finish(bytes_before, events, deliveries).await?;
    Ok(Line {
        disk_bytes_per_event: Some(disk_bytes_per_event),
        memory_peak_bytes: Some(memory_peak_bytes),
        database_cpu_us: (kind == Kind::Postgres)
            .then(|| median(&runs.iter().map(|run| per_event_us(run.database_cpu, run)).collect::<Vec<_>>())),
        ..line(row.name, Some(kind.as_str()), &runs)
    })
}

async fn one_run(
    settings: &Settings,
    subject: &Subject,
    receiver: &Receiver,
    row: &Row,
    target: &Target,
    count: usize,
) -> anyhow::Result<Run> {
    let pid = subject.server.pid();
    let arrived_before = receiver.received();
    let (server_cpu, database_cpu, client_cpu) = (process::cpu(pid), subject.place.database_cpu(), process::cpu(std::process::id()));
    let begun = Instant::now();
    let burst = load::fire(target, usize::from(settings.connections), count).await?;
    let mut elapsed = burst.elapsed;
    if row.until == Until::Settled {
        subject.settled(|| receiver.received() - arrived_before >= count).await?;
        elapsed = begun.elapsed();
    }
    all_accepted(&burst)?;
    Ok(Run {
        elapsed,
        events: count,
        burst,
        server_cpu: process::cpu(pid).saturating_sub(server_cpu),
        database_cpu: subject.place.database_cpu().saturating_sub(database_cpu),
        client_cpu: process::cpu(std::process::id()).saturating_sub(client_cpu),
    })
}

fn all_accepted(burst: &Burst) -> anyhow::Result<()> {
    ensure!(
        burst.statuses.keys().all(|status| *status == 202),
        "not every post was accepted: {:?}",
        burst.statuses
    );
    Ok(())
}

fn per_event_us(cpu: Duration, run: &Run) -> f64 {
    cpu.as_secs_f64() * 1e6 / run.events as f64
}

fn line(name: &str, database: Option<&'static str>, runs: &[Run]) -> Line {
    let each = |of: &dyn Fn(&Run) -> f64| runs.iter().map(of).collect::<Vec<f64>>();
    let rates = each(&|run| run.events as f64 / run.elapsed.as_secs_f64());
    Line {
        name: name.to_owned(),
        database,
        rate: median(&rates),
        rates,
        p50_us: Some(median(&each(&|run| f64::from(run.burst.percentile_us(50)))) as u32),
        p99_us: Some(median(&each(&|run| f64::from(run.burst.percentile_us(99)))) as u32),
        server_cpu_us: Some(median(&each(&|run| per_event_us(run.server_cpu, run)))),
        client_cpu_us: Some(median(&each(&|run| per_event_us(run.client_cpu, run)))),
        ..Line::default()
    }
}

/// A server with its plugin loaded and nothing to do.
async fn idle(settings: &Settings, kind: Kind, hookyard: &Path, plugin: &Path) -> anyhow::Result<Vec<Bar>> {
    eprintln!("idle, {}", kind.as_str());
    let receiver = Receiver::start().await?;
    let subject = Subject::start(settings.place(kind).await?, hookyard, plugin, receiver.address).await?;
    // One event shows that the plugin is there and works.
    let target = subject.target(subject::PLUGIN, payload::small())?;
    all_accepted(&load::fire(&target, 1, 1).await?)?;
    subject.settled(|| receiver.received() == 1).await?;
    tokio::time::sleep(IDLE_AFTER).await;
    let pid = subject.server.pid();
    let (cpu, begun) = (process::cpu(pid), Instant::now());
    tokio::time::sleep(if settings.quick { IDLE_FOR_QUICK } else { IDLE_FOR }).await;
    let used = process::cpu(pid).saturating_sub(cpu).as_secs_f64() / begun.elapsed().as_secs_f64();
    let (memory, _) = process::memory_bytes(pid)?;
    let database = kind.as_str();
    subject.finish(0, 1, 1).await?;
    Ok(vec![
        Bar::at_most(format!("idle memory, {database}"), memory as f64 / 1e6, 80.0, "MB"),
        Bar::at_most(format!("idle processor, {database}"), used * 100.0, 1.0, "%"),
    ])
}
