//! Whose work waits in the tables, for the claimers to ask for.

use hookyard_domain::{EndpointId, SenderId, Timestamp};
use uuid::Uuid;

use super::{Store, error::Error, on, statements as sql};

/// Due rows looked at for the endpoints they belong to, before all endpoints are stepped through instead.
const FIRST_DUE_ROWS: i64 = 2_000;

/// What waits for endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waiting {
    /// Nothing is due; when the first delivery will be, if there is any.
    Later(Option<Timestamp>),
    /// These endpoints, and no others, have due work.
    Due(Vec<EndpointId>),
    /// So much is due that every endpoint with waiting work is named, with the time its first is due.
    All(Vec<(EndpointId, Timestamp)>),
}

impl Store {
    /// Endpoints with unleased work that is due. Reads no more than its first due rows, unless these are many: then it steps
    /// from endpoint to endpoint.
    pub async fn waiting_endpoints(&self, due_by: Timestamp) -> Result<Waiting, Error> {
        let next: Option<(i64,)> = on!(self, |pool| sqlx::query_as(sql::SELECT_NEXT_DELIVERY_DUE)
            .fetch_optional(pool)
            .await)?;
        let next = next.map(|(due_at,)| Timestamp::from_micros(due_at));
        if next.is_none_or(|next| next > due_by) {
            return Ok(Waiting::Later(next));
        }
        let first: Vec<(Uuid,)> = on!(self, |pool| sqlx::query_as(sql::SELECT_FIRST_DUE)
            .bind(due_by.as_micros())
            .bind(FIRST_DUE_ROWS)
            .fetch_all(pool)
            .await)?;
        if (first.len() as i64) < FIRST_DUE_ROWS {
            let mut endpoints: Vec<EndpointId> = first.into_iter().map(|(id,)| EndpointId::from_uuid(id)).collect();
            endpoints.sort_unstable();
            endpoints.dedup();
            return Ok(Waiting::Due(endpoints));
        }
        let all: Vec<(Uuid, i64)> = on!(self, |pool| sqlx::query_as(sql::SELECT_WAITING_ENDPOINTS).fetch_all(pool).await)?;
        Ok(Waiting::All(
            all.into_iter()
                .map(|(id, due_at)| (EndpointId::from_uuid(id), Timestamp::from_micros(due_at)))
                .collect(),
        ))
    }

    /// Ends some of an endpoint's waiting deliveries as cancelled. Returns how many: none means that none is
    /// left but those a node has in memory or is just claiming.
    pub async fn cancel_waiting(&self, endpoint: EndpointId, limit: u32, now: Timestamp) -> Result<u64, Error> {
        Ok(on!(self, |pool| sqlx::query(sql::CANCEL_WAITING)
            .bind(endpoint.as_uuid())
            .bind(now.as_micros())
            .bind(i64::from(limit))
            .execute(pool)
            .await
            .map(|done| done.rows_affected()))?)
    }

    /// Ends what nodes have in memory for an endpoint as cancelled. Returns how many.
    pub async fn cancel_leased(&self, endpoint: EndpointId, now: Timestamp) -> Result<u64, Error> {
        Ok(on!(self, |pool| sqlx::query(sql::CANCEL_LEASED)
            .bind(endpoint.as_uuid())
            .bind(now.as_micros())
            .execute(pool)
            .await
            .map(|done| done.rows_affected()))?)
    }

    /// Senders with unleased pending events, each with the time the first of them is due.
    pub async fn senders_with_pending(&self) -> Result<Vec<(SenderId, Timestamp)>, Error> {
        let rows: Vec<(Uuid, i64)> = on!(self, |pool| sqlx::query_as(sql::SELECT_SENDERS_WITH_PENDING).fetch_all(pool).await)?;
        Ok(rows
            .into_iter()
            .map(|(id, due_at)| (SenderId::from_uuid(id), Timestamp::from_micros(due_at)))
            .collect())
    }

    /// Senders with held events, each with the lowest revision any of them was held under.
    pub async fn senders_with_held(&self) -> Result<Vec<(SenderId, i64)>, Error> {
        let rows: Vec<(Uuid, i64)> = on!(self, |pool| sqlx::query_as(sql::SELECT_SENDERS_WITH_HELD).fetch_all(pool).await)?;
        Ok(rows
            .into_iter()
            .map(|(id, held_under)| (SenderId::from_uuid(id), held_under))
            .collect())
    }
}
