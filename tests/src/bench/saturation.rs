//! The rows at saturation: as many posts as the server takes, over a fixed number of connections, and the floors they are
//! held against.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::ensure;

use super::{
    Settings, floor,
    load::{self, Burst, Target},
    payload,
    place::Kind,
    process,
    receiver::Receiver,
    report::{Bar, Line, median},
    settings::QUICK_REQUESTS,
    setup::{self, SetUp},
    subject::{Programs, Subject},
};

/// Span over which an idle server is watched; a hundred ticks of processor time are one second, so 10 s show 0.1 %.
const IDLE_FOR: Duration = Duration::from_secs(10);
const IDLE_FOR_QUICK: Duration = Duration::from_secs(2);
/// What an idle server has settled down after.
const IDLE_AFTER: Duration = Duration::from_secs(1);
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

/// A row: what is posted by which token, and when it is done.
pub struct Row {
    pub name: &'static str,
    token: &'static str,
    payload: Payload,
    until: Until,
}

pub const ACCEPT: &str = "accept";
pub const DIRECT: &str = "direct";
pub const PLUGIN: &str = "plugin";
pub const FLOOR: &str = "floor, bare axum + Value";

pub const ROWS: &[Row] = &[
    Row {
        name: ACCEPT,
        token: setup::KEPT,
        payload: Payload::Small,
        until: Until::Accepted,
    },
    Row {
        name: DIRECT,
        token: setup::DIRECT,
        payload: Payload::Small,
        until: Until::Settled,
    },
    Row {
        name: PLUGIN,
        token: setup::PLUGIN,
        payload: Payload::Small,
        until: Until::Settled,
    },
    Row {
        name: "forward",
        token: setup::FORWARD,
        payload: Payload::Small,
        until: Until::Settled,
    },
    Row {
        name: "direct, 7 KB",
        token: setup::DIRECT,
        payload: Payload::Real,
        until: Until::Settled,
    },
    Row {
        name: "plugin, 7 KB",
        token: setup::PLUGIN,
        payload: Payload::Real,
        until: Until::Settled,
    },
];

/// One run of a row.
pub struct Run {
    pub elapsed: Duration,
    pub events: usize,
    pub burst: Burst,
    server_cpu: Duration,
    database_cpu: Duration,
    client_cpu: Duration,
}

/// The bare HTTP handler.
///
/// # Errors
/// A post is not answered.
pub async fn http_floor(settings: &Settings, name: &str, parsing: &str) -> anyhow::Result<Line> {
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

/// The group commit without HTTP.
///
/// # Errors
/// A write is refused.
pub async fn commit_floor(settings: &Settings, kind: Kind) -> anyhow::Result<Line> {
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

/// One row on a fresh server.
///
/// # Errors
/// An event is lost, doubled or left unfinished.
pub async fn server_row(settings: &Settings, kind: Kind, row: &Row, programs: &Programs) -> anyhow::Result<Line> {
    eprintln!("{}, {}", row.name, kind.as_str());
    let receiver = Receiver::start().await?;
    let subject = Subject::start(settings.place(kind).await?, programs, &SetUp::usual(receiver.address))?;
    let bytes_before = match kind {
        Kind::Sqlite => 0,
        Kind::Postgres => subject.place().bytes().await?,
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
    let (server_cpu, database_cpu, client_cpu) = (process::cpu(pid), subject.place().database_cpu(), process::cpu(std::process::id()));
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
        database_cpu: subject.place().database_cpu().saturating_sub(database_cpu),
        client_cpu: process::cpu(std::process::id()).saturating_sub(client_cpu),
    })
}

/// Whether every post of a burst was answered 202.
///
/// # Errors
/// One was not.
pub fn all_accepted(burst: &Burst) -> anyhow::Result<()> {
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
///
/// # Errors
/// Its one event is lost.
pub async fn idle(settings: &Settings, kind: Kind, programs: &Programs) -> anyhow::Result<Vec<Bar>> {
    eprintln!("idle, {}", kind.as_str());
    let receiver = Receiver::start().await?;
    let subject = Subject::start(settings.place(kind).await?, programs, &SetUp::usual(receiver.address))?;
    // One event shows that the plugin is there and works.
    let target = subject.target(setup::PLUGIN, payload::small())?;
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
