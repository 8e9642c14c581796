//! Configuration: what tenants set up.

use super::statements;

statements! {
    /// Affects no row once a key has come.
    Both CLAIM_KEY = "UPDATE configuration SET key_check = $1 WHERE singleton = 1 AND key_check IS NULL";
    Both SELECT_KEY_CHECK = "SELECT key_check FROM configuration WHERE singleton = 1";
    Both SELECT_REVISION = "SELECT revision FROM configuration WHERE singleton = 1";
    Both RAISE_REVISION = "UPDATE configuration SET revision = revision + 1 WHERE singleton = 1 RETURNING revision";
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
}
