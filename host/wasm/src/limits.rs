//! What one run of a plugin may use, and the instruments that hold it to that.
//!
//! Three meters run beside every call. The *limiter* sees each growth of memory and tables before it happens. The
//! *meter* reads the processor time of the calling thread at each epoch tick, so a plugin is charged for what it
//! computed and not for what its neighbours did to the machine; the wall clock is only the second line behind it.
//! Both leave a typed mark when they stop a run, so a verdict never rests on the text of an error.
//!
//! This file knows nothing of components or of the contract. Where the marks become failures: `call.rs`.

use std::time::{Duration, Instant};

use wasmtime::ResourceLimiter;

/// The widest memory limit an operator can give, and the size of a pool slot: a plugin that needs more than this for
/// one event is a service, not a router.
pub const MEMORY_BYTES_CEILING: usize = 64 << 20;

/// Core instances in one component: a program comes with a handful of adapters and shims.
pub(super) const CORE_INSTANCES_MAX: usize = 20;

/// Tables in one component, over all of its core instances.
pub(super) const TABLES_MAX: usize = 10;

/// Memories in one component: a snapshotted interpreter may carry three.
pub(super) const MEMORIES_MAX: usize = 4;

/// Elements in one table: Go's function table has 6,555, a debug build of .NET above 10,000.
pub(super) const TABLE_ELEMENTS_MAX: usize = 20_000;

/// Processor time of one call, unless the operator says otherwise. Measured on a 7 KB event: Rust 0.04 ms, QuickJS 0.2,
/// CPython 1.3. The rest is for large events.
pub const CPU_BUDGET_DEFAULT: Duration = Duration::from_millis(20);

/// Wall time of one call, unless the operator says otherwise: room for a machine that is busy with other things.
pub const WALL_CAP_DEFAULT: Duration = Duration::from_secs(2);

/// Linear memory of one call, unless the operator says otherwise.
pub const MEMORY_BYTES_DEFAULT: usize = 32 << 20;

/// Bytes one host call may read out of the guest. The largest thing a guest has reason to hand over while it runs is a log
/// line, of which 1 KiB is kept, or what an output stream says it takes at once, 64 KiB. Decoding this much UTF-16 takes about a
/// millisecond; it is the one bounded call that a run may take beyond its budget and a tick.
pub(super) const HOST_CALL_BYTES_MAX: usize = 256 << 10;

/// How often host calls look at the meter. Reading the processor time of a thread is a system call, the clock on the wall is not,
/// and no more processor time than this can have passed while it has not.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// What one call may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// Processor time of the calling thread, host functions included.
    pub cpu_budget: Duration,
    /// Time on the wall. It ends calls that are starved rather than busy, and is not held against the plugin.
    pub wall_cap: Duration,
    /// Bytes of linear memory, over all memories of the component; at most [`MEMORY_BYTES_CEILING`].
    pub memory_bytes_max: usize,
}

/// Which time limit ended a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overrun {
    CpuBudget,
    WallCap,
}

/// What the limiter refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    Memory { bytes: usize, bytes_max: usize },
    Table { elements: usize },
}

/// Ends the run at the very growth that was refused. Without it a Rust guest turns the refusal into a bare
/// `unreachable`, and the owner of the plugin would look for a bug that is not there.
#[derive(Debug, thiserror::Error)]
#[error("the growth was refused by the limits of the call")]
struct GrowthRefused;

/// Accounts for linear memory and tables of one store.
#[derive(Debug)]
pub(super) struct Limiter {
    memory_bytes_max: usize,
    memory_bytes: usize,
    denied: Option<Denied>,
}

impl Limiter {
    pub(super) fn new(memory_bytes_max: usize) -> Self {
        Self {
            memory_bytes_max: memory_bytes_max.min(MEMORY_BYTES_CEILING),
            memory_bytes: 0,
            denied: None,
        }
    }

    /// Linear memory only ever grows, so what is there now is the peak.
    pub(super) fn memory_bytes_peak(&self) -> usize {
        self.memory_bytes
    }

    pub(super) fn denied(&self) -> Option<Denied> {
        self.denied
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        if total > self.memory_bytes_max {
            self.denied = Some(Denied::Memory {
                bytes: total,
                bytes_max: self.memory_bytes_max,
            });
            return Err(GrowthRefused.into());
        }
        // Above its own declared maximum a growth fails by the rules of WebAssembly, and the guest may go on.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.memory_bytes = total;
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if desired > TABLE_ELEMENTS_MAX {
            self.denied = Some(Denied::Table { elements: desired });
            return Err(GrowthRefused.into());
        }
        Ok(maximum.is_none_or(|maximum| desired <= maximum))
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}

/// Measures one call from its start; lives on the thread that makes the call.
#[derive(Debug)]
pub(super) struct Meter {
    limits: CallLimits,
    cpu_at_start: Duration,
    started: Instant,
    looked_at: Instant,
}

impl Meter {
    pub(super) fn start(limits: CallLimits) -> Self {
        let started = Instant::now();
        Self {
            limits,
            cpu_at_start: thread_cpu_time(),
            started,
            looked_at: started,
        }
    }

    pub(super) fn cpu(&self) -> Duration {
        thread_cpu_time().saturating_sub(self.cpu_at_start)
    }

    pub(super) fn wall(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn limits(&self) -> CallLimits {
        self.limits
    }

    /// Like [`Meter::overrun`], but looks once a millisecond at most: cheap enough for every host call.
    pub(super) fn overrun_at_host_call(&mut self) -> Option<Overrun> {
        let now = Instant::now();
        if now.duration_since(self.looked_at) < LOOK_EVERY {
            return None;
        }
        self.looked_at = now;
        self.overrun()
    }

    /// Says which limit has been passed, processor time first: a busy plugin on a starved machine passes both, and it
    /// is the plugin that must change.
    pub(super) fn overrun(&self) -> Option<Overrun> {
        if self.cpu() > self.limits.cpu_budget {
            return Some(Overrun::CpuBudget);
        }
        (self.wall() > self.limits.wall_cap).then_some(Overrun::WallCap)
    }
}

/// Processor time of the calling thread since it began.
#[allow(unsafe_code, reason = "the standard library has no thread CPU clock")]
fn thread_cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a local that outlives the call, and the clock id is a constant every supported Unix
    // knows; the call writes the struct or leaves it as it is.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    debug_assert_eq!(status, 0, "a thread can always read its own CPU clock");
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_counted_over_all_memories_of_the_component() {
        let mut limiter = Limiter::new(3 << 16);
        assert!(limiter.memory_growing(0, 1 << 16, None).unwrap());
        assert!(limiter.memory_growing(0, 2 << 16, None).unwrap());
        assert!(limiter.memory_growing(2 << 16, 3 << 16, None).is_err());
        assert_eq!(
            limiter.denied(),
            Some(Denied::Memory {
                bytes: 4 << 16,
                bytes_max: 3 << 16
            })
        );
        assert_eq!(limiter.memory_bytes_peak(), 3 << 16);
    }

    #[test]
    fn a_growth_above_the_declared_maximum_fails_without_a_mark() {
        let mut limiter = Limiter::new(1 << 20);
        assert!(!limiter.memory_growing(1 << 16, 2 << 16, Some(1 << 16)).unwrap());
        assert_eq!(limiter.denied(), None);
        assert_eq!(limiter.memory_bytes_peak(), 0);
    }

    #[test]
    fn no_limit_reaches_beyond_the_ceiling() {
        let mut limiter = Limiter::new(usize::MAX);
        assert!(limiter.memory_growing(0, MEMORY_BYTES_CEILING + (1 << 16), None).is_err());
    }

    #[test]
    fn a_sleeping_thread_uses_wall_time_and_no_budget() {
        let limits = CallLimits {
            cpu_budget: Duration::from_secs(60),
            wall_cap: Duration::from_millis(2),
            memory_bytes_max: 0,
        };
        let meter = Meter::start(limits);
        let (lock, condition) = (std::sync::Mutex::new(()), std::sync::Condvar::new());
        while meter.wall() <= limits.wall_cap {
            let guard = lock.lock().unwrap();
            drop(condition.wait_timeout(guard, Duration::from_millis(1)).unwrap());
        }
        assert_eq!(meter.overrun(), Some(Overrun::WallCap));
        assert!(meter.cpu() < meter.wall());
    }
}
