//! Seats: how many calls may run at once, and the ticker that runs while one does.
//!
//! There are as many seats as the engine has room for instances, and a call without a seat waits. The pool
//! itself would answer one instance too many with an error, which would look like a failing plugin.
//!
//! The ticker needs to know whether anything runs, and the seats know: it ticks while a seat is taken and sleeps
//! otherwise, so an idle process stays idle.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often running calls look at their meters. A call ends at most this long after its budget, and the tick itself
/// costs a call nothing it could measure.
const TICK: Duration = Duration::from_millis(1);

/// Ticks without a call before the ticker sleeps for good, so that a stream of short calls does not wake it each time.
const IDLE_TICKS_MAX: u32 = 100;

/// The seats of running calls, and the bell that wakes the ticker.
pub(super) struct Seats {
    state: Mutex<SeatState>,
    freed: Condvar,
    taken: Condvar,
    seats_max: u32,
}

#[derive(Default)]
struct SeatState {
    taken: u32,
    waiting: u32,
    ticker_asleep: bool,
    closed: bool,
}

impl Seats {
    pub(super) fn new(seats_max: u32) -> Self {
        Self {
            state: Mutex::default(),
            freed: Condvar::new(),
            taken: Condvar::new(),
            seats_max,
        }
    }

    pub(super) fn take(&self) -> Seat<'_> {
        let mut state = self.lock();
        while state.taken >= self.seats_max {
            state.waiting += 1;
            state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        state.taken += 1;
        if std::mem::take(&mut state.ticker_asleep) {
            self.taken.notify_one();
        }
        Seat { seats: self }
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.taken.notify_one();
    }

    /// Runs `tick` each millisecond while a seat is taken, and a little longer; returns once closed.
    pub(super) fn tick_while_taken(&self, tick: impl Fn()) {
        let mut idle_ticks = 0;
        loop {
            let mut state = self.lock();
            idle_ticks = if state.taken == 0 { idle_ticks + 1 } else { 0 };
            if idle_ticks > IDLE_TICKS_MAX && !state.closed {
                state.ticker_asleep = true;
                while state.ticker_asleep && !state.closed {
                    state = self.taken.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                idle_ticks = 0;
            }
            if state.closed {
                return;
            }
            drop(state);
            std::thread::sleep(TICK);
            tick();
        }
    }

    /// The state is three numbers that are right at every step, so a panic elsewhere cannot have broken them.
    fn lock(&self) -> MutexGuard<'_, SeatState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to hold one instance, given back on drop.
pub(super) struct Seat<'a> {
    seats: &'a Seats,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut state = self.seats.lock();
        state.taken -= 1;
        if state.waiting > 0 {
            self.seats.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn a_call_without_a_seat_waits_for_one() {
        let seats = Seats::new(1);
        let held = seats.take();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| drop(seats.take()));
            while seats.lock().waiting == 0 {
                std::thread::yield_now();
            }
            assert!(!waiter.is_finished());
            drop(held);
            waiter.join().unwrap();
        });
        assert_eq!(seats.lock().taken, 0);
    }

    #[test]
    fn the_ticker_ticks_for_a_call_sleeps_without_one_and_ends_when_closed() {
        let seats = Seats::new(1);
        let ticks = AtomicU64::new(0);
        std::thread::scope(|scope| {
            let ticker = scope.spawn(|| {
                seats.tick_while_taken(|| {
                    ticks.fetch_add(1, Ordering::Relaxed);
                });
            });
            while !seats.lock().ticker_asleep {
                std::thread::yield_now();
            }
            let asleep_at = ticks.load(Ordering::Relaxed);
            let seat = seats.take();
            while ticks.load(Ordering::Relaxed) < asleep_at + 3 {
                std::thread::yield_now();
            }
            drop(seat);
            seats.close();
            ticker.join().unwrap();
        });
    }
}
