//! The description of this dialect: what operations have in common, said once, and the document.
//!
//! Each resource describes its operations beside their routes, with what is here. Which status something has, `answers`
//! says. What the routes look like from outside is in docs/contracts/hooksentry.md.

use utoipa::{
    ToSchema,
    openapi::{
        KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, Type,
        schema::{OneOfBuilder, SchemaType},
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
        tag::TagBuilder,
    },
};

use super::{answers::documented as said, lists};
use crate::http::openapi::{About, Answer, Described, Document, Operation, Place, requires, text};

/// Where the original serves its own (docs/contracts/hooksentry.md, section 1).
const PATH: &str = "/swagger/v1/swagger.json";

const PERSON: &str = "accessToken";
const API_KEY: &str = "apiKey";

/// What a management body may have.
const DOCUMENT_LIMIT: &str = "256 KiB";

/// In the order of the contract's sections.
pub mod tag {
    pub const LOG_INS: &str = "Log-ins";
    pub const TENANTS: &str = "Tenants";
    pub const USERS: &str = "Users";
    pub const INVITES: &str = "Invites";
    pub const API_KEYS: &str = "API keys";
    pub const DESTINATIONS: &str = "Destinations";
    pub const SENDERS: &str = "Senders";
    pub const MAPPINGS: &str = "Mappings";
    pub const INGEST: &str = "Ingest";
    pub const EVENTS: &str = "Events";
    pub const HEALTH: &str = "Health";
}

/// An operation of this dialect.
pub struct Op(Operation);

impl From<Op> for Operation {
    fn from(op: Op) -> Self {
        op.0
    }
}

impl Op {
    /// Of whoever asks, and it cannot fail.
    pub fn plain(id: &str, tag: &str, summary: &str) -> Self {
        Self(Operation::named(id, tag, summary))
    }

    /// Of whoever asks.
    pub fn of_anyone(id: &str, tag: &str, summary: &str) -> Self {
        Self::plain(id, tag, summary).answers(said::faults())
    }

    /// Of somebody who is logged in.
    pub fn of_person(id: &str, tag: &str, summary: &str) -> Self {
        let op = Self::of_anyone(id, tag, summary);
        Self(op.0.opened_by(requires(PERSON))).answers([said::unidentified("no access token, or none that is good now")])
    }

    /// With an API key; a service that signs by itself needs none.
    pub fn of_producer(id: &str, tag: &str, summary: &str) -> Self {
        let op = Operation::named(id, tag, summary);
        Self(op.opened_by(requires(API_KEY)).opened_by(SecurityRequirement::default()))
    }

    pub fn about(self, description: &str) -> Self {
        Self(self.0.about(description))
    }

    pub fn answers(self, answers: impl IntoIterator<Item = Answer>) -> Self {
        Self(answers.into_iter().fold(self.0, Operation::answers))
    }

    pub fn in_path(self, name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> Self {
        Self(self.0.parameter(Place::Path, name, description, schema))
    }

    pub fn in_header(self, name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> Self {
        Self(self.0.parameter(Place::Header, name, description, schema))
    }

    /// Where a Viewer, or whoever is below the role that is needed, may not.
    pub fn by_role(self) -> Self {
        self.answers([said::forbidden("the role does not allow it")])
    }

    /// Of one thing, which the path names.
    pub fn of_one(self, parameter: &str, what: &str) -> Self {
        self.in_path(parameter, &format!("The {what}'s id."), said::uuid()).answers([
            said::forbidden(&format!("the {what} belongs to another tenant")),
            said::absent(&format!("there is no such {what}; without a body if the id is not a UUID")),
        ])
    }

    /// Of the caller's own tenant: whether there is another one is not told.
    pub fn of_own(self) -> Self {
        self.in_path("id", "The tenant's id.", said::uuid()).answers([
            said::forbidden("it is not the caller's own tenant"),
            said::no_such_path("the id is not a UUID"),
        ])
    }

    /// With a JSON object as its body.
    pub fn takes<T: ToSchema>(self, description: &str) -> Self {
        Self(self.0.takes::<T>(description))
            .answers(said::bodies(DOCUMENT_LIMIT))
            .answers([said::content_type()])
    }

    /// With a payload as its body.
    pub fn takes_payload<T: ToSchema>(self, description: &str) -> Self {
        Self(self.0.takes::<T>(description))
            .answers(said::bodies("the operator allows, 25 MiB unless set"))
            .answers([said::content_type()])
    }

    pub fn shows<T: ToSchema>(self, when: &str) -> Self {
        self.answers([said::shown::<T>(when)])
    }

    pub fn makes<T: ToSchema>(self, when: &str) -> Self {
        self.answers([said::made::<T>(when)])
    }

    pub fn ends(self, when: &str) -> Self {
        self.answers([said::nothing(when)])
    }

    /// Where somebody else may be quicker.
    pub fn changes(self) -> Self {
        self.answers([said::conflict(
            "somebody else changed it at the same moment, three times: send it again",
        )])
    }

    pub fn filter(self, name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> Self {
        Self(self.0.parameter(Place::Query, name, description, schema))
    }

    /// A page of a list that can be sorted by these fields.
    pub fn lists<T: ToSchema>(self, fields: &'static [&'static str], default: &'static str, number_max: u32) -> Self {
        let number = |max: u32, default: u32| {
            let number = ObjectBuilder::new().schema_type(Type::Integer);
            number.minimum(Some(1)).maximum(Some(max)).default(Some(default.into()))
        };
        let direction = text().enum_values(Some(["Asc", "Desc"])).default(Some("Desc".into()));
        let order = text().enum_values(Some(fields.iter().copied())).default(Some(default.into()));
        self.about("Names of parameters and fields are read in any case, and a blank value counts as none.")
            .filter(
                "Qt",
                &format!("Items of a page. More than {} count as that many.", lists::ITEMS_MAX),
                number(u32::MAX, lists::ITEMS_DEFAULT),
            )
            .filter("Pg", "The page, from 1.", number(number_max, 1))
            .filter("CpOrd", "The field to sort by.", order)
            .filter("TpOrd", "The direction.", direction)
            .shows::<lists::Listed<T>>("a page; `total` counts what all pages have")
            .answers([said::invalid("a parameter is not as it must be")])
    }
}

/// A moment, as it is written out.
pub fn moment() -> ObjectBuilder {
    text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
}

/// The same, or nothing.
pub fn moment_or_none() -> ObjectBuilder {
    or_none(moment())
}

pub fn id() -> ObjectBuilder {
    said::uuid()
}

/// A bound on a time.
pub fn bound() -> OneOfBuilder {
    let of_format = |format: KnownFormat| text().format(Some(SchemaFormat::KnownFormat(format)));
    let moment_or_day = OneOfBuilder::new().item(of_format(KnownFormat::DateTime));
    moment_or_day.item(of_format(KnownFormat::Date))
}

pub fn of_type(kind: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(kind)
}

/// The same, or nothing.
pub fn or_none(schema: ObjectBuilder) -> ObjectBuilder {
    schema.schema_type(SchemaType::from_iter([Type::String, Type::Null]))
}

/// A text on one line.
pub fn line(chars_max: usize) -> ObjectBuilder {
    text().max_length(Some(chars_max)).pattern(Some(r"^[^\x00-\x1f\x7f-\x9f]*$"))
}

/// A text on one line that is not blank.
pub fn line_not_blank(chars_max: usize) -> ObjectBuilder {
    const NOT_BLANK: &str = r"^[^\x00-\x1f\x7f-\x9f]*[!-~][^\x00-\x1f\x7f-\x9f]*$";
    line(chars_max).min_length(Some(1)).pattern(Some(NOT_BLANK))
}

pub fn label() -> ObjectBuilder {
    line(255)
}

pub fn label_or_none() -> ObjectBuilder {
    or_none(label())
}

/// What every mail server takes. The server takes more, such as letters of all languages.
pub fn email() -> ObjectBuilder {
    let email = text().max_length(Some(255)).pattern(Some("^[!-?A-~]+@[!-~]+$"));
    email.examples(["ana@example.com"])
}

pub fn email_or_none() -> ObjectBuilder {
    or_none(email())
}

pub fn password() -> ObjectBuilder {
    let password = text().min_length(Some(1)).max_length(Some(1_024));
    password
        .description(Some("1 to 1,024 bytes in UTF-8."))
        .examples(["correct horse battery"])
}

pub fn password_or_none() -> ObjectBuilder {
    or_none(password())
}

/// One of these words.
pub fn one_of(words: &[&'static str]) -> ObjectBuilder {
    text().enum_values(Some(words.iter().copied()))
}

/// One of these words, or the number that means it.
pub fn one_of_or_number(words: &[&'static str], numbers: &[u32]) -> OneOfBuilder {
    let numbers = of_type(Type::Integer).enum_values(Some(numbers.iter().copied()));
    OneOfBuilder::new().item(one_of(words)).item(numbers)
}

/// The same, or nothing.
pub fn any_or_none(schema: OneOfBuilder) -> OneOfBuilder {
    schema.item(of_type(Type::Null))
}

/// The document of what is described.
pub fn document(described: Described) -> Document {
    use tag::{API_KEYS, DESTINATIONS, EVENTS, HEALTH, INGEST, INVITES, LOG_INS, MAPPINGS, SENDERS, TENANTS, USERS};
    let tags = [
        (
            LOG_INS,
            "Email and password for a short access token and a refresh token, each for one use.",
        ),
        (
            TENANTS,
            "Whoever uses the server: its settings and the secret that signs its deliveries.",
        ),
        (USERS, "People of a tenant, and what they may do."),
        (INVITES, "Links by which somebody becomes a user, once."),
        (API_KEYS, "What opens ingest, together with an ingest token."),
        (DESTINATIONS, "Where events go."),
        (
            SENDERS,
            "What sends to a destination under a token of its own, if wanted with a mapping.",
        ),
        (MAPPINGS, "What a sender's payloads become before they are delivered."),
        (INGEST, "Where events come in."),
        (EVENTS, "What came in, what became of it, and how it is sent again or not at all."),
        (HEALTH, "Whether the process answers."),
    ];
    let key = ApiKeyValue::with_description("X-Api-Key", "An API key of the tenant. It opens ingest and nothing else.");
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some(
            "The access token of a log-in: good for 15 minutes, and until the session ends.",
        ));
    let about = About {
        title: "Hookyard, HookSentry's API",
        description: "Receives webhooks, keeps them safe and delivers them. A 4xx has a text as its body, or none; a 5xx has a problem \
             document. Unknown members of a body are ignored.",
        tags: tags
            .map(|(name, description)| TagBuilder::new().name(name).description(Some(description)).build())
            .into(),
        schemes: vec![
            (PERSON, SecurityScheme::Http(token.build())),
            (API_KEY, SecurityScheme::ApiKey(ApiKey::Header(key))),
        ],
    };
    Document {
        name: "HookSentry",
        path: PATH,
        description: described.document(about),
    }
}
