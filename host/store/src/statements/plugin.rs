//! Plugins: versions and which of them are active.

use super::statements;

statements! {
    Both SELECT_PLUGINS =
        "SELECT id, tenant_id, name, revision, NULL, active_hash, generation, refused_hash, refused_reason, refused_at, updated_at FROM plugin \
         ORDER BY tenant_id, name";
    Both SELECT_MODULE = "SELECT wasm FROM plugin_module WHERE hash = $1";
    Both INSERT_MODULE = "INSERT INTO plugin_module (hash, wasm, created_at) VALUES ($1, $2, $3) ON CONFLICT (hash) DO NOTHING";
    Both ACTIVATE_PLUGIN =
        "INSERT INTO plugin (id, tenant_id, name, active_hash, generation, revision, created_at, updated_at) VALUES ($1, $2, $3, $4, 1, $5, $6, $6) \
         ON CONFLICT (tenant_id, name) DO UPDATE SET active_hash = excluded.active_hash, generation = plugin.generation + 1, \
         refused_hash = NULL, refused_reason = NULL, refused_at = NULL, revision = excluded.revision, updated_at = excluded.updated_at \
         RETURNING id, generation";
    Both INSERT_ACTIVATION = "INSERT INTO plugin_activation (plugin_id, generation, hash, activated_at) VALUES ($1, $2, $3, $4)";
    /// Raises no revision: a refusal changes nothing about where events go.
    Both REFUSE_PLUGIN =
        "INSERT INTO plugin (id, tenant_id, name, generation, refused_hash, refused_reason, refused_at, revision, created_at, updated_at) \
         VALUES ($1, $2, $3, 0, $4, $5, $6, 0, $6, $6) \
         ON CONFLICT (tenant_id, name) DO UPDATE SET refused_hash = excluded.refused_hash, refused_reason = excluded.refused_reason, \
         refused_at = excluded.refused_at";
}
