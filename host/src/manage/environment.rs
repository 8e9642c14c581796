//! Environments: the named parts of a tenant. Of a tenant's environments one is meant where none is named.

use std::sync::Arc;

use hookyard_domain::{EnvironmentId, Scope, TenantId};

use super::{Manage, NO_ENVIRONMENT, NO_TENANT, Problems, Refusal, check, within};
use crate::{
    configuration::Environment,
    store::{Change, EnvironmentRow, Expected, Row, Thing},
};

#[derive(Debug, Clone)]
pub struct NewEnvironment {
    pub tenant: TenantId,
    pub slug: String,
    /// For people; none: the slug.
    pub name: Option<String>,
}

impl Manage {
    /// Makes an environment. A tenant's first one becomes its default.
    pub async fn create_environment(&self, scope: Scope, new: NewEnvironment) -> Result<Arc<Environment>, Refusal> {
        within(scope, new.tenant, NO_TENANT)?;
        let snapshot = self.fresh().await?;
        if !snapshot.tenants.contains_key(&new.tenant) {
            return Err(NO_TENANT);
        }
        let mut problems = Problems::default();
        problems.check("slug", check::name(&new.slug));
        problems.check("name", new.name.as_deref().map_or(Ok(()), check::description));
        problems.refuse()?;
        let row = EnvironmentRow {
            id: EnvironmentId::new_v7(self.clock.now(), rand::random()),
            tenant: new.tenant,
            name: new.name.unwrap_or_else(|| new.slug.clone()),
            slug: new.slug,
            is_default: snapshot.default_environment(new.tenant).is_none(),
            revision: 0,
        };
        let id = row.id;
        let snapshot = self.write(&[Change::new(Row::Environment(row))]).await?;
        snapshot.environments.get(&id).cloned().ok_or(NO_ENVIRONMENT)
    }

    /// Renames an environment for people; its slug is in set-ups and events and stays.
    pub async fn rename_environment(&self, scope: Scope, id: EnvironmentId, name: &str) -> Result<Arc<Environment>, Refusal> {
        let mut problems = Problems::default();
        problems.check("name", check::description(name));
        problems.refuse()?;
        let row = self.store.environment_row(scope, id).await?.ok_or(NO_ENVIRONMENT)?;
        self.expect("the environment", row.revision)?;
        let expected = Expected::Revision(row.revision);
        let row = EnvironmentRow {
            name: name.to_owned(),
            ..row
        };
        let change = Change::Put {
            row: Row::Environment(row),
            expected,
        };
        let snapshot = self.write(&[change]).await?;
        snapshot.environments.get(&id).cloned().ok_or(NO_ENVIRONMENT)
    }

    /// Makes this the environment that is meant where none is named.
    pub async fn make_default_environment(&self, scope: Scope, id: EnvironmentId) -> Result<Arc<Environment>, Refusal> {
        let row = self.store.environment_row(scope, id).await?.ok_or(NO_ENVIRONMENT)?;
        self.expect("the environment", row.revision)?;
        let before = self.fresh().await?;
        let mut changes = Vec::new();
        // The former first: there is never more than one.
        if let Some(former) = before.default_environment(row.tenant).filter(|former| former.id != id) {
            let former = self.store.environment_row(scope, former.id).await?.ok_or(NO_ENVIRONMENT)?;
            changes.push(default_or_not(former, false));
        }
        changes.push(default_or_not(row, true));
        let snapshot = self.write(&changes).await?;
        snapshot.environments.get(&id).cloned().ok_or(NO_ENVIRONMENT)
    }

    /// Deletes an environment in which nothing is left.
    pub async fn delete_environment(&self, scope: Scope, id: EnvironmentId) -> Result<(), Refusal> {
        let row = self.store.environment_row(scope, id).await?.ok_or(NO_ENVIRONMENT)?;
        self.expect("the environment", row.revision)?;
        let snapshot = self.fresh().await?;
        if row.is_default {
            return Err(Refusal::InUse(format!(
                "environment \"{}\" is the default: make another one the default first",
                row.slug
            )));
        }
        let endpoints = snapshot.subscribers(id).map_or(0, |reach| reach.all().len());
        let senders = snapshot.senders.values().filter(|sender| sender.environment == id).count();
        if endpoints + senders > 0 {
            return Err(Refusal::InUse(format!(
                "environment \"{}\" still has {endpoints} endpoints and {senders} senders",
                row.slug
            )));
        }
        let change = Change::Delete {
            thing: Thing::Environment(id),
            revision: row.revision,
        };
        self.write(&[change]).await.map(drop)
    }

    /// The environments of a tenant, the default first, then by slug.
    pub async fn environments(&self, scope: Scope, tenant: TenantId) -> Result<Vec<Arc<Environment>>, Refusal> {
        within(scope, tenant, NO_TENANT)?;
        let snapshot = self.fresh().await?;
        let of_tenant = snapshot.environments.values().filter(|environment| environment.tenant == tenant);
        let mut environments: Vec<_> = of_tenant.cloned().collect();
        environments.sort_unstable_by(|a, b| b.is_default.cmp(&a.is_default).then_with(|| a.slug.cmp(&b.slug)));
        Ok(environments)
    }
}

fn default_or_not(row: EnvironmentRow, is_default: bool) -> Change {
    let expected = Expected::Revision(row.revision);
    Change::Put {
        row: Row::Environment(EnvironmentRow { is_default, ..row }),
        expected,
    }
}
