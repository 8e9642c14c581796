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
    Both RELEASE_EVENTS_OF_NOBODY = "UPDATE event SET lease = NULL WHERE lease IS NOT NULL AND lease NOT IN (SELECT id FROM node)";
    Both RELEASE_DELIVERIES_OF_NOBODY = "UPDATE delivery SET lease = NULL WHERE lease IS NOT NULL AND lease NOT IN (SELECT id FROM node)";
    Both SELECT_DEAD_NODES = "SELECT id FROM node WHERE alive_until < $1 AND id <> $2";
    Both SELECT_OTHER_NODES = "SELECT id FROM node WHERE id <> $1";
    Both RELEASE_EVENTS_OF_NODE = "UPDATE event SET lease = NULL WHERE lease = $1";
    Both RELEASE_DELIVERIES_OF_NODE = "UPDATE delivery SET lease = NULL WHERE lease = $1";
    Both SELECT_LEASED_EVENTS = "SELECT id FROM event WHERE lease = $1";
    Both SELECT_LEASED_DELIVERIES = "SELECT id FROM delivery WHERE lease = $1";
    Both RELEASE_EVENT = "UPDATE event SET lease = NULL WHERE id = $1 AND lease = $2";
    Both RELEASE_DELIVERY = "UPDATE delivery SET lease = NULL WHERE id = $1 AND lease = $2";
}
