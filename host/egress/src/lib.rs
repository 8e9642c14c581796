//! The only way out: one HTTP POST to an address that was checked in that very connection (E1).
//!
//! Names are resolved here and nowhere else, every resolved address is held against the domain's table of forbidden
//! ranges, and the connection goes to one of exactly those addresses: there is no second look-up that could answer
//! differently. A URL that names an address instead of a host is checked before the request. Redirects are refused,
//! for a 302 would leave the checked address; so is a proxy from the environment, for it would resolve on its own.
//!
//! Not checked here: who may call which endpoint, and what the body holds.

mod failure;
mod lookup;
mod resolver;
mod upload;

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use hookyard_domain::address::AddressPolicy;
use http::HeaderMap;
use url::{Host, Url};

pub use self::failure::Failure;
use self::{resolver::CheckedResolver, upload::upload};

/// Bytes of an answer that are kept with its attempt.
pub const ANSWER_KEPT_BYTES_MAX: usize = 1_024;
/// Bytes of an answer that are read so that the connection can be used again; past it the connection is closed.
const ANSWER_READ_BYTES_MAX: usize = 64 * 1_024;
/// Connecting is part of the total deadline; this keeps one dead address of several from using it up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Connecting begins with a look-up of the name: half of its time at most, so that a resolver of ours that is silent is told
/// from a receiver that is. The system's resolver asks a second server after 5 s; few names take so long.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Receivers commonly close idle connections after a minute or so; ours goes first, so that fewer posts meet a close.
const POOL_IDLE: Duration = Duration::from_secs(50);

/// What a receiver answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The beginning of the body.
    pub head: Bytes,
}

/// The outbound client. Cheap to clone.
#[derive(Clone)]
pub struct Egress {
    client: reqwest::Client,
    policy: Arc<AddressPolicy>,
    deadline: Duration,
}

/// Why the client could not be built.
#[derive(Debug, thiserror::Error)]
#[error("cannot build the outbound client")]
pub struct BuildError(#[from] reqwest::Error);

impl Egress {
    /// `deadline` is the most one attempt may take in all: connecting, sending, and reading the answer.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that builds an outbound client")]
    pub fn new(policy: AddressPolicy, deadline: Duration) -> Result<Self, BuildError> {
        let policy = Arc::new(policy);
        let client = reqwest::Client::builder()
            .user_agent(concat!("Hookyard/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(CheckedResolver::new(
                Arc::clone(&policy),
                RESOLVE_TIMEOUT.min(deadline / 2),
            )))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(POOL_IDLE)
            .tcp_nodelay(true)
            .tls_backend_preconfigured(tls())
            .build()?;
        Ok(Self { client, policy, deadline })
    }

    /// The most one attempt may take in all.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Posts once, within `total`, and keeps [`ANSWER_KEPT_BYTES_MAX`] of the answer. As [`Egress::ask`].
    pub async fn post(&self, url: &Url, headers: HeaderMap, body: Bytes, total: Duration) -> Result<Answer, Failure> {
        self.ask(url, headers, body, total, ANSWER_KEPT_BYTES_MAX).await
    }

    /// Posts once, within `total`, and keeps so many bytes of the answer. The body's memory is given up as soon as its last byte has gone to the connection. Any
    /// status is an answer; a [`Failure`] says why there was none.
    pub async fn ask(&self, url: &Url, headers: HeaderMap, body: Bytes, total: Duration, kept_bytes_max: usize) -> Result<Answer, Failure> {
        self.check_literal(url)?;
        let deadline = tokio::time::Instant::now() + total;
        let (body, _held) = upload(body);
        let request = self.client.post(url.clone()).headers(headers).body(body).send();
        let mut response = tokio::time::timeout_at(deadline, request)
            .await
            .map_err(|_| Failure::deadline(total))?
            .map_err(Failure::from_request)?;
        let status = response.status().as_u16();
        let mut head = BytesMut::new();
        let mut read = 0;
        // The status is the receiver's verdict; a body that breaks off after it, or never ends, changes nothing.
        while read < ANSWER_READ_BYTES_MAX
            && let Ok(Ok(Some(chunk))) = tokio::time::timeout_at(deadline, response.chunk()).await
        {
            read += chunk.len();
            head.extend_from_slice(&chunk[..chunk.len().min(kept_bytes_max - head.len())]);
        }
        Ok(Answer {
            status,
            head: head.freeze(),
        })
    }

    /// The resolver never sees a URL whose host is an address.
    fn check_literal(&self, url: &Url) -> Result<(), Failure> {
        let address: IpAddr = match url.host() {
            Some(Host::Ipv4(address)) => address.into(),
            Some(Host::Ipv6(address)) => address.into(),
            Some(Host::Domain(_)) => return Ok(()),
            None => return Err(Failure::invalid_url("the URL names no host")),
        };
        self.policy.check(address).map_err(Failure::refused)
    }
}

/// TLS with the system's certificate authorities. A machine without any still delivers to plain HTTP where that is
/// allowed, and says why HTTPS fails.
///
/// Public for the command line, which calls a server of its own over it; deliveries go through [`Egress`] alone.
pub fn tls() -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        tracing::warn!("no certificate authorities found on this system: install its ca-certificates package to deliver over https");
    }
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports the default protocol versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}
