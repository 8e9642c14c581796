//! Frozen time and seeded randomness: a plugin that runs again on the same event gets the same answers, which is what
//! makes a decision repeatable. Natively both are constants, for the same reason.

/// What [`now_ms`] says in a native build: 2023-11-14 22:13:20 UTC.
#[cfg(not(target_arch = "wasm32"))]
const NATIVE_NOW_MS: u64 = 1_700_000_000_000;

/// What [`random_u64`] says in a native build.
#[cfg(not(target_arch = "wasm32"))]
const NATIVE_RANDOM: u64 = 0x9e37_79b9_7f4a_7c15;

/// The moment the event was accepted, in milliseconds since the Unix epoch.
#[cfg(target_arch = "wasm32")]
pub fn now_ms() -> u64 {
    crate::bindings::hookyard::plugin::ambient::now_ms()
}

/// The next number of a sequence that is the same on every run of the same event.
#[cfg(target_arch = "wasm32")]
pub fn random_u64() -> u64 {
    crate::bindings::hookyard::plugin::ambient::random_u64()
}

/// The moment the event was accepted, in milliseconds since the Unix epoch.
#[cfg(not(target_arch = "wasm32"))]
pub fn now_ms() -> u64 {
    NATIVE_NOW_MS
}

/// The next number of a sequence that is the same on every run of the same event.
#[cfg(not(target_arch = "wasm32"))]
pub fn random_u64() -> u64 {
    NATIVE_RANDOM
}
