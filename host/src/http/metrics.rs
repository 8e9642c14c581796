//! `/metrics`: what the server counts, in the Prometheus text format.
//!
//! The numbers name no tenant, and still say how much there is and how well it goes, which is the operator's business alone. On
//! the listener that everybody reaches it takes the operator's management token; on the operators' own
//! listener, which is for a network of theirs, it takes none.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use hookyard_domain::Scope;

use super::{
    Edge,
    principal::{Place, Subject, identify},
    problem::problem,
};
use crate::{
    clock::Clock,
    configuration::Configuration,
    telemetry::metrics::{CONTENT_TYPE, Metrics},
};

#[derive(Clone)]
struct Guarded {
    metrics: Arc<Metrics>,
    configuration: Arc<Configuration>,
    clock: Clock,
}

/// For the listener that everybody reaches.
pub fn guarded(edge: &Edge) -> Router {
    Router::new().route("/metrics", get(tell_operator)).with_state(Guarded {
        metrics: Arc::clone(&edge.metrics),
        configuration: Arc::clone(&edge.configuration),
        clock: edge.clock.clone(),
    })
}

/// For the operators' listener.
pub fn open(edge: &Edge) -> Router {
    let metrics = Arc::clone(&edge.metrics);
    Router::new().route("/metrics", get(async move || told(&metrics)))
}

async fn tell_operator(State(guarded): State<Guarded>, headers: HeaderMap) -> Response {
    let snapshot = guarded.configuration.current();
    match identify(&snapshot, &headers, &[Place::Bearer], guarded.clock.now()) {
        Ok(caller) if matches!(caller.subject, Subject::Manager(_)) => match caller.scope() {
            Scope::Operator => told(&guarded.metrics),
            Scope::Tenant(_) => problem(StatusCode::FORBIDDEN, "forbidden", "the metrics are the operator's"),
        },
        _ => {
            let detail = "send a management token of the operator, or ask the listener of --operations-listen";
            let mut response = problem(StatusCode::UNAUTHORIZED, "unidentified", detail);
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
            response
        }
    }
}

fn told(metrics: &Metrics) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], metrics.text()).into_response()
}
