//! The little of WASI that a standard library needs in order to start, and nothing that reaches outside.
//!
//! Compilers put WASI imports into a plugin whether or not its author wants them. So the world they describe is kept as
//! small as a world can be: no arguments, an empty environment, an input that has ended, outputs that lead to the log
//! of the run, no directories, a clock that stands still, and randomness that repeats. A sleep moves the clock and
//! returns at once, since a thread that waits for a guest is a thread taken from other senders.
//!
//! Whatever is not here, sockets and HTTP above all, links to a function that ends the run and names the import: large
//! runtimes import much that they never call. This is deliberately not the general WASI host crate, whose surface is
//! the larger part of the advisories its project publishes.

use wasmtime::StoreContextMut;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{ComponentType, LinkerInstance, Lower, Resource, ResourceTable, ResourceType, Val, WasmList};

use super::ambient::Clock;
use super::call::State;
use super::log::Stream;

/// Handles one run may hold open. A standard library needs three streams and a pollable.
const HANDLES_MAX: usize = 64;

/// Random bytes of one request; a hash map asks for 16.
const RANDOM_BYTES_MAX: u64 = 64 << 10;

/// What an output stream says it can take at once: any number, since the log cuts for itself.
const WRITE_BYTES_OFFERED: u64 = 64 << 10;

/// Printed bytes copied out of the guest per call; the log keeps no more of them than this.
const PRINT_BYTES_MAX: usize = super::log::LOG_BYTES_MAX;

/// Why a WASI function ended the run.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("called exit({code}) instead of answering")]
    Exit { code: u8 },
    #[error("called {0}, which plugins do not have")]
    Absent(String),
    #[error("asked for {0} random bytes at once, more than {RANDOM_BYTES_MAX}")]
    RandomBytes(u64),
    #[error("holds more than {HANDLES_MAX} stream or timer handles")]
    Handles,
    #[error("polled an empty list, which the contract of `poll` forbids")]
    EmptyPoll,
}

impl Refused {
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Exit { .. } => "exit",
            Self::Absent(_) => "absent-import",
            Self::RandomBytes(_) => "random-bytes",
            Self::Handles => "handles",
            Self::EmptyPoll => "empty-poll",
        }
    }
}

impl From<&Clock> for DateTime {
    fn from(clock: &Clock) -> Self {
        let (seconds, nanoseconds) = clock.wall();
        Self { seconds, nanoseconds }
    }
}

/// The handles of one run.
#[derive(Debug)]
pub(super) struct Handles {
    table: ResourceTable,
}

impl Handles {
    pub(super) fn new() -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        Self { table }
    }

    fn open<R: Send + 'static>(&mut self, entry: R) -> wasmtime::Result<Resource<R>> {
        Ok(self.table.push(entry).map_err(|_| Refused::Handles)?)
    }
}

struct InputStream;

struct OutputStream(Stream);

struct Pollable {
    ready_at_ns: u64,
}

/// A resource no plugin ever gets hold of: descriptors, sockets, terminals, error details.
enum Absent {}

#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
struct DateTime {
    seconds: u64,
    nanoseconds: u32,
}

#[derive(ComponentType, Lower)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    #[allow(dead_code, reason = "the case is part of the type; these streams only ever end")]
    LastOperationFailed(Resource<Absent>),
    #[component(name = "closed")]
    Closed,
}

/// Defines one imported WASI interface, item by item; what is not known here becomes a function that ends the run.
pub(super) fn link<'a>(
    linker: &mut LinkerInstance<'_, State>,
    interface: &str,
    items: impl Iterator<Item = (&'a str, ComponentItem)>,
) -> wasmtime::Result<()> {
    for (name, item) in items {
        match item {
            ComponentItem::Resource(_) => link_resource(linker, name)?,
            ComponentItem::ComponentFunc(_) => {
                let known = link_cli(linker, interface, name)?
                    || link_streams(linker, interface, name)?
                    || link_time_and_chance(linker, interface, name)?;
                if !known {
                    link_absent(linker, interface, name)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Defines an interface that does not exist here at all, such as one from another generation of WASI.
pub(super) fn link_nothing<'a>(
    linker: &mut LinkerInstance<'_, State>,
    interface: &str,
    items: impl Iterator<Item = (&'a str, ComponentItem)>,
) -> wasmtime::Result<()> {
    for (name, item) in items {
        match item {
            ComponentItem::Resource(_) => {
                linker.resource(name, ResourceType::host::<Absent>(), |_, _| Ok(()))?;
            }
            ComponentItem::ComponentFunc(_) => link_absent(linker, interface, name)?,
            _ => {}
        }
    }
    Ok(())
}

fn link_absent(linker: &mut LinkerInstance<'_, State>, interface: &str, name: &str) -> wasmtime::Result<()> {
    let import = format!("{interface}#{name}");
    linker.func_new(name, move |_, _, _, _| Err(Refused::Absent(import.clone()).into()))
}

fn link_resource(linker: &mut LinkerInstance<'_, State>, name: &str) -> wasmtime::Result<()> {
    match name {
        "input-stream" => linker.resource(name, ResourceType::host::<InputStream>(), close::<InputStream>),
        "output-stream" => linker.resource(name, ResourceType::host::<OutputStream>(), close::<OutputStream>),
        "pollable" => linker.resource(name, ResourceType::host::<Pollable>(), close::<Pollable>),
        _ => linker.resource(name, ResourceType::host::<Absent>(), |_, _| Ok(())),
    }
}

fn close<R: 'static>(mut store: StoreContextMut<'_, State>, handle: u32) -> wasmtime::Result<()> {
    store.data_mut().handles.table.delete(Resource::<R>::new_own(handle))?;
    Ok(())
}

/// `wasi:cli` and `wasi:filesystem`: nothing to see, and an exit that is a failure.
fn link_cli(linker: &mut LinkerInstance<'_, State>, interface: &str, name: &str) -> wasmtime::Result<bool> {
    match (interface, name) {
        ("wasi:cli/environment", "get-environment") => {
            linker.func_wrap(name, |_, (): ()| Ok((Vec::<(String, String)>::new(),)))?;
        }
        ("wasi:cli/environment", "get-arguments") => {
            linker.func_wrap(name, |_, (): ()| Ok((Vec::<String>::new(),)))?;
        }
        ("wasi:cli/environment", "initial-cwd") => {
            linker.func_wrap(name, |_, (): ()| Ok((None::<String>,)))?;
        }
        ("wasi:cli/exit", "exit") => {
            linker.func_wrap(name, |_, (status,): (Result<(), ()>,)| -> wasmtime::Result<()> {
                Err(Refused::Exit {
                    code: u8::from(status.is_err()),
                }
                .into())
            })?;
        }
        ("wasi:cli/exit", "exit-with-code") => {
            linker.func_wrap(name, |_, (code,): (u8,)| -> wasmtime::Result<()> {
                Err(Refused::Exit { code }.into())
            })?;
        }
        ("wasi:cli/stdin", "get-stdin") => {
            linker.func_wrap(name, |mut store: StoreContextMut<'_, State>, (): ()| {
                Ok((store.data_mut().handles.open(InputStream)?,))
            })?;
        }
        ("wasi:cli/stdout", "get-stdout") => link_output(linker, name, Stream::Stdout)?,
        ("wasi:cli/stderr", "get-stderr") => link_output(linker, name, Stream::Stderr)?,
        ("wasi:cli/terminal-stdin" | "wasi:cli/terminal-stdout" | "wasi:cli/terminal-stderr", _) => {
            linker.func_wrap(name, |_, (): ()| Ok((None::<Resource<Absent>>,)))?;
        }
        ("wasi:filesystem/preopens", "get-directories") => {
            linker.func_wrap(name, |_, (): ()| Ok((Vec::<(Resource<Absent>, String)>::new(),)))?;
        }
        ("wasi:filesystem/types", "filesystem-error-code") => {
            linker.func_new(name, |_, _, _, results| {
                results[0] = Val::Option(None);
                Ok(())
            })?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn link_output(linker: &mut LinkerInstance<'_, State>, name: &str, stream: Stream) -> wasmtime::Result<()> {
    linker.func_wrap(name, move |mut store: StoreContextMut<'_, State>, (): ()| {
        Ok((store.data_mut().handles.open(OutputStream(stream))?,))
    })
}

/// `wasi:io`: an input that has ended, outputs into the log, and polling on virtual time.
fn link_streams(linker: &mut LinkerInstance<'_, State>, interface: &str, name: &str) -> wasmtime::Result<bool> {
    match (interface, name) {
        ("wasi:io/streams", "[method]input-stream.read" | "[method]input-stream.blocking-read") => {
            linker.func_wrap(name, |_, (_, _): (Resource<InputStream>, u64)| {
                Ok((Err::<Vec<u8>, _>(StreamError::Closed),))
            })?;
        }
        ("wasi:io/streams", "[method]input-stream.skip" | "[method]input-stream.blocking-skip") => {
            linker.func_wrap(name, |_, (_, _): (Resource<InputStream>, u64)| {
                Ok((Err::<u64, _>(StreamError::Closed),))
            })?;
        }
        ("wasi:io/streams", "[method]input-stream.subscribe") => {
            linker.func_wrap(name, |mut store: StoreContextMut<'_, State>, (_,): (Resource<InputStream>,)| {
                Ok((store.data_mut().handles.open(Pollable { ready_at_ns: 0 })?,))
            })?;
        }
        ("wasi:io/streams", "[method]output-stream.subscribe") => {
            linker.func_wrap(name, |mut store: StoreContextMut<'_, State>, (_,): (Resource<OutputStream>,)| {
                Ok((store.data_mut().handles.open(Pollable { ready_at_ns: 0 })?,))
            })?;
        }
        ("wasi:io/streams", "[method]output-stream.check-write") => {
            linker.func_wrap(name, |_, (_,): (Resource<OutputStream>,)| {
                Ok((Ok::<_, StreamError>(WRITE_BYTES_OFFERED),))
            })?;
        }
        ("wasi:io/streams", "[method]output-stream.write" | "[method]output-stream.blocking-write-and-flush") => {
            linker.func_wrap(name, print)?;
        }
        ("wasi:io/streams", "[method]output-stream.flush" | "[method]output-stream.blocking-flush") => {
            linker.func_wrap(name, |_, (_,): (Resource<OutputStream>,)| Ok((Ok::<_, StreamError>(()),)))?;
        }
        ("wasi:io/poll", "[method]pollable.ready") => {
            linker.func_wrap(name, |store: StoreContextMut<'_, State>, (pollable,): (Resource<Pollable>,)| {
                let State { handles, clock, .. } = store.data();
                Ok((handles.table.get(&pollable)?.ready_at_ns <= clock.elapsed_ns(),))
            })?;
        }
        ("wasi:io/poll", "[method]pollable.block") => {
            linker.func_wrap(name, |mut store: StoreContextMut<'_, State>, (pollable,): (Resource<Pollable>,)| {
                let State { handles, clock, .. } = store.data_mut();
                clock.wait_until(handles.table.get(&pollable)?.ready_at_ns);
                Ok(())
            })?;
        }
        ("wasi:io/poll", "poll") => {
            linker.func_wrap(name, poll)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn print(
    mut store: StoreContextMut<'_, State>,
    (stream, contents): (Resource<OutputStream>, WasmList<u8>),
) -> wasmtime::Result<(Result<(), StreamError>,)> {
    let stream = store.data().handles.table.get(&stream)?.0;
    let printed = contents.as_le_slice(&store);
    let (kept, rest) = printed.split_at(printed.len().min(PRINT_BYTES_MAX));
    let lines_lost = rest.iter().filter(|&&byte| byte == b'\n').count();
    let kept = kept.to_vec();
    let log = &mut store.data_mut().log;
    log.print(stream, &kept);
    log.drop_lines(lines_lost);
    Ok((Ok(()),))
}

/// Waits, in virtual time, for the first of the pollables and returns the positions of all that are ready then.
fn poll(mut store: StoreContextMut<'_, State>, (pollables,): (Vec<Resource<Pollable>>,)) -> wasmtime::Result<(Vec<u32>,)> {
    let State { handles, clock, .. } = store.data_mut();
    let ready_at_ns = pollables
        .iter()
        .map(|pollable| Ok(handles.table.get(pollable)?.ready_at_ns))
        .collect::<wasmtime::Result<Vec<_>>>()?;
    let first = ready_at_ns.iter().min().ok_or(Refused::EmptyPoll)?;
    clock.wait_until(*first);
    let ready = (0u32..).zip(ready_at_ns).filter(|(_, at_ns)| *at_ns <= clock.elapsed_ns());
    Ok((ready.map(|(position, _)| position).collect(),))
}

/// `wasi:clocks` and `wasi:random`: virtual and seeded.
fn link_time_and_chance(linker: &mut LinkerInstance<'_, State>, interface: &str, name: &str) -> wasmtime::Result<bool> {
    match (interface, name) {
        ("wasi:clocks/wall-clock", "now") => {
            linker.func_wrap(name, |store: StoreContextMut<'_, State>, (): ()| {
                Ok((DateTime::from(&store.data().clock),))
            })?;
        }
        ("wasi:clocks/wall-clock", "resolution") => {
            linker.func_wrap(name, |_, (): ()| {
                Ok((DateTime {
                    seconds: 0,
                    nanoseconds: 1_000_000,
                },))
            })?;
        }
        ("wasi:clocks/monotonic-clock", "now") => {
            linker.func_wrap(name, |store: StoreContextMut<'_, State>, (): ()| {
                Ok((store.data().clock.elapsed_ns(),))
            })?;
        }
        ("wasi:clocks/monotonic-clock", "resolution") => {
            linker.func_wrap(name, |_, (): ()| Ok((1_000_000_u64,)))?;
        }
        ("wasi:clocks/monotonic-clock", "subscribe-instant") => {
            linker.func_wrap(name, |mut store: StoreContextMut<'_, State>, (at_ns,): (u64,)| {
                Ok((store.data_mut().handles.open(Pollable { ready_at_ns: at_ns })?,))
            })?;
        }
        ("wasi:clocks/monotonic-clock", "subscribe-duration") => {
            linker.func_wrap(name, |mut store: StoreContextMut<'_, State>, (duration_ns,): (u64,)| {
                let State { handles, clock, .. } = store.data_mut();
                Ok((handles.open(Pollable {
                    ready_at_ns: clock.elapsed_ns().saturating_add(duration_ns),
                })?,))
            })?;
        }
        ("wasi:random/random", "get-random-bytes") | ("wasi:random/insecure", "get-insecure-random-bytes") => {
            linker.func_wrap(name, |mut store: StoreContextMut<'_, State>, (count,): (u64,)| {
                if count > RANDOM_BYTES_MAX {
                    return Err(Refused::RandomBytes(count).into());
                }
                Ok((store.data_mut().random.bytes(count as usize),))
            })?;
        }
        ("wasi:random/random", "get-random-u64") | ("wasi:random/insecure", "get-insecure-random-u64") => {
            linker.func_wrap(name, |mut store: StoreContextMut<'_, State>, (): ()| {
                Ok((store.data_mut().random.next_u64(),))
            })?;
        }
        ("wasi:random/insecure-seed", "insecure-seed") => {
            linker.func_wrap(name, |mut store: StoreContextMut<'_, State>, (): ()| {
                let random = &mut store.data_mut().random;
                Ok(((random.next_u64(), random.next_u64()),))
            })?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}
