//! Message authentication codes (HMAC, RFC 2104), how they are written, and whether one of several secrets made one.
//!
//! A code is computed once for each secret and compared with every code of the request in a time that depends on lengths
//! alone. The states of the hashes are wiped when they are dropped.

use base64::{
    Engine as _, alphabet,
    engine::{
        DecodePaddingMode,
        general_purpose::{GeneralPurpose, GeneralPurposeConfig},
    },
};
use hmac::{KeyInit, Mac};
use hookyard_domain::hex;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq as _;

/// Services write base64 with padding and without.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The hash inside an HMAC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hash {
    /// For old services: as an HMAC it is not broken (RFC 6151 says the same of weaker MD5), but nobody should choose it.
    Sha1,
    #[default]
    Sha256,
    Sha512,
}

impl Hash {
    const fn code_bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    /// The code over all parts, one after another.
    pub(super) fn code(self, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        match self {
            Self::Sha1 => code::<hmac::Hmac<Sha1>>(key, parts),
            Self::Sha256 => code::<hmac::Hmac<Sha256>>(key, parts),
            Self::Sha512 => code::<hmac::Hmac<Sha512>>(key, parts),
        }
    }
}

fn code<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length (RFC 2104, section 2)");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

/// How a code is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Digits of either case.
    #[default]
    Hex,
    /// The standard alphabet, padded or not.
    Base64,
}

impl Encoding {
    /// Reads a code; none if it is not one of this hash.
    pub(super) fn decode(self, hash: Hash, text: &str) -> Option<Vec<u8>> {
        let code = match self {
            Self::Hex => {
                let digits = text.to_ascii_lowercase();
                match hash {
                    Hash::Sha1 => hex::decode::<20>(&digits)?.to_vec(),
                    Hash::Sha256 => hex::decode::<32>(&digits)?.to_vec(),
                    Hash::Sha512 => hex::decode::<64>(&digits)?.to_vec(),
                }
            }
            Self::Base64 => BASE64.decode(text).ok()?,
        };
        (code.len() == hash.code_bytes()).then_some(code)
    }
}

/// Which key made one of the codes of a request, as its place among the keys; none if no key did.
pub(super) fn signer<K: AsRef<[u8]>>(keys: &[K], hash: Hash, parts: &[&[u8]], given: &[Vec<u8>]) -> Option<usize> {
    keys.iter().position(|key| {
        let code = hash.code(key.as_ref(), parts);
        given.iter().any(|given| code.ct_eq(given).into())
    })
}

/// Whether two texts are the same, in a time that depends on their lengths alone.
pub(super) fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2202, section 3, and RFC 4231, section 4.3: the second case of each.
    #[test]
    fn codes_are_those_of_the_standards() {
        let key = b"Jefe";
        let text: &[&[u8]] = &[b"what do ya want ", b"for nothing?"];
        for (hash, code) in [
            (Hash::Sha1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            (Hash::Sha256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            (
                Hash::Sha512,
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ),
        ] {
            assert_eq!(hex::encode(&hash.code(key, text)), code);
            assert_eq!(Encoding::Hex.decode(hash, &code.to_ascii_uppercase()), Some(hash.code(key, text)));
            assert_eq!(Encoding::Hex.decode(hash, &code[2..]), None);
        }
    }

    #[test]
    fn a_code_is_read_in_its_encoding_and_length_alone() {
        let code = vec![0xfb; 32];
        let padded = base64::engine::general_purpose::STANDARD.encode(&code);
        assert_eq!(Encoding::Base64.decode(Hash::Sha256, &padded), Some(code.clone()));
        assert_eq!(Encoding::Base64.decode(Hash::Sha256, padded.trim_end_matches('=')), Some(code));
        for bad in [
            "",
            "=",
            "fb",
            "é",
            &padded[4..],
            &format!("{padded}AAAA"),
            &padded.replace('/', "_").replace('+', "-"),
        ] {
            assert_eq!(Encoding::Base64.decode(Hash::Sha256, bad), None, "{bad}");
            assert_eq!(Encoding::Hex.decode(Hash::Sha256, bad), None, "{bad}");
        }
    }

    #[test]
    fn the_key_that_signed_is_told() {
        let given = [vec![0; 32], Hash::Sha256.code(b"second", &[b"body"])];
        assert_eq!(signer(&["first", "second"], Hash::Sha256, &[b"body"], &given), Some(1));
        assert_eq!(signer(&["first"], Hash::Sha256, &[b"body"], &given), None);
        assert_eq!(signer::<&str>(&[], Hash::Sha256, &[b"body"], &given), None);
    }
}
