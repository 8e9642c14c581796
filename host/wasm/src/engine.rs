//! The engine: how WebAssembly is compiled and where instances live.
//!
//! One engine serves every plugin of the process. It owns three things. The *configuration* turns off every proposal a
//! router does not need, since the part of a runtime that is not reachable cannot be attacked; it is shared with the process
//! that compiles (`compiler/`), on one thread, because compiling in parallel is not built in. The *pool* holds the
//! memory of instances between runs, so that a fresh instance per event costs microseconds. The *ticker* is the one
//! thread that moves the epoch, by which calls notice that their time is up; it shares its state with the seats of calls
//! (`seats.rs`).
//!
//! A pool reserves address space, 4 GiB for each memory, and some machines do not have that much: a process with an
//! address-space limit, a board with 39-bit addresses. So the engine tries the pool first, then a pool of small slots with explicit bounds checks, then
//! plain allocation, and says which one it got.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::limits::{
    CORE_INSTANCES_MAX, CPU_BUDGET_DEFAULT, CallLimits, MEMORIES_MAX, MEMORY_BYTES_CEILING, MEMORY_BYTES_DEFAULT, TABLE_ELEMENTS_MAX,
    TABLES_MAX, WALL_CAP_DEFAULT,
};
use super::seats::{Seat, Seats};

/// Seats beyond the routing calls, for checks of uploads and configurations, which must not wait behind a busy route.
const CHECK_SEATS: u32 = 2;

/// Memory a slot keeps resident between runs. It must be above what a guest touches, or each run pays for clearing
/// *and* for page faults: measured, a Rust guest with 1 MiB kept is slower than with none. Rust guests touch 1 to 3 MiB,
/// a QuickJS one below 16.
const MEMORY_KEPT_BYTES: usize = 16 << 20;

/// Table memory a slot keeps, for the same reason: 16,384 elements, twice what a Go program needs.
const TABLE_KEPT_BYTES: usize = 128 << 10;

/// The native stack of a guest: wasmtime's own default, written down because `StackOverflow` promises it.
const STACK_BYTES_MAX: usize = 512 << 10;

/// Bookkeeping of one core instance or component: wasmtime's own default, checked when a module is compiled.
const INSTANCE_BYTES_MAX: usize = 1 << 20;

/// Seats an operator can ask for: 4 memories of 4 GiB each must fit the address space of a process.
const CONCURRENT_CALLS_CEILING: u32 = 1_000;

/// What an operator decides about plugins.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Routing calls at the same time, 1 to 1,000: the number of routing threads.
    pub concurrent_calls_max: u32,
    /// Linear memory of one call unless its sender says otherwise; 64 KiB to 64 MiB.
    pub memory_bytes_max: usize,
    /// Processor time of one call; 1 ms to 1 s.
    pub cpu_budget: Duration,
    /// Wall time of one call; at least the processor time.
    pub wall_cap: Duration,
    /// Size of an uploaded module.
    pub module_bytes_max: usize,
    /// Payload bytes one decision may carry in all its contents.
    pub output_bytes_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            concurrent_calls_max: 4,
            memory_bytes_max: MEMORY_BYTES_DEFAULT,
            cpu_budget: CPU_BUDGET_DEFAULT,
            wall_cap: WALL_CAP_DEFAULT,
            // Holds a SpiderMonkey component (12 MB); CPython (18 MB) has to be asked for.
            module_bytes_max: 16 << 20,
            output_bytes_max: 16 << 20,
        }
    }
}

impl Settings {
    /// The limits of a call that has none of its own.
    pub fn call_limits(&self) -> CallLimits {
        CallLimits {
            cpu_budget: self.cpu_budget,
            wall_cap: self.wall_cap,
            memory_bytes_max: self.memory_bytes_max,
        }
    }

    fn check(&self) -> Result<(), EngineError> {
        let wrong = |setting, reason| Err(EngineError::Setting { setting, reason });
        if !(1..=CONCURRENT_CALLS_CEILING).contains(&self.concurrent_calls_max) {
            return wrong("concurrent_calls_max", "must be 1 to 1000");
        }
        if !((64 << 10)..=MEMORY_BYTES_CEILING).contains(&self.memory_bytes_max) {
            return wrong("memory_bytes_max", "must be 64 KiB to 64 MiB");
        }
        if !(Duration::from_millis(1)..=Duration::from_secs(1)).contains(&self.cpu_budget) {
            return wrong("cpu_budget", "must be 1 ms to 1 s");
        }
        if self.wall_cap < self.cpu_budget {
            return wrong("wall_cap", "must not be shorter than cpu_budget");
        }
        Ok(())
    }
}

/// Where the memory of instances comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocation {
    /// Slots of 4 GiB address space: bounds are checked by the hardware.
    Pool,
    /// Slots of 64 MiB: bounds are checked in code, at about a sixth more time.
    SmallPool,
    /// Mapped for each call: works everywhere, about three times the cost of a small call.
    OnDemand,
}

impl Allocation {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pool => "pool",
            Self::SmallPool => "small-pool",
            Self::OnDemand => "on-demand",
        }
    }

    /// The other way round.
    pub(super) fn parse(name: &str) -> Option<Self> {
        [Self::Pool, Self::SmallPool, Self::OnDemand]
            .into_iter()
            .find(|allocation| allocation.as_str() == name)
    }
}

/// Why no engine could be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("plugin setting {setting} {reason}")]
    Setting { setting: &'static str, reason: &'static str },
    #[error("cannot make a WebAssembly engine")]
    Runtime(#[source] wasmtime::Error),
    #[error("cannot start the plugin clock")]
    Ticker(#[source] std::io::Error),
}

/// Compiles plugins and holds what their runs share. Clones are the same engine; its ticker ends with the last one.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    runtime: wasmtime::Engine,
    allocation: Allocation,
    settings: Settings,
    seats: Arc<Seats>,
    ticker: Option<JoinHandle<()>>,
}

impl Engine {
    /// Makes the best engine this machine allows.
    ///
    /// # Errors
    /// [`EngineError::Setting`] names a setting out of its range; the others are for the operator of the machine.
    pub fn new(settings: &Settings) -> Result<Self, EngineError> {
        Self::with(settings, Allocation::Pool)
            .or_else(|error| match error {
                EngineError::Runtime(_) => Self::with(settings, Allocation::SmallPool),
                other => Err(other),
            })
            .or_else(|error| match error {
                EngineError::Runtime(_) => Self::with(settings, Allocation::OnDemand),
                other => Err(other),
            })
    }

    /// Makes an engine with exactly this allocation; how the fallbacks are tested.
    ///
    /// # Errors
    /// As [`Engine::new`].
    pub fn with(settings: &Settings, allocation: Allocation) -> Result<Self, EngineError> {
        settings.check()?;
        let seat_count = settings.concurrent_calls_max + CHECK_SEATS;
        let runtime = wasmtime::Engine::new(&config(allocation, seat_count)).map_err(EngineError::Runtime)?;
        let seats = Arc::new(Seats::new(seat_count));
        let ticker = std::thread::Builder::new()
            .name("plugin-ticker".to_owned())
            .spawn({
                let (runtime, seats) = (runtime.clone(), Arc::clone(&seats));
                move || seats.tick_while_taken(|| runtime.increment_epoch())
            })
            .map_err(EngineError::Ticker)?;
        let inner = Inner {
            runtime,
            allocation,
            settings: settings.clone(),
            seats,
            ticker: Some(ticker),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Says where instances live, for the start-up log and the health page.
    pub fn allocation(&self) -> Allocation {
        self.inner.allocation
    }

    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    pub(super) fn runtime(&self) -> &wasmtime::Engine {
        &self.inner.runtime
    }

    /// Names all that machine code depends on: the compiler's version and settings, and the processor.
    pub(super) fn code_fingerprint(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash as _, Hasher as _};
        let mut hasher = DefaultHasher::new();
        self.runtime().precompile_compatibility_hash().hash(&mut hasher);
        hasher.finish()
    }

    /// Waits for a seat; the ticker runs as long as one is taken.
    pub(super) fn take_seat(&self) -> Seat<'_> {
        self.inner.seats.take()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.seats.close();
        if let Some(ticker) = self.ticker.take() {
            // It cannot have panicked, and if it had there would be nothing left to do about it.
            let _ = ticker.join();
        }
    }
}

fn config(allocation: Allocation, seats: u32) -> Config {
    let mut config = code_config(allocation);
    config.allocation_strategy(match allocation {
        Allocation::Pool | Allocation::SmallPool => InstanceAllocationStrategy::Pooling(pool(seats)),
        Allocation::OnDemand => InstanceAllocationStrategy::OnDemand,
    });
    config
}

/// An engine that compiles for those of this allocation and runs nothing: it reserves no memory for instances.
pub(super) fn compiling(allocation: Allocation) -> wasmtime::Result<wasmtime::Engine> {
    wasmtime::Engine::new(code_config(allocation).allocation_strategy(InstanceAllocationStrategy::OnDemand))
}

/// All that machine code depends on.
fn code_config(allocation: Allocation) -> Config {
    let mut config = Config::new();
    config
        // Proposals no router needs. With relaxed SIMD a run could not be repeated; memory64 has no bound to rely on. Threads,
        // exceptions and typed references are not compiled in.
        .wasm_gc(false)
        .gc_support(false)
        .wasm_memory64(false)
        .wasm_relaxed_simd(false)
        .wasm_stack_switching(false)
        .concurrency_support(false)
        // The same event must give the same answer on every machine.
        .cranelift_nan_canonicalization(true)
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES_MAX)
        .wasm_backtrace_max_frames(None);
    match allocation {
        Allocation::Pool => &mut config,
        Allocation::SmallPool => config
            .signals_based_traps(false)
            .memory_reservation(MEMORY_BYTES_CEILING as u64)
            .memory_guard_size(0),
        Allocation::OnDemand => config.signals_based_traps(false).memory_reservation(0).memory_guard_size(0),
    };
    config
}

/// A pool in which every seat can hold the largest component the limits allow, so that a seat always means an instance.
fn pool(seats: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(seats)
        .total_core_instances(seats * CORE_INSTANCES_MAX as u32)
        .max_core_instances_per_component(CORE_INSTANCES_MAX as u32)
        .total_memories(seats * MEMORIES_MAX as u32)
        .max_memories_per_component(MEMORIES_MAX as u32)
        .total_tables(seats * TABLES_MAX as u32)
        .max_tables_per_component(TABLES_MAX as u32)
        .max_tables_per_module(TABLES_MAX as u32)
        .max_memory_size(MEMORY_BYTES_CEILING)
        .table_elements(TABLE_ELEMENTS_MAX)
        .max_core_instance_size(INSTANCE_BYTES_MAX)
        .max_component_instance_size(INSTANCE_BYTES_MAX)
        .linear_memory_keep_resident(MEMORY_KEPT_BYTES)
        .table_keep_resident(TABLE_KEPT_BYTES)
        .max_unused_warm_slots(seats)
        // Clears only the pages a run wrote to. Linux 6.7 and later; elsewhere the kept memory is cleared whole.
        .pagemap_scan(Enabled::Auto);
    pool
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_allocation_can_be_made_and_says_its_name() {
        for allocation in [Allocation::Pool, Allocation::SmallPool, Allocation::OnDemand] {
            let engine = Engine::with(&Settings::default(), allocation).unwrap();
            assert_eq!(engine.allocation(), allocation);
        }
    }

    #[test]
    fn a_setting_out_of_range_is_named() {
        let settings = Settings {
            memory_bytes_max: 65 << 20,
            ..Settings::default()
        };
        let error = Engine::new(&settings).err().unwrap();
        assert_eq!(error.to_string(), "plugin setting memory_bytes_max must be 64 KiB to 64 MiB");
        let settings = Settings {
            wall_cap: Duration::from_millis(1),
            ..Settings::default()
        };
        assert!(Engine::new(&settings).err().unwrap().to_string().contains("wall_cap"));
    }
}
