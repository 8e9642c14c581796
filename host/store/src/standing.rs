//! What stands still, counted (O1): events that nobody routes and deliveries that ended without arriving.

use hookyard_domain::{DeliveryState, EndpointId, EventId, EventState, Scope, SenderId, TenantId};
use uuid::Uuid;

use super::{
    Store,
    error::Error,
    on,
    rows::{delivery_state, event_state},
    statements as sql,
};

/// How far is counted: whoever reads it wants to know how bad it is, and counting a million rows takes half a second.
pub const COUNT_MAX: u64 = 1_000;

/// A sender's events in one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StandingEvents {
    pub sender: SenderId,
    pub state: EventState,
    /// At [`COUNT_MAX`]: or more.
    pub count: u64,
    /// The first accepted, of held ones of those held under the oldest revision: its decision says why, as a rule for all.
    pub first: EventId,
}

/// An endpoint's deliveries in one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StandingDeliveries {
    pub endpoint: EndpointId,
    pub state: DeliveryState,
    /// At [`COUNT_MAX`]: or more.
    pub count: u64,
}

impl Store {
    /// Events that are held or dead-lettered, by sender and state.
    pub async fn standing_events(&self, scope: Scope) -> Result<Vec<StandingEvents>, Error> {
        let rows: Vec<(Uuid, String, i64, Uuid)> = match scope.tenant().map(TenantId::as_uuid) {
            None => on!(self, |pool| sqlx::query_as(sql::COUNT_STANDING_EVENTS)
                .bind(COUNT_MAX as i64)
                .fetch_all(pool)
                .await)?,
            Some(tenant) => on!(self, |pool| sqlx::query_as(sql::COUNT_STANDING_EVENTS_OF_TENANT)
                .bind(COUNT_MAX as i64)
                .bind(tenant)
                .fetch_all(pool)
                .await)?,
        };
        rows.into_iter()
            .map(|(sender, state, count, first)| {
                Ok(StandingEvents {
                    sender: SenderId::from_uuid(sender),
                    state: event_state(&state)?,
                    count: u64::try_from(count).unwrap_or(0),
                    first: EventId::from_uuid(first),
                })
            })
            .collect()
    }

    /// Deliveries that were rejected, exhausted or cancelled, by endpoint and state.
    pub async fn standing_deliveries(&self, scope: Scope) -> Result<Vec<StandingDeliveries>, Error> {
        let rows: Vec<(Uuid, String, i64)> = match scope.tenant().map(TenantId::as_uuid) {
            None => on!(self, |pool| sqlx::query_as(sql::COUNT_STANDING_DELIVERIES)
                .bind(COUNT_MAX as i64)
                .fetch_all(pool)
                .await)?,
            Some(tenant) => on!(self, |pool| sqlx::query_as(sql::COUNT_STANDING_DELIVERIES_OF_TENANT)
                .bind(COUNT_MAX as i64)
                .bind(tenant)
                .fetch_all(pool)
                .await)?,
        };
        rows.into_iter()
            .map(|(endpoint, state, count)| {
                Ok(StandingDeliveries {
                    endpoint: EndpointId::from_uuid(endpoint),
                    state: delivery_state(&state)?,
                    count: u64::try_from(count).unwrap_or(0),
                })
            })
            .collect()
    }
}
