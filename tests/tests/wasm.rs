//! The Wasm adapter against real guests: every limit is broken by a component that breaks it (P2).

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use hookyard::wasm::{
    Allocation, Body, Call, CallLimits, ConfigRefused, EndpointView, Engine, EventView, Level, Module, Refusal, Run, Settings,
};
use hookyard_domain::decision::{self, Decision, Limits, Plan};
use hookyard_domain::failure::{FailureClass, PluginFailure};
use hookyard_tests::guests;

/// Room for a slow machine: limits that a test does not mean to break must not break.
const GENEROUS: CallLimits = CallLimits {
    cpu_budget: Duration::from_secs(10),
    wall_cap: Duration::from_secs(60),
    memory_bytes_max: 32 << 20,
};

const PAYLOAD: &str = r#"{"ref":"refs/heads/main","n":12345678901234567890,"s":"\u00e5"}"#;

static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new(&Settings::default()).expect("this machine can run WebAssembly"));

static MISBEHAVING: LazyLock<Module> = LazyLock::new(|| {
    ENGINE
        .compile_here(&guests::bytes("misbehaving"))
        .expect("the guest keeps the contract")
});

fn run_on(module: &Module, payload: &[u8], config: &str, limits: CallLimits) -> Run {
    let metadata = [("repo".to_owned(), "*".to_owned())];
    let endpoint = |id| EndpointView {
        id,
        name: id,
        origin: "https://hooks.example.com",
        metadata: &metadata,
    };
    let endpoints = [endpoint("ep_1"), endpoint("ep_2")];
    module.route(&Call {
        event: EventView {
            id: "0198c0de-0000-7000-8000-000000000001",
            event_type: "push",
            sender: "acme",
            received_at_ms: 1_750_000_000_123,
            content_type: "application/json",
            headers: &[("x-github-event".to_owned(), "push".to_owned())],
            attributes: &[("environment".to_owned(), "production".to_owned())],
            body: Body::of(payload),
        },
        endpoints: &endpoints,
        config: Arc::from(config),
        seed: 42,
        limits,
    })
}

fn run_with(mode: &str, limits: CallLimits) -> Run {
    run_on(&MISBEHAVING, PAYLOAD.as_bytes(), &format!(r#"{{"mode":"{mode}"}}"#), limits)
}

fn run(mode: &str) -> Run {
    run_with(mode, GENEROUS)
}

fn failure(run: Run) -> PluginFailure {
    run.result.expect_err("the run was to fail")
}

fn annotation(run: &Run, name: &str) -> String {
    let Ok(Decision::Deliver(Plan { annotations, .. })) = &run.result else {
        panic!("the run was to deliver: {:?}", run.result);
    };
    annotations
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.clone())
        .expect("the annotation is there")
}

#[test]
fn pass_carries_nothing_but_the_decision() {
    let run = run("pass");
    assert_eq!(run.result, Ok(Decision::Pass));
    assert!(run.log.is_empty());
    assert!(
        run.memory_bytes_peak > 0 && run.memory_bytes_peak < 2 << 20,
        "{}",
        run.memory_bytes_peak
    );
}

#[test]
fn an_endless_loop_ends_with_its_budget_of_processor_time() {
    let limits = CallLimits {
        cpu_budget: Duration::from_millis(20),
        ..GENEROUS
    };
    let run = run_with("endless-loop", limits);
    // A tick is 1 ms; the rest is for a machine that wakes the ticker late.
    assert!(run.cpu >= limits.cpu_budget && run.cpu < limits.cpu_budget * 3, "{:?}", run.cpu);
    let failure = failure(run);
    assert_eq!(failure.class, FailureClass::CpuBudget);
    assert_eq!(failure.message, "used its 20 ms of processor time without an answer");
}

#[test]
fn a_starved_call_ends_at_the_wall_cap_which_is_not_held_against_the_plugin() {
    let limits = CallLimits {
        wall_cap: Duration::from_millis(20),
        ..GENEROUS
    };
    let failure = failure(run_with("endless-loop", limits));
    assert_eq!(failure.class, FailureClass::WallCap);
    assert!(!failure.class.counts_against_plugin());
}

#[test]
fn a_loaded_machine_does_not_shorten_the_budget_of_processor_time() {
    let limits = CallLimits {
        cpu_budget: Duration::from_millis(30),
        ..GENEROUS
    };
    LazyLock::force(&MISBEHAVING);
    let runs: Vec<Run> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..4).map(|_| scope.spawn(|| run_with("endless-loop", limits))).collect();
        calls.into_iter().map(|call| call.join().expect("a run never panics")).collect()
    });
    for run in runs {
        assert!(run.cpu >= limits.cpu_budget, "{:?}", run.cpu);
        assert_eq!(failure(run).class, FailureClass::CpuBudget);
    }
}

#[test]
fn memory_ends_at_its_limit_and_the_failure_names_both() {
    let run = run("memory-bomb");
    assert!(run.memory_bytes_peak <= GENEROUS.memory_bytes_max);
    let failure = failure(run);
    assert_eq!(failure.class, FailureClass::Memory);
    assert!(failure.message.contains("its limit is 32768 KiB"), "{}", failure.message);
}

#[test]
fn endless_recursion_traps_and_says_what_that_may_mean() {
    let failure = failure(run("deep-recursion"));
    assert!(
        matches!(failure.class, FailureClass::StackOverflow | FailureClass::Trap),
        "{failure}"
    );
    assert!(failure.message.contains("recursion"), "{failure}");
}

#[test]
fn a_panic_is_told_in_the_words_of_the_plugin() {
    for mode in ["panic", "panic-unreported"] {
        let failure = failure(run(mode));
        assert_eq!(failure.class, FailureClass::Trap);
        assert!(failure.message.starts_with("misbehaving on purpose"), "{}", failure.message);
    }
}

#[test]
fn a_silent_trap_is_named_by_its_kind() {
    let failure = failure(run("trap"));
    assert_eq!((failure.class, failure.code.as_str()), (FailureClass::Trap, "unreachable"));
}

#[test]
fn an_exit_is_a_failure_of_the_plugin() {
    let failure = failure(run("exit"));
    assert_eq!((failure.class, failure.code.as_str()), (FailureClass::Internal, "exit"));
}

#[test]
fn an_answer_over_the_output_limit_is_refused_before_it_is_copied() {
    let limits = CallLimits {
        memory_bytes_max: 64 << 20,
        ..GENEROUS
    };
    for mode in ["huge-output", "million-routes"] {
        let failure = failure(run_with(mode, limits));
        assert_eq!(failure.class, FailureClass::OutputRefused, "{mode}: {failure}");
    }
}

#[test]
fn decisions_that_make_no_sense_arrive_whole_for_the_domain_to_refuse() {
    for mode in [
        "bad-index",
        "bad-content-index",
        "duplicate-endpoint",
        "empty-routes",
        "reserved-header",
    ] {
        let decision = run(mode).result.expect("the adapter does not judge decisions");
        assert!(decision::check(decision, 2, &Limits::default()).is_err(), "{mode}");
    }
}

#[test]
fn a_flood_of_log_lines_is_cut_and_counted() {
    let run = run_with(
        "log-flood",
        CallLimits {
            cpu_budget: Duration::from_millis(50),
            ..GENEROUS
        },
    );
    assert!(
        run.log.len() <= 64 && run.log_dropped > 0,
        "{} kept, {} dropped",
        run.log.len(),
        run.log_dropped
    );
    assert_eq!(run.log[0].text, "one of very many line=0");
    assert_eq!(failure(run).class, FailureClass::CpuBudget);
}

#[test]
fn a_huge_log_line_is_cut_between_characters() {
    let run = run("huge-log-line");
    assert_eq!(run.result, Ok(Decision::Pass));
    assert_eq!((run.log.len(), run.log[0].level, run.log[0].text.len()), (1, Level::Warn, 1_024));
    assert!(run.log[0].text.chars().all(|char| char == 'ä'));
}

#[test]
fn what_a_guest_prints_becomes_its_log() {
    let run = run("print");
    let lines: Vec<_> = run.log.iter().map(|line| (line.level, line.text.as_str())).collect();
    assert_eq!(
        lines,
        [(Level::Info, "said on standard output"), (Level::Error, "said on standard error")]
    );
}

#[test]
fn a_sleep_moves_the_virtual_clock_and_returns_at_once() {
    let started = Instant::now();
    let run = run("sleep");
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    assert_eq!(annotation(&run, "slept-ms"), "10000");
}

#[test]
fn a_guest_sees_no_environment_no_arguments_and_no_files() {
    let run = run("read-env-and-files");
    assert_eq!((annotation(&run, "env").as_str(), annotation(&run, "args").as_str()), ("[]", "[]"));
    assert!(annotation(&run, "root").starts_with("Err("));
    assert!(annotation(&run, "passwd").starts_with("Err("));
}

#[test]
fn the_same_event_and_seed_give_the_same_run() {
    let (first, second) = (run("ambient"), run("ambient"));
    assert_eq!(annotation(&first, "now-ms"), "1750000000123");
    assert_eq!(annotation(&first, "system-time-ns"), "Ok(1750000000123000000)");
    assert_eq!(first.result, second.result);
    assert_eq!(first.memory_bytes_peak, second.memory_bytes_peak);
}

#[test]
fn a_failure_keeps_the_kind_the_plugin_gave_it() {
    let kinds = [
        ("fail-bad-event", FailureClass::BadEvent),
        ("fail-bad-config", FailureClass::BadConfig),
        ("fail-transient", FailureClass::Transient),
        ("fail-internal", FailureClass::Internal),
    ];
    for (mode, class) in kinds {
        let failure = failure(run(mode));
        assert_eq!((failure.class, failure.code.as_str()), (class, "on-purpose"));
    }
}

#[test]
fn nothing_is_left_behind_by_a_run_that_failed() {
    for mode in ["memory-bomb", "trap", "panic"] {
        failure(run(mode));
        let run = run("pass");
        assert_eq!(run.result, Ok(Decision::Pass));
        assert!(run.memory_bytes_peak < 2 << 20, "{}", run.memory_bytes_peak);
    }
}

#[test]
fn a_plugin_answers_for_its_own_configuration() {
    MISBEHAVING.check_config(r#"{"mode":"pass"}"#).expect("a known mode");
    let Err(ConfigRefused::Problems(problems)) = MISBEHAVING.check_config(r#"{"mode":"behave"}"#) else {
        panic!("an unknown mode was accepted");
    };
    assert_eq!((problems.len(), problems[0].pointer.as_str()), (1, "/mode"));
}

#[test]
fn a_payload_that_is_no_text_reaches_the_plugin_as_bytes() {
    let run = run_on(&MISBEHAVING, b"\xff\xfe\x00", "{}", GENEROUS);
    assert_eq!(run.result, Ok(Decision::Pass));
}

#[test]
fn more_calls_than_seats_wait_and_all_are_answered() {
    let settings = Settings {
        concurrent_calls_max: 1,
        ..Settings::default()
    };
    let engine = Engine::new(&settings).expect("this machine can run WebAssembly");
    let module = engine
        .compile_here(&guests::bytes("misbehaving"))
        .expect("the guest keeps the contract");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert_eq!(run_on(&module, b"{}", "{}", GENEROUS).result, Ok(Decision::Pass));
                }
            });
        }
    });
}

#[test]
fn every_allocation_gives_the_same_answers() {
    for allocation in [Allocation::SmallPool, Allocation::OnDemand] {
        let engine = Engine::with(&Settings::default(), allocation).expect("this machine can run WebAssembly");
        let module = engine
            .compile_here(&guests::bytes("misbehaving"))
            .expect("the guest keeps the contract");
        let run = |mode: &str| run_on(&module, b"{}", &format!(r#"{{"mode":"{mode}"}}"#), GENEROUS);
        assert_eq!(run("pass").result, Ok(Decision::Pass));
        assert_eq!(failure(run("memory-bomb")).class, FailureClass::Memory);
        assert_eq!(run("ambient").result, self::run("ambient").result);
    }
}

#[test]
fn a_github_push_becomes_a_slack_message_and_needs_no_wasi() {
    let module = ENGINE
        .compile_here(&guests::bytes("github-to-slack"))
        .expect("the plugin keeps the contract");
    assert_eq!(module.manifest().name, "github-to-slack");
    assert!(
        module
            .capabilities()
            .iter()
            .all(|capability| capability.interface.starts_with("hookyard:plugin/")),
        "{:?}",
        module.capabilities()
    );
    let push = include_bytes!("../fixtures/github/push.branch.json");
    let limits = CallLimits {
        memory_bytes_max: 8 << 20,
        ..GENEROUS
    };
    let run = run_on(&module, push, "{}", limits);
    let decision = decision::check(run.result.expect("a push is handled"), 2, &Limits::default());
    let Ok(Decision::Deliver(plan)) = decision else {
        panic!("a push is delivered: {decision:?}")
    };
    assert_eq!((plan.contents.len(), plan.routes.len()), (1, 2));
    let message = std::str::from_utf8(&plan.contents[0].body).expect("JSON is text");
    assert!(message.starts_with(r#"{"text":"#) && message.contains("Hello-World"), "{message}");
}

#[test]
fn a_module_says_what_it_can_do() {
    let sentences: Vec<_> = MISBEHAVING.capabilities().iter().map(|capability| capability.sentence).collect();
    assert!(sentences.contains(&"can read its settings"));
    assert!(sentences.contains(&"asks for files and finds none"));
}

#[test]
fn a_truncated_module_is_refused_wherever_it_is_cut() {
    let whole = guests::bytes("misbehaving");
    for cut in (0..whole.len()).step_by(whole.len() / 97).chain([whole.len() - 1]) {
        let refusal = ENGINE.compile_here(&whole[..cut]).expect_err("half a module is refused");
        let expected = matches!(refusal, Refusal::NotWasm | Refusal::Invalid { .. } | Refusal::NotAPlugin { .. });
        assert!(expected, "cut at {cut}: {refusal}");
    }
}

#[test]
fn damaged_bytes_are_refused_and_never_panic() {
    let whole = guests::bytes("misbehaving");
    let mut state = 1_u32;
    for _ in 0..200 {
        let mut damaged = whole.clone();
        for _ in 0..8 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let place = state as usize % 4_096;
            damaged[place] ^= (state >> 24) as u8 | 1;
        }
        // A change that leaves a valid plugin is possible and harmless; one that breaks the compiler is neither.
        assert!(!matches!(ENGINE.compile_here(&damaged), Err(Refusal::CompilerFailed)));
    }
    let noise: Vec<u8> = (0..10_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    assert!(matches!(ENGINE.compile_here(&noise), Err(Refusal::NotWasm)));
}

#[test]
fn machine_code_is_refused_before_anything_could_load_it() {
    let own_binary = std::fs::read(std::env::current_exe().expect("a test has a path")).expect("and can be read");
    let settings = Settings {
        module_bytes_max: usize::MAX,
        ..Settings::default()
    };
    let engine = Engine::new(&settings).expect("this machine can run WebAssembly");
    assert!(matches!(engine.compile_here(&own_binary), Err(Refusal::MachineCode)));
}

#[test]
fn a_module_over_the_size_limit_is_refused_with_both_sizes() {
    let settings = Settings {
        module_bytes_max: 1_000,
        ..Settings::default()
    };
    let engine = Engine::new(&settings).expect("this machine can run WebAssembly");
    let refusal = engine.compile_here(&guests::bytes("misbehaving")).expect_err("the guest is larger");
    assert!(matches!(refusal, Refusal::TooLarge { bytes_max: 1_000, .. }));
}

#[test]
fn a_plugin_for_another_contract_is_told_which_one_to_use() {
    let mut wasm = guests::bytes("misbehaving");
    for place in 0..wasm.len() - 13 {
        if wasm[place..].starts_with(b"hookyard:plugin/") {
            let version = wasm[place..].iter().take(32).position(|&byte| byte == b'@');
            if let Some(at) = version.filter(|at| wasm[place + at..].starts_with(b"@0.1.0")) {
                wasm[place + at + 3] = b'7';
            }
        }
    }
    let refusal = ENGINE.compile_here(&wasm).expect_err("0.7 is not spoken here");
    assert_eq!(
        refusal.to_string(),
        "the plugin was built for contract 0.7.0, this host speaks 0.1.0; build it against version 0.1.0 of hookyard:plugin"
    );
}
