//! Users: people of a tenant who log in.

use hookyard_domain::{Scope, TenantId, Timestamp, UserId};

use super::{Manage, NO_TENANT, NO_USER, Problems, Refusal, Role, TRIES_MAX, check, password, retried, within};
use crate::store::{Change, Expected, Row, Rule, SecretText, Thing, UserRow};

/// Users of one tenant that are listed.
const USERS_MAX: u32 = 10_000;

/// A person who logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    pub tenant: TenantId,
    /// In lower case.
    pub email: String,
    pub role: Role,
    /// Whether they may log in.
    pub active: bool,
    pub revision: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Debug, Clone)]
pub struct NewUser {
    pub tenant: TenantId,
    pub email: String,
    pub password: SecretText,
    pub role: Role,
}

/// What is to be another; none stays.
#[derive(Debug, Clone, Default)]
pub struct UserChange {
    pub email: Option<String>,
    pub password: Option<SecretText>,
    pub role: Option<Role>,
    pub active: Option<bool>,
}

const ACTIVE: &str = "active";

impl User {
    pub(super) fn of(row: &UserRow) -> Option<Self> {
        Some(Self {
            id: row.id,
            tenant: row.tenant,
            email: row.email.clone(),
            role: Role::parse(&row.role)?,
            active: row.status == ACTIVE,
            revision: row.revision,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

impl NewUser {
    pub fn check(&self) -> Problems {
        let mut problems = Problems::default();
        problems.check("email", check::email(&self.email));
        problems.check("password", check::password(&self.password));
        problems
    }

    /// The row to write. Its password has been checked.
    pub(super) async fn into_row(self, id: UserId, now: Timestamp) -> Result<UserRow, Refusal> {
        Ok(UserRow {
            id,
            tenant: self.tenant,
            email: check::normal_email(&self.email),
            password_hash: password::hash(self.password).await?,
            role: self.role.as_str().to_owned(),
            status: ACTIVE.to_owned(),
            log_out: false,
            revision: 0,
            created_at: now,
            updated_at: now,
        })
    }
}

impl Manage {
    pub async fn create_user(&self, scope: Scope, new: NewUser) -> Result<User, Refusal> {
        within(scope, new.tenant, NO_TENANT)?;
        if !self.fresh().await?.tenants.contains_key(&new.tenant) {
            return Err(NO_TENANT);
        }
        new.check().refuse()?;
        let now = self.clock.now();
        let row = new.into_row(UserId::new_v7(now, rand::random()), now).await?;
        let id = row.id;
        self.store.configure(&[Change::new(Row::User(row))], now).await?;
        self.user(scope, id).await
    }

    /// Changes a user. One whose password, role or right to log in changed is logged out everywhere. The last active owner of a
    /// tenant stays one.
    pub async fn update_user(&self, scope: Scope, id: UserId, change: &UserChange) -> Result<User, Refusal> {
        let mut problems = Problems::default();
        problems.check("email", change.email.as_deref().map_or(Ok(()), check::email));
        problems.check("password", change.password.as_ref().map_or(Ok(()), check::password));
        problems.refuse()?;
        let password_hash = match &change.password {
            Some(password) => Some(password::hash(password.clone()).await?),
            None => None,
        };
        retried!(async {
            let old = self.store.user(scope, id).await?.ok_or(NO_USER)?;
            self.expect("the user", old.revision)?;
            let now = self.clock.now();
            let mut row = UserRow {
                updated_at: now,
                ..old.clone()
            };
            if let Some(email) = &change.email {
                row.email = check::normal_email(email);
            }
            if let Some(hash) = &password_hash {
                row.password_hash.clone_from(hash);
            }
            if let Some(role) = change.role {
                role.as_str().clone_into(&mut row.role);
            }
            if let Some(active) = change.active {
                if active { ACTIVE } else { "inactive" }.clone_into(&mut row.status);
            }
            if (&row.email, &row.password_hash, &row.role, &row.status) == (&old.email, &old.password_hash, &old.role, &old.status) {
                return User::of(&old).ok_or(NO_USER);
            }
            row.log_out = password_hash.is_some() || (&row.role, &row.status) != (&old.role, &old.status);
            let mut changes = vec![Change::Put {
                row: Row::User(row.clone()),
                expected: Expected::Revision(old.revision),
            }];
            changes.extend(owner_is_left(&old));
            self.store.configure(&changes, now).await?;
            // As it is now, with its new revision.
            self.user(scope, id).await
        })
    }

    /// Deletes a user for good. The last active owner of a tenant stays.
    pub async fn delete_user(&self, scope: Scope, id: UserId) -> Result<(), Refusal> {
        retried!(async {
            let old = self.store.user(scope, id).await?.ok_or(NO_USER)?;
            self.expect("the user", old.revision)?;
            let mut changes = vec![Change::Delete {
                thing: Thing::User(id),
                revision: old.revision,
            }];
            changes.extend(owner_is_left(&old));
            self.store.configure(&changes, self.clock.now()).await?;
            Ok(())
        })
    }

    pub async fn user(&self, scope: Scope, id: UserId) -> Result<User, Refusal> {
        let row = self.store.user(scope, id).await?.ok_or(NO_USER)?;
        User::of(&row).ok_or(NO_USER)
    }

    /// The users of a tenant, newest first.
    pub async fn users(&self, scope: Scope, tenant: TenantId) -> Result<Vec<User>, Refusal> {
        within(scope, tenant, NO_TENANT)?;
        let rows = self.store.users(tenant, None, USERS_MAX).await?;
        Ok(rows.iter().filter_map(User::of).collect())
    }

    /// The users of a tenant that are older than one, newest first.
    pub async fn users_page(&self, scope: Scope, tenant: TenantId, before: Option<UserId>, rows_max: u32) -> Result<Vec<User>, Refusal> {
        within(scope, tenant, NO_TENANT)?;
        let rows = self.store.users(tenant, before, rows_max).await?;
        Ok(rows.iter().filter_map(User::of).collect())
    }

    /// The user of a tenant who logs in by this address.
    pub async fn user_with_email(&self, scope: Scope, tenant: TenantId, email: &str) -> Result<Option<User>, Refusal> {
        within(scope, tenant, NO_TENANT)?;
        let row = self.store.user_by_email(&check::normal_email(email)).await?;
        Ok(row.filter(|row| row.tenant == tenant).as_ref().and_then(User::of))
    }
}

/// Whoever is an active owner can stop being one only where there is another. A tenant of the operator's may have none.
fn owner_is_left(old: &UserRow) -> Option<Change> {
    let is_owner = old.role == Role::Owner.as_str() && old.status == ACTIVE;
    is_owner.then_some(Change::Require(Rule::AnOwnerIsLeft(old.tenant)))
}
