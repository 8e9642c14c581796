//! The OpenAPI document against the server that serves it: every route is in it, nothing else is, and it holds together. That
//! each of its codes really comes is `matrix`'s to show, and that nothing else comes the suite `schemathesis`'s.

use std::collections::{BTreeMap, BTreeSet};

use hookyard_tests::{client::Client, database::Kind, host::TestHost};
use http::Method;
use serde_json::Value;

use crate::NOBODY;

const PATH: &str = "/swagger/v1/swagger.json";

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
    /// Whether an access token opens it.
    pub of_person: bool,
    pub parameters: BTreeSet<String>,
}

impl Document {
    pub async fn of(client: &Client) -> Self {
        let answer = client.get(PATH).await;
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
            of_person: schemes.into_iter().any(|scheme| scheme["accessToken"].is_array()),
            parameters: parameters
                .map(|parameter| parameter["name"].as_str().expect("a parameter has a name").to_owned())
                .collect(),
        }
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

/// Asks every path by every method. What the document has is answered as it says, and never as an unknown path; all else is
/// answered 405, which names exactly what the document has.
#[tokio::test(flavor = "multi_thread")]
async fn each_documented_method_is_served_and_no_other() {
    let host = TestHost::builder(Kind::Sqlite).start().await;
    let document = Document::of(host.client()).await;
    let mut by_path: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in &document.operations {
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
            let answer = host.client().call(method.clone(), &path, None, None).await;
            match operations.iter().find(|operation| operation.method == method) {
                Some(operation) => {
                    let known = operation.statuses.contains(&answer.status);
                    let nowhere = answer.status == 404 && answer.body.is_empty();
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

#[tokio::test(flavor = "multi_thread")]
async fn the_document_holds_together() {
    let host = TestHost::builder(Kind::Sqlite).start().await;
    let document = Document::of(host.client()).await;
    assert_eq!(document.text["openapi"], "3.1.0");
    let ids: BTreeSet<&str> = document.operations.iter().map(|operation| operation.id.as_str()).collect();
    assert_eq!(ids.len(), document.operations.len(), "an operation's name is its own");
    for operation in &document.operations {
        let named: BTreeSet<&str> = operation.path.split('/').filter_map(parameter).collect();
        assert!(
            named.iter().all(|name| operation.parameters.contains(*name)),
            "{}: its path names {named:?}",
            operation.id
        );
    }
    let text = document.text.to_string();
    let schemas = &document.text["components"]["schemas"];
    let mut used = 0;
    for (start, sign) in text.match_indices("\"#/components/schemas/") {
        let name = text[start + sign.len()..].split('"').next().unwrap_or_default();
        assert!(schemas[name].is_object(), "no schema {name}");
        used += 1;
    }
    assert!(used > 50, "{used}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_comes_from_this_server_alone() {
    let host = TestHost::builder(Kind::Sqlite).start().await;
    let client = host.client();
    let first = client.get("/swagger").await;
    assert_eq!((first.status, first.header("location")), (308, "/swagger/"));
    for (file, content_type) in [
        ("", "text/html"),
        ("swagger-ui.css", "text/css"),
        ("index.css", "text/css"),
        ("swagger-ui-bundle.js", "text/javascript"),
        ("swagger-ui-standalone-preset.js", "text/javascript"),
        ("swagger-initializer.js", "text/javascript"),
    ] {
        let answer = client.get(&format!("/swagger/{file}")).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, content_type), "{file}");
        assert!(!answer.body.is_empty());
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("http"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    let settings = client.get("/swagger/swagger-initializer.js").await.text();
    assert!(settings.contains(PATH) && !settings.contains("http"), "{settings}");
    for absent in ["../v1/swagger.json", "nothing.js", "..%2fCargo.toml"] {
        assert_eq!(client.get(&format!("/swagger/{absent}")).await.status, 404, "{absent}");
    }
}

/// The document is read by the dashboard's pages too, and by no others.
#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_open_to_the_dashboards_origin_alone() {
    let origin = "https://hooks.example.com";
    let host = TestHost::builder(Kind::Sqlite)
        .config(move |config| config.dashboard_origin = Some(http::HeaderValue::from_static(origin)))
        .start()
        .await;
    assert_eq!(host.client().get(PATH).await.header("access-control-allow-origin"), origin);
    let host = TestHost::builder(Kind::Sqlite).start().await;
    assert_eq!(host.client().get(PATH).await.header("access-control-allow-origin"), "");
}
