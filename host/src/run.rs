//! One run of a sender's plugin on one event: what routing does for real and a trial does for show.

use std::sync::Arc;

use crate::{
    configuration::{Endpoint, Sender},
    store::Event,
    wasm::{Body, Call, CallLimits, EndpointView, EventView, Module, Run},
};

/// Runs the plugin on the calling thread. The candidates' order is what the decision's indexes mean.
pub fn run(module: &Module, event: &Event, sender: &Sender, candidates: &[Arc<Endpoint>], seed: u64, limits: CallLimits) -> Run {
    let id = event.id.to_string();
    let ids: Vec<String> = candidates.iter().map(|endpoint| endpoint.id.to_string()).collect();
    let endpoints: Vec<EndpointView<'_>> = candidates
        .iter()
        .zip(&ids)
        .map(|(endpoint, id)| EndpointView {
            id,
            name: endpoint.label(),
            origin: &endpoint.origin,
            metadata: &endpoint.metadata,
        })
        .collect();
    module.route(&Call {
        event: EventView {
            id: &id,
            event_type: &event.event_type,
            sender: sender.label(),
            received_at_ms: u64::try_from(event.accepted_at.as_millis()).unwrap_or(0),
            content_type: &event.content_type,
            headers: &event.headers,
            attributes: &[("environment".to_owned(), sender.environment_name.to_string())],
            body: Body::of(&event.payload),
        },
        endpoints: &endpoints,
        config: Arc::clone(&sender.config),
        seed,
        limits,
    })
}
