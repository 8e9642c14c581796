//! One attempt: build the request, sign it, post it, read the verdict off the answer.
//!
//! Every delivery carries the Standard Webhooks headers, so that any receiver can verify it; what else it carries, and what
//! is put around its payload, its endpoint's profile says. `webhook-id` is the event's id: the same for every attempt, endpoint and replay of the event, which is
//! what a receiver deduplicates by. The timestamp is the attempt's own, so a receiver may refuse an old one.

use bytes::Bytes;
use hookyard_domain::{
    Timestamp,
    attempt::{ErrorClass, Outcome},
    profile::envelope::WRAPPED_CONTENT_TYPE,
};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{
    configuration::Endpoint,
    egress::{Egress, Failure},
    store::{Attempt, HeldDelivery},
};

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// An attempt that was made, successfully or not.
pub(super) struct Made {
    pub(super) outcome: Outcome,
    detail: Option<String>,
    answer: Bytes,
}

impl Made {
    fn failed(failure: Failure) -> Self {
        Self {
            outcome: Outcome::Error(failure.class),
            detail: Some(failure.detail),
            answer: Bytes::new(),
        }
    }

    /// A fault of our own, before anything was sent.
    pub(super) fn internal(problem: &str) -> Self {
        Self::failed(Failure::new(ErrorClass::Internal, problem))
    }

    pub(super) fn into_record(self, started_at: Timestamp, duration_us: i64) -> Attempt {
        let (status, error) = match self.outcome {
            Outcome::Status(status) => (Some(status), None),
            Outcome::Error(class) => (None, Some(class.as_str())),
        };
        Attempt {
            started_at,
            duration_us,
            status,
            error,
            error_detail: self.detail,
            response: self.answer,
        }
    }
}

/// Makes one attempt.
pub(super) async fn make(egress: &Egress, endpoint: &Endpoint, delivery: &HeldDelivery, body: Bytes, now: Timestamp) -> Made {
    let profile = endpoint.profile;
    let wrapped = profile.envelope.wrap(&delivery.event_type, &delivery.content_type, &body);
    let (body, content_type) = match wrapped {
        Some(wrapped) => (wrapped.into(), WRAPPED_CONTENT_TYPE),
        None => (body, delivery.content_type.as_str()),
    };
    let headers = match headers(endpoint, delivery, &body, content_type, now) {
        Ok(headers) => headers,
        Err(problem) => return Made::internal(&problem),
    };
    let deadline = profile.attempt_deadline(egress.deadline());
    match egress.post(&endpoint.url, headers, body, deadline).await {
        Ok(answer) => Made {
            outcome: Outcome::Status(answer.status),
            detail: None,
            answer: answer.head,
        },
        Err(failure) => Made::failed(failure),
    }
}

/// The plugin's headers first, then ours: what signs and describes the body is never a plugin's to say.
fn headers(endpoint: &Endpoint, delivery: &HeldDelivery, body: &[u8], content_type: &str, now: Timestamp) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::with_capacity(delivery.headers.len() + 8);
    for (name, value) in &delivery.headers {
        let name = HeaderName::try_from(name).map_err(|error| format!("header {name}: {error}"))?;
        let value = HeaderValue::try_from(value).map_err(|error| format!("header {name}: {error}"))?;
        headers.append(name, value);
    }
    let text = |value: String| HeaderValue::try_from(value).map_err(|error| error.to_string());
    headers.insert(header::CONTENT_TYPE, text(content_type.to_owned())?);
    let (profile, keys) = (endpoint.profile, endpoint.signing_keys());
    let id = delivery.event.to_string();
    headers.insert(WEBHOOK_SIGNATURE, text(keys.standard(profile.in_rotation, &id, now, body))?);
    headers.insert(WEBHOOK_ID, text(id)?);
    headers.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(now.as_secs()));
    if let Some(name) = profile.body_signature_header {
        headers.insert(HeaderName::from_static(name), text(keys.body(body))?);
    }
    Ok(headers)
}
