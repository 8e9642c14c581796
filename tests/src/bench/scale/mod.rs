//! A server that has much to keep: what it accepts, what its lists take, how soon it is ready and what memory it needs,
//! with many events stored, a tenth of them waiting and a tenth held, 10,000 endpoints and 1,000 senders.
//!
//! The history is written straight into the database ([`history`], by [`bulk`]), for posting it would take hours; who it
//! is about is made by the server itself and copied ([`crowd`]). Then the server is started on it and measured, in
//! turn with another on an empty database: [`lists`], accepting, and last [`release`].

mod bulk;
mod crowd;
mod history;
mod lists;
mod release;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use self::{bulk::Bulk, history::Counts};
use super::{
    Settings,
    hanging::Hanging,
    load, payload,
    place::{Kind, Place},
    process,
    receiver::Receiver,
    report::{Bar, Line, Ratio, Report, median},
    saturation::all_accepted,
    setup::{KEPT, SetUp},
    subject::{Prepared, Programs, Subject},
};

/// Posts of a run; long enough to meet checkpoints.
/// What triggers made of a history that was written in its end state.
const FORGET_COUNTS: &str = "DELETE FROM event_count";
/// Counts the history anew. None of its events has more than one delivery.
const COUNT_EVENTS: &str = "INSERT INTO event_count (tenant_id, slot, accepted, pending, retrying, exhausted, rejected, cancelled) \
    SELECT tenant_id, 0, SUM(accepted), SUM(pending), SUM(retrying), SUM(exhausted), SUM(rejected), SUM(cancelled) FROM ( \
      SELECT tenant_id, COUNT(*) AS accepted, 0 AS pending, 0 AS retrying, 0 AS exhausted, 0 AS rejected, 0 AS cancelled FROM event GROUP BY tenant_id \
      UNION ALL SELECT tenant_id, 0, SUM(CASE WHEN state <> 'dead-lettered' THEN 1 ELSE 0 END), 0, \
        SUM(CASE WHEN state = 'dead-lettered' THEN 1 ELSE 0 END), 0, 0 FROM route_work GROUP BY tenant_id \
      UNION ALL SELECT tenant_id, 0, SUM(CASE WHEN state = 'waiting' AND attempts = attempts_before THEN 1 ELSE 0 END), \
        SUM(CASE WHEN state = 'waiting' AND attempts > attempts_before THEN 1 ELSE 0 END), SUM(CASE WHEN state = 'exhausted' THEN 1 ELSE 0 END), \
        SUM(CASE WHEN state = 'rejected' THEN 1 ELSE 0 END), SUM(CASE WHEN state = 'cancelled' THEN 1 ELSE 0 END) FROM delivery_work GROUP BY tenant_id \
      UNION ALL SELECT tenant_id, 0, 0, 0, 0, 0, COUNT(*) FROM decision WHERE outcome = 'dropped' GROUP BY tenant_id) counted GROUP BY tenant_id";
const ACCEPT_POSTS: usize = 100_000;
const ACCEPT_RUNS: usize = 5;
const ACCEPT_OF_EMPTY_MIN: f64 = 0.9;
const READY_S_MAX: f64 = 1.0;
const MEMORY_MB_MAX: f64 = 200.0;
/// A plugin in the folder is active so soon after the start.
const ACTIVE_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Measures on each database.
///
/// # Errors
/// An event is lost, or something does not work at this size.
pub async fn measure(settings: &Settings, report: &mut Report) -> anyhow::Result<()> {
    let programs = settings.programs()?;
    report.settings.insert("scale_events", settings.scale_events.to_string());
    report.notes.push("Behind the name of a list are the rows of its page.".to_owned());
    for kind in settings.kinds() {
        one_database(settings, kind, &programs, report)
            .await
            .with_context(|| format!("scale on {} failed, and with it the benchmark", kind.as_str()))?;
    }
    Ok(())
}

async fn one_database(settings: &Settings, kind: Kind, programs: &Programs, report: &mut Report) -> anyhow::Result<()> {
    let database = kind.as_str();
    let receiver = Receiver::start().await?;
    let hanging = Hanging::start().await?;
    let empty = Subject::start(settings.place(kind).await?, programs, &SetUp::usual(receiver.address))?;

    let mut set_up = SetUp::usual(receiver.address);
    crowd::set_up(&mut set_up, receiver.address, hanging.address);
    let prepared = Prepared::apply(settings.place(kind).await?, programs, &set_up)?;
    let prepared = with_active_plugins(prepared).await?;
    let counts = Counts::of(settings.scale_events);

    eprintln!("seeding {} events, {database}", counts.events);
    let begun = Instant::now();
    let now = hookyard::clock::Clock::default().now();
    let bytes_before = prepared.place.bytes().await?;
    let mut bulk = Bulk::open(&prepared.place).await?;
    let crowd = crowd::make(&mut bulk, now).await?;
    let shown = history::write(&mut bulk, &crowd, settings.scale_events, now).await?;
    bulk.run(FORGET_COUNTS).await?;
    bulk.run(COUNT_EVENTS).await?;
    bulk.finish().await?;
    let bytes = prepared.place.bytes().await?.saturating_sub(bytes_before);
    report.notes.push(format!(
        "{database}: {} events were stored in {:.0?}, {:.1} GB in all.",
        counts.events,
        begun.elapsed(),
        bytes as f64 / 1e9
    ));

    eprintln!("starting, {database}");
    let begun = Instant::now();
    let full = prepared.serve()?;
    let ready = begun.elapsed();
    report.bars.push(Bar::at_most(
        format!("start to ready, {database}"),
        ready.as_secs_f64(),
        READY_S_MAX,
        "s",
    ));
    hanging.full().await?;

    eprintln!("lists, {database}");
    let (lines, bar) = lists::measure(full.place(), &crowd, shown).await?;
    report.lines.extend(lines);
    report.bars.push(bar);

    eprintln!("accept, {database}");
    let accepted = accept(settings, &empty, &full, report).await?;
    empty.kill().remove().await?;

    eprintln!("release, {database}");
    let released = release::measure(&full, &receiver, &crowd.largest().name, counts).await;
    let (_, memory_peak_bytes) = process::memory_bytes(full.server.pid())?;
    report.bars.push(Bar::at_most(
        format!("memory at most, {database}"),
        memory_peak_bytes as f64 / 1e6,
        MEMORY_MB_MAX,
        "MB",
    ));
    let released = released?;
    report.lines.extend(released.lines);
    report.bars.push(released.bar);

    let place = full.kill();
    all_there(&place, counts, accepted + released.posted).await?;
    place.remove().await
}

/// Starts the server for as long as it takes to activate the plugin of each tenant that has it.
async fn with_active_plugins(prepared: Prepared) -> anyhow::Result<Prepared> {
    let subject = prepared.serve()?;
    let deadline = Instant::now() + ACTIVE_WITHIN;
    while subject
        .place()
        .count("SELECT COUNT(*) FROM plugin WHERE active_hash IS NOT NULL")
        .await?
        < 2
    {
        ensure!(
            Instant::now() < deadline,
            "the plugins were not activated in time; {}",
            subject.last_words()
        );
        tokio::time::sleep(LOOK_EVERY).await;
    }
    subject.stop()
}

/// Accepts on both in turn, so that what the machine does besides meets both. Returns how many the full one has more.
async fn accept(settings: &Settings, empty: &Subject, full: &Subject, report: &mut Report) -> anyhow::Result<usize> {
    let posts = ACCEPT_POSTS.min(settings.scale_events as usize);
    let connections = usize::from(settings.connections);
    let mut rates = [Vec::new(), Vec::new()];
    let mut accepted = 0;
    for run in 0..=ACCEPT_RUNS {
        for (subject, rates) in [empty, full].into_iter().zip(&mut rates) {
            let target = subject.target(KEPT, payload::small())?;
            let burst = load::fire(&target, connections, posts).await?;
            all_accepted(&burst)?;
            // The first warms up.
            if run > 0 {
                rates.push(posts as f64 / burst.elapsed.as_secs_f64());
            }
        }
        accepted += posts;
    }
    let database = full.place().kind.as_str();
    let [on_empty, on_full] = rates.map(|rates| (median(&rates), rates));
    let of_empty = on_full.0 / on_empty.0;
    for (name, (rate, rates), ratio) in [
        ("accept, empty database", on_empty, None),
        ("accept, at scale", on_full, Some(of_empty)),
    ] {
        report.lines.push(Line {
            name: name.to_owned(),
            database: Some(database),
            rate,
            rates,
            ratio: ratio.map(|value| Ratio { value, of: "empty" }),
            ..Line::default()
        });
    }
    report.bars.push(Bar::at_least(
        format!("accepted at scale, {database}"),
        of_empty,
        ACCEPT_OF_EMPTY_MIN,
        "x empty",
    ));
    Ok(accepted)
}

/// Whether everything that was stored, posted and released is in the database.
async fn all_there(place: &Place, counts: Counts, posted: usize) -> anyhow::Result<()> {
    let count = async |sql| place.count(sql).await;
    for (what, found, expected) in [
        ("events", count("SELECT COUNT(*) FROM event").await?, counts.events + posted as u64),
        (
            "held events",
            count("SELECT COUNT(*) FROM route_work WHERE state = 'held'").await?,
            0,
        ),
        (
            "deliveries",
            count("SELECT COUNT(*) FROM delivery").await?,
            counts.deliveries + counts.held,
        ),
    ] {
        ensure!(found == expected, "{found} {what}, not {expected}");
    }
    Ok(())
}
