//! Configuration: what tenants set up.

use super::statements;

statements! {
    /// Affects no row once a key has come.
    Both CLAIM_KEY = "UPDATE configuration SET key_check = $1 WHERE singleton = 1 AND key_check IS NULL";
    Both SELECT_KEY_CHECK = "SELECT key_check FROM configuration WHERE singleton = 1";
    Both SELECT_REVISION = "SELECT revision FROM configuration WHERE singleton = 1";
    Both RAISE_REVISION = "UPDATE configuration SET revision = revision + 1 WHERE singleton = 1 RETURNING revision";
    Postgres NOTIFY_CONFIGURATION = "SELECT pg_notify('hookyard_configuration', '')";

    // What a node reads of each table: what changed after $1. Each row begins with its id, what its name is unique in, its
    // name, its revision and when it was deleted; a first read (0) leaves the deleted ones out.
    Both SELECT_TENANTS_SINCE =
        "SELECT id, NULL, name, revision, deleted_at, attempts_max, breaker_block_s, webhook_secret_sealed, created_at, updated_at, registered FROM tenant \
         WHERE revision > $1 AND ($1 > 0 OR deleted_at IS NULL) ORDER BY id";
    Both SELECT_ENVIRONMENTS_SINCE =
        "SELECT id, tenant_id, slug, revision, deleted_at, name, is_default FROM environment \
         WHERE revision > $1 AND ($1 > 0 OR deleted_at IS NULL) ORDER BY id";
    Both SELECT_ENDPOINTS_SINCE =
        "SELECT id, environment_id, name, revision, deleted_at, tenant_id, application_id, description, url, status, profile, metadata, \
         concurrency_max, attempts_max, secret_sealed, previous_secret_sealed, previous_secret_until, auth_sealed, created_at, updated_at \
         FROM endpoint WHERE revision > $1 AND ($1 > 0 OR deleted_at IS NULL) ORDER BY id";
    Both SELECT_SUBSCRIPTIONS_SINCE =
        "SELECT s.id, s.endpoint_id, s.pattern, s.event_type_id, s.created_at, e.revision FROM endpoint e \
         JOIN subscription s ON s.endpoint_id = e.id WHERE e.revision > $1 AND e.deleted_at IS NULL ORDER BY s.endpoint_id, s.id";
    Both SELECT_SENDERS_SINCE =
        "SELECT id, environment_id, name, revision, deleted_at, tenant_id, endpoint_id, status, plugin, config, failure_policy, \
         event_type_header, exposed_headers, endpoints, label, mapping, mapping_failure, verification, verification_secrets_sealed, created_at, updated_at \
         FROM sender WHERE revision > $1 AND ($1 > 0 OR deleted_at IS NULL) ORDER BY id";
    Both SELECT_CREDENTIALS_SINCE =
        "SELECT id, tenant_id, name, revision, revoked_at, kind, subject_id, environment_id, rights, hash, sealed, expires_at, disabled_at, \
         created_at, updated_at, label, last_used_at FROM credential WHERE revision > $1 AND ($1 > 0 OR revoked_at IS NULL) ORDER BY id";
    Both SELECT_PLUGINS_SINCE =
        "SELECT id, tenant_id, name, revision, NULL, active_hash, generation, refused_hash, refused_reason, refused_at, updated_at FROM plugin \
         WHERE revision > $1 ORDER BY id";

    Both SELECT_TENANT_KNOWN = "SELECT id FROM tenant WHERE id = $1 AND deleted_at IS NULL";
    Both SELECT_TENANT_NAMED = "SELECT id FROM tenant WHERE name = $1 AND deleted_at IS NULL";

    // One row to be changed, in the columns of the above.
    Both SELECT_TENANT =
        "SELECT id, NULL, name, revision, deleted_at, attempts_max, breaker_block_s, webhook_secret_sealed, created_at, updated_at, registered FROM tenant \
         WHERE id = $1 AND deleted_at IS NULL";
    Both SELECT_ENVIRONMENT =
        "SELECT id, tenant_id, slug, revision, deleted_at, name, is_default FROM environment WHERE id = $1 AND deleted_at IS NULL";
    Both SELECT_ENDPOINT =
        "SELECT id, environment_id, name, revision, deleted_at, tenant_id, application_id, description, url, status, profile, metadata, \
         concurrency_max, attempts_max, secret_sealed, previous_secret_sealed, previous_secret_until, auth_sealed, created_at, updated_at \
         FROM endpoint WHERE id = $1 AND deleted_at IS NULL";
    Both SELECT_SUBSCRIPTIONS = "SELECT id, pattern, event_type_id, created_at FROM subscription WHERE endpoint_id = $1 ORDER BY id";
    Both SELECT_SENDER =
        "SELECT id, environment_id, name, revision, deleted_at, tenant_id, endpoint_id, status, plugin, config, failure_policy, \
         event_type_header, exposed_headers, endpoints, label, mapping, mapping_failure, verification, verification_secrets_sealed, created_at, updated_at \
         FROM sender WHERE id = $1 AND deleted_at IS NULL";
    Both SELECT_CREDENTIAL =
        "SELECT id, tenant_id, name, revision, revoked_at, kind, subject_id, environment_id, rights, hash, sealed, expires_at, disabled_at, \
         created_at, updated_at, label, last_used_at FROM credential WHERE id = $1 AND revoked_at IS NULL";

    // An insert and its update number their parameters alike; an update changes nothing when the row has another revision
    // than the last parameter, or what never changes is another.
    Both INSERT_TENANT =
        "INSERT INTO tenant (id, name, attempts_max, breaker_block_s, webhook_secret_sealed, registered, revision, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)";
    Both UPDATE_TENANT =
        "UPDATE tenant SET name = $2, attempts_max = $3, breaker_block_s = $4, webhook_secret_sealed = $5, registered = $6, revision = $7, \
         updated_at = $8 WHERE id = $1 AND revision = $9 AND deleted_at IS NULL";
    Both INSERT_ENVIRONMENT =
        "INSERT INTO environment (id, tenant_id, slug, name, is_default, revision, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $7)";
    Both UPDATE_ENVIRONMENT =
        "UPDATE environment SET slug = $3, name = $4, is_default = $5, revision = $6, updated_at = $7 \
         WHERE id = $1 AND tenant_id = $2 AND revision = $8 AND deleted_at IS NULL";
    Both DELETE_ENVIRONMENT =
        "UPDATE environment SET deleted_at = $3, revision = $2, updated_at = $3 WHERE id = $1 AND revision = $4 AND deleted_at IS NULL";
    Both INSERT_ENDPOINT =
        "INSERT INTO endpoint (id, tenant_id, environment_id, application_id, name, description, url, status, profile, metadata, concurrency_max, \
         attempts_max, secret_sealed, previous_secret_sealed, previous_secret_until, auth_sealed, revision, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $18)";
    Both UPDATE_ENDPOINT =
        "UPDATE endpoint SET application_id = $4, name = $5, description = $6, url = $7, status = $8, profile = $9, metadata = $10, \
         concurrency_max = $11, attempts_max = $12, secret_sealed = $13, previous_secret_sealed = $14, previous_secret_until = $15, \
         auth_sealed = $16, revision = $17, updated_at = $18 \
         WHERE id = $1 AND tenant_id = $2 AND environment_id = $3 AND revision = $19 AND deleted_at IS NULL";
    Both DELETE_ENDPOINT =
        "UPDATE endpoint SET deleted_at = $3, revision = $2, updated_at = $3 WHERE id = $1 AND revision = $4 AND deleted_at IS NULL";
    Both INSERT_SUBSCRIPTION =
        "INSERT INTO subscription (id, endpoint_id, pattern, event_type_id, created_at) VALUES ($1, $2, $3, $4, $5)";
    Both DELETE_SUBSCRIPTIONS = "DELETE FROM subscription WHERE endpoint_id = $1";
    Both INSERT_SENDER =
        "INSERT INTO sender (id, tenant_id, environment_id, endpoint_id, name, status, plugin, config, failure_policy, event_type_header, \
         exposed_headers, endpoints, label, mapping, mapping_failure, verification, verification_secrets_sealed, revision, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $19)";
    Both UPDATE_SENDER =
        "UPDATE sender SET endpoint_id = $4, name = $5, status = $6, plugin = $7, config = $8, failure_policy = $9, event_type_header = $10, \
         exposed_headers = $11, endpoints = $12, label = $13, mapping = $14, mapping_failure = $15, verification = $16, \
         verification_secrets_sealed = $17, revision = $18, updated_at = $19 \
         WHERE id = $1 AND tenant_id = $2 AND environment_id = $3 AND revision = $20 AND deleted_at IS NULL";
    Both DELETE_SENDER =
        "UPDATE sender SET deleted_at = $3, revision = $2, updated_at = $3 WHERE id = $1 AND revision = $4 AND deleted_at IS NULL";
    Both INSERT_CREDENTIAL =
        "INSERT INTO credential (id, tenant_id, kind, subject_id, environment_id, name, rights, hash, sealed, expires_at, disabled_at, label, revision, \
         created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14)";
    /// The operator's credentials have no tenant, hence the comparison that holds between two absent ones too.
    Both UPDATE_CREDENTIAL =
        "UPDATE credential SET subject_id = $4, environment_id = $5, name = $6, rights = $7, hash = $8, sealed = $9, expires_at = $10, \
         disabled_at = $11, label = $12, revision = $13, updated_at = $14 \
         WHERE id = $1 AND tenant_id IS NOT DISTINCT FROM $2 AND kind = $3 AND revision = $15 AND revoked_at IS NULL";
    /// All of one kind, the revoked ones too, newest first.
    Both LIST_CREDENTIALS =
        "SELECT id, tenant_id, name, revision, revoked_at, kind, subject_id, environment_id, rights, hash, sealed, expires_at, disabled_at, \
         created_at, updated_at, label, last_used_at FROM credential WHERE kind = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
    /// The same of a tenant.
    Both LIST_CREDENTIALS_OF_TENANT =
        "SELECT id, tenant_id, name, revision, revoked_at, kind, subject_id, environment_id, rights, hash, sealed, expires_at, disabled_at, \
         created_at, updated_at, label, last_used_at FROM credential WHERE tenant_id = $1 AND kind = $2 AND id < $3 ORDER BY id DESC LIMIT $4";
    /// A use that is older than what is known changes nothing, whichever node saw it.
    Both NOTE_CREDENTIAL_USE =
        "UPDATE credential SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)";
    Both REVOKE_CREDENTIAL =
        "UPDATE credential SET revoked_at = $3, revision = $2, updated_at = $3 WHERE id = $1 AND revision = $4 AND revoked_at IS NULL";
    Both REVOKE_CREDENTIALS_OF =
        "UPDATE credential SET revoked_at = $3, revision = $2, updated_at = $3 WHERE subject_id = $1 AND revoked_at IS NULL";
}
