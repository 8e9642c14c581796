//! Plugins in the real server: how versions follow one another, and what becomes of events when a plugin fails.
//!
//! [`reload`] changes the files of the watched folder in every way people do (P1). [`policies`] lets plugins fail and
//! follows the events (R1, R2). Plugins that attack the host are the suite `hostile`'s subject, the limits of a single
//! call `wasm`'s.

mod policies;
mod reload;
