//! The child: bounds itself, reads a module, compiles it, answers, and is gone.
//!
//! It sets its limits before the first byte of the module is read, and each of them ends in a death that the parent can
//! tell from the others. It makes no runtime and reads no configuration, so the little that is in its memory is the program
//! and the module.

use std::{
    ffi::OsString,
    io::{Read as _, Write as _},
    process::ExitCode,
};

use rustix::process::{Resource, Rlimit, Signal, getppid, getrlimit, setrlimit};

use wasmtime::component::Component;

use super::answer::{self, Answer};
use crate::engine::{self, Allocation};
use crate::inspect::{self, Refusal};

/// The command that makes a child of `hookyard`.
pub const NAME: &str = "compile-plugin";

/// Address space beyond what the program itself takes up. The largest languages need up to 460 MiB.
pub(super) const MEMORY_BYTES_MAX: u64 = 480 << 20;

/// Processor time in seconds. SpiderMonkey takes 8 to 12 (wasmtime 48, one thread), more on a slow machine. What
/// is made to exhaust the compiler runs out of memory long before.
pub(super) const CPU_S_MAX: u64 = 30;

/// Stack of the thread that reads and compiles: twice what a process usually begins with.
const STACK_BYTES: usize = 16 << 20;

/// How much nicer than the server it is to everybody else.
const NICE: i32 = 10;

/// Standard input, output and error: with no more handles a process opens no file and no socket.
const HANDLES_MAX: u64 = 3;

/// Runs the command if the arguments of this process call it. To be asked before anything else is done.
pub fn run(arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    let arguments: Option<Vec<String>> = arguments.skip(1).map(|argument| argument.into_string().ok()).collect();
    let arguments = arguments?;
    let [name, allocation, module_bytes_max, parent] = &arguments[..] else {
        return None;
    };
    if name != NAME {
        return None;
    }
    Some(match (Allocation::parse(allocation), module_bytes_max.parse(), parent.parse()) {
        (Some(allocation), Ok(module_bytes_max), Ok(parent)) => serve(allocation, module_bytes_max, parent),
        _ => ExitCode::from(2),
    })
}

fn serve(allocation: Allocation, module_bytes_max: usize, parent: u32) -> ExitCode {
    if bound(parent).is_err() {
        return ExitCode::from(3);
    }
    // The stack of the first thread is whatever the server was started with, and would decide what nests too deeply.
    let worker = std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(move || work(allocation, module_bytes_max));
    worker.ok().and_then(|worker| worker.join().ok()).unwrap_or(ExitCode::from(6))
}

fn work(allocation: Allocation, module_bytes_max: usize) -> ExitCode {
    let mut wasm = Vec::new();
    // One byte past the limit is enough to be refused for its size.
    if std::io::stdin().take(module_bytes_max as u64 + 1).read_to_end(&mut wasm).is_err() {
        return ExitCode::from(4);
    }
    let answer = compile(allocation, module_bytes_max, &wasm);
    let mut out = std::io::stdout().lock();
    match answer::write(&mut out, answer.as_ref()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(5),
    }
}

/// Sets all limits, for good: hard limits can only be lowered.
fn bound(parent: u32) -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have died before it could be asked for that.
    if getppid().is_none_or(|id| id.as_raw_nonzero().get().cast_unsigned() != parent) {
        return Err(std::io::ErrorKind::NotConnected.into());
    }
    close_inherited()?;
    // Accepting and delivering do not wait behind a compilation.
    rustix::process::nice(NICE)?;
    let memory = own_address_space()? + MEMORY_BYTES_MAX;
    for (resource, limit) in [
        (Resource::As, memory),
        (Resource::Cpu, CPU_S_MAX),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nofile, HANDLES_MAX),
    ] {
        // What this process was given may be less, and cannot be raised.
        let limit = getrlimit(resource).maximum.map_or(limit, |maximum| maximum.min(limit));
        setrlimit(
            resource,
            Rlimit {
                current: Some(limit),
                maximum: Some(limit),
            },
        )?;
    }
    Ok(())
}

/// Closes what whoever started the server left open: a limit on handles closes none.
fn close_inherited() -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: Nothing in this process has opened anything yet, so no handle above the three belongs to anybody here.
        #[allow(unsafe_code, reason = "the libraries at hand have no call for it")]
        let closed = unsafe {
            libc::syscall(
                libc::SYS_close_range,
                HANDLES_MAX as libc::c_uint,
                libc::c_uint::MAX,
                0 as libc::c_uint,
            )
        };
        let error = std::io::Error::last_os_error();
        // A kernel from before 5.9 has none; what is open there is not the module's to use either.
        if closed != 0 && error.raw_os_error() != Some(libc::ENOSYS) {
            return Err(error);
        }
    }
    Ok(())
}

/// The address space of the bare program: its file is mapped whole, and is not what a module makes it need.
fn own_address_space() -> std::io::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages: Option<u64> = text.split_whitespace().next().and_then(|pages| pages.parse().ok());
    let pages = pages.ok_or(std::io::ErrorKind::InvalidData)?;
    Ok(pages * rustix::param::page_size() as u64)
}

fn compile(allocation: Allocation, module_bytes_max: usize, wasm: &[u8]) -> Result<Answer, Refusal> {
    let runtime = engine::compiling(allocation).map_err(|error| Refusal::NoCompiler {
        message: format!("{error:#}"),
    })?;
    let names = inspect::read(wasm, module_bytes_max, runtime.get_wasm_features())?;
    // Before the costly part; the parent judges again, for itself.
    let inspected = inspect::judge(&names.imports, &names.exports)?;
    let failed = |error: wasmtime::Error| Refusal::Compile {
        message: format!("{error:#}"),
    };
    let component = Component::from_binary(&runtime, wasm).map_err(failed)?;
    // Whatever the types of this component make of the linker, they make it here first.
    crate::prepare(&runtime, &component, &inspected)?;
    let machine_code = component.serialize().map_err(failed)?;
    Ok(Answer {
        imports: names.imports,
        exports: names.exports,
        machine_code,
    })
}
