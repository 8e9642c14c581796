//! A set-up as the API takes it, and what became of it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::schemas;

/// A set-up to be carried out.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Setup)]
pub struct SetupDocument {
    /// The set-up file: TOML.
    pub text: String,
    /// What the file takes from the environment, by the name of the variable.
    #[serde(default)]
    #[schema(schema_with = schemas::texts_by_name)]
    pub variables: Map<String, Value>,
    /// What it takes from files, by path as the set-up spells it.
    #[serde(default)]
    #[schema(schema_with = schemas::texts_by_name)]
    pub files: Map<String, Value>,
    /// Only say what would change.
    #[serde(default)]
    pub dry_run: bool,
}

/// What became of a set-up.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Applied)]
pub struct AppliedDocument {
    pub dry_run: bool,
    pub changes: Vec<ChangeDocument>,
    pub tenants: Vec<NamedDocument>,
    /// What is not wrong and worth knowing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// One thing of a set-up.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Change)]
pub struct ChangeDocument {
    /// `create`, `update`, `delete` or `unchanged`.
    #[schema(schema_with = schemas::action)]
    pub action: String,
    pub kind: String,
    pub name: String,
    /// The columns that change, for an update.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// None for what a dry run would make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schemas::id_or_none)]
    pub id: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Named)]
pub struct NamedDocument {
    pub name: String,
    #[schema(schema_with = schemas::id)]
    pub id: String,
}
