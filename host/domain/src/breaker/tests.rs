//! The stories of both breakers one by one, then random histories: one probe at once, no wait without end, and a window that
//! agrees with a plain list of all runs.

use super::*;
use proptest::prelude::*;

const START: Timestamp = Timestamp::from_micros(1_783_080_000_000_000);
const SECOND: Duration = Duration::from_secs(1);

fn after(secs: u64) -> Timestamp {
    START.plus(Duration::from_secs(secs))
}

const SETTINGS: Settings = Settings {
    failures_to_block: 5,
    block_for: Duration::from_mins(5),
};

fn blocked_at_start() -> Breaker {
    let mut breaker = Breaker::new(SETTINGS);
    for _ in 0..5 {
        breaker.on_failure(START);
    }
    breaker
}

#[test]
fn five_failures_in_a_row_block_for_five_minutes() {
    let mut breaker = Breaker::new(SETTINGS);
    for failures in 0..5 {
        assert_eq!(breaker.state(), State::Passing { failures });
        assert_eq!(breaker.admit(START), Admit::Pass);
        breaker.on_failure(START);
    }
    assert_eq!(breaker.state(), State::Blocked { until: after(300) });
    assert_eq!(breaker.admit(after(299)), Admit::Wait { until: after(300) });
    assert_eq!(breaker.admit(after(300)), Admit::Probe);
    assert_eq!(breaker.state(), State::Probing);
}

#[test]
fn a_success_between_failures_begins_the_count_anew() {
    let mut breaker = Breaker::new(SETTINGS);
    for _ in 0..10 {
        for _ in 0..4 {
            breaker.on_failure(START);
        }
        breaker.on_success();
        assert_eq!(breaker.state(), State::Passing { failures: 0 });
    }
}

#[test]
fn a_probe_that_succeeds_opens_the_way_and_one_that_fails_blocks_afresh() {
    let mut breaker = blocked_at_start();
    assert_eq!(breaker.admit(after(400)), Admit::Probe);
    breaker.on_failure(after(410));
    assert_eq!(breaker.state(), State::Blocked { until: after(710) });
    assert_eq!(breaker.admit(after(710)), Admit::Probe);
    breaker.on_success();
    assert_eq!(breaker.admit(after(711)), Admit::Pass);
}

#[test]
fn a_probe_without_a_verdict_leaves_the_next_one_to_probe_at_once() {
    let mut breaker = blocked_at_start();
    assert_eq!(breaker.admit(after(300)), Admit::Probe);
    breaker.on_abandoned();
    assert!(matches!(breaker.state(), State::Blocked { until } if until <= after(300)));
    assert_eq!(breaker.admit(after(300)), Admit::Probe);
}

#[test]
fn what_our_own_faults_abandon_moves_nothing_while_passing_or_blocked() {
    let mut breaker = Breaker::new(SETTINGS);
    breaker.on_failure(START);
    breaker.on_abandoned();
    assert_eq!(breaker.state(), State::Passing { failures: 1 });
    let mut breaker = blocked_at_start();
    breaker.on_abandoned();
    assert_eq!(breaker.state(), State::Blocked { until: after(300) });
}

#[test]
fn attempts_that_were_in_flight_do_not_prolong_a_block_but_their_success_ends_it() {
    let mut breaker = blocked_at_start();
    breaker.on_failure(after(20));
    assert_eq!(breaker.state(), State::Blocked { until: after(300) });
    breaker.on_success();
    assert_eq!(breaker.admit(after(21)), Admit::Pass);
}

#[test]
fn a_probe_that_is_never_reported_is_given_up() {
    let mut breaker = blocked_at_start();
    assert_eq!(breaker.admit(after(300)), Admit::Probe);
    assert_eq!(breaker.admit(after(899)), Admit::Wait { until: after(929) });
    assert_eq!(breaker.admit(after(900)), Admit::Probe);
}

#[test]
fn a_threshold_of_zero_blocks_at_the_first_failure() {
    let mut breaker = Breaker::new(Settings {
        failures_to_block: 0,
        block_for: SECOND,
    });
    assert_eq!(breaker.admit(START), Admit::Pass);
    breaker.on_failure(START);
    assert_eq!(breaker.state(), State::Blocked { until: after(1) });
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Ask,
    Succeed,
    Fail,
    Abandon,
    Pass(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Ask),
        1 => Just(Step::Succeed),
        3 => Just(Step::Fail),
        1 => Just(Step::Abandon),
        2 => (0_u64..400).prop_map(Step::Pass),
    ]
}

proptest! {
    #[test]
    fn only_one_probe_is_on_its_way_at_once_and_none_waits_for_good(
        steps in prop::collection::vec(any_step(), 0..80), failures_to_block in 1_u32..6, block_secs in 1_u64..500,
    ) {
        let block_for = Duration::from_secs(block_secs);
        let mut breaker = Breaker::new(Settings { failures_to_block, block_for });
        let mut now = START;
        let mut probing_since = None;
        for step in steps {
            match step {
                Step::Ask => match breaker.admit(now) {
                    Admit::Pass => {
                        let is_passing = matches!(breaker.state(), State::Passing { .. });
                        prop_assert!(is_passing);
                    }
                    Admit::Probe => {
                        let lost = probing_since.is_none_or(|since| now.since(since) >= PROBE_LOST_AFTER);
                        prop_assert!(lost, "a second probe");
                        probing_since = Some(now);
                    }
                    Admit::Wait { until } => {
                        prop_assert!(until > now);
                        prop_assert!(until.since(now) <= block_for.max(PROBE_EXPECTED_WITHIN));
                    }
                },
                Step::Succeed => {
                    breaker.on_success();
                    prop_assert_eq!(breaker.state(), State::Passing { failures: 0 });
                    probing_since = None;
                }
                Step::Fail => {
                    breaker.on_failure(now);
                    probing_since = None;
                }
                Step::Abandon => {
                    breaker.on_abandoned();
                    probing_since = None;
                }
                Step::Pass(secs) => now = now.plus(Duration::from_secs(secs)),
            }
            if let State::Passing { failures } = breaker.state() {
                prop_assert!(failures < failures_to_block);
            }
        }
        let much_later = now.plus(block_for.max(PROBE_LOST_AFTER));
        let is_waiting = matches!(breaker.admit(much_later), Admit::Wait { .. });
        prop_assert!(!is_waiting);
    }
}

fn opened_at_start() -> PluginBreaker {
    let mut breaker = PluginBreaker::new();
    for _ in 0..PLUGIN_RUNS_MIN {
        breaker.record(false, START);
    }
    breaker
}

#[test]
fn a_plugin_is_stopped_at_twenty_runs_of_which_more_than_half_failed() {
    for (succeeded, failed, opens) in [(0, 19, false), (0, 20, true), (10, 10, false), (9, 11, true), (100, 99, false)] {
        let mut breaker = PluginBreaker::default();
        for run in 0..succeeded + failed {
            assert_eq!(breaker.admit(START), Admit::Pass);
            breaker.record(run < succeeded, START);
        }
        let is_open = breaker.state() == PluginState::Open { until: after(1) };
        assert_eq!(is_open, opens, "{succeeded} succeeded, {failed} failed");
    }
}

#[test]
fn failures_of_more_than_a_minute_ago_are_forgotten() {
    let mut breaker = PluginBreaker::new();
    for _ in 0..19 {
        breaker.record(false, START);
    }
    breaker.record(false, after(60));
    assert_eq!(breaker.state(), PluginState::Closed);
    let mut breaker = PluginBreaker::new();
    for _ in 0..19 {
        breaker.record(false, START);
    }
    breaker.record(false, after(59));
    assert_eq!(breaker.state(), PluginState::Open { until: after(60) });
}

#[test]
fn probes_of_a_broken_plugin_come_after_1_s_doubling_to_60_s() {
    let mut breaker = opened_at_start();
    let mut now = START;
    for wait_secs in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
        let until = now.plus(Duration::from_secs(wait_secs));
        assert_eq!(breaker.admit(now), Admit::Wait { until });
        now = until;
        assert_eq!(breaker.admit(now), Admit::Probe);
        assert_eq!(breaker.admit(now), Admit::Wait { until: now.plus(SECOND) });
        breaker.record(false, now);
    }
}

#[test]
fn a_probe_that_works_clears_the_plugins_record() {
    let mut breaker = opened_at_start();
    assert_eq!(breaker.admit(after(1)), Admit::Probe);
    breaker.record(true, after(1));
    assert_eq!(breaker.admit(after(1)), Admit::Pass);
    for _ in 0..19 {
        breaker.record(false, after(2));
    }
    assert_eq!(breaker.state(), PluginState::Closed);
    breaker.record(false, after(2));
    assert_eq!(breaker.state(), PluginState::Open { until: after(3) });
}

#[test]
fn a_plugins_probe_without_a_verdict_is_followed_by_another_with_the_same_backoff() {
    let mut breaker = opened_at_start();
    assert_eq!(breaker.admit(after(1)), Admit::Probe);
    breaker.on_abandoned();
    assert_eq!(breaker.admit(after(1)), Admit::Probe);
    breaker.record(false, after(1));
    assert_eq!(breaker.state(), PluginState::Open { until: after(3) });
}

#[test]
fn a_plugins_lost_probe_is_given_up_and_late_ends_change_nothing_while_open() {
    let mut breaker = opened_at_start();
    breaker.record(true, START);
    breaker.record(false, START);
    assert_eq!(breaker.state(), PluginState::Open { until: after(1) });
    assert_eq!(breaker.admit(after(1)), Admit::Probe);
    assert_eq!(breaker.admit(after(600)), Admit::Wait { until: after(601) });
    assert_eq!(breaker.admit(after(601)), Admit::Probe);
}

proptest! {
    #[test]
    fn the_window_agrees_with_a_list_of_all_runs(
        steps in prop::collection::vec((any::<bool>(), 0_u64..6), 0..300),
    ) {
        let mut breaker = PluginBreaker::new();
        let mut runs = Vec::new();
        let mut now_secs = 0;
        for (ok, pause_secs) in steps {
            now_secs += pause_secs;
            breaker.record(ok, after(now_secs));
            runs.push((now_secs, ok));
            let recent: Vec<_> = runs.iter().filter(|(at, _)| at + 60 > now_secs).collect();
            let failed = recent.iter().filter(|(_, ok)| !ok).count();
            let must_open = recent.len() >= 20 && failed * 2 > recent.len();
            prop_assert_eq!(breaker.state() != PluginState::Closed, must_open);
            if must_open {
                break;
            }
        }
    }

    #[test]
    fn no_moment_makes_a_breaker_panic_or_wait_into_the_past(moments in prop::collection::vec(any::<i64>(), 1..60)) {
        let mut plugin = PluginBreaker::new();
        let mut endpoint = Breaker::new(SETTINGS);
        for micros in moments {
            let now = Timestamp::from_micros(micros);
            plugin.record(false, now);
            endpoint.on_failure(now);
            for admit in [plugin.admit(now), endpoint.admit(now)] {
                if let Admit::Wait { until } = admit {
                    prop_assert!(until > now || until == Timestamp::from_micros(i64::MAX));
                }
            }
        }
    }
}
