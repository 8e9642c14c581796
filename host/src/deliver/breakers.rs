//! Keeps in the store which endpoints are left alone, so that a restart knows it and a page can show it.
//!
//! Only a turn is written: an endpoint begins to be left alone, its probe failed, it works again. The writes are made by one
//! task beside the hot path. Of several turns of an endpoint the last one counts, and a write that fails is only logged:
//! the next turn writes anew, and a restart that does not know costs a few attempts.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use hookyard_domain::EndpointId;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::window::Turn;
use crate::{
    clock::Clock,
    configuration::Endpoint,
    store::{BreakerRow, Store},
};

enum Write {
    Save(BreakerRow),
    Clear,
}

/// Turns that are to be written.
#[derive(Default)]
pub struct Breakers {
    turns: Mutex<HashMap<EndpointId, Write>>,
    any: Notify,
}

impl Breakers {
    pub fn note(&self, endpoint: &Endpoint, turn: Turn) {
        let write = match turn {
            Turn::Blocked { since, until } => Write::Save(BreakerRow {
                endpoint: endpoint.id,
                tenant: endpoint.tenant.id,
                opened_at: since,
                blocked_until: until,
            }),
            Turn::Recovered => Write::Clear,
        };
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).insert(endpoint.id, write);
        self.any.notify_one();
    }

    /// Writes turns until the stage has ended, and then what is left.
    pub async fn write(&self, store: &Store, clock: &Clock, ended: &CancellationToken) {
        loop {
            let last_time = ended.is_cancelled();
            let turns = std::mem::take(&mut *self.turns.lock().unwrap_or_else(PoisonError::into_inner));
            for (endpoint, write) in turns {
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
