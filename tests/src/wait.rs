//! Waiting for a condition with a deadline.
//!
//! A test that sleeps is slow when all is well and fails when the machine is busy. These return as soon as the condition
//! holds, and panic with what was missing when it does not come true.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// The deadline of a wait unless a test has a reason for another: far above what a loaded machine needs.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// The longest a single test may take, unless it has a reason for more.
pub const TEST_MAX: Duration = Duration::from_secs(60);
/// How often a condition is checked.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Milliseconds this process has spent building binaries and guests.
static BUILDING_MS: AtomicU64 = AtomicU64::new(0);

/// Runs a test, which must end within [`TEST_MAX`], not counting what was [`built`] meanwhile.
///
/// # Panics
/// When it does not.
pub async fn bounded<T>(test: impl Future<Output = T>) -> T {
    bounded_by(TEST_MAX, test).await
}

/// The same for a test that has a reason to take longer.
///
/// # Panics
/// When it takes longer than that.
pub async fn bounded_by<T>(max: Duration, test: impl Future<Output = T>) -> T {
    let mut test = Box::pin(test);
    let mut granted_ms = BUILDING_MS.load(Ordering::Relaxed);
    let mut allowed = max;
    loop {
        if let Ok(done) = tokio::time::timeout(allowed, &mut test).await {
            return done;
        }
        let building_ms = BUILDING_MS.load(Ordering::Relaxed);
        assert!(building_ms > granted_ms, "the test did not end within {max:?}");
        allowed = Duration::from_millis(building_ms - granted_ms);
        granted_ms = building_ms;
    }
}

/// Builds something a test needs; the time it takes does not count as the test's.
pub fn built<T>(build: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let made = build();
    let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    BUILDING_MS.fetch_add(took, Ordering::Relaxed);
    made
}

/// Calls `look` until it finds something.
///
/// # Panics
/// When it has not within [`PATIENCE`]; `what` says what was waited for.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    });
    match found.await {
        Ok(found) => found,
        Err(_) => panic!("waited {PATIENCE:?} in vain until {what}"),
    }
}
