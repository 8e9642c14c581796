//! The description of this API: what operations have in common, said once, and the document.
//!
//! Each resource describes its operations beside their routes, with what is here. Which status something has, `answers` says;
//! what the fields may be, [`schemas`]. What the API is for is in docs/api.md.

use utoipa::{
    ToSchema,
    openapi::{
        ObjectBuilder, RefOr, Schema, Type,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
        tag::TagBuilder,
    },
};

use super::answers::documented as said;
use crate::{
    documents::{List, schemas},
    http::{
        native::params::LIMIT,
        openapi::{About, Answer, Described, Document, Operation, Place, requires, text},
    },
};

const PATH: &str = "/swagger/hookyard/openapi.json";

const TOKEN: &str = "managementToken";

/// What a body may have.
const DOCUMENT_LIMIT: &str = "256 KiB";
const SETUP_LIMIT: &str = "8 MiB";

/// In the order of the page's table of paths.
pub mod tag {
    pub const TENANTS: &str = "Tenants";
    pub const ENVIRONMENTS: &str = "Environments";
    pub const ENDPOINTS: &str = "Endpoints";
    pub const SENDERS: &str = "Senders";
    pub const CREDENTIALS: &str = "Credentials";
    pub const USERS: &str = "Users";
    pub const EVENTS: &str = "Events";
    pub const DELIVERIES: &str = "Deliveries";
    pub const MODULES: &str = "Modules";
    pub const STATUS: &str = "Status";
    pub const SETUP: &str = "Set-ups";
}

/// An operation of this API.
pub struct Op(Operation);

impl From<Op> for Operation {
    fn from(op: Op) -> Self {
        op.0
    }
}

impl Op {
    /// Of whoever has a token.
    pub fn read(id: &str, tag: &str, summary: &str) -> Self {
        let op = Operation::named(id, tag, summary).opened_by(requires(TOKEN));
        Self(op)
            .answers([said::unidentified(), said::wrong("a parameter is not known or is given twice")])
            .answers(said::faults())
    }

    /// Where a token that may only read is not enough.
    pub fn write(self) -> Self {
        self.answers([said::forbidden("the token may only read")])
    }

    /// Of the operator alone, to read.
    pub fn operators(self) -> Self {
        self.answers([said::forbidden("the token is of a tenant, not of the operator")])
    }

    /// Of the operator alone, to write.
    pub fn operator(self) -> Self {
        self.write().operators()
    }

    pub fn about(self, description: &str) -> Self {
        Self(self.0.about(description))
    }

    pub fn answers(self, answers: impl IntoIterator<Item = Answer>) -> Self {
        Self(answers.into_iter().fold(self.0, Operation::answers))
    }

    pub fn filter(self, name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> Self {
        Self(self.0.parameter(Place::Query, name, description, schema)).answers([said::wrong("a parameter is not as it must be")])
    }

    /// Of one thing, which the path names.
    pub fn of_one(self, what: &str) -> Self {
        Self(self.0.parameter(Place::Path, "id", &format!("The {what}'s id."), schemas::id()))
            .answers([said::absent(&format!("there is no such {what} within the token's tenant"))])
    }

    /// Of a content, which the path names.
    pub fn of_hash(self, what: &str) -> Self {
        Self(self.0.parameter(
            Place::Path,
            "hash",
            &format!("The SHA-256 of the {what}, in hexadecimal."),
            schemas::hash(),
        ))
        .answers([said::absent(&format!("there is no such {what}"))])
    }

    /// A list that can be had of one tenant.
    pub fn of_tenant(self) -> Self {
        self.filter("tenant", "A tenant's id or name. With the operator's token: none is all.", tenant())
            .names_tenant()
    }

    /// A list that is always of one tenant.
    pub fn of_one_tenant(self) -> Self {
        self.filter(
            "tenant",
            "The tenant's id or name. The operator's token must name one; that of a tenant needs none.",
            tenant(),
        )
        .names_tenant()
    }

    /// Where a body or parameter may name a tenant.
    pub fn names_tenant(self) -> Self {
        self.answers([said::absent("there is no such tenant within the token's scope")])
    }

    /// A page of a list, newest first.
    pub fn pages<T: ToSchema>(self) -> Self {
        let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
        let number = number.maximum(Some(LIMIT.max)).default(Some(LIMIT.default.into()));
        self.filter("limit", "Items of a page.", number)
            .filter("before", "The `next` of a page: gives the page after it.", schemas::id())
            .shows::<List<T>>("a page, newest first")
    }

    /// With a JSON object as its body.
    pub fn takes<T: ToSchema>(self, description: &str) -> Self {
        self.takes_up_to::<T>(description, DOCUMENT_LIMIT)
    }

    /// With a set-up as its body.
    pub fn takes_setup<T: ToSchema>(self, description: &str) -> Self {
        self.takes_up_to::<T>(description, SETUP_LIMIT)
    }

    fn takes_up_to<T: ToSchema>(self, description: &str, limit: &str) -> Self {
        Self(self.0.takes::<T>(description))
            .answers(said::bodies(limit))
            .answers([said::wrong("a field is not as it must be: `problems` has each that is wrong")])
    }

    /// A change, which may be held to what the caller has seen.
    pub fn if_match(self) -> Self {
        let description = "An `ETag` of this API, or `*`: it is changed only while it is what that tag was given for.";
        let tag = text().pattern(Some(r#"^(\*|"[0-9]{1,18}")$"#));
        Self(self.0.parameter(Place::Header, "If-Match", description, tag)).answers([
            said::wrong("`If-Match` is not a tag of this API"),
            said::outdated(),
            said::conflict("somebody changed it at the same moment"),
        ])
    }

    pub fn conflicts(self, when: &str) -> Self {
        self.answers([said::conflict(when)])
    }

    pub fn shows<T: ToSchema>(self, when: &str) -> Self {
        self.answers([said::shown::<T>(when)])
    }

    /// Something that is configured, with the tag of its revision.
    pub fn shows_with_tag<T: ToSchema>(self, when: &str) -> Self {
        self.answers([said::shown_with_tag::<T>(when)])
    }

    pub fn makes<T: ToSchema>(self, when: &str) -> Self {
        self.answers([said::made::<T>(when)])
    }

    pub fn ends(self, when: &str) -> Self {
        self.answers([said::nothing(when)])
    }
}

/// A tenant by its id or name.
pub fn tenant() -> ObjectBuilder {
    schemas::label().min_length(Some(1))
}

pub fn tenant_or_none() -> ObjectBuilder {
    schemas::or_none(tenant()).description(Some("Id or name of the tenant; a tenant's token needs none."))
}

/// What a tenant is called.
pub fn tenant_name() -> ObjectBuilder {
    schemas::label()
        .min_length(Some(1))
        .description(Some("Not blank, without spaces around it, and not like an id."))
}

/// A text of up to 1,024 characters.
pub fn description() -> ObjectBuilder {
    text().max_length(Some(1_024)).pattern(Some(r"^[^\x00]*$"))
}

pub fn description_or_none() -> ObjectBuilder {
    schemas::or_none(description())
}

/// What signs deliveries.
pub fn secret() -> ObjectBuilder {
    text().min_length(Some(1)).pattern(Some(r"^[^\x00]*$"))
}

pub fn secret_or_none() -> ObjectBuilder {
    schemas::or_none(secret()).description(Some("None: a random one."))
}

pub fn url() -> ObjectBuilder {
    text()
        .max_length(Some(2_048))
        .description(Some("https, unless `insecure_http` lets it be plain http."))
        .examples(["https://example.com/hook"])
}

/// The document of what is described.
pub fn document(described: Described) -> Document {
    use tag::{CREDENTIALS, DELIVERIES, ENDPOINTS, ENVIRONMENTS, EVENTS, MODULES, SENDERS, SETUP, STATUS, TENANTS, USERS};
    let tags = [
        (TENANTS, "Whoever uses the server; the operator makes them."),
        (ENVIRONMENTS, "Parts of a tenant that know nothing of each other."),
        (ENDPOINTS, "Where deliveries go, and what signs them."),
        (
            SENDERS,
            "Where events come from, and what is done with them before they are delivered.",
        ),
        (CREDENTIALS, "Keys and tokens. A text is shown once, when it is made."),
        (USERS, "People who log in to a tenant."),
        (EVENTS, "What was accepted and what was decided about it."),
        (DELIVERIES, "Where events went, and how each attempt ended."),
        (MODULES, "Contents of plugins that are refused, whoever brings them."),
        (STATUS, "What stands still, and why."),
        (SETUP, "Everything of some tenants at once."),
    ];
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("hym_…")
        .description(Some(
            "A management token, of the operator or of one tenant, to read or to write. `hookyard token create` makes one.",
        ));
    let about = About {
        title: "Hookyard's own API",
        description: "Everything that a person can do with Hookyard. Every refusal is a problem document (RFC 9457). A field or parameter \
             that is not known is refused. What is another tenant's looks absent. Without a management token a path that another API of this server has too answers \
             as that one does.",
        tags: tags
            .map(|(name, description)| TagBuilder::new().name(name).description(Some(description)).build())
            .into(),
        schemes: vec![(TOKEN, SecurityScheme::Http(token.build()))],
    };
    Document {
        name: "Hookyard",
        path: PATH,
        description: described.document(about),
    }
}
