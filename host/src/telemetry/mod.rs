//! What the server tells about itself: [`log`] starts the log, [`aggregate`] keeps a fault that repeats from filling it,
//! [`metrics`] is the list of what is counted, and [`supervision`] notices what has stopped.

pub mod aggregate;
pub mod log;
pub mod metrics;
pub mod supervision;
