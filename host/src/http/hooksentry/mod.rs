//! The HookSentry dialect: its paths, bodies, words and order of checks (docs/contracts/hooksentry.md).
//!
//! What the contract calls a destination is an endpoint here, and its event is what Hookyard keeps as an event and its
//! deliveries; [`words`] folds the states of those into HookSentry's one.

mod answers;
mod ingest;
mod words;

use axum::Router;

use super::intake::Intake;
use crate::accept::Accept;

pub fn router(accept: Accept, intake: Intake) -> Router {
    ingest::router(accept, intake)
}
