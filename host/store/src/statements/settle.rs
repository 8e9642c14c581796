//! Settling: an attempt's outcome.

use super::statements;

statements! {
    /// A delivery that arrived leaves its work behind; a late result from a lost lease matches nothing (D2).
    Sqlite FINISH_DELIVERY_WORK = "DELETE FROM delivery_work WHERE delivery_id = $1 AND lease = $2 AND attempts = $3 - 1 AND state = 'waiting'";
    /// One that did not stays as work: for its next attempt, or for somebody to act.
    Sqlite KEEP_DELIVERY_WORK =
        "UPDATE delivery_work SET state = $4, attempts = $3, due_at = $5, completed_at = $6, lease = NULL \
         WHERE delivery_id = $1 AND lease = $2 AND attempts = $3 - 1 AND state = 'waiting'";
    Sqlite INSERT_ATTEMPT =
        "INSERT INTO attempt (delivery_id, number, started_at, duration_us, status, error, error_detail, response) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

    /// A batch of these as one statement; `IS TRUE` and the lease as in [`super::DECIDE_EVENTS`].
    Postgres SETTLE_DELIVERIES =
        "WITH finished AS ( \
           DELETE FROM delivery_work w USING UNNEST($2::uuid[], $3::bigint[]) AS u (id, number) \
           WHERE w.delivery_id = u.id AND w.lease IS NOT DISTINCT FROM $1 AND w.attempts = u.number - 1 AND w.state = 'waiting' \
           RETURNING w.delivery_id), \
         kept AS ( \
           UPDATE delivery_work w SET state = u.state, attempts = u.number, due_at = u.due_at, completed_at = u.completed_at, lease = NULL \
           FROM UNNEST($4::uuid[], $5::bigint[], $6::text[], $7::bigint[], $8::bigint[]) AS u (id, number, state, due_at, completed_at) \
           WHERE w.delivery_id = u.id AND w.lease IS NOT DISTINCT FROM $1 AND w.attempts = u.number - 1 AND w.state = 'waiting' \
           RETURNING w.delivery_id), \
         settled AS (SELECT delivery_id FROM finished UNION ALL SELECT delivery_id FROM kept), \
         recorded AS ( \
           INSERT INTO attempt (delivery_id, number, started_at, duration_us, status, error, error_detail, response) \
           SELECT u.id, u.number, u.started_at, u.duration_us, u.status, u.error, u.error_detail, u.response \
           FROM UNNEST($9::uuid[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::text[], $15::text[], $16::bytea[]) \
             AS u (id, number, started_at, duration_us, status, error, error_detail, response) \
           WHERE (u.id IN (SELECT delivery_id FROM settled)) IS TRUE) \
         SELECT delivery_id FROM settled";
}
