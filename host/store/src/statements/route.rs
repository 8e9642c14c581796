//! Routing: a decision and its deliveries, or a postponement.

use super::statements;

statements! {
    /// Writes a decision if the event still waits for it and this node still holds it (R1, D2).
    Sqlite DECIDE_EVENT =
        "UPDATE event SET state = $2, decision = $3, decided_at = $4, lease = NULL WHERE id = $1 AND state = 'pending' AND lease = $5";
    Sqlite INSERT_CONTENT =
        "INSERT INTO content (event_id, ordinal, content_type, body) VALUES ($1, $2, $3, $4)";

    /// The batch of [`DECIDE_EVENT`], [`INSERT_CONTENT`] and [`INSERT_DELIVERY`] as one statement; `IS TRUE` as in
    /// [`INSERT_EVENTS`]. The lease is compared in a way no index serves: found by the lease's index, each row of the batch
    /// would read all that this node holds.
    Postgres DECIDE_EVENTS =
        "WITH decided AS ( \
           UPDATE event SET state = u.state, decision = u.decision, decided_at = u.decided_at, lease = NULL \
           FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::bigint[]) AS u (id, state, decision, decided_at) \
           WHERE event.id = u.id AND event.state = 'pending' AND event.lease IS NOT DISTINCT FROM $5 \
           RETURNING event.id), \
         written AS ( \
           INSERT INTO content (event_id, ordinal, content_type, body) \
           SELECT u.event_id, u.ordinal, u.content_type, u.body \
           FROM UNNEST($6::uuid[], $7::bigint[], $8::text[], $9::bytea[]) AS u (event_id, ordinal, content_type, body) \
           WHERE (u.event_id IN (SELECT id FROM decided)) IS TRUE), \
         fanned_out AS ( \
           INSERT INTO delivery (id, event_id, tenant_id, endpoint_id, content, headers, state, attempts, attempts_max, attempts_before, due_at, lease) \
           SELECT u.id, u.event_id, u.tenant_id, u.endpoint_id, u.content, u.headers, 'waiting', 0, u.attempts_max, 0, u.due_at, u.lease \
           FROM UNNEST($10::uuid[], $11::uuid[], $12::uuid[], $13::uuid[], $14::bigint[], $15::text[], $16::bigint[], $17::bigint[], \
             $18::uuid[]) AS u (id, event_id, tenant_id, endpoint_id, content, headers, attempts_max, due_at, lease) \
           WHERE (u.event_id IN (SELECT id FROM decided)) IS TRUE) \
         SELECT id FROM decided";

    /// Gives a pending event back to the table, to be routed again at `$2`.
    Both POSTPONE_EVENT =
        "UPDATE event SET lease = NULL, route_due_at = $2, route_failures = $4 WHERE id = $1 AND state = 'pending' AND lease = $3";
}
