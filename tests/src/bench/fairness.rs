//! What a healthy endpoint notices of endpoints that hang (D4): the time from posting an event to its arrival at the
//! receiver, alone and then beside a backlog that fills every place the hanging endpoints may have.
//!
//! Each round has a fresh server and measures both, one right after the other; the whole of the second ends before the
//! first hanging attempt times out and the breakers would take the load away.

use anyhow::Context as _;

use super::{
    Settings,
    hanging::Hanging,
    latency::{Seen, Shape, line, run},
    load, payload,
    place::Kind,
    receiver::Receiver,
    report::{Bar, Ratio, Report},
    saturation::all_accepted,
    setup::SetUp,
    subject::{Programs, Subject},
};

/// The rates are far below what the server can take: a queue of its own making would hide what the others do to it.
const SHAPES: &[Shape] = &[
    Shape {
        name: "1 KiB",
        body_bytes: 1_024,
        per_second: 200,
    },
    Shape {
        name: "64 KiB",
        body_bytes: 65_536,
        per_second: 50,
    },
];

const HANGING_ENDPOINTS: usize = 4;
const HANGING_CONCURRENCY: u32 = 16;
/// Deliveries for each hanging endpoint: those that hang and at least 64 that wait behind them.
const HANGING_EACH: usize = 128;
const ROUNDS: usize = 5;
/// Together with the filling between them, two runs stay far below the 30 s an attempt may take.
const RUN_FOR_S: u32 = 8;
const RUN_FOR_QUICK_S: u32 = 2;
const WARM_UP_S: u32 = 2;
const BESIDE_OF_ALONE_MAX: f64 = 1.2;

/// Both rows of each body size, and their bar.
///
/// # Errors
/// An event is lost, doubled, or late.
pub async fn measure(settings: &Settings, kind: Kind, programs: &Programs, report: &mut Report) -> anyhow::Result<()> {
    let rounds = if settings.quick { 1 } else { ROUNDS };
    for shape in SHAPES {
        let (mut alone, mut beside) = (Vec::new(), Vec::new());
        for number in 1..=rounds {
            eprintln!("fairness, {}, {}, round {number} of {rounds}", shape.name, kind.as_str());
            let (without, with) = round(settings, kind, programs, shape).await?;
            alone.push(without);
            beside.push(with);
        }
        let alone = line(format!("fairness, {}, alone", shape.name), kind, shape, &alone);
        let mut beside = line(format!("fairness, {}, beside hanging", shape.name), kind, shape, &beside);
        let of_alone = f64::from(beside.p99_us.unwrap_or_default()) / f64::from(alone.p99_us.unwrap_or_default().max(1));
        beside.ratio = Some(Ratio {
            value: of_alone,
            of: "p99 alone",
        });
        report.bars.push(Bar::at_most(
            format!("p99 beside hanging endpoints, {}, {}", shape.name, kind.as_str()),
            of_alone,
            BESIDE_OF_ALONE_MAX,
            "x alone",
        ));
        report.lines.extend([alone, beside]);
    }
    Ok(())
}

async fn round(settings: &Settings, kind: Kind, programs: &Programs, shape: &Shape) -> anyhow::Result<(Seen, Seen)> {
    let receiver = Receiver::start().await?;
    let hanging = Hanging::start().await?;
    let mut set_up = SetUp::usual(receiver.address);
    let tokens: Vec<String> = (0..HANGING_ENDPOINTS)
        .map(|index| format!("dst_hanging-{index}-0123456789"))
        .collect();
    for (index, token) in tokens.iter().enumerate() {
        set_up.endpoint(&format!("hanging-{index}"), hanging.address, HANGING_CONCURRENCY, Some(token), "");
    }
    let subject = Subject::start(settings.place(kind).await?, programs, &set_up)?;
    let seconds = if settings.quick { RUN_FOR_QUICK_S } else { RUN_FOR_S };

    run(&subject, &receiver, shape, 0, WARM_UP_S).await.context("warming up")?;
    let alone = run(&subject, &receiver, shape, 1_000_000, seconds).await.context("alone")?;
    for token in &tokens {
        let target = subject.target(token, payload::numbered(0, shape.body_bytes))?;
        all_accepted(&load::fire(&target, usize::from(settings.connections).min(HANGING_EACH), HANGING_EACH).await?)?;
    }
    let hangs = hanging.full().await?;
    let beside = run(&subject, &receiver, shape, 2_000_000, seconds)
        .await
        .with_context(|| format!("beside {hangs} attempts that hang"))?;
    // Ended at once: what hangs is not waited for.
    let place = subject.kill();
    place.remove().await?;
    Ok((alone, beside))
}
