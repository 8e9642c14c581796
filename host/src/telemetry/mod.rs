//! What the server tells about itself: [`log`] starts the log, [`aggregate`] keeps a fault that repeats from filling it.

pub mod aggregate;
pub mod log;
