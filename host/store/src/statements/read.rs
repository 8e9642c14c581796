//! Reads by people, and replay.

use super::statements;

statements! {
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
