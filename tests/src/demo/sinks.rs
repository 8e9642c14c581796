//! The receivers: one per endpoint, each of which verifies both signatures of every delivery.
//!
//! Neither verification is the server's code. Standard Webhooks is left to the reference library `standardwebhooks`,
//! which also refuses an old timestamp; HookSentry's header is recomputed here from the bytes that arrived.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use standardwebhooks::Webhook;

use crate::receiver::{Received, Receiver};

/// Whether both signatures of a delivery are right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signatures {
    pub(super) standard: Result<(), String>,
    pub(super) hooksentry: Result<(), String>,
}

impl Signatures {
    pub(super) fn good(&self) -> bool {
        self.standard.is_ok() && self.hooksentry.is_ok()
    }

    /// For people.
    pub(super) fn told(&self) -> String {
        let told = |outcome: &Result<(), String>| match outcome {
            Ok(()) => "verified".to_owned(),
            Err(problem) => format!("FALSE ({problem})"),
        };
        format!("Standard Webhooks {}, HookSentry {}", told(&self.standard), told(&self.hooksentry))
    }
}

/// What a receiver knows of the sender's side: the tenant's secret.
#[derive(Clone)]
pub(super) struct Verifier {
    secret: String,
}

impl Verifier {
    pub(super) fn new(secret: &str) -> Self {
        Self { secret: secret.to_owned() }
    }

    pub(super) fn verify(&self, received: &Received) -> Signatures {
        let standard = Webhook::new(&self.secret)
            .and_then(|webhook| webhook.verify(&received.body, &received.headers))
            .map_err(|error| error.to_string());
        Signatures {
            standard,
            hooksentry: self.verify_hooksentry(received.header("x-hooksentry-signature"), &received.body),
        }
    }

    /// docs/contracts/hooksentry.md, section 14.2: keyed with the text of the secret, over the body, in lower-case hexadecimal.
    fn verify_hooksentry(&self, header: &str, body: &[u8]) -> Result<(), String> {
        let digits = header.strip_prefix("sha256=").ok_or("the header is missing")?;
        let claimed = (0..digits.len())
            .step_by(2)
            .map(|at| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
            .collect::<Option<Vec<u8>>>()
            .ok_or("it is not hexadecimal")?;
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).expect("HMAC takes a key of any length");
        mac.update(body);
        mac.verify_slice(&claimed)
            .map_err(|_| "it is another body's or another key's".to_owned())
    }
}

/// One receiver per endpoint.
pub(super) struct Sinks(Vec<(&'static str, Receiver)>);

impl Sinks {
    pub(super) async fn start(names: impl IntoIterator<Item = &'static str>) -> Self {
        let mut sinks = Vec::new();
        for name in names {
            sinks.push((name, Receiver::start().await));
        }
        Self(sinks)
    }

    /// What endpoints are called and where they are.
    pub(super) fn urls(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.0.iter().map(|(name, receiver)| (*name, receiver.url("/hook")))
    }

    /// The deliveries of one event that an endpoint received, by the id they carry.
    pub(super) fn of_event(&self, endpoint: &str, event: &str) -> Vec<Received> {
        let of_endpoint = self.0.iter().filter(|(name, _)| *name == endpoint);
        of_endpoint
            .flat_map(|(_, receiver)| receiver.received())
            .filter(|received| received.header("webhook-id") == event)
            .collect()
    }

    /// Everything received so far, by endpoint.
    pub(super) fn all(&self) -> Vec<(&'static str, Vec<Received>)> {
        self.0.iter().map(|(name, receiver)| (*name, receiver.received())).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// RFC 2104 code of `{}` under `key`, computed with another program.
    const BODY: &[u8] = b"{}";
    const SIGNATURE: &str = "sha256=a777724d943eb48dc69bca8a4a6d57a04db3f9ec7e1de4e581e860265bdf3032";

    #[test]
    fn a_hooksentry_signature_holds_for_its_body_and_key_only() {
        let verifier = Verifier::new("key");
        assert_eq!(verifier.verify_hooksentry(SIGNATURE, BODY), Ok(()));
        assert!(verifier.verify_hooksentry(SIGNATURE, b"{ }").is_err());
        assert!(Verifier::new("yek").verify_hooksentry(SIGNATURE, BODY).is_err());
        for wrong in ["", "sha256=", "sha256=zz", "sha256=0", &SIGNATURE[7..]] {
            assert!(verifier.verify_hooksentry(wrong, BODY).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_delivery_without_signatures_is_not_good() {
        let received = Received {
            path: "/".to_owned(),
            headers: http::HeaderMap::new(),
            body: bytes::Bytes::from_static(BODY),
            at: Instant::now(),
        };
        let signatures = Verifier::new("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz").verify(&received);
        assert!(!signatures.good() && signatures.told().contains("FALSE"), "{signatures:?}");
    }
}
