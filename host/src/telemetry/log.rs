//! Structured logs on standard error: readable text, or JSON lines for a log collector.
//!
//! What goes well is told at `debug` only: at thousands of events per second the lines would cost more than the work.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// The compiler of the plugins writes thousands of lines per module at `debug`; a filter may ask for them by name.
const QUIET: &str =
    "cranelift_codegen=info,cranelift_frontend=info,cranelift_wasm=info,wasmtime=info,wasmtime_internal_cranelift=info,timing=info";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// Starts logging. `filter` is in the syntax of `tracing-subscriber`'s `EnvFilter`, such as `info,hookyard=debug`.
///
/// # Errors
/// The filter does not parse, or logging was started before.
pub fn start(filter: &str, format: LogFormat) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(format!("{QUIET},{filter}"))?;
    let layer = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Text => registry.with(layer.with_target(false)).try_init()?,
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init()?,
    }
    Ok(())
}
