//! People: users, their sessions, and invites.

use super::statements;

statements! {
    Both SELECT_USER = "SELECT id, tenant_id, email, password_hash, role, status, revision, created_at, updated_at FROM user_account WHERE id = $1";
    Both SELECT_USER_BY_EMAIL =
        "SELECT id, tenant_id, email, password_hash, role, status, revision, created_at, updated_at FROM user_account WHERE email = $1";
    /// Those of a tenant, newest first.
    Both LIST_USERS =
        "SELECT id, tenant_id, email, password_hash, role, status, revision, created_at, updated_at FROM user_account \
         WHERE tenant_id = $1 AND id < $3 ORDER BY id DESC LIMIT $2";
    Both INSERT_USER =
        "INSERT INTO user_account (id, tenant_id, email, password_hash, role, status, revision, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)";
    Both UPDATE_USER =
        "UPDATE user_account SET email = $3, password_hash = $4, role = $5, status = $6, revision = $7, updated_at = $8 \
         WHERE id = $1 AND tenant_id = $2 AND revision = $9";
    Both DELETE_USER = "DELETE FROM user_account WHERE id = $1 AND revision = $2";
    /// Changes no row when none of the tenant's users is an active owner.
    Both REQUIRE_OWNER =
        "UPDATE tenant SET updated_at = updated_at WHERE id = $1 \
         AND EXISTS (SELECT 1 FROM user_account u WHERE u.tenant_id = $1 AND u.role = 'owner' AND u.status = 'active')";

    /// Inserts nothing when the user is gone, may not log in any more, or has another password than the one that was checked.
    Both INSERT_SESSION =
        "INSERT INTO session (id, user_id, hash, password_hash, refreshed_at, expires_at, created_at) SELECT $1, u.id, $3, u.password_hash, $5, $4, $5 FROM user_account u \
         WHERE u.id = $2 AND u.status = 'active' AND u.password_hash = $6";
    /// A session that has not run out, with its user.
    Both SELECT_SESSION =
        "SELECT s.id, s.hash, s.previous_hash, s.refreshed_at, u.id, u.tenant_id, u.email, u.password_hash, u.role, u.status, u.revision, u.created_at, u.updated_at \
         FROM session s JOIN user_account u ON u.id = s.user_id AND u.password_hash = s.password_hash WHERE s.id = $1 AND s.expires_at > $2";
    /// Changes no row when the token is not the one that is good now: of two uses at once one succeeds.
    Both REFRESH_SESSION = "UPDATE session SET hash = $3, previous_hash = $2, expires_at = $4, refreshed_at = $5 WHERE id = $1 AND hash = $2";
    Both DELETE_SESSION = "DELETE FROM session WHERE id = $1";
    Both DELETE_SESSIONS_OF_USER = "DELETE FROM session WHERE user_id = $1";
    /// Some at a time.
    Both FORGET_SESSIONS = "DELETE FROM session WHERE id IN (SELECT id FROM session WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";

    Both SELECT_INVITE_BY_HASH =
        "SELECT id, tenant_id, hash, sealed, role, expires_at, used_at, revision, created_at FROM invite WHERE hash = $1";
    /// Those of a tenant, newest first.
    Both LIST_INVITES =
        "SELECT id, tenant_id, hash, sealed, role, expires_at, used_at, revision, created_at FROM invite \
         WHERE tenant_id = $1 ORDER BY id DESC LIMIT $2";
    Both INSERT_INVITE =
        "INSERT INTO invite (id, tenant_id, hash, sealed, role, expires_at, used_at, revision, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)";
    Both UPDATE_INVITE =
        "UPDATE invite SET hash = $3, sealed = $4, role = $5, expires_at = $6, used_at = $7, revision = $8, updated_at = $9 \
         WHERE id = $1 AND tenant_id = $2 AND revision = $10";
}
