//! Tenants: made by the operator, or by whoever registers where that is open; changed by those who govern them.

use std::sync::Arc;

use hookyard_domain::{EnvironmentId, Scope, TenantId, Timestamp, UserId, retry::AttemptsMax};

use super::{Manage, NO_TENANT, NewUser, Problems, Refusal, Role, TRIES_MAX, User, check, retried};
use crate::{
    configuration::Tenant,
    store::{Change, EnvironmentRow, Expected, Row, SecretText, TenantRow},
};

/// Whom a tenant belongs to from the beginning.
#[derive(Debug, Clone)]
pub struct FirstOwner {
    pub email: String,
    pub password: SecretText,
}

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
        problems.check("name", check::tenant_name(&self.name));
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
            registered: false,
            revision: 0,
            created_at: Timestamp::EPOCH,
            updated_at: Timestamp::EPOCH,
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
        let changes = [
            Change::new(Row::Tenant(fields.row(id))),
            Change::new(Row::Environment(self.first_environment(id))),
        ];
        let snapshot = self.write(&changes).await?;
        snapshot.tenants.get(&id).cloned().ok_or(NO_TENANT)
    }

    /// Changes a tenant: `edit` is given what it is and makes of it what it shall be.
    pub async fn update_tenant(&self, scope: Scope, id: TenantId, edit: impl Fn(&mut TenantFields)) -> Result<Arc<Tenant>, Refusal> {
        retried!(async {
            let row = self.store.tenant_row(scope, id).await?.ok_or(NO_TENANT)?;
            self.expect("the tenant", row.revision)?;
            let mut fields = TenantFields::of(&row);
            edit(&mut fields);
            let mut problems = fields.check();
            if fields.name != row.name && scope != Scope::Operator && !row.registered {
                problems.add(
                    "name",
                    "is what the operator's set-up files know the tenant by: only the operator changes it",
                );
            }
            problems.refuse()?;
            let changed = TenantRow {
                registered: row.registered,
                ..fields.row(id)
            };
            let change = Change::Put {
                row: Row::Tenant(changed),
                expected: Expected::Revision(row.revision),
            };
            let snapshot = self.write(&[change]).await?;
            snapshot.tenants.get(&id).cloned().ok_or(NO_TENANT)
        })
    }

    /// Makes a tenant, its first environment and the user it belongs to, all or nothing. Whoever may make tenants needs no
    /// scope: nothing that is there is touched.
    pub async fn create_tenant_with_owner(&self, fields: TenantFields, owner: FirstOwner) -> Result<(Arc<Tenant>, User), Refusal> {
        let now = self.clock.now();
        let id = TenantId::new_v7(now, rand::random());
        let owner = NewUser {
            tenant: id,
            email: owner.email,
            password: owner.password,
            role: Role::Owner,
        };
        let mut problems = fields.check();
        problems.0.extend(owner.check().0);
        problems.refuse()?;
        // Asked beforehand only for the sake of the order; the write decides.
        if self.fresh().await?.tenant_by_name(&fields.name).is_some() {
            return Err(Refusal::Taken(format!("tenant \"{}\": there is one already", fields.name)));
        }
        if self.email_is_taken(&owner.email).await? {
            return Err(Refusal::Taken(format!(
                "user \"{}\": there is one already",
                check::normal_email(&owner.email)
            )));
        }
        let user = owner.into_row(UserId::new_v7(now, rand::random()), now).await?;
        let changes = [
            Change::new(Row::Tenant(TenantRow {
                registered: true,
                ..fields.row(id)
            })),
            Change::new(Row::Environment(self.first_environment(id))),
            Change::new(Row::User(user.clone())),
        ];
        let snapshot = self.write(&changes).await?;
        let tenant = snapshot.tenants.get(&id).cloned().ok_or(NO_TENANT)?;
        Ok((tenant, User::of(&user).ok_or(NO_TENANT)?))
    }

    fn first_environment(&self, tenant: TenantId) -> EnvironmentRow {
        EnvironmentRow {
            id: EnvironmentId::new_v7(self.clock.now(), rand::random()),
            tenant,
            slug: FIRST_ENVIRONMENT.to_owned(),
            name: FIRST_ENVIRONMENT.to_owned(),
            is_default: true,
            revision: 0,
        }
    }

    /// The secret a tenant's deliveries are signed with, to show it to its owner.
    pub async fn tenant_secret(&self, scope: Scope, id: TenantId) -> Result<SecretText, Refusal> {
        Ok(self.store.tenant_row(scope, id).await?.ok_or(NO_TENANT)?.webhook_secret)
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
