//! Invites: what lets somebody make a user of a tenant, once.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hookyard_domain::{ContentHash, InviteId, Scope, TenantId, Timestamp, UserId};

use super::{Manage, NO_INVITE, NO_TENANT, NewUser, Refusal, Role, User, check, within};
use crate::store::{Change, Expected, InviteRow, Row, SecretText};

/// Invites of one tenant that are listed.
const INVITES_MAX: u32 = 10_000;

#[derive(Debug, Clone)]
pub struct Invite {
    pub id: InviteId,
    pub tenant: TenantId,
    pub token: SecretText,
    /// What the user will be.
    pub role: Role,
    pub expires_at: Timestamp,
    pub used_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

impl Invite {
    fn of(row: InviteRow) -> Option<Self> {
        Some(Self {
            id: row.id,
            tenant: row.tenant,
            role: Role::parse(&row.role)?,
            token: row.token,
            expires_at: row.expires_at,
            used_at: row.used_at,
            created_at: row.created_at,
        })
    }
}

impl Manage {
    /// Makes an invite. Nobody is invited as an owner.
    pub async fn create_invite(&self, scope: Scope, tenant: TenantId, role: Role, lasts: Duration) -> Result<Invite, Refusal> {
        within(scope, tenant, NO_TENANT)?;
        if !self.fresh().await?.tenants.contains_key(&tenant) {
            return Err(NO_TENANT);
        }
        if role == Role::Owner {
            return Err(check::invalid("role", "nobody can be invited as an owner"));
        }
        let now = self.clock.now();
        let token = SecretText::new(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
        let row = InviteRow {
            id: InviteId::new_v7(now, rand::random()),
            tenant,
            hash: ContentHash::of(token.expose().as_bytes()),
            token,
            role: role.as_str().to_owned(),
            expires_at: now.plus(lasts),
            used_at: None,
            revision: 0,
            created_at: now,
        };
        self.store.configure(&[Change::new(Row::Invite(row.clone()))], now).await?;
        Invite::of(row).ok_or(NO_INVITE)
    }

    /// The invites of a tenant, newest first.
    pub async fn invites(&self, scope: Scope, tenant: TenantId) -> Result<Vec<Invite>, Refusal> {
        within(scope, tenant, NO_TENANT)?;
        let rows = self.store.invites(tenant, INVITES_MAX).await?;
        Ok(rows.into_iter().filter_map(Invite::of).collect())
    }

    /// The invite with this token, used or not. Whoever has the token needs no scope.
    pub async fn invite_by_token(&self, token: &str) -> Result<Invite, Refusal> {
        let row = self.store.invite_by_token(token).await?.ok_or(NO_INVITE)?;
        Invite::of(row).ok_or(NO_INVITE)
    }

    /// Whether somebody has this address already: one address is one user, whatever the tenant.
    pub async fn email_is_taken(&self, email: &str) -> Result<bool, Refusal> {
        Ok(self.store.user_by_email(&check::normal_email(email)).await?.is_some())
    }

    /// Makes a user by an invite, which is used up by that. Of two uses at once one succeeds.
    pub async fn register(&self, token: &str, email: String, password: SecretText) -> Result<User, Refusal> {
        let row = self.store.invite_by_token(token).await?.ok_or(NO_INVITE)?;
        let role = Role::parse(&row.role).ok_or(NO_INVITE)?;
        let new = NewUser {
            tenant: row.tenant,
            email,
            password,
            role,
        };
        new.check().refuse()?;
        let now = self.clock.now();
        if row.used_at.is_some() {
            return Err(Refusal::InUse("the invite was used already".to_owned()));
        }
        if row.expires_at <= now {
            return Err(Refusal::InUse("the invite has expired".to_owned()));
        }
        let user = new.into_row(UserId::new_v7(now, rand::random()), now).await?;
        let revision = row.revision;
        let used = InviteRow { used_at: Some(now), ..row };
        let changes = [
            Change::Put {
                row: Row::Invite(used),
                expected: Expected::Revision(revision),
            },
            Change::new(Row::User(user.clone())),
        ];
        match self.store.configure(&changes, now).await {
            Ok(_) => User::of(&user).ok_or(NO_INVITE),
            Err(crate::store::Error::Changed(_)) => Err(Refusal::InUse("the invite was used already".to_owned())),
            Err(error) => Err(error.into()),
        }
    }
}
