//! One run: a store and an instance made for one call, and the verdict on how it ended.
//!
//! Nothing is kept between runs. An instance that served one event holds that event's secrets in its memory, and a bug
//! in it would reach the next one; a fresh one costs a few microseconds. Everything a run may see arrives with its
//! [`Setup`], so the same set-up gives the same run.
//!
//! The meters are read at each epoch tick, at each host call, and when the guest has answered. Ticks alone are not enough: compiled
//! code notices them where functions begin and loops turn, and a function may call the host a hundred thousand times in a straight
//! line. Host calls are watched by wasmtime's call hook, so that no import can be forgotten.
//!
//! How a run ended is read from marks and types, never from the text of an error: the meters of `limits.rs` first, then
//! what the host's own functions said, then the trap.

use std::sync::Arc;
use std::time::Duration;

use hookyard_domain::failure::{FailureClass, PluginFailure};
use wasmtime::component::{Instance, InstancePre};
use wasmtime::{CallHook, PoolConcurrencyLimitError, Store, StoreContextMut, Trap, UpdateDeadline};

use super::ambient::{Clock, Random};
use super::engine::Engine;
use super::limits::{CallLimits, Denied, HOST_CALL_BYTES_MAX, Limiter, Meter, Overrun};
use super::log::{Log, LogLine};
use super::wasi::{self, Handles};

/// Everything that decides how a run goes, apart from the arguments of the function.
pub(super) struct Setup {
    pub(super) limits: CallLimits,
    pub(super) config: Arc<str>,
    pub(super) received_at_ms: u64,
    pub(super) seed: u64,
    /// Bytes the answer may carry out of the guest; a host call has its own bound, [`HOST_CALL_BYTES_MAX`].
    pub(super) answer_bytes_max: usize,
}

/// What the functions a guest imports work on.
pub(super) struct State {
    pub(super) log: Log,
    pub(super) clock: Clock,
    pub(super) random: Random,
    pub(super) handles: Handles,
    pub(super) config: Arc<str>,
    limiter: Limiter,
    meter: Meter,
    overrun: Option<Overrun>,
    answer_bytes_max: usize,
}

/// Ends the run at the host call that found its time used up; the mark in the state says which time.
#[derive(Debug, thiserror::Error)]
#[error("the time of the call is used up")]
struct TimeUsedUp;

/// A run that has ended.
pub(super) struct Executed<R> {
    pub(super) result: Result<R, PluginFailure>,
    pub(super) cpu: Duration,
    pub(super) wall: Duration,
    pub(super) memory_bytes_peak: usize,
    pub(super) log: Vec<LogLine>,
    pub(super) log_dropped: u32,
}

/// The module does not have the function the contract names, or has it with another type.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
pub(super) struct TypesDiffer(pub(super) wasmtime::Error);

/// Instantiates and lets `act` call into the fresh instance, on this thread and within the limits.
pub(super) fn execute<R>(
    engine: &Engine,
    module: &InstancePre<State>,
    setup: Setup,
    act: impl FnOnce(&mut Store<State>, &Instance) -> wasmtime::Result<R>,
) -> Executed<R> {
    let _seat = engine.take_seat();
    let mut store = Store::new(engine.runtime(), State::new(setup));
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(HOST_CALL_BYTES_MAX);
    store.call_hook(at_crossing);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(at_tick);
    let outcome = module.instantiate(&mut store).and_then(|instance| act(&mut store, &instance));
    let (cpu, wall) = (store.data().meter.cpu(), store.data().meter.wall());
    let state = store.into_data();
    let limits = state.meter.limits();
    // An answer that came too late by processor time is refused, or how often the meter was read would decide. One that came
    // too late on the wall is taken: the plugin is not to blame, and the work is done.
    let late = (cpu > limits.cpu_budget).then_some(Overrun::CpuBudget);
    let (overrun, denied) = (state.overrun, state.limiter.denied());
    let memory_bytes_peak = state.limiter.memory_bytes_peak();
    let (log, log_dropped, last_error) = state.log.finish();
    let result = outcome.map_err(|error| {
        let mark = overrun
            .map(|overrun| over_time(overrun, limits))
            .or_else(|| denied.map(over_memory));
        mark.unwrap_or_else(|| verdict(&error, last_error))
    });
    let result = result.and_then(|answer| late.map_or(Ok(answer), |overrun| Err(over_time(overrun, limits))));
    Executed {
        result,
        cpu,
        wall,
        memory_bytes_peak,
        log,
        log_dropped,
    }
}

impl State {
    fn new(setup: Setup) -> Self {
        Self {
            log: Log::default(),
            clock: Clock::new(setup.received_at_ms),
            random: Random::new(setup.seed),
            handles: Handles::new(),
            config: setup.config,
            limiter: Limiter::new(setup.limits.memory_bytes_max),
            meter: Meter::start(setup.limits),
            overrun: None,
            answer_bytes_max: setup.answer_bytes_max,
        }
    }
}

/// Called wherever control passes between guest and host. Before each host call the meter is read. The allowance of what may be
/// read out of the guest is that of a host call, except after the guest has returned, which is when its answer is read. A return
/// from a guest's allocator inside a host call gives the large allowance, too, but nothing is read there before the next crossing.
fn at_crossing(mut store: StoreContextMut<'_, State>, crossing: CallHook) -> wasmtime::Result<()> {
    match crossing {
        CallHook::CallingHost => {
            let state = store.data_mut();
            // The first mark stays: unwinding may cross again.
            state.overrun = state.overrun.or_else(|| state.meter.overrun_at_host_call());
            if state.overrun.is_some() {
                return Err(TimeUsedUp.into());
            }
            store.set_hostcall_fuel(HOST_CALL_BYTES_MAX);
        }
        CallHook::CallingWasm | CallHook::ReturningFromHost => store.set_hostcall_fuel(HOST_CALL_BYTES_MAX),
        CallHook::ReturningFromWasm => {
            let answer_bytes_max = store.data().answer_bytes_max;
            store.set_hostcall_fuel(answer_bytes_max);
        }
    }
    Ok(())
}

fn at_tick(mut store: StoreContextMut<'_, State>) -> wasmtime::Result<UpdateDeadline> {
    let state = store.data_mut();
    state.overrun = state.meter.overrun();
    Ok(if state.overrun.is_some() {
        UpdateDeadline::Interrupt
    } else {
        UpdateDeadline::Continue(1)
    })
}

fn over_time(overrun: Overrun, limits: CallLimits) -> PluginFailure {
    match overrun {
        Overrun::CpuBudget => failure(
            FailureClass::CpuBudget,
            "cpu-budget",
            format!("used its {} ms of processor time without an answer", limits.cpu_budget.as_millis()),
        ),
        Overrun::WallCap => failure(
            FailureClass::WallCap,
            "wall-cap",
            format!(
                "was given less than its {} ms of processor time in {} ms: the machine is overloaded",
                limits.cpu_budget.as_millis(),
                limits.wall_cap.as_millis()
            ),
        ),
    }
}

fn over_memory(denied: Denied) -> PluginFailure {
    match denied {
        Denied::Memory { bytes, bytes_max } => failure(
            FailureClass::Memory,
            "memory-limit",
            format!("asked for {} KiB of memory; its limit is {} KiB", bytes >> 10, bytes_max >> 10),
        ),
        Denied::Table { elements } => failure(
            FailureClass::Memory,
            "table-limit",
            format!(
                "asked for a table of {elements} elements; the limit is {}",
                super::limits::TABLE_ELEMENTS_MAX
            ),
        ),
    }
}

/// The verdict on an error that no meter marked. An error of none of these types arose where wasmtime read what the
/// guest handed over: too much of it, or not what its type promises.
fn verdict(error: &wasmtime::Error, last_error: Option<String>) -> PluginFailure {
    if let Some(refused) = error.downcast_ref::<wasi::Refused>() {
        let class = match refused {
            wasi::Refused::Exit { .. } => FailureClass::Internal,
            _ => FailureClass::Trap,
        };
        return failure(class, refused.code(), with_cause(last_error, &refused.to_string()));
    }
    if let Some(differ) = error.downcast_ref::<TypesDiffer>() {
        return failure(FailureClass::Contract, "types-differ", differ.to_string());
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        let class = match trap {
            Trap::StackOverflow => FailureClass::StackOverflow,
            _ => FailureClass::Trap,
        };
        return failure(class, trap_code(*trap), with_cause(last_error, &describe(*trap)));
    }
    if error.is::<PoolConcurrencyLimitError>() {
        return failure(FailureClass::WallCap, "no-free-slot", format!("found no place to run: {error:#}"));
    }
    failure(
        FailureClass::OutputRefused,
        "answer-not-readable",
        with_cause(
            last_error,
            &format!(
                "handed over what cannot be read, or more than {} KiB in a host call, or more than an answer may hold: {error:#}",
                HOST_CALL_BYTES_MAX >> 10
            ),
        ),
    )
}

/// Puts the plugin's own last words first: they say more than `unreachable executed`.
fn with_cause(last_error: Option<String>, what: &str) -> String {
    match last_error {
        Some(line) => format!("{line} ({what})"),
        None => what.to_owned(),
    }
}

/// Names the trap, and the commonest cause behind one that does not show it: compilers keep a stack of their own in
/// linear memory, below the data, and run over its end into addresses that do not exist.
fn describe(trap: Trap) -> String {
    match trap {
        Trap::MemoryOutOfBounds => format!("{trap}; endless recursion can end this way"),
        Trap::StackOverflow => format!("{trap}; the recursion is too deep"),
        _ => trap.to_string(),
    }
}

fn trap_code(trap: Trap) -> &'static str {
    match trap {
        Trap::StackOverflow => "stack-overflow",
        Trap::UnreachableCodeReached => "unreachable",
        Trap::MemoryOutOfBounds => "memory-out-of-bounds",
        Trap::TableOutOfBounds | Trap::IndirectCallToNull | Trap::BadSignature => "bad-indirect-call",
        Trap::IntegerOverflow | Trap::IntegerDivisionByZero | Trap::BadConversionToInteger => "arithmetic",
        _ => "trap",
    }
}

fn failure(class: FailureClass, code: &str, message: String) -> PluginFailure {
    PluginFailure {
        class,
        code: code.to_owned(),
        message,
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::component::{Component, Linker};

    use super::*;
    use crate::Settings;

    /// Runs the export `run` of a component given as text, with imports linked as an upload's are.
    fn run(text: &str, limits: CallLimits) -> Executed<()> {
        let engine = Engine::new(&Settings::default()).unwrap();
        let component = Component::from_binary(engine.runtime(), &wat::parse_str(text).unwrap()).unwrap();
        let linker: Linker<State> = crate::link(engine.runtime(), &component).unwrap();
        let module = linker.instantiate_pre(&component).unwrap();
        let setup = Setup {
            limits,
            config: "{}".into(),
            received_at_ms: 0,
            seed: 0,
            answer_bytes_max: 1 << 20,
        };
        execute(&engine, &module, setup, |store, instance| {
            let run = instance.get_typed_func::<(), ()>(&mut *store, "run").map_err(TypesDiffer)?;
            run.call(store, ())
        })
    }

    fn generous() -> CallLimits {
        CallLimits {
            cpu_budget: Duration::from_secs(1),
            wall_cap: Duration::from_secs(60),
            memory_bytes_max: 1 << 20,
        }
    }

    fn lifted(core: &str) -> String {
        format!(
            r#"(component (core module $m {core}) (core instance $i (instantiate $m))
                (func (export "run") (canon lift (core func $i "run"))))"#
        )
    }

    #[test]
    fn a_native_stack_that_runs_over_has_its_own_class() {
        let failure = run(&lifted(r#"(func $f (export "run") call $f)"#), generous()).result.unwrap_err();
        assert_eq!(
            (failure.class, failure.code.as_str()),
            (FailureClass::StackOverflow, "stack-overflow")
        );
    }

    #[test]
    fn a_memory_too_large_from_the_start_is_the_memory_class() {
        let run = run(&lifted(r#"(memory 17) (func (export "run"))"#), generous());
        assert_eq!(run.result.unwrap_err().class, FailureClass::Memory);
        assert_eq!(run.memory_bytes_peak, 0);
    }

    #[test]
    fn a_table_that_grows_past_its_bound_is_the_memory_class() {
        let core = r#"(table 1 funcref) (func (export "run") (drop (table.grow (ref.null func) (i32.const 20000))))"#;
        let failure = run(&lifted(core), generous()).result.unwrap_err();
        assert_eq!((failure.class, failure.code.as_str()), (FailureClass::Memory, "table-limit"));
    }

    #[test]
    fn a_loop_in_the_start_function_ends_with_its_budget() {
        let core = r#"(func $spin (loop $l (br $l))) (start $spin) (func (export "run"))"#;
        let limits = CallLimits {
            cpu_budget: Duration::from_millis(5),
            ..generous()
        };
        assert_eq!(run(&lifted(core), limits).result.unwrap_err().class, FailureClass::CpuBudget);
    }

    #[test]
    fn arithmetic_that_has_no_answer_is_named() {
        let core = r#"(func (export "run") (drop (i32.div_u (i32.const 1) (i32.const 0))))"#;
        let failure = run(&lifted(core), generous()).result.unwrap_err();
        assert_eq!((failure.class, failure.code.as_str()), (FailureClass::Trap, "arithmetic"));
    }

    #[test]
    fn an_absent_import_may_be_declared_but_not_called() {
        let component = |call: &str| {
            format!(
                r#"(component
                    (import "wasi:sockets/network@0.2.3" (instance $s
                        (export "network" (type (sub resource)))
                        (export "connect" (func))))
                    (core func $connect (canon lower (func $s "connect")))
                    (core module $m (import "s" "connect" (func $c)) (func (export "run") {call}))
                    (core instance $i (instantiate $m (with "s" (instance (export "connect" (func $connect))))))
                    (func (export "run") (canon lift (core func $i "run"))))"#
            )
        };
        assert!(run(&component(""), generous()).result.is_ok());
        let failure = run(&component("call $c"), generous()).result.unwrap_err();
        assert_eq!((failure.class, failure.code.as_str()), (FailureClass::Trap, "absent-import"));
        assert_eq!(failure.message, "called wasi:sockets/network#connect, which plugins do not have");
    }

    #[test]
    fn handles_of_a_run_are_bounded() {
        let component = r#"(component
            (import "wasi:io/streams@0.2.6" (instance $io (export "output-stream" (type (sub resource)))))
            (alias export $io "output-stream" (type $stream))
            (import "wasi:cli/stdout@0.2.6" (instance $out
                (export "output-stream" (type $s (eq $stream)))
                (export "get-stdout" (func (result (own $s))))))
            (core func $get (canon lower (func $out "get-stdout")))
            (core module $m (import "s" "get" (func $get (result i32)))
                (func (export "run") (loop $l (drop (call $get)) (br $l))))
            (core instance $i (instantiate $m (with "s" (instance (export "get" (func $get))))))
            (func (export "run") (canon lift (core func $i "run"))))"#;
        let failure = run(component, generous()).result.unwrap_err();
        assert_eq!((failure.class, failure.code.as_str()), (FailureClass::Trap, "handles"));
    }

    #[test]
    fn an_export_of_another_type_is_a_breach_of_contract() {
        let component = r#"(component
            (core module $m (func (export "run") (param i32)))
            (core instance $i (instantiate $m))
            (func (export "run") (param "n" u32) (canon lift (core func $i "run"))))"#;
        assert_eq!(run(component, generous()).result.unwrap_err().class, FailureClass::Contract);
    }

    /// Calls of the host in a straight line: nothing in them begins a function or turns a loop, so no tick is noticed.
    const CALLS: usize = 70_000;

    /// Enough for a machine with other things to do. Without a meter in host calls the log lines alone took 32 seconds.
    const BUDGET: Duration = Duration::from_millis(20);
    const SLACK: Duration = Duration::from_millis(150);

    fn ends_with_its_budget(cpu_budget: Duration, component: &str) {
        let limits = CallLimits {
            cpu_budget,
            memory_bytes_max: 64 << 20,
            ..generous()
        };
        let run = run(component, limits);
        assert_eq!(run.result.unwrap_err().class, FailureClass::CpuBudget);
        assert!(run.cpu < cpu_budget + SLACK, "{:?}", run.cpu);
    }

    /// A component that writes log lines of `units` UTF-16 units, `calls` times in a straight line.
    fn logging(units: usize, calls: usize) -> String {
        let call = format!("i32.const 4 i32.const 0 i32.const {units} i32.const 0 i32.const 0 call $log ");
        format!(
            r#"(component
                (import "hookyard:plugin/log@0.1.0" (instance $log
                    (type $l (enum "trace" "debug" "info" "warn" "error"))
                    (export "level" (type $level (eq $l)))
                    (export "write" (func (param "level" $level) (param "message" string)
                        (param "fields" (list (tuple string string)))))))
                (core module $memory (memory (export "memory") 400))
                (core instance $memory (instantiate $memory))
                (alias core export $memory "memory" (core memory $bytes))
                (core func $write (canon lower (func $log "write") (memory $bytes) string-encoding=utf16))
                (core module $m (import "log" "write" (func $log (param i32 i32 i32 i32 i32)))
                    (func (export "run") {}))
                (core instance $i (instantiate $m (with "log" (instance (export "write" (func $write))))))
                (func (export "run") (canon lift (core func $i "run"))))"#,
            call.repeat(calls)
        )
    }

    #[test]
    fn log_lines_in_a_straight_line_end_with_the_budget() {
        ends_with_its_budget(BUDGET, &logging(HOST_CALL_BYTES_MAX / 2, CALLS));
    }

    #[test]
    fn a_host_call_reads_no_more_than_its_bound() {
        let limits = CallLimits {
            memory_bytes_max: 64 << 20,
            ..generous()
        };
        let failure = run(&logging(12 << 20, 1), limits).result.unwrap_err();
        assert_eq!(failure.class, FailureClass::OutputRefused);
        assert!(failure.message.contains("256 KiB in a host call"), "{failure}");
        assert!(run(&logging(HOST_CALL_BYTES_MAX / 2, 1), limits).result.is_ok());
    }

    #[test]
    fn random_bytes_in_a_straight_line_end_with_the_budget() {
        let call = "i64.const 65536 i32.const 8 call $random ".repeat(CALLS);
        ends_with_its_budget(
            BUDGET,
            &format!(
                r#"(component
                (import "wasi:random/random@0.2.6" (instance $r
                    (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
                (core module $memory (memory (export "memory") 400)
                    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 64))
                (core instance $memory (instantiate $memory))
                (alias core export $memory "memory" (core memory $bytes))
                (alias core export $memory "realloc" (core func $realloc))
                (core func $random (canon lower (func $r "get-random-bytes") (memory $bytes) (realloc $realloc)))
                (core module $m (import "r" "random" (func $random (param i64 i32))) (func (export "run") {call}))
                (core instance $i (instantiate $m (with "r" (instance (export "random" (func $random))))))
                (func (export "run") (canon lift (core func $i "run"))))"#
            ),
        );
    }

    #[test]
    fn looks_at_the_clock_in_a_straight_line_end_with_the_budget() {
        let call = "call $now drop ".repeat(CALLS);
        // Such a call takes about a tenth of a microsecond.
        let budget = Duration::from_millis(2);
        ends_with_its_budget(
            budget,
            &format!(
                r#"(component
                (import "wasi:clocks/monotonic-clock@0.2.6" (instance $c (export "now" (func (result u64)))))
                (core func $now (canon lower (func $c "now")))
                (core module $m (import "c" "now" (func $now (result i64))) (func (export "run") {call}))
                (core instance $i (instantiate $m (with "c" (instance (export "now" (func $now))))))
                (func (export "run") (canon lift (core func $i "run"))))"#
            ),
        );
    }

    #[test]
    fn fills_of_memory_in_a_straight_line_end_with_the_budget() {
        let fill = "i32.const 0 i32.const 1 i32.const 26214400 memory.fill ".repeat(CALLS);
        ends_with_its_budget(BUDGET, &lifted(&format!(r#"(memory 400) (func (export "run") {fill})"#)));
    }

    #[test]
    fn an_answer_after_the_budget_is_refused() {
        // It is over before any tick, so only the look after the run can see it.
        let core = r#"(func (export "run"))"#;
        let limits = CallLimits {
            cpu_budget: Duration::ZERO,
            ..generous()
        };
        assert_eq!(run(&lifted(core), limits).result.unwrap_err().class, FailureClass::CpuBudget);
    }
}
