//! Secrets at rest: sealed with AES-256-GCM under a key the database never sees (S1).
//!
//! A sealed secret is `nonce (12 bytes) ‖ ciphertext ‖ tag`, with the row it belongs to as associated data, so that
//! one row's secret moved to another does not open. Nonces are random; at 96 bits and the few secrets a server keeps
//! they do not repeat (NIST SP 800-38D section 8.3 allows 2^32 per key).

use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{Aead, Payload},
};
use zeroize::{Zeroize, ZeroizeOnDrop};

const NONCE_BYTES: usize = 12;

/// A secret as text; wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct SecretText(String);

impl SecretText {
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself. Call it where it is used, and keep no copy.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretText(…)")
    }
}

/// Why a secret does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("the key must be 64 hexadecimal digits (32 bytes)")]
    Key,
    #[error("a stored secret does not open: it was sealed with another key, or the row was changed")]
    Open,
}

/// The server's key for secrets at rest.
#[derive(Clone)]
pub struct SealKey(Aes256Gcm);

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey(…)")
    }
}

impl SealKey {
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Aes256Gcm::new(bytes.into()))
    }

    /// From 64 hexadecimal digits, surrounding white space ignored.
    ///
    /// # Errors
    /// [`SealError::Key`] for any other text.
    pub fn from_hex(text: &str) -> Result<Self, SealError> {
        let text = text.trim();
        if text.len() != 64 || !text.is_ascii() {
            return Err(SealError::Key);
        }
        let mut bytes = [0_u8; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|_| SealError::Key)?;
        }
        let key = Self::from_bytes(&bytes);
        bytes.zeroize();
        Ok(key)
    }

    pub fn seal(&self, secret: &SecretText, belongs_to: &str, nonce: [u8; NONCE_BYTES]) -> Vec<u8> {
        let payload = Payload {
            msg: secret.expose().as_bytes(),
            aad: belongs_to.as_bytes(),
        };
        let sealed = self
            .0
            .encrypt(&nonce.into(), payload)
            .expect("AES-GCM takes any message below 64 GiB");
        [&nonce[..], &sealed].concat()
    }

    /// # Errors
    /// [`SealError::Open`] when key, row or bytes are not the ones it was sealed with.
    pub fn open(&self, sealed: &[u8], belongs_to: &str) -> Result<SecretText, SealError> {
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(SealError::Open)?;
        let payload = Payload {
            msg: ciphertext,
            aad: belongs_to.as_bytes(),
        };
        let bytes = self.0.decrypt(&(*nonce).into(), payload).map_err(|_| SealError::Open)?;
        String::from_utf8(bytes).map(SecretText).map_err(|_| SealError::Open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_only_with_its_key_and_row() {
        let key = SealKey::from_bytes(&[7; 32]);
        let sealed = key.seal(&SecretText::new("whsec_x".to_owned()), "tenant:1", [1; 12]);
        assert_eq!(
            key.open(&sealed, "tenant:1").map(|secret| secret.expose().to_owned()),
            Ok("whsec_x".to_owned())
        );
        assert_eq!(key.open(&sealed, "tenant:2"), Err(SealError::Open));
        assert_eq!(SealKey::from_bytes(&[8; 32]).open(&sealed, "tenant:1"), Err(SealError::Open));
        assert_eq!(key.open(&sealed[..10], "tenant:1"), Err(SealError::Open));
        let mut flipped = sealed;
        flipped[20] ^= 1;
        assert_eq!(key.open(&flipped, "tenant:1"), Err(SealError::Open));
    }

    #[test]
    fn a_secret_is_never_printed() {
        assert!(!format!("{:?}", SecretText::new("hush".to_owned())).contains("hush"));
    }

    #[test]
    fn a_key_is_64_hex_digits() {
        assert!(SealKey::from_hex(&format!(" {}\n", "0f".repeat(32))).is_ok());
        for bad in ["", "0f", &"zz".repeat(32), &"é".repeat(32)] {
            assert!(matches!(SealKey::from_hex(bad), Err(SealError::Key)));
        }
    }
}
