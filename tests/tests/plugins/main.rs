//! Plugins in the real server: how versions follow one another, and what becomes of events when a plugin fails.
//!
//! [`offer`] brings versions to the stage itself (P1), [`reload`] changes the files of the watched folder in every way
//! people do. [`policies`] lets plugins fail and follows the events (R1, R2). [`metadata`] is what a plugin is shown of
//! its endpoints. Plugins that attack the host are the suite `hostile`'s subject, the limits of a single call `wasm`'s.

mod metadata;
mod offer;
mod policies;
mod reload;
