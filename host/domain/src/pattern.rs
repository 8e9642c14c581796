//! Which event types an endpoint wants.
//!
//! Three forms and no more: everything, everything under a prefix, one type. Types are compared byte for byte. Whether a
//! text such as `order.*` is a prefix or the name of a type depends on the [`PatternSyntax`]. Filters that look into the
//! payload are not here but with routing.

use std::fmt;
use std::str::FromStr;

/// Longest pattern, in characters. Event types are short names, and a pattern of this length fits into an index key of
/// either database even if every character has four bytes.
pub const PATTERN_CHARS_MAX: usize = 255;

/// How the text of a pattern is read. Which one holds for an endpoint is said by its profile ([`crate::profile`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatternSyntax {
    /// `*` matches every event; `order.*` matches what begins with `order.`; any other text matches itself.
    Prefixes,
    /// `*` matches every event; any other text matches itself, `order.*` too.
    Literal,
}

impl PatternSyntax {
    /// Reads a pattern of 1..=255 characters: of any kind but NUL if texts are literal, else as
    /// [`EventPattern::parse`] does.
    pub fn read(self, text: &str) -> Result<EventPattern, PatternError> {
        match self {
            Self::Prefixes => EventPattern::parse(text),
            Self::Literal => EventPattern::literal(text),
        }
    }
}

/// A pattern over event types:
///
/// * `*` matches every event, one without a type included;
/// * `order.*` matches `order.` followed by anything, at any depth, but neither `order` nor `order.`;
/// * anything else matches exactly itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventPattern(Form<Box<str>>);

/// What a pattern matches, for whoever builds an index over many patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form<T> {
    /// Every event.
    All,
    /// Every type that begins with this text and is longer. The text ends with a dot.
    Under(T),
    /// This event type alone.
    Exact(T),
}

/// Why a text is not a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The text is empty.
    #[error("an event pattern cannot be empty; `*` matches every event")]
    Empty,
    /// The text has more than [`PATTERN_CHARS_MAX`] characters.
    #[error("an event pattern has at most {PATTERN_CHARS_MAX} characters, this one has {chars}")]
    TooLong {
        /// How many it has.
        chars: usize,
    },
    /// It holds the character NUL.
    #[error("an event pattern cannot hold the character NUL, which cannot be stored")]
    Nul,
    /// It holds a character that is not allowed.
    #[error("an event pattern may hold ASCII letters, digits and . _ - / : but not {character:?}")]
    Character {
        /// The first such character.
        character: char,
    },
    /// There is a `*` that is neither the whole text nor its last segment.
    #[error("`*` must be the whole pattern or its last segment, as in `order.*`")]
    Star,
}

impl EventPattern {
    /// The pattern that matches every event.
    pub const ALL: Self = Self(Form::All);

    /// Reads a pattern of 1..=255 characters: ASCII letters, digits and `.` `_` `-` `/` `:`, with `*` alone or as the last
    /// of several dot-separated segments.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        check_length(text)?;
        if text == "*" {
            return Ok(Self::ALL);
        }
        // With its dot, where it is a prefix.
        let (name, is_prefix) = match text.strip_suffix(".*") {
            Some("") => return Err(PatternError::Star),
            Some(prefix) => (&text[..=prefix.len()], true),
            None => (text, false),
        };
        match name.chars().find(|character| !is_allowed(*character)) {
            Some('*') => Err(PatternError::Star),
            Some(character) => Err(PatternError::Character { character }),
            None if is_prefix => Ok(Self(Form::Under(name.into()))),
            None => Ok(Self(Form::Exact(name.into()))),
        }
    }

    /// Takes a text of 1..=255 characters as the one type it matches, `*` alone as every type. A type may have any
    /// characters but NUL, which PostgreSQL cannot store.
    pub fn literal(text: &str) -> Result<Self, PatternError> {
        check_length(text)?;
        match text {
            "*" => Ok(Self::ALL),
            text if text.contains('\0') => Err(PatternError::Nul),
            text => Ok(Self(Form::Exact(text.into()))),
        }
    }

    /// What it matches.
    pub fn form(&self) -> Form<&str> {
        match &self.0 {
            Form::All => Form::All,
            Form::Under(prefix) => Form::Under(prefix),
            Form::Exact(name) => Form::Exact(name),
        }
    }

    /// Whether an event of this type is wanted. An event without a type has the empty text as its type, which only `*`
    /// matches.
    pub fn matches(&self, event_type: &str) -> bool {
        match &self.0 {
            Form::All => true,
            Form::Under(prefix) => event_type.len() > prefix.len() && event_type.starts_with(&**prefix),
            Form::Exact(name) => event_type == &**name,
        }
    }
}

fn check_length(text: &str) -> Result<(), PatternError> {
    let chars = text.chars().count();
    match chars {
        0 => Err(PatternError::Empty),
        1..=PATTERN_CHARS_MAX => Ok(()),
        _ => Err(PatternError::TooLong { chars }),
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
    fn what_is_not_a_pattern_is_refused_with_its_reason() {
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

    #[test]
    fn a_literal_pattern_is_the_type_it_matches() {
        for text in ["order.*", "*.created", "order created", "größe", ".*", "**"] {
            let literal = PatternSyntax::Literal.read(text).unwrap();
            assert_eq!(literal.form(), Form::Exact(text));
            assert_eq!(literal.to_string(), text);
            assert!(literal.matches(text) && !literal.matches("order.created"), "{text}");
        }
        assert_eq!(PatternSyntax::Literal.read("*"), Ok(EventPattern::ALL));
        assert_eq!(PatternSyntax::Literal.read(""), Err(PatternError::Empty));
        assert_eq!(PatternSyntax::Literal.read("a\0"), Err(PatternError::Nul));
        assert!(PatternSyntax::Literal.read(&"ö".repeat(255)).is_ok());
        assert_eq!(
            PatternSyntax::Literal.read(&"ö".repeat(256)),
            Err(PatternError::TooLong { chars: 256 })
        );
    }

    #[test]
    fn the_form_of_a_prefix_holds_its_dot() {
        assert_eq!(PatternSyntax::Prefixes.read("order.*").unwrap().form(), Form::Under("order."));
        assert_eq!(PatternSyntax::Prefixes.read("order").unwrap().form(), Form::Exact("order"));
        assert_eq!(PatternSyntax::Prefixes.read("*").unwrap().form(), Form::All);
    }

    proptest! {
        #[test]
        fn a_literal_pattern_survives_its_text_and_matches_nothing_else(text in ".{1,40}", other in ".{0,40}") {
            prop_assume!(text != "*" && !text.contains('\0'));
            let literal = EventPattern::literal(&text).unwrap();
            prop_assert_eq!(&literal.to_string(), &text);
            prop_assert!(literal.matches(&text));
            prop_assert_eq!(literal.matches(&other), other == text);
        }

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
