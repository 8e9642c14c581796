//! Credentials: keys and tokens of every kind. Only the hash of a text is kept, unless its API shows it again.

use std::sync::Arc;

use hookyard_domain::{ContentHash, CredentialId, EnvironmentId, Scope, TenantId, Timestamp};
use uuid::Uuid;

use super::{Manage, NO_CREDENTIAL, NO_TENANT, Problems, Refusal, check};
use crate::{
    configuration::{Credential, CredentialKind},
    store::{Change, CredentialRow, Expected, Row, SecretText, Thing},
};

#[derive(Debug, Clone)]
pub struct NewCredential {
    /// None is the operator's.
    pub tenant: Option<TenantId>,
    pub kind: CredentialKind,
    /// What it stands for; none is the tenant as a whole.
    pub subject: Option<Uuid>,
    pub environment: Option<EnvironmentId>,
    pub name: Option<String>,
    /// What it allows, in the words of its kind.
    pub rights: String,
    pub text: Text,
    pub expires_at: Option<Timestamp>,
}

/// The text of a credential, and what is kept of it.
#[derive(Debug, Clone)]
pub enum Text {
    /// Its hash: it can be shown now and never again.
    Hashed(SecretText),
    /// A sealed copy besides, to show it again.
    Sealed(SecretText),
}

impl Text {
    fn secret(&self) -> &SecretText {
        match self {
            Self::Hashed(secret) | Self::Sealed(secret) => secret,
        }
    }
}

/// A new text of this kind that nobody can guess: 256 random bits.
pub fn random_credential(kind: CredentialKind) -> SecretText {
    let bytes: [u8; 32] = rand::random();
    SecretText::new(format!("{}{}", kind.prefix(), hookyard_domain::hex::encode(&bytes)))
}

impl Manage {
    pub async fn create_credential(&self, scope: Scope, new: NewCredential) -> Result<Arc<Credential>, Refusal> {
        let allowed = new.tenant.map_or(scope == Scope::Operator, |tenant| scope.holds(tenant));
        let snapshot = self.fresh().await?;
        if !allowed || new.tenant.is_some_and(|tenant| !snapshot.tenants.contains_key(&tenant)) {
            return Err(NO_TENANT);
        }
        let mut problems = Problems::default();
        problems.check("name", new.name.as_deref().map_or(Ok(()), check::name));
        problems.check("text", check::credential(new.kind, new.text.secret()));
        problems.refuse()?;
        let row = self.credential_row(CredentialId::new_v7(self.clock.now(), rand::random()), &new);
        let id = row.id;
        let snapshot = self.write(&[Change::new(Row::Credential(row))]).await?;
        snapshot.credentials.get(&id).cloned().ok_or(NO_CREDENTIAL)
    }

    pub(super) fn credential_row(&self, id: CredentialId, new: &NewCredential) -> CredentialRow {
        let now = self.clock.now();
        CredentialRow {
            id,
            tenant: new.tenant,
            kind: new.kind.as_str().to_owned(),
            subject: new.subject,
            environment: new.environment,
            name: new.name.clone(),
            rights: new.rights.clone(),
            hash: ContentHash::of(new.text.secret().expose().as_bytes()),
            sealed: match &new.text {
                Text::Hashed(_) => None,
                Text::Sealed(secret) => Some(self.store.seal_credential(id, secret)),
            },
            expires_at: new.expires_at,
            disabled_at: None,
            revision: 0,
            created_at: now,
            updated_at: now,
        }
    }

    /// The credentials of the scope of one kind, oldest first. The operator's own are the operator's alone.
    pub async fn credentials(&self, scope: Scope, kind: CredentialKind) -> Result<Vec<Arc<Credential>>, Refusal> {
        let snapshot = self.fresh().await?;
        let seen = |credential: &&Arc<Credential>| {
            credential.kind == kind && credential.tenant.map_or(scope == Scope::Operator, |tenant| scope.holds(tenant))
        };
        let mut credentials: Vec<_> = snapshot.credentials.values().filter(seen).cloned().collect();
        credentials.sort_unstable_by_key(|credential| credential.id);
        Ok(credentials)
    }

    /// The text of a credential that keeps a sealed copy; none when it keeps only the hash.
    pub async fn show_credential(&self, scope: Scope, id: CredentialId) -> Result<Option<SecretText>, Refusal> {
        let row = self.store.credential_row(scope, id).await?.ok_or(NO_CREDENTIAL)?;
        Ok(self.store.open_credential(&row)?)
    }

    /// Makes a credential open nothing until it is enabled again, or the other way round.
    pub async fn disable_credential(&self, scope: Scope, id: CredentialId, disabled: bool) -> Result<Arc<Credential>, Refusal> {
        let row = self.store.credential_row(scope, id).await?.ok_or(NO_CREDENTIAL)?;
        let expected = Expected::Revision(row.revision);
        let row = CredentialRow {
            disabled_at: disabled.then(|| row.disabled_at.unwrap_or_else(|| self.clock.now())),
            ..row
        };
        let change = Change::Put {
            row: Row::Credential(row),
            expected,
        };
        let snapshot = self.write(&[change]).await?;
        snapshot.credentials.get(&id).cloned().ok_or(NO_CREDENTIAL)
    }

    /// Ends a credential for good.
    pub async fn revoke_credential(&self, scope: Scope, id: CredentialId) -> Result<(), Refusal> {
        let row = self.store.credential_row(scope, id).await?.ok_or(NO_CREDENTIAL)?;
        let change = Change::Delete {
            thing: Thing::Credential(id),
            revision: row.revision,
        };
        self.write(&[change]).await.map(drop)
    }
}
