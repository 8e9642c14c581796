//! Hookyard: a webhook and event router that its users extend in WebAssembly.
//!
//! An event's path is the reading order: [`http`] takes a request, [`accept`] commits it, [`route`] lets the sender's
//! plugin decide, [`deliver`] posts and settles. Beneath them are the adapters, one technology each: [`store`],
//! [`wasm`], [`egress`]. [`app`] alone knows them all. `ARCHITECTURE.md` beside this crate has the map and the promises.

pub mod accept;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod configuration;
pub mod deliver;
pub mod documents;
pub mod explanation;
pub mod fanout;
pub mod http;
pub mod installed;
pub mod manage;
pub mod mapping;
pub mod plugins;
pub mod route;
pub mod ruling;
pub mod run;
pub mod telemetry;
pub mod verification;

// The adapters are crates of their own beside this one, so that cargo itself keeps them from knowing each other.
pub use hookyard_egress as egress;
pub use hookyard_store as store;
pub use hookyard_wasm as wasm;
