//! The description of one operation: what it takes and all it may answer.

use axum::http::StatusCode;
use utoipa::{
    ToSchema,
    openapi::{
        Content, Header, ObjectBuilder, Ref, RefOr, Required, Response, Schema, Type,
        path::{self, ParameterBuilder, ParameterIn},
        request_body::RequestBodyBuilder,
        schema::SchemaType,
        security::SecurityRequirement,
    },
};

/// Named schemas that an operation refers to.
type Schemas = Vec<(String, RefOr<Schema>)>;

const JSON: &str = "application/json";

/// One method of one path.
pub struct Operation {
    operation: path::Operation,
    schemas: Schemas,
}

/// Where a parameter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Path,
    Query,
    Header,
}

/// One status with what comes with it.
#[derive(Clone)]
pub struct Answer {
    status: StatusCode,
    response: Response,
    schemas: Schemas,
}

impl Operation {
    /// `id` names it in clients that are made from the document, and is used once.
    pub fn named(id: &str, tag: &str, summary: &str) -> Self {
        let mut operation = path::Operation::new();
        operation.operation_id = Some(id.to_owned());
        operation.tags = Some(vec![tag.to_owned()]);
        operation.summary = Some(summary.to_owned());
        // An empty list says that nothing is needed; none at all would say what the document says as a whole.
        operation.security = Some(Vec::new());
        Self {
            operation,
            schemas: Schemas::new(),
        }
    }

    /// What the summary leaves out; a sentence or a few.
    pub fn about(mut self, description: &str) -> Self {
        let text = self.operation.description.get_or_insert_default();
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(description);
        self
    }

    pub fn opened_by(mut self, requirement: SecurityRequirement) -> Self {
        self.operation.security.get_or_insert_default().push(requirement);
        self
    }

    /// A parameter. Those of the path must be given.
    pub fn parameter(mut self, place: Place, name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> Self {
        let (place, required) = match place {
            Place::Path => (ParameterIn::Path, Required::True),
            Place::Query => (ParameterIn::Query, Required::False),
            Place::Header => (ParameterIn::Header, Required::False),
        };
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(place)
            .required(required)
            .description(Some(description))
            .schema(Some(schema));
        self.operation.parameters.get_or_insert_default().push(RefOr::T(parameter.build()));
        self
    }

    /// A JSON body, which must be there.
    pub fn takes<T: ToSchema>(mut self, description: &str) -> Self {
        let content = Content::new(Some(reference::<T>(&mut self.schemas)));
        let body = RequestBodyBuilder::new()
            .description(Some(description))
            .required(Some(Required::True))
            .content(JSON, content);
        self.operation.request_body = Some(RefOr::T(body.build()));
        self
    }

    /// Adds an answer. Of two with one status both reasons are told, and the content of the first.
    pub fn answers(mut self, answer: Answer) -> Self {
        let status = answer.status.as_str().to_owned();
        let known = self.operation.responses.responses.entry(status);
        let mut added = false;
        let known = known.or_insert_with(|| {
            added = true;
            RefOr::T(answer.response.clone())
        });
        if let RefOr::T(known) = known
            && !added
            && !known.description.contains(&answer.response.description)
        {
            known.description = format!("{}; or {}", known.description, answer.response.description);
        }
        self.schemas.extend(answer.schemas);
        self
    }

    pub(super) fn into_parts(self) -> (path::Operation, Schemas) {
        (self.operation, self.schemas)
    }
}

impl Answer {
    /// Without a body. `when` says in which case, as the rest of a sentence.
    pub fn empty(status: StatusCode, when: &str) -> Self {
        Self {
            status,
            response: Response::new(when),
            schemas: Schemas::new(),
        }
    }

    /// A JSON body.
    pub fn json<T: ToSchema>(status: StatusCode, when: &str) -> Self {
        Self::document::<T>(status, when, JSON)
    }

    /// A body of a type that is JSON by another name.
    pub fn document<T: ToSchema>(status: StatusCode, when: &str, content_type: &str) -> Self {
        let mut answer = Self::empty(status, when);
        let schema = reference::<T>(&mut answer.schemas);
        answer.of_type(content_type, schema)
    }

    /// Adds a body of some type.
    pub fn of_type(mut self, content_type: &str, schema: impl Into<RefOr<Schema>>) -> Self {
        self.response
            .content
            .insert(content_type.to_owned(), RefOr::T(Content::new(Some(schema))));
        self
    }

    /// A header that is always there.
    pub fn with_header(mut self, name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> Self {
        let mut header = Header::new(schema);
        header.description = Some(description.to_owned());
        self.response.headers.insert(name.to_owned(), RefOr::T(header));
        self
    }
}

/// Refers to a struct by its name, and keeps it and all it refers to.
fn reference<T: ToSchema>(schemas: &mut Schemas) -> RefOr<Schema> {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
    Ref::from_schema_name(T::name()).into()
}

/// A text, to be narrowed further.
pub fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::new(Type::String))
}
