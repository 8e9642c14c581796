//! HookSentry's lists: `Qt` items on page `Pg`, sorted by the field `CpOrd` in the direction `TpOrd`
//! (docs/contracts/hooksentry.md, section 15.1). Names of parameters and fields are compared without regard to case.
//!
//! What a tenant configures is small enough to be sorted here; events are not, and are read page by page.

use std::{borrow::Cow, cmp::Ordering, collections::HashMap};

use axum::{
    Json,
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use serde_json::Value;
use url::form_urlencoded;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ArrayBuilder, Object, ObjectBuilder, Ref, RefOr, Schema, Type},
};

use super::answers::Refused;

/// Items of a page where the caller says nothing.
pub const ITEMS_DEFAULT: u32 = 10;
/// Most items of a page: five times what the original's own dashboard asks for.
pub const ITEMS_MAX: u32 = 1_000;

/// The parameters of a request's query, by name in lower case. Of several with one name the last counts.
pub struct Query(HashMap<String, String>);

/// Which items are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub items: u32,
    /// From 1.
    pub number: u32,
    /// The field as the object spells it.
    pub order: &'static str,
    pub descending: bool,
}

impl Query {
    pub fn of(query: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self(pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.into_owned())).collect())
    }

    /// A filter's value; a blank one counts as none, for clients send all they have.
    pub fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(&name.to_ascii_lowercase())?.trim();
        Some(value).filter(|value| !value.is_empty())
    }

    /// # Errors
    /// A number that is not one, or a field that is not among `fields`, the first of which is the default.
    pub fn page(&self, fields: &'static [&'static str], default: &'static str) -> Result<Page, Refused> {
        let number = |name: &str, default: u32, max: u32| match self.get(name) {
            None => Ok(default),
            Some(text) => match text.parse::<u32>() {
                Ok(number) if number >= 1 => Ok(number.min(max)),
                _ => Err(Refused::Invalid(format!("{name} must be a whole number from 1"))),
            },
        };
        let order = match self.get("CpOrd") {
            None => default,
            Some(wanted) => fields
                .iter()
                .find(|field| field.eq_ignore_ascii_case(wanted))
                .copied()
                .ok_or_else(|| Refused::Invalid(format!("CpOrd must be one of {}", fields.join(", "))))?,
        };
        let descending = match self.get("TpOrd") {
            None => true,
            Some(text) if text.eq_ignore_ascii_case("desc") => true,
            Some(text) if text.eq_ignore_ascii_case("asc") => false,
            Some(_) => return Err(Refused::Invalid("TpOrd must be Asc or Desc".to_owned())),
        };
        Ok(Page {
            items: number("Qt", ITEMS_DEFAULT, ITEMS_MAX)?,
            number: number("Pg", 1, u32::MAX)?,
            order,
            descending,
        })
    }
}

impl Page {
    /// How many items come before this page.
    pub fn offset(&self) -> u64 {
        u64::from(self.number - 1) * u64::from(self.items)
    }

    /// Sorts and cuts a list of objects that is here as a whole.
    pub fn cut<T: Serialize>(&self, all: impl Iterator<Item = T>) -> Response {
        let mut all: Vec<Value> = all
            .map(|item| serde_json::to_value(item).expect("an object of texts and numbers is JSON"))
            .collect();
        all.sort_by(|a, b| {
            let ordering = compare(&a[self.order], &b[self.order]);
            // A second key, so that pages neither overlap nor miss anything.
            let ordering = ordering.then_with(|| compare(&a["id"], &b["id"]));
            if self.descending { ordering.reverse() } else { ordering }
        });
        let total = all.len() as u64;
        let offset = usize::try_from(self.offset()).unwrap_or(usize::MAX);
        let items: Vec<Value> = all.into_iter().skip(offset).take(self.items as usize).collect();
        answer(total, items)
    }
}

/// The envelope of a page.
#[derive(Serialize)]
pub struct Listed<T> {
    total: u64,
    /// Whether there may be more than `total`.
    #[serde(rename = "totalIsBounded", skip_serializing_if = "std::ops::Not::not")]
    total_is_bounded: bool,
    items: Vec<T>,
}

impl<T: ToSchema> PartialSchema for Listed<T> {
    fn schema() -> RefOr<Schema> {
        let items = ArrayBuilder::new().items(Ref::from_schema_name(T::name()));
        ObjectBuilder::new()
            .property("total", ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)))
            .required("total")
            .property("totalIsBounded", Object::with_type(Type::Boolean))
            .property("items", items)
            .required("items")
            .into()
    }
}

impl<T: ToSchema> ToSchema for Listed<T> {
    fn name() -> Cow<'static, str> {
        format!("{}Page", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
}

pub fn answer<T: Serialize>(total: u64, items: Vec<T>) -> Response {
    listed(total, false, items)
}

/// A page of a list of which no more than so many were counted.
pub fn answer_counted<T: Serialize>(total: u64, items: Vec<T>) -> Response {
    listed(total, true, items)
}

fn listed<T: Serialize>(total: u64, total_is_bounded: bool, items: Vec<T>) -> Response {
    let listed = Listed {
        total,
        total_is_bounded,
        items,
    };
    Json(listed).into_response()
}

/// Nothing comes before something; texts by their characters, which for times and ids is by age.
fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Number(a), Value::Number(b)) => a.as_f64().unwrap_or(0.0).total_cmp(&b.as_f64().unwrap_or(0.0)),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (a, b) => a.to_string().cmp(&b.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &[&str] = &["id", "name", "createdAt"];

    #[test]
    fn names_are_compared_without_case_and_have_defaults() {
        let page = |query: &str| Query::of(Some(query)).page(FIELDS, "id").map_err(|_| ());
        let first = Page {
            items: 10,
            number: 1,
            order: "id",
            descending: true,
        };
        assert_eq!(page(""), Ok(first.clone()));
        assert_eq!(
            page("qt=5&PG=3&cpord=CREATEDAT&TPORD=asc"),
            Ok(Page {
                items: 5,
                number: 3,
                order: "createdAt",
                descending: false
            })
        );
        assert_eq!(page("Qt=&CpOrd=&TpOrd="), Ok(first));
        assert_eq!(page("Qt=100000").map(|page| page.items), Ok(ITEMS_MAX));
        for bad in ["Qt=0", "Qt=-1", "Qt=x", "Pg=0", "CpOrd=passwordHash", "TpOrd=up"] {
            assert_eq!(page(bad), Err(()), "{bad}");
        }
        assert_eq!(page("Pg=4294967295&Qt=1000").map(|page| page.offset()), Ok(4_294_967_294_000));
    }
}
