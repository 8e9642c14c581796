//! The plugin contract: the lines of it that this host speaks, and what they have in common.
//!
//! A line is a series of versions that are compatible with each other; until 1.0 the minor number tells them apart. Each
//! line is a file beside this one and a folder in `sdk-guest/wit`, so a new line is a new file, a case of [`Line`] and a
//! case of [`Exports`]. The types that the rest of the host works with are those of the newest line; the file of an older
//! line turns its own into them.

mod v0_1;

use hookyard_domain::decision::Decision;
use hookyard_domain::failure::PluginFailure;
use wasmtime::Store;
use wasmtime::component::{Component, ComponentExportIndex, Instance, LinkerInstance};

pub use self::v0_1::{Body, ConfigProblem, EndpointView, EventView, Manifest};
use super::call::State;
use super::inspect::Refusal;
use super::interface::InterfaceName;

/// The newest version this host speaks, which is what a new plugin is built against.
pub const VERSION: &str = v0_1::VERSION;

pub(super) const PACKAGE: &str = "hookyard:plugin";
/// The interface a plugin exports to route events, in every line.
pub(super) const ROUTER: &str = "hookyard:plugin/router";
/// The interface a plugin exports to be described and checked, in every line.
pub(super) const LIFECYCLE: &str = "hookyard:plugin/lifecycle";

/// Bytes kept of a failure's message, a little over what a person reads.
const FAILURE_MESSAGE_BYTES_MAX: usize = 1 << 10;

/// Bytes kept of a failure's code, which becomes a metric label.
const FAILURE_CODE_BYTES_MAX: usize = 64;

/// A line of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    V0_1,
}

impl Line {
    pub(super) const ALL: [Self; 1] = [Self::V0_1];

    /// The line that an interface of the contract belongs to, by its version.
    pub(super) fn of(name: InterfaceName<'_>) -> Option<Self> {
        Self::ALL.into_iter().find(|line| name.is_of_line(line.version()))
    }

    /// The newest version of the line that the host speaks.
    pub(super) fn version(self) -> &'static str {
        match self {
            Self::V0_1 => v0_1::VERSION,
        }
    }

    /// What the host offers to plugins of this line: interfaces and their functions.
    pub(super) fn offered(self) -> &'static [(&'static str, &'static [&'static str])] {
        match self {
            Self::V0_1 => v0_1::OFFERED,
        }
    }

    /// Defines the functions of one offered interface.
    pub(super) fn link(self, linker: &mut LinkerInstance<'_, State>, interface: &str) -> wasmtime::Result<()> {
        match self {
            Self::V0_1 => v0_1::link(linker, interface),
        }
    }

    /// Finds the functions of this line in a component, by the full names of the two interfaces it exports.
    pub(super) fn exports(self, component: &Component, router: &str, lifecycle: &str) -> Result<Exports, Refusal> {
        match self {
            Self::V0_1 => v0_1::Exports::find(component, router, lifecycle).map(Exports::V0_1),
        }
    }
}

/// The functions a plugin exports, in the line it was built for.
pub(super) enum Exports {
    V0_1(v0_1::Exports),
}

impl Exports {
    /// Compares the types of all functions with the contract, and lets the plugin describe itself.
    pub(super) fn describe(&self, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<Manifest> {
        match self {
            Self::V0_1(exports) => exports.describe(store, instance),
        }
    }

    pub(super) fn check_config(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
        json: &str,
    ) -> wasmtime::Result<Result<(), Vec<ConfigProblem>>> {
        match self {
            Self::V0_1(exports) => exports.check_config(store, instance, json),
        }
    }

    pub(super) fn route(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
        event: EventView<'_>,
        endpoints: &[EndpointView<'_>],
    ) -> wasmtime::Result<Result<Decision, PluginFailure>> {
        match self {
            Self::V0_1(exports) => exports.route(store, instance, event, endpoints),
        }
    }
}

fn find(component: &Component, interface: &str, function: &str, host: &'static str) -> Result<ComponentExportIndex, Refusal> {
    component
        .get_export_index(None, interface)
        .and_then(|instance| component.get_export_index(Some(&instance), function))
        .ok_or_else(|| Refusal::TypesDiffer {
            message: format!("{interface} has no function {function}"),
            host,
        })
}
