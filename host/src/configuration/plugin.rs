//! Which version of a plugin the table says is active. Whether this node has loaded it, `installed` knows.

use hookyard_domain::{ContentHash, PluginId};

use crate::store::PluginRow;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginState {
    pub id: PluginId,
    pub generation: u32,
    pub hash: ContentHash,
    /// The configuration's revision at its activation.
    pub revision: i64,
}

impl PluginState {
    /// None: no version is active.
    pub(super) fn of(row: &PluginRow) -> Option<Self> {
        Some(Self {
            id: row.id,
            generation: row.generation,
            hash: row.active?,
            revision: row.revision,
        })
    }
}
