//! Reads by people, and replay.
//!
//! Lists go newest first, by key: the rows below an id, so many at once. Each is served by an index of its own, whatever
//! the tables hold. What is unusual (held, dropped, exhausted…) is small and listed by its own index; what is usual
//! (routed, delivered) is what a walk over the facts finds, which therefore looks through a window of so many rows.

use super::statements;

/// An event with its work, its latest decision and who decided.
macro_rules! event_columns {
    () => {
        "SELECT e.id, e.tenant_id, t.name, e.source_kind, e.source_id, COALESCE(s.name, p.name), e.event_type, e.content_type, e.accepted_at, \
         e.idempotency_key, e.payload_bytes, w.state, w.due_at, d.run, d.outcome, d.decided_by, d.decided_at, g.name, a.hash, d.generation, \
         d.cpu_us, d.wall_us, d.memory_bytes, d.detail"
    };
}
macro_rules! event_joins {
    () => {
        "JOIN tenant t ON t.id = e.tenant_id \
         LEFT JOIN sender s ON e.source_kind = 'sender' AND s.id = e.source_id LEFT JOIN endpoint p ON e.source_kind = 'endpoint' AND p.id = e.source_id \
         LEFT JOIN route_work w ON w.event_id = e.id \
         LEFT JOIN decision d ON d.event_id = e.id AND d.run = (SELECT MAX(l.run) FROM decision l WHERE l.event_id = e.id) \
         LEFT JOIN plugin g ON g.id = d.plugin_id LEFT JOIN plugin_activation a ON a.plugin_id = d.plugin_id AND a.generation = d.generation"
    };
}
/// A delivery with its work and its latest attempt.
macro_rules! delivery_columns {
    () => {
        "SELECT d.id, d.event_id, d.tenant_id, t.name, d.endpoint_id, p.name, d.run, d.kind, d.content, w.state, w.attempts, w.attempts_max, w.due_at, w.completed_at, \
         l.number, l.started_at, l.duration_us, w.attempts_before"
    };
}
macro_rules! delivery_joins {
    () => {
        "JOIN tenant t ON t.id = d.tenant_id JOIN endpoint p ON p.id = d.endpoint_id \
         LEFT JOIN delivery_work w ON w.delivery_id = d.id \
         LEFT JOIN attempt l ON l.delivery_id = d.id AND l.number = (SELECT MAX(m.number) FROM attempt m WHERE m.delivery_id = d.id)"
    };
}
/// Counts each sender's events in one state, up to `$1`, and names the first in the order of that state's index.
macro_rules! counted_events {
    ($state:literal by $order:literal, $senders:expr) => {
        concat!(
            "SELECT s.sender_id, '",
            $state,
            "', (SELECT COUNT(*) FROM (SELECT 1 FROM route_work r WHERE r.state = '",
            $state,
            "' AND r.sender_id = s.sender_id LIMIT $1) c), \
             (SELECT r.event_id FROM route_work r WHERE r.state = '",
            $state,
            "' AND r.sender_id = s.sender_id ORDER BY ",
            $order,
            " LIMIT 1) FROM ",
            $senders,
        )
    };
}
/// A tenant's senders that have events in one state.
macro_rules! senders_with {
    ($state:literal) => {
        concat!(
            "(SELECT q.id AS sender_id FROM sender q WHERE q.tenant_id = $2) s \
             WHERE EXISTS (SELECT 1 FROM route_work r WHERE r.sender_id = s.sender_id AND r.state = '",
            $state,
            "')",
        )
    };
}
/// Counts each endpoint's deliveries in each state they can end in without arriving, up to `$1`.
macro_rules! counted_deliveries {
    ($endpoints:expr) => {
        concat!(
            "SELECT p.endpoint_id, t.state, \
             (SELECT COUNT(*) FROM (SELECT 1 FROM delivery_work w WHERE w.endpoint_id = p.endpoint_id AND w.state = t.state AND w.state <> 'waiting' LIMIT $1) c) \
             FROM (SELECT 'rejected' AS state UNION ALL SELECT 'exhausted' UNION ALL SELECT 'cancelled') t CROSS JOIN ",
            $endpoints,
            " EXISTS (SELECT 1 FROM delivery_work w WHERE w.endpoint_id = p.endpoint_id AND w.state = t.state AND w.state <> 'waiting') ORDER BY 1, 2",
        )
    };
}

statements! {
    // -- events -------------------------------------------------------------------------------------------------------

    /// All, of all tenants.
    Both LIST_EVENTS = concat!(
        event_columns!(),
        " FROM (SELECT id FROM event WHERE id < $1 ORDER BY id DESC LIMIT $2) n JOIN event e ON e.id = n.id ",
        event_joins!(),
        " ORDER BY e.id DESC",
    );
    /// All of a tenant.
    Both LIST_EVENTS_OF_TENANT = concat!(
        event_columns!(),
        " FROM (SELECT id FROM event WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3) n JOIN event e ON e.id = n.id ",
        event_joins!(),
        " ORDER BY e.id DESC",
    );
    /// Those that wait to be routed, leased or not. A lease of no node hides one until it is given back, half a minute later.
    Both LIST_PENDING_EVENTS = concat!(
        event_columns!(),
        " FROM (SELECT u.id FROM (SELECT * FROM (SELECT event_id AS id FROM route_work WHERE state = 'pending' AND lease IS NULL AND event_id < $1 ORDER BY event_id DESC LIMIT $2) r \
         UNION ALL SELECT * FROM (SELECT event_id AS id FROM route_work WHERE state = 'pending' AND lease IN (SELECT id FROM node) AND event_id < $1 ORDER BY event_id DESC LIMIT $2) h) u ORDER BY u.id DESC LIMIT $2) n JOIN event e ON e.id = n.id ",
        event_joins!(),
        " ORDER BY e.id DESC",
    );
    /// Those that are held or dead-lettered. That they are not pending is said again, for an index holds only those.
    Both LIST_STANDING_EVENTS = concat!(
        event_columns!(),
        " FROM (SELECT event_id AS id FROM route_work WHERE state = $1 AND state <> 'pending' AND event_id < $2 ORDER BY event_id DESC LIMIT $3) n JOIN event e ON e.id = n.id ",
        event_joins!(),
        " ORDER BY e.id DESC",
    );
    /// Those of a tenant whose routing is not finished, by state.
    Both LIST_STANDING_EVENTS_OF_TENANT = concat!(
        event_columns!(),
        " FROM (SELECT u.id FROM (SELECT * FROM (SELECT event_id AS id FROM route_work WHERE tenant_id = $1 AND state = $2 AND lease IS NULL AND event_id < $3 ORDER BY event_id DESC LIMIT $4) r \
         UNION ALL SELECT * FROM (SELECT event_id AS id FROM route_work WHERE tenant_id = $1 AND state = $2 AND lease IN (SELECT id FROM node) AND event_id < $3 ORDER BY event_id DESC LIMIT $4) h) u ORDER BY u.id DESC LIMIT $4) n JOIN event e ON e.id = n.id ",
        event_joins!(),
        " ORDER BY e.id DESC",
    );
    /// Those that were dropped.
    Both LIST_DROPPED_EVENTS = concat!(
        event_columns!(),
        " FROM (SELECT event_id AS id FROM decision WHERE outcome = 'dropped' AND event_id < $1 ORDER BY event_id DESC LIMIT $2) n JOIN event e ON e.id = n.id ",
        event_joins!(),
        " ORDER BY e.id DESC",
    );
    /// The same of a tenant.
    Both LIST_DROPPED_EVENTS_OF_TENANT = concat!(
        event_columns!(),
        " FROM (SELECT event_id AS id FROM decision WHERE outcome = 'dropped' AND tenant_id = $1 AND event_id < $2 ORDER BY event_id DESC LIMIT $3) n JOIN event e ON e.id = n.id ",
        event_joins!(),
        " ORDER BY e.id DESC",
    );
    /// Those that were routed, among the first `$3` below the id.
    Both LIST_ROUTED_EVENTS = concat!(
        event_columns!(),
        " FROM (SELECT c.id FROM (SELECT id FROM event WHERE id < $1 ORDER BY id DESC LIMIT $3) c WHERE NOT EXISTS (SELECT 1 FROM route_work w WHERE w.event_id = c.id) AND NOT EXISTS (SELECT 1 FROM decision d WHERE d.event_id = c.id AND d.outcome = 'dropped') ORDER BY c.id DESC LIMIT $2) n JOIN event e ON e.id = n.id ",
        event_joins!(),
        " ORDER BY e.id DESC",
    );
    /// The same of a tenant.
    Both LIST_ROUTED_EVENTS_OF_TENANT = concat!(
        event_columns!(),
        " FROM (SELECT c.id FROM (SELECT id FROM event WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $4) c WHERE NOT EXISTS (SELECT 1 FROM route_work w WHERE w.event_id = c.id) AND NOT EXISTS (SELECT 1 FROM decision d WHERE d.event_id = c.id AND d.outcome = 'dropped') ORDER BY c.id DESC LIMIT $3) n JOIN event e ON e.id = n.id ",
        event_joins!(),
        " ORDER BY e.id DESC",
    );
    // Where a walk over so many rows ends; none where there are fewer.
    Both END_OF_EVENTS = "SELECT id FROM event WHERE id < $1 ORDER BY id DESC LIMIT 1 OFFSET $2";
    Both END_OF_EVENTS_OF_TENANT = "SELECT id FROM event WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT 1 OFFSET $3";
    Both END_OF_DELIVERIES = "SELECT id FROM delivery WHERE id < $1 ORDER BY id DESC LIMIT 1 OFFSET $2";
    Both END_OF_DELIVERIES_OF_TENANT = "SELECT id FROM delivery WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT 1 OFFSET $3";
    Both SELECT_EVENT = concat!(
        event_columns!(),
        " FROM event e ",
        event_joins!(),
        " WHERE e.id = $1 AND (e.tenant_id = $2 OR $2 IS NULL)",
    );
    Both SELECT_PAYLOAD = "SELECT payload FROM event WHERE id = $1 AND (tenant_id = $2 OR $2 IS NULL)";
    /// What a new plugin version is tried on: a sender's events whose routing worked, among the newest of its tenant, so
    /// that the search stays bounded.
    Both SELECT_RECENT_EVENTS =
        "SELECT e.id, e.event_type, e.content_type, e.headers, e.payload, e.accepted_at FROM \
         (SELECT id, source_id FROM event WHERE tenant_id = $1 ORDER BY id DESC LIMIT 500) c JOIN event e ON e.id = c.id \
         WHERE c.source_id = $2 AND e.payload_bytes <= 1048576 AND NOT EXISTS (SELECT 1 FROM route_work w WHERE w.event_id = c.id) \
         ORDER BY e.id DESC LIMIT $3";

    // -- deliveries ---------------------------------------------------------------------------------------------------

    /// All, of all tenants.
    Both LIST_DELIVERIES = concat!(
        delivery_columns!(),
        " FROM (SELECT id FROM delivery WHERE id < $1 ORDER BY id DESC LIMIT $2) n JOIN delivery d ON d.id = n.id ",
        delivery_joins!(),
        " ORDER BY d.id DESC",
    );
    /// All of a tenant.
    Both LIST_DELIVERIES_OF_TENANT = concat!(
        delivery_columns!(),
        " FROM (SELECT id FROM delivery WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3) n JOIN delivery d ON d.id = n.id ",
        delivery_joins!(),
        " ORDER BY d.id DESC",
    );
    /// All of an endpoint.
    Both LIST_DELIVERIES_OF_ENDPOINT = concat!(
        delivery_columns!(),
        " FROM (SELECT id FROM delivery WHERE endpoint_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3) n JOIN delivery d ON d.id = n.id ",
        delivery_joins!(),
        " ORDER BY d.id DESC",
    );
    /// Those that wait for an attempt, leased or not; as [`LIST_PENDING_EVENTS`].
    Both LIST_WAITING_DELIVERIES = concat!(
        delivery_columns!(),
        " FROM (SELECT u.id FROM (SELECT * FROM (SELECT delivery_id AS id FROM delivery_work WHERE state = 'waiting' AND lease IS NULL AND delivery_id < $1 ORDER BY delivery_id DESC LIMIT $2) r \
         UNION ALL SELECT * FROM (SELECT delivery_id AS id FROM delivery_work WHERE state = 'waiting' AND lease IN (SELECT id FROM node) AND delivery_id < $1 ORDER BY delivery_id DESC LIMIT $2) h) u ORDER BY u.id DESC LIMIT $2) n JOIN delivery d ON d.id = n.id ",
        delivery_joins!(),
        " ORDER BY d.id DESC",
    );
    /// Those that ended without arriving, by state; said twice as in [`LIST_STANDING_EVENTS`].
    Both LIST_ENDED_DELIVERIES = concat!(
        delivery_columns!(),
        " FROM (SELECT delivery_id AS id FROM delivery_work WHERE state = $1 AND state <> 'waiting' AND delivery_id < $2 ORDER BY delivery_id DESC LIMIT $3) n JOIN delivery d ON d.id = n.id ",
        delivery_joins!(),
        " ORDER BY d.id DESC",
    );
    /// Those of a tenant that are not delivered, by state.
    Both LIST_STANDING_DELIVERIES_OF_TENANT = concat!(
        delivery_columns!(),
        " FROM (SELECT u.id FROM (SELECT * FROM (SELECT delivery_id AS id FROM delivery_work WHERE tenant_id = $1 AND state = $2 AND lease IS NULL AND delivery_id < $3 ORDER BY delivery_id DESC LIMIT $4) r \
         UNION ALL SELECT * FROM (SELECT delivery_id AS id FROM delivery_work WHERE tenant_id = $1 AND state = $2 AND lease IN (SELECT id FROM node) AND delivery_id < $3 ORDER BY delivery_id DESC LIMIT $4) h) u ORDER BY u.id DESC LIMIT $4) n JOIN delivery d ON d.id = n.id ",
        delivery_joins!(),
        " ORDER BY d.id DESC",
    );
    /// Those that arrived, among the first `$3` below the id.
    Both LIST_DELIVERED = concat!(
        delivery_columns!(),
        " FROM (SELECT c.id FROM (SELECT id FROM delivery WHERE id < $1 ORDER BY id DESC LIMIT $3) c WHERE NOT EXISTS (SELECT 1 FROM delivery_work w WHERE w.delivery_id = c.id) ORDER BY c.id DESC LIMIT $2) n JOIN delivery d ON d.id = n.id ",
        delivery_joins!(),
        " ORDER BY d.id DESC",
    );
    /// The same of a tenant.
    Both LIST_DELIVERED_OF_TENANT = concat!(
        delivery_columns!(),
        " FROM (SELECT c.id FROM (SELECT id FROM delivery WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $4) c WHERE NOT EXISTS (SELECT 1 FROM delivery_work w WHERE w.delivery_id = c.id) ORDER BY c.id DESC LIMIT $3) n JOIN delivery d ON d.id = n.id ",
        delivery_joins!(),
        " ORDER BY d.id DESC",
    );
    Both LIST_DELIVERIES_OF_EVENT = concat!(
        delivery_columns!(),
        " FROM delivery d ",
        delivery_joins!(),
        " WHERE d.event_id = $1 AND (d.tenant_id = $2 OR $2 IS NULL) ORDER BY d.id",
    );
    /// A page of them, newest first.
    Both PAGE_DELIVERIES_OF_EVENT = concat!(
        delivery_columns!(),
        " FROM delivery d ",
        delivery_joins!(),
        " WHERE d.event_id = $1 AND (d.tenant_id = $2 OR $2 IS NULL) AND d.id < $3 ORDER BY d.id DESC LIMIT $4",
    );
    Both SELECT_DELIVERY = concat!(
        delivery_columns!(),
        " FROM delivery d ",
        delivery_joins!(),
        " WHERE d.id = $1 AND (d.tenant_id = $2 OR $2 IS NULL)",
    );
    Both LIST_ATTEMPTS =
        "SELECT a.number, a.started_at, a.duration_us, a.status, a.error, a.error_detail, a.response \
         FROM delivery d JOIN attempt a ON a.delivery_id = d.id WHERE d.id = $1 AND (d.tenant_id = $2 OR $2 IS NULL) ORDER BY a.number";

    // -- what stands still --------------------------------------------------------------------------------------------

    /// By sender and state, up to `$1` of each: counting a million takes half a second. Steps from sender to sender as
    /// [`super::SELECT_SENDERS_WITH_HELD`] does.
    Both COUNT_STANDING_EVENTS = concat!(
        "WITH RECURSIVE held (sender_id) AS ( \
           SELECT (SELECT r.sender_id FROM route_work r WHERE r.state = 'held' ORDER BY r.sender_id LIMIT 1) \
           UNION ALL \
           SELECT (SELECT r.sender_id FROM route_work r WHERE r.state = 'held' AND r.sender_id > h.sender_id ORDER BY r.sender_id LIMIT 1) \
           FROM held h WHERE h.sender_id IS NOT NULL), \
         dead (sender_id) AS ( \
           SELECT (SELECT r.sender_id FROM route_work r WHERE r.state = 'dead-lettered' ORDER BY r.sender_id LIMIT 1) \
           UNION ALL \
           SELECT (SELECT r.sender_id FROM route_work r WHERE r.state = 'dead-lettered' AND r.sender_id > d.sender_id ORDER BY r.sender_id LIMIT 1) \
           FROM dead d WHERE d.sender_id IS NOT NULL) ",
        counted_events!("held" by "r.held_under, r.event_id", "held s WHERE s.sender_id IS NOT NULL"),
        " UNION ALL ",
        counted_events!("dead-lettered" by "r.event_id", "dead s WHERE s.sender_id IS NOT NULL"),
        " ORDER BY 1, 2",
    );
    Both COUNT_STANDING_EVENTS_OF_TENANT = concat!(
        counted_events!("held" by "r.held_under, r.event_id", senders_with!("held")),
        " UNION ALL ",
        counted_events!("dead-lettered" by "r.event_id", senders_with!("dead-lettered")),
        " ORDER BY 1, 2",
    );
    /// By endpoint and state, likewise.
    Both COUNT_STANDING_DELIVERIES = concat!(
        "WITH RECURSIVE ended (endpoint_id) AS ( \
           SELECT (SELECT w.endpoint_id FROM delivery_work w WHERE w.state <> 'waiting' ORDER BY w.endpoint_id LIMIT 1) \
           UNION ALL \
           SELECT (SELECT w.endpoint_id FROM delivery_work w WHERE w.state <> 'waiting' AND w.endpoint_id > p.endpoint_id ORDER BY w.endpoint_id LIMIT 1) \
           FROM ended p WHERE p.endpoint_id IS NOT NULL) ",
        counted_deliveries!("ended p WHERE p.endpoint_id IS NOT NULL AND"),
    );
    Both COUNT_STANDING_DELIVERIES_OF_TENANT = counted_deliveries!(
        "(SELECT q.id AS endpoint_id FROM endpoint q WHERE q.tenant_id = $2) p WHERE"
    );

    // -- replay -------------------------------------------------------------------------------------------------------

    /// A finished, undelivered delivery starts over; its attempts go on counting from where they were (D1).
    Both REPLAY_DELIVERY =
        "UPDATE delivery_work SET state = 'waiting', completed_at = NULL, due_at = $2, attempts_before = attempts \
         WHERE delivery_id = $1 AND (tenant_id = $3 OR $3 IS NULL) AND state IN ('exhausted', 'rejected', 'cancelled')";
    Both REPLAY_DELIVERIES_OF_EVENT =
        "UPDATE delivery_work SET state = 'waiting', completed_at = NULL, due_at = $2, attempts_before = attempts \
         WHERE delivery_id IN (SELECT id FROM delivery WHERE event_id = $1) AND (tenant_id = $3 OR $3 IS NULL) \
         AND state IN ('exhausted', 'rejected', 'cancelled')";
    /// A delivery that waits is due at once, whatever it waits for; its attempts count on.
    Both HASTEN_DELIVERY =
        "UPDATE delivery_work SET due_at = $2 WHERE delivery_id = $1 AND (tenant_id = $3 OR $3 IS NULL) AND state = 'waiting' \
         AND lease IS NULL AND due_at > $2";
    /// Those between two attempts only: a delay the plugin decided on is kept (R1).
    Both HASTEN_DELIVERIES_OF_EVENT =
        "UPDATE delivery_work SET due_at = $2 WHERE delivery_id IN (SELECT id FROM delivery WHERE event_id = $1) \
         AND (tenant_id = $3 OR $3 IS NULL) AND state = 'waiting' AND attempts > 0 AND lease IS NULL AND due_at > $2";
    /// An event that is held or set aside is routed again with the version that is active now.
    Both REROUTE_EVENT =
        "UPDATE route_work SET state = 'pending', due_at = $2, failures = 0 \
         WHERE event_id = $1 AND (tenant_id = $3 OR $3 IS NULL) AND state IN ('held', 'dead-lettered')";
}
