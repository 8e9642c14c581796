//! Routing: a decision and its deliveries, or a postponement.

use super::statements;

statements! {
    /// An event that is decided for good leaves its work behind, if it still waits for this decision of this node (R1, D2).
    Sqlite FINISH_ROUTE_WORK = "DELETE FROM route_work WHERE event_id = $1 AND lease = $2 AND runs = $3 - 1 AND state = 'pending'";
    /// An event that is held or dead-lettered stays as work, under the same conditions.
    Sqlite KEEP_ROUTE_WORK =
        "UPDATE route_work SET state = $4, held_under = $5, runs = $3, failures = 0, lease = NULL \
         WHERE event_id = $1 AND lease = $2 AND runs = $3 - 1 AND state = 'pending'";
    Sqlite INSERT_CONTENT = "INSERT INTO content (event_id, run, ordinal, content_type, body) VALUES ($1, $2, $3, $4, $5)";

    /// A batch of decisions as one statement; `IS TRUE` as in [`super::INSERT_EVENTS`]. The lease is compared in a way no index
    /// serves: found by the lease's index, each row of the batch would read all that this node holds.
    Postgres DECIDE_EVENTS =
        "WITH finished AS ( \
           DELETE FROM route_work w USING UNNEST($2::uuid[], $3::bigint[]) AS u (event_id, run) \
           WHERE w.event_id = u.event_id AND w.state = 'pending' AND w.runs = u.run - 1 AND w.lease IS NOT DISTINCT FROM $1 \
           RETURNING w.event_id), \
         kept AS ( \
           UPDATE route_work w SET state = u.state, held_under = u.held_under, runs = u.run, failures = 0, lease = NULL \
           FROM UNNEST($4::uuid[], $5::bigint[], $6::text[], $7::bigint[]) AS u (event_id, run, state, held_under) \
           WHERE w.event_id = u.event_id AND w.state = 'pending' AND w.runs = u.run - 1 AND w.lease IS NOT DISTINCT FROM $1 \
           RETURNING w.event_id), \
         decided AS (SELECT event_id FROM finished UNION ALL SELECT event_id FROM kept), \
         explained AS ( \
           INSERT INTO decision (event_id, run, outcome, decided_by, decided_at, plugin_id, generation, cpu_us, wall_us, memory_bytes, detail, tenant_id) \
           SELECT u.event_id, u.run, u.outcome, u.decided_by, u.decided_at, u.plugin_id, u.generation, u.cpu_us, u.wall_us, u.memory_bytes, \
             u.detail, u.tenant_id \
           FROM UNNEST($8::uuid[], $9::bigint[], $10::text[], $11::text[], $12::bigint[], $13::uuid[], $14::bigint[], $15::bigint[], $16::bigint[], \
             $17::bigint[], $18::text[], $19::uuid[]) \
             AS u (event_id, run, outcome, decided_by, decided_at, plugin_id, generation, cpu_us, wall_us, memory_bytes, detail, tenant_id) \
           WHERE (u.event_id IN (SELECT event_id FROM decided)) IS TRUE), \
         written AS ( \
           INSERT INTO content (event_id, run, ordinal, content_type, body) \
           SELECT u.event_id, u.run, u.ordinal, u.content_type, u.body \
           FROM UNNEST($20::uuid[], $21::bigint[], $22::bigint[], $23::text[], $24::bytea[]) AS u (event_id, run, ordinal, content_type, body) \
           WHERE (u.event_id IN (SELECT event_id FROM decided)) IS TRUE), \
         fanned_out AS ( \
           INSERT INTO delivery (id, event_id, tenant_id, endpoint_id, run, kind, content, headers) \
           SELECT u.id, u.event_id, u.tenant_id, u.endpoint_id, u.run, 'event', u.content, u.headers \
           FROM UNNEST($25::uuid[], $26::uuid[], $27::uuid[], $28::uuid[], $29::bigint[], $30::bigint[], $31::text[]) \
             AS u (id, event_id, tenant_id, endpoint_id, run, content, headers) \
           WHERE (u.event_id IN (SELECT event_id FROM decided)) IS TRUE), \
         to_deliver AS ( \
           INSERT INTO delivery_work (delivery_id, tenant_id, endpoint_id, state, attempts, attempts_max, attempts_before, body_bytes, due_at, lease, siblings) \
           SELECT u.id, u.tenant_id, u.endpoint_id, 'waiting', 0, u.attempts_max, 0, u.body_bytes, u.due_at, u.lease, u.siblings \
           FROM UNNEST($25::uuid[], $26::uuid[], $27::uuid[], $28::uuid[], $32::bigint[], $33::bigint[], $34::bigint[], $35::uuid[], $36::bigint[]) \
             AS u (id, event_id, tenant_id, endpoint_id, attempts_max, body_bytes, due_at, lease, siblings) \
           WHERE (u.event_id IN (SELECT event_id FROM decided)) IS TRUE), \
         counted_of_each AS ( \
           INSERT INTO fan_out (event_id, tenant_id, fresh) \
           SELECT u.event_id, u.tenant_id, u.fresh FROM UNNEST($37::uuid[], $38::uuid[], $39::bigint[]) AS u (event_id, tenant_id, fresh) \
           WHERE (u.event_id IN (SELECT event_id FROM decided)) IS TRUE) \
         SELECT event_id FROM decided";

    /// Gives a pending event back to the table, to be routed again at `$3`.
    Sqlite POSTPONE_EVENT = "UPDATE route_work SET lease = NULL, due_at = $3, failures = $4 WHERE event_id = $1 AND lease = $2 AND state = 'pending'";
    Postgres POSTPONE_EVENTS =
        "UPDATE route_work w SET lease = NULL, due_at = u.due_at, failures = u.failures \
         FROM UNNEST($2::uuid[], $3::bigint[], $4::bigint[]) AS u (event_id, due_at, failures) \
         WHERE w.event_id = u.event_id AND w.lease IS NOT DISTINCT FROM $1 AND w.state = 'pending'";
}
