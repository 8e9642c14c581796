//! Leases: which node holds which work.

use super::statements;

statements! {
    Both REGISTER_NODE = "INSERT INTO node (id, started_at, alive_until) VALUES ($1, $2, $3)";
    /// Affects no row when another node has declared this one dead.
    Both KEEP_NODE_ALIVE = "UPDATE node SET alive_until = $2 WHERE id = $1";
    Both REMOVE_NODE = "DELETE FROM node WHERE id = $1";
    /// Affects no row when the node has beaten since it was found silent.
    Both REMOVE_DEAD_NODE = "DELETE FROM node WHERE id = $1 AND alive_until < $2";
    /// What is leased to a node that has no row any more: it wrote after it was declared dead.
    Both RELEASE_EVENTS_OF_NOBODY = "UPDATE route_work SET lease = NULL WHERE lease IS NOT NULL AND lease NOT IN (SELECT id FROM node)";
    Both RELEASE_DELIVERIES_OF_NOBODY = "UPDATE delivery_work SET lease = NULL WHERE lease IS NOT NULL AND lease NOT IN (SELECT id FROM node)";
    Both SELECT_DEAD_NODES = "SELECT id FROM node WHERE alive_until < $1 AND id <> $2";
    Both SELECT_OTHER_NODES = "SELECT id FROM node WHERE id <> $1";
    Both RELEASE_EVENTS_OF_NODE = "UPDATE route_work SET lease = NULL WHERE lease = $1";
    Both RELEASE_DELIVERIES_OF_NODE = "UPDATE delivery_work SET lease = NULL WHERE lease = $1";
    Both SELECT_LEASED_EVENTS = "SELECT event_id FROM route_work WHERE lease = $1";
    Both SELECT_LEASED_DELIVERIES = "SELECT delivery_id FROM delivery_work WHERE lease = $1";
    Sqlite RELEASE_EVENT = "UPDATE route_work SET lease = NULL WHERE event_id = $1 AND lease = $2";
    Sqlite RELEASE_DELIVERY = "UPDATE delivery_work SET lease = NULL WHERE delivery_id = $1 AND lease = $2";
    /// The same for a whole list; the lease is compared as in [`super::DECIDE_EVENTS`].
    Postgres RELEASE_EVENTS = "UPDATE route_work SET lease = NULL WHERE event_id = ANY($1::uuid[]) AND lease IS NOT DISTINCT FROM $2";
    Postgres RELEASE_DELIVERIES = "UPDATE delivery_work SET lease = NULL WHERE delivery_id = ANY($1::uuid[]) AND lease IS NOT DISTINCT FROM $2";
    /// A lane's statements find each row of their batch by its key. Left to itself the planner, who knows neither how
    /// many rows a batch has nor, on a young table, how many the table has, reads the whole table instead.
    Postgres PLAN_BY_KEY =
        "SELECT set_config('enable_seqscan', 'off', false), set_config('enable_hashjoin', 'off', false), \
         set_config('enable_mergejoin', 'off', false), set_config('jit', 'off', false), \
         set_config('plan_cache_mode', 'force_generic_plan', false)";
    /// A1 needs the flush whatever the role's default; stricter settings than `on` are left alone.
    Postgres FLUSH_COMMITS = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";
}
