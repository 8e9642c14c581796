//! The keys an endpoint's deliveries are signed with: those of its secret and, while it is still accepted, of the secret
//! before it.
//!
//! A secret belongs to an endpoint or, where the endpoint has none, to its tenant. Which headers carry the signatures is
//! said by the endpoint's [`crate::profile::Profile`]; how secrets are kept is the store's business.

use super::{BodySignatureKey, SecretError, StandardKey, StandardSecret};
use crate::time::Timestamp;

/// How many Standard Webhooks signatures go out while a previous secret is still accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InRotation {
    /// One, under the new secret, for receivers that cannot read a list.
    NewOnly,
    /// Two separated by a space, the new secret's first (Standard Webhooks, "Multiple signatures").
    NewAndPrevious,
}

/// One secret, ready to sign under either scheme.
#[derive(Debug, Clone)]
pub struct SigningKey {
    standard: StandardKey,
    body: BodySignatureKey,
}

impl SigningKey {
    /// Takes a secret as the text it is shown as. For Standard Webhooks the key is the decoded bytes of a `whsec_…` secret,
    /// else the text's own bytes, of which there must be 24 to 64; over the body alone it is always the text's own bytes.
    pub fn of_text(text: &str) -> Result<Self, SecretError> {
        let secret = StandardSecret::parse(text).or_else(|_| StandardSecret::from_bytes(text.as_bytes().to_vec()))?;
        Ok(Self {
            standard: StandardKey::new(&secret),
            body: BodySignatureKey::new(text),
        })
    }

    /// Takes a Standard Webhooks secret; its text is `whsec_…`.
    pub fn of_secret(secret: &StandardSecret) -> Self {
        Self {
            standard: StandardKey::new(secret),
            body: BodySignatureKey::new(&secret.to_text()),
        }
    }
}

/// All that signs the deliveries of an endpoint.
#[derive(Debug, Clone)]
pub struct SigningKeys {
    current: SigningKey,
    previous: Option<Previous>,
}

#[derive(Debug, Clone)]
struct Previous {
    key: SigningKey,
    /// From this moment on it signs nothing.
    until: Timestamp,
}

impl SigningKeys {
    /// One secret, with none before it.
    pub const fn new(current: SigningKey) -> Self {
        Self { current, previous: None }
    }

    /// Adds the secret that was replaced, which signs too until this moment.
    #[must_use]
    pub fn with_previous(self, key: SigningKey, until: Timestamp) -> Self {
        Self {
            previous: Some(Previous { key, until }),
            ..self
        }
    }

    /// The value of `webhook-signature` for an attempt made at this moment, whose whole seconds are its `webhook-timestamp`.
    pub fn standard(&self, in_rotation: InRotation, id: &str, at: Timestamp, body: &[u8]) -> String {
        let mut header = self.current.standard.sign(id, at.as_secs(), body);
        if let Some(previous) = self.previous_at(in_rotation, at) {
            header.push(' ');
            header.push_str(&previous.standard.sign(id, at.as_secs(), body));
        }
        header
    }

    /// The signature over the body alone, always under the current secret: its header holds no list.
    pub fn body(&self, body: &[u8]) -> String {
        self.current.body.sign(body)
    }

    fn previous_at(&self, in_rotation: InRotation, at: Timestamp) -> Option<&SigningKey> {
        match (in_rotation, &self.previous) {
            (InRotation::NewAndPrevious, Some(previous)) if at < previous.until => Some(&previous.key),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const AT: Timestamp = Timestamp::from_micros(1_783_080_000_000_000);

    fn secret(byte: u8) -> StandardSecret {
        StandardSecret::from_bytes(vec![byte; 32]).unwrap()
    }

    #[test]
    fn the_previous_secret_signs_until_its_time_is_over() {
        let (new, previous) = (secret(1), secret(2));
        let keys = SigningKeys::new(SigningKey::of_secret(&new)).with_previous(SigningKey::of_secret(&previous), AT);
        let signed = |at: Timestamp| {
            let header = keys.standard(InRotation::NewAndPrevious, "msg", at, b"{}");
            let under = |secret| super::super::verify_standard(secret, "msg", at.as_secs(), b"{}", &header);
            (under(&new), under(&previous), header.split(' ').count())
        };
        assert_eq!(signed(AT.minus(Duration::from_micros(1))), (true, true, 2));
        assert_eq!(signed(AT), (true, false, 1));
        assert_eq!(signed(AT.plus(Duration::from_secs(1))), (true, false, 1));
    }

    #[test]
    fn the_new_secrets_signature_comes_first() {
        let keys = SigningKeys::new(SigningKey::of_secret(&secret(1)))
            .with_previous(SigningKey::of_secret(&secret(2)), AT.plus(Duration::from_secs(60)));
        let alone = |byte| SigningKeys::new(SigningKey::of_secret(&secret(byte))).standard(InRotation::NewAndPrevious, "msg", AT, b"{}");
        assert_eq!(
            keys.standard(InRotation::NewAndPrevious, "msg", AT, b"{}"),
            format!("{} {}", alone(1), alone(2))
        );
        assert_eq!(keys.standard(InRotation::NewOnly, "msg", AT, b"{}"), alone(1));
        assert_eq!(keys.body(b"{}"), SigningKeys::new(SigningKey::of_secret(&secret(1))).body(b"{}"));
    }

    #[test]
    fn a_secret_is_one_key_whether_it_comes_as_text_or_as_bytes() {
        let secret = secret(7);
        let [of_text, of_secret] = [SigningKey::of_text(&secret.to_text()).unwrap(), SigningKey::of_secret(&secret)].map(SigningKeys::new);
        assert_eq!(
            of_text.standard(InRotation::NewOnly, "m", AT, b"1"),
            of_secret.standard(InRotation::NewOnly, "m", AT, b"1")
        );
        assert_eq!(of_text.body(b"1"), of_secret.body(b"1"));
    }

    #[test]
    fn a_free_text_signs_with_its_own_bytes() {
        let text = "0123456789abcdef0123456789abcdef";
        let keys = SigningKeys::new(SigningKey::of_text(text).unwrap());
        let secret = StandardSecret::from_bytes(text.as_bytes().to_vec()).unwrap();
        let header = keys.standard(InRotation::NewOnly, "m", AT, b"1");
        assert!(super::super::verify_standard(&secret, "m", AT.as_secs(), b"1", &header));
        assert!(super::super::verify_body(text, b"1", &keys.body(b"1")));
        assert_eq!(SigningKey::of_text("short").unwrap_err(), SecretError::Length { bytes: 5 });
    }

    #[test]
    fn debug_shows_no_key() {
        let keys = SigningKeys::new(SigningKey::of_secret(&secret(b'a'))).with_previous(SigningKey::of_secret(&secret(b'b')), AT);
        let shown = format!("{keys:?}");
        assert!(
            !shown.contains("YWFh") && !shown.contains("97, 97") && shown.contains("redacted"),
            "{shown}"
        );
    }
}
