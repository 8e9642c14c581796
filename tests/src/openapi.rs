//! An OpenAPI document against the server that serves it: every route is in it, nothing else is, and it holds together.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use serde_json::Value;

use crate::client::{Answer, Client};

/// The id of nothing.
pub const NOBODY: &str = "00000000-0000-7000-8000-000000000000";

/// What a server says of itself.
pub struct Document {
    pub text: Value,
    pub operations: Vec<Operation>,
}

/// One method of one path.
#[derive(Debug, Clone)]
pub struct Operation {
    pub id: String,
    pub method: Method,
    pub path: String,
    pub statuses: BTreeSet<u16>,
    pub takes_body: bool,
    pub parameters: BTreeSet<String>,
    schemes: BTreeSet<String>,
}

impl Document {
    /// # Panics
    /// It is not served there, or is none.
    pub async fn of(client: &Client, path: &str) -> Self {
        let answer = client.get(path).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
        let text = answer.json();
        let operations = members(&text["paths"])
            .flat_map(|(path, methods)| members(methods).map(|(method, operation)| Operation::read(path, method, operation)))
            .collect();
        Self { text, operations }
    }

    /// The operation that a request is for.
    pub fn operation(&self, method: &Method, path: &str) -> Option<&Operation> {
        let path = path.split('?').next().unwrap_or_default();
        self.operations
            .iter()
            .find(|operation| operation.method == *method && fits(&operation.path, path))
    }

    /// Asks every path by every method. What the document has is answered as it says, and never as an unknown path; all else
    /// is answered 405, which names exactly what the document has.
    ///
    /// # Panics
    /// One is answered otherwise.
    pub async fn is_what_is_served(&self, client: &Client, token: Option<&str>, is_unknown_path: impl Fn(&Answer) -> bool) {
        let mut by_path: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
        for operation in &self.operations {
            by_path.entry(&operation.path).or_default().push(operation);
        }
        assert!(by_path.len() > 25, "{} paths", by_path.len());
        for operations in by_path.values() {
            let path = operations[0].at(&|_| NOBODY.to_owned());
            for method in [
                Method::GET,
                Method::POST,
                Method::PUT,
                Method::PATCH,
                Method::DELETE,
                Method::OPTIONS,
                Method::TRACE,
            ] {
                let answer = client.call(method.clone(), &path, token, None).await;
                match operations.iter().find(|operation| operation.method == method) {
                    Some(operation) => {
                        let known = operation.statuses.contains(&answer.status);
                        let nowhere = answer.status == 404 && is_unknown_path(&answer);
                        assert!(known && !nowhere, "{method} {path}: {} {}", answer.status, answer.text());
                    }
                    None => {
                        assert_eq!(answer.status, 405, "{method} {path} is not in the document");
                        let mut allowed: BTreeSet<&str> = answer.header("allow").split(',').collect();
                        // Comes with GET by itself.
                        allowed.remove("HEAD");
                        let documented: BTreeSet<&str> = operations.iter().map(|operation| operation.method.as_str()).collect();
                        assert_eq!(allowed, documented, "{path}");
                    }
                }
            }
        }
    }

    /// Names are unique, what paths name is described, and every schema that is referred to is there.
    ///
    /// # Panics
    /// Something does not hold.
    pub fn holds_together(&self) {
        assert_eq!(self.text["openapi"], "3.1.0");
        let ids: BTreeSet<&str> = self.operations.iter().map(|operation| operation.id.as_str()).collect();
        assert_eq!(ids.len(), self.operations.len(), "an operation's name is its own");
        for operation in &self.operations {
            let named: BTreeSet<&str> = operation.path.split('/').filter_map(parameter).collect();
            assert!(
                named.iter().all(|name| operation.parameters.contains(*name)),
                "{}: its path names {named:?}",
                operation.id
            );
        }
        let text = self.text.to_string();
        let schemas = &self.text["components"]["schemas"];
        let mut used = 0;
        for (start, sign) in text.match_indices("\"#/components/schemas/") {
            let name = text[start + sign.len()..].split('"').next().unwrap_or_default();
            assert!(schemas[name].is_object(), "no schema {name}");
            used += 1;
        }
        assert!(used > 50, "{used}");
    }
}

impl Operation {
    fn read(path: &str, method: &str, operation: &Value) -> Self {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let schemes = operation["security"].as_array().into_iter().flatten();
        Self {
            id: operation["operationId"].as_str().expect("every operation has a name").to_owned(),
            method: method.to_uppercase().parse().expect("a method"),
            path: path.to_owned(),
            statuses: members(&operation["responses"])
                .map(|(status, _)| status.parse().expect("a status"))
                .collect(),
            takes_body: operation["requestBody"].is_object(),
            parameters: parameters
                .map(|parameter| parameter["name"].as_str().expect("a parameter has a name").to_owned())
                .collect(),
            schemes: schemes.flat_map(members).map(|(scheme, _)| scheme.to_owned()).collect(),
        }
    }

    /// Whether what this scheme describes opens it.
    pub fn is_opened_by(&self, scheme: &str) -> bool {
        self.schemes.contains(scheme)
    }

    /// Whether its path names something by an id.
    pub fn of_one(&self) -> bool {
        self.path
            .split('/')
            .filter_map(parameter)
            .any(|name| name.to_lowercase().ends_with("id"))
    }

    /// Its path with these in the places of its parameters.
    pub fn at(&self, values: &dyn Fn(&str) -> String) -> String {
        let parts = self.path.split('/').map(|part| match parameter(part) {
            Some(name) => values(name),
            None => part.to_owned(),
        });
        parts.collect::<Vec<_>>().join("/")
    }
}

fn members(object: &Value) -> impl Iterator<Item = (&str, &Value)> {
    object
        .as_object()
        .expect("an object is expected")
        .iter()
        .map(|(name, value)| (name.as_str(), value))
}

fn parameter(part: &str) -> Option<&str> {
    part.strip_prefix('{')?.strip_suffix('}')
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    let same = |(template, part): (&&str, &&str)| parameter(template).is_some() || template == part;
    template.len() == path.len() && template.iter().zip(&path).all(same)
}
