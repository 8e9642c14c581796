//! Replay: putting back to work, by hand, what ended without success or waits for its next attempt.

use hookyard_domain::{DeliveryId, EventId, Timestamp};

use super::{Store, error::Error, in_transaction, statements as sql};

/// Runs statements of `$1` = id and `$2` = time together; counts the rows they changed.
macro_rules! changed_by {
    ($store:expr, $id:expr, $now:expr, $statements:expr) => {
        in_transaction!($store, |transaction| {
            let mut changed = 0;
            for statement in $statements {
                changed += sqlx::query(statement)
                    .bind($id)
                    .bind($now)
                    .execute(&mut *transaction)
                    .await?
                    .rows_affected();
            }
            changed
        })
    };
}

impl Store {
    /// Starts an exhausted, rejected or cancelled delivery over, and brings one that waits forward. `false`: nothing was to
    /// be done, or there is no such delivery.
    pub async fn replay_delivery(&self, id: DeliveryId, now: Timestamp) -> Result<bool, Error> {
        let statements = [sql::REPLAY_DELIVERY, sql::HASTEN_DELIVERY];
        let changed = changed_by!(self, id.as_uuid(), now.as_micros(), statements);
        Ok(changed > 0)
    }

    /// Routes a held or dead-lettered event again, and does with its deliveries as [`Store::replay_delivery`], but for
    /// those whose plugin chose to delay them. Returns how many rows that put back to work.
    pub async fn replay_event(&self, id: EventId, now: Timestamp) -> Result<u64, Error> {
        let statements = [sql::REROUTE_EVENT, sql::REPLAY_DELIVERIES_OF_EVENT, sql::HASTEN_DELIVERIES_OF_EVENT];
        Ok(changed_by!(self, id.as_uuid(), now.as_micros(), statements))
    }
}
