//! Runs plugins: WebAssembly components that decide where an event goes.
//!
//! This adapter is the only place that knows WebAssembly. It takes the bytes of a module and gives back a [`Module`], or
//! a [`Refusal`] whose text its author can act on; it takes an event and the endpoints it may go to, and gives back a
//! [`Run`]: a decision or a failure with a class, what it cost, and what it logged. It knows nothing of senders, stored
//! versions or breakers, decides nothing about failures, and has no async code: its callers are threads of their own,
//! because a guest must never sit on a thread that serves others, and because the processor time of a thread that does
//! nothing else is exactly the processor time of the guest.
//!
//! What holds for every call (P2): a fresh instance, no file, no network, no real clock; an end within its processor
//! time plus one tick; memory within its limit; and the same answer for the same event, configuration and seed. What
//! is *not* checked here: whether a decision makes sense. Indexes, header names and sizes are judged by
//! `hookyard_domain::decision::check`, in the routing stage.
//!
//! Read on in `engine.rs` for how instances are made, `call.rs` for one run, `limits.rs` for what stops it,
//! `contract/` for the types of each version, `wasi.rs` and `ambient.rs` for the little world a guest sees, `inspect.rs` for
//! uploads and the reasons to refuse them, `compiler/` for the process that looks at them.

mod ambient;
mod call;
pub mod compiler;
mod contract;
mod engine;
mod inspect;
mod interface;
mod limits;
mod log;
mod seats;
mod wasi;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use hookyard_domain::decision::Decision;
use hookyard_domain::failure::{FailureClass, PluginFailure};
use hookyard_domain::ids::ContentHash;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre, Linker};

use self::call::{Executed, Setup, State};
use self::compiler::Answer;
pub use self::compiler::Compiler;
pub use self::contract::{Body, ConfigProblem, EndpointView, EventView, Manifest, VERSION as CONTRACT_VERSION};
use self::contract::{Exports, Line};
pub use self::engine::{Allocation, Engine, EngineError, Settings};
use self::inspect::Inspected;
pub use self::inspect::{Capability, Holds, Refusal};
use self::interface::InterfaceName;
pub use self::limits::{CallLimits, MEMORY_BYTES_CEILING};
pub use self::log::{Level, LogLine};

/// What an answer may weigh beyond its payloads: records, headers, annotations, reasons. A million empty routes weigh
/// ten times this and are refused while they are read.
const ANSWER_OVERHEAD_BYTES_MAX: usize = 8 << 20;

/// What a description or a list of configuration problems may weigh.
const CHECK_ANSWER_BYTES_MAX: usize = 1 << 20;

/// Processor time of `describe` and `check-config`. They are not on the path of an event, and an interpreter may start
/// slowly once.
const CHECK_CPU_BUDGET: Duration = Duration::from_millis(250);

/// Wall time of the same.
const CHECK_WALL_CAP: Duration = Duration::from_secs(5);

/// The WASI generation whose types `wasi.rs` speaks.
const WASI_VERSION: &str = "0.2.0";

/// A compiled plugin, checked and ready to run. Clones are the same module; its machine code goes with the last one.
#[derive(Clone)]
pub struct Module {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    hash: ContentHash,
    manifest: Manifest,
    capabilities: Vec<Capability>,
    instantiation: InstancePre<State>,
    exports: Exports,
}

/// One event to route.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    pub event: EventView<'a>,
    /// The candidates, in the order the decision's indexes will mean.
    pub endpoints: &'a [EndpointView<'a>],
    /// The configuration document as JSON text, `{}` when there is none.
    pub config: Arc<str>,
    /// Seeds every random number of the run. Store it with the event and the run can be repeated.
    pub seed: u64,
    pub limits: CallLimits,
}

/// How one run ended and what it took.
#[derive(Debug)]
pub struct Run {
    /// The decision as the plugin gave it, not yet checked against the candidates.
    pub result: Result<Decision, PluginFailure>,
    pub cpu: Duration,
    pub wall: Duration,
    pub memory_bytes_peak: usize,
    pub log: Vec<LogLine>,
    /// Lines that did not fit the log.
    pub log_dropped: u32,
}

/// Why a configuration was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ConfigRefused {
    #[error("the plugin found {} problems in its configuration", .0.len())]
    Problems(Vec<ConfigProblem>),
    #[error("the plugin failed while it checked its configuration: {0}")]
    Failed(PluginFailure),
}

impl Engine {
    /// Makes a plugin of a module's bytes: a child process inspects and compiles it, then it is linked here, and describes
    /// itself. Takes from milliseconds to seconds of the calling thread, which sleeps meanwhile.
    ///
    /// # Errors
    /// A [`Refusal`] whose text tells the author of the module what to do. No input makes it panic, and none costs this
    /// process more than its own bytes and those of its machine code.
    pub fn compile(&self, compiler: &Compiler, wasm: &[u8]) -> Result<Module, Refusal> {
        inspect::recognise(wasm, self.settings().module_bytes_max)?;
        let hash = ContentHash::of(wasm);
        if let Some(module) = self.kept(compiler, hash) {
            return Ok(module);
        }
        let answer = compiler.ask_child(self, wasm)?;
        let module = self.guarded(|| self.load(hash, &answer))?;
        // Only now: what is kept has been loaded once, and did no harm.
        compiler.keep(self, hash, &answer);
        Ok(module)
    }

    /// The plugin of these bytes, if its machine code is kept: without the bytes themselves, and in well under a millisecond.
    pub fn kept(&self, compiler: &Compiler, hash: ContentHash) -> Option<Module> {
        let answer = compiler.cached(self, hash)?;
        self.guarded(|| self.load(hash, &answer)).ok()
    }

    /// The same as [`compile`](Self::compile) in this very process, which the module can bring down. For those who run
    /// their own modules.
    ///
    /// # Errors
    /// As [`compile`](Self::compile).
    pub fn compile_here(&self, wasm: &[u8]) -> Result<Module, Refusal> {
        self.guarded(|| {
            let runtime = self.runtime();
            let inspected = inspect::inspect(wasm, self.settings().module_bytes_max, runtime.get_wasm_features())?;
            // `from_binary` and not `new`: the latter would also take WebAssembly text.
            let component = Component::from_binary(runtime, wasm).map_err(|error| Refusal::Compile {
                message: format!("{error:#}"),
            })?;
            self.link(ContentHash::of(wasm), inspected, &component)
        })
    }

    /// Names what judges modules here: another version of this program or of its compiler, other limits or another processor
    /// may judge differently.
    pub fn fingerprint(&self) -> String {
        format!(
            "{} {:016x} {}",
            env!("CARGO_PKG_VERSION"),
            self.code_fingerprint(),
            self.settings().module_bytes_max
        )
    }

    fn guarded(&self, work: impl FnOnce() -> Result<Module, Refusal>) -> Result<Module, Refusal> {
        std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(Refusal::CompilerFailed))
    }

    fn load(&self, hash: ContentHash, answer: &Answer) -> Result<Module, Refusal> {
        let inspected = inspect::judge(&answer.imports, &answer.exports)?;
        // SAFETY: These bytes were written by wasmtime's compiler in a child of this program, or were found in the cache with
        // an authentication code that only this program can make of what such a child wrote. That they are for this very
        // version, these settings and this processor is checked by wasmtime itself.
        #[allow(unsafe_code, reason = "machine code can only be loaded on trust")]
        let component = unsafe { Component::deserialize(self.runtime(), &answer.machine_code) };
        let component = component.map_err(|error| Refusal::Compile {
            message: format!("{error:#}"),
        })?;
        self.link(hash, inspected, &component)
    }

    fn link(&self, hash: ContentHash, inspected: Inspected, component: &Component) -> Result<Module, Refusal> {
        let (instantiation, exports) = prepare(self.runtime(), component, &inspected)?;
        let manifest = self.describe(&instantiation, &exports)?;
        check_manifest(&manifest)?;
        let inner = Inner {
            engine: self.clone(),
            hash,
            manifest,
            capabilities: inspected.capabilities,
            instantiation,
            exports,
        };
        Ok(Module { inner: Arc::new(inner) })
    }

    /// Lets the plugin describe itself, in the sandbox.
    fn describe(&self, module: &InstancePre<State>, exports: &Exports) -> Result<Manifest, Refusal> {
        let run = call::execute(self, module, self.check_setup("{}".into()), |store, instance| {
            exports.describe(store, instance)
        });
        run.result.map_err(|failure| match failure.class {
            FailureClass::Contract => Refusal::TypesDiffer {
                message: failure.message,
                host: CONTRACT_VERSION,
            },
            _ => Refusal::Trial(failure),
        })
    }

    fn check_setup(&self, config: Arc<str>) -> Setup {
        Setup {
            limits: CallLimits {
                cpu_budget: CHECK_CPU_BUDGET,
                wall_cap: CHECK_WALL_CAP,
                memory_bytes_max: self.settings().memory_bytes_max,
            },
            config,
            received_at_ms: 0,
            seed: 0,
            answer_bytes_max: CHECK_ANSWER_BYTES_MAX,
        }
    }
}

impl Module {
    /// The SHA-256 of the uploaded bytes, by which a version is known everywhere.
    pub fn hash(&self) -> ContentHash {
        self.inner.hash
    }

    pub fn manifest(&self) -> &Manifest {
        &self.inner.manifest
    }

    /// What the module can do, told by its imports; for the person who activates it.
    pub fn capabilities(&self) -> &[Capability] {
        &self.inner.capabilities
    }

    /// Asks the plugin whether it can work with a configuration. Its schema is checked elsewhere, and before this.
    ///
    /// # Errors
    /// [`ConfigRefused::Problems`] is the plugin's own list, [`ConfigRefused::Failed`] a plugin that did not answer.
    pub fn check_config(&self, json: &str) -> Result<(), ConfigRefused> {
        let Inner {
            engine,
            instantiation,
            exports,
            ..
        } = &*self.inner;
        let run = call::execute(engine, instantiation, engine.check_setup(json.into()), |store, instance| {
            exports.check_config(store, instance, json)
        });
        run.result.map_err(ConfigRefused::Failed)?.map_err(ConfigRefused::Problems)
    }

    /// Runs the plugin on one event, on the calling thread. It may first wait for a seat, which no limit counts.
    pub fn route(&self, call: &Call<'_>) -> Run {
        let Inner {
            engine,
            instantiation,
            exports,
            ..
        } = &*self.inner;
        let setup = Setup {
            limits: call.limits,
            config: Arc::clone(&call.config),
            received_at_ms: call.event.received_at_ms,
            seed: call.seed,
            answer_bytes_max: engine.settings().output_bytes_max.saturating_add(ANSWER_OVERHEAD_BYTES_MAX),
        };
        let Executed {
            result,
            cpu,
            wall,
            memory_bytes_peak,
            log,
            log_dropped,
        } = call::execute(engine, instantiation, setup, |store, instance| {
            exports.route(store, instance, call.event, call.endpoints)
        });
        Run {
            result: result.flatten(),
            cpu,
            wall,
            memory_bytes_peak,
            log,
            log_dropped,
        }
    }
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Manifest { name, version, .. } = self.manifest();
        write!(f, "Module({name} {version}, {})", self.hash().short())
    }
}

/// Links a component and finds what it exports.
fn prepare(runtime: &wasmtime::Engine, component: &Component, inspected: &Inspected) -> Result<(InstancePre<State>, Exports), Refusal> {
    let instantiation = link(runtime, component)?
        .instantiate_pre(component)
        .map_err(|error| types_differ(&error))?;
    let exports = inspected.line.exports(component, &inspected.router, &inspected.lifecycle)?;
    Ok((instantiation, exports))
}

/// Gives the component each interface it imports, under the very name it uses, so that every version of one line works.
fn link(runtime: &wasmtime::Engine, component: &Component) -> Result<Linker<State>, Refusal> {
    let mut linker = Linker::new(runtime);
    for (import, item) in component.component_type().imports(runtime) {
        let ComponentItem::ComponentInstance(instance) = item.ty else {
            // Types may be imported by themselves and need no definition.
            if matches!(item.ty, ComponentItem::Type(_)) {
                continue;
            }
            return Err(Refusal::UnknownImport { import: import.to_owned() });
        };
        let name = InterfaceName::parse(import);
        let line = if name.package() == contract::PACKAGE {
            Line::of(name)
        } else {
            None
        };
        if line.is_none() && name.namespace() != "wasi" {
            return Err(Refusal::UnknownImport { import: import.to_owned() });
        }
        let mut target = linker.instance(import).map_err(|error| types_differ(&error))?;
        let items = instance.exports(runtime).map(|(name, item)| (name, item.ty));
        let linked = if let Some(line) = line {
            check_offered(import, name, line, items)?;
            line.link(&mut target, name.interface)
        } else if name.is_of_line(WASI_VERSION) {
            wasi::link(&mut target, name.interface, items)
        } else {
            wasi::link_nothing(&mut target, name.interface, items)
        };
        linked.map_err(|error| types_differ(&error))?;
    }
    Ok(linker)
}

/// Refuses a function that a later version of the line has added.
fn check_offered<'a>(
    import: &str,
    name: InterfaceName<'_>,
    line: Line,
    items: impl Iterator<Item = (&'a str, ComponentItem)>,
) -> Result<(), Refusal> {
    let offered = line.offered().iter().find(|(interface, _)| *interface == name.interface);
    let functions = offered.map_or(&[][..], |(_, functions)| functions);
    for (function, item) in items {
        if matches!(item, ComponentItem::ComponentFunc(_)) && !functions.contains(&function) {
            return Err(Refusal::NewerContract {
                import: format!("{import}#{function}"),
                host: line.version(),
            });
        }
    }
    Ok(())
}

fn types_differ(error: &wasmtime::Error) -> Refusal {
    Refusal::TypesDiffer {
        message: format!("{error:#}"),
        host: CONTRACT_VERSION,
    }
}

/// Bounds what is stored and shown of a description.
fn check_manifest(manifest: &Manifest) -> Result<(), Refusal> {
    let bounds = [
        ("name", manifest.name.len(), 1..=64),
        ("version", manifest.version.len(), 1..=64),
        ("summary", manifest.summary.len(), 0..=1_024),
        ("config-schema", manifest.config_schema.as_ref().map_or(0, String::len), 0..=65_536),
        (
            "event-types, together,",
            manifest.event_types.iter().map(String::len).sum(),
            0..=16_384,
        ),
        ("needs, together,", manifest.needs.iter().map(String::len).sum(), 0..=1_024),
    ];
    for (field, bytes, allowed) in bounds {
        if !allowed.contains(&bytes) {
            let message = format!("{field} has {bytes} bytes; {} to {} are allowed", allowed.start(), allowed.end());
            return Err(Refusal::Manifest { message });
        }
    }
    Ok(())
}
