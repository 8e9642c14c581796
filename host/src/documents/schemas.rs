//! What the fields of documents and bodies may be, for the description of the API (`http::native`).

use std::borrow::Cow;

use hookyard_domain::{DeliveryState, EventState};
use serde_json::Value;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ArrayBuilder, KnownFormat, ObjectBuilder, Ref, RefOr, Schema, SchemaFormat, Type,
        schema::{AdditionalProperties, Object, SchemaType},
    },
};

use super::List;

/// As long as a name may be, and what it is made of.
const NAME: &str = "^[a-z0-9][a-z0-9_.-]{0,63}$";
/// What a label holds: one line.
const LINE: &str = r"^[^\x00-\x1f\x7f-\x9f]*$";
const LABEL_CHARS_MAX: usize = 255;

pub fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// The same, or nothing.
pub fn or_none(schema: ObjectBuilder) -> ObjectBuilder {
    schema.schema_type(SchemaType::from_iter([Type::String, Type::Null]))
}

/// A UUID.
pub fn id() -> ObjectBuilder {
    text().format(Some(SchemaFormat::Custom("uuid".to_owned())))
}

pub fn id_or_none() -> ObjectBuilder {
    or_none(id())
}

/// A SHA-256.
pub fn hash() -> ObjectBuilder {
    text().pattern(Some("^[0-9a-f]{64}$"))
}

/// A moment in RFC 3339.
pub fn moment() -> ObjectBuilder {
    text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
}

pub fn moment_or_none() -> ObjectBuilder {
    or_none(moment())
}

pub fn name() -> ObjectBuilder {
    text().pattern(Some(NAME))
}

pub fn name_or_none() -> ObjectBuilder {
    or_none(name())
}

/// Something for people, on one line.
pub fn label() -> ObjectBuilder {
    text().max_length(Some(LABEL_CHARS_MAX)).pattern(Some(LINE))
}

pub fn label_or_none() -> ObjectBuilder {
    or_none(label())
}

/// One of these words.
pub fn words(words: &[&'static str]) -> ObjectBuilder {
    text().enum_values(Some(words.iter().copied()))
}

/// One of these words, or nothing.
pub fn words_or_none(words: &[&'static str]) -> ObjectBuilder {
    let words = words.iter().map(|word| Value::from(*word)).chain([Value::Null]);
    or_none(text().enum_values(Some(words)))
}

/// Any JSON.
pub fn any() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::AnyValue)
}

/// An object with any members.
pub fn object() -> ObjectBuilder {
    let members: AdditionalProperties<Schema> = AdditionalProperties::FreeForm(true);
    ObjectBuilder::new().schema_type(Type::Object).additional_properties(Some(members))
}

pub fn object_or_none() -> ObjectBuilder {
    object().schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
}

/// Values by name.
pub fn texts_by_name() -> ObjectBuilder {
    let values: AdditionalProperties<Schema> = AdditionalProperties::RefOr(text().into());
    object().additional_properties(Some(values))
}

pub fn event_state() -> ObjectBuilder {
    text().enum_values(Some(EventState::ALL.iter().map(|state| state.as_str())))
}

pub fn delivery_state() -> ObjectBuilder {
    text().enum_values(Some(DeliveryState::ALL.iter().map(|state| state.as_str())))
}

pub fn endpoint_status() -> ObjectBuilder {
    words(&["active", "inactive", "suspended"])
}

/// Whether something is in use.
pub fn in_use() -> ObjectBuilder {
    words(&["active", "inactive"])
}

pub fn role() -> ObjectBuilder {
    words(&["viewer", "developer", "admin", "owner"])
}

pub fn rights_or_none() -> ObjectBuilder {
    words_or_none(&["read", "write"])
}

pub fn credential_kind() -> ObjectBuilder {
    words(&["management-token", "api-key", "endpoint-token", "sender-token"])
}

pub fn source_kind() -> ObjectBuilder {
    words(&["sender", "endpoint", "credential"])
}

pub fn failure_policy() -> ObjectBuilder {
    words(&["hold", "dead-letter", "pass-through"])
}

pub fn mapping_failure() -> ObjectBuilder {
    words(&["hold", "raw"])
}

pub fn action() -> ObjectBuilder {
    words(&["create", "update", "delete", "unchanged"])
}

/// A struct's schema, changed: where one struct reads several bodies, each body has a schema of its own.
///
/// # Panics
/// It is not that of a struct.
pub fn changed<T: PartialSchema>(change: impl FnOnce(&mut Object)) -> RefOr<Schema> {
    let mut schema = T::schema();
    let RefOr::T(Schema::Object(object)) = &mut schema else {
        panic!("a struct is described as an object");
    };
    change(object);
    schema
}

impl<T: ToSchema> PartialSchema for List<T> {
    fn schema() -> RefOr<Schema> {
        let next = id_or_none().description(Some("What to ask for as `before` to get the next page; null on the last."));
        ObjectBuilder::new()
            .property("items", ArrayBuilder::new().items(Ref::from_schema_name(T::name())))
            .required("items")
            .property("next", next)
            .required("next")
            .into()
    }
}

impl<T: ToSchema> ToSchema for List<T> {
    fn name() -> Cow<'static, str> {
        format!("{}Page", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
}
