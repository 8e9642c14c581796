//! What the store tells of itself: each read is bounded, however much is stored.

use super::statements;

/// Rows of a work table in one state that an index of its own lists, up to `$1`.
macro_rules! counted {
    ($table:literal, $where:literal) => {
        concat!(
            "(SELECT COUNT(*) FROM (SELECT 1 AS one FROM ",
            $table,
            " WHERE ",
            $where,
            " LIMIT $1) counted)"
        )
    };
}

statements! {
    /// From one view of the database; what is written meanwhile is not in it.
    Sqlite COPY_DATABASE = "VACUUM INTO $1";
    /// What waits and what has ended without arriving, the time of the first delivery that is due, and the oldest held event.
    Both COUNT_BACKLOG = concat!(
        "SELECT ",
        counted!("route_work", "state = 'pending' AND lease IS NULL"), ", ",
        counted!("route_work", "state <> 'pending' AND state = 'held'"), ", ",
        counted!("route_work", "state <> 'pending' AND state = 'dead-lettered'"), ", ",
        counted!("delivery_work", "state = 'waiting' AND lease IS NULL"), ", ",
        counted!("delivery_work", "state <> 'waiting' AND state = 'rejected'"), ", ",
        counted!("delivery_work", "state <> 'waiting' AND state = 'exhausted'"), ", ",
        counted!("delivery_work", "state <> 'waiting' AND state = 'cancelled'"), ", ",
        "(SELECT due_at FROM delivery_work WHERE state = 'waiting' AND lease IS NULL ORDER BY due_at LIMIT 1), \
         (SELECT event_id FROM route_work WHERE state <> 'pending' AND state = 'held' ORDER BY event_id LIMIT 1)",
    );
    Sqlite SELECT_PAGES = "SELECT page_count, freelist_count, page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
    /// Sizes that the system keeps: nothing is read.
    Postgres SELECT_TABLE_BYTES =
        "SELECT SUM(CASE WHEN c.relname IN ('event', 'idempotency', 'decision', 'content', 'delivery', 'attempt') \
           THEN pg_total_relation_size(c.oid) ELSE 0 END)::BIGINT, \
         SUM(CASE WHEN c.relname IN ('route_work', 'delivery_work', 'endpoint_breaker') THEN pg_total_relation_size(c.oid) ELSE 0 END)::BIGINT, \
         SUM(CASE WHEN c.relname IN ('event', 'idempotency', 'decision', 'content', 'delivery', 'attempt', 'route_work', 'delivery_work', \
           'endpoint_breaker') THEN 0 ELSE pg_total_relation_size(c.oid) END)::BIGINT \
         FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = (SELECT n.oid FROM pg_namespace n WHERE n.nspname = current_schema())";
}
