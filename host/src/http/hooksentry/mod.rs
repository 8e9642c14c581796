//! The HookSentry dialect: its paths, bodies, words and order of checks (docs/contracts/hooksentry.md).
//!
//! What the contract calls a destination is an endpoint here, and its event is what Hookyard keeps as an event and its
//! deliveries; [`words`] folds the states of those into HookSentry's one.

mod answers;
mod ingest;
mod words;

use axum::Router;

use super::Edge;

pub fn router(edge: &Edge) -> Router {
    ingest::router(edge)
}
