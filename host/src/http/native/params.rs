//! The parameters of a query string. A name that a path does not know is refused: a filter that is not applied would show
//! too much.

use std::collections::BTreeMap;

use axum::{extract::FromRequestParts, http::request::Parts};
use hookyard_domain::Timestamp;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use url::form_urlencoded;
use uuid::Uuid;

use super::answers::Refused;
use crate::{
    documents::List,
    http::paging::{Beyond, KeyPage, Limit},
};

/// Items of a page.
pub const LIMIT: Limit = Limit {
    default: 50,
    max: 1_000,
    beyond: Beyond::Refuse,
};

/// Events or deliveries that one request replays; the next goes on from there.
pub const REPLAYED_MAX: u32 = 500;

pub struct Params(BTreeMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Refused;

    async fn from_request_parts(head: &mut Parts, _: &S) -> Result<Self, Refused> {
        let mut params = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()) {
            // PostgreSQL's text cannot hold it.
            if value.contains('\0') {
                return Err(Refused::wrong(&name, "must not hold the character NUL"));
            }
            if params.insert(name.to_string(), value.into_owned()).is_some() {
                return Err(Refused::wrong(&name, "is given twice"));
            }
        }
        Ok(Self(params))
    }
}

impl Params {
    /// # Errors
    /// A parameter has another name.
    pub fn only(&self, names: &[&str]) -> Result<(), Refused> {
        match self.0.keys().find(|name| !names.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) if names.is_empty() => Err(Refused::wrong(name, "is not known here: this path takes no parameters")),
            Some(name) => Err(Refused::wrong(name, format!("is not known here: there are {}", names.join(", ")))),
        }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub fn page(&self) -> Result<KeyPage, Refused> {
        let before = self.get("before").map(str::parse).transpose();
        Ok(KeyPage {
            before: before.map_err(|_| Refused::wrong("before", "is not an id"))?,
            limit: LIMIT.read(self.get("limit"))?,
        })
    }

    /// One of the words of `all`.
    ///
    /// # Errors
    /// The parameter is another word.
    pub fn word<T: Copy>(&self, name: &str, all: &[T], word: fn(T) -> &'static str) -> Result<Option<T>, Refused> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let words = || all.iter().map(|one| word(*one)).collect::<Vec<_>>().join(", ");
        let found = all.iter().find(|one| word(**one) == text).copied();
        found
            .map(Some)
            .ok_or_else(|| Refused::wrong(name, format!("must be one of {}", words())))
    }
}

/// A moment in RFC 3339.
///
/// # Errors
/// It is not one.
pub fn read_time(name: &str, text: &str) -> Result<Timestamp, Refused> {
    let wrong = || Refused::wrong(name, "is not a time such as 2030-01-31T12:00:00Z");
    let moment = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| wrong())?;
    let micros = i64::try_from(moment.unix_timestamp_nanos() / 1_000).map_err(|_| wrong())?;
    Ok(Timestamp::from_micros(micros))
}

/// A page of things that are sorted newest first by their id.
pub fn page_of<T, D>(all: Vec<T>, page: &KeyPage, id: impl Fn(&T) -> Uuid, document: impl FnMut(T) -> D) -> List<D> {
    let older = all.into_iter().filter(|one| page.before.is_none_or(|before| id(one) < before));
    let rows = older.take(page.rows() as usize).collect();
    cut(rows, page, id, document)
}

/// The page that [`KeyPage::rows`] brought.
pub fn cut<T, D>(rows: Vec<T>, page: &KeyPage, id: impl Fn(&T) -> Uuid, document: impl FnMut(T) -> D) -> List<D> {
    let (rows, next) = page.cut(rows, id);
    List {
        items: rows.into_iter().map(document).collect(),
        next: next.map(|id| id.to_string()),
    }
}
