//! What one attempt sends: headers and body, built from the stored payload.
//!
//! Every delivery carries the Standard Webhooks headers, so that any receiver can verify it; what else it carries, and what
//! is put around its payload, is said by its endpoint's profile. `webhook-id` is the event's id: the same for every attempt,
//! endpoint and replay of the event, which is what a receiver deduplicates by. The timestamp is the attempt's own, so a
//! receiver may refuse an old one.

use bytes::Bytes;
use hookyard_domain::{
    Timestamp,
    profile::{Profile, envelope::WRAPPED_CONTENT_TYPE},
    signature::{ID_HEADER, SIGNATURE_HEADER, SigningKeys, TIMESTAMP_HEADER},
};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::store::HeldDelivery;

const WEBHOOK_ID: HeaderName = HeaderName::from_static(ID_HEADER);
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static(TIMESTAMP_HEADER);
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static(SIGNATURE_HEADER);

/// What is posted to the endpoint's URL.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Request {
    /// Builds and signs the request of an attempt made at this moment. `stored` is the payload as it was accepted, or as a
    /// plugin made it.
    ///
    /// # Errors
    /// A text that is not allowed in a header, with its name. Such texts were refused before they were stored.
    pub(super) fn build(
        profile: &Profile,
        keys: &SigningKeys,
        delivery: &HeldDelivery,
        stored: Bytes,
        at: Timestamp,
    ) -> Result<Self, String> {
        let wrapped = profile.envelope.wrap(&delivery.event_type, &delivery.content_type, &stored);
        let (body, content_type) = match wrapped {
            Some(wrapped) => (wrapped.into(), WRAPPED_CONTENT_TYPE),
            None => (stored, delivery.content_type.as_str()),
        };
        // A plugin's headers come first, so that ours replace them: no plugin says what signs or describes the body.
        let mut headers = HeaderMap::with_capacity(delivery.headers.len() + 8);
        for (name, text) in &delivery.headers {
            headers.append(
                HeaderName::try_from(name).map_err(|error| format!("header {name}: {error}"))?,
                value(name, text)?,
            );
        }
        headers.insert(header::CONTENT_TYPE, value("content-type", content_type)?);
        let id = delivery.event.to_string();
        let signature = keys.standard(profile.in_rotation, &id, at, &body);
        headers.insert(WEBHOOK_SIGNATURE, value(SIGNATURE_HEADER, &signature)?);
        headers.insert(WEBHOOK_ID, value(ID_HEADER, &id)?);
        headers.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(at.as_secs()));
        if let Some(name) = profile.body_signature_header {
            headers.insert(HeaderName::from_static(name), value(name, &keys.body(&body))?);
        }
        Ok(Self { headers, body })
    }
}

fn value(name: &str, text: &str) -> Result<HeaderValue, String> {
    HeaderValue::try_from(text).map_err(|error| format!("header {name}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hookyard_domain::{
        DeliveryId, EndpointId, EventId,
        profile::{self, Envelope},
        signature::{InRotation, SigningKey, StandardSecret, verify_body, verify_standard},
    };
    use uuid::Uuid;

    use super::*;
    use crate::store::Body;

    const AT: Timestamp = Timestamp::from_micros(1_783_080_000_000_000);
    const STORED: &str = r#"{ "b": 1.0, "a": 12345678901234567890 }"#;

    fn secret(byte: u8) -> StandardSecret {
        StandardSecret::from_bytes(vec![byte; 32]).expect("32 bytes are enough")
    }

    /// The profiles of which this is true, at least one.
    fn profiles(which: impl Fn(&Profile) -> bool) -> Vec<&'static Profile> {
        let found: Vec<_> = profile::ALL.iter().copied().filter(|profile| which(profile)).collect();
        assert!(!found.is_empty(), "no such profile");
        found
    }

    /// The keys of an endpoint whose secret was replaced an hour before its previous one ends.
    fn in_rotation() -> SigningKeys {
        SigningKeys::new(SigningKey::of_secret(&secret(1)))
            .with_previous(SigningKey::of_secret(&secret(2)), AT.plus(Duration::from_hours(1)))
    }

    fn delivery(content_type: &str, headers: &[(&str, &str)]) -> HeldDelivery {
        HeldDelivery {
            id: DeliveryId::from_uuid(Uuid::from_u128(1)),
            event: EventId::from_uuid(Uuid::from_u128(2)),
            endpoint: EndpointId::from_uuid(Uuid::from_u128(3)),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            attempts: 0,
            attempts_max: 10,
            attempts_before: 0,
            due_at: AT,
            content_type: content_type.to_owned(),
            body_bytes: STORED.len() as u64,
            body: Body::Stored,
            event_type: "order.created".to_owned(),
            accepted_at: AT,
        }
    }

    fn built(profile: &Profile, delivery: &HeldDelivery) -> Request {
        Request::build(profile, &in_rotation(), delivery, Bytes::from_static(STORED.as_bytes()), AT).expect("headers are sound")
    }

    fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
        request
            .headers
            .get(name)
            .map(|value| value.to_str().expect("our headers are ASCII"))
    }

    fn is_signed_by(request: &Request, secret: &StandardSecret) -> bool {
        let (id, signature) = (
            header(request, "webhook-id").unwrap(),
            header(request, "webhook-signature").unwrap(),
        );
        let timestamp: i64 = header(request, "webhook-timestamp").unwrap().parse().unwrap();
        assert_eq!(timestamp, AT.as_secs(), "the attempt's own");
        verify_standard(secret, id, timestamp, &request.body, signature)
    }

    #[test]
    fn every_profile_signs_what_it_sends_under_the_standard_scheme() {
        for profile in profile::ALL {
            let request = built(profile, &delivery("application/json", &[]));
            assert!(is_signed_by(&request, &secret(1)), "{profile}");
            assert_eq!(header(&request, "content-type"), Some("application/json"), "{profile}");
            assert_eq!(
                header(&request, "webhook-id"),
                Some("00000000-0000-0000-0000-000000000002"),
                "{profile}"
            );
        }
    }

    #[test]
    fn a_profile_without_an_envelope_sends_the_stored_bytes() {
        for profile in profiles(|profile| profile.envelope == Envelope::Verbatim) {
            let request = built(profile, &delivery("application/json; charset=utf-8", &[]));
            assert_eq!(request.body, STORED, "{profile}");
            assert_eq!(
                header(&request, "content-type"),
                Some("application/json; charset=utf-8"),
                "{profile}"
            );
        }
    }

    #[test]
    fn an_envelope_is_put_around_the_stored_bytes_before_they_are_signed() {
        for profile in profiles(|profile| profile.envelope == Envelope::TypeAndData) {
            let request = built(profile, &delivery("application/json; charset=utf-8", &[]));
            assert_eq!(request.body, format!(r#"{{"type":"order.created","data":{STORED}}}"#), "{profile}");
            assert_eq!(header(&request, "content-type"), Some("application/json"), "{profile}");
            assert!(is_signed_by(&request, &secret(1)), "{profile}");
        }
    }

    #[test]
    fn a_plugins_text_goes_out_as_it_is() {
        for profile in profile::ALL {
            let request = built(profile, &delivery("text/plain", &[]));
            assert_eq!(request.body, STORED, "{profile}");
            assert_eq!(header(&request, "content-type"), Some("text/plain"), "{profile}");
        }
    }

    #[test]
    fn a_previous_secret_signs_too_only_where_receivers_can_read_it() {
        for (in_rotation, signatures) in [(InRotation::NewOnly, 1), (InRotation::NewAndPrevious, 2)] {
            for profile in profiles(|profile| profile.in_rotation == in_rotation) {
                let request = built(profile, &delivery("application/json", &[]));
                assert_eq!(is_signed_by(&request, &secret(2)), signatures == 2, "{profile}");
                let sent = header(&request, "webhook-signature").unwrap().split(' ').count();
                assert_eq!(sent, signatures, "{profile}");
            }
        }
    }

    #[test]
    fn a_signature_of_the_body_alone_goes_out_where_receivers_expect_it() {
        for profile in profile::ALL {
            let request = built(profile, &delivery("application/json", &[]));
            match profile.body_signature_header {
                Some(name) => assert!(verify_body(&secret(1).to_text(), &request.body, header(&request, name).unwrap())),
                None => assert_eq!(request.headers.len(), 4, "{profile}: {:?}", request.headers),
            }
        }
    }

    #[test]
    fn no_plugin_replaces_what_signs_or_describes_the_body() {
        for profile in profile::ALL {
            let standard = ["content-type", "webhook-id", "webhook-timestamp", "webhook-signature"];
            let ours: Vec<_> = standard.into_iter().chain(profile.body_signature_header).collect();
            let theirs: Vec<_> = ours.iter().map(|name| (*name, "theirs")).chain([("x-shard", "7")]).collect();
            let request = built(profile, &delivery("application/json", &theirs));
            for name in ours {
                let values: Vec<_> = request.headers.get_all(name).iter().collect();
                assert!(values.len() == 1 && values[0] != "theirs", "{profile}, {name}: {values:?}");
            }
            assert_eq!(header(&request, "x-shard"), Some("7"));
        }
    }

    #[test]
    fn a_text_that_no_header_can_hold_is_told_by_name() {
        let broken = delivery("application/json", &[("x-shard", "a\nb")]);
        let problem = Request::build(profile::DEFAULT, &in_rotation(), &broken, Bytes::new(), AT).unwrap_err();
        assert!(problem.contains("x-shard"), "{problem}");
    }
}
