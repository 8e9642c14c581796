//! The seam between the generated bindings and this crate's types: values are moved across, never copied.
//!
//! Compiled for `wasm32` only. Nothing here decides anything.

use std::marker::PhantomData;
use std::sync::Once;

use bindings::exports::hookyard::plugin::{lifecycle, router};
use bindings::hookyard::plugin::{settings, types as wire};

use crate::plugin::{check_config, read_config};
use crate::{Body, ConfigProblem, Decision, Endpoint, Endpoints, Event, Failure, FailureKind, Manifest, Plan, Plugin, log};

#[allow(unsafe_code, reason = "the generated glue lowers and lifts through linear memory")]
#[allow(clippy::undocumented_unsafe_blocks, reason = "generated")]
#[allow(unreachable_pub, unused_qualifications, reason = "generated")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "wit/0.1.0",
        world: "plugin",
        pub_export_macro: true,
        default_bindings_module: "hookyard_guest::bindings",
    });
}

/// A [`Plugin`] as the exports of a component.
#[doc(hidden)]
#[allow(missing_debug_implementations, reason = "never a value")]
pub struct Component<P>(PhantomData<P>);

impl<P: Plugin> router::Guest for Component<P> {
    fn route(event: wire::Event, endpoints: Vec<wire::Endpoint>) -> Result<wire::Decision, wire::Failure> {
        report_panics();
        let decide = || {
            let config = read_config::<P>(&settings::json())?;
            P::route(&lifted_event(event), &lifted_endpoints(endpoints), &config)
        };
        decide().map(lowered_decision).map_err(lowered_failure)
    }
}

impl<P: Plugin> lifecycle::Guest for Component<P> {
    fn describe() -> wire::Manifest {
        report_panics();
        lowered_manifest(P::manifest())
    }

    fn check_config(json: String) -> Result<(), Vec<wire::ConfigProblem>> {
        report_panics();
        check_config::<P>(&json).map_err(|problems| problems.into_iter().map(lowered_problem).collect())
    }
}

/// Makes a panic say what and where in the run's log, in one line at level error. Without it the host would know no more
/// than "unreachable executed". A [`Plugin`] has this already; a guest over the bare bindings calls it in each export.
pub fn report_panics() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            let message = panic.payload_as_str().unwrap_or("panicked with a value that is not text");
            match panic.location() {
                Some(at) => log::error(message, &[("panic-at", &format!("{}:{}", at.file(), at.line()))]),
                None => log::error(message, &[]),
            }
        }));
    });
}

fn lifted_event(event: wire::Event) -> Event {
    Event {
        id: event.id,
        event_type: event.event_type,
        sender: event.sender,
        received_at_ms: event.received_at_ms,
        content_type: event.content_type,
        headers: event.headers,
        attributes: event.attributes,
        body: match event.body {
            wire::Body::Text(text) => Body::Text(text),
            wire::Body::Binary(bytes) => Body::Binary(bytes),
        },
    }
}

fn lifted_endpoints(endpoints: Vec<wire::Endpoint>) -> Endpoints {
    endpoints
        .into_iter()
        .map(
            |wire::Endpoint {
                 id,
                 name,
                 origin,
                 metadata,
             }| Endpoint {
                index: 0,
                id,
                name,
                origin,
                metadata,
            },
        )
        .collect()
}

fn lowered_decision(decision: Decision) -> wire::Decision {
    match decision {
        Decision::Pass => wire::Decision::Pass,
        // An empty plan can still be wrapped by hand; the conversion turns it into the drop the host accepts.
        Decision::Deliver(plan) if plan.is_empty() => lowered_decision(plan.into()),
        Decision::Deliver(plan) => wire::Decision::Deliver(lowered_plan(plan)),
        Decision::Drop(reason) => wire::Decision::Drop(wire::DropReason {
            code: reason.code,
            message: reason.message,
        }),
    }
}

fn lowered_plan(plan: Plan) -> wire::Plan {
    let contents = plan.contents.into_iter().map(|content| {
        let parts = content.into_parts();
        wire::Content {
            content_type: parts.content_type,
            body: lowered_body(parts.body),
        }
    });
    let routes = plan.deliveries.into_iter().map(|delivery| wire::Route {
        endpoint: delivery.endpoint,
        content: delivery.content,
        headers: delivery.headers,
        delay_ms: u64::try_from(delivery.delay.as_millis()).unwrap_or(u64::MAX),
    });
    let skips = plan.skips.into_iter().map(|skip| wire::Skip {
        endpoint: skip.endpoint,
        reason: skip.reason,
    });
    wire::Plan {
        contents: contents.collect(),
        routes: routes.collect(),
        skips: skips.collect(),
        annotations: plan.annotations,
    }
}

fn lowered_body(body: Body) -> wire::Body {
    match body {
        Body::Text(text) => wire::Body::Text(text),
        Body::Binary(bytes) => wire::Body::Binary(bytes),
    }
}

fn lowered_failure(failure: Failure) -> wire::Failure {
    wire::Failure {
        kind: match failure.kind {
            FailureKind::BadEvent => wire::FailureKind::BadEvent,
            FailureKind::BadConfig => wire::FailureKind::BadConfig,
            FailureKind::Transient => wire::FailureKind::Transient,
            FailureKind::Internal => wire::FailureKind::Internal,
        },
        code: failure.code,
        message: failure.message,
    }
}

fn lowered_problem(problem: ConfigProblem) -> wire::ConfigProblem {
    wire::ConfigProblem {
        pointer: problem.pointer,
        message: problem.message,
    }
}

fn lowered_manifest(manifest: Manifest) -> wire::Manifest {
    wire::Manifest {
        name: manifest.name,
        version: manifest.version,
        summary: manifest.summary,
        config_schema: manifest.config_schema,
        event_types: manifest.event_types,
        needs: manifest.needs,
    }
}
