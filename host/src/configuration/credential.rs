//! A key or token, known by the hash of its text.

use hookyard_domain::{ContentHash, CredentialId, EndpointId, EnvironmentId, SenderId, TenantId, Timestamp};
use uuid::Uuid;

use crate::store::CredentialRow;

/// What a credential is for. Its word is stored, so never respelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialKind {
    /// Says that the caller acts for a tenant.
    ApiKey,
    /// What comes by it goes to its endpoint and nowhere else.
    EndpointToken,
    /// What comes by it takes its sender's route.
    SenderToken,
}

impl CredentialKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api-key",
            Self::EndpointToken => "endpoint-token",
            Self::SenderToken => "sender-token",
        }
    }

    /// What its text begins with, so that a token tells what it is for.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::ApiKey => "",
            Self::EndpointToken => "dst_",
            Self::SenderToken => "sndr_",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::ApiKey, Self::EndpointToken, Self::SenderToken]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

#[derive(Debug)]
pub struct Credential {
    pub id: CredentialId,
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
    pub(super) hash: ContentHash,
    pub expires_at: Option<Timestamp>,
    pub disabled_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub revision: i64,
}

impl Credential {
    /// The endpoint whose token it is.
    pub fn endpoint(&self) -> Option<EndpointId> {
        self.subject_of(CredentialKind::EndpointToken).map(EndpointId::from_uuid)
    }

    /// The sender whose token it is.
    pub fn sender(&self) -> Option<SenderId> {
        self.subject_of(CredentialKind::SenderToken).map(SenderId::from_uuid)
    }

    fn subject_of(&self, kind: CredentialKind) -> Option<Uuid> {
        self.subject.filter(|_| self.kind == kind)
    }

    /// Whether it opens anything at this moment.
    pub(super) fn works(&self, now: Timestamp) -> bool {
        self.disabled_at.is_none() && self.expires_at.is_none_or(|at| now < at)
    }
}

impl TryFrom<CredentialRow> for Credential {
    type Error = String;

    fn try_from(row: CredentialRow) -> Result<Self, String> {
        Ok(Self {
            id: row.id,
            tenant: row.tenant,
            kind: CredentialKind::parse(&row.kind).ok_or_else(|| format!("there is no kind of credential \"{}\"", row.kind))?,
            subject: row.subject,
            environment: row.environment,
            name: row.name,
            label: row.label,
            rights: row.rights,
            hash: row.hash,
            expires_at: row.expires_at,
            disabled_at: row.disabled_at,
            created_at: row.created_at,
            revision: row.revision,
        })
    }
}
