//! Settling: an attempt's outcome.

use super::statements;

statements! {
    /// Settles the attempt a delivery was waiting for; a late result from a lost lease matches nothing (D2).
    Sqlite SETTLE_DELIVERY =
        "UPDATE delivery SET state = $3, attempts = $4, due_at = $5, completed_at = $6, lease = NULL \
         WHERE id = $1 AND lease = $2 AND attempts = $4 - 1 AND state = 'waiting'";
    Sqlite INSERT_ATTEMPT =
        "INSERT INTO attempt (delivery_id, number, started_at, duration_us, status, error, error_detail, response) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

    /// The batch of [`SETTLE_DELIVERY`] and [`INSERT_ATTEMPT`] as one statement; `IS TRUE` and the lease as in [`DECIDE_EVENTS`].
    Postgres SETTLE_DELIVERIES =
        "WITH settled AS ( \
           UPDATE delivery SET state = u.state, attempts = u.number, due_at = u.due_at, completed_at = u.completed_at, lease = NULL \
           FROM UNNEST($2::uuid[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[]) AS u (id, state, number, due_at, completed_at) \
           WHERE delivery.id = u.id AND delivery.lease IS NOT DISTINCT FROM $1 AND delivery.attempts = u.number - 1 AND delivery.state = 'waiting' \
           RETURNING delivery.id), \
         recorded AS ( \
           INSERT INTO attempt (delivery_id, number, started_at, duration_us, status, error, error_detail, response) \
           SELECT u.id, u.number, u.started_at, u.duration_us, u.status, u.error, u.error_detail, u.response \
           FROM UNNEST($2::uuid[], $4::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::text[], $11::text[], $12::bytea[]) \
             AS u (id, number, started_at, duration_us, status, error, error_detail, response) \
           WHERE (u.id IN (SELECT id FROM settled)) IS TRUE) \
         SELECT id FROM settled";
}
