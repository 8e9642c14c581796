//! Line 0.1 of the contract: the types of `sdk-guest/wit/0.1.0`, the functions it imports and the calls it answers.
//!
//! The types are written by hand rather than generated, because a generated parameter owns its strings while these
//! borrow: a payload goes from the event into the guest's memory in one copy. Nothing is taken on trust by that. When
//! a module is compiled, wasmtime compares every function used here with the type the module declares, names of fields
//! and cases included, and a module that differs is refused.
//!
//! A record of a released contract never changes shape.

use std::sync::Arc;
use std::time::Duration;

use hookyard_domain::decision::{Content, Decision, DropReason, Plan, Route, Skip};
use hookyard_domain::failure::{FailureClass, PluginFailure};
use wasmtime::component::{
    Component, ComponentExportIndex, ComponentNamedList, ComponentType, Instance, Lift, LinkerInstance, Lower, TypedFunc, WasmList, WasmStr,
};
use wasmtime::{AsContextMut, Store, StoreContextMut};

use super::{FAILURE_CODE_BYTES_MAX, FAILURE_MESSAGE_BYTES_MAX, find};
use crate::call::{State, TypesDiffer};
use crate::inspect::Refusal;
use crate::log::{LINE_BYTES_MAX, Level, cut};

/// The newest version of this line that the host speaks.
pub(super) const VERSION: &str = "0.1.0";

/// What the host offers, by interface; `types` has no functions. An import that is not in this list is from a newer
/// version, and the module is refused with its name.
pub(super) const OFFERED: &[(&str, &[&str])] = &[
    ("hookyard:plugin/types", &[]),
    ("hookyard:plugin/log", &["enabled", "write"]),
    ("hookyard:plugin/settings", &["json"]),
    ("hookyard:plugin/ambient", &["now-ms", "random-u64"]),
];

/// Fields looked at in one log line; more would not fit the line.
const LOG_FIELDS_MAX: usize = 16;

/// A payload, seen as text wherever it is text. [`Body::of`] looks at every byte: call it once per event.
#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(variant)]
pub enum Body<'a> {
    #[component(name = "text")]
    Text(&'a str),
    #[component(name = "binary")]
    Binary(&'a [u8]),
}

impl<'a> Body<'a> {
    pub fn of(bytes: &'a [u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text),
            Err(_) => Self::Binary(bytes),
        }
    }
}

/// One accepted event as a plugin sees it.
#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub struct EventView<'a> {
    pub id: &'a str,
    #[component(name = "event-type")]
    pub event_type: &'a str,
    pub sender: &'a str,
    #[component(name = "received-at-ms")]
    pub received_at_ms: u64,
    #[component(name = "content-type")]
    pub content_type: &'a str,
    pub headers: &'a [(String, String)],
    pub attributes: &'a [(String, String)],
    pub body: Body<'a>,
}

/// A delivery candidate as a plugin sees it: never its URL beyond the origin, never a secret.
#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub struct EndpointView<'a> {
    pub id: &'a str,
    pub name: &'a str,
    pub origin: &'a str,
    pub metadata: &'a [(String, String)],
}

/// What a plugin says about itself.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift)]
#[component(record)]
pub struct Manifest {
    pub name: String,
    pub version: String,
    pub summary: String,
    /// JSON Schema 2020-12 as text.
    #[component(name = "config-schema")]
    pub config_schema: Option<String>,
    /// Event patterns as text; empty is all.
    #[component(name = "event-types")]
    pub event_types: Vec<String>,
    pub needs: Vec<String>,
}

/// One thing a plugin finds wrong in its configuration.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift)]
#[component(record)]
pub struct ConfigProblem {
    /// JSON Pointer (RFC 6901) into the document.
    pub pointer: String,
    pub message: String,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
enum BodyAnswer {
    #[component(name = "text")]
    Text(String),
    #[component(name = "binary")]
    Binary(Vec<u8>),
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct ContentAnswer {
    #[component(name = "content-type")]
    content_type: String,
    body: BodyAnswer,
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct RouteAnswer {
    endpoint: u32,
    content: Option<u32>,
    headers: Vec<(String, String)>,
    #[component(name = "delay-ms")]
    delay_ms: u64,
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct SkipAnswer {
    endpoint: u32,
    reason: String,
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct PlanAnswer {
    contents: Vec<ContentAnswer>,
    routes: Vec<RouteAnswer>,
    skips: Vec<SkipAnswer>,
    annotations: Vec<(String, String)>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct DropAnswer {
    code: String,
    message: String,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
enum DecisionAnswer {
    #[component(name = "pass")]
    Pass,
    #[component(name = "deliver")]
    Deliver(PlanAnswer),
    #[component(name = "drop")]
    Drop(DropAnswer),
}

#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[allow(dead_code, reason = "lifting makes the cases from their numbers")]
enum FailureKind {
    #[component(name = "bad-event")]
    BadEvent,
    #[component(name = "bad-config")]
    BadConfig,
    #[component(name = "transient")]
    Transient,
    #[component(name = "internal")]
    Internal,
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct FailureAnswer {
    kind: FailureKind,
    code: String,
    message: String,
}

/// Parameters and result of `router.route`.
type RouteParams<'a> = (EventView<'a>, &'a [EndpointView<'a>]);
type RouteResult = (Result<DecisionAnswer, FailureAnswer>,);

/// Result of `lifecycle.check-config`, whose one parameter is the document.
type CheckConfigResult = (Result<(), Vec<ConfigProblem>>,);

/// Where the functions of this line are in a component.
pub(crate) struct Exports {
    route: ComponentExportIndex,
    describe: ComponentExportIndex,
    check_config: ComponentExportIndex,
}

impl Exports {
    pub(super) fn find(component: &Component, router: &str, lifecycle: &str) -> Result<Self, Refusal> {
        Ok(Self {
            route: find(component, router, "route", VERSION)?,
            describe: find(component, lifecycle, "describe", VERSION)?,
            check_config: find(component, lifecycle, "check-config", VERSION)?,
        })
    }

    /// Compares all three functions with the contract's types, and calls `describe`.
    pub(super) fn describe(&self, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<Manifest> {
        typed::<RouteParams<'_>, RouteResult>(store, instance, &self.route)?;
        typed::<(&str,), CheckConfigResult>(store, instance, &self.check_config)?;
        let describe = typed::<(), (Manifest,)>(store, instance, &self.describe)?;
        Ok(describe.call(store, ())?.0)
    }

    pub(super) fn check_config(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
        json: &str,
    ) -> wasmtime::Result<Result<(), Vec<ConfigProblem>>> {
        let check = typed::<(&str,), CheckConfigResult>(store, instance, &self.check_config)?;
        Ok(check.call(store, (json,))?.0)
    }

    pub(super) fn route(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
        event: EventView<'_>,
        endpoints: &[EndpointView<'_>],
    ) -> wasmtime::Result<Result<Decision, PluginFailure>> {
        let route = typed::<RouteParams<'_>, RouteResult>(store, instance, &self.route)?;
        let (answer,) = route.call(store, (event, endpoints))?;
        Ok(answer.map(Decision::from).map_err(PluginFailure::from))
    }
}

fn typed<P, R>(store: &mut Store<State>, instance: &Instance, export: &ComponentExportIndex) -> wasmtime::Result<TypedFunc<P, R>>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift,
{
    Ok(instance.get_typed_func(store.as_context_mut(), export).map_err(TypesDiffer)?)
}

#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[allow(dead_code, reason = "lifting makes the cases from their numbers")]
enum WireLevel {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

impl From<WireLevel> for Level {
    fn from(level: WireLevel) -> Self {
        match level {
            WireLevel::Trace => Self::Trace,
            WireLevel::Debug => Self::Debug,
            WireLevel::Info => Self::Info,
            WireLevel::Warn => Self::Warn,
            WireLevel::Error => Self::Error,
        }
    }
}

impl From<DecisionAnswer> for Decision {
    fn from(answer: DecisionAnswer) -> Self {
        match answer {
            DecisionAnswer::Pass => Self::Pass,
            DecisionAnswer::Deliver(plan) => Self::Deliver(plan.into()),
            DecisionAnswer::Drop(DropAnswer { code, message }) => Self::Drop(DropReason { code, message }),
        }
    }
}

impl From<PlanAnswer> for Plan {
    fn from(answer: PlanAnswer) -> Self {
        let content = |ContentAnswer { content_type, body }| Content {
            content_type,
            body: match body {
                BodyAnswer::Text(text) => text.into_bytes(),
                BodyAnswer::Binary(bytes) => bytes,
            },
        };
        let route = |RouteAnswer {
                         endpoint,
                         content,
                         headers,
                         delay_ms,
                     }| Route {
            endpoint,
            content,
            headers,
            delay: Duration::from_millis(delay_ms),
        };
        Self {
            contents: answer.contents.into_iter().map(content).collect(),
            routes: answer.routes.into_iter().map(route).collect(),
            skips: answer
                .skips
                .into_iter()
                .map(|SkipAnswer { endpoint, reason }| Skip { endpoint, reason })
                .collect(),
            annotations: answer.annotations,
        }
    }
}

impl From<FailureAnswer> for PluginFailure {
    fn from(answer: FailureAnswer) -> Self {
        Self {
            class: match answer.kind {
                FailureKind::BadEvent => FailureClass::BadEvent,
                FailureKind::BadConfig => FailureClass::BadConfig,
                FailureKind::Transient => FailureClass::Transient,
                FailureKind::Internal => FailureClass::Internal,
            },
            code: cut(&answer.code, FAILURE_CODE_BYTES_MAX).to_owned(),
            message: cut(&answer.message, FAILURE_MESSAGE_BYTES_MAX).to_owned(),
        }
    }
}

/// Defines the functions of one interface of [`OFFERED`]; another name defines nothing, for it has been refused before.
pub(super) fn link(linker: &mut LinkerInstance<'_, State>, interface: &str) -> wasmtime::Result<()> {
    match interface {
        "hookyard:plugin/log" => {
            linker.func_wrap("enabled", |store: StoreContextMut<'_, State>, (level,): (WireLevel,)| {
                Ok((store.data().log.wants(level.into()),))
            })?;
            linker.func_wrap("write", write_log)?;
        }
        "hookyard:plugin/settings" => {
            linker.func_wrap("json", |store: StoreContextMut<'_, State>, (): ()| {
                Ok((Arc::clone(&store.data().config),))
            })?;
        }
        "hookyard:plugin/ambient" => {
            linker.func_wrap("now-ms", |store: StoreContextMut<'_, State>, (): ()| {
                Ok((store.data().clock.received_at_ms(),))
            })?;
            linker.func_wrap("random-u64", |mut store: StoreContextMut<'_, State>, (): ()| {
                Ok((store.data_mut().random.next_u64(),))
            })?;
        }
        _ => {}
    }
    Ok(())
}

type LogLineParams = (WireLevel, WasmStr, WasmList<(WasmStr, WasmStr)>);

/// Copies only what the log can keep: a line of many megabytes is read in place and cut.
fn write_log(mut store: StoreContextMut<'_, State>, (level, message, fields): LogLineParams) -> wasmtime::Result<()> {
    let level = Level::from(level);
    if !store.data().log.wants(level) {
        store.data_mut().log.drop_lines(1);
        return Ok(());
    }
    let fields: Vec<_> = fields.iter(&mut store)?.take(LOG_FIELDS_MAX).collect::<wasmtime::Result<_>>()?;
    let mut line = cut(&message.to_str(&store)?, LINE_BYTES_MAX).to_owned();
    for (key, value) in fields {
        if line.len() >= LINE_BYTES_MAX {
            break;
        }
        line.push(' ');
        line.push_str(cut(&key.to_str(&store)?, LINE_BYTES_MAX));
        line.push('=');
        line.push_str(cut(&value.to_str(&store)?, LINE_BYTES_MAX));
    }
    store.data_mut().log.push(level, &line);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_text_exactly_when_it_is_utf_8() {
        assert!(matches!(Body::of("{\"å\":1}".as_bytes()), Body::Text("{\"å\":1}")));
        assert!(matches!(Body::of(b""), Body::Text("")));
        assert!(matches!(Body::of(b"\xff\x00"), Body::Binary(b"\xff\x00")));
    }

    #[test]
    fn a_failure_keeps_its_kind_and_is_cut_to_its_bounds() {
        let failure = PluginFailure::from(FailureAnswer {
            kind: FailureKind::Transient,
            code: "c".repeat(100),
            message: "é".repeat(1_000),
        });
        assert_eq!(failure.class, FailureClass::Transient);
        assert_eq!((failure.code.len(), failure.message.len()), (64, 1_024));
    }
}
