//! Compiles modules in a child process.
//!
//! Whoever writes a module chooses what its compilation costs. Validators and compilers recurse where a module nests, and
//! allocate what it declares; wasmtime's own policy is that such a denial of service is the embedder's to contain. So
//! no byte of an upload is parsed in the server: [`Compiler`] starts the server's own program again as a compiler, hands it
//! the module through a pipe and takes machine code back, or the reason to refuse the module. A child that runs out of memory, stack
//! or time is such a reason.
//!
//! What the child can reach: nothing. It begins with an empty environment and three pipes, allows itself no further
//! file handle before it reads the first byte, and so has no file, no socket and no key; its memory, processor time and wall
//! time are bounded (`child.rs`). What is *not* defended: a fault in the compiler that makes it write machine code which does
//! something else than the module says. That code would run in the server, as it would without the child.
//!
//! `answer.rs` is what comes back through the pipe, `cache.rs` keeps it for the next start.

mod answer;
mod cache;
mod child;

use std::{
    io::{Read as _, Write as _},
    path::PathBuf,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use hookyard_domain::ContentHash;

pub(super) use self::answer::Answer;
pub use self::cache::Cache;
pub use self::child::{NAME, run};
use super::engine::Engine;
use super::inspect::Refusal;

/// How long one compilation may take: twice its processor time, for a machine that is busy.
pub const COMPILE_WALL_MAX: Duration = Duration::from_secs(60);

/// Machine code of one module: some four times the largest module that is taken by default.
const MACHINE_CODE_BYTES_MAX: u64 = 96 << 20;

/// What is kept of what a dying child says.
const LAST_WORDS_BYTES_MAX: u64 = 4 << 10;

/// How soon a child ends whose time is over or whose server stops.
const WATCH_EVERY: Duration = Duration::from_millis(50);

/// How often a child that has said nothing is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Starts the program that compiles. Clones share the cache.
#[derive(Debug, Clone)]
pub struct Compiler {
    program: Arc<PathBuf>,
    cache: Option<Arc<Cache>>,
    stopping: Arc<AtomicBool>,
}

impl Compiler {
    /// Compiles with this program, which is a `hookyard`.
    pub fn new(program: PathBuf) -> Self {
        Self {
            program: Arc::new(program),
            cache: None,
            stopping: Arc::default(),
        }
    }

    /// Compiles with the program this process runs, even when its file has been replaced since.
    pub fn this_program() -> Self {
        let program = if cfg!(target_os = "linux") {
            Some(PathBuf::from("/proc/self/exe"))
        } else {
            std::env::current_exe().ok()
        };
        Self::new(program.unwrap_or_else(|| PathBuf::from("hookyard")))
    }

    /// Keeps machine code here and looks for it first.
    #[must_use]
    pub fn with_cache(self, cache: Cache) -> Self {
        Self {
            cache: Some(Arc::new(cache)),
            ..self
        }
    }

    /// Ends what is being compiled, for good: nobody waits for it any more. It says nothing about the modules.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// What the cache holds of these bytes.
    pub(super) fn cached(&self, engine: &Engine, hash: ContentHash) -> Option<Answer> {
        self.cache.as_ref()?.find(engine, hash)
    }

    /// Keeps what a child made of these bytes, where there is a cache.
    pub(super) fn keep(&self, engine: &Engine, hash: ContentHash, answer: &Answer) {
        if let Some(cache) = &self.cache {
            cache.keep(engine, hash, answer);
        }
    }

    /// Has a new child inspect and compile a module. It blocks for up to [`COMPILE_WALL_MAX`].
    pub(super) fn ask_child(&self, engine: &Engine, wasm: &[u8]) -> Result<Answer, Refusal> {
        let begun = Instant::now();
        let mut child = Command::new(&*self.program)
            .args([
                NAME,
                engine.allocation().as_str(),
                &engine.settings().module_bytes_max.to_string(),
                // Nothing else tells the child that its parent died before it could ask to be told.
                &std::process::id().to_string(),
            ])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| Refusal::NoCompiler {
                message: error.to_string(),
            })?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("it was piped");
        let stderr = child.stderr.take().expect("it was piped");
        let child = Mutex::new(child);
        let (done, waiting) = mpsc::channel::<()>();
        let (said, last_words, killed) = std::thread::scope(|scope| {
            scope.spawn(move || hand_over(stdin, wasm));
            let last_words = scope.spawn(move || {
                let mut words = Vec::new();
                let mut stderr = stderr;
                // Read to the end all the same: a child must not stop because nobody listens.
                let _ = (&mut stderr).take(LAST_WORDS_BYTES_MAX).read_to_end(&mut words);
                let _ = std::io::copy(&mut stderr, &mut std::io::sink());
                words
            });
            let watched = &child;
            let watch = scope.spawn(move || {
                // Whether it was ended before the answer was there.
                while waiting.recv_timeout(WATCH_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                    if begun.elapsed() >= COMPILE_WALL_MAX || self.stopping.load(Ordering::Relaxed) {
                        kill(watched);
                        return true;
                    }
                }
                false
            });
            let mut said = Vec::new();
            let _ = stdout
                .take(MACHINE_CODE_BYTES_MAX + answer::HEADER_BYTES_MAX as u64)
                .read_to_end(&mut said);
            drop(done);
            let killed = watch.join().unwrap_or(false);
            if !killed {
                // It has closed its output: it is at its end, or has written more than it may.
                wait_or_kill(&child, COMPILE_WALL_MAX.saturating_sub(begun.elapsed()));
            }
            (said, last_words.join().unwrap_or_default(), killed)
        });
        let status = child.into_inner().unwrap_or_else(PoisonError::into_inner).wait();
        if self.stopping.load(Ordering::Relaxed) {
            return Err(Refusal::NoCompiler {
                message: "the server is stopping".to_owned(),
            });
        }
        if killed {
            return Err(Refusal::CompileTime {
                seconds: COMPILE_WALL_MAX.as_secs(),
            });
        }
        match answer::read(said) {
            Some(answer) => answer,
            None => Err(ended_without(status.ok(), &last_words)),
        }
    }
}

/// A child that ends before it has read everything has its reasons; they come through the other pipe.
fn hand_over(stdin: Option<ChildStdin>, wasm: &[u8]) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(wasm);
    }
}

fn kill(child: &Mutex<Child>) {
    let _ = child.lock().unwrap_or_else(PoisonError::into_inner).kill();
}

fn wait_or_kill(child: &Mutex<Child>, within: Duration) {
    let begun = Instant::now();
    loop {
        let ended = child.lock().unwrap_or_else(PoisonError::into_inner).try_wait();
        if !matches!(ended, Ok(None)) {
            return;
        }
        if begun.elapsed() >= within {
            return kill(child);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Why a child has ended without an answer, in words its module's author can use.
fn ended_without(status: Option<ExitStatus>, last_words: &[u8]) -> Refusal {
    use std::os::unix::process::ExitStatusExt as _;

    let words = String::from_utf8_lossy(last_words);
    let signal = status.and_then(|status| status.signal());
    // Its own codes, of which none is about the module; 101 is a panic.
    if let Some(code @ (2..=6 | 126 | 127)) = status.and_then(|status| status.code()) {
        return Refusal::NoCompiler {
            message: format!(
                "it ended with code {code}{}",
                if words.is_empty() {
                    String::new()
                } else {
                    format!(": {}", words.trim())
                }
            ),
        };
    }
    if words.contains("memory allocation of") || words.contains("Cannot allocate memory") || words.contains("ENOMEM") {
        return Refusal::CompileMemory {
            mib: child::MEMORY_BYTES_MAX >> 20,
        };
    }
    if words.contains("has overflowed its stack") || signal == Some(libc::SIGSEGV) {
        return Refusal::CompileStack;
    }
    if signal == Some(libc::SIGXCPU) || signal == Some(libc::SIGKILL) {
        // The kernel kills for processor time that is over; for memory of the whole machine, too, which looks the same.
        return Refusal::CompileTime { seconds: child::CPU_S_MAX };
    }
    Refusal::CompilerFailed
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn how_a_child_ended_is_told_in_words() {
        let aborted = Some(ExitStatus::from_raw(libc::SIGABRT));
        let cases = [
            (aborted, "memory allocation of 17 bytes failed", "memory"),
            (aborted, "thread 'main' has overflowed its stack", "nested"),
            (Some(ExitStatus::from_raw(libc::SIGXCPU)), "", "longer than"),
            (aborted, "", "the compiler itself failed"),
            (
                Some(ExitStatus::from_raw(101 << 8)),
                "thread panicked",
                "the compiler itself failed",
            ),
            (Some(ExitStatus::from_raw(3 << 8)), "", "cannot be started"),
        ];
        for (status, words, expected) in cases {
            let refusal = ended_without(status, words.as_bytes()).to_string();
            assert!(refusal.contains(expected), "{refusal}");
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_our_fault_and_says_so() {
        let engine = Engine::new(&crate::Settings::default()).unwrap();
        let refusal = Compiler::new("/no/such/program".into()).ask_child(&engine, b"\0asm").unwrap_err();
        assert!(matches!(refusal, Refusal::NoCompiler { .. }));
    }
}
