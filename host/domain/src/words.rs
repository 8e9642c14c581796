//! Enums that are also words: states and classes that are stored, logged and shown.
//!
//! A macro writes them, so that the variants, their spellings and the list of all always agree: by hand a new variant is
//! easily forgotten in `parse`, and then the rows that hold its word cannot be read. The spelling of a word that has been
//! stored never changes.

/// Declares an enum of unit variants with one spelling each, and its `ALL`, `as_str`, `parse` and `Display`.
macro_rules! words {
    (
        $(#[$about:meta])*
        pub enum $Name:ident {
            $( $(#[$about_variant:meta])* $Variant:ident = $word:literal, )+
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $Name {
            $( $(#[$about_variant])* $Variant, )+
        }

        impl $Name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$( Self::$Variant, )+];

            /// The one spelling under which this value is stored, logged and shown.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $( Self::$Variant => $word, )+
                }
            }

            /// Reads that spelling back; `None` for anything else, also in upper case or with a space around it.
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $( $word => Some(Self::$Variant), )+
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $Name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}
pub(crate) use words;

#[cfg(test)]
mod tests {
    use crate::attempt::{DeliveryKind, DeliveryState, ErrorClass};
    use crate::event::{DecidedBy, EventState};
    use crate::failure::{FailureClass, FailurePolicy};

    /// Asserts that every word is made of lower-case letters and hyphens, and reads back as the value it was written from.
    macro_rules! assert_words_round_trip {
        ($($Name:ident),+) => {
            $(
                for value in $Name::ALL {
                    let word = value.as_str();
                    assert_eq!($Name::parse(word), Some(*value));
                    assert_eq!(value.to_string(), word);
                    assert!(word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{word}");
                    assert_eq!($Name::parse(&word.to_uppercase()), None);
                    assert_eq!($Name::parse(&format!("{word} ")), None);
                }
                assert_eq!($Name::parse(""), None);
            )+
        };
    }

    #[test]
    fn every_stored_word_reads_back_as_the_value_it_was_written_from() {
        assert_words_round_trip!(
            DecidedBy,
            DeliveryKind,
            DeliveryState,
            ErrorClass,
            EventState,
            FailureClass,
            FailurePolicy
        );
    }
}
