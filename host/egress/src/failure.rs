//! Why an attempt got no answer, sorted into the domain's classes.

use std::{error::Error as _, time::Duration};

use hookyard_domain::{address::Forbidden, attempt::ErrorClass};

use super::resolver::{Refused, Unresolved};

/// Characters of detail kept with an attempt.
const DETAIL_CHARS_MAX: usize = 500;

/// No answer, and why. The detail is for the endpoint's owner; it holds no part of the URL's path.
#[derive(Debug, Clone)]
pub struct Failure {
    pub class: ErrorClass,
    pub detail: String,
}

impl Failure {
    pub fn new(class: ErrorClass, detail: impl Into<String>) -> Self {
        let detail: String = detail.into();
        Self {
            class,
            detail: detail.chars().filter(|c| !c.is_control()).take(DETAIL_CHARS_MAX).collect(),
        }
    }

    pub(super) fn invalid_url(problem: &str) -> Self {
        Self::new(ErrorClass::InvalidUrl, problem)
    }

    pub(super) fn refused(forbidden: Forbidden) -> Self {
        Self::new(ErrorClass::AddressRefused, forbidden.to_string())
    }

    pub(super) fn deadline(total: Duration) -> Self {
        Self::new(ErrorClass::Timeout, format!("no answer within {} s", total.as_secs_f32()))
    }

    /// Reads the class off the error's chain of causes. The URL is left out: its path may hold a token.
    pub(super) fn from_request(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let mut class = if error.is_timeout() {
            ErrorClass::Timeout
        } else if error.is_connect() {
            ErrorClass::Connect
        } else if error.is_builder() {
            ErrorClass::InvalidUrl
        } else {
            ErrorClass::Protocol
        };
        let mut detail = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            if let Some(Refused(forbidden)) = inner.downcast_ref() {
                return Self::refused(*forbidden);
            }
            if let Some(unresolved) = inner.downcast_ref::<Unresolved>() {
                let class = if unresolved.is_our_resolvers_fault() {
                    ErrorClass::Internal
                } else {
                    ErrorClass::Dns
                };
                return Self::new(class, unresolved.to_string());
            }
            if inner.is::<rustls::Error>() {
                class = ErrorClass::Tls;
            }
            if let Some(io) = inner.downcast_ref::<std::io::Error>() {
                if holds_tls_error(io) {
                    class = ErrorClass::Tls;
                }
                // EMFILE, ENFILE: we ran out of sockets; that is not the receiver's fault (D3).
                if matches!(io.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) {
                    return Self::new(ErrorClass::Internal, io.to_string());
                }
            }
            detail = inner.to_string();
            cause = inner.source();
        }
        Self::new(class, detail)
    }
}

/// Looks inside: an `io::Error` hides what it wraps from a chain of causes, and the connector wraps one in another.
fn holds_tls_error(error: &std::io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|inner| inner.is::<rustls::Error>() || inner.downcast_ref::<std::io::Error>().is_some_and(holds_tls_error))
}
