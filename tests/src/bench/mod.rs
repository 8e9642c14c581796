//! The benchmark: what the server reaches on this machine, against what could be reached at all.
//!
//! Absolute figures move from machine to machine, so every figure is shown beside another of the same run. At saturation
//! ([`saturation`]) that is a floor ([`floor`]): a bare HTTP handler, and a group commit without HTTP. In fairness
//! ([`fairness`]) it is the same endpoint without the ones that hang, at scale ([`scale`]) an empty database.
//!
//! Generators ([`load`], [`pace`]) and receivers ([`receiver`], [`hanging`]) run in this process, the server as a child
//! of its own ([`subject`], [`process`]), all on the same cores: what the generator uses, the server lacks, for the floor
//! as for the server. [`report`] has the table and the bars.
//!
//! Every count is fixed beforehand, every wait has a deadline, and a row fails if one event is lost, doubled or left
//! unfinished: a fast answer that is wrong counts for nothing.

mod fairness;
pub mod floor;
mod hanging;
mod latency;
mod load;
mod pace;
mod payload;
mod place;
mod plugin;
mod process;
mod receiver;
mod report;
mod saturation;
mod scale;
mod settings;
mod setup;
mod subject;

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};

pub use self::settings::Settings;
use self::{
    place::Kind,
    report::{Bar, Line, Ratio, Report},
    saturation::{ACCEPT, DIRECT, FLOOR, PLUGIN, ROWS},
};

/// What DISK B means.
const DISK_NOTE: &str = "DISK B is what an event leaves for good: its facts and their indexes. The rows of finished work are gone and \
    their room is used again: on SQLite free pages do not count, on PostgreSQL the work tables are swept before the database is measured.";

/// Measures everything asked for, prints the table and writes the report.
///
/// # Errors
/// Something does not start, an event is lost or doubled, or, with `check`, a bar is missed. What was measured until
/// then is printed and written all the same.
pub async fn run(settings: &Settings) -> anyhow::Result<()> {
    let mut report = Report {
        settings: BTreeMap::from([
            ("connections", settings.connections.to_string()),
            ("runs", settings.runs().to_string()),
            ("payload_bytes", format!("{} and {}", payload::small().len(), payload::real().len())),
            ("cores", std::thread::available_parallelism()?.to_string()),
        ]),
        ..Report::default()
    };
    let outcome = if settings.scale {
        scale::measure(settings, &mut report).await
    } else {
        measure(settings, &mut report).await
    };
    let promised = bars(&report, &settings.kinds());
    report.bars.splice(0..0, promised);
    report.failure = outcome.as_ref().err().map(|error| format!("{error:#}"));
    report.print();
    if let Some(folder) = settings.json.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&settings.json, serde_json::to_vec_pretty(&report)?)
        .with_context(|| format!("cannot write {}", settings.json.display()))?;
    outcome?;
    let missed: Vec<&str> = report.missed().map(|bar| &*bar.name).collect();
    if settings.check && !missed.is_empty() {
        bail!("missed: {}", missed.join("; "));
    }
    Ok(())
}

async fn measure(settings: &Settings, report: &mut Report) -> anyhow::Result<()> {
    let programs = settings.programs()?;
    if settings.wants("floor") {
        for (name, parsing) in [(FLOOR, "value"), ("floor, bare axum + check", "check")] {
            let line = saturation::http_floor(settings, name, parsing).await;
            report.lines.push(line.with_context(|| failed(name, None))?);
        }
    }
    let floor = report.line(FLOOR, None).map(|line| line.rate);
    let of_floor = |mut line: Line| {
        line.ratio = floor.map(|floor| Ratio {
            value: line.rate / floor,
            of: "floor",
        });
        line
    };
    for kind in settings.kinds() {
        if settings.wants("commit") {
            let line = saturation::commit_floor(settings, kind).await;
            report.lines.push(of_floor(line.with_context(|| failed("commit", Some(kind)))?));
        }
        for row in ROWS.iter().filter(|row| settings.wants(row.name)) {
            let line = saturation::server_row(settings, kind, row, &programs).await;
            report.lines.push(of_floor(line.with_context(|| failed(row.name, Some(kind)))?));
        }
        if settings.wants("latency") {
            let measured = latency::measure(settings, kind, &programs, report).await;
            measured.with_context(|| failed("latency", Some(kind)))?;
        }
        if settings.wants("fairness") {
            let measured = fairness::measure(settings, kind, &programs, report).await;
            measured.with_context(|| failed("fairness", Some(kind)))?;
        }
        if settings.wants("idle") {
            let bars = saturation::idle(settings, kind, &programs).await;
            report.bars.extend(bars.with_context(|| failed("idle", Some(kind)))?);
        }
    }
    if settings.wants("calls") {
        let rows = tokio::task::block_in_place(|| plugin::calls(&programs.plugin, settings.quick));
        report.lines.extend(rows.with_context(|| failed("calls", None))?);
    }
    if report.lines.iter().any(|line| line.disk_bytes_per_event.is_some()) {
        report.notes.push(DISK_NOTE.to_owned());
    }
    Ok(())
}

fn failed(row: &str, kind: Option<Kind>) -> String {
    let on = kind.map_or_else(String::new, |kind| format!(" on {}", kind.as_str()));
    format!("the row \"{row}\"{on} failed, and with it the benchmark")
}

/// What is promised of the lines that were measured.
fn bars(report: &Report, kinds: &[Kind]) -> Vec<Bar> {
    let mut bars = Vec::new();
    for kind in kinds {
        let database = kind.as_str();
        let line = |name| report.line(name, Some(database));
        let (accept_min, direct_min, plugin_min, disk_bytes_max) = match kind {
            Kind::Sqlite => (0.45, 0.22, 0.20, 1_900.0),
            Kind::Postgres => (0.40, 0.20, 0.16, 2_300.0),
        };
        for (name, what, min) in [
            (ACCEPT, "accepted", accept_min),
            (DIRECT, "accepted, delivered, settled", direct_min),
            (PLUGIN, "accepted, routed by plugin, delivered, settled", plugin_min),
        ] {
            if let Some(ratio) = line(name).and_then(|line| line.ratio) {
                bars.push(Bar::at_least(format!("{what}, {database}"), ratio.value, min, "x floor"));
            }
        }
        if let Some(bytes) = line(PLUGIN).and_then(|line| line.disk_bytes_per_event) {
            bars.push(Bar::at_most(
                format!("on disk per event routed by plugin, {database}"),
                bytes as f64,
                disk_bytes_max,
                "bytes",
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
