//! Claims: work from the tables into memory.
//!
//! A claim asks for one endpoint's or one sender's work, and for no more than there is room for, so that nobody's backlog
//! comes before somebody else's.

use super::statements;

statements! {
    // -- deliveries ---------------------------------------------------------------------------------------------------

    /// When the first unleased delivery falls due, whoever's it is.
    Both SELECT_NEXT_DELIVERY_DUE = "SELECT due_at FROM delivery_work WHERE state = 'waiting' AND lease IS NULL ORDER BY due_at LIMIT 1";
    /// Whose the first so many due deliveries are: nearly always names every endpoint with due work without a look at the
    /// endpoints whose work is not due.
    Both SELECT_FIRST_DUE =
        "SELECT endpoint_id FROM delivery_work WHERE state = 'waiting' AND lease IS NULL AND due_at <= $1 ORDER BY due_at LIMIT $2";
    /// All endpoints with unleased work and when the first of it is due. Steps from endpoint to endpoint through the
    /// index instead of reading the whole backlog, so a million waiting deliveries cost no more than ten.
    Both SELECT_WAITING_ENDPOINTS =
        "WITH RECURSIVE waiting (endpoint_id) AS ( \
           SELECT (SELECT d.endpoint_id FROM delivery_work d WHERE d.state = 'waiting' AND d.lease IS NULL ORDER BY d.endpoint_id LIMIT 1) \
           UNION ALL \
           SELECT (SELECT d.endpoint_id FROM delivery_work d WHERE d.state = 'waiting' AND d.lease IS NULL AND d.endpoint_id > w.endpoint_id \
             ORDER BY d.endpoint_id LIMIT 1) FROM waiting w WHERE w.endpoint_id IS NOT NULL) \
         SELECT w.endpoint_id, (SELECT d.due_at FROM delivery_work d WHERE d.state = 'waiting' AND d.lease IS NULL \
           AND d.endpoint_id = w.endpoint_id ORDER BY d.due_at LIMIT 1) AS due_at \
         FROM waiting w WHERE w.endpoint_id IS NOT NULL";

    /// SQLite has one writer and no row locks, and its RETURNING sees only the updated table.
    Sqlite CLAIM_DELIVERIES =
        "UPDATE delivery_work SET lease = $1 WHERE delivery_id IN (SELECT delivery_id FROM delivery_work WHERE endpoint_id = $2 \
           AND state = 'waiting' AND lease IS NULL AND due_at <= $3 ORDER BY due_at LIMIT $4) \
         RETURNING delivery_id, endpoint_id, attempts, attempts_max, attempts_before, due_at, body_bytes";
    Sqlite SELECT_CLAIMED_DELIVERY =
        "SELECT d.event_id, d.headers, e.event_type, e.accepted_at, CASE WHEN d.content IS NULL THEN e.content_type ELSE c.content_type END \
         FROM delivery d JOIN event e ON e.id = d.event_id \
         LEFT JOIN content c ON c.event_id = d.event_id AND c.run = d.run AND c.ordinal = d.content WHERE d.id = $1";
    /// The same in one round trip; other nodes' claims are stepped over. Bodies come along for as long as their sum stays
    /// within `$5`.
    Postgres CLAIM_DELIVERIES_SKIP_LOCKED =
        "WITH w AS (UPDATE delivery_work SET lease = $1 WHERE delivery_id IN (SELECT delivery_id FROM delivery_work WHERE endpoint_id = $2 \
           AND state = 'waiting' AND lease IS NULL AND due_at <= $3 ORDER BY due_at LIMIT $4 FOR UPDATE SKIP LOCKED) \
           RETURNING delivery_id, endpoint_id, attempts, attempts_max, attempts_before, due_at, body_bytes), \
         counted AS (SELECT w.*, SUM(w.body_bytes) OVER (ORDER BY w.due_at, w.delivery_id) <= $5 AS here FROM w) \
         SELECT w.delivery_id, w.endpoint_id, w.attempts, w.attempts_max, w.attempts_before, w.due_at, w.body_bytes, \
         d.event_id, d.headers, e.event_type, e.accepted_at, CASE WHEN d.content IS NULL THEN e.content_type ELSE c.content_type END, \
         CASE WHEN w.here THEN COALESCE(c.body, e.payload) END \
         FROM counted w JOIN delivery d ON d.id = w.delivery_id JOIN event e ON e.id = d.event_id \
         LEFT JOIN content c ON c.event_id = d.event_id AND c.run = d.run AND c.ordinal = d.content";
    /// What a delivery sends.
    Both SELECT_DELIVERY_BODY =
        "SELECT CASE WHEN d.content IS NULL THEN e.payload ELSE c.body END FROM delivery d JOIN event e ON e.id = d.event_id \
         LEFT JOIN content c ON c.event_id = d.event_id AND c.run = d.run AND c.ordinal = d.content WHERE d.id = $1";
    /// The backlog of an endpoint that is gone ends by name, so many rows at once.
    Both CANCEL_WAITING =
        "UPDATE delivery_work SET state = 'cancelled', completed_at = $2 WHERE delivery_id IN (SELECT delivery_id FROM delivery_work \
         WHERE endpoint_id = $1 AND state = 'waiting' AND lease IS NULL ORDER BY due_at LIMIT $3) AND state = 'waiting' AND lease IS NULL";

    /// What nodes have in memory for an endpoint ends by name as well: a result that comes afterwards has lost its lease (D2).
    Both CANCEL_LEASED =
        "UPDATE delivery_work SET state = 'cancelled', completed_at = $2, lease = NULL \
         WHERE lease IS NOT NULL AND endpoint_id = $1 AND state = 'waiting'";

    // -- events -------------------------------------------------------------------------------------------------------

    /// Senders with unleased pending events and when the first of them is due; steps as [`SELECT_WAITING_ENDPOINTS`] does.
    Both SELECT_SENDERS_WITH_PENDING =
        "WITH RECURSIVE waiting (sender_id) AS ( \
           SELECT (SELECT r.sender_id FROM route_work r WHERE r.state = 'pending' AND r.lease IS NULL ORDER BY r.sender_id LIMIT 1) \
           UNION ALL \
           SELECT (SELECT r.sender_id FROM route_work r WHERE r.state = 'pending' AND r.lease IS NULL AND r.sender_id > w.sender_id \
             ORDER BY r.sender_id LIMIT 1) FROM waiting w WHERE w.sender_id IS NOT NULL) \
         SELECT w.sender_id, (SELECT r.due_at FROM route_work r WHERE r.state = 'pending' AND r.lease IS NULL \
           AND r.sender_id = w.sender_id ORDER BY r.due_at LIMIT 1) AS due_at \
         FROM waiting w WHERE w.sender_id IS NOT NULL";
    /// Senders with held events and the lowest revision any of them was held under.
    Both SELECT_SENDERS_WITH_HELD =
        "WITH RECURSIVE waiting (sender_id) AS ( \
           SELECT (SELECT r.sender_id FROM route_work r WHERE r.state = 'held' ORDER BY r.sender_id LIMIT 1) \
           UNION ALL \
           SELECT (SELECT r.sender_id FROM route_work r WHERE r.state = 'held' AND r.sender_id > w.sender_id ORDER BY r.sender_id LIMIT 1) \
           FROM waiting w WHERE w.sender_id IS NOT NULL) \
         SELECT w.sender_id, (SELECT r.held_under FROM route_work r WHERE r.state = 'held' AND r.sender_id = w.sender_id \
           ORDER BY r.held_under LIMIT 1) AS held_under \
         FROM waiting w WHERE w.sender_id IS NOT NULL";

    /// `$5` bounds the payload bytes of one claim: rows are taken while those before them are below it, so one always is.
    Sqlite CLAIM_PENDING_EVENTS =
        "UPDATE route_work SET lease = $1 WHERE event_id IN (SELECT event_id FROM \
           (SELECT event_id, SUM(payload_bytes) OVER (ORDER BY due_at, event_id) - payload_bytes AS before FROM \
             (SELECT event_id, due_at, payload_bytes FROM route_work WHERE sender_id = $2 AND state = 'pending' AND lease IS NULL \
              AND due_at <= $3 ORDER BY due_at, event_id LIMIT $4) due) counted WHERE before < $5) \
         RETURNING event_id, failures, runs, payload_bytes";
    /// Held events whose sender or plugin has changed since are pending again, the longest held first.
    Sqlite CLAIM_HELD_EVENTS =
        "UPDATE route_work SET lease = $1, state = 'pending' WHERE event_id IN (SELECT event_id FROM \
           (SELECT event_id, SUM(payload_bytes) OVER (ORDER BY held_under, event_id) - payload_bytes AS before FROM \
             (SELECT event_id, held_under, payload_bytes FROM route_work WHERE sender_id = $2 AND state = 'held' \
              AND held_under < $3 ORDER BY held_under, event_id LIMIT $4) released) counted WHERE before < $5) \
         RETURNING event_id, failures, runs, payload_bytes";
    Sqlite SELECT_CLAIMED_EVENT =
        "SELECT tenant_id, environment_id, source_id, event_type, content_type, headers, accepted_at, payload FROM event WHERE id = $1";
    Postgres CLAIM_PENDING_EVENTS_SKIP_LOCKED =
        "WITH w AS (UPDATE route_work SET lease = $1 WHERE event_id IN (SELECT event_id FROM \
           (SELECT event_id, SUM(payload_bytes) OVER (ORDER BY due_at, event_id) - payload_bytes AS before FROM \
             (SELECT event_id, due_at, payload_bytes FROM route_work WHERE sender_id = $2 AND state = 'pending' AND lease IS NULL \
              AND due_at <= $3 ORDER BY due_at, event_id LIMIT $4 FOR UPDATE SKIP LOCKED) due) counted WHERE before < $5) \
           RETURNING event_id, failures, runs, payload_bytes) \
         SELECT w.event_id, w.failures, w.runs, w.payload_bytes, e.tenant_id, e.environment_id, e.source_id, e.event_type, e.content_type, \
         e.headers, e.accepted_at, e.payload FROM w JOIN event e ON e.id = w.event_id";
    Postgres CLAIM_HELD_EVENTS_SKIP_LOCKED =
        "WITH w AS (UPDATE route_work SET lease = $1, state = 'pending' WHERE event_id IN (SELECT event_id FROM \
           (SELECT event_id, SUM(payload_bytes) OVER (ORDER BY held_under, event_id) - payload_bytes AS before FROM \
             (SELECT event_id, held_under, payload_bytes FROM route_work WHERE sender_id = $2 AND state = 'held' \
              AND held_under < $3 ORDER BY held_under, event_id LIMIT $4 FOR UPDATE SKIP LOCKED) released) counted WHERE before < $5) \
           RETURNING event_id, failures, runs, payload_bytes) \
         SELECT w.event_id, w.failures, w.runs, w.payload_bytes, e.tenant_id, e.environment_id, e.source_id, e.event_type, e.content_type, \
         e.headers, e.accepted_at, e.payload FROM w JOIN event e ON e.id = w.event_id";

    // -- breakers -----------------------------------------------------------------------------------------------------

    Both SAVE_BREAKER =
        "INSERT INTO endpoint_breaker (endpoint_id, tenant_id, opened_at, blocked_until, updated_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (endpoint_id) DO UPDATE SET blocked_until = excluded.blocked_until, updated_at = excluded.updated_at";
    Both CLEAR_BREAKER = "DELETE FROM endpoint_breaker WHERE endpoint_id = $1";
    Both SELECT_BREAKER = "SELECT blocked_until FROM endpoint_breaker WHERE endpoint_id = $1";
    Both SELECT_BREAKERS = "SELECT endpoint_id, tenant_id, opened_at, blocked_until FROM endpoint_breaker ORDER BY endpoint_id";
}
