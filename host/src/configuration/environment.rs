//! A named part of a tenant.

use hookyard_domain::{EnvironmentId, TenantId};

use crate::store::EnvironmentRow;

pub struct Environment {
    pub id: EnvironmentId,
    pub tenant: TenantId,
    /// What it is called in set-up files, paths and events.
    pub slug: String,
    /// For people.
    pub name: String,
    /// Whether it is meant where none is named. A tenant has at most one such.
    pub is_default: bool,
    pub revision: i64,
}

impl From<EnvironmentRow> for Environment {
    fn from(row: EnvironmentRow) -> Self {
        Self {
            id: row.id,
            tenant: row.tenant,
            slug: row.slug,
            name: row.name,
            is_default: row.is_default,
            revision: row.revision,
        }
    }
}
