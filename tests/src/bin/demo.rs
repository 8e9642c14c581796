//! `demo`: shows events on their way through a real server. `cargo xtask demo` builds all it needs and runs it.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use hookyard_tests::demo::{self, Options, Stay, Verdict};

/// Real GitHub events through a real server, with a plugin that changes on the way.
#[derive(Debug, Parser)]
struct Arguments {
    /// The hookyard binary
    #[arg(long, value_name = "PATH")]
    hookyard: PathBuf,
    /// The component of the plugin github-to-slack
    #[arg(long, value_name = "PATH")]
    plugin: PathBuf,
    /// End after the last act; non-zero if anything was not as it should be
    #[arg(long)]
    once: bool,
    /// The port the server listens on. Default: a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let options = Options {
        hookyard: arguments.hookyard,
        plugin: arguments.plugin,
        port: arguments.port,
        stay: if arguments.once { Stay::Once } else { Stay::Up },
    };
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(demo::run(options)));
    match outcome {
        Ok(Verdict::AllAsItShouldBe | Verdict::Interrupted) => ExitCode::SUCCESS,
        Ok(Verdict::SomethingWasNot) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}
