//! Events of a tenant by what has become of them, page by number.

use hookyard_domain::{EndpointId, EventId, TenantId, Timestamp};
use uuid::Uuid;

use super::{Store, error::Error, on, statements as sql};

/// Events that are counted where no number is kept; at this number there may be more.
pub const SEARCH_COUNT_MAX: u32 = 10_000;

/// What has become of an event, over all its deliveries: the least finished speaks, then the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Become {
    /// Routing or a first attempt is still to come.
    Pending,
    Retrying,
    Delivered,
    /// Dead-lettered, or out of attempts.
    Exhausted,
    Rejected,
    /// Dropped on purpose, or cancelled.
    Cancelled,
}

/// What is searched for.
#[derive(Debug, Clone, Copy)]
pub struct Search {
    pub tenant: TenantId,
    /// None is whatever has become of them.
    pub state: Option<Become>,
    pub endpoint: Option<EndpointId>,
    /// Accepted then or later.
    pub from: Option<Timestamp>,
    /// Accepted then or earlier.
    pub to: Option<Timestamp>,
    pub newest_first: bool,
    pub limit: u32,
    pub offset: u64,
}

/// A page of ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub events: Vec<EventId>,
    pub total: Total,
}

/// How many events there are on all pages together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Total {
    /// All of them: the number is kept (`event_count`).
    Kept(u64),
    /// Those that were looked through for it, up to [`SEARCH_COUNT_MAX`]: there may be more.
    Counted(u64),
}

/// What is kept of a tenant: all its events, and those of each state but delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kept {
    accepted: i64,
    pending: i64,
    retrying: i64,
    exhausted: i64,
    rejected: i64,
    cancelled: i64,
}

impl Kept {
    fn of(&self, state: Option<Become>) -> u64 {
        let events = match state {
            None => self.accepted,
            Some(Become::Pending) => self.pending,
            Some(Become::Retrying) => self.retrying,
            Some(Become::Exhausted) => self.exhausted,
            Some(Become::Rejected) => self.rejected,
            Some(Become::Cancelled) => self.cancelled,
            Some(Become::Delivered) => self.accepted - self.pending - self.retrying - self.exhausted - self.rejected - self.cancelled,
        };
        u64::try_from(events).unwrap_or(0)
    }
}

impl Store {
    pub async fn search_events(&self, search: &Search) -> Result<Found, Error> {
        let (up, down, count) = match (search.state, search.endpoint) {
            (None, None) => (sql::SEARCH_ALL_UP, sql::SEARCH_ALL_DOWN, sql::SEARCH_ALL_COUNT),
            (None, Some(_)) => (sql::SEARCH_ENDPOINT_UP, sql::SEARCH_ENDPOINT_DOWN, sql::SEARCH_ENDPOINT_COUNT),
            (Some(Become::Pending), _) => (sql::SEARCH_PENDING_UP, sql::SEARCH_PENDING_DOWN, sql::SEARCH_PENDING_COUNT),
            (Some(Become::Retrying), _) => (sql::SEARCH_RETRYING_UP, sql::SEARCH_RETRYING_DOWN, sql::SEARCH_RETRYING_COUNT),
            (Some(Become::Delivered), _) => (sql::SEARCH_DELIVERED_UP, sql::SEARCH_DELIVERED_DOWN, sql::SEARCH_DELIVERED_COUNT),
            (Some(Become::Exhausted), _) => (sql::SEARCH_EXHAUSTED_UP, sql::SEARCH_EXHAUSTED_DOWN, sql::SEARCH_EXHAUSTED_COUNT),
            (Some(Become::Rejected), _) => (sql::SEARCH_REJECTED_UP, sql::SEARCH_REJECTED_DOWN, sql::SEARCH_REJECTED_COUNT),
            (Some(Become::Cancelled), _) => (sql::SEARCH_CANCELLED_UP, sql::SEARCH_CANCELLED_DOWN, sql::SEARCH_CANCELLED_COUNT),
        };
        let listed = if search.newest_first { down } else { up };
        let tenant = search.tenant.as_uuid();
        // An id begins with its millisecond, so a span of time is a span of ids.
        let low = search.from.map_or(Uuid::nil(), |at| EventId::new_v7(at, [0; 10]).as_uuid());
        let high = search.to.map_or(Uuid::max(), |at| EventId::new_v7(at, [0xff; 10]).as_uuid());
        let endpoint = search.endpoint.map(EndpointId::as_uuid);
        let offset = i64::try_from(search.offset).unwrap_or(i64::MAX);
        let rows: Vec<(Uuid,)> = on!(self, |pool| sqlx::query_as(listed)
            .bind(tenant)
            .bind(low)
            .bind(high)
            .bind(endpoint)
            .bind(i64::from(search.limit))
            .bind(offset)
            .fetch_all(pool)
            .await)?;
        // Of a tenant, and of a state of it, the number is kept.
        if (search.endpoint, search.from, search.to) == (None, None, None) {
            let (accepted, pending, retrying, exhausted, rejected, cancelled): (i64, i64, i64, i64, i64, i64) =
                on!(self, |pool| sqlx::query_as(sql::SELECT_EVENT_COUNT)
                    .bind(tenant)
                    .fetch_one(pool)
                    .await)?;
            let kept = Kept {
                accepted,
                pending,
                retrying,
                exhausted,
                rejected,
                cancelled,
            };
            return Ok(Found {
                events: listed_ids(rows),
                total: Total::Kept(kept.of(search.state)),
            });
        }
        let (total,): (i64,) = on!(self, |pool| sqlx::query_as(count)
            .bind(tenant)
            .bind(low)
            .bind(high)
            .bind(endpoint)
            .bind(i64::from(SEARCH_COUNT_MAX))
            .bind(0_i64)
            .fetch_one(pool)
            .await)?;
        Ok(Found {
            events: listed_ids(rows),
            total: Total::Counted(total.unsigned_abs()),
        })
    }
}

fn listed_ids(rows: Vec<(Uuid,)>) -> Vec<EventId> {
    rows.into_iter().map(|(id,)| EventId::from_uuid(id)).collect()
}
