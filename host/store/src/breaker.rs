//! Endpoints that are left alone, as rows: what a restart and a page know of a breaker.

use hookyard_domain::{EndpointId, TenantId, Timestamp};
use uuid::Uuid;

use super::{Store, error::Error, on, record::BreakerRow, statements as sql};

impl Store {
    /// Keeps that an endpoint is left alone. Since when it has been is kept from the first time after its last success.
    pub async fn save_breaker(&self, breaker: BreakerRow, now: Timestamp) -> Result<(), Error> {
        on!(self, |pool| sqlx::query(sql::SAVE_BREAKER)
            .bind(breaker.endpoint.as_uuid())
            .bind(breaker.tenant.as_uuid())
            .bind(breaker.opened_at.as_micros())
            .bind(breaker.blocked_until.as_micros())
            .bind(now.as_micros())
            .execute(pool)
            .await
            .map(drop))?;
        Ok(())
    }

    /// Forgets it: the endpoint works again.
    pub async fn clear_breaker(&self, endpoint: EndpointId) -> Result<(), Error> {
        on!(self, |pool| sqlx::query(sql::CLEAR_BREAKER)
            .bind(endpoint.as_uuid())
            .execute(pool)
            .await
            .map(drop))?;
        Ok(())
    }

    /// Until when an endpoint is left alone, where it is.
    pub async fn blocked_until(&self, endpoint: EndpointId) -> Result<Option<Timestamp>, Error> {
        let row: Option<(i64,)> = on!(self, |pool| sqlx::query_as(sql::SELECT_BREAKER)
            .bind(endpoint.as_uuid())
            .fetch_optional(pool)
            .await)?;
        Ok(row.map(|(until,)| Timestamp::from_micros(until)))
    }

    /// All endpoints that are left alone.
    pub async fn breakers(&self) -> Result<Vec<BreakerRow>, Error> {
        let rows: Vec<(Uuid, Uuid, i64, i64)> = on!(self, |pool| sqlx::query_as(sql::SELECT_BREAKERS).fetch_all(pool).await)?;
        Ok(rows
            .into_iter()
            .map(|(endpoint, tenant, opened_at, blocked_until)| BreakerRow {
                endpoint: EndpointId::from_uuid(endpoint),
                tenant: TenantId::from_uuid(tenant),
                opened_at: Timestamp::from_micros(opened_at),
                blocked_until: Timestamp::from_micros(blocked_until),
            })
            .collect())
    }
}
