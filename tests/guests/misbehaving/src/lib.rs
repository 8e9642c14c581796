//! A guest that breaks one limit per mode, so that every limit has a test that breaks it.
//!
//! The configuration picks what goes wrong: `{"mode": "endless-loop"}`. [`mode::Mode`] lists the modes and what the host
//! must do about each. The modes that answer nonsense use the generated bindings directly: the SDK's types cannot
//! express it.
//!
//! Built for `wasm32` only; natively there is the list of modes and its test.

pub mod mode;

#[cfg(target_arch = "wasm32")]
mod answers;
#[cfg(target_arch = "wasm32")]
mod exports;
#[cfg(target_arch = "wasm32")]
mod faults;
#[cfg(target_arch = "wasm32")]
mod surroundings;
