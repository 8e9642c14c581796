//! Events of a tenant by what has become of them, page by number, with how many there are.
//!
//! `$1` is the tenant, `$2` and `$3` the lowest and highest id, `$4` an endpoint or NULL, `$5` and `$6` limit and offset.
//! An event's id is never an endpoint's: that it is compared with one tells PostgreSQL the parameter's type.
//!
//! How many a tenant has, and how many of them in a state, is kept in `event_count`; whoever changes here what a state means
//! changes the triggers that keep it too (`migrations/`). Other totals are counted.
//!
//! Each way of asking begins with what an index gives in order, and takes so many rows within the span of time at most: what
//! lies beyond is neither listed nor counted. A delivery is never older than its event, so the span bounds it from below.

use super::statements;

/// Rows that one way of asking looks through.
macro_rules! looked_through {
    () => {
        "5000"
    };
}
/// All events, as the index of the tenant has them.
macro_rules! all_events {
    () => {
        "SELECT e.id FROM event e WHERE e.tenant_id = $1 AND e.id BETWEEN $2 AND $3"
    };
}
/// Those with a delivery to one endpoint.
macro_rules! events_of_endpoint {
    () => {
        concat!(
            "SELECT DISTINCT q.event_id AS id FROM (SELECT x.event_id, x.tenant_id FROM delivery x WHERE x.endpoint_id = $4 AND x.id >= $2 \
             AND x.event_id BETWEEN $2 AND $3 ORDER BY x.id DESC LIMIT ",
            looked_through!(),
            ") q WHERE q.tenant_id = $1",
        )
    };
}
/// The tenant's deliveries that wait or ended in a state, leased or not.
macro_rules! work_in {
    ($state:literal) => {
        concat!(
            "SELECT * FROM (SELECT d.event_id AS id, w.attempts, w.attempts_before FROM delivery_work w JOIN delivery d ON d.id = w.delivery_id \
             WHERE w.tenant_id = $1 AND w.state = '",
            $state,
            "' AND w.lease IS NULL AND w.delivery_id >= $2 AND d.event_id BETWEEN $2 AND $3 ORDER BY w.delivery_id DESC LIMIT ",
            looked_through!(),
            ") r UNION ALL SELECT * FROM (SELECT d.event_id AS id, w.attempts, w.attempts_before FROM delivery_work w JOIN delivery d ON d.id = w.delivery_id \
             WHERE w.tenant_id = $1 AND w.state = '",
            $state,
            "' AND w.lease IN (SELECT id FROM node) AND d.event_id BETWEEN $2 AND $3 LIMIT ",
            looked_through!(),
            ") h",
        )
    };
}
/// The tenant's events whose routing is in a state.
macro_rules! routing_in {
    ($state:literal) => {
        concat!(
            "SELECT * FROM (SELECT event_id AS id FROM route_work WHERE tenant_id = $1 AND state = '",
            $state,
            "' AND lease IS NULL AND event_id BETWEEN $2 AND $3 ORDER BY event_id DESC LIMIT ",
            looked_through!(),
            ") r UNION SELECT * FROM (SELECT event_id AS id FROM route_work WHERE tenant_id = $1 AND state = '",
            $state,
            "' AND lease IN (SELECT id FROM node) AND event_id BETWEEN $2 AND $3 LIMIT ",
            looked_through!(),
            ") h",
        )
    };
}
/// Keeps those of `c` that have no delivery in these states.
macro_rules! none_in {
    ($states:literal) => {
        concat!(
            "NOT EXISTS (SELECT 1 FROM delivery y JOIN delivery_work v ON v.delivery_id = y.id WHERE y.event_id = c.id AND v.state IN (",
            $states,
            "))",
        )
    };
}
/// First attempts still to be made, or routing still to be done.
macro_rules! pending_events {
    () => {
        concat!(
            "SELECT c.id FROM (",
            routing_in!("pending"),
            ") c UNION SELECT c.id FROM (",
            routing_in!("held"),
            ") c UNION SELECT c.id FROM (",
            work_in!("waiting"),
            ") c WHERE c.attempts = c.attempts_before",
        )
    };
}
macro_rules! retrying_events {
    () => {
        concat!(
            "SELECT DISTINCT c.id FROM (",
            work_in!("waiting"),
            ") c WHERE c.attempts > c.attempts_before AND NOT EXISTS (SELECT 1 FROM delivery y JOIN delivery_work v ON v.delivery_id = y.id \
             WHERE y.event_id = c.id AND v.state = 'waiting' AND v.attempts = v.attempts_before)",
        )
    };
}
macro_rules! exhausted_events {
    () => {
        concat!(
            "SELECT c.id FROM (",
            routing_in!("dead-lettered"),
            ") c UNION SELECT c.id FROM (",
            work_in!("exhausted"),
            ") c WHERE ",
            none_in!("'waiting'"),
        )
    };
}
macro_rules! rejected_events {
    () => {
        concat!(
            "SELECT DISTINCT c.id FROM (",
            work_in!("rejected"),
            ") c WHERE ",
            none_in!("'waiting', 'exhausted'"),
        )
    };
}
macro_rules! cancelled_events {
    () => {
        concat!(
            "SELECT c.id FROM (SELECT event_id AS id FROM decision WHERE outcome = 'dropped' AND tenant_id = $1 AND event_id BETWEEN $2 AND $3 \
             ORDER BY event_id DESC LIMIT ",
            looked_through!(),
            ") c UNION SELECT c.id FROM (",
            work_in!("cancelled"),
            ") c WHERE ",
            none_in!("'waiting', 'exhausted', 'rejected'"),
            " AND NOT EXISTS (SELECT 1 FROM delivery y LEFT JOIN delivery_work v ON v.delivery_id = y.id \
             WHERE y.event_id = c.id AND v.delivery_id IS NULL)",
        )
    };
}
/// Nothing is left to be done, nothing ended badly, and something arrived.
macro_rules! delivered_events {
    () => {
        concat!(
            "SELECT c.id FROM (SELECT e.id FROM event e WHERE e.tenant_id = $1 AND e.id BETWEEN $2 AND $3 ORDER BY e.id DESC LIMIT ",
            looked_through!(),
            ") c WHERE ",
            none_in!("'waiting', 'exhausted', 'rejected'"),
            " AND NOT EXISTS (SELECT 1 FROM route_work r WHERE r.event_id = c.id) \
             AND EXISTS (SELECT 1 FROM delivery y LEFT JOIN delivery_work v ON v.delivery_id = y.id \
             WHERE y.event_id = c.id AND v.delivery_id IS NULL)",
        )
    };
}
/// A page of ids in an order, of those to one endpoint where one is given.
macro_rules! page {
    ($events:expr, $order:literal) => {
        concat!(
            "SELECT p.id FROM (",
            $events,
            ") p WHERE (p.id = $4 OR $4 IS NULL OR $4 IN (SELECT z.endpoint_id FROM delivery z WHERE z.event_id = p.id)) ORDER BY p.id ",
            $order,
            " LIMIT $5 OFFSET $6",
        )
    };
}
/// How many there are, up to `$5`; `$6` is not used.
macro_rules! count {
    ($events:expr) => {
        concat!(
            "SELECT COUNT(*) FROM (SELECT 1 FROM (",
            $events,
            ") p WHERE (p.id = $4 OR $4 IS NULL OR $4 IN (SELECT z.endpoint_id FROM delivery z WHERE z.event_id = p.id)) LIMIT $5 OFFSET $6) n",
        )
    };
}

statements! {
    /// A tenant's numbers, over the slots of all writers.
    Both SELECT_EVENT_COUNT =
        "SELECT CAST(COALESCE(SUM(accepted), 0) AS BIGINT) AS accepted, CAST(COALESCE(SUM(pending), 0) AS BIGINT) AS pending, \
         CAST(COALESCE(SUM(retrying), 0) AS BIGINT) AS retrying, CAST(COALESCE(SUM(exhausted), 0) AS BIGINT) AS exhausted, \
         CAST(COALESCE(SUM(rejected), 0) AS BIGINT) AS rejected, CAST(COALESCE(SUM(cancelled), 0) AS BIGINT) AS cancelled \
         FROM event_count WHERE tenant_id = $1";
    Both SEARCH_ALL_UP = page!(all_events!(), "ASC");
    Both SEARCH_ALL_DOWN = page!(all_events!(), "DESC");
    Both SEARCH_ALL_COUNT = count!(all_events!());
    Both SEARCH_ENDPOINT_UP = page!(events_of_endpoint!(), "ASC");
    Both SEARCH_ENDPOINT_DOWN = page!(events_of_endpoint!(), "DESC");
    Both SEARCH_ENDPOINT_COUNT = count!(events_of_endpoint!());
    Both SEARCH_PENDING_UP = page!(pending_events!(), "ASC");
    Both SEARCH_PENDING_DOWN = page!(pending_events!(), "DESC");
    Both SEARCH_PENDING_COUNT = count!(pending_events!());
    Both SEARCH_RETRYING_UP = page!(retrying_events!(), "ASC");
    Both SEARCH_RETRYING_DOWN = page!(retrying_events!(), "DESC");
    Both SEARCH_RETRYING_COUNT = count!(retrying_events!());
    Both SEARCH_DELIVERED_UP = page!(delivered_events!(), "ASC");
    Both SEARCH_DELIVERED_DOWN = page!(delivered_events!(), "DESC");
    Both SEARCH_DELIVERED_COUNT = count!(delivered_events!());
    Both SEARCH_EXHAUSTED_UP = page!(exhausted_events!(), "ASC");
    Both SEARCH_EXHAUSTED_DOWN = page!(exhausted_events!(), "DESC");
    Both SEARCH_EXHAUSTED_COUNT = count!(exhausted_events!());
    Both SEARCH_REJECTED_UP = page!(rejected_events!(), "ASC");
    Both SEARCH_REJECTED_DOWN = page!(rejected_events!(), "DESC");
    Both SEARCH_REJECTED_COUNT = count!(rejected_events!());
    Both SEARCH_CANCELLED_UP = page!(cancelled_events!(), "ASC");
    Both SEARCH_CANCELLED_DOWN = page!(cancelled_events!(), "DESC");
    Both SEARCH_CANCELLED_COUNT = count!(cancelled_events!());
}
