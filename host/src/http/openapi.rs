//! What is served and what is written down about it, as one table: OpenAPI 3.1.
//!
//! A dialect registers each of its routes together with its [`Operation`], so no route is left out of the document and none
//! is in it that is not served. Schemas come from the structs that the routes read and write (`utoipa::ToSchema`). [`page`]
//! serves the documents of all dialects and the page that shows them. Not known here: what a dialect answers; that is said
//! where the answers are made.

mod operation;
mod page;

use std::collections::BTreeMap;

use axum::{
    Router,
    handler::Handler,
    http::Method,
    routing::{MethodFilter, on},
};
use utoipa::openapi::{
    ComponentsBuilder, HttpMethod, Info, OpenApi, Paths, RefOr, Schema, Server,
    security::{SecurityRequirement, SecurityScheme},
    tag::Tag,
};

pub use self::{
    operation::{Answer, Operation, Place, text},
    page::{Document, router},
};

/// Routes and their descriptions.
pub struct Routes<S> {
    router: Router<S>,
    described: Described,
}

/// What is known of routes for a document.
#[derive(Default)]
pub struct Described {
    paths: Paths,
    schemas: BTreeMap<String, RefOr<Schema>>,
}

/// What a document says as a whole.
pub struct About {
    pub title: &'static str,
    pub description: &'static str,
    /// In the order in which a page shows them.
    pub tags: Vec<Tag>,
    pub schemes: Vec<(&'static str, SecurityScheme)>,
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    pub fn new() -> Self {
        Self {
            router: Router::new(),
            described: Described::default(),
        }
    }

    /// Serves one method of a path, as described.
    pub fn on<H, T>(mut self, method: &Method, path: &str, handler: H, operation: Operation) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        let (filter, method) = spelled(method);
        self.router = self.router.route(path, on(filter, handler));
        let (operation, schemas) = operation.into_parts();
        self.described.schemas.extend(schemas);
        self.described.paths.add_path_operation(path, vec![method], operation);
        self
    }

    pub fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.described.add(other.described);
        self
    }

    pub fn into_parts(self) -> (Router<S>, Described) {
        (self.router, self.described)
    }
}

/// A method for the router and for the document.
fn spelled(method: &Method) -> (MethodFilter, HttpMethod) {
    match *method {
        Method::GET => (MethodFilter::GET, HttpMethod::Get),
        Method::POST => (MethodFilter::POST, HttpMethod::Post),
        Method::PUT => (MethodFilter::PUT, HttpMethod::Put),
        Method::PATCH => (MethodFilter::PATCH, HttpMethod::Patch),
        Method::DELETE => (MethodFilter::DELETE, HttpMethod::Delete),
        Method::OPTIONS => (MethodFilter::OPTIONS, HttpMethod::Options),
        _ => unreachable!("no dialect has a route of the method {method}"),
    }
}

impl Described {
    pub fn add(&mut self, other: Self) {
        self.paths.merge(other.paths);
        self.schemas.extend(other.schemas);
    }

    /// The document, which names the server that serves it and no other.
    pub fn document(self, about: About) -> OpenApi {
        let mut info = Info::new(about.title, env!("CARGO_PKG_VERSION"));
        info.description = Some(about.description.to_owned());
        let mut components = ComponentsBuilder::new().schemas_from_iter(self.schemas);
        for (name, scheme) in about.schemes {
            components = components.security_scheme(name, scheme);
        }
        let mut document = OpenApi::new(info, self.paths);
        document.servers = Some(vec![Server::new("/")]);
        document.components = Some(components.build());
        document.tags = Some(about.tags);
        document
    }
}

/// What opens an operation: one scheme, without scopes.
pub fn requires(scheme: &str) -> SecurityRequirement {
    SecurityRequirement::new(scheme, Vec::<String>::new())
}
