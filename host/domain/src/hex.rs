//! Hexadecimal text, lower case, as hashes and signatures are written.
//!
//! Not for secrets: how long this takes may depend on the bytes it writes.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Writes each byte as two lower-case digits.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 0x0f)]));
    }
    text
}

/// Reads exactly `N` bytes back from `2 N` lower-case digits; `None` for anything else, upper case included, so that one
/// value has one spelling.
pub fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != N * 2 {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit_value(pair[0])? << 4 | digit_value(pair[1])?;
    }
    Some(bytes)
}

fn digit_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_survive_their_hexadecimal_form(bytes: [u8; 9]) {
            prop_assert_eq!(decode::<9>(&encode(&bytes)), Some(bytes));
        }
    }

    #[test]
    fn a_value_has_one_spelling() {
        assert_eq!(encode(&[0x00, 0x9f, 0xff]), "009fff");
        assert_eq!(decode::<2>("09aF"), None);
        assert_eq!(decode::<2>("09a"), None);
        assert_eq!(decode::<2>("09aff"), None);
        assert_eq!(decode::<2>("0 9a"), None);
        assert_eq!(decode::<2>("é9a"), None);
    }
}
