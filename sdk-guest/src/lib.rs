//! Write Hookyard plugins in Rust.
//!
//! A plugin is a pure function: one [`Event`] and the [`Endpoints`] it may choose from, in; a [`Decision`], out.
//! It is called once per event, in an instance of its own that sees no file, network, environment or real clock.
//!
//! ```
//! use hookyard_guest::prelude::*;
//!
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Config {
//!     region: String,
//! }
//!
//! #[derive(Deserialize)]
//! struct Order {
//!     number: u64,
//!     #[serde(default)]
//!     test: bool,
//! }
//!
//! struct Orders;
//!
//! impl Plugin for Orders {
//!     type Config = Config;
//!
//!     fn manifest() -> Manifest {
//!         manifest!("Sends orders to the endpoints of one region.").event_types(["order.*"])
//!     }
//!
//!     fn route(event: &Event, to: &Endpoints, config: &Config) -> Result<Decision, Failure> {
//!         let order: Order = event.json()?;
//!         if order.test {
//!             return Ok(Decision::drop("test-mode", format!("order {} is a test", order.number)));
//!         }
//!         Ok(to.with_metadata("region", &config.region).forward().into())
//!     }
//! }
//!
//! hookyard_guest::export_plugin!(Orders);
//! # fn main() {}
//! ```
//!
//! # Build
//!
//! The crate is a library with `crate-type = ["cdylib"]`; an `"rlib"` beside it would cost the link-time optimisation. One
//! command makes the component that Hookyard takes:
//!
//! ```text
//! cargo build --profile plugin --target wasm32-wasip2 -p my-plugin
//! ```
//!
//! # Test
//!
//! Natively, with no Wasm at all: [`export_plugin!`] adds nothing outside `wasm32`, and [`Event`] and [`Endpoints`]
//! are plain values with builders.
//!
//! ```
//! use hookyard_guest::prelude::*;
//!
//! let event = Event::of_type("order.paid").with_text(r#"{"number":1}"#);
//! let to = Endpoints::from_iter([Endpoint::named("eu").with_metadata("region", "eu"), Endpoint::named("us")]);
//! let plan = to.with_metadata("region", "eu").forward();
//! assert!(plan.sends_to("eu") && !plan.sends_to("us"));
//! ```
//!
//! # Read next
//!
//! `wit/0.1.0/hookyard-plugin.wit` is the contract under all this. [`plugin`] holds the trait, [`decision`] the answers;
//! `plugins/github-to-slack` in the repository is a whole plugin, small enough to read.
//!
//! What this crate refuses to know: how the host stores, retries or signs a delivery.

pub mod ambient;
pub mod decision;
pub mod endpoint;
pub mod event;
pub mod failure;
pub mod log;
pub mod plugin;

#[cfg(all(feature = "arena", any(target_arch = "wasm32", test)))]
mod arena;
#[cfg(target_arch = "wasm32")]
mod component;
#[cfg(all(feature = "seal", target_arch = "wasm32"))]
mod seal;

/// The generated bindings of the WIT contract, for a guest that wants to speak it without this crate's types.
#[cfg(target_arch = "wasm32")]
pub use component::bindings;

#[doc(hidden)]
#[cfg(target_arch = "wasm32")]
pub use component::Component;

#[cfg(target_arch = "wasm32")]
pub use component::report_panics;

pub use decision::{Content, Decision, Delivery, DropReason, Payload, Plan};
pub use endpoint::{Endpoint, Endpoints, Selection};
pub use event::{Body, Event, Text};
pub use failure::{Failure, FailureKind};
pub use plugin::{ConfigProblem, Manifest, NoConfig, Plugin};

/// What nearly every plugin names.
pub mod prelude {
    pub use crate::{
        Body, ConfigProblem, Content, Decision, Endpoint, Endpoints, Event, Failure, FailureKind, Manifest, NoConfig, Plan, Plugin, Text,
        log, manifest,
    };
    pub use serde::{Deserialize, Serialize};
}
