//! Asks plugins about configurations that are not in force yet.
//!
//! A server asks the modules it has loaded, [`Plugins::check_configs`]. `hookyard apply` asks before it writes and has no
//! server around it: [`check_configs`] reads the modules from the table and compiles them. Neither fails because of a
//! plugin. One that has no version, or a version that does not load, is reported as not asked, so that a
//! broken plugin does not keep its owner from changing the configuration, perhaps the very change that mends it.

use std::{collections::HashMap, sync::Arc};

use hookyard_domain::{ContentHash, TenantId};

use super::{Plugins, reconcile::compile_stored, trial::check_config};
use crate::{
    installed::Slot,
    store::{Error, Store},
    wasm::{Compiler, Engine, EngineError, Module, Settings},
};

/// Would the active version of this plugin take this configuration?
#[derive(Debug, Clone)]
pub struct Question {
    /// None: a tenant that is only planned, which has no plugins yet.
    pub tenant: Option<TenantId>,
    pub plugin: String,
    /// JSON text.
    pub config: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Accepted,
    /// All that the plugin finds wrong, in one line.
    Refused(String),
    /// Nothing is known of the configuration; the sentence is for a note.
    NotAsked(NotAsked),
}

/// Why a plugin was not asked. Not a mistake in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAsked {
    #[error("no version of plugin \"{plugin}\" is active; until one is, its events go by on_failure")]
    NoActiveVersion { plugin: String },
    #[error("the active version of plugin \"{plugin}\" cannot be loaded ({reason}); the configuration is not checked by it")]
    Unloadable { plugin: String, reason: String },
}

/// Why nothing could be asked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error("cannot read the plugins")]
    Store(#[from] Error),
    #[error("cannot start the plugin engine")]
    Engine(#[from] EngineError),
    #[error("the check of the configurations was interrupted")]
    Interrupted,
}

impl Plugins {
    /// Asks the versions that this node has loaded; the answers are in the order of the questions.
    ///
    /// # Errors
    /// [`CheckError::Interrupted`] alone: the node is stopping.
    pub async fn check_configs(&self, questions: Vec<Question>) -> Result<Vec<Answer>, CheckError> {
        let installed = &self.0.parts.installed;
        let slot_of = |question: &Question| installed.get(question.tenant?, &question.plugin);
        let asked: Vec<_> = questions.into_iter().map(|question| (slot_of(&question), question)).collect();
        let told = |(slot, question): (Option<Slot>, Question)| match slot {
            None => no_active_version(&question),
            Some(Slot::Unloadable { reason, .. }) => unloadable(&question, &reason),
            Some(Slot::Ready(active)) => answer(&active.module, &question),
        };
        tokio::task::spawn_blocking(move || asked.into_iter().map(told).collect())
            .await
            .map_err(|_| CheckError::Interrupted)
    }
}

/// Asks the active version of each plugin; the answers are in the order of the questions. Each version is compiled
/// once however many questions there are for it, and one at a time, so memory never holds more than one of them.
///
/// # Errors
/// [`CheckError`] is about this machine or the database, never about a plugin.
pub async fn check_configs(
    store: &Store,
    settings: &Settings,
    compiler: &Compiler,
    questions: &[Question],
) -> Result<Vec<Answer>, CheckError> {
    let mut answers: Vec<Answer> = questions.iter().map(no_active_version).collect();
    let of_version = group(store, questions).await?;
    if of_version.is_empty() {
        return Ok(answers);
    }
    let engine = Engine::new(settings)?;
    for (version, places) in of_version {
        let wasm = store.module(version).await?;
        let asked: Vec<Question> = places.iter().map(|place| questions[*place].clone()).collect();
        let (engine, compiler) = (engine.clone(), compiler.clone());
        // Compiling and asking are work for a processor, not for a thread that serves others.
        let told = tokio::task::spawn_blocking(move || ask(&engine, &compiler, version, wasm, &asked))
            .await
            .map_err(|_| CheckError::Interrupted)?;
        for (place, answer) in places.into_iter().zip(told) {
            answers[place] = answer;
        }
    }
    Ok(answers)
}

fn no_active_version(question: &Question) -> Answer {
    let plugin = question.plugin.clone();
    Answer::NotAsked(NotAsked::NoActiveVersion { plugin })
}

fn unloadable(question: &Question, reason: &str) -> Answer {
    Answer::NotAsked(NotAsked::Unloadable {
        plugin: question.plugin.clone(),
        reason: reason.to_owned(),
    })
}

fn answer(module: &Module, question: &Question) -> Answer {
    check_config(module, &question.config).map_or_else(Answer::Refused, |()| Answer::Accepted)
}

/// The places of the questions that have an active version to answer them, by that version.
async fn group(store: &Store, questions: &[Question]) -> Result<HashMap<ContentHash, Vec<usize>>, Error> {
    let mut of_version: HashMap<ContentHash, Vec<usize>> = HashMap::new();
    if questions.is_empty() {
        return Ok(of_version);
    }
    let rows = store.plugins().await?;
    let active: HashMap<_, _> = rows
        .iter()
        .filter_map(|row| Some(((row.tenant, row.name.as_str()), row.active?)))
        .collect();
    for (place, question) in questions.iter().enumerate() {
        let version = question.tenant.and_then(|tenant| active.get(&(tenant, question.plugin.as_str())));
        if let Some(version) = version {
            of_version.entry(*version).or_default().push(place);
        }
    }
    Ok(of_version)
}

/// Compiles a version, asks it everything, and lets it go.
fn ask(engine: &Engine, compiler: &Compiler, version: ContentHash, wasm: Option<Vec<u8>>, questions: &[Question]) -> Vec<Answer> {
    let compiled = compile_stored(engine, compiler, version, wasm);
    let told = |question: &Question| match &compiled {
        Ok(module) => answer(module, question),
        Err(reason) => unloadable(question, reason),
    };
    questions.iter().map(told).collect()
}
