//! Claims: work from the tables into memory.

use super::statements;

statements! {
    /// Endpoints with unleased work and when the first of it is due. Steps from endpoint to endpoint through the
    /// index instead of reading the whole backlog, so a million waiting deliveries cost no more than ten.
    Both SELECT_WAITING_ENDPOINTS =
        "WITH RECURSIVE waiting (endpoint_id) AS ( \
           SELECT (SELECT d.endpoint_id FROM delivery d WHERE d.completed_at IS NULL AND d.lease IS NULL ORDER BY d.endpoint_id LIMIT 1) \
           UNION ALL \
           SELECT (SELECT d.endpoint_id FROM delivery d WHERE d.completed_at IS NULL AND d.lease IS NULL AND d.endpoint_id > w.endpoint_id \
             ORDER BY d.endpoint_id LIMIT 1) FROM waiting w WHERE w.endpoint_id IS NOT NULL) \
         SELECT w.endpoint_id, (SELECT d.due_at FROM delivery d WHERE d.completed_at IS NULL AND d.lease IS NULL \
           AND d.endpoint_id = w.endpoint_id ORDER BY d.due_at LIMIT 1) AS due_at \
         FROM waiting w WHERE w.endpoint_id IS NOT NULL";

    /// SQLite has one writer and no row locks, and its RETURNING sees only the updated table.
    Sqlite CLAIM_DELIVERIES =
        "UPDATE delivery SET lease = $1 WHERE id IN (SELECT id FROM delivery WHERE endpoint_id = $2 AND completed_at IS NULL AND lease IS NULL \
           AND due_at <= $3 ORDER BY due_at LIMIT $4) RETURNING id";
    Sqlite SELECT_CLAIMED_DELIVERY =
        "SELECT d.id, d.event_id, d.endpoint_id, d.headers, d.attempts, d.attempts_max, d.attempts_before, d.due_at, \
         COALESCE(c.content_type, e.content_type), \
         CASE WHEN LENGTH(COALESCE(c.body, e.payload)) <= $2 THEN COALESCE(c.body, e.payload) END, e.event_type, e.accepted_at \
         FROM delivery d JOIN event e ON e.id = d.event_id \
         LEFT JOIN content c ON c.event_id = d.event_id AND c.ordinal = d.content WHERE d.id = $1";
    /// The same in one round trip; other nodes' claims are stepped over.
    Postgres CLAIM_DELIVERIES_SKIP_LOCKED =
        "WITH d AS (UPDATE delivery SET lease = $1 WHERE id IN (SELECT id FROM delivery WHERE endpoint_id = $2 AND completed_at IS NULL \
           AND lease IS NULL AND due_at <= $3 ORDER BY due_at LIMIT $4 FOR UPDATE SKIP LOCKED) \
           RETURNING id, event_id, endpoint_id, content, headers, attempts, attempts_max, attempts_before, due_at) \
         SELECT d.id, d.event_id, d.endpoint_id, d.headers, d.attempts, d.attempts_max, d.attempts_before, d.due_at, \
         COALESCE(c.content_type, e.content_type), \
         CASE WHEN LENGTH(COALESCE(c.body, e.payload)) <= $5 THEN COALESCE(c.body, e.payload) END, e.event_type, e.accepted_at \
         FROM d JOIN event e ON e.id = d.event_id LEFT JOIN content c ON c.event_id = d.event_id AND c.ordinal = d.content";

    Both SELECT_NEXT_ROUTE_DUE =
        "SELECT route_due_at FROM event WHERE state = 'pending' AND lease IS NULL ORDER BY route_due_at LIMIT 1";
    /// `$4` bounds the payload bytes of one claim: rows are taken while those before them are below it, so one always is.
    Sqlite CLAIM_EVENTS =
        "UPDATE event SET lease = $1 WHERE id IN (SELECT id FROM \
           (SELECT id, SUM(bytes) OVER (ORDER BY route_due_at, id) - bytes AS before FROM \
             (SELECT id, route_due_at, LENGTH(payload) AS bytes FROM event WHERE state = 'pending' AND lease IS NULL AND route_due_at <= $2 \
              ORDER BY route_due_at LIMIT $3) due) counted WHERE before < $4) \
         RETURNING id, tenant_id, environment_id, sender_id, event_type, content_type, headers, payload, accepted_at, route_failures";
    Postgres CLAIM_EVENTS_SKIP_LOCKED =
        "UPDATE event SET lease = $1 WHERE id IN (SELECT id FROM \
           (SELECT id, SUM(bytes) OVER (ORDER BY route_due_at, id) - bytes AS before FROM \
             (SELECT id, route_due_at, LENGTH(payload) AS bytes FROM event WHERE state = 'pending' AND lease IS NULL AND route_due_at <= $2 \
              ORDER BY route_due_at LIMIT $3 FOR UPDATE SKIP LOCKED) due) counted WHERE before < $4) \
         RETURNING id, tenant_id, environment_id, sender_id, event_type, content_type, headers, payload, accepted_at, route_failures";

    /// A body too large for the memory window, read when its attempt begins.
    Both SELECT_DELIVERY_BODY =
        "SELECT COALESCE(c.body, e.payload) FROM delivery d JOIN event e ON e.id = d.event_id \
         LEFT JOIN content c ON c.event_id = d.event_id AND c.ordinal = d.content WHERE d.id = $1";
}
