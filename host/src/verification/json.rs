//! A few texts out of a JSON body, in one pass that keeps nothing else of it.
//!
//! A body of any depth is read without recursion, except along the paths that are asked for. Members of another type than
//! text count as missing: a service may give a known name another meaning in an event that nobody here has seen.

use std::fmt;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::{Deserializer, value::RawValue};

use super::Refused;

/// The texts (or whole numbers, as text) at these paths of member names. Of a member that is there twice the last counts, as
/// most parsers have it.
///
/// # Errors
/// [`Refused::BodyNotReadable`] if the body is not JSON in UTF-8.
pub(super) fn texts<const N: usize>(body: &[u8], paths: [&[&str]; N]) -> Result<[Option<String>; N], Refused> {
    let unreadable = |why: String| Refused::BodyNotReadable(why);
    let text = std::str::from_utf8(body).map_err(|error| unreadable(format!("it is not UTF-8 from byte {} on", error.valid_up_to())))?;
    let mut found = [const { None }; N];
    let wanted: Vec<Wanted<'_>> = paths.iter().enumerate().map(|(slot, path)| Wanted { slot, path }).collect();
    walk(text, &wanted, &mut found).map_err(|error| unreadable(format!("it is not JSON: {error}")))?;
    Ok(found)
}

/// What is left of a path, and where its text goes.
#[derive(Clone, Copy)]
struct Wanted<'p> {
    slot: usize,
    path: &'p [&'p str],
}

impl Wanted<'_> {
    fn below(&self, name: &str) -> Option<Self> {
        let (first, path) = self.path.split_first()?;
        (*first == name).then_some(Self { slot: self.slot, path })
    }
}

fn walk(json: &str, wanted: &[Wanted<'_>], found: &mut [Option<String>]) -> Result<(), serde_json::Error> {
    for wanted in wanted {
        found[wanted.slot] = if wanted.path.is_empty() { text(json) } else { None };
    }
    let mut reader = Deserializer::from_str(json);
    if json.trim_start().starts_with('{') && wanted.iter().any(|wanted| !wanted.path.is_empty()) {
        reader.deserialize_map(Members { wanted, found })?;
    } else {
        reader.deserialize_ignored_any(IgnoredAny)?;
    }
    reader.end()
}

/// A value as it is written, if it is a text or a whole number.
fn text(json: &str) -> Option<String> {
    let json = json.trim();
    if json.starts_with('"') {
        return serde_json::from_str(json).ok();
    }
    let digits = json.strip_prefix('-').unwrap_or(json);
    let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_whole.then(|| json.to_owned())
}

struct Members<'w, 'p> {
    wanted: &'w [Wanted<'p>],
    found: &'w mut [Option<String>],
}

impl<'de> Visitor<'de> for Members<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            let below: Vec<Wanted<'_>> = self.wanted.iter().filter_map(|wanted| wanted.below(&name)).collect();
            if below.is_empty() {
                members.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = members.next_value::<&RawValue>()?;
            walk(value.get(), &below, self.found).map_err(serde::de::Error::custom)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(body: &str, path: &[&str]) -> Option<String> {
        texts(body.as_bytes(), [path]).expect("JSON")[0].clone()
    }

    #[test]
    fn texts_are_found_along_their_paths() {
        let body = r#"{"a":{"b":"x","c":[1,{"b":"no"}],"d":{"b":"deep"}},"b":"top","n":18446744073709551616,"m":-7}"#;
        let found = texts(body.as_bytes(), [&["a", "b"], &["b"], &["a", "d", "b"], &["n"], &["m"], &["z"]]).expect("JSON");
        let found: Vec<_> = found.iter().map(Option::as_deref).collect();
        assert_eq!(
            found,
            [Some("x"), Some("top"), Some("deep"), Some("18446744073709551616"), Some("-7"), None]
        );
    }

    #[test]
    fn a_path_may_be_asked_for_together_with_its_beginning() {
        assert_eq!(
            texts(br#"{"event":"x"}"#, [&["event"], &["event", "type"]]),
            Ok([Some("x".to_owned()), None])
        );
        assert_eq!(
            texts(br#"{"event":{"type":"y"}}"#, [&["event"], &["event", "type"]]),
            Ok([None, Some("y".to_owned())])
        );
    }

    #[test]
    fn what_is_not_a_text_counts_as_missing() {
        for value in ["null", "true", "1.5", "[]", "[\"x\"]", "{}", "1e400", "\"\\ud800\""] {
            assert_eq!(one(&format!("{{\"a\":{value}}}"), &["a"]), None, "{value}");
        }
        for body in ["[\"x\"]", "\"x\"", "null", "7"] {
            assert_eq!(one(body, &["a"]), None, "{body}");
        }
        assert_eq!(one(r#"{"a":"x","a":{"b":1}}"#, &["a"]), None);
        assert_eq!(one(r#"{"a":1,"a":"x"}"#, &["a"]).as_deref(), Some("x"));
        assert_eq!(one(r#"{"a":{"b":"x"},"a":"y"}"#, &["a", "b"]), None);
        assert_eq!(one(r#"{"a":{"b":"x"},"a":{}}"#, &["a", "b"]), None);
        assert_eq!(one(r#"{"\u0061":"\u00e9"}"#, &["a"]).as_deref(), Some("é"));
    }

    #[test]
    fn a_body_that_is_not_json_is_told_so() {
        for bad in ["", "{", "{} {}", "{\"a\":01}", "Hello, World!"] {
            assert!(matches!(texts(bad.as_bytes(), [&["a"]]), Err(Refused::BodyNotReadable(_))), "{bad}");
        }
        assert!(matches!(texts(&[b'"', 0xff, b'"'], [&["a"]]), Err(Refused::BodyNotReadable(_))));
    }

    #[test]
    fn depth_does_not_overflow() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(one(&format!("{{\"x\":{deep},\"a\":\"found\"}}"), &["a"]).as_deref(), Some("found"));
        assert_eq!(one(&format!("{{\"a\":{deep}}}"), &["a"]), None);
    }
}
