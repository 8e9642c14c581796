//! Replay: putting what ended without success back to work, by hand.

use hookyard_domain::{DeliveryId, EventId, Timestamp};

use super::{Store, error::Error, in_transaction, on, statements as sql};

impl Store {
    /// Starts an exhausted, rejected or cancelled delivery over. `false`: there is no such delivery.
    pub async fn replay_delivery(&self, id: DeliveryId, now: Timestamp) -> Result<bool, Error> {
        let changed = on!(self, |pool| sqlx::query(sql::REPLAY_DELIVERY)
            .bind(id.as_uuid())
            .bind(now.as_micros())
            .execute(pool)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(changed > 0)
    }

    /// Routes a held or dead-lettered event again, and starts its failed deliveries over. Returns how many rows that
    /// put back to work.
    pub async fn replay_event(&self, id: EventId, now: Timestamp) -> Result<u64, Error> {
        let at = now.as_micros();
        Ok(in_transaction!(self, |transaction| {
            let events = sqlx::query(sql::REROUTE_EVENT)
                .bind(id.as_uuid())
                .bind(at)
                .execute(&mut *transaction)
                .await?
                .rows_affected();
            let deliveries = sqlx::query(sql::REPLAY_DELIVERIES_OF_EVENT)
                .bind(id.as_uuid())
                .bind(at)
                .execute(&mut *transaction)
                .await?
                .rows_affected();
            events + deliveries
        }))
    }
}
