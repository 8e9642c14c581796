//! What things are named by.
//!
//! Every kind of thing has an id type of its own, so that a sender's id cannot be given where an endpoint's is meant. Inside,
//! each is a UUIDv7: an id made a millisecond later sorts later, so that new rows are close together in an index and lists
//! can be cut into pages by id alone. How an API spells an id (`ep_…`, a bare UUID) is up to that API.
//!
//! [`ContentHash`] is the exception: it names bytes by what they are.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use crate::hex;
use crate::time::Timestamp;

/// Length of the hyphenated form `8-4-4-4-12`. Other forms of a UUID (bare, in braces, URN) have other lengths and are
/// refused for that: an id has one spelling, but for upper and lower case.
const HYPHENATED_CHARS: usize = 36;

/// The text is not a hyphenated UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a {kind} id: a UUID such as 0197c9a4-3b5e-7c41-9d52-6f0a8e1b2c3d is expected")]
pub struct IdError {
    /// What kind of thing the id should name, e.g. `endpoint`.
    pub kind: &'static str,
}

macro_rules! ids {
    ($( $(#[$about:meta])* $Name:ident = $kind:literal, )+) => {
        $(
            $(#[$about])*
            #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub struct $Name(Uuid);

            impl $Name {
                /// Takes a UUID that is already known to name such a thing, e.g. from its row.
                pub const fn from_uuid(uuid: Uuid) -> Self {
                    Self(uuid)
                }

                /// The UUID itself, for a row or a wire.
                pub const fn as_uuid(self) -> Uuid {
                    self.0
                }

                /// Makes a new id: a UUIDv7 from the millisecond of `at` and 74 of the 80 random bits
                /// (RFC 9562, section 5.7). A time before 1970 counts as 1970.
                pub fn new_v7(at: Timestamp, random: [u8; 10]) -> Self {
                    Self(uuid_v7(at, random))
                }

                /// The millisecond it was made in (RFC 9562, section 5.7).
                pub fn made_at(self) -> Timestamp {
                    let millis = self.0.as_u128() >> 80;
                    Timestamp::EPOCH.plus(std::time::Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)))
                }
            }

            impl fmt::Display for $Name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    fmt::Display::fmt(self.0.as_hyphenated(), f)
                }
            }

            impl fmt::Debug for $Name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    write!(f, concat!(stringify!($Name), "({})"), self.0.as_hyphenated())
                }
            }

            impl FromStr for $Name {
                type Err = IdError;

                fn from_str(text: &str) -> Result<Self, IdError> {
                    parse_uuid(text).map(Self).ok_or(IdError { kind: $kind })
                }
            }
        )+
    };
}

ids! {
    /// Names a tenant, the unit of isolation.
    TenantId = "tenant",
    /// Names an environment of a tenant.
    EnvironmentId = "environment",
    /// Names a customer of a tenant's own, who has endpoints of its own.
    ApplicationId = "application",
    /// Names a key or token of any kind. It is not the key: it may be shown and logged.
    CredentialId = "credential",
    /// Names a person who logs in.
    UserId = "user",
    /// Names a log-in of a person.
    SessionId = "session",
    /// Names what lets somebody make a user, once.
    InviteId = "invite",
    /// Names a registered event type.
    EventTypeId = "event type",
    /// Names one event pattern of an endpoint.
    SubscriptionId = "subscription",
    /// Names an endpoint, where deliveries go.
    EndpointId = "endpoint",
    /// Names a sender, where events come from.
    SenderId = "sender",
    /// Names a plugin, over all its versions.
    PluginId = "plugin",
    /// Names an accepted event.
    EventId = "event",
    /// Names a delivery of one event to one endpoint, over all its attempts.
    DeliveryId = "delivery",
    /// Names one running node. A restarted process is another node.
    NodeId = "node",
}

fn uuid_v7(at: Timestamp, random: [u8; 10]) -> Uuid {
    let millis = u64::try_from(at.as_millis()).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

fn parse_uuid(text: &str) -> Option<Uuid> {
    if text.len() != HYPHENATED_CHARS {
        return None;
    }
    Uuid::try_parse(text).ok()
}

/// The SHA-256 of some bytes, which serves as their name: equal bytes always have equal names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash([u8; 32]);

/// The text is not 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a content hash: 64 lower-case hexadecimal digits are expected")]
pub struct ContentHashError;

impl ContentHash {
    /// Digits of [`ContentHash::short`]. With twelve (48 bits) the chance that two of a tenant's few hundred versions look
    /// alike is about 1 in 10⁹; nothing is ever looked up by them.
    const SHORT_DIGITS: usize = 12;

    /// Hashes the bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Takes a hash that was computed before, e.g. from a row.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the hash.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first twelve digits, for people. Two hashes may share them.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..Self::SHORT_DIGITS / 2])
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex::encode(&self.0))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({})", hex::encode(&self.0))
    }
}

impl FromStr for ContentHash {
    type Err = ContentHashError;

    fn from_str(text: &str) -> Result<Self, ContentHashError> {
        hex::decode(text).map(Self).ok_or(ContentHashError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_id_survives_its_text(millis in 0_i64..1 << 47, random: [u8; 10]) {
            let id = EndpointId::new_v7(Timestamp::from_micros(millis * 1000), random);
            let text = id.to_string();
            prop_assert_eq!(text.parse::<EndpointId>(), Ok(id));
            prop_assert_eq!(&text.to_lowercase(), &text);
            prop_assert_eq!(EndpointId::from_uuid(id.as_uuid()), id);
            prop_assert_eq!(format!("{id:?}"), format!("EndpointId({text})"));
        }

        #[test]
        fn a_new_id_is_a_version_7_uuid_of_its_millisecond(millis in 0_i64..1 << 47, random: [u8; 10]) {
            let uuid = EventId::new_v7(Timestamp::from_micros(millis * 1000 + 999), random).as_uuid();
            prop_assert_eq!(uuid.get_version_num(), 7);
            prop_assert_eq!(uuid.get_variant(), uuid::Variant::RFC4122);
            prop_assert_eq!(uuid.as_u128() >> 80, millis as u128);
        }

        #[test]
        fn ids_of_a_later_millisecond_sort_later(
            millis in 0_i64..1 << 47, later_by in 1_i64..1 << 40, random: [u8; 10], other: [u8; 10],
        ) {
            let first = DeliveryId::new_v7(Timestamp::from_micros(millis * 1000), random);
            let second = DeliveryId::new_v7(Timestamp::from_micros((millis + later_by) * 1000), other);
            prop_assert!(first < second);
            prop_assert!(first.to_string() < second.to_string());
        }

        #[test]
        fn a_content_hash_survives_its_text(bytes: [u8; 32]) {
            let hash = ContentHash::from_bytes(bytes);
            prop_assert_eq!(hash.to_string().parse::<ContentHash>(), Ok(hash));
            prop_assert_eq!(hash.as_bytes(), &bytes);
            prop_assert!(hash.to_string().starts_with(&hash.short()));
        }
    }

    #[test]
    fn the_worked_example_of_rfc_9562_is_reproduced() {
        // Appendix A.6: 22 February 2022 14:22:22 in UTC-5, rand_a 0xCC3, rand_b 0x18C4DC0C0C07398F.
        let at = Timestamp::from_micros(0x017F_22E2_79B0 * 1000);
        let random = [0x0C, 0xC3, 0x18, 0xC4, 0xDC, 0x0C, 0x0C, 0x07, 0x39, 0x8F];
        assert_eq!(EventId::new_v7(at, random).to_string(), "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    }

    #[test]
    fn a_time_before_1970_makes_an_id_of_1970() {
        let id = NodeId::new_v7(Timestamp::from_micros(-1), [0xff; 10]);
        assert_eq!(id.as_uuid().as_u128() >> 80, 0);
    }

    #[test]
    fn only_the_hyphenated_form_is_an_id() {
        for text in [
            "",
            "017f22e279b07cc398c4dc0c0c07398f",
            "{017f22e2-79b0-7cc3-98c4-dc0c0c07398f}",
            "urn:uuid:017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
            " 17f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        ] {
            assert_eq!(text.parse::<SenderId>(), Err(IdError { kind: "sender" }), "{text}");
        }
        assert!("017F22E2-79B0-7CC3-98C4-DC0C0C07398F".parse::<SenderId>().is_ok());
    }

    #[test]
    fn a_content_hash_is_the_sha_256_of_the_bytes() {
        // FIPS 180-4 example for the message "abc".
        let hash = ContentHash::of(b"abc");
        assert_eq!(hash.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(hash.short(), "ba7816bf8f01");
        assert_eq!("BA78".parse::<ContentHash>(), Err(ContentHashError));
    }
}
