//! A key or token, known by the hash of its text.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

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
    /// For Hookyard's own API: of the operator, or of one tenant. Its [`Rights`] say what it may do there.
    ManagementToken,
}

/// What a management token allows. Its word is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    Read,
    /// Reading too.
    Write,
}

impl Rights {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Read, Self::Write].into_iter().find(|rights| rights.as_str() == text)
    }
}

impl CredentialKind {
    pub const ALL: [Self; 4] = [Self::ApiKey, Self::EndpointToken, Self::SenderToken, Self::ManagementToken];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api-key",
            Self::EndpointToken => "endpoint-token",
            Self::SenderToken => "sender-token",
            Self::ManagementToken => "management-token",
        }
    }

    /// What its text begins with, so that a token tells what it is for.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::ApiKey => "",
            Self::EndpointToken => "dst_",
            Self::SenderToken => "sndr_",
            Self::ManagementToken => "hym_",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
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
    pub(super) last_use: LastUse,
}

/// How old a last use may be before another one is noted: requests by the thousand write no memory that others read.
const USE_EVERY: Duration = Duration::from_mins(1);

/// When a credential last opened something, to the minute. Kept here until somebody writes it down.
pub struct LastUse {
    /// Microseconds; 0 is never.
    noted: AtomicI64,
    written: AtomicI64,
}

/// Its moment is not part of what a credential is.
impl std::fmt::Debug for LastUse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LastUse")
    }
}

impl LastUse {
    fn of(at: Option<Timestamp>) -> Self {
        let at = at.map_or(0, Timestamp::as_micros);
        Self {
            noted: AtomicI64::new(at),
            written: AtomicI64::new(at),
        }
    }

    pub(super) fn note(&self, now: Timestamp) {
        let noted = Timestamp::from_micros(self.noted.load(Ordering::Relaxed));
        if now >= noted.plus(USE_EVERY) {
            self.noted.store(now.as_micros(), Ordering::Relaxed);
        }
    }

    /// Goes on from what the row before this one had seen.
    pub(super) fn go_on_from(&self, before: &Self) {
        self.noted.fetch_max(before.noted.load(Ordering::Relaxed), Ordering::Relaxed);
        self.written.fetch_max(before.written.load(Ordering::Relaxed), Ordering::Relaxed);
    }
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

    /// What it allows in Hookyard's own API; none: it is not for that.
    pub fn management(&self) -> Option<Rights> {
        Rights::parse(&self.rights).filter(|_| self.kind == CredentialKind::ManagementToken)
    }

    /// The last use, where it has not been written down yet.
    pub fn unwritten_use(&self) -> Option<Timestamp> {
        let noted = self.last_use.noted.load(Ordering::Relaxed);
        (noted > self.last_use.written.load(Ordering::Relaxed)).then(|| Timestamp::from_micros(noted))
    }

    /// Says that a use is written down.
    pub fn use_is_written(&self, at: Timestamp) {
        self.last_use.written.store(at.as_micros(), Ordering::Relaxed);
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
        let kind = CredentialKind::parse(&row.kind).ok_or_else(|| format!("there is no kind of credential \"{}\"", row.kind))?;
        if kind == CredentialKind::ManagementToken && Rights::parse(&row.rights).is_none() {
            return Err(format!("a management token has no rights \"{}\"", row.rights));
        }
        Ok(Self {
            id: row.id,
            tenant: row.tenant,
            kind,
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
            last_use: LastUse::of(row.last_used_at),
        })
    }
}
