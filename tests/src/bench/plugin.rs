//! Plugin calls by themselves: how many a thread makes per second, and whether a second thread helps.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, ensure};
use hookyard::wasm::{Body, Call, CallLimits, EndpointView, Engine, EventView, Module, Settings};
use hookyard_domain::decision::Decision;

use super::{payload, report::Line};

const CALLS: usize = 20_000;
const CALLS_QUICK: usize = 1_000;
/// Calls before the first measured one.
const WARM_UP_CALLS: usize = 200;

/// One line per number of threads.
///
/// # Errors
/// The plugin does not load, or a call does not deliver.
pub fn calls(plugin: &Path, quick: bool) -> anyhow::Result<Vec<Line>> {
    let wasm = std::fs::read(plugin).with_context(|| format!("cannot read {}", plugin.display()))?;
    let engine = Engine::new(&Settings::default()).context("cannot start the plugin engine")?;
    let module = engine
        .compile_here(&wasm)
        .map_err(|refusal| anyhow!("cannot load the plugin: {refusal}"))?;
    let calls = if quick { CALLS_QUICK } else { CALLS };
    let small = payload::small();
    call_many(&module, &small, WARM_UP_CALLS)?;
    let mut lines = Vec::new();
    for (name, body) in [("1 KB", small), ("7 KB", payload::real())] {
        for threads in [1_usize, 2] {
            eprintln!("calls, {name}, {threads}");
            let begun = Instant::now();
            std::thread::scope(|scope| {
                let running: Vec<_> = (0..threads).map(|_| scope.spawn(|| call_many(&module, &body, calls))).collect();
                running
                    .into_iter()
                    .try_for_each(|thread| thread.join().map_err(|_| anyhow!("a call panicked"))?)
            })?;
            let rate = (calls * threads) as f64 / begun.elapsed().as_secs_f64();
            lines.push(Line {
                name: format!("calls, {name}, {threads} thread{}", if threads == 1 { "" } else { "s" }),
                rate,
                rates: vec![rate],
                ..Line::default()
            });
        }
    }
    Ok(lines)
}

fn call_many(module: &Module, body: &[u8], calls: usize) -> anyhow::Result<()> {
    let metadata = [("repo".to_owned(), "*".to_owned())];
    let endpoints = [EndpointView {
        id: "0198c0de-0000-7000-8000-000000000002",
        name: "sink",
        origin: "http://127.0.0.1",
        metadata: &metadata,
    }];
    let config: Arc<str> = "{}".into();
    for _ in 0..calls {
        let run = module.route(&Call {
            event: EventView {
                id: "0198c0de-0000-7000-8000-000000000001",
                event_type: "push",
                sender: "plugin",
                received_at_ms: 1_750_000_000_000,
                content_type: "application/json",
                headers: &[],
                attributes: &[],
                body: Body::of(body),
            },
            endpoints: &endpoints,
            config: Arc::clone(&config),
            seed: 42,
            limits: CallLimits {
                cpu_budget: Duration::from_secs(1),
                ..Settings::default().call_limits()
            },
        });
        ensure!(
            matches!(run.result, Ok(Decision::Deliver(_))),
            "the plugin did not deliver: {:?}",
            run.result
        );
    }
    Ok(())
}
