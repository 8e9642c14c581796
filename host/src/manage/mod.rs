//! Manage: one operation for each thing a person can do, whoever asks for it.
//!
//! An operation takes a [`Scope`] and a typed command and gives back a typed noun of `configuration`, or a [`Refusal`]. The
//! command line, the set-up file, each dialect and each page call the same ones, so a rule is written once: what a single
//! value must be is in [`check`], what must hold between things is with the thing. An operation reads the rows it changes
//! from the table and names their revisions when it writes, so two people who change one thing at once do not overwrite each
//! other; [`setup`] does the same for a whole file at once. What was written is in force on this node when an operation
//! returns, and on the others within a second.
//!
//! Not known here: HTTP, and how a plugin answers a question. The question itself is asked through [`AskPlugins`], which is
//! given by whoever puts the stages together, because stages do not know each other.

pub mod check;
mod credential;
mod endpoint;
mod environment;
mod invite;
mod module;
mod password;
mod refusal;
mod role;
mod sender;
mod session;
pub mod setup;
mod tenant;
mod user;
mod work;

use std::{future::Future, pin::Pin, sync::Arc};

use hookyard_domain::{EnvironmentId, Scope, TenantId};

pub use self::{
    credential::{IssuedCredential, NewCredential, Text, random_credential},
    endpoint::{EndpointFields, EndpointFilter, NewEndpoint, random_signing_secret},
    environment::NewEnvironment,
    invite::Invite,
    refusal::{Problem, Problems, Refusal},
    role::{Deed, Role},
    sender::{NewSender, SenderFields},
    session::{ACCESS_LASTS, Person, Sessions, Tokens},
    tenant::{FirstOwner, TenantFields},
    user::{NewUser, User, UserChange},
    work::{Blocked, Replayed, Standing, StandingDeliveries, StandingEvents},
};
pub use crate::configuration::PlainHttp;
use crate::{
    clock::Clock,
    configuration::{Configuration, Snapshot},
    store::{Change, Store},
};

/// Would the active version of a plugin take this configuration?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigQuestion {
    /// None: a tenant that is only planned, which has no plugins yet.
    pub tenant: Option<TenantId>,
    pub plugin: String,
    /// JSON text.
    pub config: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigAnswer {
    Accepted,
    /// What the plugin finds wrong.
    Refused(String),
    /// Nothing is known of the configuration, and why. Not a mistake: the plugin may come afterwards.
    NotAsked(String),
}

/// Asks plugins; answers in the order of the questions. An error is about this machine or the database, never a plugin.
pub type AskPlugins = Arc<dyn Fn(Vec<ConfigQuestion>) -> Answers + Send + Sync>;
pub type Answers = Pin<Box<dyn Future<Output = Result<Vec<ConfigAnswer>, String>> + Send>>;

/// An [`AskPlugins`] for where no plugin can be asked.
pub fn ask_no_plugin() -> AskPlugins {
    Arc::new(|questions: Vec<ConfigQuestion>| {
        let answers = questions
            .iter()
            .map(|_| ConfigAnswer::NotAsked("no plugin can be asked here".to_owned()));
        let answers = answers.collect();
        Box::pin(async { Ok(answers) })
    })
}

/// Times an operation works on what a thing has become meanwhile before it gives up.
const TRIES_MAX: u32 = 3;

/// The operations. Cheap to clone.
#[derive(Clone)]
pub struct Manage {
    store: Store,
    configuration: Arc<Configuration>,
    clock: Clock,
    ask: AskPlugins,
    only_at: Option<i64>,
}

impl Manage {
    /// Takes the configuration that operations bring up to date and answer from: the running node's own, or a new one.
    pub fn new(store: Store, configuration: Arc<Configuration>, clock: Clock, ask: AskPlugins) -> Self {
        Self {
            store,
            configuration,
            clock,
            ask,
            only_at: None,
        }
    }

    /// The same operations, which change or delete a thing only while it has this revision.
    #[must_use]
    pub fn only_at(&self, revision: i64) -> Self {
        Self {
            only_at: Some(revision),
            ..self.clone()
        }
    }

    /// Refuses where a thing is not what the caller wants to change.
    fn expect(&self, what: &'static str, found: i64) -> Result<(), Refusal> {
        match self.only_at {
            Some(revision) if revision != found => Err(Refusal::Outdated { what, found }),
            _ => Ok(()),
        }
    }

    /// What is configured as of now, read from the table if this node has not heard of it yet.
    async fn fresh(&self) -> Result<Arc<Snapshot>, Refusal> {
        self.configuration.refresh(&self.store).await?;
        Ok(Arc::clone(&self.configuration.current()))
    }

    /// Writes changes and puts them in force on this node.
    async fn write(&self, changes: &[Change]) -> Result<Arc<Snapshot>, Refusal> {
        self.store.configure(changes, self.clock.now()).await?;
        self.fresh().await
    }

    /// The environment that is meant: the one given, else the tenant's default.
    fn environment_of(snapshot: &Snapshot, tenant: TenantId, given: Option<EnvironmentId>) -> Result<EnvironmentId, Refusal> {
        let found = match given {
            Some(id) => snapshot.environments.get(&id).filter(|environment| environment.tenant == tenant),
            None => snapshot.default_environment(tenant),
        };
        found.map(|environment| environment.id).ok_or(NO_ENVIRONMENT)
    }

    /// Asks one plugin about one configuration.
    async fn ask_about(&self, tenant: TenantId, plugin: Option<&str>, config: &str) -> Result<(), Refusal> {
        let Some(plugin) = plugin else { return Ok(()) };
        let question = ConfigQuestion {
            tenant: Some(tenant),
            plugin: plugin.to_owned(),
            config: config.into(),
        };
        let mut problems = Problems::default();
        for answer in (self.ask)(vec![question]).await.map_err(Refusal::PluginsNotAsked)? {
            if let ConfigAnswer::Refused(problem) = answer {
                problems.add("config", problem);
            }
        }
        problems.refuse()
    }
}

/// What is outside the scope is absent.
fn within(scope: Scope, tenant: TenantId, absent: Refusal) -> Result<(), Refusal> {
    if scope.holds(tenant) { Ok(()) } else { Err(absent) }
}

/// What is said to be still needed where a tenant would be left without an owner.
pub const LAST_OWNER: &str = crate::store::LAST_OWNER;

const NO_TENANT: Refusal = Refusal::NotFound { what: "tenant" };
const NO_ENVIRONMENT: Refusal = Refusal::NotFound { what: "environment" };
const NO_ENDPOINT: Refusal = Refusal::NotFound { what: "endpoint" };
const NO_SENDER: Refusal = Refusal::NotFound { what: "sender" };
const NO_USER: Refusal = Refusal::NotFound { what: "user" };
const NO_INVITE: Refusal = Refusal::NotFound { what: "invite" };
const NO_CREDENTIAL: Refusal = Refusal::NotFound { what: "credential" };

/// Runs an operation again on what the thing has become, when somebody else changed it meanwhile.
macro_rules! retried {
    ($operation:expr) => {{
        let mut tries = 0;
        loop {
            tries += 1;
            match $operation.await {
                Err(Refusal::Changed(_)) if tries < TRIES_MAX => {}
                outcome => break outcome,
            }
        }
    }};
}
use retried;
