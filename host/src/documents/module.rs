//! What is said of modules that are refused for their content.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{schemas, text};
use crate::store::ModuleRefusal;

/// Contents of plugins that are refused, whoever brings them; newest first.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = RefusedModules)]
pub struct RefusedModulesDocument {
    pub items: Vec<RefusedModuleDocument>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = RefusedModule)]
pub struct RefusedModuleDocument {
    /// SHA-256 of the file.
    #[schema(schema_with = schemas::hash)]
    pub hash: String,
    /// It was being checked when a server ended; it is tried again when somebody asks for it.
    pub quarantined: bool,
    pub reason: String,
    /// None: for good, for this version of the server.
    #[schema(schema_with = schemas::moment_or_none)]
    pub until: Option<String>,
    #[schema(schema_with = schemas::moment)]
    pub refused_at: String,
}

impl From<&ModuleRefusal> for RefusedModuleDocument {
    fn from(refusal: &ModuleRefusal) -> Self {
        Self {
            hash: refusal.hash.to_string(),
            quarantined: refusal.quarantined,
            reason: refusal.reason.clone(),
            until: refusal.until.map(text),
            refused_at: text(refusal.refused_at),
        }
    }
}
