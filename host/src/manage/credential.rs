//! Credentials: keys and tokens of every kind. Only the hash of a text is kept, unless its API shows it again.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hookyard_domain::{ContentHash, CredentialId, EnvironmentId, Scope, TenantId, Timestamp};
use uuid::Uuid;

use super::{Manage, NO_CREDENTIAL, NO_TENANT, Problems, Refusal, TRIES_MAX, check, retried, within};
use crate::{
    configuration::{Credential, CredentialKind},
    store::{Change, CredentialRow, Expected, Row, SecretText, Thing},
};

/// Credentials of one tenant and kind that are listed.
const ISSUED_MAX: u32 = 10_000;
/// Last uses written in one transaction: some milliseconds, so that no accept waits long.
const USES_AT_ONCE: usize = 200;

#[derive(Debug, Clone)]
pub struct NewCredential {
    /// None is the operator's.
    pub tenant: Option<TenantId>,
    pub kind: CredentialKind,
    /// What it stands for; none is the tenant as a whole.
    pub subject: Option<Uuid>,
    pub environment: Option<EnvironmentId>,
    pub name: Option<String>,
    /// For people alone.
    pub label: Option<String>,
    /// What it allows, in the words of its kind.
    pub rights: String,
    pub text: Text,
    pub expires_at: Option<Timestamp>,
}

/// A credential that was given out, whether or not it still opens anything.
#[derive(Debug, Clone)]
pub struct IssuedCredential {
    pub id: CredentialId,
    /// None is the operator's.
    pub tenant: Option<TenantId>,
    pub kind: CredentialKind,
    /// What it stands for; none is the tenant as a whole.
    pub subject: Option<Uuid>,
    pub name: Option<String>,
    /// What people read it as; none: its name.
    pub label: Option<String>,
    /// What it allows, in the words of its kind.
    pub rights: String,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub disabled_at: Option<Timestamp>,
    /// To the minute, and told up to two minutes late.
    pub last_used_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    pub revision: i64,
}

impl IssuedCredential {
    /// None: of a kind that a later version knows.
    fn of(row: CredentialRow) -> Option<Self> {
        Some(Self {
            id: row.id,
            tenant: row.tenant,
            kind: CredentialKind::parse(&row.kind)?,
            subject: row.subject,
            label: row.label.or_else(|| row.name.clone()),
            name: row.name,
            rights: row.rights,
            created_at: row.created_at,
            expires_at: row.expires_at,
            disabled_at: row.disabled_at,
            last_used_at: row.last_used_at,
            revoked_at: row.revoked_at,
            revision: row.revision,
        })
    }
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
    SecretText::new(match kind {
        // One that somebody brings may begin with anything; ours can be told from other keys, as by scanners for leaked ones.
        CredentialKind::ApiKey => format!("hsk_{}", URL_SAFE_NO_PAD.encode(bytes)),
        _ => format!("{}{}", kind.prefix(), hookyard_domain::hex::encode(&bytes)),
    })
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
        problems.check("label", new.label.as_deref().map_or(Ok(()), check::label));
        problems.check("text", check::credential(new.kind, new.text.secret()));
        if new.expires_at.is_some_and(|at| at <= self.clock.now()) {
            problems.add("expires_at", "is over already");
        }
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
            label: new.label.clone(),
            rights: new.rights.clone(),
            hash: ContentHash::of(new.text.secret().expose().as_bytes()),
            sealed: match &new.text {
                Text::Hashed(_) => None,
                Text::Sealed(secret) => Some(self.store.seal_credential(id, secret)),
            },
            expires_at: new.expires_at,
            disabled_at: None,
            last_used_at: None,
            revoked_at: None,
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

    /// A tenant's credentials of one kind, revoked ones too, newest first.
    pub async fn issued_credentials(&self, scope: Scope, tenant: TenantId, kind: CredentialKind) -> Result<Vec<IssuedCredential>, Refusal> {
        within(scope, tenant, NO_TENANT)?;
        let page = self.credentials_page(Scope::Tenant(tenant), kind, None, ISSUED_MAX).await?;
        Ok(page.into_iter().filter_map(|(_, issued)| issued).collect())
    }

    /// The credentials of the scope of one kind that are older than one, revoked ones too, newest first. The operator's own are
    /// the operator's alone. One that cannot be read is its id alone.
    pub async fn credentials_page(
        &self,
        scope: Scope,
        kind: CredentialKind,
        before: Option<CredentialId>,
        rows_max: u32,
    ) -> Result<Vec<(CredentialId, Option<IssuedCredential>)>, Refusal> {
        let rows = self.store.list_credentials(scope, kind.as_str(), before, rows_max).await?;
        let issued = |(id, row): (CredentialId, Option<CredentialRow>)| (id, row.and_then(IssuedCredential::of));
        Ok(rows.into_iter().map(issued).collect())
    }

    /// One that is not revoked, with its last use.
    pub async fn issued_credential(&self, scope: Scope, id: CredentialId) -> Result<IssuedCredential, Refusal> {
        let row = self.store.credential_row(scope, id).await?.ok_or(NO_CREDENTIAL)?;
        IssuedCredential::of(row).ok_or(NO_CREDENTIAL)
    }

    /// Writes down the uses that this node has seen since it last did.
    pub async fn note_credential_uses(&self) -> Result<(), Refusal> {
        let snapshot = Arc::clone(&self.configuration.current());
        let unwritten = |credential: &Arc<Credential>| Some((Arc::clone(credential), credential.unwritten_use()?));
        let uses: Vec<_> = snapshot.credentials.values().filter_map(unwritten).collect();
        for some in uses.chunks(USES_AT_ONCE) {
            let rows: Vec<_> = some.iter().map(|(credential, at)| (credential.id, *at)).collect();
            self.store.note_credential_uses(&rows).await?;
            for (credential, at) in some {
                credential.use_is_written(*at);
            }
        }
        Ok(())
    }

    /// One that is not revoked.
    pub async fn credential(&self, scope: Scope, id: CredentialId) -> Result<Arc<Credential>, Refusal> {
        let snapshot = self.fresh().await?;
        let seen = |credential: &&Arc<Credential>| credential.tenant.map_or(scope == Scope::Operator, |tenant| scope.holds(tenant));
        snapshot.credentials.get(&id).filter(seen).cloned().ok_or(NO_CREDENTIAL)
    }

    /// The text of a credential that keeps a sealed copy; none when it keeps only the hash.
    pub async fn show_credential(&self, scope: Scope, id: CredentialId) -> Result<Option<SecretText>, Refusal> {
        let row = self.store.credential_row(scope, id).await?.ok_or(NO_CREDENTIAL)?;
        Ok(self.store.open_credential(&row)?)
    }

    /// Makes a credential open nothing until it is enabled again, or the other way round.
    pub async fn disable_credential(&self, scope: Scope, id: CredentialId, disabled: bool) -> Result<Arc<Credential>, Refusal> {
        let row = self.store.credential_row(scope, id).await?.ok_or(NO_CREDENTIAL)?;
        self.expect("the credential", row.revision)?;
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

    /// Gives an endpoint or sender another ingest token. Those before it open nothing from now on.
    pub async fn replace_token(
        &self,
        scope: Scope,
        tenant: TenantId,
        environment: EnvironmentId,
        kind: CredentialKind,
        subject: Uuid,
        text: SecretText,
    ) -> Result<(), Refusal> {
        within(scope, tenant, NO_TENANT)?;
        let mut problems = Problems::default();
        problems.check("token", check::credential(kind, &text));
        problems.refuse()?;
        let new = NewCredential {
            tenant: Some(tenant),
            kind,
            subject: Some(subject),
            environment: Some(environment),
            name: None,
            label: None,
            rights: String::new(),
            text: Text::Hashed(text),
            expires_at: None,
        };
        retried!(async {
            let snapshot = self.fresh().await?;
            let former = snapshot
                .credentials
                .values()
                .filter(|credential| credential.kind == kind && credential.subject == Some(subject) && credential.tenant == Some(tenant));
            let mut changes: Vec<Change> = former
                .map(|credential| Change::Delete {
                    thing: Thing::Credential(credential.id),
                    revision: credential.revision,
                })
                .collect();
            let row = self.credential_row(CredentialId::new_v7(self.clock.now(), rand::random()), &new);
            changes.push(Change::new(Row::Credential(row)));
            self.write(&changes).await.map(drop)
        })
    }

    /// Ends a credential for good; returns when.
    pub async fn revoke_credential(&self, scope: Scope, id: CredentialId) -> Result<Timestamp, Refusal> {
        let row = self.store.credential_row(scope, id).await?.ok_or(NO_CREDENTIAL)?;
        self.expect("the credential", row.revision)?;
        let change = Change::Delete {
            thing: Thing::Credential(id),
            revision: row.revision,
        };
        let now = self.clock.now();
        // Nobody remembers its uses from then on, and of a key that leaked they are what is looked for.
        let known = self.configuration.current().credentials.get(&id).cloned();
        self.store.configure(&[change], now).await?;
        self.fresh().await?;
        // After it opens nothing here any more, and a failure of this one is none of the revocation.
        if let Some(at) = known.and_then(|credential| credential.unwritten_use())
            && let Err(error) = self.store.note_credential_uses(&[(id, at)]).await
        {
            tracing::warn!(credential = %id, %error, "cannot write down when a revoked credential was last used");
        }
        Ok(now)
    }
}
