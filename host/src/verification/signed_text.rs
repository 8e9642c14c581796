//! What a service signs, as a template: `v0:{timestamp}:{body}`.

use serde::{Deserialize, Serialize};

use super::{Refused, Request, request::HeaderField, stamp::Stamp};

/// Characters of a template. A service that signs its target puts a URL into it.
const TEMPLATE_CHARS_MAX: usize = 1_024;
/// Parts of a template; no known service has more than seven.
const PARTS_MAX: usize = 16;

/// A template with `{body}` once, and `{timestamp}` and `{header:NAME}` where the service has them. The rest stands for
/// itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SignedText(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Timestamp,
    Body,
    Header(HeaderField),
}

impl SignedText {
    /// The body alone.
    pub fn body() -> Self {
        Self(vec![Part::Body])
    }

    /// `{timestamp}.{body}`, the usual way.
    pub fn timestamp_and_body() -> Self {
        Self(vec![Part::Timestamp, Part::Literal(".".to_owned()), Part::Body])
    }

    pub(super) fn has_timestamp(&self) -> bool {
        self.0.contains(&Part::Timestamp)
    }

    /// The bytes that were signed, in pieces.
    ///
    /// # Errors
    /// A header of the template is missing or no text.
    pub(super) fn pieces<'a>(&'a self, request: &Request<'a>, stamp: Option<&Stamp<'a>>) -> Result<Vec<&'a [u8]>, Refused> {
        self.0
            .iter()
            .map(|part| {
                Ok(match part {
                    Part::Literal(text) => text.as_bytes(),
                    Part::Timestamp => stamp.map_or(&b""[..], |stamp| stamp.text.as_bytes()),
                    Part::Body => request.body,
                    Part::Header(name) => request.header(name.as_str())?.as_bytes(),
                })
            })
            .collect()
    }
}

impl TryFrom<String> for SignedText {
    type Error = String;

    fn try_from(template: String) -> Result<Self, String> {
        if template.chars().count() > TEMPLATE_CHARS_MAX {
            return Err(format!("what is signed is described in at most {TEMPLATE_CHARS_MAX} characters"));
        }
        let mut parts = Vec::new();
        let mut rest = template.as_str();
        while let Some((literal, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or("a { has no } after it")?;
            push_literal(&mut parts, literal);
            parts.push(match name {
                "body" => Part::Body,
                "timestamp" => Part::Timestamp,
                _ => {
                    let header = name
                        .strip_prefix("header:")
                        .ok_or_else(|| format!("{{{name}}} is none of {{body}}, {{timestamp}} and {{header:NAME}}"))?;
                    Part::Header(HeaderField::try_from(header.to_owned())?)
                }
            });
            rest = after;
        }
        push_literal(&mut parts, rest);
        if parts.len() > PARTS_MAX {
            return Err(format!("what is signed has at most {PARTS_MAX} parts"));
        }
        if parts.iter().filter(|part| **part == Part::Body).count() != 1 {
            return Err("what is signed must hold {body} once: a signature that leaves the body out proves nothing about it".to_owned());
        }
        Ok(Self(parts))
    }
}

fn push_literal(parts: &mut Vec<Part>, text: &str) {
    if !text.is_empty() {
        parts.push(Part::Literal(text.to_owned()));
    }
}

impl From<SignedText> for String {
    fn from(text: SignedText) -> Self {
        text.0
            .into_iter()
            .map(|part| match part {
                Part::Literal(text) => text,
                Part::Timestamp => "{timestamp}".to_owned(),
                Part::Body => "{body}".to_owned(),
                Part::Header(name) => format!("{{header:{name}}}"),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_survives_its_text() {
        for good in [
            "{body}",
            "v0:{timestamp}:{body}",
            "{header:x-id}.{body}",
            "POSThttps://a.example/x?y={body}{timestamp}",
        ] {
            let read = SignedText::try_from(good.to_owned()).expect("a template");
            assert_eq!(String::from(read), good);
        }
        assert_eq!(String::from(SignedText::timestamp_and_body()), "{timestamp}.{body}");
        assert_eq!(String::from(SignedText::body()), "{body}");
    }

    #[test]
    fn a_template_without_the_body_or_with_unknown_parts_is_refused() {
        let long = format!("{{body}}{}", "x".repeat(TEMPLATE_CHARS_MAX));
        let many = format!("{{body}}{}", "{timestamp}".repeat(PARTS_MAX));
        for bad in [
            "",
            "{timestamp}",
            "{body}{body}",
            "{body",
            "{Body}",
            "{}{body}",
            "{header:}{body}",
            "{header:ü}{body}",
            &long,
            &many,
        ] {
            assert!(SignedText::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
