//! What this node has of each plugin's active version: one map behind one pointer.
//!
//! A run takes a clone of the version it begins with and ends on it; a swap changes what the next run takes. The
//! machine code of a version goes with its last clone. A version that does not load here has its place in the map too,
//! with the reason: its events are then held for that reason, instead of waiting for a version that never comes.
//!
//! Who fills the map: `plugins`. Who asks it: `route`.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use hookyard_domain::{ContentHash, PluginId, TenantId, pattern::EventPattern};

use crate::wasm::Module;

/// What this node has of the version that the table says is active.
#[derive(Clone)]
pub enum Slot {
    /// It is loaded.
    Ready(Active),
    /// It cannot be loaded on this node. The version before it does not serve in its place: its owner replaced it.
    Unloadable { generation: u32, revision: i64, reason: Arc<str> },
}

impl Slot {
    /// The activation this slot came by.
    pub fn generation(&self) -> u32 {
        match self {
            Self::Ready(active) => active.generation,
            Self::Unloadable { generation, .. } => *generation,
        }
    }

    /// The revision of the plugin's row that this slot was filled from.
    pub fn revision(&self) -> i64 {
        match self {
            Self::Ready(active) => active.revision,
            Self::Unloadable { revision, .. } => *revision,
        }
    }

    /// Whether this slot gives way to `other`: to what the table said later, and to a version that loads after all.
    fn yields_to(&self, other: &Self) -> bool {
        let place = |slot: &Self| (slot.generation(), slot.revision(), matches!(slot, Self::Ready(_)));
        place(self) <= place(other)
    }
}

/// A version that is serving.
#[derive(Clone)]
pub struct Active {
    pub plugin: PluginId,
    pub module: Module,
    /// The activation it came by.
    pub generation: u32,
    /// The revision of the plugin's row that named it.
    pub revision: i64,
    /// The event types it handles; none is all. Read from its manifest.
    event_types: Arc<[EventPattern]>,
}

impl Active {
    /// Patterns of the manifest that do not parse are left out; the check before activation refuses them.
    pub fn new(plugin: PluginId, module: Module, generation: u32, revision: i64) -> Self {
        let event_types = module
            .manifest()
            .event_types
            .iter()
            .filter_map(|pattern| EventPattern::parse(pattern).ok())
            .collect();
        Self {
            plugin,
            module,
            generation,
            revision,
            event_types,
        }
    }

    /// Whether the plugin asks for events of this type; others pass it by.
    pub fn handles(&self, event_type: &str) -> bool {
        self.event_types.is_empty() || self.event_types.iter().any(|pattern| pattern.matches(event_type))
    }
}

/// The active versions as this node has them: by tenant and by the plugin's name.
#[derive(Default)]
pub struct Installed(ArcSwap<HashMap<TenantId, HashMap<String, Slot>>>);

impl Installed {
    /// None: no version is active, or this node has not heard of it yet.
    pub fn get(&self, tenant: TenantId, plugin: &str) -> Option<Slot> {
        self.0.load().get(&tenant)?.get(plugin).cloned()
    }

    /// Puts a slot in place, unless what is there came later.
    pub fn put(&self, tenant: TenantId, plugin: &str, slot: &Slot) {
        self.0.rcu(|current| {
            let mut next = HashMap::clone(current);
            let of_tenant = next.entry(tenant).or_default();
            let entry = of_tenant.entry(plugin.to_owned()).or_insert_with(|| slot.clone());
            if entry.yields_to(slot) {
                *entry = slot.clone();
            }
            next
        });
    }

    /// A loaded module of these very bytes, whoever's plugin it serves: a module keeps nothing between runs, so tenants
    /// with the same file can share its machine code.
    pub fn module(&self, version: ContentHash) -> Option<Module> {
        let installed = self.0.load();
        installed.values().flat_map(HashMap::values).find_map(|slot| match slot {
            Slot::Ready(active) if active.module.hash() == version => Some(active.module.clone()),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unloadable(generation: u32, revision: i64) -> Slot {
        Slot::Unloadable {
            generation,
            revision,
            reason: "spoilt".into(),
        }
    }

    #[test]
    fn a_slot_gives_way_to_what_the_table_said_later_and_never_to_what_it_said_before() {
        assert!(unloadable(1, 7).yields_to(&unloadable(2, 9)));
        assert!(unloadable(2, 9).yields_to(&unloadable(2, 12)));
        assert!(unloadable(2, 9).yields_to(&unloadable(2, 9)), "the reason may be a new one");
        assert!(!unloadable(2, 9).yields_to(&unloadable(1, 7)));
        assert!(!unloadable(2, 9).yields_to(&unloadable(2, 7)));
    }

    #[test]
    fn what_is_put_is_there_and_a_late_one_changes_nothing() {
        let installed = Installed::default();
        let tenant = TenantId::from_uuid(uuid::Uuid::nil());
        assert!(installed.get(tenant, "route").is_none());
        installed.put(tenant, "route", &unloadable(2, 9));
        installed.put(tenant, "route", &unloadable(1, 7));
        let slot = installed.get(tenant, "route").expect("one was put");
        assert_eq!((slot.generation(), slot.revision()), (2, 9));
        assert!(installed.get(tenant, "other").is_none());
    }
}
