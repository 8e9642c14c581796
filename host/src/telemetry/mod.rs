//! What the server tells about itself: [`log`] starts the log, [`aggregate`] keeps a fault that repeats from filling it,
//! and [`metrics`] is the list of what is counted.

pub mod aggregate;
pub mod log;
pub mod metrics;
