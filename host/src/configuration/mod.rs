//! What is configured, as the server works with it: typed nouns and the live snapshot of them.
//!
//! The store keeps rows; here they become endpoints, senders and tenants that need no further check. Everything on an
//! event's path reads the snapshot and never the database.

mod snapshot;

pub use self::snapshot::*;
