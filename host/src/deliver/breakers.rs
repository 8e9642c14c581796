//! Keeps in the store which endpoints are left alone, so that a restart knows it and a page can show it.
//!
//! Only a change is written: an endpoint begins to be left alone, its probe failed, it works again. The writes are made by one
//! task beside the hot path. Of several changes of an endpoint the last one counts, and a write that fails is only logged:
//! the next change writes anew, and a restart that does not know costs a few attempts.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use hookyard_domain::EndpointId;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::window::Became;
use crate::{
    clock::Clock,
    configuration::Endpoint,
    store::{BreakerRow, Store},
};

enum Write {
    Save(BreakerRow),
    Clear,
}

/// Changes that are to be written.
#[derive(Default)]
pub struct Breakers {
    changes: Mutex<HashMap<EndpointId, Write>>,
    any: Notify,
}

impl Breakers {
    pub fn note(&self, endpoint: &Endpoint, became: Became) {
        let write = match became {
            Became::Blocked { since, until } => Write::Save(BreakerRow {
                endpoint: endpoint.id,
                tenant: endpoint.tenant.id,
                opened_at: since,
                blocked_until: until,
            }),
            Became::Working => Write::Clear,
        };
        self.changes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(endpoint.id, write);
        self.any.notify_one();
    }

    /// Writes changes until the stage has ended, and then what is left.
    pub async fn write(&self, store: &Store, clock: &Clock, ended: &CancellationToken) {
        loop {
            let last_time = ended.is_cancelled();
            let changes = std::mem::take(&mut *self.changes.lock().unwrap_or_else(PoisonError::into_inner));
            for (endpoint, write) in changes {
                let written = match write {
                    Write::Save(row) => store.save_breaker(row, clock.now()).await,
                    Write::Clear => store.clear_breaker(endpoint).await,
                };
                if let Err(error) = written {
                    tracing::warn!(%endpoint, %error, "cannot keep whether the endpoint is left alone");
                }
            }
            if last_time {
                return;
            }
            tokio::select! {
                () = self.any.notified() => {}
                () = ended.cancelled() => {}
            }
        }
    }
}
