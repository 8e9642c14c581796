//! The endpoints a plugin may choose from, and the shortest ways to choose.
//!
//! An [`Endpoint`] knows its place in the host's list and keeps it to itself, so that a plan cannot name one that was
//! not offered. No full URL and no secret is ever among what a plugin sees.

use crate::{Content, Plan};

/// A delivery candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub(crate) index: u32,
    pub id: String,
    /// The name its owner gave it, else its id.
    pub name: String,
    /// `scheme://host[:port]`.
    pub origin: String,
    /// What the endpoint's owner said about it: the top-level keys of a JSON object, in no particular order. A string
    /// is here without its quotes, any other value as its JSON text.
    pub metadata: Vec<(String, String)>,
}

impl Endpoint {
    /// The metadata value under that key: a string as it is, anything else as its JSON text, which `serde_json` reads.
    ///
    /// ```
    /// use hookyard_guest::Endpoint;
    ///
    /// let endpoint = Endpoint::named("paris")
    ///     .with_metadata("region", "eu")
    ///     .with_metadata("repos", r#"["acme/api","acme/web"]"#);
    /// assert_eq!(endpoint.metadata("region"), Some("eu"));
    /// let repos: Vec<&str> = serde_json::from_str(endpoint.metadata("repos").unwrap()).unwrap();
    /// assert_eq!(repos, ["acme/api", "acme/web"]);
    /// ```
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, value)| value.as_str())
    }

    /// Starts an endpoint for a test; its id is its name.
    pub fn named(name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            index: 0,
            id: name.clone(),
            name,
            origin: "https://receiver.example".to_owned(),
            metadata: Vec::new(),
        }
    }

    /// Adds a metadata entry, as the plugin would see it.
    pub fn with_metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.push((key.into(), value.into()));
        self
    }
}

/// The endpoints offered with one event, in the host's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints {
    list: Vec<Endpoint>,
}

impl Endpoints {
    /// How many endpoints there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The endpoints in the host's order.
    pub fn iter(&self) -> std::slice::Iter<'_, Endpoint> {
        self.list.iter()
    }

    /// Selects every endpoint.
    pub fn all(&self) -> Selection<'_> {
        self.select(|_| Ok(()))
    }

    /// Selects the endpoints for which `wanted` holds.
    pub fn matching(&self, wanted: impl Fn(&Endpoint) -> bool) -> Selection<'_> {
        self.select(|endpoint| {
            if wanted(endpoint) {
                Ok(())
            } else {
                Err("not selected by the plugin".to_owned())
            }
        })
    }

    /// Selects the endpoints whose metadata says `value` under `key`, for example `"eu"`, `"5"` or `"true"`.
    pub fn with_metadata(&self, key: &str, value: &str) -> Selection<'_> {
        self.select(|endpoint| match endpoint.metadata(key) {
            Some(found) if found == value => Ok(()),
            Some(found) => Err(format!("its {key} is {found}, this needs {value}")),
            None => Err(format!("it has no {key}, this needs {value}")),
        })
    }

    /// Selects the endpoints for which `judge` has no objection; an objection is kept as the reason it was skipped.
    pub fn select(&self, judge: impl Fn(&Endpoint) -> Result<(), String>) -> Selection<'_> {
        let mut selection = Selection {
            chosen: Vec::new(),
            skipped: Vec::new(),
        };
        for endpoint in &self.list {
            match judge(endpoint) {
                Ok(()) => selection.chosen.push(endpoint),
                Err(reason) => selection.skipped.push((endpoint, reason)),
            }
        }
        selection
    }
}

impl FromIterator<Endpoint> for Endpoints {
    /// Numbers the endpoints by their order.
    fn from_iter<I: IntoIterator<Item = Endpoint>>(endpoints: I) -> Self {
        let list = (0..)
            .zip(endpoints)
            .map(|(index, endpoint)| Endpoint { index, ..endpoint })
            .collect();
        Self { list }
    }
}

impl<'a> IntoIterator for &'a Endpoints {
    type Item = &'a Endpoint;
    type IntoIter = std::slice::Iter<'a, Endpoint>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Endpoints chosen from [`Endpoints`], and why the others were not.
#[derive(Debug, Clone)]
#[must_use = "a selection decides nothing until it is sent or forwarded"]
pub struct Selection<'a> {
    chosen: Vec<&'a Endpoint>,
    skipped: Vec<(&'a Endpoint, String)>,
}

impl<'a> Selection<'a> {
    /// The chosen endpoints.
    pub fn chosen(&self) -> &[&'a Endpoint] {
        &self.chosen
    }

    /// Plans to send one content to all of them.
    pub fn send(self, content: &Content) -> Plan {
        self.plan(|plan, endpoint| {
            plan.send(endpoint, content);
        })
    }

    /// Plans to forward the bytes as received to all of them.
    pub fn forward(self) -> Plan {
        self.plan(|plan, endpoint| {
            plan.forward(endpoint);
        })
    }

    fn plan(self, deliver: impl Fn(&mut Plan, &Endpoint)) -> Plan {
        let mut plan = Plan::new();
        for endpoint in self.chosen {
            deliver(&mut plan, endpoint);
        }
        for (endpoint, reason) in self.skipped {
            plan.skip(endpoint, reason);
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eu_us_and_nameless() -> Endpoints {
        Endpoints::from_iter([
            Endpoint::named("eu").with_metadata("region", "eu"),
            Endpoint::named("us").with_metadata("region", "us"),
            Endpoint::named("plain"),
        ])
    }

    #[test]
    fn selecting_by_metadata_says_why_the_others_were_skipped() {
        let endpoints = eu_us_and_nameless();
        let plan = endpoints.with_metadata("region", "eu").forward();
        assert!(plan.sends_to("eu"));
        assert_eq!(plan.skip_reason("us"), Some("its region is us, this needs eu"));
        assert_eq!(plan.skip_reason("plain"), Some("it has no region, this needs eu"));
    }

    #[test]
    fn endpoints_are_numbered_in_the_hosts_order() {
        let endpoints = eu_us_and_nameless();
        assert_eq!(endpoints.iter().map(|endpoint| endpoint.index).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(endpoints.all().chosen().len(), endpoints.len());
        assert_eq!(endpoints.matching(|endpoint| endpoint.name == "us").chosen()[0].index, 1);
    }
}
