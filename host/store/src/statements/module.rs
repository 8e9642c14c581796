//! Modules: which are being checked, and which contents are refused.

use super::statements;

statements! {
    Both BEGIN_MODULE_CHECK = "INSERT INTO module_check (hash, node_id, began_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    Both SELECT_MODULE_CHECK_ELSEWHERE = "SELECT 1 FROM module_check WHERE hash = $1 AND node_id <> $2 LIMIT 1";
    Both END_MODULE_CHECK = "DELETE FROM module_check WHERE hash = $1 AND node_id = $2";
    /// A content may have been in work on several nodes, and is quarantined once.
    Both QUARANTINE_ABANDONED_CHECKS =
        "INSERT INTO module_refusal (hash, kind, judge, reason, refused_at) \
         SELECT DISTINCT hash, 'quarantined', '', $1, CAST($2 AS BIGINT) FROM module_check WHERE node_id NOT IN (SELECT id FROM node) \
         ON CONFLICT (hash) DO UPDATE SET kind = excluded.kind, judge = excluded.judge, reason = excluded.reason, \
         until_at = NULL, refused_at = excluded.refused_at";
    Both FORGET_ABANDONED_CHECKS = "DELETE FROM module_check WHERE node_id NOT IN (SELECT id FROM node)";
    Both SELECT_MODULE_REFUSAL =
        "SELECT reason FROM module_refusal WHERE hash = $1 AND (kind = 'quarantined' OR judge = $2) AND (until_at IS NULL OR until_at > $3)";
    Both SELECT_MODULE_REFUSALS =
        "SELECT hash, kind, reason, until_at, refused_at FROM module_refusal ORDER BY refused_at DESC, hash LIMIT $1";
    Both REFUSE_MODULE =
        "INSERT INTO module_refusal (hash, kind, judge, reason, until_at, refused_at) VALUES ($1, 'refused', $2, $3, $4, $5) \
         ON CONFLICT (hash) DO UPDATE SET kind = excluded.kind, judge = excluded.judge, reason = excluded.reason, \
         until_at = excluded.until_at, refused_at = excluded.refused_at WHERE module_refusal.kind <> 'quarantined'";
    Both FORGET_MODULE_REFUSAL = "DELETE FROM module_refusal WHERE hash = $1";
    /// Plugins that are marked with the content: they are to be looked at again.
    Both RENEW_PLUGINS_OF_MODULE =
        "UPDATE plugin SET revision = $2, refused_hash = NULL, refused_reason = NULL, refused_at = NULL WHERE refused_hash = $1";
    /// Bounds the table: whoever keeps offering new broken contents pushes out the oldest of them, which are then judged anew.
    Both FORGET_OLD_MODULE_REFUSALS =
        "DELETE FROM module_refusal WHERE kind = 'refused' AND hash IN \
         (SELECT hash FROM module_refusal WHERE kind = 'refused' ORDER BY refused_at DESC, hash LIMIT 1000 OFFSET $1)";
}
