//! Which event types an endpoint wants.
//!
//! Three forms and no more: everything, everything under a prefix, one type. Types are compared byte for byte. Filters that
//! look into the payload are another matter and live with routing.

use std::fmt;
use std::str::FromStr;

/// Longest pattern, in characters (all ASCII, so also bytes). Event types are short names; the length keeps a pattern
/// within any index key of either database.
pub const PATTERN_CHARS_MAX: usize = 255;

/// A pattern over event types:
///
/// * `*` matches every event, one without a type included;
/// * `order.*` matches `order.` followed by anything, at any depth, but neither `order` nor `order.`;
/// * anything else matches exactly itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventPattern(Form);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Form {
    All,
    /// Holds the prefix with its dot, e.g. `order.`.
    Under(Box<str>),
    Exact(Box<str>),
}

/// Why a text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The text is empty.
    #[error("an event pattern cannot be empty; `*` matches every event")]
    Empty,
    /// The text has more than [`PATTERN_CHARS_MAX`] characters.
    #[error("an event pattern has at most {PATTERN_CHARS_MAX} characters, this one {chars}")]
    TooLong {
        /// How many it has.
        chars: usize,
    },
    /// A character is none of those allowed.
    #[error("an event pattern is made of ASCII letters, digits and . _ - / : and cannot hold {character:?}")]
    Character {
        /// The first such character.
        character: char,
    },
    /// There is a `*` elsewhere than alone or as the last segment.
    #[error("`*` stands alone or as the last segment after a prefix, as in `order.*`")]
    Star,
}

impl EventPattern {
    /// The pattern that matches every event.
    pub const ALL: Self = Self(Form::All);

    /// Reads a pattern of 1..=255 characters: ASCII letters, digits and `.` `_` `-` `/` `:`, with `*` alone or as the last
    /// of several dot-separated segments.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        let chars = text.chars().count();
        if chars > PATTERN_CHARS_MAX {
            return Err(PatternError::TooLong { chars });
        }
        if text == "*" {
            return Ok(Self::ALL);
        }
        let (name, form): (&str, fn(Box<str>) -> Form) = match text.strip_suffix(".*") {
            Some("") => return Err(PatternError::Star),
            Some(prefix) => (&text[..=prefix.len()], Form::Under),
            None => (text, Form::Exact),
        };
        match name.chars().find(|character| !is_allowed(*character)) {
            Some('*') => Err(PatternError::Star),
            Some(character) => Err(PatternError::Character { character }),
            None => Ok(Self(form(name.into()))),
        }
    }

    /// Whether an event of this type is wanted. An event without a type has the empty one, which only `*` matches.
    pub fn matches(&self, event_type: &str) -> bool {
        match &self.0 {
            Form::All => true,
            Form::Under(prefix) => event_type.len() > prefix.len() && event_type.starts_with(&**prefix),
            Form::Exact(name) => event_type == &**name,
        }
    }
}

fn is_allowed(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-' | '/' | ':')
}

/// The text the pattern was read from.
impl fmt::Display for EventPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::All => f.write_str("*"),
            Form::Under(prefix) => write!(f, "{prefix}*"),
            Form::Exact(name) => f.write_str(name),
        }
    }
}

impl FromStr for EventPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> EventPattern {
        EventPattern::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn each_form_matches_what_it_says() {
        for (text, event_type, matches) in [
            ("*", "order.created", true),
            ("*", "", true),
            ("order.*", "order.created", true),
            ("order.*", "order.line.added", true),
            ("order.*", "order.", false),
            ("order.*", "order", false),
            ("order.*", "orders.created", false),
            ("order.*", "Order.created", false),
            ("order.*", "", false),
            ("order.line.*", "order.line.added", true),
            ("order.line.*", "order.created", false),
            ("order.created", "order.created", true),
            ("order.created", "order.created.late", false),
            ("order.created", "", false),
            ("acme:repo/push-v2_final", "acme:repo/push-v2_final", true),
        ] {
            assert_eq!(pattern(text).matches(event_type), matches, "{text} on {event_type:?}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_its_reason() {
        for (text, error) in [
            ("", PatternError::Empty),
            (".*", PatternError::Star),
            ("**", PatternError::Star),
            ("*.created", PatternError::Star),
            ("order*", PatternError::Star),
            ("order.*.late", PatternError::Star),
            ("*.*", PatternError::Star),
            ("order created", PatternError::Character { character: ' ' }),
            ("größe.*", PatternError::Character { character: 'ö' }),
            ("order\n", PatternError::Character { character: '\n' }),
        ] {
            assert_eq!(EventPattern::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_pattern_has_at_most_255_characters() {
        assert!(EventPattern::parse(&"a".repeat(255)).is_ok());
        assert_eq!(EventPattern::parse(&"a".repeat(256)), Err(PatternError::TooLong { chars: 256 }));
        assert!(EventPattern::parse(&format!("{}.*", "a".repeat(253))).is_ok());
        assert_eq!(
            EventPattern::parse(&format!("{}.*", "a".repeat(254))),
            Err(PatternError::TooLong { chars: 256 })
        );
    }

    proptest! {
        #[test]
        fn a_pattern_survives_its_text(text in r"[a-zA-Z0-9._/:-]{1,40}(\.\*)?") {
            prop_assert_eq!(pattern(&text).to_string(), text);
        }

        #[test]
        fn a_prefix_matches_whatever_follows_it_and_nothing_else(
            prefix in "[a-z]{1,8}(\\.[a-z]{1,8}){0,2}", rest in ".{1,20}", other in ".{0,20}",
        ) {
            let under = pattern(&format!("{prefix}.*"));
            let inside = format!("{prefix}.{rest}");
            prop_assert!(under.matches(&inside));
            prop_assert!(!under.matches(&prefix));
            if !other.starts_with(&format!("{prefix}.")) {
                prop_assert!(!under.matches(&other));
            }
        }

        #[test]
        fn an_exact_pattern_matches_itself_alone(name in "[a-z._/:-]{1,20}", other in "[a-z._/:-]{0,20}") {
            prop_assert!(pattern(&name).matches(&name));
            prop_assert_eq!(pattern(&name).matches(&other), name == other);
        }

        #[test]
        fn no_text_makes_parsing_panic(text in any::<String>()) {
            if let Ok(pattern) = EventPattern::parse(&text) {
                prop_assert_eq!(pattern.to_string(), text);
            }
        }
    }
}
