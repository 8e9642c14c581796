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
        breaker.report(Admit::Pass, Verdict::Fails, START);
    }
    breaker
}

#[test]
fn five_failures_in_a_row_block_for_five_minutes() {
    let mut breaker = Breaker::new(SETTINGS);
    for failures in 0..5 {
        assert_eq!(breaker.state(), State::Passing { failures });
        assert_eq!(breaker.admit(START), Admit::Pass);
        breaker.report(Admit::Pass, Verdict::Fails, START);
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
            breaker.report(Admit::Pass, Verdict::Fails, START);
        }
        breaker.report(Admit::Pass, Verdict::Works, START);
        assert_eq!(breaker.state(), State::Passing { failures: 0 });
    }
}

#[test]
fn a_probe_that_succeeds_opens_the_way_and_one_that_fails_blocks_afresh() {
    let mut breaker = blocked_at_start();
    assert_eq!(breaker.admit(after(400)), Admit::Probe);
    breaker.report(Admit::Probe, Verdict::Fails, after(410));
    assert_eq!(breaker.state(), State::Blocked { until: after(710) });
    assert_eq!(breaker.admit(after(710)), Admit::Probe);
    breaker.report(Admit::Probe, Verdict::Works, after(711));
    assert_eq!(breaker.admit(after(711)), Admit::Pass);
}

#[test]
fn a_probe_without_a_verdict_leaves_the_next_one_to_probe_at_once() {
    let mut breaker = blocked_at_start();
    assert_eq!(breaker.admit(after(300)), Admit::Probe);
    breaker.report(Admit::Probe, Verdict::Unknown, after(310));
    assert!(matches!(breaker.state(), State::Blocked { until } if until <= after(300)));
    assert_eq!(breaker.admit(after(300)), Admit::Probe);
}

#[test]
fn what_gives_no_verdict_moves_nothing_while_passing_or_blocked() {
    let mut breaker = Breaker::new(SETTINGS);
    breaker.report(Admit::Pass, Verdict::Fails, START);
    breaker.report(Admit::Pass, Verdict::Unknown, START);
    assert_eq!(breaker.state(), State::Passing { failures: 1 });
    let mut breaker = blocked_at_start();
    breaker.report(Admit::Pass, Verdict::Unknown, START);
    assert_eq!(breaker.state(), State::Blocked { until: after(300) });
}

#[test]
fn attempts_that_were_in_flight_do_not_prolong_a_block_but_their_success_ends_it() {
    let mut breaker = blocked_at_start();
    breaker.report(Admit::Pass, Verdict::Fails, after(20));
    assert_eq!(breaker.state(), State::Blocked { until: after(300) });
    breaker.report(Admit::Pass, Verdict::Works, after(21));
    assert_eq!(breaker.admit(after(21)), Admit::Pass);
}

/// The story: a tenant may set a block time of one second, shorter than an attempt lasts. An attempt from before the block
/// that ended during the probe was taken for the probe: its failure blocked afresh although the probe was still out, and its
/// end through a fault of ours let a second probe go.
#[test]
fn an_attempt_from_before_the_block_does_not_end_the_probe() {
    for verdict in [Verdict::Fails, Verdict::Unknown] {
        let mut breaker = blocked_at_start();
        assert_eq!(breaker.admit(after(300)), Admit::Probe);
        breaker.report(Admit::Pass, verdict, after(301));
        assert_eq!(breaker.state(), State::Probing, "{verdict:?}");
        assert!(matches!(breaker.admit(after(302)), Admit::Wait { .. }));
        breaker.report(Admit::Probe, Verdict::Works, after(303));
        assert_eq!(breaker.admit(after(303)), Admit::Pass);
    }
}

#[test]
fn a_block_that_was_kept_goes_on_where_it_was() {
    let mut breaker = Breaker::blocked(SETTINGS, after(200));
    assert_eq!(breaker.admit(after(100)), Admit::Wait { until: after(200) });
    assert_eq!(breaker.admit(after(200)), Admit::Probe);
    breaker.report(Admit::Probe, Verdict::Fails, after(201));
    assert_eq!(breaker.state(), State::Blocked { until: after(501) });
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
    breaker.report(Admit::Pass, Verdict::Fails, START);
    assert_eq!(breaker.state(), State::Blocked { until: after(1) });
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Ask,
    /// Ends one of those let in and not yet reported.
    End(prop::sample::Index, Verdict),
    Pass(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    let verdict = prop::sample::select(&[Verdict::Works, Verdict::Fails, Verdict::Fails, Verdict::Unknown][..]);
    prop_oneof![
        4 => Just(Step::Ask),
        4 => (any::<prop::sample::Index>(), verdict).prop_map(|(which, verdict)| Step::End(which, verdict)),
        1 => (0_u64..400).prop_map(Step::Pass),
    ]
}

proptest! {
    #[test]
    fn only_one_probe_is_on_its_way_at_once_and_none_waits_for_ever(
        steps in prop::collection::vec(any_step(), 0..120), failures_to_block in 1_u32..6, block_secs in 1_u64..500,
    ) {
        let block_for = Duration::from_secs(block_secs);
        let mut breaker = Breaker::new(Settings { failures_to_block, block_for });
        let mut now = START;
        let mut out = Vec::new();
        let mut probing_since = None;
        for step in steps {
            match step {
                Step::Ask => {
                    let admit = breaker.admit(now);
                    match admit {
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
                            continue;
                        }
                    }
                    out.push(admit);
                }
                Step::End(which, verdict) if !out.is_empty() => {
                    let admitted = out.swap_remove(which.index(out.len()));
                    breaker.report(admitted, verdict, now);
                    if verdict == Verdict::Works {
                        prop_assert_eq!(breaker.state(), State::Passing { failures: 0 });
                    }
                    // After any success there is no probe any more: what passes then is judged as always.
                    if verdict == Verdict::Works || admitted == Admit::Probe {
                        probing_since = None;
                    }
                }
                Step::End(..) => {}
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
        breaker.report(Admit::Pass, Verdict::Fails, START);
    }
    breaker
}

#[test]
fn a_plugin_is_stopped_at_twenty_runs_of_which_more_than_half_failed() {
    for (succeeded, failed, opens) in [(0, 19, false), (0, 20, true), (10, 10, false), (9, 11, true), (100, 99, false)] {
        let mut breaker = PluginBreaker::default();
        for run in 0..succeeded + failed {
            assert_eq!(breaker.admit(START), Admit::Pass);
            let verdict = if run < succeeded { Verdict::Works } else { Verdict::Fails };
            breaker.report(Admit::Pass, verdict, START);
        }
        let is_open = breaker.state() == PluginState::Open { until: after(1) };
        assert_eq!(is_open, opens, "{succeeded} succeeded, {failed} failed");
    }
}

#[test]
fn failures_of_more_than_a_minute_ago_are_forgotten() {
    let mut breaker = PluginBreaker::new();
    for _ in 0..19 {
        breaker.report(Admit::Pass, Verdict::Fails, START);
    }
    breaker.report(Admit::Pass, Verdict::Fails, after(60));
    assert_eq!(breaker.state(), PluginState::Closed);
    let mut breaker = PluginBreaker::new();
    for _ in 0..19 {
        breaker.report(Admit::Pass, Verdict::Fails, START);
    }
    breaker.report(Admit::Pass, Verdict::Fails, after(59));
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
        breaker.report(Admit::Probe, Verdict::Fails, now);
    }
}

#[test]
fn a_probe_that_works_clears_the_plugins_record() {
    let mut breaker = opened_at_start();
    assert_eq!(breaker.admit(after(1)), Admit::Probe);
    breaker.report(Admit::Probe, Verdict::Works, after(1));
    assert_eq!(breaker.admit(after(1)), Admit::Pass);
    for _ in 0..19 {
        breaker.report(Admit::Pass, Verdict::Fails, after(2));
    }
    assert_eq!(breaker.state(), PluginState::Closed);
    breaker.report(Admit::Pass, Verdict::Fails, after(2));
    assert_eq!(breaker.state(), PluginState::Open { until: after(3) });
}

#[test]
fn a_plugins_probe_without_a_verdict_is_followed_by_another_with_the_same_backoff() {
    let mut breaker = opened_at_start();
    assert_eq!(breaker.admit(after(1)), Admit::Probe);
    breaker.report(Admit::Probe, Verdict::Unknown, after(1));
    assert_eq!(breaker.admit(after(1)), Admit::Probe);
    breaker.report(Admit::Probe, Verdict::Fails, after(1));
    assert_eq!(breaker.state(), PluginState::Open { until: after(3) });
}

#[test]
fn a_plugins_lost_probe_is_given_up_and_late_ends_change_nothing_while_open() {
    let mut breaker = opened_at_start();
    breaker.report(Admit::Pass, Verdict::Works, START);
    breaker.report(Admit::Pass, Verdict::Fails, START);
    assert_eq!(breaker.state(), PluginState::Open { until: after(1) });
    assert_eq!(breaker.admit(after(1)), Admit::Probe);
    assert_eq!(breaker.admit(after(600)), Admit::Wait { until: after(601) });
    assert_eq!(breaker.admit(after(601)), Admit::Probe);
}

/// The story: a run from before the opening that ended during the probe was taken for the probe, so a plugin that fails on
/// every event was let loose again by one that had begun earlier.
#[test]
fn a_run_from_before_the_opening_does_not_end_the_probe() {
    for verdict in [Verdict::Works, Verdict::Fails, Verdict::Unknown] {
        let mut breaker = opened_at_start();
        assert_eq!(breaker.admit(after(1)), Admit::Probe);
        breaker.report(Admit::Pass, verdict, after(1));
        assert_eq!(breaker.state(), PluginState::Probing, "{verdict:?}");
    }
}

#[test]
fn a_run_without_a_verdict_does_not_count() {
    let mut breaker = PluginBreaker::new();
    for _ in 0..100 {
        breaker.report(Admit::Pass, Verdict::Unknown, START);
    }
    for _ in 0..PLUGIN_RUNS_MIN {
        assert_eq!(breaker.state(), PluginState::Closed);
        breaker.report(Admit::Pass, Verdict::Fails, START);
    }
    assert_eq!(breaker.state(), PluginState::Open { until: after(1) });
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
            breaker.report(Admit::Pass, if ok { Verdict::Works } else { Verdict::Fails }, after(now_secs));
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
            plugin.report(Admit::Pass, Verdict::Fails, now);
            endpoint.report(Admit::Pass, Verdict::Fails, now);
            for admit in [plugin.admit(now), endpoint.admit(now)] {
                if let Admit::Wait { until } = admit {
                    prop_assert!(until > now || until == Timestamp::from_micros(i64::MAX));
                }
            }
        }
    }
}
