//! What stands still, and setting it going again (O1).

use hookyard_domain::{DeliveryId, DeliveryState, EndpointId, EventId, EventState, Scope, SenderId, TenantId, Timestamp};
use uuid::Uuid;

use super::{Manage, NO_ENDPOINT, Refusal, within};
use crate::{configuration::Snapshot, fanout::Deliveries, store::SetAside};

/// Deliveries that are purged in one transaction: some ten milliseconds, so that no other write waits long.
const PURGED_AT_ONCE: u32 = 1_000;
/// Rounds of a purge: each but the first finds only what was being claimed in the one before.
const PURGES_MAX: u32 = 20;

/// Events or deliveries that are replayed in one transaction: some milliseconds, so that no other write waits long.
const REPLAYED_AT_ONCE: usize = 100;

/// Everything that waits for somebody to act, counted.
#[derive(Debug, Default)]
pub struct Standing {
    pub events: Vec<StandingEvents>,
    pub deliveries: Vec<StandingDeliveries>,
    pub blocked: Vec<Blocked>,
    /// Rows of the configuration that cannot be used. Only the operator is told: what such a row says whose it is cannot
    /// be relied on.
    pub set_aside: Vec<SetAside>,
}

/// A sender's events that are held or dead-lettered.
#[derive(Debug)]
pub struct StandingEvents {
    pub sender: SenderId,
    /// `tenant/sender`; none where it is no longer configured.
    pub name: Option<String>,
    pub state: EventState,
    /// At [`crate::store::COUNT_MAX`]: or more.
    pub count: u64,
    /// The first accepted, of held ones of those held under the oldest revision.
    pub first: EventId,
    /// JSON: why the first one stands still, which as a rule is why all of them do.
    pub detail: Option<String>,
}

/// An endpoint's deliveries that ended without arriving.
#[derive(Debug)]
pub struct StandingDeliveries {
    pub endpoint: EndpointId,
    /// `tenant/endpoint`; none where it is no longer configured.
    pub name: Option<String>,
    pub state: DeliveryState,
    /// At [`crate::store::COUNT_MAX`]: or more.
    pub count: u64,
}

/// An endpoint that is left alone for a while because its receiver failed too often.
#[derive(Debug)]
pub struct Blocked {
    pub endpoint: EndpointId,
    pub name: Option<String>,
    pub opened_at: Timestamp,
    pub until: Timestamp,
}

/// What a replay put back to work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// Events and deliveries. None where nothing was to be done: under way, due already, delivered, or dropped on purpose.
    pub count: u64,
}

impl Manage {
    pub async fn standing(&self, scope: Scope) -> Result<Standing, Refusal> {
        let snapshot = self.fresh().await?;
        let mut standing = Standing::default();
        for row in self.store.standing_events(scope).await? {
            let first = self.store.event(scope, row.first).await?;
            standing.events.push(StandingEvents {
                sender: row.sender,
                name: sender_name(&snapshot, row.sender),
                state: row.state,
                count: row.count,
                first: row.first,
                detail: first.and_then(|event| event.decision).and_then(|decision| decision.detail),
            });
        }
        for row in self.store.standing_deliveries(scope).await? {
            standing.deliveries.push(StandingDeliveries {
                endpoint: row.endpoint,
                name: endpoint_name(&snapshot, row.endpoint),
                state: row.state,
                count: row.count,
            });
        }
        standing.blocked = self.blocked(scope).await?;
        if scope == Scope::Operator {
            standing.set_aside = snapshot.set_aside().cloned().collect();
        }
        Ok(standing)
    }

    /// The endpoints that are left alone at the moment.
    pub async fn blocked(&self, scope: Scope) -> Result<Vec<Blocked>, Refusal> {
        let snapshot = self.fresh().await?;
        let blocked = self.store.breakers().await?.into_iter().filter(|row| scope.holds(row.tenant));
        let blocked = blocked.map(|row| Blocked {
            endpoint: row.endpoint,
            name: endpoint_name(&snapshot, row.endpoint),
            opened_at: row.opened_at,
            until: row.blocked_until,
        });
        Ok(blocked.collect())
    }

    /// Until when an endpoint is left alone because its receiver fails. The caller has checked whose it is.
    pub async fn blocked_until(&self, endpoint: EndpointId) -> Result<Option<Timestamp>, Refusal> {
        Ok(self.store.blocked_until(endpoint).await?)
    }

    /// Ends everything that waits for an endpoint as cancelled, some at a time, and what comes back while it does so: an attempt under
    /// way may still arrive, and nothing follows it. `deliveries` is what this node has in memory, where it delivers.
    pub async fn purge_endpoint(
        &self,
        scope: Scope,
        tenant: TenantId,
        endpoint: EndpointId,
        deliveries: Option<&dyn Deliveries>,
    ) -> Result<(), Refusal> {
        within(scope, tenant, NO_ENDPOINT)?;
        for _ in 0..PURGES_MAX {
            let mut purged = 0;
            loop {
                let some = self.store.cancel_waiting(endpoint, PURGED_AT_ONCE, self.clock.now()).await?;
                purged += some;
                if some == 0 {
                    break;
                }
            }
            purged += self.store.cancel_leased(endpoint, self.clock.now()).await?;
            if let Some(deliveries) = deliveries {
                deliveries.withdraw(endpoint);
            }
            if purged == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Puts an event or a delivery back to work: a held or dead-lettered event is routed again, a delivery that ended
    /// without arriving starts over, one that waits for its next attempt is due now.
    pub async fn replay(&self, scope: Scope, id: Uuid) -> Result<Replayed, Refusal> {
        let now = self.clock.now();
        let (event, delivery) = (EventId::from_uuid(id), DeliveryId::from_uuid(id));
        let count = if self.store.event(scope, event).await?.is_some() {
            self.store.replay_event(scope, event, now).await?
        } else if self.store.delivery(scope, delivery).await?.is_some() {
            self.store.replay_delivery(scope, delivery, now).await?
        } else {
            return Err(Refusal::NotFound { what: "event or delivery" });
        };
        Ok(Replayed { count })
    }

    /// Puts all of these back to work, some at a time. What lies outside the scope stays as it is.
    pub async fn replay_deliveries(&self, scope: Scope, ids: &[DeliveryId]) -> Result<Replayed, Refusal> {
        let mut count = 0;
        for some in ids.chunks(REPLAYED_AT_ONCE) {
            count += self.store.replay_deliveries(scope, some, self.clock.now()).await?;
        }
        Ok(Replayed { count })
    }

    /// The same of events.
    pub async fn replay_events(&self, scope: Scope, ids: &[EventId]) -> Result<Replayed, Refusal> {
        let mut count = 0;
        for some in ids.chunks(REPLAYED_AT_ONCE) {
            count += self.store.replay_events(scope, some, self.clock.now()).await?;
        }
        Ok(Replayed { count })
    }
}

fn sender_name(snapshot: &Snapshot, id: SenderId) -> Option<String> {
    let sender = snapshot.senders.get(&id)?;
    Some(format!("{}/{}", sender.tenant.name, sender.label()))
}

fn endpoint_name(snapshot: &Snapshot, id: EndpointId) -> Option<String> {
    let endpoint = snapshot.endpoints.get(&id)?;
    Some(format!("{}/{}", endpoint.tenant.name, endpoint.label()))
}
