//! Releasing what is held: a new version of the plugin lets a sender's held events go, all of them, while another tenant
//! goes on posting.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use tokio_util::sync::CancellationToken;

use super::history::Counts;
use crate::bench::{
    pace::{self, Pace, Posted},
    payload,
    receiver::Receiver,
    report::{Bar, Line},
    setup::{KEPT, ROUTER},
    subject::Subject,
};

/// Posts of the other tenant per second.
const PER_SECOND: u32 = 200;
const ALONE_FOR_S: u32 = 10;
/// A version is active so long after its file was changed.
const ACTIVE_WITHIN: Duration = Duration::from_secs(60);
/// Releasing has failed when nothing has arrived for so long.
const PROGRESS_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);
const DELAY_MS_MAX: f64 = 50.0;
/// A push in full: the events of the history are small, these are what senders post.
const BODY: fn() -> bytes::Bytes = payload::small;

const GENERATIONS: &str = "SELECT COALESCE(MAX(generation), 0) FROM plugin";

/// What was found, and how many events were posted meanwhile.
pub struct Released {
    pub lines: Vec<Line>,
    pub bar: Bar,
    pub posted: usize,
}

/// Activates a new version and waits until every held event has arrived at the receiver.
///
/// # Errors
/// The version is not activated, events do not arrive, or a post is refused.
pub async fn measure(subject: &Subject, receiver: &Receiver, tenant: &str, counts: Counts) -> anyhow::Result<Released> {
    let database = subject.place().kind.as_str();
    let target = subject.target(KEPT, BODY())?;
    let body = BODY();
    let fixed = move |_| body.clone();
    let pace = Pace {
        per_second: PER_SECOND,
        posts_max: PER_SECOND * ALONE_FOR_S,
    };
    let alone = pace::post(&target, pace, fixed.clone(), &CancellationToken::new()).await?;

    let (arrived_before, generations) = (receiver.received(), subject.place().count(GENERATIONS).await?);
    let stop = CancellationToken::new();
    let posting = {
        let (target, stop) = (target.clone(), stop.clone());
        let pace = Pace {
            posts_max: u32::MAX,
            ..pace
        };
        tokio::spawn(async move { pace::post(&target, pace, fixed, &stop).await })
    };
    let begun = Instant::now();
    renew(&subject.folder().join("plugins").join(tenant).join(ROUTER).with_extension("wasm"))?;
    let outcome = arrive(subject, receiver, arrived_before, generations, counts.held).await;
    let elapsed = begun.elapsed();
    stop.cancel();
    let beside = posting.await.context("the posting task panicked")??;
    outcome.with_context(|| subject.last_words())?;

    let [alone_line, mut line] =
        [("accept, paced, nothing released", &alone), ("accept, paced, releasing", &beside)].map(|(name, posted)| {
            let mut took: Vec<Duration> = posted.iter().map(Posted::took).collect();
            Line {
                name: name.to_owned(),
                database: Some(database),
                rate: f64::from(PER_SECOND),
                p50_us: Some(pace::percentile(&mut took, 50).as_micros() as u32),
                p99_us: Some(pace::percentile(&mut took, 99).as_micros() as u32),
                p100_us: Some(pace::percentile(&mut took, 100).as_micros() as u32),
                ..Line::default()
            }
        });
    line.name += &format!(" {} events", counts.held);
    let usual_us = f64::from(alone_line.p50_us.unwrap_or_default());
    let delay_ms = (f64::from(line.p100_us.unwrap_or_default()) - usual_us) / 1e3;
    let released = Line {
        name: format!("released, routed, delivered: {} events", counts.held),
        database: Some(database),
        rate: counts.held as f64 / elapsed.as_secs_f64(),
        ..Line::default()
    };
    Ok(Released {
        lines: vec![alone_line, line, released],
        bar: Bar::at_most(
            format!("longest delay of another tenant's post while events are released, {database}"),
            delay_ms,
            DELAY_MS_MAX,
            "ms",
        ),
        posted: alone.len() + beside.len(),
    })
}

/// Writes the same plugin as another version: a custom section says nothing to who runs it, and changes the hash.
fn renew(file: &Path) -> anyhow::Result<()> {
    let mut wasm = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    // WebAssembly binary format: section id 0, its size, the length of its name, the name.
    wasm.extend_from_slice(b"\x00\x06\x05bench");
    let beside = file.with_extension("new");
    std::fs::write(&beside, wasm)?;
    std::fs::rename(&beside, file)?;
    Ok(())
}

async fn arrive(subject: &Subject, receiver: &Receiver, before: usize, generations: u64, held: u64) -> anyhow::Result<()> {
    let begun = Instant::now();
    while subject.place().count(GENERATIONS).await? == generations {
        ensure!(begun.elapsed() < ACTIVE_WITHIN, "the new version of the plugin was not activated");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let expected = before + usize::try_from(held)?;
    let (mut seen, mut since) = (before, Instant::now());
    loop {
        let received = receiver.received();
        if received >= expected {
            return Ok(());
        }
        if received > seen {
            (seen, since) = (received, Instant::now());
        } else if since.elapsed() > PROGRESS_WITHIN {
            bail!(
                "of {held} held events {} arrived, and none for {PROGRESS_WITHIN:?}",
                received - before
            );
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
