//! The endpoints that a sender, or an environment, may send to, and which of them want an event of some type.
//!
//! The work for an event follows the number of endpoints that want it, not the number there are: patterns are indexed by what
//! they match, and those passed over are counted, with a few names as examples, instead of listed.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use hookyard_domain::pattern::Form;

use super::endpoint::{Endpoint, EndpointStatus};

/// Names of endpoints that stand for all that were passed over for one reason. A few tell a person what kind they are.
pub const EXAMPLES_MAX: usize = 3;

/// Endpoints in the order of their names, those without one last. Cheap to clone.
#[derive(Clone, Default)]
pub struct Reach(Arc<Index>);

#[derive(Default)]
struct Index {
    all: Vec<Arc<Endpoint>>,
    /// Places in `all` of the active endpoints, by what their patterns match. A place may be found by several patterns.
    wants_all: Vec<u32>,
    wants_exactly: HashMap<Box<str>, Vec<u32>>,
    /// By prefix with its dot.
    wants_under: HashMap<Box<str>, Vec<u32>>,
    /// Places of all active endpoints.
    active: Vec<u32>,
    inactive: PassedOver,
}

/// What an event may go to.
pub struct Candidates {
    pub endpoints: Vec<Arc<Endpoint>>,
    /// Why the others are not among them, reason by reason.
    pub passed_over: Vec<PassedOver>,
}

/// Endpoints that are not candidates, for one reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PassedOver {
    pub reason: String,
    pub count: u32,
    /// The first few by name.
    pub examples: Vec<String>,
}

impl Reach {
    pub fn of(mut endpoints: Vec<Arc<Endpoint>>) -> Self {
        endpoints.sort_unstable_by(|a, b| {
            let order = |endpoint: &Endpoint| (endpoint.name.is_none(), endpoint.id);
            match (&a.name, &b.name) {
                (Some(one), Some(other)) => one.cmp(other).then_with(|| a.id.cmp(&b.id)),
                _ => order(a).cmp(&order(b)),
            }
        });
        let mut index = Index {
            inactive: PassedOver {
                reason: "the endpoint is inactive".to_owned(),
                ..PassedOver::default()
            },
            ..Index::default()
        };
        for (place, endpoint) in (0_u32..).zip(&endpoints) {
            match endpoint.status {
                EndpointStatus::Active => {
                    index.active.push(place);
                    index.add(place, endpoint);
                }
                EndpointStatus::Inactive | EndpointStatus::Suspended => index.inactive.add(endpoint),
            }
        }
        index.all = endpoints;
        Self(Arc::new(index))
    }

    /// One endpoint, whatever its patterns say and whether or not it is active: what is sent to it waits until it is.
    pub fn only(endpoint: Arc<Endpoint>) -> Self {
        Self(Arc::new(Index {
            wants_all: vec![0],
            active: vec![0],
            all: vec![endpoint],
            ..Index::default()
        }))
    }

    /// All of them, whether or not an event may go there at the moment.
    pub fn all(&self) -> &[Arc<Endpoint>] {
        &self.0.all
    }

    /// The endpoints that an event of this type may go to, and why the others are not among them.
    pub fn candidates(&self, event_type: &str) -> Candidates {
        let index = &*self.0;
        let places = index.places(event_type);
        let mut passed_over = Vec::new();
        if index.inactive.count > 0 {
            passed_over.push(index.inactive.clone());
        }
        let unwanted = index.active.len() - places.len();
        if unwanted > 0 {
            passed_over.push(PassedOver {
                reason: format!("none of its event patterns matches \"{event_type}\""),
                count: u32::try_from(unwanted).unwrap_or(u32::MAX),
                examples: index.examples_without(&places),
            });
        }
        Candidates {
            endpoints: places.iter().map(|place| Arc::clone(&index.all[*place as usize])).collect(),
            passed_over,
        }
    }
}

impl Index {
    fn add(&mut self, place: u32, endpoint: &Endpoint) {
        for subscription in &endpoint.subscriptions {
            let places = match subscription.pattern.form() {
                Form::All => &mut self.wants_all,
                Form::Exact(event_type) => entry(&mut self.wants_exactly, event_type),
                Form::Under(prefix) => entry(&mut self.wants_under, prefix),
            };
            if places.last() != Some(&place) {
                places.push(place);
            }
        }
    }

    /// The places of the endpoints that want this type, in order, each once.
    fn places(&self, event_type: &str) -> Vec<u32> {
        let mut places = self.wants_all.clone();
        places.extend(self.wants_exactly.get(event_type).into_iter().flatten());
        if !self.wants_under.is_empty() {
            for (dot, _) in event_type.match_indices('.') {
                let (prefix, rest) = event_type.split_at(dot + 1);
                // A prefix wants something after its dot, as `EventPattern::matches` has it.
                if !rest.is_empty() {
                    places.extend(self.wants_under.get(prefix).into_iter().flatten());
                }
            }
        }
        places.sort_unstable();
        places.dedup();
        places
    }

    /// The first few active endpoints outside these places.
    fn examples_without(&self, places: &[u32]) -> Vec<String> {
        let chosen: HashSet<u32> = places.iter().copied().collect();
        let outside = self.active.iter().filter(|place| !chosen.contains(place));
        outside
            .take(EXAMPLES_MAX)
            .map(|place| self.all[*place as usize].label().to_owned())
            .collect()
    }
}

/// Looked up before it is inserted: most patterns of an environment are seen many times.
fn entry<'a>(map: &'a mut HashMap<Box<str>, Vec<u32>>, text: &str) -> &'a mut Vec<u32> {
    if !map.contains_key(text) {
        map.insert(text.into(), Vec::new());
    }
    map.get_mut(text).expect("it was there or just inserted")
}

impl PassedOver {
    fn add(&mut self, endpoint: &Endpoint) {
        self.count += 1;
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(endpoint.label().to_owned());
        }
    }
}

#[cfg(test)]
mod tests;
