//! Faults of behaviour: time, memory, stack, log.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};

use hookyard_guest::bindings::hookyard::plugin::log;
use hookyard_guest::bindings::hookyard::plugin::types::Decision;

/// Iterations of [`burn_cpu`]'s loop that take about a millisecond on a machine of 2026, compiled with epoch checks. A
/// guest's clock does not move, so time cannot be measured; the real time is between half and double.
const ITERATIONS_PER_MS: u32 = 600_000;

/// Upper bound of [`burn_cpu`], far over any budget a test sets.
const BURN_MS_MAX: u32 = 10_000;

/// What [`fill_memory`] allocates at a time.
const BOMB_PIECE_BYTES: usize = 1 << 20;

/// Lines of [`flood_log`]: with any budget the host drops lines long before.
const FLOOD_LINES: u32 = 3_000_000;

/// Bytes of the line that [`write_huge_log_line`] writes: far more than is kept, and less than the host refuses to read.
const HUGE_LINE_BYTES: usize = 200 << 10;

pub(crate) fn loop_endlessly() -> Decision {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

pub(crate) fn burn_cpu(ms: u32) {
    let mut state = 1_u32;
    for _ in 0..ms.min(BURN_MS_MAX) {
        for _ in 0..ITERATIONS_PER_MS {
            state = black_box(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
        }
    }
}

/// Keeps all it allocates and writes to each page, so that the memory is really used.
pub(crate) fn fill_memory() -> Decision {
    let mut pieces = Vec::new();
    loop {
        pieces.push(black_box(vec![1_u8; BOMB_PIECE_BYTES]));
    }
}

pub(crate) fn panic_reported() -> Decision {
    hookyard_guest::report_panics();
    panic!("misbehaving on purpose");
}

pub(crate) fn recurse_in_locals() {
    static FRAMES: AtomicU32 = AtomicU32::new(0);

    // The optimiser may not drop a count in a static; changing the result afterwards keeps it from making this a loop.
    #[inline(never)]
    #[expect(unconditional_recursion, reason = "the fault itself")]
    fn deeper(depth: u32) -> u32 {
        let frames = FRAMES.fetch_add(1, Ordering::Relaxed);
        deeper(depth ^ frames).rotate_left(depth & 7) ^ FRAMES.load(Ordering::Relaxed)
    }

    black_box(deeper(black_box(1)));
}

pub(crate) fn recurse_in_memory() {
    #[expect(unconditional_recursion, reason = "the fault itself")]
    fn deeper(depth: u64) -> u64 {
        let frame = black_box([depth; 32]);
        deeper(depth + 1).wrapping_add(frame[0])
    }

    black_box(deeper(black_box(0)));
}

pub(crate) fn flood_log() {
    for line in 0..FLOOD_LINES {
        log::write(log::Level::Info, "one of very many", &[("line".to_owned(), line.to_string())]);
    }
}

pub(crate) fn write_huge_log_line() {
    log::write(log::Level::Warn, &"ä".repeat(HUGE_LINE_BYTES / 2), &[]);
}

pub(crate) fn print() {
    println!("said on standard output");
    eprintln!("said on standard error");
}
