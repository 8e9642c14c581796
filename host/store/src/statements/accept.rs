//! Accepting: an event, its idempotency key, and what was decided with it.

use super::statements;

statements! {
    /// Inserts nothing when the tenant has used the idempotency key before (A2).
    Sqlite INSERT_EVENT =
        "INSERT INTO event (id, tenant_id, environment_id, sender_id, endpoint_id, idempotency_key, event_type, content_type, headers, \
         payload, accepted_at, state, decision, decided_at, route_due_at, route_failures, lease) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $11, 0, $15) \
         ON CONFLICT (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING";
    Sqlite INSERT_DELIVERY =
        "INSERT INTO delivery (id, event_id, tenant_id, endpoint_id, content, headers, state, attempts, attempts_max, attempts_before, due_at, lease) \
         VALUES ($1, $2, $3, $4, $5, $6, 'waiting', 0, $7, 0, $8, $9)";

    /// The batch of [`INSERT_EVENT`] and [`INSERT_DELIVERY`] as one statement: one round trip, one commit. `IS TRUE` keeps
    /// the planner from making a join of the `IN`: with [`PLAN_BY_KEY`] that would compare every delivery of the batch with
    /// every event, where a subplan looks each up in a hash table.
    Postgres INSERT_EVENTS =
        "WITH accepted AS ( \
           INSERT INTO event (id, tenant_id, environment_id, sender_id, endpoint_id, idempotency_key, event_type, content_type, headers, \
             payload, accepted_at, state, decision, decided_at, route_due_at, route_failures, lease) \
           SELECT u.id, u.tenant_id, u.environment_id, u.sender_id, u.endpoint_id, u.idempotency_key, u.event_type, u.content_type, u.headers, \
             u.payload, u.accepted_at, u.state, u.decision, u.decided_at, u.accepted_at, 0, u.lease \
           FROM UNNEST($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[], \
             $10::bytea[], $11::bigint[], $12::text[], $13::text[], $14::bigint[], $15::uuid[]) \
             AS u (id, tenant_id, environment_id, sender_id, endpoint_id, idempotency_key, event_type, content_type, headers, \
             payload, accepted_at, state, decision, decided_at, lease) \
           ON CONFLICT (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING \
           RETURNING id), \
         fanned_out AS ( \
           INSERT INTO delivery (id, event_id, tenant_id, endpoint_id, content, headers, state, attempts, attempts_max, attempts_before, due_at, lease) \
           SELECT u.id, u.event_id, u.tenant_id, u.endpoint_id, NULL, NULL, 'waiting', 0, u.attempts_max, 0, u.due_at, u.lease \
           FROM UNNEST($16::uuid[], $17::uuid[], $18::uuid[], $19::uuid[], $20::bigint[], $21::bigint[], $22::uuid[]) \
             AS u (id, event_id, tenant_id, endpoint_id, attempts_max, due_at, lease) \
           WHERE (u.event_id IN (SELECT id FROM accepted)) IS TRUE) \
         SELECT id FROM accepted";

    Both SELECT_EVENT_BY_IDEMPOTENCY_KEY =
        "SELECT e.id, e.accepted_at, e.state, \
         (SELECT COUNT(*) FROM delivery d WHERE d.event_id = e.id AND d.state = 'waiting' AND d.attempts = 0) AS fresh, \
         (SELECT COUNT(*) FROM delivery d WHERE d.event_id = e.id AND d.state = 'waiting' AND d.attempts > 0) AS retrying, \
         (SELECT COUNT(*) FROM delivery d WHERE d.event_id = e.id AND d.state = 'delivered') AS delivered, \
         (SELECT COUNT(*) FROM delivery d WHERE d.event_id = e.id AND d.state = 'rejected') AS rejected, \
         (SELECT COUNT(*) FROM delivery d WHERE d.event_id = e.id AND d.state = 'exhausted') AS exhausted \
         FROM event e WHERE e.tenant_id = $1 AND e.idempotency_key = $2";
}
