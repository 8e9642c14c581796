//! The active version of every plugin: one map behind one pointer.
//!
//! A run takes a clone of the version it begins with and ends on it; a swap changes what the next run takes. The
//! machine code of a version goes with its last clone.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use hookyard_domain::{TenantId, pattern::EventPattern};

use crate::wasm::Module;

/// A version that is serving.
#[derive(Clone)]
pub struct Active {
    pub module: Module,
    /// The activation it came by.
    pub generation: u32,
    /// The event types it handles; none is all. Read from its manifest.
    event_types: Arc<[EventPattern]>,
}

impl Active {
    /// Patterns of the manifest that do not parse are left out; the check before activation refuses them.
    pub fn new(module: Module, generation: u32) -> Self {
        let event_types = module
            .manifest()
            .event_types
            .iter()
            .filter_map(|pattern| EventPattern::parse(pattern).ok())
            .collect();
        Self {
            module,
            generation,
            event_types,
        }
    }

    /// Whether the plugin asks for events of this type; others pass it by.
    pub fn handles(&self, event_type: &str) -> bool {
        self.event_types.is_empty() || self.event_types.iter().any(|pattern| pattern.matches(event_type))
    }
}

type Key = (TenantId, String);

/// All active versions of this node.
#[derive(Default)]
pub struct Installed(ArcSwap<HashMap<Key, Active>>);

impl Installed {
    pub fn get(&self, tenant: TenantId, plugin: &str) -> Option<Active> {
        // A tuple of borrowed parts cannot look up a tuple of owned ones; names are short.
        self.0.load().get(&(tenant, plugin.to_owned())).cloned()
    }

    /// Puts a version in place, unless a later generation got there first.
    pub fn activate(&self, tenant: TenantId, plugin: &str, active: &Active) {
        self.0.rcu(|current| {
            let mut next = HashMap::clone(current);
            let entry = next.entry((tenant, plugin.to_owned())).or_insert_with(|| active.clone());
            if entry.generation < active.generation {
                *entry = active.clone();
            }
            next
        });
    }

    /// How many versions are serving.
    pub fn len(&self) -> usize {
        self.0.load().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
