//! Replay: putting back to work, by hand, what ended without success or waits for its next attempt.

use hookyard_domain::{DeliveryId, EventId, Scope, TenantId, Timestamp};

use super::{Store, error::Error, in_transaction, statements as sql};

/// Runs statements of `$1` = id, `$2` = time and `$3` = tenant together for each id; counts the rows they changed.
macro_rules! changed_by {
    ($store:expr, $scope:expr, $ids:expr, $now:expr, $statements:expr) => {
        in_transaction!($store, |transaction| {
            let mut changed = 0;
            for id in $ids {
                for statement in $statements {
                    changed += sqlx::query(statement)
                        .bind(id.as_uuid())
                        .bind($now.as_micros())
                        .bind($scope.tenant().map(TenantId::as_uuid))
                        .execute(&mut *transaction)
                        .await?
                        .rows_affected();
                }
            }
            changed
        })
    };
}

const OF_DELIVERY: [&str; 2] = [sql::REPLAY_DELIVERY, sql::HASTEN_DELIVERY];
const OF_EVENT: [&str; 3] = [sql::REROUTE_EVENT, sql::REPLAY_DELIVERIES_OF_EVENT, sql::HASTEN_DELIVERIES_OF_EVENT];

impl Store {
    /// Starts an exhausted, rejected or cancelled delivery over, and brings one that waits forward. Returns how many rows
    /// that put back to work: none when nothing was to be done, or there is no such delivery in the scope.
    pub async fn replay_delivery(&self, scope: Scope, id: DeliveryId, now: Timestamp) -> Result<u64, Error> {
        self.replay_deliveries(scope, &[id], now).await
    }

    /// The same for several at once.
    pub async fn replay_deliveries(&self, scope: Scope, ids: &[DeliveryId], now: Timestamp) -> Result<u64, Error> {
        Ok(changed_by!(self, scope, ids, now, OF_DELIVERY))
    }

    /// Routes a held or dead-lettered event again, and does with its deliveries as [`Store::replay_delivery`], but for
    /// those whose plugin chose to delay them. Returns how many rows that put back to work.
    pub async fn replay_event(&self, scope: Scope, id: EventId, now: Timestamp) -> Result<u64, Error> {
        self.replay_events(scope, &[id], now).await
    }

    /// The same for several at once.
    pub async fn replay_events(&self, scope: Scope, ids: &[EventId], now: Timestamp) -> Result<u64, Error> {
        Ok(changed_by!(self, scope, ids, now, OF_EVENT))
    }
}
