//! A whole set-up at once: everything it names is made what it says, or nothing is changed.
//!
//! A set-up is a list of the same commands that are given one by one elsewhere, held against the same checks. Things are
//! known by name: a tenant by its own, the rest by theirs within the tenant (endpoints and senders within their environment).
//! What the set-up does not name stays as it is; applying the same one twice changes nothing. A row that cannot be read is
//! written anew, for the set-up says all there is to say about it.
//!
//! [`mod@file`] reads the TOML that people write, [`mod@check`] says what is wrong with it in itself, [`plan`] compares it with
//! what there is.

mod check;
pub mod file;
mod plan;

use hookyard_domain::{EndpointId, Scope, TenantId, profile::Profile};
use uuid::Uuid;

use super::{ConfigAnswer, EndpointFields, Manage, NO_TENANT, Problems, Refusal, SenderFields, TRIES_MAX, TenantFields};
use crate::store::SecretText;

/// What shall be there.
#[derive(Debug, Default)]
pub struct Setup {
    pub tenants: Vec<TenantSetup>,
}

#[derive(Debug)]
pub struct TenantSetup {
    pub fields: TenantFields,
    pub api_keys: Vec<ApiKeySetup>,
    pub endpoints: Vec<EndpointSetup>,
    pub senders: Vec<SenderSetup>,
    pub removed: Removed,
}

#[derive(Debug)]
pub struct ApiKeySetup {
    pub name: String,
    pub text: SecretText,
    /// None: it stays what it is.
    pub disabled: Option<bool>,
}

/// What shall not be there, by name.
#[derive(Debug, Default)]
pub struct Removed {
    pub api_keys: Vec<String>,
    /// With their environment.
    pub endpoints: Vec<(String, String)>,
    pub senders: Vec<(String, String)>,
}

#[derive(Debug)]
pub struct EndpointSetup {
    pub name: String,
    pub environment: String,
    pub fields: EndpointFields,
    /// None: the one it has, or the default for a new one.
    pub profile: Option<&'static Profile>,
    pub token: Option<SecretText>,
}

#[derive(Debug)]
pub struct SenderSetup {
    pub name: String,
    pub environment: String,
    pub fields: SenderFields,
    pub token: SecretText,
}

/// Whether a set-up is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Write,
    /// Only says what would change.
    DryRun,
}

/// What became of a set-up.
#[derive(Debug)]
pub struct Applied {
    pub lines: Vec<Line>,
    /// Every tenant of the set-up that is there, with its id: ingest URLs hold it.
    pub tenants: Vec<(String, TenantId)>,
    /// Endpoints that were deleted; what waits for them is still to be purged.
    pub deleted: Vec<(TenantId, EndpointId)>,
    /// What is not wrong and worth knowing, such as a plugin that has no version yet.
    pub notes: Vec<String>,
}

/// One thing of the set-up and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub action: Action,
    pub kind: &'static str,
    pub name: String,
    /// The columns that change, for an update.
    pub fields: Vec<&'static str>,
    /// None for what a dry run would make.
    pub id: Option<Uuid>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Create,
    Update,
    Delete,
    Unchanged,
}

impl Action {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Unchanged => "unchanged",
        }
    }
}

impl Manage {
    /// Carries out a set-up as a whole. Only the operator may.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] with every problem and its place; nothing is changed then. [`Refusal::Changed`] when somebody
    /// else changed one of its things meanwhile.
    pub async fn apply(&self, scope: Scope, setup: &Setup, mode: Mode) -> Result<Applied, Refusal> {
        if scope != Scope::Operator {
            return Err(NO_TENANT);
        }
        setup.check().refuse()?;
        let mut tries = 0;
        loop {
            tries += 1;
            // What two make at once is there for the one that is later: it compares with that. In a box, for it is large and
            // whoever calls keeps it on a stack.
            match Box::pin(self.apply_once(setup, mode)).await {
                Err(Refusal::Changed(_) | Refusal::Taken(_)) if tries < TRIES_MAX => {}
                outcome => return outcome,
            }
        }
    }

    async fn apply_once(&self, setup: &Setup, mode: Mode) -> Result<Applied, Refusal> {
        let rows = self.store.configuration_since(0).await?;
        let plan = plan::plan(setup, &rows, self.clock.now()).map_err(Refusal::Invalid)?;
        let notes = self.ask_all(plan.questions).await?;
        let written = mode == Mode::Write && !plan.changes.is_empty();
        if written {
            self.write(&plan.changes).await?;
        }
        let is_new = |name: &str| {
            let mut lines = plan.lines.iter();
            lines.any(|line| line.kind == "tenant" && line.name == name && line.action == Action::Create)
        };
        let tenants = plan.tenants.into_iter();
        let tenants = tenants.filter(|(name, _)| mode == Mode::Write || !is_new(name)).collect();
        let mut lines = plan.lines;
        if mode == Mode::DryRun {
            // The next run makes others.
            for line in lines.iter_mut().filter(|line| line.action == Action::Create) {
                line.id = None;
            }
        }
        Ok(Applied {
            lines,
            tenants,
            deleted: if mode == Mode::Write { plan.deleted } else { Vec::new() },
            notes,
        })
    }

    /// Asks the plugins about the configurations that change; returns what could not be asked, as notes.
    async fn ask_all(&self, questions: Vec<plan::Asked>) -> Result<Vec<String>, Refusal> {
        let (places, questions): (Vec<_>, Vec<_>) = questions.into_iter().map(|asked| (asked.place, asked.question)).unzip();
        let mut problems = Problems::default();
        let mut notes = Vec::new();
        for (place, answer) in places
            .into_iter()
            .zip((self.ask)(questions).await.map_err(Refusal::PluginsNotAsked)?)
        {
            match answer {
                ConfigAnswer::Accepted => {}
                ConfigAnswer::Refused(problem) => problems.add(format!("{place}, config"), problem),
                ConfigAnswer::NotAsked(why) => notes.push(format!("{place}: {why}")),
            }
        }
        problems.refuse()?;
        Ok(notes)
    }
}
