//! How a receiver knows that a delivery is ours and unchanged.
//!
//! Two schemes, both HMAC-SHA256 (RFC 2104):
//!
//! * HookSentry's own (docs/contracts/hooksentry.md, section 14.2): over the body alone, so whoever saw a delivery can
//!   send it again.
//! * Standard Webhooks (specification, "Signature scheme"): over id, time and body, so it cannot.
//!
//! For each there is a key whose first hash block is already computed; signing a message clones that state, which saves two
//! compressions per message, about half the work on a small body. Verification takes a time that does not depend on where
//! the texts differ. Not checked here: whether a timestamp is recent (the receiver's clock decides) and whether a HookSentry
//! secret is strong (it is whatever text the tenant was given). Keys and secrets are wiped when dropped; what preparing a
//! key leaves on the stack is not.

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, ZeroizeOnDrop, Zeroizing};

use crate::hex;

/// What HookSentry's signature header begins with (docs/contracts/hooksentry.md, section 14.2).
const HOOKSENTRY_SCHEME: &str = "sha256=";

/// What a symmetric Standard Webhooks signature begins with (specification, "Signature scheme").
const STANDARD_SCHEME: &str = "v1,";

/// What a Standard Webhooks secret begins with, so that it is recognised where it should not be.
const STANDARD_SECRET_PREFIX: &str = "whsec_";

/// Shortest Standard Webhooks secret: 24 bytes, 192 bits (specification, "Signature scheme").
pub const STANDARD_SECRET_BYTES_MIN: usize = 24;

/// Longest Standard Webhooks secret: 64 bytes, the block of SHA-256, past which HMAC hashes the key and nothing is gained.
pub const STANDARD_SECRET_BYTES_MAX: usize = 64;

/// Signatures of one header that are looked at. A rotation has two; a list without end would be work for a stranger's sake.
const SIGNATURES_PER_HEADER_MAX: usize = 16;

/// Secrets arrive padded and unpadded from the tools that make them; both are read, the padded form is written.
const BASE64_OPTIONAL_PADDING: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

type HmacSha256 = Hmac<Sha256>;

/// A tenant's HookSentry secret, ready to sign. Wiped when dropped.
#[derive(Clone)]
pub struct HookSentryKey(HmacSha256);

impl HookSentryKey {
    /// Takes the secret as the text it is: the key is its UTF-8 bytes, and hex in it is not decoded.
    pub fn new(secret: &str) -> Self {
        Self(keyed(secret.as_bytes()))
    }

    /// Signs a body: `sha256=` and 64 lower-case hexadecimal digits.
    pub fn sign(&self, body: &[u8]) -> String {
        let mut mac = self.0.clone();
        mac.update(body);
        let mut header = String::with_capacity(HOOKSENTRY_SCHEME.len() + 64);
        header.push_str(HOOKSENTRY_SCHEME);
        header.push_str(&hex::encode(&mac.finalize().into_bytes()));
        header
    }

    /// Whether `header` is the signature of the body under this key, in exactly the spelling of [`HookSentryKey::sign`].
    pub fn verify(&self, body: &[u8], header: &str) -> bool {
        same_text(&self.sign(body), header)
    }
}

impl fmt::Debug for HookSentryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HookSentryKey(redacted)")
    }
}

/// Signs one body with HookSentry's scheme. For many bodies under one secret keep a [`HookSentryKey`].
pub fn hooksentry(secret: &str, body: &[u8]) -> String {
    HookSentryKey::new(secret).sign(body)
}

/// Whether `header` is HookSentry's signature of the body under this secret.
pub fn verify_hooksentry(secret: &str, body: &[u8], header: &str) -> bool {
    HookSentryKey::new(secret).verify(body, header)
}

/// A Standard Webhooks secret: 24..=64 bytes. Wiped when dropped, never shown by `Debug`.
#[derive(Clone, ZeroizeOnDrop)]
pub struct StandardSecret(Vec<u8>);

/// Why something is no Standard Webhooks secret. Never repeats any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The text does not begin with `whsec_`.
    #[error("a signing secret begins with {STANDARD_SECRET_PREFIX}")]
    Prefix,
    /// What follows the prefix is not base64.
    #[error("a signing secret is base64 after {STANDARD_SECRET_PREFIX}")]
    Base64,
    /// It is too short or too long.
    #[error("a signing secret has {STANDARD_SECRET_BYTES_MIN} to {STANDARD_SECRET_BYTES_MAX} bytes, this one {bytes}")]
    Length {
        /// How many bytes it has.
        bytes: usize,
    },
}

impl StandardSecret {
    /// Reads `whsec_` followed by the standard base64 of 24..=64 bytes, padded or not.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let encoded = text.strip_prefix(STANDARD_SECRET_PREFIX).ok_or(SecretError::Prefix)?;
        let bytes = BASE64_OPTIONAL_PADDING.decode(encoded).map_err(|_| SecretError::Base64)?;
        Self::from_bytes(bytes)
    }

    /// Takes 24..=64 bytes, from a random source or from the store. Bytes it refuses are wiped too.
    pub fn from_bytes(mut bytes: Vec<u8>) -> Result<Self, SecretError> {
        let length = bytes.len();
        if !(STANDARD_SECRET_BYTES_MIN..=STANDARD_SECRET_BYTES_MAX).contains(&length) {
            bytes.zeroize();
            return Err(SecretError::Length { bytes: length });
        }
        Ok(Self(bytes))
    }

    /// The bytes, for encryption at rest.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// `whsec_` and padded base64, for the one answer that shows the secret to its owner.
    pub fn to_text(&self) -> Zeroizing<String> {
        // Reserved in full: a text that grows leaves copies of the secret behind in freed memory.
        let encoded_chars = self.0.len().div_ceil(3) * 4;
        let mut text = Zeroizing::new(String::with_capacity(STANDARD_SECRET_PREFIX.len() + encoded_chars));
        text.push_str(STANDARD_SECRET_PREFIX);
        STANDARD.encode_string(&self.0, &mut text);
        text
    }
}

impl fmt::Debug for StandardSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StandardSecret(redacted)")
    }
}

/// A Standard Webhooks secret, ready to sign. Wiped when dropped.
#[derive(Clone)]
pub struct StandardKey(HmacSha256);

impl StandardKey {
    /// Prepares the key.
    pub fn new(secret: &StandardSecret) -> Self {
        Self(keyed(&secret.0))
    }

    /// Signs `{id}.{timestamp_secs}.{body}`: `v1,` and the base64 of the code. The id is the delivery's `webhook-id`, the
    /// timestamp that of this attempt in Unix seconds.
    pub fn sign(&self, id: &str, timestamp_secs: i64, body: &[u8]) -> String {
        let mut mac = self.0.clone();
        mac.update(id.as_bytes());
        mac.update(b".");
        mac.update(timestamp_secs.to_string().as_bytes());
        mac.update(b".");
        mac.update(body);
        let mut signature = String::with_capacity(STANDARD_SCHEME.len() + 44);
        signature.push_str(STANDARD_SCHEME);
        STANDARD.encode_string(mac.finalize().into_bytes(), &mut signature);
        signature
    }

    /// Whether any of the space-separated signatures of `header`, of which the first 16 are read, is the `v1` signature of
    /// this message. Signatures of other schemes are passed over.
    pub fn verify(&self, id: &str, timestamp_secs: i64, body: &[u8], header: &str) -> bool {
        let expected = self.sign(id, timestamp_secs, body);
        header
            .split(' ')
            .take(SIGNATURES_PER_HEADER_MAX)
            .any(|signature| same_text(&expected, signature))
    }
}

impl fmt::Debug for StandardKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StandardKey(redacted)")
    }
}

/// Signs one message with the Standard Webhooks scheme. For many messages under one secret keep a [`StandardKey`].
pub fn standard(secret: &StandardSecret, id: &str, timestamp_secs: i64, body: &[u8]) -> String {
    StandardKey::new(secret).sign(id, timestamp_secs, body)
}

/// Whether `header` holds the Standard Webhooks signature of this message under this secret.
pub fn verify_standard(secret: &StandardSecret, id: &str, timestamp_secs: i64, body: &[u8], header: &str) -> bool {
    StandardKey::new(secret).verify(id, timestamp_secs, body, header)
}

fn keyed(key: &[u8]) -> HmacSha256 {
    HmacSha256::new_from_slice(key).expect("HMAC takes a key of any length (RFC 2104, section 2)")
}

/// Compares in a time that depends on the lengths alone, which are public.
fn same_text(expected: &str, given: &str) -> bool {
    expected.as_bytes().ct_eq(given.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// docs/contracts/nahook.md, section 7.
    const VECTOR_SECRET: &str = "whsec_dGVzdF93ZWJob29rX3NpZ25pbmdfa2V5XzMyYnl0ZXMh";

    fn secret_of(bytes: Vec<u8>) -> StandardSecret {
        StandardSecret::from_bytes(bytes).unwrap()
    }

    #[test]
    fn hooksentry_signs_as_rfc_4231_says() {
        // Test case 2.
        assert_eq!(
            hooksentry("Jefe", b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn a_hooksentry_secret_of_hex_digits_is_not_decoded() {
        assert_ne!(hooksentry("00ff", b"{}"), hooksentry("00FF", b"{}"));
    }

    #[test]
    fn the_published_standard_vectors_are_reproduced() {
        let secret = StandardSecret::parse(VECTOR_SECRET).unwrap();
        for (body, signature) in [
            (
                r#"{"order_id":"ord_123","amount":49.99}"#,
                "v1,VF1JBS4kdSwmE64FeeiWTgszlPCfaop53x8bwzvHizw=",
            ),
            ("", "v1,yNFeVvBSs4aZ/sVHHw1MaUWnN1IGK/Ul/16T8aptSJo="),
            (
                r#"{"name":"café","price":"€9.99"}"#,
                "v1,GcuGAMV9tELnF2rjay6sA8uo5PDPPlhaFi6gKUg06wQ=",
            ),
        ] {
            assert_eq!(standard(&secret, "msg_test_sig_001", 1_712_345_678, body.as_bytes()), signature);
        }
    }

    #[test]
    fn a_secret_is_whsec_and_base64_of_24_to_64_bytes() {
        let text_of = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        for (text, error) in [
            (text_of(23), SecretError::Length { bytes: 23 }),
            (text_of(65), SecretError::Length { bytes: 65 }),
            ("whsec_".into(), SecretError::Length { bytes: 0 }),
            ("whsec_not base64!".into(), SecretError::Base64),
            (STANDARD.encode([7; 24]), SecretError::Prefix),
            (text_of(24).to_uppercase(), SecretError::Prefix),
        ] {
            assert_eq!(StandardSecret::parse(&text).unwrap_err(), error, "{text}");
        }
        for bytes in [24, 25, 64] {
            let padded = text_of(bytes);
            assert_eq!(*StandardSecret::parse(&padded).unwrap().to_text(), padded);
            assert_eq!(*StandardSecret::parse(padded.trim_end_matches('=')).unwrap().to_text(), padded);
        }
    }

    #[test]
    fn what_holds_a_secret_is_wiped_when_dropped() {
        const fn assert_wiped<T: ZeroizeOnDrop>() {}
        assert_wiped::<StandardSecret>();
        // HMAC's state is two states of its hash and a buffer, and says nothing of its own about wiping.
        assert_wiped::<Sha256>();
    }

    #[test]
    fn debug_shows_no_secret() {
        let secret = secret_of(b"abcdefghijklmnopqrstuvwx".to_vec());
        let shown = format!("{secret:?} {:?} {:?}", StandardKey::new(&secret), HookSentryKey::new("s3cret"));
        assert_eq!(shown, "StandardSecret(redacted) StandardKey(redacted) HookSentryKey(redacted)");
    }

    #[test]
    fn during_a_rotation_either_signature_is_enough() {
        let (old, new) = (secret_of(vec![1; 32]), secret_of(vec![2; 32]));
        let header = format!(
            "v1a,c2lnbmF0dXJl {} {}",
            standard(&new, "m", 7, b"{}"),
            standard(&old, "m", 7, b"{}")
        );
        assert!(verify_standard(&old, "m", 7, b"{}", &header));
        assert!(verify_standard(&new, "m", 7, b"{}", &header));
        assert!(!verify_standard(&secret_of(vec![3; 32]), "m", 7, b"{}", &header));
    }

    #[test]
    fn signatures_past_the_sixteenth_are_not_read() {
        let secret = secret_of(vec![1; 32]);
        let signature = standard(&secret, "m", 7, b"{}");
        assert!(verify_standard(
            &secret,
            "m",
            7,
            b"{}",
            &format!("{}{signature}", "v1,x ".repeat(15))
        ));
        assert!(!verify_standard(
            &secret,
            "m",
            7,
            b"{}",
            &format!("{}{signature}", "v1,x ".repeat(16))
        ));
    }

    #[test]
    fn a_signature_in_another_spelling_is_refused() {
        let signature = hooksentry("secret", b"{}");
        assert!(verify_hooksentry("secret", b"{}", &signature));
        for other in ["", "sha256=", &signature[7..], &signature.to_uppercase(), &format!("{signature} ")] {
            assert!(!verify_hooksentry("secret", b"{}", other), "{other}");
        }
        let secret = secret_of(vec![1; 32]);
        let signature = standard(&secret, "m", 7, b"{}");
        for other in [
            "",
            "v1,",
            &signature[3..],
            &signature.replace("v1", "v2"),
            signature.trim_end_matches('='),
        ] {
            assert!(!verify_standard(&secret, "m", 7, b"{}", other), "{other}");
        }
    }

    proptest! {
        #[test]
        fn we_sign_as_the_reference_library_does(
            key in prop::collection::vec(any::<u8>(), 24..=64), id in "[a-zA-Z0-9_-]{1,40}", timestamp: i64, body: String,
        ) {
            let reference = standardwebhooks::Webhook::from_bytes(key.clone()).unwrap();
            let ours = standard(&secret_of(key), &id, timestamp, body.as_bytes());
            prop_assert_eq!(ours, reference.sign(&id, timestamp, body.as_bytes()).unwrap());
        }

        #[test]
        fn the_reference_library_reads_our_secrets(key in prop::collection::vec(any::<u8>(), 24..=64), body: String) {
            let secret = secret_of(key);
            let reference = standardwebhooks::Webhook::new(&secret.to_text()).unwrap();
            prop_assert_eq!(standard(&secret, "m", 7, body.as_bytes()), reference.sign("m", 7, body.as_bytes()).unwrap());
        }

        #[test]
        fn one_key_signs_many_messages_as_if_each_were_its_first(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..5),
        ) {
            let secret = secret_of(vec![9; 24]);
            let (standard_key, hooksentry_key) = (StandardKey::new(&secret), HookSentryKey::new("s"));
            for body in &bodies {
                prop_assert_eq!(standard_key.sign("m", 7, body), standard(&secret, "m", 7, body));
                prop_assert_eq!(hooksentry_key.sign(body), hooksentry("s", body));
            }
        }

        #[test]
        fn a_changed_body_id_or_time_no_longer_verifies(
            body in prop::collection::vec(any::<u8>(), 1..100), position: prop::sample::Index, flip in 1_u8..,
        ) {
            let secret = secret_of(vec![5; 32]);
            let signature = standard(&secret, "msg", 7, &body);
            let hooksentry_signature = hooksentry("s", &body);
            prop_assert!(verify_standard(&secret, "msg", 7, &body, &signature));
            prop_assert!(!verify_standard(&secret, "msh", 7, &body, &signature));
            prop_assert!(!verify_standard(&secret, "msg", 8, &body, &signature));
            let mut changed = body.clone();
            changed[position.index(body.len())] ^= flip;
            prop_assert!(!verify_standard(&secret, "msg", 7, &changed, &signature));
            prop_assert!(verify_hooksentry("s", &body, &hooksentry_signature));
            prop_assert!(!verify_hooksentry("s", &changed, &hooksentry_signature));
        }
    }
}
