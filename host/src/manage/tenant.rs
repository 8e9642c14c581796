//! Tenants: made and changed by the operator alone.

use std::sync::Arc;

use hookyard_domain::{EnvironmentId, Scope, TenantId, retry::AttemptsMax};

use super::{Manage, NO_TENANT, Problems, Refusal, TRIES_MAX, check, retried};
use crate::{
    configuration::Tenant,
    store::{Change, EnvironmentRow, Expected, Row, SecretText, TenantRow},
};

/// What a tenant's first environment is called.
pub(super) const FIRST_ENVIRONMENT: &str = "production";

/// How long a blocked endpoint is left alone unless its tenant says otherwise: long enough for a restart, short enough that
/// its deliveries come through soon after.
pub(super) const BREAKER_BLOCK_S_DEFAULT: u32 = 300;

/// All that is set for a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantFields {
    pub name: String,
    /// Signs for endpoints without a secret of their own.
    pub webhook_secret: SecretText,
    pub attempts_max: u16,
    pub breaker_block_s: u32,
}

impl TenantFields {
    /// A tenant with the defaults.
    pub fn new(name: &str, webhook_secret: SecretText) -> Self {
        Self {
            name: name.to_owned(),
            webhook_secret,
            attempts_max: AttemptsMax::default().get(),
            breaker_block_s: BREAKER_BLOCK_S_DEFAULT,
        }
    }

    pub fn check(&self) -> Problems {
        let mut problems = Problems::default();
        problems.check("name", check::name(&self.name));
        problems.check("webhook_secret", check::signing_secret(&self.webhook_secret));
        problems.check("attempts_max", check::attempts_max(self.attempts_max));
        problems.check("breaker_block_s", check::breaker_block_s(self.breaker_block_s));
        problems
    }

    fn of(row: &TenantRow) -> Self {
        Self {
            name: row.name.clone(),
            webhook_secret: row.webhook_secret.clone(),
            attempts_max: row.attempts_max,
            breaker_block_s: row.breaker_block_s,
        }
    }

    pub(super) fn row(&self, id: TenantId) -> TenantRow {
        TenantRow {
            id,
            name: self.name.clone(),
            attempts_max: self.attempts_max,
            breaker_block_s: self.breaker_block_s,
            webhook_secret: self.webhook_secret.clone(),
            revision: 0,
        }
    }
}

impl Manage {
    /// Makes a tenant and its first environment. Only the operator may.
    pub async fn create_tenant(&self, scope: Scope, fields: TenantFields) -> Result<Arc<Tenant>, Refusal> {
        if scope != Scope::Operator {
            return Err(NO_TENANT);
        }
        fields.check().refuse()?;
        let now = self.clock.now();
        let id = TenantId::new_v7(now, rand::random());
        let environment = EnvironmentRow {
            id: EnvironmentId::new_v7(now, rand::random()),
            tenant: id,
            slug: FIRST_ENVIRONMENT.to_owned(),
            name: FIRST_ENVIRONMENT.to_owned(),
            is_default: true,
            revision: 0,
        };
        let changes = [Change::new(Row::Tenant(fields.row(id))), Change::new(Row::Environment(environment))];
        let snapshot = self.write(&changes).await?;
        snapshot.tenants.get(&id).cloned().ok_or(NO_TENANT)
    }

    /// Changes a tenant: `edit` is given what it is and makes of it what it shall be. Only the operator may.
    pub async fn update_tenant(&self, scope: Scope, id: TenantId, edit: impl Fn(&mut TenantFields)) -> Result<Arc<Tenant>, Refusal> {
        if scope != Scope::Operator {
            return Err(NO_TENANT);
        }
        retried!(async {
            let row = self.store.tenant_row(scope, id).await?.ok_or(NO_TENANT)?;
            let mut fields = TenantFields::of(&row);
            edit(&mut fields);
            fields.check().refuse()?;
            let change = Change::Put {
                row: Row::Tenant(fields.row(id)),
                expected: Expected::Revision(row.revision),
            };
            let snapshot = self.write(&[change]).await?;
            snapshot.tenants.get(&id).cloned().ok_or(NO_TENANT)
        })
    }

    pub async fn tenant(&self, scope: Scope, id: TenantId) -> Result<Arc<Tenant>, Refusal> {
        let snapshot = self.fresh().await?;
        snapshot
            .tenants
            .get(&id)
            .filter(|tenant| scope.holds(tenant.id))
            .cloned()
            .ok_or(NO_TENANT)
    }

    /// The tenants of the scope, by name.
    pub async fn tenants(&self, scope: Scope) -> Result<Vec<Arc<Tenant>>, Refusal> {
        let snapshot = self.fresh().await?;
        let mut tenants: Vec<_> = snapshot.tenants.values().filter(|tenant| scope.holds(tenant.id)).cloned().collect();
        tenants.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(tenants)
    }
}
