//! One attempt: post the request and read the verdict off the answer.

use bytes::Bytes;
use hookyard_domain::{
    Timestamp,
    attempt::{ErrorClass, Outcome},
};

use super::{outbound_auth, request::Request, sending::Share};
use crate::{
    configuration::Endpoint,
    egress::{Egress, Failure},
    store::{Attempt, HeldDelivery},
};

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

/// Makes one attempt, right now: `now` is what the signature says. The share of a large body is held until it is sent.
pub(super) async fn make(
    egress: &Egress,
    endpoint: &Endpoint,
    delivery: &HeldDelivery,
    body: Bytes,
    share: Option<Share>,
    now: Timestamp,
) -> Made {
    let deadline = endpoint.profile.attempt_deadline(egress.deadline());
    let began = tokio::time::Instant::now();
    let auth = match &endpoint.auth {
        Some(auth) => match outbound_auth::header(auth, egress, deadline / 2).await {
            Ok(header) => Some(header),
            Err(failure) => return Made::failed(failure),
        },
        None => None,
    };
    let mut request = match Request::build(endpoint.profile, endpoint.signing_keys(), delivery, body, now) {
        Ok(request) => request,
        Err(problem) => return Made::internal(&problem),
    };
    let body = match share {
        Some(share) => share.hold_for(request.body),
        None => request.body,
    };
    if let Some((name, value)) = auth {
        request.headers.insert(name, value);
    }
    // Fetching a token is part of the attempt.
    let deadline = deadline.saturating_sub(began.elapsed());
    match egress.post(&endpoint.url, request.headers, body, deadline).await {
        Ok(answer) => Made {
            outcome: Outcome::Status(answer.status),
            detail: None,
            answer: answer.head,
        },
        Err(failure) => Made::failed(failure),
    }
}
