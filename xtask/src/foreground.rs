//! Runs children in the foreground and survives a Ctrl-C, so that whatever was started is also stopped.
//!
//! A terminal sends Ctrl-C to the whole foreground process group: the child receives it too and ends in its own way, and
//! this program then cleans up. A SIGTERM sent to this program alone is passed on to the child. No signal ends this
//! program directly; it ends when `main` returns, after every `Drop` has run.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::Context;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// What a shell answers for a command that a signal ended: this plus the signal's number.
const SIGNAL_EXIT_BASE: i32 = 128;

/// The right to run children one at a time, and to be asked whether the user wants to stop.
#[derive(Debug)]
pub(crate) struct Foreground {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The last signal that asked this program to stop; 0 before the first.
    stopped_by: AtomicI32,
    /// The running child, as long as its id cannot have passed to another process.
    child: Mutex<Option<Pid>>,
}

/// Why a child did not end well.
#[derive(Debug)]
pub(crate) enum ChildError {
    /// It could not be started; usually it is not installed.
    NotStarted { command: String, source: std::io::Error },
    /// It ended with a code or a signal that says so.
    Failed { command: String, status: ExitStatus },
    /// The user, or whoever started this program, wants it to stop.
    Interrupted { signal: i32 },
}

impl Foreground {
    /// Takes the signals that mean "stop" away from their default of killing this program at once.
    ///
    /// # Errors
    ///
    /// When the operating system refuses the handlers.
    pub(crate) fn take_over() -> anyhow::Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot listen for signals")?;
        let shared = Arc::<Shared>::default();
        let heard = Arc::clone(&shared);
        // Waits on signals until the process ends; there is nothing to join.
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                for signal in &mut signals {
                    heard.stop(signal);
                }
            })
            .context("cannot start the thread that listens for signals")?;
        Ok(Self { shared })
    }

    /// Runs a command to its end with this program's own input and output.
    ///
    /// A child that ends well after a Ctrl-C has done what it was asked: that is a success, and only the next `run`
    /// reports the interruption.
    ///
    /// # Errors
    ///
    /// See [`ChildError`].
    pub(crate) fn run(&self, command: &mut Command) -> Result<(), ChildError> {
        self.check()?;
        let status = self.status(command).map_err(|source| ChildError::NotStarted {
            command: spelled(command),
            source,
        })?;
        if status.success() {
            return Ok(());
        }
        self.check()?;
        Err(ChildError::Failed {
            command: spelled(command),
            status,
        })
    }

    /// Answers whether this program was asked to stop.
    ///
    /// # Errors
    ///
    /// [`ChildError::Interrupted`] once it was.
    pub(crate) fn check(&self) -> Result<(), ChildError> {
        match self.shared.stopped_by.load(Ordering::SeqCst) {
            0 => Ok(()),
            signal => Err(ChildError::Interrupted { signal }),
        }
    }

    fn status(&self, command: &mut Command) -> std::io::Result<ExitStatus> {
        let mut child = {
            // Held across the start, so that no signal falls between the child's birth and its entry.
            let mut entry = self.shared.child();
            let child = command.spawn()?;
            *entry = Some(Pid::from_child(&child));
            child
        };
        let ended = await_end_without_reaping(&child);
        // From here on the signal thread knows no child, and only then may its id be given to another process.
        *self.shared.child() = None;
        ended?;
        child.wait()
    }
}

impl Shared {
    fn child(&self) -> MutexGuard<'_, Option<Pid>> {
        // The lock guards one copyable value, which no panic leaves half written.
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self, signal: i32) {
        self.stopped_by.store(signal, Ordering::SeqCst);
        // The terminal sent SIGINT to the child too; many programs take a second one for "stop at once".
        if signal == SIGINT {
            return;
        }
        if let Some(child) = *self.child() {
            // It may have ended in between, which is what was wanted.
            let _ = kill_process(child, Signal::TERM);
        }
    }
}

fn await_end_without_reaping(child: &Child) -> std::io::Result<()> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    loop {
        match waitid(WaitId::Pid(Pid::from_child(child)), options) {
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The command as a person would type it, for messages.
fn spelled(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    std::iter::once(name)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

impl ChildError {
    /// What this program should exit with: the child's own code, or what a shell says after a signal.
    pub(crate) fn exit_code(&self) -> u8 {
        let code = match self {
            Self::NotStarted { .. } => 1,
            Self::Failed { status, .. } => status.code().or_else(|| Some(SIGNAL_EXIT_BASE + status.signal()?)).unwrap_or(1),
            Self::Interrupted { signal } => SIGNAL_EXIT_BASE + signal,
        };
        u8::try_from(code).unwrap_or(1)
    }
}

impl fmt::Display for ChildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted { command, .. } => write!(f, "cannot start `{command}`"),
            Self::Failed { command, status } => write!(f, "`{command}` ended with {status}"),
            Self::Interrupted { .. } => f.write_str("interrupted"),
        }
    }
}

impl std::error::Error for ChildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotStarted { source, .. } => Some(source),
            Self::Failed { .. } | Self::Interrupted { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]);
        shell
    }

    fn unheard() -> Foreground {
        Foreground { shared: Arc::default() }
    }

    #[test]
    fn a_childs_own_exit_code_is_passed_on() {
        let error = unheard().run(&mut shell("exit 7")).unwrap_err();
        assert_eq!(error.exit_code(), 7);
        assert_eq!(error.to_string(), "`sh -c exit 7` ended with exit status: 7");
    }

    #[test]
    fn a_child_that_a_signal_ended_is_reported_as_a_shell_would() {
        let error = unheard().run(&mut shell("kill -KILL $$")).unwrap_err();
        assert_eq!(error.exit_code(), 137);
    }

    #[test]
    fn after_an_interruption_nothing_more_is_started() {
        let foreground = unheard();
        foreground.shared.stop(SIGINT);
        let error = foreground.run(&mut Command::new("/nonexistent")).unwrap_err();
        assert!(matches!(error, ChildError::Interrupted { signal: SIGINT }), "{error}");
        assert_eq!(error.exit_code(), 130);
    }

    #[test]
    fn a_child_that_ends_well_after_an_interruption_has_succeeded() {
        let foreground = unheard();
        let shared = Arc::clone(&foreground.shared);
        let trap_set = std::env::temp_dir().join(format!("hookyard-xtask-trap-{}", std::process::id()));
        let script = format!("trap 'exit 0' TERM; : > '{}'; while :; do sleep 0.01; done", trap_set.display());
        let marker = trap_set.clone();
        let stopper = thread::spawn(move || {
            while !marker.exists() {
                thread::yield_now();
            }
            shared.stop(SIGTERM);
        });
        let outcome = foreground.run(&mut shell(&script));
        stopper.join().unwrap();
        std::fs::remove_file(trap_set).unwrap();
        assert!(outcome.is_ok(), "{outcome:?}");
        assert!(foreground.check().is_err());
    }
}
