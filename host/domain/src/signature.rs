//! How a receiver knows that a delivery is ours and unchanged.
//!
//! Two schemes, both HMAC-SHA256 (RFC 2104):
//!
//! * Standard Webhooks (specification, "Signature scheme"): over id, time and body. Every delivery carries it.
//! * Over the body alone, for the profiles whose receivers expect it. Whoever has seen such a delivery can send it again.
//!
//! For each there is a key whose first hash block is already computed; signing a message clones that state, which saves two
//! compressions per message, about half the work on a small body. [`SigningKeys`] holds both keys of a secret, and those of
//! the previous secret while that one still signs. How long a verification takes does not depend on where the texts differ.
//! Not checked here: whether a timestamp is recent (the receiver's clock decides that) and whether a secret that is a free
//! text is strong. Keys and secrets are wiped when dropped; what preparing a key leaves on the stack is not.

mod keys;

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
pub use keys::{InRotation, SigningKey, SigningKeys};

/// The headers of a signed delivery (Standard Webhooks, specification, "Webhook headers"): what receivers deduplicate by,
/// when the attempt was made, and the signature. A profile may add one of its own for a signature over the body alone.
pub const ID_HEADER: &str = "webhook-id";
/// See [`ID_HEADER`].
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// See [`ID_HEADER`].
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// What a signature over the body alone begins with.
const BODY_SCHEME: &str = "sha256=";

/// What a symmetric Standard Webhooks signature begins with (specification, "Signature scheme").
const STANDARD_SCHEME: &str = "v1,";

/// What a Standard Webhooks secret begins with, so that people and scanners recognise one that was published by mistake.
const STANDARD_SECRET_PREFIX: &str = "whsec_";

/// Shortest Standard Webhooks secret: 24 bytes, 192 bits (specification, "Signature scheme").
pub const STANDARD_SECRET_BYTES_MIN: usize = 24;

/// Longest Standard Webhooks secret: 64 bytes, one block of SHA-256. HMAC hashes a longer key first, so it gains nothing.
pub const STANDARD_SECRET_BYTES_MAX: usize = 64;

/// How many signatures of one header are compared. A rotation has two; without a bound a stranger could keep us comparing.
const SIGNATURES_PER_HEADER_MAX: usize = 16;

/// The tools that make secrets write some with padding and some without: both are read, the padded form is written.
const BASE64_OPTIONAL_PADDING: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

type HmacSha256 = Hmac<Sha256>;

/// A secret, ready to sign bodies alone. Wiped when dropped.
#[derive(Clone)]
pub struct BodySignatureKey(HmacSha256);

impl BodySignatureKey {
    /// Takes the secret as a text: the key is its UTF-8 bytes, and hexadecimal digits in it are not decoded.
    pub fn new(secret: &str) -> Self {
        Self(keyed(secret.as_bytes()))
    }

    /// Signs a body: `sha256=` and 64 lower-case hexadecimal digits.
    pub fn sign(&self, body: &[u8]) -> String {
        let mut mac = self.0.clone();
        mac.update(body);
        let mut header = String::with_capacity(BODY_SCHEME.len() + 64);
        header.push_str(BODY_SCHEME);
        header.push_str(&hex::encode(&mac.finalize().into_bytes()));
        header
    }

    /// Whether `header` is the signature of the body under this key, in exactly the spelling of [`BodySignatureKey::sign`].
    pub fn verify(&self, body: &[u8], header: &str) -> bool {
        same_text(&self.sign(body), header)
    }
}

impl fmt::Debug for BodySignatureKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodySignatureKey(redacted)")
    }
}

/// Signs one body. For many bodies under one secret keep a [`BodySignatureKey`].
pub fn body_signature(secret: &str, body: &[u8]) -> String {
    BodySignatureKey::new(secret).sign(body)
}

/// Whether `header` is the signature of the body alone under this secret.
pub fn verify_body(secret: &str, body: &[u8], header: &str) -> bool {
    BodySignatureKey::new(secret).verify(body, header)
}

/// A Standard Webhooks secret: 24..=64 bytes. Wiped when dropped, never shown by `Debug`.
#[derive(Clone, ZeroizeOnDrop)]
pub struct StandardSecret(Vec<u8>);

/// Why something is not a Standard Webhooks secret. Never repeats any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The text does not begin with `whsec_`.
    #[error("a signing secret begins with {STANDARD_SECRET_PREFIX}")]
    Prefix,
    /// What follows the prefix is not base64.
    #[error("a signing secret is base64 after {STANDARD_SECRET_PREFIX}")]
    Base64,
    /// It is too short or too long.
    #[error("a signing secret has {STANDARD_SECRET_BYTES_MIN} to {STANDARD_SECRET_BYTES_MAX} bytes, this one has {bytes}")]
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

    /// `whsec_` and padded base64, for the answers that show the secret to its owner.
    pub fn to_text(&self) -> Zeroizing<String> {
        self.written_after(STANDARD_SECRET_PREFIX)
    }

    /// The padded base64 alone, for an API that shows its secrets so.
    pub fn to_base64(&self) -> Zeroizing<String> {
        self.written_after("")
    }

    fn written_after(&self, prefix: &str) -> Zeroizing<String> {
        // Reserved in full: a text that grows leaves copies of the secret behind in freed memory.
        let encoded_chars = self.0.len().div_ceil(3) * 4;
        let mut text = Zeroizing::new(String::with_capacity(prefix.len() + encoded_chars));
        text.push_str(prefix);
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

    /// Signs `{id}.{timestamp_secs}.{body}`: `v1,` and the base64 of the code. `id` is what the delivery has as its
    /// `webhook-id`, the timestamp is that of this attempt, in Unix seconds.
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

    /// Whether the `v1` signature of this message is among the first 16 signatures of `header`, which are separated by
    /// spaces. Signatures of other schemes are ignored.
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
mod tests;
