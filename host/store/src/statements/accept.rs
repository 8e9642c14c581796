//! Accepting: an event, its idempotency key, and what was decided with it.

use super::statements;

/// The event a key names, what the first request was, and how far the event has come.
macro_rules! existing_columns {
    () => {
        "SELECT e.id, e.accepted_at, i.fingerprint, \
         COALESCE((SELECT w.state FROM route_work w WHERE w.event_id = e.id), \
           (SELECT d.outcome FROM decision d WHERE d.event_id = e.id ORDER BY d.run DESC LIMIT 1), 'routed') AS state, \
         (SELECT COUNT(*) FROM delivery d JOIN delivery_work w ON w.delivery_id = d.id WHERE d.event_id = e.id AND w.state = 'waiting' \
           AND w.attempts = 0) AS fresh, \
         (SELECT COUNT(*) FROM delivery d JOIN delivery_work w ON w.delivery_id = d.id WHERE d.event_id = e.id AND w.state = 'waiting' \
           AND w.attempts > 0) AS retrying, \
         (SELECT COUNT(*) FROM delivery d WHERE d.event_id = e.id \
           AND NOT EXISTS (SELECT 1 FROM delivery_work w WHERE w.delivery_id = d.id)) AS delivered, \
         (SELECT COUNT(*) FROM delivery d JOIN delivery_work w ON w.delivery_id = d.id WHERE d.event_id = e.id AND w.state = 'rejected') AS rejected, \
         (SELECT COUNT(*) FROM delivery d JOIN delivery_work w ON w.delivery_id = d.id WHERE d.event_id = e.id AND w.state = 'exhausted') AS exhausted"
    };
}

statements! {
    /// Affects no row when the key is taken and its time is not over at `$7` (A2).
    Sqlite CLAIM_IDEMPOTENCY_KEY =
        "INSERT INTO idempotency (tenant_id, scope, key, event_id, fingerprint, expires_at) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (tenant_id, scope, key) DO UPDATE SET event_id = excluded.event_id, fingerprint = excluded.fingerprint, \
         expires_at = excluded.expires_at WHERE idempotency.expires_at <= $7";
    Sqlite INSERT_EVENT =
        "INSERT INTO event (id, tenant_id, environment_id, source_kind, source_id, idempotency_key, event_type, content_type, headers, \
         accepted_at, payload_bytes, payload) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    Sqlite INSERT_ROUTE_WORK =
        "INSERT INTO route_work (event_id, tenant_id, sender_id, state, payload_bytes, due_at, failures, runs, held_under, lease) \
         VALUES ($1, $2, $3, 'pending', $4, $5, 0, 0, 0, $6)";
    Sqlite INSERT_DECISION =
        "INSERT INTO decision (event_id, run, outcome, decided_by, decided_at, plugin_id, generation, cpu_us, wall_us, memory_bytes, detail, \
         tenant_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    Sqlite INSERT_DELIVERY =
        "INSERT INTO delivery (id, event_id, tenant_id, endpoint_id, run, kind, content, headers) VALUES ($1, $2, $3, $4, $5, 'event', $6, $7)";
    Sqlite INSERT_DELIVERY_WORK =
        "INSERT INTO delivery_work (delivery_id, tenant_id, endpoint_id, state, attempts, attempts_max, attempts_before, body_bytes, due_at, lease, siblings) \
         VALUES ($1, $2, $3, 'waiting', 0, $4, 0, $5, $6, $7, $8)";
    /// For an event with several deliveries, which all wait.
    Sqlite INSERT_FAN_OUT = "INSERT INTO fan_out (event_id, tenant_id, fresh) VALUES ($1, $2, $3)";

    /// A batch of all these as one statement: one round trip, one commit. Of one key a batch holds one event, for an
    /// upsert may not meet a row of its own statement. `IS TRUE` keeps the planner from making a join of an `IN`: with
    /// [`super::PLAN_BY_KEY`] that would compare every delivery of the batch with every event, where a subplan looks each
    /// up in a hash table.
    Postgres INSERT_EVENTS =
        "WITH claimed AS ( \
           INSERT INTO idempotency (tenant_id, scope, key, event_id, fingerprint, expires_at) \
           SELECT u.tenant_id, u.scope, u.key, u.event_id, u.fingerprint, u.expires_at \
           FROM UNNEST($15::uuid[], $16::text[], $17::text[], $18::uuid[], $19::bytea[], $20::bigint[]) \
             AS u (tenant_id, scope, key, event_id, fingerprint, expires_at) \
           ON CONFLICT (tenant_id, scope, key) DO UPDATE SET event_id = excluded.event_id, fingerprint = excluded.fingerprint, \
             expires_at = excluded.expires_at WHERE idempotency.expires_at <= $21 \
           RETURNING event_id), \
         accepted AS ( \
           INSERT INTO event (id, tenant_id, environment_id, source_kind, source_id, idempotency_key, event_type, content_type, headers, \
             accepted_at, payload_bytes, payload) \
           SELECT u.id, u.tenant_id, u.environment_id, u.source_kind, u.source_id, u.idempotency_key, u.event_type, u.content_type, u.headers, \
             u.accepted_at, OCTET_LENGTH(u.payload), u.payload \
           FROM UNNEST($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[], \
             $10::bigint[], $11::bytea[], $12::boolean[]) \
             AS u (id, tenant_id, environment_id, source_kind, source_id, idempotency_key, event_type, content_type, headers, accepted_at, \
             payload, claims) \
           WHERE NOT u.claims OR (u.id IN (SELECT event_id FROM claimed)) IS TRUE \
           RETURNING id, tenant_id), \
         counted AS ( \
           INSERT INTO event_count (tenant_id, slot, accepted, pending) \
           SELECT tenant_id, pg_backend_pid() % 64, COUNT(*), COUNT(*) FROM accepted GROUP BY tenant_id ORDER BY tenant_id \
           ON CONFLICT (tenant_id, slot) DO UPDATE SET accepted = event_count.accepted + excluded.accepted, \
             pending = event_count.pending + excluded.pending), \
         to_route AS ( \
           INSERT INTO route_work (event_id, tenant_id, sender_id, state, payload_bytes, due_at, failures, runs, held_under, lease) \
           SELECT u.event_id, u.tenant_id, u.sender_id, 'pending', u.payload_bytes, u.due_at, 0, 0, 0, u.lease \
           FROM UNNEST($13::uuid[], $14::uuid[], $36::uuid[], $37::uuid[], $38::bigint[], $39::bigint[]) \
             AS u (event_id, lease, tenant_id, sender_id, payload_bytes, due_at) \
           WHERE (u.event_id IN (SELECT id FROM accepted)) IS TRUE), \
         decided AS ( \
           INSERT INTO decision (event_id, run, outcome, decided_by, decided_at, detail, tenant_id) \
           SELECT u.event_id, 1, u.outcome, u.decided_by, u.decided_at, u.detail, u.tenant_id \
           FROM UNNEST($22::uuid[], $23::text[], $24::text[], $25::bigint[], $26::text[], $27::uuid[]) \
             AS u (event_id, outcome, decided_by, decided_at, detail, tenant_id) \
           WHERE (u.event_id IN (SELECT id FROM accepted)) IS TRUE), \
         fanned_out AS ( \
           INSERT INTO delivery (id, event_id, tenant_id, endpoint_id, run, kind) \
           SELECT u.id, u.event_id, u.tenant_id, u.endpoint_id, 1, 'event' \
           FROM UNNEST($28::uuid[], $29::uuid[], $30::uuid[], $31::uuid[]) AS u (id, event_id, tenant_id, endpoint_id) \
           WHERE (u.event_id IN (SELECT id FROM accepted)) IS TRUE), \
         to_deliver AS ( \
           INSERT INTO delivery_work (delivery_id, tenant_id, endpoint_id, state, attempts, attempts_max, attempts_before, body_bytes, due_at, lease, siblings) \
           SELECT u.id, u.tenant_id, u.endpoint_id, 'waiting', 0, u.attempts_max, 0, u.body_bytes, u.due_at, u.lease, u.siblings \
           FROM UNNEST($28::uuid[], $29::uuid[], $30::uuid[], $31::uuid[], $32::bigint[], $33::bigint[], $34::bigint[], $35::uuid[], $40::bigint[]) \
             AS u (id, event_id, tenant_id, endpoint_id, attempts_max, body_bytes, due_at, lease, siblings) \
           WHERE (u.event_id IN (SELECT id FROM accepted)) IS TRUE), \
         counted_of_each AS ( \
           INSERT INTO fan_out (event_id, tenant_id, fresh) \
           SELECT u.event_id, u.tenant_id, u.fresh FROM UNNEST($41::uuid[], $42::uuid[], $43::bigint[]) AS u (event_id, tenant_id, fresh) \
           WHERE (u.event_id IN (SELECT id FROM accepted)) IS TRUE) \
         SELECT id FROM accepted";

    /// The event a key names and how far it has come.
    Both SELECT_EXISTING = concat!(
        existing_columns!(),
        " FROM idempotency i JOIN event e ON e.id = i.event_id \
         WHERE i.tenant_id = $1 AND i.scope = $2 AND i.key = $3 AND (i.expires_at IS NULL OR i.expires_at > $4)",
    );
    /// The same for all repeats of a batch, numbered as they came, in one round trip.
    Postgres SELECT_ALL_EXISTING = concat!(
        existing_columns!(),
        ", u.number \
         FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::bigint[]) AS u (tenant_id, scope, key, number) \
         JOIN idempotency i ON i.tenant_id = u.tenant_id AND i.scope = u.scope AND i.key = u.key JOIN event e ON e.id = i.event_id",
    );
    /// Forgets keys whose time is over, so many at once; a key claimed again meanwhile has a later time.
    Both FORGET_EXPIRED_KEYS =
        "DELETE FROM idempotency WHERE (tenant_id, scope, key) IN \
         (SELECT tenant_id, scope, key FROM idempotency WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2) AND expires_at <= $1";
}
