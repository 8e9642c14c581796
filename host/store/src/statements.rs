//! Every SQL statement of the server, one constant each.
//!
//! A statement is one text for SQLite and PostgreSQL wherever the two agree. Where a batch reaches PostgreSQL as
//! arrays in one round trip and SQLite as prepared single rows, the two stand side by side with the reason. [`ALL`]
//! lists them so that a test can prepare each on the databases it is meant for.

/// Databases a statement is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    Both,
    Sqlite,
    Postgres,
}

macro_rules! statements {
    ($( $(#[$doc:meta])* $on:ident $name:ident = $sql:expr; )*) => {
        $( $(#[$doc])* pub(crate) const $name: &str = $sql; )*

        /// Each statement with its name and the databases it must prepare on.
        pub const ALL: &[(&str, On, &str)] = &[ $( (stringify!($name), On::$on, $name), )* ];
    };
}

statements! {
    // -- group commit: accept ---------------------------------------------------------------------------------------

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

    // -- group commit: route ----------------------------------------------------------------------------------------

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

    // -- group commit: settle ---------------------------------------------------------------------------------------

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

    // -- leases -----------------------------------------------------------------------------------------------------

    Both REGISTER_NODE = "INSERT INTO node (id, started_at, alive_until) VALUES ($1, $2, $3)";
    /// Affects no row when another node has declared this one dead.
    Both KEEP_NODE_ALIVE = "UPDATE node SET alive_until = $2 WHERE id = $1";
    Both REMOVE_NODE = "DELETE FROM node WHERE id = $1";
    /// Affects no row when the node has beaten since it was found silent.
    Both REMOVE_DEAD_NODE = "DELETE FROM node WHERE id = $1 AND alive_until < $2";
    /// What is leased to a node that has no row any more: it wrote after it was declared dead.
    Both RELEASE_EVENTS_OF_NOBODY = "UPDATE event SET lease = NULL WHERE lease IS NOT NULL AND lease NOT IN (SELECT id FROM node)";
    Both RELEASE_DELIVERIES_OF_NOBODY = "UPDATE delivery SET lease = NULL WHERE lease IS NOT NULL AND lease NOT IN (SELECT id FROM node)";
    Both SELECT_DEAD_NODES = "SELECT id FROM node WHERE alive_until < $1 AND id <> $2";
    Both SELECT_OTHER_NODES = "SELECT id FROM node WHERE id <> $1";
    Both RELEASE_EVENTS_OF_NODE = "UPDATE event SET lease = NULL WHERE lease = $1";
    Both RELEASE_DELIVERIES_OF_NODE = "UPDATE delivery SET lease = NULL WHERE lease = $1";
    Both SELECT_LEASED_EVENTS = "SELECT id FROM event WHERE lease = $1";
    Both SELECT_LEASED_DELIVERIES = "SELECT id FROM delivery WHERE lease = $1";
    Both RELEASE_EVENT = "UPDATE event SET lease = NULL WHERE id = $1 AND lease = $2";
    Both RELEASE_DELIVERY = "UPDATE delivery SET lease = NULL WHERE id = $1 AND lease = $2";

    // -- claims -----------------------------------------------------------------------------------------------------

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

    // -- configuration ----------------------------------------------------------------------------------------------

    /// Affects no row once a key has come.
    Both CLAIM_KEY = "UPDATE configuration SET key_check = $1 WHERE singleton = 1 AND key_check IS NULL";
    Both SELECT_KEY_CHECK = "SELECT key_check FROM configuration WHERE singleton = 1";
    Both SELECT_REVISION = "SELECT revision FROM configuration WHERE singleton = 1";
    Both RAISE_REVISION = "UPDATE configuration SET revision = revision + 1 WHERE singleton = 1 RETURNING revision";
    /// A1 needs the flush whatever the role's default; stricter settings than `on` are left alone.
    Postgres FLUSH_COMMITS = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";
    /// A lane's statements find each row of their batch by its key. Left to itself the planner, who knows neither how
    /// many rows a batch has nor, on a young table, how many the table has, reads the whole table instead.
    Postgres PLAN_BY_KEY =
        "SELECT set_config('enable_seqscan', 'off', false), set_config('enable_hashjoin', 'off', false), \
         set_config('enable_mergejoin', 'off', false), set_config('jit', 'off', false), \
         set_config('plan_cache_mode', 'force_generic_plan', false)";
    Postgres NOTIFY_CONFIGURATION = "SELECT pg_notify('hookyard_configuration', '')";

    Both SELECT_TENANTS = "SELECT id, name, attempts_max, breaker_block_s, webhook_secret_sealed FROM tenant ORDER BY name";
    Both SELECT_ENVIRONMENTS = "SELECT id, tenant_id, name FROM environment ORDER BY tenant_id, name";
    Both SELECT_API_KEYS = "SELECT id, tenant_id, name, key_hash FROM api_key WHERE revoked_at IS NULL ORDER BY tenant_id, name";
    Both SELECT_ENDPOINTS =
        "SELECT id, tenant_id, environment_id, name, url, status, profile, event_patterns, metadata, concurrency_max, token_hash \
         FROM endpoint ORDER BY environment_id, name";
    Both SELECT_SENDERS =
        "SELECT id, tenant_id, environment_id, name, token_hash, status, plugin, config, failure_policy, event_type_header, exposed_headers, endpoints \
         FROM sender ORDER BY environment_id, name";

    Both UPSERT_TENANT =
        "INSERT INTO tenant (id, name, attempts_max, breaker_block_s, webhook_secret_sealed, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6) \
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, attempts_max = excluded.attempts_max, breaker_block_s = excluded.breaker_block_s, \
         webhook_secret_sealed = excluded.webhook_secret_sealed, updated_at = excluded.updated_at";
    Both INSERT_ENVIRONMENT = "INSERT INTO environment (id, tenant_id, name, created_at) VALUES ($1, $2, $3, $4)";
    Both UPSERT_API_KEY =
        "INSERT INTO api_key (id, tenant_id, name, key_hash, created_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (tenant_id, name) DO UPDATE SET key_hash = excluded.key_hash, revoked_at = NULL";
    Both UPSERT_ENDPOINT =
        "INSERT INTO endpoint (id, tenant_id, environment_id, name, url, status, profile, event_patterns, metadata, concurrency_max, token_hash, \
         created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12) \
         ON CONFLICT (id) DO UPDATE SET url = excluded.url, status = excluded.status, profile = excluded.profile, \
         event_patterns = excluded.event_patterns, metadata = excluded.metadata, concurrency_max = excluded.concurrency_max, \
         token_hash = excluded.token_hash, updated_at = excluded.updated_at";
    Both UPSERT_SENDER =
        "INSERT INTO sender (id, tenant_id, environment_id, name, token_hash, status, plugin, config, failure_policy, event_type_header, \
         exposed_headers, endpoints, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13) \
         ON CONFLICT (id) DO UPDATE SET token_hash = excluded.token_hash, status = excluded.status, plugin = excluded.plugin, \
         config = excluded.config, failure_policy = excluded.failure_policy, event_type_header = excluded.event_type_header, \
         exposed_headers = excluded.exposed_headers, endpoints = excluded.endpoints, updated_at = excluded.updated_at";

    // -- plugins ----------------------------------------------------------------------------------------------------

    Both SELECT_PLUGINS =
        "SELECT id, tenant_id, name, active_hash, generation, refused_hash, refused_reason, refused_at, updated_at FROM plugin ORDER BY tenant_id, name";
    Both SELECT_MODULE = "SELECT wasm FROM plugin_module WHERE hash = $1";
    Both INSERT_MODULE = "INSERT INTO plugin_module (hash, wasm, created_at) VALUES ($1, $2, $3) ON CONFLICT (hash) DO NOTHING";
    Both ACTIVATE_PLUGIN =
        "INSERT INTO plugin (id, tenant_id, name, active_hash, generation, created_at, updated_at) VALUES ($1, $2, $3, $4, 1, $5, $5) \
         ON CONFLICT (tenant_id, name) DO UPDATE SET active_hash = excluded.active_hash, generation = plugin.generation + 1, \
         refused_hash = NULL, refused_reason = NULL, refused_at = NULL, updated_at = excluded.updated_at \
         RETURNING id, generation";
    Both INSERT_ACTIVATION = "INSERT INTO plugin_activation (plugin_id, generation, hash, activated_at) VALUES ($1, $2, $3, $4)";
    Both REFUSE_PLUGIN =
        "INSERT INTO plugin (id, tenant_id, name, generation, refused_hash, refused_reason, refused_at, created_at, updated_at) \
         VALUES ($1, $2, $3, 0, $4, $5, $6, $6, $6) \
         ON CONFLICT (tenant_id, name) DO UPDATE SET refused_hash = excluded.refused_hash, refused_reason = excluded.refused_reason, \
         refused_at = excluded.refused_at";
    /// A version works again: what its senders' events were held for is routed once more (failure policy `hold`).
    Both RELEASE_HELD_EVENTS =
        "UPDATE event SET state = 'pending', decided_at = NULL, route_due_at = $2, route_failures = 0 \
         WHERE state = 'held' AND sender_id IN (SELECT id FROM sender WHERE tenant_id = $1 AND plugin = $3)";

    /// A sender's route was changed: what was held for it is routed once more.
    Both RELEASE_HELD_EVENTS_OF_SENDER =
        "UPDATE event SET state = 'pending', decided_at = NULL, route_due_at = $2, route_failures = 0 WHERE state = 'held' AND sender_id = $1";

    // -- reading and replay -----------------------------------------------------------------------------------------

    Both LIST_EVENTS =
        "SELECT e.id, t.name, s.name, p.name, e.event_type, e.content_type, e.accepted_at, e.state, e.decision, e.idempotency_key, LENGTH(e.payload) \
         FROM event e JOIN tenant t ON t.id = e.tenant_id LEFT JOIN sender s ON s.id = e.sender_id LEFT JOIN endpoint p ON p.id = e.endpoint_id \
         WHERE ($1 = '' OR t.name = $1) AND ($2 = '' OR e.state = $2) AND e.id < $3 ORDER BY e.id DESC LIMIT $4";
    Both SELECT_EVENT =
        "SELECT e.id, t.name, s.name, p.name, e.event_type, e.content_type, e.accepted_at, e.state, e.decision, e.idempotency_key, LENGTH(e.payload) \
         FROM event e JOIN tenant t ON t.id = e.tenant_id LEFT JOIN sender s ON s.id = e.sender_id LEFT JOIN endpoint p ON p.id = e.endpoint_id \
         WHERE e.id = $1";
    /// What a new plugin version is tried on: events whose routing worked, among the newest of all, so that the look
    /// stays bounded.
    Both SELECT_RECENT_EVENTS =
        "SELECT e.id, e.event_type, e.content_type, e.headers, e.payload, e.accepted_at FROM \
         (SELECT id, sender_id, state, event_type, content_type, headers, payload, accepted_at FROM event ORDER BY id DESC LIMIT 500) e \
         WHERE e.sender_id = $1 AND e.state IN ('routed', 'dropped') AND LENGTH(e.payload) <= 1048576 ORDER BY e.id DESC LIMIT $2";
    Both SELECT_PAYLOAD = "SELECT payload FROM event WHERE id = $1";
    Both LIST_DELIVERIES =
        "SELECT d.id, d.event_id, t.name, p.name, d.state, d.attempts, d.attempts_max, d.due_at, d.completed_at \
         FROM delivery d JOIN tenant t ON t.id = d.tenant_id JOIN endpoint p ON p.id = d.endpoint_id \
         WHERE ($1 = '' OR t.name = $1) AND ($2 = '' OR d.state = $2) AND d.id < $3 ORDER BY d.id DESC LIMIT $4";
    Both LIST_DELIVERIES_OF_EVENT =
        "SELECT d.id, d.event_id, t.name, p.name, d.state, d.attempts, d.attempts_max, d.due_at, d.completed_at \
         FROM delivery d JOIN tenant t ON t.id = d.tenant_id JOIN endpoint p ON p.id = d.endpoint_id \
         WHERE d.event_id = $1 ORDER BY d.id";
    Both SELECT_DELIVERY =
        "SELECT d.id, d.event_id, t.name, p.name, d.state, d.attempts, d.attempts_max, d.due_at, d.completed_at \
         FROM delivery d JOIN tenant t ON t.id = d.tenant_id JOIN endpoint p ON p.id = d.endpoint_id WHERE d.id = $1";
    Both LIST_ATTEMPTS =
        "SELECT number, started_at, duration_us, status, error, error_detail, response FROM attempt WHERE delivery_id = $1 ORDER BY number";
    /// A finished, undelivered delivery starts over; its attempts go on counting from where they were (D1).
    Both REPLAY_DELIVERY =
        "UPDATE delivery SET state = 'waiting', completed_at = NULL, due_at = $2, attempts_before = attempts \
         WHERE id = $1 AND state IN ('exhausted', 'rejected', 'cancelled')";
    Both REPLAY_DELIVERIES_OF_EVENT =
        "UPDATE delivery SET state = 'waiting', completed_at = NULL, due_at = $2, attempts_before = attempts \
         WHERE event_id = $1 AND state IN ('exhausted', 'rejected', 'cancelled')";
    /// A delivery that waits is due at once, whatever it waits for; its attempts count on.
    Both HASTEN_DELIVERY = "UPDATE delivery SET due_at = $2 WHERE id = $1 AND state = 'waiting' AND lease IS NULL AND due_at > $2";
    /// Those between two attempts only: a delay the plugin decided on stands (R1).
    Both HASTEN_DELIVERIES_OF_EVENT =
        "UPDATE delivery SET due_at = $2 WHERE event_id = $1 AND state = 'waiting' AND attempts > 0 AND lease IS NULL AND due_at > $2";
    /// An event no decision delivered is routed again with the version that is active now.
    Both REROUTE_EVENT =
        "UPDATE event SET state = 'pending', decided_at = NULL, route_due_at = $2, route_failures = 0 \
         WHERE id = $1 AND state IN ('held', 'dead-lettered')";
    Both COUNT_EVENTS = "SELECT state, COUNT(*) FROM event GROUP BY state";
    Both COUNT_DELIVERIES = "SELECT state, COUNT(*) FROM delivery GROUP BY state";
}
