//! Plugins: versions and which of them are active.

use super::statements;

statements! {
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
}
