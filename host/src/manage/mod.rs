//! Manage: changing what is configured, checked as a whole before anything changes.
//!
//! [`setup`] reads the declarative file, [`plan`] compares it with what there is and decides what to write.

pub mod plan;
pub mod setup;
