//! The trait a plugin implements, what it says about itself, and the two macros that save typing.
//!
//! [`Plugin::route`] is the hot path. [`Plugin::manifest`] and [`Plugin::check_config`] run when a version or a
//! configuration is checked, never per event.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{Decision, Endpoints, Event, Failure};

/// A routing plugin: a type, usually without fields, that names its configuration and its three functions.
pub trait Plugin {
    /// The configuration, read from the sender's JSON document (`{}` when there is none). A document that does not
    /// deserialize is a `bad-config` failure of every event, so `check_config` reports it before it is activated.
    /// A plugin with nothing to configure says [`NoConfig`].
    type Config: DeserializeOwned;

    /// Says what this plugin is; see [`manifest!`](crate::manifest).
    fn manifest() -> Manifest;

    /// Decides one event.
    ///
    /// # Errors
    ///
    /// A [`Failure`] hands the event to the sender's failure policy, by its kind; to throw an event away on purpose
    /// answer [`Decision::drop`] instead.
    fn route(event: &Event, to: &Endpoints, config: &Self::Config) -> Result<Decision, Failure>;

    /// Checks what neither the schema nor the type can express. Empty means that the configuration is good.
    fn check_config(config: &Self::Config) -> Vec<ConfigProblem> {
        let _ = config;
        Vec::new()
    }
}

/// The configuration of a plugin that has none: an empty object.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// What a plugin says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    pub name: String,
    /// SemVer.
    pub version: String,
    pub summary: String,
    /// JSON Schema 2020-12 text.
    pub config_schema: Option<String>,
    /// Event patterns handled; empty means all.
    pub event_types: Vec<String>,
    /// Optional host features wanted; an operator grants them.
    pub needs: Vec<String>,
}

impl Manifest {
    /// Starts a manifest; [`manifest!`](crate::manifest) fills name and version from the package.
    pub fn new(name: impl Into<String>, version: impl Into<String>, summary: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            summary: summary.into(),
            config_schema: None,
            event_types: Vec::new(),
            needs: Vec::new(),
        }
    }

    /// Adds the JSON Schema of the configuration.
    pub fn config_schema(mut self, schema: impl Into<String>) -> Self {
        self.config_schema = Some(schema.into());
        self
    }

    /// Names the event patterns this plugin handles; other events skip it and pass to every candidate as they came.
    pub fn event_types<T: Into<String>>(mut self, patterns: impl IntoIterator<Item = T>) -> Self {
        self.event_types = patterns.into_iter().map(Into::into).collect();
        self
    }

    /// Names the optional host features this plugin wants.
    pub fn needs<T: Into<String>>(mut self, features: impl IntoIterator<Item = T>) -> Self {
        self.needs = features.into_iter().map(Into::into).collect();
        self
    }
}

/// Something wrong with a configuration document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// JSON Pointer (RFC 6901) into the document; empty for the whole of it.
    pub pointer: String,
    pub message: String,
}

impl ConfigProblem {
    /// Says what is wrong at `pointer`.
    pub fn at(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            message: message.into(),
        }
    }
}

/// Reads a configuration document the way the host will have it read before each event.
///
/// # Errors
///
/// `bad-config` with the parser's words, line and column.
pub fn read_config<P: Plugin>(json: &str) -> Result<P::Config, Failure> {
    serde_json::from_str(json).map_err(|error| Failure::bad_config(format!("the configuration cannot be read: {error}")))
}

/// Answers the contract's `check-config`: the type first, then what the plugin itself checks.
///
/// # Errors
///
/// Every problem found; never an empty list.
pub fn check_config<P: Plugin>(json: &str) -> Result<(), Vec<ConfigProblem>> {
    let problems = match read_config::<P>(json) {
        Ok(config) => P::check_config(&config),
        Err(failure) => vec![ConfigProblem::at("", failure.message)],
    };
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Starts a [`Manifest`] with the name and version of the package that calls it.
#[macro_export]
macro_rules! manifest {
    ($summary:expr) => {
        $crate::Manifest::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), $summary)
    };
}

/// Makes a [`Plugin`] the one that this component exports. Outside `wasm32` it only checks that the type is a plugin.
#[cfg(target_arch = "wasm32")]
#[macro_export]
macro_rules! export_plugin {
    ($plugin:ty) => {
        // The exported symbols are `unsafe` attributes that the generated code proves by construction.
        #[allow(unsafe_code)]
        const _: () = {
            type HookyardExport = $crate::Component<$plugin>;
    $crate::bindings::export!(HookyardExport with_types_in $crate::bindings);
        };
    };
}

/// Makes a [`Plugin`] the one that this component exports. Outside `wasm32` it only checks that the type is a plugin.
#[cfg(not(target_arch = "wasm32"))]
#[macro_export]
macro_rules! export_plugin {
    ($plugin:ty) => {
        const _: fn() -> $crate::Manifest = <$plugin as $crate::Plugin>::manifest;
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Limits {
        least: u32,
        most: u32,
    }

    struct Bounded;

    impl Plugin for Bounded {
        type Config = Limits;

        fn manifest() -> Manifest {
            manifest!("Bounds.")
        }

        fn route(_: &Event, _: &Endpoints, _: &Limits) -> Result<Decision, Failure> {
            Ok(Decision::Pass)
        }

        fn check_config(config: &Limits) -> Vec<ConfigProblem> {
            if config.least > config.most {
                return vec![ConfigProblem::at("/least", "is above /most")];
            }
            Vec::new()
        }
    }

    #[test]
    fn the_manifest_takes_name_and_version_from_the_package() {
        let manifest = Bounded::manifest().event_types(["a.*", "b"]);
        assert_eq!(
            (manifest.name.as_str(), manifest.version.as_str()),
            ("hookyard-guest", env!("CARGO_PKG_VERSION"))
        );
        assert_eq!(manifest.event_types, ["a.*", "b"]);
    }

    #[test]
    fn a_document_of_another_shape_is_one_problem_with_line_and_column() {
        let problems = check_config::<Bounded>("{\"least\":1,\n\"mots\":2}").unwrap_err();
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].pointer, "");
        assert!(
            problems[0].message.contains("`mots`") && problems[0].message.contains("line 2"),
            "{problems:?}"
        );
    }

    #[test]
    fn a_plugin_adds_checks_of_its_own() {
        assert_eq!(check_config::<Bounded>(r#"{"least":1,"most":2}"#), Ok(()));
        assert_eq!(
            check_config::<Bounded>(r#"{"least":3,"most":2}"#),
            Err(vec![ConfigProblem::at("/least", "is above /most")])
        );
    }
}
