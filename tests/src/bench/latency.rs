//! How long an event is on its way at a fixed rate: from posting it to its arrival at the receiver.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio_util::sync::CancellationToken;

use super::{
    Settings,
    pace::{self, Pace},
    payload,
    place::Kind,
    process,
    receiver::Receiver,
    report::{Line, Report, median},
    setup::{DIRECT, SetUp},
    subject::{Programs, Subject},
};

/// Body and rate of a row.
pub struct Shape {
    pub name: &'static str,
    pub body_bytes: usize,
    pub per_second: u32,
}

const SHAPES: &[Shape] = &[
    Shape {
        name: "latency, 300/s",
        body_bytes: payload::SMALL_BYTES,
        per_second: 300,
    },
    Shape {
        name: "latency, 3,000/s",
        body_bytes: payload::SMALL_BYTES,
        per_second: 3_000,
    },
];

const ROUNDS: usize = 5;
const RUN_FOR_S: u32 = 5;
const RUN_FOR_QUICK_S: u32 = 1;
const WARM_UP_S: u32 = 2;
/// A delivery that takes longer is late, and the row has failed.
const LATE_AFTER: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What one run saw.
pub struct Seen {
    pub p50: Duration,
    pub p99: Duration,
    pub server_cpu_us: f64,
}

/// A row per rate.
///
/// # Errors
/// An event is lost, doubled, or late.
pub async fn measure(settings: &Settings, kind: Kind, programs: &Programs, report: &mut Report) -> anyhow::Result<()> {
    let (rounds, seconds) = if settings.quick {
        (1, RUN_FOR_QUICK_S)
    } else {
        (ROUNDS, RUN_FOR_S)
    };
    for shape in SHAPES {
        eprintln!("{}, {}", shape.name, kind.as_str());
        let receiver = Receiver::start().await?;
        let subject = Subject::start(settings.place(kind).await?, programs, &SetUp::usual(receiver.address))?;
        run(&subject, &receiver, shape, 0, WARM_UP_S).await.context("warming up")?;
        let mut all = Vec::new();
        for round in 1..=rounds {
            all.push(run(&subject, &receiver, shape, round as u32 * 1_000_000, seconds).await?);
        }
        subject.kill().remove().await?;
        report.lines.push(line(shape.name.to_owned(), kind, shape, &all));
    }
    Ok(())
}

/// Posts for so many seconds, numbered from `base`, and waits until all has arrived.
///
/// # Errors
/// An event is lost, doubled, or late.
pub async fn run(subject: &Subject, receiver: &Receiver, shape: &Shape, base: u32, seconds: u32) -> anyhow::Result<Seen> {
    let (pid, body_bytes) = (subject.server.pid(), shape.body_bytes);
    let target = subject.target(DIRECT, payload::numbered(0, body_bytes))?;
    let pace = Pace {
        per_second: shape.per_second,
        posts_max: shape.per_second * seconds,
    };
    receiver.take_arrivals();
    let cpu = process::cpu(pid);
    let posted = pace::post(
        &target,
        pace,
        move |number| payload::numbered(base + number, body_bytes),
        &CancellationToken::new(),
    )
    .await?;
    let mut arrivals = receiver.take_arrivals();
    let deadline = Instant::now() + LATE_AFTER;
    while arrivals.len() < posted.len() && Instant::now() < deadline {
        tokio::time::sleep(LOOK_EVERY).await;
        arrivals.extend(receiver.take_arrivals());
    }
    let server_cpu = process::cpu(pid).saturating_sub(cpu);
    arrivals.sort_unstable();
    ensure!(
        arrivals.len() == posted.len()
            && arrivals
                .iter()
                .zip(&posted)
                .all(|((number, _), posted)| *number == base + posted.number),
        "of {} events {} arrived, at the latest {LATE_AFTER:?} after the last was posted",
        posted.len(),
        arrivals.len()
    );
    let mut took: Vec<Duration> = arrivals
        .iter()
        .zip(&posted)
        .map(|((_, arrived), posted)| arrived.saturating_duration_since(posted.due))
        .collect();
    let longest = pace::percentile(&mut took, 100);
    ensure!(longest <= LATE_AFTER, "an event arrived {longest:?} after it was due");
    Ok(Seen {
        p50: pace::percentile(&mut took, 50),
        p99: pace::percentile(&mut took, 99),
        server_cpu_us: server_cpu.as_secs_f64() * 1e6 / posted.len().max(1) as f64,
    })
}

/// The medians of all rounds.
pub fn line(name: String, kind: Kind, shape: &Shape, rounds: &[Seen]) -> Line {
    let each = |of: &dyn Fn(&Seen) -> f64| median(&rounds.iter().map(of).collect::<Vec<_>>());
    Line {
        name,
        database: Some(kind.as_str()),
        rate: f64::from(shape.per_second),
        p50_us: Some(each(&|seen| seen.p50.as_micros() as f64) as u32),
        p99_us: Some(each(&|seen| seen.p99.as_micros() as f64) as u32),
        p99s_us: rounds.iter().map(|seen| seen.p99.as_micros() as u32).collect(),
        server_cpu_us: Some(each(&|seen| seen.server_cpu_us)),
        ..Line::default()
    }
}
