//! The demonstration: real GitHub events on their way through the real server, while their plugin changes.
//!
//! Nothing is staged. [`yard`] runs the `hookyard` binary as an operator would: `serve` in one process, `apply` and
//! `events` in others. [`sinks`] are the receivers, which verify every signature with code that is not ours. [`edit`]
//! changes the plugin's source and builds it again. [`story`] does everything in order and compares it with [`payloads`],
//! where what should happen is written down; [`checks`] counts what is right and wrong, and [`page`] prints.

mod checks;
mod edit;
mod page;
mod payloads;
mod sinks;
mod story;
mod yard;

use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};

use self::{page::Page, story::Story, yard::Yard};

/// What the demonstration is run with.
#[derive(Debug, Clone)]
pub struct Options {
    /// The `hookyard` binary.
    pub hookyard: PathBuf,
    /// The component of `github-to-slack`.
    pub plugin: PathBuf,
    /// The port the server listens on; 0 takes a free one.
    pub port: u16,
    pub stay: Stay,
}

/// What to do at the end of the story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stay {
    /// Go on serving until Ctrl-C.
    Up,
    /// Stop the server and end.
    Once,
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    AllAsItShouldBe,
    SomethingWasNot,
    /// Ctrl-C before the end of the story.
    Interrupted,
}

/// Runs the demonstration. Whatever happens, the server is stopped and the temporary folder removed.
///
/// # Errors
/// The server cannot be started, or one of its commands fails.
pub async fn run(options: Options) -> anyhow::Result<Verdict> {
    let page = Page::on_stdout();
    let stopped = stop_asked()?;
    tokio::pin!(stopped);
    let mut yard = Yard::prepare(&options)?;
    let told = {
        let mut story = Story::new(&page, &mut yard, &options);
        let telling = async {
            let verdict = Box::pin(story.tell()).await?;
            if options.stay == Stay::Up {
                story.stay_up().await?;
            }
            anyhow::Ok(verdict)
        };
        tokio::select! {
            told = telling => told,
            () = &mut stopped => Ok(story.verdict_when_stopped()),
        }
    };
    page.gap();
    let ended = yard.stop().await;
    match (&told, &ended) {
        (Err(_), _) => page.plain(&yard.last_log_lines()),
        (Ok(_), Ok(how)) => page.fact("server", how),
        (Ok(_), Err(_)) => {}
    }
    let verdict = told?;
    ended?;
    Ok(verdict)
}

/// Resolves at the first Ctrl-C or request to terminate.
fn stop_asked() -> anyhow::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    })
}
