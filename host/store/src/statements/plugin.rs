//! Plugins: versions and which of them are active.

use super::statements;

statements! {
    Both SELECT_PLUGINS =
        "SELECT id, tenant_id, name, revision, NULL, active_hash, generation, refused_hash, refused_reason, refused_at, updated_at FROM plugin \
         ORDER BY tenant_id, name";
    Both SELECT_PLUGIN =
        "SELECT id, tenant_id, name, revision, NULL, active_hash, generation, refused_hash, refused_reason, refused_at, updated_at FROM plugin \
         WHERE tenant_id = $1 AND name = $2";
    Both SELECT_MODULE = "SELECT wasm FROM plugin_module WHERE hash = $1";
    /// Bytes that are there and do not belong to their hash are damaged, and replaced.
    Both INSERT_MODULE =
        "INSERT INTO plugin_module (hash, wasm, created_at) VALUES ($1, $2, $3) \
         ON CONFLICT (hash) DO UPDATE SET wasm = excluded.wasm WHERE plugin_module.wasm <> excluded.wasm";
    /// The version that is active already keeps its generation: two nodes that take up the same file activate it once.
    Both ACTIVATE_PLUGIN =
        "INSERT INTO plugin (id, tenant_id, name, active_hash, generation, revision, created_at, updated_at) VALUES ($1, $2, $3, $4, 1, $5, $6, $6) \
         ON CONFLICT (tenant_id, name) DO UPDATE SET active_hash = excluded.active_hash, \
         generation = plugin.generation + CASE WHEN plugin.active_hash = excluded.active_hash THEN 0 ELSE 1 END, \
         refused_hash = NULL, refused_reason = NULL, refused_at = NULL, revision = excluded.revision, updated_at = excluded.updated_at \
         RETURNING id, generation";
    Both INSERT_ACTIVATION =
        "INSERT INTO plugin_activation (plugin_id, generation, hash, activated_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    /// Only where the active version itself is marked as one that cannot be loaded.
    Both RENEW_PLUGIN =
        "UPDATE plugin SET revision = $3, refused_hash = NULL, refused_reason = NULL, refused_at = NULL \
         WHERE id = $1 AND generation = $2 AND refused_hash = active_hash";
    /// Raises no revision: a refusal changes nothing about where events go.
    Both REFUSE_PLUGIN =
        "INSERT INTO plugin (id, tenant_id, name, generation, refused_hash, refused_reason, refused_at, revision, created_at, updated_at) \
         VALUES ($1, $2, $3, 0, $4, $5, $6, 0, $6, $6) \
         ON CONFLICT (tenant_id, name) DO UPDATE SET refused_hash = excluded.refused_hash, refused_reason = excluded.refused_reason, \
         refused_at = excluded.refused_at";
}
