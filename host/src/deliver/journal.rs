//! What the log says of deliveries: one that fails, one that ends, an endpoint that stops or starts to work.
//!
//! Each attempt is kept in the store, where it can be listed; the log is for noticing. So for each endpoint it has one line a
//! minute of each kind, with the number of those that were left out, however long the endpoint stays bad. What goes well
//! is logged at `debug`.

use std::time::Duration;

use hookyard_domain::{DeliveryState, EndpointId, Timestamp};

use super::window::Became;
use crate::{
    configuration::Endpoint,
    store::{HeldDelivery, Settle},
    telemetry::{
        aggregate::{Aggregate, Line},
        metrics::Metrics,
    },
};

/// Time between two lines of a kind for an endpoint.
const LINE_EVERY: Duration = Duration::from_secs(60);
/// Endpoints and kinds told apart at a time; the rest share their lines.
const KEYS_MAX: usize = 4_096;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    WillBeRepeated,
    EndedWithoutSuccess,
}

pub struct Journal(Aggregate<(EndpointId, Kind)>);

impl Journal {
    pub fn new(metrics: &Metrics) -> Self {
        Self(Aggregate::new(LINE_EVERY, KEYS_MAX, metrics.log_lines_left_out.clone()))
    }

    /// An attempt ended.
    pub fn attempt(&self, endpoint: &Endpoint, delivery: &HeldDelivery, settle: &Settle, now: Timestamp) {
        let (event, number, attempt) = (&delivery.event, settle.number, &settle.attempt);
        let (tenant, name, id) = (&endpoint.tenant.name, &endpoint.name, &delivery.id);
        let (status, error, detail) = (attempt.status, attempt.error, attempt.error_detail.as_deref());
        let kind = match settle.state {
            DeliveryState::Delivered => {
                tracing::debug!(tenant, endpoint = name, %event, delivery = %id, number, status, "delivered");
                return;
            }
            DeliveryState::Waiting => Kind::WillBeRepeated,
            _ => Kind::EndedWithoutSuccess,
        };
        let Line::Write { left_out } = self.0.line(&(endpoint.id, kind), now) else {
            return;
        };
        let more = (left_out > 0).then_some(left_out);
        match kind {
            Kind::WillBeRepeated => {
                tracing::info!(tenant, endpoint = name, %event, delivery = %id, number, status, error, detail, retry_at = %settle.due_at, more, "attempt failed");
            }
            Kind::EndedWithoutSuccess => {
                let state = settle.state.as_str();
                tracing::warn!(tenant, endpoint = name, %event, delivery = %id, number, status, error, detail, state, more, "delivery ended without success");
            }
        }
    }

    /// An endpoint's receiver stopped working, still does not work, or works again.
    pub fn endpoint(endpoint: &Endpoint, became: Became, now: Timestamp) {
        let (tenant, endpoint) = (&endpoint.tenant.name, &endpoint.name);
        match became {
            Became::Blocked { since, until } if since == now => {
                tracing::warn!(tenant, endpoint, %until, "the endpoint failed too often in a row; its deliveries wait");
            }
            Became::Blocked { since, until } => tracing::debug!(tenant, endpoint, %since, %until, "the endpoint still does not work"),
            Became::Working => tracing::info!(tenant, endpoint, "the endpoint works again"),
        }
    }

    /// Tells of what was left out and that no later line has told of. Called now and then.
    pub fn tell_the_rest(&self, now: Timestamp) {
        for rest in self.0.untold(now) {
            let endpoint = rest.key.map(|(endpoint, _)| endpoint.to_string());
            tracing::info!(
                endpoint_id = endpoint.as_deref(),
                more = rest.left_out,
                "further attempts failed; `hookyard deliveries` lists them"
            );
        }
    }
}
