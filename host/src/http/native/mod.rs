//! Hookyard's own API: everything a person can do, for its command line, scripts and pages (docs/api.md).
//!
//! Its paths begin with `/api/v1` like those of the dialects, and some are theirs too: what a caller means by
//! `/api/v1/senders` is said by its credential. A management token speaks this API and no other, so [`super::ByCredential`]
//! sends its requests here before any dialect sees them. Each file is one resource; [`caller`] says who may do what,
//! [`answers`] alone names statuses, and
//! [`openapi`] has what the descriptions of the routes share.

mod answers;
mod caller;
mod credentials;
mod deliveries;
mod endpoints;
mod environments;
mod events;
mod modules;
mod openapi;
mod params;
mod senders;
mod setup;
mod standing;
mod tenants;
mod users;

use std::sync::Arc;

use axum::Router;

pub use self::caller::LocalOperator;
use crate::{
    clock::Clock,
    configuration::{Configuration, PlainHttp},
    fanout::Deliveries,
    http::{
        intake::Intake,
        openapi::{Document, Routes},
    },
    manage::Manage,
    store::Store,
};

/// What this API works with. A server has all of it, and so has a command that opens the database by itself.
#[derive(Clone)]
pub struct Desk {
    pub manage: Manage,
    pub configuration: Arc<Configuration>,
    pub store: Store,
    pub intake: Intake,
    pub clock: Clock,
    /// Told what is cancelled; none where nothing is delivered.
    pub deliveries: Option<Arc<dyn Deliveries>>,
    /// Whether tenants may have endpoints with plain http URLs; the operator always may.
    pub plain_http: PlainHttp,
}

fn routes() -> Routes<Arc<Desk>> {
    Routes::new()
        .merge(tenants::routes())
        .merge(environments::routes())
        .merge(endpoints::routes())
        .merge(senders::routes())
        .merge(credentials::routes())
        .merge(users::routes())
        .merge(events::routes())
        .merge(deliveries::routes())
        .merge(modules::routes())
        .merge(standing::routes())
        .merge(setup::routes())
}

pub fn router(desk: Desk) -> Router {
    let (router, _) = routes().into_parts();
    router
        .fallback(answers::no_such_path)
        .method_not_allowed_fallback(answers::no_such_method)
        .with_state(Arc::new(desk))
}

/// What describes [`router`].
pub(super) fn document() -> Document {
    let (_, described) = routes().into_parts();
    openapi::document(described)
}
