//! What has happened before the server starts: events of the last month, each with all its facts and, where it is not
//! finished, its work. Which event met which fate follows from its number, so that the counts are known.

use hookyard_domain::{DeliveryId, EventId, Timestamp};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use uuid::Uuid;

use super::{
    bulk::{Bulk, Cell, Table},
    crowd::{Crowd, Tenant},
};

/// How far back the first event lies.
const SPAN_US: i64 = 30 * 24 * 3_600 * 1_000_000;
const HOUR_US: i64 = 3_600 * 1_000_000;
/// When a waiting delivery is due at the latest.
const DUE_WITHIN_US: i64 = 24 * HOUR_US;
/// From accepting an event to the first attempt.
const ATTEMPT_AFTER_US: i64 = 500;
const ATTEMPT_US: i64 = 1_500;
const ATTEMPTS_MAX: i64 = 5;
const PAYLOAD_BYTES: usize = 100;
/// Types an event may have; each endpoint of a tenant takes one.
const TYPES: usize = 500;
/// Progress is told so often.
const TOLD_EVERY: u32 = 1_000_000;

/// A push that the plugin makes a message of.
const PUSH: &[u8] = br#"{"ref":"refs/heads/main","compare":"https://github.example/acme/site/compare/1...2","commits":[{"id":"0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c","message":"Keep the lights on","url":"https://github.example/acme/site/commit/0d1a"}],"repository":{"full_name":"acme/site","html_url":"https://github.example/acme/site"},"sender":{"login":"ada","type":"User"}}"#;

static EVENT: Table = Table {
    name: "event",
    columns: &[
        "id",
        "tenant_id",
        "environment_id",
        "source_kind",
        "source_id",
        "event_type",
        "accepted_at",
        "payload_bytes",
        "payload",
    ],
};
static DECISION: Table = Table {
    name: "decision",
    columns: &["event_id", "run", "outcome", "decided_by", "decided_at", "tenant_id"],
};
static DELIVERY: Table = Table {
    name: "delivery",
    columns: &["id", "event_id", "tenant_id", "endpoint_id", "run", "kind"],
};
static ATTEMPT: Table = Table {
    name: "attempt",
    columns: &["delivery_id", "number", "started_at", "duration_us", "status"],
};
static ROUTE_WORK: Table = Table {
    name: "route_work",
    columns: &[
        "event_id",
        "tenant_id",
        "sender_id",
        "state",
        "payload_bytes",
        "due_at",
        "failures",
        "runs",
        "held_under",
    ],
};
static DELIVERY_WORK: Table = Table {
    name: "delivery_work",
    columns: &[
        "delivery_id",
        "tenant_id",
        "endpoint_id",
        "state",
        "attempts",
        "attempts_max",
        "attempts_before",
        "body_bytes",
        "due_at",
        "completed_at",
    ],
};

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Delivered,
    /// For an endpoint that hangs, or for later.
    Waiting,
    Held,
    Dropped,
    DeadLettered,
    Rejected,
    Exhausted,
    Cancelled,
}

impl Fate {
    /// One in ten waits, one in ten is held; one in a thousand was dropped; one in ten thousand each ended badly.
    fn of(number: u32) -> Self {
        match (number % 10, number % 1_000, number % 10_000) {
            (0, ..) => Self::Waiting,
            (1, ..) => Self::Held,
            (_, 2, _) => Self::Dropped,
            (_, _, 13) => Self::DeadLettered,
            (_, _, 23) => Self::Rejected,
            (_, _, 33) => Self::Exhausted,
            (_, _, 43) => Self::Cancelled,
            _ => Self::Delivered,
        }
    }
}

/// How many rows of each kind a history has.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub events: u64,
    pub deliveries: u64,
    /// Deliveries that wait.
    pub waiting: u64,
    pub held: u64,
}

impl Counts {
    pub fn of(events: u32) -> Self {
        let mut counts = Self::default();
        for number in 0..events {
            let fate = Fate::of(number);
            counts.events += 1;
            counts.deliveries += u64::from(!matches!(fate, Fate::Held | Fate::Dropped | Fate::DeadLettered));
            counts.waiting += u64::from(fate == Fate::Waiting);
            counts.held += u64::from(fate == Fate::Held);
        }
        counts
    }
}

/// Writes `events` events that were accepted in the month before `now`, in the order of their acceptance. Returns the
/// last event that was delivered for the largest tenant.
///
/// # Errors
/// The database refuses a row.
pub async fn write(bulk: &mut Bulk, crowd: &Crowd, events: u32, now: Timestamp) -> anyhow::Result<Uuid> {
    let types: Vec<String> = (0..TYPES).map(|index| format!("type-{index}")).collect();
    let mut random = StdRng::seed_from_u64(u64::from(events));
    let begun = std::time::Instant::now();
    let mut shown = Uuid::nil();
    for number in 0..events {
        let at = Timestamp::from_micros(now.as_micros() - SPAN_US + SPAN_US / i64::from(events) * i64::from(number));
        let teller = Teller {
            event: EventId::new_v7(at, random.random()).as_uuid(),
            delivery: DeliveryId::new_v7(at, random.random()).as_uuid(),
            at: at.as_micros(),
            now: now.as_micros(),
            chance: random.random(),
        };
        let fate = Fate::of(number);
        let tenant = teller.write(bulk, crowd, fate, number, &types).await?;
        if fate == Fate::Delivered && tenant == crowd.largest().id {
            shown = teller.event;
        }
        if (number + 1) % TOLD_EVERY == 0 {
            eprintln!("  {} of {events} events after {:.0?}", number + 1, begun.elapsed());
        }
    }
    Ok(shown)
}

/// One event's ids, times and chance.
struct Teller {
    event: Uuid,
    delivery: Uuid,
    at: i64,
    now: i64,
    chance: u64,
}

impl Teller {
    /// Half of all events are the largest tenant's; the quiet one has only such as went well.
    fn tenant<'a>(&self, crowd: &'a Crowd, fate: Fate) -> &'a Tenant {
        let all = if fate == Fate::Delivered {
            &crowd.tenants[..]
        } else {
            &crowd.tenants[..crowd.tenants.len() - 1]
        };
        let chance = self.chance as u32 as usize;
        if fate == Fate::Held || chance.is_multiple_of(2) {
            crowd.largest()
        } else {
            &all[chance / 2 % all.len()]
        }
    }

    async fn write(&self, bulk: &mut Bulk, crowd: &Crowd, fate: Fate, number: u32, types: &[String]) -> anyhow::Result<Uuid> {
        let chance = (self.chance >> 32) as usize;
        // Every second one of those that wait is for the endpoint that hangs.
        let hangs = fate == Fate::Waiting && number.is_multiple_of(20);
        let tenant = if hangs { crowd.blocked() } else { self.tenant(crowd, fate) };
        let (endpoint, due_at) = if hangs {
            (crowd.hanging_endpoint, self.at)
        } else {
            let later = HOUR_US + (self.chance % DUE_WITHIN_US as u64) as i64;
            (tenant.endpoints[chance % tenant.endpoints.len()], self.now + later)
        };
        let mut payload = [b'x'; PAYLOAD_BYTES];
        let (sender, event_type, payload): (Uuid, &str, &[u8]) = if fate == Fate::Held {
            (crowd.held_sender, "push", PUSH)
        } else {
            let (begin, end) = (format!("{{\"number\":{number},\"note\":\""), b"\"}");
            payload[..begin.len()].copy_from_slice(begin.as_bytes());
            payload[PAYLOAD_BYTES - end.len()..].copy_from_slice(end);
            (
                tenant.senders[chance % tenant.senders.len()],
                &types[chance % types.len()],
                &payload,
            )
        };
        let event = [
            Cell::Id(self.event),
            Cell::Id(tenant.id),
            Cell::Id(tenant.environment),
            Cell::Text("sender"),
            Cell::Id(sender),
            Cell::Text(event_type),
            Cell::Int(self.at),
            Cell::Int(payload.len() as i64),
            Cell::Bytes(payload),
        ];
        bulk.add(&EVENT, &event).await?;
        let (outcome, decided_by, undecided) = match fate {
            Fate::Held => ("held", "plugin", Some(("held", crowd.held_under))),
            Fate::DeadLettered => ("dead-lettered", "plugin", Some(("dead-lettered", 0))),
            Fate::Dropped => ("dropped", "sender", None),
            _ => ("routed", "sender", None),
        };
        let decision = [
            Cell::Id(self.event),
            Cell::Int(1),
            Cell::Text(outcome),
            Cell::Text(decided_by),
            Cell::Int(self.at),
            if outcome == "routed" { Cell::Null } else { Cell::Id(tenant.id) },
        ];
        bulk.add(&DECISION, &decision).await?;
        if let Some((state, held_under)) = undecided {
            let work = [
                Cell::Id(self.event),
                Cell::Id(tenant.id),
                Cell::Id(sender),
                Cell::Text(state),
                Cell::Int(payload.len() as i64),
                Cell::Int(self.at),
                Cell::Int(0),
                Cell::Int(1),
                Cell::Int(held_under),
            ];
            bulk.add(&ROUTE_WORK, &work).await?;
        }
        if !matches!(fate, Fate::Held | Fate::DeadLettered | Fate::Dropped) {
            self.write_delivery(bulk, tenant, endpoint, fate, due_at, payload.len() as i64)
                .await?;
        }
        Ok(tenant.id)
    }

    async fn write_delivery(
        &self,
        bulk: &mut Bulk,
        tenant: &Tenant,
        endpoint: Uuid,
        fate: Fate,
        due_at: i64,
        body_bytes: i64,
    ) -> anyhow::Result<()> {
        let delivery = [
            Cell::Id(self.delivery),
            Cell::Id(self.event),
            Cell::Id(tenant.id),
            Cell::Id(endpoint),
            Cell::Int(1),
            Cell::Text("event"),
        ];
        bulk.add(&DELIVERY, &delivery).await?;
        let (attempts, status, state) = match fate {
            Fate::Waiting => (0, 0, Some("waiting")),
            Fate::Cancelled => (0, 0, Some("cancelled")),
            Fate::Rejected => (1, 400, Some("rejected")),
            Fate::Exhausted => (ATTEMPTS_MAX, 503, Some("exhausted")),
            _ => (1, 200, None),
        };
        let first = self.at + ATTEMPT_AFTER_US;
        for number in 1..=attempts {
            let attempt = [
                Cell::Id(self.delivery),
                Cell::Int(number),
                Cell::Int(first + (number - 1) * HOUR_US),
                Cell::Int(ATTEMPT_US),
                Cell::Int(status),
            ];
            bulk.add(&ATTEMPT, &attempt).await?;
        }
        if let Some(state) = state {
            let completed_at = match fate {
                Fate::Waiting => Cell::Null,
                _ => Cell::Int(first + attempts * HOUR_US),
            };
            let work = [
                Cell::Id(self.delivery),
                Cell::Id(tenant.id),
                Cell::Id(endpoint),
                Cell::Text(state),
                Cell::Int(attempts),
                Cell::Int(ATTEMPTS_MAX),
                Cell::Int(0),
                Cell::Int(body_bytes),
                Cell::Int(due_at),
                completed_at,
            ];
            bulk.add(&DELIVERY_WORK, &work).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_waits_and_a_tenth_is_held() {
        let counts = Counts::of(100_000);
        assert_eq!((counts.events, counts.waiting, counts.held), (100_000, 10_000, 10_000));
        // Neither the held ones, nor the 100 dropped and the 10 dead-lettered.
        assert_eq!(counts.deliveries, 100_000 - 10_000 - 100 - 10);
    }

    #[test]
    fn every_fate_is_met() {
        let met: Vec<Fate> = (0..10_000).map(Fate::of).collect();
        for fate in [
            Fate::Delivered,
            Fate::Dropped,
            Fate::DeadLettered,
            Fate::Rejected,
            Fate::Exhausted,
            Fate::Cancelled,
        ] {
            assert!(met.contains(&fate), "{fate:?}");
        }
    }
}
