//! Where a request of a service without a file of its own names its event: in a header, or in a member of its JSON.

use serde::{Deserialize, Serialize};

use super::{Refused, Request, json, request::HeaderField, request::named};

/// Member names of a path. Each level of it is a level of recursion.
const PATH_NAMES_MAX: usize = 8;

/// A setting such as `header:x-event-type` or `body:event/type`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Place {
    Header(HeaderField),
    /// Member names from the outermost inwards; texts and whole numbers are taken.
    Body(Vec<String>),
}

impl TryFrom<String> for Place {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix("header:") {
            return HeaderField::try_from(name.to_owned()).map(Self::Header);
        }
        let path = text
            .strip_prefix("body:")
            .ok_or_else(|| format!("\"{text}\" is neither header:NAME nor body:MEMBER/MEMBER"))?;
        let path: Vec<String> = path.split('/').map(str::to_owned).collect();
        if path.len() > PATH_NAMES_MAX || path.iter().any(String::is_empty) {
            return Err(format!("after body: come 1 to {PATH_NAMES_MAX} member names, separated by /"));
        }
        Ok(Self::Body(path))
    }
}

impl From<Place> for String {
    fn from(place: Place) -> Self {
        match place {
            Place::Header(name) => format!("header:{name}"),
            Place::Body(path) => format!("body:{}", path.join("/")),
        }
    }
}

/// What is found at two places. The body is read only if one of them is in it.
///
/// # Errors
/// [`Refused::BodyNotReadable`].
pub(super) fn names_at(places: [Option<&Place>; 2], request: &Request<'_>) -> Result<[Option<String>; 2], Refused> {
    let paths: Vec<Vec<&str>> = places.iter().map(|place| place.map_or_else(Vec::new, path)).collect();
    let in_body = if paths.iter().all(Vec::is_empty) {
        [None, None]
    } else {
        json::texts(request.body, [&paths[0], &paths[1]])?
    };
    let mut names = places.into_iter().zip(in_body).map(|(place, in_body)| match place? {
        Place::Header(name) => request.described_by(name.as_str()),
        Place::Body(_) => named(&in_body?),
    });
    Ok([names.next().flatten(), names.next().flatten()])
}

fn path(place: &Place) -> Vec<&str> {
    match place {
        Place::Header(_) => Vec::new(),
        Place::Body(path) => path.iter().map(String::as_str).collect(),
    }
}
